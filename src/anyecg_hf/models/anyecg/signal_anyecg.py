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
import pywt
from scipy.fft import dct, idct

from .configuration_anyecg import LEAD_NAMES

MILLIVOLTS_PER_UNIT = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "µV": 1e-3, "μV": 1e-3, "nV": 1e-6}

MIN_SAMPLING_RATE_HZ = 50.0
MAX_SAMPLING_RATE_HZ = 50_000.0

# Amplitudes a surface ECG can have, in mV (DC offsets apart).
MAX_PLAUSIBLE_DEVIATION_MV = 20.0
USUAL_LEAD_RANGE_MV = (0.1, 10.0)
FLAT_RANGE_MV = 0.01

# A lead is railed if this share of it lies on its own extreme value in runs of at least this many seconds. Nearer to
# zero than this an extreme value may be the baseline of a noise-free lead.
RAILED_SHARE = 0.2
RAILED_RUN_S = 0.1
RAIL_MV = 1.0

# Spellings beyond the vocabulary's own; case, blanks, underscores and the prefixes of `_PREFIX` do not count.
_ALIASES = {
    "I": ("DI",),
    "II": ("DII",),
    "III": ("DIII",),
    **{f"V{number}": (f"C{number}",) for number in (1, 2, 3, 4, 5, 6, 7, 8, 9)},
    "VX": ("X", "Frank X"),
    "VY": ("Y", "Frank Y"),
    "VZ": ("Z", "Frank Z"),
    "MLII": ("ML2", "modified II"),
    "V3R": ("RV3",),
    "V4R": ("RV4",),
}
_PREFIX = re.compile(r"(?:MDCECGLEAD|ECGLEAD|ECG|LEAD):?(?=.)")


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
    present = ~missing.all(axis=1)
    if np.isinf(low[present]).any() or np.isinf(high[present]).any():
        lead = int(np.flatnonzero(np.isinf(signal_mv).any(axis=1))[0])
        raise ValueError(
            f"lead {lead_names[lead]} has infinite samples: expected finite numbers, or NaN where samples are missing."
        )

    unusable = {int(lead): "missing" for lead in np.flatnonzero(~present)}
    spans = high - low
    for lead in np.flatnonzero(present):
        if spans[lead] < FLAT_RANGE_MV:
            unusable[int(lead)] = "flat"
        elif _is_railed(signal_mv[lead], low[lead], high[lead], sampling_rate):
            unusable[int(lead)] = "railed"
    live = np.flatnonzero(present & ~(spans < FLAT_RANGE_MV))
    unusable.update(_saturated_leads(signal_mv, live, spans))
    return LeadQuality(unusable=unusable, missing=missing, notes=_range_notes(spans[present], spans[live]))


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


def _is_railed(lead_mv: np.ndarray, low: float, high: float, sampling_rate: float) -> bool:
    on_rail = (lead_mv == low) | (lead_mv == high)
    if np.count_nonzero(on_rail) < RAILED_SHARE * len(lead_mv):
        return False
    on_rail &= np.abs(lead_mv) >= RAIL_MV
    edges = np.flatnonzero(np.diff(np.concatenate(([False], on_rail, [False])).astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return runs[runs >= RAILED_RUN_S * sampling_rate].sum() >= RAILED_SHARE * len(lead_mv)


def _saturated_leads(signal_mv: np.ndarray, live: np.ndarray, spans: np.ndarray) -> dict[int, str]:
    """Leads whose deviation is beyond any ECG; an error if that is so for more than half of the `live` ones."""
    deviations = np.zeros(len(live))
    for position, lead in enumerate(live):
        if spans[lead] > MAX_PLAUSIBLE_DEVIATION_MV:  # a smaller range cannot hold a larger deviation
            samples = signal_mv[lead][~np.isnan(signal_mv[lead])]
            deviations[position] = np.percentile(np.abs(samples - np.median(samples)), 99)
    beyond = deviations > MAX_PLAUSIBLE_DEVIATION_MV
    if 2 * beyond.sum() > len(live):
        typical = float(np.median(deviations[beyond]))
        likely = "microvolts (unit='uV')" if typical < 1e5 else "nanovolts (unit='nV') or unscaled integers"
        raise ValueError(
            f"the signal deviates by {typical:.4g} mV from its median in a typical lead, and no ECG exceeds"
            f" {MAX_PLAUSIBLE_DEVIATION_MV:g} mV: these are probably {likely} or raw analog-to-digital counts. Pass the"
            " right `unit`, or divide counts by the gain first."
        )
    return {int(lead): "saturated" for lead in live[beyond]}


def fill_gaps(signal_mv: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Interpolates missing samples linearly within each lead (constant at the ends); all-missing leads become zero."""
    if not missing.any():
        return signal_mv
    filled = signal_mv.copy()
    times = np.arange(signal_mv.shape[1])
    for lead in np.flatnonzero(missing.any(axis=1)):
        known = ~missing[lead]
        filled[lead, ~known] = np.interp(times[~known], times[known], signal_mv[lead, known]) if known.any() else 0.0
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


def _resampling_ratio(sampling_rate: float, target_rate: float) -> Fraction:
    """Exact for rates in whole tenths of a hertz; within 1e-8 for others."""
    return (Fraction(target_rate) / Fraction(sampling_rate)).limit_denominator(10_000)


def resampled_length(samples: int, sampling_rate: float, target_rate: float) -> int:
    """Samples that [`resample`] returns for `samples` at `sampling_rate` (Hz)."""
    return round(samples * _resampling_ratio(sampling_rate, target_rate))


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
    ratio = _resampling_ratio(sampling_rate, target_rate)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return signal_mv
    # Late, here and below: with it comes scipy.stats, which takes longer to import than all the rest of the package.
    from scipy.signal import resample_poly

    window = _anti_aliasing_filter(up, down)
    # Mirrored ends, whole multiples of `down` so that they are whole numbers of output samples.
    blocks = math.ceil(len(window) / (2 * up) / down)
    extended = np.pad(signal_mv, ((0, 0), (blocks * down, blocks * down)), mode="symmetric")
    resampled = resample_poly(extended, up, down, axis=1, window=window)
    samples = resampled_length(signal_mv.shape[1], sampling_rate, target_rate)
    return np.ascontiguousarray(resampled[:, blocks * up : blocks * up + samples])


@lru_cache(maxsize=64)
def _anti_aliasing_filter(up: int, down: int) -> np.ndarray:
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
    gain = np.ones(samples)
    if low_hz:
        with np.errstate(divide="ignore"):
            gain /= 1 + (low_hz / frequencies) ** (2 * order)
    if high_hz:
        gain /= 1 + (frequencies / high_hz) ** (2 * order)
    if notch_hz:
        detuning = (notch_hz**2 - frequencies**2) ** 2
        gain *= detuning / (detuning + (frequencies * notch_hz / notch_quality) ** 2)
    return gain.astype(np.float32)


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
        real = ~_near(missing[lead], details.shape[1], 2**band_level)
        if real.any():
            levels[lead] = np.median(details[lead, real]) / 0.6745
    return levels


def _near(missing: np.ndarray, coefficients: int, stride: int) -> np.ndarray:
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
    "assess_leads",
    "canonical_lead_name",
    "check_sampling_rate",
    "count_patches",
    "cut_patches",
    "fill_gaps",
    "filter_zero_phase",
    "millivolts_per_unit",
    "noise_band_level",
    "noise_levels",
    "remove_line",
    "resample",
    "resampled_length",
    "soft_threshold_denoise",
    "wavelet_coefficients",
    "zero_phase_response",
]
