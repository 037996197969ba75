# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anyecg_hf.evaluation.baselines.handcrafted import find_beats
from anyecg_hf.web.samples import SAMPLES, sample_record, simulated_record


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_simulated_says_so_and_is_always_the_same(name):
    record = sample_record(name)
    assert record.record_id.startswith("simulated") and record.comments == ("Simulated: no person's heart.",)
    assert np.isfinite(record.signal_mv).all() and 0.5 < np.abs(record.signal_mv).max() < 4
    np.testing.assert_array_equal(record.signal_mv, SAMPLES[name]().signal_mv)


def test_the_laws_of_the_limb_leads_hold():
    record = simulated_record("a", 10, 70, 1)
    one, two, three, avr, avl, avf = record.signal_mv[:6]
    np.testing.assert_allclose(one + three, two, atol=1e-5)
    np.testing.assert_allclose(avr + avl + avf, 0, atol=1e-5)
    np.testing.assert_allclose(avf, (two + three) / 2, atol=1e-5)


@pytest.mark.parametrize("heart_rate", [50, 70, 110])
def test_it_beats_at_the_rate_asked_for(heart_rate):
    record = simulated_record("a", 30, heart_rate, 5)
    beats = find_beats(record.signal_mv, record.sampling_rate)
    assert np.diff(beats).mean() / record.sampling_rate == pytest.approx(60 / heart_rate, rel=0.04)


def test_an_irregular_one_is_irregular():
    regular, irregular = (simulated_record("a", 30, 80, 5, irregular=flag).signal_mv for flag in (False, True))
    spreads = [np.diff(find_beats(signal, 500)).std() / 500 for signal in (regular, irregular)]
    assert spreads[0] < 0.05 < 0.1 < spreads[1]


def test_v1_points_down_and_v6_up():
    record = simulated_record("a", 10, 70, 1)
    for name, sign in (("V1", -1), ("V6", 1)):
        lead = record.signal_mv[record.lead_names.index(name)]
        assert np.sign(lead[np.abs(lead).argmax()]) == sign


def test_an_unknown_sample_is_refused():
    with pytest.raises(ValueError, match="there is no sample '../x': choose one of 12 leads, 70 a minute, "):
        sample_record("../x")
