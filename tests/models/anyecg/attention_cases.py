# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Inputs of attention tests, and what attention over them is by definition, in float64."""

from dataclasses import dataclass

import torch

from anyecg_hf.models.anyecg.attention_anyecg import cardio_sparse_attention, lay_out_mask


@dataclass
class Case:
    """Unit-variance states `(B, H, L*N, d)` in the memory layout of the model's projections, and a mask `(B, L, N)`."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    grad_output: torch.Tensor
    key_mask: torch.Tensor
    time_tolerance: int

    @property
    def states(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.query, self.key, self.value

    def to(self, dtype: torch.dtype) -> "Case":
        states = (state.to(dtype) for state in (*self.states, self.grad_output))
        return Case(*states, self.key_mask, self.time_tolerance)


def draw_case(
    leads: int, patches: int, time_tolerance: int = 1, batch: int = 2, heads: int = 2, head_size: int = 8
) -> Case:
    shape = (batch, leads * patches, heads, head_size)
    states = (torch.randn(shape).transpose(1, 2) for _ in range(4))
    return Case(*states, torch.ones(batch, leads, patches, dtype=torch.bool), time_tolerance)


def ragged_mask(batch: int, leads: int, patches: int) -> torch.Tensor:
    """A whole record with holes; a record of fewer leads and patches; in both the second lead is all masked."""
    mask = torch.rand(batch, leads, patches) < 0.8
    mask[:, 0, 0] = True
    mask[:, 1:2] = False
    mask[1:, -(leads // 3) :] &= leads < 3
    mask[1:, :, patches - patches // 3 :] = False
    return mask


def seen_pairs(case: Case) -> torch.Tensor:
    """Which keys each query sees, `(B, 1, L*N, L*N)`, pair by pair from the definition."""
    _, leads, patches = case.key_mask.shape
    lead = torch.arange(leads).repeat_interleave(patches)
    time = torch.arange(patches).repeat(leads)
    pattern = (lead[:, None] == lead) | ((time[:, None] - time).abs() <= case.time_tolerance)
    return pattern & case.key_mask.flatten(1)[:, None, None]


@dataclass
class Result:
    """Output `(B, L*N, H, d)`, and gradients of query, key and value `(B, H, L*N, d)`."""

    output: torch.Tensor
    gradients: tuple[torch.Tensor, ...]


def by_definition(case: Case) -> Result:
    """Masked softmax over all pairs in float64; zero for queries that see nothing."""
    query, key, value = (state.detach().double().requires_grad_() for state in case.states)
    seen = seen_pairs(case)
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~seen, -1e30).softmax(dim=-1).masked_fill(~seen, 0.0)
    output = (weights @ value).transpose(1, 2)
    output.backward(case.grad_output.double().transpose(1, 2))
    return Result(output.detach(), tuple(state.grad for state in (query, key, value)))


def by_path(case: Case, path: str | None) -> Result:
    """What our attention computes when it takes this path."""
    states = [state.detach().requires_grad_() for state in case.states]
    output = cardio_sparse_attention(*states, lay_out_mask(case.key_mask, case.time_tolerance, path))
    output.backward(case.grad_output.transpose(1, 2))
    return Result(output.detach(), tuple(state.grad for state in states))


def assert_equal(found: Result, expected: Result, output: float = 2e-6, gradients: float = 1e-5) -> None:
    """Largest absolute differences; gradients that sum over many queries may also be a rounding of themselves off."""
    torch.testing.assert_close(found.output.double(), expected.output, rtol=0, atol=output)
    for name, ours, theirs in zip("qkv", found.gradients, expected.gradients, strict=True):
        message = f"gradient of {name}"
        torch.testing.assert_close(
            ours.double(), theirs, rtol=2e-7, atol=gradients, msg=lambda text, m=message: f"{m}: {text}"
        )
