# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`StoredSignal`: samples as files hold them, bit by bit, what they mean in mV, and what every reader makes of them."""

from dataclasses import replace

import numpy as np
import pytest
from tests.records.test_wfdb_source import LARGEST, N_FRAMES, pack, write
from tests.records.written_edf import Channel, write_edf

from anyecg_hf.records import ArraySource, ECGRecord, StoredSignal, open_record, read_record
from anyecg_hf.records.stored_signal import STORED_DTYPES, as_stored

ONE_LEAD = {"gain": np.ones(1), "baseline": np.zeros(1), "units": ("mV",)}


def stored(samples, **fields) -> StoredSignal:
    return StoredSignal(np.array([samples]), **{**ONE_LEAD, **fields})


@pytest.mark.parametrize(
    ("unit", "per_unit"), [("mV", 1.0), ("mv", 1.0), ("uV", 1e-3), ("UV", 1e-3), ("V", 1e3), ("nV", 1e-6)]
)
def test_millivolts_are_samples_minus_baseline_by_gain_in_the_unit(unit, per_unit):
    signal = stored(np.array([-5, 0, 1000], dtype=np.int16), gain=[200.0], baseline=[-5.0], units=(unit,))
    expected = np.float32(np.array([0.0, 5.0, 1005.0]) / 200 * per_unit)
    np.testing.assert_array_equal(signal.to_millivolts(), expected[None])


def test_every_lead_has_its_own_calibration_and_marker():
    samples = np.array([[-32768, 7], [-2048, 7], [-32768, 7]], dtype=np.int16)
    signal = StoredSignal(samples, [1, 2, -4], [0, -1, 1], ("mV", "uV", "V"), (-32768, -2048, None))
    expected = np.array([[np.nan, 7], [np.nan, 4e-3], [32769 / 4 * 1e3, -1.5e3]], dtype=np.float32)
    np.testing.assert_array_equal(signal.to_millivolts(), expected)


@pytest.mark.filterwarnings("error")
def test_what_no_float32_can_hold_is_infinite_and_no_library_grumbles():
    np.testing.assert_array_equal(stored(np.array([1e300, -1e300, 1.0])).to_millivolts(), [[np.inf, -np.inf, 1.0]])


@pytest.mark.parametrize("dtype", STORED_DTYPES)
def test_samples_that_are_millivolts_already_are_copied_and_not_calculated(dtype):
    samples = np.array([[3, -1]], dtype=dtype)
    signal = StoredSignal(samples, **ONE_LEAD)
    signal_mv = signal.to_millivolts()
    assert signal_mv.dtype == np.float32 and not np.shares_memory(signal_mv, samples)
    np.testing.assert_array_equal(signal_mv, [[3, -1]])


def test_steps_far_from_zero_are_subtracted_before_anything_is_rounded():
    # In float32 the sample and the baseline would both be rounded to multiples of 128.
    signal = stored(np.array([2**30 + 1, 2**30 + 2], dtype=np.int32), gain=[1000.0], baseline=[2.0**30])
    np.testing.assert_array_equal(signal.to_millivolts(), np.float32([[0.001, 0.002]]))


def test_not_a_number_means_missing_in_floating_point_samples():
    signal = stored(np.array([np.nan, 1.5], dtype=np.float16), gain=[2.0])
    np.testing.assert_array_equal(signal.to_millivolts(), np.float32([[np.nan, 0.75]]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"samples": np.zeros((1, 2), dtype=np.int64)}, r"`samples` must be .* of int16, int32, .* dtype int64"),
        ({"samples": np.zeros((1, 2), dtype=np.uint16)}, "dtype uint16"),
        ({"samples": np.zeros(2, dtype=np.int16)}, r"got shape \(2,\)"),
        ({"gain": [1.0, 1.0]}, r"`gain` must hold a finite number for each of 1 leads, got \[1. 1.\]"),
        ({"gain": [np.nan]}, r"`gain` must hold a finite number for each of 1 leads, got \[nan\]"),
        ({"gain": [0.0]}, r"`gain` must not be 0, got \[0.\]"),
        ({"baseline": [np.inf]}, r"`baseline` must hold a finite number"),
        ({"units": ("mV", "mV")}, r"`units` must have an entry for each of 1 leads, got \('mV', 'mV'\)"),
        ({"missing": (None, -1)}, r"`missing` must have an entry for each of 1 leads"),
    ],
)
def test_an_impossible_signal_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        StoredSignal(**{"samples": np.zeros((1, 2), dtype=np.int16), **ONE_LEAD, **fields})


