# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a record is labelled with: the tasks of classification, each with one fixed definition."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anyecg_hf.corpora.label_sets import ARRHYTHMIA_CLASSES, anomaly, arrhythmia_labels, classes_used
from anyecg_hf.corpora.label_tables import (
    SUPERCLASSES,
    challenge_classes,
    challenge_labels,
    is_snomed_code,
    label_table,
    snomed_concepts,
    subclasses,
)
from anyecg_hf.training.configs import LABEL_TASKS, TaskConfig

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
        in_challenge_layout = bool(row["native_labels"]) and all(map(is_snomed_code, row["native_labels"]))
        used = classes_used(row["corpus"], label_set, in_challenge_layout)
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

    def label(row: Row) -> np.ndarray | None:
        stated = [*row["labels"], *row["native_labels"]]
        return _vector(names, stated) if stated else None

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


def _vector(names: tuple[str, ...], present: Any) -> np.ndarray:
    present = set(present)
    return np.array([name in present for name in names], dtype=np.float32)


def _is_own_ptbxl(row: Row) -> bool:
    """Whether a row has PTB-XL's own statements, rather than the codes of its copies in the challenge."""
    native = row["native_labels"]
    return row["corpus"] == "ptb-xl" and bool(native) and not all(map(is_snomed_code, native))


def _is_noise(row: Row) -> bool:
    """Whether a record of CinC 2017 was too noisy for its annotators, who then said nothing of its rhythm."""
    return row["corpus"] == "cinc2017" and "~" in row["native_labels"]


def _described(name: str, codes: tuple[str, ...]) -> str:
    return f"{name} (SNOMED CT {', '.join(codes)})" if codes else name


__all__ = ["MULTI_LABEL", "SINGLE_LABEL", "LabelTask", "label_task"]
