# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Evaluating answers about long records: which beats, or which rhythms, occur in a record, and in each of its minutes.

    python -m anyecg_hf.evaluation.annotations.long_records --config long_rhythm.yaml

Cross-validation over the patients of `data.train` (`cross_validation`), labels of `training.annotation_labels`. Rows:

- `majority`: how often each class occurs in the training part.
- `random_probe`: a linear probe on the mean embedding of a segment's windows, backbone with random weights.
- `probe`: the same on the pre-trained backbone.
- `windows`: [`AnyECGForLongRecordClassification`], its Transformer trained on the embeddings of the frozen pre-trained
  backbone, a fixed number of steps.

MIT-BIH has 30-minute records; with only a few of them the label of a whole record has no statistics, and the results
say so themselves.
"""

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import torch

from ...models.anyecg import AnyECGForLongRecordClassification
from ...training.adapters import AdaptationConfig
from ...training.codes import weights_digest
from ...training.config_files import parse_config
from ...training.configs import LONG_TASKS, FinetuningConfig, OptimiserConfig
from ...training.leaks import row_keys
from ...training.long_records import (
    LongRecordStage,
    SegmentSettings,
    collate_segments,
    embed_records,
    segment_settings,
    without_rare,
)
from ...training.loop import run_training
from ...training.model_configs import load_tokenizer
from ...training.run_folder import library_versions
from ...training.sources import DataFacts, TrainingRows, load_rows
from ...training.token_labels import with_token_labels
from ..checkpoints import seen_before
from ..evaluation_configs import EvaluationConfig
from ..patient_means import patient_of
from ..results_folder import new_results_folder
from .cross_validation import FixedProbe, Fold, caveat, patient_folds, pooled_figures
from .fold_models import Backbones, fold_run, load_backbones
from .result_files import write_cross_validation

MINUTE_S = 60.0
STEPS = 150
TITLES = {
    "majority": "frequency in training",
    "random_probe": "linear probe on mean embeddings, random backbone",
    "probe": "linear probe on mean embeddings, pre-trained backbone",
    "windows": "Transformer over windows, pre-trained backbone",
}
_BATCH = 16


def evaluate_long_records(config: EvaluationConfig, steps: int = STEPS) -> dict[str, Any]:
    """
    Evaluates a backbone on long records, and writes `results.json` and `results.md` into `config.output_dir`.

    Args:
        config ([`EvaluationConfig`]): `pretrained`, or the first `checkpoint`, for the backbone; `data.train`, all
            records; `data.window_s`, the window; `task.segment_s`, what is labelled beside whole records, by default a
            minute; `seeds`, of which the first counts.
        steps (`int`, *optional*, defaults to 150): Optimiser steps of the Transformer over windows.

    Returns:
        `dict`: what `results.json` holds.

    Raises:
        `ValueError`: for another task, if a window is longer than the backbone was trained on, if no record is
            annotated, or if `output_dir` holds results.
    """
    folder = new_results_folder(config)
    if config.task.name not in LONG_TASKS:
        raise ValueError(f"this protocol is of the tasks {', '.join(LONG_TASKS)}, got {config.task.name!r}.")
    start = time.monotonic()
    checkpoint = config.pretrained or config.checkpoints[0]
    tokenizer = load_tokenizer(checkpoint)
    backbones = load_backbones(config, checkpoint, tokenizer)
    minutes = dataclasses.replace(config.task, segment_s=config.task.segment_s or MINUTE_S)
    task = dataclasses.replace(config.task, segment_s=None)
    data = dataclasses.replace(config.data, validation=[], held_out=[])
    training = _training(config, data, checkpoint, steps)
    settings = segment_settings(training, tokenizer)
    rows = load_rows(data, tokenizer).train
    rows = with_token_labels(rows, settings.task, tokenizer.patch_seconds, keep_all=True)
    units = {}
    for name, of in {"segments": minutes, "records": task}.items():
        chosen = dataclasses.replace(training, task=of)
        try:
            units[name] = _unit(chosen, config, segment_settings(chosen, tokenizer), rows, backbones)
        except _NothingToTell as reason:
            units[name] = {"refused": str(reason)}
    records = list(dict.fromkeys(row_keys(rows)))
    results = {
        "task": {"name": config.task.name, "segment_s": minutes.segment_s, "rows": TITLES},
        "settings": dataclasses.asdict(config),
        "training": {"steps": steps, "batch_size": _BATCH, "optimiser": dataclasses.asdict(training.optimiser)},
        "versions": library_versions(),
        "backbone": {"sha256": weights_digest(backbones.trained), **seen_before(checkpoint, records)},
        "units": units,
    }
    results["seconds"] = round(time.monotonic() - start, 1)
    write_cross_validation(results, folder)
    return results


class _NothingToTell(Exception):
    """No figure can be computed; the message says why."""


def _training(config: EvaluationConfig, data: Any, checkpoint: str, steps: int) -> FinetuningConfig:
    return FinetuningConfig(
        output_dir=config.output_dir,
        checkpoint=checkpoint,
        task=config.task,
        data=dataclasses.replace(data, batch_size=_BATCH),
        run=fold_run(config, steps),
        optimiser=OptimiserConfig(learning_rate=1e-3, weight_decay=0.05, warmup_steps=min(10, steps - 1)),
        adaptation=AdaptationConfig(mode="head"),
    )


def _unit(
    training: FinetuningConfig,
    config: EvaluationConfig,
    settings: SegmentSettings,
    rows: datasets.Dataset,
    backbones: Backbones,
) -> dict[str, Any]:
    """Records, or segments of them: all rows in all folds."""
    whole = settings
    try:
        settings, kept = without_rare(
            settings, {"labelled": embed_records(rows, backbones.trained, settings)}, drop_rare=1
        )
    except ValueError as error:
        raise _NothingToTell(str(error)) from error
    segments = _complete(kept["labelled"])
    twins = _like(segments, embed_records(rows, backbones.random, whole))
    labels = np.stack([np.asarray(row["labels"]) for row in segments.select_columns(["labels"])])
    patients = [patient_of(key) for key in row_keys(segments)]
    if len(set(patients)) < 2:
        raise _NothingToTell(f"{len(set(patients))} patient is left: nothing can be held out.")
    features, random_features = mean_embeddings(segments), mean_embeddings(twins)
    scorers: dict[str, Callable[[Fold], np.ndarray]] = {
        "majority": lambda fold: np.tile(labels[fold.train].mean(axis=0), (len(fold.test), 1)),
        "random_probe": lambda fold: _probed(random_features, labels, fold),
        "probe": lambda fold: _probed(features, labels, fold),
        "windows": lambda fold: _trained(training, settings, segments, fold),
    }
    folds = patient_folds(patients)
    scores = {name: np.zeros(labels.shape) for name in scorers}
    for fold in folds:
        for name, scorer in scorers.items():
            scores[name][fold.test] = scorer(fold)
    count = len(set(patients))
    return {
        "classes": list(settings.class_names),
        "positives": dict(zip(settings.class_names, labels.sum(axis=0).astype(int).tolist(), strict=True)),
        "examples": len(labels),
        "patients": count,
        "folds": len(folds),
        "caveat": caveat(count),
        "rows": {
            name: pooled_figures(labels, found, patients, True, config.bootstrap) for name, found in scores.items()
        },
    }


def _complete(segments: datasets.Dataset) -> datasets.Dataset:
    """Segments of which every class is known."""
    known = [not np.isnan(row["labels"]).any() for row in segments.select_columns(["labels"])]
    return segments.select(np.flatnonzero(known))


def _like(segments: datasets.Dataset, others: datasets.Dataset) -> datasets.Dataset:
    """Of other embeddings of the same records those of these segments, in their order."""
    places = {place: index for index, place in enumerate(_places(others))}
    return others.select([places[place] for place in _places(segments)])


def _places(segments: datasets.Dataset) -> list[tuple]:
    starts = segments.select_columns(["start_s"]).with_format(None)["start_s"]
    return list(zip(row_keys(segments), starts, strict=True))


def mean_embeddings(segments: datasets.Dataset) -> np.ndarray:
    """Mean over the real windows of every segment, `(segments, D)` float64."""
    found = []
    for row in segments.select_columns(["window_embeddings", "window_mask"]):
        embeddings, mask = np.asarray(row["window_embeddings"], dtype=np.float64), np.asarray(row["window_mask"])
        found.append(embeddings[mask].sum(axis=0) / max(mask.sum(), 1))
    return np.stack(found)


def _probed(features: np.ndarray, labels: np.ndarray, fold: Fold) -> np.ndarray:
    probe = FixedProbe.fit(features[fold.train], labels[fold.train], is_multi_label=True)
    return probe.scores(features[fold.test])


@torch.no_grad()
def _scores(model: AnyECGForLongRecordClassification, segments: datasets.Dataset) -> np.ndarray:
    found = []
    for start in range(0, len(segments), _BATCH):
        batch = collate_segments([segments[index] for index in range(start, min(start + _BATCH, len(segments)))])
        logits = model(
            window_embeddings=batch["window_embeddings"].to(model.device),
            window_mask=batch["attention_mask"][:, 0].to(model.device),
        ).logits
        found.append(logits.float().sigmoid().cpu().numpy())
    return np.concatenate(found)


def _trained(
    training: FinetuningConfig, settings: SegmentSettings, segments: datasets.Dataset, fold: Fold
) -> np.ndarray:
    chosen = segments.select(fold.train)
    rows = TrainingRows(chosen, None, DataFacts(rows={"fold": len(chosen)}))
    with tempfile.TemporaryDirectory() as scratch:
        config = dataclasses.replace(training, output_dir=scratch)
        model = run_training(config, lambda accelerator: LongRecordStage(config, accelerator.device, rows, settings))
    return _scores(model.eval(), segments.select(fold.test))


if __name__ == "__main__":
    evaluate_long_records(parse_config(EvaluationConfig, sys.argv[1:]))


__all__ = ["MINUTE_S", "STEPS", "TITLES", "evaluate_long_records", "mean_embeddings"]
