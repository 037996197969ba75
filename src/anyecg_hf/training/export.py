# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A trained checkpoint packed small: weights rounded, and what decided them beside them."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from anyecg_hf.models.anyecg import AnyECGTokenizer

_WEIGHTS = ("model.safetensors", "quantizer/model.safetensors")


def pack_checkpoint(
    trained: str | os.PathLike,
    folder: str | os.PathLike,
    provenance: dict[str, Any],
    stored_dtype: torch.dtype = torch.float16,
) -> None:
    """
    Copies a checkpoint with its tokenizer and quantizer, its weights rounded to `stored_dtype` in the files, except for
    codebooks, whose running counts outgrow float16. The configs keep float32, so that all load as float32.

    Args:
        trained (`str` or `os.PathLike`): `final` of a run.
        folder (`str` or `os.PathLike`): Where to write.
        provenance (`dict`): What decided the weights; written to `provenance.json`.
        stored_dtype (`torch.dtype`, *optional*, defaults to `torch.float16`): Type of the weights in the files.

    Raises:
        `ValueError`: if a weight is too large for `stored_dtype`, or is not finite.
    """
    trained, folder = Path(trained), Path(folder)
    AnyECGTokenizer.from_pretrained(trained).save_pretrained(folder)
    (folder / "config.json").write_bytes((trained / "config.json").read_bytes())
    for name in _WEIGHTS:
        save_file(_rounded(load_file(trained / name), stored_dtype, name), folder / name, metadata={"format": "pt"})
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


def _rounded(weights: dict[str, torch.Tensor], dtype: torch.dtype, file: str) -> dict[str, torch.Tensor]:
    rounded = {}
    for name, value in weights.items():
        rounded[name] = value.to(dtype) if value.is_floating_point() and ".codebooks." not in f".{name}" else value
        if not rounded[name].isfinite().all():
            raise ValueError(
                f"`{name}` of {file} does not fit into {dtype}: its largest value is {float(value.abs().max()):g}. Pass"
                " another `stored_dtype`."
            )
    return rounded


__all__ = ["pack_checkpoint"]
