# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import math
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.models.ecg_signals import heartbeats
from tests.models.long_records import UNUSABLE, ArraySource, difficult_record, drifting_record, pieces

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.models.anyecg.cleaning_anyecg import CleanedECG, CleaningSettings, clean_record
from anyecg_hf.models.anyecg.streaming_anyecg import (
    CleanedBlock,
    ECGWindow,
    LiveCleaner,
    clean_blocks,
    cut_windows,
    filter_context_s,
    measure_statistics,
)
from anyecg_hf.records import read_record

SETTINGS = CleaningSettings()
CONTEXT = math.ceil(filter_context_s(SETTINGS))  # in patches too: they last a second


def joined(blocks: list[CleanedBlock]) -> tuple[np.ndarray, np.ndarray]:
    """All patches and their mask; blocks must follow each other."""
    stops = np.cumsum([block.patches.shape[1] for block in blocks])
    assert [block.first_patch for block in blocks] == [0, *stops[:-1]]
    return tuple(np.concatenate([getattr(block, name) for block in blocks], 1) for name in ("patches", "patch_mask"))


def streamed(source: ArraySource, settings: CleaningSettings, block_s: float) -> list[CleanedBlock]:
    return list(clean_blocks(source, settings, measure_statistics(source, settings, block_s), block_s))


def whole(source: ArraySource, settings: CleaningSettings = SETTINGS, **kwargs) -> CleanedECG:
    return clean_record(source.signal_mv, source.sampling_rate, source.lead_names, settings, **kwargs)


# From a file, in two passes


@pytest.mark.parametrize(("sampling_rate", "block_s"), [(250, 20), (257, 60), (300, 97), (360, 60), (1000, 60)])
def test_a_difficult_record_comes_out_as_cleaned_whole_up_to_its_ends(sampling_rate: float, block_s: float):
    source = ArraySource(difficult_record(sampling_rate), sampling_rate)
    expected = whole(source)
    assert expected.unusable == UNUSABLE
    patches, mask = joined(streamed(source, SETTINGS, block_s))
    np.testing.assert_array_equal(mask, expected.patch_mask)
    assert patches.dtype == np.float32 and patches.flags.c_contiguous
    np.testing.assert_allclose(patches, expected.patches, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sampling_rate", [50.01, 100, 128, 360.01, 500, 1000 / 3])
def test_any_rate_comes_out_as_cleaned_whole_up_to_its_ends(sampling_rate: float):
    source = ArraySource(drifting_record(sampling_rate), sampling_rate)
    patches, mask = joined(streamed(source, SETTINGS, 20))
    assert mask.all()
    np.testing.assert_allclose(patches, whole(source).patches, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        CleaningSettings(denoise=False),
        CleaningSettings(denoise_wavelet="sym8", denoise_levels=6),
        CleaningSettings(bandpass_low_hz=0.5, notch_hz=None),
        CleaningSettings(bandpass_low_hz=None),
        CleaningSettings(sampling_rate=250, patch_size=125, notch_hz=60.0),
        CleaningSettings(bandpass_low_hz=None, bandpass_high_hz=None, notch_hz=None, denoise=False),
    ],
    ids=["no denoising", "sym8", "0.5 Hz", "no high-pass", "half a second", "nothing"],
)
def test_any_settings_come_out_as_cleaned_whole(settings: CleaningSettings):
    source = ArraySource(difficult_record(360), 360)
    expected = whole(source, settings)
    patches, mask = joined(streamed(source, settings, 20))
    np.testing.assert_array_equal(mask, expected.patch_mask)
    np.testing.assert_allclose(patches, expected.patches, rtol=0, atol=1e-4)


@pytest.mark.parametrize("samples", [126, 374, 6125, 15_124, 15_125, 20_126])
def test_the_last_partial_patch_is_that_of_the_whole(samples: int):
    source = ArraySource(heartbeats(2, 81, 250, wander_mv=0.3, noise_mv=0.02)[:, :samples], 250)
    expected = whole(source)
    patches, mask = joined(streamed(source, SETTINGS, 10))
    np.testing.assert_array_equal(mask, expected.patch_mask)
    np.testing.assert_allclose(patches, expected.patches, rtol=0, atol=2e-4)


