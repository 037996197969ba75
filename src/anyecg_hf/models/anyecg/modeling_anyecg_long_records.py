# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One answer for a long record: windows through the backbone, then a small Transformer over their embeddings."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from .configuration_anyecg import AnyECGConfig
from .layers_anyecg import AnyECGMLP, check_patches, complete_inputs, rotary_tables, rotate
from .modeling_anyecg import AnyECGModel, AnyECGPreTrainedModel
from .modeling_anyecg_tasks import classification_loss


@dataclass
class AnyECGLongRecordOutput(SequenceClassifierOutput):
    """
    What [`AnyECGForLongRecordClassification`] returns.

    Attributes:
        loss (`torch.FloatTensor` of shape `()`, *optional*): As `config.problem_type` says, where labels were given.
        logits (`torch.FloatTensor` of shape `(B, num_labels)`): One answer a record.
        hidden_states (`tuple[torch.FloatTensor]`, *optional*): `(B, W, D)` before the first and after every layer over
            windows, where asked for.
        attentions: Always `None`.
        window_embeddings (`torch.FloatTensor` of shape `(B, W, D)`): The backbone's embedding of every window; zero for
            windows with nothing real.
        window_mask (`torch.BoolTensor` of shape `(B, W)`): True for windows with anything real.
    """

    window_embeddings: torch.FloatTensor | None = None
    window_mask: torch.BoolTensor | None = None


class AnyECGWindowLayer(GradientCheckpointingLayer):
    """Pre-norm Transformer layer over the windows of a record; positions are rotary, so any number is legal."""

    def __init__(self, config: AnyECGConfig):
        super().__init__()
        self.head_size = config.head_size
        self.attention_dropout = config.attention_dropout
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.attention_output = nn.Linear(config.hidden_size, config.hidden_size)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = AnyECGMLP(config)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self, hidden_states: torch.Tensor, keys: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor
    ) -> torch.Tensor:
        """`(B, W, D)`, bool `(B, 1, 1, W)`, `(W, head_size)` twice -> `(B, W, D)`."""
        shape = (*hidden_states.shape[:2], 3, -1, self.head_size)
        projected = self.query_key_value(self.attention_norm(hidden_states)).view(shape)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(
            rotate(query, cosines, sines),
            rotate(key, cosines, sines),
            value,
            attn_mask=keys,
            dropout_p=self.attention_dropout if self.training else 0.0,
        )
        attended = self.attention_output(attended.transpose(1, 2).flatten(2))
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.dropout(self.mlp(self.mlp_norm(hidden_states)))


