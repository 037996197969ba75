# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Waveforms of missing and noised leads: least squares and lead identities, and a learned correction at full rate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .configuration_anyecg import AnyECGConfig
from .layers_anyecg import check_patches, complete_inputs
from .lead_estimation_anyecg import LeadEstimate, LeadEstimator, PatchKinds
from .lead_statistics_anyecg import fit_lead_covariance
from .lead_weights_anyecg import RecordWeights
from .modeling_anyecg import AnyECGModel, AnyECGPreTrainedModel

# The dilation doubles from layer to layer and starts anew after so many: 1.3 s to either side at 100 frames a second.
_DILATION_CYCLE = 6
# 30 dB below a lead's power; the logarithm would make everything of errors far smaller.
_ERROR_FLOOR = 1e-3


@dataclass
class AnyECGReconstructionOutput(ModelOutput):
    """
    What [`AnyECGForLeadReconstruction`] returns.

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*): Over missing and noised patches, as
            `config.reconstruction_loss` says.
        missing_loss, noised_loss (`torch.FloatTensor` of shape `()`, *optional*): Mean squared error over either kind;
            zero where there are none.
        reconstruction (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale: missing ones restored,
            noised ones cleaned, the others as given; zero where padded.
        linear_estimate (`torch.FloatTensor` of shape `(B, L, N, S)`): The same without the learned correction: missing
            patches by least squares, noised ones by least squares and what of the input is not noise, limb leads by
            their identities where two clean ones are there.
        hidden_states, attentions (`tuple[torch.FloatTensor]`, *optional*): The backbone's, where asked for.
    """

    loss: torch.FloatTensor | None = None
    missing_loss: torch.FloatTensor | None = None
    noised_loss: torch.FloatTensor | None = None
    reconstruction: torch.FloatTensor | None = None
    linear_estimate: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class AnyECGWaveformBlock(GradientCheckpointingLayer):
    """Residual block over time frames: norm, dilated convolution, activation, linear map."""

    def __init__(self, config: AnyECGConfig, dilation: int):
        super().__init__()
        width, kernel = config.reconstruction_width, config.reconstruction_kernel_size
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.convolution = nn.Conv1d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.activation = nn.GELU()
        self.output = nn.Linear(width, width)

    def forward(self, frames: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """`(B, T, C)` and `(B, T, 1)` -> `(B, T, C)`."""
        # Padded frames count as the silence beyond a record's ends, whatever the biases before have made of them.
        normed = (self.norm(frames) * real).transpose(1, 2)
        return frames + self.output(self.activation(self.convolution(normed)).transpose(1, 2))


class AnyECGWaveformDecoder(nn.Module):
    """
    The learned correction: convolutions over all leads at once, mixed for each token by its hidden state.

    The leads, completed by the linear solution and brought to unit spread, stand in one channel for each name of the
    vocabulary. A stack of dilated convolutions over frames of `reconstruction_stride` samples turns them into features
    at full rate. The correction of a token is a sum of these features and of the leads themselves, weighted by a linear
    map of the token's hidden state and a table of leads: a matrix of least squares that may differ from patch to patch.
    Both start at zero, and so does the correction.
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__()
        self.stride = config.reconstruction_stride
        self.leads = len(config.lead_names)
        self.features = config.reconstruction_width // 2
        width = config.reconstruction_width
        self.signal_projection = nn.Linear(self.leads * self.stride, width)
        self.kind_projection = nn.Linear(2 * self.leads, width, bias=False)
        self.context_projection = nn.Linear(config.hidden_size, width, bias=False)
        self.blocks = nn.ModuleList(
            AnyECGWaveformBlock(config, 2 ** (layer % _DILATION_CYCLE))
            for layer in range(config.num_reconstruction_layers)
        )
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.feature_projection = nn.Linear(width, self.features * self.stride)
        self.token_weights = nn.Linear(config.hidden_size, self.features + self.leads)
        self.lead_weights = nn.Embedding(self.leads, self.features + self.leads)
        self.token_weights.starts_at_zero = self.lead_weights.starts_at_zero = True

    def forward(
        self, values: torch.Tensor, hidden: torch.Tensor, lead_ids: torch.Tensor, kinds: PatchKinds
    ) -> torch.Tensor:
        """`(B, L, N, S)`, `(B, L, N, D)`, `(B, L)` -> `(B, L, N, S)`."""
        dtype = self.norm.weight.dtype
        # One step of Adam moves a map of D numbers D times as far as one of a single number: at full size the hidden
        # states would drown the leads' own weights.
        hidden = hidden.to(dtype) / hidden.shape[-1]
        place = nn.functional.one_hot(lead_ids, self.leads).to(dtype)
        channels = torch.einsum("blv,blns->bnvs", place, values.to(dtype))
        features = torch.cat((self._features(channels, hidden, place, kinds), channels), dim=2)
        weights = self.token_weights(hidden) + self.lead_weights(lead_ids)[:, :, None]
        return torch.einsum("blnf,bnfs->blns", weights, features)

    def _features(
        self, channels: torch.Tensor, hidden: torch.Tensor, place: torch.Tensor, kinds: PatchKinds
    ) -> torch.Tensor:
        """Features `(B, N, F, S)` of the leads `(B, N, V, S)`."""
        batch, patches, _, samples = channels.shape
        per_patch = samples // self.stride
        frames = channels.reshape(batch, patches, self.leads, per_patch, self.stride).transpose(2, 3).flatten(3)
        frames = self.signal_projection(frames) + self._context(hidden, place, kinds)[:, :, None]
        real = kinds.real.any(dim=1).to(frames.dtype)
        real = real[:, :, None, None].expand(-1, -1, per_patch, -1).flatten(1, 2)
        frames = frames.flatten(1, 2)
        for block in self.blocks:
            frames = block(frames, real)
        features = self.feature_projection(self.norm(frames))
        features = features.view(batch, patches, per_patch, self.features, self.stride)
        return features.transpose(2, 3).flatten(3)

    def _context(self, hidden: torch.Tensor, place: torch.Tensor, kinds: PatchKinds) -> torch.Tensor:
        """What holds for a whole patch time, `(B, N, C)`: which leads are clean or noised, and the mean of tokens."""
        clean, noised = (
            torch.einsum("blv,bln->bnv", place, kind.to(place.dtype)) for kind in (kinds.clean, kinds.noised)
        )
        real = kinds.real.sum(dim=1)[..., None].clamp(min=1)
        mean = (hidden.sum(dim=1, dtype=torch.float32) / real).to(hidden.dtype)
        return self.kind_projection(torch.cat((clean, noised), dim=-1)) + self.context_projection(mean)


class AnyECGReconstructionHead(nn.Module):
    """Linear solution plus learned correction; keeps the identities of limb leads."""

    def __init__(self, config: AnyECGConfig):
        super().__init__()
        if config.patch_size % config.reconstruction_stride:
            raise ValueError(
                f"`reconstruction_stride` ({config.reconstruction_stride}) must divide `patch_size`"
                f" ({config.patch_size})."
            )
        self.lead_estimator = LeadEstimator(config)
        self.decoder = AnyECGWaveformDecoder(config)

    def forward(
        self, values: torch.Tensor, hidden: torch.Tensor, lead_ids: torch.Tensor, kinds: PatchKinds
    ) -> tuple[torch.Tensor, LeadEstimate]:
        """`(B, L, N, S)`, `(B, L, N, D)`, `(B, L)` -> reconstruction `(B, L, N, S)` float32 and its linear part."""
        estimate = self.lead_estimator(values, lead_ids, kinds)
        spread = _spread(values, kinds.given)
        correction = spread * self.decoder(estimate.values / spread, hidden, lead_ids, kinds).float()
        free = kinds.missing & ~estimate.exact
        correction = self.lead_estimator.constrain(correction, lead_ids, kinds.clean, free)
        changed = kinds.restored & ~estimate.exact
        return estimate.values + torch.where(changed[..., None], correction, 0.0), estimate


def _check_covariance(covariance: torch.Tensor, expected: torch.Tensor, leads: int) -> None:
    """Raises `ValueError` unless it is one of the expected shape."""
    if covariance.shape != expected.shape:
        raise ValueError(
            f"expected a covariance over the {leads} names of `config.lead_names`, of shape {tuple(expected.shape)},"
            f" got {tuple(covariance.shape)}."
        )
    covariance = covariance.detach().double().cpu()
    largest = covariance.abs().max()
    if not covariance.isfinite().all() or (covariance - covariance.mT).abs().max() > 1e-4 * largest:
        raise ValueError("a covariance must be finite and symmetric.")
    lowest = torch.linalg.eigvalsh(covariance)[0]
    if lowest < -1e-4 * largest:
        raise ValueError(f"a covariance has no negative eigenvalues, got {float(lowest):g}.")


def _spread(values: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Root mean square `(B, 1, 1, 1)` of the given patches; 1 where nothing is given."""
    power = (values.float().square().mean(dim=-1) * given).sum(dim=(1, 2)) / given.sum(dim=(1, 2)).clamp(min=1)
    return torch.where(power > 1e-6, power, 1.0).sqrt()[:, None, None, None]


class AnyECGForLeadReconstruction(AnyECGPreTrainedModel):
    """
    Restores missing leads and patches, and cleans noised ones.

    The answer is the linear solution of [`LeadEstimator`] plus a learned correction, which starts at zero: an untrained
    head is least squares for missing leads, and for noised ones a Wiener filter between least squares and the input.
    The linear solution needs the covariance of the leads over training records, and is better with weights for each
    record, which `anyecg finetune` fits ([`set_lead_covariance`]); both are saved with the model. Without them only the
    identities of limb leads are known. Twice the input gives twice the linear solution.

    Args:
        config ([`AnyECGConfig`]): The architecture, `num_record_features`, `reconstruction_delays`,
            `reconstruction_width`, `num_reconstruction_layers`, `reconstruction_kernel_size`, `reconstruction_stride`,
            `reconstruction_loss`.

    Raises:
        `ValueError`: if `reconstruction_stride` does not divide `patch_size`.

    Example:

    ```python
    >>> from anyecg_hf import TINY, AnyECGForLeadReconstruction, AnyECGTokenizer

    >>> tokenizer = AnyECGTokenizer.from_pretrained(TINY)
    >>> model = AnyECGForLeadReconstruction.from_pretrained(TINY)
    >>> model.set_lead_covariance(model.fit_lead_covariance(cleaned_training_records))

    >>> names = ["I", "II", "V1", "V2", "V3"]
    >>> batch = tokenizer(ecg_mv, sampling_rate=500, lead_names=names, return_tensors="pt")
    >>> wanted = torch.zeros_like(batch["attention_mask"], dtype=torch.bool)
    >>> wanted[:, names.index("V3")] = True
    >>> v3 = model(**batch, bool_masked_pos=wanted).reconstruction[:, names.index("V3")]
    ```
    """

    _no_split_modules = ["AnyECGLayer", "AnyECGWaveformBlock"]
    # In half precision the covariance of dependent leads cannot be solved for.
    _keep_in_fp32_modules_strict = ["lead_estimator"]

    def __init__(self, config: AnyECGConfig):
        super().__init__(config)
        self.anyecg = AnyECGModel(config)
        self.reconstruction_head = AnyECGReconstructionHead(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LeadEstimator):
            init.zeros_(module.covariance)
            init.copy_(module.limb_directions, module.initial_directions())
        elif isinstance(module, RecordWeights):
            for buffer in module.buffers():
                init.zeros_(buffer)
        elif getattr(module, "starts_at_zero", False):
            for parameter in module.parameters():
                init.zeros_(parameter)

    @property
    def lead_covariance(self) -> torch.Tensor:
        """Covariance `(V, V)` of the leads in squared recording scale, zero for leads without statistics."""
        return self.reconstruction_head.lead_estimator.covariance

    def fit_lead_covariance(self, rows: Iterable[Mapping[str, Any]]) -> torch.Tensor:
        """As [`~lead_statistics_anyecg.fit_lead_covariance`], for this model's lead vocabulary."""
        return fit_lead_covariance(rows, list(self.config.lead_names))

    @torch.no_grad()
    def set_lead_covariance(
        self, covariance: torch.Tensor, record_weights: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        """
        Sets what the linear solution is computed with.

        Args:
            covariance (`torch.Tensor` of shape `(V, V)`): Over `config.lead_names`, in squared recording scale, zero
                for leads without statistics; for example from [`fit_lead_covariance`].
            record_weights (`Mapping[str, torch.Tensor]`, *optional*): Buffers of [`RecordWeights`], fitted for this
                covariance ([`~anyecg_hf.training.record_weights.fit_record_weights`]); zero if not given.

        Raises:
            `ValueError`: for another shape, a matrix that is no covariance, or weights that are not finite.
        """
        estimator = self.reconstruction_head.lead_estimator
        _check_covariance(covariance, estimator.covariance, len(self.config.lead_names))
        buffers = dict(estimator.record_weights.named_buffers())
        given = {name: torch.zeros_like(buffer) for name, buffer in buffers.items()}
        given = given if record_weights is None else dict(record_weights)
        expected, found = ({name: tuple(value.shape) for name, value in each.items()} for each in (buffers, given))
        if found != expected:
            raise ValueError(f"expected record weights of the shapes {expected}, got {found}.")
        if not all(value.isfinite().all() for value in given.values()):
            raise ValueError("record weights must be finite.")
        estimator.covariance.copy_(covariance)
        for name, buffer in buffers.items():
            buffer.copy_(given[name])

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor,
        attention_mask: torch.LongTensor | None = None,
        lead_ids: torch.LongTensor | None = None,
        bool_masked_pos: torch.BoolTensor | None = None,
        noised: torch.BoolTensor | None = None,
        labels: torch.FloatTensor | None = None,
        time_offset: torch.LongTensor | int = 0,
        **kwargs,
    ) -> AnyECGReconstructionOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale, of all leads, also
                of those that are wanted. What stands in missing patches is not read.
            attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches, and for missing
                ones that are wanted.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row; `unknown` if not given, and
                of an unknown lead nothing is known linearly.
            bool_masked_pos (`torch.BoolTensor` of shape `(B, L, N)`, *optional*): True for missing patches, which are
                restored.
            noised (`torch.BoolTensor` of shape `(B, L, N)`, *optional*): True for patches that are there but cannot be
                trusted: they are cleaned, and the linear solution of others does without them.
            labels (`torch.FloatTensor` of shape `(B, L, N, S)`, *optional*): Clean patches in the same scale.
            time_offset (`int` or `torch.LongTensor` of shape `(B,)`, *optional*, defaults to 0): As in
                [`AnyECGModel`].

        Returns:
            [`AnyECGReconstructionOutput`]

        Raises:
            `ValueError`: for labels of another shape, or without `bool_masked_pos` and `noised`.
        """
        check_patches(self.config, input_values)
        attention_mask, lead_ids = complete_inputs(self.config, input_values, attention_mask, lead_ids)
        real = attention_mask.bool()
        if labels is not None and bool_masked_pos is None and noised is None:
            raise ValueError("`labels` need `bool_masked_pos` or `noised`: only such patches are restored.")
        missing = _kind(bool_masked_pos, "bool_masked_pos", real)
        noised = _kind(noised, "noised", real) & ~missing
        kinds = PatchKinds(clean=real & ~missing & ~noised, missing=missing, noised=noised)
        # Not by a product: whatever stands there may be NaN.
        values = torch.where((real & ~missing)[..., None], input_values, 0.0)
        outputs = self.anyecg(values, attention_mask, lead_ids, missing, time_offset=time_offset, **kwargs)
        hidden = outputs.last_hidden_state.view(*real.shape, -1)
        reconstruction, estimate = self.reconstruction_head(values, hidden, lead_ids, kinds)
        return AnyECGReconstructionOutput(
            **({} if labels is None else reconstruction_losses(self.config, reconstruction, labels, kinds)),
            reconstruction=reconstruction,
            linear_estimate=estimate.values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def _kind(mask: torch.Tensor | None, name: str, real: torch.Tensor) -> torch.Tensor:
    if mask is None:
        return torch.zeros_like(real)
    if mask.shape != real.shape:
        raise ValueError(f"expected {name} {tuple(real.shape)} (batch, leads, patches), got {tuple(mask.shape)}.")
    return mask.bool() & real


def reconstruction_losses(
    config: AnyECGConfig, reconstruction: torch.Tensor, labels: torch.Tensor, kinds: PatchKinds
) -> dict[str, torch.Tensor]:
    """
    What is learned from, and the mean squared errors that it stands for, in float32.

    Args:
        config ([`AnyECGConfig`]): `reconstruction_loss`: `"mse"`, the mean squared error over missing and noised
            patches, or `"log_mse"`, `log(1 + error / (0.001 * power))` of every restored lead, where `power` is that of
            its labels, and the mean over leads. Decibels are logarithms: small leads count as much as large ones.
        reconstruction (`torch.FloatTensor` of shape `(B, L, N, S)`): What was restored.
        labels (`torch.FloatTensor` of shape `(B, L, N, S)`): What it should be.
        kinds ([`PatchKinds`]): What counts.

    Returns:
        `dict[str, torch.FloatTensor]`: `loss`, and the mean squared errors `missing_loss` and `noised_loss`; zero where
        there are none.

    Raises:
        `ValueError`: for labels of another shape.
    """
    if labels.shape != reconstruction.shape:
        raise ValueError(
            f"expected labels of shape {tuple(reconstruction.shape)} (batch, leads, patches, samples), got"
            f" {tuple(labels.shape)}."
        )
    targets = torch.where(kinds.restored[..., None], labels.float(), 0.0)
    errors = (reconstruction.float() - targets).square().mean(dim=-1)
    if config.reconstruction_loss == "mse":
        loss = _mean(errors, kinds.restored)
    else:
        patches = kinds.restored.sum(dim=-1).clamp(min=1)
        error, power = (
            torch.where(kinds.restored, squares, 0.0).sum(dim=-1) / patches
            for squares in (errors, targets.square().mean(dim=-1))
        )
        loss = _mean(torch.log1p(error / (_ERROR_FLOOR * power).clamp(min=1e-6)), kinds.restored.any(dim=-1))
    return {
        "loss": loss,
        "missing_loss": _mean(errors, kinds.missing),
        "noised_loss": _mean(errors, kinds.noised),
    }


def _mean(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return torch.where(places, values, 0.0).sum() / places.sum().clamp(min=1)


__all__ = [
    "AnyECGForLeadReconstruction",
    "AnyECGReconstructionOutput",
    "reconstruction_losses",
]
