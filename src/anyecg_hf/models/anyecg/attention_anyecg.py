# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cardio-Sparse Attention (paper, Cardio-Sparse Attention; Cross-Mask Attention in its first version).

A query sees the keys of its own lead, and the keys of other leads at most `time_tolerance` patches away. The pattern is
the model's meaning and comes from the config; the attention implementation only chooses how it is computed.
`docs/attention.md` has the mathematics, pictures and measurements.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import create_bidirectional_mask

from .attention_band_anyecg import lay_out_band
from .attention_split_anyecg import split_attention

CARDIO_SPARSE = "cardio_sparse"

# How `cardio_sparse` computes: one dense call, masked where the pattern hides anything, or own lead and band apart.
PATHS = ("dense", "split")
# Tokens from which on the split pays: measured by `benchmarks/attention.py` on CPUs, not yet on CUDA.
_SPLIT_FROM_TOKENS = {"cpu": 512, "cuda": 4096}
# And share of all pairs of tokens up to which it pays to compute only those.
_SPLIT_UP_TO_SHARE = 0.6


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


@dataclass(frozen=True)
class CardioSparseMask:
    """
    What `cardio_sparse` needs to know beside queries, keys and values; made once for all layers.

    Attributes:
        leads (`int`), patches (`int`): L and N of the lead-major token sequence.
        time_tolerance (`int`): Patches that a key of another lead may lie before or after the query.
        path (`str`): `"dense"` or `"split"`.
        key_mask (`torch.BoolTensor` of shape `(B, L, N)` or `None`): True where a key may be seen; `None` if all may.
        dense_mask (`torch.BoolTensor` of shape `(B or 1, 1, L*N or 1, L*N)` or `None`): Pattern and padding as one mask
            for the dense path; `None` if nothing is hidden.
    """

    leads: int
    patches: int
    time_tolerance: int
    path: str
    key_mask: torch.Tensor | None = None
    dense_mask: torch.Tensor | None = None

    def to(self, device: torch.device | str, **kwargs: Any) -> "CardioSparseMask":
        """The same on another device, where layers lie on several."""
        moved = {
            name: None if tensor is None else tensor.to(device, **kwargs)
            for name, tensor in (("key_mask", self.key_mask), ("dense_mask", self.dense_mask))
        }
        return replace(self, **moved)


def choose_path(leads: int, patches: int, time_tolerance: int, device_type: str) -> str:
    """
    The faster of the two paths.

    Args:
        leads (`int`), patches (`int`): L and N.
        time_tolerance (`int`): As in the config.
        device_type (`str`): `"cpu"`, `"cuda"` ...

    Returns:
        `str`: `"dense"` for short records, and where the pattern hides little or nothing (a single lead, a tolerance
        that is a good part of the record), else `"split"`.
    """
    tokens = leads * patches
    sees_all = leads == 1 or time_tolerance >= patches - 1
    if sees_all or tokens < _SPLIT_FROM_TOKENS.get(device_type, _SPLIT_FROM_TOKENS["cpu"]):
        return "dense"
    pairs = lay_out_band(leads, patches, time_tolerance, device_type).pairs
    return "split" if pairs < _SPLIT_UP_TO_SHARE * tokens**2 else "dense"


def lay_out_mask(key_mask: torch.Tensor, time_tolerance: int, path: str | None = None) -> CardioSparseMask:
    """
    Prepares the pattern and the padding of a batch for `cardio_sparse`.

    Args:
        key_mask (`torch.Tensor` of shape `(B, L, N)`): 1 or True for real patches.
        time_tolerance (`int`): Patches that a key of another lead may lie before or after the query.
        path (`str`, *optional*): `"dense"` or `"split"`; the faster one by default.

    Returns:
        [`CardioSparseMask`]

    Raises:
        `ValueError`: for a mask that is not `(B, L, N)`, a negative tolerance, or another path.
    """
    if key_mask.ndim != 3 or 0 in key_mask.shape:
        raise ValueError(
            f"expected a mask (batch, leads, patches) with at least one of each, got shape {tuple(key_mask.shape)}."
        )
    if time_tolerance < 0:
        raise ValueError(f"the time tolerance is a number of patches and must be >= 0, got {time_tolerance}.")
    if path not in (None, *PATHS):
        raise ValueError(f"expected a path of {PATHS}, or None for the faster one, got {path!r}.")
    leads, patches = key_mask.shape[1:]
    path = path or choose_path(leads, patches, time_tolerance, key_mask.device.type)
    key_mask, device = key_mask.bool(), key_mask.device
    # Nothing hidden is the fastest, but to look makes a graph depend on data.
    if not torch.compiler.is_compiling() and bool(key_mask.all()):
        key_mask = None
    mask = CardioSparseMask(leads, patches, time_tolerance, path, key_mask)
    return replace(mask, dense_mask=_dense_mask(mask, device)) if path == "dense" else mask


