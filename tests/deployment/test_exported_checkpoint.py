# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
import torch
from tests.models.tiny import tiny_config

from anyecg_hf import (
    TINY,
    AnyECGForLongRecordClassification,
    AnyECGForSequenceClassification,
    AnyECGTokenizer,
)
from anyecg_hf.deployment.exported_checkpoint import export_checkpoint, load_whole
from anyecg_hf.deployment.onnx_files import onnx_session

LEADS = ["I", "II", "V1", "V2", "V5"]


@pytest.fixture(scope="module")
def tokenizer() -> AnyECGTokenizer:
    return AnyECGTokenizer.from_pretrained(TINY)


@pytest.fixture(scope="module")
def batch(tokenizer):
    beats = np.sin(np.arange(5 * 3000).reshape(5, 3000) / 40) ** 21
    return tokenizer(beats, sampling_rate=500, lead_names=LEADS, return_tensors="np")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    return export_checkpoint(TINY, tmp_path_factory.mktemp("exported"), int8=True)


def feed(session, batch):
    return {item.name: batch[item.name] for item in session.get_inputs()}


def test_the_folder_holds_graphs_settings_and_a_description(exported):
    names = {path.name: path.stat().st_size for path in exported.folder.iterdir()}
    assert names == exported.files
    assert {*names} == {
        *("model.onnx", "model.int8.onnx", "quantizer.onnx", "preprocessor_config.json", "export.json"),
    }
    assert names["model.int8.onnx"] < 0.5 * names["model.onnx"]
    assert exported.largest_differences["model.onnx"]["logits"] < 1e-4
    assert exported.largest_differences["quantizer.onnx"] == {"codes": 0.0}


def test_probabilities_and_codes_are_those_of_the_package(exported, tokenizer, batch):
    session = onnx_session(exported.folder / "model.onnx")
    (logits,) = session.run(None, feed(session, batch))
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in batch.items()}
    with torch.no_grad():
        expected = AnyECGForSequenceClassification.from_pretrained(TINY).eval()(**tensors).logits
    np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=1e-4)
    session = onnx_session(exported.folder / "quantizer.onnx")
    (codes,) = session.run(None, feed(session, batch))
    np.testing.assert_array_equal(codes, tokenizer.encode(tensors).numpy())


def test_the_description_says_what_another_program_needs(exported):
    told = json.loads((exported.folder / "export.json").read_text())
    assert told["labels"] == {"0": "NORM", "1": "MI", "2": "STTC", "3": "CD", "4": "HYP"}
    assert told["label_thresholds"].keys() == set(told["labels"].values())
    assert (told["patch_size"], told["sampling_rate_hz"], told["problem_type"]) == (
        *(75, 300),
        "multi_label_classification",
    )
    assert told["lead_names"][:2] == ["I", "II"] and told["opset"] == 20
    graph = told["graphs"]["model.onnx"]
    assert graph["model"] == "AnyECGForSequenceClassification" and "before sigmoid" in graph["outputs"]["logits"]
    assert [*graph["inputs"]] == ["input_values", "attention_mask", "lead_ids", "scale"]
    settings = AnyECGTokenizer.from_pretrained(exported.folder)
    assert settings.cleaning_settings == AnyECGTokenizer.from_pretrained(TINY).cleaning_settings


def test_torch_programs_hold_the_part_that_is_asked_for(tmp_path, batch):
    exported = export_checkpoint(TINY, tmp_path, form="torch", part="AnyECGModel")
    assert {*exported.files} == {"model.pt2", "quantizer.pt2", "preprocessor_config.json", "export.json"}
    assert exported.largest_differences == {}
    program = torch.export.load(tmp_path / "model.pt2").module()
    names = json.loads((tmp_path / "export.json").read_text())["graphs"]["model.pt2"]["inputs"]
    _, pooled = program(*(torch.from_numpy(np.asarray(batch[name])) for name in names))
    assert pooled.shape == (1, 192) and pooled.isfinite().all()


def test_long_records_are_two_graphs_backbone_and_head(tmp_path):
    torch.manual_seed(0)
    model = AnyECGForLongRecordClassification(tiny_config(num_labels=2, window_patches=4)).eval()
    model.save_pretrained(tmp_path / "checkpoint")
    AnyECGTokenizer(patch_size=75).save_pretrained(tmp_path / "checkpoint")
    exported = export_checkpoint(tmp_path / "checkpoint", tmp_path / "exported", form="torch")
    assert {"model.pt2", "backbone.pt2", "export.json", "preprocessor_config.json"} == exported.files.keys()
    backbone, head = (torch.export.load(exported.folder / name).module() for name in ("backbone.pt2", "model.pt2"))
    torch.manual_seed(1)
    values, lead_ids = torch.randn(1, 3, 8, 75), torch.tensor([[0, 1, 6]])
    mask = torch.ones(1, 3, 8).long()
    windows = [backbone(values[:, :, at : at + 4], mask[:, :, at : at + 4], lead_ids)[1] for at in (0, 4)]
    (logits,) = head(torch.stack(windows, dim=1), torch.ones(1, 2).bool())
    with torch.no_grad():
        expected = model(values, mask, lead_ids).logits
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "tflite"}, "`form` must be one of onnx, torch, got 'tflite'"),
        ({"form": "torch", "int8": True}, "8 bits are for ONNX files"),
        (
            {"part": "AnyECGForNothing"},
            "AnyECGForNothing cannot be exported as a graph: choose `part` among AnyECGModel",
        ),
        (
            {"part": "AnyECGForTokenClassification"},
            "lacks 1 weights of AnyECGForTokenClassification, for example class",
        ),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_checkpoint(TINY, tmp_path / "exported", **arguments)
    assert not (tmp_path / "exported").exists()


def test_a_path_to_nothing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint folder"):
        export_checkpoint(tmp_path / "nothing", tmp_path / "exported")


def test_what_the_checkpoint_was_saved_as_is_loaded():
    assert type(load_whole(TINY)) is AnyECGForSequenceClassification
