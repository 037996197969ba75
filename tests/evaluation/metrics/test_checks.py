# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What labels and scores are refused, and the single-label forms."""

import numpy as np
import pytest

from anyecg_hf.evaluation.metrics import (
    best_thresholds,
    check_labels,
    check_problem_type,
    check_single_labels,
    highest_class,
    macro_auprc,
    macro_auroc,
    macro_f1,
    one_hot,
    per_class_auprc,
    per_class_auroc,
    per_class_f1,
)

METRICS = [per_class_auroc, macro_auroc, per_class_auprc, macro_auprc, per_class_f1, macro_f1, best_thresholds]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1, 0], [0, 0], [1, 0]], "class 'HYP' has no positives among the 3 records"),
        ([[1, 1], [0, 1], [1, 1]], "class 'HYP' has no negatives among the 3 records"),
        ([[1, 0], [0, 1], [1, 2]], r"zeros and ones only, found \[2\]"),
        ([1, 0, 1], r"must be \(records, classes\) with at least one of each, got shape \(3,\)"),
        ([[1], [0], [1]], "2 names for the 1 classes"),
    ],
)
def test_labels_that_leave_a_metric_undefined_are_refused(metric, labels, message):
    with pytest.raises(ValueError, match=message):
        metric(np.array(labels), np.zeros((3, 2)), class_names=["MI", "HYP"])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[0.1, 0.2]], r"shape of `labels`, \(2, 2\), got \(1, 2\)"),
        (
            [[0.1, 0.2], [np.nan, 0.1]],
            "`scores` must be finite: 1 records hold NaN or infinity, first record 1",
        ),
        ([[np.inf, 0.2], [0.3, 0.1]], "`scores` must be finite"),
    ],
)
def test_scores_that_do_not_fit_are_refused(metric, scores, message):
    with pytest.raises(ValueError, match=message):
        metric(np.eye(2), np.array(scores))


def test_an_absent_class_without_a_name_is_called_by_its_column():
    with pytest.raises(ValueError, match="class 1 has no positives"):
        macro_auroc(np.array([[1, 0], [0, 0]]), np.zeros((2, 2)))


def test_absent_classes_pass_where_they_may():
    labels = check_labels(np.array([[1, 0], [1, 0]]), every_class=False)
    assert labels.dtype == np.bool_ and labels.tolist() == [[True, False], [True, False]]


def test_class_indices_become_one_column_a_class():
    assert one_hot(np.array([2, 0]), 3).tolist() == [[False, False, True], [True, False, False]]
    assert highest_class(np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2]])).argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (np.array([0, 3]), r"whole numbers from 0 to 2, found \[3\]"),
        (np.array([0, -1]), r"found \[-1\]"),
        (np.array([0.5, 1.0]), r"found \[0.5\]"),
        (np.array([np.nan, 1.0]), r"found \[nan\]"),
        (np.array([[0, 1]]), r"must be \(records,\), one index a record, got shape \(1, 2\)"),
    ],
)
def test_what_is_no_class_index_is_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        one_hot(classes, 3)


def test_scores_without_a_highest_class_are_refused():
    with pytest.raises(ValueError, match="1 records hold NaN or infinity, first record 1"):
        highest_class(np.array([[0.1, 0.2], [np.nan, 0.3]]))
    with pytest.raises(ValueError, match=r"got shape \(2,\)"):
        highest_class(np.array([0.1, 0.2]))


def test_rows_without_one_class_are_no_single_labels():
    check_single_labels(np.eye(3, dtype=bool))
    with pytest.raises(ValueError, match="hold one class in a single-label problem: 2 rows do not, first row 1 with 0"):
        check_single_labels(np.array([[1, 0], [0, 0], [1, 1]], dtype=bool))


def test_a_problem_type_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="must be one of multi_label_classification, .*, got 'regression'"):
        check_problem_type("regression")