def test_what_is_no_voltage_has_no_millivolts():
    with pytest.raises(ValueError, match="unknown unit 'mmHg'"):
        stored(np.zeros(2, dtype=np.int16), units=("mmHg",)).to_millivolts()


@pytest.mark.parametrize("name", STORED_DTYPES)
def test_samples_of_a_stored_type_stay_the_same_array(name):
    samples = np.zeros((1, 2), dtype=name)
    assert as_stored(samples) is samples


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *(("int8", "int16"), ("uint8", "int16"), ("uint16", "int32"), ("bool", "int16")),
        *((">i2", "int16"), (">i4", "int32"), (">f2", "float16"), (">f4", "float32"), (">f8", "float64")),
    ],
)
def test_other_types_and_byte_orders_become_one_that_holds_all_their_values(given, kept):
    limits = np.iinfo(given) if np.dtype(given).kind in "iu" else None
    values = [limits.min, limits.max] if limits else [0, 1]
    samples = np.array([values], dtype=given)
    result = as_stored(samples)
    assert result.dtype.name == kept and result.dtype.isnative
    assert result.tolist() == samples.tolist()


@pytest.mark.parametrize(
    ("given", "values", "kept"),
    [
        ("int64", [-(2**31), 2**31 - 1], "int32"),
        ("int64", [-(2**31) - 1, 0], "float64"),
        ("int64", [-(2**53), 2**53 - 1], "float64"),
        ("uint32", [0, 2**31 - 1], "int32"),
        ("uint32", [0, 2**32 - 1], "float64"),
        ("uint64", [0, 2**53 - 1], "float64"),
        (">i8", [-5, 7], "int32"),
        ("int64", [], "int32"),
    ],
)
def test_wide_integers_become_what_holds_these_values_exactly(given, values, kept):
    result = as_stored(np.array([values], dtype=given))
    assert result.dtype.name == kept and result.tolist() == [values]


@pytest.mark.parametrize(("given", "value"), [("int64", 2**53 + 1), ("uint64", 2**64 - 1), ("uint64", 2**63)])
def test_integers_that_no_stored_type_holds_are_refused(given, value):
    with pytest.raises(ValueError, match=f"samples of dtype {given} fit into none of int16, .* without loss"):
        as_stored(np.array([[value]], dtype=given))


@pytest.mark.parametrize("format_", [name for name in LARGEST if name != "8"])
def test_wfdb_samples_are_those_of_the_file_with_the_invalid_ones_among_them(tmp_path, format_):
    signals = write(tmp_path, format_, [1, 1])
    with open_record(tmp_path / "rec") as source:
        signal = source.read_stored(0, source.n_samples)
        np.testing.assert_array_equal(signal.samples, np.stack(signals))
    assert signal.samples.dtype == (np.int32 if format_ in ("24", "32", "524") else np.int16)
    assert (signal.gain.tolist(), signal.baseline.tolist(), signal.units) == ([1000.0] * 2, [0.0] * 2, ("mV", "mV"))
    lowest = -LARGEST[format_] - 1
    assert signal.missing == (lowest, lowest)
    with_gap = replace(signal, samples=np.where(signal.samples == signal.samples[0, 3], lowest, signal.samples))
    assert np.isnan(with_gap.to_millivolts()[0, 3]) and not np.isnan(signal.to_millivolts()).any()


@pytest.mark.parametrize("format_", ["16", "61", "212", "310", "80", "160", "24", "32"])
def test_the_lowest_sample_of_a_format_is_kept_and_means_missing(tmp_path, format_):
    lowest = -LARGEST[format_] - 1
    frames = np.full((N_FRAMES, 1), 5)
    frames[[0, 9], 0] = lowest
    (tmp_path / "rec.dat").write_bytes(pack(format_, frames))
    (tmp_path / "rec.hea").write_text(f"rec 1 500 {N_FRAMES}\nrec.dat {format_} 1000/mV 16 0 0 0 0 I\n")
    with open_record(tmp_path / "rec") as source:
        signal = source.read_stored(0, N_FRAMES)
    np.testing.assert_array_equal(signal.samples[0], frames[:, 0])
    assert np.flatnonzero(np.isnan(signal.to_millivolts()[0])).tolist() == [0, 9]


def test_differences_are_stored_as_the_sums_that_they_mean_and_none_is_invalid(tmp_path):
    signals = write(tmp_path, "8", [1, 1])
    with open_record(tmp_path / "rec") as source:
        signal = source.read_stored(7, 50)
    assert signal.samples.dtype == np.int32 and signal.missing == (None, None)
    np.testing.assert_array_equal(signal.samples, np.stack(signals)[:, 7:50])


