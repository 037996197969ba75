# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The order of work that turns one record in millivolts into clean patches (paper, section on preprocessing)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .limits_anyecg import check_cleaning
from .requirements_anyecg import pywt
from .signal_anyecg import (
    assess_leads,
    count_patches,
    cut_patches,
    fill_gaps,
    filter_zero_phase,
    noise_band_level,
    noise_levels,
    remove_line,
    resample,
    resampled_length,
    soft_threshold_denoise,
    wavelet_coefficients,
    zero_phase_response,
)

MIN_SCALE_MV = 1e-3
MAX_MISSING_SHARE = 0.1


@dataclass(frozen=True)
class CleaningSettings:
    """
    Every step of the cleaning, with the paper's values as defaults.

    Attributes:
        sampling_rate (`int`): Rate of the patches in Hz.
        patch_size (`int`): Samples in a patch.
        bandpass_low_hz, bandpass_high_hz (`float` or `None`): Edges of the zero-phase band-pass; `None` leaves one out.
        filter_order (`int`): Order of the Butterworth edges, applied forward and backward.
        notch_hz (`float` or `None`): Powerline frequency (50 or 60), or `None`.
        notch_quality (`float`): Notch frequency over its bandwidth.
        denoise (`bool`): Whether wavelet soft-threshold denoising runs.
        denoise_wavelet (`str`), denoise_levels (`int`): Its wavelet and depth.
    """

    sampling_rate: int = 300
    patch_size: int = 300
    bandpass_low_hz: float | None = 0.1
    bandpass_high_hz: float | None = 75.0
    filter_order: int = 2
    notch_hz: float | None = 50.0
    notch_quality: float = 30.0
    denoise: bool = True
    denoise_wavelet: str = "db6"
    denoise_levels: int = 4

    def __post_init__(self) -> None:
        check_cleaning(self)
        low, high = self.bandpass_low_hz, self.bandpass_high_hz
        if low is not None and high is not None and low >= high:
            raise ValueError(f"`bandpass_low_hz` ({low}) must be below `bandpass_high_hz` ({high}).")
        if self.denoise and self.denoise_wavelet not in pywt.wavelist(kind="discrete"):
            raise ValueError(
                f"`denoise_wavelet` must be a discrete wavelet of PyWavelets, got {self.denoise_wavelet!r}."
            )
        if self.denoise and self.denoise_levels < noise_band_level(self.sampling_rate, high):
            raise ValueError(
                f"`denoise_levels` ({self.denoise_levels}) must reach the level that the noise is read from"
                f" ({noise_band_level(self.sampling_rate, high)})."
            )


@dataclass(frozen=True)
class CleanedECG:
    """
    One record, cleaned and cut.

    Attributes:
        patches (`np.ndarray` of shape `(leads, patches, patch_size)`, float32): In units of `scale`, zero where masked.
        patch_mask (`np.ndarray` of shape `(leads, patches)`, bool): True where a patch is real and usable.
        scale (`float`): Recording scale in mV.
        noise_level (`np.ndarray` of shape `(leads,)`, float32): Noise in mV, NaN where it was not estimated.
        lead_names (`tuple[str, ...]`): Vocabulary names.
        unusable (`dict[int, str]`): Lead index -> why the whole lead is masked.
        masked_patches (`int`): Patches of usable leads that are masked for missing samples.
        interpolated_samples (`int`): Missing samples of usable leads, at the record's own rate.
        steps (`tuple[str, ...]`): What was done, in order, for people.
        notes (`tuple[str, ...]`): What was found wanting: unusable leads, gaps, odd amplitudes, for people.
    """

    patches: np.ndarray
    patch_mask: np.ndarray
    scale: float
    noise_level: np.ndarray
    lead_names: tuple[str, ...]
    unusable: dict[int, str]
    masked_patches: int
    interpolated_samples: int
    steps: tuple[str, ...]
    notes: tuple[str, ...]


