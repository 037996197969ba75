# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the other leads say about a missing or noised one without any network: lead identities and least squares."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .configuration_anyecg import AnyECGConfig
from .lead_weights_anyecg import RecordWeights

# Directions of the limb leads in the frontal plane, x to the left and y down, in units of lead I. Einthoven's law
# III = II - I and Goldberger's aVR = -(I + II) / 2, aVL = (I - III) / 2, aVF = (II + III) / 2 follow from them.
_ROOT_3 = 3**0.5
LIMB_DIRECTIONS = {
    "I": (1.0, 0.0),
    "II": (0.5, _ROOT_3 / 2),
    "III": (-0.5, _ROOT_3 / 2),
    "aVR": (-0.75, -_ROOT_3 / 4),
    "aVL": (0.75, -_ROOT_3 / 4),
    "aVF": (0.0, _ROOT_3 / 2),
}

# Share of its variance that is added to every lead's own: limb leads depend on each other, and no matrix of them
# could be inverted without it. On PTB-XL any value from 1e-6 to 1e-3 restores chest leads equally well (within .01 dB).
_RIDGE = 1e-4

# Octaves in which noise is told from signal. They fade as exp(-(f / edge)^4) and ring for less than the zeros behind a
# record last, so that its answer does not depend on the length that it is padded to.
_BAND_EDGES_HZ = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_RINGING_S = 3.0


@dataclass
class PatchKinds:
    """
    Which patches, bool `(B, L, N)`, are what; the others are padded.

    Attributes:
        clean (`torch.BoolTensor`): There, to be relied on.
        missing (`torch.BoolTensor`): Not there, to be estimated.
        noised (`torch.BoolTensor`): There, not to be trusted.
    """

    clean: torch.Tensor
    missing: torch.Tensor
    noised: torch.Tensor

    @property
    def restored(self) -> torch.Tensor:
        """Missing and noised ones."""
        return self.missing | self.noised

    @property
    def given(self) -> torch.Tensor:
        """Clean and noised ones."""
        return self.clean | self.noised

    @property
    def real(self) -> torch.Tensor:
        """All but padded ones."""
        return self.clean | self.missing | self.noised


@dataclass
class LeadEstimate:
    """
    What [`LeadEstimator`] says.

    Attributes:
        values (`torch.FloatTensor` of shape `(B, L, N, S)`): Clean patches as given, missing ones by least squares,
            noised ones between it and the input, limb leads by their identities where two clean ones are there, zero
            where padded.
        exact (`torch.BoolTensor` of shape `(B, L, N)`): Missing or noised patches that follow from identities.
    """

    values: torch.Tensor
    exact: torch.Tensor


