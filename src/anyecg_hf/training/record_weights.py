# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Fitting the weights with which lead estimation mixes the leads of a record.

A linear estimate's error depends on a record's signals through their products alone. These are computed once, and what
would take hours of training on signals takes seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from anyecg_hf.models.anyecg import AnyECGConfig
from anyecg_hf.models.anyecg.inputs_anyecg import to_numpy
from anyecg_hf.models.anyecg.lead_estimation_anyecg import least_squares_weights
from anyecg_hf.models.anyecg.lead_weights_anyecg import RecordWeights, delayed
from anyecg_hf.training.lead_corruption import CHEST_LEADS, GIVEN_THREE, LIMB_LEADS

_EPOCHS = 256
# A sixteenth of the records, within these bounds: few records are seen in as many steps.
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 64
_LEARNING_RATE = 2e-3
# Weights of leads are a few tenths: units may move in larger steps than what is made of them.
_OUTPUT_LEARNING_RATE = 2e-4
_WEIGHT_DECAY = 0.1
_LARGEST_GRADIENT_NORM = 1.0
# 30 dB below a lead's power, as in the loss of the model.
_ERROR_FLOOR = 1e-3

# How often one chest lead is missing, all but I, II and V2, all limb leads, and any leads.
_SITUATION_SHARES = (0.4, 0.2, 0.1, 0.3)
# How often the products of missing leads are known, as if they were missing for a while only.
_KNOWN_SHARE = 0.25


def fit_record_weights(
    rows: Iterable[Mapping[str, Any]], config: AnyECGConfig, covariance: torch.Tensor, seed: int = 0
) -> dict[str, torch.Tensor]:
    """
    Fits the record's own weights for [`AnyECGForLeadReconstruction.set_lead_covariance`].

    Leads are taken away as in training ([`corrupt_leads`]), and what least squares with the added weights makes of the
    others is brought nearer to them; the loss is the logarithm of each lead's error relative to its power.

    Args:
        rows (`Iterable[Mapping]`): Training rows of `clean_corpus`, read once. Those with less than two leads that the
            covariance knows are left out.
        config ([`AnyECGConfig`]): Of the model.
        covariance (`torch.Tensor` of shape `(V, V)`): Of the leads over the same rows ([`fit_lead_covariance`]).
        seed (`int`, *optional*, defaults to 0): Of all draws.

    Returns:
        `dict[str, torch.Tensor]`: buffers of [`RecordWeights`]; zero if there are no such rows.
    """
    covariance = covariance.float().cpu()
    lead_ids = covariance.diagonal().nonzero()[:, 0]
    weights = RecordWeights(config)
    records = _LeadProducts.of(rows, lead_ids, covariance, weights.delays)
    generator = torch.Generator().manual_seed(seed)
    if len(records):
        _fit(weights, records, _Leads(lead_ids, covariance, list(config.lead_names)), generator)
    return {name: buffer.detach() for name, buffer in weights.named_buffers()}


class _LeadProducts:
    """
    Means of products of delayed leads `(R, T, L, T, L)`, of records of equal power, and which pairs are known
    `(R, L, L)`; `L` leads that the covariance knows.
    """

    def __init__(self, products: torch.Tensor, known: torch.Tensor, undelayed: int):
        self.products = products
        self.known = known
        self.undelayed = undelayed

    def __len__(self) -> int:
        return len(self.products)

    def __getitem__(self, chosen: torch.Tensor) -> "_LeadProducts":
        return _LeadProducts(self.products[chosen], self.known[chosen], self.undelayed)

    @property
    def own(self) -> torch.Tensor:
        """Without delay, `(R, L, L)`."""
        return self.products[:, self.undelayed, :, self.undelayed]

    @property
    def available(self) -> torch.Tensor:
        """Leads, bool `(R, L)`."""
        return self.known.diagonal(dim1=-2, dim2=-1)

    @classmethod
    def of(
        cls,
        rows: Iterable[Mapping[str, Any]],
        lead_ids: torch.Tensor,
        covariance: torch.Tensor,
        delays: tuple[int, ...],
    ) -> "_LeadProducts":
        variance, leads, copies = covariance.diagonal()[lead_ids], len(lead_ids), len(delays)
        found = [pair for row in rows if (pair := _products(row, lead_ids, variance, delays)) is not None]
        products = torch.zeros(len(found), copies, leads, copies, leads)
        known = torch.zeros(len(found), leads, leads, dtype=torch.bool)
        for number, pair in enumerate(found):
            products[number], known[number] = pair
        return cls(products, known, delays.index(0))


