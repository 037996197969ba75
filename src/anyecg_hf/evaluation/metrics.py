# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Metrics of multi-label classification, with bootstrap intervals over records.

Labels are `(records, classes)` zeros and ones; scores `(records, classes)` are higher where a class is more likely. A
class that no record of the full set has, or that every record has, is an error that names it, never a silently shorter
mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

Metric = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Interval:
    """
    A figure with its bootstrap interval.

    Attributes:
        estimate (`float`): The metric on the full set.
        low, high (`float`): Percentile interval.
        confidence (`float`): Its nominal coverage, between 0 and 1.
        resamples (`int`): Resamples that it rests on; fewer than asked for if some held no class at all.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    resamples: int

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def per_class_auroc(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] | None = None) -> np.ndarray:
    """
    Area under the ROC curve of every class; equal scores count one half.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        scores (`np.ndarray` of shape `(records, classes)`): Finite numbers.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        `np.ndarray` of shape `(classes,)`, float64.

    Raises:
        `ValueError`: if shapes differ, labels are not 0 or 1, scores are not finite, or a class is absent or universal.
    """
    labels, scores = _checked(labels, scores, class_names)
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
    labels, scores = _checked(labels, scores, class_names)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if thresholds.shape not in ((), (labels.shape[1],)):
        raise ValueError(
            f"`thresholds` must be one number or one for each of the {labels.shape[1]} classes, got shape"
            f" {thresholds.shape}."
        )
    decisions = scores >= thresholds
    hits = (labels & decisions).sum(axis=0)
    return 2 * hits / (labels.sum(axis=0) + decisions.sum(axis=0))


def macro_f1(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray | float = 0.5,
    class_names: Sequence[str] | None = None,
) -> float:
    """Mean over the classes of [`per_class_f1`], whose arguments and errors it shares."""
    return float(per_class_f1(labels, scores, thresholds, class_names).mean())


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
    labels, scores = _checked(labels, scores, class_names)
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


def bootstrap_interval(
    metric: Metric,
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    class_names: Sequence[str] | None = None,
) -> Interval:
    """
    Percentile bootstrap interval of a metric over records.

    Records are drawn with replacement and without stratification, so that the interval also holds the chance in how
    many records a class has. Classes that are absent from a resample, or that all its records have, are left out of
    that resample: the metric sees the other columns only, which for a macro metric leaves them out of its mean. What
    belongs to a column, such as its threshold, must therefore be applied before (second example). A resample without
    any usable class is skipped. Several records of one patient count as independent.

    Args:
        metric (`Callable[[np.ndarray, np.ndarray], float]`): Takes labels and scores, for example [`macro_auroc`].
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        scores (`np.ndarray` of shape `(records, classes)`): Finite numbers.
        resamples (`int`, *optional*, defaults to 1000): Number of resamples.
        seed (`int`, *optional*, defaults to 0): Seed of the draws.
        confidence (`float`, *optional*, defaults to 0.95): Coverage of the interval.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        [`Interval`]

    Raises:
        `ValueError`: as [`per_class_auroc`] on the full set, for a `confidence` outside 0 to 1, for `resamples` below
            1, and if no resample holds a usable class.

    Example:

    ```python
    >>> interval = bootstrap_interval(macro_auroc, labels, scores)
    >>> f1 = bootstrap_interval(macro_f1, labels, scores >= thresholds)
    ```
    """
    labels, scores = _checked(labels, scores, class_names)
    draws = _Draws(resamples, seed, confidence)
    return draws.interval(lambda rows, columns: metric(labels[rows][:, columns], scores[rows][:, columns]), labels)


def paired_bootstrap_difference(
    metric: Metric,
    labels: np.ndarray,
    scores_a: np.ndarray,
    scores_b: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    class_names: Sequence[str] | None = None,
) -> Interval:
    """
    Percentile bootstrap interval of `metric(labels, scores_a) - metric(labels, scores_b)` on the same records.

    Both metrics see the same resamples, so what makes a resample hard for both cancels: this interval, not the overlap
    of two single ones, says whether A and B differ. The rest is as in [`bootstrap_interval`].

    Args:
        metric (`Callable[[np.ndarray, np.ndarray], float]`): Takes labels and scores.
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        scores_a, scores_b (`np.ndarray` of shape `(records, classes)`): Scores of the two systems, record by record.
        resamples (`int`, *optional*, defaults to 1000): Number of resamples.
        seed (`int`, *optional*, defaults to 0): Seed of the draws.
        confidence (`float`, *optional*, defaults to 0.95): Coverage of the interval.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        [`Interval`]: above zero where A is better.

    Raises:
        `ValueError`: as [`bootstrap_interval`].
    """
    _, scores_a = _checked(labels, scores_a, class_names)
    labels, scores_b = _checked(labels, scores_b, class_names)

    def difference(rows: np.ndarray, columns: np.ndarray) -> float:
        drawn = labels[rows][:, columns]
        return metric(drawn, scores_a[rows][:, columns]) - metric(drawn, scores_b[rows][:, columns])

    return _Draws(resamples, seed, confidence).interval(difference, labels)


@dataclass(frozen=True)
class _Draws:
    """Resamples of the records, and the percentile interval of a statistic `(rows, columns) -> float` over them."""

    resamples: int
    seed: int
    confidence: float

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0 < self.confidence < 1:
            raise ValueError(
                f"`resamples` must be at least 1 and `confidence` between 0 and 1; got {self.resamples} and"
                f" {self.confidence}."
            )

    def interval(self, statistic: Callable[[np.ndarray, np.ndarray], float], labels: np.ndarray) -> Interval:
        records, classes = labels.shape
        estimate = float(statistic(np.arange(records), np.arange(classes)))
        generator = np.random.default_rng(self.seed)
        values = []
        for _ in range(self.resamples):
            rows = generator.integers(records, size=records)
            columns = np.flatnonzero(_has_both_outcomes(labels[rows]))
            if len(columns):
                values.append(statistic(rows, columns))
        if not values:
            raise ValueError(
                f"none of {self.resamples} resamples of {records} records held a class with and without positives:"
                " use more records."
            )
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return Interval(estimate, float(low), float(high), self.confidence, len(values))


def check_labels(labels: np.ndarray, class_names: Sequence[str] | None = None, where: str = "`labels`") -> np.ndarray:
    """
    Multi-label targets as booleans, refused where a metric or a classifier would be undefined.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        class_names (`Sequence[str]`, *optional*): Names for error messages.
        where (`str`, *optional*): What the labels are, for error messages.

    Returns:
        `np.ndarray` of shape `(records, classes)`, bool.

    Raises:
        `ValueError`: if the rank is wrong, a value is not 0 or 1, or a class is absent or universal; it is named.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.size == 0:
        raise ValueError(f"{where} must be (records, classes) with at least one of each, got shape {labels.shape}.")
    if class_names is not None and len(class_names) != labels.shape[1]:
        raise ValueError(f"`class_names` has {len(class_names)} names for the {labels.shape[1]} classes of {where}.")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"{where} must hold zeros and ones only, found {np.setdiff1d(labels, (0, 1))[:5].tolist()}.")
    labels = labels.astype(bool)
    for column in np.flatnonzero(~_has_both_outcomes(labels)):
        name = f"class {column}" if class_names is None else f"class {class_names[column]!r}"
        missing = "negatives" if labels[:, column].any() else "positives"
        raise ValueError(
            f"{name} has no {missing} among the {len(labels)} records of {where}: add such records or leave the class"
            " out, labels and scores alike."
        )
    return labels


def check_finite(values: np.ndarray, where: str) -> None:
    """Raises `ValueError` if a row of `values` `(records, ...)`, called `where` in the message, is not all finite."""
    strange = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(strange):
        raise ValueError(
            f"{where} must be finite: {len(strange)} records hold NaN or infinity, first record {strange[0]}."
        )


def _has_both_outcomes(labels: np.ndarray) -> np.ndarray:
    return labels.any(axis=0) & ~labels.all(axis=0)


def _checked(
    labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = check_labels(labels, class_names), np.asarray(scores, dtype=np.float64)
    if scores.shape != labels.shape:
        raise ValueError(f"`scores` must have the shape of `labels`, {labels.shape}, got {scores.shape}.")
    check_finite(scores, "`scores`")
    return labels, scores


__all__ = [
    "Interval",
    "best_thresholds",
    "bootstrap_interval",
    "check_finite",
    "check_labels",
    "macro_auroc",
    "macro_f1",
    "paired_bootstrap_difference",
    "per_class_auroc",
    "per_class_f1",
]
