# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cleaned records in memory, and random windows of them as training examples."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from tqdm.auto import tqdm

from anyecg_hf.corpora.label_tables import SUPERCLASSES
from anyecg_hf.corpora.leakage.fingerprints import signal_fingerprint
from anyecg_hf.models.anyecg import AnyECGTokenizer
from anyecg_hf.records import read_record
from anyecg_hf.training.licensed_records import ListedRecord

logger = logging.getLogger(__name__)


@dataclass
class CleanedRecord:
    """
    One record, ready for training.

    Attributes:
        name (`str`): `corpus/record`.
        fingerprint (`str`): Hash of the signal.
        patches (`np.ndarray` of shape `(L, N, S)`, float16): In recording scale.
        patch_mask (`np.ndarray` of shape `(L, N)`, bool): True where real.
        lead_ids (`np.ndarray` of shape `(L,)`, int64): Index into the lead vocabulary.
        scale (`float`): Recording scale in mV.
        demographics (`np.ndarray` of shape `(3,)`, float32): Age, weight, sex; NaN where unknown.
        labels (`np.ndarray` of shape `(5,)`, float32, or `None`): PTB-XL superclasses, 0 or 1.
        codes (`np.ndarray` of shape `(L, N)` or `(L, N, Q)`, or `None`): Rhythm codes, filled in for stage 2.
    """

    name: str
    fingerprint: str
    patches: np.ndarray
    patch_mask: np.ndarray
    lead_ids: np.ndarray
    scale: float
    demographics: np.ndarray
    labels: np.ndarray | None
    codes: np.ndarray | None = None


@dataclass
class CleanedRecords:
    """Cleaned records and the ones that could not be used, with the reason."""

    records: list[CleanedRecord]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint -> record name."""
        return {record.fingerprint: record.name for record in self.records}


def clean_records(
    listed: Iterable[ListedRecord], tokenizer: AnyECGTokenizer, description: str = "clean"
) -> CleanedRecords:
    """
    Reads and cleans records; unreadable ones and ones without a usable lead are counted and named, not lost silently.

    Args:
        listed (`Iterable[ListedRecord]`): What to read.
        tokenizer ([`AnyECGTokenizer`]): How to clean.
        description (`str`, *optional*): For the progress bar.

    Returns:
        [`CleanedRecords`]
    """
    result = CleanedRecords([])
    for entry in tqdm(list(listed), desc=description, unit="record"):
        name = f"{entry.corpus}/{entry.path.stem}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # odd leads are masked; whole records are reported below
                record = read_record(entry.path)
                cleaned = tokenizer.clean(record)
        except ValueError as error:
            result.refused[name] = str(error)
            continue
        if not cleaned.patch_mask.any():
            result.refused[name] = "no usable lead"
            continue
        features = tokenizer.feature(cleaned)
        demographics = entry.demographics or (record.age_years, record.weight_kg, record.sex)
        result.records.append(
            CleanedRecord(
                name=name,
                fingerprint=signal_fingerprint(record.signal_mv, record.lead_names),
                patches=features["input_values"].astype(np.float16),
                patch_mask=cleaned.patch_mask,
                lead_ids=features["lead_ids"],
                scale=cleaned.scale,
                demographics=np.array([np.nan if value is None else value for value in demographics], dtype=np.float32),
                labels=_superclass_vector(entry.superclasses),
            )
        )
    if result.refused:
        logger.warning("%d records could not be used: %s", len(result.refused), result.refused)
    return result


def _superclass_vector(superclasses: tuple[str, ...] | None) -> np.ndarray | None:
    if superclasses is None:
        return None
    return np.array([name in superclasses for name in SUPERCLASSES], dtype=np.float32)


class RecordWindows(Dataset):
    """
    Windows of cleaned records as model inputs without the batch axis.

    A record gives one window for each `window_patches` it holds, at most `most_windows`, so that long records neither
    rule nor vanish. In training a window starts anywhere and may keep only some leads. The draws follow from the seed
    and the index alone, so that a resumed run sees what an uninterrupted one sees; an index beyond the length means the
    same window in a later epoch, drawn anew ([`EpochSampler`]).

    Args:
        records (`list[CleanedRecord]`): Records.
        window_patches (`int`): Patches of a window.
        training (`bool`): Random windows and leads, or fixed windows and all leads.
        lead_dropout (`float`, *optional*, defaults to 0.0): Probability that a training window keeps a random subset of
            its leads.
        most_windows (`int`, *optional*, defaults to 20): Windows of one record in an epoch.
        seed (`int`, *optional*, defaults to 0): Of the draws.
    """

    def __init__(
        self,
        records: list[CleanedRecord],
        window_patches: int,
        training: bool,
        lead_dropout: float = 0.0,
        most_windows: int = 20,
        seed: int = 0,
    ):
        self.records = records
        self.window_patches = window_patches
        self.training = training
        self.lead_dropout = lead_dropout
        self.seed = seed
        self.items = [
            (index, window * window_patches)
            for index, record in enumerate(records)
            for window in range(min(most_windows, max(1, record.patch_mask.shape[1] // window_patches)))
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: int) -> dict[str, np.ndarray]:
        index, start = self.items[item % len(self.items)]
        record = self.records[index]
        leads = np.arange(len(record.lead_ids))
        if self.training:
            generator = seeded_generator(self.seed, item)
            latest = max(record.patch_mask.shape[1] - self.window_patches, 0)
            start = int(torch.randint(latest + 1, (), generator=generator))
            if float(torch.rand((), generator=generator)) < self.lead_dropout:
                kept = 1 + int(torch.randint(len(leads), (), generator=generator))
                leads = np.sort(torch.randperm(len(leads), generator=generator)[:kept].numpy())
        window = (leads, slice(start, start + self.window_patches))
        features = {
            "input_values": record.patches[window].astype(np.float32),
            "attention_mask": record.patch_mask[window].astype(np.int64),
            "lead_ids": record.lead_ids[leads],
            "demographics": record.demographics,
        }
        if record.codes is not None:
            features["codes"] = record.codes[window]
        if record.labels is not None:
            features["labels"] = record.labels
        if self.training:
            features["draw"] = np.array([self.seed, item])
        return features


def seeded_generator(*numbers: int) -> torch.Generator:
    """A generator whose draws follow from the numbers, each at least 0."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


class EpochSampler(Sampler[int]):
    """
    Every item once an epoch in random order, as `epoch * items + item`.

    Args:
        items (`int`): Length of the dataset.
        seed (`int`): Of the order.
    """

    def __init__(self, items: int, seed: int):
        self.items = items
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by `Trainer` before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.items

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.items, generator=seeded_generator(self.seed, self.epoch))
        yield from (order + self.epoch * self.items).tolist()
