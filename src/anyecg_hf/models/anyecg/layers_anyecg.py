# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Layers that the backbone and the rhythm quantizer share: patch encoder, embeddings, Transformer layer."""

from collections.abc import Callable

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .attention_anyecg import CARDIO_SPARSE, cardio_sparse_attention_forward, eager_attention_forward
from .configuration_anyecg import AnyECGArchitectureConfig


class AnyECGPatchEncoder(nn.Module):
    """
    Temporal encoder: 1-D convolutions with group norm over the samples of each patch (paper, embedding).

    Group norm removes the amplitude of a patch, so a linear map of the samples is added beside it. The first
    convolution overlaps; the others are as wide as their stride, which makes them matrix products.
    """

    def __init__(self, config: AnyECGArchitectureConfig):
        super().__init__()
        self.kernel_size = config.patch_kernel_size
        self.strides = list(config.patch_strides)
        self.activation = ACT2FN[config.hidden_act]
        widths = [1, *config.patch_channels]
        kernels = [config.patch_kernel_size, *self.strides[1:]]
        self.convolutions = nn.ModuleList(
            nn.Linear(width * kernel, channels)
            for width, kernel, channels in zip(widths, kernels, widths[1:])  # noqa: B905
        )
        self.norms = nn.ModuleList(
            nn.GroupNorm(config.patch_norm_groups, channels, eps=config.layer_norm_eps)
            for channels in config.patch_channels
        )
        frames = config.patch_size
        for stride in self.strides:
            frames //= stride
        self.projection = nn.Linear(frames * config.patch_channels[-1], config.hidden_size)
        self.linear_path = nn.Linear(config.patch_size, config.hidden_size, bias=False)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """`(B, L, N, S)` in recording scale -> `(B, L, N, D)`."""
        batch, leads, length, samples = patches.shape
        frames = patches.reshape(-1, samples)
        overlap = self.kernel_size - self.strides[0]
        frames = nn.functional.pad(frames, (overlap // 2, overlap - overlap // 2))
        frames = frames.unfold(1, self.kernel_size, self.strides[0])  # (patches, frames, kernel)
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            if index:
                frames = frames.reshape(frames.shape[0], frames.shape[1] // self.strides[index], -1)
            channels = convolution(frames).transpose(1, 2)
            frames = self.activation(norm(channels)).transpose(1, 2)
        hidden = self.projection(frames.flatten(1)).view(batch, leads, length, -1)
        return hidden + self.linear_path(patches)


class AnyECGScaleEmbeddings(nn.Module):
    """
    What the recording scale adds to every token: a table over half octaves of mV, linear between its rows.

    Patches are in recording scale, and this is all that tells a model of voltages. Beyond the table's ends the end
    rows stand; a scale that is not known, NaN, adds nothing.
    """

    _LOWEST_MV = 2.0**-6
    _ROWS_PER_OCTAVE = 2
    _ROWS = 15  # up to 2 mV; twelve-lead records lie between .05 and .5

    def __init__(self, config: AnyECGArchitectureConfig):
        super().__init__()
        self.table = nn.Embedding(self._ROWS, config.hidden_size)

    def forward(self, scale: torch.Tensor) -> torch.Tensor:
        """`(B,)` in mV -> `(B, D)`."""
        scale = scale.float()
        known = scale > 0  # false for NaN
        octaves = torch.log2(torch.where(known, scale, 1.0) / self._LOWEST_MV)
        place = (octaves * self._ROWS_PER_OCTAVE).clamp(0, self._ROWS - 1)
        below = place.floor().clamp(max=self._ROWS - 2)
        share = (place - below)[:, None].to(self.table.weight.dtype)
        rows = below.long()
        return torch.lerp(self.table(rows), self.table(rows + 1), share) * known[:, None]


class AnyECGEmbeddings(nn.Module):
    """
    Patch, lead and time embeddings, `h_jk = h'_jk + tau_k + sigma_j` (paper, embedding), and the mask token; where
    the config says so, the record's scale too.

    The time table is absent with rotary encoding, where time enters in the attention.
    """

    def __init__(
        self, config: AnyECGArchitectureConfig, use_mask_token: bool = False, use_scale_embeddings: bool = False
    ):
        super().__init__()
        self.config = config
        self.patch_encoder = AnyECGPatchEncoder(config)
        self.lead_embeddings = nn.Embedding(len(config.lead_names), config.hidden_size)
        self.time_embeddings = None
        if config.time_encoding == "learned":
            self.time_embeddings = nn.Embedding(config.max_time_positions, config.hidden_size)
        self.scale_embeddings = AnyECGScaleEmbeddings(config) if use_scale_embeddings else None
        self.mask_token = nn.Parameter(torch.zeros(config.hidden_size)) if use_mask_token else None
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self,
        input_values: torch.Tensor,
        lead_ids: torch.Tensor,
        time_positions: torch.Tensor,
        bool_masked_pos: torch.Tensor | None = None,
        scale: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`(B, L, N, S)`, `(B, L)`, `(B, N)`, `(B, L, N)` and `(B,)` in mV -> `(B, L*N, D)`, lead-major."""
        hidden = self.patch_encoder(input_values)
        if self.mask_token is not None:
            if bool_masked_pos is None:  # keeps the parameter in the graph, which data-parallel training needs
                hidden = hidden + 0.0 * self.mask_token
            else:
                hidden = torch.where(bool_masked_pos[..., None].bool(), self.mask_token.to(hidden.dtype), hidden)
        hidden = hidden + self.lead_embeddings(lead_ids)[:, :, None]
        if self.time_embeddings is not None:
            hidden = hidden + self.time_embeddings(time_positions)[:, None]
        if self.scale_embeddings is not None:
            if scale is None:
                scale = hidden.new_full(hidden.shape[:1], float("nan"))
            hidden = hidden + self.scale_embeddings(scale)[:, None, None]
        return self.dropout(hidden.flatten(1, 2))


def check_patches(config: AnyECGArchitectureConfig, input_values: torch.Tensor) -> None:
    """Raises `ValueError` unless `input_values` is `(B, L, N, S)` with the config's patch size."""
    if not torch.is_tensor(input_values):
        raise TypeError(
            f"expected input_values as a tensor, got {type(input_values).__name__}: ask the tokenizer for"
            ' `return_tensors="pt"`.'
        )
    if input_values.ndim != 4 or input_values.shape[-1] != config.patch_size:
        raise ValueError(
            f"expected input_values (batch, leads, patches, {config.patch_size} samples), got shape"
            f" {tuple(input_values.shape)}: prepare signals with the tokenizer of the same checkpoint."
        )


def complete_inputs(
    config: AnyECGArchitectureConfig,
    patches: torch.Tensor,
    attention_mask: torch.Tensor | None,
    lead_ids: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Fills in what a caller left out: everything real, every lead `unknown`.

    Args:
        config ([`AnyECGArchitectureConfig`]): For the lead vocabulary.
        patches (`torch.Tensor` of shape `(B, L, N, ...)`): For sizes and device.
        attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches.
        lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row.

    Returns:
        `attention_mask` and `lead_ids`.
    """
    shape = patches.shape[:3]
    if attention_mask is None:
        attention_mask = torch.ones(shape, dtype=torch.long, device=patches.device)
    if lead_ids is None:
        lead_ids = torch.full(shape[:2], config.unknown_lead_id, dtype=torch.long, device=patches.device)
    if attention_mask.shape != shape or lead_ids.shape != shape[:2]:
        raise ValueError(
            f"for patches {tuple(shape)} (batch, leads, patches) expected attention_mask of the same shape and lead_ids"
            f" {tuple(shape[:2])}, got {tuple(attention_mask.shape)} and {tuple(lead_ids.shape)}."
        )
    return attention_mask, lead_ids


def time_positions(
    config: AnyECGArchitectureConfig, patches: int, offset: torch.Tensor | int, device: torch.device
) -> torch.Tensor:
    """
    Time index of every patch.

    Args:
        config ([`AnyECGArchitectureConfig`]): Says how time is encoded.
        patches (`int`): Patches N of each lead.
        offset (`int` or `torch.LongTensor` of shape `(B,)`): Position of the first patch.
        device (`torch.device`): Where the result is wanted.

    Returns:
        `torch.LongTensor` of shape `(1 or B, N)`.

    Raises:
        `ValueError`: if a learned table has no row for the last patch.
    """
    if config.time_encoding == "learned" and not (torch.compiler.is_compiling() and torch.is_tensor(offset)):
        last = int(offset.max()) if torch.is_tensor(offset) else offset
        if last + patches > config.max_time_positions:
            raise ValueError(
                f"a window of {patches} patches at offset {last} does not fit the {config.max_time_positions} learned"
                f" time positions ({config.max_time_positions * config.patch_seconds:g} s): use shorter windows, or a"
                ' model with `time_encoding="rotary"`, which has no limit.'
            )
    steps = torch.arange(patches, device=device)
    return offset.to(device).reshape(-1, 1) + steps if torch.is_tensor(offset) else (offset + steps)[None]


def rotary_tables(
    config: AnyECGArchitectureConfig, positions: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines `(..., head_size)` of the rotary encoding of positions `(...)`."""
    half = config.head_size // 2
    exponents = torch.arange(half, device=positions.device, dtype=torch.float32) / half
    angles = positions[..., None].float() * float(config.rotary_base) ** -exponents
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotary_time(
    config: AnyECGArchitectureConfig, positions: torch.Tensor, leads: int, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """
    Rotary time encoding of lead-major tokens, `None` for a learned table.

    Args:
        config ([`AnyECGArchitectureConfig`]): Says how time is encoded.
        positions (`torch.Tensor` of shape `(1 or B, N)`): From [`time_positions`].
        leads (`int`): Leads L.
        dtype (`torch.dtype`): Of the hidden states.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]` of shapes `(1 or B, 1, L*N, head_size)`: cosines and sines.
    """
    if config.time_encoding != "rotary":
        return None
    return tuple(table.repeat(1, leads, 1)[:, None] for table in rotary_tables(config, positions, dtype))


def rotate(states: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Applies a rotary encoding to queries or keys `(..., head_size)`."""
    first, second = states.chunk(2, dim=-1)
    return states * cosines + torch.cat((-second, first), dim=-1) * sines


class AnyECGAttention(nn.Module):
    """Multi-head attention under the cardio-sparse mask; the implementation comes from the attention registry."""

    def __init__(self, config: AnyECGArchitectureConfig):
        super().__init__()
        self.config = config
        self.head_size = config.head_size
        self.scaling = self.head_size**-0.5
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        rotary: tuple[torch.Tensor, torch.Tensor] | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(B, L*N, D)` -> `(B, L*N, D)` and the attention weights, if the implementation returns them."""
        implementation = self.config._attn_implementation
        if kwargs.get("output_attentions") and implementation != "eager":
            raise ValueError(
                f'`attn_implementation="{implementation}"` does not return attention weights: load the model with'
                ' `attn_implementation="eager"` to get them.'
            )
        shape = hidden_states.shape[:-1]
        # Heads are counted from what is there: a tensor-parallel rank holds only some of them.
        split = (*shape, -1, self.head_size)
        query = self.q_proj(hidden_states).view(split).transpose(1, 2)
        key = self.k_proj(hidden_states).view(split).transpose(1, 2)
        value = self.v_proj(hidden_states).view(split).transpose(1, 2)
        if rotary is not None:
            query, key = rotate(query, *rotary), rotate(key, *rotary)
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
        if implementation == CARDIO_SPARSE:
            # Code beside other checkpoints registers its own under this name; masks are for the function of their code.
            attend = cardio_sparse_attention_forward
        output, weights = attend(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.config.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.o_proj(output.reshape(*shape, -1)), weights


class AnyECGMLP(nn.Module):
    """Two linear maps with an activation between them."""

    def __init__(self, config: AnyECGArchitectureConfig):
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.activation(self.up_proj(hidden_states)))


class AnyECGLayer(GradientCheckpointingLayer):
    """Pre-norm Transformer layer."""

    def __init__(self, config: AnyECGArchitectureConfig):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = AnyECGAttention(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = AnyECGMLP(config)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        rotary: tuple[torch.Tensor, torch.Tensor] | None = None,
        **kwargs,
    ) -> torch.Tensor:
        attended, _ = self.attention(self.attention_norm(hidden_states), attention_mask, rotary=rotary, **kwargs)
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.dropout(self.mlp(self.mlp_norm(hidden_states)))


__all__ = [
    "AnyECGAttention",
    "AnyECGEmbeddings",
    "AnyECGLayer",
    "AnyECGMLP",
    "check_patches",
    "complete_inputs",
    "rotary_tables",
    "rotary_time",
    "rotate",
    "time_positions",
]
