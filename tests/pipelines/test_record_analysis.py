# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from tests.checkpoints import DESCRIPTIONS, THRESHOLDS, WINDOW_PATCHES
from tests.models.ecg_signals import heartbeats

from anyecg_hf import (
    TINY,
    AnyECGConfig,
    AnyECGForLongRecordClassification,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.pipelines import ClassProbability, RecordAnalyzer
from anyecg_hf.records import ECGRecord

LEADS = ("I", "II", "V1")
PATCH = 75
SPANS = (slice(0, 33), slice(33, 66), slice(66, 100))  # of the long record, at 40 patches a window


def record_of(signal_mv: np.ndarray) -> ECGRecord:
    return ECGRecord(signal_mv, 500, LEADS[: len(signal_mv)], record_id="written")


def beats(seconds: float) -> np.ndarray:
    return heartbeats(3, seconds, 500, noise_mv=0.02)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def analyzer(checkpoint) -> RecordAnalyzer:
    return RecordAnalyzer(checkpoint)


@pytest.fixture(scope="module")
def tokenizer(checkpoint) -> AnyECGTokenizer:
    return AnyECGTokenizer.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def classifier(checkpoint) -> AnyECGForSequenceClassification:
    return AnyECGForSequenceClassification.from_pretrained(checkpoint).eval()


@pytest.fixture(scope="module")
def long_record() -> ECGRecord:
    """25 s: windows of 33, 33 and 34 patches; a second is missing in lead II."""
    signal_mv = beats(25)
    signal_mv[1, 1000:1500] = np.nan
    return record_of(signal_mv)


@pytest.fixture(scope="module")
def windows_by_hand(tokenizer, long_record) -> list[dict[str, torch.Tensor]]:
    """The long record, cleaned as one and cut at patches 33 and 66."""
    batch = tokenizer(long_record, return_tensors="pt")
    return [
        {
            "input_values": batch["input_values"][:, :, span],
            "attention_mask": batch["attention_mask"][:, :, span],
            "lead_ids": batch["lead_ids"],
        }
        for span in SPANS
    ]


@pytest.fixture
def other_config(checkpoint, tmp_path):
    """Copies the checkpoint with changed fields of one of its configurations."""

    def copy(file: str = "config.json", **fields) -> str:
        folder = tmp_path / "changed"
        shutil.copytree(checkpoint, folder)
        config = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**config, **fields}))
        return str(folder)

    return copy


