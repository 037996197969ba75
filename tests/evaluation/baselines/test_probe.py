# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The linear probe: what it learns, what it chooses, what it refuses."""

import sys
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from anyecg_hf.evaluation import fit_linear_probe, macro_auroc
from anyecg_hf.evaluation.baselines.probe import INVERSE_REGULARISATIONS
from anyecg_hf.evaluation.metrics import one_hot


@dataclass(frozen=True)
class Fold:
    features: np.ndarray
    labels: np.ndarray


def make_fold(seed: int, records: int = 150, nuisance: int = 0, noise: float = 1.0) -> Fold:
    """Three classes read from three of six features in very different scales, and features that mean nothing."""
    generator = np.random.default_rng(seed)
    signal = generator.normal(size=(records, 6))
    labels = (signal[:, :3] + noise * generator.normal(size=(records, 3)) > [0.0, 0.5, 1.0]).astype(int)
    features = 5.0 + signal * [1e-3, 1.0, 1e3, 1.0, 1.0, 1.0]
    return Fold(np.concatenate([features, generator.normal(size=(records, nuisance))], axis=1), labels)


@pytest.fixture(scope="module")
def train() -> Fold:
    return make_fold(0)


@pytest.fixture(scope="module")
def validation() -> Fold:
    return make_fold(1)


def fit(train: Fold, validation: Fold, **arguments):
    return fit_linear_probe(train.features, train.labels, validation.features, validation.labels, **arguments)


def test_the_probe_reads_labels_from_features_of_any_scale(train, validation):
    test = make_fold(2, records=600)
    scores = fit(train, validation).scores(test.features)
    assert scores.shape == (600, 3)
    assert scores.min() > 0 and scores.max() < 1
    # Theory: the ideal direction seen through as much noise as signal gives .78-.84 for these class shares.
    assert macro_auroc(test.labels, scores) > 0.78


def test_scores_are_the_probabilities_of_scikit_learn_at_the_chosen_strength(train, validation):
    probe = fit(train, validation)
    for column in range(3):
        reference = make_pipeline(StandardScaler(), LogisticRegression(C=probe.inverse_regularisation, max_iter=2000))
        reference.fit(train.features, train.labels[:, column])
        expected = reference.predict_proba(validation.features)[:, 1]
        np.testing.assert_allclose(probe.scores(validation.features)[:, column], expected, atol=1e-4)


def test_the_validation_fold_chooses_the_regularisation():
    train, validation = make_fold(0, 60, nuisance=80), make_fold(1, 200, nuisance=80)
    singles = [fit(train, validation, inverse_regularisations=[c]) for c in INVERSE_REGULARISATIONS]
    chosen = fit(train, validation)
    aurocs = [probe.validation_auroc for probe in singles]
    assert chosen.validation_auroc == max(aurocs)
    assert chosen.inverse_regularisation == INVERSE_REGULARISATIONS[int(np.argmax(aurocs))]
    assert chosen.validation_auroc == pytest.approx(macro_auroc(validation.labels, chosen.scores(validation.features)))
    assert len(set(aurocs)) > 5


def test_the_validation_fold_only_chooses(train, validation):
    shifted = Fold(validation.features + 100.0, validation.labels)
    one = fit(train, validation, inverse_regularisations=[0.1])
    other = fit(train, shifted, inverse_regularisations=[0.1])
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.feature_means, train.features.mean(axis=0))


