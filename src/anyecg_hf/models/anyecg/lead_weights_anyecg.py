# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a record's own leads tell of how they are to be mixed: the part of lead estimation that differs by person."""

from collections.abc import Sequence

import torch
from torch import nn

from .configuration_anyecg import AnyECGConfig

# From record to record, covariances in the leads' own units differ by about half a unit; some are outliers.
_FEATURE_SCALE = 2.0
_LARGEST_FEATURE = 3.0
_SMALLEST_VARIANCE = 1e-3


class RecordWeights(nn.Module):
    """
    Weights that are added to those of least squares, for every record its own, and for copies of the leads that come
    earlier or later, too.

    Least squares has one matrix for all people. Their hearts lie differently, though, and how the clean leads of a
    record go together tells how: covariances and correlations, as far as they differ from the mean over training
    records, go through a layer of `config.num_record_features` units, every second of them with a GELU, into weights.

    Args:
        config ([`AnyECGConfig`]): `lead_names`, `num_record_features`, `reconstruction_delays`.

    Raises:
        `ValueError`: if a delay is there twice, or none is 0.

    **Buffers**, zero until they are fitted, and no parameters, so that training of anything else leaves them alone:
    `input_weight (H, F)`, `input_bias (H,)`, `output_weight (V, V, T, H)` and `output_bias (V, V, T)` for `H` units,
    `F` features, `V` names and `T` delays; float32.
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__()
        leads, units = len(config.lead_names), config.num_record_features
        self.delays = tuple(config.reconstruction_delays)
        if 0 not in self.delays or len(set(self.delays)) < len(self.delays):
            raise ValueError(f"`reconstruction_delays` must differ, and hold 0, got {self.delays}.")
        weights = (leads, leads, len(self.delays))
        self.register_buffer("input_weight", torch.zeros(units, leads * (leads + 1) + 2 * leads))
        self.register_buffer("input_bias", torch.zeros(units))
        self.register_buffer("output_weight", torch.zeros(*weights, units))
        self.register_buffer("output_bias", torch.zeros(weights))

    def forward(
        self, values: torch.Tensor, lead_ids: torch.Tensor, clean: torch.Tensor, covariance: torch.Tensor
    ) -> torch.Tensor:
        """
        What is to be added to the least squares estimate of every lead.

        Args:
            values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches.
            lead_ids (`torch.LongTensor` of shape `(B, L)`): Lead of each row.
            clean (`torch.BoolTensor` of shape `(B, L, N)`): Patches to rely on.
            covariance (`torch.FloatTensor` of shape `(V, V)`): Of the leads over training records.

        Returns:
            `torch.FloatTensor` of shape `(B, L, N, S)`: zero for leads without statistics.
        """
        told = clean & (covariance.diagonal() > 0)[lead_ids][..., None]
        known = torch.where(told[..., None], values, 0.0)
        patches = told.float() @ told.float().mT
        own = known.flatten(2) @ known.flatten(2).mT / (patches * values.shape[-1]).clamp(min=1.0)
        weights = self.weights(own, patches > 0, told.mT, covariance, lead_ids)
        return torch.einsum("bnltm,btmns->blns", weights, delayed(known, self.delays))

    def weights(
        self,
        own: torch.Tensor,
        known: torch.Tensor,
        present: torch.Tensor,
        covariance: torch.Tensor,
        lead_ids: torch.Tensor,
    ) -> torch.Tensor:
        """
        Args:
            own (`torch.FloatTensor` of shape `(B, L, L)`): Covariances of the record's clean leads, in any scale.
            known (`torch.BoolTensor` of shape `(B, L, L)`): Pairs that are clean at the same time somewhere.
            present (`torch.BoolTensor` of shape `(B, N, L)`): Leads that are clean at each time.
            covariance (`torch.FloatTensor` of shape `(V, V)`): Of the leads over training records.
            lead_ids (`torch.LongTensor` of shape `(B, L)` or `(1, L)`): Lead of each row.

        Returns:
            `torch.FloatTensor` of shape `(B, N, L, T, L)`: weights of the leads that are present, for every lead.
        """
        mean = covariance[lead_ids[:, :, None], lead_ids[:, None]]
        place = nn.functional.one_hot(lead_ids, len(covariance)).to(own.dtype)
        features = self._features(own, known, covariance, place)
        of_record, of_time = self.input_weight.split((features.shape[-1], place.shape[-1]), dim=-1)
        units = nn.functional.linear(features, of_record, self.input_bias)[:, None]
        units = units + nn.functional.linear((present.to(own.dtype) @ place).clamp(max=1.0), of_time)
        units = torch.where(_is_odd(units.shape[-1], units.device), nn.functional.gelu(units), units)
        rows, columns = lead_ids[:, :, None], lead_ids[:, None]
        weights = torch.einsum("bnh,blmth->bnltm", units, self.output_weight[rows, columns])
        weights = weights + self.output_bias[rows, columns].transpose(2, 3)[:, None]
        spread = mean.diagonal(dim1=-2, dim2=-1).clamp(min=0.0).sqrt()
        scale = torch.where(spread[:, None] > 0, spread[..., None] / spread[:, None].clamp(min=1e-6), 0.0)
        # Rows of one lead share its weight.
        shares = present / (present.to(own.dtype) @ (rows == columns).to(own.dtype)).clamp(min=1.0)
        return weights * scale[:, None, :, None] * shares[:, :, None, None]

    def _features(
        self, own: torch.Tensor, known: torch.Tensor, covariance: torch.Tensor, place: torch.Tensor
    ) -> torch.Tensor:
        """
        Covariances and correlations of all pairs of names, less their means, and which leads are known; `(B, F - V)`.
        """
        place = place * known.diagonal(dim1=-2, dim2=-1)[..., None]
        place = place / place.sum(dim=1, keepdim=True).clamp(min=1.0)
        own, known = (place.mT @ each.to(own.dtype) @ place for each in (own, known))
        found, expected = (_in_own_units(each, covariance, known > 0) for each in (own, covariance))
        pairs = torch.stack((found - expected, _correlations(found) - _correlations(expected)), dim=1)
        pairs = (_FEATURE_SCALE * pairs).clamp(-_LARGEST_FEATURE, _LARGEST_FEATURE)
        first, second = torch.triu_indices(*covariance.shape, device=covariance.device)
        return torch.cat((pairs[..., first, second].flatten(1), place.sum(dim=1)), dim=-1)


def _in_own_units(covariance: torch.Tensor, mean: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """
    Covariances in units of the leads' mean variances, brought to the same power `(B, V, V)`; zero where not known, and
    where all leads are silent.
    """
    spread = mean.diagonal().clamp(min=1e-12).sqrt()
    scaled = torch.where(known, covariance / (spread[:, None] * spread), 0.0)
    leads = known.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    power = scaled.diagonal(dim1=-2, dim2=-1).sum(dim=-1) / leads.clamp(min=1)
    return scaled / torch.where(power > 0, power, 1.0)[..., None, None]


def delayed(leads: torch.Tensor, delays: Sequence[int]) -> torch.Tensor:
    """
    Copies of leads that come later by so many samples, or earlier if it is negative; zero beyond a record's ends.

    Args:
        leads (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches that follow each other.
        delays (`Sequence[int]`): In samples.

    Returns:
        `torch.FloatTensor` of shape `(B, T, L, N, S)`
    """
    signals = leads.flatten(2)
    reach, length = max(map(abs, delays)), signals.shape[-1]
    padded = nn.functional.pad(signals, (reach, reach))
    copies = [padded[..., reach - delay : reach - delay + length] for delay in delays]
    return torch.stack(copies, dim=1).unflatten(-1, leads.shape[-2:])


def _correlations(covariance: torch.Tensor) -> torch.Tensor:
    spread = covariance.diagonal(dim1=-2, dim2=-1).clamp(min=_SMALLEST_VARIANCE).sqrt()
    return covariance / (spread[..., None] * spread[..., None, :])


def _is_odd(count: int, device: torch.device) -> torch.Tensor:
    return torch.arange(count, device=device) % 2 == 1


__all__ = ["RecordWeights", "delayed"]
