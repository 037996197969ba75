# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Noise to add to clean records, by kind and signal-to-noise ratio.

It is synthesised from the formulas below, which follow what is known of each kind's spectrum and course; it is not the
recorded noise of the MIT-BIH Noise Stress Test Database, so figures compare only with others made with this module.

- `baseline_wander`: 20 cosines of random phase between .05 and .5 Hz with amplitudes falling as 1 / frequency.
  Breathing moves all electrodes together, but not alike: half of the power is one course common to all leads, with a
  random sign for each, half is the lead's own.
- `powerline`: mains at 50 or 60 Hz with its 2nd, 3rd and 5th harmonic (amplitudes .1, .3 and .1) below the Nyquist
  frequency. One mains for all leads: frequency, which drifts by up to .1 Hz, and slow swell of the amplitude by a fifth
  are common; each lead has its own phase, since wires pick it up differently.
- `electrode_motion`: on average one slip every 2 s (at least one) of random size and sign, with time constants of 20
  to 100 ms for its rise and .2 to 1 s for its decay, and Gaussian noise of 1 to 10 Hz with a tenth of the power.
  Independent between leads: an electrode moves alone.
- `emg`: Gaussian noise from 20 Hz to 150 Hz, or to the Nyquist frequency if that is lower, whose strength swells
  between a third and three times its middle over seconds. Independent between leads: the muscle under each electrode.
