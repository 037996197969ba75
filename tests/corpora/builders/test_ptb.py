# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PTB: its own release, with 15 leads and patients, and its copies in the challenge."""

from pathlib import Path

import numpy as np
import pytest
from tests.corpora.builders.written_corpora import (
    FRANK_LEADS,
    PTB_LEADS,
    RecordText,
    SignalFile,
    SiteBattery,
    ptb_comments,
    write_challenge_record,
    write_ptb,
    write_record,
    written_report,
)

from anyecg_hf.corpora import load_corpus


class TestPTB(SiteBattery):
    site = "ptbdb/1.0.0"

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_ptb(tmp_path / "own")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "own"


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def write_copy(root: Path, number: int) -> None:
    text = RecordText(1000, 900, gain_text="1000/mv")
    write_challenge_record(root, "ptb", f"S{number:04}", dx="164865005", text=text)


def test_frank_leads_come_from_their_own_file(root, cache_dir):
    corpus = write_ptb(root)
    row = load_corpus("ptb", root, split="train", leads=["VZ", "aVR"], cache_dir=cache_dir)[0]
    expected = corpus.rows["s0010_re"].signal.to_millivolts()
    np.testing.assert_array_equal(row["signal"], expected[[14, 3]])


def test_a_record_without_its_frank_leads_is_left_out(root, cache_dir):
    write_ptb(root)
    (root / "patient001/s0010_re.xyz").unlink()
    rows, report = written_report("ptb", root, cache_dir)
    assert list(rows) == ["s0014lre", "s0020are"]
    assert "s0010_re.xyz: expected the signal file" in report.skipped[0].reason


def test_a_patient_is_known_by_the_folder_that_is_given_too(root, cache_dir):
    write_ptb(root)
    rows, report = written_report("ptb", root / "patient001", cache_dir)
    assert {row["patient_id"] for row in rows.values()} == {"patient001"} and not report.lines


def test_records_without_folders_have_no_patient_and_a_note_says_so(root, cache_dir):
    files = [SignalFile(".dat", PTB_LEADS)]
    for name in ("s0010_re", "s0017lre"):
        write_record(root, name, RecordText(1000, 900, 2000.0, "2000", comments=ptb_comments("Dysrhythmia")), files)
    rows, report = written_report("ptb", root, cache_dir)
    assert {row["patient_id"] for row in rows.values()} == {None}
    (line,) = report.lines
    assert (line.record_id, line.outcome) == ("", "noted")
    assert line.reason == "patients of 2 records are unknown; some may be of one patient"


@pytest.mark.parametrize(
    ("reason", "labels", "codes"),
    [
        ("Heart failure (NYHA 4)", ["Heart failure (NYHA 4)"], ["84114007"]),
        ("Bundle branch block", ["Bundle branch block"], ["6374002"]),
        ("Palpitation", ["Palpitation"], []),
        ("n/a", [], []),
        ("", [], []),
    ],
)
def test_the_reason_for_admission_is_the_label(root, cache_dir, reason, labels, codes):
    write_record(root, "patient001/s0010_re", RecordText(1000, 900, comments=ptb_comments(reason)))
    rows, report = written_report("ptb", root, cache_dir)
    assert (rows["s0010_re"]["native_labels"], rows["s0010_re"]["labels"]) == (labels, codes)
    assert not report.lines


def test_a_reason_that_no_table_knows_is_kept_and_noted(root, cache_dir):
    write_record(root, "patient001/s0010_re", RecordText(comments=ptb_comments("Toothache")))
    rows, report = written_report("ptb", root, cache_dir)
    assert rows["s0010_re"]["native_labels"] == ["Toothache"]
    assert [line.reason for line in report.lines] == ["labels that no table knows: Toothache"]


def test_the_report_holds_places_and_further_diagnoses(root, cache_dir):
    comments = ptb_comments("Myocardial infarction", "anterior", "inferior", "Arterial Hypertension")
    write_record(root, "patient001/s0010_re", RecordText(comments=comments))
    assert written_report("ptb", root, cache_dir)[0]["s0010_re"]["report"] == (
        "Acute infarction (localization): anterior\nFormer infarction (localization): inferior\n"
        "Additional diagnoses: Arterial Hypertension"
    )


def test_copies_in_the_challenge_have_codes_and_no_patients(root, cache_dir):
    write_copy(root, 1)
    write_copy(root, 549)
    rows, report = written_report("ptb", root, cache_dir)
    assert list(rows) == ["S0001", "S0549"]
    assert rows["S0001"]["labels"] == rows["S0001"]["native_labels"] == ["164865005"]
    assert [line.reason for line in report.lines] == ["patients of 2 records are unknown; some may be of one patient"]


def test_copies_beside_any_of_its_own_records_are_left_out(root, cache_dir):
    write_ptb(root)
    write_copy(root, 1)
    rows, report = written_report("ptb", root, cache_dir)
    assert list(rows) == ["s0010_re", "s0014lre", "s0020are"]
    (line,) = report.lines
    assert (line.record_id, line.outcome) == ("S0001", "skipped")
    assert line.reason.startswith("a copy in the challenge, which does not tell of which record")


def test_leads_are_named_as_everywhere(root, cache_dir):
    write_record(root, "patient001/s0010_re", files=[SignalFile(".xyz", FRANK_LEADS)])
    assert written_report("ptb", root, cache_dir)[0]["s0010_re"]["lead_names"] == ["VX", "VY", "VZ"]


class TestRealRecords:
    def test_its_own_records(self, records_dir, cache_dir):
        rows, report = written_report("ptb", records_dir / "ptbdb", cache_dir)
        assert {name: row["signal"].shape for name, row in rows.items()} == {
            "s0010_re": (12, 38400),
            "s0017lre": (12, 115200),
        }
        for row in rows.values():
            assert (row["native_labels"], row["labels"]) == (["Myocardial infarction"], ["164865005"])
            assert (row["sampling_rate"], row["patient_id"]) == (1000.0, None)
        assert (rows["s0010_re"]["age_years"], rows["s0010_re"]["sex"]) == (81.0, 1)
        assert "Additional diagnoses: Diabetes mellitus" in rows["s0010_re"]["report"]
        assert rows["s0017lre"]["report"] == "Acute infarction (localization): infero-postero-lateral"
        assert [line.record_id for line in report.lines] == [""]

    def test_its_copies_hold_the_same_signal(self, records_dir, cache_dir):
        rows, report = written_report("ptb", records_dir / "challenge-2021", cache_dir)
        assert len(rows) == 5 and not report.skipped
        own = written_report("ptb", records_dir / "ptbdb", cache_dir)[0]
        assert np.abs(rows["S0001"]["signal"] - own["s0010_re"]["signal"]).max() < 1e-3
