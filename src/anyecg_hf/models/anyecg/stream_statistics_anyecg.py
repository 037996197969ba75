# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What is global to a record, measured block by block: unusable leads, straight line, noise, scale."""

import math
from dataclasses import dataclass

import numpy as np

from .cleaning_anyecg import (
    MIN_SCALE_MV,
    CleaningSettings,
    check_length,
    cleaning_notes,
    cleaning_steps,
    denoise,
    gap_patches,
)
from .lead_quality_anyecg import MAX_PLAUSIBLE_DEVIATION_MV, RailWatch, judge_leads
from .requirements_anyecg import pywt
from .signal_anyecg import near_missing, noise_band_level, soft_threshold_denoise, wavelet_coefficients
from .stream_blocks_anyecg import BlockGrid, ECGSource, FilteredBlock, Window, filter_block, read_blocks

# Relative error of the signal's energy beyond which it is measured anew, the noise being known.
MAX_UNCERTAINTY = 1e-6


@dataclass(frozen=True, eq=False)
class RecordStatistics:
    """
    What cleaning a block needs to know of the whole record.

    Attributes:
        scale (`float`): Recording scale in mV.
        noise_level (`np.ndarray` of shape `(leads,)`, float32): Noise in mV, NaN where the settings leave denoising
            out.
        unusable (`dict[int, str]`): Lead index -> why the whole lead is masked.
        interpolated_samples (`int`): Missing samples of usable leads, at the record's own rate.
        masked_patches (`int`): Patches of usable leads that are masked for missing samples.
        steps (`tuple[str, ...]`): What is done, in order, for people.
        notes (`tuple[str, ...]`): What was found wanting, for people.
        basis_s (`float`): Seconds of the record that all this was measured on, from its start.
        line_mv (`np.ndarray` of shape `(leads, 2)`, float64, *optional*): Least-squares line: mV at sample 0 and rise
            from sample to sample. `None` if the record's end is not known.
    """

    scale: float
    noise_level: np.ndarray
    unusable: dict[int, str]
    interpolated_samples: int
    masked_patches: int
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    basis_s: float
    line_mv: np.ndarray | None = None


def measure_statistics(source: ECGSource, settings: CleaningSettings, block_s: float = 60.0) -> RecordStatistics:
    """
    Measures what [`clean_record`] would find on the whole record, in memory for a block or two.

    The record is read twice: a first look finds its leads' quality and straight line, which cleaning begins with, a
    second one the noise and the scale of what is left; a third one the scale alone, where many gaps make it uncertain.
    A gap that is open at the end of a block is looked through for its end, so a lead that is missing altogether costs
    one more reading.

    Args:
        source ([`ECGSource`]): The record.
        settings ([`CleaningSettings`]): The cleaning.
        block_s (`float`, *optional*, defaults to 60.0): Seconds to read at once.

    Returns:
        [`RecordStatistics`]

    Raises:
        `ValueError`: as in [`clean_record`].
    """
    grid = BlockGrid(source.sampling_rate, settings, block_s)
    check_length(source.n_samples, grid.sampling_rate, settings)
    survey = LeadSurvey(len(source.lead_names), grid.sampling_rate)
    for _, window in read_blocks(source, grid):
        survey.add(window)
    unusable, notes = survey.judge()
    usable = np.ones(len(source.lead_names), dtype=bool)
    usable[list(unusable)] = False
    line_mv = survey.line_mv()
    measure = _measure(source, grid, line_mv, usable, None)
    noise = measure.noise_levels()
    if measure.uncertainty(usable, noise) > MAX_UNCERTAINTY:
        measure = _measure(source, grid, line_mv, usable, noise)
    scale = measure.scale(usable, noise)
    missing, masked = int(survey.missing[usable].sum()), int(measure.masked_patches[usable].sum())
    return RecordStatistics(
        scale=scale,
        noise_level=np.where(usable | np.isnan(noise), noise, np.float32(0.0)),
        unusable=unusable,
        interpolated_samples=missing,
        masked_patches=masked,
        steps=cleaning_steps(grid.sampling_rate, settings, scale),
        notes=(*notes, *cleaning_notes(unusable, source.lead_names, missing, masked)),
        basis_s=source.n_samples / grid.sampling_rate,
        line_mv=line_mv,
    )


