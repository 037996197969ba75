# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows of Parquet files: signals as they were stored and as lists of millivolts, patients, annotations, and damage."""

import sys
from datetime import datetime

import numpy as np
import pytest

from anyecg_hf.records import Annotation, RecordError, StoredSignal, find_records, open_record, read_record

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

LEADS = ["I", "V1"]
DTYPES = ("int16", "int32", "float16", "float32", "float64")
N_ROWS, N_SAMPLES = 10, 40
STORED_TYPE = pyarrow.struct(
    {
        "samples": pyarrow.large_binary(),
        "dtype": pyarrow.string(),
        "gain": pyarrow.list_(pyarrow.float64()),
        "baseline": pyarrow.list_(pyarrow.float64()),
        "unit": pyarrow.list_(pyarrow.string()),
        "missing": pyarrow.list_(pyarrow.int64()),
    }
)


def signal_of(row: int) -> StoredSignal:
    """Another signal for every row, the types taking turns."""
    dtype = DTYPES[row % len(DTYPES)]
    samples = np.random.default_rng(row).integers(-2000, 2000, (2, N_SAMPLES)).astype(dtype)
    missing = (-32768, None) if dtype.startswith("int") else (None, None)
    samples[0, 5] = -32768 if dtype.startswith("int") else np.nan
    return StoredSignal(samples, np.array([1000.0, 11000.5]), np.array([0.0, -379171.0]), ("uV", "mV"), missing)


def as_struct(signal: StoredSignal) -> dict:
    names = {"gain": signal.gain.tolist(), "baseline": signal.baseline.tolist(), "unit": list(signal.units)}
    samples = signal.samples.astype(signal.samples.dtype.newbyteorder("<"))
    return {"samples": samples.tobytes(), "dtype": samples.dtype.name, **names, "missing": list(signal.missing)}


def stored_columns(n_rows: int = N_ROWS) -> dict:
    return {
        "record_id": [f"folder/{row:03d}" for row in range(n_rows)],
        "signal": pyarrow.array([as_struct(signal_of(row)) for row in range(n_rows)], STORED_TYPE),
        "sampling_rate": [250.0 + row for row in range(n_rows)],
        "lead_names": [LEADS] * n_rows,
    }


def listed_columns(n_rows: int = N_ROWS, **columns) -> dict:
    signals = np.random.default_rng(7).normal(size=(n_rows, 2, N_SAMPLES)).astype(np.float32)
    kind = pyarrow.list_(pyarrow.list_(pyarrow.float32()))
    known = {"signal": pyarrow.array(signals.tolist(), kind), "sampling_rate": [500.0] * n_rows}
    return {"record_id": [str(row) for row in range(n_rows)], **known, "lead_names": [LEADS] * n_rows, **columns}


@pytest.fixture
def write(tmp_path):
    def write(columns, name="train-00000-of-00001.parquet", **options):
        columns = {key: values for key, values in columns.items() if values is not None}
        parquet.write_table(pyarrow.table(columns), tmp_path / name, **{"row_group_size": 4, **options})
        return tmp_path / name

    return write


def address(path, name):
    return type(path)(f"{path}::{name}")


def test_stored_signals_come_back_bit_by_bit(write):
    path = write(stored_columns())
    for row in range(N_ROWS):
        expected = signal_of(row)
        with open_record(address(path, f"folder/{row:03d}")) as source:
            found, piece = source.read_stored(0, N_SAMPLES), source.read_stored(7, 20)
            np.testing.assert_array_equal(source.read(0, N_SAMPLES), expected.to_millivolts())
        assert found.samples.dtype == expected.samples.dtype
        assert found.samples.tobytes() == expected.samples.tobytes()
        np.testing.assert_array_equal(piece.samples, expected.samples[:, 7:20])
        assert (found.units, found.missing) == (expected.units, expected.missing)
        assert (found.gain.tolist(), found.baseline.tolist()) == (expected.gain.tolist(), expected.baseline.tolist())
        assert (source.record_id, source.sampling_rate, source.lead_names) == (
            f"folder/{row:03d}",
            250.0 + row,
            tuple(LEADS),
        )


