# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from tests.evaluation.small_evaluations import CLASSES, small_data, write_split, written_row

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.evaluation.classification.task_splits import load_task_data, means_over_windows
from anyecg_hf.models.anyecg.windowing_anyecg import window_spans
from anyecg_hf.training.configs import TaskConfig
from anyecg_hf.training.label_tasks import label_task
from anyecg_hf.training.leaks import LeakError

TASK = label_task(TaskConfig(name="labels", classes=list(CLASSES)))


@pytest.fixture
def load(tmp_path):
    def load(task=TASK, drop_rare: int = 0, known_classes=None, **settings):
        config = small_data(tmp_path, **settings)
        return load_task_data(config, AnyECGTokenizer(patch_size=75), task, drop_rare, known_classes)

    return load


@pytest.fixture
def source(tmp_path):
    def write(name: str, *rows: dict):
        return [write_split(tmp_path, name, rows)]

    return write


class TestLeaks:
    @pytest.mark.parametrize("on_leak", ["refuse", "drop"])
    @pytest.mark.parametrize("split", ["train", "validation"])
    def test_a_patient_on_both_sides_is_refused_whatever_on_leak(self, load, source, split, on_leak):
        train = {"train": range(16), "validation": range(16, 24)}[split]
        rows = [written_row(number) for number in train]
        shared = source(split, *rows, written_row(40, patient_id="p25"))
        with pytest.raises(LeakError, match=r"record written/r040 and held-out record written/r025 .* same patient"):
            load(**{split: shared}, on_leak=on_leak)

    def test_a_signal_on_both_sides_is_refused_under_any_name(self, load, source):
        rows = [written_row(number) for number in range(24, 36)]
        copy = {**written_row(5), "record_id": "r999", "patient_id": "p999", "corpus": "elsewhere"}
        with pytest.raises(
            LeakError, match=r"training record written/r005 and held-out record elsewhere/r999 .*signal"
        ):
            load(held_out=source("held_out", *rows, copy), on_leak="drop")

    def test_a_record_on_both_sides_is_refused_by_its_name(self, load, source):
        rows = [written_row(number) for number in range(24, 36)]
        renamed = {**written_row(30, patient_id=None), "record_id": "r003"}
        with pytest.raises(
            LeakError, match=r"training record written/r003 and held-out record .* share the same record"
        ):
            load(held_out=source("held_out", *rows, renamed), on_leak="drop")

    def test_training_and_validation_are_as_on_leak_says(self, load, source):
        rows = [written_row(number) for number in range(16)]
        shared = source("train", *rows, written_row(40, patient_id="p17"))
        with pytest.raises(LeakError, match="training record written/r040 and validation or held-out"):
            load(train=shared)
        data = load(train=shared, on_leak="drop")
        assert len(data.train.keys) == 16
        assert data.facts.dropped == {"same patient as a validation or held-out record": 1}


