# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cleaning recordings of any length in bounded memory, and sliding windows over what comes out.

From a file in two passes: [`measure_statistics`], then [`clean_blocks`], which equals [`clean_record`] on the whole.
From a live stream in one: [`LiveCleaner`], which takes the statistics of the first minutes.
"""

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .cleaning_anyecg import CleaningSettings, clean_record, denoise, gap_patches, scaled_patches
from .inputs_anyecg import resolve_lead_names, unpack_record
from .signal_anyecg import check_sampling_rate
from .stream_blocks_anyecg import (
    Block,
    BlockGrid,
    ECGSource,
    SampleBuffer,
    Window,
    filter_block,
    filter_context_s,
    read_blocks,
)
from .stream_statistics_anyecg import RecordStatistics, measure_statistics


@dataclass(frozen=True, eq=False)
class CleanedBlock:
    """
    Consecutive patches of a record.

    Attributes:
        first_patch (`int`): Place of the first patch in the record.
        patches (`np.ndarray` of shape `(leads, patches, patch_size)`, float32): In units of `scale`, zero where masked.
        patch_mask (`np.ndarray` of shape `(leads, patches)`, bool): True where a patch is real and usable.
        scale (`float`): Recording scale in mV.
    """

    first_patch: int
    patches: np.ndarray
    patch_mask: np.ndarray
    scale: float


def clean_blocks(
    source: ECGSource, settings: CleaningSettings, statistics: RecordStatistics, block_s: float = 60.0
) -> Iterator[CleanedBlock]:
    """
    Cleans a record block by block: the patches of [`clean_record`] on the whole, in memory for a block or two.

    Args:
        source ([`ECGSource`]): The record.
        settings ([`CleaningSettings`]): The cleaning.
        statistics ([`RecordStatistics`]): From [`measure_statistics`] with the same settings.
        block_s (`float`, *optional*, defaults to 60.0): Seconds in a block; more where the rates need it. Some 25 s on
            either side are cleaned along for a high-pass of 0.1 Hz, so short blocks cost time.

    Yields:
        [`CleanedBlock`]: all patches of the record, in order.

    Raises:
        `ValueError`: for infinite samples, and if the statistics are those of another record.
    """
    if len(statistics.noise_level) != len(source.lead_names):
        raise ValueError(
            f"the statistics are of {len(statistics.noise_level)} leads, the record has {len(source.lead_names)}:"
            " measure them on the same record."
        )
    grid = BlockGrid(source.sampling_rate, settings, block_s)
    for block, window in read_blocks(source, grid, _usable(statistics)):
        yield _clean_block(block, window, grid, statistics)


def _usable(statistics: RecordStatistics) -> np.ndarray:
    usable = np.ones(len(statistics.noise_level), dtype=bool)
    usable[list(statistics.unusable)] = False
    return usable


def _clean_block(block: Block, window: Window, grid: BlockGrid, statistics: RecordStatistics) -> CleanedBlock:
    settings = grid.settings
    usable = _usable(statistics)
    filtered = filter_block(block, window, grid, statistics.line_mv, usable)
    signal, _ = denoise(filtered.signal, filtered.missing, settings, statistics.noise_level)
    patch_mask = usable[:, None] & ~gap_patches(filtered.missing[:, filtered.core], settings)
    patches = scaled_patches(signal[:, filtered.core], patch_mask, statistics.scale, settings)
    return CleanedBlock(block.first_patch, patches, patch_mask, statistics.scale)


class LiveCleaner(Iterator[CleanedBlock]):
    """
    Cleans a stream whose end is not known yet, in one pass and bounded memory.

    Scale, noise and unusable leads are those of the first `calibration_s` seconds, which come out once these are over;
    then every block follows as soon as its context has arrived, some 25 s later for a high-pass of 0.1 Hz. A gap longer
    than that holds its last value until it is over.

    Args:
        blocks (`Iterable[np.ndarray]`): Arrays `(leads, samples)` of any lengths, one after the other, in mV, NaN where
            missing.
        sampling_rate (`float`): Their rate in Hz.
        lead_names (`Sequence[str]`): One name a lead, for the messages.
        settings ([`CleaningSettings`]): The cleaning.
        calibration_s (`float`, *optional*, defaults to 300.0): Seconds to measure on; all there is if the stream ends
            before.
        block_s (`float`, *optional*, defaults to 10.0): Seconds in a block. Longer ones cost less time and come later.

    Attributes:
        statistics ([`RecordStatistics`] or `None`): What was measured, and in `basis_s` on how many seconds; `None`
            until the first block is out.

    Raises:
        `ValueError`: while iterating, as in [`clean_record`] on the first seconds, and for arrays of another shape.

    Example:

    ```python
    >>> import numpy as np
    >>> from anyecg_hf.models.anyecg.cleaning_anyecg import CleaningSettings
    >>> stream = (np.random.default_rng(second).normal(size=(1, 250)) for second in range(400))
    >>> live = LiveCleaner(stream, 250, ["II"], CleaningSettings())
    >>> sum(block.patches.shape[1] for block in live), live.statistics.basis_s
    (400, 300.0)
    ```
    """

    def __init__(
        self,
        blocks: Iterable[np.ndarray],
        sampling_rate: float,
        lead_names: Sequence[str],
        settings: CleaningSettings,
        calibration_s: float = 300.0,
        block_s: float = 10.0,
    ):
        self._grid = BlockGrid(sampling_rate, settings, block_s)
        patch_s = settings.patch_size / settings.sampling_rate
        if not patch_s <= calibration_s < math.inf:
            raise ValueError(f"`calibration_s` must be at least one patch ({patch_s:g} s), got {calibration_s}.")
        self._calibration_samples = round(calibration_s * self._grid.sampling_rate)
        self._lead_names = tuple(lead_names)
        self._buffer = SampleBuffer(self._lead_names)
        self._first_patch = 0
        self.statistics: RecordStatistics | None = None
        self._cleaned = self._clean(blocks)

    def __next__(self) -> CleanedBlock:
        return next(self._cleaned)

    def _clean(self, blocks: Iterable[np.ndarray]) -> Iterator[CleanedBlock]:
        for samples_mv in blocks:
            self._buffer.append(samples_mv)
            if self._buffer.stop >= self._calibration_samples:
                yield from self._ready_blocks()
        yield from self._ready_blocks(self._buffer.stop)

    def _ready_blocks(self, n_samples: int | None = None) -> Iterator[CleanedBlock]:
        """Blocks whose context is there; all that are left once the stream ended with `n_samples`."""
        if self.statistics is None:
            self.statistics = self._calibrate()
        while n_samples is None or self._first_patch < self._grid.patches(n_samples):
            block = self._grid.block(self._first_patch, n_samples)
            if block.stop > self._buffer.stop:
                return
            self._buffer.drop_before(block.start)
            yield _clean_block(block, self._buffer.window(block.stop), self._grid, self.statistics)
            self._first_patch += block.patches

    def _calibrate(self) -> RecordStatistics:
        samples = min(self._calibration_samples, self._buffer.stop)
        if not samples:
            raise ValueError("the stream ended before its first sample: expected at least half a patch.")
        basis_s = samples / self._grid.sampling_rate
        cleaned = clean_record(
            self._buffer.samples(0, samples), self._grid.sampling_rate, self._lead_names, self._grid.settings
        )
        return RecordStatistics(
            scale=cleaned.scale,
            noise_level=cleaned.noise_level,
            unusable=cleaned.unusable,
            interpolated_samples=cleaned.interpolated_samples,
            masked_patches=cleaned.masked_patches,
            steps=cleaned.steps,
            notes=(*cleaned.notes, f"scale, noise and unusable leads are those of the first {basis_s:.4g} s"),
            basis_s=basis_s,
        )


@dataclass(frozen=True, eq=False)
class ECGWindow:
    """
    A stretch of a record; [`AnyECGTokenizer.feature`] makes it model input as it does a [`CleanedECG`].

    Attributes:
        start_s (`float`), duration_s (`float`): Place in seconds on the record's clock.
        patches (`np.ndarray` of shape `(leads, patches, patch_size)`, float32): In units of `scale`, zero where masked.
        patch_mask (`np.ndarray` of shape `(leads, patches)`, bool): True where a patch is real and usable.
        scale (`float`): Recording scale in mV.
        lead_names (`tuple[str, ...]`): Vocabulary names.
    """

    start_s: float
    duration_s: float
    patches: np.ndarray
    patch_mask: np.ndarray
    scale: float
    lead_names: tuple[str, ...]


class ECGWindowStream(Iterator[ECGWindow]):
    """
    Windows of a recording as they are asked for. With the first one comes a warning if something was found wanting.

    Args:
        windows (`Iterator[ECGWindow]`): The windows.
        cleaner ([`LiveCleaner`] or [`RecordStatistics`]): What knows the statistics, now or later.

    Attributes:
        statistics ([`RecordStatistics`] or `None`): What the windows are cleaned by, with `notes` for people; of a live
            stream `None` until the first window is out.
    """

    def __init__(self, windows: Iterator[ECGWindow], cleaner: LiveCleaner | RecordStatistics):
        self._windows = windows
        self._cleaner = cleaner
        self._warned = False

    @property
    def statistics(self) -> RecordStatistics | None:
        live = isinstance(self._cleaner, LiveCleaner)
        return self._cleaner.statistics if live else self._cleaner

    def __next__(self) -> ECGWindow:
        window = next(self._windows)
        if not self._warned and self.statistics.notes:
            warnings.warn("; ".join(self.statistics.notes) + ".", UserWarning, stacklevel=2)
        self._warned = True
        return window


def stream_windows(
    source: ECGSource | Iterable[np.ndarray],
    settings: CleaningSettings,
    vocabulary: Sequence[str],
    window_s: float,
    stride_s: float | None = None,
    sampling_rate: float | None = None,
    lead_names: Sequence[str] | None = None,
    one_pass: bool = False,
) -> ECGWindowStream:
    """What [`AnyECGTokenizer.stream`] does; arguments as there, and the tokenizer's settings and lead vocabulary."""
    is_source = isinstance(source, ECGSource)
    if is_source:
        _, sampling_rate, lead_names, _ = unpack_record(source, sampling_rate, lead_names, "mV")
    elif hasattr(source, "signal_mv"):
        raise ValueError(
            "expected a record that is read piece by piece, got one in memory: pass `ArraySource.from_record(record)`."
        )
    elif isinstance(source, (str, os.PathLike, Mapping)) or not isinstance(source, Iterable):
        raise ValueError(
            "expected a record that is read piece by piece, as from `open_record(path)`, or arrays (leads, samples) one"
            f" after the other, got {type(source).__name__}."
        )
    rate = check_sampling_rate(sampling_rate)
    names = _stream_lead_names(lead_names, vocabulary)
    patch_s = settings.patch_size / settings.sampling_rate
    window, stride = (
        whole_patches(length_s, patch_s) for length_s in (window_s, window_s if stride_s is None else stride_s)
    )
    if is_source and not one_pass:
        cleaner = measure_statistics(source, settings)
        blocks = clean_blocks(source, settings, cleaner)
    else:
        arrays = _read_once(source) if is_source else source
        blocks = cleaner = LiveCleaner(arrays, rate, names, settings)
    return ECGWindowStream(cut_windows(blocks, window, stride, patch_s, names), cleaner)


