# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the trainings of a few steps have in common."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.tiny import tiny_quantizer_config
from tests.training.written_records import cleaned_records

from anyecg_hf import AnyECGQuantizerConfig, AnyECGTokenizer

WINDOW_PATCHES = 6
SMALL = {"time_encoding": "rotary", "codebook_size": 16, "num_hidden_layers": 1}


@pytest.fixture(scope="session")
def few_steps() -> dict[str, Any]:
    """`TrainingArguments` of a training that takes a second: three steps an epoch of twelve windows."""
    return {
        "per_device_train_batch_size": 4,
        "learning_rate": 3e-3,
        "warmup_steps": 2,
        "logging_steps": 2,
        "save_total_limit": None,
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    }


@pytest.fixture(scope="session")
def tokenizer() -> AnyECGTokenizer:
    return AnyECGTokenizer(patch_size=75)


@pytest.fixture(scope="session")
def beats():
    """Twelve cleaned records of three leads and eight patches, with two classes; the first turns the signal round."""
    labels = [[index % 2, index // 2 % 2] for index in range(12)]
    return cleaned_records(12, seconds=2.0, labels=labels)


@pytest.fixture(scope="session")
def quantizer_config() -> Callable[..., AnyECGQuantizerConfig]:
    """Builds the configuration of a small quantizer that warms up for six steps."""

    def build(**overrides: Any) -> AnyECGQuantizerConfig:
        return tiny_quantizer_config(
            **{**SMALL, "codebook_warmup_updates": 6, "ema_decay": 0.9, "initializer_range": 0.05, **overrides}
        )

    return build


@pytest.fixture(scope="session")
def resumable() -> Callable[[Path, int, Path], Path]:
    """Copies a run's folder as it was when a checkpoint had just been written."""

    def copy(run: Path, step: int, target: Path) -> Path:
        shutil.copytree(run / f"checkpoint-{step}", target / f"checkpoint-{step}")
        return target

    return copy


def last_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return max(run.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))


def log_of(run: Path) -> list[dict[str, float]]:
    """What a run logged, from its last checkpoint."""
    return json.loads((last_checkpoint(run) / "trainer_state.json").read_text())["log_history"]


def assert_same_weights(model: torch.nn.Module, reference: torch.nn.Module) -> None:
    """Bit for bit, buffers included."""
    state, expected = model.state_dict(), reference.state_dict()
    assert state.keys() == expected.keys()
    different = [name for name in state if not torch.equal(state[name], expected[name])]
    assert different == []
