# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recordings of made-up patients: one patient's beats look alike, and no two recordings have the same ones."""

import numpy as np

from anyecg_hf.corpora.leakage.fingerprints import SignalSketch, signal_sketch

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
RATE_HZ = 500

# P, Q, R, S, T: seconds from the R peak, width in seconds, usual size in mV.
_WAVES = ((-0.16, 0.03, 0.1), (-0.03, 0.012, -0.1), (0.0, 0.014, 1.0), (0.035, 0.014, -0.3), (0.28, 0.06, 0.3))


def recording(
    patient: int,
    session: int = 0,
    seconds: float = 10.0,
    beats_a_minute: float | None = None,
    irregularity_s: float = 0.02,
    noise_mv: float = 0.01,
) -> np.ndarray:
    """
    A recording of twelve leads at 500 Hz, in steps of 1 uV.

    Args:
        patient (`int`): Whose: decides on the shape of the beats, and on the rate where none is given.
        session (`int`): Which of the patient's recordings: decides on when the beats come, and on wander and noise.
        seconds (`float`), beats_a_minute (`float`, *optional*): Length and rate.
        irregularity_s (`float`): Standard deviation of the time between beats.
        noise_mv (`float`): Standard deviation of the noise.

    Returns:
        `np.ndarray` of shape `(12, samples)`, float32, mV.
    """
    body, now = np.random.default_rng(patient), np.random.default_rng((patient, session))
    rate = body.uniform(50, 100) if beats_a_minute is None else beats_a_minute
    sizes = np.array([size for _, _, size in _WAVES]) * body.normal(0.8, 0.5, (8, len(_WAVES)))
    between_s = now.normal(60 / rate, irregularity_s, round(seconds * rate / 60) + 6)
    beats_s = np.cumsum(between_s) - 2 * now.uniform(1, 2) * 60 / rate
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    waves = np.zeros((len(_WAVES), len(times_s)))
    for beat_s in beats_s[(beats_s > -1) & (beats_s < seconds + 1)]:
        for wave, (delay_s, width_s, _) in enumerate(_WAVES):
            waves[wave] += now.normal(1, 0.05) * np.exp(-0.5 * ((times_s - beat_s - delay_s) / width_s) ** 2)
    i, ii, *chest = sizes @ waves + now.normal(0, noise_mv, (8, len(times_s)))
    wander = 0.1 * np.sin(2 * np.pi * (now.uniform(0.1, 0.4) * times_s + now.random()))
    limbs = [i, ii, ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2]
    return (np.rint(1000 * (np.stack([*limbs, *chest]) + wander)) / 1000).astype(np.float32)


def sketch(signal_mv: np.ndarray, leads=LEADS, rate_hz: float = RATE_HZ) -> SignalSketch:
    """The sketch of a recording that has one."""
    found = signal_sketch(signal_mv, leads, rate_hz)
    if found is None:
        raise ValueError("this recording has no sketch.")
    return found


def crowd(patients: int, first: int = 1000) -> list[SignalSketch]:
    """Sketches of recordings of other patients."""
    return [sketch(recording(first + patient)) for patient in range(patients)]
