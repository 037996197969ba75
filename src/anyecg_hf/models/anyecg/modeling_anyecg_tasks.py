# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Task heads on the AnyECG backbone."""

import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from .configuration_anyecg import AnyECGConfig
from .modeling_anyecg import AnyECGModel, AnyECGPreTrainedModel


class AnyECGForSequenceClassification(AnyECGPreTrainedModel):
    """
    One answer a record: single-label, multi-label or regression, as `config.problem_type` says.

    Args:
        config ([`AnyECGConfig`]): The architecture, `num_labels`, `id2label`, `classifier_pooling`.
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__(config)
        self.anyecg = AnyECGModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
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
        pooled = outputs.pooler_output
        if self.config.classifier_pooling == "mean_max":
            pooled = torch.cat((pooled, self._max_over_real(outputs.last_hidden_state, attention_mask)), dim=-1)
        logits = self.classifier(self.dropout(pooled))
        return SequenceClassifierOutput(
            loss=None if labels is None else classification_loss(self.config, logits, labels),
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

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
        labels (`torch.Tensor`): `(B,)` int64 classes, `(B, num_labels)` 0/1 for multi-label, or `(B,)` /
            `(B, num_labels)` floats for regression.

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
        return nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
    if problem == "regression":
        return nn.functional.mse_loss(logits.reshape(labels.shape), labels.float())
    raise ValueError(
        "`config.problem_type` must be 'single_label_classification', 'multi_label_classification' or"
        f" 'regression', got {problem!r}."
    )


def _infer_problem_type(config: AnyECGConfig, labels: torch.Tensor) -> str:
    """The library's convention for configs that do not say."""
    if config.num_labels == 1:
        return "regression"
    integers = not labels.is_floating_point()
    return "single_label_classification" if integers and labels.ndim == 1 else "multi_label_classification"


__all__ = ["AnyECGForSequenceClassification", "classification_loss"]
