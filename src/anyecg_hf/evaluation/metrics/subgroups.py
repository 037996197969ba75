# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A metric in parts of the records: by sex, age band, corpus."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .checks import check_scores
from .intervals import Groups, Interval, Metric, bootstrap_interval, rows_by_group, wants_whole_rows

UNKNOWN = "unknown"
# Lowest age in years of each band.
_BAND_STARTS = (("<40", 0), ("40-60", 40), ("60-75", 60), (">=75", 75))
AGE_BANDS = (*(name for name, _ in _BAND_STARTS), UNKNOWN)


@dataclass(frozen=True)
class SubgroupRow:
    """
    One line of a subgroup table.

    Attributes:
        group (`str`): Name.
        records (`int`): Records of the group.
        patients (`int` or `None`): Patients of the group, where patients were given; unknown ones count one by one.
        positives (`tuple[int, ...]`): Positives of each class in the group.
        interval ([`Interval`] or `None`): The figure; `None` if the group is too small to say anything.
        left_out (`tuple[str, ...]`): Classes that are not in the figure, having too few positives or negatives here:
            compare with other groups' figures only over the same classes.
        note (`str`): Why there is no figure, else empty.
    """

    group: str
    records: int
    patients: int | None
    positives: tuple[int, ...]
    interval: Interval | None
    left_out: tuple[str, ...]
    note: str


def subgroup_table(
    metric: Metric,
    labels: np.ndarray,
    scores: np.ndarray,
    groups: Sequence[str | None],
    *,
    order: Sequence[str] | None = None,
    patients: Groups | None = None,
    min_records: int = 20,
    min_of_each: int = 5,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    class_names: Sequence[str] | None = None,
) -> list[SubgroupRow]:
    """
    A metric with its interval in every group; every record is in one row, and groups that are too small are rows too.

    Args:
        metric (`Callable[[np.ndarray, np.ndarray], float]`): As in [`bootstrap_interval`]; metrics of decisions take
            decisions (`scores >= thresholds`) as scores.
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        scores (`np.ndarray` of shape `(records, classes)`): Finite numbers.
        groups (`Sequence[str | None]` of length `records`):
            Group of each record, `None` for `"unknown"`: sex, [`age_bands`], corpus.
        order (`Sequence[str]`, *optional*):
            Groups in the order of the rows, `AGE_BANDS` for example; those without a record are rows too. By default
            those that occur, sorted, unknown last.
        patients (`Sequence` of length `records`, *optional*): Patients, as `groups` of [`bootstrap_interval`].
        min_records (`int`, *optional*, defaults to 20): A group with fewer records has no figure.
        min_of_each (`int`, *optional*, defaults to 5): A class with fewer positives or negatives in a group is left
            out of its figure, unless the metric is marked by [`whole_rows`].
        resamples (`int`), seed (`int`), confidence (`float`), class_names (`Sequence[str]`), *optional*:
            As in [`bootstrap_interval`].

    Returns:
        `list[SubgroupRow]`

    Raises:
        `ValueError`: if shapes or lengths differ, labels are not 0 or 1, scores are not finite, or a group is not in
            `order`.

    Example:

    ```python
    >>> table = subgroup_table(macro_auroc, labels, scores, age_bands(ages), order=AGE_BANDS, patients=patient_ids)
    ```
    """
    labels, scores = check_scores(labels, scores, class_names, every_class=False)
    for name, values in (("groups", groups), ("patients", patients)):
        if values is not None and len(values) != len(labels):
            raise ValueError(f"`{name}` must have an entry for each of {len(labels)} records, got {len(values)}.")
    names = np.array([UNKNOWN if group is None else str(group) for group in groups], dtype=object)
    order = sorted(set(names), key=lambda name: (name == UNKNOWN, name)) if order is None else list(order)
    if set(names) - set(order):
        raise ValueError(f"groups {sorted(set(names) - set(order))} are not in `order`, {order}.")
    class_names = [str(column) for column in range(labels.shape[1])] if class_names is None else list(class_names)
    table = []
    for name in order:
        rows = np.flatnonzero(names == name)
        positives = labels[rows].sum(axis=0)
        scarce = np.minimum(positives, len(rows) - positives) < max(min_of_each, 1)
        left_out = np.zeros_like(scarce) if wants_whole_rows(metric) else scarce
        note = _why_no_figure(len(rows), min_records, left_out, min_of_each)
        whose = None if patients is None else [patients[row] for row in rows]
        interval = None
        if not note:
            drawn = {"groups": whose, "resamples": resamples, "seed": seed, "confidence": confidence}
            interval = bootstrap_interval(metric, labels[rows][:, ~left_out], scores[rows][:, ~left_out], **drawn)
        table.append(
            SubgroupRow(
                group=name,
                records=len(rows),
                patients=None if whose is None else len(rows_by_group(whose)),
                positives=tuple(positives.tolist()),
                interval=interval,
                left_out=tuple(class_names[column] for column in np.flatnonzero(left_out)),
                note=note,
            )
        )
    return table


def _why_no_figure(records: int, min_records: int, left_out: np.ndarray, min_of_each: int) -> str:
    if records == 0:
        return "no records"
    if records < min_records:
        return f"{records} records, fewer than {min_records}"
    if left_out.all():
        return f"no class with at least {min_of_each} positives and negatives"
    return ""


def age_bands(ages_years: Sequence[float | None] | np.ndarray) -> list[str]:
    """
    Age band of every record.

    Args:
        ages_years (`Sequence[float | None]`): Ages; `None` or NaN where unknown.

    Returns:
        `list[str]`: of `AGE_BANDS`. 40 belongs to `"40-60"`, 60 to `"60-75"`, 75 to `">=75"`.

    Raises:
        `ValueError`: for a negative age.

    Example:

    ```python
    >>> age_bands([39.9, 40, None])
    ['<40', '40-60', 'unknown']
    ```
    """
    return [_age_band(age) for age in ages_years]


def _age_band(age_years: float | None) -> str:
    if age_years is None or np.isnan(age_years):
        return UNKNOWN
    if age_years < 0:
        raise ValueError(f"an age must not be negative, got {age_years:g} years.")
    return [name for name, start in _BAND_STARTS if age_years >= start][-1]


__all__ = ["AGE_BANDS", "UNKNOWN", "SubgroupRow", "age_bands", "subgroup_table"]
