# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Linear probe: how well a linear classifier reads labels from frozen features. Fitting needs scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from ..metrics import check_finite, check_labels, check_problem_type, check_single_labels, macro_auroc

# scikit-learn's C, weak to strong fit; half decades, because the optimum is flat.
INVERSE_REGULARISATIONS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """
    A fitted probe: standardisation, then logistic regression, one for each class of a multi-label problem, one for all
    classes of a single-label problem. Plain arrays, so it needs no scikit-learn.

    Attributes:
        feature_means, feature_scales (`np.ndarray` of shape `(features,)`): Of the training features.
        weights (`np.ndarray` of shape `(features, classes)`): On standardised features.
        biases (`np.ndarray` of shape `(classes,)`): Log-odds at the mean feature; of a single-label problem, up to a
            constant, the log-probabilities there.
        inverse_regularisation (`float`): The chosen C.
        validation_auroc (`float`): Macro AUROC on the validation fold that chose it, and therefore optimistic.
        problem_type (`str`): `"multi_label_classification"` or `"single_label_classification"`.
    """

    feature_means: np.ndarray
    feature_scales: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    inverse_regularisation: float
    validation_auroc: float
    problem_type: str = "multi_label_classification"

    def scores(self, features: np.ndarray) -> np.ndarray:
        """
        Probability of every class.

        Args:
            features (`np.ndarray` of shape `(records, features)`): As the probe was fitted on.

        Returns:
            `np.ndarray` of shape `(records, classes)`, float64, between 0 and 1; rows of a single-label problem add
            up to 1.

        Raises:
            `ValueError`: if the number of features differs, or one is not finite.
        """
        features = _checked_features(features, "`features`")
        if features.shape[1] != len(self.feature_means):
            raise ValueError(f"the probe was fitted on {len(self.feature_means)} features, got {features.shape[1]}.")
        logits = (features - self.feature_means) / self.feature_scales @ self.weights + self.biases
        return softmax(logits, axis=1) if self.problem_type == "single_label_classification" else expit(logits)


def fit_linear_probe(
    features_train: np.ndarray,
    labels_train: np.ndarray,
    features_validation: np.ndarray,
    labels_validation: np.ndarray,
    *,
    problem_type: str = "multi_label_classification",
    inverse_regularisations: Sequence[float] = INVERSE_REGULARISATIONS,
    class_names: Sequence[str] | None = None,
) -> LinearProbe:
    """
    Fits on the training fold; the validation fold only chooses the regularisation, by macro AUROC.

    Args:
        features_train (`np.ndarray` of shape `(records, features)`): Finite numbers, in any scale.
        labels_train (`np.ndarray` of shape `(records, classes)`):
            Zeros and ones; [`one_hot`] in a single-label problem, one column in a binary one.
        features_validation, labels_validation (`np.ndarray`): The same for the validation fold.
        problem_type (`str`, *optional*, defaults to `"multi_label_classification"`):
            Or `"single_label_classification"`: one softmax over the classes.
        inverse_regularisations (`Sequence[float]`, *optional*):
            Values of scikit-learn's C to choose from, one for all classes; of equally good ones the smallest is taken.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        [`LinearProbe`]

    Raises:
        `ValueError`: if shapes disagree, a feature is not finite, a class is absent from a fold, or a row of a
            single-label problem does not hold one class.
        `ImportError`: without scikit-learn.

    Example:

    ```python
    >>> probe = fit_linear_probe(train_embeddings, train_labels, validation_embeddings, validation_labels)
    >>> interval = bootstrap_interval(macro_auroc, test_labels, probe.scores(test_embeddings))
    ```
    """
    if not inverse_regularisations:
        raise ValueError("`inverse_regularisations` is empty: pass at least one value of C.")
    labels_train, labels_validation = check_folds(labels_train, labels_validation, problem_type, class_names)
    features_train = _checked_features(features_train, "`features_train`", len(labels_train))
    features_validation = _checked_features(features_validation, "`features_validation`", len(labels_validation))
    check_columns_agree(features_train, features_validation, "features")

    means, spreads = features_train.mean(axis=0), features_train.std(axis=0)
    # The spread of a constant feature is rounding error; dividing by it would blow the feature up in other folds.
    scales = np.where(spreads > 1e-6 * np.abs(means), spreads, 1.0)
    train = (features_train - means) / scales
    fit = _fit_softmax if problem_type == "single_label_classification" else _fit_one_vs_rest
    candidates = []
    for strength in sorted(inverse_regularisations):
        weights, biases = fit(train, labels_train, strength)
        probe = LinearProbe(means, scales, weights, biases, float(strength), np.nan, problem_type)
        auroc = macro_auroc(labels_validation, probe.scores(features_validation))
        candidates.append(replace(probe, validation_auroc=auroc))
    return max(candidates, key=lambda probe: probe.validation_auroc)


def check_folds(
    labels_train: np.ndarray, labels_validation: np.ndarray, problem_type: str, class_names: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both folds as booleans, or the `ValueError` of what a classifier could not be fitted or chosen on."""
    check_problem_type(problem_type)
    folds = []
    for labels, where in ((labels_train, "`labels_train`"), (labels_validation, "`labels_validation`")):
        folds.append(check_labels(labels, class_names, where))
        if problem_type == "single_label_classification":
            check_single_labels(folds[-1], where)
    check_columns_agree(*folds, "classes")
    return folds[0], folds[1]


def _fit_one_vs_rest(features: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    classifier_class = logistic_regression()
    classifiers = [classifier_class(C=strength, max_iter=2000).fit(features, column) for column in labels.T]
    weights = np.stack([classifier.coef_[0] for classifier in classifiers], axis=1)
    return weights, np.array([classifier.intercept_[0] for classifier in classifiers])


def _fit_softmax(features: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    classifier = logistic_regression()(C=strength, max_iter=2000).fit(features, labels.argmax(axis=1))
    weights, biases = classifier.coef_.T, classifier.intercept_
    if labels.shape[1] == 2:  # scikit-learn keeps the second class's log-odds only
        weights, biases = np.pad(weights, ((0, 0), (1, 0))), np.pad(biases, (1, 0))
    return weights, biases


def logistic_regression() -> Any:
    """scikit-learn's class, or an `ImportError` that says how to get it."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ImportError('Fitting a probe needs scikit-learn: pip install "anyecg-hf[train]"') from error
    return LogisticRegression


def check_columns_agree(train: np.ndarray, validation: np.ndarray, kind: str) -> None:
    """Raises `ValueError` if two folds differ in their columns, which are `kind` in the message."""
    if train.shape[1] != validation.shape[1]:
        raise ValueError(
            f"both folds need the same {kind}: got {train.shape[1]} for training, {validation.shape[1]} for validation."
        )


def _checked_features(features: np.ndarray, where: str, records: int | None = None) -> np.ndarray:
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or (records is not None and len(features) != records):
        wanted = "records" if records is None else records
        raise ValueError(f"{where} must have shape ({wanted}, features), got {features.shape}.")
    check_finite(features, where)
    return features


__all__ = [
    "INVERSE_REGULARISATIONS",
    "LinearProbe",
    "check_columns_agree",
    "check_folds",
    "fit_linear_probe",
    "logistic_regression",
]
