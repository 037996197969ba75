# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What `plot_ecg` refuses, and how it cuts and centres what it accepts."""

import numpy as np
import pytest

from anyecg_hf.plotting import plot_ecg
from anyecg_hf.plotting.view import ECGView, make_view

LEADS = ["II", "V5"]
SIGNAL = np.zeros((2, 3000), dtype=np.float32)


def view_of(signal_mv: np.ndarray, **changes) -> ECGView:
    arguments = {
        "reconstruction_mv": None,
        "reconstruction_rate": 300.0,
        "codes": None,
        "patch_seconds": 1.0,
        "unusable": None,
        "start_s": 0.0,
        "duration_s": 10.0,
    }
    return make_view(signal_mv, 300, LEADS, **{**arguments, **changes})


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.zeros(3000), r"`signal_mv` must have shape \(leads, samples\), got \(3000,\)"),
        (np.zeros((1, 2, 3000)), r"must have shape \(leads, samples\), got \(1, 2, 3000\)"),
        (np.zeros((3000, 2)), r"3000 leads, but `lead_names` has 2 names. It looks like \(samples, leads\)"),
        (np.zeros((3, 3000)), r"has shape \(3, 3000\), that is 3 leads, but `lead_names` has 2 names\.$"),
        (np.zeros((2, 0)), r"`signal_mv` is empty: shape \(2, 0\)"),
    ],
)
def test_signals_of_the_wrong_shape_are_refused(signal, message):
    with pytest.raises(ValueError, match=message):
        plot_ecg(signal, 300, LEADS)


def test_a_reconstruction_of_other_leads_is_refused():
    with pytest.raises(ValueError, match=r"`reconstruction_mv` has shape \(1, 3000\), that is 1 leads"):
        plot_ecg(SIGNAL, 300, LEADS, reconstruction_mv=np.zeros((1, 3000)))


@pytest.mark.parametrize("rate", [0, -500, float("nan"), float("inf")])
def test_rates_that_are_not_positive_are_refused(rate):
    with pytest.raises(ValueError, match="`sampling_rate` must be a positive number of Hz, got"):
        plot_ecg(SIGNAL, rate, LEADS)
    with pytest.raises(ValueError, match="`reconstruction_rate` must be a positive number of Hz, got"):
        plot_ecg(SIGNAL, 300, LEADS, reconstruction_mv=SIGNAL, reconstruction_rate=rate)


@pytest.mark.parametrize("shape", [(10,), (3, 10), (1, 2, 10, 1)])
def test_codes_of_the_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"`codes` must have shape \(leads, patches\) or .* with 2 leads, got"):
        plot_ecg(SIGNAL, 300, LEADS, codes=np.zeros(shape, dtype=np.int64))


def test_codes_that_are_not_integers_are_refused():
    with pytest.raises(TypeError, match="`codes` must be integers, got float64"):
        plot_ecg(SIGNAL, 300, LEADS, codes=np.zeros((2, 10)))


def test_codes_without_a_quantizer_are_refused():
    with pytest.raises(ValueError, match="`codes` has no quantizers"):
        plot_ecg(SIGNAL, 300, LEADS, codes=np.zeros((2, 10, 0), dtype=np.int64))


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ({"start_s": 10.0}, "`start_s` must lie in the record, from 0 to below 10 s, got 10"),
        ({"start_s": -1.0}, "`start_s` must lie in the record"),
        ({"start_s": 9.999}, "No sample lies between `start_s` and its end, 9.999 to 10.0 s at 300 Hz"),
        ({"duration_s": 0.0}, "`duration_s` must be a positive number of seconds, got 0"),
        ({"duration_s": 3600.0}, "a figure holds at most 60 s. Draw longer records piece by piece with `start_s`"),
        ({"patch_seconds": 0.0}, "`patch_seconds` must be a positive number of seconds, got 0"),
        ({"unusable": {2: "flat"}}, r"`unusable` names the lead indices \[2\], but the record has 2 leads"),
    ],
)
def test_windows_and_leads_outside_the_record_are_refused(window, message):
    with pytest.raises(ValueError, match=message):
        plot_ecg(SIGNAL, 300, LEADS, **window)


def test_the_median_of_the_window_is_subtracted_and_the_callers_array_is_left_alone():
    signal = np.arange(6000, dtype=np.float32).reshape(2, 3000) + 500
    before = signal.copy()
    view = view_of(signal, start_s=2.0, duration_s=1.0)
    np.testing.assert_array_equal(signal, before)
    np.testing.assert_array_equal(view.record.values_mv, np.tile(np.arange(300) - 149.5, (2, 1)))
    assert view.record.values_mv.dtype == np.float32
    assert view.record.times_s[0] == 2.0


def test_stretches_of_a_lead_end_before_the_next_one_begins_at_odd_rates():
    signal = np.random.default_rng(0).normal(size=(2, 2570)).astype(np.float32)
    view = make_view(
        signal,
        257,
        LEADS,
        reconstruction_mv=None,
        reconstruction_rate=300.0,
        codes=None,
        patch_seconds=1.0,
        unusable=None,
        start_s=0.0,
        duration_s=10.0,
    )
    pieces = [view.record.stretch(0, 2.5 * column, 2.5 * (column + 1))[0] for column in range(4)]
    np.testing.assert_allclose(np.concatenate(pieces), np.arange(2570) / 257)


def test_the_reconstruction_is_centred_with_the_record_over_the_seconds_that_both_have():
    ramp = np.tile(np.arange(3000, dtype=np.float32), (2, 1))
    ramp[1, :600] = np.nan
    codes = np.zeros((2, 10), dtype=np.int64)
    codes[0, 7:] = -1
    view = view_of(ramp, reconstruction_mv=np.arange(6000).reshape(2, 3000) + 40, codes=codes)
    difference = view.reconstruction.values_mv - view.record.values_mv
    np.testing.assert_array_equal(difference[~np.isnan(difference)], 0)


def test_the_reconstruction_is_blank_where_there_is_no_code():
    codes = np.zeros((2, 8), dtype=np.int64)
    codes[1, 3] = -1
    view = view_of(SIGNAL, reconstruction_mv=np.ones((2, 3000)), codes=codes)
    blank = np.isnan(view.reconstruction.values_mv)
    assert np.flatnonzero(blank[0]).tolist() == list(range(2400, 3000))
    assert np.flatnonzero(blank[1]).tolist() == [*range(900, 1200), *range(2400, 3000)]
    np.testing.assert_array_equal(view.reconstruction.values_mv[~blank], 0)