@pytest.mark.parametrize("inner", ["float", "double", "halffloat", "int16", "int64"])
@pytest.mark.parametrize("make_list", ["list_", "large_list"])
def test_lists_of_numbers_are_read_in_the_unit_that_is_stated(write, inner, make_list):
    wrap = getattr(pyarrow, make_list)
    values = [[[row, -3, 2], [4, 5, 6]] for row in range(3)]
    kind = wrap(wrap(pyarrow.type_for_alias(inner)))
    if inner == "halffloat":
        values = [[[np.float16(value) for value in lead] for lead in row] for row in values]
    path = write({**listed_columns(3), "signal": pyarrow.array(values, kind), "unit": ["mV", "uV", "V"]})
    for row, per_unit in enumerate((1, 1e-3, 1e3)):
        record = read_record(address(path, row))
        np.testing.assert_allclose(record.signal_mv, np.array([[row, -3, 2], [4, 5, 6]]) * per_unit, rtol=1e-6)


def test_lists_of_the_corpus_schema_are_millivolts_and_others_need_a_unit(write):
    columns = listed_columns()
    with pytest.raises(RecordError, match="expected a unit of the samples, found none in the file"):
        read_record(address(write(columns), 3))
    schema = {"corpus": ["sph"] * N_ROWS, "n_samples": [N_SAMPLES] * N_ROWS, "native_labels": [["1"]] * N_ROWS}
    path = write(columns | schema)
    expected = np.array(columns["signal"].to_pylist()[3], dtype=np.float32)
    np.testing.assert_array_equal(read_record(address(path, 3)).signal_mv, expected)
    with pytest.raises(RecordError, match="samples in 'uV', as passed, found 'mV' in the file"):
        read_record(address(path, 3), unit="uV")


def test_nulls_in_lists_are_missing_samples(write):
    signal = pyarrow.array([[[1.0, None], [None, 2.0]]], pyarrow.list_(pyarrow.list_(pyarrow.float32())))
    record = read_record(write({**listed_columns(1), "signal": signal}), unit="mV")
    np.testing.assert_array_equal(record.signal_mv, np.float32([[1, np.nan], [np.nan, 2]]))


def test_patient_labels_annotations_and_further_columns_are_read_where_they_are(write):
    columns = {
        **listed_columns(2, unit=["mV"] * 2),
        "patient_id": [17.0, None],
        "age_years": [300.0, None],
        "sex": [1, None],
        "weight_kg": [70.5, float("nan")],
        "height_cm": [None, 180],
        "labels": [["426783006", "1"], []],
        "native_labels": [["NORM"], []],
        "report": ["sinus rhythm\nnormal ECG", None],
        "fold": [3, None],
        "taken": [datetime(2020, 5, 12, 12, 33), None],
        "annotations": [[{"time_s": 0.5, "symbol": "+", "note": "(AFIB", "lead_name": None}], None],
    }
    path = write(columns)
    record = read_record(address(path, 0), annotations=True)
    assert (record.patient_id, record.age_years, record.sex, record.weight_kg) == ("17", 90.0, 1, 70.5)
    assert (record.height_cm, record.labels) == (None, ("426783006", "1"))
    assert record.annotations == (Annotation(0.5, "+", "(AFIB"),)
    assert record.comments == (
        *("sinus rhythm", "normal ECG", "native_labels: NORM", "fold: 3", "taken: 2020-05-12 12:33:00"),
    )
    assert record.source == str(address(path, 0))
    other = read_record(address(path, 1), annotations=True)
    assert (other.patient_id, other.age_years, other.sex, other.weight_kg) == (None, None, None, None)
    assert (other.height_cm, other.labels, other.comments, other.annotations) == (180.0, (), (), None)


def test_columns_that_are_not_read_are_named(write):
    path = write({**listed_columns(1, unit=["mV"]), "codes": [[[1, 2]]], "device": ["A"]})
    with pytest.warns(UserWarning, match=r"columns not read: codes\."):
        assert read_record(path).comments == ("device: A",)


