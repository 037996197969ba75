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

    Weights are rounded to `stored_dtype` in the file; the config keeps float32, so that they load as float32.

    Args:
        model ([`AnyECGClassifierWithCodes`]): The fine-tuned model.
        tokenizer ([`AnyECGTokenizer`]): With its quantizer.
        folder (`str` or `os.PathLike`): Where to write.
        provenance (`dict`): Seeds, steps and data; written to `provenance.json` with the versions.
        stored_dtype (`torch.dtype`, *optional*, defaults to `torch.float16`): Type of the weights in the files.
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
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in model.state_dict().items()}
