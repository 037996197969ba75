# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import pytest
import torch
from transformers import AutoModelForAudioClassification, AutoModelForSequenceClassification

from anyecg_hf import AnyECGConfig, AnyECGForSequenceClassification
from tests.models.battery import Answers, BackboneBattery, Batch
from tests.models.tiny import padded_batch, tiny_config


class TestAnyECGForSequenceClassification(BackboneBattery):
    model_class = AnyECGForSequenceClassification
    auto_classes = (AutoModelForSequenceClassification, AutoModelForAudioClassification)
    backbone_weight = "anyecg.layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGConfig:
        return tiny_config(**{"num_labels": 3, "problem_type": "multi_label_classification", **overrides})

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        return Answers(records=outputs.logits)

    def training_inputs(self) -> Batch:
        return {**padded_batch(), "labels": torch.tensor([[1, 0, 1], [0, 1, 0]])}


class TestAnyECGForSequenceClassificationPoolingMeanAndMaximum(TestAnyECGForSequenceClassification):
    def config(self, **overrides: Any) -> AnyECGConfig:
        return super().config(**{"classifier_pooling": "mean_max", **overrides})
