# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The two stages of AnyECG as functions: train the rhythm quantizer, then model masked codes."""

import os
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from anyecg_hf.models.anyecg import (
    AnyECGConfig,
    AnyECGForMaskedCodeModeling,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.models.anyecg.configuration_anyecg import AnyECGArchitectureConfig
from anyecg_hf.training.collators import MaskedCodeCollator, WindowCollator
from anyecg_hf.training.trainer import CodebookCallback, LossTermTrainer, train_or_resume, training_arguments
from anyecg_hf.training.windows import CleanedRecord, RecordWindows
from anyecg_hf.windowing import window_spans


def train_quantizer(
    config: AnyECGQuantizerConfig,
    tokenizer: AnyECGTokenizer,
    records: list[CleanedRecord],
    output_dir: str | os.PathLike,
    window_patches: int,
    lead_dropout: float = 0.2,
    **arguments: Any,
) -> AnyECGRhythmQuantizer:
    """
    Stage 1: trains the rhythm quantizer. Resumes from the newest checkpoint in `output_dir`.

    Args:
        config ([`AnyECGQuantizerConfig`]): The quantizer.
        tokenizer ([`AnyECGTokenizer`]): Pads the batches.
        records (`list[CleanedRecord]`): Training records.
        output_dir (`str` or `os.PathLike`): Where checkpoints go.
        window_patches (`int`): Patches of a training window.
        lead_dropout (`float`, *optional*, defaults to 0.2): As in [`RecordWindows`].
        arguments: Fields of `TrainingArguments`.

    Returns:
        [`AnyECGRhythmQuantizer`], in evaluation mode.

    Raises:
        [`CodebookCollapseError`]: if the share of codes in use falls below `config.min_codebook_usage`.
        `ValueError`: if training ends before the codebook was started.
    """
    seed = arguments.get("seed", 0)
    torch.manual_seed(seed)
    offsets = record_time_positions(config, window_patches)
    model = AnyECGRhythmQuantizer(config)
    trainer = LossTermTrainer(
        model=model,
        args=training_arguments(output_dir, **arguments),
        train_dataset=RecordWindows(records, window_patches, training=True, lead_dropout=lead_dropout, seed=seed),
        data_collator=WindowCollator(tokenizer, keys=("demographics",), time_positions=offsets),
        callbacks=[CodebookCallback()],
    )
    train_or_resume(trainer)
    if not bool(model.quantizer.started):
        raise ValueError(
            f"training ended within the {config.codebook_warmup_updates} warm-up updates, and the codebook was never"
            " started: train longer, or lower `codebook_warmup_updates`."
        )
    return model.eval()


def record_time_positions(config: AnyECGArchitectureConfig, window_patches: int) -> int | None:
    """
    Writes into the config which time positions training covers.

    Args:
        config ([`AnyECGConfig`] or [`AnyECGQuantizerConfig`]): Changed in place: `trained_time_positions`.
        window_patches (`int`): Patches of a training window.

    Returns:
        `int` or `None`: rows of a learned time table to draw window offsets from; `None` with rotary encoding, where
        only the length of a window matters.
    """
    if config.time_encoding == "rotary":
        config.trained_time_positions = window_patches
        return None
    config.trained_time_positions = config.max_time_positions
    return config.max_time_positions


@torch.no_grad()
def add_codes(
    records: list[CleanedRecord], quantizer: AnyECGRhythmQuantizer, window_patches: int, batch_size: int = 16
) -> None:
    """
    Writes the rhythm codes of every record into `record.codes`, encoded window by window ([`window_spans`]).

    Args:
        records (`list[CleanedRecord]`): Records, changed in place.
        quantizer ([`AnyECGRhythmQuantizer`]): The frozen quantizer.
        window_patches (`int`): Patches of a window, at most.
        batch_size (`int`, *optional*, defaults to 16): Windows of one size encoded together.
    """
    config = quantizer.config
    windows: dict[tuple[int, int], list[tuple[CleanedRecord, slice]]] = {}
    for record in records:
        leads, patches = record.patch_mask.shape
        record.codes = np.full(
            (leads, patches) if config.num_quantizers == 1 else (leads, patches, config.num_quantizers), -1, np.int64
        )
        for span in window_spans(patches, window_patches):
            windows.setdefault((leads, span.stop - span.start), []).append((record, span))
    batches = [
        group[first : first + batch_size] for group in windows.values() for first in range(0, len(group), batch_size)
    ]
    for pairs in tqdm(batches, desc="encode", unit="batch"):
        codes = quantizer.encode(
            torch.tensor(np.stack([record.patches[:, span] for record, span in pairs]), dtype=torch.float32),
            torch.tensor(np.stack([record.patch_mask[:, span] for record, span in pairs]), dtype=torch.long),
            torch.tensor(np.stack([record.lead_ids for record, _ in pairs])),
        )
        for (record, span), row in zip(pairs, codes.numpy(), strict=True):
            record.codes[:, span] = row


def pretrain(
    config: AnyECGConfig,
    tokenizer: AnyECGTokenizer,
    records: list[CleanedRecord],
    output_dir: str | os.PathLike,
    window_patches: int,
    strategies: tuple[tuple[str, float, float], ...] = (("random", 0.5, 1.0),),
    lead_dropout: float = 0.2,
    **arguments: Any,
) -> AnyECGForMaskedCodeModeling:
    """
    Stage 2: masked code modelling on records that carry codes ([`add_codes`]). Resumes from `output_dir`.

    Args:
        config ([`AnyECGConfig`]): The backbone; `codebook_size` as in the quantizer.
        tokenizer ([`AnyECGTokenizer`]): Pads the batches.
        records (`list[CleanedRecord]`): Training records.
        output_dir (`str` or `os.PathLike`): Where checkpoints go.
        window_patches (`int`): Patches of a training window.
        strategies (*optional*): As in [`MaskedCodeCollator`].
        lead_dropout (`float`, *optional*, defaults to 0.2): As in [`RecordWindows`].
        arguments: Fields of `TrainingArguments`.

    Returns:
        [`AnyECGForMaskedCodeModeling`], in evaluation mode.
    """
    seed = arguments.get("seed", 0)
    torch.manual_seed(seed)
    offsets = record_time_positions(config, window_patches)
    model = AnyECGForMaskedCodeModeling(config)
    trainer = LossTermTrainer(
        model=model,
        args=training_arguments(output_dir, **arguments),
        train_dataset=RecordWindows(records, window_patches, training=True, lead_dropout=lead_dropout, seed=seed),
        data_collator=MaskedCodeCollator(tokenizer, strategies=strategies, time_positions=offsets),
    )
    train_or_resume(trainer)
    return model.eval()
