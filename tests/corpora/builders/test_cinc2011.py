# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PhysioNet Challenge 2011."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb
from tests.corpora.builders.written_corpora import (
    RecordText,
    SignalFile,
    SiteBattery,
    all_rows,
    write_record,
    written_report,
)
from tests.corpora.builders.written_tables import write_cinc2011, write_table

from anyecg_hf.corpora import CorpusError, load_corpus


class TestCinC2011(SiteBattery):
    site = "challenge-2011/1.0.0"

    @pytest.fixture
    def corpus(self, tmp_path):
        return write_cinc2011(tmp_path / "challenge-2011")

    def test_records_in_no_list_are_said(self, corpus, cache_dir):
        rows, report = written_report("cinc2011", corpus.root, cache_dir)
        assert rows["1003574"]["native_labels"] == []
        (line,) = report.lines
        assert (line.record_id, line.reason) == ("1003574", "in no list of quality: it was not decided")

    def test_the_test_set_can_be_had_alone(self, corpus, cache_dir):
        found = load_corpus("cinc2011", data_dir=corpus.root / "set-b", cache_dir=cache_dir)
        assert list(found) == ["test"] and list(all_rows(found)) == ["1001234"]

    def test_a_flat_record_is_kept_and_noted(self, corpus, cache_dir):
        path = corpus.root / "set-a/1002603.dat"
        path.write_bytes(bytes(path.stat().st_size))
        rows, report = written_report("cinc2011", corpus.root, cache_dir)
        assert not rows["1002603"]["signal"].any()
        assert "every lead is flat or missing" in [line.reason for line in report.noted]

    def test_records_that_no_list_knows_are_left_out(self, corpus, cache_dir):
        write_record(corpus.root, "more/1111111", RecordText(), [SignalFile(".dat")])
        rows, report = written_report("cinc2011", corpus.root, cache_dir)
        assert set(rows) == set(corpus.rows)
        (line,) = report.skipped
        assert (line.record_id, line.reason) == (
            "1111111",
            "in no list of quality, nor in a folder set-a or set-b",
        )


def test_a_record_in_both_lists_is_refused(tmp_path):
    corpus = write_cinc2011(tmp_path / "challenge-2011")
    (corpus.root / "set-a/RECORDS-acceptable").write_text("1002867\n1002603\n")
    with pytest.raises(
        CorpusError, match="expected one quality for every record, found acceptable as well for 1002603"
    ):
        corpus.load(tmp_path / "cache")


def test_a_table_may_stand_for_the_lists(tmp_path):
    corpus = write_cinc2011(tmp_path / "challenge-2011")
    for quality in ("acceptable", "unacceptable"):
        (corpus.root / f"set-a/RECORDS-{quality}").unlink()
    with pytest.raises(CorpusError, match="expected the table RECORDS-acceptable or .* or quality.csv, found none"):
        load_corpus("cinc2011", data_dir=corpus.root / "set-a", cache_dir=tmp_path / "cache")
    write_table(corpus.root / "quality.csv", [{"record": "1002603", "quality": "acceptable"}])
    assert all_rows(corpus.load(tmp_path / "cache"))["1002603"]["native_labels"] == ["acceptable"]
    write_table(corpus.root / "quality.csv", [{"record": "1002603", "quality": "good"}])
    with pytest.raises(CorpusError, match="expected acceptable or unacceptable, found 'good'"):
        corpus.load(tmp_path / "cache")
    write_table(corpus.root / "quality.csv", [{"record": "1002603", "class": "acceptable"}])
    with pytest.raises(CorpusError, match="expected the columns record, quality, found no quality"):
        corpus.load(tmp_path / "cache")


def test_the_real_records_come_out_as_they_are(records_dir: Path, tmp_path):
    rows, report = written_report("cinc2011", records_dir / "challenge-2011", tmp_path)
    assert len(rows) == 300 and not report.skipped
    assert Counter(row["native_labels"][0] for row in rows.values()) == {"acceptable": 250, "unacceptable": 50}
    assert sum(line.reason == "every lead is flat or missing" for line in report.noted) == 11
    for name in ("1002603", "1004502"):
        physical_uv = wfdb.rdsamp(str(records_dir / "challenge-2011" / name))[0].T
        np.testing.assert_allclose(rows[name]["signal"] * 1000, physical_uv, atol=0.5)
