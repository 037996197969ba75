# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Something like an ECG, with known disturbances."""

import numpy as np


def heartbeats(
    leads: int,
    seconds: float,
    sampling_rate: float,
    wander_mv: float = 0.0,
    powerline_mv: float = 0.0,
    noise_mv: float = 0.0,
) -> np.ndarray:
    """
    P, QRS and T waves of 0.1, 1 and 0.25 mV, 75 beats a minute, of another size and polarity in every lead.

    Args:
        leads (`int`), seconds (`float`), sampling_rate (`float`): Size of the record; the rate in Hz.
        wander_mv (`float`): Amplitude of a baseline wander of 0.3 Hz.
        powerline_mv (`float`): Amplitude of a 50 Hz hum.
        noise_mv (`float`): Standard deviation of white noise.

    Returns:
        `np.ndarray` of shape `(leads, samples)`, float32, mV.
    """
    times = np.arange(round(seconds * sampling_rate)) / sampling_rate
    phase = times % 0.8
    beat = sum(
        size * np.exp(-0.5 * ((phase - centre) / width) ** 2)
        for size, centre, width in ((0.1, 0.2, 0.025), (1.0, 0.36, 0.01), (0.25, 0.6, 0.04))
    )
    gains = np.where(np.arange(leads) % 3 == 2, -1.0, 1.0) / (1.0 + 0.1 * np.arange(leads))
    signal = gains[:, None] * beat
    signal += wander_mv * np.sin(2 * np.pi * 0.3 * times + 1.0)
    signal += powerline_mv * np.sin(2 * np.pi * 50.0 * times)
    signal += noise_mv * np.random.default_rng(0).normal(size=signal.shape)
    return signal.astype(np.float32)
