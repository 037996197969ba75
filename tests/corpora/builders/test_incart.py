# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""INCART: its own release, with beats and patients, and its copies in the challenge."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from tests.corpora.builders.written_corpora import (
    RecordText,
    SiteBattery,
    write_challenge_record,
    write_incart,
    written_report,
)

from anyecg_hf.corpora import CorpusError, load_corpus


class TestINCART(SiteBattery):
    site = "incartdb/1.0.0"

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_incart(tmp_path / "own")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "own"


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def write_copy(root: Path, number: int, **facts) -> None:
    text = RecordText(257, 771, **facts)
    write_challenge_record(root, "st_petersburg_incart", f"I{number:04}", dx="427393009", sex="F", text=text)


def test_beats_are_annotations_with_times(root, cache_dir):
    write_incart(root)
    row = written_report("incart", root, cache_dir)[0]["I01"]
    found = [(note["time_s"], note["symbol"], note["note"]) for note in row["annotations"]]
    times = np.array([10, 257, 514, 600]) / 257
    assert found == list(zip(times, ["+", "N", "V", "N"], ["(AFIB", "", "", ""], strict=True))


def test_rhythms_that_no_table_knows_are_kept_and_noted(root, cache_dir):
    write_incart(root)
    wfdb.wrann("I01", "atr", np.array([5, 9]), ["+", "N"], aux_note=["(WPWAF", ""], fs=257, write_dir=str(root))
    rows, report = written_report("incart", root, cache_dir)
    assert (rows["I01"]["native_labels"], rows["I01"]["labels"]) == (["(WPWAF", "N"], [])
    assert [(line.record_id, line.reason) for line in report.lines] == [("I01", "labels that no table knows: (WPWAF")]


def test_a_record_without_beats_is_noted(root, cache_dir):
    write_incart(root)
    (root / "I01.atr").unlink()
    rows, report = written_report("incart", root, cache_dir)
    assert (rows["I01"]["native_labels"], rows["I01"]["annotations"]) == ([], [])
    assert [(line.record_id, line.reason) for line in report.lines] == [
        ("I01", "no beats: its .atr file is missing or empty")
    ]


def test_broken_annotations_are_a_reason_to_leave_a_record_out(root, cache_dir):
    write_incart(root)
    (root / "I01.atr").write_bytes(b"\xff" * 7)
    rows, report = written_report("incart", root, cache_dir)
    assert list(rows) == ["I02", "I08"]
    assert "I01.atr: expected a WFDB annotation file" in report.skipped[0].reason


def test_copies_in_the_challenge_have_codes_and_neither_beats_nor_patients(root, cache_dir):
    write_copy(root, 1)
    write_copy(root, 75)
    rows, report = written_report("incart", root, cache_dir)
    assert list(rows) == ["I0001", "I0075"] and not report.lines
    row = rows["I0001"]
    assert (row["labels"], row["native_labels"], row["sex"]) == (["427393009"], ["427393009"], 1)
    assert (row["patient_id"], row["annotations"], row["report"]) == (None, [], None)


def test_copies_beside_their_originals_are_left_out(root, cache_dir):
    write_incart(root)
    write_copy(root, 1)
    write_copy(root, 3)
    rows, report = written_report("incart", root, cache_dir)
    assert list(rows) == ["I01", "I02", "I08", "I0003"]
    assert [(line.record_id, line.reason) for line in report.skipped] == [("I0001", "the challenge's copy of I01")]
    with pytest.raises(CorpusError, match="the challenge's copy of I01"):
        load_corpus("incart", root, strict=True, cache_dir=cache_dir / "strict")


def test_the_gains_of_the_faulty_first_release_are_noted(root, cache_dir):
    write_copy(root, 1, gain=306_000.0, gain_text="306000/mV")
    _, report = written_report("incart", root, cache_dir)
    assert "outside of 0.1 to 10: check gain and unit" in report.noted[0].reason


def test_headers_without_signals_are_no_corpus(records_dir, cache_dir):
    root = records_dir / "challenge-2021/training/st_petersburg_incart"
    with pytest.raises(CorpusError, match=r"records that can be read, found none; 10 were left out.*I0001\.mat"):
        load_corpus("incart", root, cache_dir=cache_dir)
