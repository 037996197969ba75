# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
What labels, scores and probabilities must look like, in one form for every problem: `(records, classes)`.

A multi-label problem has any number of ones in a row, a single-label problem exactly one ([`one_hot`]), a binary
problem one column.
"""

from collections.abc import Sequence

import numpy as np

PROBLEM_TYPES = ("multi_label_classification", "single_label_classification")
# Rows of probabilities that came through float32 or float16.
_SUM_TOLERANCE = 5e-3


def check_labels(
    labels: np.ndarray,
    class_names: Sequence[str] | None = None,
    where: str = "`labels`",
    every_class: bool = True,
) -> np.ndarray:
    """
    Targets as booleans, refused where a metric or a classifier would be undefined.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        class_names (`Sequence[str]`, *optional*): Names for error messages.
        where (`str`, *optional*): What the labels are, for error messages.
        every_class (`bool`, *optional*, defaults to `True`): Whether every class needs positives and negatives.

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
    for column in np.flatnonzero(~has_both_outcomes(labels)) if every_class else ():
        name = f"class {column}" if class_names is None else f"class {class_names[column]!r}"
        missing = "negatives" if labels[:, column].any() else "positives"
        raise ValueError(
            f"{name} has no {missing} among the {len(labels)} records of {where}: add such records or leave the class"
            " out, labels and scores alike."
        )
    return labels


def check_single_labels(labels: np.ndarray, where: str = "`labels`") -> None:
    """Raises `ValueError` if a row of the boolean `labels` `(records, classes)` does not hold exactly one class."""
    strange = np.flatnonzero(labels.sum(axis=1) != 1)
    if len(strange):
        raise ValueError(
            f"every row of {where} must hold one class in a single-label problem: {len(strange)} rows do not, first row"
            f" {strange[0]} with {int(labels[strange[0]].sum())}."
        )


def check_problem_type(problem_type: str) -> None:
    """Raises `ValueError` unless `problem_type` is one of `PROBLEM_TYPES`."""
    if problem_type not in PROBLEM_TYPES:
        raise ValueError(f"`problem_type` must be one of {', '.join(PROBLEM_TYPES)}, got {problem_type!r}.")


def check_finite(values: np.ndarray, where: str) -> None:
    """Raises `ValueError` if a row of `values` `(records, ...)`, called `where` in the message, is not all finite."""
    strange = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(strange):
        raise ValueError(
            f"{where} must be finite: {len(strange)} records hold NaN or infinity, first record {strange[0]}."
        )


def check_scores(
    labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] | None = None, every_class: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """`labels` as [`check_labels`] returns them, and `scores` as finite float64 of the same shape, or `ValueError`."""
    labels, scores = check_labels(labels, class_names, every_class=every_class), np.asarray(scores, dtype=np.float64)
    if scores.shape != labels.shape:
        raise ValueError(f"`scores` must have the shape of `labels`, {labels.shape}, got {scores.shape}.")
    check_finite(scores, "`scores`")
    return labels, scores


def check_probabilities(probabilities: np.ndarray, add_up: bool = False) -> None:
    """Raises `ValueError` if a value is outside 0 to 1, or, with `add_up`, if a row does not add up to 1."""
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(
            f"probabilities must lie between 0 and 1, found {probabilities.min():g} to {probabilities.max():g}: apply"
            " the sigmoid (multi-label) or the softmax (single-label) to logits first."
        )
    sums = probabilities.sum(axis=-1)
    if add_up and np.abs(sums - 1).max() > _SUM_TOLERANCE:
        row = int(np.abs(sums - 1).argmax())
        raise ValueError(
            f"the probabilities of a record must add up to 1, those of record {row} add up to {sums[row]:g}."
        )


def has_both_outcomes(labels: np.ndarray) -> np.ndarray:
    """Which columns of `labels` `(records, classes)`, bool, hold positives and negatives, `(classes,)`."""
    return labels.any(axis=0) & ~labels.all(axis=0)


def one_hot(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """
    Single-label targets in the form that every metric here takes.

    Args:
        classes (`np.ndarray` of shape `(records,)`): Class indices.
        n_classes (`int`): Number of classes.

    Returns:
        `np.ndarray` of shape `(records, n_classes)`, bool: one `True` in every row.

    Raises:
        `ValueError`: if the rank is wrong or an index is no whole number from 0 to `n_classes - 1`.

    Example:

    ```python
    >>> labels = one_hot(np.array([2, 0, 1]), n_classes=3)
    >>> accuracy(labels, highest_class(probabilities))
    ```
    """
    classes = np.asarray(classes)
    if classes.ndim != 1:
        raise ValueError(f"`classes` must be (records,), one index a record, got shape {classes.shape}.")
    strange = [value for value in np.unique(classes).tolist() if value not in range(n_classes)]
    if strange:
        raise ValueError(f"class indices must be whole numbers from 0 to {n_classes - 1}, found {strange[:5]}.")
    return np.arange(n_classes) == classes[:, None]


def highest_class(scores: np.ndarray) -> np.ndarray:
    """
    Decisions of a single-label problem: the class with the highest score, of equal ones the first.

    Args:
        scores (`np.ndarray` of shape `(records, classes)`): Finite numbers.

    Returns:
        `np.ndarray` of shape `(records, classes)`, bool: one `True` in every row.

    Raises:
        `ValueError`: if the rank is wrong or a score is not finite.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"`scores` must be (records, classes) with at least one of each, got shape {scores.shape}.")
    check_finite(scores, "`scores`")
    return one_hot(scores.argmax(axis=1), scores.shape[1])


__all__ = [
    "PROBLEM_TYPES",
    "check_finite",
    "check_labels",
    "check_probabilities",
    "check_problem_type",
    "check_scores",
    "check_single_labels",
    "has_both_outcomes",
    "highest_class",
    "one_hot",
]
