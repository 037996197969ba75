# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a record is labelled with: the tasks of classification, each with one fixed definition."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from anyecg_hf.corpora.label_sets import (
    ARRHYTHMIA_CLASSES,
    CORPUS_LABEL_SYSTEMS,
    anomaly,
    arrhythmia_labels,
    classes_used,
    label_vocabulary,
)
from anyecg_hf.corpora.label_tables import (
    LABEL_SYSTEMS,
    SUPERCLASSES,
    challenge_classes,
    challenge_labels,
    is_snomed_code,
    label_table,
    normalised_label,
    snomed_concepts,
    subclasses,
)
from anyecg_hf.training.configs import LABEL_TASKS, TaskConfig

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]

MULTI_LABEL = "multi_label_classification"
SINGLE_LABEL = "single_label_classification"

_SUPERCLASS_TITLES = {
    "NORM": "normal ECG",
    "MI": "myocardial infarction",
    "STTC": "ST/T change",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}


@dataclass(frozen=True)
class LabelTask:
    """
    A classification task.

    Attributes:
        name (`str`): Its name.
        class_names (`tuple[str, ...]`): Classes, in the order of labels and logits.
        problem_type (`str`): As in a model's configuration.
        label (`Callable`): Row -> `(classes,)` float32 of 0, 1 and NaN, where the corpus does not say, or for single
            labels the index of the class; `None` if the row says nothing at all.
        descriptions (`dict[str, str]`): Class -> what it means, with codes where there are some.
    """

    name: str
    class_names: tuple[str, ...]
    problem_type: str
    label: Callable[[Row], np.ndarray | None]
    descriptions: dict[str, str] = field(default_factory=dict)

    @property
    def is_multi_label(self) -> bool:
        """Whether a record can have several classes."""
        return self.problem_type == MULTI_LABEL

    def without(self, names: set[str]) -> "LabelTask":
        """The task without some of its classes; of rows that say nothing about the others, either."""
        kept = [index for index, name in enumerate(self.class_names) if name not in names]
        whole = self.label

        def label(row: Row) -> np.ndarray | None:
            found = whole(row)
            return None if found is None or np.isnan(found[kept]).all() else found[kept]

        class_names = tuple(self.class_names[index] for index in kept)
        descriptions = {name: self.descriptions[name] for name in class_names if name in self.descriptions}
        return LabelTask(self.name, class_names, self.problem_type, label, descriptions)


def label_task(config: TaskConfig) -> LabelTask:
    """
    The task that a configuration names.

    Args:
        config ([`TaskConfig`]): Its name, and classes for `labels`.

    Returns:
        [`LabelTask`]

    Raises:
        `ValueError`: for an unknown name, or classes that are missing or not asked for.
    """
    if config.name not in LABEL_TASKS:
        raise ValueError(
            f"`task.name` must be one of {', '.join(LABEL_TASKS)} for classification, got {config.name!r}."
        )
    if (config.name == "labels") != bool(config.classes):
        raise ValueError("`task.classes` names the classes of the task `labels`, and of no other.")
    twice = sorted({name for name in config.classes or () if config.classes.count(name) > 1})
    if twice:
        raise ValueError(f"`task.classes` names {', '.join(twice)} more than once.")
    return _MAKERS[config.name](config)


def _superclass_task(config: TaskConfig) -> LabelTask:
    def label(row: Row) -> np.ndarray | None:
        return _vector(SUPERCLASSES, row["superclasses"]) if _is_own_ptbxl(row) else None

    return LabelTask("superclass", SUPERCLASSES, MULTI_LABEL, label, dict(_SUPERCLASS_TITLES))


def _subclass_task(config: TaskConfig) -> LabelTask:
    statements = [item for item in label_table("scp").values() if item.diagnostic and item.subclass]
    names = tuple(sorted({item.subclass for item in statements}))

    def label(row: Row) -> np.ndarray | None:
        return _vector(names, subclasses(row["native_labels"])) if _is_own_ptbxl(row) else None

    return LabelTask("subclass", names, MULTI_LABEL, label)


def _rhythm_task(config: TaskConfig) -> LabelTask:
    return _statement_task("rhythm", lambda item: item.rhythm)


def _statements_task(config: TaskConfig) -> LabelTask:
    return _statement_task("statements", lambda item: True)


def _statement_task(name: str, chosen: Callable[[Any], bool]) -> LabelTask:
    items = [item for item in label_table("scp").values() if chosen(item)]
    names = tuple(item.label for item in items)

    def label(row: Row) -> np.ndarray | None:
        return _vector(names, row["native_labels"]) if _is_own_ptbxl(row) else None

    return LabelTask(name, names, MULTI_LABEL, label, {item.label: _described(item.name, item.codes) for item in items})


def _anomaly_task(config: TaskConfig) -> LabelTask:
    def label(row: Row) -> np.ndarray | None:
        found = anomaly(row["corpus"], row["native_labels"])
        return None if found is None else np.int64(found)

    return LabelTask("anomaly", ("normal", "abnormal"), SINGLE_LABEL, label)


