# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""CSV tables: header rows, time columns, units, and what a table must say or be told."""

import numpy as np
import pytest
from tests.records.read_as import FORMAT_NAMES

from anyecg_hf.records import RecordError, UnknownFormatError, read_record

SAMPLES = np.round(np.random.default_rng(0).normal(size=(40, 2)), 4)


def table(samples: np.ndarray, header: str | None = None, delimiter: str = ",") -> str:
    rows = [delimiter.join(map(repr, row)) for row in samples.tolist()]
    return "\n".join([*([header] if header else []), *rows, ""])


@pytest.fixture
def write(tmp_path):
    def write_text(text: str, name: str = "ecg.csv", encoding: str = "utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write_text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["ecg.csv", "ecg.tsv", "ecg.dat", "ecg"])
def test_rows_are_samples_and_the_header_names_the_leads(write, delimiter, name):
    path = write(table(SAMPLES, f"I{delimiter}avr", delimiter), name)
    record = read_record(path, sampling_rate=250, unit="mV")
    np.testing.assert_allclose(record.signal_mv, SAMPLES.T, atol=1e-6)
    assert (record.lead_names, record.sampling_rate, record.record_id) == (("I", "aVR"), 250.0, "ecg")
    assert record.source == str(path)


def test_units_may_stand_beside_the_names(write):
    record = read_record(write(table(SAMPLES, "I (uV),V1 [mV]")), sampling_rate=250)
    np.testing.assert_allclose(record.signal_mv, SAMPLES.T * [[1e-3], [1.0]], rtol=1e-6)
    with pytest.raises(RecordError, match="a unit of voltage: .*, found 'mmHg'"):
        read_record(write(table(SAMPLES, "I (mmHg),V1 (mV)")), sampling_rate=250)
    with pytest.raises(RecordError, match="samples in 'mV', as passed, found 'uV' in the file"):
        read_record(write(table(SAMPLES, "I (uV),V1 (uV)")), sampling_rate=250, unit="mV")


def test_a_table_of_numbers_alone_needs_names_rate_and_unit(write):
    path = write(table(SAMPLES))
    record = read_record(path, sampling_rate=250, unit="uV", lead_names=["I", "II"])
    np.testing.assert_allclose(record.signal_mv, SAMPLES.T / 1000, rtol=1e-6)
    with pytest.raises(RecordError, match=r"expected names of the leads, found none in the file. Pass lead_names"):
        read_record(path, sampling_rate=250, unit="uV")
    with pytest.raises(RecordError, match=r"expected 3 columns, one for each lead, found 2"):
        read_record(path, sampling_rate=250, unit="uV", lead_names=["I", "II", "III"])


def test_a_missing_rate_or_unit_says_what_to_pass(write):
    path = write(table(SAMPLES, "I,II"))
    with pytest.raises(RecordError, match=r"expected a sampling rate, found none .* sampling_rate=500"):
        read_record(path, unit="mV")
    with pytest.raises(RecordError, match=r"expected a unit of the samples, found none .* unit='mV'"):
        read_record(path, sampling_rate=500)


@pytest.mark.parametrize("header", ["time", "time_s", "t", "Time", "time (s)", "t [sec]"])
def test_a_first_column_of_seconds_gives_the_rate(write, header):
    samples = np.column_stack([3 + np.arange(40) / 257, SAMPLES])
    record = read_record(write(table(samples, f"{header},I,II")), unit="mV")
    assert record.sampling_rate == 257.0
    np.testing.assert_allclose(record.signal_mv, SAMPLES.T, atol=1e-6)


@pytest.mark.parametrize(("rate", "decimals"), [(360, 3), (500, 3), (128, 4), (1000, 3), (100, 2)])
def test_rounded_times_still_give_the_whole_rate(write, rate, decimals):
    times = np.round(np.arange(10 * rate) / rate, decimals)
    samples = np.column_stack([times, np.zeros_like(times)])
    path = write(table(samples, "time,I"))
    assert read_record(path, unit="mV").sampling_rate == rate
    assert read_record(path, unit="mV", sampling_rate=rate).sampling_rate == rate
    with pytest.raises(RecordError, match=f"a sampling rate of {rate + 7} Hz, as passed, found {rate} Hz"):
        read_record(path, unit="mV", sampling_rate=rate + 7)


def test_a_rate_that_is_no_whole_number_is_not_rounded(write):
    times = np.arange(2000) / 360.5
    record = read_record(write(table(np.column_stack([times, times]), "t,I")), unit="mV")
    assert record.sampling_rate == pytest.approx(360.5, rel=1e-9)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0, 0.002, 0.004, 0.1, 0.102], r"evenly spaced times, found steps from 0.002 to 0.096 s"),
        ([0.004, 0.002, 0.0], "a time column that increases"),
        ([0.0, np.nan, 0.004], "a time column that increases"),
        ([0.0], "a time column that increases"),
    ],
)
def test_times_that_give_no_rate_are_an_error(write, times, message):
    samples = np.column_stack([times, np.zeros(len(times))])
    with pytest.raises(RecordError, match=message):
        read_record(write(table(samples, "time,I")), unit="mV")


