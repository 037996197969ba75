# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Paths of checkpoints, told from names on the Hub."""

import os
from pathlib import Path


def is_path_to_nothing(checkpoint: str | os.PathLike) -> bool:
    """
    Whether a checkpoint is a path at which there is no folder; `transformers` would look for it on the Hub.

    Args:
        checkpoint (`str` or `os.PathLike`): A folder, or a name on the Hub such as `org/name`.

    Returns:
        `bool`: `False` for folders, and for what can be a name.
    """
    folder = Path(checkpoint)
    is_path = folder.exists() or folder.is_absolute() or len(folder.parts) > 2 or str(checkpoint).startswith(".")
    return is_path and not folder.is_dir()


def refuse_path_to_nothing(checkpoint: str | os.PathLike) -> None:
    """Raises `FileNotFoundError` if [`is_path_to_nothing`]."""
    if is_path_to_nothing(checkpoint):
        raise FileNotFoundError(f"there is no checkpoint folder {Path(checkpoint)}.")


__all__ = ["is_path_to_nothing", "refuse_path_to_nothing"]
