# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Task heads on the AnyECG backbone."""

from collections.abc import Callable

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from .configuration_anyecg import AnyECGConfig
from .modeling_anyecg import AnyECGModel, AnyECGPreTrainedModel


class AnyECGAttentiveClassifier(nn.Module):
    """
    The head of an attentive probe: learned queries pool the tokens, one for each head, then one linear layer.

    A key projection would be folded into the queries and none is there; values have no bias, so that a record with
    nothing real pools to zero.
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__()
        self.query = nn.Linear(config.hidden_size, config.num_attention_heads, bias=False)
        self.value = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.linear = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """`(B, L*N, D)`, zero where padded, and `(B, L, N)` -> logits `(B, num_labels)`."""
        scores = self.query(hidden).float()
        if attention_mask is not None:
            scores = scores.masked_fill(~attention_mask.flatten(1)[..., None].bool(), torch.finfo(scores.dtype).min)
        values = self.value(hidden).unflatten(-1, (scores.shape[-1], -1))
        pooled = torch.einsum("bth,bthd->bhd", scores.softmax(dim=1).to(values.dtype), values)
        return self.linear(self.dropout(pooled.flatten(1)))


class AnyECGForSequenceClassification(AnyECGPreTrainedModel):
    """
    One answer a record: single-label, multi-label or regression, as `config.problem_type` says.

    `classifier` is the whole head, pooling by attention included: what fine-tuning trains beside or on the backbone.

    Args:
        config ([`AnyECGConfig`]): The architecture, `num_labels`, `id2label`, `classifier_pooling`.
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__(config)
        self.anyecg = AnyECGModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        if config.classifier_pooling == "attention":
            self.classifier = AnyECGAttentiveClassifier(config)
        else:
            width = config.hidden_size * (2 if config.classifier_pooling == "mean_max" else 1)
            self.classifier = nn.Linear(width, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor,
        attention_mask: torch.LongTensor | None = None,
        lead_ids: torch.LongTensor | None = None,
        labels: torch.Tensor | None = None,
        time_offset: torch.LongTensor | int = 0,
        bool_masked_pos: torch.BoolTensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale.
            attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row; `unknown` if not given.
            labels (`torch.Tensor`, *optional*): `(B,)` int64 classes, `(B, num_labels)` 0/1 for multi-label, or `(B,)`
                / `(B, num_labels)` floats for regression.
            time_offset (`int` or `torch.LongTensor` of shape `(B,)`, *optional*, defaults to 0): As in
                [`AnyECGModel`].
            bool_masked_pos (`torch.BoolTensor` of shape `(B, L, N)`, *optional*): Patches hidden by the mask token, an
                augmentation for training.

        Returns:
            [`SequenceClassifierOutput`]: `logits` `(B, num_labels)`; `loss` is cross-entropy, binary cross-entropy or
            mean squared error.
        """
        outputs = self.anyecg(
            input_values, attention_mask, lead_ids, bool_masked_pos, time_offset=time_offset, **kwargs
        )
        if self.config.classifier_pooling == "attention":
            logits = self.classifier(outputs.last_hidden_state, attention_mask)
        else:
            logits = self.classifier(self.dropout(self._pool(outputs, attention_mask)))
        return SequenceClassifierOutput(
            loss=None if labels is None else classification_loss(self.config, logits, labels),
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _pool(self, outputs: BaseModelOutputWithPooling, attention_mask: torch.Tensor | None) -> torch.Tensor:
        if self.config.classifier_pooling == "mean":
            return outputs.pooler_output
        largest = self._max_over_real(outputs.last_hidden_state, attention_mask)
        return torch.cat((outputs.pooler_output, largest), dim=-1)

    @staticmethod
    def _max_over_real(hidden: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        if attention_mask is None:
            return hidden.amax(dim=1)
        real = attention_mask.flatten(1).bool()
        largest = hidden.masked_fill(~real[..., None], torch.finfo(hidden.dtype).min).amax(dim=1)
        return torch.where(real.any(dim=1, keepdim=True), largest, 0.0)


def classification_loss(config: AnyECGConfig, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """
    Cross-entropy, binary cross-entropy or mean squared error, in float32.

    Args:
        config ([`AnyECGConfig`]): `problem_type`; where it is `None`, number of labels and labels decide.
        logits (`torch.FloatTensor` of shape `(B, num_labels)`): What the head says.
        labels (`torch.Tensor`): `(B,)` int64 classes, `(B, num_labels)` 0/1 for multi-label, NaN where nothing is
            known, or `(B,)` / `(B, num_labels)` floats for regression.

    Returns:
        `torch.FloatTensor` of shape `()`.

    Raises:
        `ValueError`: for an unknown `problem_type`.
    """
    problem = config.problem_type or _infer_problem_type(config, labels)
    logits = logits.float()
    if problem == "single_label_classification":
        return nn.functional.cross_entropy(logits, labels.view(-1))
    if problem == "multi_label_classification":
        return _known_mean(nn.functional.binary_cross_entropy_with_logits, logits, labels.float())
    if problem == "regression":
        return nn.functional.mse_loss(logits.reshape(labels.shape), labels.float())
    raise ValueError(
        "`config.problem_type` must be 'single_label_classification', 'multi_label_classification' or"
        f" 'regression', got {problem!r}."
    )


def class_probabilities(config: AnyECGConfig, logits: torch.Tensor) -> torch.Tensor:
    """
    What a classifier's logits say, as probabilities.

    Args:
        config ([`AnyECGConfig`]): `problem_type`; where it is `None`, `transformers`' convention: one label is a
            regression, several exclude each other.
        logits (`torch.Tensor` of shape `(B, num_labels)`): What the head says.

    Returns:
        `torch.FloatTensor` of shape `(B, num_labels)`: sigmoid for multi-label, softmax for single-label.

    Raises:
        `ValueError`: for a regression, and an unknown `problem_type`.
    """
    problem = config.problem_type or ("regression" if config.num_labels == 1 else "single_label_classification")
    if problem == "multi_label_classification":
        return logits.float().sigmoid()
    if problem == "single_label_classification":
        return logits.float().softmax(dim=-1)
    raise ValueError(
        f"class probabilities need a classifier, but the checkpoint's problem type is {problem!r}"
        f" (`problem_type` {config.problem_type!r}, {config.num_labels} labels): use its logits directly."
    )


def _known_mean(loss_function: Callable[..., torch.Tensor], logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over the labels that are known; zero if none is."""
    known = ~labels.isnan()
    losses = loss_function(logits, torch.where(known, labels, 0.0), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def _infer_problem_type(config: AnyECGConfig, labels: torch.Tensor) -> str:
    """The library's convention for configs that do not say."""
    if config.num_labels == 1:
        return "regression"
    integers = not labels.is_floating_point()
    return "single_label_classification" if integers and labels.ndim == 1 else "multi_label_classification"


__all__ = ["AnyECGForSequenceClassification", "class_probabilities", "classification_loss"]
