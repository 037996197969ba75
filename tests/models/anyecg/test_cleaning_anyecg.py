# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import math

import numpy as np
import pytest
from tests.models.ecg_signals import heartbeats

from anyecg_hf.models.anyecg.cleaning_anyecg import CleanedECG, CleaningSettings, clean_record

NAMES = ("I", "II", "III", "V1", "V2", "V6")
PLAIN = CleaningSettings(denoise=False)


def clean(signal: np.ndarray, sampling_rate: float = 300, settings: CleaningSettings = PLAIN, **kwargs) -> CleanedECG:
    return clean_record(signal.astype(np.float32), sampling_rate, NAMES[: len(signal)], settings, **kwargs)


def in_millivolts(cleaned: CleanedECG) -> np.ndarray:
    """`(leads, samples)` at the patches' rate."""
    return (cleaned.patches * cleaned.scale).reshape(len(cleaned.patches), -1)


def sines(frequency_hz: float, sampling_rate: float = 300, seconds: float = 10.0) -> np.ndarray:
    times = np.arange(round(seconds * sampling_rate)) / sampling_rate
    return np.sin(2 * np.pi * frequency_hz * times)[None]


# The steps


def test_ten_hertz_are_kept_and_fifty_are_gone():
    kept = in_millivolts(clean(sines(10)))
    np.testing.assert_allclose(kept[:, 150:-150], sines(10)[:, 150:-150], atol=1e-2)
    without_hum = in_millivolts(clean(sines(10) + sines(50)))
    np.testing.assert_allclose(without_hum[:, 600:-600], sines(10)[:, 600:-600], atol=1e-2)


@pytest.mark.parametrize(("notch_hz", "left_mv"), [(50.0, 1.0), (60.0, 0.0), (None, 1.0)])
def test_the_notch_takes_its_own_frequency_only(notch_hz: float | None, left_mv: float):
    settings = CleaningSettings(denoise=False, notch_hz=notch_hz, bandpass_high_hz=None)
    left = in_millivolts(clean(sines(60), settings=settings))[:, 600:-600]
    assert math.sqrt(2) * left.std() == pytest.approx(left_mv, abs=0.02)


def test_an_offset_a_line_and_slow_drift_are_removed():
    beats = heartbeats(leads=3, seconds=20, sampling_rate=300)
    expected = in_millivolts(clean(beats))
    line = np.linspace(-3, 3, beats.shape[1])
    np.testing.assert_allclose(in_millivolts(clean(beats + 2.5 + line)), expected, atol=1e-4)
    drift = sines(0.02, seconds=20)
    assert np.abs(in_millivolts(clean(beats + drift)) - expected)[:, 1500:-1500].max() < 0.05


def test_an_offset_of_a_hundred_millivolts_changes_nothing():
    beats = heartbeats(leads=3, seconds=10, sampling_rate=500)
    expected = clean(beats, 500, CleaningSettings())
    offset = clean(beats + 100.0, 500, CleaningSettings())
    assert offset.patch_mask.all() and not offset.unusable
    np.testing.assert_allclose(in_millivolts(offset), in_millivolts(expected), atol=2e-4)


@pytest.mark.parametrize("spike_mv", [5.0, 50.0, -300.0])
def test_one_spike_is_no_error(spike_mv: float):
    beats = heartbeats(leads=3, seconds=10, sampling_rate=500)
    beats[1, 2500] = spike_mv
    cleaned = clean(beats, 500, CleaningSettings())
    assert cleaned.patch_mask.all() and not cleaned.unusable
    assert np.isfinite(cleaned.patches).all()


@pytest.mark.parametrize("sampling_rate", [100, 257, 360, 400, 1000])
def test_every_rate_gives_the_same_patches(sampling_rate: int):
    expected = in_millivolts(clean(heartbeats(leads=3, seconds=10, sampling_rate=500), 500))
    found = in_millivolts(clean(heartbeats(leads=3, seconds=10, sampling_rate=sampling_rate), sampling_rate))
    assert found.shape == expected.shape
    inside = slice(150, -150)
    tolerance = 0.15 if sampling_rate == 100 else 0.02  # 100 Hz cannot hold all of a QRS complex
    assert np.abs(found[:, inside] - expected[:, inside]).max() < tolerance
    assert np.corrcoef(found[0, inside], expected[0, inside])[0, 1] > 0.99


