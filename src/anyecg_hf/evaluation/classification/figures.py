# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
The figures of a classification task, all at once, with bootstrap intervals over patients.

Every figure of a class is over the records where the class is known (not NaN). A class that these all have, or none,
has no figure there, and is left out of the macro means; on the full test set the results name such classes.

Decisions: in a multi-label task a class is present from a threshold on, which was chosen on validation records; in a
single-label task the most likely class is taken. The figures of a binary single-label task (`anomaly`) are those of its
second class, but for F1, which is the mean over both.

The calibration error cannot be negative, so resampling, which adds noise to every bin, raises it: its values in the
resamples are moved by their mean's distance from the error on the full set before the interval is taken.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...training.label_tasks import LabelTask
from ..metrics import (
    ChallengeRewards,
    Interval,
    accuracy,
    best_thresholds,
    bootstrap_rows,
    challenge_rewards,
    challenge_score,
    highest_class,
    per_class_auprc,
    per_class_auroc,
    per_class_calibration_error,
    per_class_f1,
    percentile_interval,
    top_class_calibration_error,
    weighted_f1,
)
from ..metrics.checks import has_both_outcomes

CLASS_FIGURES = ("auroc", "auprc", "f1")
CALIBRATION = "calibration_error"
TITLES = {
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "challenge_score": "challenge score",
    CALIBRATION: "ECE",
}


@dataclass(frozen=True, eq=False)
class Protocol:
    """
    Which figures a task has.

    Args:
        task ([`LabelTask`]): The task.
    """

    task: LabelTask

    @property
    def is_binary(self) -> bool:
        """Whether the second class says all."""
        return not self.task.is_multi_label and len(self.task.class_names) == 2

    @property
    def main(self) -> str:
        """The figure that subgroups and robustness are about."""
        return "auroc" if self.is_binary else "macro_auroc"

    @cached_property
    def rewards(self) -> ChallengeRewards | None:
        """Rewards of the challenge's classes that the task has, or `None`."""
        rewards = challenge_rewards(2021)
        names = self.task.class_names
        if self.task.name != "challenge" or rewards.normal_class not in names:
            return None
        places = [rewards.classes.index(name) for name in names]
        return ChallengeRewards(names, rewards.rewards[np.ix_(places, places)], rewards.normal_class)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Figures of the whole task."""
        if not self.task.is_multi_label:
            ranking = ("auprc", "auroc") if self.is_binary else ("macro_auprc", "macro_auroc")
            return "accuracy", *ranking, "weighted_f1", "macro_f1", CALIBRATION
        scored = () if self.rewards is None else ("challenge_score",)
        return "macro_auroc", "macro_auprc", "macro_f1", "weighted_f1", *scored, CALIBRATION

    @cached_property
    def all_names(self) -> tuple[str, ...]:
        """Figures of the task and of every class, in the order of [`~Protocol.vector`]."""
        classes = (class_figure(figure, name) for figure in CLASS_FIGURES for name in self.task.class_names)
        return *self.names, *classes

    def thresholds(self, labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray | None:
        """
        Thresholds of best F1 on validation records.

        Args:
            labels (`np.ndarray` of shape `(records, classes)`): 0, 1 and NaN.
            probabilities (`np.ndarray` of shape `(records, classes)`): What a model says.

        Returns:
            `np.ndarray` of shape `(classes,)`; `None` in a single-label task, which has none.
        """
        if not self.task.is_multi_label:
            return None
        chosen = []
        for column, name in enumerate(self.task.class_names):
            known = ~np.isnan(labels[:, column])
            place = known, slice(column, column + 1)
            chosen.append(best_thresholds(labels[place], probabilities[place], (name,))[0])
        return np.array(chosen)

    def decisions(self, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """Which classes are present, `(records, classes)` bool."""
        return highest_class(probabilities) if thresholds is None else probabilities >= thresholds

    def vector(self, labels: np.ndarray, probabilities: np.ndarray, decisions: np.ndarray) -> np.ndarray:
        """
        All figures.

        Args:
            labels (`np.ndarray` of shape `(records, classes)`): 0, 1 and NaN.
            probabilities, decisions (`np.ndarray` of shape `(records, classes)`): What a model says.

        Returns:
            `np.ndarray` of shape `(figures,)`, as `all_names` has them; NaN where one is not defined.
        """
        by_class = per_class(labels, probabilities, decisions)
        known = ~np.isnan(labels)
        # What is unknown counts neither as hit nor as miss.
        truth, decided = labels == 1, decisions & known
        figures = {f"macro_{name}": _mean(by_class[name]) for name in CLASS_FIGURES}
        figures["weighted_f1"] = weighted_f1(truth, decided) if truth.any() else np.nan
        if self.task.is_multi_label:
            figures[CALIBRATION] = _mean(by_class[CALIBRATION])
            if self.rewards is not None:
                # As the challenge has it: what a corpus does not state is absent.
                figures["challenge_score"] = challenge_score(truth, decisions, self.rewards)
        else:
            figures["accuracy"] = accuracy(truth, decided)
            figures[CALIBRATION] = top_class_calibration_error(truth, probabilities)
            if self.is_binary:
                figures |= {name: by_class[name][1] for name in ("auroc", "auprc")}
        whole = [figures[name] for name in self.names]
        return np.concatenate([whole, *(by_class[name] for name in CLASS_FIGURES)])

    def main_figure(self, labels: np.ndarray, probabilities: np.ndarray) -> float:
        """The main figure alone, of any number of classes."""
        if self.is_binary:
            labels, probabilities = labels[:, -1:], probabilities[:, -1:]
        return _mean(_over_known(per_class_auroc, labels, probabilities))


def class_figure(figure: str, name: str) -> str:
    """What a class's figure is called among all."""
    return f"{figure} of {name}"