def test_every_row_is_listed_in_order_and_a_single_one_needs_no_name(write):
    path = write(stored_columns())
    expected = [address(path, f"folder/{row:03d}") for row in range(N_ROWS)]
    assert find_records(path) == find_records(path.parent) == expected
    single = write(stored_columns(1))
    assert find_records(single) == [single]
    assert read_record(single).record_id == "folder/000"


def test_rows_whose_name_is_no_address_are_addressed_by_number(write):
    names = ["a", "a", None, "", "#0", "x//y", "x/./z", "n" * 300, "b::c"]
    path = write({**listed_columns(9, unit=["mV"] * 9), "record_id": names})
    listed = find_records(path)
    assert listed == [address(path, f"#{row}") for row in range(8)] + [path.parent / f"{path.name}::b::c"]
    signals = parquet.read_table(path).column("signal").to_pylist()
    for record, signal in zip(listed, signals, strict=True):
        np.testing.assert_array_equal(read_record(record).signal_mv, np.array(signal, dtype=np.float32))
    assert read_record(listed[2]).record_id == "train-00000-of-00001#2"


def test_rows_without_names_are_addressed_by_number(write):
    path = write(listed_columns(6, record_id=None, unit=["mV"] * 6))
    assert find_records(path) == [address(path, f"#{row}") for row in range(6)]
    assert read_record(address(path, "#5")).n_samples == N_SAMPLES


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "the name of one of its records behind the path, found none, and 10 records in the file"),
        ("::folder/1", "expected a record 'folder/1', found none of this name among 10 records"),
        ("::#10", "expected a record '#10', found none"),
        ("::", "expected a record '', found none"),
    ],
)
def test_a_row_that_is_not_named_or_not_there_is_an_error(write, key, message):
    path = write(stored_columns())
    with pytest.raises(RecordError, match=message):
        read_record(f"{path}{key}")


def test_only_the_row_group_of_a_row_is_read(write, monkeypatch):
    path = write(stored_columns())
    asked = []
    iterate = parquet.ParquetFile.iter_batches

    def spy(self, *arguments, **options):
        asked.append(options["row_groups"])
        return iterate(self, *arguments, **options)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", spy)
    for row in (0, 3, 4, 9):
        read_record(address(path, f"#{row}"))
    assert asked == [[0], [0], [1], [2]]


def test_tables_without_signals_are_no_records(write):
    folder = write(stored_columns(1)).parent
    write({"record": ["a"], "embedding": [[0.5, 0.25]]}, name="embeddings.parquet")
    write({"signal": ["text"]}, name="text.parquet")
    write({"signal": [[1.0, 2.0]]}, name="flat.parquet")
    assert find_records(folder) == [folder / "train-00000-of-00001.parquet"]
    with pytest.raises(RecordError, match=r"a column 'signal': a struct of samples, .* found 'signal' \(string"):
        read_record(folder / "text.parquet")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "int64"}, "found this: `dtype` must be one of int16, .* got 'int64'"),
        ({"samples": b"abc"}, "samples with a calibration for each lead in 'signal', found this: buffer size"),
        ({"samples": b"abcdef"}, "3 samples cannot be those of 2 leads"),
        ({"samples": None}, "samples with a calibration for each lead"),
        ({"gain": []}, "cannot be those of 0 leads"),
        ({"gain": [1.0, 0.0]}, "`gain` must not be 0"),
        ({"gain": [1.0, None]}, "`gain` must hold a finite number"),
        ({"baseline": [1.0]}, "`baseline` must hold a finite number for each of 2 leads"),
        ({"unit": ["mV", "bpm"]}, "expected a unit of voltage: .*, found 'bpm'"),
        ({"missing": None}, "samples with a calibration for each lead"),
    ],
)
def test_a_stored_signal_that_contradicts_itself_is_an_error(write, changes, message):
    signal = pyarrow.array([{**as_struct(signal_of(0)), **changes}], STORED_TYPE)
    with pytest.raises(RecordError, match=message):
        read_record(write({**stored_columns(1), "signal": signal}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signal": [[[1.0, 2.0], [3.0]]]}, r"leads of one length in 'signal', found this: leads of \[2, 1\] samples"),
        ({"signal": [[[1.0, 2.0], None]]}, r"leads of \[2, None\] samples"),
        ({"signal": pyarrow.array([None], STORED_TYPE)}, "expected a 'signal' in the row, found none"),
        ({"signal": [[[1.0], [2.0], [3.0]]]}, r"with 2 leads, as many as are named, found shape \(3, 1\)"),
        ({"n_samples": [41]}, "expected 41 samples, as 'n_samples' says, found 40"),
        ({"sampling_rate": None}, "expected a sampling rate, found none in the file"),
        ({"lead_names": None}, "expected names of the leads, found none in the file"),
        ({"sex": [3]}, "the fields of an ECGRecord, found this: `sex` must be 0"),
        ({"age_years": ["old"]}, "expected one number as 'age_years', found 'old'"),
        ({"annotations": [[{"time_s": 1.0}]]}, "'time_s' and 'symbol' in every one of 'annotations', found KeyError"),
    ],
)
def test_a_row_that_states_nonsense_is_an_error(write, changes, message):
    with pytest.raises(RecordError, match=message):
        read_record(write({**listed_columns(1, unit=["mV"]), **changes}))


