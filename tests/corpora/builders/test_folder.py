# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Folders of records of one's own, with and without a table of labels."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.corpora.builders.battery import CorpusBattery
from tests.corpora.builders.written_corpora import RecordText, SignalFile, all_rows, write_record, written_report
from tests.corpora.builders.written_tables import float_signal, write_folder, write_table, write_tracings

from anyecg_hf.corpora import CorpusError, corpus_builder, load_corpus
from anyecg_hf.records import RecordError


class TestFolder(CorpusBattery):
    @pytest.fixture
    def corpus(self, tmp_path):
        return write_folder(tmp_path / "records", tmp_path / "labels.csv")

    def test_labels_of_ones_own_are_kept_as_they_are(self, corpus, cache_dir):
        rows = all_rows(corpus.load(cache_dir, label_system=""))
        assert rows["ward Ä/one.1"]["native_labels"] == ["426783006", "164889003"]
        assert rows["ward Ä/one.1"]["labels"] == []

    def test_without_a_table_the_files_speak_for_themselves(self, corpus, cache_dir):
        found = load_corpus("folder", data_dir=corpus.root, cache_dir=cache_dir)
        assert list(found) == ["train"]
        row = all_rows(found)["ward Ä/one.1"]
        assert (row["age_years"], row["sex"], row["native_labels"]) == (70.0, None, [])

    def test_the_table_may_lie_among_the_records(self, corpus, cache_dir):
        table = corpus.root / "b/I.csv"
        table.write_text("record,labels\none.1,x\n")
        rows = all_rows(corpus.load(cache_dir, labels_csv=table, label_system=""))
        assert {name: row["native_labels"] for name, row in rows.items()} == {"b/two": [], "ward Ä/one.1": ["x"]}

    def test_a_changed_table_is_read_anew(self, corpus, cache_dir):
        corpus.load(cache_dir)
        Path(corpus.options["labels_csv"]).write_text("record,labels\none.1,164889003\n")
        assert all_rows(corpus.load(cache_dir))["ward Ä/one.1"]["labels"] == ["164889003"]

    def test_title_and_licence_are_the_users(self, corpus, cache_dir):
        row = all_rows(corpus.load(cache_dir, licence="CC0-1.0"))["b/two"]
        assert row["license"] == "CC0-1.0"
        builder = corpus_builder("folder", corpus.root, cache_dir=cache_dir, title="Ward 3", licence="CC0-1.0")
        assert (builder.description.title, builder.description.licence_is_certain) == ("Ward 3", True)
        assert corpus_builder("folder", corpus.root, cache_dir=cache_dir).description.title == "Records in a folder"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "records"
    for stem in ("a/x", "b/x", "b/y"):
        write_record(root, stem, RecordText(comments=("#Age: 50", "#Sex: M", "#Dx: 426783006")), [SignalFile(".dat")])
    return root


@pytest.fixture
def report_of(root, tmp_path):
    """Rows and report of the folder with a table of these rows."""

    def prepare(*rows: dict, **options):
        table = write_table(tmp_path / "labels.csv", rows)
        return written_report("folder", root, tmp_path / "cache", labels_csv=table, **options)

    return prepare


def test_records_are_found_by_id_path_or_name(report_of):
    rows, report = report_of(
        {"record": "a/x.dat", "labels": "1"}, {"record": "./b/x", "labels": "2"}, {"record": "y.hea", "labels": "3"}
    )
    assert {name: row["native_labels"] for name, row in rows.items()} == {"a/x": ["1"], "b/x": ["2"], "b/y": ["3"]}
    assert not report.lines


def test_rows_without_record_and_records_without_row_are_said(report_of):
    rows, report = report_of({"record": "b/y", "labels": "3"}, {"record": "z", "labels": "1"})
    # A record without a row keeps what its file says.
    assert rows["a/x"]["native_labels"] == ["426783006"]
    assert [(line.record_id, line.outcome, line.reason) for line in report.lines] == [
        ("a/x", "noted", "no row in labels.csv"),
        ("b/x", "noted", "no row in labels.csv"),
        ("z", "skipped", "labels.csv has a row for it, but there is no such record"),
    ]


def test_a_name_that_two_records_have_is_refused(report_of):
    with pytest.raises(CorpusError, match="expected one record for each row, found 2 for 'x': a/x, b/x"):
        report_of({"record": "x", "labels": "1"})


