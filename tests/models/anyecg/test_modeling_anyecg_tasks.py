# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.battery import Answers, BackboneBattery, Batch
from tests.models.tiny import hidden_positions, padded_batch, tiny_config
from torch import nn
from transformers import AutoModelForAudioClassification, AutoModelForSequenceClassification

from anyecg_hf import AnyECGConfig, AnyECGForMaskedCodeModeling, AnyECGForSequenceClassification


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


class TestAnyECGForSequenceClassificationPoolingByAttention(TestAnyECGForSequenceClassification):
    def config(self, **overrides: Any) -> AnyECGConfig:
        return super().config(**{"classifier_pooling": "attention", **overrides})


@pytest.fixture
def batch() -> Batch:
    return padded_batch()


def classifier(**overrides: Any) -> AnyECGForSequenceClassification:
    torch.manual_seed(0)
    return AnyECGForSequenceClassification(tiny_config(**overrides)).eval()


@pytest.mark.parametrize(
    ("problem_type", "num_labels", "labels", "expected"),
    [
        ("single_label_classification", 3, [2, 0], nn.functional.cross_entropy),
        (
            "multi_label_classification",
            3,
            [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]],
            nn.functional.binary_cross_entropy_with_logits,
        ),
        ("regression", 1, [[0.5], [-2.0]], nn.functional.mse_loss),
        ("regression", 2, [[0.5, 1.0], [-2.0, 3.0]], nn.functional.mse_loss),
    ],
)
def test_the_loss_is_that_of_the_problem(
    problem_type: str, num_labels: int, labels: list, expected: Callable, batch: Batch
):
    labels = torch.tensor(labels)
    outputs = classifier(num_labels=num_labels, problem_type=problem_type)(**batch, labels=labels)
    assert outputs.logits.shape == (2, num_labels)
    torch.testing.assert_close(outputs.loss, expected(outputs.logits, labels))
    if not (problem_type == "regression" and num_labels > 1):  # several numbers a record look like several labels
        inferred = classifier(num_labels=num_labels)(**batch, labels=labels)
        torch.testing.assert_close(inferred.loss, outputs.loss, rtol=0, atol=0)


def test_whole_numbers_serve_as_multi_labels_and_flat_numbers_as_regression_targets(batch: Batch):
    labels = torch.tensor([[1, 0, 1], [0, 0, 1]])
    many = classifier(num_labels=3)
    torch.testing.assert_close(many(**batch, labels=labels).loss, many(**batch, labels=labels.float()).loss)
    one = classifier(num_labels=1)
    flat, column = torch.tensor([0.5, -2.0]), torch.tensor([[0.5], [-2.0]])
    torch.testing.assert_close(one(**batch, labels=flat).loss, one(**batch, labels=column).loss)


def test_without_labels_there_is_no_loss(batch: Batch):
    assert classifier()(**batch).loss is None


def test_an_unknown_problem_is_refused(batch: Batch):
    model = classifier()
    object.__setattr__(model.config, "problem_type", "ranking")
    with pytest.raises(ValueError, match="`config.problem_type` must be 'single_label_classification'.* got 'ranking'"):
        model(**batch, labels=torch.tensor([0, 1]))


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["mean", "mean_max"])
def test_the_head_reads_the_mean_and_on_request_the_maximum_of_real_tokens(pooling: str, batch: Batch):
    model = classifier(classifier_pooling=pooling)
    hidden = model.anyecg(**batch).last_hidden_state
    real = batch["attention_mask"].flatten(1).bool()
    for record, logits in enumerate(model(**batch).logits):
        tokens = hidden[record][real[record]]
        features = [tokens.mean(dim=0), tokens.amax(dim=0)][: 2 if pooling == "mean_max" else 1]
        torch.testing.assert_close(logits, model.classifier(torch.cat(features)))


@torch.no_grad()
def test_pooling_by_attention_is_attention_of_learned_queries_over_real_tokens(batch: Batch):
    model = classifier(classifier_pooling="attention", num_labels=3)
    head, hidden = model.classifier, model.anyecg(**batch).last_hidden_state
    real = batch["attention_mask"].flatten(1).bool()
    for record, logits in enumerate(model(**batch).logits):
        tokens = hidden[record][real[record]]
        pooled = [
            nn.functional.scaled_dot_product_attention(query[None], tokens, tokens, scale=1.0)[0] @ value.T
            for query, value in zip(head.query.weight, head.value.weight.chunk(2), strict=True)
        ]
        torch.testing.assert_close(logits, head.linear(torch.cat(pooled)))


@torch.no_grad()
def test_pooling_by_attention_says_the_bias_about_a_record_with_nothing_real(batch: Batch):
    model = classifier(classifier_pooling="attention")
    batch["attention_mask"][1] = 0
    torch.testing.assert_close(model(**batch).logits[1], model.classifier.linear.bias)
    del batch["attention_mask"]
    assert model(**batch).logits.isfinite().all()


def test_labels_have_names(tmp_path: Path):
    names = {0: "NORM", 1: "MI", 2: "STTC", 3: "CD", 4: "HYP"}
    model = classifier(id2label=names, label2id={name: label for label, name in names.items()})
    assert model.classifier.out_features == 5
    model.save_pretrained(tmp_path)
    assert AnyECGForSequenceClassification.from_pretrained(tmp_path).config.id2label == names


def test_hiding_patches_is_an_augmentation(batch: Batch):
    model = classifier()
    plain, hidden = model(**batch).logits, model(**batch, bool_masked_pos=hidden_positions(batch)).logits
    assert (plain - hidden).abs().max() > 1e-3


def test_another_number_of_labels_starts_a_new_classifier_on_the_same_backbone(tmp_path: Path):
    classifier(num_labels=3).save_pretrained(tmp_path)
    loaded = AnyECGForSequenceClassification.from_pretrained(tmp_path, num_labels=7, ignore_mismatched_sizes=True)
    assert loaded.classifier.weight.shape == (7, 32)
    assert loaded.classifier.weight.isfinite().all()


def test_one_checkpoint_may_hold_several_heads(tmp_path: Path, batch: Batch):
    model = classifier()
    torch.manual_seed(1)
    other = AnyECGForMaskedCodeModeling(model.config)
    model.save_pretrained(tmp_path)
    weights = {**model.state_dict(), **{f"code_head.{k}": v for k, v in other.code_head.state_dict().items()}}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for head, model_class in (("classifier", AnyECGForSequenceClassification), ("code_head", type(other))):
        loaded, info = model_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
        assert torch.equal(getattr(loaded, head).weight, weights[f"{head}.weight"])


def test_dropout_before_the_classifier_acts_in_training_only(batch: Batch):
    model = classifier(classifier_dropout=0.5)
    calm = model(**batch).logits
    torch.testing.assert_close(model(**batch).logits, calm, rtol=0, atol=0)
    assert (model.train()(**batch).logits - calm).abs().max() > 1e-3
