# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from anyecg_hf import TINY, AnyECGTokenizer
from anyecg_hf.plotting.code_statistics import CodeStatistics, CodeSummary
from anyecg_hf.plotting.code_summary_files import (
    FILE_NAME,
    load_code_summary,
    quantizer_fingerprint,
    save_code_summary,
)


@pytest.fixture(scope="module")
def quantizer():
    return AnyECGTokenizer.from_pretrained(TINY).quantizer


@pytest.fixture(scope="module")
def summary(quantizer) -> CodeSummary:
    random = np.random.default_rng(0)
    statistics = CodeStatistics(quantizer.config)
    for record in range(6):
        patches = random.standard_normal((1, 2, 40, 75)).astype(np.float32)
        codes = random.integers(0, 100, (1, 2, 40))
        leads = np.array([[0, 6]])
        statistics.add(codes, patches, np.ones_like(codes), leads, [["AF"] if record % 2 else []], np.array([0.2]))
    return statistics.finish()


def test_a_summary_comes_back_as_it_was(summary, quantizer, tmp_path):
    save_code_summary(summary, tmp_path / "codes.safetensors", quantizer, "six records")
    found = load_code_summary(tmp_path / "codes.safetensors", quantizer)
    assert found.data == "six records"
    for field in fields(CodeSummary):
        expected, got = getattr(summary, field.name), getattr(found.summary, field.name)
        if field.name in ("mean", "low", "high"):
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)  # NaN where never used, in both
            assert got.dtype == np.float32
        elif isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(got, expected)
        else:
            assert got == expected and type(got) is type(expected)
    assert found.summary.to_dict() == summary.to_dict()


def test_a_summary_of_another_quantizers_codes_is_refused(summary, quantizer, tmp_path):
    path = tmp_path / "codes.safetensors"
    save_code_summary(summary, path, quantizer, "six records")
    other = AnyECGTokenizer.from_pretrained(TINY).quantizer
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    made_for, found = quantizer_fingerprint(quantizer), quantizer_fingerprint(other)
    assert made_for != found
    with pytest.raises(ValueError, match=rf"codes of another quantizer \({made_for}, this one is {found}\): write it"):
        load_code_summary(path, other)


def test_a_file_that_is_none_is_refused(summary, quantizer, tmp_path):
    path = tmp_path / "codes.safetensors"
    with pytest.raises(FileNotFoundError):
        load_code_summary(path, quantizer)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="is no summary of rhythm codes as `anyecg codebook -o` writes it"):
        load_code_summary(path, quantizer)
    save_file({"mean": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="is no summary of rhythm codes"):
        load_code_summary(path, quantizer)
    save_file({"mean": np.zeros(3)}, path, {"facts": json.dumps([1]), "data": "", "quantizer": ""})
    with pytest.raises(ValueError, match="is no summary of rhythm codes"):
        load_code_summary(path, quantizer)


def test_another_ending_is_refused(summary, quantizer, tmp_path):
    with pytest.raises(ValueError, match=r"is written as \.safetensors, got the path .*codes\.npz"):
        save_code_summary(summary, tmp_path / "codes.npz", quantizer, "")


def test_the_embedded_checkpoint_brings_the_gallery_of_its_own_quantizer(quantizer):
    gallery = load_code_summary(Path(TINY) / FILE_NAME, quantizer)
    assert gallery.data == "235 records of georgia, chapman-shaoxing, ningbo, cpsc-extra, ptb, ludb"
    assert gallery.summary.records == 235 and gallery.summary.usage == 1
    assert gallery.summary.mean.shape == (512, 75)
