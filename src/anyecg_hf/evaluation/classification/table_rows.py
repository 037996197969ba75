# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
The rows of every table: the fine-tuned model, and what it must be seen beside.

- `majority`: how often each class occurs in training, whatever the record.
- `random_probe`: a linear probe on the same backbone with random weights, one a seed.
- `handcrafted`: median beats, RR intervals and amplitudes under the same linear probe.
- `resnet`: a 1-D residual network trained on the same records, one a seed.
- `probe`: a linear probe on the pre-trained backbone.
- `finetuned`: the fine-tuned checkpoints.

Everything is fitted on windows of training records; validation records choose regularisation, epoch and thresholds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...models.anyecg import AnyECGForSequenceClassification, AnyECGModel, AnyECGTokenizer
from ...pipelines import RecordAnalyzer
from ...training.adapters import ADAPTER_FILE, load_adapted
from ...training.codes import weights_digest
from ...training.label_tasks import LabelTask
from ..baselines import HandcraftedBaseline, MajorityBaseline, ResNetBaseline, fit_linear_probe
from ..checkpoints import refuse_different, refuse_long_windows, shared_tokenizer
from ..evaluation_configs import EvaluationConfig
from .figures import RowScores
from .task_splits import TaskData, TaskSplit
from .window_scorers import (
    BackboneFeatures,
    ClassifierProbabilities,
    ConstantScorer,
    Extractor,
    FeatureScorer,
    HandcraftedVectors,
    LeadLayout,
    ResNetScorer,
    WindowScorer,
    batches_of_rows,
    extracted,
)

TITLES = {
    "majority": "majority class",
    "random_probe": "linear probe, random backbone",
    "handcrafted": "hand-crafted features",
    "resnet": "1-D ResNet from scratch",
    "probe": "linear probe, pre-trained backbone",
    "finetuned": "fine-tuned",
}


@dataclass(eq=False)
class Models:
    """
    What is evaluated.

    Attributes:
        tokenizer ([`AnyECGTokenizer`]): Cleans the records; the same for all.
        classifiers (`list[AnyECGForSequenceClassification]`): Fine-tuned, one a seed; perhaps none.
        backbone ([`AnyECGModel`], *optional*): Pre-trained.
    """

    tokenizer: AnyECGTokenizer
    classifiers: list[AnyECGForSequenceClassification]
    backbone: AnyECGModel | None

    @property
    def config(self) -> Any:
        """Configuration whose architecture is that of random backbones."""
        return self.backbone.config if self.backbone is not None else self.classifiers[0].config

    def describe(self) -> dict[str, Any]:
        """SHA-256 of every model's weights."""
        return {
            "finetuned_sha256": [weights_digest(model) for model in self.classifiers],
            "pretrained_sha256": None if self.backbone is None else weights_digest(self.backbone),
        }


def load_models(config: EvaluationConfig, device: torch.device) -> Models:
    """
    Loads what a configuration names.

    Args:
        config ([`EvaluationConfig`]): `checkpoint` and `pretrained`.
        device (`torch.device`): Where the models run.

    Returns:
        [`Models`]

    Raises:
        `FileNotFoundError`: if a path names nothing.
        `ValueError`: if a checkpoint has no classification head, if they clean records differently or have other
            classes, and if a window is longer than one of them was trained on.
    """
    classifiers = [_load_classifier(folder, device) for folder in config.checkpoints]
    backbone = None
    if config.pretrained is not None:
        backbone = RecordAnalyzer(config.pretrained, device=str(device)).backbone
    folders = [*config.checkpoints, *([config.pretrained] if config.pretrained is not None else [])]
    tokenizer = shared_tokenizer(folders)
    refuse_different(
        dict(zip(config.checkpoints, classifiers, strict=True)),
        lambda model: {"problem_type": model.config.problem_type, "id2label": model.config.id2label},
        "have other classes",
    )
    refuse_long_windows(config.data.window_s, [*classifiers, *([] if backbone is None else [backbone])], tokenizer)
    return Models(tokenizer, classifiers, backbone)


