# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""An evaluation of seconds, on records and checkpoints that the tests write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tests.corpora.written_rows import row
from tests.models.tiny import tiny_config
from tests.training.small_runs import SHAPE, write_backbone, write_tokenizer
from tests.training.written_sources import write_source

from anyecg_hf import AnyECGForSequenceClassification
from anyecg_hf.evaluation.evaluation_configs import BootstrapConfig, EvaluationConfig, RobustnessConfig
from anyecg_hf.training.configs import DataConfig, SourceConfig, TaskConfig

CLASSES = ("426177001", "427084000")  # sinus bradycardia, sinus tachycardia
WINDOW_S = 2.0
_SPLITS = {"train": range(16), "validation": range(16, 24), "held_out": range(24, 36)}


def written_row(number: int, **columns: Any) -> dict[str, Any]:
    """A record of a patient of its own, every fourth one of two windows, with classes that its number tells."""
    labels = [name for place, name in enumerate(CLASSES) if number >> place & 1]
    facts = {"age_years": 30.0 + number, "sex": number % 2, "patient_id": f"p{number}"}
    seconds = 4 if number % 4 == 3 else 2
    # A label that no class is named after: without any, a record would say nothing.
    return row(number, **{**facts, "labels": [*labels, "164889003"], "seconds": seconds, **columns})


def write_split(folder: Path, name: str, rows: Sequence[dict[str, Any]] | None = None) -> SourceConfig:
    """Writes `train`, `validation` or `held_out`, with its usual rows or others."""
    return write_source(folder / f"{name}.parquet", rows or [written_row(number) for number in _SPLITS[name]])


def small_data(root: Path, **settings: Any) -> DataConfig:
    """Sixteen, eight and twelve records; `settings` replace sources or other fields."""
    sources = {name: [write_split(root, name)] for name in _SPLITS if name not in settings}
    return DataConfig(**{**sources, "window_s": WINDOW_S, "cache_dir": str(root / "cache"), **settings})


def write_classifier(folder: Path, classes: Sequence[str] = CLASSES, seed: int = 2, **settings: Any) -> Path:
    """A random classifier with its tokenizer."""
    write_tokenizer(folder)
    torch.manual_seed(seed)
    labels = {"id2label": dict(enumerate(classes)), "label2id": {name: place for place, name in enumerate(classes)}}
    settings = {"problem_type": "multi_label_classification", "classifier_pooling": "mean_max", **settings}
    AnyECGForSequenceClassification(tiny_config(**SHAPE, **labels, **settings)).save_pretrained(folder)
    return folder


def small_evaluation(root: Path, **settings: Any) -> EvaluationConfig:
    """Everything, but little of it."""
    standard = {
        "output_dir": str(root / "results"),
        "task": TaskConfig(name="labels", classes=list(CLASSES)),
        "data": settings["data"] if "data" in settings else small_data(root),
        "seeds": [0, 1],
        "resnet_epochs": 1,
        "bootstrap": BootstrapConfig(resamples=20, min_records=4, min_of_each=1),
        "robustness": RobustnessConfig(noise=["emg", "powerline"], snrs_db=[0.0], leads=[1], sampling_rates_hz=[250.0]),
        "device": "cpu",
    }
    if not {"checkpoint", "pretrained"} & settings.keys():
        standard["checkpoint"] = str(write_classifier(root / "classifier"))
        standard["pretrained"] = str(write_backbone(root / "backbone"))
    return EvaluationConfig(**{**standard, **settings})


__all__ = ["CLASSES", "WINDOW_S", "small_data", "small_evaluation", "write_classifier", "write_split", "written_row"]
