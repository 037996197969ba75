# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`transformers.pipeline` on the embedded checkpoint: files, records, and the same answers as `RecordAnalyzer`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.ecg_signals import heartbeats
from transformers import pipeline

from anyecg_hf import TINY, AnyECGForSequenceClassification, AnyECGModel, AnyECGTokenizer
from anyecg_hf.cli.main import main
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.records import ECGRecord, RecordError, find_records, open_record, read_record

LEADS = ("I", "II", "V1")
NEEDED = {"ecg-anomaly-detection": {"normal_label": "NORM"}, "ecg-lead-reconstruction": {"wanted": ["V3", "aVF"]}}
TASKS = (
    *("ecg-classification", "ecg-anomaly-detection", "ecg-feature-extraction"),
    *("ecg-lead-reconstruction", "ecg-tokenization"),
)
CORPORA = ("ptb-xl", "ludb", "challenge-2021")


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Any]:
    if not Path(TINY).is_dir():
        pytest.skip("the embedded checkpoint is not there")
    return {task: pipeline(task, model=TINY, device="cpu") for task in TASKS}


@pytest.fixture(scope="module")
def analyzer(pipelines) -> RecordAnalyzer:
    return RecordAnalyzer(TINY)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """23 s of three leads as `.npz`, which says all of itself, and 5 s as `.npy`, which says nothing."""
    folder = tmp_path_factory.mktemp("records")
    long = heartbeats(3, 23, 500, wander_mv=0.1, noise_mv=0.02)
    np.savez(folder / "long.npz", signal=long, sampling_rate=500, lead_names=np.array(LEADS), unit="mV")
    np.save(folder / "short.npy", 1000 * heartbeats(3, 5, 500, noise_mv=0.02))
    return [folder / "long.npz", folder / "short.npy"]


def assert_as_analysed(pipelines: dict[str, Any], analyzer: RecordAnalyzer, record: ECGRecord, given: Any) -> None:
    """The pipelines' answers for `given` are what the analyzer says of `record`."""
    analysis = analyzer.analyse(record)
    classes = {found.label: found for found in analysis.classes}
    answers = pipelines["ecg-classification"](given)
    assert {item["label"]: item["score"] for item in answers} == {
        label: pytest.approx(found.probability, abs=1e-6) for label, found in classes.items()
    }
    for item in answers:
        found = classes[item["label"]]
        assert item["description"] == found.description and item["threshold"] == found.threshold
        assert item["present"] == found.present
    codes = [-1 if item["code"] is None else item["code"] for item in pipelines["ecg-tokenization"](given)]
    np.testing.assert_array_equal(codes, analysis.codes.reshape(-1))
    embedding = pipelines["ecg-feature-extraction"](given)
    np.testing.assert_allclose(embedding, analyzer.embed(analysis.cleaned), rtol=0, atol=1e-5)


class TestRecords:
    def test_files_and_records_give_what_the_analyzer_gives(self, pipelines, analyzer, files):
        record = read_record(files[0])
        for given in (files[0], str(files[0]), record):
            assert_as_analysed(pipelines, analyzer, record, given)

    def test_a_window_means_the_same_in_both(self, pipelines, files):
        record = read_record(files[0])
        analyzer = RecordAnalyzer(TINY, window_s=4)
        expected = {found.label: found.probability for found in analyzer.classify(analyzer.clean(record))}
        answers = pipelines["ecg-classification"](record, window_s=4)
        assert {item["label"]: item["score"] for item in answers} == pytest.approx(expected, abs=1e-6)

    def test_the_command_says_the_same(self, pipelines, files, capsys, loud_libraries_afterwards):
        assert main(["run", str(files[0]), "--json", "--no-picture"]) == 0
        printed = json.loads(capsys.readouterr().out)["classes"]
        answers = pipelines["ecg-classification"](files[0])
        assert {item["label"]: item["score"] for item in answers} == pytest.approx(
            {item["label"]: item["probability"] for item in printed}, abs=1e-6
        )

    @pytest.mark.parametrize("task", TASKS)
    def test_all_kinds_of_records_may_be_mixed(self, pipelines, files, task):
        pipe, needed = pipelines[task], NEEDED.get(task, {})
        record = read_record(files[0])
        as_dict = {"signal": record.signal_mv, "sampling_rate": 500, "lead_names": LEADS, "unit": "mV"}
        expected = pipe(record, **needed)
        assert pipe([files[0], record, as_dict], **needed) == [expected] * 3
        assert list(pipe((given for given in (record, files[0])), **needed)) == [expected] * 2

    def test_what_a_file_leaves_open_is_told_in_the_call_and_not_guessed(self, pipelines, files):
        pipe = pipelines["ecg-classification"]
        stated = {"sampling_rate": 500, "lead_names": LEADS, "unit": "uV"}
        assert pipe(files[1], **stated) == pipe(read_record(files[1], **stated))
        with pytest.raises(RecordError, match=r"short\.npy"):
            pipe(files[1])

    def test_contradictions_and_missing_files_are_errors_that_name_the_file(self, pipelines, files, tmp_path):
        pipe = pipelines["ecg-classification"]
        with pytest.raises(RecordError, match=r"long\.npz"):
            pipe(files[0], sampling_rate=250)
        with pytest.raises(RecordError, match="nothing"):
            pipe([files[0], tmp_path / "nothing"])

    def test_a_file_without_a_usable_lead_is_refused_by_its_name(self, pipelines, tmp_path):
        flat = {"signal": np.zeros((3, 5000)), "sampling_rate": 500, "lead_names": np.array(LEADS), "unit": "mV"}
        np.savez(tmp_path / "flat.npz", **flat)
        for given in (tmp_path / "flat.npz", [tmp_path / "flat.npz"]):
            with (
                pytest.warns(UserWarning, match="unusable leads are masked"),
                pytest.raises(ValueError, match=r"flat\.npz: no lead of the record can be used: I is flat"),
            ):
                pipelines["ecg-classification"](given)


