# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How the leads of an opened record are stored and what voltages they hold, measured block by block."""

from dataclasses import dataclass

import numpy as np

from .source import RecordSource

_BLOCK_S = 60


@dataclass(frozen=True)
class LeadSummary:
    """
    One lead. Voltages are `None` where every sample is missing.

    Attributes:
        name (`str`): Name from the lead vocabulary.
        gain (`float`), baseline (`float`), unit (`str`), missing_code (`int` or `None`): As in [`StoredSignal`].
        min_mv (`float` or `None`), max_mv (`float` or `None`): Lowest and highest voltage.
        typical_range_mv (`float` or `None`): Median over its seconds of the range within a second.
        missing_share (`float`): Share of samples that are missing or invalid.
    """

    name: str
    gain: float
    baseline: float
    unit: str
    missing_code: int | None
    min_mv: float | None
    max_mv: float | None
    typical_range_mv: float | None
    missing_share: float

    @property
    def is_flat(self) -> bool:
        """Whether all its samples are the same."""
        return self.min_mv is not None and self.min_mv == self.max_mv


@dataclass(frozen=True)
class SignalSummary:
    """
    All leads of a record.

    Attributes:
        dtype (`str`): Type of the stored samples.
        leads (`tuple[LeadSummary, ...]`): One for every lead.
    """

    dtype: str
    leads: tuple[LeadSummary, ...]


def summarize_signal(source: RecordSource) -> SignalSummary:
    """
    Reads a record from start to end, in bounded memory.

    Args:
        source ([`RecordSource`]): An opened record.

    Returns:
        [`SignalSummary`]

    Raises:
        [`RecordError`]: if samples cannot be decoded.
    """
    second = min(max(1, round(source.sampling_rate)), source.n_samples)
    lows, highs, n_missing = [], [], np.zeros(source.n_leads, dtype=np.int64)
    for block_mv in source.blocks(_BLOCK_S * second / source.sampling_rate):
        n_missing += np.isnan(block_mv).sum(axis=1)
        padding = -block_mv.shape[1] % second
        seconds = np.pad(block_mv, ((0, 0), (0, padding)), constant_values=np.nan).reshape(source.n_leads, -1, second)
        lows.append(np.fmin.reduce(seconds, axis=2))
        highs.append(np.fmax.reduce(seconds, axis=2))
    low_mv, high_mv = np.concatenate(lows, axis=1), np.concatenate(highs, axis=1)
    stored = source.read_stored(0, 1)
    return SignalSummary(
        dtype=stored.samples.dtype.name,
        leads=tuple(
            LeadSummary(
                name=name,
                gain=float(stored.gain[lead]),
                baseline=float(stored.baseline[lead]) + 0.0,  # of -0.0 as well
                unit=stored.units[lead],
                missing_code=stored.missing[lead],
                min_mv=_known(np.fmin.reduce(low_mv[lead])),
                max_mv=_known(np.fmax.reduce(high_mv[lead])),
                typical_range_mv=_median(high_mv[lead] - low_mv[lead]),
                missing_share=float(n_missing[lead] / source.n_samples),
            )
            for lead, name in enumerate(source.lead_names)
        ),
    )


def _median(ranges_mv: np.ndarray) -> float | None:
    known = ranges_mv[~np.isnan(ranges_mv)]
    return float(np.median(known)) if known.size else None


def _known(value_mv: np.floating) -> float | None:
    return None if np.isnan(value_mv) else float(value_mv)


__all__ = ["LeadSummary", "SignalSummary", "summarize_signal"]
