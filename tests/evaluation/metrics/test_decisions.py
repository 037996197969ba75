# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Accuracy, F1 and thresholds, against scikit-learn and brute force."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from tests.evaluation.metrics.drawn_scores import noisy_scores, random_labels

from anyecg_hf.evaluation.metrics import (
    accuracy,
    best_thresholds,
    highest_class,
    macro_f1,
    one_hot,
    per_class_accuracy,
    per_class_f1,
    weighted_f1,
)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_f1_equals_scikit_learn_at_one_threshold_and_at_one_a_class(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    np.testing.assert_allclose(per_class_f1(labels, scores), f1_score(labels, scores >= 0.5, average=None), rtol=1e-12)
    thresholds = np.array([0.1, 0.6, 1.2])
    expected = f1_score(labels, scores >= thresholds, average=None)
    np.testing.assert_allclose(per_class_f1(labels, scores, thresholds), expected, rtol=1e-12)
    assert macro_f1(labels, scores, thresholds) == pytest.approx(expected.mean(), rel=1e-12)


def test_f1_is_zero_where_nothing_is_found():
    assert per_class_f1(np.array([[1], [0]]), np.array([[0.2], [0.3]])).tolist() == [0.0]


@pytest.mark.parametrize("decimals", [8, 1])
def test_no_other_threshold_gives_a_higher_f1(generator, decimals):
    labels = random_labels(generator, 80)
    scores = noisy_scores(generator, labels).round(decimals)
    best = per_class_f1(labels, scores, best_thresholds(labels, scores))
    others = [per_class_f1(labels, scores, threshold) for threshold in np.unique(scores)]
    np.testing.assert_allclose(best, np.max(others, axis=0), rtol=1e-12)


def test_the_best_threshold_lies_half_way_between_scores_and_is_the_highest_of_equals():
    labels = np.array([[1], [1], [0], [0]])
    assert best_thresholds(labels, np.array([[0.8], [0.6], [0.2], [0.1]])).tolist() == pytest.approx([0.4])
    # Accepting the first record alone or all four gives 2/3; the former needs the higher threshold.
    labels = np.array([[1], [0], [0], [1]])
    scores = np.array([[4.0], [3.0], [2.0], [1.0]])
    assert per_class_f1(labels, scores, 3.5) == per_class_f1(labels, scores, 0.5) == pytest.approx([2 / 3])
    assert best_thresholds(labels, scores).tolist() == [3.5]


def test_the_best_threshold_parts_neighbouring_floats():
    scores = np.array([[1.0], [np.nextafter(1.0, 0.0)]])
    labels = np.array([[1], [0]])
    assert per_class_f1(labels, scores, best_thresholds(labels, scores)).tolist() == [1.0]


def test_the_best_threshold_accepts_every_record_where_that_is_best():
    labels = np.array([[1], [1], [0], [1]])
    scores = np.array([[0.4], [0.3], [0.2], [0.1]])
    assert best_thresholds(labels, scores).tolist() == [0.1]


def test_thresholds_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match=r"one for each of the 2 classes, got shape \(3,\)"):
        macro_f1(np.eye(2), np.eye(2), np.zeros(3))


def test_accuracy_and_f1_of_multi_label_decisions_equal_scikit_learn(generator):
    labels = random_labels(generator)
    scores, thresholds = noisy_scores(generator, labels), np.array([0.2, 0.5, 0.8])
    decided = scores >= thresholds
    assert accuracy(labels, scores, thresholds) == pytest.approx(accuracy_score(labels, decided), rel=1e-12)
    expected = f1_score(labels, decided, average="weighted")
    assert weighted_f1(labels, scores, thresholds) == pytest.approx(expected, rel=1e-12)
    expected = [accuracy_score(labels[:, column], decided[:, column]) for column in range(3)]
    np.testing.assert_allclose(per_class_accuracy(labels, scores, thresholds), expected, rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_accuracy_and_f1_of_single_label_decisions_equal_scikit_learn(generator, n_classes):
    classes = generator.integers(n_classes, size=150)
    labels = one_hot(classes, n_classes)
    scores = noisy_scores(generator, labels)
    decided, decisions = scores.argmax(axis=1), highest_class(scores)
    assert accuracy(labels, decisions) == pytest.approx(accuracy_score(classes, decided), rel=1e-12)
    for metric, average in ((macro_f1, "macro"), (weighted_f1, "weighted")):
        assert metric(labels, decisions) == pytest.approx(f1_score(classes, decided, average=average), rel=1e-12)


def test_a_binary_problem_in_one_column_has_the_usual_accuracy_and_the_f1_of_the_positives(generator):
    labels = random_labels(generator, shares=[0.4])
    decided = noisy_scores(generator, labels) >= 0.5
    assert accuracy(labels, decided) == pytest.approx(accuracy_score(labels[:, 0], decided[:, 0]))
    assert weighted_f1(labels, decided) == pytest.approx(f1_score(labels[:, 0], decided[:, 0]))
    both = np.concatenate([~decided, decided], axis=1)
    expected = f1_score(labels[:, 0], decided[:, 0], average="weighted")
    assert weighted_f1(one_hot(labels[:, 0], 2), both) == pytest.approx(expected)


def test_absent_classes_are_no_error_of_accuracy_and_weighted_f1_but_their_false_alarms_count():
    labels, decisions = np.array([[1, 0], [1, 0]]), np.array([[1, 0], [1, 1]])
    assert accuracy(labels, decisions) == 0.5
    assert per_class_accuracy(labels, decisions).tolist() == [1.0, 0.5]
    assert weighted_f1(labels, decisions) == 1.0
    with pytest.raises(ValueError, match="class 0 has no negatives"):
        macro_f1(labels, decisions)
    with pytest.raises(ValueError, match="none of the 2 records has any class"):
        weighted_f1(np.zeros((2, 2)), decisions)


def test_what_does_not_fit_is_refused_where_absent_classes_are_not():
    for metric in (accuracy, weighted_f1, per_class_accuracy):
        with pytest.raises(ValueError, match=r"zeros and ones only, found \[2\]"):
            metric(np.array([[2, 0]]), np.zeros((1, 2)))
        with pytest.raises(ValueError, match=r"shape of `labels`, \(2, 2\), got \(2, 1\)"):
            metric(np.eye(2), np.zeros((2, 1)))
        with pytest.raises(ValueError, match="1 records hold NaN"):
            metric(np.eye(2), np.array([[0.1, np.nan], [0.3, 0.4]]))


def test_thresholds_can_be_bound_beforehand(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    bound = partial(accuracy, thresholds=np.array([0.1, 0.2, 0.3]))
    assert bound(labels, scores) == accuracy(labels, scores >= [0.1, 0.2, 0.3])
