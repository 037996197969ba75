# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""MIT-BIH Arrhythmia Database."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from tests.corpora.builders.written_corpora import RecordText, SignalFile, SiteBattery, write_record, written_report
from tests.corpora.builders.written_tables import write_mit_bih

from anyecg_hf.corpora import CorpusError, load_corpus
from anyecg_hf.corpora.builders.mit_bih import RECORDS


class TestMITBIH(SiteBattery):
    site = "mitdb/1.0.0"

    @pytest.fixture
    def corpus(self, tmp_path):
        return write_mit_bih(tmp_path / "mitdb")

    def test_annotations_have_times_symbols_and_notes(self, corpus, cache_dir):
        annotations = corpus.load(cache_dir, split="train")[0]["annotations"]
        assert [note["symbol"] for note in annotations] == ["+", "~", "V", "N", "|", "+", '"']
        assert [note["time_s"] for note in annotations] == pytest.approx(
            [sample / 360 for sample in (5, 18, 90, 180, 200, 300, 400)]
        )
        assert [note["note"] for note in annotations if note["note"]] == ["(N", "(AFIB", "TS"]

    def test_a_record_without_annotations_is_left_out(self, corpus, cache_dir):
        (corpus.root / "100.atr").unlink()
        rows, report = written_report("mit-bih", corpus.root, cache_dir)
        assert set(rows) == {"201", "202"}
        (line,) = report.skipped
        assert (line.record_id, line.reason) == ("100", "no annotations (.atr) beside its header")

    def test_records_of_other_corpora_are_passed_over(self, corpus, cache_dir):
        # LUDB has a record 100, the corpus itself copies of its own with other names.
        for stem in ("data/100", "x_mitdb/x_100", "110", "999"):
            write_record(corpus.root, stem, RecordText(), [SignalFile(".dat")])
        write_record(corpus.root, "ludb/101", RecordText(), [SignalFile(".dat")])  # of this corpus, 101 is not here
        (corpus.root / "ludb/101.ii").touch()
        rows, report = written_report("mit-bih", corpus.root, cache_dir)
        assert set(rows) == {"100", "201", "202"} and not report.lines
        np.testing.assert_array_equal(rows["100"]["signal"], corpus.rows["100"].signal.to_millivolts())


def test_there_are_48_records():
    assert len(RECORDS) == 48
    assert {"100", "109", "111", "119", "121", "124", "200", "234"} <= RECORDS
    assert RECORDS.isdisjoint({"110", "120", "204", "211", "218", "229"})


def test_a_folder_of_another_corpus_is_refused(tmp_path):
    write_record(tmp_path / "georgia", "E00001")
    with pytest.raises(CorpusError, match="expected records of mit-bih .*, found none among 2 files"):
        load_corpus("mit-bih", data_dir=tmp_path / "georgia", cache_dir=tmp_path / "cache")


def test_the_real_records_come_out_as_they_are(records_dir: Path, tmp_path):
    rows, report = written_report("mit-bih", records_dir / "mitdb", tmp_path)
    assert set(rows) == {"100", "108", "119", "200", "207"} and not report.lines
    assert {name: row["age_years"] for name, row in rows.items()} == {
        "100": 69.0,
        "108": 87.0,
        "119": 51.0,
        "200": 64.0,
        "207": 89.0,
    }
    assert [row["sex"] for row in rows.values()] == [0, 1, 1, 0, 1]
    assert set(rows["207"]["native_labels"]) == {
        *("(N", "(B", "(IVR", "(SVTA", "(VFL", "(VT"),
        *("R", "L", "!", "[", "]", "E", "V", "A", "~"),
    }
    assert {"111288001", "164909002", "59118001", "49260003"} <= set(rows["207"]["labels"])
    assert len(rows["100"]["annotations"]) == 2274
    assert rows["108"]["report"].startswith("Digoxin, Quinaglute\nThere is borderline first degree AV block")
    for name, row in rows.items():
        physical_mv = wfdb.rdsamp(str(records_dir / "mitdb" / name))[0].T
        np.testing.assert_allclose(row["signal"], physical_mv, atol=0.5 / 200)