def test_rows_may_repeat_but_not_contradict_each_other(report_of):
    rows, _ = report_of({"record": "y", "labels": "1;2"}, {"record": "b/y", "labels": "1; 2"})
    assert rows["b/y"]["native_labels"] == ["1", "2"]
    with pytest.raises(CorpusError, match="expected one row for each record, found two that differ for 'b/y'"):
        report_of({"record": "y", "labels": "1"}, {"record": "b/y", "labels": "2"})


def test_columns_may_be_labels(report_of):
    rows, report = report_of(
        {"record": "a/x", "AF": "1", "PVC": "0", "doctor": "D"},
        {"record": "b/x", "AF": "0.0", "PVC": "", "doctor": "D"},
        {"record": "b/y", "AF": "TRUE", "PVC": "1.0", "doctor": "D"},
        label_columns=["AF", "PVC"],
        label_system="cpsc2018",
    )
    assert [row["native_labels"] for row in rows.values()] == [["AF"], [], ["AF", "PVC"]]
    assert rows["b/y"]["labels"] == ["164889003", "164884008"]
    assert [line.reason for line in report.lines] == ["columns that are not read: doctor"]


def test_a_table_without_labels_leaves_those_of_the_files(report_of):
    rows, _ = report_of({"record": "a/x", "patient_id": "7"}, {"record": "b/x", "patient_id": ""})
    assert rows["a/x"]["native_labels"] == ["426783006"]
    assert [row["patient_id"] for row in rows.values()] == ["7", None, None]


