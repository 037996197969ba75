# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PTB-XL: its own release with table and folds, and its copies in the challenge."""

from pathlib import Path

import numpy as np
import pytest
from tests.corpora.builders.written_corpora import (
    PTB_XL_COLUMNS,
    PTBXLRow,
    RecordText,
    SignalFile,
    SiteBattery,
    write_challenge_record,
    write_ptb_xl,
    write_ptb_xl_table,
    write_record,
    written_report,
)

from anyecg_hf.corpora import CorpusError, corpus_builder, load_corpus


class TestPTBXL(SiteBattery):
    site = "ptb-xl/1.0.3"

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_ptb_xl(tmp_path / "own")


class TestPTBXLAt100Hz(SiteBattery):
    site = "ptb-xl/1.0.3"

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_ptb_xl(tmp_path / "own", sampling_rate=100)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ptb-xl"


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def write_copy(root: Path, number: int, **text) -> None:
    text = RecordText(gain_text="1000/mv", **text) if "gain_text" not in text else RecordText(**text)
    write_challenge_record(root, "ptb-xl", f"HR{number:05}", dx="251146004,426783006", text=text)


def test_superclasses_can_be_the_labels(root, cache_dir):
    write_ptb_xl(root)
    found = load_corpus("ptb-xl", root, labels="superclass", cache_dir=cache_dir)
    assert {split: dataset[0]["labels"] for split, dataset in found.items()} == {
        "train": ["NORM"],
        "validation": ["MI"],
        "test": ["CD"],
    }


@pytest.mark.parametrize("part", ["records100", "records100/00000"])
def test_the_table_is_found_above_a_part_of_the_corpus(root, cache_dir, part):
    write_ptb_xl(root)
    rows, report = written_report("ptb-xl", root / part, cache_dir, sampling_rate=100)
    assert {row["record_id"]: row["fold"] for row in rows.values()} == {"00001_lr": 3, "00002_lr": 9, "00003_lr": 10}
    assert not report.lines


def test_a_changed_table_above_is_read_anew(root, cache_dir):
    write_ptb_xl(root)
    part = root / "records500"
    assert written_report("ptb-xl", part, cache_dir)[0]["00001_hr"]["fold"] == 3
    write_ptb_xl_table(root, [PTBXLRow(number, 4, patient_id="1") for number in (1, 2, 3)])
    rows = written_report("ptb-xl", part, cache_dir)[0]
    assert {(row["fold"], row["split"], row["patient_id"]) for row in rows.values()} == {(4, "train", "1")}


def test_records_need_not_lie_where_the_table_says(root, cache_dir):
    write_ptb_xl_table(root)
    write_record(root, "flat/00002_hr", files=[SignalFile(".dat")])
    rows, _ = written_report("ptb-xl", root, cache_dir)
    assert rows["00002_hr"]["native_labels"] == PTB_XL_COLUMNS[2]["native_labels"]


def test_rows_without_a_file_are_one_line_as_in_other_corpora(root, cache_dir, caplog):
    write_ptb_xl(root)
    write_ptb_xl_table(root, [PTBXLRow(number, 1) for number in range(1, 11)])
    rows, report = written_report("ptb-xl", root, cache_dir)
    assert len(rows) == 3
    (line,) = report.lines
    assert (line.record_id, line.path, line.outcome) == ("", "ptbxl_database.csv", "noted")
    assert line.reason.startswith("7 of its rows")
    for folder in ("strict", "strict", "."):  # prepared, and from the cache
        caplog.clear()
        found = load_corpus("ptb-xl", root, strict=True, cache_dir=cache_dir / folder)
        assert sum(map(len, found.values())) == 3
        assert "ptb-xl: 7 of its rows have no record here" in caplog.text


def test_records_that_the_table_does_not_know_are_left_out(root, cache_dir):
    write_ptb_xl(root)
    write_record(root, "records500/00000/00137_hr", files=[SignalFile(".dat")])
    rows, report = written_report("ptb-xl", root, cache_dir)
    assert "00137_hr" not in rows
    (line,) = report.skipped
    assert (line.record_id, line.path) == ("00137_hr", "records500/00000/00137_hr")
    assert line.reason.startswith("not in ptbxl_database.csv: version 1.0.3 removed 38 records")
    with pytest.raises(CorpusError, match="00137_hr: not in ptbxl_database.csv"):
        load_corpus("ptb-xl", root, strict=True, cache_dir=cache_dir / "strict")


