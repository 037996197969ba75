# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Training, validation and test records of a task: read, cleaned, checked for leaks, labelled.

A record longer than a window is cleaned whole and cut into the fewest windows that cover it, evenly
([`~windowing_anyecg.window_spans`]). Every model sees windows; the probability of a record is the mean over its
windows, each weighted by its patches that are not masked, as in `pipelines.record_analysis`.
"""

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import datasets
import numpy as np

from ...corpora.signal_feature import ECG_FORMAT
from ...models.anyecg import AnyECGTokenizer
from ...training.classification import labelled_rows
from ...training.configs import DataConfig, SourceConfig
from ...training.label_tasks import LabelTask
from ...training.leaks import RowKey, keys_of, refuse_shared, row_keys, without_copies
from ...training.sources import (
    DataFacts,
    TrainingRows,
    cleaned_source,
    joined_sources,
    source_records,
    window_patches,
    without_leaks,
)
from ..metrics import one_hot
from ..patient_means import patient_of

_FACTS = ("corpus", "patient_id", "age_years", "sex", "labels", "native_labels", "superclasses")


@dataclass(eq=False)
class TaskSplit:
    """
    Labelled records of one split.

    Attributes:
        windows (`datasets.Dataset`): Rows of `clean_corpus`, one a window, in the order of `record_of_window`.
        record_of_window (`np.ndarray` of shape `(windows,)`, int64): Record of each.
        keys (`list[RowKey]`): What tells the records apart.
        labels (`np.ndarray` of shape `(records, classes)`, float64): 0, 1, and NaN where the corpus does not say;
            one-hot in a single-label task.
        facts (`dict[str, list]`): Columns of the corpus, one entry a record.
    """

    windows: datasets.Dataset
    record_of_window: np.ndarray
    keys: list[RowKey]
    labels: np.ndarray
    facts: dict[str, list[Any]]

    @cached_property
    def real_patches(self) -> np.ndarray:
        """Patches of each window that are not masked, `(windows,)` int64."""
        column = self.windows.select_columns("attention_mask")
        return np.array([int(np.asarray(row["attention_mask"]).sum()) for row in column])

    @property
    def window_labels(self) -> np.ndarray:
        """Labels of the windows, those of their records, `(windows, classes)`."""
        return self.labels[self.record_of_window]

    @property
    def patients(self) -> list[Hashable]:
        """Patient of every record, the record itself where that is unknown."""
        return [patient_of(key) for key in self.keys]

    def over_windows(self, values: np.ndarray) -> np.ndarray:
        """Means over each record's windows, `(records, classes)`, of `values` `(windows, classes)`."""
        return means_over_windows(values, self.real_patches, self.record_of_window, len(self.keys))

    def describe(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Counts and fingerprint, for the results."""
        known = ~np.isnan(self.labels)
        prints = sorted(key.fingerprint or f"{key.corpus}/{key.record_id}" for key in self.keys)
        return {
            "records": len(self.keys),
            "windows": len(self.windows),
            "patients": len(set(self.patients)),
            "corpora": dict(sorted(Counter(self.facts["corpus"]).items())),
            "positives": dict(zip(class_names, np.nansum(self.labels, axis=0).astype(int).tolist(), strict=True)),
            "unknown": dict(zip(class_names, (~known).sum(axis=0).tolist(), strict=True)),
            "without_any_class": int((np.nansum(self.labels, axis=1) == 0).sum()),
            "fingerprint_sha256": hashlib.sha256("".join(prints).encode()).hexdigest(),
        }


def means_over_windows(
    values: np.ndarray, real_patches: np.ndarray, record_of_window: np.ndarray, records: int
) -> np.ndarray:
    """
    Means over each record's windows, weighted by their patches that are not masked.

    Args:
        values (`np.ndarray` of shape `(windows, classes)`): Probabilities of windows.
        real_patches (`np.ndarray` of shape `(windows,)`): Their weights.
        record_of_window (`np.ndarray` of shape `(windows,)`): Record of each, from 0.
        records (`int`): Number of records.

    Returns:
        `np.ndarray` of shape `(records, classes)`, float64; NaN for a record without a real patch.
    """
    # A window whose patches are all masked says nothing, whatever the model makes of it.
    weights = np.asarray(real_patches, dtype=np.float64)
    sums = np.zeros((records, values.shape[1]))
    np.add.at(sums, record_of_window, weights[:, None] * values)
    totals = np.bincount(record_of_window, weights=weights, minlength=records)
    return sums / np.where(totals > 0, totals, np.nan)[:, None]


@dataclass(eq=False)
class TaskData:
    """
    All of a task's records.

    Attributes:
        task ([`LabelTask`]): The task, perhaps with fewer classes.
        train, validation, test ([`TaskSplit`]): The splits.
        test_records (`datasets.Dataset`): The test records before cleaning, signals in mV, in the order of `test.keys`.
        left_out (`dict[str, str]`): Classes that are not evaluated, and why.
        facts ([`DataFacts`]): What else to say of the training rows.
    """

    task: LabelTask
    train: TaskSplit
    validation: TaskSplit
    test: TaskSplit
    test_records: datasets.Dataset
    left_out: dict[str, str]
    facts: DataFacts


def load_task_data(
    config: DataConfig,
    tokenizer: AnyECGTokenizer,
    task: LabelTask,
    drop_rare: int = 0,
    known_classes: Sequence[str] | None = None,
) -> TaskData:
    """
    Reads, cleans, checks and labels the records of an evaluation.

    Args:
        config ([`DataConfig`]): `train`, `validation` and `held_out`, the test records.
        tokenizer ([`AnyECGTokenizer`]): How to clean.
        task ([`LabelTask`]): What the records are labelled with; others are left out.
        drop_rare (`int`, *optional*, defaults to 0): As in [`TaskConfig`].
        known_classes (`Sequence[str]`, *optional*): Classes that a fine-tuned checkpoint has: others are left out.

    Returns:
        [`TaskData`]

    Raises:
        [`~anyecg_hf.training.sources.LeakError`]: if a test record is a copy of a training or validation record, or of
            the same patient, whatever `config.on_leak` says; for training and validation records, as it says.
        `ValueError`: if a split is empty or has no labels of the task, if a class has no positives or no negatives and
            `drop_rare` is 0, and for a stream.
    """
    _check(config)
    patches = window_patches(config, tokenizer)

    def cleaned(sources: Sequence[SourceConfig]) -> list[datasets.Dataset]:
        return [cleaned_source(source, config, tokenizer, patches, streaming=False) for source in sources]

    train, validation, test = cleaned(config.train), cleaned(config.validation), cleaned(config.held_out)
    refuse_shared(train, test, "training")
    refuse_shared(validation, test, "validation")
    forbidden = keys_of(validation)
    if config.deduplicate:
        validation, test = without_copies(validation), without_copies(test, "test")
    facts = DataFacts(validation_rows=sum(map(len, validation)))
    names = [f"{number}: {source.corpus or source.parquet}" for number, source in enumerate(config.train, start=1)]
    kept = without_leaks(dict(zip(names, train, strict=True)), forbidden, config, facts)
    rows = TrainingRows(joined_sources(kept, [None] * len(kept)), _concatenated(validation), facts)
    left_out = {}
    if known_classes is not None:
        missing = {name for name in task.class_names if name not in known_classes}
        left_out |= dict.fromkeys(missing, "not among the checkpoint's classes")
        task = task.without(missing) if missing else task
    before = task.class_names
    task, rows = labelled_rows(task, rows, drop_rare)
    left_out |= {name: "too rare to learn" for name in before if name not in task.class_names}
    raw = _concatenated([source_records(source, config, streaming=False) for source in config.held_out])
    test_split = _labelled(task, _concatenated(test), "test")
    return TaskData(
        task=task,
        train=_labelled(task, rows.train, "training"),
        validation=_labelled(task, rows.validation, "validation"),
        test=test_split,
        test_records=_as_read(raw, test_split.keys),
        left_out=left_out,
        facts=facts,
    )


def _check(config: DataConfig) -> None:
    if config.streaming:
        raise ValueError("an evaluation reads its records once into a cache: `data.streaming` must be false.")
    for name in ("train", "validation", "held_out"):
        if not getattr(config, name):
            raise ValueError(f"`data.{name}` is empty: name at least one source of records.")


def _concatenated(parts: Sequence[datasets.Dataset]) -> datasets.Dataset:
    return datasets.concatenate_datasets(list(parts)).with_format(ECG_FORMAT)


def _labelled(task: LabelTask, rows: datasets.Dataset, name: str) -> TaskSplit:
    facts = rows.select_columns(list(_FACTS)).with_format(None)
    labels = [task.label(row) for row in facts]
    kept = [index for index, label in enumerate(labels) if label is not None]
    if not kept:
        raise ValueError(f"no {name} record has labels of the task {task.name!r}: other corpora have.")
    rows, facts, keys = rows.select(kept), facts.select(kept), list(row_keys(rows.select(kept)))
    numbers: dict[RowKey, int] = {}
    record_of_window = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    first = np.unique(record_of_window, return_index=True)[1]
    found = np.stack([labels[kept[index]] for index in first])
    return TaskSplit(
        windows=rows,
        record_of_window=record_of_window,
        keys=list(numbers),
        labels=found.astype(np.float64) if task.is_multi_label else one_hot(found, len(task.class_names)).astype(float),
        facts={name: facts.select(first)[name][:] for name in _FACTS},
    )


def _as_read(records: datasets.Dataset, keys: Sequence[RowKey]) -> datasets.Dataset:
    """The records of `keys`, in their order. Names tell them apart, but for copies of one record in two sources."""
    columns = records.select_columns(["corpus", "record_id"]).with_format(None)
    places: dict[tuple[str, str], list[int]] = {}
    for index, name in enumerate(zip(columns["corpus"], columns["record_id"], strict=True)):
        places.setdefault(name, []).append(index)
    # Of several sources with the same name the first was cleaned first.
    return records.select([places[key.corpus, key.record_id].pop(0) for key in keys])


__all__ = ["TaskData", "TaskSplit", "load_task_data", "means_over_windows"]
