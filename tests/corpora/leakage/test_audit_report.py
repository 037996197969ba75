# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import pytest

from anyecg_hf.corpora.leakage.audit_report import (
    EXACT,
    NAMED,
    NEAR,
    AuditedPart,
    AuditedRecord,
    AuditReport,
    Copies,
    RepeatedId,
    SharedPatient,
    UnreadRecord,
)
from anyecg_hf.corpora.leakage.sketch_comparison import Similarity

A1, A2 = AuditedRecord("sph", "A1", "train"), AuditedRecord("sph", "A2", "train")
E1, E9 = AuditedRecord("georgia", "E1", "train"), AuditedRecord("georgia", "E|9", "test")
SIMILARITY = Similarity(correlation=0.99951, repetition=0.9, shift_s=-2.468, overlap_s=7.52, n_leads=8)
REPORT = AuditReport(
    parts=(AuditedPart("sph", "train", 2, 1, 0), AuditedPart("georgia", "test", 1, 0, 1)),
    shared_patients=(SharedPatient(("p", "q"), (A1, E9)),),
    copies=(Copies(NEAR, (A1, E9), SIMILARITY), Copies(EXACT, (A1, A2)), Copies(NAMED, (E1, E9))),
    repeated_ids=(RepeatedId("sph", "A7", 2),),
    flat=(A2,),
    short=(E1,),
    unread=(UnreadRecord("sph", "A3.h5", "cut\nshort"),),
)
CLEAN = AuditReport(parts=(AuditedPart("sph", None, 5, 5, 0),))

SUMMARY = [
    "sph (train): records 2, patients 1",
    "georgia (test): records 1, patients 0, records without one 1",
    "copies of the same samples: 1, of which 0 leak",
    "copies at another rate, gain, filter or length: 1, of which 1 leak",
    "copies by name: 1, of which 1 leak",
    "patients in several corpora or splits: 1",
    "repeated record ids: 1",
    "flat records, copies of nothing: 1",
    "records too short to look for more than equal samples: 1",
    "records left out: 1",
    "Leaks: 3.",
]


def test_the_summary_says_what_was_found_and_the_verdict():
    assert REPORT.summary() == SUMMARY
    assert CLEAN.summary() == ["sph: records 5, patients 5", "No leakage found."]


def test_the_markdown_lists_it_in_tables():
    text = REPORT.to_markdown()
    assert text.startswith("# Audit of corpora\n\n- sph (train): records 2, patients 1\n")
    assert "| p, q | sph/A1 (train), georgia/E\\|9 (test) |\n" in text
    leaks, harmless = text.split("## Copies that leak")[1].split("## Copies within one split")
    assert "| near | sph/A1 (train), georgia/E\\|9 (test) | 0.9995 | 7.5 s | -2.47 s |\n" in leaks
    assert "| named | georgia/E1 (train), georgia/E\\|9 (test) |  |  |  |\n" in leaks
    assert "| exact | sph/A1 (train), sph/A2 (train) |  |  |  |\n" in harmless
    assert "| sph | A3.h5 | cut short |\n" in harmless
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Shared patients",
        "## Copies that leak",
        "## Copies within one split",
        "## Repeated record ids",
        "## Flat records",
        "## Short records",
        "## Records left out",
    ]


def test_what_was_not_found_has_no_section():
    assert CLEAN.to_markdown() == "# Audit of corpora\n\n- sph: records 5, patients 5\n- No leakage found.\n"


def test_long_lists_are_cut_in_markdown_but_not_in_json():
    flat = tuple(AuditedRecord("sph", f"A{number}", "train") for number in range(233))
    report = AuditReport(parts=(), flat=flat)
    assert "| sph/A199 (train) |\n\nand 33 more: the JSON file has them all." in report.to_markdown()
    assert "A200" not in report.to_markdown()
    assert len(report.to_dict()["flat"]) == 233


@pytest.mark.parametrize("suffix", [".md", ".json"])
def test_it_is_written_as_markdown_and_as_json(tmp_path, suffix):
    markdown, table = REPORT.write(tmp_path / f"an audit{suffix}")
    assert (markdown, table) == (tmp_path / "an audit.md", tmp_path / "an audit.json")
    assert markdown.read_text(encoding="utf-8") == REPORT.to_markdown()
    found = json.loads(table.read_text(encoding="utf-8"))
    assert (found["is_clean"], found["n_leaks"]) == (False, 3)
    assert [copies["is_leak"] for copies in found["copies"]] == [True, False, True]
    assert found["copies"][0]["similarity"]["overlap_s"] == 7.52
    assert found["shared_patients"][0]["records"][1] == {"corpus": "georgia", "record_id": "E|9", "split": "test"}


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the report must end in \.md or \.json, got .*audit\.csv"):
        CLEAN.write(tmp_path / "audit.csv")


def test_links_are_what_a_split_must_keep_together():
    assert [[str(key) for key in group] for group in REPORT.linked] == [
        ["sph/A1", "georgia/E|9"],
        ["sph/A1", "sph/A2"],
        ["georgia/E1", "georgia/E|9"],
        ["sph/A1", "georgia/E|9"],
    ]


def test_leaks_are_patients_and_copies_in_several_parts():
    assert REPORT.leaks == (REPORT.shared_patients[0], REPORT.copies[0], REPORT.copies[2])
    assert not REPORT.is_clean and CLEAN.is_clean