def test_formats_gains_baselines_and_units_may_differ_within_a_record(tmp_path):
    generator = np.random.default_rng(2)
    words, tens = generator.integers(-30000, 30000, (N_FRAMES, 1)), generator.integers(-500, 500, (N_FRAMES, 1))
    longs = generator.integers(-(1 << 23) + 1, 1 << 23, (N_FRAMES, 1))
    for name, format_, frames in (("a", "16", words), ("b", "310", tens), ("c", "24", longs)):
        (tmp_path / f"{name}.dat").write_bytes(pack(format_, frames))
    lines = [
        "a.dat 16 11000.5(-379171)/mV 16 0 0 0 0 I",
        "b.dat 310 0.5/uV 10 12 0 0 0 II",
        "c.dat 24 -200 24 0 0 0 0 V1",
    ]
    (tmp_path / "rec.hea").write_text("\n".join([f"rec 3 500 {N_FRAMES}", *lines, ""]))
    with open_record(tmp_path / "rec") as source:
        signal = source.read_stored(0, N_FRAMES)
    np.testing.assert_array_equal(signal.samples, np.concatenate([words, tens, longs], axis=1).T)
    assert signal.samples.dtype == np.int32 and signal.missing == (-32768, -512, -(1 << 23))
    assert (signal.gain.tolist(), signal.baseline.tolist()) == ([11000.5, 0.5, -200.0], [-379171.0, 12.0, 0.0])
    assert signal.units == ("mV", "uV", "mV")
    expected = np.stack([(words[:, 0] + 379171) / 11000.5, (tens[:, 0] - 12) / 0.5 * 1e-3, longs[:, 0] / -200])
    np.testing.assert_array_equal(signal.to_millivolts(), expected.astype(np.float32))


@pytest.mark.parametrize("gain", ["0", "0(0)/mV"])
def test_an_uncalibrated_lead_is_stored_with_the_default_gain_that_is_warned_of(write_wfdb, counts, gain):
    with pytest.warns(UserWarning, match="default of 200 a unit"):
        source = open_record(write_wfdb(counts, gains=gain))
    with source:
        assert source.read_stored(0, 1).gain.tolist() == [200.0, 200.0]


def join(folder, name: str, segments: list[tuple[str, int]]) -> None:
    lines = [f"{name}/{len(segments)} 2 500 {sum(length for _, length in segments)}"]
    (folder / f"{name}.hea").write_text("\n".join([*lines, *(f"{part} {length}" for part, length in segments), ""]))


def test_gaps_between_segments_hold_the_invalid_sample(write_wfdb, counts):
    folder = write_wfdb(counts[:, :100], name="s1").parent
    write_wfdb(counts[:, 100:], name="s2")
    join(folder, "all", [("s1", 100), ("~", 50), ("s2", 200)])
    with open_record(folder / "all") as source:
        signal = source.read_stored(0, 350)
        np.testing.assert_array_equal(source.read_stored(90, 160).samples, signal.samples[:, 90:160])
    gap = np.full((2, 50), -32768, dtype=np.int16)
    np.testing.assert_array_equal(signal.samples, np.concatenate([counts[:, :100], gap, counts[:, 100:]], axis=1))


@pytest.mark.parametrize("gains", [["1000/mV", "500/mV"], ["1000(3)/mV", "1000/mV"]])
def test_segments_with_calibrations_of_their_own_are_joined_in_millivolts(write_wfdb, counts, gains):
    folder = write_wfdb(counts, name="s1", gains=gains[0]).parent
    write_wfdb(counts, name="s2", gains=gains[1])
    join(folder, "all", [("s1", 300), ("s2", 300)])
    with open_record(folder / "all") as source:
        signal = source.read_stored(0, 600)
    assert signal.samples.dtype == np.float32 and signal.units == ("mV", "mV") and signal.missing == (None, None)
    parts = [read_record(folder / name).signal_mv for name in ("s1", "s2")]
    np.testing.assert_array_equal(signal.samples, np.concatenate(parts, axis=1))
    assert np.isnan(signal.samples[1, [7, 307]]).all()


