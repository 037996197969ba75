# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import butter, iirnotch, sosfiltfilt, tf2sos
from tests.models.long_records import ArraySource, difficult_record, pieces

from anyecg_hf.models.anyecg.cleaning_anyecg import CleaningSettings
from anyecg_hf.models.anyecg.signal_anyecg import fill_gaps, filter_zero_phase, zero_phase_gain
from anyecg_hf.models.anyecg.stream_blocks_anyecg import (
    BlockGrid,
    SampleBuffer,
    WindowReader,
    filter_context_s,
    read_blocks,
)

SETTINGS = CleaningSettings()
UNFILTERED = CleaningSettings(bandpass_low_hz=None, bandpass_high_hz=None, notch_hz=None)


# Context


def scipy_response(impulse: np.ndarray, settings: CleaningSettings) -> np.ndarray:
    """Forward and backward through scipy's filters."""
    sections = [butter(2, 75, "lowpass", fs=300, output="sos"), tf2sos(*iirnotch(50, 30, fs=300))]
    sections.append(butter(2, settings.bandpass_low_hz, "highpass", fs=300, output="sos"))
    return sosfiltfilt(np.concatenate(sections), impulse, padlen=0)


def response(impulse: np.ndarray, settings: CleaningSettings) -> np.ndarray:
    """Through the filter that is used, in double precision."""
    frequencies = np.arange(len(impulse)) * (150 / len(impulse))
    gain = zero_phase_gain(frequencies, settings.bandpass_low_hz, 75, 50, 2, 30)
    return filter_zero_phase(impulse[None], gain)[0]


@pytest.mark.parametrize(
    ("low_hz", "filtered"), [(0.1, scipy_response), (0.5, scipy_response), (0.1, response), (None, response)]
)
def test_the_filter_forgets_within_its_context_and_not_before(low_hz: float | None, filtered: Callable):
    settings = CleaningSettings(bandpass_low_hz=low_hz)
    impulse = np.zeros(60_001)
    impulse[30_000] = 1.0
    absolute, distances = np.abs(filtered(impulse, settings)), np.abs(np.arange(60_001) - 30_000)
    context = round(filter_context_s(settings) * 300)
    assert 20.0 * absolute[distances > context].sum() < 1.01e-3  # 20 mV all around, 1 uV
    assert 20.0 * absolute[distances > 0.9 * context].sum() > 1e-3


def test_the_context_is_some_twenty_five_seconds_and_shorter_for_a_steeper_view():
    assert 20 < filter_context_s(SETTINGS) < 30
    assert 4 < filter_context_s(CleaningSettings(bandpass_low_hz=0.5)) < 6
    assert 200 < filter_context_s(CleaningSettings(bandpass_low_hz=0.01)) < 300
    assert filter_context_s(UNFILTERED) == 0


# Blocks


@pytest.mark.parametrize("sampling_rate", [50.01, 100, 128, 250, 257, 300, 360, 360.01, 1000, 1000 / 3])
@pytest.mark.parametrize("block_s", [1, 20, 97])
@pytest.mark.parametrize("settings", [SETTINGS, UNFILTERED], ids=["filtered", "unfiltered"])
def test_blocks_cover_every_patch_once_and_start_on_whole_samples(
    sampling_rate: float, block_s: float, settings: CleaningSettings
):
    grid = BlockGrid(sampling_rate, settings, block_s)
    n_samples = round(1500.3 * sampling_rate)
    blocks = list(grid.blocks(n_samples))
    covered = [patch for block in blocks for patch in range(block.first_patch, block.first_patch + block.patches)]
    assert covered == list(range(1500))
    assert blocks[-1].stop == n_samples and [block.is_last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    for block in blocks:
        # Rates that are no fraction of small numbers drift by 1e-8.
        assert block.first_sample == pytest.approx(block.start * 300 / sampling_rate, rel=2e-8)
        assert block.first_sample % 2 == 0
        before = block.first_patch * 300 - block.first_sample
        after = block.stop * 300 / sampling_rate - (block.first_patch + block.patches) * 300
        assert before >= grid.context or block.start == 0
        assert after >= grid.context - 1 or block.stop == n_samples
    inner = {block.stop - block.start for block in blocks[:-1] if block.stop < n_samples}
    assert len(inner) <= 1  # one filter response for all


def test_a_block_is_as_long_as_asked_or_longer_where_the_rates_need_it():
    assert BlockGrid(360, SETTINGS, 20).block_patches == 20
    assert BlockGrid(360, SETTINGS, 0.01).block_patches == 1
    assert BlockGrid(257, CleaningSettings(patch_size=100), 1).block_patches == 3
    assert BlockGrid(360.01, SETTINGS, 20).block_patches > 20


@pytest.mark.parametrize("block_s", [0, -1, float("nan"), float("inf")])
def test_an_impossible_block_is_refused(block_s: float):
    with pytest.raises(ValueError, match=f"`block_s` must be a positive number of seconds, got {block_s}"):
        BlockGrid(300, SETTINGS, block_s)


# Gaps


@pytest.mark.parametrize("block_s", [3, 20])
def test_gaps_are_bridged_as_in_the_whole_record(block_s: float):
    record = difficult_record(100)
    source = ArraySource(record, 100)
    whole = fill_gaps(record, np.isnan(record))
    for block, window in read_blocks(source, BlockGrid(100, SETTINGS, block_s)):
        assert window.start == block.start and window.filled.dtype == np.float32
        np.testing.assert_array_equal(window.missing, np.isnan(record[:, block.start : block.stop]))
        np.testing.assert_allclose(window.filled, whole[:, block.start : block.stop], rtol=1e-6, atol=1e-7)


def test_gaps_of_leads_that_do_not_matter_cost_no_look_ahead():
    source = ArraySource(np.full((1, 10_000), np.nan), 100)
    WindowReader(source, 500).window(0, 1000)
    assert source.reads == [slice(0, 1000), *(slice(start, start + 500) for start in range(1000, 10_000, 500))]
    source.reads.clear()
    WindowReader(source, 500, usable=np.array([False])).window(0, 1000)
    assert source.reads == [slice(0, 1000)]


def test_without_a_look_ahead_an_open_gap_holds_its_last_value():
    buffer = SampleBuffer(["II"])
    for piece in pieces(np.array([[1, 2, np.nan, np.nan, np.nan, 6, np.nan]], dtype=np.float32), [1, 2]):
        buffer.append(piece)
    np.testing.assert_array_equal(buffer.window(5).filled, [[1, 2, 2, 2, 2]])
    np.testing.assert_array_equal(buffer.window(7).filled, [[1, 2, 3, 4, 5, 6, 6]])
    buffer.drop_before(3)
    np.testing.assert_array_equal(buffer.window(5).filled, [[2, 2]])
    np.testing.assert_array_equal(buffer.window(6).filled, [[4, 5, 6]])


# Errors


def test_infinite_samples_are_refused_with_their_lead():
    record = np.zeros((2, 5000), dtype=np.float32)
    record[1, 4000] = -np.inf
    with pytest.raises(ValueError, match="lead L1 has infinite samples: expected finite numbers, or NaN"):
        list(read_blocks(ArraySource(record, 100), BlockGrid(100, UNFILTERED, 10)))


def test_a_source_that_returns_another_shape_is_refused():
    source = ArraySource(np.zeros((2, 5000)), 100)
    source.lead_names = ("I", "II", "III")
    with pytest.raises(ValueError, match=r"source.read\(0, 5000\) returned shape \(2, 5000\), expected \(3, 5000\)"):
        list(read_blocks(source, BlockGrid(100, SETTINGS, 60)))
