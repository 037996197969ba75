# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import math
import re
import warnings

import numpy as np
import pytest
import pywt
from scipy.signal import butter, iirnotch, sosfiltfilt, tf2sos
from tests.models.ecg_signals import heartbeats

from anyecg_hf import LEAD_NAMES
from anyecg_hf.models.anyecg.signal_anyecg import (
    assess_leads,
    canonical_lead_name,
    check_sampling_rate,
    count_patches,
    cut_patches,
    fill_gaps,
    filter_zero_phase,
    millivolts_per_unit,
    noise_band_level,
    noise_levels,
    remove_line,
    resample,
    soft_threshold_denoise,
    wavelet_coefficients,
    zero_phase_response,
)

RATES = (100, 257, 360, 400, 500, 1000)


def sine(frequency_hz: float, sampling_rate: float, seconds: float = 10.0, phase: float = 0.3) -> np.ndarray:
    times = np.arange(round(seconds * sampling_rate)) / sampling_rate
    return np.sin(2 * np.pi * frequency_hz * times + phase)[None].astype(np.float32)


# Lead names, units, rates


@pytest.mark.parametrize("name", LEAD_NAMES)
def test_every_name_of_the_vocabulary_is_itself_in_any_case(name: str):
    for spelling in (name, name.lower(), name.upper(), f" {name} ", f"MDC_ECG_LEAD_{name}", f"ECG {name}"):
        assert canonical_lead_name(spelling) == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *[("AVR", "aVR"), ("DI", "I"), ("DII", "II"), ("DIII", "III"), ("ML2", "MLII"), ("C1", "V1"), ("v 6", "V6")],
        *[("Lead I", "I"), ("lead_ii", "II"), ("ECG:V3", "V3"), ("x", "VX"), ("Frank Z", "VZ"), ("RV4", "V4R")],
    ],
)
def test_usual_spellings_of_leads_are_known(spelling: str, name: str):
    assert canonical_lead_name(spelling) == name


@pytest.mark.parametrize("name", ["", "V10", "ABP", "PLETH", "V", "IV", "ECG", "MCL1", "resp", "D3"])
def test_what_is_no_ecg_lead_has_no_name(name: str):
    assert canonical_lead_name(name) is None


@pytest.mark.parametrize("name", ["-aVR", "aVR-", "-V1", "I-II", "I+II", "V5*", "V1'", "ECG-aVR"])
def test_inverted_and_derived_leads_are_not_taken_for_the_plain_ones(name: str):
    assert canonical_lead_name(name) is None


def test_a_vocabulary_of_ones_own_comes_first():
    assert canonical_lead_name("v5r", ["V5R", "unknown"]) == "V5R"
    assert canonical_lead_name("II", ["V5R", "unknown"]) is None


@pytest.mark.parametrize(
    ("unit", "factor"), [("mV", 1.0), ("MV", 1.0), (" mv ", 1.0), ("uV", 1e-3), ("µV", 1e-3), ("V", 1e3), ("nV", 1e-6)]
)
def test_units_have_their_factor(unit: str, factor: float):
    assert millivolts_per_unit(unit) == factor


@pytest.mark.parametrize("unit", ["", "counts", "mmHg", "A", None])
def test_an_unknown_unit_is_refused(unit: str | None):
    with pytest.raises(ValueError, match=f"unknown unit {unit!r}: expected one of 'V', 'mV', 'uV', 'nV'"):
        millivolts_per_unit(unit)


@pytest.mark.parametrize("rate", [0, -500, 0.002, 49.9, 1e6, math.nan, math.inf])
def test_a_rate_that_no_ecg_has_is_refused(rate: float):
    with pytest.raises(ValueError, match="`sampling_rate` must lie between 50 and 50000 Hz, got"):
        check_sampling_rate(rate)


def test_a_missing_rate_is_refused():
    with pytest.raises(ValueError, match="`sampling_rate` is missing: pass the rate of the signal in Hz"):
        check_sampling_rate(None)
    assert check_sampling_rate(np.int64(257)) == 257.0


