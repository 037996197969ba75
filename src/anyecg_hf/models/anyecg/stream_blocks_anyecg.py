# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A long record as blocks of patches, each read and filtered with as much around it as the filter remembers.

What comes out equals the same patches of the record filtered whole: blocks start where resampling and wavelet transform
of the whole record take the same steps, gaps are bridged between their true ends, and the straight line that is removed
is that of the whole record.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.fft import irfft, next_fast_len

from .cleaning_anyecg import CleaningSettings, resample_mask, to_patch_rate
from .lead_quality_anyecg import MAX_PLAUSIBLE_DEVIATION_MV, refuse_infinite
from .requirements_anyecg import pywt
from .signal_anyecg import (
    anti_aliasing_filter,
    check_sampling_rate,
    count_patches,
    fill_gaps,
    remove_line,
    resampled_length,
    resampling_ratio,
    zero_phase_gain,
)

# What the samples that a block does not see may change in it.
CONTEXT_ERROR_MV = 1e-3


@runtime_checkable
class ECGSource(Protocol):
    """
    A record that is read piece by piece.

    Attributes:
        sampling_rate (`float`): Its rate in Hz.
        lead_names (`Sequence[str]`): One name a lead.
        n_samples (`int`): Samples of every lead.
    """

    sampling_rate: float
    lead_names: Sequence[str]
    n_samples: int

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples `start` to `stop` of all leads, `(leads, stop - start)`, float32, mV, NaN where missing."""
        ...


@lru_cache(maxsize=16)
def filter_context_s(settings: CleaningSettings) -> float:
    """
    Time after which the filter has forgotten: farther samples, even if each deviates by 20 mV, change less than 1 uV.

    Args:
        settings ([`CleaningSettings`]): The filter.

    Returns:
        `float`: seconds on either side, some 25 s for a high-pass of 0.1 Hz.
    """
    edges = (settings.bandpass_low_hz, settings.bandpass_high_hz, settings.notch_hz)
    if edges == (None, None, None):
        return 0.0
    samples = 2 ** math.ceil(math.log2(32 * settings.sampling_rate))
    while True:
        frequencies = np.arange(samples // 2 + 1) * (settings.sampling_rate / samples)
        gain = zero_phase_gain(frequencies, *edges, settings.filter_order, settings.notch_quality)
        impulse_response = np.abs(irfft(gain, samples))[: samples // 2]
        # Both sides; `tails[n]` is the sum of everything farther than `n` samples.
        tails = 2 * np.append(np.cumsum(impulse_response[:0:-1])[::-1], 0.0)
        context = int(np.argmax(tails * MAX_PLAUSIBLE_DEVIATION_MV < CONTEXT_ERROR_MV))
        # The transform is periodic: half a period must hold far more than is remembered.
        if 4 * context < samples // 2:
            return context / settings.sampling_rate
        samples *= 2


@dataclass(frozen=True)
class Block:
    """
    Patches that are cleaned together, and what is read for them.

    Attributes:
        first_patch (`int`), patches (`int`): The patches.
        start (`int`), stop (`int`): Samples to read, at the record's own rate.
        first_sample (`int`): Place of `start` at the rate of the patches.
        is_last (`bool`): Whether no block follows.
    """

    first_patch: int
    patches: int
    start: int
    stop: int
    first_sample: int
    is_last: bool


class BlockGrid:
    """
    Where the blocks of a record lie.

    Args:
        sampling_rate (`float`): Rate of the record in Hz.
        settings ([`CleaningSettings`]): The cleaning.
        block_s (`float`): Least duration of a block in seconds; longer where the rates have no short common period.
    """

    def __init__(self, sampling_rate: float, settings: CleaningSettings, block_s: float):
        if not 0 < block_s < math.inf:
            raise ValueError(f"`block_s` must be a positive number of seconds, got {block_s}.")
        self.sampling_rate = check_sampling_rate(sampling_rate)
        self.settings = settings
        ratio = resampling_ratio(self.sampling_rate, settings.sampling_rate)
        self._up, self._down = ratio.numerator, ratio.denominator
        # Blocks start on a whole input sample that is an even output sample: the length of a record that ends between
        # two output samples is rounded to the even one, and must be so when counted from the start of a block.
        self._unit = math.lcm(self._up, 2)
        patches_in_unit = math.ceil(self._unit / settings.patch_size)
        self.block_patches = max(
            math.ceil(block_s * settings.sampling_rate / settings.patch_size - 1e-9), patches_in_unit
        )
        self.context = math.ceil(filter_context_s(settings) * settings.sampling_rate) + self._reach()
        span = self.block_patches * settings.patch_size + 2 * self.context + self._unit
        # Equal for all blocks, so that they share one filter response, and a length that the transform likes.
        self._units_read = next_fast_len(math.ceil(span / self._up), real=True)

    def _reach(self) -> int:
        """Samples, at the rate of the patches, that resampling and denoising look to either side."""
        reach = 0
        if self._up != self._down:
            reach += len(anti_aliasing_filter(self._up, self._down)) // (2 * self._down) + 1
        if self.settings.denoise:
            filter_length = pywt.Wavelet(self.settings.denoise_wavelet).dec_len
            # Once for the coefficients and once for the samples; eight coefficients for the gaps among them.
            reach += (2 * filter_length + 8) * 2**self.settings.denoise_levels
        return reach

    @property
    def block_samples(self) -> int:
        """Samples of a block at the record's own rate, without context."""
        return math.ceil(self.block_patches * self.settings.patch_size * self._down / self._up)

    def patches(self, n_samples: int) -> int:
        """Patches of a record of `n_samples`."""
        samples = resampled_length(n_samples, self.sampling_rate, self.settings.sampling_rate)
        return count_patches(samples, self.settings.patch_size)

    def block(self, first_patch: int, n_samples: int | None = None) -> Block:
        """The block that begins with `first_patch`; `n_samples` is the length of the record, `None` while unknown."""
        first_sample = max(0, first_patch * self.settings.patch_size - self.context) // self._unit * self._unit
        start = first_sample // self._up * self._down
        stop = start + self._units_read * self._down
        patches, is_last = self.block_patches, False
        if n_samples is not None:
            rest = self.patches(n_samples) - first_patch
            is_last = rest <= patches
            # The last block takes the end that is too short for a patch.
            stop, patches = n_samples if is_last else min(stop, n_samples), min(patches, rest)
        return Block(first_patch, patches, start, stop, first_sample, is_last)

    def blocks(self, n_samples: int) -> Iterator[Block]:
        """All blocks of a record of `n_samples`, in order."""
        for first_patch in range(0, self.patches(n_samples), self.block_patches):
            yield self.block(first_patch, n_samples)


