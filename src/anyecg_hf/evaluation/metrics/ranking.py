# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Metrics that need no threshold: areas under the ROC and the precision-recall curve.

Labels are `(records, classes)` zeros and ones; scores `(records, classes)` are higher where a class is more likely. A
class that no record has, or that every record has, is an error that names it, never a silently shorter mean.
"""

from collections.abc import Sequence

import numpy as np

from .checks import check_scores


def per_class_auroc(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] | None = None) -> np.ndarray:
    """
    Area under the ROC curve of every class; equal scores count one half.

    Of a single-label problem with [`one_hot`] labels these are the areas of each class against the rest; a binary
    problem is one column.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        scores (`np.ndarray` of shape `(records, classes)`): Finite numbers.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        `np.ndarray` of shape `(classes,)`, float64.

    Raises:
        `ValueError`: if shapes differ, labels are not 0 or 1, scores are not finite, or a class is absent or universal.
    """
    # Late: scipy.stats takes longer to import than the rest of the evaluation.
    from scipy.stats import rankdata

    labels, scores = check_scores(labels, scores, class_names)
    positives = labels.sum(axis=0)
    negatives = len(labels) - positives
    rank_sums = np.where(labels, rankdata(scores, axis=0), 0.0).sum(axis=0)
    return (rank_sums - positives * (positives + 1) / 2) / (positives * negatives)


def macro_auroc(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] | None = None) -> float:
    """
    Mean over the classes of [`per_class_auroc`], whose arguments and errors it shares.

    Example:

    ```python
    >>> labels = np.array([[0, 1], [1, 0], [1, 1]])
    >>> macro_auroc(labels, np.array([[0.1, 0.9], [0.8, 0.4], [0.7, 0.2]]))
    0.75
    ```
    """
    return float(per_class_auroc(labels, scores, class_names).mean())


def per_class_auprc(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] | None = None) -> np.ndarray:
    """
    Area under the precision-recall curve of every class, as average precision.

    The sum over the distinct scores, from the highest down, of the gain in recall times the precision there: no
    interpolation between points. A constant score gives the share of positives, which is this area's chance level and
    differs between classes and data sets. Arguments and errors are those of [`per_class_auroc`].

    Returns:
        `np.ndarray` of shape `(classes,)`, float64.
    """
    labels, scores = check_scores(labels, scores, class_names)
    return np.array([_average_precision(*column) for column in zip(labels.T, scores.T, strict=True)])


def _average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(labels[order])
    # Equal scores are accepted together, so only the last of each group is a point of the curve.
    points = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))
    precision = hits[points] / (points + 1)
    return float((np.diff(hits[points], prepend=0) * precision).sum() / hits[-1])


def macro_auprc(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] | None = None) -> float:
    """Mean over the classes of [`per_class_auprc`], whose arguments and errors it shares."""
    return float(per_class_auprc(labels, scores, class_names).mean())


__all__ = ["macro_auprc", "macro_auroc", "per_class_auprc", "per_class_auroc"]
