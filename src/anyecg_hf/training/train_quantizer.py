# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Stage 1: the rhythm quantizer.

accelerate launch -m anyecg_hf.training.train_quantizer --config quantizer.yaml
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf.code_counts import perplexity
from anyecg_hf.models.anyecg import AnyECGQuantizerConfig, AnyECGRhythmQuantizer
from anyecg_hf.training.codebook_health import CodebookHealth
from anyecg_hf.training.config_files import parse_config
from anyecg_hf.training.configs import QuantizerTrainingConfig
from anyecg_hf.training.console import report_progress
from anyecg_hf.training.loop import run_training
from anyecg_hf.training.model_configs import new_config, tokenizer_for
from anyecg_hf.training.sources import load_rows, window_patches
from anyecg_hf.training.stage import LossTerm, Stage, mean_terms
from anyecg_hf.training.windows import (
    Batch,
    Row,
    WindowCollator,
    WindowSettings,
    demographics_of,
    record_time_positions,
)

_TERMS = ("morphology", "frequency", "demography", "codebook", "commitment")
_HEALTH = "health."


@dataclass(frozen=True)
class QuantizerCollator(WindowCollator):
    """Batches with `demographics`."""

    def add(self, batch: Batch, rows: list[Row], places: list, generator: torch.Generator | None) -> None:
        batch["demographics"] = demographics_of(rows)


class QuantizerStage(Stage):
    """
    Trains an [`AnyECGRhythmQuantizer`] and watches its codebook.

    Args:
        config ([`QuantizerTrainingConfig`]): The run.
    """

    selection = None  # before the codebook starts, losses are lower than they will ever be again

    def __init__(self, config: QuantizerTrainingConfig):
        model_config = new_config(AnyECGQuantizerConfig, config.model)
        if model_config.loss_reduction != "mean":
            raise ValueError(
                "`model.loss_reduction` must be 'mean': batches that are accumulated are weighed as means."
            )
        if config.run.steps <= model_config.codebook_warmup_updates:
            raise ValueError(
                f"`run.steps` is {config.run.steps}, and the codebook starts after"
                f" {model_config.codebook_warmup_updates} warm-up updates: train longer, or lower"
                " `model.codebook_warmup_updates`."
            )
        self.tokenizer = tokenizer_for(model_config, config.tokenizer)
        patches = window_patches(config.data, self.tokenizer)
        offsets = record_time_positions(model_config, patches)
        self.model = AnyECGRhythmQuantizer(model_config)
        self.collate = QuantizerCollator(WindowSettings(patches, config.data.lead_dropout, offsets))
        self.data = load_rows(config.data, self.tokenizer)
        self.health = CodebookHealth()
        self._code_counts: list[list[int]] = []

    def counts(self, batch: Batch) -> dict[str, float]:
        real = batch["attention_mask"].bool()
        known = ~batch["demographics"].isnan() & real.flatten(1).any(dim=1, keepdim=True)
        patches = float(real.sum())
        return {f"{name}_loss": float(known.sum()) if name == "demography" else patches for name in _TERMS}

    def terms(self, outputs: Any) -> dict[str, LossTerm]:
        names = [f"{name}_loss" for name in _TERMS]
        return {
            name: LossTerm(outputs[name], getattr(self.model.config, name.replace("_loss", "_weight")))
            for name in names
        }

    def begin(self) -> None:
        self.health.attach(self.model.quantizer)

    def after_step(self, model: PreTrainedModel) -> None:
        model.update_codebook()

    def check_health(self) -> dict[str, float]:
        measurement = self.health.measure()
        if not measurement.uses:  # the codebook has not started
            return {}
        self._code_counts = measurement.counts.tolist()
        self.health.check(measurement, self.model.config)
        return {"perplexity": measurement.perplexity, "codebook_usage": measurement.usage}

    def details(self) -> dict[str, Any]:
        return {"code_counts": self._code_counts} if self._code_counts else {}

    def end(self) -> None:
        self.health.detach()

    def state(self) -> dict[str, torch.Tensor]:
        health = {f"{_HEALTH}{name}": counts for name, counts in self.health.state_dict().items()}
        return {**self.model.quantizer.training_state(), **health}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        health = {name.removeprefix(_HEALTH): state.pop(name) for name in list(state) if name.startswith(_HEALTH)}
        self.health.load_state_dict(health)
        self.model.quantizer.load_training_state(state)

    def validate(self, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]]) -> dict[str, float]:
        counts = np.zeros(self.model.config.codebook_size)

        def count(quantizer: nn.Module, inputs: tuple[Any, ...], tokens: Any) -> None:
            codes = tokens.codes[inputs[1].bool()][:, 0].cpu().numpy()
            np.add.at(counts, codes, 1)

        hook = self.model.quantizer.register_forward_hook(count)
        try:
            found = mean_terms(self, model, batches)
        finally:
            hook.remove()
        return {
            **found,
            "perplexity": perplexity(counts),
            "codebook_usage": float((counts > 0).mean()),
        }

    def check_finished(self, model: PreTrainedModel) -> None:
        if not bool(model.quantizer.started):
            raise ValueError(
                f"training ended within the {model.config.codebook_warmup_updates} warm-up updates, and the codebook"
                " was never started: train longer, or lower `codebook_warmup_updates`."
            )

    def save(self, model: PreTrainedModel, state_dict: dict[str, torch.Tensor], folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)
        model.save_pretrained(folder / "quantizer", state_dict=state_dict)

    def load(self, folder: Path) -> AnyECGRhythmQuantizer:
        return super().load(folder / "quantizer")


def train_quantizer(config: QuantizerTrainingConfig) -> AnyECGRhythmQuantizer:
    """
    Trains the rhythm quantizer (paper, stage 1).

    Args:
        config ([`QuantizerTrainingConfig`]): The run.

    Returns:
        [`AnyECGRhythmQuantizer`], in evaluation mode. `final` in the run folder loads as [`AnyECGTokenizer`].

    Raises:
        [`CodebookCollapseError`]: if the share of codes in use falls below `min_codebook_usage`.
        `ValueError`: as [`run_training`], and if training ends before the codebook was started.
    """

    def make_stage(accelerator: Accelerator) -> Stage:
        return QuantizerStage(config).with_facts()

    return run_training(config, make_stage)


if __name__ == "__main__":
    report_progress()
    train_quantizer(parse_config(QuantizerTrainingConfig, sys.argv[1:]))


__all__ = ["QuantizerCollator", "QuantizerStage", "train_quantizer"]
