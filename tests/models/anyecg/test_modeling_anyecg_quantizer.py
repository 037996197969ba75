# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForAudioTokenization, PreTrainedModel

from anyecg_hf import AnyECGQuantizerConfig, AnyECGRhythmQuantizer
from tests.models.battery import Answers, Batch, ModelBattery
from tests.models.tiny import padded_batch, tiny_quantizer_config


NAN = float("nan")


class TestAnyECGRhythmQuantizer(ModelBattery):
    model_class = AnyECGRhythmQuantizer
    auto_classes = (AutoModel, AutoModelForAudioTokenization)
    backbone_weight = "encoder.layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGQuantizerConfig:
        return tiny_quantizer_config(**overrides)

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        return Answers(tokens=torch.cat((outputs.reconstruction, outputs.codes[..., None]), dim=-1))

    def training_inputs(self) -> Batch:
        return {**padded_batch(), "demographics": torch.tensor([[60.0, 80.0, 1.0], [40.0, NAN, 0.0]])}

    def after_step(self, model: PreTrainedModel) -> None:
        model.update_codebook()
