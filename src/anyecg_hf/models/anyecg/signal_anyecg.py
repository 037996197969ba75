# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pure functions on ECG arrays: units, lead names, gaps, resampling, filtering, denoising, patches.

Signals are float32 millivolts of shape `(leads, samples)`, time last.
"""

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from scipy.fft import dct, idct

from .configuration_anyecg import LEAD_NAMES
from .lead_quality_anyecg import MAX_PLAUSIBLE_DEVIATION_MV, RailWatch, judge_leads, live_leads, refuse_infinite
from .requirements_anyecg import pywt

MILLIVOLTS_PER_UNIT = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "µV": 1e-3, "μV": 1e-3, "nV": 1e-6}

MIN_SAMPLING_RATE_HZ = 50.0
MAX_SAMPLING_RATE_HZ = 50_000.0

# Spellings beyond the vocabulary's own; case, blanks, underscores and the prefixes of `_PREFIX` do not count.
_ALIASES = {
    # The limb leads also by their definition, as EDF files label them.
    "I": ("DI", "LA-RA"),
    "II": ("DII", "LL-RA"),
    "III": ("DIII", "LL-LA"),
    **{f"V{number}": (f"C{number}",) for number in (1, 2, 3, 4, 5, 6, 7, 8, 9)},
    "VX": ("X", "Frank X"),
    "VY": ("Y", "Frank Y"),
    "VZ": ("Z", "Frank Z"),
    "MLII": ("ML2", "modified II"),
    "V3R": ("RV3",),
    "V4R": ("RV4",),
}
_PREFIX = re.compile(r"(?:MDCECGLEAD|ECGLEAD|ECG|EKG|LEAD):?(?=.)")


def _comparable(name: str) -> str:
    """
    A name without what spellings differ by. Signs stay: `-aVR` is no aVR, and `I-II` is no lead III.
    """
    plain = name.upper().replace(" ", "").replace("_", "")
    return _PREFIX.sub("", plain, count=1) if _PREFIX.match(plain) else plain


@lru_cache(maxsize=16)
def _spellings(vocabulary: tuple[str, ...]) -> dict[str, str]:
    spellings = {
        _comparable(alias): name for name, aliases in _ALIASES.items() if name in vocabulary for alias in aliases
    }
    return {**spellings, **{_comparable(name): name for name in vocabulary}}


def canonical_lead_name(name: str, vocabulary: Sequence[str] = LEAD_NAMES) -> str | None:
    """
    Finds the vocabulary's spelling of a lead name.

    Args:
        name (`str`): A lead name in any usual spelling: `"avr"`, `"MDC_ECG_LEAD_I"`, `"DII"`, `"ECG V1"`.
        vocabulary (`Sequence[str]`, *optional*): Names to choose from; the package's by default.

    Returns:
        `str` or `None`: the name as in the vocabulary, `None` if it is not known there.
    """
    return _spellings(tuple(vocabulary)).get(_comparable(str(name)))


def millivolts_per_unit(unit: str) -> float:
    """Millivolts in one `unit` (`"V"`, `"mV"`, `"uV"` or `"nV"`, in any case). Raises `ValueError` for other units."""
    for known, factor in MILLIVOLTS_PER_UNIT.items():
        if str(unit).strip().lower() == known.lower():
            return factor
    raise ValueError(f"unknown unit {unit!r}: expected one of 'V', 'mV', 'uV', 'nV'.")


def check_sampling_rate(sampling_rate: float | None) -> float:
    """Returns the rate in Hz as a float; raises `ValueError` if it is missing or cannot be that of an ECG."""
    if sampling_rate is None:
        raise ValueError(
            "`sampling_rate` is missing: pass the rate of the signal in Hz, for example sampling_rate=500."
        )
    try:
        rate = float(sampling_rate)
    except (TypeError, ValueError):
        raise ValueError(f"`sampling_rate` must be one number of Hz, got {sampling_rate!r}.") from None
    if not MIN_SAMPLING_RATE_HZ <= rate <= MAX_SAMPLING_RATE_HZ:
        raise ValueError(
            f"`sampling_rate` must lie between {MIN_SAMPLING_RATE_HZ:g} and {MAX_SAMPLING_RATE_HZ:g} Hz, got {rate:g}."
            " It is the number of samples a second, not the interval between them or the duration."
        )
    return rate


@dataclass(frozen=True)
class LeadQuality:
    """
    What was found before cleaning.

    Attributes:
        unusable (`dict[int, str]`): lead index -> why it cannot be used.
        missing (`np.ndarray` of shape `(leads, samples)`, bool): samples that were NaN.
        notes (`tuple[str, ...]`): what looks odd but is no reason to refuse, for people.
    """

    unusable: dict[int, str]
    missing: np.ndarray
    notes: tuple[str, ...] = ()


def assess_leads(signal_mv: np.ndarray, sampling_rate: float, lead_names: list[str]) -> LeadQuality:
    """
    Finds missing samples and leads that are missing, flat, railed or saturated, and checks that the amplitudes can be
    millivolts.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): Signal in mV, NaN where missing.
        sampling_rate (`float`): Its rate in Hz.
        lead_names (`list[str]`): Names for the messages.

    Returns:
        [`LeadQuality`]

    Raises:
        `ValueError`: for infinite samples, and if the 99th percentile of the absolute deviation from the lead's own
            median exceeds 20 mV, which no ECG does, in more than half of the leads that are not flat.
    """
    missing = np.isnan(signal_mv)
    if missing.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN leads are dealt with below
            low, high = np.nanmin(signal_mv, axis=1), np.nanmax(signal_mv, axis=1)
    else:
        low, high = signal_mv.min(axis=1), signal_mv.max(axis=1)
    refuse_infinite(signal_mv, low, high, lead_names)
    present, spans = ~missing.all(axis=1), high - low
    railed, deviations_mv = np.zeros(len(signal_mv), dtype=bool), np.zeros(len(signal_mv))
    for lead in np.flatnonzero(live_leads(present, spans)):
        watch = RailWatch(sampling_rate)
        watch.add(signal_mv[lead], low[lead], high[lead])
        railed[lead] = watch.is_railed
        if spans[lead] > MAX_PLAUSIBLE_DEVIATION_MV:  # a smaller range cannot hold a larger deviation
            samples = signal_mv[lead][~missing[lead]]
            deviations_mv[lead] = np.percentile(np.abs(samples - np.median(samples)), 99)
    unusable, notes = judge_leads(present, spans, railed, deviations_mv)
    return LeadQuality(unusable=unusable, missing=missing, notes=notes)


def fill_gaps(signal_mv: np.ndarray, missing: np.ndarray, outside: np.ndarray | None = None) -> np.ndarray:
    """
    Interpolates missing samples linearly within each lead (constant at the ends); all-missing leads become zero.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): Signal in mV.
        missing (`np.ndarray` of shape `(leads, samples)`, bool): Which of its samples are missing.
        outside (`np.ndarray` of shape `(leads, 2, 2)`, *optional*): If this is a window, each lead's last sample before
            and first one after it: index from the window's start and mV, NaN where there is none.

    Returns:
        `np.ndarray` of shape `(leads, samples)`, in the input's dtype.
    """
    if not missing.any():
        return signal_mv
    filled = signal_mv.copy()
    times = np.arange(signal_mv.shape[1])
    for lead in np.flatnonzero(missing.any(axis=1)):
        known = ~missing[lead]
        at, values = times[known], signal_mv[lead, known]
        if outside is not None:
            before, after = (edge[:, ~np.isnan(edge[0])] for edge in outside[lead, :, :, None])
            at, values = np.concatenate((before[0], at, after[0])), np.concatenate((before[1], values, after[1]))
        filled[lead, ~known] = np.interp(times[~known], at, values) if len(at) else 0.0
    return filled


def remove_line(signal_mv: np.ndarray) -> np.ndarray:
    """
    Subtracts each lead's least-squares line.

    A zero-phase high-pass filter maps every straight line to zero, so this changes nothing but what the ends of a
    finite record would do to the filter.
    """
    samples = signal_mv.shape[1]
    centred = signal_mv - signal_mv.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    if samples == 1:
        return centred
    times = np.linspace(-1.0, 1.0, samples, dtype=np.float32)
    slopes = centred @ times / float(times @ times)
    return centred - slopes[:, None] * times


def resampling_ratio(sampling_rate: float, target_rate: float) -> Fraction:
    """Output samples for one input sample: exact for rates in whole tenths of a hertz, within 1e-8 for others."""
    return (Fraction(target_rate) / Fraction(sampling_rate)).limit_denominator(10_000)


def resampled_length(samples: int, sampling_rate: float, target_rate: float) -> int:
    """Samples that [`resample`] returns for `samples` at `sampling_rate` (Hz)."""
    return round(samples * resampling_ratio(sampling_rate, target_rate))


def resample(signal_mv: np.ndarray, sampling_rate: float, target_rate: float) -> np.ndarray:
    """
    Polyphase resampling with an anti-aliasing filter, on the exact ratio of the rates (257 and 360 Hz included).

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): Signal at `sampling_rate`.
        sampling_rate (`float`): Rate of the signal in Hz.
        target_rate (`float`): Wanted rate in Hz.

    Returns:
        `np.ndarray` of shape `(leads, round(samples * target_rate / sampling_rate))`, float32.
    """
    ratio = resampling_ratio(sampling_rate, target_rate)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return signal_mv
    # Late, here and below: with it comes scipy.stats, which takes longer to import than all the rest of the package.
    from scipy.signal import resample_poly

    window = anti_aliasing_filter(up, down)
    # Mirrored ends, whole multiples of `down` so that they are whole numbers of output samples.
    blocks = math.ceil(len(window) / (2 * up) / down)
    extended = np.pad(signal_mv, ((0, 0), (blocks * down, blocks * down)), mode="symmetric")
    resampled = resample_poly(extended, up, down, axis=1, window=window)
    samples = resampled_length(signal_mv.shape[1], sampling_rate, target_rate)
    return np.ascontiguousarray(resampled[:, blocks * up : blocks * up + samples])


@lru_cache(maxsize=64)
def anti_aliasing_filter(up: int, down: int) -> np.ndarray:
    """Taps of the low-pass filter of [`resample`], at `up` times the input's rate."""
    from scipy.signal import firwin

    half_length = 10 * max(up, down)
    return firwin(2 * half_length + 1, 1.0 / max(up, down), window=("kaiser", 5.0)).astype(np.float32)