def _load_classifier(folder: str, device: torch.device) -> AnyECGForSequenceClassification:
    if (Path(folder) / ADAPTER_FILE).is_file():
        return load_adapted(folder).to(device).eval()
    return RecordAnalyzer(folder, device=str(device)).classifier


def checkpoint_classes(models: Models, task: LabelTask) -> list[str] | None:
    """
    Classes that fine-tuned checkpoints tell apart, `None` without any.

    Raises:
        `ValueError`: if they are of another task.
    """
    if not models.classifiers:
        return None
    config = models.classifiers[0].config
    names = [config.id2label[index] for index in range(config.num_labels)]
    strange = [name for name in names if name not in task.class_names]
    partial = not task.is_multi_label and set(names) != set(task.class_names)
    if strange or partial or config.problem_type != task.problem_type:
        raise ValueError(
            f"the checkpoint is of another task than {task.name!r}: it is a {config.problem_type} over {names}, the"
            f" task a {task.problem_type} over {list(task.class_names)}."
        )
    return names


@dataclass(eq=False)
class FittedRow:
    """
    A row of the table, ready to score windows.

    Attributes:
        name (`str`): One of `ROWS`.
        seeds (`tuple[int, ...]`): Seeds, or places of checkpoints.
        scorers (`list[WindowScorer]`): One a seed.
        notes (`dict`): What was chosen on validation records.
    """

    name: str
    seeds: tuple[int, ...]
    scorers: list[WindowScorer]
    notes: dict[str, Any]

    def scores(self, data: TaskData) -> RowScores:
        """Probabilities of validation and test records."""
        splits = [data.validation, data.test]
        validation, test = (
            [split.over_windows(scorer.of_windows(split.windows)) for scorer in self.scorers] for split in splits
        )
        return RowScores(self.name, self.seeds, validation, test)


