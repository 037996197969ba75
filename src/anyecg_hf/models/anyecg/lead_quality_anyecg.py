# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The rules by which a lead is refused, on facts that can be gathered from a whole record or block by block."""

from collections.abc import Sequence

import numpy as np

# Amplitudes a surface ECG can have, in mV (DC offsets apart).
MAX_PLAUSIBLE_DEVIATION_MV = 20.0
USUAL_LEAD_RANGE_MV = (0.1, 10.0)
FLAT_RANGE_MV = 0.01

# A lead is railed if this share of it lies on its own extreme value in runs of at least this many seconds. Nearer to
# zero than this an extreme value may be the baseline of a noise-free lead.
RAILED_SHARE = 0.2
RAILED_RUN_S = 0.1
RAIL_MV = 1.0


class _Runs:
    """Length of the runs of `True`, the last one open until what follows is known."""

    def __init__(self, shortest: float):
        self._shortest = shortest
        self._closed = self._open = 0

    def add(self, flags: np.ndarray) -> None:
        at = np.flatnonzero(flags)
        if len(at) and len(at) == len(flags):
            self._open += len(at)
            return
        lengths = np.diff(np.flatnonzero(np.diff(at, prepend=-2, append=len(flags) + 1) > 1))
        if len(at) and at[0] == 0:
            lengths[0] += self._open
        else:
            self._close(self._open)
        self._open = 0
        if len(at) and at[-1] == len(flags) - 1:
            lengths, self._open = lengths[:-1], int(lengths[-1])
        self._close(lengths)

    def _close(self, lengths: np.ndarray | int) -> None:
        self._closed += int(np.sum(lengths, where=np.asarray(lengths) >= self._shortest))

    @property
    def total(self) -> int:
        """Samples in runs of at least `shortest`."""
        return self._closed + self._open * (self._open >= self._shortest)

    def become(self, other: "_Runs | None") -> None:
        """Takes over the runs of `other`; `None` for no runs at all."""
        self._closed, self._open = (other._closed, other._open) if other is not None else (0, 0)


class RailWatch:
    """
    How much of one lead lies on its own extreme values, told block by block.

    Args:
        sampling_rate (`float`): Rate of the lead in Hz.
    """

    def __init__(self, sampling_rate: float):
        shortest = RAILED_RUN_S * sampling_rate
        self._low_runs, self._high_runs, self._runs = _Runs(shortest), _Runs(shortest), _Runs(shortest)
        self._low = self._high = None
        self._samples = 0

    def add(self, lead_mv: np.ndarray, low: float, high: float) -> None:
        """
        Takes the next samples.

        Args:
            lead_mv (`np.ndarray` of shape `(samples,)`): Samples in mV, NaN where missing.
            low (`float`), high (`float`): The lead's extreme values so far, these samples included.
        """
        # Nothing before lay on an extreme value that is new.
        if low != self._low:
            self._low_runs.become(None)
            self._runs.become(self._high_runs)
        if high != self._high:
            self._high_runs.become(None)
            self._runs.become(self._low_runs)
        self._low, self._high = low, high
        self._samples += len(lead_mv)
        on_low = (lead_mv == low) & (np.abs(low) >= RAIL_MV)
        on_high = (lead_mv == high) & (np.abs(high) >= RAIL_MV)
        for runs, flags in ((self._low_runs, on_low), (self._high_runs, on_high), (self._runs, on_low | on_high)):
            runs.add(flags)

    @property
    def is_railed(self) -> bool:
        """Whether the lead so far is railed."""
        return self._samples > 0 and self._runs.total >= RAILED_SHARE * self._samples


def live_leads(present: np.ndarray, spans_mv: np.ndarray) -> np.ndarray:
    """Which leads are `present` and not flat, `(leads,)` bool."""
    return present & ~(spans_mv < FLAT_RANGE_MV)


def refuse_infinite(signal_mv: np.ndarray, low: np.ndarray, high: np.ndarray, lead_names: Sequence[str]) -> None:
    """Raises `ValueError` if an extreme value of a lead (NaN where it has none) is infinite."""
    if np.isinf(low).any() or np.isinf(high).any():
        lead = int(np.flatnonzero(np.isinf(signal_mv).any(axis=1))[0])
        raise ValueError(
            f"lead {lead_names[lead]} has infinite samples: expected finite numbers, or NaN where samples are missing."
        )


def judge_leads(
    present: np.ndarray, spans_mv: np.ndarray, railed: np.ndarray, deviations_mv: np.ndarray
) -> tuple[dict[int, str], tuple[str, ...]]:
    """
    Says which leads cannot be used, and what looks odd.

    Args:
        present (`np.ndarray` of shape `(leads,)`, bool): Which leads have any sample.
        spans_mv (`np.ndarray` of shape `(leads,)`, float32): Highest less lowest sample in mV.
        railed (`np.ndarray` of shape `(leads,)`, bool): From [`RailWatch`].
        deviations_mv (`np.ndarray` of shape `(leads,)`): 99th percentile of the absolute deviation from the lead's
            median in mV; 0 will do where the span is below 20 mV.

    Returns:
        `dict[int, str]`, `tuple[str, ...]`: lead index -> reason, and notes for people.

    Raises:
        `ValueError`: if the deviation exceeds 20 mV, which no ECG does, in more than half of the leads that are not
            flat.
    """
    unusable = {int(lead): "missing" for lead in np.flatnonzero(~present)}
    live = live_leads(present, spans_mv)
    for lead in np.flatnonzero(present):
        if not live[lead]:
            unusable[int(lead)] = "flat"
        elif railed[lead]:
            unusable[int(lead)] = "railed"
    beyond = live & (deviations_mv > MAX_PLAUSIBLE_DEVIATION_MV)
    if 2 * beyond.sum() > live.sum():
        _refuse_amplitude(float(np.median(deviations_mv[beyond])))
    unusable.update({int(lead): "saturated" for lead in np.flatnonzero(beyond)})
    return unusable, _range_notes(spans_mv[present], spans_mv[live])


def _refuse_amplitude(typical_mv: float) -> None:
    likely = "microvolts (unit='uV')" if typical_mv < 1e5 else "nanovolts (unit='nV') or unscaled integers"
    raise ValueError(
        f"the signal deviates by {typical_mv:.4g} mV from its median in a typical lead, and no ECG exceeds"
        f" {MAX_PLAUSIBLE_DEVIATION_MV:g} mV: these are probably {likely} or raw analog-to-digital counts. Pass the"
        " right `unit`, or divide counts by the gain first."
    )


def _range_notes(present_spans: np.ndarray, live_spans: np.ndarray) -> tuple[str, ...]:
    low, high = USUAL_LEAD_RANGE_MV
    if len(live_spans):
        span = float(np.median(live_spans))
        if low <= span <= high:
            return ()
        return (
            f"the median range of a lead is {span:.4g} mV, outside the usual {low:g}-{high:g} mV: check unit and gain",
        )
    if present_spans.any():
        return (
            f"no lead ranges over more than {float(present_spans.max()):.2g} mV: if these are volts, pass unit='V'",
        )
    return ()


__all__ = ["MAX_PLAUSIBLE_DEVIATION_MV", "RailWatch", "judge_leads", "live_leads", "refuse_infinite"]
