# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A classifier that goes on predicting masked codes while it is fine-tuned."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGForSequenceClassification, masked_code_loss


@dataclass
class ClassifierWithCodesOutput(SequenceClassifierOutput):
    """[`SequenceClassifierOutput`] with the two loss terms: `classification_loss` and `code_loss`."""

    classification_loss: torch.FloatTensor | None = None
    code_loss: torch.FloatTensor | None = None


class AnyECGClassifierWithCodes(AnyECGForSequenceClassification):
    """
    A classifier with a code head.

    The second task keeps the backbone from forgetting stage 2, and the code head in the checkpoint: one checkpoint then
    serves classification, masked codes and embeddings.

    Args:
        config ([`AnyECGConfig`]): The architecture and the labels.
        code_weight (`float`, *optional*, defaults to 0.1): Weight of the masked-code loss.
    """

    def __init__(self, config: AnyECGConfig, code_weight: float = 0.1):
        super().__init__(config)
        self.code_weight = code_weight
        self.code_head = nn.Linear(config.hidden_size, config.num_quantizers * config.codebook_size)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor,
        attention_mask: torch.LongTensor | None = None,
        lead_ids: torch.LongTensor | None = None,
        labels: torch.FloatTensor | None = None,
        codes: torch.LongTensor | None = None,
        bool_masked_pos: torch.BoolTensor | None = None,
        time_offset: torch.LongTensor | int = 0,
        **kwargs: Any,
    ) -> ClassifierWithCodesOutput:
        r"""
        As [`AnyECGForSequenceClassification`], on the whole input; `codes` `(B, L, N)` and `bool_masked_pos` add the
        masked-code loss of a second pass.
        """
        classified = super().forward(
            input_values, attention_mask, lead_ids, labels=labels, time_offset=time_offset, **kwargs
        )
        loss, code_loss = classified.loss, None
        if codes is not None:
            hidden = self.anyecg(
                input_values, attention_mask, lead_ids, bool_masked_pos, time_offset=time_offset, **kwargs
            ).last_hidden_state
            shape = (*input_values.shape[:3], self.config.num_quantizers, self.config.codebook_size)
            code_loss = masked_code_loss(self.code_head(hidden).view(shape), codes, bool_masked_pos)
            loss = loss + self.code_weight * code_loss
        return ClassifierWithCodesOutput(
            loss=loss, logits=classified.logits, classification_loss=classified.loss, code_loss=code_loss
        )


__all__ = ["AnyECGClassifierWithCodes", "ClassifierWithCodesOutput"]
