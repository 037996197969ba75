# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cleaned rows -> windows -> batches. Every draw comes from the generator that is passed in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anyecg_hf.models.anyecg import LEAD_NAMES
from anyecg_hf.models.anyecg.batching_anyecg import pad_features
from anyecg_hf.models.anyecg.configuration_anyecg import AnyECGArchitectureConfig

Row = Mapping[str, Any]
Batch = dict[str, torch.Tensor]

# What devices with few leads record, by number of leads.
USUAL_LEADS = {
    1: ("I",),
    2: ("I", "II"),
    3: ("I", "II", "V2"),
    6: ("I", "II", "III", "aVR", "aVL", "aVF"),
}
_USUAL_SHARE = 0.5
# Of windows in training, so that a model can do without.
_UNKNOWN_SCALE_SHARE = 0.1
# Power, relative to a record's, below which a window has nothing to be brought to unit spread.
_SILENCE = 1e-4


@dataclass(frozen=True)
class WindowSettings:
    """
    How windows are drawn.

    Args:
        patches (`int`): Patches of a window, at most.
        lead_dropout (`float`, *optional*, defaults to 0.0): Probability that a window keeps only some of its leads.
        time_positions (`int`, *optional*): Rows of a learned time table. Windows then start at a random row, so that
            every row is trained; without it no `time_offset` is passed.
    """

    patches: int
    lead_dropout: float = 0.0
    time_positions: int | None = None

    def place(self, row: Row, generator: torch.Generator | None) -> tuple[np.ndarray, slice]:
        """
        Chooses leads and time of a window.

        Args:
            row (`Mapping`): A row of `clean_corpus`.
            generator (`torch.Generator`, *optional*): For the draws; without it, all leads and the row's first window.

        Returns:
            `tuple`: indices of the leads, ascending, and the patches.
        """
        leads = np.arange(row["n_leads"])
        if generator is None:
            return leads, slice(0, self.patches)
        latest = max(row["n_patches"] - self.patches, 0)
        start = int(torch.randint(latest + 1, (), generator=generator))
        span = slice(start, start + self.patches)
        if float(torch.rand((), generator=generator)) < self.lead_dropout:
            # Of the leads with signal, so that a window is never left with none.
            usable = np.flatnonzero(np.asarray(row["attention_mask"])[:, span].any(axis=1))
            leads = usable if len(usable) else leads
            leads = leads[draw_leads(np.asarray(row["lead_ids"])[leads], generator)]
        return leads, span


