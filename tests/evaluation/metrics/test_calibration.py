# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Reliability curves and calibration errors, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from anyecg_hf.evaluation.metrics import (
    bootstrap_interval,
    macro_calibration_error,
    one_hot,
    per_class_calibration_error,
    reliability_curve,
    top_class_calibration_error,
    top_class_reliability,
)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_curve_counts_what_happened_in_each_bin():
    curve = reliability_curve(np.array([0, 1, 1, 1]), np.array([0.1, 0.3, 0.7, 0.9]), bins=2)
    assert curve.edges.tolist() == [0.0, 0.5, 1.0]
    assert curve.counts.tolist() == [2, 2]
    assert curve.mean_probabilities.tolist() == pytest.approx([0.2, 0.8])
    assert curve.shares.tolist() == [0.5, 1.0]
    assert curve.expected_calibration_error == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)


def test_a_bin_is_closed_above_and_the_first_holds_zero():
    curve = reliability_curve(np.array([0, 0, 1, 1]), np.array([0.0, 0.5, 0.75, 1.0]), bins=4)
    assert curve.counts.tolist() == [1, 1, 1, 1]
    curve = reliability_curve(np.array([0, 1]), np.array([0.5, 0.5000001]), bins=2)
    assert curve.counts.tolist() == [1, 1]


def test_an_empty_bin_is_nan_in_the_curve_and_nothing_in_the_error():
    curve = reliability_curve(np.array([1, 0]), np.array([0.9, 0.9]), bins=10)
    assert np.isnan(curve.shares[:8]).all() and curve.counts.sum() == 2
    assert curve.expected_calibration_error == pytest.approx(0.4)


def test_the_curve_equals_scikit_learn(generator):
    probabilities = generator.random(500)
    outcomes = (generator.random(500) < probabilities**2).astype(int)
    shares, means = calibration_curve(outcomes, probabilities, n_bins=15)
    curve = reliability_curve(outcomes, probabilities)
    np.testing.assert_allclose(curve.shares, shares, rtol=1e-12)
    np.testing.assert_allclose(curve.mean_probabilities, means, rtol=1e-12)


def test_a_calibrated_system_has_a_small_error_and_a_confident_one_that_of_its_confidence(generator):
    probabilities = generator.random((20_000, 2))
    labels = generator.random((20_000, 2)) < probabilities
    assert per_class_calibration_error(labels, probabilities).max() < 0.02
    assert macro_calibration_error(labels, np.ones((20_000, 2))) == pytest.approx(1 - labels.mean())


def test_the_errors_of_several_classes_are_those_of_each(generator):
    probabilities = generator.random((100, 3))
    labels = generator.random((100, 3)) < 0.3
    expected = [reliability_curve(labels[:, c], probabilities[:, c], 10).expected_calibration_error for c in range(3)]
    np.testing.assert_allclose(per_class_calibration_error(labels, probabilities, bins=10), expected)
    assert macro_calibration_error(labels, probabilities, bins=10) == pytest.approx(np.mean(expected))


def test_of_a_single_label_problem_the_most_likely_class_is_judged():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6], [0.3, 0.6, 0.1], [0.45, 0.45, 0.1]])
    labels = one_hot(np.array([0, 1, 1, 1]), 3)
    curve = top_class_reliability(labels, probabilities, bins=2)
    # Of the tie in the last row the first class counts, which is wrong: .45 in the lower bin.
    assert curve.counts.tolist() == [1, 3]
    assert curve.shares.tolist() == pytest.approx([0.0, 2 / 3])
    assert curve.mean_probabilities.tolist() == pytest.approx([0.45, 2 / 3])
    assert top_class_calibration_error(labels, probabilities, bins=2) == pytest.approx(0.45 / 4)


def test_calibration_errors_can_be_bootstrapped_with_absent_classes(generator):
    probabilities = generator.dirichlet([1, 1, 1], size=80)
    labels = one_hot(generator.integers(2, size=80), 3)
    for metric in (macro_calibration_error, top_class_calibration_error):
        interval = bootstrap_interval(metric, labels, probabilities, resamples=50)
        assert interval.resamples == 50 and interval.estimate == metric(labels, probabilities)


def test_few_records_make_the_error_of_a_calibrated_system_too_high_as_the_module_says(generator):
    probabilities = generator.random((60, 1))
    labels = generator.random((60, 1)) < probabilities
    interval = bootstrap_interval(macro_calibration_error, labels, probabilities, resamples=300)
    assert interval.estimate > 0.05
    assert (interval.low + interval.high) / 2 > interval.estimate


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[1.2, 0.0], [0.1, 0.2]], "between 0 and 1, found 0 to 1.2: apply the sigmoid"),
        ([[-3.0, 0.0], [0.1, 0.2]], "found -3 to 0.2"),
        ([[np.nan, 0.0], [0.1, 0.2]], "`scores` must be finite"),
        ([[0.1, 0.2]], "`scores` must have the shape of `labels`"),
    ],
)
def test_what_is_no_probability_is_refused(probabilities, message):
    for metric in (macro_calibration_error, top_class_calibration_error):
        with pytest.raises(ValueError, match=message):
            metric(np.eye(2), np.array(probabilities))


def test_what_is_no_single_label_problem_is_refused():
    with pytest.raises(ValueError, match="of record 1 add up to 0.3"):
        top_class_calibration_error(np.eye(2), np.array([[0.5, 0.5], [0.1, 0.2]]))
    with pytest.raises(ValueError, match="must hold one class .* first row 0 with 2"):
        top_class_calibration_error(np.ones((2, 2)), np.full((2, 2), 0.5))


def test_bins_and_shapes_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="`bins` must be at least 1, got 0"):
        reliability_curve(np.array([0, 1]), np.array([0.1, 0.2]), bins=0)
    with pytest.raises(ValueError, match=r"must both be \(records,\), got \(2,\) and \(3,\)"):
        reliability_curve(np.array([0, 1]), np.zeros(3))
    with pytest.raises(ValueError, match=r"must both be \(records,\), got \(1, 1\)"):
        reliability_curve(np.zeros((1, 1)), np.zeros((1, 1)))
