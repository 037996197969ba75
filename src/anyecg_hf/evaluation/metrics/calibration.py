# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Whether probabilities mean what they say: reliability curves and expected calibration error.

Bins are `bins` equal parts of 0 to 1, closed above: the first holds 0, every other one begins just above its lower edge
(Guo et al., On calibration of modern neural networks, 2017). The error depends on their number, so report it. It is
biased: chance within the bins makes it too high on few records, and higher still on their resamples, so that a
bootstrap interval lies too high and may even miss its estimate. Compare systems on the same records, with paired
differences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .checks import check_probabilities, check_scores, check_single_labels
from .intervals import whole_rows

DEFAULT_BINS = 15


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """
    How often an event happened where it was given a certain probability.

    Attributes:
        edges (`np.ndarray` of shape `(bins + 1,)`): Of the bins, from 0 to 1.
        counts (`np.ndarray` of shape `(bins,)`, int64): Records in each bin.
        mean_probabilities (`np.ndarray` of shape `(bins,)`): Their mean probability, NaN in an empty bin.
        shares (`np.ndarray` of shape `(bins,)`): How many of them had the event, 0 to 1, NaN in an empty bin.
    """

    edges: np.ndarray
    counts: np.ndarray
    mean_probabilities: np.ndarray
    shares: np.ndarray

    @property
    def expected_calibration_error(self) -> float:
        """Mean over the records of the distance between probability and share of their bin, 0 to 1."""
        filled = self.counts > 0
        gaps = np.abs(self.mean_probabilities - self.shares)[filled]
        return float((gaps * self.counts[filled]).sum() / self.counts.sum())


def reliability_curve(outcomes: np.ndarray, probabilities: np.ndarray, bins: int = DEFAULT_BINS) -> ReliabilityCurve:
    """
    Reliability curve of one event.

    Args:
        outcomes (`np.ndarray` of shape `(records,)`): 1 where the event happened, else 0.
        probabilities (`np.ndarray` of shape `(records,)`): Of the event.
        bins (`int`, *optional*, defaults to 15): Number of bins.

    Returns:
        [`ReliabilityCurve`]

    Raises:
        `ValueError`: if shapes differ or are not `(records,)`, an outcome is not 0 or 1, a probability is not from 0 to
            1, or there is no bin.
    """
    outcomes, probabilities = np.asarray(outcomes), np.asarray(probabilities)
    if outcomes.ndim != 1 or outcomes.shape != probabilities.shape:
        raise ValueError(
            f"`outcomes` and `probabilities` must both be (records,), got {outcomes.shape} and {probabilities.shape}."
        )
    outcomes, probabilities = check_scores(outcomes[:, None], probabilities[:, None], every_class=False)
    check_probabilities(probabilities)
    return _curve(outcomes[:, 0], probabilities[:, 0], bins)


@whole_rows
def per_class_calibration_error(
    labels: np.ndarray,
    probabilities: np.ndarray,
    bins: int = DEFAULT_BINS,
    class_names: Sequence[str] | None = None,
) -> np.ndarray:
    """
    Expected calibration error of every class on its own: of its probability against how often it is present. For
    multi-label problems, and for binary ones in one column.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones; absent classes are no error.
        probabilities (`np.ndarray` of shape `(records, classes)`): From 0 to 1.
        bins (`int`, *optional*, defaults to 15): Equal parts of 0 to 1.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        `np.ndarray` of shape `(classes,)`, float64.

    Raises:
        `ValueError`: if shapes differ, labels are not 0 or 1, probabilities are not from 0 to 1, or there is no bin.
    """
    labels, probabilities = check_scores(labels, probabilities, class_names, every_class=False)
    check_probabilities(probabilities)
    columns = zip(labels.T, probabilities.T, strict=True)
    return np.array([_curve(*column, bins).expected_calibration_error for column in columns])


@whole_rows
def macro_calibration_error(
    labels: np.ndarray,
    probabilities: np.ndarray,
    bins: int = DEFAULT_BINS,
    class_names: Sequence[str] | None = None,
) -> float:
    """Mean over the classes of [`per_class_calibration_error`], whose arguments and errors it shares."""
    return float(per_class_calibration_error(labels, probabilities, bins, class_names).mean())


def top_class_reliability(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = DEFAULT_BINS, class_names: Sequence[str] | None = None
) -> ReliabilityCurve:
    """
    Reliability of the most likely class of a single-label problem: the event is that it is the right one. Of equally
    likely classes the first counts.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): [`one_hot`] labels.
        probabilities (`np.ndarray` of shape `(records, classes)`): Rows add up to 1.
        bins (`int`, *optional*, defaults to 15): Equal parts of 0 to 1.
        class_names (`Sequence[str]`, *optional*): Names for error messages.

    Returns:
        [`ReliabilityCurve`]

    Raises:
        `ValueError`: as [`per_class_calibration_error`], if a record has no or several classes, or if its probabilities
            do not add up to 1.
    """
    labels, probabilities = check_scores(labels, probabilities, class_names, every_class=False)
    check_single_labels(labels)
    check_probabilities(probabilities, add_up=True)
    best = probabilities.argmax(axis=1)
    rows = np.arange(len(labels))
    return _curve(labels[rows, best], probabilities[rows, best], bins)


@whole_rows
def top_class_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = DEFAULT_BINS, class_names: Sequence[str] | None = None
) -> float:
    """Expected calibration error of [`top_class_reliability`], whose arguments and errors it shares."""
    return top_class_reliability(labels, probabilities, bins, class_names).expected_calibration_error


def _curve(outcomes: np.ndarray, probabilities: np.ndarray, bins: int) -> ReliabilityCurve:
    if bins < 1:
        raise ValueError(f"`bins` must be at least 1, got {bins}.")
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.searchsorted(edges[1:-1], probabilities, side="left")
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 in an empty bin
        means = np.bincount(places, weights=probabilities, minlength=bins) / counts
        shares = np.bincount(places, weights=outcomes, minlength=bins) / counts
    return ReliabilityCurve(edges, counts, means, shares)


__all__ = [
    "DEFAULT_BINS",
    "ReliabilityCurve",
    "macro_calibration_error",
    "per_class_calibration_error",
    "reliability_curve",
    "top_class_calibration_error",
    "top_class_reliability",
]