def _read_once(source: ECGSource, block_s: float = 10.0) -> Iterator[np.ndarray]:
    step = max(1, round(block_s * source.sampling_rate))
    for start in range(0, source.n_samples, step):
        yield source.read(start, min(start + step, source.n_samples))


def _stream_lead_names(lead_names: Sequence[str] | str | None, vocabulary: Sequence[str]) -> tuple[str, ...]:
    if lead_names is None or len(lead_names) == 0:
        raise ValueError(
            "`lead_names` is missing: pass one name for each lead of the stream, for example"
            ' lead_names=["I", "II", "V1"].'
        )
    names = [lead_names] if isinstance(lead_names, str) else list(lead_names)
    return resolve_lead_names(names, (len(names), 0), vocabulary)


def whole_patches(seconds: float, patch_s: float) -> int:
    """Patches of `patch_s` in a time; raises `ValueError` if that is no whole number, or less than one."""
    patches = round(seconds / patch_s) if math.isfinite(seconds) else 0
    if patches < 1 or not math.isclose(patches * patch_s, seconds, rel_tol=1e-6):
        raise ValueError(
            f"windows and strides must be whole numbers of patches ({patch_s:g} s) and at least one, got {seconds:g} s."
        )
    return patches


def cut_windows(
    blocks: Iterable[CleanedBlock],
    window_patches: int,
    stride_patches: int,
    patch_s: float,
    lead_names: Sequence[str],
) -> Iterator[ECGWindow]:
    """
    Slides a window over the patches of a record, with no more of them in memory than a window and a block.

    Windows start at every whole multiple of the stride. The last one ends with the record and is shorter if need be;
    none lies altogether within the one before.

    Args:
        blocks (`Iterable[CleanedBlock]`): All patches, in order, from [`clean_blocks`] or [`LiveCleaner`].
        window_patches (`int`): Patches in a window.
        stride_patches (`int`): Patches from one start to the next; what lies between windows is left out if this is
            more than `window_patches`.
        patch_s (`float`): Duration of a patch in seconds.
        lead_names (`Sequence[str]`): Vocabulary names.

    Yields:
        [`ECGWindow`]

    Raises:
        `ValueError`: for a window or stride of less than one patch, and for blocks that do not follow each other.
    """
    if window_patches < 1 or stride_patches < 1:
        raise ValueError(
            f"`window_patches` and `stride_patches` must be at least 1, got {window_patches} and {stride_patches}."
        )
    kept: list[CleanedBlock] = []
    start = covered = stop = 0
    for block in blocks:
        if block.first_patch != stop:
            raise ValueError(f"expected the block that begins with patch {stop}, got patch {block.first_patch}.")
        stop += block.patches.shape[1]
        # A stride longer than a window skips blocks.
        if stop > start:
            kept.append(block)
        while stop >= start + window_patches:
            covered = start + window_patches
            yield _window(kept, start, covered, patch_s, lead_names)
            start += stride_patches
            kept = [block for block in kept if block.first_patch + block.patches.shape[1] > start]
    if stop > max(start, covered):
        yield _window(kept, start, stop, patch_s, lead_names)


def _window(kept: list[CleanedBlock], start: int, stop: int, patch_s: float, lead_names: Sequence[str]) -> ECGWindow:
    inside = slice(start - kept[0].first_patch, stop - kept[0].first_patch)
    return ECGWindow(
        start_s=start * patch_s,
        duration_s=(stop - start) * patch_s,
        patches=np.concatenate([block.patches for block in kept], axis=1)[:, inside],
        patch_mask=np.concatenate([block.patch_mask for block in kept], axis=1)[:, inside],
        scale=kept[0].scale,
        lead_names=tuple(lead_names),
    )


__all__ = [
    "CleanedBlock",
    "ECGSource",
    "ECGWindow",
    "ECGWindowStream",
    "LiveCleaner",
    "RecordStatistics",
    "clean_blocks",
    "cut_windows",
    "filter_context_s",
    "measure_statistics",
    "stream_windows",
    "whole_patches",
]