class LeadEstimator(nn.Module):
    """
    The linear solution: every missing or noised lead from those that are clean at the same time, in any scale common
    to all.

    1. A limb lead follows from two or more clean limb leads by Einthoven's and Goldberger's identities, exactly. This
       also holds for a noised one.
    2. Any other missing lead is its mean under a Gaussian of zero mean, given the clean leads: least squares with the
       matrix that belongs to just those leads. Leads without statistics, `unknown` among them, neither help nor are
       helped. [`RecordWeights`] adds to the matrix what the record's clean leads tell of the person; of missing limb
       leads, what keeps their identities.
    3. Any other noised lead is least squares plus a share of what the input differs from it. The difference is noise
       and the error of least squares. The Gaussian knows the power of the latter, and the record's clean leads lend it
       their spectrum; the noise is whatever power the difference has beyond it, over all noised patches of the lead.
       The shares follow for every octave: a Wiener filter.
    4. Where no lead is clean, a missing lead is zero and a noised one stays as it is.

    Args:
        config ([`AnyECGConfig`]): For the lead vocabulary and the sampling rate.

    **Buffers:** `covariance (V, V)` float32 over `config.lead_names`, in squared recording scale, zero for leads
    without statistics; `limb_directions (V, 2)`, zero for other leads; and those of `record_weights`.
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__()
        self.lead_names = tuple(config.lead_names)
        self.sampling_rate = config.sampling_rate
        count = len(self.lead_names)
        self.register_buffer("covariance", torch.zeros(count, count))
        self.register_buffer("limb_directions", self.initial_directions(), persistent=False)
        self.record_weights = RecordWeights(config)
        # Runtimes without a Cholesky decomposition put another solver here.
        self.solve = least_squares_weights

    def initial_directions(self) -> torch.Tensor:
        """`(V, 2)`, for a module that was built without memory."""
        rows = [LIMB_DIRECTIONS.get(name, (0.0, 0.0)) for name in self.lead_names]
        return torch.tensor(rows, dtype=torch.float32, device="cpu")

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "LeadEstimator":
        # In half precision the covariance of twelve leads is none: the numbers stay, the device changes.
        def keep_precision(tensor: torch.Tensor) -> torch.Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_precision, recurse)

    @torch.no_grad()
    def forward(self, values: torch.Tensor, lead_ids: torch.Tensor, kinds: PatchKinds) -> LeadEstimate:
        """
        Args:
            values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches, zero where padded or missing.
            lead_ids (`torch.LongTensor` of shape `(B, L)`): Lead of each row.
            kinds ([`PatchKinds`]): What to rely on and what to estimate.

        Returns:
            [`LeadEstimate`]
        """
        with torch.autocast(values.device.type, enabled=False):
            values = values.float()
            by_identity, identified = self._limb_leads(lead_ids, kinds.clean, values)
            exact = identified.transpose(1, 2) & kinds.restored
            solution = self._least_squares(values, lead_ids, kinds.clean)
            own = self.record_weights(values, lead_ids, kinds.clean, self.covariance)
            own = self.constrain(own, lead_ids, kinds.clean, kinds.missing & ~exact)
            solution.values = solution.values + own
            estimate = torch.where(kinds.missing[..., None], solution.values, values)
            comparable = kinds.noised & solution.informed
            estimate = torch.where(comparable[..., None], self._denoised(values, solution, comparable), estimate)
            return LeadEstimate(torch.where(exact[..., None], by_identity.transpose(1, 2), estimate), exact)

    def _least_squares(self, values: torch.Tensor, lead_ids: torch.Tensor, clean: torch.Tensor) -> "_LeastSquares":
        covariance = self.covariance[lead_ids[:, :, None], lead_ids[:, None]][:, None]  # (B, 1, L, L)
        variance = covariance.diagonal(dim1=-2, dim2=-1)  # (B, 1, L)
        present = clean.transpose(1, 2) & (variance > 0)  # (B, N, L)
        known = torch.where(present[..., None], values.transpose(1, 2), 0.0)
        weights = self.solve(covariance, present)
        error = (variance - (weights * covariance).sum(dim=-1)).clamp(min=0.0)
        # The covariance is that of records of unit power; this one may have another.
        power = known.square().mean(dim=-1).sum(dim=(1, 2))
        expected = (present * variance).sum(dim=(1, 2))
        scale = torch.where(expected > 0, power / expected, 0.0)[:, None, None]
        informed = present.any(dim=-1, keepdim=True) & (variance > 0) & (scale > 0)
        found = (weights @ known, scale * error, informed, known)
        return _LeastSquares(*(each.transpose(1, 2) for each in found))

    def _denoised(self, values: torch.Tensor, solution: "_LeastSquares", places: torch.Tensor) -> torch.Tensor:
        """Least squares and, band by band, what is not noise of how the patches `places (B, L, N)` differ from it."""
        difference = torch.where(places[..., None], values - solution.values, 0.0)
        samples = values.shape[2] * values.shape[3]
        length = samples + round(_RINGING_S * self.sampling_rate)
        # Whole spectra, not the half that real signals need: ONNX Runtime has no half ones of varying length.
        padding = (0, length - samples)
        spectrum, reference = (
            torch.fft.fft(nn.functional.pad(each.flatten(2), padding)) for each in (difference, solution.known)
        )
        bands = _bands(length, self.sampling_rate, values.device)
        power = difference.square().mean(dim=-1).sum(dim=-1, keepdim=True) * _band_shares(_power(spectrum), bands)
        error = torch.where(places, solution.error_power, 0.0).sum(dim=-1, keepdim=True)
        error = error * _band_shares(_power(reference).sum(dim=1, keepdim=True), bands)
        # error / (error + noise), where noise is what the power exceeds the error by.
        gains = torch.where(error > 0, error / torch.maximum(error, power), 0.0)
        signal = torch.fft.ifft(spectrum * (gains @ bands)).real[..., :samples]
        return solution.values + signal.view_as(values)

    def _limb_leads(
        self, lead_ids: torch.Tensor, clean: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Limb leads `(B, N, L, S)` from clean ones, and bool `(B, N, L)` where there are two or more of these."""
        directions = self.limb_directions[lead_ids][:, None]  # (B, 1, L, 2)
        present = clean.transpose(1, 2)
        known = torch.where(present[..., None], values.transpose(1, 2), 0.0)
        used = directions * present[..., None]
        is_limb = directions.any(dim=-1)
        enough = (present & is_limb).sum(dim=-1, keepdim=True) >= 2
        normal = used.transpose(-1, -2) @ used + (~enough[..., None]) * torch.eye(2, device=used.device)
        heart_vector = _solve_2x2(normal, used.transpose(-1, -2) @ known)
        return directions @ heart_vector, enough & is_limb

    def constrain(
        self, residual: torch.Tensor, lead_ids: torch.Tensor, clean: torch.Tensor, missing: torch.Tensor
    ) -> torch.Tensor:
        """
        The nearest correction of missing limb leads that keeps their identities, among each other and with a clean one.

        Args:
            residual (`torch.FloatTensor` of shape `(B, L, N, S)`): What is to be added to an estimate of this class.
            lead_ids (`torch.LongTensor` of shape `(B, L)`): Lead of each row.
            clean (`torch.BoolTensor` of shape `(B, L, N)`): Patches that were relied on.
            missing (`torch.BoolTensor` of shape `(B, L, N)`): Patches that were estimated, exact ones left out.

        Returns:
            `torch.FloatTensor` of shape `(B, L, N, S)`: other patches as they were.
        """
        with torch.autocast(residual.device.type, enabled=False):
            directions = self.limb_directions[lead_ids][:, None]  # (B, 1, L, 2)
            bound = (missing & directions[:, 0].any(dim=-1)[..., None]).transpose(1, 2)
            bound &= bound.sum(dim=-1, keepdim=True) >= 2  # one lead alone breaks no identity
            identity = torch.eye(2, device=residual.device)
            # One clean limb lead leaves the other direction of the plane free; with two, no limb lead is missing.
            along = (directions * clean.transpose(1, 2)[..., None]).sum(dim=-2)
            outer = along[..., None] * along[..., None, :]
            plane = identity - outer / along.square().sum(dim=-1)[..., None, None].clamp(min=1e-6)
            free = directions * bound[..., None] @ plane
            # What is added has no part in what is free: it makes the system regular and leaves its solution alone.
            normal = free.transpose(-1, -2) @ free + outer + ~bound.any(dim=-1)[..., None, None] * identity
            together = free @ _solve_2x2(normal, free.transpose(-1, -2) @ residual.transpose(1, 2))
            return torch.where(bound.transpose(1, 2)[..., None], together.transpose(1, 2), residual)