def _dense_mask(mask: CardioSparseMask, device: torch.device) -> torch.Tensor | None:
    """The pattern, where it hides anything, and the padding as `(B or 1, 1, L*N or 1, L*N)`."""
    pattern = None
    if mask.leads > 1 and mask.time_tolerance < mask.patches - 1:
        tokens = torch.arange(mask.leads * mask.patches, device=device)
        sees = cardio_sparse_pattern(mask.patches, mask.time_tolerance)
        pattern = sees(0, 0, tokens[:, None], tokens)[None, None]
    if mask.key_mask is None:
        return pattern
    padding = mask.key_mask.flatten(1)[:, None, None]
    return padding if pattern is None else pattern & padding


def create_cardio_sparse_mask(
    config, hidden_states: torch.Tensor, attention_mask: torch.Tensor, path: str | None = None
):
    """
    Builds the mask once for all layers, in the form that the chosen attention implementation wants.

    Args:
        config ([`AnyECGConfig`]): Carries `time_tolerance` and the attention implementation.
        hidden_states (`torch.Tensor` of shape `(B, L*N, D)`): For batch size, dtype and device.
        attention_mask (`torch.Tensor` of shape `(B, L, N)`): 1 for real patches.
        path (`str`, *optional*): Forces `cardio_sparse` to its `"dense"` or `"split"` path; for tests and benchmarks.

    Returns:
        The mask that the attention implementation understands; a [`CardioSparseMask`] for `cardio_sparse`.
    """
    mask = create_bidirectional_mask(
        config=config,
        inputs_embeds=hidden_states,
        attention_mask=attention_mask.flatten(1),
        and_mask_function=cardio_sparse_pattern(attention_mask.shape[2], config.time_tolerance),
    )
    if config._attn_implementation != CARDIO_SPARSE:
        return mask
    return lay_out_mask(mask.view(attention_mask.shape), config.time_tolerance, path)


def padding_mask(attention_mask: torch.Tensor, **kwargs) -> torch.Tensor:
    """The registered mask function: padding alone, `(B, L*N)` bool; the pattern is in the attention itself."""
    return attention_mask


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


def cardio_sparse_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: CardioSparseMask,
    scaling: float | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """
    Exact Cardio-Sparse Attention.

    Args:
        query, key, value (`torch.Tensor` of shape `(B, H, L*N, d)`): Lead-major tokens.
        mask ([`CardioSparseMask`]): From [`lay_out_mask`].
        scaling (`float`, *optional*): Factor of the scores; `d ** -0.5` by default.
        dropout (`float`, *optional*, defaults to 0.0): Share of the keys that each query drops.

    Returns:
        `torch.Tensor` of shape `(B, L*N, H, d)`; zero for queries that see no key.

    Raises:
        `ValueError`: if the tokens are not L times N.
    """
    batch, _, tokens, head_size = query.shape
    if tokens != mask.leads * mask.patches or key.shape[2] != tokens:
        raise ValueError(
            f"expected {mask.leads} leads x {mask.patches} patches = {mask.leads * mask.patches} tokens, as the mask"
            f" says, got {tokens} queries and {key.shape[2]} keys."
        )
    if mask.key_mask is not None and len(mask.key_mask) != batch:
        raise ValueError(f"the mask is for {len(mask.key_mask)} records, but the queries are of {batch}.")
    scaling = head_size**-0.5 if scaling is None else scaling
    if mask.path == "dense":
        output = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask.dense_mask, dropout_p=dropout, scale=scaling
        )
        return output.transpose(1, 2).contiguous()
    states = (query, key, value)
    # Our own function knows nothing of autocast, which leaves float64 alone.
    if torch.is_autocast_enabled(query.device.type) and query.dtype != torch.float64:
        states = (tensor.to(torch.get_autocast_dtype(query.device.type)) for tensor in states)
    by_lead = (tensor.transpose(1, 2).unflatten(1, (mask.leads, mask.patches)) for tensor in states)
    output = split_attention(*by_lead, mask.key_mask, mask.time_tolerance, scaling, dropout)
    return output.flatten(1, 2)


def cardio_sparse_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: CardioSparseMask,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """The registered implementation `cardio_sparse`; raises `TypeError` without the mask that it needs."""
    if not isinstance(attention_mask, CardioSparseMask):
        raise TypeError(
            f"{CARDIO_SPARSE} attention needs a CardioSparseMask, got {type(attention_mask).__name__}: it serves models"
            " whose tokens are leads x patches, and their masks come from `create_cardio_sparse_mask`."
        )
    return cardio_sparse_attention(query, key, value, attention_mask, scaling, dropout), None


AttentionInterface.register(CARDIO_SPARSE, cardio_sparse_attention_forward)
AttentionMaskInterface.register(CARDIO_SPARSE, padding_mask)


__all__ = [
    "CARDIO_SPARSE",
    "PATHS",
    "CardioSparseMask",
    "cardio_sparse_attention",
    "cardio_sparse_attention_forward",
    "cardio_sparse_pattern",
    "choose_path",
    "create_cardio_sparse_mask",
    "eager_attention_forward",
    "lay_out_mask",
]
