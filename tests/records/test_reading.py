# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`read_record` finds the format by content; `find_records` lists what folders and globs hold."""

import errno

import numpy as np
import pytest
from tests.fresh_process import in_fresh_process
from tests.records.read_as import FORMAT_NAMES

from anyecg_hf.records import (
    MissingFileError,
    RecordError,
    UnknownFormatError,
    find_format,
    find_records,
    read_record,
)


@pytest.fixture
def folder(write_wfdb, counts, tmp_path):
    """A corpus as one finds it: records of every format, tables of labels, notes, and a sub-folder."""
    write_wfdb(counts, name="b")
    write_wfdb(counts, name="a", data_file="a.mat", layout="16+24")
    (tmp_path / "labels.csv").write_text("record,label\na,N\nb,A\n")
    (tmp_path / "REFERENCE.csv").write_text("a,N\nb,A\n")
    (tmp_path / "README.txt").write_text("Two records, and more below.\n")
    sub = tmp_path / "sub"
    sub.mkdir()
    (sub / "c.csv").write_text("I,II\n1,2\n")
    (sub / "numbers.CSV").write_text("1,2\n3,4\n")
    np.savez(sub / "d.npz", signal=np.zeros((1, 5)))
    np.savez(sub / "features.npz", features=np.zeros((1, 5)))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "e.csv").write_text("I,II\n1,2\n")
    return tmp_path


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_folder_is_walked_in_order_and_every_record_is_named_once(folder):
    expected = ["a", "b", "sub/c.csv", "sub/d.npz", "sub/numbers.CSV"]
    assert names(find_records(folder), folder) == expected
    assert names(find_records(str(folder)), folder) == expected


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["b"], ["b"]),
        (["b.hea", "b.dat", "b", "a.mat"], ["b", "a"]),
        (["sub/c.csv", "."], ["sub/c.csv", "a", "b", "sub/d.npz", "sub/numbers.CSV"]),
        (["*.hea"], ["a", "b"]),
        (["*.dat"], ["b"]),
        (["*"], ["a", "b"]),
        (["**/*"], ["a", "b", "sub/c.csv", "sub/d.npz", "sub/numbers.CSV"]),
        (["su?"], ["sub/c.csv", "sub/d.npz", "sub/numbers.CSV"]),
        (["labels.csv"], ["labels.csv"]),
    ],
)
def test_records_folders_and_globs_can_be_mixed(folder, sources, expected):
    assert names(find_records([folder / source for source in sources]), folder) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing", "nothing: expected a record, a folder or a glob, found none of them"),
        ("*.edf", rf"\*\.edf: expected records in one of the formats {FORMAT_NAMES}, found none"),
        (".hidden/none", "expected a record, a folder or a glob"),
    ],
)
def test_a_source_that_holds_no_record_is_an_error(folder, source, message):
    with pytest.raises(MissingFileError, match=message):
        find_records([folder / "a", folder / source])


def test_the_current_folder_is_a_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert [path.as_posix() for path in find_records(".")] == ["a", "b", "sub/c.csv", "sub/d.npz", "sub/numbers.CSV"]
    for path in (".", ""):
        with pytest.raises(RecordError, match="expected a record, found a folder"):
            read_record(path)


@pytest.mark.parametrize("name", ["b.csv", "b.hea"])
def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch, name):
    def deny(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / name).write_text("I\n1\n")
    monkeypatch.setattr("builtins.open", deny)
    monkeypatch.setattr("pathlib.Path.read_bytes", deny)
    with pytest.raises(RecordError, match=rf"{name}: expected a .*, found this: Permission denied\."):
        read_record(tmp_path / name)


def test_an_empty_list_and_an_empty_folder_are_errors(tmp_path):
    with pytest.raises(MissingFileError, match="expected at least one record, found an empty list"):
        find_records([])
    with pytest.raises(MissingFileError, match="expected records in one of the formats"):
        find_records(tmp_path)


