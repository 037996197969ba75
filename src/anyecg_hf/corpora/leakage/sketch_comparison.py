# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Decides whether two sketches hold the same recording, at a given shift in time."""

from dataclasses import dataclass

import numpy as np

from .fingerprints import SKETCH_RATE_HZ, SignalSketch

# What copies must reach: in all, and where they have little in common, as a single lead for ten seconds.
LEAST_CORRELATION = 0.98
_LITTLE_LEAST_CORRELATION = 0.995
_LITTLE_LEAD_SECONDS = 40.0
# Of the difference among a record's own beats, how much copies may differ by: in all, and where they share few beats.
_MOST_DIFFERENCE = 0.5
_BRIEF_MOST_DIFFERENCE = 0.25
_BRIEF_S = 5.0

_SHORTEST_OVERLAP_S = 2.4
# What filters do at the ends of a record is no part of it.
_MARGIN_S = 0.2
# A longer overlap is judged by its middle.
_LONGEST_OVERLAP_S = 300.0
# The shift of a candidate is right to this.
_SLACK_S = 0.04
# Candidates that are less alike than this at whole samples are no copies at any fraction of one.
_HOPELESS = 0.6
_TAPER = 10

# Beats are looked for again in windows of this length, so many of them at most, anywhere but so near to themselves.
_WINDOW_S = 0.8
_MOST_WINDOWS = 16
_SHORTEST_BEAT_S = 0.25
_FINE = 4


@dataclass(frozen=True)
class Similarity:
    """
    How alike two records are.

    Attributes:
        correlation (`float`): Of the two, the median over the leads that both have.
        repetition (`float`): How well each record's own beats stand in for each other, as a correlation: what another
            recording of the same patient could reach. The higher one of the two records.
        shift_s (`float`): The second record begins so many seconds after the first (negative: before it).
        overlap_s (`float`): How many seconds both have.
        n_leads (`int`): How many leads both have.
    """

    correlation: float
    repetition: float
    shift_s: float
    overlap_s: float
    n_leads: int

    @property
    def is_copy(self) -> bool:
        """Whether they are much more alike than the beats of one record are to each other."""
        is_little = self.overlap_s * self.n_leads < _LITTLE_LEAD_SECONDS
        least = _LITTLE_LEAST_CORRELATION if is_little else LEAST_CORRELATION
        most = _BRIEF_MOST_DIFFERENCE if self.overlap_s < _BRIEF_S else _MOST_DIFFERENCE
        return self.correlation >= least and 1.0 - self.correlation <= most * (1.0 - self.repetition)


def compare_sketches(first: SignalSketch, second: SignalSketch, shift_s: float) -> Similarity | None:
    """
    Compares the part that two records share if the second begins `shift_s` after the first.

    Args:
        first ([`SignalSketch`]), second ([`SignalSketch`]): The records.
        shift_s (`float`): In seconds of the records, right to 40 ms.

    Returns:
        [`Similarity`] or `None`: `None` if they share no lead or less than 2.4 s, or their correlation is below 0.98.
    """
    names = [name for name in first.lead_names if name in second.lead_names]
    offset = round((shift_s + second.start_s - first.start_s) * SKETCH_RATE_HZ)
    start = max(0, offset)
    length = min(first.n_samples - start, second.n_samples - start + offset)
    margin = round(_MARGIN_S * SKETCH_RATE_HZ)
    inner = length - 2 * margin
    if not names or inner < _SHORTEST_OVERLAP_S * SKETCH_RATE_HZ:
        return None
    judged = min(inner, round(_LONGEST_OVERLAP_S * SKETCH_RATE_HZ))
    start += margin + (inner - judged) // 2
    one = first.samples(names, start, start + judged)
    other = second.samples(names, start - offset, start - offset + judged)
    live = one.any(axis=1) & other.any(axis=1)
    one, other = one[live], other[live]
    if not live.any() or _at_whole_samples(one, other) < _HOPELESS:
        return None
    correlation, lag = _best_alignment(one, other)
    if correlation < LEAST_CORRELATION:
        return None
    shared = [name for name, is_live in zip(names, live, strict=True) if is_live]
    return Similarity(
        correlation=correlation,
        repetition=max(_repetition(first, shared, start, judged), _repetition(second, shared, start - offset, judged)),
        shift_s=float((offset + lag) / SKETCH_RATE_HZ - second.start_s + first.start_s),
        overlap_s=length / SKETCH_RATE_HZ,
        n_leads=len(shared),
    )


def _at_whole_samples(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of all leads together at the best of three lags."""
    norm = np.sqrt((one * one).sum() * (other * other).sum())
    return max(float((one[:, 1:-1] * other[:, lag : lag + one.shape[1] - 2]).sum() / norm) for lag in range(3))


def _best_alignment(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Median correlation over leads at the best lag, and that lag in samples (positive: `other` begins later)."""
    n_samples = one.shape[1]
    taper = np.minimum(1.0, (np.minimum(np.arange(n_samples), np.arange(n_samples)[::-1]) + 1) / _TAPER)
    one, other = one * taper, other * taper
    size = 1 << (n_samples + 8).bit_length()
    cross = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    slack = _SLACK_S * SKETCH_RATE_HZ
    lags = np.linspace(-slack, slack, 81)
    turns = np.exp(2j * np.pi * np.outer(np.arange(cross.shape[1]) / size, lags))
    norms = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
    # Twice the real part stands for negative frequencies; the band ends below the highest, and the mean is zero.
    correlations = 2.0 * (cross @ turns).real / (size * norms[:, None])
    best = int(np.argmax(correlations.mean(axis=0)))
    return min(1.0, float(np.median(correlations[:, best]))), float(lags[best])


def _repetition(sketch: SignalSketch, lead_names: list[str], start: int, length: int) -> float:
    """
    Mean correlation of windows of a piece with what is most like them elsewhere in the record, weighted by energy.
    """
    reach = round(_LONGEST_OVERLAP_S * SKETCH_RATE_HZ) // 2
    first = max(0, start - reach)
    samples = sketch.samples(lead_names, first, start + length + reach).astype(np.float64)
    samples /= np.linalg.norm(samples, axis=1, keepdims=True)
    width, n_samples = round(_WINDOW_S * SKETCH_RATE_HZ), samples.shape[1]
    starts = np.arange(start - first, start - first + length - width + 1, width)
    starts = starts[np.unique(np.linspace(0, len(starts) - 1, _MOST_WINDOWS).astype(int))]
    size = 1 << (n_samples + width - 1).bit_length()
    spectrum = np.fft.rfft(samples, size)
    energy = np.concatenate(([0.0], np.cumsum((samples * samples).sum(axis=0))))
    # In quarters of a sample: beats do not keep to the grid.
    at = np.arange((n_samples - width) * _FINE + 1) / _FINE
    energies = energy[at.astype(int) + width] - energy[at.astype(int)]
    matched = total = 0.0
    for window in starts:
        cut = samples[:, window : window + width]
        cross = (spectrum * np.conj(np.fft.rfft(cut, size))).sum(axis=0)
        products = np.fft.irfft(cross, size * _FINE)[: len(at)] * _FINE
        own = float((cut * cut).sum())
        alike = products / np.sqrt(np.maximum(energies * own, 1e-12))
        alike[np.abs(at - window) < _SHORTEST_BEAT_S * SKETCH_RATE_HZ] = 0.0
        matched += own * min(1.0, float(alike.max()))
        total += own
    return matched / total if total else 1.0


__all__ = ["LEAST_CORRELATION", "Similarity", "compare_sketches"]