@pytest.mark.parametrize("header", ["time_ms,I", "time (ms),I", "I,time", "sample,I", ",I", "Unnamed: 0,I", "index,I"])
def test_counters_and_other_times_are_not_taken_for_leads(write, header):
    with pytest.raises(RecordError, match="expected columns that are leads, after a first column 'time' in seconds"):
        read_record(write(table(SAMPLES, header)), sampling_rate=250, unit="mV")


def test_odd_names_become_unknown_unless_the_caller_knows_them(write):
    path = write(table(SAMPLES, "channel 1,V1"))
    with pytest.warns(UserWarning, match=r"'channel 1' \(lead 1\)"):
        assert read_record(path, sampling_rate=250, unit="mV").lead_names == ("unknown", "V1")
    assert read_record(path, sampling_rate=250, unit="mV", lead_names=["II", "V1"]).lead_names == ("II", "V1")
    with pytest.raises(RecordError, match="the leads II, V2, as passed, found channel 1, V1 in the file"):
        read_record(path, sampling_rate=250, unit="mV", lead_names=["II", "V2"])


def test_empty_cells_are_missing_samples(write):
    record = read_record(write("I,II\n1,2\n,4\n5, \nnan,8\n"), sampling_rate=250, unit="mV")
    np.testing.assert_array_equal(record.signal_mv, [[1, np.nan, 5, np.nan], [2, 4, np.nan, 8]])


def test_a_byte_order_mark_quotes_and_line_ends_of_windows_are_understood(write):
    record = read_record(write('"I","II"\r\n1,2\r\n3,4\r\n\r\n', encoding="utf-8-sig"), sampling_rate=250, unit="mV")
    np.testing.assert_array_equal(record.signal_mv, [[1, 3], [2, 4]])


def test_a_single_column_is_a_single_lead(write):
    assert read_record(write("V5\n1\n2\n3\n"), sampling_rate=250, unit="mV").signal_mv.tolist() == [[1, 2, 3]]
    record = read_record(write("1\n2\n3\n"), sampling_rate=250, unit="mV", lead_names=["I"])
    assert record.signal_mv.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("I,II\n1,2\n3\n", "expected 2 cells in every row, found 1 in line 3"),
        ("I,II\n1,2\n\n3,4\n", "expected a row for every sample, found a blank line 3"),
        ("I,II\n1,2\nseconds,mV\n", "found 'seconds' in line 3"),
        ("I;II\n1,5;2,5\n", "expected numbers with a decimal point, .* found '1,5' in line 2"),
        ("I,II\n", "expected rows of samples, found none"),
    ],
)
def test_a_damaged_table_is_an_error_with_the_line(write, text, message):
    with pytest.raises(RecordError, match=message):
        read_record(write(text), sampling_rate=250, unit="mV")


def test_text_in_another_encoding_is_an_error(write):
    rows = "1,2\n" * 2000  # the odd byte lies beyond what is looked at to recognise the format
    with pytest.raises(RecordError, match="expected UTF-8 text, found the byte 0xb5"):
        read_record(write(f"I,II\n{rows}µ,2\n", encoding="latin-1"), sampling_rate=250, unit="mV")


@pytest.mark.parametrize("text", ['{"I": [1, 2]}', "A page of prose.\n", "<html>,</html>", ""])
def test_other_text_is_no_record(write, text):
    with pytest.raises(UnknownFormatError, match=f"a record in one of the formats {FORMAT_NAMES}, found a file"):
        read_record(write(text), sampling_rate=250, unit="mV")
