# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from tests.models.ecg_signals import heartbeats
from tests.models.long_records import UNUSABLE, ArraySource, difficult_record, drifting_record

from anyecg_hf.models.anyecg.cleaning_anyecg import CleaningSettings, clean_record
from anyecg_hf.models.anyecg.signal_anyecg import assess_leads
from anyecg_hf.models.anyecg.stream_blocks_anyecg import Window
from anyecg_hf.models.anyecg.stream_statistics_anyecg import LeadSurvey, LogBins, RecordStatistics, measure_statistics

SETTINGS = CleaningSettings()


def assert_equal_to_the_whole(source: ArraySource, settings: CleaningSettings, block_s: float) -> RecordStatistics:
    whole = clean_record(source.signal_mv, source.sampling_rate, source.lead_names, settings)
    found = measure_statistics(source, settings, block_s)
    assert found.unusable == whole.unusable
    assert (found.interpolated_samples, found.masked_patches) == (whole.interpolated_samples, whole.masked_patches)
    assert (found.steps, found.notes) == (whole.steps, whole.notes)
    assert found.scale == pytest.approx(whole.scale, rel=3e-6)
    np.testing.assert_allclose(found.noise_level, whole.noise_level, rtol=1e-4)
    assert found.basis_s == source.n_samples / source.sampling_rate
    return found


@pytest.mark.parametrize(("sampling_rate", "block_s"), [(250, 60), (257, 97), (300, 20), (360, 60), (1000, 20)])
def test_statistics_of_a_difficult_record_are_those_of_the_whole(sampling_rate: float, block_s: float):
    found = assert_equal_to_the_whole(ArraySource(difficult_record(sampling_rate), sampling_rate), SETTINGS, block_s)
    assert found.unusable == UNUSABLE
    assert found.masked_patches > 100


@pytest.mark.parametrize("sampling_rate", [100, 128, 360.01])
def test_statistics_of_a_drifting_record_are_those_of_the_whole(sampling_rate: float):
    source = ArraySource(drifting_record(sampling_rate), sampling_rate)
    found = assert_equal_to_the_whole(source, SETTINGS, 40)
    ends = found.line_mv @ np.array([[1, 1], [0, source.n_samples - 1]])
    expected = [np.polyval(np.polyfit([*range(source.n_samples)], lead, 1), [0, source.n_samples - 1])
                for lead in source.signal_mv.astype(np.float64)]  # fmt: skip
    np.testing.assert_allclose(ends, expected, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        CleaningSettings(denoise=False),
        CleaningSettings(denoise_wavelet="bior4.4"),  # not orthogonal
        CleaningSettings(denoise_wavelet="sym8", denoise_levels=6),
        CleaningSettings(bandpass_low_hz=None),
        CleaningSettings(sampling_rate=250, patch_size=125, notch_hz=60.0),
        CleaningSettings(bandpass_low_hz=None, bandpass_high_hz=None, notch_hz=None, denoise=False),
    ],
    ids=["no denoising", "bior4.4", "sym8", "no high-pass", "half a second", "nothing"],
)
def test_other_settings_give_the_statistics_of_the_whole_too(settings: CleaningSettings):
    assert_equal_to_the_whole(ArraySource(difficult_record(250), 250), settings, 40)


@pytest.mark.parametrize("samples", [126, 250, 300, 6100, 15_124, 15_126])
def test_short_and_odd_lengths_give_the_statistics_of_the_whole(samples: int):
    record = heartbeats(3, 62, 250, wander_mv=0.2, noise_mv=0.03)[:, :samples]
    found, whole = (
        measure_statistics(ArraySource(record, 250), SETTINGS, 20), clean_record(record, 250, ("a", "b", "c"), SETTINGS)
    )  # fmt: skip
    assert found.scale == pytest.approx(whole.scale, rel=2e-5)  # few samples: the noise's bins show
    np.testing.assert_allclose(found.noise_level, whole.noise_level, rtol=1e-4)


