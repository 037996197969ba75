# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import numpy as np
import pytest

from anyecg_hf.corpora import load_corpus
from anyecg_hf.corpora.label_sets import classes_used, corpus_to_snomed
from anyecg_hf.corpora.label_tables import superclasses
from anyecg_hf.training.configs import LABEL_TASKS, TaskConfig
from anyecg_hf.training.label_tasks import MULTI_LABEL, SINGLE_LABEL, LabelTask, label_task

ARRHYTHMIA = (
    *("NSR", "SB", "STach", "SA", "SND", "AF", "AFL", "SVT", "SVR", "PAC", "PVC", "VT", "VF", "VER"),
    *("AVB1", "AVB2", "AVB3", "PACE"),
)
CHALLENGE = (
    *("AF", "AFL", "BBB", "Brady", "CLBBB|LBBB", "CRBBB|RBBB", "IAVB", "IRBBB", "LAD", "LAnFB", "LPR", "LQRSV", "LQT"),
    *("NSIVCB", "NSR", "PAC|SVPB", "PR", "PRWP", "PVC|VPB", "QAb", "RAD", "SA", "SB", "STach", "TAb", "TInv"),
)


def task(name: str, *classes: str) -> LabelTask:
    return label_task(TaskConfig(name=name, classes=list(classes) or None))


def labelled(corpus: str, *native: str) -> dict[str, Any]:
    """What the builder of a corpus says of a record with such labels."""
    return {
        "corpus": corpus,
        "native_labels": list(native),
        "labels": list(corpus_to_snomed(corpus, native).codes),
        "superclasses": [] if corpus != "ptb-xl" or native[:1] == ("426783006",) else list(superclasses(native)),
    }


def present(asked: LabelTask, row: dict[str, Any]) -> set[str] | None:
    found = asked.label(row)
    return None if found is None else {name for name, value in zip(asked.class_names, found, strict=True) if value == 1}


def unknown(asked: LabelTask, row: dict[str, Any]) -> set[str]:
    return {name for name, value in zip(asked.class_names, asked.label(row), strict=True) if np.isnan(value)}


class TestClasses:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("superclass", ("NORM", "MI", "STTC", "CD", "HYP")),
            (
                "rhythm",
                ("SR", "AFIB", "STACH", "SARRH", "SBRAD", "PACE", "SVARR", "BIGU", "AFLT", "SVTAC", "PSVT", "TRIGU"),
            ),
            ("anomaly", ("normal", "abnormal")),
            ("arrhythmia", ARRHYTHMIA),
            ("challenge", CHALLENGE),
        ],
    )
    def test_each_task_has_fixed_classes_in_a_fixed_order(self, name, expected):
        assert task(name).class_names == expected
        assert task(name).problem_type == (SINGLE_LABEL if name == "anomaly" else MULTI_LABEL)
        assert task(name).is_multi_label == (name != "anomaly")

    def test_subclasses_and_statements_are_those_of_ptb_xl(self):
        assert len(task("subclass").class_names) == 23
        assert {"NORM", "AMI", "LAFB/LPFB", "_AVB", "WPW"} < set(task("subclass").class_names)
        assert len(task("statements").class_names) == 71
        assert {"NORM", "AFIB", "ABQRS", "STACH"} < set(task("statements").class_names)

    @pytest.mark.parametrize("name", LABEL_TASKS)
    def test_every_name_has_a_task_whose_descriptions_are_of_its_classes(self, name):
        found = task(name, *(["164889003", "AFIB"] if name == "labels" else []))
        assert found.name == name and set(found.descriptions) <= set(found.class_names)
        assert len(set(found.class_names)) == len(found.class_names)

    def test_descriptions_have_words_and_codes(self):
        assert task("arrhythmia").descriptions["AFL"] == "atrial flutter (SNOMED CT 164890007)"
        assert task("labels", "164889003", "AFIB").descriptions == {"164889003": "atrial fibrillation"}


