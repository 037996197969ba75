# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.ecg_signals import heartbeats
from tests.models.tiny import tiny_quantizer_config

pytest.importorskip("matplotlib")

from anyecg_hf import AnyECGRhythmQuantizer, AnyECGTokenizer
from anyecg_hf.evaluation.code_reports import code_gallery
from anyecg_hf.evaluation.code_reports.code_gallery import CodeGatherer, load_tokenizer
from anyecg_hf.records import ECGRecord
from anyecg_hf.records.source import ArraySource

AF, SINUS = "164889003", "426783006"


@pytest.fixture(scope="module")
def tokenizer() -> AnyECGTokenizer:
    """Patches of 0.25 s, windows of 40 patches."""
    torch.manual_seed(0)
    tokenizer = AnyECGTokenizer(patch_size=75)
    config = tiny_quantizer_config(time_encoding="rotary", trained_time_positions=40)
    tokenizer.quantizer = AnyECGRhythmQuantizer(config)
    tokenizer.quantizer.quantizer.started.fill_(True)
    return tokenizer


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


def record(seconds: float = 12.0, labels: tuple[str, ...] = (SINUS, "59931005")) -> ECGRecord:
    noise = np.random.default_rng(0).normal(0.0, 0.02, (2, round(seconds * 300)))
    return ECGRecord(heartbeats(2, seconds, 300) + noise, 300, ("I", "V1"), labels=labels)


class TestGathering:
    def test_codes_are_those_of_even_windows_as_elsewhere(self, tokenizer):
        gatherer = CodeGatherer(tokenizer)
        gatherer.add_record(record(), "a")
        summary = gatherer.finish()
        feature = tokenizer(record(), return_tensors="pt")
        windows = [
            {name: feature[name][:, :, part] for name in ("input_values", "attention_mask")}
            for part in (slice(0, 24), slice(24, 48))
        ]
        codes = torch.cat([tokenizer.encode({**feature, **window}) for window in windows], dim=2)
        assert summary.patches == 2 * 48 and summary.records == 1
        assert summary.counts.tolist() == torch.bincount(codes.flatten(), minlength=16).tolist()
        code = int(codes[0, 0, 0])
        np.testing.assert_allclose(
            summary.mean[code], feature["input_values"][codes == code].mean(dim=0), rtol=1e-5, atol=1e-6
        )
        assert summary.scale_mv == pytest.approx(float(feature["scale"][0]))

    def test_rhythm_classes_are_those_of_the_snomed_codes_among_the_labels(self, tokenizer):
        gatherer = CodeGatherer(tokenizer)
        for name, labels in (("a", (AF, "59931005")), ("b", ("some words",)), ("c", ())):
            gatherer.add_record(record(labels=labels), name)
        summary = gatherer.finish()
        assert summary.class_names == ("AF",) and (summary.records, summary.labelled_records) == (3, 1)

    def test_a_window_of_another_length_may_be_asked_for(self, tokenizer):
        assert CodeGatherer(tokenizer).window_patches == 40
        assert CodeGatherer(tokenizer, window_s=2.5).window_patches == 10

    @pytest.mark.parametrize("window_s", [0.1, 0.0, -1.0, float("nan"), float("inf")])
    def test_a_window_below_a_patch_is_refused(self, tokenizer, window_s):
        with pytest.raises(ValueError, match=f"the window must be at least a patch of 0.25 s, got {window_s:g}"):
            CodeGatherer(tokenizer, window_s=window_s)

    def test_a_record_without_a_usable_lead_is_refused_with_the_reasons(self, tokenizer):
        flat = ECGRecord(np.zeros((2, 3000)), 300, ("I", "V1"))
        gatherer = CodeGatherer(tokenizer)
        with (
            pytest.warns(UserWarning),
            pytest.raises(ValueError, match="no lead .* I is flat, V1 is flat"),
        ):
            gatherer.add_record(flat, "a")
        with pytest.raises(ValueError, match="no patch with a code was added"):
            gatherer.finish()

    def test_a_long_record_is_read_piece_by_piece_and_is_one_record(self, tokenizer, monkeypatch):
        monkeypatch.setattr(code_gallery, "LONG_RECORD_S", 20.0)
        whole, pieces = CodeGatherer(tokenizer), CodeGatherer(tokenizer)
        long = record(30.0)
        whole.add_record(long, "a")
        source = ArraySource.from_record(long)
        monkeypatch.setattr(source, "to_record", None)
        pieces.add_source(source, "a")
        one, other = whole.finish(), pieces.finish()
        assert one.patches == other.patches == 2 * 120 and other.records == 1
        assert other.counts.tolist() == one.counts.tolist() and other.class_names == ("NSR",)


class TestLoading:
    def test_a_tokenizer_with_its_quantizer_is_enough(self, saved, tokenizer):
        assert load_tokenizer(saved).quantizer.config.codebook_size == 16

    def test_a_quantizer_is_cleaned_for_as_the_folder_above_says(self, saved):
        assert load_tokenizer(saved / "quantizer").patch_size == 75

    def test_a_quantizer_may_have_its_settings_beside_it(self, saved, tmp_path):
        shutil.copytree(saved / "quantizer", tmp_path / "alone")
        with pytest.raises(ValueError, match=r"does not say how records are cleaned.* in it or in the folder above"):
            load_tokenizer(tmp_path / "alone")
        shutil.copy(saved / "preprocessor_config.json", tmp_path / "alone")
        assert load_tokenizer(tmp_path / "alone").quantizer.config.patch_size == 75

    def test_a_folder_without_a_tokenizer_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match=r"expected preprocessor_config.json in it\. Pass a checkpoint"):
            load_tokenizer(tmp_path)

    def test_a_path_to_nothing_is_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no checkpoint folder .*nothing"):
            load_tokenizer(tmp_path / "nothing")


def test_real_corpora_have_enriched_codes(records_dir, tokenizer):
    pytest.importorskip("datasets")
    gatherer = CodeGatherer(tokenizer)
    left_out = [found for found in gatherer.add_corpus("ningbo", records_dir / "challenge-2021") if found]
    summary = gatherer.finish()
    assert left_out == [] and summary.records == 33 and summary.patches == 15160  # some leads are flat
    assert summary.labelled_records >= 30 and "NSR" in summary.class_names
