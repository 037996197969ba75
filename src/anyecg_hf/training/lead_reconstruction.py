# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning for restoring missing and noised leads."""

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np
import torch
from torch import nn

from anyecg_hf.evaluation.metrics import pearson_r, psnr_db
from anyecg_hf.models.anyecg import AnyECGForLeadReconstruction, AnyECGTokenizer
from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES
from anyecg_hf.training.configs import FinetuningConfig
from anyecg_hf.training.lead_corruption import CHEST_LEADS, corrupt_leads
from anyecg_hf.training.sources import TrainingRows, load_rows, window_patches
from anyecg_hf.training.stage import LossTerm
from anyecg_hf.training.task_stage import TaskStage
from anyecg_hf.training.windows import (
    Batch,
    Row,
    WindowCollator,
    WindowSettings,
    record_time_positions,
    seeded_generator,
)
from anyecg_hf.version import __version__

logger = logging.getLogger(__name__)

# The covariance of twelve leads is known long before: every further record moves it by less than the ridge.
COVARIANCE_ROWS = 5000


@dataclass(frozen=True)
class LeadReconstructionCollator(WindowCollator):
    """
    Batches with corrupted leads ([`corrupt_leads`]): a mixture of all situations while training, one missing chest lead
    without a generator, drawn for each record by its name.

    Args:
        sampling_rate (`int`, *optional*, defaults to 300): Of the patches, in Hz.
        lead_names (`tuple[str, ...]`, *optional*): The vocabulary of `lead_ids`.
    """

    sampling_rate: int = 300
    lead_names: tuple[str, ...] = LEAD_NAMES

    def add(self, batch: Batch, rows: Sequence[Row], places: list, generator: torch.Generator | None) -> None:
        situation = "mixture"
        if generator is None:
            situation = "one_chest_lead"
            generator = seeded_generator(zlib.crc32(" ".join(f"{row['record_id']}" for row in rows).encode()))
        _show_two_times(batch)
        corrupted = corrupt_leads(
            batch, situation, generator, lead_names=self.lead_names, sampling_rate=self.sampling_rate
        )
        batch.update(corrupted)


def _show_two_times(batch: Batch) -> None:
    """
    Lets a window in which one patch alone is real, which nothing can be taken from, show its next patches, silent ones
    as good as any. Changes the mask of such windows only.
    """
    for mask in batch["attention_mask"]:
        if int(mask.sum()) < 2:
            mask[int(mask.any(dim=1).int().argmax())] = 1
