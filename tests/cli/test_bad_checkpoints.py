# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One line on stderr for every checkpoint that cannot be used: which, why, and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.models.ecg_signals import heartbeats

from anyecg_hf import TINY

COMMANDS = ("run", "embed", "tokenize", "codebook")


@pytest.fixture
def record(own_folder: Path) -> Path:
    np.save(own_folder / "record.npy", heartbeats(1, 10, 500))
    return own_folder / "record.npy"


@pytest.fixture
def refusal(anyecg: Callable, record: Path) -> Callable[[str, str], str]:
    """What a command says of a checkpoint."""

    def said(command: str, checkpoint: str) -> str:
        options = ["--sampling-rate", 500, "--leads", "II", "--unit", "mV"]
        named = [checkpoint, record] if command == "codebook" else [record, "--model", checkpoint]
        outcome = anyecg(command, *named, *options)
        assert outcome.status == 1 and not outcome.out
        (line,) = outcome.errors
        return line

    return said


@pytest.fixture
def checkpoint(own_folder: Path) -> Path:
    return Path(shutil.copytree(TINY, own_folder / "checkpoint"))


def change(path: Path, **fields) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_nobody_has_is_named(refusal: Callable, command: str):
    assert refusal(command, "nobody/nothing") == (
        f"anyecg {command}: AnyECGTokenizer cannot be loaded from 'nobody/nothing': there is no such folder here, the"
        " cache of the Hub does not have it, and the Hub cannot be asked (offline mode). Check the name and the"
        " connection."
    )


@pytest.mark.parametrize("command", ["run", "tokenize", "codebook"])
def test_a_checkpoint_without_a_quantizer_is_told_so(refusal: Callable, checkpoint: Path, command: str):
    shutil.rmtree(checkpoint / "quantizer")
    assert "this tokenizer has no quantizer: load it with `from_pretrained` from a checkpoint with a `quantizer/`" in (
        refusal(command, "checkpoint")
    )


@pytest.mark.parametrize(("command", "part"), [("run", "quantizer"), ("embed", "model"), ("tokenize", "quantizer")])
@pytest.mark.parametrize(("name", "own", "other"), [("patch_size", 75, 150), ("sampling_rate", 300, 250)])
def test_a_tokenizer_of_another_checkpoint_is_refused(
    refusal: Callable, checkpoint: Path, command: str, part: str, name: str, own: int, other: int
):
    change(checkpoint / "preprocessor_config.json", **{name: other})
    assert f"the {part}'s `{name}` is {own}, but the tokenizer's is {other}: they" in refusal(command, "checkpoint")


def test_a_pickle_in_place_of_weights_is_refused(refusal: Callable, checkpoint: Path):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    assert "has no model.safetensors, but pytorch_model.bin. A pickle runs code when it is opened" in (
        refusal("embed", "checkpoint")
    )


def test_a_checkpoint_of_a_later_version_asks_for_an_upgrade(refusal: Callable, checkpoint: Path):
    change(checkpoint / "config.json", config_version="2.0")
    assert "config.json is of version 2.0, and this anyecg_hf reads 1.x: upgrade anyecg_hf" in (
        refusal("embed", "checkpoint")
    )