def per_class(labels: np.ndarray, probabilities: np.ndarray, decisions: np.ndarray) -> dict[str, np.ndarray]:
    """AUROC, AUPRC, F1 and calibration error of every class, each `(classes,)`, NaN where not defined."""
    return {
        "auroc": _over_known(per_class_auroc, labels, probabilities),
        "auprc": _over_known(per_class_auprc, labels, probabilities),
        "f1": _over_known(per_class_f1, labels, decisions),
        CALIBRATION: _over_known(per_class_calibration_error, labels, probabilities),
    }


def _over_known(metric, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """A metric per class over the records where the class is known, `(classes,)`."""
    known = ~np.isnan(labels)
    found = np.full(labels.shape[1], np.nan)
    # Corpora differ in the classes that they state, so few patterns serve many columns at once.
    patterns, group = np.unique(known, axis=1, return_inverse=True) if not known.all() else (known[:, :1], None)
    for number, pattern in enumerate(patterns.T):
        columns = np.arange(labels.shape[1]) if group is None else np.flatnonzero(group.ravel() == number)
        part = labels[np.ix_(pattern, columns)]
        usable = has_both_outcomes(part == 1)
        if usable.any():
            columns = columns[usable]
            found[columns] = metric(part[:, usable], scores[np.ix_(pattern, columns)])
    return found


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


@dataclass(frozen=True, eq=False)
class RowScores:
    """
    What a row of the table says of the records, once for every seed.

    Attributes:
        name (`str`): Of the row.
        seeds (`tuple[int, ...]`): Seeds, or places of checkpoints; one number if nothing is drawn.
        validation, test (`list[np.ndarray]`): Probabilities `(records, classes)`, one array a seed.
    """

    name: str
    seeds: tuple[int, ...]
    validation: list[np.ndarray]
    test: list[np.ndarray]


@dataclass(frozen=True, eq=False)
class RowFigures:
    """
    The figures of a row on the full set and in every resample.

    Attributes:
        scores ([`RowScores`]): What they are of.
        thresholds (`list[np.ndarray | None]`): From validation, one array a seed.
        estimates (`np.ndarray` of shape `(seeds, figures)`): On the full test set.
        resampled (`np.ndarray` of shape `(resamples, figures)`): Means over the seeds in every resample.
    """

    scores: RowScores
    thresholds: list[np.ndarray | None]
    estimates: np.ndarray
    resampled: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Means over the seeds, `(figures,)`."""
        return self.estimates.mean(axis=0)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over the seeds, `(figures,)`; NaN with one seed."""
        seeds = len(self.estimates)
        return self.estimates.std(axis=0, ddof=1) if seeds > 1 else np.full(self.estimates.shape[1], np.nan)


def row_figures(
    protocol: Protocol,
    rows: Sequence[RowScores],
    validation_labels: np.ndarray,
    test_labels: np.ndarray,
    patients: Sequence[Hashable],
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, RowFigures]:
    """
    The figures of all rows, on the same resamples of patients.

    Args:
        protocol ([`Protocol`]): Which figures.
        rows (`Sequence[RowScores]`): The rows.
        validation_labels, test_labels (`np.ndarray` of shape `(records, classes)`): 0, 1 and NaN.
        patients (`Sequence`): Patient of every test record.
        resamples (`int`, *optional*, defaults to 1000), seed (`int`, *optional*, defaults to 0): Of the bootstrap.

    Returns:
        `dict[str, RowFigures]`: by name of the row.
    """
    draws = list(bootstrap_rows(len(test_labels), groups=patients, resamples=resamples, seed=seed))
    found = {}
    for row in rows:
        thresholds = [protocol.thresholds(validation_labels, said) for said in row.validation]
        estimates, resampled = [], []
        for said, cuts in zip(row.test, thresholds, strict=True):
            decided = protocol.decisions(said, cuts)
            estimates.append(protocol.vector(test_labels, said, decided))
            resampled.append([protocol.vector(test_labels[drawn], said[drawn], decided[drawn]) for drawn in draws])
        # What is not defined in a resample is so for every seed.
        means = _without_bias(protocol, np.mean(estimates, axis=0), np.mean(resampled, axis=0))
        found[row.name] = RowFigures(row, thresholds, np.stack(estimates), means)
    return found


def _without_bias(protocol: Protocol, estimates: np.ndarray, resampled: np.ndarray) -> np.ndarray:
    place = protocol.all_names.index(CALIBRATION)
    shift = estimates[place] - np.nanmean(resampled[:, place]) if not np.isnan(estimates[place]) else 0.0
    resampled[:, place] += shift
    return resampled


def figure_interval(estimate: float, values: np.ndarray, confidence: float) -> Interval | None:
    """Interval of a figure; `None` if it is not defined, on the full set or in any resample."""
    defined = values[~np.isnan(values)]
    if np.isnan(estimate) or not len(defined):
        return None
    return percentile_interval(float(estimate), defined, confidence)


def difference_interval(ours: RowFigures, other: RowFigures, place: int, confidence: float) -> Interval | None:
    """Interval of the difference of two rows in a figure: above zero where the first has the higher figure."""
    estimate = ours.mean[place] - other.mean[place]
    return figure_interval(estimate, ours.resampled[:, place] - other.resampled[:, place], confidence)


__all__ = [
    "CALIBRATION",
    "CLASS_FIGURES",
    "TITLES",
    "Protocol",
    "RowFigures",
    "RowScores",
    "class_figure",
    "difference_interval",
    "figure_interval",
    "per_class",
    "row_figures",
]
