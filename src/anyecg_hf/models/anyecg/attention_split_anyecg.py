# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cardio-Sparse Attention as two small attentions instead of one large one.

The keys of a query fall into two sets: those of its own lead, a row of N, and those of the other leads within the
tolerance, a band of (2w+1)(L-1). Each set is attended to by a fused kernel that also returns its log-sum-exp `s`; with
`p = sigmoid(s_band - s_own)` the attention over both is `(1 - p) * own + p * band`, and its log-sum-exp is
`log(exp(s_own) + exp(s_band))`. The gradients of the parts are those of the whole if the backward kernels are given the
output and the log-sum-exp of the whole, as in ring attention (arXiv 2310.01889).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import logging

from .attention_band_anyecg import BandLayout, Stretch, lay_out_band
from .attention_kernels_anyecg import FusedKernel, KernelOutput, hiding_bias, select_kernel
from .attention_slices_anyecg import sliced_attention

logger = logging.get_logger(__name__)

States = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def split_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_mask: torch.Tensor | None,
    time_tolerance: int,
    scaling: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """
    Exact Cardio-Sparse Attention in O(L N (N + L w)) time and O(L N) memory.

    Where PyTorch has no fused kernel for the device, dtype or head size, or none that can drop keys (on CPUs), slices
    of time are computed by plain matrix products, and again in the backward pass: as exact, as lean, slower. A log line
    says so once.

    Args:
        query, key, value (`torch.Tensor` of shape `(B, L, N, H, d)`): States by lead and time.
        key_mask (`torch.BoolTensor` of shape `(B, L, N)`, *optional*): True where a key may be seen; all if not given.
        time_tolerance (`int`): Patches w that a key of another lead may lie before or after the query.
        scaling (`float`): Factor of the scores.
        dropout (`float`, *optional*, defaults to 0.0): Share of the keys that each query drops.

    Returns:
        `torch.Tensor` of shape `(B, L, N, H, d)`, contiguous; zero for queries that see no key.
    """
    own = select_kernel(query, with_bias=key_mask is not None, dropout=dropout)
    band = select_kernel(query, with_bias=True, dropout=dropout)
    if own is None or band is None:
        what = f"{str(query.dtype).removeprefix('torch.')} heads of {query.shape[-1]} on {query.device.type!r}"
        drops = ", or none that can drop keys" if dropout else ""
        logger.warning_once(
            f"PyTorch has no fused attention kernel for {what}{drops}: cardio_sparse attention takes a slower path."
        )
        return sliced_attention(query, key, value, key_mask, time_tolerance, scaling, dropout)
    plan = _Plan(
        own=own,
        band=band,
        layout=lay_out_band(*query.shape[1:3], time_tolerance, query.device.type),
        scaling=scaling,
        dropout=dropout,
    )
    return _SplitAttention.apply(*map(_with_dense_rows, (query, key, value)), key_mask, plan)


@dataclass(frozen=True)
class _Plan:
    own: FusedKernel
    band: FusedKernel
    layout: BandLayout
    scaling: float
    dropout: float

    def stretches(self) -> Iterator[Stretch]:
        """Stretches of the band; none for a single lead, which has no other to look at."""
        if self.layout.leads > 1:
            for start in self.layout.starts:
                yield Stretch(self.layout, start)


class _SplitAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, key_mask, plan):
        states = (query, key, value)
        own = plan.own.forward(*map(_by_lead, states), _own_bias(key_mask, query), plan.scaling, plan.dropout)
        output = _from_lead(own.output, len(query))
        logsumexp = own.logsumexp.transpose(1, 2).unflatten(0, (len(query), -1)).contiguous()
        random_state = [*own.random_state]
        for stretch in plan.stretches():
            band = plan.band.forward(*_band_inputs(stretch, states, key_mask), plan.scaling, plan.dropout)
            random_state += band.random_state
            _merge(stretch, output, logsumexp, band)
        if key_mask is not None:
            output.masked_fill_(_sees_nothing(key_mask, plan.layout.tolerance), 0.0)
        ctx.save_for_backward(query, key, value, key_mask, output, logsumexp, *random_state)
        ctx.plan = plan
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_output):
        query, key, value, key_mask, output, logsumexp, *random_state = ctx.saved_tensors
        plan, states = ctx.plan, (query, key, value)
        grad_output = _with_dense_rows(grad_output)
        if key_mask is not None:
            grad_output = grad_output.masked_fill(_sees_nothing(key_mask, plan.layout.tolerance), 0.0)
        drawn = iter(random_state)
        whole = KernelOutput(output, logsumexp)
        gradients = _own_gradients(plan, grad_output, states, key_mask, whole, drawn)
        for stretch in plan.stretches():
            _add_band_gradients(plan, stretch, gradients, grad_output, states, key_mask, whole, drawn)
        return *(gradient.to(query.dtype) for gradient in gradients), None, None


def _with_dense_rows(states: torch.Tensor) -> torch.Tensor:
    """States whose d numbers lie side by side: the kernels take no others, and the one for CPUs does not check."""
    return states if states.stride(-1) == 1 else states.contiguous()


