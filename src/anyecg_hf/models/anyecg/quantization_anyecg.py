# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cosine vector quantization of token embeddings (paper, Rhythm Quantizer).

The forward pass only gathers statistics. [`VectorQuantizer.update_codebook`] applies them once per optimiser step, so
gradient accumulation, activation checkpointing and evaluation change nothing.
"""

from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import normalize

from .configuration_anyecg import AnyECGQuantizerConfig


@dataclass
class QuantizedTokens:
    """
    What quantization returns.

    Attributes:
        vectors (`torch.Tensor` of shape `(..., d)`): Quantized vectors; the gradient passes straight through.
        codes (`torch.LongTensor` of shape `(..., Q)`): Code of each residual stage.
        codebook_error (`torch.Tensor` of shape `(...)`): `||sg(z) - e||^2` of each token, summed over stages.
        commitment_error (`torch.Tensor` of shape `(...)`): `||z - sg(e)||^2` of each token.
    """

    vectors: torch.Tensor
    codes: torch.Tensor
    codebook_error: torch.Tensor
    commitment_error: torch.Tensor


@dataclass
class CodebookStatistics:
    """What one codebook has gathered since its last update: counts `(K,)`, sums `(K, d)` and the vectors themselves."""

    counts: torch.Tensor
    sums: torch.Tensor
    projection: torch.Tensor
    vectors: list[torch.Tensor] = field(default_factory=list)


class RhythmCodebook(nn.Module):
    """
    One codebook of unit vectors, updated by exponential moving averages or by gradient.

    **Buffers:** `embeddings (K, d)` (a parameter with `codebook_update="loss"`), `ema_counts (K,)`, `ema_sums (K, d)`
    and `gain ()`, the length that residual stages after the first give to their codes.
    """

    def __init__(self, config: AnyECGQuantizerConfig, stage: int):
        super().__init__()
        self.config = config
        self.stage = stage
        shape = (config.codebook_size, config.codebook_dim)
        if config.codebook_update == "loss":
            self.embeddings = nn.Parameter(torch.empty(shape))
        else:
            self.register_buffer("embeddings", torch.empty(shape))
        self.register_buffer("ema_counts", torch.zeros(config.codebook_size))
        self.register_buffer("ema_sums", torch.zeros(shape))
        self.register_buffer("gain", torch.ones(()))
        self._gathered: CodebookStatistics | None = None

    def assign(self, vectors: torch.Tensor) -> torch.Tensor:
        """Index of the code with the largest cosine, `(..., d)` -> `(...)`."""
        return (vectors @ normalize(self.embeddings.float(), dim=-1).T).argmax(dim=-1)

    def look_up(self, codes: torch.Tensor) -> torch.Tensor:
        """Code vectors `(..., d)` of the codes `(...)`."""
        return self.gain * normalize(nn.functional.embedding(codes, self.embeddings.float()), dim=-1)

    @torch.no_grad()
    def gather(self, vectors: torch.Tensor, codes: torch.Tensor, mask: torch.Tensor) -> None:
        """Adds the real tokens of a batch to what the next update will use."""
        vectors, codes = vectors[mask], codes[mask]
        self._gathered = self._gathered or self._no_statistics()
        self._gathered.counts.index_add_(0, codes, torch.ones_like(codes, dtype=torch.float32))
        self._gathered.sums.index_add_(0, codes, vectors)
        unit_codes = normalize(self.embeddings.float(), dim=-1)[codes]
        self._gathered.projection += (vectors * unit_codes).sum()
        self._gathered.vectors.append(_thin(vectors, self.config.codebook_reservoir_size))

    def _no_statistics(self) -> CodebookStatistics:
        return CodebookStatistics(
            counts=torch.zeros_like(self.ema_counts, dtype=torch.float32),
            sums=torch.zeros_like(self.ema_sums, dtype=torch.float32),
            projection=torch.zeros((), device=self.ema_counts.device),
            vectors=[self.ema_sums.new_zeros(0, self.config.codebook_dim, dtype=torch.float32)],
        )

    @torch.no_grad()
    def update(self, generator: torch.Generator) -> None:
        """Applies what was gathered, over all processes, and revives dead codes."""
        # A process that has gathered nothing still takes part: the others wait for it.
        gathered, self._gathered = self._gathered or self._no_statistics(), None
        for statistic in (gathered.counts, gathered.sums, gathered.projection):
            _all_reduce(statistic)
        if not gathered.counts.any():
            return
        decay = self.config.ema_decay
        self.ema_counts.mul_(decay).add_(gathered.counts, alpha=1 - decay)
        self.ema_sums.mul_(decay).add_(gathered.sums, alpha=1 - decay)
        if self.stage:
            mean_projection = gathered.projection / gathered.counts.sum()
            self.gain.mul_(decay).add_(mean_projection, alpha=1 - decay)
        if self.config.codebook_update == "ema":
            used = self.ema_counts > 0
            self.embeddings[used] = normalize(self.ema_sums[used], dim=-1)
        self._revive(gathered.vectors, generator)

    def _revive(self, vectors: list[torch.Tensor], generator: torch.Generator) -> None:
        uniform = self.ema_counts.sum() / len(self.ema_counts)
        dead = self.ema_counts < self.config.codebook_revival_threshold * uniform
        if not dead.any():
            return
        pool = _gather_from_all_processes(torch.cat(vectors))
        self._place(dead.nonzero()[:, 0], _draw(pool, int(dead.sum()), generator), uniform)

    def start(self, vectors: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """K-means start from `(M, d)` vectors; returns what this stage leaves over, `(M, d)`."""
        centres = spherical_kmeans(vectors, len(self.ema_counts), self.config.kmeans_iterations, generator)
        codes = (vectors @ centres.T).argmax(dim=-1)
        counts = torch.bincount(codes, minlength=len(centres)).float()
        if self.stage:
            self.gain.fill_((vectors * centres[codes]).sum(dim=-1).mean())
        # Counts of the start itself, so that codes which then go unused fall behind and are revived in time.
        self._place(torch.arange(len(centres), device=centres.device), centres, counts.clamp(min=1.0))
        return vectors - self.look_up(codes)

    @torch.no_grad()
    def _place(self, codes: torch.Tensor, vectors: torch.Tensor, counts: torch.Tensor) -> None:
        vectors = normalize(vectors, dim=-1)
        self.embeddings[codes] = vectors.to(self.embeddings.dtype)
        self.ema_counts[codes] = counts
        # A residual stage gathers vectors of about the length of its gain.
        self.ema_sums[codes] = vectors * counts.reshape(-1, 1) * self.gain


class VectorQuantizer(nn.Module):
    """
    Q residual codebooks on unit vectors, with an unquantized warm-up and a k-means start.

    **Buffers:** those of its codebooks, `started ()` and `updates ()`, the number of updates so far.
    """

    def __init__(self, config: AnyECGQuantizerConfig):
        super().__init__()
        self.config = config
        self.codebooks = nn.ModuleList(RhythmCodebook(config, stage) for stage in range(config.num_quantizers))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self._reservoir: list[torch.Tensor] = []

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor) -> QuantizedTokens:
        """
        Quantizes token vectors.

        Args:
            vectors (`torch.Tensor` of shape `(..., d)`): Projected tokens.
            mask (`torch.BoolTensor` of shape `(...)`): True for real tokens; only these enter statistics.

        Returns:
            [`QuantizedTokens`]. In training before the start, vectors pass unquantized and the errors are zero.
            Without gradients nothing is gathered, in whatever mode.
        """
        # Codes are chosen in full precision, also under autocast, so that training and inference choose the same.
        with torch.autocast(vectors.device.type, enabled=False):
            return self._quantize(vectors, mask)

    def _quantize(self, vectors: torch.Tensor, mask: torch.Tensor) -> QuantizedTokens:
        unit = normalize(vectors.float(), dim=-1)
        learning = self.training and torch.is_grad_enabled()
        warming_up = learning and not bool(self.started)
        quantized, residual = torch.zeros_like(unit), unit.detach()
        codebook_error = torch.zeros_like(unit[..., 0])
        codes = []
        for codebook in self.codebooks:
            codes.append(codebook.assign(residual))
            step = codebook.look_up(codes[-1])
            codebook_error = codebook_error + (residual - step).square().sum(dim=-1)
            if learning and not warming_up:
                codebook.gather(residual, codes[-1], mask)
            quantized = quantized + step
            residual = residual - step.detach()
        if warming_up:
            self._reservoir.append(_thin(unit.detach()[mask], self.config.codebook_reservoir_size // 4))
            self._trim_reservoir()
            quantized, codebook_error = unit, 0.0 * codebook_error
        commitment_error = (unit - quantized.detach()).square().sum(dim=-1)
        passed = unit + (quantized - unit).detach()
        return QuantizedTokens(passed.to(vectors.dtype), torch.stack(codes, dim=-1), codebook_error, commitment_error)

    def look_up(self, codes: torch.Tensor) -> torch.Tensor:
        """Quantized vectors `(..., d)` of the codes `(..., Q)`."""
        return sum(codebook.look_up(codes[..., stage]) for stage, codebook in enumerate(self.codebooks))

    @torch.no_grad()
    def update_codebook(self) -> None:
        """
        Applies the statistics gathered since the last call; call it once after every optimiser step.

        Averages are in float32 and summed over processes. The k-means start and revival draw with a generator seeded by
        `codebook_seed` and the number of updates, so every process draws the same and a resumed run continues exactly.
        """
        generator = torch.Generator().manual_seed(self.config.codebook_seed * 1_000_003 + int(self.updates))
        self.updates += 1
        if bool(self.started):
            for codebook in self.codebooks:
                codebook.update(generator)
            return
        if self.updates > self.config.codebook_warmup_updates:
            empty = torch.zeros(0, self.config.codebook_dim, device=self.started.device)
            residual = _gather_from_all_processes(torch.cat([empty, *self._reservoir]))
            if not len(residual):
                return
            for codebook in self.codebooks:
                residual = codebook.start(residual, generator)
            self.started.fill_(True)
            self._reservoir = []

    def training_state(self) -> dict[str, torch.Tensor]:
        """What an exact resume needs beside the state dict: the vectors kept for the k-means start, by age."""
        return {f"reservoir.{age:06d}": vectors.cpu() for age, vectors in enumerate(self._reservoir)}

    def load_training_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores [`~VectorQuantizer.training_state`]."""
        self._reservoir = [state[name].to(self.started.device) for name in sorted(state)]

    def _trim_reservoir(self) -> None:
        """Keeps the newest vectors: the encoder moves during warm-up."""
        while len(self._reservoir) > 1 and (sum(map(len, self._reservoir[1:])) >= self.config.codebook_reservoir_size):
            self._reservoir.pop(0)


