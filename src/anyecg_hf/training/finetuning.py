# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning for multi-label classification, with masked codes as a second task."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, EvalPrediction
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from anyecg_hf.evaluation.metrics import macro_auroc
from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGForSequenceClassification, AnyECGTokenizer, masked_code_loss
from anyecg_hf.training.collators import MaskedCodeCollator, WindowCollator
from anyecg_hf.training.stages import record_time_positions
from anyecg_hf.training.trainer import LossTermTrainer, train_or_resume, training_arguments
from anyecg_hf.training.windows import CleanedRecord, RecordWindows


@dataclass
class ClassifierWithCodesOutput(SequenceClassifierOutput):
    """[`SequenceClassifierOutput`] with the two loss terms: `classification_loss` and `code_loss`."""

    classification_loss: torch.FloatTensor | None = None
    code_loss: torch.FloatTensor | None = None


class AnyECGClassifierWithCodes(AnyECGForSequenceClassification):
    """
    A classifier that goes on predicting masked codes while it is fine-tuned.

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
                input_values, attention_mask, lead_ids, bool_masked_pos, time_offset=time_offset
            ).last_hidden_state
            shape = (*input_values.shape[:3], self.config.num_quantizers, self.config.codebook_size)
            code_loss = masked_code_loss(self.code_head(hidden).view(shape), codes, bool_masked_pos)
            loss = loss + self.code_weight * code_loss
        return ClassifierWithCodesOutput(
            loss=loss, logits=classified.logits, classification_loss=classified.loss, code_loss=code_loss
        )


@dataclass
class ClassifierWithCodesCollator(MaskedCodeCollator):
    """Masked-code batches with the classes as `labels` and the codes as `codes`."""

    def __call__(self, windows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        batch = super().__call__(windows)
        batch["codes"] = batch.pop("labels")
        batch["labels"] = torch.tensor(np.stack([window["labels"] for window in windows]))
        return batch


class ClassifierTrainer(LossTermTrainer):
    """Trainer that evaluates on all windows, whole and unmasked."""

    def __init__(self, *args: Any, evaluation_collator: WindowCollator, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.evaluation_collator = evaluation_collator

    def get_eval_dataloader(self, eval_dataset=None):
        training_collator, drop_last = self.data_collator, self.args.dataloader_drop_last
        self.data_collator, self.args.dataloader_drop_last = self.evaluation_collator, False
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator, self.args.dataloader_drop_last = training_collator, drop_last


def finetune_classifier(
    pretrained: str | os.PathLike,
    tokenizer: AnyECGTokenizer,
    train: list[CleanedRecord],
    selection: list[CleanedRecord],
    label_names: tuple[str, ...],
    output_dir: str | os.PathLike,
    window_patches: int,
    strategies: tuple[tuple[str, float, float], ...] = (("random", 0.5, 1.0),),
    lead_dropout: float = 0.2,
    patience: int = 6,
    config_overrides: dict[str, Any] | None = None,
    **arguments: Any,
) -> AnyECGClassifierWithCodes:
    """
    Fine-tunes a masked-code checkpoint; keeps the epoch with the best macro AUROC on the selection records.

    Args:
        pretrained (`str` or `os.PathLike`): Checkpoint of [`AnyECGForMaskedCodeModeling`].
        tokenizer ([`AnyECGTokenizer`]): Pads the batches.
        train, selection (`list[CleanedRecord]`): Records with labels; the training records with codes too.
        label_names (`tuple[str, ...]`): Names of the classes, in the order of the labels.
        output_dir (`str` or `os.PathLike`): Where checkpoints go; resumed from.
        window_patches (`int`): Patches of a window.
        strategies, lead_dropout (*optional*): As in [`MaskedCodeCollator`] and [`RecordWindows`].
        patience (`int`, *optional*, defaults to 6): Epochs without improvement before training stops.
        config_overrides (`dict`, *optional*): Fields of the config that differ from the pre-trained one.
        arguments: Fields of `TrainingArguments`.

    Returns:
        [`AnyECGClassifierWithCodes`], the best one, in evaluation mode.
    """
    seed = arguments.get("seed", 0)
    torch.manual_seed(seed)
    model = AnyECGClassifierWithCodes.from_pretrained(
        pretrained,
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={name: index for index, name in enumerate(label_names)},
        problem_type="multi_label_classification",
        **(config_overrides or {}),
    )
    settings = {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "load_best_model_at_end": True,
        "metric_for_best_model": "macro_auroc",
        "label_names": ["labels"],
        "restore_callback_states_from_checkpoint": True,  # epochs without improvement
    }
    trainer = ClassifierTrainer(
        model=model,
        args=training_arguments(output_dir, **{**settings, **arguments}),
        train_dataset=RecordWindows(train, window_patches, training=True, lead_dropout=lead_dropout, seed=seed),
        eval_dataset=RecordWindows(selection, window_patches, training=False, most_windows=1),
        data_collator=ClassifierWithCodesCollator(
            tokenizer, strategies=strategies, time_positions=record_time_positions(model.config, window_patches)
        ),
        evaluation_collator=WindowCollator(tokenizer, keys=("labels",)),
        compute_metrics=_selection_metrics,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=patience)],
    )
    train_or_resume(trainer)
    return model.eval()


def _selection_metrics(prediction: EvalPrediction) -> dict[str, float]:
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    return {"macro_auroc": macro_auroc(prediction.label_ids, logits)}


@torch.no_grad()
def class_probabilities(
    model: AnyECGForSequenceClassification, tokenizer: AnyECGTokenizer, windows: RecordWindows
) -> np.ndarray:
    """Multi-label probabilities `(windows, classes)`, float32."""
    loader = DataLoader(windows, batch_size=16, collate_fn=WindowCollator(tokenizer))
    batches = ({name: values.to(model.device) for name, values in batch.items()} for batch in loader)
    return torch.cat([model(**batch).logits.float().sigmoid().cpu() for batch in batches]).numpy()
