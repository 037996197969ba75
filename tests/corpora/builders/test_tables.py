# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""CSV tables of the corpora."""

import gzip
from pathlib import Path

import pytest

from anyecg_hf.corpora import CorpusError
from anyecg_hf.corpora.builders.tables import absent_records, keyed_table, parse_flag, read_table, require_table
from anyecg_hf.corpora.files import CorpusFiles


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text('\ufeffid,text\n1," two\nlines "\n2,"a, b"\n', encoding="utf-8")
    return path


def test_cells_are_texts_without_blanks_around_them(table):
    assert list(read_table(table, ["id"])) == [{"id": "1", "text": "two\nlines"}, {"id": "2", "text": "a, b"}]


def test_a_packed_table_is_unpacked_on_the_way(table):
    packed = table.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(table.read_bytes()))
    assert list(read_table(packed, ["id"])) == list(read_table(table, ["id"]))
    packed.write_bytes(b"no gzip")
    with pytest.raises(CorpusError, match="expected a CSV table in UTF-8, found BadGzipFile"):
        list(read_table(packed, ["id"]))


def test_columns_may_be_named_by_the_caller(tmp_path):
    path = tmp_path / "REFERENCE.csv"
    path.write_text("A1,N\nA2,O\n")
    assert keyed_table(path, "record", header=("record", "label"))["A2"] == {"record": "A2", "label": "O"}


def test_a_missing_column_is_named_beside_those_that_are_there(table):
    table.write_text("id;text\n1;a\n")
    expected = "expected the columns id, text, found no id, text among 'id;text'. Columns have commas between them."
    with pytest.raises(CorpusError, match=expected):
        list(read_table(table, ["id", "text"]))


def test_a_column_must_not_occur_twice(table):
    table.write_text("id,text,text,,\n1,a,b,,\n")
    with pytest.raises(CorpusError, match="expected every column once, found 'text' more than once"):
        list(read_table(table, ["id"]))
    table.write_text("id,,\n1,,\n")  # empty columns of a spreadsheet
    assert list(read_table(table, ["id"])) == [{"id": "1", "": ""}]


def test_rows_of_another_width_are_refused(table):
    for row in ("3", "3,c,d"):
        table.write_text(f"id,text\n1,a\n\n{row}\n")
        n_cells = row.count(",") + 1
        expected = f"expected 2 cells in every row, found {n_cells} in the one that ends in line 4"
        with pytest.raises(CorpusError, match=expected):
            list(read_table(table, ["id"]))


def test_rows_with_one_key_must_not_differ(table):
    table.write_text("id,text\n1,a\n1, a\n")
    assert keyed_table(table, "id") == {"1": {"id": "1", "text": "a"}}
    table.write_text("id,text\n1,a\n1,b\n")
    with pytest.raises(CorpusError, match="expected one row for each id, found two that differ for '1'"):
        keyed_table(table, "id")


@pytest.mark.parametrize(("cell", "value"), [("True", True), ("1.0", True), ("false", False), ("0", False), ("", None)])
def test_flags_are_read_in_every_usual_spelling(table, cell, value):
    assert parse_flag(table, {"id": "1", "AF": cell}, "AF") is value


def test_other_flags_are_refused(table):
    with pytest.raises(CorpusError, match="expected true or false, 1 or 0, as 'AF', found '2' in the row of '7'"):
        parse_flag(table, {"id": "7", "AF": "2"}, "AF")


def test_the_best_of_several_tables_is_found(table):
    files = CorpusFiles.of_folder(table.parent)
    assert require_table(files, "better.csv", "table.csv") == table
    with pytest.raises(CorpusError, match="expected the table better.csv or best.csv, found none among 1 files"):
        require_table(files, "better.csv", "best.csv")


def test_rows_without_records_make_one_line(table):
    assert [line.reason for line in absent_records(table, 7)] == ["7 of its rows have no record here"]
    assert not list(absent_records(table, 0))
