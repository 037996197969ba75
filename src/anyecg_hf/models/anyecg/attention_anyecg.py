# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cardio-Sparse Attention (paper, Cardio-Sparse Attention; Cross-Mask Attention in its first version).

A query sees the keys of its own lead, and the keys of other leads at most `time_tolerance` patches away. The pattern is
the model's meaning and comes from the config; the attention implementation only chooses how it is computed.
"""

from collections.abc import Callable

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import create_bidirectional_mask, sdpa_mask

CARDIO_SPARSE = "cardio_sparse"


def cardio_sparse_pattern(patches: int, time_tolerance: int) -> Callable:
    """
    The pattern as an index function for `transformers`' mask creation.

    Args:
        patches (`int`): Patches N of each lead; token `i` of the lead-major sequence is lead `i // N`, time `i % N`.
        time_tolerance (`int`): Patches that a key of another lead may lie before or after the query.

    Returns:
        `Callable`: `(batch, head, query, key) -> bool`, True where the query may see the key.
    """

    def sees(batch_idx, head_idx, q_idx, kv_idx):
        same_lead = q_idx // patches == kv_idx // patches
        near = (q_idx % patches - kv_idx % patches).abs() <= time_tolerance
        return same_lead | near

    return sees


def create_cardio_sparse_mask(config, hidden_states: torch.Tensor, attention_mask: torch.Tensor):
    """
    Builds the mask once for all layers, in the form that the chosen attention implementation wants.

    Args:
        config ([`AnyECGConfig`]): Carries `time_tolerance` and the attention implementation.
        hidden_states (`torch.Tensor` of shape `(B, L*N, D)`): For batch size, dtype and device.
        attention_mask (`torch.Tensor` of shape `(B, L, N)`): 1 for real patches.

    Returns:
        The mask that the attention implementation understands.
    """
    return create_bidirectional_mask(
        config=config,
        inputs_embeds=hidden_states,
        attention_mask=attention_mask.flatten(1),
        and_mask_function=cardio_sparse_pattern(attention_mask.shape[2], config.time_tolerance),
    )


def eager_attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Plain attention that also returns the weights; query, key and value are `(B, H, T, d)`."""
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = torch.nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = torch.nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def cardio_sparse_attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """The registered implementation `cardio_sparse`: one masked dense call, exact at every length."""
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


AttentionInterface.register(CARDIO_SPARSE, cardio_sparse_attention_forward)
AttentionMaskInterface.register(CARDIO_SPARSE, sdpa_mask)


__all__ = ["CARDIO_SPARSE", "cardio_sparse_pattern", "create_cardio_sparse_mask", "eager_attention_forward"]
