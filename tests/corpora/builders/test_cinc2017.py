# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PhysioNet Challenge 2017."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb
from tests.corpora.builders.written_corpora import SignalFile, SiteBattery, all_rows, write_record, written_report
from tests.corpora.builders.written_tables import write_cinc2017, write_table

from anyecg_hf.corpora import CorpusError, load_corpus


class TestCinC2017(SiteBattery):
    site = "challenge-2017/1.0.0"

    @pytest.fixture
    def corpus(self, tmp_path):
        return write_cinc2017(tmp_path / "challenge-2017")

    def test_the_name_of_the_lead_is_not_worth_a_note(self, corpus, cache_dir):
        rows, report = written_report("cinc2017", corpus.root, cache_dir)
        assert [row["lead_names"] for row in rows.values()] == [["unknown"], ["unknown"]]
        assert [line.reason for line in report.lines] == ["1 of its rows have no record here"]

    def test_the_last_revision_of_the_labels_counts(self, corpus, cache_dir):
        table = [{"record": "A00001", "label": "O"}, {"record": "A01002", "label": "O"}]
        write_table(corpus.root / "REFERENCE.csv", table, has_header=False)
        assert [row["native_labels"] for row in all_rows(corpus.load(cache_dir)).values()] == [["N"], ["~"]]
        (corpus.root / "REFERENCE-v3.csv").unlink()
        assert [row["native_labels"] for row in all_rows(corpus.load(cache_dir)).values()] == [["O"], ["O"]]

    def test_copies_for_validation_are_passed_over(self, corpus, cache_dir):
        write_record(corpus.root, "validation/A00001", files=[SignalFile(".mat", ("ECG",))])
        write_table(corpus.root / "validation/REFERENCE-v3.csv", [{"record": "A00001", "label": "A"}], False)
        rows, report = written_report("cinc2017", corpus.root, cache_dir)
        assert rows["A00001"]["native_labels"] == ["N"] and not report.skipped

    def test_a_record_without_a_label_is_left_out(self, corpus, cache_dir):
        write_record(corpus.root, "training/A00/A00009", files=[SignalFile(".mat", ("ECG",))])
        rows, report = written_report("cinc2017", corpus.root, cache_dir)
        assert set(rows) == {"A00001", "A01002"}
        (line,) = report.skipped
        assert (line.record_id, line.reason) == ("A00009", "no label in REFERENCE-v3.csv")


def test_the_labels_are_needed(tmp_path):
    corpus = write_cinc2017(tmp_path / "challenge-2017")
    (corpus.root / "REFERENCE-v3.csv").unlink()
    with pytest.raises(CorpusError, match="expected the table REFERENCE-v3.csv or REFERENCE.csv, found none"):
        corpus.load(tmp_path / "cache")


@pytest.mark.parametrize("folder", ["challenge-2017", "challenge-2017/training2017"])
def test_the_real_records_come_out_as_they_are(records_dir: Path, tmp_path, folder):
    rows = all_rows(load_corpus("cinc2017", data_dir=records_dir / folder, cache_dir=tmp_path))
    assert list(rows) == [f"A{number:05}" for number in range(1, 221)]
    counts = Counter(label for row in rows.values() for label in row["native_labels"])
    assert counts == {"N": 124, "O": 65, "A": 21, "~": 10}
    assert rows["A00004"]["labels"] == ["164889003"]
    for name in ("A00001", "A00220"):
        physical_mv = wfdb.rdsamp(str(records_dir / "challenge-2017/training2017" / name))[0].T
        np.testing.assert_allclose(rows[name]["signal"], physical_mv, atol=0.5 / 1000)