@dataclass
class _LeastSquares:
    """
    Attributes:
        values (`torch.FloatTensor` of shape `(B, L, N, S)`): Every lead from the clean ones.
        error_power (`torch.FloatTensor` of shape `(B, L, N)`): Mean square that its error is expected to have.
        informed (`torch.BoolTensor` of shape `(B, L, N)`): Where both the lead and a clean one have statistics.
        known (`torch.FloatTensor` of shape `(B, L, N, S)`): Clean leads with statistics; zero elsewhere.
    """

    values: torch.Tensor
    error_power: torch.Tensor
    informed: torch.Tensor
    known: torch.Tensor


def least_squares_weights(covariance: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """
    Args:
        covariance (`torch.FloatTensor` of shape `(..., L, L)`): Of the leads.
        present (`torch.BoolTensor` of shape `(..., L)`): Leads to estimate from.

    Returns:
        `torch.FloatTensor` of shape `(..., L, L)`: row l holds the weights of the leads that are present for lead l.
    """
    among_present, towards = normal_equations(covariance, present)
    return torch.cholesky_solve(towards, torch.linalg.cholesky(among_present)).transpose(-1, -2)


def normal_equations(covariance: torch.Tensor, present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrix and right side, both `(..., L, L)`, of the system that [`least_squares_weights`] solves."""
    weight = present.to(covariance.dtype)
    among_present = covariance * weight[..., None] * weight[..., None, :]
    ridge = _RIDGE * covariance.diagonal(dim1=-2, dim2=-1).clamp(min=1e-6)
    # Absent leads get a one on the diagonal: the block of the present ones is inverted by itself.
    diagonal = torch.diag_embed(ridge * weight + (1.0 - weight))
    return among_present + diagonal, (covariance * weight[..., None]).expand_as(among_present)


def _bands(length: int, sampling_rate: int, device: torch.device) -> torch.Tensor:
    """Responses of the bands `(K, F)` at the frequencies of a spectrum of `length` samples; they add up to one."""
    places = torch.arange(length, device=device)
    frequencies = torch.minimum(places, length - places) * (sampling_rate / length)
    edges = torch.tensor(_BAND_EDGES_HZ, device=device)[:, None]
    below = torch.exp(-((frequencies / edges) ** 4))
    everything = torch.ones_like(below[:1])
    return torch.cat((below, everything)) - torch.cat((torch.zeros_like(everything), below))


def _power(spectrum: torch.Tensor) -> torch.Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _band_shares(power: torch.Tensor, bands: torch.Tensor) -> torch.Tensor:
    """`(..., K)`: share of every band in the power spectrum `(..., F)`; zero where it is zero."""
    total = power.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, power @ bands.square().T / total, 0.0)


def _solve_2x2(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Solves symmetric positive systems `(..., 2, 2)` for `(..., 2, S)`, also in dtypes that LAPACK lacks."""
    a, b, d = (matrix[..., row, column, None] for row, column in ((0, 0), (0, 1), (1, 1)))
    first, second = right[..., 0, :], right[..., 1, :]
    return torch.stack((d * first - b * second, a * second - b * first), dim=-2) / (a * d - b * b)[..., None, :]


__all__ = [
    "LIMB_DIRECTIONS",
    "LeadEstimate",
    "LeadEstimator",
    "PatchKinds",
    "least_squares_weights",
    "normal_equations",
]
