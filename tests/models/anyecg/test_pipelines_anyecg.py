# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipelines that travel with a checkpoint: what they take, their answers and their errors."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.checkpoints import DESCRIPTIONS, THRESHOLDS
from tests.models.ecg_signals import heartbeats
from torch.utils.data import Dataset

from anyecg_hf import (
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.models.anyecg.entry_anyecg import PIPELINES
from anyecg_hf.models.anyecg.pipelines_anyecg import (
    ECGAnomalyDetectionPipeline,
    ECGClassificationPipeline,
    ECGFeatureExtractionPipeline,
    ECGLeadReconstructionPipeline,
    ECGTokenizationPipeline,
)

STATED = {"sampling_rate": 500, "lead_names": ["I", "II", "V1"], "unit": "mV"}
WANTED = {"wanted": ["V3", "V1"]}
# What a task must be told.
NEEDED = {ECGAnomalyDetectionPipeline: {"normal_label": "NORM"}, ECGLeadReconstructionPipeline: WANTED}


@pytest.fixture(scope="module")
def pipelines(checkpoint: Path) -> dict[type, Any]:
    """One pipeline a task, on random weights."""
    tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
    torch.manual_seed(0)
    classifier = AnyECGForSequenceClassification.from_pretrained(checkpoint)
    quantizer = AnyECGRhythmQuantizer.from_pretrained(checkpoint / "quantizer")
    restorer = AnyECGForLeadReconstruction(classifier.config)
    factor = torch.randn(22, 22, generator=torch.Generator().manual_seed(1))
    restorer.set_lead_covariance(factor @ factor.T / 22)
    models = {
        ECGClassificationPipeline: classifier,
        ECGAnomalyDetectionPipeline: classifier,
        ECGFeatureExtractionPipeline: AnyECGModel.from_pretrained(checkpoint),
        ECGLeadReconstructionPipeline: restorer,
        ECGTokenizationPipeline: quantizer,
    }
    return {kind: kind(model, feature_extractor=tokenizer, device="cpu") for kind, model in models.items()}


@pytest.fixture(params=[kind for kind, _ in PIPELINES.values()], ids=list(PIPELINES))
def task(request: pytest.FixtureRequest, pipelines: dict[type, Any]) -> tuple[Any, dict[str, Any]]:
    """A pipeline, and what its call needs."""
    return pipelines[request.param], NEEDED.get(request.param, {})


def record(seconds: float = 10.0, **others: Any) -> dict[str, Any]:
    return {"signal": heartbeats(3, seconds, 500, noise_mv=0.02), **STATED, **others}


@pytest.fixture(scope="module")
def ragged() -> list[dict[str, Any]]:
    """Of 10 s, 3 s and 23 s, of three leads, one and two, at two rates and in two units."""
    short = {"signal": 1000 * heartbeats(1, 3, 250, noise_mv=0.02), "sampling_rate": 250, "lead_names": ["II"]}
    long = {"signal": heartbeats(2, 23, 500, wander_mv=0.1, noise_mv=0.02), **STATED, "lead_names": ["V5", "aVL"]}
    return [record(), {**short, "unit": "uV"}, long]


class RecordList(Dataset):
    def __init__(self, records: list):
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Any:
        return self.records[index]


def numbers(answer: Any) -> list[float]:
    """All numbers of an answer, in order."""
    if isinstance(answer, dict):
        return [number for value in answer.values() for number in numbers(value)]
    if isinstance(answer, list):
        return [number for value in answer for number in numbers(value)]
    return [] if answer is None or isinstance(answer, str) else [float(answer)]


def assert_close(found: Any, expected: Any) -> None:
    """Padding and batching change the order of sums, and so the last digits of float32."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), rtol=0, atol=2e-5)


class TestInputs:
    def test_arrays_tensors_lists_of_numbers_and_dicts_are_one_record(self, task):
        pipe, needed = task
        signal = record()["signal"]
        expected = pipe(record(), **needed)
        assert pipe(signal, **STATED, **needed) == expected
        assert pipe(torch.from_numpy(signal), **STATED, **needed) == expected
        assert pipe({"signal": signal.tolist(), "age_years": 50}, **STATED, **needed) == expected

    def test_lists_generators_and_datasets_give_what_single_records_give(self, task, ragged):
        from datasets import Dataset as Rows

        pipe, needed = task
        expected = [pipe(item, **needed) for item in ragged]
        assert pipe(ragged, **needed) == pipe(tuple(ragged), **needed) == expected
        assert list(pipe((item for item in ragged), **needed)) == expected
        assert list(pipe(RecordList(ragged), **needed)) == expected
        rows = Rows.from_list([{**item, "signal": item["signal"].tolist()} for item in ragged])
        assert list(pipe(rows, **needed)) == expected
        assert list(pipe(rows.to_iterable_dataset(), **needed)) == expected
        assert list(pipe(rows.with_format("numpy"), **needed)) == expected

    def test_three_axes_are_records(self, task):
        pipe, needed = task
        signals = np.stack([record()["signal"], heartbeats(3, 10, 500, wander_mv=0.3)])
        assert pipe(signals, **STATED, **needed) == [pipe(signal, **STATED, **needed) for signal in signals]

    def test_a_ragged_batch_gives_what_its_records_give(self, task, ragged):
        pipe, needed = task
        expected = [pipe(item, **needed) for item in ragged]
        for batch_size in (2, 4, 16):
            assert_close(pipe(ragged, batch_size=batch_size, **needed), expected)

    def test_records_may_be_cleaned_in_other_processes(self, pipelines, ragged):
        pipe = pipelines[ECGClassificationPipeline]
        assert pipe(ragged, num_workers=2) == pipe(ragged)

    def test_a_generator_is_read_as_answers_are_asked_for(self, pipelines):
        read = []

        def records():
            for number in range(5):
                read.append(number)
                yield record(3)

        answers = pipelines[ECGClassificationPipeline](records())
        assert read == []
        next(answers)
        assert read == [0]

    def test_no_records_give_no_answers(self, task):
        pipe, needed = task
        assert pipe([], **needed) == [] == list(pipe(iter(()), **needed))

    def test_answers_are_plain_python(self, task, ragged):
        pipe, needed = task
        answers = pipe(ragged, **needed)
        assert json.loads(json.dumps(answers, allow_nan=False)) == answers

    def test_units_are_brought_to_millivolts(self, pipelines):
        signal = record()["signal"]
        pipe = pipelines[ECGClassificationPipeline]
        assert_close([pipe(record(signal=1000 * signal, unit="uV"))], [pipe(record())])

    def test_arguments_given_once_are_defaults_of_every_call(self, checkpoint, pipelines):
        model, tokenizer = pipelines[ECGClassificationPipeline].model, AnyECGTokenizer.from_pretrained(checkpoint)
        pipe = ECGClassificationPipeline(model, tokenizer, device="cpu", top_k=2, batch_size=4, **STATED)
        signal = record()["signal"]
        assert len(pipe(signal)) == 2 and len(pipe(signal, top_k=1)) == 1


class TestErrors:
    @pytest.mark.parametrize("missing", ["sampling_rate", "lead_names", "unit"])
    def test_what_nobody_says_is_not_guessed(self, task, missing):
        pipe, needed = task
        stated = {name: value for name, value in STATED.items() if name != missing}
        with pytest.raises(ValueError, match=f"the record does not say its `{missing}`: pass them"):
            pipe(record()["signal"], **stated, **needed)

    def test_contradictions_are_refused(self, task):
        pipe, needed = task
        with pytest.raises(ValueError, match="`sampling_rate` is 250, but the record says 500: leave it out"):
            pipe(record(), sampling_rate=250, **needed)
        with pytest.raises(ValueError, match="`unit` is 'uV', but the record says 'mV'"):
            pipe(record(), unit="uV", **needed)

    def test_a_path_names_the_package_that_reads_it(self, task):
        pipe, needed = task
        with pytest.raises(ImportError, match="reading 'ecg.csv' needs the package anyecg_hf: `pip install anyecg-hf`"):
            pipe(Path("ecg.csv"), **needed)

    @pytest.mark.parametrize("wrong", [None, 3])
    def test_what_is_no_record_is_named(self, task, wrong):
        pipe, needed = task
        with pytest.raises(ValueError, match=rf"a record is a path, an array .* or an `ECGRecord`, got {wrong}\."):
            pipe(wrong, **needed)
        with pytest.raises(ValueError, match="^record 1: a record is a path"):
            pipe([record(), wrong], **needed)

    def test_of_many_records_the_error_says_which(self, task):
        pipe, needed = task
        with pytest.raises(ValueError, match="^record 1: a record needs its samples as `signal`, got a dict with"):
            pipe([record(), {"data": [1.0]}], **needed)

    def test_a_record_without_a_usable_lead_is_refused_with_reasons(self, task):
        pipe, needed = task
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(ValueError, match="no lead of the record can be used: I is flat, II is flat"):
                pipe(record(signal=np.zeros((3, 5000))), **needed)

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            ({"unit": "furlong"}, "furlong"),
            ({"lead_names": ["I", "II"]}, "with 2 leads"),
            ({"lead_names": ["I", "II", "Z9"]}, r"unknown lead names \['Z9'\]"),
            ({"sampling_rate": -500}, "-500"),
            ({"sampling_rate": float("nan")}, "nan"),
            ({"signal": np.zeros((2, 3, 4, 5))}, r"got shape \(2, 3, 4, 5\)"),
            ({"signal": np.zeros((3, 0))}, "empty"),
            ({"signal": [["a", "b"]] * 3}, "real numbers"),
        ],
    )
    def test_impossible_records_are_refused(self, task, broken, message):
        pipe, needed = task
        with pytest.raises(ValueError, match=message):
            pipe(record(**broken), **needed)

    def test_unknown_and_impossible_arguments_are_refused(self, task):
        pipe, needed = task
        with pytest.raises(TypeError, match=r"takes no \['treshold'\]: its arguments are \["):
            pipe(record(), treshold=0.5, **needed)
        with pytest.raises(ValueError, match="the window must be a positive number of seconds, got 0"):
            pipe(record(), window_s=0, **needed)
        with pytest.raises(ValueError, match="`batch_size` must be a positive integer, got -1"):
            pipe(record(), batch_size=-1, **needed)

    def test_a_tokenizer_is_needed_and_must_fit(self, pipelines):
        model = pipelines[ECGClassificationPipeline].model
        with pytest.raises(ValueError, match="an ECG pipeline needs the checkpoint's tokenizer"):
            ECGClassificationPipeline(model, device="cpu")
        with pytest.raises(ValueError, match="the model's `patch_size` is 75, but the tokenizer's is 300"):
            ECGClassificationPipeline(model, AnyECGTokenizer(), device="cpu")

    def test_windows_beyond_the_training_are_warned_of(self, task):
        pipe, needed = task
        with pytest.warns(UserWarning, match="windows of 20 s are longer than the 10 s"):
            pipe(record(), window_s=20, **needed)


class TestClassification:
    def test_classes_come_with_names_and_stored_thresholds_most_likely_first(self, pipelines):
        found = pipelines[ECGClassificationPipeline](record())
        assert [item["score"] for item in found] == sorted((item["score"] for item in found), reverse=True)
        assert {item["label"]: item["description"] for item in found} == DESCRIPTIONS
        assert {item["label"]: item["threshold"] for item in found} == THRESHOLDS
        assert all(item["present"] is (item["score"] >= item["threshold"]) for item in found)

    def test_thresholds_may_be_one_number_or_by_label(self, pipelines):
        pipe = pipelines[ECGClassificationPipeline]
        assert {item["threshold"] for item in pipe(record(), threshold=0.5)} == {0.5}
        assert all(item["present"] for item in pipe(record(), threshold=0))
        by_label = {item["label"]: item["threshold"] for item in pipe(record(), threshold={"MI": 0.1})}
        assert by_label == {**THRESHOLDS, "MI": 0.1}

    @pytest.mark.parametrize("threshold", [1.5, -0.1, float("nan"), "high", True, {"MI": 2}])
    def test_thresholds_are_probabilities(self, pipelines, threshold):
        with pytest.raises(ValueError, match="`threshold` must be a probability"):
            pipelines[ECGClassificationPipeline](record(), threshold=threshold)

    def test_thresholds_of_unknown_labels_are_refused(self, pipelines):
        with pytest.raises(ValueError, match=r"`threshold` names \['AFIB'\], which are no classes of this checkpoint"):
            pipelines[ECGClassificationPipeline](record(), threshold={"AFIB": 0.5})

    @pytest.mark.parametrize("top_k", [0, -1, 1.5, True, "all"])
    def test_top_k_is_a_positive_integer(self, pipelines, top_k):
        with pytest.raises(ValueError, match="`top_k` must be a positive integer"):
            pipelines[ECGClassificationPipeline](record(), top_k=top_k)

    def test_without_stored_thresholds_nothing_is_called_present(self, checkpoint):
        model = AnyECGForSequenceClassification.from_pretrained(checkpoint, label_thresholds=None)
        pipe = ECGClassificationPipeline(model, AnyECGTokenizer.from_pretrained(checkpoint), device="cpu")
        assert {(item["threshold"], item["present"]) for item in pipe(record())} == {(None, None)}

    def test_half_precision_gives_nearly_the_same(self, checkpoint, pipelines):
        model = AnyECGForSequenceClassification.from_pretrained(checkpoint, dtype=torch.bfloat16)
        pipe = ECGClassificationPipeline(model, AnyECGTokenizer.from_pretrained(checkpoint), device="cpu")
        found = {item["label"]: item["score"] for item in pipe(record())}
        expected = {item["label"]: item["score"] for item in pipelines[ECGClassificationPipeline](record())}
        assert found == pytest.approx(expected, abs=0.05)

    def test_a_hierarchical_classifier_takes_records_whole(self, checkpoint, ragged):
        tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
        model = AnyECGForLongRecordClassification(AnyECGModel.from_pretrained(checkpoint).config).eval()
        answer = ECGClassificationPipeline(model, tokenizer, device="cpu")(ragged[2])
        batch = tokenizer(ragged[2]["signal"], 500, ragged[2]["lead_names"], return_tensors="pt")
        with torch.no_grad():
            expected = model(**batch).logits[0].sigmoid().tolist()
        scores = {item["label"]: item["score"] for item in answer}
        assert scores == pytest.approx(dict(zip(model.config.id2label.values(), expected, strict=True)), abs=1e-6)

    def test_a_regression_is_refused(self, checkpoint):
        model = AnyECGForSequenceClassification.from_pretrained(checkpoint, problem_type="regression")
        with pytest.raises(ValueError, match="class probabilities need a classifier"):
            ECGClassificationPipeline(model, AnyECGTokenizer.from_pretrained(checkpoint), device="cpu")


class TestAnomalyDetection:
    def test_a_checkpoint_of_another_task_must_be_told_what_normal_is(self, pipelines):
        with pytest.raises(ValueError, match=r"anomaly detection needs a classifier with the classes 'normal' and"):
            pipelines[ECGAnomalyDetectionPipeline](record())
        with pytest.raises(ValueError, match="`normal_label` must be one of the checkpoint's classes"):
            pipelines[ECGAnomalyDetectionPipeline](record(), normal_label="healthy")

    def test_the_score_is_what_the_normal_class_leaves(self, pipelines):
        found = pipelines[ECGAnomalyDetectionPipeline](record(), normal_label="NORM")
        classes = {item["label"]: item for item in pipelines[ECGClassificationPipeline](record())}
        assert found["score"] == pytest.approx(1 - classes["NORM"]["score"], abs=1e-6)
        assert found["threshold"] == pytest.approx(1 - THRESHOLDS["NORM"])
        assert (found["label"] == "normal") == classes["NORM"]["present"]
        assert pipelines[ECGAnomalyDetectionPipeline](record(), normal_label="NORM", threshold=0)["label"] == "abnormal"

    def test_a_checkpoint_of_the_task_needs_nothing_else(self, checkpoint):
        labels = {"id2label": {0: "normal", 1: "abnormal"}, "label2id": {"normal": 0, "abnormal": 1}}
        config = AnyECGModel.from_pretrained(checkpoint).config.to_dict() | labels
        config |= {"problem_type": "single_label_classification", "label_thresholds": None, "label_descriptions": None}
        model = AnyECGForSequenceClassification(AnyECGModel.config_class.from_dict(config)).eval()
        tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
        found = ECGAnomalyDetectionPipeline(model, tokenizer, device="cpu")(record())
        batch = tokenizer(record()["signal"], 500, STATED["lead_names"], return_tensors="pt")
        with torch.no_grad():
            expected = model(**batch).logits[0].softmax(dim=-1)[1].item()
        assert found["score"] == pytest.approx(expected, abs=1e-6)
        assert found["threshold"] == 0.5 and found["label"] == ("abnormal" if expected >= 0.5 else "normal")


class TestFeatureExtraction:
    def test_windows_say_their_place(self, pipelines, ragged):
        pipe = pipelines[ECGFeatureExtractionPipeline]
        windows = pipe(ragged[2], per_window=True)
        places = [(window["start_s"], window["end_s"]) for window in windows]
        assert places == [(0.0, 7.5), (7.5, 15.25), (15.25, 23.0)]
        weights = [window["end_s"] - window["start_s"] for window in windows]
        mean = np.average([window["embedding"] for window in windows], axis=0, weights=weights)
        np.testing.assert_allclose(pipe(ragged[2]), mean, atol=1e-5)


class TestTokenization:
    def test_codes_say_lead_and_time(self, pipelines):
        pipe = pipelines[ECGTokenizationPipeline]
        found = pipe(record())
        codes = pipe.feature_extractor.encode(record()["signal"], sampling_rate=500, lead_names=STATED["lead_names"])
        assert [item["code"] for item in found] == codes.flatten().tolist()
        assert found[41] == {"lead": "II", "lead_index": 1, "start_s": 0.25, "end_s": 0.5, "code": int(codes[0, 1, 1])}

    @pytest.mark.filterwarnings("ignore:.*missing samples are interpolated")
    def test_masked_patches_have_no_code(self, pipelines):
        signal = record()["signal"]
        signal[1, 1000:2000] = np.nan
        found = pipelines[ECGTokenizationPipeline](record(signal=signal))
        masked = [(item["lead"], item["start_s"]) for item in found if item["code"] is None]
        assert masked == [("II", 2.0 + 0.25 * patch) for patch in range(8)]


class TestLeadReconstruction:
    def test_wanted_leads_come_in_millivolts_at_the_models_rate(self, pipelines):
        pipe = pipelines[ECGLeadReconstructionPipeline]
        found = pipe(record(), wanted=["aVF", "V3"])
        tokenizer, model = pipe.feature_extractor, pipe.model
        names = ["I", "II", "V1", "aVF", "V3"]
        cleaned = tokenizer.feature(tokenizer.clean(record()["signal"], 500, STATED["lead_names"]))
        values = np.concatenate([cleaned["input_values"], np.zeros((2, 40, 75), np.float32)])[None]
        missing = torch.zeros(1, 5, 40, dtype=torch.bool)
        missing[:, 3:] = True
        ids = torch.tensor([[tokenizer.lead_names.index(name) for name in names]])
        with torch.no_grad():
            output = model(torch.from_numpy(values), torch.ones(1, 5, 40), ids, missing)
        expected = (output.reconstruction[0, 3:] * float(cleaned["scale"])).flatten(1)
        assert found["lead_names"] == ["aVF", "V3"] and found["unit"] == "mV" and found["sampling_rate"] == 300.0
        np.testing.assert_allclose(found["signal"], expected, atol=1e-6)

    def test_what_the_record_holds_of_a_wanted_lead_is_not_read(self, pipelines):
        pipe = pipelines[ECGLeadReconstructionPipeline]
        signal = record()["signal"]
        without = pipe(record(signal=signal[:2], lead_names=["I", "II"]), wanted="V1")
        signal[2] *= 1000
        assert pipe(record(signal=signal), wanted="V1") == without

    @pytest.mark.filterwarnings("ignore:.*missing samples are interpolated")
    def test_where_no_lead_has_anything_there_is_nothing_restored(self, pipelines):
        signal = record()["signal"]
        signal[:, 1000:2000] = np.nan
        (restored,) = pipelines[ECGLeadReconstructionPipeline](record(signal=signal), wanted="V3")["signal"]
        assert [index for index, value in enumerate(restored) if value is None] == list(range(600, 1200))

    def test_the_limb_leads_keep_their_identity(self, pipelines):
        pipe = pipelines[ECGLeadReconstructionPipeline]
        (restored,) = pipe(record(), wanted="III")["signal"]
        patches = pipe.feature_extractor.clean(record()["signal"], 500, STATED["lead_names"])
        leads = patches.patches.reshape(3, -1) * patches.scale
        np.testing.assert_allclose(restored, leads[1] - leads[0], atol=1e-5)

    @pytest.mark.parametrize(
        ("wanted", "message"),
        [
            (None, "name the leads to restore"),
            ([], "name the leads to restore"),
            (["Z9"], r"unknown lead names \['Z9'\]"),
            (["unknown"], "must name leads whose place is known"),
            (["V1", "V1"], "duplicate"),
            (["I", "II", "V1"], "holds no lead beside those wanted"),
        ],
    )
    def test_impossible_wishes_are_refused(self, pipelines, wanted, message):
        with pytest.raises(ValueError, match=message):
            pipelines[ECGLeadReconstructionPipeline](record(), wanted=wanted)
