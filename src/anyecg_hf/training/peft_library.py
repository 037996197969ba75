# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PEFT, where it is needed."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_peft() -> Any:
    """Imports PEFT, which is optional; the `ImportError` names the command that installs it."""
    try:
        import peft
    except ImportError as error:
        raise ImportError('LoRA needs PEFT: pip install "anyecg-hf[train]"') from error
    return peft


@contextmanager
def renamed_attribute_ignored() -> Iterator[None]:
    """PEFT reads an attribute of the model that transformers has renamed, which warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        yield


__all__ = ["import_peft", "renamed_attribute_ignored"]
