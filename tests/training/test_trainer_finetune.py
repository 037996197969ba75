# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The script for those who train with `transformers.Trainer`."""

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from examples import trainer_finetune
from tests.training.written_superclasses import write_superclasses
from transformers import AutoFeatureExtractor, AutoModelForSequenceClassification, Trainer

from anyecg_hf import TINY


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_superclasses(tmp_path_factory.mktemp("records"), copies=4, folds=(1, 9))


@pytest.fixture(scope="module")
def without_dropout(tmp_path_factory) -> Path:
    """The embedded checkpoint: dropout would draw differently for batches of other sizes."""
    folder = tmp_path_factory.mktemp("checkpoint")
    model = AutoModelForSequenceClassification.from_pretrained(TINY, hidden_dropout=0.0, classifier_dropout=0.0)
    model.save_pretrained(folder)
    AutoFeatureExtractor.from_pretrained(TINY).save_pretrained(folder)
    return folder


@pytest.fixture
def finetune(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Fine-tunes on the CPU, into a folder of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def run(**arguments: Any) -> Trainer:
        settings = {
            "max_steps": 2,
            "learning_rate": 1e-3,
            "logging_steps": 1,
            "use_cpu": True,
            "report_to": [],
            "disable_tqdm": True,
            "save_strategy": "no",
            "seed": 1,
            **arguments,
        }
        return trainer_finetune.finetune(corpus, tmp_path / "run", **settings)

    return run


def losses(trainer: Trainer) -> list[float]:
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def test_the_loss_falls_and_what_is_saved_loads_with_its_tokenizer(finetune, tmp_path):
    trainer = finetune(max_steps=12, per_device_train_batch_size=10, learning_rate=5e-4, warmup_steps=3)
    found = losses(trainer)
    assert len(trainer.train_dataset) == 20  # fold 9 is not trained on
    assert sum(found[-3:]) < 0.8 * sum(found[:3])

    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    assert model.config.id2label == dict(enumerate(trainer_finetune.CLASSES))
    state = trainer.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    tokenizer = AutoFeatureExtractor.from_pretrained(tmp_path / "run")
    assert tokenizer.quantizer.config.codebook_size == model.config.codebook_size


def test_accumulated_batches_train_as_one_batch_does(finetune, without_dropout):
    shared = {"checkpoint": without_dropout, "learning_rate": 1e-4}
    at_once = finetune(per_device_train_batch_size=8, gradient_accumulation_steps=1, **shared)
    in_four = finetune(per_device_train_batch_size=2, gradient_accumulation_steps=4, **shared)
    assert losses(in_four) == pytest.approx(losses(at_once), abs=1e-4)
    expected = dict(at_once.model.named_parameters())
    far = {
        name: float((value - expected[name]).abs().max())
        for name, value in in_four.model.named_parameters()
        if not torch.allclose(value, expected[name], atol=2e-4)
    }
    assert far == {}


def test_labels_are_one_where_a_superclass_is_stated():
    row = {"input_values": torch.zeros(2, 4, 75).numpy(), "attention_mask": torch.ones(2, 4, dtype=bool).numpy()}
    rows = [{**row, "lead_ids": [0, 1], "scale": 1.0, "superclasses": found} for found in (["CD", "NORM"], [], ["HYP"])]
    batch = trainer_finetune.collate(rows)
    assert batch["labels"].tolist() == [[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert set(batch) == {"input_values", "attention_mask", "lead_ids", "scale", "labels"}