def clean_record(
    signal_mv: np.ndarray,
    sampling_rate: float,
    lead_names: tuple[str, ...],
    settings: CleaningSettings,
    scale: float | None = None,
    noise_level: np.ndarray | float | None = None,
) -> CleanedECG:
    """
    Resamples, filters, denoises, scales and cuts one record.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`, float32): Signal in mV, NaN where missing.
        sampling_rate (`float`): Its rate in Hz.
        lead_names (`tuple[str, ...]`): Vocabulary names.
        settings ([`CleaningSettings`]): The steps.
        scale (`float`, *optional*): Recording scale in mV, if the record is a window of a longer one.
        noise_level (`np.ndarray` of shape `(leads,)` or `float`, *optional*): Noise in mV, likewise.

    Returns:
        [`CleanedECG`]

    Raises:
        `ValueError`: for implausible amplitudes, infinite samples, records shorter than half a patch, and a scale or
            noise level that is no such number.
    """
    check_length(signal_mv.shape[1], sampling_rate, settings)
    _check_given(scale, noise_level, len(signal_mv))
    quality = assess_leads(signal_mv, sampling_rate, lead_names)
    usable = np.ones(len(signal_mv), dtype=bool)
    usable[list(quality.unusable)] = False

    signal = fill_gaps(signal_mv, quality.missing)
    if settings.bandpass_low_hz is not None:
        signal = remove_line(signal)
    signal = to_patch_rate(np.where(usable[:, None], signal, np.float32(0.0)), sampling_rate, settings)
    missing = resample_mask(quality.missing, sampling_rate, signal.shape[1], settings)
    signal, noise = denoise(signal, missing, settings, noise_level)

    patch_mask = usable[:, None] & ~gap_patches(missing, settings)
    samples = patch_mask.shape[1] * settings.patch_size
    signal = signal[:, :samples]
    real = np.repeat(patch_mask, settings.patch_size, axis=1)[:, : signal.shape[1]]
    if scale is None:
        scale = max(float(signal[real].std(dtype=np.float64)), MIN_SCALE_MV) if real.any() else MIN_SCALE_MV
    masked_patches = int(usable.sum() * patch_mask.shape[1] - patch_mask.sum())
    interpolated_samples = int(quality.missing[usable].sum())
    return CleanedECG(
        patches=scaled_patches(signal, patch_mask, scale, settings),
        patch_mask=patch_mask,
        scale=float(scale),
        noise_level=noise,
        lead_names=tuple(lead_names),
        unusable=quality.unusable,
        masked_patches=masked_patches,
        interpolated_samples=interpolated_samples,
        steps=cleaning_steps(sampling_rate, settings, scale),
        notes=(*quality.notes, *cleaning_notes(quality.unusable, lead_names, interpolated_samples, masked_patches)),
    )


def check_length(samples: int, sampling_rate: float, settings: CleaningSettings) -> None:
    """Raises `ValueError` if a record of `samples` at `sampling_rate` (Hz) has not even one patch."""
    if count_patches(resampled_length(samples, sampling_rate, settings.sampling_rate), settings.patch_size) < 1:
        minimum = settings.patch_size / settings.sampling_rate / 2
        raise ValueError(
            f"the record is too short: {samples} samples at {sampling_rate:g} Hz are {samples / sampling_rate:.3g} s,"
            f" and at least {minimum:g} s (half a patch) are needed."
        )


def _check_given(scale: float | None, noise_level: np.ndarray | float | None, leads: int) -> None:
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"`scale` must be a positive number of mV, got {scale}.")
    if noise_level is None:
        return
    if not (np.isfinite(noise_level) & (np.asarray(noise_level) >= 0)).all():
        raise ValueError(f"`noise_level` must be finite numbers of mV, at least 0, got {noise_level}.")
    if np.shape(noise_level) not in ((), (leads,)):
        raise ValueError(f"`noise_level` must be one number or one for each of {leads} leads, got {noise_level}.")


def cleaning_notes(
    unusable: dict[int, str], lead_names: Sequence[str], interpolated_samples: int, masked_patches: int
) -> list[str]:
    """What was found wanting beside odd amplitudes, for people."""
    notes = []
    if unusable:
        found = ", ".join(f"{lead_names[lead]} ({reason})" for lead, reason in sorted(unusable.items()))
        notes.append(f"unusable leads are masked: {found}")
    if interpolated_samples:
        notes.append(f"{interpolated_samples} missing samples are interpolated and {masked_patches} patches masked")
    return notes


def cleaning_steps(sampling_rate: float, settings: CleaningSettings, scale: float) -> tuple[str, ...]:
    """What is done to a record of `sampling_rate` (Hz), in order, for people."""
    low, high, notch = settings.bandpass_low_hz, settings.bandpass_high_hz, _notch_hz(sampling_rate, settings)
    steps = []
    if sampling_rate != settings.sampling_rate:
        steps.append(f"resampled {sampling_rate:g} -> {settings.sampling_rate} Hz")
    if low is not None or high is not None:
        steps.append(f"band-pass {low or 0:g}-{high or settings.sampling_rate / 2:g} Hz")
    if notch is not None:
        steps.append(f"notch {notch:g} Hz")
    if settings.denoise:
        steps.append(f"{settings.denoise_wavelet} denoising")
    return (*steps, f"scaled by {scale:.3g} mV")