def test_without_its_table_it_is_refused(root, cache_dir):
    write_ptb_xl(root)
    (root / "ptbxl_database.csv").unlink()
    with pytest.raises(CorpusError, match="expected ptbxl_database.csv among the files, or up to two folders above"):
        load_corpus("ptb-xl", root, cache_dir=cache_dir)


def test_the_other_rate_is_named_where_only_that_is_here(root, cache_dir):
    write_ptb_xl(root)
    with pytest.raises(CorpusError, match=r"records of PTB-XL at 500 Hz, found 3 at 100 Hz. Use sampling_rate=100"):
        load_corpus("ptb-xl", root / "records100", cache_dir=cache_dir)
    write_copy(root / "challenge", 1)
    with pytest.raises(CorpusError, match=r"records of PTB-XL at 100 Hz, found 1 at 500 Hz. Use sampling_rate=500"):
        load_corpus("ptb-xl", root / "challenge", sampling_rate=100, cache_dir=cache_dir)


@pytest.mark.parametrize("rate", [250, "500", None])
def test_there_are_two_rates(root, rate):
    root.mkdir()
    with pytest.raises(ValueError, match=f"`sampling_rate` of PTB-XL must be 500 or 100, got {rate!r}"):
        corpus_builder("ptb-xl", root, sampling_rate=rate)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("strat_fold", "fold", "found no strat_fold"),
        ("'SR': 0.0}", "'SR'", "another for ecg_id '1'"),
        (",56.0,1,", ",56.0,x,", "another for ecg_id '1'"),
        (",56.0,1,", ",56.0,2,", "another for ecg_id '1': `sex` must be 0"),
        ("\r\n1,3,", "\r\n1,11,", "another for ecg_id '1': fold 11 is not one of 1 to 10"),
        ("15709.0", "15709.0,7", "cells in every row"),
    ],
)
def test_a_broken_table_is_refused(root, cache_dir, before, after, message):
    write_ptb_xl(root)
    table = root / "ptbxl_database.csv"
    content = table.read_bytes()
    assert before.encode() in content
    table.write_bytes(content.replace(before.encode(), after.encode(), 1))
    with pytest.raises(CorpusError, match=message):
        load_corpus("ptb-xl", root, cache_dir=cache_dir)


def test_codes_that_no_table_knows_are_kept_and_noted(root, cache_dir):
    write_ptb_xl(root)
    write_ptb_xl_table(root, [PTBXLRow(1, 1, {"XYZ": 50.0, "IMI": 0.0}), PTBXLRow(2, 1), PTBXLRow(3, 1, {})])
    rows, report = written_report("ptb-xl", root, cache_dir)
    assert rows["00001_hr"]["native_labels"] == ["XYZ", "IMI"]
    assert rows["00001_hr"]["superclasses"] == ["MI"]
    assert rows["00003_hr"]["native_labels"] == rows["00003_hr"]["superclasses"] == []
    assert [(line.record_id, line.reason) for line in report.lines] == [("00001_hr", "labels that no table knows: XYZ")]


def test_ages_are_those_of_the_table_and_not_of_a_header(root, cache_dir):
    write_ptb_xl(root)  # the headers say 1
    rows, _ = written_report("ptb-xl", root, cache_dir)
    assert [row["age_years"] for row in rows.values()] == [56.0, 90.0, 56.0]


def test_copies_without_the_table_have_codes_and_no_folds_and_a_note_says_so(root, cache_dir):
    write_copy(root, 1)
    write_copy(root, 21837)
    rows, report = written_report("ptb-xl", root, cache_dir)
    assert {name: (row["split"], row["fold"]) for name, row in rows.items()} == {
        "HR00001": ("train", None),
        "HR21837": ("train", None),
    }
    assert rows["HR00001"]["labels"] == rows["HR00001"]["native_labels"] == ["251146004", "426783006"]
    assert rows["HR00001"]["superclasses"] == []
    (line,) = report.lines
    assert (line.record_id, line.outcome) == ("", "noted")
    assert "folds and patients are unknown, and all records are in `train`" in line.reason