@dataclass(frozen=True)
class Window:
    """
    Consecutive samples of a record at its own rate.

    Attributes:
        start (`int`): Place of the first sample in the record.
        filled (`np.ndarray` of shape `(leads, samples)`, float32): Samples in mV, gaps interpolated.
        missing (`np.ndarray` of shape `(leads, samples)`, bool): Which ones are interpolated.
    """

    start: int
    filled: np.ndarray
    missing: np.ndarray


class SampleBuffer:
    """
    The samples of a stream that are still needed; older ones are dropped.

    Args:
        lead_names (`Sequence[str]`): One name a lead, for the messages.
    """

    def __init__(self, lead_names: Sequence[str]):
        self._lead_names = list(lead_names)
        self._pieces: list[np.ndarray] = []
        self._start = self.stop = 0
        # Place and mV of each lead's last sample among those dropped.
        self._before = np.full((len(self._lead_names), 2), np.nan)

    def append(self, samples_mv: np.ndarray) -> None:
        """Takes the next samples, `(leads, samples)` in mV, NaN where missing."""
        if np.asarray(samples_mv).dtype.kind not in "fiu":
            raise ValueError(f"expected real numbers, got dtype {np.asarray(samples_mv).dtype}.")
        # A copy: what yields the samples may fill the same array again.
        samples_mv = np.array(samples_mv, dtype=np.float32)
        if samples_mv.ndim != 2 or len(samples_mv) != len(self._lead_names):
            raise ValueError(
                f"expected the samples after {self.stop} as (leads, samples) with {len(self._lead_names)} leads"
                f" {self._lead_names}, got shape {samples_mv.shape}."
            )
        if samples_mv.shape[1]:
            low, high = np.fmin.reduce(samples_mv, axis=1), np.fmax.reduce(samples_mv, axis=1)
            refuse_infinite(samples_mv, low, high, self._lead_names)
            self._pieces.append(samples_mv)
            self.stop += samples_mv.shape[1]

    def samples(self, start: int, stop: int) -> np.ndarray:
        """Samples `start` to `stop` of the stream as they came."""
        if len(self._pieces) > 1:
            self._pieces = [np.concatenate(self._pieces, axis=1)]
        return self._pieces[0][:, start - self._start : stop - self._start]

    def drop_before(self, start: int) -> None:
        """Forgets what lies before `start`."""
        dropped = self.samples(self._start, start)
        for lead in range(len(dropped)):
            known = np.flatnonzero(~np.isnan(dropped[lead]))
            if len(known):
                self._before[lead] = self._start + known[-1], dropped[lead, known[-1]]
        # A copy, or the dropped samples would stay in memory behind the view.
        self._pieces = [self.samples(start, self.stop).copy()]
        self._start = start

    def window(self, stop: int, after: np.ndarray | None = None) -> Window:
        """
        What is kept up to `stop`, with gaps interpolated.

        Args:
            stop (`int`): End of the window.
            after (`np.ndarray` of shape `(leads, 2)`, *optional*): Place and mV of each lead's first sample after the
                window, NaN where there is or was none; a gap that is open at the end then holds its last value.
        """
        raw = self.samples(self._start, stop)
        outside = np.stack((self._before, np.full_like(self._before, np.nan) if after is None else after), axis=1)
        outside[:, :, 0] -= self._start
        missing = np.isnan(raw)
        return Window(self._start, fill_gaps(raw, missing, outside), missing)


