# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A trained checkpoint packed small: weights rounded, and what decided them beside them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGTokenizer

_WEIGHTS = ("model.safetensors", "quantizer/model.safetensors")
# Parts of the names of what is not rounded.
_PRECISE = ("codebooks", "lead_estimator")


def pack_checkpoint(
    trained: str | os.PathLike,
    folder: str | os.PathLike,
    provenance: dict[str, Any],
    stored_dtype: torch.dtype = torch.float16,
    heads: Sequence[str | os.PathLike] = (),
) -> None:
    """
    Copies a checkpoint with its tokenizer and quantizer, its weights rounded to `stored_dtype` in the files, except for
    codebooks, whose running counts outgrow float16, and covariances, which could not be solved for. The configs keep
    float32, so that all load as float32.

    Args:
        trained (`str` or `os.PathLike`): `final` of a run.
        folder (`str` or `os.PathLike`): Where to write.
        provenance (`dict`): What decided the weights; written to `provenance.json`.
        stored_dtype (`torch.dtype`, *optional*, defaults to `torch.float16`): Type of the weights in the files.
        heads (`Sequence[str or os.PathLike]`, *optional*): `final` of runs that trained another head on the frozen
            backbone of `trained`; their heads are put beside its own.

    Raises:
        `ValueError`: if a weight is too large for `stored_dtype`, or is not finite, or a head is of another backbone.
    """
    trained, folder = Path(trained), Path(folder)
    files = {name: load_file(trained / name) for name in _WEIGHTS}
    own = files[_WEIGHTS[0]]
    for head in heads:
        own |= _head_weights(Path(head), trained, own)
    rounded = {name: _rounded(weights, stored_dtype, name) for name, weights in files.items()}
    AnyECGTokenizer.from_pretrained(trained).save_pretrained(folder)
    (folder / "config.json").write_bytes((trained / "config.json").read_bytes())
    for name, weights in rounded.items():
        save_file(weights, folder / name, metadata={"format": "pt"})
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


def _head_weights(folder: Path, trained: Path, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What `folder` has beyond `weights`; raises `ValueError` unless the rest is the same."""
    found = load_file(folder / _WEIGHTS[0])
    other = sorted(name for name in found if name in weights and not torch.equal(found[name], weights[name]))
    if other:
        raise ValueError(
            f"{folder} has another backbone than {trained}: `{other[0]}` differs. Train its head with"
            " `adaptation.mode: head`, starting from that checkpoint."
        )
    fields, kept = (AnyECGConfig.from_pretrained(place).to_dict() for place in (folder, trained))
    changed = [name for name in sorted(fields) if _is_of_head(name) and fields[name] != kept[name]]
    if changed:
        raise ValueError(f"{folder} has `{changed[0]}` {fields[changed[0]]!r}, {trained} {kept[changed[0]]!r}.")
    return {name: value for name, value in found.items() if name not in weights}


def _is_of_head(field: str) -> bool:
    return "reconstruction" in field or field == "num_record_features"


def _rounded(weights: dict[str, torch.Tensor], dtype: torch.dtype, file: str) -> dict[str, torch.Tensor]:
    rounded = {}
    for name, value in weights.items():
        keep = not value.is_floating_point() or any(part in _PRECISE for part in name.split("."))
        rounded[name] = value if keep else value.to(dtype)
        if not rounded[name].isfinite().all():
            raise ValueError(
                f"`{name}` of {file} does not fit into {dtype}: its largest value is {float(value.abs().max()):g}. Pass"
                " another `stored_dtype`."
            )
    return rounded


__all__ = ["pack_checkpoint"]
