# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`transformers.Trainer` learns the same from one large batch and from several small ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.tiny import padded_batch, tiny_config, tiny_quantizer_config
from torch.nn.functional import one_hot
from transformers import PreTrainedModel, Trainer, TrainingArguments

from anyecg_hf import (
    AnyECGForLeadReconstruction,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGForTokenClassification,
    AnyECGRhythmQuantizer,
)

pytest.importorskip("accelerate", reason="transformers.Trainer needs accelerate")

RECORDS = 4


def items(**labels: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Four records of the same size, so that the mean of their losses is the loss of the four."""
    values = torch.cat([padded_batch(seed=seed)["input_values"][:1, :2, :4] for seed in range(RECORDS)])
    columns = {
        "input_values": values,
        "attention_mask": torch.ones(RECORDS, 2, 4, dtype=torch.long),
        "lead_ids": torch.tensor([[0, 1]] * RECORDS),
        **labels,
    }
    return [{name: column[index] for name, column in columns.items()} for index in range(RECORDS)]


def hidden_half() -> torch.Tensor:
    return (torch.arange(RECORDS * 8) % 2 == 0).view(RECORDS, 2, 4)


CODES = torch.arange(RECORDS * 8).view(RECORDS, 2, 4) % 16
CASES: dict[str, tuple[type[PreTrainedModel], Any, dict[str, torch.Tensor]]] = {
    "single label": (AnyECGForSequenceClassification, tiny_config(num_labels=3), {"labels": torch.arange(4) % 3}),
    "multi label": (
        AnyECGForSequenceClassification,
        tiny_config(num_labels=3, problem_type="multi_label_classification"),
        {"labels": one_hot(torch.arange(4) % 3, 3).float()},
    ),
    "regression": (
        AnyECGForSequenceClassification,
        tiny_config(num_labels=1, problem_type="regression"),
        {"labels": torch.linspace(-1, 1, 4)[:, None]},
    ),
    "masked codes": (
        AnyECGForMaskedCodeModeling,
        tiny_config(),
        {"labels": CODES, "bool_masked_pos": hidden_half()},
    ),
    "token labels": (AnyECGForTokenClassification, tiny_config(num_labels=3), {"labels": CODES[:, 0] % 3}),
    "lead reconstruction": (
        AnyECGForLeadReconstruction,
        tiny_config(reconstruction_width=8, num_reconstruction_layers=2),
        {"labels": torch.ones(RECORDS, 2, 4, 75), "bool_masked_pos": hidden_half()},
    ),
    "quantizer": (
        AnyECGRhythmQuantizer,
        tiny_quantizer_config(),
        {"demographics": torch.tensor([[60.0, 70.0, 1.0], [40.0, 80.0, 0.0]] * 2)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_accumulating_four_small_batches_is_one_large_batch(case: str, tmp_path: Path):
    model_class, config, labels = CASES[case]
    losses, weights = [], []
    for accumulation in (1, RECORDS):
        torch.manual_seed(0)
        model = model_class(config)
        arguments = TrainingArguments(
            output_dir=tmp_path,
            max_steps=1,
            per_device_train_batch_size=RECORDS // accumulation,
            gradient_accumulation_steps=accumulation,
            learning_rate=0.1,
            lr_scheduler_type="constant",
            optim="sgd",
            max_grad_norm=1e9,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(model, arguments, train_dataset=items(**labels))
        assert trainer.model_accepts_loss_kwargs is False
        losses.append(trainer.train().training_loss)
        weights.append(model.state_dict())
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    torch.manual_seed(0)
    untrained = model_class(config).state_dict()
    assert any(not torch.equal(weights[0][name], untrained[name]) for name in untrained)
    for name, expected in weights[0].items():
        torch.testing.assert_close(weights[1][name], expected, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
