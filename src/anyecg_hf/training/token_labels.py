# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning for a label a patch: beats and rhythm spans."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np
import torch
from torch import nn

from anyecg_hf.corpora.array_feature import BinaryArray
from anyecg_hf.corpora.signal_feature import ECG_FORMAT
from anyecg_hf.evaluation.metrics import accuracy, highest_class, macro_auroc, macro_f1, one_hot
from anyecg_hf.evaluation.metrics.checks import has_both_outcomes
from anyecg_hf.models.anyecg import AnyECGForTokenClassification, AnyECGTokenizer
from anyecg_hf.models.anyecg.modeling_anyecg_tokens import IGNORED_LABEL
from anyecg_hf.training.annotation_labels import AnnotationTask, annotation_task
from anyecg_hf.training.configs import FinetuningConfig
from anyecg_hf.training.label_tasks import SINGLE_LABEL
from anyecg_hf.training.model_configs import load_tokenizer
from anyecg_hf.training.sources import TrainingRows, load_rows, window_patches
from anyecg_hf.training.stage import LossTerm
from anyecg_hf.training.task_stage import TaskStage, class_settings
from anyecg_hf.training.windows import Batch, Row, WindowCollator, WindowSettings, record_time_positions
from anyecg_hf.version import __version__

logger = logging.getLogger(__name__)

TOKEN_LABELS = "token_labels"
_FEATURE = BinaryArray("int16")


@dataclass(frozen=True)
class TokenLabelCollator(WindowCollator):
    """Batches with `labels` `(B, N)` int64, -100 where nothing is said or nothing is there."""

    def add(self, batch: Batch, rows: Sequence[Row], places: list, generator: torch.Generator | None) -> None:
        mask = batch["attention_mask"]
        batch["labels"] = torch.full((mask.shape[0], mask.shape[2]), IGNORED_LABEL)
        for labels, row, (_, span) in zip(batch["labels"], rows, places, strict=True):
            window = np.asarray(row[TOKEN_LABELS])[span].astype(np.int64)
            labels[: len(window)] = torch.from_numpy(window)
        batch["labels"].masked_fill_(~mask.any(dim=1), IGNORED_LABEL)


class TokenLabelStage(TaskStage):
    """
    Trains an [`AnyECGForTokenClassification`] for one of the tasks of `training.annotation_labels`.

    Args:
        config ([`FinetuningConfig`]): The run.
        data ([`TrainingRows`], *optional*): Rows with the column `token_labels`, and the classes that they use
            ([`load_token_rows`]), in place of the sources of the configuration.
        task ([`AnnotationTask`], *optional*): Their task.
    """

    selection = "macro_auroc"
    more_is_better = True
    model_class = AnyECGForTokenClassification
    head = "classifier."

    def __init__(self, config: FinetuningConfig, data: TrainingRows | None = None, task: AnnotationTask | None = None):
        self.config = config
        self.tokenizer = load_tokenizer(config.checkpoint)
        if data is None or task is None:
            task, data = load_token_rows(config, self.tokenizer)
        self.task, self.data = task, data
        model = self.load_model(token_classifier_settings(task))
        patches = window_patches(config.data, self.tokenizer)
        offsets = record_time_positions(model.config, patches)
        self.model = self.adapted(model)
        self.collate = TokenLabelCollator(WindowSettings(patches, config.data.lead_dropout, offsets))

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"token_loss": float((batch["labels"] != IGNORED_LABEL).sum())}

    def terms(self, outputs: Any) -> dict[str, LossTerm]:
        return {"token_loss": LossTerm(outputs.loss)}

    def validate(self, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]]) -> dict[str, float]:
        scores, labels = [], []

        def see(batch: Batch, outputs: Any) -> None:
            known = batch["labels"] != IGNORED_LABEL
            scores.append(outputs.logits.detach().float().cpu()[known].softmax(dim=-1).numpy())
            labels.append(batch["labels"][known].numpy())

        found = self.watch(model, batches, see)
        return {**found, **token_figures(np.concatenate(labels), np.concatenate(scores), self.task.class_names)}


def token_classifier_settings(task: AnnotationTask) -> dict[str, Any]:
    """Fields of a model's configuration that follow from a task."""
    return {**class_settings(task.class_names, SINGLE_LABEL, task.descriptions), "token_label_level": "time"}


