# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Cross-validation over patients with pooled predictions, for corpora too small to be split once.

With up to ten patients each is left out in turn, with more there are five parts. Every prediction comes from models
that have seen no other record of its patient; figures are of all predictions together. Nothing is chosen on the test
part: regularisation and the number of steps are fixed, decisions are the most likely class, or a probability of one
half.

Pooling has a price: leaving out a patient with a class lowers that class's frequency in training, so that rows which
know little else rank such patients last. Areas under curves of the row `majority` then lie below one half, where a
constant would have it, and those of weak models do so too.
"""

import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from ..baselines.probe import logistic_regression
from ..evaluation_configs import BootstrapConfig
from ..metrics import (
    accuracy,
    bootstrap_rows,
    highest_class,
    macro_auprc,
    macro_auroc,
    percentile_interval,
    weighted_f1,
)
from ..metrics.checks import has_both_outcomes
from ..patient_means import MIN_PATIENTS

FIGURES = ("accuracy", "macro_auprc", "macro_auroc", "weighted_f1")
MOST_LEFT_OUT_ONE_BY_ONE = 10
_PARTS = 5
# Of probes; nothing is left to choose it on. At .01 a hundred examples are all decided as the larger class.
_INVERSE_REGULARISATION = 0.1


@dataclass(frozen=True, eq=False)
class Fold:
    """Indices of the examples to train on, and of those to test on, `(examples,)` int64 each."""

    train: np.ndarray
    test: np.ndarray


def patient_folds(patients: Sequence[Hashable]) -> list[Fold]:
    """
    Parts that share no patient.

    Args:
        patients (`Sequence`): Patient of every example.

    Returns:
        `list[Fold]`: the same for the same patients, in whatever order they come.

    Raises:
        `ValueError`: if there is one patient only.
    """
    distinct = sorted(set(patients), key=lambda patient: (zlib.crc32(str(patient).encode()), str(patient)))
    if len(distinct) < 2:
        raise ValueError(f"cross-validation needs at least two patients, got {len(distinct)}.")
    parts = len(distinct) if len(distinct) <= MOST_LEFT_OUT_ONE_BY_ONE else _PARTS
    part_of = {patient: number % parts for number, patient in enumerate(distinct)}
    part = np.array([part_of[patient] for patient in patients])
    return [Fold(np.flatnonzero(part != number), np.flatnonzero(part == number)) for number in range(parts)]


@dataclass(frozen=True, eq=False)
class FixedProbe:
    """
    A linear probe without anything to choose; a class that training examples all have, or none, gets its frequency.

    Attributes:
        means, scales (`np.ndarray` of shape `(features,)`): Of the training features.
        weights (`np.ndarray` of shape `(features, classes)`), biases (`np.ndarray` of shape `(classes,)`): Logits.
        is_multi_label (`bool`): A sigmoid for each class, or one softmax.
    """

    means: np.ndarray
    scales: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    is_multi_label: bool

    @classmethod
    def fit(cls, features: np.ndarray, labels: np.ndarray, is_multi_label: bool) -> "FixedProbe":
        """
        Args:
            features (`np.ndarray` of shape `(examples, features)`): In any scale.
            labels (`np.ndarray` of shape `(examples, classes)`): Zeros and ones.
            is_multi_label (`bool`): Whether an example can have several classes.
        """
        means, spreads = features.mean(axis=0), features.std(axis=0)
        scales = np.where(spreads > 1e-6, spreads, 1.0)
        standard = (features - means) / scales
        classifier_class = logistic_regression()
        weights = np.zeros((features.shape[1], labels.shape[1]))
        if is_multi_label:
            rates = np.clip(labels.mean(axis=0), 1e-6, 1 - 1e-6)
            biases = np.log(rates / (1 - rates))
            for column in np.flatnonzero(has_both_outcomes(labels.astype(bool))):
                fitted = classifier_class(C=_INVERSE_REGULARISATION, max_iter=1000).fit(standard, labels[:, column])
                weights[:, column], biases[column] = fitted.coef_[0], fitted.intercept_[0]
            return cls(means, scales, weights, biases, True)
        present = np.flatnonzero(labels.any(axis=0))
        biases = np.full(labels.shape[1], -50.0)  # never seen: as good as impossible
        biases[present] = 0.0
        if len(present) > 1:
            chosen = labels[:, present].argmax(axis=1)
            fitted = classifier_class(C=_INVERSE_REGULARISATION, max_iter=1000).fit(standard, chosen)
            two = len(present) == 2  # scikit-learn keeps the second class's log-odds only
            weights[:, present] = np.pad(fitted.coef_.T, ((0, 0), (1, 0))) if two else fitted.coef_.T
            biases[present] = np.pad(fitted.intercept_, (1, 0)) if two else fitted.intercept_
        return cls(means, scales, weights, biases, False)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Probabilities `(examples, classes)`."""
        logits = (features - self.means) / self.scales @ self.weights + self.biases
        return expit(logits) if self.is_multi_label else softmax(logits, axis=1)


def pooled_figures(
    labels: np.ndarray, scores: np.ndarray, patients: Sequence[Hashable], is_multi_label: bool, config: BootstrapConfig
) -> dict[str, Any]:
    """
    Figures of pooled predictions.

    Args:
        labels (`np.ndarray` of shape `(examples, classes)`): Zeros and ones.
        scores (`np.ndarray` of shape `(examples, classes)`): Probabilities.
        patients (`Sequence`): Patient of every example.
        is_multi_label (`bool`): Whether an example can have several classes; accuracy is then that of all of them.
        config ([`BootstrapConfig`]): Resamples of patients.

    Returns:
        `dict`: figure -> `estimate`, `low` and `high`; the latter are `None` with fewer than [`MIN_PATIENTS`] patients.
        Figures are `None` where no class has both outcomes.
    """
    decided = scores >= 0.5 if is_multi_label else highest_class(scores)
    labels = labels.astype(bool)

    def figures(rows: np.ndarray) -> dict[str, float]:
        both = has_both_outcomes(labels[rows])
        found = {"accuracy": accuracy(labels[rows], decided[rows])}
        if labels[rows].any():
            found["weighted_f1"] = weighted_f1(labels[rows], decided[rows])
        if both.any():
            found["macro_auprc"] = macro_auprc(labels[rows][:, both], scores[rows][:, both])
            found["macro_auroc"] = macro_auroc(labels[rows][:, both], scores[rows][:, both])
        return found

    whole = figures(np.arange(len(labels)))
    result = {name: {"estimate": whole[name], "low": None, "high": None} if name in whole else None for name in FIGURES}
    if len(set(patients)) < MIN_PATIENTS:
        return result
    draws = bootstrap_rows(len(labels), groups=list(patients), resamples=config.resamples, seed=config.seed)
    resampled = [figures(rows) for rows in draws]
    for name, estimate in whole.items():
        values = [found[name] for found in resampled if name in found]
        interval = percentile_interval(estimate, values, config.confidence)
        result[name] = {"estimate": estimate, "low": interval.low, "high": interval.high}
    return result


def caveat(patients: int) -> str:
    """What a reader must know beside figures of so many patients."""
    if patients >= MIN_PATIENTS:
        return ""
    return (
        f"{patients} patients prove nothing: there are no intervals, no row is better than another, and the figures"
        " only show that the protocol runs."
    )


__all__ = [
    "FIGURES",
    "FixedProbe",
    "Fold",
    "caveat",
    "patient_folds",
    "pooled_figures",
]
