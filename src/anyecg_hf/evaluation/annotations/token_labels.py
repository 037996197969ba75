# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Evaluating labels by patch: beats and rhythm spans.

    python -m anyecg_hf.evaluation.annotations.token_labels --config beats.yaml

Cross-validation over the patients of `data.train` (`cross_validation`), labels of `training.annotation_labels`. Every
labelled patch is one example. Rows:

- `majority`: how often each class occurs in the training part.
- `random_probe`: a linear probe on the patch's hidden state, mean over leads, backbone with random weights.
- `probe`: the same on the pre-trained backbone.
- `finetuned`: [`AnyECGForTokenClassification`], trained whole for a fixed number of steps.

A class that occurs in one patient only cannot be learned for that patient; it counts all the same.
"""

import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from torch import nn

from ...models.anyecg import AnyECGModel, AnyECGTokenizer
from ...models.anyecg.modeling_anyecg_tokens import IGNORED_LABEL
from ...models.anyecg.windowing_anyecg import window_spans
from ...training.annotation_labels import AnnotationTask, annotation_task
from ...training.codes import weights_digest
from ...training.config_files import parse_config
from ...training.configs import TOKEN_TASKS, FinetuningConfig, OptimiserConfig
from ...training.leaks import row_keys
from ...training.loop import run_training
from ...training.model_configs import load_tokenizer
from ...training.run_folder import library_versions
from ...training.sources import DataFacts, TrainingRows, load_rows, window_patches
from ...training.token_labels import TOKEN_LABELS, TokenLabelStage, count_token_labels, with_token_labels
from ...training.windows import pad_windows
from ..checkpoints import seen_before
from ..evaluation_configs import EvaluationConfig
from ..metrics import one_hot
from ..patient_means import patient_of
from ..results_folder import new_results_folder
from .cross_validation import FixedProbe, Fold, caveat, patient_folds, pooled_figures
from .fold_models import Backbones, fold_run, load_backbones
from .result_files import write_cross_validation

STEPS = 200
TITLES = {
    "majority": "frequency in training",
    "random_probe": "linear probe on patches, random backbone",
    "probe": "linear probe on patches, pre-trained backbone",
    "finetuned": "fine-tuned",
}
_BATCH = 16


def evaluate_token_labels(config: EvaluationConfig, steps: int = STEPS) -> dict[str, Any]:
    """
    Evaluates a backbone on labels by patch, and writes `results.json` and `results.md` into `config.output_dir`.

    Args:
        config ([`EvaluationConfig`]): `pretrained`, or the first `checkpoint`, to start from; `data.train`, all
            records; `data.window_s`; `seeds`, of which the first counts.
        steps (`int`, *optional*, defaults to 200): Optimiser steps of fine-tuning in every part.

    Returns:
        `dict`: what `results.json` holds.

    Raises:
        `ValueError`: for another task, if a window is longer than the backbone was trained on, if fewer than two
            classes or patients are annotated, or if `output_dir` holds results.
    """
    folder = new_results_folder(config)
    if config.task.name not in TOKEN_TASKS:
        raise ValueError(f"this protocol is of the tasks {', '.join(TOKEN_TASKS)}, got {config.task.name!r}.")
    start = time.monotonic()
    checkpoint = config.pretrained or config.checkpoints[0]
    tokenizer = load_tokenizer(checkpoint)
    training = _training(config, checkpoint, steps)
    task, rows = _labelled(training, tokenizer)
    backbones = load_backbones(config, checkpoint, tokenizer)
    patches = window_patches(training.data, tokenizer)
    keys = list(row_keys(rows))
    records = list(dict.fromkeys(keys))
    patients = [patient_of(key) for key in keys]
    results = {
        "task": {"name": config.task.name, "rows": TITLES},
        "settings": dataclasses.asdict(config),
        "training": {"steps": steps, "batch_size": _BATCH, "optimiser": dataclasses.asdict(training.optimiser)},
        "versions": library_versions(),
        "backbone": {"sha256": weights_digest(backbones.trained), **seen_before(checkpoint, records)},
        "units": {"patches": _figures(training, config, task, rows, patients, backbones, patches)},
    }
    results["seconds"] = round(time.monotonic() - start, 1)
    write_cross_validation(results, folder)
    return results


def _training(config: EvaluationConfig, checkpoint: str, steps: int) -> FinetuningConfig:
    return FinetuningConfig(
        output_dir=config.output_dir,
        checkpoint=checkpoint,
        task=config.task,
        data=dataclasses.replace(config.data, validation=[], held_out=[], batch_size=_BATCH),
        run=fold_run(config, steps),
        optimiser=OptimiserConfig(
            learning_rate=3e-4, weight_decay=0.05, warmup_steps=min(20, steps - 1), layer_decay=0.8
        ),
    )


def _labelled(training: FinetuningConfig, tokenizer: AnyECGTokenizer) -> tuple[AnnotationTask, datasets.Dataset]:
    """All rows with labels, of the classes that occur."""
    task = annotation_task(training.task.name)
    cleaned = load_rows(training.data, tokenizer).train
    rows = with_token_labels(cleaned, task, tokenizer.patch_seconds)
    counts = count_token_labels(task, rows, "training")
    absent = {name for name, count in zip(task.class_names, counts, strict=True) if not count}
    if len(task.class_names) - len(absent) < 2:
        raise ValueError(f"of the classes {', '.join(task.class_names)} fewer than two occur.")
    if absent:
        task = task.without(absent)
        rows = with_token_labels(cleaned, task, tokenizer.patch_seconds)
    return task, rows


def _figures(
    training: FinetuningConfig,
    config: EvaluationConfig,
    task: AnnotationTask,
    rows: datasets.Dataset,
    patients: Sequence[Any],
    backbones: Backbones,
    patches: int,
) -> dict[str, Any]:
    labels = [np.asarray(row[TOKEN_LABELS]).astype(np.int64) for row in rows.select_columns([TOKEN_LABELS])]
    trained, random = (list(patch_vectors(model, rows, patches)) for model in (backbones.trained, backbones.random))
    pooled: dict[str, list[np.ndarray]] = {name: [] for name in TITLES}
    truth, owners = [], []
    folds = patient_folds(patients)
    for fold in folds:
        known_train, known_test = (_known(labels, rows_of) for rows_of in (fold.train, fold.test))
        train_truth = one_hot(known_train, len(task.class_names))
        truth.append(one_hot(known_test, len(task.class_names)))
        owners += [patients[index] for index in fold.test for _ in range((labels[index] != IGNORED_LABEL).sum())]
        pooled["majority"].append(np.tile(train_truth.mean(axis=0), (len(known_test), 1)))
        for name, vectors in (("random_probe", random), ("probe", trained)):
            probe = FixedProbe.fit(_of_known(vectors, labels, fold.train), train_truth, is_multi_label=False)
            pooled[name].append(probe.scores(_of_known(vectors, labels, fold.test)))
        pooled["finetuned"].append(_of_known(_trained(training, task, rows, fold, patches), labels, fold.test))
    joined, count = np.concatenate(truth), len(set(patients))
    return {
        "classes": list(task.class_names),
        "positives": dict(zip(task.class_names, joined.sum(axis=0).astype(int).tolist(), strict=True)),
        "examples": len(joined),
        "patients": count,
        "folds": len(folds),
        "caveat": caveat(count),
        "rows": {
            name: pooled_figures(joined, np.concatenate(found), owners, False, config.bootstrap)
            for name, found in pooled.items()
        },
    }


def _known(labels: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    joined = np.concatenate([labels[index] for index in rows])
    return joined[joined != IGNORED_LABEL]


def _of_known(vectors: Any, labels: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Of `(N, ...)` vectors by row those of labelled patches."""
    return np.concatenate([vectors[index][labels[index] != IGNORED_LABEL] for index in rows])


