# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What runs: versions of libraries, and the kind of machine."""

import os
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

import torch


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """
    Args:
        names (`Iterable[str]`): Distributions.

    Returns:
        `dict[str, str]`: versions of those that are installed.
    """
    found = {}
    for name in names:
        try:
            # Of torch with its build, which the distribution may not name.
            found[name] = torch.__version__ if name == "torch" else version(name)
        except PackageNotFoundError:
            continue
    return found


def machine_kind(device: str | None = None) -> str:
    """
    The kind of machine that computes; no name by which it could be found.

    Args:
        device (`str`, *optional*): As a training's `run.device`; by default a GPU if there is one.

    Returns:
        `str`: for example `"CPU, 2 cores"` or `"4 x NVIDIA H100 80GB HBM3"`.
    """
    if device == "cpu" or not torch.cuda.is_available():
        return f"CPU, {os.cpu_count()} cores"
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    name = torch.cuda.get_device_name()
    return f"{processes} x {name}" if processes > 1 else name


__all__ = ["installed_versions", "machine_kind"]