def token_figures(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """
    Figures of labelled patches.

    Args:
        labels (`np.ndarray` of shape `(patches,)`): Classes.
        scores (`np.ndarray` of shape `(patches, classes)`): Probabilities.
        class_names (`Sequence[str]`): Names of the classes.

    Returns:
        `dict[str, float]`: `accuracy`, and `macro_auroc` and `macro_f1`, means over the classes that occur.

    Raises:
        `ValueError`: if there are no patches, or all are of one class.
    """
    truth = one_hot(labels, len(class_names))
    occur = has_both_outcomes(truth)
    if not occur.any():
        raise ValueError("all labelled patches are of one class: no figure tells models apart there.")
    decided = highest_class(scores)
    names = [name for name, found in zip(class_names, occur, strict=True) if found]
    return {
        "macro_auroc": macro_auroc(truth[:, occur], scores[:, occur], names),
        "macro_f1": macro_f1(truth[:, occur], decided[:, occur], class_names=names),
        "accuracy": accuracy(truth, decided),
    }


def load_token_rows(config: FinetuningConfig, tokenizer: AnyECGTokenizer) -> tuple[AnnotationTask, TrainingRows]:
    """
    The rows of a run with labels by patch.

    Args:
        config ([`FinetuningConfig`]): The run.
        tokenizer ([`AnyECGTokenizer`]): How to clean.

    Returns:
        `tuple`: the task, perhaps with fewer classes, and the rows that it says something about.

    Raises:
        `ValueError`: if no row is labelled, or classes are too rare.
    """
    if config.task.classes:
        raise ValueError("`task.classes` names the classes of the task `labels`, and of no other.")
    task = annotation_task(config.task.name)
    data = load_rows(config.data, tokenizer)
    parts = {"training": data.train, "validation": data.validation}

    def labelled() -> dict[str, Any]:
        return {name: rows and with_token_labels(rows, task, tokenizer.patch_seconds) for name, rows in parts.items()}

    found = labelled()
    rare = _rare_classes(task, found, config.task.drop_rare)
    if rare:
        task = task.without(set(rare))
        found = labelled()
    return task, replace(data, train=found["training"], validation=found["validation"])


def with_token_labels(
    rows: datasets.Dataset | datasets.IterableDataset, task: AnnotationTask, patch_s: float, keep_all: bool = False
) -> datasets.Dataset | datasets.IterableDataset:
    """
    Adds the column `token_labels` `(N,)` int16, -100 where nothing is said, in place of `annotations`; rows about which
    nothing is said are left out.

    Args:
        rows (`datasets.Dataset` or `datasets.IterableDataset`): Rows of `clean_corpus`.
        task ([`AnnotationTask`]): What to label with.
        patch_s (`float`): Length of a patch in seconds.
        keep_all (`bool`, *optional*, defaults to `False`): Whether rows about which nothing is said stay, so that
            records stay whole.

    Returns:
        The same kind of dataset.
    """
    columns = {name: feature for name, feature in rows.features.items() if name != "annotations"}
    features = datasets.Features({**columns, TOKEN_LABELS: _FEATURE})
    is_stream = isinstance(rows, datasets.IterableDataset)
    label = _Label(task, patch_s, as_stored=not is_stream)
    labelled = rows.map(label, remove_columns=["annotations"], features=features)
    if not is_stream:
        labelled = labelled.with_format(ECG_FORMAT)
    return labelled if keep_all else labelled.filter(_says_something, input_columns=[TOKEN_LABELS])


class _Label:
    """Labels rows. A class, so that `datasets` can tell by its state what a cached result was computed with."""

    def __init__(self, task: AnnotationTask, patch_s: float, as_stored: bool):
        self.task = task
        self.patch_s = patch_s
        self.as_stored = as_stored

    def __getstate__(self) -> dict[str, Any]:
        task = {"task": self.task.name, "classes": self.task.class_names}
        return {**task, "patch_s": self.patch_s, "as_stored": self.as_stored, "version": __version__}

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        found = self.task.label_patches(row["annotations"], row["first_patch"], row["n_patches"], self.patch_s)
        found = found.astype(np.int16)
        return {TOKEN_LABELS: _FEATURE.encode_example(found) if self.as_stored else found}


def _says_something(labels: np.ndarray) -> bool:
    return bool((np.asarray(labels) != IGNORED_LABEL).any())


def count_token_labels(task: AnnotationTask, rows: datasets.Dataset, name: str = "training") -> np.ndarray:
    """
    Patches of every class.

    Args:
        task ([`AnnotationTask`]): The classes.
        rows (`datasets.Dataset`): With `token_labels`.
        name (`str`, *optional*): What they are, for the error.

    Returns:
        `np.ndarray` of shape `(classes,)`, int64.

    Raises:
        `ValueError`: if there is no row.
    """
    if not len(rows):
        raise ValueError(f"no {name} record has annotations of {task.name}: MIT-BIH, for example, has.")
    labels = np.concatenate([np.asarray(row[TOKEN_LABELS]) for row in rows.select_columns([TOKEN_LABELS])])
    return np.bincount(labels[labels != IGNORED_LABEL], minlength=len(task.class_names))


def _rare_classes(task: AnnotationTask, parts: dict[str, Any], drop_rare: int) -> dict[str, str]:
    """Classes with too few patches to learn, and how few; of streams nothing is known."""
    rare: dict[str, str] = {}
    for name, rows in parts.items():
        if rows is None or isinstance(rows, datasets.IterableDataset):
            continue
        counts = count_token_labels(task, rows, name)
        for label, count in zip(task.class_names, counts, strict=True):
            if count < max(drop_rare, 1):
                rare.setdefault(label, f"{count} of {counts.sum()} {name} patches")
    if not rare:
        return rare
    listed = ", ".join(f"{label} ({found})" for label, found in rare.items())
    if not drop_rare:
        raise ValueError(
            f"classes cannot be learned where patches with them are missing: {listed}. Set `task.drop_rare: 1` to leave"
            " such classes out, their patches without label, or name other sources."
        )
    if len(task.class_names) - len(rare) < 2:
        raise ValueError(f"fewer than two classes are left: {listed}.")
    logger.warning("classes are left out, and their patches have no label: %s", listed)
    return rare


__all__ = [
    "TOKEN_LABELS",
    "TokenLabelCollator",
    "TokenLabelStage",
    "count_token_labels",
    "load_token_rows",
    "token_classifier_settings",
    "token_figures",
    "with_token_labels",
]
