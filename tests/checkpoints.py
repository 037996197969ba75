# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A complete checkpoint of random weights: classifier, code head, tokenizer, quantizer."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tests.models.tiny import tiny_config, tiny_quantizer_config

from anyecg_hf import AnyECGConfig, AnyECGForSequenceClassification, AnyECGRhythmQuantizer, AnyECGTokenizer
from anyecg_hf.corpora.label_tables import SUPERCLASSES
from anyecg_hf.training.classifier_with_codes import AnyECGClassifierWithCodes
from anyecg_hf.training.export import pack_checkpoint

CODEBOOK_SIZE = 64
WINDOW_PATCHES = 40
DESCRIPTIONS = {
    "NORM": "normal ECG",
    "MI": "myocardial infarction",
    "STTC": "ST/T change",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}
THRESHOLDS = {"NORM": 0.05, "MI": 0.95, "STTC": 0.3, "CD": 0.4, "HYP": 0.5}
SHAPE = {
    "time_encoding": "rotary",
    "trained_time_positions": WINDOW_PATCHES,
    "codebook_size": CODEBOOK_SIZE,
    "num_hidden_layers": 1,
}


def random_tokenizer() -> AnyECGTokenizer:
    """Patches of 0.25 s at 300 Hz, and a random quantizer."""
    tokenizer = AnyECGTokenizer(patch_size=75)
    tokenizer.quantizer = AnyECGRhythmQuantizer(tiny_quantizer_config(**SHAPE))
    tokenizer.quantizer.quantizer.started.fill_(True)  # as after training; an untrained codebook warns
    return tokenizer


def random_classifier() -> AnyECGClassifierWithCodes:
    """Five classes with descriptions and thresholds, and a code head."""
    labels = {
        "id2label": dict(enumerate(SUPERCLASSES)),
        "label2id": {name: index for index, name in enumerate(SUPERCLASSES)},
        "problem_type": "multi_label_classification",
        "label_descriptions": DESCRIPTIONS,
        "label_thresholds": THRESHOLDS,
        "classifier_pooling": "mean_max",
    }
    return AnyECGClassifierWithCodes(tiny_config(**SHAPE, **labels)).eval()


def save_whole(model: AnyECGClassifierWithCodes, tokenizer: AnyECGTokenizer, folder: Path) -> Path:
    """Writes what fine-tuning leaves in `final`."""
    tokenizer.save_pretrained(folder)
    plain = AnyECGForSequenceClassification(AnyECGConfig.from_dict(model.config.to_dict()))
    plain.save_pretrained(folder, state_dict=model.state_dict())
    return folder


def build_checkpoint(folder: Path) -> Path:
    """
    Writes the checkpoint.

    Args:
        folder (`Path`): Where to write.

    Returns:
        `Path`: `folder`, which serves every `from_pretrained`.
    """
    with torch.random.fork_rng(), TemporaryDirectory() as trained:
        torch.manual_seed(0)
        save_whole(random_classifier(), random_tokenizer(), Path(trained))
        pack_checkpoint(trained, folder, provenance={"seed": 0})
    return folder
