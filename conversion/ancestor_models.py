# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AnyECG written down a second time, in the ancestors' layout and as plainly as can be, to compare with.

It shares no code with the package: convolutions are convolutions, queries, keys and values come from one map, attention
is a dense matrix under a mask. A checkpoint in the layout loads into it as it is (once made plain).
"""

import torch
from torch import nn

from anyecg_hf import AnyECGConfig, AnyECGQuantizerConfig

Config = AnyECGConfig | AnyECGQuantizerConfig


class AncestorPatchEmbed(nn.Module):
    """`(B, L, N, S)` -> `(B, L, N, D)`; the group norm is over one patch."""

    def __init__(self, config: Config):
        super().__init__()
        self.convolutions = len(config.patch_channels)
        self.kernel, self.stride = config.patch_kernel_size, config.patch_strides[0]
        widths = [1, *config.patch_channels]
        kernels = [self.kernel, *config.patch_strides[1:]]
        frames = config.patch_size
        for index, (kernel, stride) in enumerate(zip(kernels, config.patch_strides, strict=True)):
            conv = nn.Conv2d(widths[index], widths[index + 1], (1, kernel), stride=(1, stride))
            norm = nn.GroupNorm(config.patch_norm_groups, widths[index + 1], eps=config.layer_norm_eps)
            setattr(self, f"conv{index + 1}", conv)
            setattr(self, f"norm{index + 1}", norm)
            frames //= stride
        self.proj = nn.Linear(frames * widths[-1], config.hidden_size)
        self.skip = nn.Linear(config.patch_size, config.hidden_size, bias=False)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        shape, samples = patches.shape[:3], patches.shape[3]
        before = (self.kernel - self.stride) // 2
        padded = nn.functional.pad(patches, (before, self.kernel - self.stride - before))
        frames = padded.reshape(-1, 1, 1, padded.shape[-1])
        for index in range(1, self.convolutions + 1):
            normed = getattr(self, f"norm{index}")(getattr(self, f"conv{index}")(frames))
            frames = nn.functional.gelu(normed)
        features = self.proj(frames[:, :, 0].transpose(1, 2).flatten(1))
        return (features + self.skip(patches.reshape(-1, samples))).view(*shape, -1)


class AncestorAttention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.heads = config.num_attention_heads
        # No ancestor turns queries and keys; a model of this package may, in place of its table of times.
        self.rotary_base = float(config.rotary_base) if config.time_encoding == "rotary" else None
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, tokens: torch.Tensor, allowed: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(tokens).chunk(3, dim=-1)
        )
        if self.rotary_base is not None:
            query, key = self.turned(query, times), self.turned(key, times)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        weights = scores.masked_fill(~allowed[:, None], float("-inf")).softmax(dim=-1)
        return self.proj((weights @ value).transpose(1, 2).flatten(2))

    def turned(self, states: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Pairs of numbers `(B, H, T, d)` as complex ones, turned by their time."""
        first, second = states.chunk(2, dim=-1)
        half = first.shape[-1]
        angles = times[:, None] * self.rotary_base ** (-torch.arange(half) / half)
        turned = torch.complex(first, second) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat((turned.real, turned.imag), dim=-1)


class AncestorMLP(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(tokens)))