class AnyECGWindowClassifier(nn.Module):
    """The head: window embeddings -> pre-norm Transformer -> mean over windows -> one linear layer."""

    def __init__(self, config: AnyECGConfig):
        super().__init__()
        if config.head_size % 2:
            raise ValueError(
                f"the Transformer over windows needs an even head size, got {config.head_size}: `hidden_size`"
                f" {config.hidden_size} over `num_attention_heads` {config.num_attention_heads}."
            )
        self.config = config
        self.input_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.input_projection = nn.Linear(config.hidden_size, config.hidden_size)
        self.layers = nn.ModuleList(AnyECGWindowLayer(config) for _ in range(config.num_window_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.output = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, embeddings: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """`(B, W, D)` and bool `(B, W)` -> logits `(B, num_labels)` and the hidden states around every layer."""
        # Attention over no keys at all is NaN: a record with nothing real sees its empty windows.
        keys = (mask | ~mask.any(dim=1, keepdim=True))[:, None, None]
        positions = torch.arange(embeddings.shape[1], device=embeddings.device)
        cosines, sines = rotary_tables(self.config, positions, embeddings.dtype)
        states = [self.input_projection(self.input_norm(embeddings))]
        for layer in self.layers:
            states.append(layer(states[-1], keys, cosines, sines))
        hidden = self.norm(states[-1]).masked_fill(~mask[..., None], 0.0)
        pooled = hidden.sum(dim=1, dtype=torch.float32) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.output(self.dropout(pooled.to(hidden.dtype))), tuple(states)


class AnyECGForLongRecordClassification(AnyECGPreTrainedModel):
    """
    One answer for a record of any length: single-label, multi-label or regression, as `config.problem_type` says.

    The record is cut into windows of `config.window_patches`, the last one as long as what is left. Every window starts
    at time position 0 of the backbone, so that a learned table of 85 rows serves a day; the order of the windows enters
    in the Transformer over their embeddings.

    `classifier` is the whole head and not only its last layer: PEFT, which trains `classifier` beside its adapters,
    then trains all that is new.

    Args:
        config ([`AnyECGConfig`]): The architecture, `num_labels`, `id2label`, `window_patches`, `num_window_layers`,
            `windows_per_forward`, `freeze_backbone`.

    Raises:
        `ValueError`: if the head size is odd.

    Example:

    ```python
    >>> import torch
    >>> from anyecg_hf import TINY, AnyECGForLongRecordClassification, AnyECGTokenizer

    >>> tokenizer = AnyECGTokenizer.from_pretrained(TINY)
    >>> model = AnyECGForLongRecordClassification.from_pretrained(TINY, freeze_backbone=True)
    >>> batch = tokenizer(record_mv, sampling_rate=250, lead_names=["I", "II"], return_tensors="pt")
    >>> loss = model(**batch, labels=labels).loss

    >>> # A day, window by window: `windows` yields features of `model.window_patches` patches each.
    >>> embeddings = torch.stack(list(model.anyecg.encode_windows(windows)))
    >>> logits = model(window_embeddings=embeddings[None]).logits
    ```
    """

    _no_split_modules = ["AnyECGLayer", "AnyECGWindowLayer"]

    def __init__(self, config: AnyECGConfig):
        super().__init__(config)
        self.anyecg = AnyECGModel(config)
        self.classifier = AnyECGWindowClassifier(config)
        self.post_init()
        self._freeze_backbone()

    @property
    def window_patches(self) -> int:
        """Patches of a window: `config.window_patches`, else the longest that training has covered."""
        return self.config.window_patches or self.config.trained_window_patches

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any):
        """As [`AnyECGModel.from_pretrained`], with the backbone frozen where the config says so."""
        loaded = super().from_pretrained(*args, **kwargs)
        # Loading replaces the parameters that `__init__` froze.
        (loaded[0] if isinstance(loaded, tuple) else loaded)._freeze_backbone()
        return loaded

    def _freeze_backbone(self) -> None:
        if self.config.freeze_backbone:
            self.anyecg.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "AnyECGForLongRecordClassification":
        """As [`~torch.nn.Module.train`], but a frozen backbone stays in evaluation mode, without dropout."""
        super().train(mode)
        if self.config.freeze_backbone:
            self.anyecg.eval()
        return self

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        lead_ids: torch.LongTensor | None = None,
        labels: torch.Tensor | None = None,
        bool_masked_pos: torch.BoolTensor | None = None,
        scale: torch.FloatTensor | None = None,
        window_embeddings: torch.FloatTensor | None = None,
        window_mask: torch.BoolTensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs,
    ) -> AnyECGLongRecordOutput:
        r"""
        Takes patches (a tokenizer's batch may be passed whole), or window embeddings that were computed before; both
        give the same answer.

        Where no gradient flows through the backbone (evaluation, or all its weights frozen), windows pass through it
        `config.windows_per_forward` at a time and leave nothing but their embeddings.

        Args:
            input_values (`torch.FloatTensor` of shape `(B, L, N, S)`, *optional*): Patches in recording scale.
            attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row; `unknown` if not given.
            labels (`torch.Tensor`, *optional*): As in [`AnyECGForSequenceClassification`].
            bool_masked_pos (`torch.BoolTensor` of shape `(B, L, N)`, *optional*): Patches hidden by the mask token, an
                augmentation for training.
            scale (`torch.FloatTensor` of shape `(B,)`, *optional*): As in [`AnyECGModel`].
            window_embeddings (`torch.FloatTensor` of shape `(B, W, D)`, *optional*): In place of patches, from
                [`AnyECGModel.encode_windows`] or an earlier output.
            window_mask (`torch.BoolTensor` of shape `(B, W)`, *optional*): True for windows with anything real. If not
                given, these are the embeddings that are not all zero.
            output_hidden_states (`bool`, *optional*): Whether to return those of the Transformer over windows.

        Returns:
            [`AnyECGLongRecordOutput`]

        Raises:
            `ValueError`: for both kinds of input or none, other shapes, a `time_offset`, or `output_attentions`.
        """
        self._refuse(kwargs)
        patches = (input_values, attention_mask, lead_ids, bool_masked_pos, scale)
        if window_embeddings is None and window_mask is None and input_values is not None:
            window_embeddings, window_mask = self._encode_record(*patches)
        elif window_embeddings is not None and all(given is None for given in patches):
            window_embeddings, window_mask = self._complete_windows(window_embeddings, window_mask)
        else:
            raise ValueError(
                "pass either patches (`input_values`, `attention_mask`, `lead_ids`) or what was computed from them"
                " (`window_embeddings`, `window_mask`)."
            )
        logits, hidden_states = self.classifier(window_embeddings, window_mask)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        return AnyECGLongRecordOutput(
            loss=None if labels is None else classification_loss(self.config, logits, labels),
            logits=logits,
            hidden_states=hidden_states if output_hidden_states else None,
            window_embeddings=window_embeddings,
            window_mask=window_mask,
        )

    def _refuse(self, kwargs: dict[str, Any]) -> None:
        """Raises `ValueError` for what would be ignored without a word."""
        if kwargs.get("time_offset") is not None:
            raise ValueError(f"{type(self).__name__} takes no `time_offset`: every window starts at time position 0.")
        if kwargs.get("output_attentions", self.config.output_attentions):
            raise ValueError(
                f"{type(self).__name__} does not return attention weights: load the model with"
                ' `attn_implementation="eager"` and ask its backbone, `model.anyecg`, for those of one window.'
            )

    def _complete_windows(
        self, embeddings: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Given embeddings in the model's dtype, zero where masked, and their mask."""
        width = self.config.hidden_size
        if embeddings.ndim != 3 or embeddings.shape[-1] != width or not embeddings.shape[1]:
            raise ValueError(
                f"expected window_embeddings (batch, windows, {width} features) with at least one window, got shape"
                f" {tuple(embeddings.shape)}."
            )
        mask = embeddings.any(dim=-1) if mask is None else mask.bool()
        if mask.shape != embeddings.shape[:2]:
            raise ValueError(
                f"for window_embeddings {tuple(embeddings.shape)} expected window_mask {tuple(embeddings.shape[:2])},"
                f" got {tuple(mask.shape)}."
            )
        return embeddings.to(self.dtype).masked_fill(~mask[..., None], 0.0), mask

    def _encode_record(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None,
        lead_ids: torch.Tensor | None,
        bool_masked_pos: torch.Tensor | None,
        scale: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings `(B, W, D)` of all windows, zero where nothing is real, and bool `(B, W)`, where anything is."""
        check_patches(self.config, input_values)
        attention_mask, lead_ids = complete_inputs(self.config, input_values, attention_mask, lead_ids)
        records, length = input_values.shape[0], input_values.shape[2]
        if not length:
            raise ValueError(f"the records hold no patches: got input_values {tuple(input_values.shape)}.")
        patches = min(self.window_patches, length)
        count = -(-length // patches)
        padded = nn.functional.pad(attention_mask, (0, count * patches - length))
        real = padded.unflatten(2, (count, patches)).bool().any(dim=3).any(dim=1)
        with torch.set_grad_enabled(self._gradient_flows(input_values)):
            chosen = self._windows_to_compute(real)
            # One call where gradients flow: sharded training needs as many calls in every process.
            step = len(chosen) if torch.is_grad_enabled() else self.config.windows_per_forward
            inputs = (input_values, attention_mask, lead_ids, bool_masked_pos, scale)
            pooled = torch.cat(
                [
                    self._embed_windows(*inputs, windows // count, windows % count * patches, patches)
                    for windows in chosen.split(step)
                ]
            )
            embeddings = pooled.new_zeros(records * count, pooled.shape[-1]).index_copy(0, chosen, pooled)
        return embeddings.unflatten(0, (records, count)), real

    def _embed_windows(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor,
        lead_ids: torch.Tensor,
        bool_masked_pos: torch.Tensor | None,
        scale: torch.Tensor | None,
        record: torch.Tensor,
        start: torch.Tensor,
        patches: int,
    ) -> torch.Tensor:
        """Embeddings `(C, D)` of the windows that begin at patch `start` `(C,)` of `record` `(C,)`."""
        length = input_values.shape[2]
        times = start[:, None] + torch.arange(patches, device=start.device)
        inside = (times < length)[:, None]
        # Beyond the end the last patch stands in, masked: no padded copy of a long record is made.
        index = (record[:, None], slice(None), times.clamp(max=length - 1))
        outputs = self.anyecg(
            input_values[index].transpose(1, 2),
            attention_mask[index].transpose(1, 2) * inside,
            lead_ids[record],
            None if bool_masked_pos is None else bool_masked_pos[index].transpose(1, 2),
            scale=None if scale is None else scale[record],
            output_hidden_states=False,
            return_dict=True,
        )
        return outputs.pooler_output

    def _gradient_flows(self, input_values: torch.Tensor) -> bool:
        """Whether the backbone's activations are needed: by its weights, by adapters in it, or by the input."""
        trained = any(parameter.requires_grad for parameter in self.anyecg.parameters())
        return torch.is_grad_enabled() and (trained or input_values.requires_grad)

    @staticmethod
    def _windows_to_compute(real: torch.Tensor) -> torch.Tensor:
        """Indices into the flat `(B * W,)` windows: those with anything real, and at least one."""
        if torch.compiler.is_compiling():  # no shapes that depend on data
            return torch.arange(real.numel(), device=real.device)
        chosen = real.flatten().nonzero().flatten()
        # Data-parallel training waits for a gradient of every weight, even if it is zero.
        return chosen if len(chosen) else chosen.new_zeros(1)


__all__ = ["AnyECGForLongRecordClassification", "AnyECGLongRecordOutput"]
