# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Two processes on the CPU give what one gives. They are started once, for all tests of this file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models import two_processes
from tests.models.tiny import hidden_positions, padded_batch, tiny_config

from anyecg_hf import AnyECGForMaskedCodeModeling


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of both processes, and the checkpoint that they loaded."""
    folder = tmp_path_factory.mktemp("two-processes")
    torch.manual_seed(0)
    AnyECGForMaskedCodeModeling(tiny_config()).save_pretrained(folder / "checkpoint")
    two_processes.run(folder)
    return folder


def results(folder: Path, job: str) -> list[Any]:
    return [torch.load(folder / f"{job}-{rank}.pt", weights_only=True) for rank in range(two_processes.PROCESSES)]


def assert_same_state(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_codebooks_of_two_processes_are_those_of_one_on_the_joined_batch(folder: Path):
    first, second = results(folder, "codebooks")
    assert_same_state(first, second, tolerance=0)
    expected = two_processes.train_codebooks(slice(None))
    assert expected["started"] and expected["updates"] == two_processes.STEPS
    assert_same_state(first, expected, tolerance=1e-5)


@pytest.mark.parametrize("kind", two_processes.KINDS)
def test_data_parallel_training_is_training_on_the_joined_batch(kind: str, folder: Path):
    first, second = (result[kind] for result in results(folder, "data_parallel"))
    assert_same_state(first, second, tolerance=0)
    expected = two_processes.train(kind, slice(None), lambda model: model)
    assert_same_state(first, expected, tolerance=1e-4)


def test_tensor_parallel_answers_are_those_of_the_whole_model(folder: Path):
    model = AnyECGForMaskedCodeModeling.from_pretrained(folder / "checkpoint")
    batch = padded_batch()
    with torch.no_grad():
        expected = model(**batch, bool_masked_pos=hidden_positions(batch)).logits
        backbone = model.anyecg(**batch).last_hidden_state
    for found in results(folder, "tensor_parallel"):
        assert found["own rows"] == model.config.intermediate_size // two_processes.PROCESSES
        for implementation in ("cardio_sparse", "eager"):
            torch.testing.assert_close(found[implementation], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(found["backbone"], backbone, rtol=0, atol=1e-5)