class TestPtbXl:
    @pytest.mark.parametrize(
        ("native", "expected"),
        [
            (("NORM", "SR"), {"superclass": {"NORM"}, "subclass": {"NORM"}, "rhythm": {"SR"}}),
            (("IMI", "LVH", "AFIB"), {"superclass": {"MI", "HYP"}, "subclass": {"IMI", "LVH"}, "rhythm": {"AFIB"}}),
            (("CLBBB", "STACH"), {"superclass": {"CD"}, "subclass": {"CLBBB"}, "rhythm": {"STACH"}}),
            (("NDT",), {"superclass": {"STTC"}, "subclass": {"STTC"}, "rhythm": set()}),
            (("PACE",), {"superclass": set(), "subclass": set(), "rhythm": {"PACE"}}),
        ],
    )
    def test_statements_mean_their_classes(self, native, expected):
        row = labelled("ptb-xl", *native)
        assert {name: present(task(name), row) for name in expected} == expected
        assert present(task("statements"), row) == set(native)

    @pytest.mark.parametrize("name", ["superclass", "subclass", "rhythm", "statements"])
    def test_what_has_no_statements_of_ptb_xl_says_nothing(self, name):
        for row in (
            labelled("ptb-xl"),
            labelled("ptb-xl", "426783006"),  # a copy of the challenge
            labelled("georgia", "426783006"),
        ):
            assert task(name).label(row) is None

    @pytest.mark.parametrize(
        ("native", "expected"),
        [(("NORM", "SR"), 0), (("NORM", "SBRAD"), 0), (("IMI", "SR"), 1), (("NORM", "AFIB"), 1), (("SR",), None)],
    )
    def test_it_is_normal_by_its_diagnosis_and_rhythm(self, native, expected):
        found = task("anomaly").label(labelled("ptb-xl", *native))
        assert found == expected and (found is None or found.dtype == np.int64)


