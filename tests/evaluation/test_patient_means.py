# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anyecg_hf.evaluation.evaluation_configs import BootstrapConfig
from anyecg_hf.evaluation.metrics import mean_interval
from anyecg_hf.evaluation.patient_means import MIN_PATIENTS, patient_mean, patient_of, shown
from anyecg_hf.training.leaks import RowKey

VALUES = np.random.default_rng(0).normal(size=(60, 3))
PATIENTS = [f"p{number // 2}" for number in range(60)]


def test_the_interval_is_that_of_the_bootstrap_over_patients():
    found = patient_mean(VALUES, PATIENTS, BootstrapConfig(resamples=4000))
    expected = mean_interval(VALUES.ravel(), groups=np.repeat(PATIENTS, 3), resamples=4000)
    assert found["estimate"] == pytest.approx(expected.estimate)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high), abs=0.02)
    assert (found["values"], found["patients"], found["resamples"]) == (180, 30, 4000)


def test_undefined_values_do_not_count():
    values = VALUES.copy()
    values[:, 1] = np.nan
    values[0] = np.nan
    found = patient_mean(values, PATIENTS, BootstrapConfig())
    assert found["estimate"] == pytest.approx(np.nanmean(values)) and found["values"] == 118
    assert patient_mean(np.full((60, 3), np.nan), PATIENTS, BootstrapConfig()) is None


def test_few_patients_get_no_interval():
    found = patient_mean(VALUES[:38], PATIENTS[:38], BootstrapConfig())
    assert found["patients"] == MIN_PATIENTS - 1 and found["low"] is found["high"] is None
    assert shown(found) == f"{VALUES[:38].mean():.3f}"
    assert patient_mean(VALUES[:40], PATIENTS[:40], BootstrapConfig())["low"] is not None


def test_a_patient_is_needed_for_every_record():
    with pytest.raises(ValueError, match="a patient for each of 60 records, got 59"):
        patient_mean(VALUES, PATIENTS[1:], BootstrapConfig())


def test_means_are_shown_with_what_there_is():
    assert shown(None) == "-"
    assert shown({"estimate": 1.0, "low": 0.5, "high": 1.25}, 2, signed=True) == "+1.00 [+0.50, +1.25]"


def test_patients_are_told_apart_across_corpora_and_unknown_ones_by_their_record():
    assert patient_of(RowKey("ptb-xl", "00003_hr", "3", "aa")) == ("patient", "ptb-xl", "3")
    unknown = [patient_of(RowKey("georgia", name, None, print_)) for name, print_ in (("E1", "aa"), ("E2", "bb"))]
    assert unknown == [("record", "georgia", "E1", "aa"), ("record", "georgia", "E2", "bb")]
