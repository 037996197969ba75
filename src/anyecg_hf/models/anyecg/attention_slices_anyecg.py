# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cardio-Sparse Attention by plain matrix products, a slice of time after the other.

What stands in where no fused kernel does: on devices without one, and on CPUs with attention dropout. As exact and as
lean in memory as the kernels, and slower.
"""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

# Scores that one slice may hold.
_SLICE_SCORES = 2**23


def sliced_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_mask: torch.Tensor | None,
    time_tolerance: int,
    scaling: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """
    Cardio-Sparse Attention in slices; arguments and result as of `split_attention`.

    Slices are checkpointed: memory stays that of one, and the backward pass draws the same keys to drop again.
    """
    batch, leads, patches, heads, _ = query.shape
    tolerance = min(time_tolerance, patches - 1)
    if key_mask is None:
        key_mask = torch.ones((), dtype=torch.bool, device=query.device).expand(batch, leads, patches)
    step = max(1, _SLICE_SCORES // (batch * leads * heads * (patches + leads * (2 * tolerance + 1))))
    slices = []
    for start in range(0, patches, step):
        times = torch.arange(start, min(start + step, patches), device=query.device)
        slices.append(
            checkpoint(
                *(_attend, query[:, :, start : start + step], key, value, key_mask, times, tolerance),
                *(scaling, dropout),
                use_reentrant=False,
            )
        )
    return torch.cat(slices, dim=2)


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_mask: torch.Tensor,
    times: torch.Tensor,
    tolerance: int,
    scaling: float,
    dropout: float,
) -> torch.Tensor:
    """Attention of the queries `(B, L, n, H, d)` at `times` `(n,)`."""
    leads, patches = key.shape[1:3]
    near = times[:, None] + torch.arange(-tolerance, tolerance + 1, device=times.device)
    inside = (near >= 0) & (near < patches)
    near = near.clamp(0, patches - 1)
    others = ~torch.eye(leads, dtype=torch.bool, device=query.device)
    band_seen = (key_mask[:, :, near] & inside)[:, None] & others[:, :, None, None]  # (B, L, M, n, 2w+1)
    own_seen = key_mask[:, :, None, None].expand(-1, -1, len(times), 1, -1)  # (B, L, n, 1, N)
    seen = torch.cat((own_seen, band_seen.permute(0, 1, 3, 2, 4).flatten(3)[:, :, :, None]), dim=-1)

    dtype = query.dtype
    with torch.autocast(query.device.type, enabled=False):
        # In single precision at least, as the kernels compute inside.
        query, key, value = (states.to(torch.promote_types(dtype, torch.float32)) for states in (query, key, value))
        own = torch.einsum("blnhd,blthd->blnht", query, key)
        band = torch.einsum("blnhd,bmnohd->blnhmo", query, key[:, :, near]).flatten(4)
        scores = (torch.cat((own, band), dim=-1) * scaling).masked_fill(~seen, torch.finfo(own.dtype).min)
        weights = nn.functional.dropout(scores.softmax(dim=-1).masked_fill(~seen, 0.0), dropout)
        own, band = weights.split((patches, band.shape[-1]), dim=-1)
        output = torch.einsum("blnht,blthd->blnhd", own, value)
        output = output + torch.einsum("blnhmo,bmnohd->blnhd", band.unflatten(-1, (leads, -1)), value[:, :, near])
    return output.to(dtype)


__all__ = ["sliced_attention"]