class WindowReader:
    """
    Reads windows one after the other, every sample once; a gap that runs over the end of a window costs a look ahead
    at where it ends.

    Args:
        source ([`ECGSource`]): The record.
        look_ahead (`int`): Samples to read at once when looking for the end of a gap.
        usable (`np.ndarray` of shape `(leads,)`, bool, *optional*): Leads to do this for; all by default.
    """

    def __init__(self, source: ECGSource, look_ahead: int, usable: np.ndarray | None = None):
        self._source = source
        self._look_ahead = look_ahead
        self._usable = np.ones(len(source.lead_names), dtype=bool) if usable is None else usable
        self._buffer = SampleBuffer(source.lead_names)
        # Place and mV of a sample behind a gap, until it has been passed; infinity if the lead has no more.
        self._after = np.full((len(source.lead_names), 2), np.nan)

    def window(self, start: int, stop: int) -> Window:
        """The window from `start` to `stop`, neither of them before that of the last call."""
        if stop > self._buffer.stop:
            self._buffer.append(self._read(self._buffer.stop, stop))
        self._buffer.drop_before(start)
        after = np.full_like(self._after, np.nan)
        open_gaps = np.flatnonzero(self._usable & np.isnan(self._buffer.samples(stop - 1, stop)[:, 0]))
        self._find_ends(open_gaps, stop)
        after[open_gaps] = self._after[open_gaps]
        after[np.isinf(after[:, 0])] = np.nan
        return self._buffer.window(stop, after)

    def _find_ends(self, leads: np.ndarray, position: int) -> None:
        leads = [lead for lead in leads if not self._after[lead, 0] >= position]
        self._after[leads] = np.inf
        while leads and position < self._source.n_samples:
            samples = self._read(position, min(position + self._look_ahead, self._source.n_samples))
            for lead in list(leads):
                known = np.flatnonzero(~np.isnan(samples[lead]))
                if len(known):
                    self._after[lead] = position + known[0], samples[lead, known[0]]
                    leads.remove(lead)
            position += samples.shape[1]

    def _read(self, start: int, stop: int) -> np.ndarray:
        samples = self._source.read(start, stop)
        expected = (len(self._source.lead_names), stop - start)
        if np.shape(samples) != expected:
            raise ValueError(
                f"source.read({start}, {stop}) returned shape {np.shape(samples)}, expected {expected} for (leads,"
                " samples)."
            )
        return samples


