# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Simulated records to try the page with: no recording of a person is part of the package."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from anyecg_hf.records import ECGRecord

SAMPLING_RATE_HZ = 500


@dataclass(frozen=True)
class Wave:
    """One wave of a beat: its time after the R peak and its width in s, and the heart's dipole at its top in mV."""

    time_s: float
    width_s: float
    dipole_mv: tuple[float, float, float]


# x to the left, y downwards, z to the front.
BEAT = {
    "P": Wave(-0.17, 0.022, (0.07, 0.10, 0.02)),
    "Q": Wave(-0.026, 0.009, (-0.16, -0.05, 0.22)),
    "R": Wave(0.0, 0.011, (0.95, 0.80, -0.25)),
    "S": Wave(0.028, 0.011, (-0.22, -0.12, -0.50)),
    "T": Wave(0.27, 0.048, (0.20, 0.18, 0.17)),
}
# What each lead sees of the dipole. The limb leads lie in one plane, so that Einthoven's and Goldberger's laws hold.
_I, _II = np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.866, 0.0])
LEADS: dict[str, np.ndarray] = {
    **{"I": _I, "II": _II, "III": _II - _I},
    **{"aVR": -(_I + _II) / 2, "aVL": _I - _II / 2, "aVF": _II - _I / 2},
    "V1": np.array([-0.42, 0.0, 0.91]),
    "V2": np.array([-0.10, 0.0, 1.50]),
    "V3": np.array([0.45, 0.1, 1.40]),
    "V4": np.array([0.95, 0.2, 1.15]),
    "V5": np.array([1.15, 0.2, 0.50]),
    "V6": np.array([1.00, 0.2, 0.05]),
}


def simulated_record(
    record_id: str,
    duration_s: float,
    heart_rate: float,
    seed: int,
    irregular: bool = False,
    waves: Mapping[str, Wave] | None = None,
) -> ECGRecord:
    """
    Simulates twelve leads as views of one moving dipole. NeuroKit2 has a simulator too, but its leads are independent
    of each other: nothing could be restored of one from the others.

    Args:
        record_id (`str`): Its name.
        duration_s (`float`): Length in seconds.
        heart_rate (`float`): Beats a minute, on average.
        seed (`int`): The same seed gives the same record.
        irregular (`bool`, *optional*, defaults to `False`): Whether beats come at random times.
        waves (`Mapping[str, Wave]`, *optional*): What a beat is made of, `BEAT` by default.

    Returns:
        [`ECGRecord`]: twelve leads at 500 Hz with a little noise.
    """
    random = np.random.default_rng(seed)
    times_s = np.arange(round(duration_s * SAMPLING_RATE_HZ)) / SAMPLING_RATE_HZ
    dipole_mv = np.zeros((3, len(times_s)))
    beat_s = -60.0 / heart_rate * random.uniform(0.2, 0.8)
    while beat_s < duration_s + 1:
        breath = 1 + 0.03 * np.sin(2 * np.pi * 0.22 * beat_s)
        interval_s = 60 / heart_rate * (random.uniform(0.65, 1.4) if irregular else breath * random.normal(1, 0.008))
        for wave in (waves or BEAT).values():
            # Repolarisation is quicker where beats are; QRS is not.
            delay_s = wave.time_s * np.sqrt(60 / heart_rate) if wave.time_s > 0.1 else wave.time_s
            shape = np.exp(-((times_s - beat_s - delay_s) ** 2) / (2 * wave.width_s**2))
            dipole_mv += np.outer(wave.dipole_mv, shape) * (1 + 0.04 * (breath - 1) / 0.03)
        beat_s += interval_s
    signal_mv = np.stack(list(LEADS.values())) @ dipole_mv
    # Noise of the body, not of the leads: the laws of the limb leads hold for it too.
    signal_mv += np.stack(list(LEADS.values())) @ (0.006 * random.standard_normal(dipole_mv.shape))
    return ECGRecord(
        signal_mv=signal_mv.astype(np.float32),
        sampling_rate=SAMPLING_RATE_HZ,
        lead_names=tuple(LEADS),
        record_id=record_id,
        comments=("Simulated: no person's heart.",),
    )


def _regular() -> ECGRecord:
    return simulated_record("simulated, 70 a minute", 10, 70, 1)


def _irregular() -> ECGRecord:
    waves = {name: wave for name, wave in BEAT.items() if name != "P"}
    return simulated_record("simulated, irregular without P waves", 10, 95, 2, irregular=True, waves=waves)


def _loose_electrode() -> ECGRecord:
    record = simulated_record("simulated, V2 came off", 10, 62, 3)
    signal_mv = record.signal_mv.copy()
    signal_mv[record.lead_names.index("V2")] = 0.0
    return replace(record, signal_mv=signal_mv)


def _two_leads() -> ECGRecord:
    record = simulated_record("simulated, II and V1 with mains hum", 40, 54, 4)
    times_s = np.arange(record.n_samples) / SAMPLING_RATE_HZ
    hum_mv = 0.06 * np.sin(2 * np.pi * 50 * times_s) + 0.2 * np.sin(2 * np.pi * 0.2 * times_s)
    places = [record.lead_names.index(name) for name in ("II", "V1")]
    return replace(record, signal_mv=record.signal_mv[places] + hum_mv, lead_names=("II", "V1"))


# Name on the page -> what simulates it.
SAMPLES: dict[str, Callable[[], ECGRecord]] = {
    "12 leads, 70 a minute": _regular,
    "12 leads, irregular": _irregular,
    "12 leads, V2 came off": _loose_electrode,
    "2 leads, 40 s, mains hum": _two_leads,
}


@cache
def sample_record(name: str) -> ECGRecord:
    """
    A sample by its name, simulated once.

    Args:
        name (`str`): One of the names in `SAMPLES`.

    Returns:
        [`ECGRecord`]

    Raises:
        `ValueError`: if there is no such sample.
    """
    if name not in SAMPLES:
        raise ValueError(f"there is no sample {name!r}: choose one of {', '.join(SAMPLES)}.")
    return SAMPLES[name]()


__all__ = ["BEAT", "LEADS", "SAMPLES", "Wave", "sample_record", "simulated_record"]