@lru_cache(maxsize=4)  # as long as the record: a day of 24 h is 100 MB
def zero_phase_response(
    samples: int,
    sampling_rate: float,
    low_hz: float | None,
    high_hz: float | None,
    notch_hz: float | None,
    order: int,
    notch_quality: float,
) -> np.ndarray:
    """
    Gain of the whole filter at the frequencies of a DCT-II of `samples` points.

    Butterworth band-pass and notch as squared magnitudes, which is what filtering forward and backward gives.

    Returns:
        `np.ndarray` of shape `(samples,)`, float32.
    """
    frequencies = np.arange(samples) * (sampling_rate / (2 * samples))
    return zero_phase_gain(frequencies, low_hz, high_hz, notch_hz, order, notch_quality).astype(np.float32)


def zero_phase_gain(
    frequencies: np.ndarray,
    low_hz: float | None,
    high_hz: float | None,
    notch_hz: float | None,
    order: int,
    notch_quality: float,
) -> np.ndarray:
    """Gain of the whole filter at any `frequencies` in Hz, float64; arguments as in [`zero_phase_response`]."""
    gain = np.ones(len(frequencies))
    if low_hz:
        with np.errstate(divide="ignore"):
            gain /= 1 + (low_hz / frequencies) ** (2 * order)
    if high_hz:
        gain /= 1 + (frequencies / high_hz) ** (2 * order)
    if notch_hz:
        detuning = (notch_hz**2 - frequencies**2) ** 2
        gain *= detuning / (detuning + (frequencies * notch_hz / notch_quality) ** 2)
    return gain