class TestLongRecords:
    def test_codes_are_those_of_each_window_on_its_own(self, analyzer, checkpoint, long_record, windows_by_hand):
        quantizer = AnyECGRhythmQuantizer.from_pretrained(checkpoint / "quantizer").eval()
        expected = torch.cat([quantizer.encode(**window)[0] for window in windows_by_hand], dim=1)
        codes = analyzer.encode(analyzer.clean(long_record))
        assert codes.shape == (3, 100) and codes.dtype == np.int64
        np.testing.assert_array_equal(codes, expected)

    def test_the_reconstruction_is_that_of_each_window_on_its_own(self, analyzer, tokenizer, long_record):
        cleaned = analyzer.clean(long_record)
        codes = analyzer.encode(cleaned)
        lead_ids = tokenizer.feature(cleaned)["lead_ids"][None]
        expected = [tokenizer.decode(codes[None, :, span], lead_ids, [cleaned.scale])[0] for span in SPANS]
        decoded = analyzer.decode(codes, cleaned)
        assert decoded.shape == (3, 100 * PATCH) and decoded.dtype == np.float32
        np.testing.assert_allclose(decoded, torch.cat(expected, dim=1), atol=1e-6)

    def test_probabilities_are_the_mean_over_windows_by_their_real_tokens(
        self, analyzer, classifier, long_record, windows_by_hand
    ):
        rows = torch.cat([classifier(**window).logits.sigmoid() for window in windows_by_hand])
        weights = torch.tensor([3 * 33 - 4, 3 * 33, 3 * 34])
        expected = (weights[:, None] * rows).sum(dim=0) / weights.sum()
        analysis = analyzer.analyse(long_record)
        assert analysis.windows == 3
        np.testing.assert_allclose([found.probability for found in analysis.classes], expected, atol=1e-6)

    def test_the_embedding_is_the_mean_over_all_real_tokens(self, analyzer, checkpoint, long_record, windows_by_hand):
        backbone = AnyECGModel.from_pretrained(checkpoint).eval()
        tokens = []
        for window in windows_by_hand:
            hidden = backbone(**window).last_hidden_state
            tokens.append(hidden[window["attention_mask"].flatten(1).bool()])
        tokens = torch.cat(tokens)
        assert len(tokens) == 3 * 100 - 4
        embedding = analyzer.embed(analyzer.clean(long_record))
        assert embedding.shape == (32,) and embedding.dtype == np.float32
        np.testing.assert_allclose(embedding, tokens.mean(dim=0), atol=1e-5)

    def test_another_window_may_be_asked_for(self, checkpoint, analyzer, long_record):
        short = RecordAnalyzer(checkpoint, window_s=2.5)
        cleaned = short.clean(long_record)
        assert short.analyse(long_record).windows == 10
        assert (short.encode(cleaned) != analyzer.encode(cleaned)).any()

    def test_a_window_as_long_as_the_record_is_one_window(self, checkpoint, tokenizer, classifier, long_record):
        analysis = RecordAnalyzer(checkpoint, window_s=60).analyse(long_record)
        batch = tokenizer(long_record, return_tensors="pt")
        np.testing.assert_array_equal(analysis.codes, tokenizer.encode(batch)[0])
        assert analysis.windows == 1

    def test_a_checkpoint_that_does_not_say_its_window_takes_as_many_patches_as_it_has_positions(
        self, other_config, long_record
    ):
        analyzer = RecordAnalyzer(other_config(trained_time_positions=None))
        assert analyzer.classifier.config.max_time_positions == 8
        assert analyzer.analyse(long_record).windows == 13

    def test_a_window_without_a_real_patch_counts_for_nothing(self, analyzer, classifier, tokenizer):
        signal_mv = beats(25)
        signal_mv[:, 4100:8300] = np.nan  # all of the second window and a little more
        record = record_of(signal_mv)
        cleaned = analyzer.clean(record)
        assert (analyzer.encode(cleaned)[:, SPANS[1]] == -1).all()
        batch = tokenizer(record, return_tensors="pt")
        kept = [SPANS[0], SPANS[2]]
        names = ("input_values", "attention_mask")
        logits = [
            classifier(**{name: batch[name][:, :, window] for name in names}, lead_ids=batch["lead_ids"]).logits
            for window in kept
        ]
        weights = torch.stack([batch["attention_mask"][:, :, window].sum() for window in kept])
        expected = (weights[:, None] * torch.cat(logits).sigmoid()).sum(dim=0) / weights.sum()
        np.testing.assert_allclose([c.probability for c in analyzer.classify(cleaned)], expected, atol=1e-6)
        assert np.isfinite(analyzer.embed(cleaned)).all()

    def test_a_record_just_over_a_window_leaves_no_scrap(self, analyzer, monkeypatch):
        sizes = []
        pad = analyzer.tokenizer.pad

        def noted(features, **kwargs):
            sizes.append(features[0]["attention_mask"].shape[1])
            return pad(features, **kwargs)

        monkeypatch.setattr(analyzer.tokenizer, "pad", noted)
        cleaned = analyzer.clean(record_of(beats(10.2)))
        assert cleaned.patch_mask.shape[1] == WINDOW_PATCHES + 1
        for step in (analyzer.encode, analyzer.embed, analyzer.classify):
            sizes.clear()
            step(cleaned)
            assert sizes == [20, 21]

    def test_a_fifth_of_a_second_more_does_not_change_the_verdict(self):
        analyzer = RecordAnalyzer(TINY)
        assert analyzer.classifier.config.trained_time_positions == 10 / analyzer.tokenizer.patch_seconds
        signal_mv = heartbeats(3, 10.2, 500, noise_mv=0.02)
        short, long = (
            np.array([found.probability for found in analyzer.analyse(record_of(signal)).classes])
            for signal in (signal_mv[:, :5000], signal_mv)
        )
        np.testing.assert_allclose(long, short, atol=0.15)


