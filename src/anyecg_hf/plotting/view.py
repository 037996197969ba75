# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a figure shows: the checked inputs, cut to the time window and centred for display."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

# A longer window would be metres of paper.
MAX_DURATION_S = 60.0


@dataclass(frozen=True)
class Traces:
    """
    Curves on a common time axis.

    Args:
        values_mv (`np.ndarray` of shape `(leads, samples)`, float32): Millivolts, NaN where nothing is drawn.
        sampling_rate (`float`): Rate in Hz.
        first_sample (`int`): Index in the record of the first sample held here.
    """

    values_mv: np.ndarray
    sampling_rate: float
    first_sample: int

    @property
    def times_s(self) -> np.ndarray:
        """Time in the record of every sample, in seconds, shape `(samples,)`."""
        return (self.first_sample + np.arange(self.values_mv.shape[1])) / self.sampling_rate

    def stretch(self, lead: int, start_s: float, end_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Times in seconds and values in mV of one lead between two times of the record (end excluded)."""
        first = max(0, sample_index(start_s, self.sampling_rate) - self.first_sample)
        last = max(first, sample_index(end_s, self.sampling_rate) - self.first_sample)
        return self.times_s[first:last], self.values_mv[lead, first:last]


@dataclass(frozen=True)
class ECGView:
    """
    Everything that the figure draws, checked.

    Args:
        record (`Traces`): The record in the window, each lead's median subtracted.
        lead_names (`tuple[str, ...]`): One name a lead.
        start_s (`float`): Start of the window in the record, in seconds.
        end_s (`float`): End of the window; never beyond the record.
        record_s (`float`): Length of the whole record in seconds.
        patch_seconds (`float`): Length of a patch in seconds.
        reconstruction (`Traces`, *optional*): The reconstruction in the window, each lead's median made that of the
            record where both have samples.
        codes (`np.ndarray` of shape `(leads, patches)`, *optional*): Codes of the whole record, -1 where masked.
        num_quantizers (`int`, *optional*, defaults to 1): Codebooks that the caller's codes had.
        unusable (`dict[int, str]`): Reason for every unusable lead, by index.
    """

    record: Traces
    lead_names: tuple[str, ...]
    start_s: float
    end_s: float
    record_s: float
    patch_seconds: float
    reconstruction: Traces | None = None
    codes: np.ndarray | None = None
    num_quantizers: int = 1
    unusable: dict[int, str] = field(default_factory=dict)

    @property
    def curves(self) -> list[Traces]:
        """The record and, where there is one, its reconstruction."""
        return [self.record] if self.reconstruction is None else [self.record, self.reconstruction]

    @property
    def usable_leads(self) -> list[int]:
        """Indices of the leads that are not marked unusable."""
        return [lead for lead in range(len(self.lead_names)) if lead not in self.unusable]


def sample_index(time_s: float, sampling_rate: float) -> int:
    """Index of the first sample at or after a time, forgiving rounding in `time_s * sampling_rate`."""
    return math.ceil(round(time_s * sampling_rate, 6))


def make_view(
    signal_mv: np.ndarray,
    sampling_rate: float,
    lead_names: Sequence[str],
    *,
    reconstruction_mv: np.ndarray | None,
    reconstruction_rate: float,
    codes: np.ndarray | None,
    patch_seconds: float,
    unusable: Mapping[int, str] | None,
    start_s: float,
    duration_s: float,
) -> ECGView:
    """
    Checks the arguments of `plot_ecg` and cuts them to the window.

    Raises:
        `ValueError`: If a shape, rate, time or lead index does not fit the record; the text says which and how.
        `TypeError`: If the codes are not integers.
    """
    lead_names = tuple(str(name) for name in lead_names)
    signal_mv = _checked_signal(signal_mv, lead_names, "signal_mv")
    sampling_rate = _checked_positive(sampling_rate, "sampling_rate", "Hz")
    patch_seconds = _checked_positive(patch_seconds, "patch_seconds", "seconds")
    record_s = signal_mv.shape[1] / sampling_rate
    start_s, end_s = _checked_window(start_s, duration_s, record_s)
    unusable = _checked_unusable(unusable, lead_names)
    codes, num_quantizers = _checked_codes(codes, lead_names)

    record = _cut(signal_mv, sampling_rate, start_s, end_s)
    if record.values_mv.shape[1] == 0:
        raise ValueError(
            f"No sample lies between `start_s` and its end, {start_s} to {end_s} s at {sampling_rate:g} Hz; choose an "
            "earlier `start_s` or a longer `duration_s`."
        )
    _centre(record)
    reconstruction = None
    if reconstruction_mv is not None:
        reconstruction_mv = _checked_signal(reconstruction_mv, lead_names, "reconstruction_mv")
        reconstruction_rate = _checked_positive(reconstruction_rate, "reconstruction_rate", "Hz")
        reconstruction = _cut(reconstruction_mv, reconstruction_rate, start_s, end_s)
        _blank_masked(reconstruction, codes, patch_seconds, unusable)
        _align(reconstruction, record)
    return ECGView(
        record=record,
        lead_names=lead_names,
        start_s=start_s,
        end_s=end_s,
        record_s=record_s,
        patch_seconds=patch_seconds,
        reconstruction=reconstruction,
        codes=codes,
        num_quantizers=num_quantizers,
        unusable=unusable,
    )


def _cut(values_mv: np.ndarray, sampling_rate: float, start_s: float, end_s: float) -> Traces:
    first, last = sample_index(start_s, sampling_rate), sample_index(end_s, sampling_rate)
    window = np.array(values_mv[:, first:last], dtype=np.float32)
    window[~np.isfinite(window)] = np.nan
    return Traces(window, sampling_rate, first)


def _centre(traces: Traces) -> None:
    for values in traces.values_mv:
        present = values[~np.isnan(values)]
        if present.size:
            values -= np.median(present)


def _align(reconstruction: Traces, record: Traces) -> None:
    # Medians over the same stretches: those over different ones would shift a reconstruction that has masked patches.
    nearest = np.round(reconstruction.times_s * record.sampling_rate).astype(np.int64) - record.first_sample
    nearest = np.clip(nearest, 0, record.values_mv.shape[1] - 1)
    for values, reference in zip(reconstruction.values_mv, record.values_mv, strict=True):
        common = ~np.isnan(values) & ~np.isnan(reference[nearest])
        present = common if common.any() else ~np.isnan(values)
        if present.any():
            values -= np.median(values[present])
        if common.any():
            values += np.median(reference[nearest][common])


def _blank_masked(
    reconstruction: Traces, codes: np.ndarray | None, patch_seconds: float, unusable: Mapping[int, str]
) -> None:
    # A decoder returns zeros where there is no code; drawn, they would pass for a flat reconstruction.
    reconstruction.values_mv[list(unusable)] = np.nan
    if codes is None or codes.shape[1] == 0:
        return
    patches = np.floor(np.round(reconstruction.times_s / patch_seconds, 6)).astype(np.int64)
    coded = patches < codes.shape[1]
    masked = codes[:, np.minimum(patches, codes.shape[1] - 1)] < 0
    reconstruction.values_mv[masked | ~coded] = np.nan


def _checked_signal(values_mv: np.ndarray, lead_names: tuple[str, ...], name: str) -> np.ndarray:
    values_mv = np.asarray(values_mv)
    if values_mv.ndim != 2:
        raise ValueError(f"`{name}` must have shape (leads, samples), got {values_mv.shape}.")
    leads, samples = values_mv.shape
    if leads != len(lead_names):
        hint = " It looks like (samples, leads): pass its transpose." if samples == len(lead_names) else ""
        raise ValueError(
            f"`{name}` has shape {values_mv.shape}, that is {leads} leads, but `lead_names` has {len(lead_names)} "
            f"names.{hint}"
        )
    if leads == 0 or samples == 0:
        raise ValueError(f"`{name}` is empty: shape {values_mv.shape}. There is nothing to draw.")
    return values_mv


def _checked_positive(value: float, name: str, unit: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be a positive number of {unit}, got {value}.")
    return float(value)


def _checked_window(start_s: float, duration_s: float, record_s: float) -> tuple[float, float]:
    duration_s = _checked_positive(duration_s, "duration_s", "seconds")
    if duration_s > MAX_DURATION_S:
        raise ValueError(
            f"`duration_s` is {duration_s:g} s; a figure holds at most {MAX_DURATION_S:g} s. "
            "Draw longer records piece by piece with `start_s`."
        )
    if not 0 <= start_s < record_s:
        raise ValueError(f"`start_s` must lie in the record, from 0 to below {record_s:g} s, got {start_s}.")
    return float(start_s), float(min(start_s + duration_s, record_s))


def _checked_unusable(unusable: Mapping[int, str] | None, lead_names: tuple[str, ...]) -> dict[int, str]:
    unusable = {int(lead): str(reason) for lead, reason in (unusable or {}).items()}
    outside = sorted(lead for lead in unusable if not 0 <= lead < len(lead_names))
    if outside:
        raise ValueError(f"`unusable` names the lead indices {outside}, but the record has {len(lead_names)} leads.")
    return unusable


def _checked_codes(codes: np.ndarray | None, lead_names: tuple[str, ...]) -> tuple[np.ndarray | None, int]:
    if codes is None:
        return None, 1
    codes = np.asarray(codes)
    if codes.ndim not in (2, 3) or codes.shape[0] != len(lead_names):
        raise ValueError(
            f"`codes` must have shape (leads, patches) or (leads, patches, quantizers) with {len(lead_names)} leads, "
            f"got {codes.shape}. For a batch, pass the codes of one record, `codes[i]`."
        )
    if not np.issubdtype(codes.dtype, np.integer):
        raise TypeError(f"`codes` must be integers, got {codes.dtype}.")
    if codes.ndim == 2:
        return codes, 1
    if codes.shape[2] == 0:
        raise ValueError(f"`codes` has no quantizers: shape {codes.shape}.")
    return codes[:, :, 0], codes.shape[2]
