# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.checkpoints import (
    DESCRIPTIONS,
    THRESHOLDS,
    build_checkpoint,
    random_classifier,
    random_tokenizer,
    save_whole,
)
from tests.models.ecg_signals import heartbeats
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from anyecg_hf import (
    AnyECGForLeadReconstruction,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
    AutoModelForECGReconstruction,
)
from anyecg_hf.training.classifier_with_codes import AnyECGClassifierWithCodes
from anyecg_hf.training.export import pack_checkpoint

SERVED = {
    AutoModel: AnyECGModel,
    AutoModelForMaskedLM: AnyECGForMaskedCodeModeling,
    AutoModelForSequenceClassification: AnyECGForSequenceClassification,
}


def packed(model: AnyECGClassifierWithCodes, tokenizer: AnyECGTokenizer, folder: Path, **arguments: Any) -> Path:
    """Saves a checkpoint as training does, and packs it."""
    pack_checkpoint(save_whole(model, tokenizer, folder / "trained"), folder / "packed", provenance={}, **arguments)
    return folder / "packed"


@pytest.mark.parametrize("file", ["model.safetensors", "quantizer/model.safetensors"])
def test_weights_are_stored_in_half_precision(checkpoint, file):
    stored = load_file(checkpoint / file)
    floating = {value.dtype for name, value in stored.items() if value.is_floating_point() and "codebooks" not in name}
    assert floating == {torch.float16}
    assert all(value.isfinite().all() for value in stored.values())


@pytest.mark.parametrize("auto_class", SERVED, ids=lambda auto_class: auto_class.__name__)
def test_every_auto_class_loads_it_whole_as_float32(checkpoint, auto_class):
    model, info = auto_class.from_pretrained(checkpoint, output_loading_info=True)
    assert type(model) is SERVED[auto_class]
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_weights_are_those_of_the_model_rounded(tmp_path):
    torch.manual_seed(1)
    model, tokenizer = random_classifier(), random_tokenizer()
    packed(model, tokenizer, tmp_path)
    parts = [
        (AnyECGForSequenceClassification.from_pretrained(tmp_path / "packed"), model),
        (AnyECGForMaskedCodeModeling.from_pretrained(tmp_path / "packed"), model),
        (AnyECGRhythmQuantizer.from_pretrained(tmp_path / "packed" / "quantizer"), tokenizer.quantizer),
    ]
    for loaded, original in parts:
        state = original.state_dict()
        for name, value in loaded.state_dict().items():
            expected = state[name] if ".codebooks." in name else state[name].half().to(value.dtype)
            torch.testing.assert_close(value, expected, rtol=0, atol=0)


def test_codebooks_stay_in_single_precision(tmp_path):
    tokenizer = random_tokenizer()
    tokenizer.quantizer.quantizer.codebooks[0].ema_counts[0] = 70_000.0  # float16 ends at 65,504
    stored = load_file(packed(random_classifier(), tokenizer, tmp_path) / "quantizer" / "model.safetensors")
    codebook = {name: value for name, value in stored.items() if ".codebooks." in name}
    assert codebook and {value.dtype for value in codebook.values()} == {torch.float32}
    assert float(stored["quantizer.codebooks.0.ema_counts"][0]) == 70_000.0


def test_a_weight_that_float16_cannot_hold_is_an_error(tmp_path):
    model = random_classifier()
    with torch.no_grad():
        model.classifier.bias[0] = 1e5
    with pytest.raises(ValueError, match=r"`classifier.bias` of model.safetensors does not fit .* is 100000"):
        packed(model, random_tokenizer(), tmp_path)


def test_another_stored_type_may_be_asked_for(tmp_path):
    folder = packed(random_classifier(), random_tokenizer(), tmp_path, stored_dtype=torch.bfloat16)
    assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    assert AnyECGForSequenceClassification.from_pretrained(folder).dtype == torch.float32


