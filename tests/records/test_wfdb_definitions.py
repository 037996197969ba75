# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Annotation files that wfdb would read for ever, and those that look like them."""

import numpy as np
import pytest

from anyecg_hf.records import RecordError
from anyecg_hf.records.wfdb_definitions import check_definitions
from anyecg_hf.records.wfdb_source import read_annotation_file

pytest.importorskip("wfdb")


def note(text: str, delta: int = 0) -> bytes:
    """A note so many samples after the annotation before it."""
    content = text.encode()
    return bytes([delta, 22 << 2, len(content), 63 << 2]) + content + b"\0" * (len(content) % 2)


BEAT = bytes([10, 1 << 2])
END = b"\0\0"


def write(tmp_path, *parts: bytes):
    (tmp_path / "r.atr").write_bytes(b"".join([*parts, END]))
    return tmp_path / "r.atr"


@pytest.mark.parametrize(
    "notes",
    [
        ["## made by hand"],
        ["## time resolution: 500", "## time resolution: 500"],
        ["## time resolution: none"],
        ["## time resolution: 500", "## and more"],
    ],
)
def test_definitions_that_wfdb_never_leaves_are_refused_with_the_note(tmp_path, notes):
    path = write(tmp_path, *map(note, notes), BEAT)
    with pytest.raises(RecordError, match="expected one time resolution and annotation types .*, found '## "):
        read_annotation_file(path, 360)


def test_the_first_of_two_notes_counts(tmp_path):
    both = note("## made by hand") + bytes([4, 63 << 2]) + b"late"
    with pytest.raises(RecordError, match="found '## made by hand'"):
        read_annotation_file(write(tmp_path, both, BEAT), 360)


@pytest.mark.parametrize(
    "notes",
    [
        [],
        ["## time resolution: 500"],
        ["## time resolution: 0", "## time resolution: 250"],
        ["## time resolution: 500", "## annotation type definitions", "42 X thing", "## end of definitions"],
        ["a remark"],
    ],
)
def test_definitions_that_wfdb_knows_are_read(tmp_path, notes):
    found = read_annotation_file(write(tmp_path, *map(note, notes), BEAT), 360)
    assert found[-1].symbol == "N"


def test_such_a_note_later_in_the_record_is_a_note(tmp_path):
    found = read_annotation_file(write(tmp_path, BEAT, note("## made by hand", delta=5)), 360)
    assert [(entry.symbol, entry.note) for entry in found] == [("N", ""), ('"', "## made by hand")]


def test_files_that_wfdb_writes_pass(tmp_path):
    import wfdb

    places = np.array([0, 100_000, 5_000_000])
    notes = ["(AFIB", "## x", "end"]
    wfdb.wrann("w", "atr", places, ["+", '"', "N"], aux_note=notes, fs=500, write_dir=str(tmp_path))
    check_definitions(tmp_path / "w.atr")
    assert [entry.time_s for entry in read_annotation_file(tmp_path / "w.atr", 500)] == [0.0, 200.0, 10_000.0]


@pytest.mark.parametrize("size", range(0, 60, 7))
def test_a_file_that_is_cut_off_is_read_or_an_error(tmp_path, size):
    whole = note("## time resolution: 500") + bytes([0, 59 << 2, 1, 0, 0, 0]) + BEAT + note("## x") + BEAT
    (tmp_path / "r.atr").write_bytes(whole[:size])
    try:
        read_annotation_file(tmp_path / "r.atr", 500)
    except RecordError as error:
        assert "a WFDB annotation file" in str(error) or "as definitions of annotations" in str(error)
