# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the model tests."""

import pytest
import torch

pytest.register_assert_rewrite("tests.models.battery")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def uncompiled():
    """Builds the block masks of flex attention without the seconds that compiling each of them takes."""
    with torch.compiler.set_stance("force_eager"):
        yield