def test_noise_is_read_near_gaps_only_where_there_is_no_other():
    record = heartbeats(2, 100, 300, noise_mv=0.03)
    record[0, np.arange(30_000) % 40 < 3] = np.nan
    assert_equal_to_the_whole(ArraySource(record, 300), SETTINGS, 20)
    record[0, 20_000:21_000] = heartbeats(1, 100, 300, noise_mv=0.2)[0, 20_000:21_000]
    assert_equal_to_the_whole(ArraySource(record, 300), SETTINGS, 20)


def test_a_record_without_one_usable_lead_has_the_least_scale():
    source = ArraySource(np.stack((np.zeros(30_000), np.full(30_000, np.nan))), 300)
    found = assert_equal_to_the_whole(source, SETTINGS, 20)
    assert found.scale == 1e-3 and found.notes == ("unusable leads are masked: L0 (flat), L1 (missing)",)


def test_no_more_than_a_block_and_its_context_is_read_at_once():
    source = ArraySource(drifting_record(100, seconds=600), 100)
    measure_statistics(source, SETTINGS, 20)
    assert max(read.stop - read.start for read in source.reads) <= (20 + 2 * 25 + 3) * 100
    # Twice from start to end, every sample once.
    assert sum(read.stop - read.start for read in source.reads) == 2 * source.n_samples


def test_the_survey_says_of_leads_what_is_said_of_the_whole():
    random = np.random.default_rng(0)
    for _ in range(20):
        amplitudes = random.choice([0.004, 0.05, 1.0, 30.0, 5000.0], size=5, p=[0.2, 0.2, 0.4, 0.1, 0.1])
        record = (heartbeats(5, 20, 100, wander_mv=0.5) * amplitudes[:, None]).astype(np.float32)
        record += random.normal(size=(5, 1)).astype(np.float32) * 50
        record[random.integers(5), 300:] = np.nan
        survey = LeadSurvey(5, 100)
        for start in range(0, 2000, 333):
            # Windows overlap; each sample counts once.
            first, stop = max(0, start - 100), min(start + 333, 2000)
            piece = record[:, first:stop]
            survey.add(Window(first, np.nan_to_num(piece), np.isnan(piece)))
        try:
            expected = assess_leads(record, 100, list("abcde"))
        except ValueError as error:
            # Same text but for the last digit of the amplitude.
            with pytest.raises(ValueError, match=str(error)[-100:].replace("(", r"\(").replace(")", r"\)")):
                survey.judge()
        else:
            assert survey.judge() == (expected.unusable, expected.notes)


def test_microvolts_too_short_records_and_infinite_samples_are_refused_as_in_the_whole():
    beats = heartbeats(2, 80, 250)
    with pytest.raises(ValueError, match=r"deviates by .* mV from its median in a typical lead.*\(unit='uV'\)"):
        measure_statistics(ArraySource(1000 * beats, 250), SETTINGS, 20)
    with pytest.raises(ValueError, match="too short: 124 samples at 250 Hz are 0.496 s, and at least 0.5 s"):
        measure_statistics(ArraySource(beats[:, :124], 250), SETTINGS, 20)
    beats[1, 15_000] = np.inf
    with pytest.raises(ValueError, match="lead L1 has infinite samples"):
        measure_statistics(ArraySource(beats, 250), SETTINGS, 20)
    with pytest.raises(ValueError, match="`sampling_rate` must lie between 50 and 50000 Hz, got 0.004"):
        measure_statistics(ArraySource(beats, 0.004), SETTINGS, 20)


def test_bins_are_the_leading_bits_of_a_number():
    bins = LogBins(lowest=-2, highest=3, bits=3)
    assert bins.count == 40
    np.testing.assert_allclose(bins.edges[[0, 1, 8, 9, 16, 40]], [0, 0.28125, 0.5, 0.5625, 1, 8])
    values = np.array([0, 1e-9, 0.25, 0.2813, 0.99, 1, 1.124, 1.125, 7.99, 8, 1e30], dtype=np.float32)
    np.testing.assert_array_equal(bins.find(values), [0, 0, 0, 1, 15, 16, 16, 17, 39, 39, 39])