def test_segments_of_a_record_are_not_listed_beside_it(write_wfdb, counts):
    folder = write_wfdb(counts, name="s1").parent
    write_wfdb(counts, name="s2")
    (folder / "all.hea").write_text("all/2 2 500 600\ns1 300\ns2 300\n")
    (folder / "loop.hea").write_text("loop/1 2 500 300\nloop 300\n")
    assert names(find_records(folder), folder) == ["all", "loop"]
    assert names(find_records(folder / "s1"), folder) == ["s1"]


def test_copies_of_a_record_in_other_formats_are_not_listed_beside_it(write_wfdb, counts):
    folder = write_wfdb(counts).parent
    np.savetxt(folder / "rec.txt", counts.T, "%d", ",")
    np.savez(folder / "rec.npz", signal=counts)
    np.savez(folder / "alone.npz", signal=counts)
    np.savetxt(folder / "alone.csv", counts.T, "%d", ",")
    assert names(find_records(folder), folder) == ["alone.csv", "alone.npz", "rec"]
    assert (
        names(find_records(folder / "*.txt"), folder) == names(find_records(folder / "rec.txt"), folder) == ["rec.txt"]
    )


def test_the_dot_in_the_name_of_a_record_is_no_suffix_of_a_copy(write_wfdb, counts):
    folder = write_wfdb(counts).parent
    write_wfdb(counts, name="rec.1", data_file="rec.1", record_line="rec_1 2 500 300")
    assert names(find_records(folder), folder) == ["rec", "rec.1"]


def test_the_format_of_a_record_is_named(folder):
    found = [find_format(folder / name).name for name in ("a", "b.dat", "sub/c.csv", "sub/d.npz")]
    assert found == ["WFDB", "WFDB", "CSV", "NumPy"]
    with pytest.raises(MissingFileError, match=r"a record: this file, or a WFDB header nothing\.hea, found neither"):
        find_format(folder / "nothing")


def test_a_header_without_its_signals_is_listed_so_that_the_loss_is_seen(write_wfdb, counts):
    path = write_wfdb(counts)
    path.with_suffix(".dat").unlink()
    assert find_records(path.parent) == [path]
    with pytest.raises(MissingFileError, match=r"rec\.dat"):
        read_record(path)


def test_a_file_of_another_format_beside_a_header_is_not_taken_for_the_record(write_wfdb, counts):
    path = write_wfdb(counts)
    other = path.with_suffix(".scp")
    other.write_bytes(b"\x12\x34\x00\x01" + bytes(200))
    message = rf"rec\.scp: expected a record in one of the formats {FORMAT_NAMES}, found a file that starts with"
    with pytest.raises(UnknownFormatError, match=message):
        read_record(other)


def test_a_folder_is_no_record(tmp_path):
    with pytest.raises(RecordError, match="expected a record, found a folder. `find_records` lists"):
        read_record(tmp_path)


def test_the_record_wins_over_a_folder_of_the_same_name(write_wfdb, counts):
    path = write_wfdb(counts)
    path.mkdir()
    assert read_record(path).n_samples == 300
    assert find_records(path) == [path]


@pytest.mark.parametrize(
    ("passed", "message"),
    [
        ({"sampling_rate": 0}, "`sampling_rate` must be a positive number of Hz, got 0"),
        ({"sampling_rate": float("nan")}, "got nan"),
        ({"unit": "mmHg"}, "unknown unit 'mmHg'"),
        ({"lead_names": ["I", "left foot"]}, r"names outside the lead vocabulary: \['left foot'\]"),
        ({"lead_names": ["I", "DI"]}, r"repeats \['I'\]"),
        ({"lead_names": "I"}, "single string 'I'"),
    ],
)
def test_impossible_arguments_are_refused_before_reading(tmp_path, passed, message):
    with pytest.raises(ValueError, match=message):
        read_record(tmp_path / "nothing", **passed)


def test_only_records_of_a_format_need_its_library(tmp_path):
    (tmp_path / "ecg.csv").write_text("I,II\n1,2\n")
    script = f"""
        import sys
        sys.modules["wfdb"] = sys.modules["pyedflib"] = None
        from anyecg_hf.records import find_records, read_record
        (path,) = find_records({str(tmp_path)!r})
        print(path.name, read_record(path, sampling_rate=500, unit="mV").n_leads)
    """
    assert in_fresh_process(script) == "ecg.csv 2\n"
