# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import sys

import numpy as np
import pytest
import torch
from tests.deployment.test_graphs import lead_reconstruction
from tests.models.tiny import tiny_config, tiny_quantizer_config

from anyecg_hf import AnyECGForSequenceClassification, AnyECGForTokenClassification, AnyECGRhythmQuantizer
from anyecg_hf.deployment import onnx_files
from anyecg_hf.deployment.graphs import GraphModule, example_inputs
from anyecg_hf.deployment.onnx_files import compare_onnx, onnx_session, write_int8, write_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def classifier() -> AnyECGForSequenceClassification:
    torch.manual_seed(0)
    return AnyECGForSequenceClassification(tiny_config(use_scale_embeddings=True, num_labels=3)).eval()


@pytest.fixture(scope="module")
def written(classifier, tmp_path_factory):
    return write_onnx(classifier, tmp_path_factory.mktemp("onnx") / "new" / "model.onnx")


def test_the_file_says_what_goes_in_and_comes_out(written):
    session = onnx_session(written.path)
    assert [item.name for item in session.get_inputs()] == list(written.inputs)
    assert written.inputs == ("input_values", "attention_mask", "lead_ids", "scale")
    assert [item.name for item in session.get_outputs()] == list(written.outputs) == ["logits"]
    first = session.get_inputs()[0].shape
    assert first[3] == 75 and not any(isinstance(size, int) for size in first[:3])
    assert written.size_bytes == written.path.stat().st_size
    assert [path.name for path in written.path.parent.iterdir()] == ["model.onnx"]


def test_onnx_runtime_answers_as_the_model_does(classifier, written):
    session, module = onnx_session(written.path), GraphModule(classifier)
    for shape in ((1, 1, 1), (2, 12, 8), (5, 3, 4)):
        tensors = example_inputs(module, shape, seed=3)
        named = dict(zip(module.inputs, tensors, strict=True))
        with torch.no_grad():
            expected = classifier(**named).logits.numpy()
        (found,) = session.run(None, {name: tensor.numpy() for name, tensor in named.items()})
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert 0 < written.largest_differences["logits"] < 1e-4


@pytest.mark.parametrize("kind", ["token classifier", "quantizer"])
def test_tokens_and_codes_come_out_too(kind, tmp_path):
    torch.manual_seed(1)
    model = (
        AnyECGRhythmQuantizer(tiny_quantizer_config())
        if kind == "quantizer"
        else AnyECGForTokenClassification(tiny_config(num_labels=4))
    ).eval()
    report = write_onnx(model, tmp_path / "model.onnx")
    assert all(value <= 1e-4 for value in report.largest_differences.values())
    if kind == "quantizer":
        tensors = example_inputs(GraphModule(model), (2, 3, 6))
        (codes,) = onnx_session(report.path).run(None, dict(zip(report.inputs, map(np.asarray, tensors), strict=True)))
        assert codes.shape == (2, 3, 6) and codes.dtype == np.int64
        assert set(codes[tensors[1].numpy() == 0]) == {-1} and codes.max() > 0


def test_leads_are_restored_as_the_model_does(tmp_path):
    model = lead_reconstruction().eval()
    report = write_onnx(model, tmp_path / "model.onnx")
    assert report.inputs == ("input_values", "attention_mask", "lead_ids", "bool_masked_pos", "noised")
    assert 0 < report.largest_differences["reconstruction"] < 1e-4
    tensors = dict(zip(report.inputs, example_inputs(GraphModule(model), (2, 7, 6), seed=5), strict=True))
    with torch.no_grad():
        expected = model(**tensors)
    (found,) = onnx_session(report.path).run(None, {name: tensor.numpy() for name, tensor in tensors.items()})
    wanted = expected.reconstruction.numpy()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    # The learned correction, the record's own weights and the filter of noise are in it.
    assert np.abs(found - expected.linear_estimate.numpy()).max() > 0.1


def test_a_file_that_differs_is_not_left_there(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files, "TOLERANCE", 0.0)
    (tmp_path / "model.onnx").write_bytes(b"earlier")
    with pytest.raises(ValueError, match="ONNX Runtime's logits differ from PyTorch's by .*, allowed are 0"):
        write_onnx(classifier, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"earlier"


def test_the_comparison_sees_another_model(classifier, written):
    other = AnyECGForSequenceClassification(classifier.config).eval()
    assert compare_onnx(written.path, other)["logits"] > 0.01


def test_eight_bits_are_smaller_and_near(classifier, written, tmp_path):
    rounded = write_int8(written.path, tmp_path / "model.int8.onnx", classifier)
    assert rounded.size_bytes < written.size_bytes
    assert 1e-4 < rounded.largest_differences["logits"] < 0.2


def test_without_the_libraries_the_install_command_is_named(classifier, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'ONNX files need onnxruntime: `pip install "anyecg-hf\[onnx\]"`'):
        write_onnx(classifier, tmp_path / "model.onnx")