@pytest.mark.parametrize("time_s", [float("nan"), "soon", None])
def test_an_annotation_without_a_time_is_an_error(write, time_s):
    columns = listed_columns(1, unit=["mV"], annotations=[[{"time_s": time_s, "symbol": "N"}]])
    with pytest.raises(RecordError, match="'time_s' and 'symbol' in every one of 'annotations'"):
        read_record(write(columns), annotations=True)


@pytest.mark.parametrize("repeated", ["record_id", "site"])
def test_repeated_columns_are_an_error_and_do_not_stop_a_search(tmp_path, repeated):
    columns = {**listed_columns(1, unit=["mV"]), repeated: ["a"]}
    table = pyarrow.table(columns).append_column(repeated, pyarrow.array(["b"]))
    parquet.write_table(table, tmp_path / "a.parquet")
    assert find_records(tmp_path) == [tmp_path / "a.parquet"]
    with pytest.raises(RecordError, match=f"can decode, found KeyError: .*{repeated}.* exists 2 times"):
        read_record(tmp_path / "a.parquet")


def test_a_date_out_of_range_is_an_error(write):
    moments = pyarrow.array([10**18], pyarrow.timestamp("us"))
    with pytest.raises(RecordError, match="a Parquet file that pyarrow can decode, found"):
        read_record(write(listed_columns(1, unit=["mV"], moment=moments)))


def test_an_unknown_number_of_samples_contradicts_nothing(write):
    columns = listed_columns(1, unit=["mV"], n_samples=pyarrow.array([None], pyarrow.int64()))
    assert read_record(write(columns)).n_samples == N_SAMPLES


def test_a_cut_file_and_a_damaged_one_are_errors_and_are_listed(write):
    path = write(stored_columns(), compression="none")
    content = path.read_bytes()
    path.write_bytes(content[:2000])
    with pytest.raises(RecordError, match="expected a Parquet file that pyarrow can decode, found ArrowInvalid"):
        read_record(address(path, "#0"))
    assert find_records(path.parent) == [path]
    path.write_bytes(content[:100] + b"\xff" * 900 + content[1000:])
    with pytest.raises(RecordError, match=r"\.parquet: expected a Parquet file that pyarrow can decode"):
        read_record(address(path, "#0"))


def test_the_format_is_known_by_its_content(write):
    path = write(stored_columns(1), name="ecg.bin")
    assert read_record(path).record_id == "folder/000"


def test_a_missing_library_is_named_with_the_command_that_installs_it(write, monkeypatch):
    path = write(stored_columns(1))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert find_records(path.parent) == [path]
    with pytest.raises(ImportError, match=r'Parquet files needs the package pyarrow: pip install "anyecg-hf\[data\]"'):
        read_record(path)
