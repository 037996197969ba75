# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the ancestors' layout, with random weights, and what their configuration files state."""

import json
from pathlib import Path
from typing import Any

import torch
from ancestor_config import STATED, STATED_OF_QUANTIZERS
from ancestor_models import AncestorBackbone, AncestorQuantizer
from tests.models.tiny import tiny_config, tiny_quantizer_config
from torch import nn

from anyecg_hf import AnyECGConfig, AnyECGQuantizerConfig, AnyECGRhythmQuantizer


def stated(config: AnyECGConfig | AnyECGQuantizerConfig, **others: Any) -> dict[str, Any]:
    """What weights do not tell."""
    names = (*STATED, *(STATED_OF_QUANTIZERS if isinstance(config, AnyECGQuantizerConfig) else ()))
    return {**{name: getattr(config, name) for name in names}, **others}


def write_json(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """With weights that are all different, biases and norms too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def backbone(head: str | None = "lm_head", **fields: Any) -> tuple[AncestorBackbone, AnyECGConfig]:
    config = tiny_config(**fields)
    return shaken(AncestorBackbone(config, head)), config


def quantizer(**fields: Any) -> tuple[AncestorQuantizer, AnyECGQuantizerConfig]:
    config = tiny_quantizer_config(**fields)
    frequencies = AnyECGRhythmQuantizer(config).decoder.frequency_head.out_features
    model = shaken(AncestorQuantizer(config, frequencies), seed=1)
    codebook = model.quantize.embedding
    generator = torch.Generator().manual_seed(2)
    codebook.weight.copy_(nn.functional.normalize(torch.randn(codebook.weight.shape, generator=generator), dim=-1))
    codebook.cluster_size.copy_(torch.rand(codebook.cluster_size.shape, generator=generator))
    codebook.embed_avg.copy_(codebook.weight * codebook.cluster_size[:, None])
    codebook.initted.fill_(True)
    return model, config
