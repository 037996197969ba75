# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Stage 2: masked code modelling.

accelerate launch -m anyecg_hf.training.pretrain --config pretraining.yaml
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGForMaskedCodeModeling, AnyECGTokenizer
from anyecg_hf.training.codes import add_codes
from anyecg_hf.training.config_files import parse_config
from anyecg_hf.training.configs import MaskingConfig, PretrainingConfig
from anyecg_hf.training.console import report_progress
from anyecg_hf.training.loop import run_training
from anyecg_hf.training.masking import check_masking, hide_patches
from anyecg_hf.training.model_configs import load_tokenizer, new_config, parent_digest, shared_with_tokenizer
from anyecg_hf.training.sources import TrainingRows, load_rows, window_patches
from anyecg_hf.training.stage import LossTerm, Stage, mean_terms
from anyecg_hf.training.windows import (
    Batch,
    Row,
    WindowCollator,
    WindowSettings,
    codes_of,
    record_time_positions,
    seeded_generator,
)


@dataclass(frozen=True)
class MaskedCodeCollator(WindowCollator):
    """
    Batches with hidden patches, `bool_masked_pos`, and the rhythm codes of all patches as `labels`.

    Args:
        masking (`tuple[MaskingConfig, ...]`): Ways to hide; each batch draws one. Without a generator it is the first,
            with draws that are always the same.
    """

    masking: tuple[MaskingConfig, ...] = (MaskingConfig(),)

    def add(self, batch: Batch, rows: list[Row], places: list, generator: torch.Generator | None) -> None:
        batch["labels"] = codes_of(rows, places, batch["attention_mask"])
        if generator is None:
            hide_patches(batch, self.masking[:1], seeded_generator(len(rows)))
        else:
            hide_patches(batch, self.masking, generator)


class PretrainingStage(Stage):
    """
    Trains an [`AnyECGForMaskedCodeModeling`].

    Args:
        config ([`PretrainingConfig`]): The run.
        device (`torch.device`): Where records are encoded.
    """

    predicts_codes = True

    def __init__(self, config: PretrainingConfig, device: torch.device):
        check_masking(config.masking)
        self.tokenizer = load_tokenizer(config.tokenizer).to(device)
        quantizer = self.tokenizer.quantizer
        self.parent_sha256 = parent_digest(self.tokenizer, quantizer)
        fixed = {
            **shared_with_tokenizer(self.tokenizer),
            "codebook_size": quantizer.config.codebook_size,
            "num_quantizers": quantizer.config.num_quantizers,
        }
        model_config = new_config(AnyECGConfig, config.model, fixed)
        patches = window_patches(config.data, self.tokenizer)
        offsets = record_time_positions(model_config, patches)
        self.model = AnyECGForMaskedCodeModeling(model_config)
        self.collate = MaskedCodeCollator(
            WindowSettings(patches, config.data.lead_dropout, offsets), tuple(config.masking)
        )
        self.data = with_codes(load_rows(config.data, self.tokenizer), self.tokenizer, patches)

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"code_loss": hidden_codes(batch["labels"], batch["bool_masked_pos"])}

    def terms(self, outputs: Any) -> dict[str, LossTerm]:
        return {"code_loss": LossTerm(outputs.loss)}

    def validate(self, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]]) -> dict[str, float]:
        return mean_terms(self, model, batches)

    def save(self, model: PreTrainedModel, state_dict: dict[str, torch.Tensor], folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)
        model.save_pretrained(folder, state_dict=state_dict)


def with_codes(data: TrainingRows, tokenizer: AnyECGTokenizer, patches: int) -> TrainingRows:
    """Rows of a run with the codes of the tokenizer's quantizer."""
    data.train = add_codes(data.train, tokenizer.quantizer, patches)
    if data.validation is not None:
        data.validation = add_codes(data.validation, tokenizer.quantizer, patches)
    return data


def hidden_codes(codes: torch.Tensor, bool_masked_pos: torch.Tensor) -> float:
    """How many codes a masked-code loss is a mean over."""
    hidden = bool_masked_pos if codes.ndim == 3 else bool_masked_pos[..., None]
    return float((hidden & (codes >= 0)).sum())


def pretrain(config: PretrainingConfig) -> AnyECGForMaskedCodeModeling:
    """
    Trains a backbone to predict the rhythm codes of hidden patches (paper, stage 2).

    Args:
        config ([`PretrainingConfig`]): The run.

    Returns:
        [`AnyECGForMaskedCodeModeling`], in evaluation mode. `final` in the run folder holds its tokenizer too.

    Raises:
        `ValueError`: as [`run_training`], and if model and tokenizer do not belong together.
    """

    def make_stage(accelerator: Accelerator) -> Stage:
        return PretrainingStage(config, accelerator.device).with_facts()

    return run_training(config, make_stage)


if __name__ == "__main__":
    report_progress()
    pretrain(parse_config(PretrainingConfig, sys.argv[1:]))


__all__ = ["MaskedCodeCollator", "PretrainingStage", "hidden_codes", "pretrain", "with_codes"]
