# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Areas under the ROC and the precision-recall curve, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from tests.evaluation.metrics.drawn_scores import noisy_scores, random_labels

from anyecg_hf.evaluation.metrics import macro_auprc, macro_auroc, one_hot, per_class_auprc, per_class_auroc


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_auroc_is_the_share_of_pairs_in_the_right_order_with_ties_counting_half():
    labels = np.array([[1], [1], [0], [0]])
    scores = np.array([[0.9], [0.4], [0.4], [0.1]])
    assert per_class_auroc(labels, scores) == pytest.approx([3.5 / 4])


@pytest.mark.parametrize("decimals", [8, 1])
def test_auroc_equals_scikit_learn_with_and_without_ties(generator, decimals):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels).round(decimals)
    np.testing.assert_allclose(per_class_auroc(labels, scores), roc_auc_score(labels, scores, average=None), rtol=1e-12)
    assert macro_auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, average="macro"), rel=1e-12)


def test_auroc_depends_on_the_order_of_scores_alone(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    assert macro_auroc(labels, scores) == macro_auroc(labels.astype(bool), np.exp(scores))
    assert macro_auroc(labels, -scores) == pytest.approx(1 - macro_auroc(labels, scores), rel=1e-12)


def test_a_binary_problem_is_one_column_and_a_single_label_one_is_each_class_against_the_rest(generator):
    classes = generator.integers(3, size=150)
    scores = noisy_scores(generator, one_hot(classes, 3))
    expected = [roc_auc_score(classes == index, scores[:, index]) for index in range(3)]
    np.testing.assert_allclose(per_class_auroc(one_hot(classes, 3), scores), expected, rtol=1e-12)
    binary = (classes == 1)[:, None]
    assert macro_auroc(binary, scores[:, 1:2]) == pytest.approx(expected[1], rel=1e-12)


def test_average_precision_is_recall_gained_times_precision_there():
    # Hits at ranks 1 and 3: half the recall at precision 1, half at 2/3.
    labels = np.array([[1], [0], [1], [0]])
    scores = np.array([[0.9], [0.8], [0.7], [0.1]])
    assert per_class_auprc(labels, scores) == pytest.approx([0.5 * 1 + 0.5 * 2 / 3])
    # Equal scores are accepted together, whatever their order.
    assert per_class_auprc(labels, np.full((4, 1), 0.5)) == pytest.approx([0.5])


@pytest.mark.parametrize("decimals", [8, 1])
def test_auprc_equals_scikit_learn_with_and_without_ties(generator, decimals):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels).round(decimals)
    expected = average_precision_score(labels, scores, average=None)
    np.testing.assert_allclose(per_class_auprc(labels, scores), expected, rtol=1e-12)
    assert macro_auprc(labels, scores) == pytest.approx(expected.mean(), rel=1e-12)