class TestModels:
    def test_every_task_finds_its_own_model(self, pipelines):
        assert {task: type(pipe.model).__name__ for task, pipe in pipelines.items()} == {
            "ecg-classification": "AnyECGForSequenceClassification",
            "ecg-anomaly-detection": "AnyECGForSequenceClassification",
            "ecg-feature-extraction": "AnyECGModel",
            "ecg-lead-reconstruction": "AnyECGForLeadReconstruction",
            "ecg-tokenization": "AnyECGRhythmQuantizer",
        }
        assert {type(pipe.feature_extractor) for pipe in pipelines.values()} == {AnyECGTokenizer}

    @pytest.mark.parametrize("task", ["ecg-classification", "ecg-anomaly-detection", "ecg-lead-reconstruction"])
    def test_a_head_that_was_never_trained_is_refused(self, checkpoint, tmp_path, task):
        AnyECGModel.from_pretrained(checkpoint).save_pretrained(tmp_path)
        AnyECGTokenizer.from_pretrained(checkpoint).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=rf"has no trained head for the task '{task}' .* would be random numbers"):
            pipeline(task, model=str(tmp_path), device="cpu")

    def test_a_head_that_was_trained_since_it_was_loaded_is_taken(self, checkpoint, tmp_path, files):
        AnyECGModel.from_pretrained(checkpoint).save_pretrained(tmp_path)
        model = AnyECGForSequenceClassification.from_pretrained(tmp_path)
        arguments = {"feature_extractor": AnyECGTokenizer.from_pretrained(checkpoint), "device": "cpu"}
        with pytest.raises(ValueError, match="has no trained head"):
            pipeline("ecg-classification", model=model, **arguments)
        with torch.no_grad():
            model.classifier.weight += 1.0
        assert len(pipeline("ecg-classification", model=model, **arguments)(files[0])) == 5

    def test_a_quantizer_alone_is_loaded_from_its_own_folder(self, pipelines, files):
        tokenizer = AnyECGTokenizer.from_pretrained(TINY)
        alone = pipeline("ecg-tokenization", model=f"{TINY}/quantizer", feature_extractor=tokenizer, device="cpu")
        assert alone(files[0]) == pipelines["ecg-tokenization"](files[0])

    def test_a_backbone_gives_way_to_its_checkpoints_own_head(self, pipelines, files):
        pipe = type(pipelines["ecg-lead-reconstruction"])
        tokenizer = AnyECGTokenizer.from_pretrained(TINY)
        found = pipe(AnyECGModel.from_pretrained(TINY), feature_extractor=tokenizer, device="cpu")
        needed = NEEDED["ecg-lead-reconstruction"]
        assert found(files[0], **needed) == pipelines["ecg-lead-reconstruction"](files[0], **needed)

    def test_dtype_is_the_models(self, files):
        pipe = pipeline("ecg-classification", model=TINY, device="cpu", dtype="bfloat16")
        assert str(pipe.dtype) == "torch.bfloat16"
        assert sum(item["score"] for item in pipe(files[0])) > 0

    def test_a_saved_pipeline_carries_no_code_and_says_the_same(self, pipelines, files, tmp_path):
        pipelines["ecg-classification"].save_pretrained(tmp_path)
        assert not list(tmp_path.rglob("*.py"))
        assert "custom_pipelines" not in json.loads((tmp_path / "config.json").read_text())
        again = pipeline("ecg-classification", model=str(tmp_path), device="cpu")(files[0])
        expected = pipelines["ecg-classification"](files[0])
        assert {item["label"]: item["score"] for item in again} == pytest.approx(
            {item["label"]: item["score"] for item in expected}, abs=1e-6
        )


def first_short_record(folder: Path) -> Path:
    """The first record of at most a minute in a folder; tables lie there too."""
    for found in find_records(folder) if folder.is_dir() else ():
        try:
            with open_record(found) as source:
                if source.duration_s <= 60:
                    return found
        except RecordError:
            continue
    return pytest.skip(f"no short record in {folder.name}")


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_records_of_every_corpus_give_what_the_analyzer_gives(pipelines, analyzer, records_dir, corpus):
    path = first_short_record(records_dir / corpus)
    assert_as_analysed(pipelines, analyzer, read_record(path), path)
    for task, pipe in pipelines.items():
        json.dumps(pipe(path, **NEEDED.get(task, {})), allow_nan=False)
