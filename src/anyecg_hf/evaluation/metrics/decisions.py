# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Metrics of decisions: accuracy and F1, and the thresholds that turn scores into decisions.

All take scores and thresholds; decisions made before, such as those of [`highest_class`] for a single-label problem,
are scores of 0 and 1 for the usual threshold of one half.
"""

from collections.abc import Sequence

import numpy as np

from .checks import check_scores
from .intervals import whole_rows


def per_class_f1(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray | float = 0.5,
    class_names: Sequence[str] | None = None,
) -> np.ndarray:
    """
    F1 of every class when `score >= threshold` means that the class is present.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        scores (`np.ndarray` of shape `(records, classes)`): Finite numbers.
        thresholds (`np.ndarray` of shape `(classes,)` or `float`, *optional*, defaults to 0.5):
            One for each class, or one for all.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        `np.ndarray` of shape `(classes,)`, float64.

    Raises:
        `ValueError`: as [`per_class_auroc`], and if there is neither one threshold nor one a class.
    """
    labels, scores = check_scores(labels, scores, class_names)
    return _f1(labels, _decisions(scores, thresholds))


def macro_f1(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray | float = 0.5,
    class_names: Sequence[str] | None = None,
) -> float:
    """Mean over the classes of [`per_class_f1`], whose arguments and errors it shares."""
    return float(per_class_f1(labels, scores, thresholds, class_names).mean())


@whole_rows
def weighted_f1(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray | float = 0.5,
    class_names: Sequence[str] | None = None,
) -> float:
    """
    Mean over the classes of their F1, each weighted by its number of positives.

    A class without positives has no weight, so it is no error here; there must be one positive of any class. Of a
    binary problem in one column this is the F1 of the positive class: for the mean over both classes, as the AnyECG
    paper's tables have it, pass two columns ([`one_hot`]).

    Args:
        labels, scores, thresholds, class_names: As in [`per_class_f1`].

    Returns:
        `float`

    Raises:
        `ValueError`: as [`per_class_f1`], but for absent and universal classes, and if no record has any class.
    """
    labels, scores = check_scores(labels, scores, class_names, every_class=False)
    positives = labels.sum(axis=0)
    if not positives.any():
        raise ValueError(f"none of the {len(labels)} records has any class, so that no F1 has a weight.")
    return float((_f1(labels, _decisions(scores, thresholds)) * positives).sum() / positives.sum())


@whole_rows
def accuracy(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray | float = 0.5,
    class_names: Sequence[str] | None = None,
) -> float:
    """
    Share of the records whose decisions are right in every class.

    For a single-label problem ([`one_hot`] labels, [`highest_class`] decisions) and for a binary one in one column this
    is the usual accuracy, for a multi-label one the strict "exact match" (see [`per_class_accuracy`] for the other).
    Absent classes are no error.

    Args:
        labels, scores, thresholds, class_names: As in [`per_class_f1`].

    Returns:
        `float`

    Raises:
        `ValueError`: as [`per_class_f1`], but for absent and universal classes.
    """
    labels, scores = check_scores(labels, scores, class_names, every_class=False)
    return float((labels == _decisions(scores, thresholds)).all(axis=1).mean())


@whole_rows
def per_class_accuracy(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray | float = 0.5,
    class_names: Sequence[str] | None = None,
) -> np.ndarray:
    """Share of the records decided rightly in every class, `(classes,)`; arguments and errors as [`accuracy`]."""
    labels, scores = check_scores(labels, scores, class_names, every_class=False)
    return (labels == _decisions(scores, thresholds)).mean(axis=0)


def best_thresholds(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] | None = None) -> np.ndarray:
    """
    Threshold of every class that maximises its F1; choose on validation data, never on the data that is reported.

    A threshold lies half-way between two neighbouring scores; of several best ones the highest is taken.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        scores (`np.ndarray` of shape `(records, classes)`): Finite numbers.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        `np.ndarray` of shape `(classes,)`, float64, for [`per_class_f1`].

    Raises:
        `ValueError`: as [`per_class_auroc`].
    """
    labels, scores = check_scores(labels, scores, class_names)
    return np.array([_best_threshold(*column) for column in zip(labels.T, scores.T, strict=True)])


def _best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    order = np.argsort(-scores)
    scores, hits = scores[order], np.cumsum(labels[order])
    # Equal scores are accepted together, so only the last of each group can be the lowest accepted one.
    candidates = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))
    f1 = 2 * hits[candidates] / (candidates + 1 + hits[-1])
    lowest_accepted = candidates[np.argmax(f1)]
    upper = scores[lowest_accepted]
    if lowest_accepted == len(scores) - 1:
        return float(upper)
    lower = scores[lowest_accepted + 1]
    middle = lower + (upper - lower) / 2
    return float(middle if middle > lower else upper)


def _decisions(scores: np.ndarray, thresholds: np.ndarray | float) -> np.ndarray:
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if thresholds.shape not in ((), (scores.shape[1],)):
        raise ValueError(
            f"`thresholds` must be one number or one for each of the {scores.shape[1]} classes, got shape"
            f" {thresholds.shape}."
        )
    return scores >= thresholds


def _f1(labels: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """F1 of every class, 0 where neither labels nor decisions have it."""
    hits = (labels & decisions).sum(axis=0)
    return 2 * hits / np.maximum(labels.sum(axis=0) + decisions.sum(axis=0), 1)


__all__ = [
    "accuracy",
    "best_thresholds",
    "macro_f1",
    "per_class_accuracy",
    "per_class_f1",
    "weighted_f1",
]
