# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import pytest
import torch
from tests.models.battery import Answers, BackboneBattery, Batch
from tests.models.tiny import hidden_positions, padded_batch, tiny_config
from torch import nn
from transformers import AutoModelForAudioFrameClassification, AutoModelForTokenClassification

from anyecg_hf import AnyECGConfig, AnyECGForTokenClassification

MULTI_LABEL = "multi_label_classification"
SINGLE_LABEL = "single_label_classification"
NAN = float("nan")


class TestAnyECGForTokenClassificationByLead(BackboneBattery):
    model_class = AnyECGForTokenClassification
    auto_classes = (AutoModelForTokenClassification, AutoModelForAudioFrameClassification)
    backbone_weight = "anyecg.layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGConfig:
        return tiny_config(**{"num_labels": 3, "token_label_level": "lead", **overrides})

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        return Answers(tokens=outputs.logits * batch_mask(batch, outputs.logits))

    def training_inputs(self) -> Batch:
        return {**padded_batch(), "labels": torch.arange(36).view(2, 3, 6) % 3}


class TestAnyECGForTokenClassificationByTime(TestAnyECGForTokenClassificationByLead):
    def config(self, **overrides: Any) -> AnyECGConfig:
        return super().config(**{"token_label_level": "time", "problem_type": MULTI_LABEL, **overrides})

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        # One answer for all leads of a time; the order of the leads must not matter.
        leads = batch["input_values"].shape[1]
        tokens = outputs.logits[:, None].expand(-1, leads, -1, -1)
        return Answers(tokens=tokens * batch_mask(batch, tokens))

    def training_inputs(self) -> Batch:
        return {**padded_batch(), "labels": (torch.arange(36).view(2, 6, 3) % 4 == 0).float()}


def batch_mask(batch: Batch, tokens: torch.Tensor) -> torch.Tensor:
    mask = batch.get("attention_mask", torch.ones(tokens.shape[:3]))
    return mask[..., None].to(tokens.dtype)


@pytest.fixture
def batch() -> Batch:
    return padded_batch()


def classifier(level: str = "time", **overrides: Any) -> AnyECGForTokenClassification:
    torch.manual_seed(0)
    return AnyECGForTokenClassification(tiny_config(num_labels=3, token_label_level=level, **overrides)).eval()


@torch.no_grad()
def test_a_time_is_read_from_the_mean_of_its_real_leads(batch: Batch):
    model = classifier()
    logits = model(**batch).logits
    hidden = model.anyecg(**batch).last_hidden_state.view(2, 3, 6, -1)
    assert logits.shape == (2, 6, 3)
    real = batch["attention_mask"].bool()
    for record, time in [(0, 0), (0, 2), (1, 3)]:
        mean = hidden[record, real[record, :, time], time].mean(dim=0)
        torch.testing.assert_close(logits[record, time], model.classifier(mean))


@torch.no_grad()
def test_a_lead_and_time_is_read_from_its_own_token(batch: Batch):
    model = classifier("lead")
    logits = model(**batch).logits
    assert logits.shape == (2, 3, 6, 3)
    hidden = model.anyecg(**batch).last_hidden_state.view(2, 3, 6, -1)
    torch.testing.assert_close(logits[0, 1, 4], model.classifier(hidden[0, 1, 4]))


@pytest.mark.parametrize("level", ["time", "lead"])
def test_the_single_label_loss_is_the_mean_over_known_real_places(level: str, batch: Batch):
    model = classifier(level, problem_type=SINGLE_LABEL)
    real = batch["attention_mask"].bool() if level == "lead" else batch["attention_mask"].bool().any(dim=1)
    labels = torch.arange(real.numel()).view(real.shape) % 3
    labels[0, 0] = -100
    labels[~real] = 99  # what is said of padding is not read
    outputs = model(**batch, labels=labels)
    known = real & (labels != -100)
    torch.testing.assert_close(outputs.loss, nn.functional.cross_entropy(outputs.logits[known], labels[known]))
    inferred = classifier(level)(**batch, labels=labels).loss
    torch.testing.assert_close(inferred, outputs.loss, rtol=0, atol=0)


