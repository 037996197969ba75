# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Corpora that are a source of the PhysioNet Challenge 2021: CPSC2018, CPSC-Extra and Georgia."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.corpora.builders.written_corpora import (
    RecordText,
    SignalFile,
    SiteBattery,
    write_challenge_corpus,
    write_challenge_record,
    write_record,
    written_report,
)

from anyecg_hf.corpora import load_corpus

CHALLENGE_SITE = "challenge-2021/1.0.3"


class TestGeorgia(SiteBattery):
    site = CHALLENGE_SITE

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_challenge_corpus(tmp_path / "challenge", "georgia", "georgia", ["E00001", "E10344"])


class TestCPSC2018(SiteBattery):
    site = CHALLENGE_SITE

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_challenge_corpus(tmp_path / "challenge", "cpsc2018", "cpsc_2018", ["A0001", "A6877"])


class TestCPSCExtra(SiteBattery):
    site = CHALLENGE_SITE

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_challenge_corpus(tmp_path / "challenge", "cpsc-extra", "cpsc_2018_extra", ["Q0001", "Q3581"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def write_georgia(root: Path, number: int, **facts) -> None:
    write_challenge_record(root, "georgia", f"E{number:05}", **facts)


def test_records_may_lie_in_any_folder(root, cache_dir):
    write_record(root, "E00001")
    write_record(root, "a/b/c/E00002")
    rows, report = written_report("georgia", root, cache_dir)
    assert list(rows) == ["E00001", "E00002"] and not report.lines


def test_records_of_other_sources_are_passed_over(root, cache_dir):
    names = ("E00001", "A0001", "Q0001", "S0001", "HR00001", "I0001", "JS00001", "E0001", "E000001", "A00001")
    for name in names:
        write_record(root, name)
    assert list(written_report("georgia", root, cache_dir)[0]) == ["E00001"]
    assert list(written_report("cpsc2018", root, cache_dir)[0]) == ["A0001"]
    assert list(written_report("cpsc-extra", root, cache_dir)[0]) == ["Q0001"]


def test_the_first_of_two_records_of_one_name_is_taken(root, cache_dir):
    write_record(root, "a/E00001")
    write_record(root, "b/E00001")
    rows, report = written_report("georgia", root, cache_dir)
    assert list(rows) == ["E00001"]
    assert [(line.path, line.reason) for line in report.skipped] == [("b/E00001", "the same record id as a/E00001")]


@pytest.mark.parametrize(
    ("dx", "labels", "unknown"),
    [
        ("426783006", ["426783006"], None),
        ("426783006,", ["426783006"], None),
        (",284470004,,427172004, 284470004", ["284470004", "427172004"], None),
        ("67741000119109", ["67741000119109"], None),
        ("251238007,426783006", ["251238007", "426783006"], "251238007"),
        ("", [], None),
        ("Unknown", [], None),
    ],
)
def test_codes_are_kept_without_empty_and_repeated_ones_and_unknown_ones_are_noted(
    root, cache_dir, dx, labels, unknown
):
    write_georgia(root, 1, dx=dx)
    rows, report = written_report("georgia", root, cache_dir)
    assert rows["E00001"]["labels"] == rows["E00001"]["native_labels"] == labels
    expected = [] if unknown is None else [f"labels that no table knows: {unknown}"]
    assert [line.reason for line in report.lines] == expected


@pytest.mark.parametrize(
    "comments",
    [
        ("# Age: 57", "# Sex: F", "# Dx: 164889003"),
        ("#Age: 57", "#Sex: 1", "#Dx: 164889003"),
        ("#Age:57 years", "#Sex:female", "#Dx:164889003,"),
    ],
)
@pytest.mark.parametrize("record_line", ["E00001.mat 12 500 600 12-May-2020 12:33:59", "E00001 12 500 600", None])
@pytest.mark.parametrize("gain_text", ["1000/mV", "1000/mv", "1000.0(0)/mV", "1000"])
def test_headers_are_understood_in_every_spelling(root, cache_dir, comments, record_line, gain_text):
    text = RecordText(comments=comments, record_line=record_line, gain_text=gain_text)
    write_georgia(root, 1, text=text)
    rows, report = written_report("georgia", root, cache_dir)
    row = rows["E00001"]
    assert (row["age_years"], row["sex"], row["labels"]) == (57.0, 1, ["164889003"])
    assert abs(row["signal"][0]).max() == pytest.approx(0.9, abs=0.1)
    assert not report.lines


def test_a_signal_without_its_header_is_listed(root, cache_dir):
    write_georgia(root, 1)
    write_georgia(root, 2)
    (root / "training/georgia/g1/E00001.hea").unlink()
    rows, report = written_report("georgia", root, cache_dir)
    assert list(rows) == ["E00002"]
    assert [line.record_id for line in report.skipped] == ["E00001"]
    assert "a WFDB header E00001.hea" in report.skipped[0].reason


def test_a_unit_that_is_no_voltage_is_a_reason_to_leave_a_record_out(root, cache_dir):
    write_georgia(root, 1, text=RecordText(gain_text="1000/mmHg"))
    write_georgia(root, 2)
    rows, report = written_report("georgia", root, cache_dir)
    assert list(rows) == ["E00002"]
    assert "mmHg" in report.skipped[0].reason


def test_a_header_that_leaves_its_folder_is_refused(root, cache_dir):
    write_georgia(root, 1)
    write_georgia(root, 2)
    header = root / "training/georgia/g1/E00001.hea"
    header.write_text(header.read_text().replace("E00001.mat", "../../E00001.mat"))
    rows, report = written_report("georgia", root, cache_dir)
    assert list(rows) == ["E00002"]
    assert "names of files beside the header" in report.skipped[0].reason


def test_the_gain_of_the_faulty_first_release_is_noted_and_kept(root, cache_dir):
    write_georgia(root, 1, text=RecordText(gain=4880.0, gain_text="4880/mV"))
    write_georgia(root, 2)
    rows, report = written_report("georgia", root, cache_dir)
    assert np.nanmax(rows["E00001"]["signal"]) < 0.2 < np.nanmax(rows["E00002"]["signal"])
    assert [line.record_id for line in report.noted] == ["E00001"]
    assert "the gain is 4880/mV" in report.noted[0].reason
    assert "0.205 times what they should be" in report.noted[0].reason


def test_flat_leads_stay_and_a_flat_record_is_noted(root, cache_dir):
    write_georgia(root, 1)
    signal_file = root / "training/georgia/g1/E00001.mat"
    signal_file.write_bytes(bytes(signal_file.stat().st_size))
    rows, report = written_report("georgia", root, cache_dir)
    assert not rows["E00001"]["signal"].any()
    assert [line.reason for line in report.lines] == ["every lead is flat or missing"]


def test_names_of_the_nine_classes_are_seen_record_by_record(root, cache_dir):
    write_record(root, "A0001", RecordText(comments=("#Dx: AF,STE", "#Sx: Unknows")))
    write_record(root, "A0002", RecordText(comments=("#Dx: 164889003",)))
    write_record(root, "A0003", RecordText(comments=("#Dx: Normal",)))
    write_record(root, "A0004", RecordText(comments=("#Dx: FA",)))
    rows, report = written_report("cpsc2018", root, cache_dir)
    assert {name: (row["native_labels"], row["labels"]) for name, row in rows.items()} == {
        "A0001": (["AF", "STE"], ["164889003", "164931005"]),
        "A0002": (["164889003"], ["164889003"]),
        "A0003": (["Normal"], ["426783006"]),
        "A0004": (["FA"], []),
    }
    assert [(line.record_id, line.reason) for line in report.lines] == [("A0004", "labels that no table knows: FA")]


def test_signals_in_dat_files_are_read_as_well(root, cache_dir):
    write_record(root, "A0001", files=[SignalFile(".dat")])
    assert written_report("cpsc2018", root, cache_dir)[0]["A0001"]["signal"].shape == (12, 600)


class TestRealRecords:
    @pytest.mark.parametrize(("name", "n_records"), [("cpsc2018", 2), ("cpsc-extra", 15), ("georgia", 22)])
    def test_every_record_is_read(self, records_dir, cache_dir, name, n_records):
        rows, report = written_report(name, records_dir / "challenge-2021", cache_dir)
        assert len(rows) == n_records and not report.skipped
        assert {row["signal"].shape[0] for row in rows.values()} == {12}

    def test_georgia_has_two_ages_missing_and_one_faulty_gain(self, records_dir, cache_dir):
        rows, report = written_report("georgia", records_dir / "challenge-2021", cache_dir)
        assert sum(row["age_years"] is None for row in rows.values()) == 2
        assert [line.record_id for line in report.lines] == ["E00015"]

    def test_the_first_release_of_cpsc2018_has_text_for_labels(self, records_dir, cache_dir):
        rows, report = written_report("cpsc2018", records_dir / "cpsc2018-text-dx", cache_dir)
        counts = Counter(label for row in rows.values() for label in row["native_labels"])
        assert counts == {
            **{"AF": 12, "RBBB": 11, "Normal": 9, "STE": 8, "STD": 8, "PVC": 8, "PAC": 4, "LBBB": 4, "I-AVB": 2}
        }
        assert len(rows) == 65 and all(row["labels"] for row in rows.values()) and not report.lines

    def test_both_forms_of_cpsc2018_go_together(self, records_dir, cache_dir):
        found = load_corpus("cpsc2018", records_dir, split="train", cache_dir=cache_dir)
        labels = {row["record_id"]: row["native_labels"] for row in found}
        assert len(labels) == 67
        assert (labels["A0001"], labels["A0689"]) == (["RBBB"], ["164889003"])
