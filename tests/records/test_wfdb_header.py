# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""WFDB headers: dialects that must read, damage that must not, and sizes of signal files."""

from datetime import datetime

import pytest

from anyecg_hf.records import MissingFileError, RecordError, UnsafeHeaderError
from anyecg_hf.records.wfdb_header import bytes_of, parse_header, parse_start, samples_in

SIGNAL = "a.dat 16 1000/mV 16 0 0 0 0 I"


def parse(tmp_path, *lines: str):
    path = tmp_path / "a.hea"
    path.write_text("\n".join(lines), encoding="utf-8")
    return parse_header(path)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("12-May-2020 12:33:59", datetime(2020, 5, 12, 12, 33, 59)),
        ("08:03:08 1/03/2000", datetime(2000, 3, 1, 8, 3, 8)),
        ("13:29:53.250 01/03/1987", datetime(1987, 3, 1, 13, 29, 53, 250000)),
        ("08:03:08", None),
        ("25:61:00 45/45/2000", None),
        ("12-Foo-2020 12:33:59", None),
        ("", None),
    ],
)
def test_a_start_reads_in_every_order_and_never_stops_the_reading(text, start, tmp_path):
    assert parse_start(text) == start
    header = parse(tmp_path, f"a 1 500 5000 {text}", SIGNAL)
    assert (header.record.recorded_at, header.record.n_frames) == (start, 5000)


def test_a_full_signal_line_is_taken_apart(tmp_path):
    (signal,) = parse(tmp_path, "a 1 500 5000", "a.mat 212x4:2+24 -37.5e1(-178440)/uV 12 5 -3 17 0 ECG lead V5").signals
    assert (signal.file_name, signal.format) == ("a.mat", "212")
    assert (signal.samples_per_frame, signal.skew, signal.offset) == (4, 2, 24)
    assert (signal.gain, signal.baseline, signal.unit) == (-375.0, -178440, "uV")
    assert (signal.initial_value, signal.name) == (-3, "ECG lead V5")


def test_the_baseline_is_the_adc_zero_where_it_is_not_given(tmp_path):
    (signal,) = parse(tmp_path, "a 1 500 5000", "a.dat 212 200 11 1024 995 -22131 0 MLII").signals
    assert (signal.baseline, signal.unit, signal.gain) == (1024, "mV", 200.0)


@pytest.mark.parametrize("line", ["a.dat 16", "a.dat 16 0 16 0 0 0 0 I"])
def test_an_absent_or_zero_gain_is_no_gain(tmp_path, line):
    assert parse(tmp_path, "a 1 500 5000", line).signals[0].gain is None


def test_blank_lines_comments_and_line_ends_of_every_kind_are_understood(tmp_path):
    path = tmp_path / "a.hea"
    path.write_bytes(b"# before\r\n\r\na 1 500 5000 \r\n\ta.dat 16 1000/mV 16 0 0 0 0 I \r\n#Age: 50\r\n##note\r\n")
    header = parse_header(path)
    assert header.comments == ("before", "Age: 50", "note")
    assert header.signals[0].name == "I"


def test_a_header_in_latin_1_keeps_its_micro_sign(tmp_path):
    path = tmp_path / "a.hea"
    path.write_bytes("a 1 500 5000\na.dat 16 1/µV 16 0 0 0 0 I\n".encode("latin-1"))
    header = parse_header(path)
    assert header.signals[0].unit == "µV"
    assert not header.is_plain


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "expected a WFDB record line 'name signals rate samples', found no such line"),
        (["# only a comment"], "found no such line"),
        (["\x00\x01\x02\x03"], "expected a WFDB record line"),
        (["a"], "found 'a'"),
        (["a twelve 500 5000", SIGNAL], "found 'a twelve 500 5000'"),
        (["a 1 fast 5000", SIGNAL], "found 'a 1 fast 5000'"),
        (["a 12 500 5000", SIGNAL], "expected 12 signal lines, as its first line says, found 1"),
        (["a 1 500 5000", SIGNAL, SIGNAL], "expected 1 signal lines, as its first line says, found 2"),
        (["a 0 500 5000"], "expected at least one signal, found none"),
        (["a 1 500 5000", "a.dat"], "expected a WFDB signal line 'file format gain ...', found 'a.dat'"),
        (["a 1 500 5000", "a.dat sixteen 1000/mV"], "expected a WFDB signal line"),
        (["a 1 500 5000", "a.dat 16 lots/mV 16 0 0 0 0 I"], "expected a WFDB signal line"),
        (["a 1 500 5000", "a.dat 16 1e999/mV 16 0 0 0 0 I"], "expected a finite gain"),
        (["a/2 1 500 5000", "b 5000"], "expected 2 segment lines, as its first line says, found 1"),
        (["a/1 1 500 5000", "b many"], "expected a WFDB segment line 'record samples', found 'b many'"),
        (["a 1 500 5000", f"{'a' * 300} 16 1000/mV 16 0 0 0 0 I"], "names of files of at most 250 bytes, found 300"),
        (["a/1 1 500 5000", f"{'a' * 300} 5000"], "names of files of at most 250 bytes, found 300"),
    ],
)
def test_a_corrupt_header_is_an_error_that_shows_the_damage(tmp_path, lines, message):
    with pytest.raises(RecordError, match="a.hea: ") as error:
        parse(tmp_path, *lines)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["../x.dat", "/etc/passwd", "sub/x.dat", "..\\x.dat", "C:x.dat", "s3://b/x.dat", ".."])
def test_a_header_that_names_files_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(UnsafeHeaderError, match="expected names of files beside the header") as error:
        parse(tmp_path, "a 1 500 5000", f"{name} 16 1000/mV 16 0 0 0 0 I")
    assert repr(name) in str(error.value)
    with pytest.raises(UnsafeHeaderError):
        parse(tmp_path, "a/1 1 500 5000", f"{name} 5000")


def test_a_missing_header_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="b.hea: expected a WFDB header, found no such file"):
        parse_header(tmp_path / "b.hea")


@pytest.mark.parametrize(
    ("format_", "sizes"),
    [
        ("8", [0, 1, 2, 3, 4]),
        ("16", [0, 2, 4, 6, 8]),
        ("24", [0, 3, 6, 9, 12]),
        ("32", [0, 4, 8, 12, 16]),
        ("212", [0, 2, 3, 5, 6]),
        ("310", [0, 2, 4, 4, 6]),
        ("311", [0, 2, 3, 4, 6]),
    ],
)
def test_bytes_and_samples_of_a_format_fit_each_other(format_, sizes):
    assert [bytes_of(format_, samples) for samples in range(5)] == sizes
    for samples in range(60):
        size = bytes_of(format_, samples)
        # In format 310 the second and the third sample of a block come with the same byte.
        assert samples_in(format_, size) in ({samples, samples + 1} if format_ == "310" else {samples})
        assert samples == 0 or samples_in(format_, size - 1) < samples