def test_the_length_of_blocks_changes_nothing():
    source = ArraySource(difficult_record(360), 360)
    statistics = measure_statistics(source, SETTINGS)
    short, middle, long = (joined(list(clean_blocks(source, SETTINGS, statistics, block))) for block in (20, 60, 97))
    for patches, mask in (middle, long):
        np.testing.assert_array_equal(mask, short[1])
        np.testing.assert_allclose(patches, short[0], rtol=0, atol=3e-5)


@pytest.mark.parametrize("name", ["mitdb/100.hea", "mitdb/108.hea", "mitdb/207.hea", "ahadb/0201.hea"])
@pytest.mark.filterwarnings("ignore:.*leads read as 'unknown'")
def test_half_an_hour_of_a_real_record_comes_out_as_cleaned_whole(records_dir: Path, name: str):
    record = read_record(records_dir / name)
    source = ArraySource(record.signal_mv, record.sampling_rate)
    patches, mask = joined(streamed(source, SETTINGS, 60))
    expected = whole(source)
    np.testing.assert_array_equal(mask, expected.patch_mask)
    assert patches.shape[1] >= 1800
    np.testing.assert_allclose(patches, expected.patches, rtol=0, atol=1e-4)


def test_every_sample_is_read_once_and_a_block_at_a_time():
    source = ArraySource(drifting_record(100, seconds=600), 100)
    statistics = measure_statistics(source, SETTINGS, 20)
    source.reads.clear()
    assert len(list(clean_blocks(source, SETTINGS, statistics, 20))) == 30
    assert [read.start for read in source.reads] == [0, *(read.stop for read in source.reads[:-1])]
    assert source.reads[-1].stop == source.n_samples
    assert max(read.stop - read.start for read in source.reads) <= (20 + 2 * 25 + 3) * 100


def test_statistics_of_another_record_are_refused():
    three, two = ArraySource(drifting_record(100), 100), ArraySource(drifting_record(100)[:2], 100)
    with pytest.raises(ValueError, match="the statistics are of 3 leads, the record has 2: measure them on the same"):
        next(clean_blocks(two, SETTINGS, measure_statistics(three, SETTINGS)))


# From a stream, in one pass


def test_a_stream_is_cleaned_by_the_statistics_of_its_first_minutes():
    source = ArraySource(difficult_record(250), 250)
    live = LiveCleaner(pieces(source.signal_mv, [1, 700, 0, 33]), 250, source.lead_names, SETTINGS, calibration_s=80.0)
    assert live.statistics is None
    patches, mask = joined(list(live))
    first = clean_record(source.signal_mv[:, : 80 * 250], 250, source.lead_names, SETTINGS)
    assert live.statistics.basis_s == 80
    assert live.statistics.unusable == first.unusable == UNUSABLE
    assert live.statistics.scale == first.scale
    assert live.statistics.notes == (*first.notes, "scale, noise and unusable leads are those of the first 80 s")

    expected = whole(source, scale=first.scale, noise_level=first.noise_level)
    np.testing.assert_array_equal(mask, expected.patch_mask)
    inside = slice(CONTEXT, -CONTEXT)
    np.testing.assert_allclose(patches[1:, inside], expected.patches[1:, inside], rtol=0, atol=1e-3)
    # Lead 0 has a gap from 60 to 145 s whose end is out of sight at first.
    np.testing.assert_allclose(patches[0, 146:-CONTEXT], expected.patches[0, 146:-CONTEXT], rtol=0, atol=1e-3)


