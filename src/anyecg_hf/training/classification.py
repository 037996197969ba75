# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning for one answer a record."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf.evaluation.metrics import macro_auroc, one_hot
from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGForSequenceClassification
from anyecg_hf.training.classifier_with_codes import AnyECGClassifierWithCodes
from anyecg_hf.training.configs import FinetuningConfig, MaskingConfig
from anyecg_hf.training.label_tasks import LabelTask, label_task
from anyecg_hf.training.masking import check_masking, hide_patches
from anyecg_hf.training.model_configs import check_fields, load_tokenizer
from anyecg_hf.training.pretrain import hidden_codes, with_codes
from anyecg_hf.training.sources import TrainingRows, load_rows, window_patches
from anyecg_hf.training.stage import LossTerm
from anyecg_hf.training.task_stage import TaskStage, class_settings, figures_by_class
from anyecg_hf.training.windows import (
    Batch,
    Row,
    WindowCollator,
    WindowSettings,
    codes_of,
    record_time_positions,
)
from anyecg_hf.version import __version__

logger = logging.getLogger(__name__)

_LABEL_COLUMNS = ["corpus", "labels", "native_labels", "superclasses"]  # what tasks look at


@dataclass(frozen=True)
class LabelCollator(WindowCollator):
    """
    Batches with `labels`; with `masking`, also with `codes` and `bool_masked_pos` for masked code modelling.

    Args:
        task ([`LabelTask`], *optional*): What the rows are labelled with; no labels without it.
        masking (`tuple[MaskingConfig, ...]`, *optional*): Ways to hide patches.
    """

    task: LabelTask | None = None
    masking: tuple[MaskingConfig, ...] = ()

    def add(self, batch: Batch, rows: list[Row], places: list, generator: torch.Generator | None) -> None:
        if self.task is not None:
            batch["labels"] = torch.from_numpy(np.stack([self.task.label(row) for row in rows])).clone()
        if self.masking and generator is not None:
            batch["codes"] = codes_of(rows, places, batch["attention_mask"])
            hide_patches(batch, self.masking, generator)


class ClassificationStage(TaskStage):
    """
    Trains an [`AnyECGForSequenceClassification`].

    Args:
        config ([`FinetuningConfig`]): The run.
        device (`torch.device`): Where records are encoded, if codes are needed.
    """

    selection = "macro_auroc"
    more_is_better = True
    model_class = AnyECGForSequenceClassification
    head = "classifier."
    codes_class = AnyECGClassifierWithCodes
    defaults = {"classifier_pooling": "mean_max"}

    def __init__(self, config: FinetuningConfig, device: torch.device):
        self.config = config
        has_codes = config.code_weight > 0
        if has_codes:
            check_masking(config.masking)
            if config.adaptation.mode != "full" or any(way.complement for way in config.masking):
                raise ValueError("`code_weight` needs `adaptation.mode: full`, and masking without `complement`.")
        check_fields(AnyECGConfig, config.model)
        task = label_task(config.task)
        self.tokenizer = load_tokenizer(config.checkpoint)
        patches = window_patches(config.data, self.tokenizer)
        self.task, self.data = labelled_rows(task, load_rows(config.data, self.tokenizer), config.task.drop_rare)
        if has_codes:
            self.data = with_codes(self.data, self.tokenizer.to(device), patches)
        model = self.load_model(classifier_settings(self.task))
        offsets = record_time_positions(model.config, patches)
        self.model = self.adapted(model)
        self.collate = LabelCollator(
            WindowSettings(patches, config.data.lead_dropout, offsets),
            self.task,
            tuple(config.masking) if has_codes else (),
        )

    def counts(self, batch: Batch) -> dict[str, float]:
        found = {"classification_loss": float((~batch["labels"].isnan()).sum())}
        if "codes" in batch:
            found["code_loss"] = hidden_codes(batch["codes"], batch["bool_masked_pos"])
        return found

    def terms(self, outputs: Any) -> dict[str, LossTerm]:
        if getattr(outputs, "code_loss", None) is None:
            return {"classification_loss": LossTerm(getattr(outputs, "classification_loss", outputs.loss))}
        return {
            "classification_loss": LossTerm(outputs.classification_loss),
            "code_loss": LossTerm(outputs.code_loss, self.config.code_weight),
        }

    def validate(self, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]]) -> dict[str, float]:
        scores, labels = [], []

        def see(batch: Batch, outputs: Any) -> None:
            logits = outputs.logits.detach().float().cpu()
            scores.append((logits.sigmoid() if self.task.is_multi_label else logits.softmax(dim=-1)).numpy())
            labels.append(batch["labels"].numpy())

        found = self.watch(model, batches, see)
        truth, said = np.concatenate(labels), np.concatenate(scores)
        if not self.task.is_multi_label:
            return {**found, "macro_auroc": macro_auroc(one_hot(truth, said.shape[1]), said)}
        found["macro_auroc"], thresholds = figures_by_class(truth, said, self.task.class_names)
        self.model.config.label_thresholds = thresholds
        return found

    def save(self, model: PreTrainedModel, state_dict: dict[str, torch.Tensor], folder: Path) -> None:
        if isinstance(model, AnyECGClassifierWithCodes):  # of the class that everybody has, and with the code head
            with torch.device("meta"):
                model = AnyECGForSequenceClassification(AnyECGConfig.from_dict(model.config.to_dict()))
        super().save(model, state_dict, folder)


