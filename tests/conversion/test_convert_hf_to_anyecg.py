# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Back into the ancestors' layout, and forth again: the same weights."""

import convert_anyecg_to_hf
import pytest
import torch
from ancestor_models import AncestorBackbone
from convert_hf_to_anyecg import main
from safetensors.torch import load_file
from tests.conversion.sources import shaken
from tests.models.tiny import tiny_config, tiny_quantizer_config

from anyecg_hf import (
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of both stages."""
    folder = tmp_path / "checkpoint"
    shaken(AnyECGForMaskedCodeModeling(tiny_config(use_scale_embeddings=True))).save_pretrained(folder)
    tokenizer = AnyECGTokenizer(patch_size=75)
    tokenizer.quantizer = shaken(AnyECGRhythmQuantizer(tiny_quantizer_config()))
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("options", [[], ["--wrap", "model", "--prefix", "module."]])
def test_there_and_back_is_the_same_bit_for_bit(checkpoint, tmp_path, capsys, options):
    there, back = tmp_path / "there", tmp_path / "back"
    assert main([str(checkpoint), "-o", str(there / "stage2.pth"), *options]) == 0
    assert main([str(checkpoint), "-o", str(there / "stage1.pth"), "--part", "AnyECGRhythmQuantizer", *options]) == 0
    assert "AnyECGRhythmQuantizer: " in capsys.readouterr().out
    files = [str(there / name) for name in ("stage2.pth", "stage2.json", "stage1.pth", "stage1.json")]
    arguments = [files[0], "--config", files[1], "--quantizer", files[2], "--quantizer-config", files[3]]
    assert convert_anyecg_to_hf.main([*arguments, "-o", str(back)]) == 0
    for name in ("model.safetensors", "quantizer/model.safetensors"):
        before, after = load_file(checkpoint / name), load_file(back / name)
        assert before.keys() == after.keys()
        assert all(torch.equal(after[weight], tensor) for weight, tensor in before.items())


def test_the_file_is_plain_tensors_by_the_ancestors_names(checkpoint, tmp_path):
    assert main([str(checkpoint), "-o", str(tmp_path / "file.pt"), "--wrap", "state_dict", "--prefix", "module."]) == 0
    content = torch.load(tmp_path / "file.pt", weights_only=True)
    assert list(content) == ["state_dict"] and all(name.startswith("module.") for name in content["state_dict"])
    weights = {name.removeprefix("module."): tensor for name, tensor in content["state_dict"].items()}
    AncestorBackbone(tiny_config(use_scale_embeddings=True), "lm_head").load_state_dict(weights, strict=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--part", "AnyECGForTokenClassification"], "has no form in the ancestors' layout: choose `--part` among"),
        (["--part", "AnyECGForSequenceClassification"], "lacks weights of AnyECGForSequenceClassification"),
        (["-o", "model.safetensors"], "model.safetensors is to be a pickle: name it .pth or .pt"),
    ],
)
def test_what_cannot_be_written_is_refused(checkpoint, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert main([str(checkpoint), "-o", "file.pth", *options]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (lambda: AnyECGForLongRecordClassification(tiny_config()), None),
        (lambda: AnyECGForSequenceClassification(tiny_config(classifier_pooling="attention")), None),
    ],
)
def test_weights_that_the_layout_has_no_place_for_are_never_left_behind(tmp_path, capsys, model, part):
    model().save_pretrained(tmp_path / "checkpoint")
    assert main([str(tmp_path / "checkpoint"), "-o", str(tmp_path / "file.pth")]) == 2
    assert "the ancestors' layout" in capsys.readouterr().err and not (tmp_path / "file.pth").exists()
