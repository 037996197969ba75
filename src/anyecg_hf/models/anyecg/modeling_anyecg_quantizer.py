# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The rhythm quantizer with its multi-view decoder: stage 1 of AnyECG."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedAudioTokenizerBase
from transformers.utils import ModelOutput, logging

from .attention_anyecg import create_cardio_sparse_mask
from .configuration_anyecg import AnyECGQuantizerConfig
from .layers_anyecg import (
    AnyECGEmbeddings,
    AnyECGLayer,
    check_patches,
    complete_inputs,
    rotary_time,
    time_positions,
)
from .pretrained_anyecg import AnyECGPreTrainedMixin
from .quantization_anyecg import QuantizedTokens, RhythmCodebook, VectorQuantizer
from .wavelets_anyecg import band_lengths, wavelet_decompose, wavelet_matrix

logger = logging.get_logger(__name__)


@dataclass
class AnyECGQuantizerOutput(ModelOutput):
    """
    Output of [`AnyECGRhythmQuantizer`].

    Args:
        loss (`torch.FloatTensor` of shape `()`): Weighted sum of the five terms.
        morphology_loss, frequency_loss, demography_loss, codebook_loss, commitment_loss (`torch.FloatTensor`): The
            terms, unweighted. The codebook term carries no gradient under EMA.
        codes (`torch.LongTensor` of shape `(B, L, N)` or `(B, L, N, Q)`): Rhythm codes, -1 where masked.
        reconstruction (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale, zero where masked.
        perplexity (`torch.FloatTensor` of shape `()`): exp of the entropy of the batch's codes (mean over codebooks).
        codebook_usage (`torch.FloatTensor` of shape `()`): Share of codes that the batch uses (mean over codebooks).
    """

    loss: torch.FloatTensor | None = None
    morphology_loss: torch.FloatTensor | None = None
    frequency_loss: torch.FloatTensor | None = None
    demography_loss: torch.FloatTensor | None = None
    codebook_loss: torch.FloatTensor | None = None
    commitment_loss: torch.FloatTensor | None = None
    codes: torch.LongTensor | None = None
    reconstruction: torch.FloatTensor | None = None
    perplexity: torch.FloatTensor | None = None
    codebook_usage: torch.FloatTensor | None = None