def test_denoising_removes_most_noise_and_keeps_the_beats():
    beats, noisy = (heartbeats(leads=2, seconds=20, sampling_rate=300, noise_mv=noise) for noise in (0.0, 0.04))
    truth, before = in_millivolts(clean(beats)), in_millivolts(clean(noisy))
    cleaned = clean(noisy, settings=CleaningSettings())
    after = in_millivolts(cleaned)
    between_beats = np.arange(6000) / 300 % 0.8 < 0.1
    assert (after - truth)[:, between_beats].std() < 0.5 * (before - truth)[:, between_beats].std()
    assert after[0].max() > 0.8 * truth[0].max()
    # Read after the low-pass filter, which takes some of the noise in the band that it is read from.
    assert (0.5 * 0.04 < cleaned.noise_level).all() and (cleaned.noise_level < 0.04).all()


def test_the_powerline_notch_is_left_out_where_the_input_cannot_hold_it():
    cleaned = clean(heartbeats(leads=2, seconds=10, sampling_rate=80), 80)
    assert cleaned.steps[:2] == ("resampled 80 -> 300 Hz", "band-pass 0.1-75 Hz")
    assert not any("notch" in step for step in cleaned.steps)


def test_the_steps_are_told_in_order():
    cleaned = clean(heartbeats(leads=2, seconds=10, sampling_rate=500), 500, CleaningSettings())
    assert cleaned.steps[:-1] == (
        "resampled 500 -> 300 Hz",
        "band-pass 0.1-75 Hz",
        "notch 50 Hz",
        "db6 denoising",
    )
    assert cleaned.steps[-1] == f"scaled by {cleaned.scale:.3g} mV"


def test_with_every_step_off_patches_are_the_signal():
    settings = CleaningSettings(bandpass_low_hz=None, bandpass_high_hz=None, notch_hz=None, denoise=False)
    beats = heartbeats(leads=2, seconds=3, sampling_rate=300) + 3 * np.linspace(0, 1, 900)
    cleaned = clean(beats, settings=settings, scale=1.0)
    np.testing.assert_allclose(cleaned.patches.reshape(2, -1), beats, atol=1e-5)
    assert cleaned.steps == ("scaled by 1 mV",)


# Scale


def test_the_scale_is_the_standard_deviation_of_what_is_real():
    beats = heartbeats(leads=3, seconds=10, sampling_rate=300)
    beats[1] = np.nan
    cleaned = clean(beats)
    assert cleaned.notes == ("unusable leads are masked: II (missing)",)
    real = cleaned.patches[cleaned.patch_mask]
    assert real.std() == pytest.approx(1.0, abs=1e-4)
    assert cleaned.scale == pytest.approx(in_millivolts(cleaned)[[0, 2]].std(), rel=1e-4)


def test_a_window_cleaned_with_scale_and_noise_of_its_record_equals_the_record():
    record = heartbeats(leads=3, seconds=60, sampling_rate=300, noise_mv=0.02, wander_mv=0.2)
    whole = clean(record, settings=CleaningSettings())
    window = clean(
        record[:, 20 * 300 : 40 * 300],
        settings=CleaningSettings(),
        scale=whole.scale,
        noise_level=whole.noise_level,
    )
    assert window.scale == whole.scale
    np.testing.assert_array_equal(window.noise_level, whole.noise_level)
    # Five seconds in: the 0.1 Hz high-pass remembers the ends for about that long.
    np.testing.assert_allclose(window.patches[:, 5:15], whole.patches[:, 25:35], atol=0.02)


# Gaps, bad leads, lengths


def test_patches_with_more_than_a_tenth_missing_are_masked_and_zero():
    beats = heartbeats(leads=3, seconds=6, sampling_rate=500)
    beats[0, 500:550] = np.nan  # a tenth of patch 1
    beats[0, 1000:1060] = np.nan  # more than that of patch 2
    beats[2, 1400:1700] = np.nan  # the ends of patches 2 and 3
    cleaned = clean(beats, 500)
    expected = np.ones((3, 6), dtype=bool)
    expected[0, 2] = expected[2, 2] = expected[2, 3] = False
    np.testing.assert_array_equal(cleaned.patch_mask, expected)
    assert cleaned.masked_patches == 3
    assert (cleaned.patches[~expected] == 0).all()
    assert (cleaned.patches[expected].std(axis=-1) > 0).all()
    assert not cleaned.unusable