def test_patients_of_the_table_come_before_those_of_the_files(report_of):
    row = {"record": "a/x", "age_years": "300", "sex": "female", "weight_kg": "61.5", "height_cm": "NaN"}
    rows, _ = report_of(row, {"record": "b/x"} | dict.fromkeys(("age_years", "sex", "weight_kg", "height_cm"), ""))
    assert [rows["a/x"][name] for name in ("age_years", "sex", "weight_kg", "height_cm")] == [90.0, 1, 61.5, None]
    assert [rows["b/x"][name] for name in ("age_years", "sex", "weight_kg", "height_cm")] == [50.0, 0, None, None]


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("age_years", "old", "an age in years as 'age_years', found 'old' in the row of 'a/x'"),
        ("sex", "X", "M or F, male or female, 0 or 1 as 'sex', found 'X' in the row of 'a/x'"),
        ("weight_kg", "-3", "a weight in kg as 'weight_kg', found '-3' in the row of 'a/x'"),
        ("height_cm", "inf", "a height in cm as 'height_cm', found 'inf' in the row of 'a/x'"),
        ("fold", "1.5", "a whole number up to 127 as 'fold', found '1.5' in the row of 'a/x'"),
        ("split", "val", "train, validation, test or nothing as 'split', found 'val' in the row of 'a/x'"),
    ],
)
def test_cells_that_cannot_be_understood_are_refused(report_of, column, cell, expected):
    with pytest.raises(CorpusError, match=f"labels.csv: expected {expected}"):
        report_of({"record": "a/x", column: cell})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"name,labels\na/x,1\n", "expected the columns record, found no record"),
        (b"", "expected the columns record, found no record"),
        (
            b"record,labels\na/x,1,2\n",
            "expected 2 cells in every row, found 3 in the one that ends in line 2",
        ),
        (b"record,labels\na/x\n", "expected 2 cells in every row"),
        (b"record,labels\na/\xff,1\n", "expected a CSV table in UTF-8, found UnicodeDecodeError"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(root, tmp_path, text, expected):
    table = tmp_path / "labels.csv"
    table.write_bytes(text)
    with pytest.raises(CorpusError, match=expected):
        load_corpus("folder", data_dir=root, cache_dir=tmp_path / "cache", labels_csv=table)


def test_what_files_leave_open_can_be_said(tmp_path):
    root = tmp_path / "tables"
    root.mkdir()
    signal = float_signal("csv", 2, 200, "float64")
    np.savetxt(root / "one.csv", signal.samples.T, delimiter=",")
    with pytest.raises(CorpusError, match="expected records that can be read, found none; 1 were left out"):
        load_corpus("folder", data_dir=root, cache_dir=tmp_path / "cache")
    stated = {"sampling_rate": 250, "lead_names": ["II", "V1"], "unit": "uV"}
    row = load_corpus("folder", data_dir=root, cache_dir=tmp_path / "cache", split="train", **stated)[0]
    assert (row["record_id"], row["sampling_rate"], row["lead_names"]) == ("one", 250.0, ["II", "V1"])
    np.testing.assert_allclose(row["signal"], signal.samples / 1000, rtol=1e-6)


def test_a_file_of_many_records_stands_for_all_of_them(tmp_path):
    root = tmp_path / "many"
    root.mkdir()
    signals = {exam: float_signal(str(exam), 12, 300, "float32") for exam in (5, 6)}
    write_tracings(root / "exams.hdf5", signals)
    leads = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    table = write_table(tmp_path / "labels.csv", [{"record": "exams::6", "labels": "x"}])
    options = {"sampling_rate": 400, "lead_names": leads, "unit": "mV", "labels_csv": table}
    rows, report = written_report("folder", root, tmp_path / "cache", **options)
    assert {name: row["native_labels"] for name, row in rows.items()} == {"exams::5": [], "exams::6": ["x"]}
    np.testing.assert_array_equal(rows["exams::6"]["signal"], signals[6].samples)
    assert [line.record_id for line in report.skipped] == ["exams::0"]  # the filler of zeros


def test_the_same_name_in_two_formats_counts_once(root, tmp_path):
    for suffix in ("npz", "npy"):
        signal = float_signal(suffix, 1, 100, "float32").samples
        path = root / f"c.{suffix}"
        if suffix == "npy":
            np.save(path, signal)
        else:
            np.savez(path, signal=signal, sampling_rate=100, lead_names=["I"], unit="mV")
    options = {"sampling_rate": 500}
    _, report = written_report("folder", root, tmp_path / "cache", **options)
    assert ("c", "the same record id as c.npy") in [(line.record_id, line.reason) for line in report.skipped]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes UTF-8 only")
def test_a_path_that_is_not_utf_8_is_said(root, tmp_path):
    for suffix in (b".hea", b".dat"):
        os.rename(os.fsencode(root / "b/y") + suffix, os.fsencode(root / "b") + b"/\xff" + suffix)
    rows, report = written_report("folder", root, tmp_path / "cache")
    assert set(rows) == {"a/x", "b/x"}
    assert [(line.record_id, line.reason) for line in report.skipped] == [("b/�", "its path is not in UTF-8")]


def test_options_that_are_impossible_are_refused(root, tmp_path):
    with pytest.raises(ValueError, match="`label_system` must be one of snomed, scp, .*, or '', got 'icd'"):
        load_corpus("folder", data_dir=root, cache_dir=tmp_path / "cache", label_system="icd")
    with pytest.raises(ValueError, match="folder has no option 'labels_column'; it has label_columns, label_system"):
        load_corpus("folder", data_dir=root, cache_dir=tmp_path / "cache", labels_column="x")
    with pytest.raises(CorpusError, match="expected the file that the option `labels_csv` names"):
        load_corpus("folder", data_dir=root, cache_dir=tmp_path / "cache", labels_csv="no.csv")
    with pytest.raises(CorpusError, match=r"found none\. These are records of your own: pass their folder\."):
        load_corpus("folder", cache_dir=tmp_path / "cache")


def test_annotations_of_real_records_come_along(records_dir: Path, tmp_path):
    rows, report = written_report("folder", records_dir / "cpsc2021", tmp_path)
    assert len(rows) == 9 and not report.lines
    assert all(row["annotations"] and row["lead_names"] == ["I", "II"] for row in rows.values())


def test_copies_of_a_real_record_in_other_formats_are_passed_over(records_dir: Path, tmp_path):
    rows, _ = written_report("folder", records_dir / "ahadb", tmp_path, label_system="wfdb")
    assert list(rows) == ["0201"]


def test_real_tables_of_labels_are_no_records(records_dir: Path, tmp_path):
    with pytest.raises(RecordError, match="expected records in one of the formats"):
        load_corpus("folder", data_dir=records_dir / "labels", cache_dir=tmp_path)


def test_columns_of_labels_are_several_and_of_a_table(root, tmp_path):
    table = write_table(tmp_path / "labels.csv", [{"record": "b/y", "AF": "1"}])
    with pytest.raises(ValueError, match=r"`label_columns` must be a sequence of names such as \['AF'\], got 'AF'"):
        corpus_builder("folder", root, labels_csv=table, label_columns="AF")
    with pytest.raises(ValueError, match="`label_columns` are columns of `labels_csv`"):
        corpus_builder("folder", root, label_columns=["AF"])