def test_copies_beside_the_table_are_what_it_says(root, cache_dir):
    write_ptb_xl_table(root)
    for number in (1, 2, 3, 137):
        write_copy(root, number)
    rows, report = written_report("ptb-xl", root / "training/ptb-xl", cache_dir)
    for number, columns in PTB_XL_COLUMNS.items():
        row = rows[f"HR{number:05}"]
        assert {name: row[name] for name in columns} == columns
    assert [(line.record_id, line.outcome) for line in report.lines] == [("HR00137", "skipped")]


def test_copies_beside_their_originals_are_left_out(root, cache_dir):
    write_ptb_xl(root)
    write_ptb_xl_table(root, [PTBXLRow(number, 1) for number in (1, 2, 3, 4)])
    write_copy(root, 1)
    write_copy(root, 4)
    rows, report = written_report("ptb-xl", root, cache_dir)
    assert list(rows) == ["00001_hr", "00002_hr", "00003_hr", "HR00004"]
    assert [(line.record_id, line.reason) for line in report.lines] == [
        ("HR00001", "the challenge's copy of records500/00000/00001_hr")
    ]
    assert list(written_report("ptb-xl", root, cache_dir, sampling_rate=100)[0]) == ["00001_lr", "00002_lr", "00003_lr"]


def test_the_gain_of_the_faulty_first_release_is_noted_and_kept(root, cache_dir):
    write_copy(root, 599, gain=200.0, gain_text="200/mV")
    rows, report = written_report("ptb-xl", root, cache_dir)
    assert np.nanmax(rows["HR00599"]["signal"]) > 4
    (line,) = [line for line in report.noted if line.record_id]
    assert "the gain is 200/mV" in line.reason and "5 times what they should be" in line.reason


@pytest.fixture(scope="module")
def real(records_dir, tmp_path_factory):
    """Prepares real records, each folder and rate once."""
    prepared = {}

    def prepare(folder: str, rate: int = 500):
        if (folder, rate) not in prepared:
            cache_dir = tmp_path_factory.mktemp("cache")
            prepared[folder, rate] = written_report("ptb-xl", records_dir / folder, cache_dir, sampling_rate=rate)
        return prepared[folder, rate]

    return prepare


class TestRealRecords:
    @pytest.mark.parametrize(("rate", "n_records"), [(100, 884), (500, 296)])
    def test_every_record_is_read_with_what_the_table_says(self, real, rate, n_records):
        rows, report = real("ptb-xl", rate)
        assert len(rows) == n_records and not report.skipped
        assert {row["signal"].shape for row in rows.values()} == {(12, 10 * rate)}
        assert all(len(row["native_labels"]) == len(row["likelihoods"]) > 0 for row in rows.values())
        splits = {(row["split"], row["fold"] == 9) for row in rows.values()}
        assert splits == {("train", False), ("validation", True)}
        assert [line.path for line in report.lines] == ["ptbxl_database.csv"]

    def test_the_first_record(self, real):
        row = real("ptb-xl")[0]["00001_hr"]
        assert row["native_labels"] == ["NORM", "LVOLT", "SR"] and row["superclasses"] == ["NORM"]
        assert (row["age_years"], row["sex"], row["weight_kg"], row["height_cm"]) == (56.0, 1, 63.0, None)
        assert (row["patient_id"], row["fold"], row["split"]) == ("15709", 3, "train")
        assert row["report"] == "sinusrhythmus periphere niederspannung"

    def test_no_patient_is_in_two_splits(self, real):
        splits: dict[str, set[str]] = {}
        for row in real("ptb-xl", 100)[0].values():
            splits.setdefault(row["patient_id"], set()).add(row["split"])
        assert None not in splits and max(map(len, splits.values())) == 1

    def test_copies_in_the_challenge(self, real):
        rows, report = real("challenge-2021")
        assert len(rows) == 34 and not report.skipped
        assert [line.record_id for line in report.noted] == ["", "HR00599", "HR20715"]
        np.testing.assert_array_equal(rows["HR00001"]["signal"], real("ptb-xl")[0]["00001_hr"]["signal"])

    def test_both_together_are_each_record_once(self, real):
        rows, report = real("")
        assert len(rows) == 296 + 34 - 9
        assert len(report.skipped) == 9
        assert rows["HR00599"]["fold"] is not None