class RowFitter:
    """
    Fits the rows.

    Args:
        config ([`EvaluationConfig`]): Seeds and epochs.
        models ([`Models`]): What is evaluated.
        data ([`TaskData`]): Records.
        window_patches (`int`): Patches of a window.
        device (`torch.device`): Where networks run.
    """

    def __init__(
        self, config: EvaluationConfig, models: Models, data: TaskData, window_patches: int, device: torch.device
    ):
        self.config, self.models, self.data, self.device = config, models, data, device
        self.samples = window_patches * models.config.patch_size
        self.problem_type = data.task.problem_type

    def why_not(self, name: str) -> str | None:
        """Why there cannot be a row, `None` if there can."""
        if name == "finetuned" and not self.models.classifiers:
            return "no `checkpoint` was named"
        if name == "probe" and self.models.backbone is None:
            return "no `pretrained` was named"
        return None

    def fit(self, name: str) -> FittedRow:
        """
        Args:
            name (`str`): One of `ROWS`.

        Returns:
            [`FittedRow`]
        """
        return getattr(self, f"_{name}")()

    def _majority(self) -> FittedRow:
        columns = [self.data.train.labels[:, [place]] for place in range(len(self.data.task.class_names))]
        known = [column[~np.isnan(column[:, 0])] for column in columns]
        frequencies = np.concatenate([MajorityBaseline.fit(column).frequencies for column in known])
        return FittedRow("majority", (0,), [ConstantScorer(frequencies)], {})

    def _random_probe(self) -> FittedRow:
        scorers = [self._probe_of(self._random_backbone(seed)) for seed in self.config.seeds]
        return FittedRow("random_probe", tuple(self.config.seeds), *_with_notes(scorers))

    def _random_backbone(self, seed: int) -> AnyECGModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return AnyECGModel(self.models.config).to(self.device).eval()

    def _probe(self) -> FittedRow:
        return FittedRow("probe", (0,), *_with_notes([self._probe_of(self.models.backbone)]))

    def _probe_of(self, backbone: AnyECGModel) -> tuple[WindowScorer, Any]:
        def fit(*folds: np.ndarray) -> Any:
            return fit_linear_probe(*folds, problem_type=self.problem_type)

        extractor = BackboneFeatures(backbone)
        probe = self._fit_known(fit, extractor)
        return FeatureScorer(extractor, probe.scores), [part.inverse_regularisation for part in probe.parts]

    def _handcrafted(self) -> FittedRow:
        layout = self._layout()
        extractor = HandcraftedVectors(layout)

        def fit(train: np.ndarray, labels: np.ndarray, validation: np.ndarray, labels_validation: np.ndarray) -> Any:
            features = [extractor.as_beat_features(fold) for fold in (train, validation)]
            return HandcraftedBaseline.fit(
                features[0], labels, features[1], labels_validation, problem_type=self.problem_type
            )

        model = self._fit_known(fit, extractor)
        scorer = FeatureScorer(extractor, lambda vectors: model.scores(extractor.as_beat_features(vectors)))
        chosen = [part.probe.inverse_regularisation for part in model.parts]
        return FittedRow("handcrafted", (0,), *_with_notes([(scorer, chosen)]))

    def _fit_known(self, fit: Callable[..., Any], extractor: Extractor) -> "_Parts":
        """One fit for all classes; where some are not known for all records, one a class, on those that are."""
        splits = (self.data.train, self.data.validation)
        vectors = [extracted(extractor, split.windows) for split in splits]
        labels = [split.window_labels for split in splits]
        if not any(np.isnan(fold).any() for fold in labels):
            return _Parts([fit(vectors[0], labels[0], vectors[1], labels[1])])
        parts = []
        for column in range(labels[0].shape[1]):
            known = [~np.isnan(fold[:, column]) for fold in labels]
            folds = [(v[k], y[k, column : column + 1]) for v, y, k in zip(vectors, labels, known, strict=True)]
            parts.append(fit(*folds[0], *folds[1]))
        return _Parts(parts)

    def _resnet(self) -> FittedRow:
        layout = self._layout()
        train, validation = (self._signals(split, layout) for split in (self.data.train, self.data.validation))
        scorers, notes = [], []
        for seed in self.config.seeds:
            baseline = ResNetBaseline.fit(
                train,
                self.data.train.window_labels,
                validation,
                self.data.validation.window_labels,
                problem_type=self.problem_type,
                epochs=self.config.resnet_epochs,
                seed=seed,
                device=self.device,
                class_names=self.data.task.class_names,
            )
            scorers.append(ResNetScorer(baseline, layout, self.samples))
            notes.append(baseline.best_epoch)
        return FittedRow("resnet", tuple(self.config.seeds), scorers, {"best_epoch": notes})

    def _layout(self) -> LeadLayout:
        return LeadLayout.of(self.data.train.windows, self.models.tokenizer.sampling_rate)

    def _signals(self, split: TaskSplit, layout: LeadLayout) -> np.ndarray:
        rows = (row for batch in batches_of_rows(split.windows) for row in batch)
        return np.stack([layout.signal(row, self.samples) for row in rows])

    def _finetuned(self) -> FittedRow:
        task = self.data.task
        scorers = []
        for model in self.models.classifiers:
            columns = [model.config.label2id[name] for name in task.class_names]
            extractor = ClassifierProbabilities(model, task.is_multi_label, columns)
            scorers.append(FeatureScorer(extractor, lambda probabilities: probabilities.astype(np.float64)))
        return FittedRow("finetuned", tuple(range(len(scorers))), scorers, {"checkpoints": self.config.checkpoints})


@dataclass(eq=False)
class _Parts:
    """One model for all classes, or one for each."""

    parts: list[Any]

    def scores(self, features: Any) -> np.ndarray:
        return np.concatenate([part.scores(features) for part in self.parts], axis=1)


def _with_notes(fitted: Sequence[tuple[WindowScorer, list[float]]]) -> tuple[list[WindowScorer], dict[str, Any]]:
    return [scorer for scorer, _ in fitted], {"inverse_regularisation": [chosen for _, chosen in fitted]}


__all__ = [
    "TITLES",
    "FittedRow",
    "Models",
    "RowFitter",
    "checkpoint_classes",
    "load_models",
]