# Resampling


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency_hz", [1.0, 10.0, 30.0])
def test_a_sine_survives_resampling(rate: float, frequency_hz: float):
    resampled = resample(sine(frequency_hz, rate), rate, 300)
    assert resampled.shape == (1, 3000)
    assert resampled.dtype == np.float32
    error = np.abs(resampled - sine(frequency_hz, 300))
    # Half a second from each end; there the record, mirrored, is no sine any more.
    assert error[:, 150:-150].max() < 3e-3


@pytest.mark.parametrize("rate", [500, 1000])
@pytest.mark.parametrize("frequency_hz", [200.0, 240.0])
def test_what_the_new_rate_cannot_hold_does_not_come_back_as_something_else(rate: float, frequency_hz: float):
    resampled = resample(sine(frequency_hz, rate), rate, 300)
    assert np.abs(resampled[:, 150:-150]).max() < 3e-3


@pytest.mark.parametrize("rate", RATES)
def test_a_constant_stays_constant_up_to_the_ends(rate: float):
    resampled = resample(np.full((2, round(rate) * 2 + 7), 1.5, dtype=np.float32), rate, 300)
    np.testing.assert_allclose(resampled, 1.5, rtol=2e-3)


@pytest.mark.parametrize(("samples", "rate", "expected"), [(2570, 257, 3000), (2571, 257, 3001), (361, 360, 301)])
def test_resampling_keeps_the_duration_to_the_nearest_sample(samples: int, rate: float, expected: int):
    assert resample(np.zeros((1, samples), dtype=np.float32), rate, 300).shape == (1, expected)


def test_the_right_rate_is_left_alone():
    signal = sine(5, 300)
    assert resample(signal, 300.0, 300) is signal


# Filtering


def scipy_filtered(signal: np.ndarray, low_hz: float | None, high_hz: float | None, notch_hz: float | None):
    """Forward and backward through scipy's filters, on the record mirrored for 200 s at both ends."""
    sections = []
    if low_hz:
        sections.append(butter(2, low_hz, "highpass", fs=300, output="sos"))
    if high_hz:
        sections.append(butter(2, high_hz, "lowpass", fs=300, output="sos"))
    if notch_hz:
        sections.append(tf2sos(*iirnotch(notch_hz, 30, fs=300)))
    padding = 60_000
    padded = np.pad(signal.astype(np.float64), ((0, 0), (padding, padding)), mode="symmetric")
    return sosfiltfilt(np.concatenate(sections), padded, axis=1, padtype=None)[:, padding:-padding]


@pytest.mark.parametrize(
    ("low_hz", "high_hz", "notch_hz", "tolerance"),
    [
        # The discrete filters of scipy warp near the Nyquist frequency, ours do not: hence the wider tolerances.
        (0.1, None, None, 5e-4),
        (None, None, 50.0, 5e-4),
        (0.5, 40.0, None, 1e-2),
        (0.1, 75.0, 50.0, 1e-2),
    ],
)
def test_the_filter_equals_scipys_forward_and_backward(
    low_hz: float | None, high_hz: float | None, notch_hz: float | None, tolerance: float
):
    signal = remove_line(heartbeats(leads=2, seconds=10, sampling_rate=300, wander_mv=0.3, powerline_mv=0.1))
    response = zero_phase_response(signal.shape[1], 300, low_hz, high_hz, notch_hz, 2, 30.0)
    filtered = filter_zero_phase(signal, response)
    assert filtered.dtype == np.float32
    difference = filtered - scipy_filtered(signal, low_hz, high_hz, notch_hz)
    assert np.abs(difference[:, 150:-150]).max() < tolerance  # of beats of 1 mV


def response_at(frequency_hz: float, samples: int = 6000) -> float:
    response = zero_phase_response(samples, 300, 0.1, 75.0, 50.0, 2, 30.0)
    return float(response[round(frequency_hz * 2 * samples / 300)])


def test_the_response_is_one_in_the_band_half_at_its_edges_and_zero_at_the_powerline():
    assert response_at(0.0) == 0.0
    assert response_at(50.0) == 0.0
    assert response_at(0.1) == pytest.approx(0.5, abs=0.01)
    assert response_at(75.0) == pytest.approx(0.5, abs=0.01)
    assert response_at(10.0) == pytest.approx(1.0, abs=1e-3)
    assert response_at(140.0) < 0.1


