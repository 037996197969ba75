# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining

from anyecg_hf import AnyECGConfig, AnyECGForMaskedCodeModeling, AnyECGModel
from tests.models.battery import Answers, BackboneBattery, Batch
from tests.models.tiny import hidden_positions, padded_batch, tiny_config


class TestAnyECGModel(BackboneBattery):
    model_class = AnyECGModel
    auto_classes = (AutoModel,)
    backbone_weight = "layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGConfig:
        return tiny_config(**overrides)

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        shape = batch["input_values"].shape[:3]
        return Answers(outputs.last_hidden_state.view(*shape, -1), outputs.pooler_output)

    def loss(self, outputs: Any) -> torch.Tensor:
        target = torch.linspace(-1, 1, outputs.pooler_output.shape[-1])
        return (outputs.pooler_output - target).square().mean()


class TestAnyECGForMaskedCodeModeling(BackboneBattery):
    model_class = AnyECGForMaskedCodeModeling
    auto_classes = (AutoModelForPreTraining, AutoModelForMaskedLM)
    backbone_weight = "anyecg.layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGConfig:
        return tiny_config(**overrides)

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        return Answers(tokens=outputs.logits)

    def inputs(self) -> Batch:
        batch = padded_batch()
        return {**batch, "bool_masked_pos": hidden_positions(batch)}

    def training_inputs(self) -> Batch:
        batch = self.inputs()
        return {**batch, "labels": random_codes(batch)}


def random_codes(batch: Batch, codebook_size: int = 16) -> torch.Tensor:
    """Codes as the tokenizer gives them: -1 where masked."""
    codes = torch.randint(codebook_size, batch["attention_mask"].shape, generator=torch.Generator().manual_seed(2))
    return codes.masked_fill(batch["attention_mask"] == 0, -1)