def _measure(
    source: ECGSource, grid: BlockGrid, line_mv: np.ndarray, usable: np.ndarray, noise_level: np.ndarray | None
) -> "SignalMeasure":
    measure = SignalMeasure(len(usable), grid.settings, noise_level)
    for block, window in read_blocks(source, grid, usable):
        measure.add(filter_block(block, window, grid, line_mv, usable))
    return measure


@dataclass(frozen=True)
class LogBins:
    """
    Bins for positive float32 numbers, from `2**lowest` to `2**highest` and `2**bits` to a doubling: they are the
    leading bits of a number. The first and the last bin take what lies outside.
    """

    lowest: int
    highest: int
    bits: int

    @property
    def count(self) -> int:
        """How many there are."""
        return (self.highest - self.lowest) << self.bits

    @property
    def edges(self) -> np.ndarray:
        """`(count + 1,)`, float64, the first one 0."""
        leading = np.arange(self.count + 1, dtype=np.int32) + ((127 + self.lowest) << self.bits)
        edges = (leading << (23 - self.bits)).view(np.float32).astype(np.float64)
        edges[0] = 0.0
        return edges

    def find(self, magnitudes: np.ndarray) -> np.ndarray:
        """Bins of an array of float32 numbers that are at least 0."""
        leading = np.ascontiguousarray(magnitudes).view(np.int32) >> (23 - self.bits)
        return np.clip(leading - ((127 + self.lowest) << self.bits), 0, self.count - 1)


class LeadSurvey:
    """
    What the leads look like before cleaning, block by block.

    Args:
        leads (`int`): Number of leads.
        sampling_rate (`float`): Rate of the record in Hz.
    """

    _BINS = LogBins(-6, 33, 10)

    def __init__(self, leads: int, sampling_rate: float):
        self._samples = 0
        self._low, self._high = np.full((2, leads), np.nan, dtype=np.float32)
        self._rails = [RailWatch(sampling_rate) for _ in range(leads)]
        # Negative and other samples.
        self._histogram = np.zeros((leads, 2, self._BINS.count), dtype=np.int64)
        self._sum, self._moment = np.zeros((2, leads))
        self.missing = np.zeros(leads, dtype=np.int64)

    def add(self, window: Window) -> None:
        """Takes what is new in a window."""
        new = slice(self._samples - window.start, None)
        filled, missing = window.filled[:, new], window.missing[:, new]
        if not filled.shape[1]:
            return
        times = np.arange(self._samples, self._samples + filled.shape[1], dtype=np.float64)
        self._sum += filled.sum(axis=1, dtype=np.float64)
        self._moment += filled.astype(np.float64) @ times
        self._samples += filled.shape[1]
        self.missing += missing.sum(axis=1)
        for lead in range(len(filled)):
            self._add_lead(lead, filled[lead], missing[lead])

    def _add_lead(self, lead: int, filled: np.ndarray, missing: np.ndarray) -> None:
        known = filled[~missing]
        if len(known):
            self._low[lead] = np.fmin(self._low[lead], known.min())
            self._high[lead] = np.fmax(self._high[lead], known.max())
        for sign, samples in enumerate((-known[known < 0], known[known >= 0])):
            self._histogram[lead, sign] += np.bincount(self._BINS.find(samples), minlength=self._BINS.count)
        raw = np.where(missing, np.float32(np.nan), filled) if missing.any() else filled
        self._rails[lead].add(raw, self._low[lead], self._high[lead])

    def line_mv(self) -> np.ndarray:
        """Least-squares line of each lead: mV at sample 0 and rise from sample to sample, `(leads, 2)`."""
        count = self._samples
        middle = (count - 1) / 2
        slopes = (self._moment - middle * self._sum) / max(1, count * (count**2 - 1) / 12)
        return np.stack((self._sum / count - middle * slopes, slopes), axis=1)

    def judge(self) -> tuple[dict[int, str], tuple[str, ...]]:
        """What [`assess_leads`] would say of the whole record; raises `ValueError` as it does."""
        spans = self._high - self._low
        wide = spans > MAX_PLAUSIBLE_DEVIATION_MV
        deviations = np.array([self._deviation_mv(lead) if wide[lead] else 0.0 for lead in range(len(spans))])
        return judge_leads(~np.isnan(self._low), spans, np.array([rail.is_railed for rail in self._rails]), deviations)

    def _deviation_mv(self, lead: int) -> float:
        edges = self._BINS.edges
        centres = (edges[:-1] + edges[1:]) / 2
        values = np.concatenate((-centres[::-1], centres))
        counts = np.concatenate((self._histogram[lead, 0, ::-1], self._histogram[lead, 1]))
        deviations = np.abs(values - values[_bin_at(counts, 0.5)])
        order = np.argsort(deviations)
        return float(deviations[order[_bin_at(counts[order], 0.99)]])