class TestOneWindow:
    @pytest.fixture(scope="class")
    @classmethod
    def record(cls) -> ECGRecord:
        return record_of(beats(8))

    def test_everything_is_what_the_models_say(self, analyzer, tokenizer, classifier, record):
        batch = tokenizer(record, return_tensors="pt")
        inputs = {name: batch[name] for name in ("input_values", "attention_mask", "lead_ids")}
        codes = tokenizer.encode(batch)
        analysis = analyzer.analyse(record)
        assert analysis.record is record and analysis.windows == 1
        np.testing.assert_array_equal(analysis.codes, codes[0])
        np.testing.assert_allclose(
            analysis.reconstruction_mv, tokenizer.decode(codes, batch["lead_ids"], batch["scale"])[0], atol=1e-6
        )
        expected = classifier(**inputs).logits.sigmoid()[0]
        np.testing.assert_allclose([found.probability for found in analysis.classes], expected, atol=1e-6)
        embedding = analyzer.embed(analysis.cleaned)
        np.testing.assert_allclose(embedding, classifier.anyecg(**inputs).pooler_output[0], atol=1e-6)

    def test_the_cleaned_signal_is_in_millivolts(self, analyzer, tokenizer, record):
        analysis = analyzer.analyse(record)
        batch = tokenizer(record, return_tensors="np")
        expected = batch["input_values"][0].reshape(3, -1) * batch["scale"][0]
        np.testing.assert_allclose(analysis.cleaned_mv, expected, atol=1e-6)
        assert 0.5 < analysis.cleaned_mv[0].max() < 1.2

    def test_parts_are_loaded_once_and_shared(self, checkpoint):
        analyzer = RecordAnalyzer(checkpoint)
        assert analyzer.backbone is analyzer.backbone
        fresh = RecordAnalyzer(checkpoint)
        assert fresh.classifier.anyecg is fresh.backbone
        assert not fresh.classifier.training and not fresh.backbone.training


class TestClasses:
    def test_names_descriptions_and_thresholds_are_the_checkpoints(self, analyzer):
        classes = analyzer.analyse(record_of(beats(8))).classes
        assert [found.label for found in classes] == ["NORM", "MI", "STTC", "CD", "HYP"]
        assert {found.label: found.description for found in classes} == DESCRIPTIONS
        assert {found.label: found.threshold for found in classes} == THRESHOLDS
        assert all(found.present == (found.probability >= found.threshold) for found in classes)

    @pytest.mark.parametrize("threshold, present", [(0.3, True), (0.30001, False), (None, None)])
    def test_a_class_is_present_from_its_threshold_on(self, threshold, present):
        assert ClassProbability("MI", 0.3, threshold=threshold).present is present

    def test_single_label_probabilities_sum_to_one(self, other_config, analyzer, classifier):
        fields = {"label_thresholds": None, "label_descriptions": None}
        single = RecordAnalyzer(other_config(problem_type="single_label_classification", **fields))
        record = record_of(beats(8))
        probabilities = [found.probability for found in single.analyse(record).classes]
        batch = single.tokenizer(record, return_tensors="pt")
        logits = classifier(batch["input_values"], batch["attention_mask"], batch["lead_ids"]).logits[0]
        assert sum(probabilities) == pytest.approx(1.0)
        np.testing.assert_allclose(probabilities, logits.softmax(dim=-1), atol=1e-6)
        assert {(found.description, found.threshold) for found in single.analyse(record).classes} == {("", None)}
        several = [found.probability for found in analyzer.analyse(record).classes]
        assert sum(several) != pytest.approx(1.0)

    @pytest.mark.parametrize("model_class", [AnyECGModel, AnyECGForLongRecordClassification])
    def test_a_checkpoint_without_a_head_for_windows_gives_no_probabilities(self, checkpoint, tmp_path, model_class):
        shutil.copytree(checkpoint, tmp_path / "headless")
        model_class(AnyECGConfig.from_pretrained(checkpoint)).save_pretrained(tmp_path / "headless")
        analyzer = RecordAnalyzer(tmp_path / "headless")
        with pytest.raises(
            ValueError, match=rf"no head that classifies windows .*{model_class.__name__}.* random numbers"
        ):
            analyzer.classify(analyzer.clean(record_of(beats(5))))
        assert analyzer.embed(analyzer.clean(record_of(beats(5)))).shape == (32,)

    @pytest.mark.parametrize("problem_type", ["regression", None])
    def test_a_regression_head_gives_no_probabilities(self, checkpoint, problem_type):
        config = AnyECGConfig.from_pretrained(checkpoint, num_labels=1, problem_type=problem_type)
        analyzer = RecordAnalyzer(checkpoint)
        analyzer.classifier = AnyECGForSequenceClassification(config).eval()
        with pytest.raises(ValueError, match="need a classifier, but the checkpoint's problem type is 'regression'"):
            analyzer.analyse(record_of(beats(8)))

    def test_several_labels_without_a_problem_type_exclude_each_other(self, other_config):
        analyzer = RecordAnalyzer(other_config(problem_type=None))
        assert sum(found.probability for found in analyzer.analyse(record_of(beats(8))).classes) == pytest.approx(1.0)

    def test_an_unknown_problem_type_is_named(self, analyzer, monkeypatch):
        monkeypatch.setattr(analyzer.classifier.config, "problem_type", "ranking")
        with pytest.raises(ValueError, match="problem type is 'ranking'"):
            analyzer.analyse(record_of(beats(8)))