def test_a_stream_that_ends_early_is_measured_on_all_there_is():
    record = heartbeats(2, 41.7, 100, wander_mv=0.3, noise_mv=0.02)
    live = LiveCleaner(pieces(record, [1]), 100, ["I", "II"], SETTINGS)
    patches, mask = joined(list(live))
    expected = clean_record(record, 100, ("I", "II"), SETTINGS)
    assert live.statistics.basis_s == pytest.approx(41.7)
    assert mask.all() and patches.shape == (2, 42, 300)
    np.testing.assert_allclose(patches, expected.patches, rtol=0, atol=1e-3)


def test_a_block_comes_as_soon_as_its_context_is_there():
    taken = []

    def stream() -> Iterator[np.ndarray]:
        for second in range(200):
            taken.append(second)
            yield record[:, second * 100 : (second + 1) * 100]

    record = heartbeats(1, 200, 100, noise_mv=0.02)
    live = LiveCleaner(stream(), 100, ["II"], SETTINGS, calibration_s=90.0, block_s=5.0)
    delays = [len(taken) - (block.first_patch + block.patches.shape[1]) for block in live]
    assert delays[0] == 85 and len(taken) == 200
    assert all(CONTEXT < delay <= CONTEXT + 7 for delay in delays[13:-6])


def test_memory_of_a_stream_is_bounded():
    record = heartbeats(1, 100, 100, noise_mv=0.02)
    live = LiveCleaner((record for _ in range(20)), 100, ["II"], SETTINGS, calibration_s=50.0)
    kept = [sum(piece.shape[1] for piece in live._buffer._pieces) for _ in live]
    assert len(kept) == 200 and max(kept) <= (100 + 10 + 2 * 25 + 10) * 100


def test_a_stream_may_fill_the_same_array_again_and_again():
    beats = heartbeats(2, 60, 250)

    def driver() -> Iterator[np.ndarray]:
        array = np.empty((2, 100), dtype=np.float32)
        for start in range(0, beats.shape[1], 100):
            array[:] = beats[:, start : start + 100]
            yield array

    cut = (beats[:, start : start + 100] for start in range(0, beats.shape[1], 100))
    found, expected = (joined(list(LiveCleaner(blocks, 250, ["I", "II"], SETTINGS))) for blocks in (driver(), cut))
    np.testing.assert_array_equal(found[0], expected[0])


def test_impossible_streams_are_refused():
    beats = heartbeats(2, 10, 250)
    with pytest.raises(ValueError, match="expected real numbers, got dtype complex64"):
        next(LiveCleaner([beats * 1j], 250, ["I", "II"], SETTINGS))
    with pytest.raises(ValueError, match="stream ended before its first sample"):
        next(LiveCleaner([], 250, ["I", "II"], SETTINGS))
    with pytest.raises(
        ValueError, match=r"the samples after 2500 as \(leads, samples\) with 2 leads .*, got shape \(3,"
    ):
        next(LiveCleaner([beats, np.zeros((3, 4))], 250, ["I", "II"], SETTINGS))
    with pytest.raises(ValueError, match="too short: 100 samples at 250 Hz"):
        next(LiveCleaner([beats[:, :100]], 250, ["I", "II"], SETTINGS))
    with pytest.raises(ValueError, match="lead II has infinite samples"):
        next(LiveCleaner([np.array([[0.0], [np.inf]])], 250, ["I", "II"], SETTINGS))
    for calibration_s in (0.5, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"`calibration_s` must be at least one patch \(1 s\), got"):
            LiveCleaner([], 250, ["I"], SETTINGS, calibration_s=calibration_s)


# Windows


def numbered(patches: int, block: int = 4) -> Iterator[CleanedBlock]:
    """One lead whose patch `n` holds `n`."""
    for first in range(0, patches, block):
        numbers = np.arange(first, min(first + block, patches), dtype=np.float32)
        yield CleanedBlock(first, np.tile(numbers[None, :, None], (1, 1, 2)), numbers[None] % 2 == 0, scale=0.3)


