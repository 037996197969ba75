# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The baseline that knows only how often classes occur."""

import numpy as np
import pytest

from anyecg_hf.evaluation import MajorityBaseline
from anyecg_hf.evaluation.metrics import accuracy, highest_class, macro_auprc, macro_auroc, one_hot


def test_every_record_gets_the_frequencies_of_training():
    baseline = MajorityBaseline.fit(np.array([[1, 0], [1, 1], [1, 0], [0, 0]]))
    assert baseline.scores(2).tolist() == [[0.75, 0.25], [0.75, 0.25]]


def test_its_accuracy_is_the_share_of_the_most_frequent_class_and_its_auroc_one_half():
    labels = one_hot(np.array([0, 1, 1, 2, 1]), 3)
    scores = MajorityBaseline.fit(labels, problem_type="single_label_classification").scores(5)
    assert accuracy(labels, highest_class(scores)) == 0.6
    assert macro_auroc(labels, scores) == 0.5
    assert macro_auprc(labels, scores) == pytest.approx(1 / 3)


def test_a_class_absent_from_training_has_frequency_zero():
    assert MajorityBaseline.fit(np.array([[1, 0], [1, 0]])).scores(1).tolist() == [[1.0, 0.0]]


def test_labels_that_are_none_are_refused():
    with pytest.raises(ValueError, match="every row of `labels_train` must hold one class"):
        MajorityBaseline.fit(np.array([[1, 1]]), problem_type="single_label_classification")
    with pytest.raises(ValueError, match="`problem_type` must be one of"):
        MajorityBaseline.fit(np.eye(2), problem_type="multi")
    with pytest.raises(ValueError, match=r"`labels_train` must be \(records, classes\)"):
        MajorityBaseline.fit(np.array([1, 0]))