class TestMaskedParts:
    @pytest.fixture(scope="class")
    @classmethod
    def analysis(cls, analyzer):
        signal_mv = beats(10)
        signal_mv[1] = 0.4
        signal_mv[2, 2500:3000] = np.nan  # 5 to 6 s: patches 20 to 23
        with pytest.warns(UserWarning, match=r"unusable leads are masked: II \(flat\)"):
            return analyzer.analyse(record_of(signal_mv))

    def test_what_was_masked_is_reported(self, analysis):
        assert analysis.cleaned.unusable == {1: "flat"}
        assert analysis.cleaned.masked_patches == 4

    def test_masked_patches_have_no_code_and_no_waveform(self, analysis):
        masked = np.zeros((3, 40), dtype=bool)
        masked[1] = True
        masked[2, 20:24] = True
        np.testing.assert_array_equal(analysis.codes == -1, masked)
        samples = np.repeat(masked, PATCH, axis=1)
        for waveform in (analysis.reconstruction_mv, analysis.cleaned_mv):
            assert waveform.shape == (3, 40 * PATCH)
            assert not waveform[samples].any()
            assert np.isfinite(waveform).all()
            assert waveform[~samples].std() > 0.01


class TestRefusals:
    def test_a_record_without_a_usable_lead_names_leads_and_reasons(self, analyzer):
        signal_mv = np.zeros((3, 5000), dtype=np.float32)
        signal_mv[1] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(
                ValueError, match=r"no lead of written can be used: I is flat, II is missing, V1 is flat\."
            ):
                analyzer.clean(record_of(signal_mv))

    @pytest.mark.parametrize("window_s", [0, -1.0, float("nan"), float("inf")])
    def test_impossible_windows_are_refused(self, checkpoint, window_s):
        with pytest.raises(ValueError, match="the window must be a positive number of seconds, got"):
            RecordAnalyzer(checkpoint, window_s=window_s)

    @pytest.mark.parametrize("path", ["/no/such/folder", "./nothing", "a/b/c"])
    def test_a_path_to_nothing_is_no_checkpoint(self, path):
        with pytest.raises(FileNotFoundError, match="there is no checkpoint folder"):
            RecordAnalyzer(path)

    def test_a_folder_without_its_files_is_no_checkpoint(self, tmp_path):
        with pytest.raises(ValueError, match=r"is no AnyECG checkpoint: it lacks config.json and preprocessor_config"):
            RecordAnalyzer(tmp_path)

    def test_a_checkpoint_without_a_quantizer_says_so_when_codes_are_asked_for(self, checkpoint, tmp_path):
        shutil.copytree(checkpoint, tmp_path / "copy", ignore=shutil.ignore_patterns("quantizer"))
        analyzer = RecordAnalyzer(tmp_path / "copy")
        analyzer.load("tokenizer", "backbone")
        with pytest.raises(ValueError, match=r"no quantizer: .*`quantizer/` subfolder"):
            analyzer.load("quantizer")