def test_of_equally_good_strengths_the_most_regularised_is_taken():
    labels = np.array([[1], [0]] * 10)
    features = labels * 2.0 - 1.0
    probe = fit_linear_probe(features, labels, features, labels, inverse_regularisations=[1.0, 0.01, 0.1])
    assert (probe.inverse_regularisation, probe.validation_auroc) == (0.01, 1.0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_feature_that_is_constant_in_training_does_not_count(train, validation, value):
    def with_constant(fold: Fold, constant: float) -> Fold:
        return Fold(np.insert(fold.features, 2, constant, axis=1), fold.labels)

    plain = fit(train, validation)
    probe = fit(with_constant(train, value), with_constant(validation, value))
    moved = with_constant(validation, value + 1.0).features
    np.testing.assert_allclose(probe.scores(moved), plain.scores(validation.features), atol=1e-4)


def test_float32_features_with_more_columns_than_records_work():
    train, validation = make_fold(0, 40, nuisance=100), make_fold(1, 40, nuisance=100)
    probe = fit_linear_probe(
        train.features.astype(np.float32), train.labels.astype(bool), validation.features, validation.labels
    )
    assert probe.weights.shape == (106, 3)
    assert np.isfinite(probe.scores(validation.features.astype(np.float32))).all()


def test_a_class_absent_from_a_fold_is_named_with_its_fold(train, validation):
    absent = Fold(validation.features, validation.labels * [1, 1, 0])
    with pytest.raises(ValueError, match="class 'HYP' has no positives among the 150 records of `labels_validation`"):
        fit(train, absent, class_names=["NORM", "MI", "HYP"])
    with pytest.raises(ValueError, match="class 2 has no positives among the 150 records of `labels_train`"):
        fit(absent, train)


def test_features_that_do_not_fit_are_refused(train, validation):
    with pytest.raises(ValueError, match=r"`features_train` must have shape \(150, features\), got \(149, 6\)"):
        fit(Fold(train.features[1:], train.labels), validation)
    broken = validation.features.copy()
    broken[7, 2] = np.nan
    with pytest.raises(
        ValueError,
        match="`features_validation` must be finite: 1 records hold .*, first record 7",
    ):
        fit(train, Fold(broken, validation.labels))
    with pytest.raises(ValueError, match="the same features: got 6 for training, 5 for validation"):
        fit(train, Fold(validation.features[:, :5], validation.labels))
    probe = fit(train, validation)
    with pytest.raises(ValueError, match="the probe was fitted on 6 features, got 5"):
        probe.scores(validation.features[:, :5])
    with pytest.raises(ValueError, match="`features` must be finite"):
        probe.scores(broken)


def test_folds_with_different_numbers_of_classes_are_refused(train, validation):
    with pytest.raises(ValueError, match="the same classes: got 3 for training, 2 for validation"):
        fit(train, Fold(validation.features, validation.labels[:, :2]))


def test_an_empty_grid_is_refused(train, validation):
    with pytest.raises(ValueError, match="`inverse_regularisations` is empty"):
        fit(train, validation, inverse_regularisations=[])


def test_without_scikit_learn_the_error_says_what_to_install(train, validation, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(ImportError, match=r'pip install "anyecg-hf\[train\]"'):
        fit(train, validation)


def single_label_fold(seed: int, n_classes: int, records: int = 200) -> Fold:
    generator = np.random.default_rng(seed)
    classes = np.arange(records) % n_classes
    return Fold(
        3.0 * np.eye(n_classes)[classes] + generator.normal(size=(records, n_classes)), one_hot(classes, n_classes)
    )


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_a_single_label_problem_gets_one_softmax_over_its_classes(n_classes):
    train, validation = single_label_fold(0, n_classes), single_label_fold(1, n_classes)
    probe = fit(train, validation, problem_type="single_label_classification")
    scores = probe.scores(validation.features)
    assert scores.shape == (200, n_classes) and probe.weights.shape == (n_classes, n_classes)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=probe.inverse_regularisation, max_iter=2000))
    reference.fit(train.features, train.labels.argmax(axis=1))
    np.testing.assert_allclose(scores, reference.predict_proba(validation.features), atol=1e-4)
    assert probe.validation_auroc == pytest.approx(macro_auroc(validation.labels, scores))
    assert (scores.argmax(axis=1) == validation.labels.argmax(axis=1)).mean() > 0.85


def test_a_binary_problem_in_one_column_is_fitted(train, validation):
    train, validation = (Fold(fold.features, fold.labels[:, :1]) for fold in (train, validation))
    probe = fit(train, validation)
    assert probe.scores(validation.features).shape == (150, 1)
    assert probe.validation_auroc > 0.7


def test_rows_without_one_class_are_refused_in_a_single_label_problem(train, validation):
    with pytest.raises(ValueError, match="every row of `labels_train` must hold one class in a single-label problem"):
        fit(train, validation, problem_type="single_label_classification")
    with pytest.raises(ValueError, match="`problem_type` must be one of .* got 'regression'"):
        fit(train, validation, problem_type="regression")
