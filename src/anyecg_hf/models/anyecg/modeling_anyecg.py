# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The AnyECG backbone and masked code modelling: stage 2 of AnyECG."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import BatchFeature, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput
from transformers.utils import logging
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention_anyecg import create_cardio_sparse_mask
from .batching_anyecg import pad_features
from .configuration_anyecg import AnyECGConfig
from .inputs_anyecg import to_numpy
from .layers_anyecg import (
    AnyECGEmbeddings,
    AnyECGLayer,
    check_patches,
    complete_inputs,
    rotary_time,
    time_positions,
)
from .pretrained_anyecg import AnyECGPreTrainedMixin

logger = logging.get_logger(__name__)


class AnyECGPreTrainedModel(AnyECGPreTrainedMixin, PreTrainedModel):
    """Weight initialisation and loading of the backbone and its heads."""

    config: AnyECGConfig
    base_model_prefix = "anyecg"
    # One checkpoint may serve several heads; each class takes its own and leaves the others alone.
    _keys_to_ignore_on_load_unexpected = [r"^code_head\.", r"^classifier\.", r"^reconstruction_head\."]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, AnyECGEmbeddings) and module.mask_token is not None:
            init.normal_(module.mask_token, std=self.config.initializer_range)


class AnyECGModel(AnyECGPreTrainedModel):
    """
    Bare backbone: patches in, one hidden state a token out.

    Args:
        config ([`AnyECGConfig`]): The architecture.

    Example:

    ```python
    >>> from anyecg_hf import TINY, AnyECGModel, AnyECGTokenizer

    >>> tokenizer, model = AnyECGTokenizer.from_pretrained(TINY), AnyECGModel.from_pretrained(TINY)
    >>> batch = tokenizer(ecg_mv, sampling_rate=500, lead_names=["I", "II"], return_tensors="pt")
    >>> embedding = model(**batch).pooler_output
    ```
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__(config)
        self.embeddings = AnyECGEmbeddings(
            config, use_mask_token=True, use_scale_embeddings=config.use_scale_embeddings
        )
        self.layers = nn.ModuleList(AnyECGLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.patch_encoder.projection

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        input_values: torch.FloatTensor,
        attention_mask: torch.LongTensor | None = None,
        lead_ids: torch.LongTensor | None = None,
        bool_masked_pos: torch.BoolTensor | None = None,
        time_offset: torch.LongTensor | int = 0,
        scale: torch.FloatTensor | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPooling:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale.
            attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row; `unknown` if not given.
            bool_masked_pos (`torch.BoolTensor` of shape `(B, L, N)`, *optional*): True where the mask token stands in.
            time_offset (`int` or `torch.LongTensor` of shape `(B,)`, *optional*, defaults to 0): Time position of the
                first patch, for learned time tables.
            scale (`torch.FloatTensor` of shape `(B,)`, *optional*): Recording scale in mV, NaN where it is not known.
                Read with `config.use_scale_embeddings` only; a tokenizer's batch holds it.

        Returns:
            [`BaseModelOutputWithPooling`]: `last_hidden_state` `(B, L*N, D)`, lead-major, zero where padded;
            `pooler_output` `(B, D)`, the mean over real tokens.
        """
        check_patches(self.config, input_values)
        attention_mask, lead_ids = complete_inputs(self.config, input_values, attention_mask, lead_ids)
        if self.config.use_scale_embeddings and scale is None and not torch.compiler.is_compiling():
            logger.warning_once("Without `scale` the model does not know voltages: pass the tokenizer's whole batch.")
        positions = time_positions(self.config, input_values.shape[2], time_offset, input_values.device)
        hidden = self.embeddings(input_values.to(self.dtype), lead_ids, positions, bool_masked_pos, scale)
        mask = create_cardio_sparse_mask(self.config, hidden, attention_mask)
        rotary = rotary_time(self.config, positions, attention_mask.shape[1], hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, mask, rotary, **kwargs)
        real = attention_mask.flatten(1)[..., None].bool()
        hidden = self.norm(hidden).masked_fill(~real, 0.0)
        # In float32: half precision overflows or stalls over the tokens of a long record.
        pooled = (hidden.sum(dim=1, dtype=torch.float32) / real.sum(dim=1).clamp(min=1)).to(hidden.dtype)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)

    def encode_windows(self, windows: Iterable[Mapping[str, Any]], batch_size: int = 16) -> Iterator[torch.Tensor]:
        """
        Embeds one window after the other, for records too long to be held whole.

        Computes in evaluation mode without gradients, and consumes no more than `batch_size` windows ahead of what it
        has yielded.

        Args:
            windows (`Iterable[Mapping]`): Features of single windows, arrays or tensors, of any sizes: `input_values`
                `(L, N, S)`, `attention_mask` `(L, N)`, `lead_ids` `(L,)`, and `scale` in mV for a model that reads it;
                other keys are ignored.
            batch_size (`int`, *optional*, defaults to 16): Windows that are padded to one batch.

        Returns:
            `Iterator[torch.FloatTensor]`: the `pooler_output` `(D,)` of each window in order, float32 on the CPU; zeros
            for a window with nothing real.

        Raises:
            `ValueError`: for a `batch_size` below 1, and while iterating for a window with a missing key or another
                shape, with its number.

        Example:

        ```python
        >>> starts = range(0, batch["input_values"].shape[2], 40)
        >>> windows = (
        ...     {
        ...         "input_values": batch["input_values"][0, :, start : start + 40],
        ...         "attention_mask": batch["attention_mask"][0, :, start : start + 40],
        ...         "lead_ids": batch["lead_ids"][0],
        ...         "scale": batch["scale"][0],
        ...     }
        ...     for start in starts
        ... )
        >>> embeddings = torch.stack(list(model.encode_windows(windows)))
        ```
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
        return self._encode_batches(iter(windows), batch_size)

    def _encode_batches(self, windows: Iterator[Mapping[str, Any]], batch_size: int) -> Iterator[torch.Tensor]:
        numbered = enumerate(windows)
        while rows := [self._window_features(*item) for item in islice(numbered, batch_size)]:
            yield from self._encode_batch(pad_features(rows, padding=True, max_length=None, return_tensors="pt"))

    def _window_features(self, number: int, window: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(window, Mapping):
            raise ValueError(
                f"window {number} is of type {type(window).__name__}: pass features, `map(tokenizer.feature, windows)`."
            )
        missing = sorted({"input_values", "attention_mask", "lead_ids"} - set(window))
        if missing:
            raise ValueError(f"window {number} lacks {missing}: pass the tokenizer's features of one window.")
        values, mask, lead_ids = (to_numpy(window[key]) for key in ("input_values", "attention_mask", "lead_ids"))
        fits = values.ndim == 3 and values.shape[2] == self.config.patch_size and 0 not in values.shape
        if not fits or mask.shape != values.shape[:2] or lead_ids.shape != values.shape[:1]:
            raise ValueError(
                f"window {number}: expected input_values (leads, patches, {self.config.patch_size} samples),"
                f" attention_mask (leads, patches) and lead_ids (leads,), got {values.shape}, {mask.shape} and"
                f" {lead_ids.shape}."
            )
        scale = np.asarray(to_numpy(window.get("scale", np.nan)), dtype=np.float32)
        return {"input_values": values, "attention_mask": mask, "lead_ids": lead_ids, "scale": scale}

    def _encode_batch(self, batch: BatchFeature) -> torch.Tensor:
        training = [module for module in self.modules() if module.training]
        self.eval()
        try:
            # Not `inference_mode`: a head may be trained on the embeddings.
            with torch.no_grad():
                return self(**batch.to(self.device), return_dict=True).pooler_output.float().cpu()
        finally:
            for module in training:
                module.training = True


class AnyECGForMaskedCodeModeling(AnyECGPreTrainedModel):
    """
    Predicts the rhythm codes of masked patches (paper, stage 2).

    Args:
        config ([`AnyECGConfig`]): The architecture; `codebook_size` and `num_quantizers` as in the quantizer.
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__(config)
        self.anyecg = AnyECGModel(config)
        self.code_head = nn.Linear(config.hidden_size, config.num_quantizers * config.codebook_size)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor,
        attention_mask: torch.LongTensor | None = None,
        lead_ids: torch.LongTensor | None = None,
        bool_masked_pos: torch.BoolTensor | None = None,
        labels: torch.LongTensor | None = None,
        time_offset: torch.LongTensor | int = 0,
        **kwargs,
    ) -> MaskedLMOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale.
            attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row; `unknown` if not given.
            bool_masked_pos (`torch.BoolTensor` of shape `(B, L, N)`, *optional*): True where patches are hidden and
                predicted. Needed for a loss.
            labels (`torch.LongTensor` of shape `(B, L, N)` or `(B, L, N, Q)`, *optional*): `tokenizer.encode(batch)`;
                negative entries are ignored.
            time_offset (`int` or `torch.LongTensor` of shape `(B,)`, *optional*, defaults to 0): As in
                [`AnyECGModel`].

        Returns:
            [`MaskedLMOutput`]: `logits` `(B, L, N, K)`, or `(B, L, N, Q, K)` with several codebooks; `loss` is the
            mean cross-entropy over masked positions (and codebooks).

        Raises:
            `ValueError`: for a label beyond the codebook, or labels without `bool_masked_pos`.
        """
        outputs = self.anyecg(
            input_values, attention_mask, lead_ids, bool_masked_pos, time_offset=time_offset, **kwargs
        )
        config = self.config
        shape = (*input_values.shape[:3], config.num_quantizers, config.codebook_size)
        logits = self.code_head(outputs.last_hidden_state).view(shape)
        loss = None if labels is None else masked_code_loss(logits, labels, bool_masked_pos)
        return MaskedLMOutput(
            loss=loss,
            logits=logits[..., 0, :] if config.num_quantizers == 1 else logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def masked_code_loss(
    logits: torch.Tensor, labels: torch.Tensor, bool_masked_pos: torch.Tensor | None
) -> torch.FloatTensor:
    """
    Mean cross-entropy over hidden positions (paper, stage 2).

    Args:
        logits (`torch.FloatTensor` of shape `(B, L, N, Q, K)`): Code logits.
        labels (`torch.LongTensor` of shape `(B, L, N)` or `(B, L, N, Q)`): Codes; negative entries are ignored.
        bool_masked_pos (`torch.BoolTensor` of shape `(B, L, N)`): True where patches are hidden.

    Returns:
        `torch.FloatTensor` of shape `()`; zero if nothing is hidden.

    Raises:
        `ValueError`: for a label beyond the codebook, another shape, or a missing `bool_masked_pos`.
    """
    if bool_masked_pos is None:
        raise ValueError("`labels` need `bool_masked_pos`: only hidden patches are predicted.")
    codebook_size = logits.shape[-1]
    if logits.shape[-2] == 1 and labels.ndim == 3:
        labels = labels[..., None]
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"expected labels of shape {tuple(logits.shape[:-1])} (batch, leads, patches, codebooks), got"
            f" {tuple(labels.shape)}."
        )
    if not torch.compiler.is_compiling() and int(labels.max()) >= codebook_size:
        raise ValueError(
            f"label {int(labels.max())} is beyond the codebook of {codebook_size} codes: the tokenizer belongs to"
            " another checkpoint."
        )
    counted = bool_masked_pos[..., None].bool() & (labels >= 0)
    targets = torch.where(counted, labels, -100)
    total = nn.functional.cross_entropy(
        logits.flatten(0, -2).float(), targets.flatten(), ignore_index=-100, reduction="sum"
    )
    return total / counted.sum().clamp(min=1)


__all__ = ["AnyECGForMaskedCodeModeling", "AnyECGModel", "AnyECGPreTrainedModel", "masked_code_loss"]