def classifier_settings(task: LabelTask) -> dict[str, Any]:
    """Fields of a model's configuration that follow from a task."""
    return class_settings(task.class_names, task.problem_type, task.descriptions)


def labelled_rows(task: LabelTask, data: TrainingRows, drop_rare: int) -> tuple[LabelTask, TrainingRows]:
    """
    Keeps the rows that the task says something about, and the classes that can be learned from them.

    Args:
        task ([`LabelTask`]): The task.
        data ([`TrainingRows`]): Rows; a stream is filtered as it is read.
        drop_rare (`int`): Classes with fewer positives or negatives are left out; 0 to refuse those without any.

    Returns:
        `tuple`: the task, perhaps with fewer classes, and the rows.

    Raises:
        `ValueError`: if no record is labelled, or a class has no positives or no negatives.
    """
    said = _IsLabelled(task)
    train = data.train.filter(said, input_columns=_LABEL_COLUMNS)
    validation = data.validation and data.validation.filter(said, input_columns=_LABEL_COLUMNS)
    rare: dict[str, str] = {}
    for name, rows in {"training": train, "validation": validation}.items():
        if rows is None or isinstance(rows, datasets.IterableDataset):
            continue
        if not len(rows):
            raise ValueError(f"no {name} record has labels of the task {task.name!r}: other corpora have.")
        n_before = len(data.train if name == "training" else data.validation)
        if len(rows) < n_before:
            logger.warning(
                "%d of %d %s rows have no label of the task and are left out", n_before - len(rows), n_before, name
            )
        positives, negatives = count_labels(task, rows)
        for index, label in enumerate(task.class_names):
            if min(positives[index], negatives[index]) < max(drop_rare, 1):
                rare.setdefault(label, f"{positives[index]} of {positives[index] + negatives[index]} {name} records")
    if rare:
        listed = ", ".join(f"{label} ({found})" for label, found in rare.items())
        if not drop_rare or not task.is_multi_label:
            raise ValueError(
                f"classes cannot be learned where records with or without them are missing: {listed}. Set"
                " `task.drop_rare: 1` to leave such classes out, or name other sources."
            )
        logger.warning("classes are left out: %s", listed)
        task = task.without(set(rare))
        if not task.class_names:
            raise ValueError(f"no class is left: {listed}.")
        said = _IsLabelled(task)
        train = train.filter(said, input_columns=_LABEL_COLUMNS)
        validation = validation and validation.filter(said, input_columns=_LABEL_COLUMNS)
    return task, replace(data, train=train, validation=validation)


def count_labels(task: LabelTask, rows: datasets.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives of every class among rows, each `(classes,)`."""
    columns = rows.select_columns(_LABEL_COLUMNS).with_format(None)
    labels = np.stack([task.label(row) for row in columns])
    if not task.is_multi_label:
        labels = one_hot(labels, len(task.class_names))
    return (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)


class _IsLabelled:
    """Keeps rows of a task. A class, so that `datasets` can tell by its state what a cached result is of."""

    def __init__(self, task: LabelTask):
        self.task = task

    def __getstate__(self) -> dict[str, Any]:
        return {"task": self.task.name, "classes": self.task.class_names, "version": __version__}

    def __call__(self, *values: Any) -> bool:
        return self.task.label(dict(zip(_LABEL_COLUMNS, values, strict=True))) is not None


__all__ = ["ClassificationStage", "LabelCollator", "classifier_settings", "count_labels", "labelled_rows"]