class TestSplits:
    def test_records_are_labelled_in_order(self, load):
        data = load()
        assert [key.record_id for key in data.test.keys] == [f"r{number:03}" for number in range(24, 36)]
        expected = [[number & 1, number >> 1 & 1] for number in range(24, 36)]
        assert data.test.labels.tolist() == expected
        assert list(data.test_records["record_id"]) == [key.record_id for key in data.test.keys]

    def test_long_records_are_cut_evenly_into_windows(self, load, source):
        rows = [written_row(number) for number in range(24, 36)]
        data = load(held_out=source("held_out", *rows, written_row(41, seconds=5)))
        windows = [
            row["n_patches"] for row, of in zip(data.test.windows, data.test.record_of_window, strict=True) if of == 12
        ]
        assert windows == [span.stop - span.start for span in window_spans(20, 8)] == [6, 7, 7]
        assert data.test.window_labels[-1].tolist() == data.test.labels[12].tolist()

    def test_a_records_probability_is_the_mean_over_real_patches_of_its_windows(self):
        values = np.array([[0.2], [0.8], [0.5]])
        found = means_over_windows(values, np.array([10, 30, 7]), np.array([0, 0, 1]), 2)
        assert found == pytest.approx(np.array([[0.65], [0.5]]))

    def test_a_record_without_windows_has_no_probability(self):
        found = means_over_windows(np.array([[0.2]]), np.array([4]), np.array([1]), 2)
        assert np.isnan(found[0]).all() and found[1] == 0.2

    def test_copies_count_once_where_that_is_asked_for(self, load, source):
        rows = [written_row(number) for number in range(24, 36)]
        copy = {**written_row(30), "record_id": "r999", "corpus": "elsewhere"}
        held_out = source("held_out", *rows, copy)
        assert len(load(held_out=held_out).test.keys) == 13
        data = load(held_out=held_out, deduplicate=True)
        assert len(data.test.keys) == len(data.test_records) == 12

    def test_records_of_one_patient_are_one_group_and_unknown_patients_each_their_own(self, load, source):
        rows = [written_row(number, patient_id=None if number > 33 else f"p{number // 2}x") for number in range(24, 36)]
        patients = load(held_out=source("held_out", *rows)).test.patients
        assert len(set(patients)) == 5 + 2
        assert patients[0] == patients[1] == ("patient", "written", "p12x")

    def test_the_description_counts_and_fingerprints(self, load):
        data = load()
        found = data.test.describe(CLASSES)
        assert found["records"] == 12 and found["windows"] == 15 and found["patients"] == 12
        assert found["corpora"] == {"written": 12}
        assert found["positives"] == {CLASSES[0]: 6, CLASSES[1]: 6}
        assert found["unknown"] == {CLASSES[0]: 0, CLASSES[1]: 0} and found["without_any_class"] == 3
        assert found["fingerprint_sha256"] != data.train.describe(CLASSES)["fingerprint_sha256"]

    def test_what_a_corpus_never_states_is_unknown(self, load, source):
        def stated(number: int, corpus: str) -> dict:
            codes = [["426783006"], ["164889003"], ["426177001"]][number % 3]
            return written_row(number, corpus=corpus, labels=codes, native_labels=codes)

        rows = {
            "train": [stated(number, "georgia" if number % 2 else "cpsc2018") for number in range(16)],
            "validation": [stated(number, "georgia") for number in range(16, 24)],
            "held_out": [stated(number, "georgia") for number in range(24, 36)],
        }
        task = label_task(TaskConfig(name="arrhythmia"))
        data = load(task, 1, **{name: source(name, *split) for name, split in rows.items()})
        assert np.isnan(data.train.labels).any() and not np.isnan(data.train.labels).all(axis=0).any()


class TestRefusals:
    def test_of_a_split_without_sources(self, load):
        with pytest.raises(ValueError, match=r"`data\.held_out` is empty"):
            load(held_out=[])

    def test_of_streams(self, load):
        with pytest.raises(ValueError, match=r"`data\.streaming` must be false"):
            load(streaming=True)

    def test_of_records_without_the_task(self, load, source):
        rows = [written_row(number, labels=[]) for number in range(24, 36)]
        with pytest.raises(ValueError, match="no test record has labels of the task 'labels'"):
            load(held_out=source("held_out", *rows))

    def test_of_a_class_without_positives_unless_it_may_be_left_out(self, load):
        task = label_task(TaskConfig(name="labels", classes=[*CLASSES, "270492004"]))
        with pytest.raises(ValueError, match=r"270492004 \(0 of \d+ training records\)"):
            load(task)
        data = load(task, drop_rare=1)
        assert data.task.class_names == CLASSES and data.left_out == {"270492004": "too rare to learn"}

    def test_classes_that_a_checkpoint_lacks_are_left_out_and_named(self, load):
        data = load(known_classes=CLASSES[:1])
        assert data.task.class_names == CLASSES[:1]
        assert data.left_out == {CLASSES[1]: "not among the checkpoint's classes"}