def test_a_gap_in_one_lead_leaves_the_others_as_they_are():
    beats = heartbeats(leads=3, seconds=6, sampling_rate=500)
    expected = clean(beats, 500, CleaningSettings(), scale=0.3)
    beats[1, 700:1900] = np.nan
    found = clean(beats, 500, CleaningSettings(), scale=0.3)
    np.testing.assert_allclose(found.patches[[0, 2]], expected.patches[[0, 2]], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("bad_mv", "reason"), [(np.nan, "missing"), (0.7, "flat"), (1e4, "saturated"), (None, "railed")]
)
def test_a_bad_lead_is_masked_reported_and_changes_no_other(bad_mv: float | None, reason: str):
    beats = heartbeats(leads=3, seconds=10, sampling_rate=500)
    expected = clean(beats, 500, CleaningSettings())
    if bad_mv is None:
        bad = np.clip(3 * sines(1, 500), -1.0, 1.0)
    elif reason == "saturated":
        bad = bad_mv * beats[:1]
    else:
        bad = np.full((1, beats.shape[1]), bad_mv)
    found = clean(np.concatenate((beats, bad)), 500, CleaningSettings())
    assert found.notes == (f"unusable leads are masked: V1 ({reason})",)
    assert found.unusable == {3: reason}
    assert not found.patch_mask[3].any() and found.patch_mask[:3].all()
    assert (found.patches[3] == 0).all()
    assert found.scale == pytest.approx(expected.scale, rel=1e-6)
    np.testing.assert_allclose(found.patches[:3], expected.patches, rtol=0, atol=1e-5)


def test_a_record_without_one_usable_lead_is_all_masked():
    cleaned = clean(np.stack((np.zeros(3000), np.full(3000, np.nan))))
    assert cleaned.notes == ("unusable leads are masked: I (flat), II (missing)",)
    assert not cleaned.patch_mask.any()
    assert (cleaned.patches == 0).all()
    assert cleaned.scale == 1e-3


@pytest.mark.parametrize(("samples", "patches"), [(250, 1), (500, 1), (748, 1), (750, 2), (5250, 11), (5248, 10)])
def test_a_last_partial_patch_is_real_if_half_of_it_is_signal(samples: int, patches: int):
    beats = heartbeats(leads=2, seconds=12, sampling_rate=500)[:, :samples]
    cleaned = clean(beats, 500)
    assert cleaned.patches.shape == (2, patches, 300)
    assert cleaned.patch_mask.all()
    real_samples = math.ceil(samples * 0.6)
    assert (cleaned.patches.reshape(2, -1)[:, real_samples:] == 0).all()


def test_a_record_shorter_than_half_a_patch_is_refused_with_the_minimum():
    with pytest.raises(ValueError, match=r"too short: 249 samples at 500 Hz are 0.498 s, and at least 0.5 s \(half a"):
        clean(heartbeats(leads=2, seconds=1, sampling_rate=500)[:, :249], 500)


# Settings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bandpass_low_hz": 0.0}, "`bandpass_low_hz` must lie between 0 and 150 Hz, or be None; got 0.0"),
        ({"bandpass_high_hz": 200.0}, "`bandpass_high_hz` must lie between 0 and 150 Hz"),
        ({"notch_hz": -50.0}, "`notch_hz` must lie between 0 and 150 Hz"),
        ({"bandpass_low_hz": 80.0}, r"`bandpass_low_hz` \(80.0\) must be below `bandpass_high_hz` \(75.0\)"),
        ({"patch_size": 1}, "`patch_size` must be at least 2"),
        ({"filter_order": 0}, "`filter_order` must be at least 1, got 0"),
        ({"notch_quality": 0.0}, "`notch_quality` must be positive, got 0.0"),
        ({"denoise_wavelet": "morlet"}, "`denoise_wavelet` must be a discrete wavelet of PyWavelets, got 'morlet'"),
        ({"denoise_levels": 1}, r"`denoise_levels` \(1\) must reach the level that the noise is read from \(2\)"),
    ],
)
def test_impossible_settings_are_refused(fields: dict, message: str):
    with pytest.raises(ValueError, match=message):
        CleaningSettings(**fields)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_an_impossible_scale_is_refused(scale: float):
    with pytest.raises(ValueError, match=f"`scale` must be a positive number of mV, got {scale}"):
        clean(heartbeats(leads=2, seconds=3, sampling_rate=300), scale=scale)


@pytest.mark.parametrize("noise_level", [-0.1, float("nan"), np.array([0.1, np.nan])])
def test_an_impossible_noise_level_is_refused(noise_level: float | np.ndarray):
    with pytest.raises(ValueError, match="`noise_level` must be finite numbers of mV, at least 0, got"):
        clean(heartbeats(leads=2, seconds=3, sampling_rate=300), noise_level=noise_level)
