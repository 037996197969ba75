# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A [`CodeSummary`] in a file, bound to the quantizer whose codes it tells of."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .code_statistics import CodeSummary

SUFFIX = ".safetensors"
FILE_NAME = f"code_gallery{SUFFIX}"

_COUNTS = ("lead_counts", "code_records", "class_counts", "class_code_records", "class_records", "labelled_counts")
_WAVEFORMS = ("mean", "low", "high")
_FACTS = ("sampling_rate", "codebooks", "lead_names", "records", "class_names", "labelled_records", "scale_mv")


@dataclass(frozen=True, eq=False)
class CodeGallery:
    """
    What codes stand for, and where that was gathered.

    Attributes:
        summary ([`CodeSummary`]): What was gathered.
        data (`str`): The records, for readers.
    """

    summary: CodeSummary
    data: str


def quantizer_fingerprint(quantizer: torch.nn.Module) -> str:
    """
    What tells one quantizer's codes from another's.

    Args:
        quantizer ([`AnyECGRhythmQuantizer`]): The quantizer.

    Returns:
        `str`: 16 hexadecimal digits of its weights.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(quantizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def save_code_summary(summary: CodeSummary, path: str | os.PathLike, quantizer: torch.nn.Module, data: str) -> None:
    """
    Writes a summary; waveforms lose what float16 cannot hold, far less than a line is wide.

    Args:
        summary ([`CodeSummary`]): From [`CodeStatistics.finish`].
        path (`str` or `os.PathLike`): The file, ending in `.safetensors`. An existing one is replaced.
        quantizer ([`AnyECGRhythmQuantizer`]): The one that gave the codes.
        data (`str`): What the records were, for readers.

    Raises:
        `ValueError`: if the path has another ending.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"a summary of codes is written as {SUFFIX}, got the path {path}.")
    tensors = {name: getattr(summary, name).astype(np.int64) for name in (*_COUNTS, "kept")}
    tensors = {name: _narrow(counts) for name, counts in tensors.items()}
    tensors |= {name: getattr(summary, name).astype(np.float16) for name in _WAVEFORMS}
    facts = {name: getattr(summary, name) for name in _FACTS}
    metadata = {"quantizer": quantizer_fingerprint(quantizer), "data": data, "facts": json.dumps(facts)}
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, path, metadata)


def load_code_summary(path: str | os.PathLike, quantizer: torch.nn.Module) -> CodeGallery:
    """
    Reads what [`save_code_summary`] has written.

    Args:
        path (`str` or `os.PathLike`): The file.
        quantizer ([`AnyECGRhythmQuantizer`]): The one whose codes are to be looked up.

    Returns:
        [`CodeGallery`]

    Raises:
        `FileNotFoundError`: if there is no such file.
        `ValueError`: if it is no such summary, or one of another quantizer's codes.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        facts = json.loads(metadata["facts"])
        counts = {name: tensors[name].astype(np.int64) for name in (*_COUNTS, "kept")}
        waveforms = {name: tensors[name].astype(np.float32) for name in _WAVEFORMS}
        data, made_for = metadata["data"], metadata["quantizer"]
        facts = {name: tuple(facts[name]) if name.endswith("_names") else facts[name] for name in _FACTS}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no summary of rhythm codes as `anyecg codebook -o` writes it: {error}.") from error
    found = quantizer_fingerprint(quantizer)
    if made_for != found:
        raise ValueError(
            f"{path} tells of the codes of another quantizer ({made_for}, this one is {found}): write it anew with"
            f" `anyecg codebook CHECKPOINT RECORDS -o {Path(path).name}`."
        )
    return CodeGallery(CodeSummary(**counts, **waveforms, **facts), data)


def _narrow(counts: np.ndarray) -> np.ndarray:
    """The smallest unsigned type that holds the counts."""
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))


__all__ = ["FILE_NAME", "SUFFIX", "CodeGallery", "load_code_summary", "quantizer_fingerprint", "save_code_summary"]
