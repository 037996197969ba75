# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the trainings of a few steps have in common."""

import pytest
import torch

from anyecg_hf import AnyECGTokenizer


@pytest.fixture(scope="session")
def tokenizer() -> AnyECGTokenizer:
    return AnyECGTokenizer(patch_size=75)


def assert_same_weights(model: torch.nn.Module, reference: torch.nn.Module) -> None:
    """Bit for bit, buffers included."""
    state, expected = model.state_dict(), reference.state_dict()
    assert state.keys() == expected.keys()
    different = [name for name in state if not torch.equal(state[name], expected[name])]
    assert different == []