def _by_lead(states: torch.Tensor) -> torch.Tensor:
    """`(B, L, N, H, d)` -> `(B * L, H, N, d)`, a view in the layout that the model's projections have."""
    return states.flatten(0, 1).transpose(1, 2)


def _from_lead(states: torch.Tensor, batch: int) -> torch.Tensor:
    """`(B * L, H, N, d)` -> `(B, L, N, H, d)`."""
    return states.transpose(1, 2).unflatten(0, (batch, -1))


def _own_bias(key_mask: torch.Tensor | None, query: torch.Tensor) -> torch.Tensor | None:
    """What hides padded keys of the own lead, `(B * L, 1, 1, N)`."""
    return None if key_mask is None else hiding_bias(key_mask.flatten(0, 1), query)[:, None, None]


def _band_inputs(
    stretch: Stretch, states: States, key_mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys, values and bias of a stretch, as the kernels take them."""
    query, key, value = states
    if key_mask is None:
        key_mask = torch.ones((), dtype=torch.bool, device=query.device).expand(query.shape[:3])
    return (
        stretch.query_blocks(query).transpose(1, 2),
        stretch.key_blocks(key).transpose(1, 2),
        stretch.key_blocks(value).transpose(1, 2),
        hiding_bias(stretch.sees(key_mask), query)[:, None],
    )


def _merge(stretch: Stretch, output: torch.Tensor, logsumexp: torch.Tensor, band: KernelOutput) -> None:
    """Adds the keys of the band to the attention over the own lead, in place."""
    batch = output.shape[0]
    band_output = stretch.from_query_blocks(band.output.transpose(1, 2), batch)
    band_logsumexp = stretch.from_query_blocks(band.logsumexp.transpose(1, 2), batch)
    output, logsumexp = stretch.cut(output), stretch.cut(logsumexp)
    band_share = torch.sigmoid(band_logsumexp - logsumexp)[..., None]
    # In the precision of the log-sum-exp: half precision would be rounded twice.
    output.copy_(torch.lerp(output.to(band_share.dtype), band_output.to(band_share.dtype), band_share))
    logsumexp.copy_(torch.logaddexp(logsumexp, band_logsumexp))


def _own_gradients(
    plan: _Plan,
    grad_output: torch.Tensor,
    states: States,
    key_mask: torch.Tensor | None,
    whole: KernelOutput,
    drawn: Iterator[torch.Tensor],
) -> list[torch.Tensor]:
    """Own lead's share of the gradients of query, key and value, each `(B, L, N, H, d)`."""
    result = KernelOutput(
        _by_lead(whole.output), _by_lead(whole.logsumexp[..., None])[..., 0], _take(drawn, plan.own.random_states)
    )
    bias = _own_bias(key_mask, states[0])
    parts = plan.own.backward(_by_lead(grad_output), *map(_by_lead, states), bias, result, plan.scaling, plan.dropout)
    # Summed in single precision at least: half precision would be rounded with every part.
    return [_from_lead(part, len(grad_output)).to(whole.logsumexp.dtype) for part in parts]


def _add_band_gradients(
    plan: _Plan,
    stretch: Stretch,
    gradients: list[torch.Tensor],
    grad_output: torch.Tensor,
    states: States,
    key_mask: torch.Tensor | None,
    whole: KernelOutput,
    drawn: Iterator[torch.Tensor],
) -> None:
    """Adds one stretch's share of the band."""
    asked, output, logsumexp = (
        stretch.query_blocks(tensor).transpose(1, 2) for tensor in (grad_output, whole.output, whole.logsumexp)
    )
    result = KernelOutput(output, logsumexp, _take(drawn, plan.band.random_states))
    inputs = _band_inputs(stretch, states, key_mask)
    of_queries, *of_keys = plan.band.backward(asked, *inputs, result, plan.scaling, plan.dropout)
    stretch.cut(gradients[0]).add_(stretch.from_query_blocks(of_queries.transpose(1, 2), len(grad_output)))
    for total, part in zip(gradients[1:], of_keys, strict=True):
        stretch.add_key_blocks(total, part.transpose(1, 2))


def _sees_nothing(key_mask: torch.Tensor, tolerance: int) -> torch.Tensor:
    """Queries whose keys are all hidden, `(B, L, N, 1, 1)` bool."""
    patches = key_mask.shape[2]
    times = torch.arange(patches, device=key_mask.device)
    # How many times before each have a real patch in any lead; a difference counts those within the tolerance.
    counts = nn.functional.pad(key_mask.any(dim=1).long().cumsum(dim=1), (1, 0))
    near = counts[:, (times + tolerance + 1).clamp(max=patches)] > counts[:, (times - tolerance).clamp(min=0)]
    return ~(key_mask.any(dim=2)[:, :, None] | near[:, None])[..., None, None]


def _take(drawn: Iterator[torch.Tensor], number: int) -> tuple[torch.Tensor, ...]:
    return tuple(next(drawn) for _ in range(number))


__all__ = ["split_attention"]