def _bin_at(counts: np.ndarray, share: float) -> int:
    return int(np.searchsorted(np.cumsum(counts), share * (counts.sum() - 1), side="right"))


class SignalMeasure:
    """
    Noise level and energy of the denoised signal, block by block.

    The threshold of the denoising depends on the noise level of the whole record, which is known at the end only. So
    each block is denoised by its own noise level, and the energy that the threshold took is corrected afterwards: with
    orthogonal wavelets it is a sum over single coefficients, of which a histogram is kept.

    Args:
        leads (`int`): Number of leads.
        settings ([`CleaningSettings`]): The cleaning.
        noise_level (`np.ndarray` of shape `(leads,)`, *optional*): Noise in mV, if it is known already.
    """

    _NOISE_BINS = LogBins(-20, 12, 13)
    _DETAIL_BINS = LogBins(-20, 12, 6)

    def __init__(self, leads: int, settings: CleaningSettings, noise_level: np.ndarray | None = None):
        self._settings = settings
        self._noise_level = noise_level
        self._noise = np.zeros((leads, self._NOISE_BINS.count), dtype=np.int64)
        self._has_real_noise = np.zeros(leads, dtype=bool)
        # Count, sum and sum of squares of the details in each bin, and what they left of their energy in their block.
        self._details = np.zeros((leads, 3, self._DETAIL_BINS.count))
        self._left, self._energy, self._sum = np.zeros((3, leads))
        self._samples, self._gap_edges, self.masked_patches = np.zeros((3, leads), dtype=np.int64)

    def add(self, block: FilteredBlock) -> None:
        """Takes the next block."""
        settings, signal = self._settings, block.signal
        real_patches = ~gap_patches(block.missing[:, block.core], settings)
        if settings.denoise and self._noise_level is None:
            signal = self._denoised(block, real_patches)
        elif settings.denoise:
            signal, _ = denoise(signal, block.missing, settings, self._noise_level)
        core = signal[:, block.core].astype(np.float64)
        real = np.repeat(real_patches, settings.patch_size, axis=1)[:, : core.shape[1]]
        self._energy += np.sum(core**2, axis=1, where=real)
        self._sum += np.sum(core, axis=1, where=real)
        self._samples += real.sum(axis=1)
        self.masked_patches += (~real_patches).sum(axis=1)
        self._gap_edges += np.diff(real_patches, axis=1, prepend=True, append=True).sum(axis=1)

    def _denoised(self, block: FilteredBlock, real_patches: np.ndarray) -> np.ndarray:
        wavelet, patch_size = self._settings.denoise_wavelet, self._settings.patch_size
        coefficients = wavelet_coefficients(block.signal, wavelet, self._settings.denoise_levels)
        noise = self._add_noise(block, coefficients)
        self._add_details(block, coefficients, real_patches, noise)
        return soft_threshold_denoise(coefficients, wavelet, noise, patch_size, block.signal.shape[1])

    def _add_noise(self, block: FilteredBlock, coefficients: list[np.ndarray]) -> np.ndarray:
        """Counts the block's own coefficients of the noise band; returns the noise of the block, `(leads,)` in mV."""
        level = noise_band_level(self._settings.sampling_rate, self._settings.bandpass_high_hz)
        details = np.abs(coefficients[-level])
        own = slice(-(-block.core.start // 2**level), None if block.is_last else -(-block.core.stop // 2**level))
        noise = np.zeros(len(details), dtype=np.float32)
        for lead in range(len(details)):
            magnitudes = details[lead, own]
            real = ~near_missing(block.missing[lead], details.shape[1], 2**level)[own]
            # As in the whole record: those near gaps count only where there are no others.
            if real.any() and not self._has_real_noise[lead]:
                self._has_real_noise[lead] = True
                self._noise[lead] = 0
            if self._has_real_noise[lead]:
                magnitudes = magnitudes[real]
            np.add.at(self._noise[lead], self._NOISE_BINS.find(magnitudes), 1)
            noise[lead] = np.median(magnitudes) / 0.6745 if len(magnitudes) else 0.0
        return noise

    def _add_details(
        self, block: FilteredBlock, coefficients: list[np.ndarray], real_patches: np.ndarray, noise: np.ndarray
    ) -> None:
        filter_length = pywt.Wavelet(self._settings.denoise_wavelet).dec_len
        thresholds = noise * self._threshold_factor
        for level, details in enumerate(reversed(coefficients[1:]), start=1):
            step = 2**level
            # Coefficient `k` is read from samples around `step * k - lag`.
            lag = (step - 1) * (filter_length - 3) // 2
            own = np.arange(-(-(block.core.start + lag) // step), -(-(block.core.stop + lag) // step))
            own = own[own < details.shape[1]]
            counted = real_patches[:, (step * own - lag - block.core.start) // self._settings.patch_size]
            for lead in range(len(details)):
                magnitudes = np.abs(details[lead, own[counted[lead]]])
                bins, values = self._DETAIL_BINS.find(magnitudes), magnitudes.astype(np.float64)
                for power in range(3):
                    self._details[lead, power] += np.bincount(bins, values**power, minlength=self._DETAIL_BINS.count)
                self._left[lead] += (np.clip(values - thresholds[lead], 0, None) ** 2).sum()

    @property
    def _threshold_factor(self) -> float:
        return math.sqrt(2 * math.log(self._settings.patch_size))

    def noise_levels(self) -> np.ndarray:
        """Noise of the record, `(leads,)` float32 in mV; NaN where the settings leave denoising out."""
        if not self._settings.denoise:
            return np.full(len(self._noise), np.nan, dtype=np.float32)
        edges = self._NOISE_BINS.edges
        return np.array([_median(counts, edges) / 0.6745 for counts in self._noise], dtype=np.float32)

    def scale(self, usable: np.ndarray, noise_level: np.ndarray) -> float:
        """Standard deviation over the real samples of the `usable` leads, had their noise been `noise_level`, in mV."""
        samples = self._samples[usable].sum()
        if not samples:
            return MIN_SCALE_MV
        energy = self._energy + self._correction(noise_level)
        variance = energy[usable].sum() / samples - (self._sum[usable].sum() / samples) ** 2
        return max(math.sqrt(max(variance, 0.0)), MIN_SCALE_MV)

    def uncertainty(self, usable: np.ndarray, noise_level: np.ndarray) -> float:
        """What the correction for `noise_level` may be wrong by, as a share of the energy of the `usable` leads."""
        correction = np.abs(self._correction(noise_level)[usable])
        if not correction.any():
            return 0.0
        if not pywt.Wavelet(self._settings.denoise_wavelet).orthogonal:
            return math.inf
        # Over a stretch without gaps the sum is exact; at its ends it may be wrong by what is due to one patch.
        patches = self._samples[usable] / self._settings.patch_size
        return float((correction * self._gap_edges[usable] / np.maximum(patches, 1)).sum() / self._energy[usable].sum())

    def _correction(self, noise_level: np.ndarray) -> np.ndarray:
        """Energy that the threshold for `noise_level` leaves more than those of the blocks did, `(leads,)`."""
        if not self._settings.denoise or self._noise_level is not None:
            return np.zeros(len(self._energy))
        count, total, square = self._details.transpose(1, 0, 2)
        threshold = (noise_level * self._threshold_factor).astype(np.float64)[:, None]
        left = square - 2 * threshold * total + threshold**2 * count
        return np.sum(left, axis=1, where=total > threshold * count) - self._left


def _median(counts: np.ndarray, edges: np.ndarray) -> float:
    """Median of what was counted, spread evenly within its bins."""
    total, before = counts.sum(), np.cumsum(counts)
    if not total:
        return 0.0
    ranks = np.array([(total - 1) // 2, total // 2])
    bins = np.searchsorted(before, ranks, side="right")
    shares = (ranks - (before[bins] - counts[bins]) + 0.5) / counts[bins]
    return float(np.mean(edges[bins] + shares * (edges[bins + 1] - edges[bins])))


__all__ = ["LeadSurvey", "LogBins", "RecordStatistics", "SignalMeasure", "measure_statistics"]
