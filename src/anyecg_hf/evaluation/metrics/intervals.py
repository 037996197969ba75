# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals over records, or over patients where a patient has several records."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .checks import check_finite, check_scores, has_both_outcomes

Metric = Callable[[np.ndarray, np.ndarray], float]
Groups = Sequence[Hashable | None] | np.ndarray

_WHOLE_ROWS = "needs_whole_rows"


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


def whole_rows(metric: Callable[..., Any]) -> Callable[..., Any]:
    """
    Marks a metric that is defined where a class is absent and means something else without that class's column:
    accuracy, weighted F1, calibration errors and the challenge score are marked. The bootstrap then hands it every
    column. A `functools.partial` of a marked metric counts as marked; a function around one must be marked itself.
    """
    setattr(metric, _WHOLE_ROWS, True)
    return metric


def wants_whole_rows(metric: Callable[..., Any]) -> bool:
    """Whether a metric, or what a `functools.partial` was made of, is marked by [`whole_rows`]."""
    while isinstance(metric, partial) and not hasattr(metric, _WHOLE_ROWS):
        metric = metric.func
    return getattr(metric, _WHOLE_ROWS, False)


def bootstrap_interval(
    metric: Metric,
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    groups: Groups | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    class_names: Sequence[str] | None = None,
) -> Interval:
    """
    Percentile bootstrap interval of a metric over records or patients.

    Records are drawn with replacement and without stratification, so that the interval also holds the chance in how
    many records a class has. Classes that are absent from a resample, or that all its records have, are left out of
    that resample: the metric sees the other columns only, which for a macro metric leaves them out of its mean. What
    belongs to a column, such as its threshold, must therefore be applied before (second example). A resample without
    any usable class is skipped. Metrics marked by [`whole_rows`] see every column of every resample instead, and the
    full set may lack classes.

    Args:
        metric (`Callable[[np.ndarray, np.ndarray], float]`): Takes labels and scores, for example [`macro_auroc`].
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        scores (`np.ndarray` of shape `(records, classes)`): Finite numbers.
        groups (`Sequence` of length `records`, *optional*):
            Patient of each record: patients are drawn in place of records, each with all its records, since records
            of one patient are no independent evidence. `None` or NaN stands for an unknown patient, of that record
            alone. Without `groups` every record counts as a patient.
        resamples (`int`, *optional*, defaults to 1000): Number of resamples.
        seed (`int`, *optional*, defaults to 0): Seed of the draws.
        confidence (`float`, *optional*, defaults to 0.95): Coverage of the interval.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        [`Interval`]

    Raises:
        `ValueError`: as [`per_class_auroc`] on the full set, for a `confidence` outside 0 to 1, for `resamples` below
            1, for `groups` of another length, and if no resample holds a usable class.

    Example:

    ```python
    >>> interval = bootstrap_interval(macro_auroc, labels, scores, groups=patient_ids)
    >>> f1 = bootstrap_interval(macro_f1, labels, scores >= thresholds)
    >>> exact = bootstrap_interval(accuracy, labels, scores >= thresholds)
    ```
    """
    labels, scores = check_scores(labels, scores, class_names, every_class=not wants_whole_rows(metric))

    def value(rows: np.ndarray, columns: np.ndarray) -> float:
        return metric(labels[rows][:, columns], scores[rows][:, columns])

    draws = _Draws(len(labels), groups, resamples, seed, confidence)
    return draws.interval(_statistic_of_rows(value, labels, wants_whole_rows(metric)))


def paired_bootstrap_difference(
    metric: Metric,
    labels: np.ndarray,
    scores_a: np.ndarray,
    scores_b: np.ndarray,
    *,
    groups: Groups | None = None,
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
        groups (`Sequence` of length `records`, *optional*): Patient of each record.
        resamples (`int`, *optional*, defaults to 1000): Number of resamples.
        seed (`int`, *optional*, defaults to 0): Seed of the draws.
        confidence (`float`, *optional*, defaults to 0.95): Coverage of the interval.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        [`Interval`]: above zero where A is better.

    Raises:
        `ValueError`: as [`bootstrap_interval`].
    """
    every_class = not wants_whole_rows(metric)
    _, scores_a = check_scores(labels, scores_a, class_names, every_class)
    labels, scores_b = check_scores(labels, scores_b, class_names, every_class)

    def difference(rows: np.ndarray, columns: np.ndarray) -> float:
        drawn = labels[rows][:, columns]
        return metric(drawn, scores_a[rows][:, columns]) - metric(drawn, scores_b[rows][:, columns])

    draws = _Draws(len(labels), groups, resamples, seed, confidence)
    return draws.interval(_statistic_of_rows(difference, labels, not every_class))


def mean_interval(
    values: np.ndarray,
    *,
    groups: Groups | None = None,
    statistic: Callable[[np.ndarray], float] = np.mean,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """
    Percentile bootstrap interval of the mean of figures that exist for every record, or every lead of every record,
    such as those of [`psnr_db`].

    Of two systems on the same records pass the differences: the interval is then paired.

    Args:
        values (`np.ndarray` of shape `(values,)`): Finite numbers.
        groups (`Sequence` of length `values`, *optional*): Patient (or record, if leads are many) of each value, as in
            [`bootstrap_interval`].
        statistic (`Callable[[np.ndarray], float]`, *optional*, defaults to `np.mean`): `np.median`, for example.
        resamples (`int`, *optional*, defaults to 1000): Number of resamples.
        seed (`int`, *optional*, defaults to 0): Seed of the draws.
        confidence (`float`, *optional*, defaults to 0.95): Coverage of the interval.

    Returns:
        [`Interval`]

    Raises:
        `ValueError`: if there is no value, the rank is wrong, a value is not finite (leave out what is undefined, and
            say how many), or the rest is as refused by [`bootstrap_interval`].
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"`values` must be (values,) with at least one, got shape {values.shape}.")
    check_finite(values, "`values`")
    return _Draws(len(values), groups, resamples, seed, confidence).interval(
        lambda rows: float(statistic(values[rows]))
    )