def filter_zero_phase(signal_mv: np.ndarray, response: np.ndarray) -> np.ndarray:
    """
    Applies a zero-phase response to every lead.

    The cosine transform makes this the exact convolution with the filter's infinite impulse response on the record
    mirrored at both ends, over and over: no start-up transients, and padding as long as any filter's memory.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): Signal, its trend removed ([`remove_line`]).
        response (`np.ndarray` of shape `(samples,)`): From [`zero_phase_response`].

    Returns:
        `np.ndarray` of shape `(leads, samples)`, in the input's dtype.
    """
    return idct(dct(signal_mv, type=2, axis=1) * response, type=2, axis=1)


def noise_band_level(sampling_rate: float, high_hz: float | None) -> int:
    """Finest wavelet level whose band lies below `high_hz`: finer ones hold nothing after the low-pass filter."""
    if not high_hz:
        return 1
    return max(1, math.ceil(math.log2(sampling_rate / (2 * high_hz))) + 1)


def wavelet_coefficients(signal_mv: np.ndarray, wavelet: str, levels: int) -> list[np.ndarray]:
    """`[cA_n, cD_n, ..., cD_1]` of every lead, symmetric borders."""
    with warnings.catch_warnings():
        # Records of a second or two are shorter than the deepest filter; their coarse bands are border effects only.
        warnings.simplefilter("ignore", UserWarning)
        return pywt.wavedec(signal_mv, wavelet, mode="symmetric", level=levels, axis=1)


