# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Configurations and batches small enough to test with: milliseconds a forward pass."""

from typing import Any

import torch

from anyecg_hf import AnyECGConfig, AnyECGQuantizerConfig

TINY_ARCHITECTURE: dict[str, Any] = {
    "patch_size": 75,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "patch_channels": [8, 16],
    "patch_strides": [5, 3],
    "patch_norm_groups": 4,
    "max_time_positions": 8,
    "codebook_size": 16,
    # Ten times the default: attention is then far from uniform, and a wrong mask far from invisible.
    "initializer_range": 0.2,
}


def tiny_config(**overrides: Any) -> AnyECGConfig:
    return AnyECGConfig(**{**TINY_ARCHITECTURE, **overrides})


def tiny_quantizer_config(**overrides: Any) -> AnyECGQuantizerConfig:
    small = {"num_decoder_layers": 1, "codebook_dim": 8, "wavelet_levels": 2, "codebook_warmup_updates": 0}
    if overrides.get("patch_size") == 300:
        small["wavelet_levels"] = 4
    return AnyECGQuantizerConfig(**{**TINY_ARCHITECTURE, **small, **overrides})


def padded_batch(patch_size: int = 75, seed: int = 0) -> dict[str, torch.Tensor]:
    """
    Two records: leads I, II and V1 for 6 patches, one of them unusable; leads V6 and II for 4 patches, padded.

    Returns:
        `dict`: `input_values` `(2, 3, 6, S)` float32, `attention_mask` `(2, 3, 6)` and `lead_ids` `(2, 3)` int64.
    """
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(2, 3, 6, dtype=torch.long)
    mask[0, 1, 2] = 0
    mask[1, 2] = 0
    mask[1, :, 4:] = 0
    # Smooth, as ECGs are: random mixtures of the eight slowest cosines.
    phases = torch.arange(patch_size) * torch.pi / patch_size
    cosines = torch.cos(torch.arange(8)[:, None] * phases)
    values = torch.randn(2, 3, 6, 8, generator=generator) @ cosines / 2 * mask[..., None]
    return {"input_values": values, "attention_mask": mask, "lead_ids": torch.tensor([[0, 1, 6], [11, 1, 0]])}


def hidden_positions(batch: dict[str, torch.Tensor], seed: int = 1) -> torch.Tensor:
    """`bool_masked_pos` `(B, L, N)`: about half of the real patches, at least one of each record."""
    drawn = torch.rand(batch["attention_mask"].shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    drawn[:, 0, 0] = True
    return drawn & batch["attention_mask"].bool()