@pytest.mark.parametrize("unknown", [NAN, -100.0])
@pytest.mark.parametrize("level", ["time", "lead"])
def test_the_multi_label_loss_is_the_mean_over_known_real_places_and_classes(level: str, unknown: float, batch: Batch):
    model = classifier(level, problem_type=MULTI_LABEL)
    real = batch["attention_mask"].bool() if level == "lead" else batch["attention_mask"].bool().any(dim=1)
    labels = (torch.arange(real.numel() * 3).view(*real.shape, 3) % 2).float()
    labels[0, 0] = unknown
    labels[0, 1, ..., 2] = unknown
    labels[~real] = 7.0
    outputs = model(**batch, labels=labels)
    known = real[..., None] & ~labels.isnan() & (labels != -100)
    expected = nn.functional.binary_cross_entropy_with_logits(outputs.logits[known], labels[known])
    torch.testing.assert_close(outputs.loss, expected)
    inferred = classifier(level)(**batch, labels=labels).loss
    torch.testing.assert_close(inferred, outputs.loss, rtol=0, atol=0)


def test_whole_numbers_serve_as_multi_labels(batch: Batch):
    model, labels = classifier(), torch.arange(36).view(2, 6, 3) % 2
    torch.testing.assert_close(model(**batch, labels=labels).loss, model(**batch, labels=labels.float()).loss)


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL])
def test_without_any_known_label_the_loss_is_zero_and_trains_nothing(problem_type: str, batch: Batch):
    model = classifier(problem_type=problem_type)
    shape = (2, 6) if problem_type == SINGLE_LABEL else (2, 6, 3)
    loss = model(**batch, labels=torch.full(shape, -100)).loss
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not any(parameter.grad.any() for parameter in model.parameters())


def test_without_labels_there_is_no_loss(batch: Batch):
    assert classifier()(**batch).loss is None


@pytest.mark.parametrize(
    ("problem_type", "labels", "message"),
    [
        (SINGLE_LABEL, torch.zeros(2, 3, 6).long(), r"expected labels of shape \(2, 6\), one class a place, got"),
        (SINGLE_LABEL, torch.zeros(2, 6), "must be whole numbers, got labels of dtype torch.float32"),
        (SINGLE_LABEL, torch.full((2, 6), 3), "label 3 is none of the 3 classes 0..2; unknown places are -100"),
        (SINGLE_LABEL, torch.full((2, 6), -1), "label -1 is none of the 3 classes"),
        (MULTI_LABEL, torch.zeros(2, 6), r"expected labels of shape \(2, 6, 3\), one number a place and class, got"),
        (MULTI_LABEL, torch.full((2, 6, 3), 2.0), "must lie in 0..1, got 2; unknown ones are NaN or -100"),
        ("regression", torch.zeros(2, 6, 3), "must be 'single_label_.* or 'multi_label_.*, got 'regression'"),
    ],
)
def test_labels_that_make_no_sense_are_refused(problem_type: str, labels: torch.Tensor, message: str, batch: Batch):
    with pytest.raises(ValueError, match=message):
        classifier(problem_type=problem_type)(**batch, labels=labels)


def test_hiding_patches_is_an_augmentation(batch: Batch):
    model = classifier()
    plain, hidden = model(**batch).logits, model(**batch, bool_masked_pos=hidden_positions(batch)).logits
    assert (plain - hidden).abs().max() > 1e-3


def test_dropout_before_the_classifier_acts_in_training_only(batch: Batch):
    model = classifier(classifier_dropout=0.5)
    calm = model(**batch).logits
    torch.testing.assert_close(model(**batch).logits, calm, rtol=0, atol=0)
    assert (model.train()(**batch).logits - calm).abs().max() > 1e-3
