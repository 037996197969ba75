# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What training records say of how leads go together, for the linear solution of [`AnyECGForLeadReconstruction`]."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .configuration_anyecg import UNKNOWN_LEAD
from .inputs_anyecg import to_numpy

_KMEANS_ITERATIONS = 20
# Eigenvalues below this share of the largest are zero: limb leads depend on each other.
_RANK_TOLERANCE = 1e-5


@dataclass
class RecordKinds:
    """
    Kinds of records, by how their leads go together.

    Attributes:
        covariances (`torch.FloatTensor` of shape `(K, V, V)`): Of each kind, over the lead vocabulary.
        sizes (`torch.FloatTensor` of shape `(K,)`): Records of each kind; zero where there is none.
    """

    covariances: torch.Tensor
    sizes: torch.Tensor


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


def fit_record_kinds(
    rows: Iterable[Mapping[str, Any]], lead_names: Sequence[str], covariance: torch.Tensor, count: int, seed: int = 0
) -> RecordKinds:
    """
    Groups training records by the covariance of their leads (k-means), each brought to the same power.

    Args:
        rows (`Iterable[Mapping]`): As in [`fit_lead_covariance`], the same rows. Those with less than half of the leads
            are left out; leads that others lack are completed by `covariance`.
        lead_names (`Sequence[str]`): The vocabulary.
        covariance (`torch.Tensor` of shape `(V, V)`): From [`fit_lead_covariance`].
        count (`int`): Kinds, at most.
        seed (`int`, *optional*, defaults to 0): Of the records that k-means starts from.

    Returns:
        [`RecordKinds`]: of `count` kinds; with fewer records, some are of none.
    """
    mean = covariance.double()
    leads = mean.diagonal() > 0
    spread = torch.where(leads, mean.diagonal(), 1.0).sqrt()
    units = spread[:, None] * spread
    found = [_own_covariance(*_products(row, number, lead_names), mean, leads) for number, row in enumerate(rows)]
    records = [record for record in found if record is not None]
    kinds = RecordKinds(torch.zeros(count, *covariance.shape), torch.zeros(count))
    if count and records:
        together = torch.stack(records)
        groups = _kmeans((together / units).flatten(1), count, seed)
        for place, group in enumerate(groups.unique()):
            kinds.covariances[place] = together[groups == group].mean(dim=0)
            kinds.sizes[place] = (groups == group).sum()
    return kinds


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


def _own_covariance(
    products: torch.Tensor, samples: torch.Tensor, mean: torch.Tensor, leads: torch.Tensor
) -> torch.Tensor | None:
    """
    One record's covariance, of the mean's power; `None` if it has too few leads, or is silent. Leads that it lacks are
    completed by how they follow from the others in the mean, with what is left of them there.
    """
    present = (samples.diagonal() > 0) & leads
    own = (products / samples.clamp(min=1))[present][:, present]
    power = own.diagonal().sum() / mean.diagonal()[present].sum()
    if 2 * present.sum() < leads.sum() or not power > 0:
        return None
    own = _nearest_covariance(own / power)
    follows = mean[:, present] @ torch.linalg.pinv(mean[present][:, present], rtol=_RANK_TOLERANCE, hermitian=True)
    completed = follows @ own @ follows.T + mean - follows @ mean[present]
    completed[present.nonzero(), present.nonzero().T] = own
    return _nearest_covariance(completed)


def _nearest_covariance(matrix: torch.Tensor) -> torch.Tensor:
    """Without the negative eigenvalues that pairs averaged over different patches may lead to."""
    strengths, directions = torch.linalg.eigh(matrix)
    return (directions * strengths.clamp(min=0.0)) @ directions.T


def _kmeans(points: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Group of each point `(R, F)`, int64 `(R,)`."""
    generator = torch.Generator().manual_seed(seed)
    centres = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    groups = torch.cdist(points, centres).argmin(dim=1)
    for _ in range(_KMEANS_ITERATIONS):
        for group in groups.unique():
            centres[group] = points[groups == group].mean(dim=0)
        moved = torch.cdist(points, centres).argmin(dim=1)
        if torch.equal(moved, groups):
            break
        groups = moved
    return groups


__all__ = ["RecordKinds", "fit_lead_covariance", "fit_record_kinds"]
