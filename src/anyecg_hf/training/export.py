# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A trained classifier, its code head and its tokenizer as one small checkpoint."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGForSequenceClassification, AnyECGTokenizer
from anyecg_hf.training.finetuning import AnyECGClassifierWithCodes
from anyecg_hf.version import __version__


def export_checkpoint(
    model: AnyECGClassifierWithCodes,
    tokenizer: AnyECGTokenizer,
    folder: str | os.PathLike,
    provenance: dict[str, Any],
    stored_dtype: torch.dtype = torch.float16,
) -> None:
    """
    Writes a checkpoint that serves classification, masked codes, embeddings and tokenization.

    Weights are rounded to `stored_dtype` in the file, except for codebooks, whose running counts outgrow float16; the
    config keeps float32, so that all load as float32.

    Args:
        model ([`AnyECGClassifierWithCodes`]): The fine-tuned model.
        tokenizer ([`AnyECGTokenizer`]): With its quantizer.
        folder (`str` or `os.PathLike`): Where to write.
        provenance (`dict`): What decided the weights; written to `provenance.json` with the versions.
        stored_dtype (`torch.dtype`, *optional*, defaults to `torch.float16`): Type of the weights in the files.

    Raises:
        `ValueError`: if a weight is too large for `stored_dtype`, or is not finite.
    """
    folder = Path(folder)
    classifier = AnyECGForSequenceClassification(AnyECGConfig.from_dict(model.config.to_dict()))
    classifier.save_pretrained(folder, state_dict=_rounded(model, stored_dtype))
    tokenizer.save_pretrained(folder)
    tokenizer.quantizer.save_pretrained(folder / "quantizer", state_dict=_rounded(tokenizer.quantizer, stored_dtype))
    versions = {
        "anyecg_hf": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
    (folder / "provenance.json").write_text(json.dumps({**provenance, "versions": versions}, indent=1) + "\n")


def _rounded(model: PreTrainedModel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    rounded = {}
    for name, value in model.state_dict().items():
        rounded[name] = value.to(dtype) if value.is_floating_point() and ".codebooks." not in f".{name}" else value
        if not rounded[name].isfinite().all():
            raise ValueError(
                f"`{name}` of {type(model).__name__} does not fit into {dtype}: its largest value is"
                f" {float(value.abs().max()):g}. Pass another `stored_dtype`."
            )
    return rounded