def noise_levels(coefficients: list[np.ndarray], band_level: int, missing: np.ndarray | None = None) -> np.ndarray:
    """
    Robust standard deviation (median absolute value / 0.6745) of the details at `band_level`.

    Args:
        coefficients (`list[np.ndarray]`): From [`wavelet_coefficients`].
        band_level (`int`): Level to read the noise from.
        missing (`np.ndarray` of shape `(leads, samples)`, bool, *optional*): Interpolated samples; coefficients near
            them hold no noise and do not count.

    Returns:
        `np.ndarray` of shape `(leads,)`: noise in mV.
    """
    details = np.abs(coefficients[-band_level])
    levels = np.median(details, axis=1) / 0.6745
    for lead in np.flatnonzero(missing.any(axis=1)) if missing is not None else ():
        real = ~near_missing(missing[lead], details.shape[1], 2**band_level)
        if real.any():
            levels[lead] = np.median(details[lead, real]) / 0.6745
    return levels


def near_missing(missing: np.ndarray, coefficients: int, stride: int) -> np.ndarray:
    """Which coefficients, one for every `stride` samples, lie within eight of them of a missing sample."""
    padded = np.pad(missing, (0, -len(missing) % stride)).reshape(-1, stride).any(axis=1)
    spread = np.convolve(padded, np.ones(17), mode="same") > 0
    # The borders add a few coefficients at the end.
    return np.pad(spread, (0, max(0, coefficients - len(spread))), mode="edge")[:coefficients]


def soft_threshold_denoise(
    coefficients: list[np.ndarray], wavelet: str, noise_level_mv: np.ndarray, threshold_samples: int, samples: int
) -> np.ndarray:
    """
    Shrinks all detail coefficients by the universal threshold and transforms back.

    Args:
        coefficients (`list[np.ndarray]`): From [`wavelet_coefficients`].
        wavelet (`str`): The same wavelet.
        noise_level_mv (`np.ndarray` of shape `(leads,)`): Noise of each lead in mV.
        threshold_samples (`int`): n of the threshold `sigma * sqrt(2 ln n)`. A patch, not the record, so that a window
            is cleaned like its record.
        samples (`int`): Samples to return.

    Returns:
        `np.ndarray` of shape `(leads, samples)`, float32.
    """
    threshold = (noise_level_mv * math.sqrt(2 * math.log(threshold_samples))).astype(np.float32)[:, None]
    shrunk = [detail - np.clip(detail, -threshold, threshold) for detail in coefficients[1:]]
    return pywt.waverec([coefficients[0], *shrunk], wavelet, mode="symmetric", axis=1)[:, :samples]


def count_patches(samples: int, patch_size: int) -> int:
    """Patches of a signal; a last partial one counts if at least half of it is signal."""
    return (samples + patch_size // 2) // patch_size


def cut_patches(signal: np.ndarray, patch_size: int) -> np.ndarray:
    """`(leads, samples)` -> `(leads, patches, patch_size)`; the last patch is zero-padded, or dropped if under half."""
    leads, samples = signal.shape
    wanted = count_patches(samples, patch_size) * patch_size
    if wanted > samples:
        signal = np.pad(signal, ((0, 0), (0, wanted - samples)))
    return np.ascontiguousarray(signal[:, :wanted]).reshape(leads, -1, patch_size)


__all__ = [
    "LeadQuality",
    "anti_aliasing_filter",
    "assess_leads",
    "canonical_lead_name",
    "check_sampling_rate",
    "count_patches",
    "cut_patches",
    "fill_gaps",
    "filter_zero_phase",
    "millivolts_per_unit",
    "near_missing",
    "noise_band_level",
    "noise_levels",
    "remove_line",
    "resample",
    "resampled_length",
    "resampling_ratio",
    "soft_threshold_denoise",
    "wavelet_coefficients",
    "zero_phase_gain",
    "zero_phase_response",
]