@pytest.mark.parametrize("format_", ["16", "212"])
def test_the_end_of_a_skewed_signal_holds_the_invalid_sample(tmp_path, format_):
    signals = write(tmp_path, format_, [1, 1], skews=(0, 5))
    with open_record(tmp_path / "rec") as source:
        signal = source.read_stored(0, N_FRAMES)
    np.testing.assert_array_equal(signal.samples[0], signals[0])
    np.testing.assert_array_equal(signal.samples[1, :-5], signals[1][5:])
    assert signal.samples[1, -5:].tolist() == [-LARGEST[format_] - 1] * 5


def test_edf_codes_are_stored_with_the_calibration_of_the_header(tmp_path):
    codes = np.arange(-500, 500)
    channel = Channel("ECG I", codes, unit="uV", physical=(-1000.0, 3000.0), digital=(-500, 1500))
    with open_record(write_edf(tmp_path / "ecg.edf", [channel])) as source:
        signal = source.read_stored(0, 1000)
    assert signal.samples.dtype == np.int16 and signal.units == ("uV",) and signal.missing == (-32768,)
    np.testing.assert_array_equal(signal.samples, [codes])
    assert (signal.gain.tolist(), signal.baseline.tolist()) == ([0.5], [0.0])


def test_numbers_in_arrays_and_tables_are_stored_as_they_are(tmp_path):
    np.save(tmp_path / "ecg.npy", np.array([[1500, -200]], dtype=np.int16))
    (tmp_path / "ecg.tsv").write_text("I\tII\n0.1\t1\n\t-2e-3\n")
    with open_record(tmp_path / "ecg.npy", sampling_rate=500, unit="uV", lead_names=["I"]) as source:
        signal = source.read_stored(0, 2)
        assert (
            signal.samples.dtype == np.int16 and signal.units == ("uV",) and signal.samples.tolist() == [[1500, -200]]
        )
    with open_record(tmp_path / "ecg.tsv", sampling_rate=500, unit="mV") as source:
        signal = source.read_stored(0, 2)
    assert signal.samples.dtype == np.float64
    np.testing.assert_array_equal(signal.samples, [[0.1, np.nan], [1, -2e-3]])


def test_a_record_in_memory_is_stored_in_millivolts():
    record = ECGRecord(np.array([[0.5, np.nan]]), 500, ("I",))
    with ArraySource.from_record(record) as source:
        signal = source.read_stored(0, 2)
        assert not np.shares_memory(signal.samples, record.signal_mv)
    np.testing.assert_array_equal(signal.samples, record.signal_mv)
    assert signal.samples.dtype == np.float32 and signal.missing == (None,)


@pytest.mark.parametrize("span", [(0, 0), (5, 5), (300, 300)])
def test_an_empty_piece_has_leads_and_a_type(write_wfdb, counts, span):
    with open_record(write_wfdb(counts)) as source:
        signal = source.read_stored(*span)
    assert signal.samples.shape == (2, 0) and signal.samples.dtype == np.int16
    assert signal.to_millivolts().shape == (2, 0)


@pytest.mark.parametrize("span", [(-1, 5), (5, 4), (0, 301)])
def test_samples_beyond_the_record_are_refused(write_wfdb, counts, span):
    with open_record(write_wfdb(counts)) as source, pytest.raises(ValueError, match="are not all in .* it has 300"):
        source.read_stored(*span)


def test_a_closed_record_has_no_samples(write_wfdb, counts):
    source = open_record(write_wfdb(counts))
    source.close()
    with pytest.raises(ValueError, match="is closed: open it again"):
        source.read_stored(0, 1)


def test_leads_can_be_taken_in_any_order():
    samples = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.int16)
    signal = StoredSignal(samples, np.array([1.0, 2, 3]), np.array([4.0, 5, 6]), ("mV", "uV", "V"), (None, 7, 8))
    taken = signal.take([2, 0])
    assert taken.samples.tolist() == [[5, 6], [1, 2]]
    assert (taken.gain.tolist(), taken.baseline.tolist()) == ([3.0, 1.0], [6.0, 4.0])
    assert (taken.units, taken.missing) == (("V", "mV"), (8, None))


def test_ranges_are_of_the_samples_that_are_there():
    samples = np.array([[-32768, 32767, -32768], [-100, 100, 7], [7, 7, 7]], dtype=np.int16)
    signal = StoredSignal(samples, np.array([1000.0, -200, 1]), np.zeros(3), ("mV", "uV", "mV"), (None, 7, 7))
    assert signal.ranges_mv() == pytest.approx([65.535, 0.001, 0])
    floats = np.array([[np.nan, 0.25, -0.5]], dtype=np.float32)
    assert StoredSignal(floats, np.ones(1), np.zeros(1), ("mV",)).ranges_mv() == pytest.approx([0.75])