@torch.no_grad()
def spherical_kmeans(vectors: torch.Tensor, clusters: int, iterations: int, generator: torch.Generator) -> torch.Tensor:
    """
    K-means by cosine.

    Args:
        vectors (`torch.Tensor` of shape `(M, d)`): Vectors of any length.
        clusters (`int`): Centres wanted.
        iterations (`int`): Iterations.
        generator (`torch.Generator`): For the first centres and for clusters that run empty.

    Returns:
        `torch.Tensor` of shape `(clusters, d)`: unit vectors.
    """
    vectors = normalize(vectors, dim=-1)
    centres = _draw(vectors, clusters, generator)
    for _ in range(iterations):
        codes = (vectors @ centres.T).argmax(dim=-1)
        sums = torch.zeros_like(centres).index_add_(0, codes, vectors)
        empty = torch.bincount(codes, minlength=clusters) == 0
        centres = normalize(sums, dim=-1)
        if empty.any():
            centres[empty] = _draw(vectors, int(empty.sum()), generator)
    return centres


def _draw(vectors: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` different rows, or rows with repetition if there are too few."""
    if count <= len(vectors):
        chosen = torch.randperm(len(vectors), generator=generator)[:count]
    else:
        chosen = torch.randint(len(vectors), (count,), generator=generator)
    return vectors[chosen.to(vectors.device)]


def _thin(vectors: torch.Tensor, most: int) -> torch.Tensor:
    """At most `most` rows, evenly spread, so that no random state is involved."""
    stride = -(-len(vectors) // max(most, 1))
    return vectors[:: max(stride, 1)]


def _all_reduce(statistic: torch.Tensor) -> None:
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(statistic)


def _gather_from_all_processes(vectors: torch.Tensor) -> torch.Tensor:
    """The vectors of all processes in rank order, the same on each."""
    if not (dist.is_available() and dist.is_initialized()):
        return vectors
    parts: list[torch.Tensor | None] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, vectors.cpu())
    return torch.cat(parts).to(vectors.device)


__all__ = ["QuantizedTokens", "RhythmCodebook", "VectorQuantizer", "spherical_kmeans"]