def spans(patches: int, window: int, stride: int) -> list[list[int]]:
    windows = list(cut_windows(numbered(patches), window, stride, patch_s=1.0, lead_names=["II"]))
    for found in windows:
        numbers = found.patches[0, :, 0]
        np.testing.assert_array_equal(numbers, found.start_s + np.arange(found.duration_s))
        np.testing.assert_array_equal(found.patch_mask[0], numbers % 2 == 0)
    return [[int(found.start_s), int(found.start_s + found.duration_s)] for found in windows]


@pytest.mark.parametrize(
    ("patches", "window", "stride", "expected"),
    [
        (10, 4, 2, [[0, 4], [2, 6], [4, 8], [6, 10]]),
        (11, 4, 2, [[0, 4], [2, 6], [4, 8], [6, 10], [8, 11]]),
        (12, 4, 4, [[0, 4], [4, 8], [8, 12]]),
        (13, 4, 4, [[0, 4], [4, 8], [8, 12], [12, 13]]),
        (13, 9, 1, [[0, 9], [1, 10], [2, 11], [3, 12], [4, 13]]),
        (3, 10, 5, [[0, 3]]),
        (12, 2, 5, [[0, 2], [5, 7], [10, 12]]),
        (11, 2, 5, [[0, 2], [5, 7], [10, 11]]),
        (10, 2, 5, [[0, 2], [5, 7]]),
        (9, 1, 7, [[0, 1], [7, 8]]),
        (0, 4, 2, []),
    ],
)
def test_windows_cover_the_record_and_none_lies_within_another(patches, window, stride, expected):
    assert spans(patches, window, stride) == expected


def test_windows_are_on_the_clock_of_the_record_and_become_model_input():
    tokenizer = AnyECGTokenizer(sampling_rate=250, patch_size=125, notch_hz=None)
    source = ArraySource(heartbeats(2, 33, 360, noise_mv=0.02), 360)
    blocks = streamed(source, tokenizer.cleaning_settings, 10)
    windows = list(cut_windows(iter(blocks), 20, 10, tokenizer.patch_seconds, ["V1", "II"]))
    assert [(window.start_s, window.duration_s) for window in windows] == [
        *[(5.0 * number, 10.0) for number in range(5)],
        (25.0, 8.0),
    ]
    assert isinstance(windows[-1], ECGWindow) and windows[-1].lead_names == ("V1", "II")
    feature = tokenizer.feature(windows[-1])
    np.testing.assert_array_equal(feature["input_values"], joined(blocks)[0][:, 50:])
    assert feature["attention_mask"].tolist() == [[1] * 16] * 2
    assert feature["lead_ids"].tolist() == [tokenizer.lead_names.index("V1"), tokenizer.lead_names.index("II")]
    assert feature["scale"] == np.float32(blocks[0].scale)
    batch = tokenizer.pad([tokenizer.feature(window) for window in windows])
    assert batch["input_values"].shape == (6, 2, 20, 125)


@pytest.mark.parametrize(("window", "stride"), [(6, 2), (2, 50)])
def test_no_more_than_a_window_and_a_block_is_kept(window: int, stride: int):
    made = []

    def blocks() -> Iterator[CleanedBlock]:
        for block in numbered(200):
            made.append(weakref.ref(block))
            yield block
            del block
            assert sum(reference() is not None for reference in made) <= window // 4 + 2

    windows = list(cut_windows(blocks(), window, stride, patch_s=1.0, lead_names=["II"]))
    assert [found.start_s for found in windows] == list(range(0, 200 - window + stride, stride))[: len(windows)]
    assert windows[-1].start_s + windows[-1].duration_s > 200 - stride


def test_windows_without_length_and_blocks_out_of_order_are_refused():
    for window, stride in ((0, 1), (4, 0)):
        with pytest.raises(ValueError, match=f"must be at least 1, got {window} and {stride}"):
            next(cut_windows(numbered(10), window, stride, 1.0, ["II"]))
    blocks = [block for block in numbered(12) if block.first_patch != 4]
    with pytest.raises(ValueError, match="expected the block that begins with patch 4, got patch 8"):
        list(cut_windows(blocks, 4, 2, 1.0, ["II"]))