def read_blocks(source: ECGSource, grid: BlockGrid, usable: np.ndarray | None = None) -> Iterator[tuple[Block, Window]]:
    """All blocks of a record in order, each with its samples; gaps of leads that are not `usable` do not matter."""
    reader = WindowReader(source, grid.block_samples, usable)
    for block in grid.blocks(source.n_samples):
        yield block, reader.window(block.start, block.stop)


@dataclass(frozen=True)
class FilteredBlock:
    """
    A block at the rate of the patches, filtered, with context on both sides.

    Attributes:
        signal (`np.ndarray` of shape `(leads, samples)`, float32): Signal in mV.
        missing (`np.ndarray` of shape `(leads, samples)`, bool): Interpolated samples.
        first_sample (`int`): Place of the first sample in the record, a multiple of the wavelets' coarsest step.
        core (`slice`): Samples of the block's own patches.
        is_last (`bool`): Whether no block follows.
    """

    signal: np.ndarray
    missing: np.ndarray
    first_sample: int
    core: slice
    is_last: bool


def filter_block(
    block: Block, window: Window, grid: BlockGrid, line_mv: np.ndarray | None, usable: np.ndarray | None = None
) -> FilteredBlock:
    """
    Resamples and filters a block.

    Args:
        block ([`Block`]): The block.
        window ([`Window`]): Its samples.
        grid ([`BlockGrid`]): Where it comes from.
        line_mv (`np.ndarray` of shape `(leads, 2)` or `None`): The line of the whole record to remove: mV at sample 0
            and rise from sample to sample; `None` for the window's own.
        usable (`np.ndarray` of shape `(leads,)`, bool, *optional*): Other leads become zero.

    Returns:
        [`FilteredBlock`]
    """
    settings, signal = grid.settings, window.filled
    if settings.bandpass_low_hz is not None:
        signal = remove_line(signal) if line_mv is None else _without_line(window, line_mv)
    if usable is not None:
        signal = np.where(usable[:, None], signal, np.float32(0.0))
    signal = to_patch_rate(signal, grid.sampling_rate, settings)
    missing = resample_mask(
        window.missing, grid.sampling_rate, signal.shape[1], settings, block.first_sample, window.start
    )
    # The wavelet transform halves the rate again and again; it must keep the same samples as in the whole record.
    skipped = -block.first_sample % 2**settings.denoise_levels if settings.denoise else 0
    first_sample = block.first_sample + skipped
    core_start = block.first_patch * settings.patch_size - first_sample
    core = slice(core_start, min(core_start + block.patches * settings.patch_size, signal.shape[1] - skipped))
    return FilteredBlock(signal[:, skipped:], missing[:, skipped:], first_sample, core, block.is_last)


def _without_line(window: Window, line_mv: np.ndarray) -> np.ndarray:
    times = np.arange(window.start, window.start + window.filled.shape[1])
    return (window.filled - (line_mv[:, :1] + line_mv[:, 1:] * times)).astype(np.float32)


__all__ = [
    "Block",
    "BlockGrid",
    "ECGSource",
    "FilteredBlock",
    "SampleBuffer",
    "Window",
    "WindowReader",
    "filter_block",
    "filter_context_s",
    "read_blocks",
]