class AncestorBlock(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = AncestorAttention(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = AncestorMLP(config)

    def forward(self, tokens: torch.Tensor, allowed: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), allowed, times)
        return tokens + self.mlp(self.norm2(tokens))


class AncestorTokens(nn.Module):
    """Adds what leads, times and, for models that are told voltages, scales add; `(B, L, N, D)` -> `(B, L*N, D)`."""

    def forward(self, tokens: torch.Tensor, *added: torch.Tensor) -> torch.Tensor:
        return sum(added, start=tokens).flatten(1, 2)


class AncestorTransformer(nn.Module):
    """Embeddings, blocks and norm, as the encoder, the decoder and the backbone have them."""

    def __init__(self, config: Config, patch_embed: nn.Module, layers: int, with_mask_token: bool = False):
        super().__init__()
        self.time_tolerance = config.time_tolerance
        self.patch_embed = patch_embed
        self.pos_embed = nn.Parameter(torch.zeros(1, len(config.lead_names), config.hidden_size))
        self.time_embed = self.scale_embed = None
        if config.time_encoding == "learned":
            self.time_embed = nn.Parameter(torch.zeros(1, config.max_time_positions, config.hidden_size))
        if getattr(config, "use_scale_embeddings", False):
            self.scale_embed = nn.Parameter(torch.zeros(1, 15, config.hidden_size))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size)) if with_mask_token else None
        self.tokens = AncestorTokens()
        self.blocks = nn.ModuleList(AncestorBlock(config) for _ in range(layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        inputs: torch.Tensor,
        attention_mask: torch.Tensor,
        lead_ids: torch.Tensor,
        hidden_patches: torch.Tensor | None = None,
        scale: torch.Tensor | None = None,
    ) -> torch.Tensor:
        embedded = self.patch_embed(inputs)
        if hidden_patches is not None:
            embedded = torch.where(hidden_patches[..., None], self.mask_token[0, 0], embedded)
        leads, patches = embedded.shape[1:3]
        added = [self.pos_embed[0, lead_ids][:, :, None]]
        if self.time_embed is not None:
            added.append(self.time_embed[:, None, :patches])
        if self.scale_embed is not None and scale is not None:
            added.append(self.of_scale(scale)[:, None, None])
        tokens = self.tokens(embedded, *added)
        allowed, times = self.allowed(attention_mask.bool()), torch.arange(patches).repeat(leads)
        for block in self.blocks:
            tokens = block(tokens, allowed, times)
        return self.norm(tokens)

    def of_scale(self, scale: torch.Tensor) -> torch.Tensor:
        """Between the rows of the table, one for each half octave from 1/64 mV on; `(B,)` in mV -> `(B, D)`."""
        rows = self.scale_embed.shape[1]
        place = (2 * torch.log2(scale * 64)).clamp(0, rows - 1)
        nearness = (1 - (place[:, None] - torch.arange(rows)).abs()).clamp(min=0)
        return nearness @ self.scale_embed[0]

    def allowed(self, real: torch.Tensor) -> torch.Tensor:
        """Keys that each query sees, bool `(B, L*N, L*N)`: of its lead, or near in time, and real."""
        _, leads, patches = real.shape
        lead = torch.arange(leads).repeat_interleave(patches)
        time = torch.arange(patches).repeat(leads)
        near = (time[:, None] - time).abs() <= self.time_tolerance
        pattern = (lead[:, None] == lead) | near
        seen = pattern & real.flatten(1)[:, None]
        # A padded query that sees nothing sees itself: its answer is not read.
        return seen | (torch.eye(leads * patches, dtype=torch.bool) & ~seen.any(dim=-1, keepdim=True))


class AncestorBackbone(AncestorTransformer):
    """Stage 2: the backbone, with the head that the checkpoint has."""

    def __init__(self, config: AnyECGConfig, head: str | None):
        super().__init__(config, AncestorPatchEmbed(config), config.num_hidden_layers, with_mask_token=True)
        self.lm_head = self.head = None
        self.with_largest = config.classifier_pooling == "mean_max"
        if head == "lm_head":
            self.lm_head = nn.Linear(config.hidden_size, config.num_quantizers * config.codebook_size)
        elif head == "head":
            self.head = nn.Linear(config.hidden_size * (1 + self.with_largest), config.num_labels)

    def forward(
        self,
        inputs: torch.Tensor,
        attention_mask: torch.Tensor,
        lead_ids: torch.Tensor,
        hidden_patches: torch.Tensor | None = None,
        scale: torch.Tensor | None = None,
    ) -> torch.Tensor:
        tokens = super().forward(inputs, attention_mask, lead_ids, hidden_patches, scale)
        if self.lm_head is not None:
            return self.lm_head(tokens)
        if self.head is None:
            return tokens
        real = attention_mask.flatten(1)[..., None]
        pooled = (tokens * real).sum(dim=1) / real.sum(dim=1)
        if self.with_largest:
            pooled = torch.cat((pooled, tokens.masked_fill(real == 0, float("-inf")).amax(dim=1)), dim=-1)
        return self.head(pooled)


class AncestorCodebook(nn.Module):
    """Unit vectors in, the nearest code's unit vector out."""

    def __init__(self, config: AnyECGQuantizerConfig):
        super().__init__()
        self.embedding = nn.Module()
        self.embedding.register_buffer("weight", torch.zeros(config.codebook_size, config.codebook_dim))
        self.embedding.register_buffer("cluster_size", torch.zeros(config.codebook_size))
        self.embedding.register_buffer("embed_avg", torch.zeros(config.codebook_size, config.codebook_dim))
        self.embedding.register_buffer("initted", torch.zeros((), dtype=torch.bool))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.register_buffer("gain", torch.ones(()))

    def forward(self, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codebook = nn.functional.normalize(self.embedding.weight, dim=-1)
        distances = torch.cdist(nn.functional.normalize(vectors, dim=-1).flatten(0, -2), codebook)
        codes = distances.argmin(dim=-1).view(vectors.shape[:-1])
        return codebook[codes], codes


class AncestorPointwise(nn.Module):
    """`(B, L, N, d)` -> `(B, L, N, D)` by a convolution over a single sample."""

    def __init__(self, config: AnyECGQuantizerConfig):
        super().__init__()
        self.proj = nn.Conv2d(config.codebook_dim, config.hidden_size, 1)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.proj(vectors.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class AncestorQuantizer(nn.Module):
    """Stage 1: encoder, codebook, decoder, and a linear head for each of the three views."""

    def __init__(self, config: AnyECGQuantizerConfig, frequencies: int):
        super().__init__()
        width, dimension = config.hidden_size, config.codebook_dim
        self.encoder = AncestorTransformer(config, AncestorPatchEmbed(config), config.num_hidden_layers)
        self.encode_task_layer = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, dimension))
        self.quantize = AncestorCodebook(config)
        self.decoder = AncestorTransformer(config, AncestorPointwise(config), config.num_decoder_layers)
        self.decode_task_layer_morphology = nn.Linear(width, config.patch_size)
        self.decode_task_layer_frequency = nn.Linear(width, frequencies)
        self.decode_task_layer_demography = nn.Linear(dimension, len(config.demographics_mean))

    def forward(self, inputs: torch.Tensor, attention_mask: torch.Tensor, lead_ids: torch.Tensor) -> torch.Tensor:
        tokens = self.encode_task_layer(self.encoder(inputs, attention_mask, lead_ids))
        quantized, codes = self.quantize(tokens)
        shape = (*attention_mask.shape, -1)
        hidden = self.decoder(quantized.view(shape), attention_mask, lead_ids)
        self.decode_task_layer_morphology(hidden)
        self.decode_task_layer_frequency(hidden)
        real = attention_mask.flatten(1)[..., None]
        self.decode_task_layer_demography((quantized * real).sum(dim=1) / real.sum(dim=1))
        return codes.view(attention_mask.shape)