def draw_leads(lead_ids: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """
    Draws the leads that stay: one of the usual sets that the record has, or any.

    Args:
        lead_ids (`np.ndarray` of shape `(L,)`): Leads of the record.
        generator (`torch.Generator`): For the draws.

    Returns:
        `np.ndarray`: indices of the leads, ascending, at least one.
    """
    usual = [[LEAD_NAMES.index(name) for name in names] for names in USUAL_LEADS.values()]
    present = [ids for ids in usual if len(ids) < len(lead_ids) and set(ids) <= set(lead_ids.tolist())]
    if present and float(torch.rand((), generator=generator)) < _USUAL_SHARE:
        ids = present[int(torch.randint(len(present), (), generator=generator))]
        return np.flatnonzero(np.isin(lead_ids, ids))
    kept = 1 + int(torch.randint(len(lead_ids), (), generator=generator))
    return np.sort(torch.randperm(len(lead_ids), generator=generator)[:kept].numpy())


@dataclass(frozen=True)
class WindowCollator:
    """
    Draws a window of each row and pads them to a batch.

    Args:
        windows ([`WindowSettings`]): How they are drawn.
    """

    windows: WindowSettings

    def __call__(self, rows: Sequence[Row], generator: torch.Generator | None = None) -> Batch:
        """
        Args:
            rows (`Sequence[Mapping]`): Rows of `clean_corpus`.
            generator (`torch.Generator`, *optional*): For the draws; without it windows are the first ones, whole.

        Returns:
            `dict[str, torch.Tensor]`: `input_values` `(B, L, N, S)` float32, `attention_mask` `(B, L, N)` int64,
            `lead_ids` `(B, L)` int64, `scale` `(B,)` float32 in mV, and what the subclass adds. Where leads were left
            out, the others are brought to unit spread, as the tokenizer would. Of some windows the scale is NaN, so
            that it is not relied on.
        """
        places = [self.windows.place(row, generator) for row in rows]
        batch = pad_windows(rows, places)
        if generator is not None:
            fewer = torch.tensor([len(leads) < row["n_leads"] for row, (leads, _) in zip(rows, places, strict=True)])
            batch = in_scale_of(batch, batch["attention_mask"].bool() & fewer[:, None, None])
            unknown = torch.rand(len(rows), generator=generator) < _UNKNOWN_SCALE_SHARE
            batch["scale"] = batch["scale"].masked_fill(unknown, float("nan"))
        if self.windows.time_positions is not None and generator is not None:
            latest = max(self.windows.time_positions - batch["attention_mask"].shape[2], 0)
            batch["time_offset"] = torch.randint(latest + 1, (len(rows),), generator=generator)
        self.add(batch, rows, places, generator)
        return batch

    def add(
        self,
        batch: Batch,
        rows: Sequence[Row],
        places: Sequence[tuple[np.ndarray, slice]],
        generator: torch.Generator | None,
    ) -> None:
        """Adds to a batch what a task needs."""


def pad_windows(rows: Sequence[Row], places: Sequence[tuple[np.ndarray, slice]]) -> Batch:
    """
    Cuts a window out of each row and pads them to one size.

    Args:
        rows (`Sequence[Mapping]`): Rows of `clean_corpus`.
        places (`Sequence[tuple]`): Leads and patches of each window.

    Returns:
        `dict[str, torch.Tensor]`: `input_values`, `attention_mask`, `lead_ids` and `scale`.
    """
    features = [
        {
            "input_values": np.asarray(row["input_values"])[leads, span].astype(np.float32),
            "attention_mask": np.asarray(row["attention_mask"])[leads, span].astype(np.int64),
            "lead_ids": np.asarray(row["lead_ids"])[leads].astype(np.int64),
            "scale": np.float32(row["scale"]),
        }
        for row, (leads, span) in zip(rows, places, strict=True)
    ]
    batch = pad_features(features, padding=True, max_length=None, return_tensors="pt")
    # Copied into memory as torch aligns it: on a CPU the last bits of a product depend on the alignment of NumPy's.
    return {name: value.clone() for name, value in batch.items()}


def in_scale_of(batch: Batch, given: torch.Tensor, names: Sequence[str] = ("input_values",)) -> Batch:
    """
    Brings windows to unit spread over what is given of them, as the tokenizer would if there were no more; in mV they
    stay the same.

    Args:
        batch (`dict[str, torch.Tensor]`): With `scale`. It is left as it is.
        given (`torch.BoolTensor` of shape `(B, L, N)`): Patches to go by; windows without any, or with nothing but
            silence in them, are left as they are.
        names (`Sequence[str]`, *optional*): What is in recording scale, `(B, L, N, S)` each.

    Returns:
        `dict[str, torch.Tensor]`
    """
    patches = given.sum(dim=(1, 2)).clamp(min=1)
    power = (batch["input_values"].square().mean(dim=-1) * given).sum(dim=(1, 2)) / patches
    spread = torch.where(power > _SILENCE, power, 1.0).sqrt()
    rescaled = {name: batch[name] / spread[:, None, None, None] for name in names}
    return {**batch, **rescaled, "scale": batch["scale"] * spread}


def demographics_of(rows: Sequence[Row]) -> torch.Tensor:
    """Age in years, weight in kg and sex of each row, `(B, 3)` float32, NaN where unknown."""
    columns = ("age_years", "weight_kg", "sex")
    return torch.tensor([[float("nan") if row[name] is None else float(row[name]) for name in columns] for row in rows])


def codes_of(
    rows: Sequence[Row], places: Sequence[tuple[np.ndarray, slice]], attention_mask: torch.Tensor
) -> torch.Tensor:
    """Rhythm codes of the windows as one `(B, L, N)` or `(B, L, N, Q)` int64 tensor, -1 where padded."""
    windows = [np.asarray(row["codes"])[place] for row, place in zip(rows, places, strict=True)]
    padded = torch.full((*attention_mask.shape, *windows[0].shape[2:]), -1, dtype=torch.long)
    for row, window in zip(padded, windows, strict=True):
        row[: window.shape[0], : window.shape[1]] = torch.as_tensor(window.astype(np.int64))
    return padded


def seeded_generator(*numbers: int) -> torch.Generator:
    """A generator whose draws follow from the numbers, each at least 0."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


def record_time_positions(config: AnyECGArchitectureConfig, window_patches: int) -> int | None:
    """
    Writes into the config which time positions training covers.

    Args:
        config ([`AnyECGConfig`] or [`AnyECGQuantizerConfig`]): Changed in place: `trained_time_positions`.
        window_patches (`int`): Patches of a training window.

    Returns:
        `int` or `None`: rows of a learned time table to draw window offsets from; `None` with rotary encoding, where
        only the length of a window matters.

    Raises:
        `ValueError`: if a window is longer than a learned time table.
    """
    if config.time_encoding == "rotary":
        config.trained_time_positions = window_patches
        return None
    if window_patches > config.max_time_positions:
        raise ValueError(
            f"a window has {window_patches} patches, and the time table {config.max_time_positions} rows: shorten"
            ' `window_s`, raise `max_time_positions`, or use `time_encoding: "rotary"`.'
        )
    config.trained_time_positions = config.max_time_positions
    return config.max_time_positions


__all__ = [
    "USUAL_LEADS",
    "Batch",
    "Row",
    "WindowCollator",
    "WindowSettings",
    "codes_of",
    "demographics_of",
    "draw_leads",
    "in_scale_of",
    "pad_windows",
    "record_time_positions",
    "seeded_generator",
]