def _statistic_of_rows(
    metric: Callable[[np.ndarray, np.ndarray], float], labels: np.ndarray, all_columns: bool
) -> Callable[[np.ndarray], float | None]:
    """A metric `(rows, columns) -> float` of the drawn rows and their usable columns, `None` if there are none."""

    def statistic(rows: np.ndarray) -> float | None:
        columns = np.arange(labels.shape[1]) if all_columns else np.flatnonzero(has_both_outcomes(labels[rows]))
        return metric(rows, columns) if len(columns) else None

    return statistic


@dataclass(frozen=True)
class _Draws:
    """Resamples of records or patients, and the percentile interval of a statistic of the drawn rows over them."""

    records: int
    groups: Groups | None
    resamples: int
    seed: int
    confidence: float

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0 < self.confidence < 1:
            raise ValueError(
                f"`resamples` must be at least 1 and `confidence` between 0 and 1; got {self.resamples} and"
                f" {self.confidence}."
            )
        if self.groups is not None and len(self.groups) != self.records:
            raise ValueError(
                f"`groups` must name a patient for each of {self.records} records, got {len(self.groups)}."
            )

    def interval(self, statistic: Callable[[np.ndarray], float | None]) -> Interval:
        estimate = float(statistic(np.arange(self.records)))
        values = [value for value in map(statistic, self) if value is not None]
        if not values:
            raise ValueError(
                f"none of {self.resamples} resamples of {self.records} records held a class with and without positives:"
                " use more records."
            )
        return percentile_interval(estimate, values, self.confidence)

    def __iter__(self) -> Iterator[np.ndarray]:
        generator = np.random.default_rng(self.seed)
        members = None if self.groups is None else rows_by_group(self.groups)
        for _ in range(self.resamples):
            yield self._rows(generator, members)

    def _rows(self, generator: np.random.Generator, members: list[np.ndarray] | None) -> np.ndarray:
        if members is None:
            return generator.integers(self.records, size=self.records)
        return np.concatenate([members[group] for group in generator.integers(len(members), size=len(members))])


def bootstrap_rows(
    records: int, *, groups: Groups | None = None, resamples: int = 1000, seed: int = 0
) -> Iterator[np.ndarray]:
    """
    The resamples that [`bootstrap_interval`] draws, for statistics that it has no form for: several figures at once.

    Args:
        records (`int`): Number of records.
        groups (`Sequence` of length `records`), resamples (`int`), seed (`int`), *optional*: As there.

    Returns:
        `Iterator[np.ndarray]`: indices of the drawn records, some of them several times.

    Raises:
        `ValueError`: for `groups` of another length, and for `resamples` below 1.
    """
    return iter(_Draws(records, groups, resamples, seed, confidence=0.95))


def percentile_interval(estimate: float, values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """
    The interval of a figure from its values in the resamples.

    Args:
        estimate (`float`): The figure on the full set.
        values (`Sequence[float]`): The figure on each resample; at least one.
        confidence (`float`, *optional*, defaults to 0.95): Coverage of the interval.

    Returns:
        [`Interval`]
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), confidence, len(values))


def rows_by_group(groups: Groups) -> list[np.ndarray]:
    """The rows of every patient, in the order of their first; `None` and NaN are an unknown patient each."""
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        unknown = group is None or group != group  # NaN
        rows.setdefault(object() if unknown else group, []).append(row)
    return [np.array(members) for members in rows.values()]


__all__ = [
    "Groups",
    "Interval",
    "Metric",
    "bootstrap_interval",
    "bootstrap_rows",
    "mean_interval",
    "paired_bootstrap_difference",
    "percentile_interval",
    "rows_by_group",
    "wants_whole_rows",
    "whole_rows",
]