def _notch_hz(sampling_rate: float, settings: CleaningSettings) -> float | None:
    # Above the input's own Nyquist frequency there is no powerline to remove.
    return settings.notch_hz if settings.notch_hz is not None and settings.notch_hz < sampling_rate / 2 else None


def to_patch_rate(signal: np.ndarray, sampling_rate: float, settings: CleaningSettings) -> np.ndarray:
    """Resamples a signal `(leads, samples)` of `sampling_rate` (Hz), free of gaps and lines, and filters it."""
    signal = resample(signal, sampling_rate, settings.sampling_rate)
    edges = (settings.bandpass_low_hz, settings.bandpass_high_hz, _notch_hz(sampling_rate, settings))
    if edges == (None, None, None):
        return signal
    response = zero_phase_response(
        signal.shape[1], settings.sampling_rate, *edges, settings.filter_order, settings.notch_quality
    )
    return filter_zero_phase(signal, response)


def denoise(
    signal: np.ndarray, missing: np.ndarray, settings: CleaningSettings, noise_level: np.ndarray | float | None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Denoises a filtered signal.

    Args:
        signal (`np.ndarray` of shape `(leads, samples)`): From [`to_patch_rate`].
        missing (`np.ndarray` of shape `(leads, samples)`, bool): From [`resample_mask`].
        settings ([`CleaningSettings`]): The steps.
        noise_level (`np.ndarray` of shape `(leads,)`, `float` or `None`): Noise in mV; estimated if `None`.

    Returns:
        `np.ndarray` of shape `(leads, samples)`, float32, and `np.ndarray` of shape `(leads,)`, float32: the signal and
        the noise in mV, NaN where the settings leave denoising out.
    """
    if not settings.denoise:
        return signal, np.full(len(signal), np.nan, dtype=np.float32)
    coefficients = wavelet_coefficients(signal, settings.denoise_wavelet, settings.denoise_levels)
    if noise_level is None:
        level = noise_band_level(settings.sampling_rate, settings.bandpass_high_hz)
        noise = noise_levels(coefficients, level, missing).astype(np.float32)
    else:
        noise = np.broadcast_to(np.asarray(noise_level, dtype=np.float32), len(signal)).copy()
    denoised = soft_threshold_denoise(
        coefficients, settings.denoise_wavelet, noise, settings.patch_size, signal.shape[1]
    )
    return denoised, noise


def resample_mask(
    missing: np.ndarray,
    sampling_rate: float,
    samples: int,
    settings: CleaningSettings,
    first_sample: int = 0,
    first_input: int = 0,
) -> np.ndarray:
    """
    Missing samples at the rate of the patches.

    Args:
        missing (`np.ndarray` of shape `(leads, input samples)`, bool): Missing samples at `sampling_rate`.
        sampling_rate (`float`): Rate of the record in Hz.
        samples (`int`): Wanted samples.
        settings ([`CleaningSettings`]): Tells the rate of the patches.
        first_sample (`int`, *optional*), first_input (`int`, *optional*): Place of the first wanted and of the first
            given sample in the record that this is a window of.

    Returns:
        `np.ndarray` of shape `(leads, samples)`, bool.
    """
    if not missing.any():
        return np.zeros((len(missing), samples), dtype=bool)
    times = np.arange(first_sample, first_sample + samples)
    sources = (times * (sampling_rate / settings.sampling_rate)).round().astype(np.int64) - first_input
    return missing[:, np.clip(sources, 0, missing.shape[1] - 1)]


def gap_patches(missing: np.ndarray, settings: CleaningSettings) -> np.ndarray:
    """Patches, `(leads, patches)`, of which more than a tenth of the samples were missing in the record."""
    samples, cut = missing.shape[1], cut_patches(missing, settings.patch_size)
    real_samples = np.minimum(settings.patch_size, samples - np.arange(cut.shape[1]) * settings.patch_size)
    return cut.sum(axis=2) > MAX_MISSING_SHARE * real_samples


def scaled_patches(signal: np.ndarray, patch_mask: np.ndarray, scale: float, settings: CleaningSettings) -> np.ndarray:
    """A clean signal `(leads, samples)` in mV -> patches `(leads, patches, patch_size)` in units of `scale` (mV)."""
    patches = cut_patches(signal * np.float32(1.0 / scale), settings.patch_size)
    patches[~patch_mask] = 0.0
    return patches


__all__ = [
    "MIN_SCALE_MV",
    "CleanedECG",
    "CleaningSettings",
    "check_length",
    "clean_record",
    "cleaning_notes",
    "cleaning_steps",
    "denoise",
    "gap_patches",
    "resample_mask",
    "scaled_patches",
    "to_patch_rate",
]