class TestCodes:
    @pytest.mark.parametrize(
        ("corpus", "native", "arrhythmia", "challenge"),
        [
            ("ptb-xl", ("NORM", "SR"), {"NSR"}, {"NSR"}),
            ("ptb-xl", ("426783006",), {"NSR"}, {"NSR"}),
            ("georgia", ("164889003", "59118001"), {"AF"}, {"AF", "CRBBB|RBBB"}),
            ("chapman-shaoxing", ("426177001", "164934002"), {"SB"}, {"SB", "TAb"}),
            ("ningbo", ("164890007",), {"AFL"}, {"AFL"}),
            ("cpsc2018", ("AF",), {"AF"}, {"AF"}),
            ("code-15", ("1dAVb",), {"AVB1"}, {"IAVB"}),
            ("sph", ("50",), {"AF"}, {"AF"}),
            ("mimic-iv-ecg", ("Atrial fibrillation",), {"AF"}, {"AF"}),
            ("mit-bih", ("N", "V", "(N"), {"NSR", "PVC"}, {"NSR", "PVC|VPB"}),
            ("ludb", ("Rhythm: Atrial fibrillation.",), {"AF"}, {"AF"}),
            ("cinc2017", ("N",), {"NSR"}, {"NSR"}),
            ("cinc2017", ("O",), set(), set()),
        ],
    )
    def test_labels_of_every_corpus_mean_their_classes(self, corpus, native, arrhythmia, challenge):
        row = labelled(corpus, *native)
        assert present(task("arrhythmia"), row) == arrhythmia
        assert present(task("challenge"), row) == challenge

    @pytest.mark.parametrize(
        ("corpus", "native", "never"),
        [
            ("cinc2017", ("A",), set(ARRHYTHMIA) - {"NSR", "AF"}),
            ("code-15", ("AF",), set(ARRHYTHMIA) - {"SB", "STach", "AF", "AVB1"}),
            ("cpsc2018", ("AF",), set(ARRHYTHMIA) - {"NSR", "AF", "PAC", "PVC", "AVB1"}),
            ("georgia", ("426783006",), {"SND", "VT"}),
            ("ptb-xl", ("NORM",), {"SND", "SVR", "VT", "VF", "VER"}),
        ],
    )
    def test_what_a_corpus_never_states_is_not_known(self, corpus, native, never):
        asked, row = task("arrhythmia"), labelled(corpus, *native)
        assert unknown(asked, row) == never
        in_layout = native[0].isdigit()
        assert set(ARRHYTHMIA) - never == set(classes_used(corpus, "arrhythmia", in_layout))

    def test_the_same_record_says_other_things_in_the_layout_of_the_challenge(self):
        asked = task("challenge")
        own, copy = labelled("ptb-xl", "NORM", "SR"), labelled("ptb-xl", "426783006")
        assert "LAD" in unknown(asked, own) - unknown(asked, copy)

    def test_what_is_stated_is_known_even_where_the_corpus_usually_never_does(self):
        row = labelled("georgia", "164895002")
        assert present(task("arrhythmia"), row) == {"VT"}

    @pytest.mark.parametrize("name", ["arrhythmia", "challenge"])
    def test_rows_that_say_nothing_have_no_label(self, name):
        for row in (
            labelled("georgia"),
            labelled("cinc2011"),
            labelled("folder", "164889003"),
            labelled("cinc2017", "~"),
        ):
            assert task(name).label(row) is None

    @pytest.mark.parametrize(
        ("corpus", "native", "expected"),
        [
            ("georgia", ("426783006",), 0),
            ("georgia", ("426177001",), 1),
            ("cinc2017", ("O",), 1),
            ("cinc2017", ("~",), None),
            ("code-15", ("AF",), 1),
            ("code-15", ("normal_ecg",), 0),
            ("sph", ("1",), 0),
            ("ptb", ("Healthy control",), 0),
            ("ptb", ("Myocardial infarction",), 1),
            ("folder", ("426783006",), None),
        ],
    )
    def test_normal_or_not_by_the_rule_of_each_corpus(self, corpus, native, expected):
        assert task("anomaly").label(labelled(corpus, *native)) == expected

    def test_any_codes_and_native_labels_can_be_classes(self):
        asked = task("labels", "164889003", "AFIB", "IMI")
        assert present(asked, labelled("ptb-xl", "AFIB", "LVH")) == {"164889003", "AFIB"}
        assert present(asked, labelled("georgia", "164889003")) == {"164889003"}
        assert asked.label(labelled("georgia")) is None