class AnyECGEncoder(nn.Module):
    """A stack of cardio-sparse layers with a final norm."""

    def __init__(self, config: AnyECGQuantizerConfig, layers: int):
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(AnyECGLayer(config) for _ in range(layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: torch.Tensor, attention_mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """`(B, L*N, D)`, `(B, L, N)`, `(1 or B, N)` -> `(B, L*N, D)`."""
        mask = create_cardio_sparse_mask(self.config, hidden, attention_mask)
        rotary = rotary_time(self.config, positions, attention_mask.shape[1], hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, mask, rotary)
        return self.norm(hidden)


class AnyECGMultiViewDecoder(nn.Module):
    """
    From quantized tokens to the three views: morphology, frequency, demography (paper, Multi-View Synergistic Decoder).
    """

    def __init__(self, config: AnyECGQuantizerConfig):
        super().__init__()
        self.config = config
        self.input_projection = nn.Linear(config.codebook_dim, config.hidden_size)
        self.lead_embeddings = nn.Embedding(len(config.lead_names), config.hidden_size)
        self.time_embeddings = None
        if config.time_encoding == "learned":
            self.time_embeddings = nn.Embedding(config.max_time_positions, config.hidden_size)
        self.encoder = AnyECGEncoder(config, config.num_decoder_layers)
        self.morphology_head = nn.Linear(config.hidden_size, config.patch_size)
        coefficients = sum(band_lengths(*_wavelet_arguments(config)))
        self.frequency_head = nn.Linear(config.hidden_size, coefficients)
        self.demography_head = nn.Linear(config.codebook_dim, len(config.demographics_mean))

    def forward(
        self, quantized: torch.Tensor, attention_mask: torch.Tensor, lead_ids: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Hidden states `(B, L, N, D)` of quantized tokens `(B, L, N, d)`."""
        hidden = self.input_projection(quantized) + self.lead_embeddings(lead_ids)[:, :, None]
        if self.time_embeddings is not None:
            hidden = hidden + self.time_embeddings(positions)[:, None]
        shape = hidden.shape
        return self.encoder(hidden.flatten(1, 2), attention_mask, positions).view(shape)


def _wavelet_arguments(config: AnyECGQuantizerConfig) -> tuple[int, str, int, str, bool]:
    return (
        config.patch_size,
        config.wavelet,
        config.wavelet_levels,
        config.wavelet_mode,
        config.wavelet_intermediate,
    )


class AnyECGQuantizerPreTrainedModel(AnyECGPreTrainedMixin, PreTrainedAudioTokenizerBase):
    """Weight initialisation and loading of the quantizer."""

    config: AnyECGQuantizerConfig
    base_model_prefix = "anyecg_quantizer"
    # Codes are averages over thousands of vectors; half precision would freeze them.
    _keep_in_fp32_modules_strict = ["codebooks"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RhythmCodebook):
            init.normal_(module.embeddings, std=self.config.codebook_dim**-0.5)
            init.zeros_(module.ema_counts)
            init.zeros_(module.ema_sums)
            init.ones_(module.gain)
        elif isinstance(module, VectorQuantizer):
            init.zeros_(module.started)
            init.zeros_(module.updates)
        elif isinstance(module, AnyECGRhythmQuantizer):
            for name, values in module.target_constants().items():
                init.copy_(getattr(module, name), values)


class AnyECGRhythmQuantizer(AnyECGQuantizerPreTrainedModel):
    """
    Patches -> rhythm codes -> three views.

    Patch encoder, lead and time embeddings, cardio-sparse Transformer, projection to code space, cosine vector
    quantizer, multi-view decoder. After every optimiser step call
    [`~AnyECGRhythmQuantizer.update_codebook`].

    Args:
        config ([`AnyECGQuantizerConfig`]): The architecture.
    """

    def __init__(self, config: AnyECGQuantizerConfig):
        super().__init__(config)
        self.embeddings = AnyECGEmbeddings(config)
        self.encoder = AnyECGEncoder(config, config.num_hidden_layers)
        self.code_projection = nn.Sequential(
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.Tanh(),
            nn.Linear(config.hidden_size, config.codebook_dim),
        )
        self.quantizer = VectorQuantizer(config)
        self.decoder = AnyECGMultiViewDecoder(config)
        for name, values in self.target_constants().items():
            self.register_buffer(name, values, persistent=False)
        self.post_init()

    def target_constants(self) -> dict[str, torch.Tensor]:
        """Buffers that follow from the config: wavelet matrix, standard deviations of bands and demographics."""
        arguments = _wavelet_arguments(self.config)
        # In float32 also while a half-precision checkpoint is loaded, when torch's default is another.
        values = {
            "wavelet_matrix": wavelet_matrix(*arguments),
            "frequency_std": np.repeat(self.config.band_std, band_lengths(*arguments)),
            "demographics_mean": list(self.config.demographics_mean),
            "demographics_std": list(self.config.demographics_std),
        }
        return {name: torch.tensor(value, dtype=torch.float32, device="cpu") for name, value in values.items()}

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.patch_encoder.projection

    def forward(
        self,
        input_values: torch.FloatTensor,
        attention_mask: torch.LongTensor | None = None,
        lead_ids: torch.LongTensor | None = None,
        demographics: torch.FloatTensor | None = None,
        time_offset: torch.LongTensor | int = 0,
        scale: torch.FloatTensor | None = None,
    ) -> AnyECGQuantizerOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale.
            attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row; `unknown` if not given.
            demographics (`torch.FloatTensor` of shape `(B, 3)`, *optional*): Age in years, weight in kg, sex (0 male, 1
                female); NaN where unknown.
            time_offset (`int` or `torch.LongTensor` of shape `(B,)`, *optional*, defaults to 0): Time position of the
                first patch, for learned time tables.
            scale (`torch.FloatTensor` of shape `(B,)`, *optional*): Not used; a tokenizer's batch, which holds it, may
                be passed whole.

        Returns:
            [`AnyECGQuantizerOutput`]
        """
        check_patches(self.config, input_values)
        attention_mask, lead_ids = complete_inputs(self.config, input_values, attention_mask, lead_ids)
        real = attention_mask.bool()
        positions = time_positions(self.config, input_values.shape[2], time_offset, input_values.device)
        tokens = self._quantize(input_values, attention_mask, lead_ids, positions)
        hidden = self.decoder(tokens.vectors, attention_mask, lead_ids, positions)
        reconstruction = self.decoder.morphology_head(hidden)
        terms = {
            "morphology_loss": self._reduce((reconstruction - input_values).square(), real[..., None]),
            "frequency_loss": self._frequency_loss(hidden, input_values, real),
            "demography_loss": self._demography_loss(tokens.vectors, real, demographics),
            "codebook_loss": self._reduce(tokens.codebook_error, real),
            "commitment_loss": self._reduce(tokens.commitment_error, real),
        }
        if self.config.codebook_update == "ema":
            terms["codebook_loss"] = terms["codebook_loss"].detach()
        loss = sum(getattr(self.config, name.replace("_loss", "_weight")) * term for name, term in terms.items())
        perplexity, usage = self._code_statistics(tokens.codes, real)
        return AnyECGQuantizerOutput(
            loss=loss,
            **terms,
            codes=self._public_codes(tokens.codes, real),
            reconstruction=reconstruction * real[..., None],
            perplexity=perplexity,
            codebook_usage=usage,
        )

    @torch.no_grad()
    def encode(
        self,
        input_values: torch.FloatTensor,
        attention_mask: torch.LongTensor | None = None,
        lead_ids: torch.LongTensor | None = None,
    ) -> torch.LongTensor:
        """
        Rhythm codes of patches.

        Args:
            input_values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale.
            attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row.

        Returns:
            `torch.LongTensor` of shape `(B, L, N)`, or `(B, L, N, Q)` with several codebooks; -1 where masked.
        """
        check_patches(self.config, input_values)
        self._warn_if_untrained()
        attention_mask, lead_ids = complete_inputs(self.config, input_values, attention_mask, lead_ids)
        positions = time_positions(self.config, input_values.shape[2], 0, input_values.device)
        tokens = self._quantize(input_values, attention_mask, lead_ids, positions)
        return self._public_codes(tokens.codes, attention_mask.bool())

    @torch.no_grad()
    def decode(self, codes: torch.LongTensor, lead_ids: torch.LongTensor | None = None) -> torch.FloatTensor:
        """
        Patches that codes stand for.

        Args:
            codes (`torch.LongTensor` of shape `(B, L, N)` or `(B, L, N, Q)`): Codes; negative where masked.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row.

        Returns:
            `torch.FloatTensor` of shape `(B, L, N, S)`: in recording scale, zero where the code is negative.

        Raises:
            `ValueError`: for a code beyond the codebook, or codes of another number of codebooks.
        """
        if self.config.num_quantizers == 1 and codes.ndim == 3:
            codes = codes[..., None]
        if codes.ndim != 4 or codes.shape[-1] != self.config.num_quantizers:
            raise ValueError(
                f"expected codes (B, L, N) for one codebook or (B, L, N, Q) for Q = {self.config.num_quantizers}, got"
                f" shape {tuple(codes.shape)}."
            )
        if int(codes.max()) >= self.config.codebook_size:
            raise ValueError(f"code {int(codes.max())} is beyond the codebook of {self.config.codebook_size} codes.")
        real = (codes >= 0).all(dim=-1)
        quantized = self.quantizer.look_up(codes.clamp(min=0)).to(self.dtype)
        attention_mask, lead_ids = complete_inputs(self.config, quantized, real.long(), lead_ids)
        positions = time_positions(self.config, codes.shape[2], 0, codes.device)
        hidden = self.decoder(quantized, attention_mask, lead_ids, positions)
        return self.decoder.morphology_head(hidden) * real[..., None]

    def update_codebook(self) -> None:
        """Applies the gathered codebook statistics; call it once after every optimiser step."""
        self.quantizer.update_codebook()

    def _warn_if_untrained(self) -> None:
        # A graph that is compiled or exported cannot ask.
        if not torch.compiler.is_compiling() and not bool(self.quantizer.started):
            logger.warning_once(
                "This quantizer's codebook was never started: its codes are random. Train it and call"
                " `update_codebook()` after every optimiser step, beyond `codebook_warmup_updates`."
            )

    def _quantize(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor,
        lead_ids: torch.Tensor,
        positions: torch.Tensor,
    ) -> QuantizedTokens:
        hidden = self.embeddings(input_values.to(self.dtype), lead_ids, positions)
        hidden = self.encoder(hidden, attention_mask, positions)
        vectors = self.code_projection(hidden).view(*attention_mask.shape, -1)
        return self.quantizer(vectors, attention_mask.bool())

    def _public_codes(self, codes: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        codes = codes.masked_fill(~real[..., None], -1)
        return codes[..., 0] if self.config.num_quantizers == 1 else codes

    def _reduce(self, errors: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Mean (or sum, as in the paper) over real elements; zero if there are none."""
        weights = real.expand_as(errors).to(torch.float32)
        total = (errors.float() * weights).sum()
        return total if self.config.loss_reduction == "sum" else total / weights.sum().clamp(min=1.0)

    def _frequency_loss(self, hidden: torch.Tensor, input_values: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        target = wavelet_decompose(input_values.float(), self.wavelet_matrix) / self.frequency_std
        predicted = self.decoder.frequency_head(hidden).float()
        return self._reduce((predicted - target).square(), real[..., None])

    def _demography_loss(
        self, quantized: torch.Tensor, real: torch.Tensor, demographics: torch.Tensor | None
    ) -> torch.Tensor:
        weights = real[..., None].to(quantized.dtype)
        mean_token = (quantized * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=1.0)
        predicted = self.decoder.demography_head(mean_token).float()
        if demographics is None:  # still touches the head, which data-parallel training needs
            return 0.0 * predicted.sum()
        target = (demographics.float() - self.demographics_mean) / self.demographics_std
        known = ~target.isnan() & real.flatten(1).any(dim=1, keepdim=True)
        return self._reduce((predicted - target.nan_to_num()).square(), known)

    @torch.no_grad()
    def _code_statistics(self, codes: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Perplexity and share in use of the batch's codes, means over codebooks."""
        counts = torch.zeros(self.config.num_quantizers, self.config.codebook_size, device=codes.device)
        ones = real[..., None].expand_as(codes).flatten(0, 2).to(counts.dtype)
        counts.scatter_add_(1, codes.flatten(0, 2).T, ones.T)
        shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1.0)
        entropy = -(shares * shares.clamp(min=1e-12).log()).sum(dim=1)
        return entropy.exp().mean(), (counts > 0).float().mean()


__all__ = ["AnyECGQuantizerOutput", "AnyECGRhythmQuantizer"]
