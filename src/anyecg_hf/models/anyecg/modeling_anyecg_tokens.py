# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A label for every patch time, or for every lead and patch: beats, rhythm spans, signal quality."""

import torch
from torch import nn
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.utils.generic import can_return_tuple

from .configuration_anyecg import AnyECGConfig
from .layers_anyecg import complete_inputs
from .modeling_anyecg import AnyECGModel, AnyECGPreTrainedModel

IGNORED_LABEL = -100


class AnyECGForTokenClassification(AnyECGPreTrainedModel):
    """
    One answer a patch time, or a lead and patch, as `config.token_label_level` says; single-label or multi-label.

    Args:
        config ([`AnyECGConfig`]): The architecture, `num_labels`, `id2label`, `problem_type`, `token_label_level`,
            `classifier_dropout`.

    Example:

    ```python
    >>> import torch
    >>> from anyecg_hf import TINY, AnyECGForTokenClassification, AnyECGTokenizer

    >>> tokenizer = AnyECGTokenizer.from_pretrained(TINY)
    >>> model = AnyECGForTokenClassification.from_pretrained(
    ...     TINY, num_labels=3, problem_type="single_label_classification", ignore_mismatched_sizes=True
    ... )
    >>> batch = tokenizer(ecg_mv, sampling_rate=360, lead_names=["MLII", "V1"], return_tensors="pt")
    >>> beat_of_each_patch = model(**batch).logits.argmax(dim=-1)
    ```
    """

    def __init__(self, config: AnyECGConfig):
        super().__init__(config)
        self.anyecg = AnyECGModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
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
    ) -> TokenClassifierOutput:
        r"""
        Args:
            input_values (`torch.FloatTensor` of shape `(B, L, N, S)`): Patches in recording scale.
            attention_mask (`torch.LongTensor` of shape `(B, L, N)`, *optional*): 1 for real patches.
            lead_ids (`torch.LongTensor` of shape `(B, L)`, *optional*): Lead of each row; `unknown` if not given.
            labels (`torch.Tensor`, *optional*): Single-label: int64 `(B, N)`, or `(B, L, N)` at the level `"lead"`,
                -100 where unknown. Multi-label: 0/1 `(B, N, num_labels)` or `(B, L, N, num_labels)`, NaN or -100 where
                unknown. What they say of padded places is not read.
            time_offset (`int` or `torch.LongTensor` of shape `(B,)`, *optional*, defaults to 0): As in
                [`AnyECGModel`].
            bool_masked_pos (`torch.BoolTensor` of shape `(B, L, N)`, *optional*): Patches hidden by the mask token, an
                augmentation for training.

        Returns:
            [`TokenClassifierOutput`]: `logits` `(B, N, num_labels)`, of the mean over the real leads of that time, or
            `(B, L, N, num_labels)`; `loss` is the mean cross-entropy or binary cross-entropy over known labels.
        """
        outputs = self.anyecg(
            input_values, attention_mask, lead_ids, bool_masked_pos, time_offset=time_offset, **kwargs
        )
        attention_mask, _ = complete_inputs(self.config, input_values, attention_mask, lead_ids)
        real = attention_mask.bool()
        hidden = outputs.last_hidden_state.view(*real.shape, -1)
        if self.config.token_label_level == "time":
            # Padded tokens are zero; in float32 for the sum over leads.
            total = hidden.sum(dim=1, dtype=torch.float32)
            hidden = (total / real.sum(dim=1)[..., None].clamp(min=1)).to(hidden.dtype)
            real = real.any(dim=1)
        logits = self.classifier(self.dropout(hidden))
        return TokenClassifierOutput(
            loss=None if labels is None else token_classification_loss(self.config, logits, labels, real),
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def token_classification_loss(
    config: AnyECGConfig, logits: torch.Tensor, labels: torch.Tensor, real: torch.Tensor
) -> torch.Tensor:
    """
    Cross-entropy or binary cross-entropy in float32, mean over known labels of real places.

    Args:
        config ([`AnyECGConfig`]): `problem_type`; where it is `None`, the shape of the labels decides.
        logits (`torch.FloatTensor` of shape `(..., C)`): What the head says.
        labels (`torch.Tensor` of shape `(...)` or `(..., C)`): Classes, -100 where unknown, or 0/1 for multi-label, NaN
            or -100 where unknown.
        real (`torch.BoolTensor` of shape `(...)`): Places that are not padded.

    Returns:
        `torch.FloatTensor` of shape `()`; zero if no label is known.

    Raises:
        `ValueError`: for another problem, labels of another shape, or labels that are no class or not within 0..1.
    """
    flat = labels.shape == logits.shape[:-1]
    problem = config.problem_type or ("single_label_classification" if flat else "multi_label_classification")
    if problem == "single_label_classification":
        return _single_label_loss(logits.float(), labels, real)
    if problem == "multi_label_classification":
        return _multi_label_loss(logits.float(), labels, real)
    raise ValueError(
        "`config.problem_type` of token labels must be 'single_label_classification' or 'multi_label_classification',"
        f" got {problem!r}."
    )


def _single_label_loss(logits: torch.Tensor, labels: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    _check_shape(labels, logits.shape[:-1], "one class a place")
    if labels.is_floating_point():
        raise ValueError(f"single-label classes must be whole numbers, got labels of dtype {labels.dtype}.")
    known = real & (labels != IGNORED_LABEL)
    targets = torch.where(known, labels, IGNORED_LABEL).long()
    # Reading numbers off the device would break a compiled graph.
    if not torch.compiler.is_compiling():
        strange = known & ((labels < 0) | (labels >= logits.shape[-1]))
        if strange.any():
            raise ValueError(
                f"label {int(labels[strange][0])} is none of the {logits.shape[-1]} classes 0..{logits.shape[-1] - 1};"
                f" unknown places are {IGNORED_LABEL}."
            )
    total = nn.functional.cross_entropy(
        logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED_LABEL, reduction="sum"
    )
    return total / known.sum().clamp(min=1)


def _multi_label_loss(logits: torch.Tensor, labels: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    _check_shape(labels, logits.shape, "one number a place and class")
    known = real[..., None] & ~labels.isnan() & (labels != IGNORED_LABEL)
    targets = torch.where(known, labels, 0).float()
    if not torch.compiler.is_compiling() and ((targets < 0) | (targets > 1)).any():
        found = targets[(targets < 0) | (targets > 1)][0]
        raise ValueError(
            f"multi-label targets must lie in 0..1, got {float(found):g}; unknown ones are NaN or {IGNORED_LABEL}."
        )
    errors = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return torch.where(known, errors, 0.0).sum() / known.sum().clamp(min=1)


def _check_shape(labels: torch.Tensor, expected: torch.Size, meaning: str) -> None:
    if labels.shape != expected:
        raise ValueError(f"expected labels of shape {tuple(expected)}, {meaning}, got {tuple(labels.shape)}.")


__all__ = ["IGNORED_LABEL", "AnyECGForTokenClassification", "token_classification_loss"]
