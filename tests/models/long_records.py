# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records that are read piece by piece, easy and difficult ones."""

from collections.abc import Iterator

import numpy as np
from tests.models.ecg_signals import heartbeats

UNUSABLE = {3: "missing", 4: "flat", 5: "railed", 6: "saturated"}


class ArraySource:
    """A record in memory that is read like a file; `reads` keeps what was asked for."""

    def __init__(self, signal_mv: np.ndarray, sampling_rate: float):
        self.signal_mv = signal_mv.astype(np.float32)
        self.sampling_rate = sampling_rate
        self.lead_names = tuple(f"L{lead}" for lead in range(len(signal_mv)))
        self.n_samples = signal_mv.shape[1]
        self.reads: list[slice] = []

    def read(self, start: int, stop: int) -> np.ndarray:
        self.reads.append(slice(start, stop))
        return self.signal_mv[:, start:stop]


def drifting_record(sampling_rate: float, seconds: float = 150.0) -> np.ndarray:
    """Three noisy leads on a baseline that drifts by 10 mV, ever faster."""
    beats = heartbeats(3, seconds, sampling_rate, wander_mv=0.3, powerline_mv=0.1, noise_mv=0.03)
    return beats + np.linspace(0, np.sqrt(10), beats.shape[1], dtype=np.float32) ** 2


def difficult_record(sampling_rate: float, seconds: float = 200.0) -> np.ndarray:
    """
    Eight leads: 0 to 2 with many short gaps, and one longer than any filter's memory within, before and after them; the
    [`UNUSABLE`] ones; 7 with drift, a jump at the start and a spike. All are noisier towards the end.
    """
    random = np.random.default_rng(1)
    signal = heartbeats(8, seconds, sampling_rate, wander_mv=0.3, powerline_mv=0.1, noise_mv=0.03).astype(np.float64)
    samples = signal.shape[1]
    signal += random.normal(size=signal.shape) * 0.05 * (np.arange(samples) > 0.6 * samples)
    signal[7] += 0.01 * np.cumsum(random.normal(size=samples))
    signal[7, : round(5 * sampling_rate)] -= np.linspace(8, 0, round(5 * sampling_rate))
    signal[7, samples // 2] = 30.0
    for start in random.integers(samples, size=30):
        signal[random.integers(8), start : start + random.integers(sampling_rate)] = np.nan
    signal[0, round(60 * sampling_rate) : round(145 * sampling_rate)] = np.nan
    signal[1, : round(50 * sampling_rate)] = np.nan
    signal[2, round(150 * sampling_rate) :] = np.nan
    signal[3] = np.nan
    signal[4] = 0.25
    signal[5] = np.clip(3 * np.sin(6 * np.arange(samples) / sampling_rate), -1.5, 1.2)
    signal[6] *= 3000
    return signal.astype(np.float32)


def pieces(signal_mv: np.ndarray, lengths: list[int]) -> Iterator[np.ndarray]:
    """The record in pieces of these lengths, again and again until it ends."""
    start = turn = 0
    while start < signal_mv.shape[1]:
        yield signal_mv[:, start : start + lengths[turn % len(lengths)]]
        start, turn = start + lengths[turn % len(lengths)], turn + 1
