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
from anyecg_hf.models.anyecg import AnyECGForLeadReconstruction
from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES
from anyecg_hf.training.configs import FinetuningConfig
from anyecg_hf.training.lead_corruption import CHEST_LEADS, corrupt_leads
from anyecg_hf.training.model_configs import load_tokenizer
from anyecg_hf.training.record_weights import fit_record_weights
from anyecg_hf.training.sources import TrainingRows, load_rows, window_patches
from anyecg_hf.training.stage import LossTerm
from anyecg_hf.training.task_stage import TaskStage
from anyecg_hf.training.windows import (
    Batch,
    Row,
    WindowCollator,
    WindowSettings,
    in_scale_of,
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
        # From a window with a single patch nothing can be taken.
        enough = batch["attention_mask"].flatten(1).sum(dim=1) >= 2
        untouched = torch.zeros_like(batch["attention_mask"], dtype=torch.bool)
        clean = batch["input_values"].clone()
        batch.update(labels=clean, bool_masked_pos=untouched, noised=untouched.clone())
        if enough.any():
            corrupted = corrupt_leads(
                {name: value[enough] for name, value in batch.items()},
                situation,
                generator,
                lead_names=self.lead_names,
                sampling_rate=self.sampling_rate,
            )
            for name, value in corrupted.items():
                batch[name][enough] = value
        given = batch["attention_mask"].bool() & ~batch["bool_masked_pos"]
        # In the scale of all leads, those that are given would tell the power of the missing one.
        batch.update(in_scale_of(batch, given, ("input_values", "labels")))


class LeadReconstructionStage(TaskStage):
    """
    Trains an [`AnyECGForLeadReconstruction`]. The covariance and the weights of its linear part are fitted to the
    training rows, evenly chosen where there are very many; of a stream to the first ones.

    Validation restores one missing chest lead a record: `psnr_db` (range: the lead's own peak to peak over the window)
    and `pearson_r` are means over records, and `linear_psnr_db` is that of the linear part alone.

    Args:
        config ([`FinetuningConfig`]): The run.

    Raises:
        `ValueError`: if no validation record has a chest lead and another one.
    """

    selection = "psnr_db"
    more_is_better = True
    model_class = AnyECGForLeadReconstruction
    head = "reconstruction_head."

    def __init__(self, config: FinetuningConfig):
        self.config = config
        self.tokenizer = load_tokenizer(config.checkpoint)
        model = self.load_model({})
        patches = window_patches(config.data, self.tokenizer)
        offsets = record_time_positions(model.config, patches)
        names = tuple(self.tokenizer.lead_names)
        self.data = _with_chest_leads(load_rows(config.data, self.tokenizer), names)
        covariance = model.fit_lead_covariance(covariance_rows(self.data.train))
        logger.info("record weights of the linear part are fitted to the training rows")
        weights = fit_record_weights(covariance_rows(self.data.train), model.config, covariance)
        model.set_lead_covariance(covariance, weights)
        self.model = self.adapted(model)
        self.by_leads = model.config.reconstruction_loss == "log_mse"
        self.collate = LeadReconstructionCollator(
            WindowSettings(patches, config.data.lead_dropout, offsets),
            sampling_rate=self.tokenizer.sampling_rate,
            lead_names=names,
        )

    def counts(self, batch: Batch) -> dict[str, float]:
        restored = _restored(batch)
        # As the loss is defined: a mean over leads, or over patches.
        return {"restoration_loss": float((restored.any(dim=-1) if self.by_leads else restored).sum())}

    def terms(self, outputs: Any) -> dict[str, LossTerm]:
        return {"restoration_loss": LossTerm(outputs.loss)}

    def measured(self, outputs: Any) -> dict[str, torch.Tensor]:
        return {"missing_mse": outputs.missing_loss, "noised_mse": outputs.noised_loss}

    def validate(self, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]]) -> dict[str, float]:
        figures: dict[str, list[np.ndarray]] = {"psnr_db": [], "pearson_r": [], "linear_psnr_db": []}

        def see(batch: Batch, outputs: Any) -> None:
            missing = batch["bool_masked_pos"]
            leads = missing.any(dim=-1)
            clean, restored, linear = (
                value.detach().float().cpu()[leads].flatten(1).numpy()
                for value in (batch["labels"], outputs.reconstruction, outputs.linear_estimate)
            )
            mask = missing[leads].repeat_interleave(batch["labels"].shape[-1], dim=-1).numpy()
            figures["psnr_db"].append(psnr_db(clean, restored, mask))
            figures["pearson_r"].append(pearson_r(clean, restored, mask))
            figures["linear_psnr_db"].append(psnr_db(clean, linear, mask))

        found = self.watch(model, batches, see)
        for name, values in figures.items():
            joined = np.concatenate(values)
            found[name] = float(joined[np.isfinite(joined)].mean())  # a flat lead has no range
        return found


def _restored(batch: Batch) -> torch.Tensor:
    return (batch["bool_masked_pos"] | batch["noised"]) & batch["attention_mask"].bool()


def covariance_rows(rows: datasets.Dataset | datasets.IterableDataset) -> Iterator[Row]:
    """
    The training rows that the covariance of the leads is estimated from: all, or [`COVARIANCE_ROWS`] evenly chosen of
    them, of a stream the first.

    Args:
        rows (`datasets.Dataset` or `datasets.IterableDataset`): Rows of `clean_corpus`.

    Returns:
        `Iterator[Mapping]`
    """
    if isinstance(rows, datasets.IterableDataset):
        yield from rows.take(COVARIANCE_ROWS)
        return
    count = min(len(rows), COVARIANCE_ROWS)
    yield from rows.select([index * len(rows) // count for index in range(count)])


def _with_chest_leads(data: TrainingRows, lead_names: tuple[str, ...]) -> TrainingRows:
    """Validation rows reduced to those that validation can be about."""
    if data.validation is None:
        return data
    kept = data.validation.filter(_HasChestLead(lead_names), input_columns=["lead_ids", "attention_mask"])
    if not len(kept):
        raise ValueError("no validation record has a usable chest lead (V1 to V6) and another one: name other sources.")
    if len(kept) < len(data.validation):
        logger.warning(
            "%d of %d validation rows are left out: without a usable chest lead and another one",
            *(len(data.validation) - len(kept), len(data.validation)),
        )
    return replace(data, validation=kept)


class _HasChestLead:
    """A class, so that `datasets` can tell by its state what a cached result is of."""

    def __init__(self, lead_names: tuple[str, ...]):
        self.lead_names = lead_names

    def __getstate__(self) -> dict[str, Any]:
        return {"lead_names": self.lead_names, "version": __version__}

    def __call__(self, lead_ids: np.ndarray, attention_mask: np.ndarray) -> bool:
        # Validation sees the first window, which here is the whole row.
        usable = [self.lead_names[index] for index in np.asarray(lead_ids)[np.asarray(attention_mask).any(axis=1)]]
        return len(usable) > 1 and any(name in CHEST_LEADS for name in usable)


__all__ = ["COVARIANCE_ROWS", "LeadReconstructionCollator", "LeadReconstructionStage", "covariance_rows"]
