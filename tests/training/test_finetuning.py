# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
import torch
from tests.models.tiny import tiny_config
from tests.training.conftest import SMALL, WINDOW_PATCHES, assert_same_weights, last_checkpoint, log_of
from tests.training.written_records import cleaned_records

from anyecg_hf import AnyECGForMaskedCodeModeling, AnyECGForSequenceClassification
from anyecg_hf.evaluation.metrics import macro_auroc
from anyecg_hf.models.anyecg import masked_code_loss
from anyecg_hf.training.finetuning import AnyECGClassifierWithCodes, class_probabilities, finetune_classifier
from anyecg_hf.training.windows import RecordWindows

NAMES = ("upside down", "other")
EPOCHS = 4


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    AnyECGForMaskedCodeModeling(tiny_config(**{**SMALL, "initializer_range": 0.05})).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def coded(beats):
    for record in beats:
        record.codes = np.arange(record.patch_mask.size).reshape(record.patch_mask.shape) % 16
    return beats


@pytest.fixture(scope="module")
def selection():
    return cleaned_records(10, seconds=2.0, labels=[[index % 2, index % 3 == 0] for index in range(10)])


@pytest.fixture(scope="module")
def finetune(pretrained, tokenizer, coded, selection, few_steps):
    def finetune(folder, **overrides):
        arguments = {**few_steps, "num_train_epochs": EPOCHS, "per_device_eval_batch_size": 4, **overrides}
        return finetune_classifier(
            pretrained,
            tokenizer,
            coded,
            selection,
            NAMES,
            folder,
            WINDOW_PATCHES,
            config_overrides={"hidden_dropout": 0.1, "classifier_pooling": "mean_max"},
            **arguments,
        )

    return finetune


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("stage3")


@pytest.fixture(scope="module")
def model(finetune, run):
    return finetune(run)


class TestFinetuneClassifier:
    def test_the_loss_falls_and_both_terms_are_in_the_log(self, model, run):
        log = [entry for entry in log_of(run) if "loss" in entry]
        assert log[-1]["classification_loss"] < log[0]["classification_loss"]
        for entry in log:
            expected = entry["classification_loss"] + 0.1 * entry["code_loss"]
            assert entry["loss"] == pytest.approx(expected, rel=1e-3)

    def test_the_labels_are_named_and_overrides_are_kept(self, model):
        assert not model.training
        assert model.config.id2label == dict(enumerate(NAMES))
        assert model.config.problem_type == "multi_label_classification"
        assert (model.config.classifier_pooling, model.config.trained_time_positions) == ("mean_max", WINDOW_PATCHES)

    def test_selection_is_measured_on_all_its_records(self, model, tokenizer, selection, run):
        # Ten records in batches of four: the last two count as well.
        logged = max(entry["eval_macro_auroc"] for entry in log_of(run) if "eval_macro_auroc" in entry)
        windows = RecordWindows(selection, WINDOW_PATCHES, training=False, most_windows=1)
        scores = class_probabilities(model, tokenizer, windows)
        assert scores.shape == (10, 2) and ((scores > 0) & (scores < 1)).all()
        assert macro_auroc(np.stack([record.labels for record in selection]), scores) == pytest.approx(logged, abs=1e-6)

    def test_the_best_epoch_is_kept(self, model, run):
        state = json.loads((last_checkpoint(run) / "trainer_state.json").read_text())
        values = [entry["eval_macro_auroc"] for entry in state["log_history"] if "eval_macro_auroc" in entry]
        best = AnyECGClassifierWithCodes.from_pretrained(state["best_model_checkpoint"])
        assert state["best_metric"] == max(values)
        assert_same_weights(model, best)

    def test_a_resumed_run_gives_exactly_the_weights_of_an_uninterrupted_one(
        self, model, finetune, run, resumable, tmp_path
    ):
        # Three steps an epoch; the best checkpoint of the run so far travels with it.
        for step in (3, 6):
            resumable(run, step, tmp_path)
        resumed = finetune(tmp_path)
        assert_same_weights(resumed, model)
        for name in ("loss", "eval_macro_auroc"):
            logged = [[entry[name] for entry in log_of(folder) if name in entry] for folder in (tmp_path, run)]
            assert logged[0] == logged[1]

    def test_epochs_without_improvement_are_still_counted_after_resuming(self, finetune, resumable, tmp_path):
        # A learning rate of zero never improves: patience 2 ends the run after the third epoch.
        whole, resumed = tmp_path / "whole", tmp_path / "resumed"
        finetune(whole, learning_rate=0.0, patience=2)
        assert log_of(whole)[-1]["epoch"] == 3.0
        for step in (3, 6):
            resumable(whole, step, resumed)
        finetune(resumed, learning_rate=0.0, patience=2)
        assert log_of(resumed)[-1]["epoch"] == 3.0


class TestAnyECGClassifierWithCodes:
    @pytest.fixture
    def batch(self):
        generator = torch.Generator().manual_seed(0)
        hidden = torch.rand(2, 3, 4, generator=generator) < 0.5
        return {
            "input_values": torch.randn(2, 3, 4, 75, generator=generator),
            "lead_ids": torch.tensor([[0, 1, 6], [0, 1, 6]]),
            "labels": torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
            "codes": torch.randint(16, (2, 3, 4), generator=generator),
            "bool_masked_pos": hidden,
        }

    @pytest.fixture
    def classifier(self, pretrained):
        return AnyECGClassifierWithCodes.from_pretrained(
            pretrained, num_labels=2, problem_type="multi_label_classification"
        ).eval()

    def test_the_code_head_comes_from_stage_2(self, classifier, pretrained):
        masked = AnyECGForMaskedCodeModeling.from_pretrained(pretrained)
        assert torch.equal(classifier.code_head.weight, masked.code_head.weight)

    @torch.no_grad()
    def test_the_loss_is_the_sum_of_both_tasks(self, classifier, pretrained, batch):
        masked = AnyECGForMaskedCodeModeling.from_pretrained(pretrained).eval()
        codes, hidden = batch["codes"], batch["bool_masked_pos"]
        logits = masked(batch["input_values"], lead_ids=batch["lead_ids"], bool_masked_pos=hidden).logits
        outputs = classifier(**batch)
        expected = masked_code_loss(logits[..., None, :], codes, hidden)
        torch.testing.assert_close(outputs.code_loss, expected)
        torch.testing.assert_close(outputs.loss, outputs.classification_loss + 0.1 * outputs.code_loss)

    @torch.no_grad()
    def test_classes_are_told_from_the_whole_input(self, classifier, batch, tmp_path):
        classifier.save_pretrained(tmp_path)
        plain = AnyECGForSequenceClassification.from_pretrained(tmp_path).eval()
        expected = plain(batch["input_values"], lead_ids=batch["lead_ids"]).logits
        torch.testing.assert_close(classifier(**batch).logits, expected)

    @torch.no_grad()
    def test_without_codes_it_is_a_plain_classifier(self, classifier, batch):
        outputs = classifier(batch["input_values"], lead_ids=batch["lead_ids"], labels=batch["labels"])
        assert outputs.code_loss is None
        torch.testing.assert_close(outputs.loss, outputs.classification_loss)
