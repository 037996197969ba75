# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import pytest


def test_what_was_written_is_told(anyecg, own_folder):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    outcome = anyecg("export", "--onnx", "-o", "exported")
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("exported/model.onnx: ") and "logits within " in lines[0]
    assert lines[1].startswith("exported/quantizer.onnx: ") and lines[1].endswith("codes within 0 of PyTorch's")
    assert {path.name for path in (own_folder / "exported").iterdir()} == {
        *("model.onnx", "quantizer.onnx", "preprocessor_config.json", "export.json"),
    }


def test_as_json(anyecg, own_folder):
    outcome = anyecg("export", "--torch-export", "--part", "AnyECGModel", "-o", "exported", "--json")
    told = json.loads(outcome.out)
    assert told["folder"] == "exported" and told["largest_differences"] == {}
    assert told["files"]["model.pt2"] == (own_folder / "exported" / "model.pt2").stat().st_size


def test_what_is_wrong_is_one_line(anyecg, own_folder):
    outcome = anyecg("export", "--torch-export", "--int8", "-o", "exported")
    assert outcome.status == 1
    assert outcome.errors == ["anyecg export: 8 bits are for ONNX files: pass `form='onnx'`."]
    outcome = anyecg("export", "--onnx", "-o", "exported", "--model", "./nowhere")
    assert outcome.errors == ["anyecg export: there is no checkpoint folder nowhere."]
