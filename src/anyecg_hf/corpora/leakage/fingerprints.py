# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of signals: an exact hash, and a compact sketch that copies of other rate, filter or length share."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from anyecg_hf.models.anyecg.signal_anyecg import (
    canonical_lead_name,
    fill_gaps,
    filter_zero_phase,
    resample,
    zero_phase_response,
)

SKETCH_RATE_HZ = 50.0
# What two records must have in common to be compared, with what filters spoil at the ends.
SHORTEST_SKETCH_S = 2.8

# What rates from 100 Hz, baseline removal and mild filters leave alone.
_BAND_HZ = (4.0, 18.0)
_FILTER_ORDER = 3
# III, aVR, aVL and aVF are sums and differences of I and II.
_DERIVED_LEADS = {"III", "aVR", "aVL", "aVF"}
# Level of a lead's usual peak. Twice that peak is the most that fits, so that no artefact outweighs the beats.
_USUAL_LEVEL = 90.0


@dataclass(frozen=True, eq=False)
class SignalSketch:
    """
    A signal at 50 Hz, reduced to 4-18 Hz and eight bits.

    Attributes:
        levels (`np.ndarray` of shape `(leads, samples)`, int8):
            Square roots of the samples, with their sign: fine steps for what is small beside the beats.
        lead_names (`tuple[str, ...]`): Names of the leads, each once.
        start_s (`float`): Time in the record of the first sample; above zero where padding was stripped.
    """

    levels: np.ndarray
    lead_names: tuple[str, ...]
    start_s: float

    @property
    def n_samples(self) -> int:
        """Samples of each lead."""
        return self.levels.shape[1]

    def samples(self, lead_names: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> np.ndarray:
        """
        Args:
            lead_names (`Sequence[str]`, *optional*): Which leads; all by default.
            start (`int`, *optional*, defaults to 0), stop (`int`, *optional*): Which samples; all by default.

        Returns:
            `np.ndarray` of shape `(leads, samples)`, float32: each lead in units of its usual peak.
        """
        leads = slice(None) if lead_names is None else [self.lead_names.index(name) for name in lead_names]
        roots = self.levels[leads, start:stop] / np.float32(_USUAL_LEVEL)
        return roots * np.abs(roots)


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """
    What a signal is recognised by.

    Attributes:
        exact (`str` or `None`): From [`signal_fingerprint`]; `None` if no lead ever changes.
        sketch ([`SignalSketch`] or `None`): From [`signal_sketch`]; `None` if there is too little signal for one.
    """

    exact: str | None
    sketch: SignalSketch | None


def fingerprint(signal_mv: np.ndarray, lead_names: Sequence[str], sampling_rate: float) -> Fingerprint:
    """
    Fingerprint of one record.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): Signal, NaN where missing; the gain does not matter.
        lead_names (`Sequence[str]`): Names of its leads.
        sampling_rate (`float`): Its rate in Hz.

    Returns:
        [`Fingerprint`]
    """
    return Fingerprint(signal_fingerprint(signal_mv, lead_names), signal_sketch(signal_mv, lead_names, sampling_rate))


def signal_fingerprint(signal_mv: np.ndarray, lead_names: Sequence[str]) -> str | None:
    """
    Hash of a signal that survives another gain, baseline, lead order or format.

    Copies of a record share the analog-to-digital steps between their samples, so the hash is over these steps, lead by
    lead in the order of their names. A step to or from a missing sample counts as none. The rate is no part of it: a
    copy may state a wrong one.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): Signal in mV, NaN where missing.
        lead_names (`Sequence[str]`): Names of its leads.

    Returns:
        `str` or `None`: hexadecimal digest; `None` if no lead ever changes, so that flat records are no copies of each
        other.
    """
    names = [_canonical(name) for name in lead_names]
    digest, is_flat = hashlib.sha256(), True
    for lead in np.argsort(names, kind="stable"):
        with np.errstate(invalid="ignore"):
            differences = np.diff(signal_mv[lead].astype(np.float64))
        differences = np.nan_to_num(differences, posinf=0.0, neginf=0.0)
        sizes = np.abs(differences)
        real = sizes[sizes > 1e-5]
        if real.size:
            is_flat = False
            digest.update(names[lead].encode())
            digest.update(np.rint(differences / _analog_to_digital_step(real)).astype(np.int32).tobytes())
    return None if is_flat else digest.hexdigest()


def _canonical(name: str) -> str:
    return canonical_lead_name(name) or name


def _analog_to_digital_step(sizes: np.ndarray) -> float:
    """The step that differences `sizes` (in mV, with the rounding of float32) are multiples of."""
    smallest = sizes[sizes < 1.1 * sizes.min()].mean()
    step, few = smallest, sizes[sizes < 4.5 * smallest]
    # Where samples were rescaled once (4.88 -> 5, 9.76 -> 10), the smallest difference is not the step.
    for parts in range(1, 9):
        multiples = few * parts / smallest
        if np.abs(multiples - np.rint(multiples)).max() < 0.2:
            step = smallest / parts
            break
    # Large differences are many steps and tell it more exactly; rounding them needs that.
    for most in (16, 64, 256, 1024):
        near = sizes[sizes < (most + 0.5) * step]
        multiples = np.rint(near / step)
        step = (near * multiples).sum() / (multiples * multiples).sum()
    return float(step)


def signal_sketch(signal_mv: np.ndarray, lead_names: Sequence[str], sampling_rate: float) -> SignalSketch | None:
    """
    Reduces a signal to what copies have in common: 50 Hz, 4-18 Hz, eight bits, without constant ends. Ten seconds of
    twelve leads take 4 kB.

    Leads that are silent for most of the time are left out, and the limb leads that follow from I and II.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): Signal, NaN where missing; the gain does not matter.
        lead_names (`Sequence[str]`): Names of its leads.
        sampling_rate (`float`): Its rate in Hz.

    Returns:
        [`SignalSketch`] or `None`: `None` if no lead changes for 2.8 s.
    """
    signal_mv = np.where(np.isfinite(signal_mv), signal_mv, np.float32(np.nan))
    changes = np.nan_to_num(np.diff(signal_mv, axis=1)) != 0
    changing = np.flatnonzero(changes.any(axis=0))
    if not len(changing) or changing[-1] + 2 - changing[0] < SHORTEST_SKETCH_S * sampling_rate:
        return None
    names = _distinct_names(lead_names)
    leads = np.flatnonzero(changes.any(axis=1))
    live = {names[lead] for lead in leads}
    if {"I", "II"} <= live:
        leads = [lead for lead in leads if names[lead] not in _DERIVED_LEADS]
    part = signal_mv[leads, changing[0] : changing[-1] + 2].astype(np.float32)
    filtered = _band(fill_gaps(part, np.isnan(part)), sampling_rate)
    peaks = _usual_peaks(filtered)
    kept = np.flatnonzero(peaks > 1e-4 * np.abs(filtered).max(axis=1))
    if not len(kept):
        return None
    in_peaks = filtered[kept] / peaks[kept, None]
    levels = np.sign(in_peaks) * np.sqrt(np.abs(in_peaks)) * _USUAL_LEVEL
    return SignalSketch(
        np.rint(np.clip(levels, -127, 127)).astype(np.int8),
        tuple(names[leads[lead]] for lead in kept),
        float(changing[0] / sampling_rate),
    )


def _distinct_names(lead_names: Sequence[str]) -> list[str]:
    """Vocabulary names; repeated ones (`unknown`) are numbered in their order."""
    names = [_canonical(name) for name in lead_names]
    times = [names[:lead].count(name) for lead, name in enumerate(names)]
    return [f"{name} {before + 1}" if before else name for name, before in zip(names, times, strict=True)]


def _band(signal_mv: np.ndarray, sampling_rate: float) -> np.ndarray:
    slow = resample(signal_mv, sampling_rate, SKETCH_RATE_HZ)
    slow = slow - slow.mean(axis=1, keepdims=True)
    response = zero_phase_response(slow.shape[1], SKETCH_RATE_HZ, *_BAND_HZ, None, _FILTER_ORDER, 1.0)
    return filter_zero_phase(slow, response)


def _usual_peaks(filtered: np.ndarray) -> np.ndarray:
    """Median over time of the largest deviation in the two seconds around, which hold a beat; `(leads,)`."""
    return np.median(maximum_filter1d(np.abs(filtered), round(2 * SKETCH_RATE_HZ), axis=1), axis=1)


__all__ = [
    "SHORTEST_SKETCH_S",
    "SKETCH_RATE_HZ",
    "Fingerprint",
    "SignalSketch",
    "fingerprint",
    "signal_fingerprint",
    "signal_sketch",
]