def _products(
    row: Mapping[str, Any], lead_ids: torch.Tensor, variance: torch.Tensor, delays: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor] | None:
    values, mask, own_ids = (
        torch.from_numpy(to_numpy(row[key]).copy()) for key in ("input_values", "attention_mask", "lead_ids")
    )
    place = (own_ids[:, None] == lead_ids).float()
    count = place.T @ mask.float()
    real = count > 0
    if real.any(dim=1).sum() < 2:
        return None
    kept = torch.where(mask.bool()[..., None], values.float(), 0.0)
    leads = torch.einsum("lv,lns->vns", place, kept) / count.clamp(min=1.0)[..., None]
    patches = real.float() @ real.float().T
    copies = delayed(leads[None], delays)[0].flatten(2)
    means = torch.einsum("tvx,uwx->tvuw", copies, copies) / (patches * values.shape[-1]).clamp(min=1.0)[:, None]
    undelayed = delays.index(0)
    power = means[undelayed, :, undelayed].diagonal().sum() / variance[real.any(dim=1)].sum()
    return (means / power, patches > 0) if power > 0 else None


@dataclass
class _Leads:
    """The leads that products are of: ids `(L,)`, the covariance of all names `(V, V)` and these names."""

    lead_ids: torch.Tensor
    covariance: torch.Tensor
    vocabulary: list[str]

    @property
    def own_covariance(self) -> torch.Tensor:
        return self.covariance[self.lead_ids[:, None], self.lead_ids]

    def among(self, names: Sequence[str]) -> torch.Tensor:
        """Bool `(L,)`."""
        return torch.tensor([self.vocabulary[index] in names for index in self.lead_ids.tolist()])


def _fit(weights: RecordWeights, records: _LeadProducts, leads: _Leads, generator: torch.Generator) -> None:
    nn.init.normal_(weights.input_weight, std=weights.input_weight.shape[1] ** -0.5, generator=generator)
    outputs, inputs = (
        [buffer.requires_grad_() for name, buffer in weights.named_buffers() if name.startswith(part)]
        for part in ("output", "input")
    )
    groups = [{"params": inputs, "lr": _LEARNING_RATE}, {"params": outputs, "lr": _OUTPUT_LEARNING_RATE}]
    optimiser = torch.optim.AdamW(groups, weight_decay=_WEIGHT_DECAY)
    size = min(max(len(records) // 16, _SMALLEST_BATCH), _LARGEST_BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _EPOCHS * -(-len(records) // size))
    for _ in range(_EPOCHS):
        for chosen in torch.randperm(len(records), generator=generator).split(size):
            loss = _loss(weights, records[chosen], leads, generator)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(inputs + outputs, _LARGEST_GRADIENT_NORM)
            optimiser.step()
            schedule.step()


def _loss(weights: RecordWeights, records: _LeadProducts, leads: _Leads, generator: torch.Generator) -> torch.Tensor:
    given, told = _draw_leads(records.available, leads, generator)
    known = records.known & told[:, :, None] & told[:, None]
    own = torch.where(known, records.own, 0.0)
    mixed = weights.weights(own, known, given[:, None], leads.covariance, leads.lead_ids[None])[:, 0]
    least_squares = least_squares_weights(leads.own_covariance.expand(len(given), -1, -1), given)
    undelayed = nn.functional.one_hot(torch.tensor(records.undelayed), mixed.shape[2])[:, None]
    mixed = mixed + undelayed * least_squares[:, :, None]
    power = records.own.diagonal(dim1=-2, dim2=-1)
    shared = torch.einsum("bltm,btml->bl", mixed, records.products[:, :, :, records.undelayed])
    products = records.products.flatten(3).flatten(1, 2)
    squared = ((mixed.flatten(2) @ products) * mixed.flatten(2)).sum(dim=-1)
    error = (power - 2 * shared + squared).clamp(min=0.0) / power.clamp(min=1e-6)
    scored = records.available & ~given & given.any(dim=1, keepdim=True) & ~_exact(given, leads)
    return torch.where(scored, (error + _ERROR_FLOOR).log(), 0.0).sum() / scored.sum().clamp(min=1)


def _draw_leads(
    available: torch.Tensor, leads: _Leads, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Leads that are given, and those whose products are known, bool `(B, L)` each."""

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator)

    chest = available & leads.among(CHEST_LEADS)
    drawn = (uniform(*available.shape) * chest).argmax(dim=1, keepdim=True)
    one = torch.zeros_like(available).scatter(1, drawn, chest.any(dim=1, keepdim=True))
    some = uniform(*available.shape) < uniform(len(available), 1)
    three, limb = leads.among(GIVEN_THREE), leads.among(LIMB_LEADS)
    situations = torch.stack((~one, three.expand_as(one), ~limb.expand_as(one), some))
    drawn = torch.multinomial(torch.tensor(_SITUATION_SHARES), len(available), replacement=True, generator=generator)
    given = situations[drawn, torch.arange(len(available))] & available
    return given, torch.where(uniform(len(available), 1) < _KNOWN_SHARE, available, given)


def _exact(given: torch.Tensor, leads: _Leads) -> torch.Tensor:
    """Limb leads that follow from two others, bool `(B, L)`."""
    limb = leads.among(LIMB_LEADS)
    return limb & ((given & limb).sum(dim=1, keepdim=True) >= 2)


__all__ = ["fit_record_weights"]