def test_filtering_delays_nothing():
    beat = np.zeros((1, 1501), dtype=np.float32)
    beat[0, 750] = 1.0
    filtered = filter_zero_phase(beat, zero_phase_response(1501, 300, 0.1, 75.0, None, 2, 30.0))
    assert filtered[0].argmax() == 750
    np.testing.assert_allclose(filtered, filtered[:, ::-1], atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 1000])
def test_remove_line_removes_any_straight_line(samples: int):
    line = (3.0 - 0.002 * np.arange(samples, dtype=np.float32))[None]
    np.testing.assert_allclose(remove_line(line), 0.0, atol=1e-5)


def test_remove_line_leaves_nothing_for_a_second_pass():
    once = remove_line(heartbeats(leads=3, seconds=4, sampling_rate=300) + np.float32(2.0))
    np.testing.assert_allclose(remove_line(once), once, atol=1e-5)


# Denoising


@pytest.mark.parametrize("wavelet", ["db6", "sym4", "haar"])
@pytest.mark.parametrize("samples", [299, 300, 1501, 3000])
def test_wavelets_reconstruct_perfectly_when_nothing_is_shrunk(wavelet: str, samples: int):
    signal = np.random.default_rng(0).normal(size=(3, samples)).astype(np.float32)
    coefficients = wavelet_coefficients(signal, wavelet, 4)
    restored = soft_threshold_denoise(coefficients, wavelet, np.zeros(3, dtype=np.float32), 300, samples)
    assert restored.shape == signal.shape
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, signal, atol=1e-5)


def test_denoising_equals_pywavelets_soft_threshold_of_every_detail():
    signal = np.random.default_rng(1).normal(size=(2, 900))
    noise = np.array([0.1, 0.3])
    coefficients = wavelet_coefficients(signal, "db6", 4)
    found = soft_threshold_denoise(coefficients, "db6", noise, 300, 900)
    for lead in range(2):
        bands = pywt.wavedec(signal[lead], "db6", mode="symmetric", level=4)
        threshold = noise[lead] * math.sqrt(2 * math.log(300))
        shrunk = [bands[0], *(pywt.threshold(band, threshold, mode="soft") for band in bands[1:])]
        np.testing.assert_allclose(found[lead], pywt.waverec(shrunk, "db6", mode="symmetric"), atol=1e-6)


def test_the_noise_level_is_the_standard_deviation_of_white_noise():
    noise = np.random.default_rng(2).normal(scale=[[0.02], [0.2]], size=(2, 30_000)).astype(np.float32)
    coefficients = wavelet_coefficients(noise, "db6", 4)
    for level in (1, 2):
        np.testing.assert_allclose(noise_levels(coefficients, level), [0.02, 0.2], rtol=0.05)


@pytest.mark.parametrize(("high_hz", "level"), [(None, 1), (150.0, 1), (75.0, 2), (40.0, 3), (37.5, 3)])
def test_noise_is_read_from_the_finest_band_that_the_low_pass_leaves(high_hz: float | None, level: int):
    assert noise_band_level(300, high_hz) == level


# Gaps and bad leads


def test_gaps_are_bridged_by_straight_lines_and_ends_are_held():
    signal = np.array([[np.nan, 1.0, np.nan, np.nan, 4.0, np.nan], [1.0] * 6, [np.nan] * 6], dtype=np.float32)
    filled = fill_gaps(signal, np.isnan(signal))
    np.testing.assert_allclose(filled, [[1, 1, 2, 3, 4, 4], [1] * 6, [0] * 6])
    assert np.isnan(signal[0, 0]), "the caller's array is left alone"


def test_flat_railed_saturated_and_missing_leads_are_found():
    signal = heartbeats(leads=6, seconds=10, sampling_rate=250)
    signal[1] = 0.4
    signal[2] = np.clip(3 * sine(1.0, 250), -1.0, 1.0)
    signal[3] = 300 * signal[3]
    signal[4] = np.nan
    names = ["I", "II", "V1", "V2", "V3", "V4"]
    found = assess_leads(signal, 250, names)
    assert found.unusable == {1: "flat", 2: "railed", 3: "saturated", 4: "missing"}
    assert found.missing[4].all() and not found.missing[[0, 1, 2, 3, 5]].any()