class TestLabels:
    """Classes of one's own: what a corpus has no words for is unknown there."""

    FLUTTER, FIRST_DEGREE_BLOCK, FIBRILLATION = "164890007", "270492004", "164889003"

    @pytest.mark.parametrize(
        ("corpus", "native", "expected"),
        [
            ("code-15", ("1dAVb",), [np.nan, 1, 0, np.nan]),  # six findings; flutter and AFIB are none of them
            ("code-15", ("AF",), [np.nan, 0, 1, np.nan]),
            ("ptb-xl", ("NORM", "SR"), [0, 0, 0, 0]),
            ("ptb-xl", ("AFIB",), [0, 0, 1, 1]),
            ("ptb-xl", ("426783006",), [0, 0, 0, np.nan]),  # a copy of the challenge has codes only
            ("cpsc2018", ("PAC",), [np.nan, 0, 0, np.nan]),
            ("ningbo", ("426783006",), [0, 0, np.nan, np.nan]),  # never says fibrillation
            ("ningbo", ("164889003",), [0, 0, 1, np.nan]),  # unless it does
            ("cinc2017", ("O",), [np.nan, np.nan, 0, np.nan]),
        ],
    )
    def test_a_class_that_the_corpus_cannot_state_is_unknown(self, corpus, native, expected, caplog):
        found = task("labels", self.FLUTTER, self.FIRST_DEGREE_BLOCK, self.FIBRILLATION, "AFIB").label(
            labelled(corpus, *native)
        )
        np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32))
        assert caplog.text == ""

    def test_a_row_that_can_state_none_of_the_classes_says_nothing(self):
        asked = task("labels", self.FLUTTER, "IMI")
        for row in (labelled("code-15", "AF"), labelled("cinc2017", "N"), labelled("ludb", "Rhythm: Sinus rhythm.")):
            assert (asked.label(row) is None) == (row["corpus"] != "ludb")

    def test_words_about_the_quality_of_a_record_say_nothing_of_diagnoses(self):
        row = {**labelled("georgia"), "corpus": "cinc2011", "native_labels": ["unacceptable"]}
        assert task("labels", self.FIBRILLATION).label(row) is None
        found = task("labels", self.FIBRILLATION, "acceptable", "unacceptable").label(row)
        np.testing.assert_array_equal(found, [np.nan, 0, 1])

    def test_a_record_too_noisy_for_its_annotators_is_of_no_class(self):
        assert task("labels", self.FIBRILLATION).label(labelled("cinc2017", "~")) is None

    def test_texts_are_compared_as_the_tables_of_their_corpus_are(self):
        asked = task("labels", "Sinus rhythm")
        assert asked.label(labelled("ludb", "Rhythm: Sinus rhythm.")).tolist() == [1]
        assert asked.label(labelled("mimic-iv-ecg", "sinus  RHYTHM")).tolist() == [1]
        assert asked.label(labelled("ludb", "Rhythm: Sinus bradycardia.")).tolist() == [0]

    def test_where_nobody_knows_a_missing_class_is_a_negative_and_that_is_told_once_a_corpus(self, caplog):
        asked = task("labels", self.FIBRILLATION, "my finding")
        rows = [
            labelled("folder", "426783006"),
            labelled("folder", self.FIBRILLATION),
            labelled("georgia", "426783006"),
        ]
        found = [asked.label(row).tolist() for row in [*rows, *rows]]
        assert found == [[0, 0], [1, 0], [0, 0]] * 2
        message = (
            "task 'labels': nothing is known of how '{}' states {}; its records that do not are taken as negatives"
        )
        assert caplog.messages == [
            message.format("folder", "164889003, my finding"),
            message.format("georgia", "my finding"),
        ]


class TestWithout:
    def test_the_other_classes_keep_their_labels_and_descriptions(self):
        asked = task("superclass").without({"MI", "HYP"})
        assert asked.class_names == ("NORM", "STTC", "CD") == tuple(asked.descriptions)
        assert asked.label(labelled("ptb-xl", "IMI", "CLBBB")).tolist() == [0, 0, 1]

    def test_a_row_that_knows_only_dropped_classes_says_nothing(self):
        asked = task("arrhythmia").without({"NSR", "AF"})
        assert asked.label(labelled("cinc2017", "A")) is None
        assert asked.label(labelled("georgia", "164889003")) is not None


class TestRefusals:
    def test_an_unknown_task_is_refused(self):
        with pytest.raises(ValueError, match=r"`task\.name` must be one of superclass, .* got 'superclasses'"):
            task("superclasses")

    def test_classes_are_asked_of_labels_and_of_no_other(self):
        for name, classes in (("labels", []), ("superclass", ["NORM"])):
            with pytest.raises(ValueError, match=r"`task\.classes` names the classes of the task `labels`"):
                task(name, *classes)

    def test_a_class_is_named_once(self):
        with pytest.raises(ValueError, match=r"`task\.classes` names AFIB more than once"):
            task("labels", "AFIB", "IMI", "AFIB")


def test_real_ptb_xl_records_have_the_labels_of_their_table(records_dir, tmp_path):
    if not (records_dir / "ptb-xl").is_dir():
        pytest.skip("needs PTB-XL, which is not among the real records")
    stream = load_corpus("ptb-xl", records_dir / "ptb-xl", split="train", streaming=True, cache_dir=tmp_path)
    rows = list(stream.remove_columns("signal").take(60))
    found = [task("superclass").label(row) for row in rows]
    assert sum(label is not None for label in found) > 50
    for row, label in zip(rows, found, strict=True):
        if label is not None:
            assert {n for n, v in zip(task("superclass").class_names, label, strict=True) if v} == set(
                superclasses(row["native_labels"])
            )
