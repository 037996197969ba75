# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Addresses of records in files that hold several."""

from pathlib import Path

import pytest

from anyecg_hf.records import RecordError, find_records, read_record
from anyecg_hf.records.addresses import Address, file_part, find_row, list_addresses, parse_address


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "many::of.parquet"
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize("name", ["1169160", "a/b", "a::b", "#3", "", "rec.dat"])
def test_the_name_stands_behind_the_file(file, name):
    assert parse_address(file) == Address(file)
    assert parse_address(Path(f"{file}::{name}")) == Address(file, name)


def test_a_path_without_such_a_file_is_one_file(tmp_path):
    for path in (Path("no.parquet::a"), tmp_path / "::a", tmp_path, Path("::")):
        assert parse_address(path) == Address(path)
    (tmp_path / "a::b").write_bytes(b"")
    (tmp_path / "a").write_bytes(b"")
    assert parse_address(tmp_path / "a::b") == Address(tmp_path / "a::b")


def test_every_listed_address_leads_to_its_own_row(file):
    names = ["a", "b/c", "a", None, "", "#1", "x//y", "x/.", "tail/", "é" * 100, "é" * 127, "\0", "p::q"]
    listed = list_addresses(file, names)
    assert len(set(listed)) == len(names)
    assert [find_row(parse_address(path), names) for path in listed] == list(range(len(names)))
    by_name = {1: "b/c", 9: "é" * 100, 12: "p::q"}
    assert {row: parse_address(path).name for row, path in enumerate(listed) if row in by_name} == by_name
    assert list_addresses(file, ["a"]) == [file]


def test_a_row_that_is_not_there_is_an_error(file):
    with pytest.raises(RecordError, match="expected at least one record, found none"):
        find_row(Address(file), [])
    with pytest.raises(RecordError, match="expected a record 'b', found none of this name among 1 record. `find_rec"):
        find_row(Address(file, "b"), ["a"])
    assert find_row(Address(file, "a"), ["a"]) == find_row(Address(file), ["a"]) == 0


def test_files_of_one_record_have_no_names_in_them(write_wfdb, counts):
    path = write_wfdb(counts).with_suffix(".dat")
    message = r"rec\.dat: expected a file of many records \(HDF5 or Parquet\), as 'rec\.dat::a' names one of them"
    with pytest.raises(RecordError, match=message):
        read_record(f"{path}::a")
    assert find_records(f"{path}::a") == [Path(f"{path}::a")]


def test_records_are_sorted_by_what_stands_in_front_of_the_name():
    assert file_part(Path("folder/a.parquet::x/y::z")) == Path("folder/a.parquet")
    assert file_part(Path("folder/a")) == Path("folder/a")