@torch.no_grad()
def _by_window(model: nn.Module, rows: datasets.Dataset, patches: int, pick: Any) -> Iterator[np.ndarray]:
    """What a model says of every row, `(N, ...)` a row, in windows of at most `patches`."""
    for row in rows:
        found = []
        for span in window_spans(row["n_patches"], patches):
            batch = {name: value.to(model.device) for name, value in pad_windows([row], [(slice(None), span)]).items()}
            found.append(pick(batch, model(**batch)).float().cpu().numpy())
        yield np.concatenate(found)


def patch_vectors(backbone: AnyECGModel, rows: datasets.Dataset, patches: int) -> Iterator[np.ndarray]:
    """
    Hidden states of patch times, means over real leads.

    Args:
        backbone ([`AnyECGModel`]): In evaluation mode.
        rows (`datasets.Dataset`): Rows of `clean_corpus`.
        patches (`int`): Patches of a window, at most.

    Returns:
        `Iterator[np.ndarray]`: `(N, D)` float32 a row.
    """

    def mean(batch: dict[str, torch.Tensor], outputs: Any) -> torch.Tensor:
        mask = batch["attention_mask"]
        hidden = outputs.last_hidden_state.view(*mask.shape, -1)  # zero where padded
        return (hidden.sum(dim=1) / mask.sum(dim=1)[..., None].clamp(min=1))[0]

    return _by_window(backbone, rows, patches, mean)


def _trained(
    training: FinetuningConfig, task: AnnotationTask, rows: datasets.Dataset, fold: Fold, patches: int
) -> dict[int, np.ndarray]:
    """Probabilities `(N, classes)` of the test rows, by row."""
    chosen = rows.select(fold.train)
    data = TrainingRows(chosen, None, DataFacts(rows={"fold": len(chosen)}))
    with tempfile.TemporaryDirectory() as scratch:
        config = dataclasses.replace(training, output_dir=scratch)
        model = run_training(config, lambda accelerator: TokenLabelStage(config, data, task)).eval()
    said = _by_window(model, rows.select(fold.test), patches, lambda _, outputs: outputs.logits[0].softmax(dim=-1))
    return dict(zip(fold.test.tolist(), said, strict=True))


if __name__ == "__main__":
    evaluate_token_labels(parse_config(EvaluationConfig, sys.argv[1:]))


__all__ = ["STEPS", "TITLES", "evaluate_token_labels", "patch_vectors"]
