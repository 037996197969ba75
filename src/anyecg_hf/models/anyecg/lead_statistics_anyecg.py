# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What training records say of how leads go together, for the linear solution of [`AnyECGForLeadReconstruction`]."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from .configuration_anyecg import UNKNOWN_LEAD
from .inputs_anyecg import to_numpy


def fit_lead_covariance(rows: Iterable[Mapping[str, Any]], lead_names: Sequence[str]) -> torch.Tensor:
    """
    Covariance of the leads over training records, for [`AnyECGForLeadReconstruction.set_lead_covariance`].

    Each pair of leads is averaged over the patches where both are real; cleaned signals have no mean. Where the pairs
    come from different records, the result is moved to the nearest matrix that is a covariance.

    Args:
        rows (`Iterable[Mapping]`): Cleaned records ([`clean_corpus`]), read once: `input_values` `(L, N, S)` in
            recording scale, `attention_mask` `(L, N)`, `lead_ids` `(L,)`; arrays or tensors.
        lead_names (`Sequence[str]`): The vocabulary that `lead_ids` index into, `config.lead_names`. `unknown` is left
            out: it is no one place.

    Returns:
        `torch.FloatTensor` of shape `(V, V)`, in squared recording scale; zero for leads that no row has.

    Raises:
        `ValueError`: if no row has a real patch, or a real patch is not finite.
    """
    count = len(lead_names)
    sums, samples = torch.zeros(2, count, count, dtype=torch.float64)
    for number, row in enumerate(rows):
        products, lengths = _products(row, number, lead_names)
        sums += products
        samples += lengths
    if not sums.any():
        raise ValueError("no row has a real patch of a named lead: pass the rows of `clean_corpus`.")
    nearest = _nearest_covariance(sums / samples.clamp(min=1))
    told = sums.diagonal() > 0
    # Exactly zero elsewhere, which rounding is not.
    return torch.where(told & told[:, None], nearest, 0.0).float()


def _products(row: Mapping[str, Any], number: int, lead_names: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of products of the leads' samples, and how many samples they are of, `(V, V)` float64 each."""
    values, mask, lead_ids = (
        torch.from_numpy(to_numpy(row[key]).copy()) for key in ("input_values", "attention_mask", "lead_ids")
    )
    real = mask.bool()
    kept = torch.where(real[..., None], values.double(), 0.0).flatten(1)
    if not kept.isfinite().all():
        raise ValueError(f"row {number}: real patches must be finite, got NaN or infinity.")
    place = nn.functional.one_hot(lead_ids.long(), len(lead_names)).double() * real.any(dim=1, keepdim=True)
    place[:, lead_names.index(UNKNOWN_LEAD)] = 0.0
    samples = (real.double() @ real.double().T) * values.shape[-1]
    return place.T @ (kept @ kept.T) @ place, place.T @ samples @ place


def _nearest_covariance(matrix: torch.Tensor) -> torch.Tensor:
    """Without the negative eigenvalues that pairs averaged over different patches may lead to."""
    strengths, directions = torch.linalg.eigh(matrix)
    return (directions * strengths.clamp(min=0.0)) @ directions.T


__all__ = ["fit_lead_covariance"]