@pytest.mark.parametrize(
    ("factor", "likely"),
    [(1e3, r"microvolts \(unit='uV'\)"), (1e6, r"nanovolts \(unit='nV'\) or unscaled integers")],
)
def test_amplitudes_that_no_ecg_has_name_the_likely_unit(factor: float, likely: str):
    signal = heartbeats(leads=3, seconds=5, sampling_rate=250, wander_mv=0.3) * np.float32(factor)
    with pytest.raises(ValueError, match=rf"deviates by .* mV .* no ECG exceeds 20 mV: these are probably {likely}"):
        assess_leads(signal, 250, ["I", "II", "III"])


def test_dead_leads_neither_hide_a_wrong_unit_nor_look_like_one():
    signal = np.zeros((5, 1250), dtype=np.float32)
    signal[0] = heartbeats(leads=1, seconds=5, sampling_rate=250)
    names = ["I", "II", "III", "V1", "V2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert assess_leads(signal, 250, names).unusable == dict.fromkeys((1, 2, 3, 4), "flat")
    signal[0] *= 1000
    signal[0] += 300 * sine(1.0, 250, seconds=5)[0]
    with pytest.raises(ValueError, match="probably microvolts"):
        assess_leads(signal, 250, names)


def test_an_infinite_sample_is_an_error_that_names_the_lead():
    signal = heartbeats(leads=3, seconds=5, sampling_rate=250)
    signal[1, 70] = -np.inf
    with pytest.raises(ValueError, match="lead II has infinite samples: expected finite numbers, or NaN"):
        assess_leads(signal, 250, ["I", "II", "III"])


@pytest.mark.parametrize(("factor", "span"), [(0.02, "0.018"), (12.0, "10.9")])
def test_an_unusual_amplitude_is_noted(factor: float, span: str):
    signal = heartbeats(leads=3, seconds=5, sampling_rate=250) * np.float32(factor)
    (note,) = assess_leads(signal, 250, ["I", "II", "III"]).notes
    assert re.search(rf"median range of a lead is {span}.* mV, outside the usual 0.1-10 mV", note)


def test_volts_taken_for_millivolts_are_noted():
    signal = heartbeats(leads=3, seconds=5, sampling_rate=250) * np.float32(1e-3)
    quality = assess_leads(signal, 250, ["I", "II", "III"])
    assert quality.unusable == {0: "flat", 1: "flat", 2: "flat"}
    assert "if these are volts, pass unit='V'" in quality.notes[0]


def test_one_saturated_lead_of_two_is_masked():
    signal = heartbeats(leads=2, seconds=5, sampling_rate=250) * np.float32([[100.0], [1.0]])
    assert assess_leads(signal, 250, ["I", "II"]).unusable == {0: "saturated"}


def test_noise_is_not_read_from_interpolated_samples():
    rng = np.random.default_rng(0)
    noisy = rng.normal(scale=0.03, size=(2, 3000)).astype(np.float32)
    missing = np.zeros((2, 3000), dtype=bool)
    missing[1, 600:2700] = True
    noisy[missing] = 0.0
    coefficients = wavelet_coefficients(noisy, "db6", 4)
    blind, aware = noise_levels(coefficients, 2), noise_levels(coefficients, 2, missing)
    assert blind[1] < 0.01
    assert aware == pytest.approx([blind[0], 0.03], rel=0.2)


# Patches


@pytest.mark.parametrize(
    ("samples", "patches"), [(0, 0), (149, 0), (150, 1), (300, 1), (449, 1), (450, 2), (3000, 10), (3149, 10)]
)
def test_a_last_partial_patch_counts_from_one_half(samples: int, patches: int):
    assert count_patches(samples, 300) == patches
    assert cut_patches(np.ones((2, samples), dtype=np.float32), 300).shape == (2, patches, 300)


def test_odd_patches_count_from_one_half_too():
    assert [count_patches(samples, 75) for samples in (37, 38, 74, 75, 112, 113)] == [0, 1, 1, 1, 1, 2]


def test_patches_are_the_signal_in_order_padded_with_zeros():
    signal = np.arange(2 * 10, dtype=np.float32).reshape(2, 10)
    patches = cut_patches(signal, 4)
    assert patches[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]
    assert cut_patches(signal[:, :9], 4)[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