def _arrhythmia_task(config: TaskConfig) -> LabelTask:
    descriptions = {item.name: _described(item.title, item.codes) for item in ARRHYTHMIA_CLASSES}
    return _code_task("arrhythmia", "arrhythmia", descriptions, arrhythmia_labels)


def _challenge_task(config: TaskConfig) -> LabelTask:
    concepts = snomed_concepts()
    descriptions = {
        item.name: _described(concepts[item.codes[0]].name if item.codes[0] in concepts else item.name, item.codes)
        for item in challenge_classes(2021)
    }
    return _code_task("challenge", "challenge-2021", descriptions, lambda codes: challenge_labels(codes, 2021))


def _code_task(
    name: str, label_set: str, descriptions: dict[str, str], classes_of: Callable[[Any], tuple[str, ...]]
) -> LabelTask:
    names = tuple(descriptions)

    def label(row: Row) -> np.ndarray | None:
        used = classes_used(row["corpus"], label_set, _in_challenge_layout(row))
        if not used or not row["native_labels"] or _is_noise(row):
            return None
        found = _vector(names, classes_of(row["labels"]))
        # What a corpus never states is no negative there.
        found[[name not in used and not present for name, present in zip(names, found, strict=True)]] = np.nan
        return found

    return LabelTask(name, names, MULTI_LABEL, label, descriptions)


def _labels_task(config: TaskConfig) -> LabelTask:
    names = tuple(config.classes)
    concepts = snomed_concepts()
    told: set[str] = set()

    def label(row: Row) -> np.ndarray | None:
        corpus, stated = row["corpus"], [*row["labels"], *row["native_labels"]]
        if not stated:
            return None
        forms = _written_forms(corpus, stated)
        found = np.array([not forms.isdisjoint(_written_forms(corpus, [name])) for name in names], dtype=np.float32)
        known, doubtful = _expressible(corpus, names, _in_challenge_layout(row))
        if doubtful and corpus not in told:
            told.add(corpus)
            logger.warning(
                "task 'labels': nothing is known of how %r states %s; its records that do not are taken as negatives",
                *(corpus, ", ".join(doubtful)),
            )
        if _is_noise(row):
            known = (False,) * len(names)
        found[[not name_known and not present for name_known, present in zip(known, found, strict=True)]] = np.nan
        return None if np.isnan(found).all() else found

    return LabelTask(
        "labels", names, MULTI_LABEL, label, {name: concepts[name].name for name in names if name in concepts}
    )


_MAKERS = {
    "superclass": _superclass_task,
    "subclass": _subclass_task,
    "rhythm": _rhythm_task,
    "statements": _statements_task,
    "anomaly": _anomaly_task,
    "arrhythmia": _arrhythmia_task,
    "challenge": _challenge_task,
    "labels": _labels_task,
}


@cache
def _expressible(corpus: str, names: tuple[str, ...], challenge_layout: bool) -> tuple[tuple[bool, ...], list[str]]:
    """Of which classes a record's silence says that they are absent, and those of which that is assumed only."""
    try:
        vocabulary = label_vocabulary(corpus, challenge_layout)
    except ValueError:  # no corpus of ours, or not part of the challenge: nobody knows
        vocabulary = None
    doubtful = [name for name in names if vocabulary is None or not _is_of_a_table(name)]
    said = [name in doubtful or not vocabulary.isdisjoint(_written_forms(corpus, [name])) for name in names]
    return tuple(said), doubtful


@cache
def _is_of_a_table(name: str) -> bool:
    return any(normalised_label(system, name) in label_table(system) for system in LABEL_SYSTEMS)


def _written_forms(corpus: str, labels: Iterable[str]) -> set[str]:
    """Labels as they are, and as the tables of their corpus have them."""
    systems = CORPUS_LABEL_SYSTEMS.get(corpus, ())
    return {*labels, *(normalised_label(system, label) for system in systems for label in labels)}


def _in_challenge_layout(row: Row) -> bool:
    """Whether a row has the codes of the challenge headers in place of its corpus's own labels."""
    return bool(row["native_labels"]) and all(map(is_snomed_code, row["native_labels"]))


def _vector(names: tuple[str, ...], present: Any) -> np.ndarray:
    present = set(present)
    return np.array([name in present for name in names], dtype=np.float32)


def _is_own_ptbxl(row: Row) -> bool:
    """Whether a row has PTB-XL's own statements, rather than the codes of its copies in the challenge."""
    return row["corpus"] == "ptb-xl" and bool(row["native_labels"]) and not _in_challenge_layout(row)


def _is_noise(row: Row) -> bool:
    """Whether a record of CinC 2017 was too noisy for its annotators, who then said nothing of its rhythm."""
    return row["corpus"] == "cinc2017" and "~" in row["native_labels"]


def _described(name: str, codes: tuple[str, ...]) -> str:
    return f"{name} (SNOMED CT {', '.join(codes)})" if codes else name


__all__ = ["MULTI_LABEL", "SINGLE_LABEL", "LabelTask", "label_task"]