"""

import numpy as np

from ..models.anyecg.signal_anyecg import check_sampling_rate

NOISE_KINDS = ("baseline_wander", "powerline", "electrode_motion", "emg")
MAINS_HZ = (50.0, 60.0)

_WANDER_HZ = (0.05, 0.5)
_WANDER_COSINES = 20
_HARMONICS = {1: 1.0, 2: 0.1, 3: 0.3, 5: 0.1}
_DRIFT_HZ, _SWELL = 0.1, 0.2
_SLIPS_PER_S = 0.5
_RISE_S, _DECAY_S = (0.02, 0.1), (0.2, 1.0)
_MOTION_HZ, _MOTION_POWER = (1.0, 10.0), 0.1
_EMG_HZ, _EMG_SWELL = (20.0, 150.0), 3.0
# Slow courses: how fast mains and muscle tension change.
_SLOW_HZ = 0.3
MIN_DURATION_S = 1.0


def add_noise(
    signal_mv: np.ndarray,
    sampling_rate: float,
    kind: str,
    snr_db: float,
    generator: np.random.Generator,
    *,
    mains_hz: float = 50.0,
) -> np.ndarray:
    """
    Adds noise of one kind at a signal-to-noise ratio that holds in every lead.

    The ratio is that of powers about the mean, each lead's own over that of the noise in it, over the whole record; so
    a small lead gets little noise. Since leads are scaled one by one, noisy limb leads no longer obey Einthoven's
    identities. A lead that is constant, a missing one of zeros for example, stays as it is.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): Clean, in mV (or any unit); at least 1 s, finite.
        sampling_rate (`float`): In Hz, above [`lowest_rate_hz`] of the kind.
        kind (`str`): One of `NOISE_KINDS`.
        snr_db (`float`): 10 log10 of signal power over noise power.
        generator (`np.random.Generator`): All chance comes from it: the same state gives the same noise.
        mains_hz (`float`, *optional*, defaults to 50.0): 50 or 60, for `powerline`.

    Returns:
        `np.ndarray` of shape `(leads, samples)`, float32: the noisy signal.

    Raises:
        `ValueError`: for another kind or mains frequency, a rate too low for the kind, another shape, a shorter record,
            missing samples, or an `snr_db` that is not finite.

    Example:

    ```python
    >>> noisy = add_noise(signal_mv, 500, "emg", snr_db=6, generator=np.random.default_rng(0))
    ```
    """
    sampling_rate, signal_mv = check_sampling_rate(sampling_rate), np.asarray(signal_mv, dtype=np.float64)
    _check(signal_mv, sampling_rate, kind, snr_db, mains_hz)
    leads, samples = signal_mv.shape
    if kind == "powerline":
        noise = _powerline(leads, samples, sampling_rate, generator, mains_hz)
    else:
        noise = _SOURCES[kind](leads, samples, sampling_rate, generator)
    noise -= noise.mean(axis=1, keepdims=True)
    powers = np.where(np.ptp(signal_mv, axis=1) > 0, signal_mv.var(axis=1), 0.0)
    gains = np.sqrt(powers / 10 ** (snr_db / 10) / noise.var(axis=1))
    return (signal_mv + gains[:, None] * noise).astype(np.float32)


def lowest_rate_hz(kind: str, mains_hz: float = 50.0) -> float:
    """Sampling rate in Hz above which a record can hold a kind of noise; `mains_hz` is for `powerline`."""
    # The mains drift: at twice 50 Hz there would be nothing to add.
    lowest = {"powerline": 2 * (mains_hz + _DRIFT_HZ), "emg": 50.0, "electrode_motion": 2 * _MOTION_HZ[1]}
    return lowest.get(kind, 0.0)


def _check(signal_mv: np.ndarray, sampling_rate: float, kind: str, snr_db: float, mains_hz: float) -> None:
    if kind not in NOISE_KINDS:
        raise ValueError(f"noise {kind!r} is unknown; choose one of {', '.join(NOISE_KINDS)}.")
    if mains_hz not in MAINS_HZ:
        raise ValueError(f"`mains_hz` must be 50 or 60, got {mains_hz!r}.")
    if not np.isfinite(snr_db):
        raise ValueError(f"`snr_db` must be finite, got {snr_db}.")
    lowest = lowest_rate_hz(kind, mains_hz)
    if sampling_rate <= lowest:
        raise ValueError(f"noise {kind!r} needs a sampling rate above {lowest:g} Hz, got {sampling_rate:g} Hz.")
    if signal_mv.ndim != 2 or len(signal_mv) == 0:
        raise ValueError(f"expected a signal (leads, samples), got shape {signal_mv.shape}.")
    if signal_mv.shape[1] < MIN_DURATION_S * sampling_rate:
        raise ValueError(
            f"at least {MIN_DURATION_S:g} s of signal are needed, got {signal_mv.shape[1]} samples at"
            f" {sampling_rate:g} Hz."
        )
    if not np.isfinite(signal_mv).all():
        missing = np.count_nonzero(~np.isfinite(signal_mv))
        raise ValueError(f"the signal has {missing} NaN or infinite samples: add noise to finite ones only.")


def _baseline_wander(leads: int, samples: int, sampling_rate: float, generator: np.random.Generator) -> np.ndarray:
    # Row 0 is the common course.
    courses = _unit_variance(_cosines(leads + 1, samples, sampling_rate, generator))
    return generator.choice([-1.0, 1.0], size=(leads, 1)) * courses[:1] + courses[1:]


def _cosines(rows: int, samples: int, sampling_rate: float, generator: np.random.Generator) -> np.ndarray:
    frequencies = generator.uniform(*_WANDER_HZ, size=(rows, _WANDER_COSINES))
    phases = generator.uniform(0, 2 * np.pi, size=(rows, _WANDER_COSINES))
    times_s = np.arange(samples) / sampling_rate
    total = np.zeros((rows, samples))
    for frequency, phase in zip(frequencies.T[..., None], phases.T[..., None], strict=True):
        total += np.cos(2 * np.pi * frequency * times_s + phase) / frequency
    return total


def _powerline(
    leads: int, samples: int, sampling_rate: float, generator: np.random.Generator, mains_hz: float
) -> np.ndarray:
    frequency = mains_hz + _DRIFT_HZ * _slow_course(1, samples, sampling_rate, generator)[0]
    swell = 1 + _SWELL * _slow_course(1, samples, sampling_rate, generator)[0]
    angle = 2 * np.pi * np.cumsum(frequency) / sampling_rate
    noise = np.zeros((leads, samples))
    for harmonic, amplitude in _HARMONICS.items():
        phases = generator.uniform(0, 2 * np.pi, size=(leads, 1))
        # Of the drifting frequency the highest must be sampled too.
        if harmonic * (mains_hz + _DRIFT_HZ) < sampling_rate / 2:
            noise += amplitude * np.cos(harmonic * angle + phases)
    return swell * noise


def _electrode_motion(leads: int, samples: int, sampling_rate: float, generator: np.random.Generator) -> np.ndarray:
    times_s = np.arange(samples) / sampling_rate
    slips = np.zeros((leads, samples))
    for lead in range(leads):
        for _ in range(max(1, generator.poisson(_SLIPS_PER_S * times_s[-1]))):
            since = times_s - generator.uniform(0, times_s[-1])
            rise, decay = generator.uniform(*_RISE_S), generator.uniform(*_DECAY_S)
            # Zero before the slip, then a steep rise and a slow fall.
            late = np.maximum(since, 0)
            slips[lead] += generator.normal() * (1 - np.exp(-late / rise)) * np.exp(-late / decay)
    rest = _unit_variance(_band_noise(leads, samples, sampling_rate, _MOTION_HZ, generator))
    return np.sqrt(1 - _MOTION_POWER) * _unit_variance(slips) + np.sqrt(_MOTION_POWER) * rest


def _emg(leads: int, samples: int, sampling_rate: float, generator: np.random.Generator) -> np.ndarray:
    band = (_EMG_HZ[0], min(_EMG_HZ[1], sampling_rate / 2))
    strength = _EMG_SWELL ** _slow_course(leads, samples, sampling_rate, generator)
    return strength * _band_noise(leads, samples, sampling_rate, band, generator)


def _band_noise(
    rows: int, samples: int, sampling_rate: float, band_hz: tuple[float, float], generator: np.random.Generator
) -> np.ndarray:
    """Gaussian noise whose spectrum is flat within a band and zero outside."""
    spectrum = np.fft.rfft(generator.normal(size=(rows, samples)), axis=1)
    frequencies = np.fft.rfftfreq(samples, 1 / sampling_rate)
    spectrum[:, (frequencies < band_hz[0]) | (frequencies > band_hz[1])] = 0
    return np.fft.irfft(spectrum, samples, axis=1)


def _slow_course(rows: int, samples: int, sampling_rate: float, generator: np.random.Generator) -> np.ndarray:
    """A course between -1 and 1 that changes over seconds: a cosine of random phase whose frequency is up to .3 Hz."""
    times_s = np.arange(samples) / sampling_rate
    frequencies = generator.uniform(_SLOW_HZ / 3, _SLOW_HZ, size=(rows, 1))
    return np.cos(2 * np.pi * frequencies * times_s + generator.uniform(0, 2 * np.pi, size=(rows, 1)))


def _unit_variance(noise: np.ndarray) -> np.ndarray:
    noise = noise - noise.mean(axis=1, keepdims=True)
    return noise / noise.std(axis=1, keepdims=True)


_SOURCES = {"baseline_wander": _baseline_wander, "electrode_motion": _electrode_motion, "emg": _emg}

__all__ = ["MAINS_HZ", "MIN_DURATION_S", "NOISE_KINDS", "add_noise", "lowest_rate_hz"]
