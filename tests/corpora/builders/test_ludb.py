# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Lobachevsky University Electrocardiography Database."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from tests.corpora.builders.written_corpora import (
    TWELVE_LEADS,
    RecordText,
    SignalFile,
    SiteBattery,
    all_rows,
    write_record,
    written_report,
)
from tests.corpora.builders.written_tables import LUDB_ROWS, write_ludb, write_table

from anyecg_hf.corpora import CorpusError, load_corpus


class TestLUDB(SiteBattery):
    site = "ludb/1.0.1"

    @pytest.fixture
    def corpus(self, tmp_path):
        return write_ludb(tmp_path / "ludb")

    def test_annotations_name_their_lead(self, corpus, cache_dir):
        annotations = corpus.load(cache_dir, split="train")[0]["annotations"]
        assert [note["lead_name"] for note in annotations[::3]] == list(TWELVE_LEADS)
        assert [note["symbol"] for note in annotations[:3]] == ["(", "p", ")"]
        assert [note["time_s"] for note in annotations[3:6]] == pytest.approx([101 / 500, 111 / 500, 121 / 500])

    def test_a_chosen_lead_brings_its_annotations_only(self, corpus, cache_dir):
        row = corpus.load(cache_dir, split="train", leads=["V2", "aVF"])[0]
        assert [note["lead_name"] for note in row["annotations"]] == ["aVF"] * 3 + ["V2"] * 3

    def test_rows_without_a_record_are_counted(self, corpus, cache_dir):
        _, report = written_report("ludb", corpus.root, cache_dir)
        (line,) = report.lines
        assert (line.record_id, line.path, line.reason) == ("", "ludb.csv", "1 of its rows have no record here")

    def test_the_folder_of_the_records_will_do(self, corpus, cache_dir):
        rows = all_rows(load_corpus("ludb", data_dir=corpus.root / "data", cache_dir=cache_dir))
        assert list(rows) == ["1", "34"]

    def test_a_lead_without_annotations_is_noted(self, corpus, cache_dir):
        (corpus.root / "data/1.v3").unlink()
        rows, report = written_report("ludb", corpus.root, cache_dir)
        assert len(rows["1"]["annotations"]) == 33
        (line,) = [line for line in report.noted if line.record_id == "1"]
        assert line.reason.endswith("1.v3: there is none, so lead V3 is not annotated.")

    def test_a_broken_annotation_file_leaves_the_record_out(self, corpus, cache_dir):
        (corpus.root / "data/1.v3").write_bytes(b"\xff")
        rows, report = written_report("ludb", corpus.root, cache_dir)
        assert set(rows) == {"34"}
        assert "expected a WFDB annotation file" in report.skipped[0].reason

    def test_records_of_other_corpora_are_passed_over(self, corpus, cache_dir):
        for stem in ("7", "data/300"):
            write_record(corpus.root, stem, RecordText(), [SignalFile(".dat")])
        rows, _ = written_report("ludb", corpus.root, cache_dir)
        assert list(rows) == ["1", "34"]


def test_the_table_is_needed(tmp_path):
    corpus = write_ludb(tmp_path / "ludb")
    (corpus.root / "ludb.csv").unlink()
    with pytest.raises(CorpusError, match=r"expected the table ludb.csv, found none among 28 files\."):
        corpus.load(tmp_path / "cache")


def test_rows_that_contradict_each_other_are_refused(tmp_path):
    corpus = write_ludb(tmp_path / "ludb")
    write_table(corpus.root / "ludb.csv", [*LUDB_ROWS, LUDB_ROWS[0] | {"Age": "52"}])
    with pytest.raises(CorpusError, match="expected one row for each ID, found two that differ for '1'"):
        corpus.load(tmp_path / "cache")


def test_the_real_records_come_out_as_they_are(records_dir: Path, tmp_path):
    rows, report = written_report("ludb", records_dir / "ludb", tmp_path)
    assert list(rows) == [str(number) for number in range(1, 151)]
    assert [line.reason for line in report.lines] == ["50 of its rows have no record here"]
    assert rows["34"]["age_years"] == 90.0
    assert rows["1"]["native_labels"] == [
        "Sinus bradycardia",
        "Electric axis of the heart: left axis deviation",
        "Left ventricular overload",
        "Left ventricular hypertrophy",
        "Non-specific repolarization abnormalities: posterior wall",
    ]
    assert "Pacemaker presence, undefined" in rows["8"]["native_labels"]  # which the header lacks
    assert sum("Sinus rhythm" in row["native_labels"] for row in rows.values()) == 105
    assert sum(row["sex"] for row in rows.values()) == 60
    assert all({note["lead_name"] for note in row["annotations"]} == set(TWELVE_LEADS) for row in rows.values())
    for name in ("1", "77", "150"):
        path = str(records_dir / "ludb/data" / name)
        np.testing.assert_allclose(rows[name]["signal"], wfdb.rdsamp(path)[0].T, atol=0.5 / 600)
        waves = [note for note in rows[name]["annotations"] if note["lead_name"] == "V4"]
        found = wfdb.rdann(path, "v4")
        assert [note["symbol"] for note in waves] == found.symbol
        assert [note["time_s"] for note in waves] == pytest.approx(found.sample / 500)