def test_the_feature_extractor_encodes_and_decodes(checkpoint):
    tokenizer = AutoFeatureExtractor.from_pretrained(checkpoint)
    assert type(tokenizer) is AnyECGTokenizer
    batch = tokenizer(
        heartbeats(2, 4, 500, noise_mv=0.01), sampling_rate=500, lead_names=["I", "V2"], return_tensors="pt"
    )
    codes = tokenizer.encode(batch)
    assert codes.shape == (1, 2, 16) and int(codes.min()) >= 0 and int(codes.max()) < 64
    assert len(codes.unique()) > 5
    decoded = tokenizer.decode(codes, batch["lead_ids"], batch["scale"])
    assert decoded.shape == (1, 2, 1200) and np.isfinite(decoded.numpy()).all()


def test_labels_descriptions_and_thresholds_travel_along(checkpoint):
    config = AutoModelForSequenceClassification.from_pretrained(checkpoint).config
    assert config.id2label == {0: "NORM", 1: "MI", 2: "STTC", 3: "CD", 4: "HYP"}
    assert (config.label_descriptions, config.label_thresholds) == (DESCRIPTIONS, THRESHOLDS)
    assert config.problem_type == "multi_label_classification"
    assert config.architectures == ["AnyECGForSequenceClassification"]


def test_provenance_is_kept(checkpoint):
    assert json.loads((checkpoint / "provenance.json").read_text()) == {"seed": 0}


def test_the_same_seed_gives_the_same_checkpoint(checkpoint, tmp_path):
    again = build_checkpoint(tmp_path / "again")
    for file in ("model.safetensors", "quantizer/model.safetensors"):
        assert (again / file).read_bytes() == (checkpoint / file).read_bytes()


class TestHeads:
    """A head of another run on the same frozen backbone is put beside the classifier."""

    @pytest.fixture
    def classifier(self, tmp_path) -> Path:
        torch.manual_seed(1)
        return save_whole(random_classifier(), random_tokenizer(), tmp_path / "trained")

    def lead_head(self, classifier: Path, folder: Path, **fields: Any) -> AnyECGForLeadReconstruction:
        model = AnyECGForLeadReconstruction.from_pretrained(classifier, **fields)
        with torch.no_grad():
            model.reconstruction_head.decoder.norm.weight.normal_()
        factor = torch.randn(len(model.config.lead_names), 3)
        model.set_lead_covariance(factor @ factor.T)
        model.save_pretrained(folder)
        return model

    def test_all_heads_are_served_from_one_folder(self, classifier, tmp_path):
        model = self.lead_head(classifier, tmp_path / "leads")
        pack_checkpoint(classifier, tmp_path / "packed", provenance={}, heads=[tmp_path / "leads"])
        loaded, info = AutoModelForECGReconstruction.from_pretrained(tmp_path / "packed", output_loading_info=True)
        assert not any(info[keys] for keys in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        # Rounding twelve dependent leads would leave no covariance.
        torch.testing.assert_close(loaded.lead_covariance, model.lead_covariance, rtol=0, atol=0)
        for name, value in loaded.reconstruction_head.decoder.state_dict().items():
            torch.testing.assert_close(value, model.reconstruction_head.decoder.state_dict()[name].half().float())
        for auto_class in SERVED:
            info = auto_class.from_pretrained(tmp_path / "packed", output_loading_info=True)[1]
            assert not any(info[keys] for keys in ("missing_keys", "unexpected_keys", "mismatched_keys"))

    def test_a_head_of_another_backbone_is_refused(self, classifier, tmp_path):
        model = self.lead_head(classifier, tmp_path / "leads")
        with torch.no_grad():
            model.anyecg.norm.bias += 1.0
        model.save_pretrained(tmp_path / "leads")
        with pytest.raises(ValueError, match=r"another backbone than .*: `anyecg.norm.bias` differs.*mode: head"):
            pack_checkpoint(classifier, tmp_path / "packed", provenance={}, heads=[tmp_path / "leads"])

    def test_a_head_that_the_config_does_not_describe_is_refused(self, classifier, tmp_path):
        self.lead_head(classifier, tmp_path / "leads", reconstruction_loss="mse")
        with pytest.raises(ValueError, match=r"`reconstruction_loss` 'mse', .* 'log_mse'"):
            pack_checkpoint(classifier, tmp_path / "packed", provenance={}, heads=[tmp_path / "leads"])
