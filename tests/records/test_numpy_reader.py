# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""NumPy files: what an `.npz` states, what an `.npy` must be told, and arrays that are not (leads, samples)."""

import zipfile

import numpy as np
import pytest

from anyecg_hf.records import RecordError, find_records, formats, read_record

SIGNAL = np.random.default_rng(0).normal(size=(3, 200))
LEADS = ["I", "II", "V1"]
TOLD = {"sampling_rate": 500, "unit": "mV", "lead_names": LEADS}


@pytest.mark.parametrize("name", ["ecg.npy", "ecg.bin"])
def test_an_array_reads_with_what_the_caller_says(tmp_path, name):
    path = tmp_path / name
    with open(path, "wb") as file:
        np.save(file, SIGNAL)
    record = read_record(path, **TOLD)
    np.testing.assert_allclose(record.signal_mv, SIGNAL, atol=1e-6)
    assert (record.sampling_rate, record.lead_names, record.record_id) == (500.0, tuple(LEADS), "ecg")


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("sampling_rate", "expected a sampling rate, found none in the file. Pass it in Hz"),
        ("unit", "expected a unit of the samples, found none in the file. Pass unit='mV'"),
        ("lead_names", "expected names of the leads, found none in the file. Pass lead_names"),
    ],
)
def test_an_array_says_nothing_so_all_must_be_passed(tmp_path, left_out, message):
    np.save(tmp_path / "ecg.npy", SIGNAL)
    with pytest.raises(RecordError, match=message):
        read_record(tmp_path / "ecg.npy", **{key: value for key, value in TOLD.items() if key != left_out})


def test_an_archive_states_everything(tmp_path):
    path = tmp_path / "ecg.npz"
    np.savez(path, signal=SIGNAL.astype(np.float16) * 1000, sampling_rate=257, lead_names=LEADS, unit="uV")
    record = read_record(path)
    np.testing.assert_allclose(record.signal_mv, SIGNAL, rtol=2e-3, atol=1e-4)
    assert (record.sampling_rate, record.lead_names, record.record_id) == (257.0, tuple(LEADS), "ecg")
    assert (record.age_years, record.labels) == (None, ())


def test_an_archive_may_tell_of_the_patient(tmp_path):
    patient = {"patient_id": "p7", "age_years": 57.0, "sex": 1, "weight_kg": np.nan, "labels": ["NORM", "SR"]}
    np.savez(tmp_path / "ecg.npz", signal=SIGNAL, **TOLD, **patient, record_id="r1")
    record = read_record(tmp_path / "ecg.npz")
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == ("r1", "p7", 57.0, 1)
    assert (record.weight_kg, record.labels) == (None, ("NORM", "SR"))


def test_identifiers_are_texts_and_ages_above_89_one_age(tmp_path):
    patient = {"record_id": 12, "patient_id": 7.0, "age_years": 97, "sex": "F", "labels": [426783006]}
    np.savez(tmp_path / "ecg.npz", signal=SIGNAL, **TOLD, **patient)
    record = read_record(tmp_path / "ecg.npz")
    assert (record.record_id, record.patient_id, record.labels) == ("12", "7", ("426783006",))
    assert (record.age_years, record.sex) == (90.0, 1)


def test_texts_may_be_bytes(tmp_path):
    np.savez(tmp_path / "ecg.npz", signal=SIGNAL, sampling_rate=[500], unit=b"uV", lead_names=np.array(LEADS, "S4"))
    record = read_record(tmp_path / "ecg.npz")
    np.testing.assert_allclose(record.signal_mv, SIGNAL / 1000, atol=1e-9)
    assert record.lead_names == tuple(LEADS)


def test_arrays_that_are_not_read_are_named(tmp_path):
    np.savez(tmp_path / "ecg.npz", signal=SIGNAL, **TOLD, pressure=np.array([{}]))
    with pytest.warns(UserWarning, match="arrays not read: pressure"):
        assert read_record(tmp_path / "ecg.npz").n_leads == 3


def test_an_array_that_unpacks_beyond_all_reason_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_HARMLESS_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "ecg.npz", signal=np.zeros((3, 200_000), dtype=np.float32), **TOLD)
    with pytest.raises(RecordError, match="an array 'signal' of at most 250 times its .* bytes.*, found 2400128 bytes"):
        read_record(tmp_path / "ecg.npz")
    monkeypatch.undo()
    assert read_record(tmp_path / "ecg.npz").n_samples == 200_000


@pytest.mark.parametrize("name", ["signal.npy", "unit.npy"])
def test_a_member_that_is_no_array_is_an_error(tmp_path, name):
    np.savez(tmp_path / "ecg.npz", **{"signal": SIGNAL, "sampling_rate": 500, "lead_names": LEADS})
    with zipfile.ZipFile(tmp_path / "ecg.npz") as source, zipfile.ZipFile(tmp_path / "odd.npz", "w") as target:
        for member in {*source.namelist()} - {name}:
            target.writestr(member, source.read(member))
        target.writestr(name, b"mV")
    with pytest.raises(RecordError, match=f"expected an array '{name[:-4]}', found other data"):
        read_record(tmp_path / "odd.npz", unit="mV")


def test_an_archive_of_an_unknown_kind_is_an_error(tmp_path):
    path = tmp_path / "ecg.npz"
    np.savez(path, signal=SIGNAL, **TOLD)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99  # the version that is needed to unpack
    path.write_bytes(content)
    with pytest.raises(RecordError, match="a whole NumPy file .*, found NotImplementedError: zip file version 9.9"):
        read_record(path)
    assert find_records(tmp_path) == [path]


def test_what_an_archive_states_cannot_be_overruled(tmp_path):
    np.savez(tmp_path / "ecg.npz", signal=SIGNAL, **TOLD)
    with pytest.raises(RecordError, match="a sampling rate of 250 Hz, as passed, found 500 Hz in the file"):
        read_record(tmp_path / "ecg.npz", sampling_rate=250)


def test_integers_are_converted_by_the_stated_unit(tmp_path):
    np.save(tmp_path / "ecg.npy", np.array([[1500, -200]], dtype=np.int16))
    record = read_record(tmp_path / "ecg.npy", sampling_rate=500, unit="uV", lead_names=["I"])
    np.testing.assert_allclose(record.signal_mv, [[1.5, -0.2]], rtol=1e-6)


def test_one_lead_may_be_a_flat_array_and_gaps_stay(tmp_path):
    np.save(tmp_path / "ecg.npy", np.array([0.5, np.nan, 1.0]))
    record = read_record(tmp_path / "ecg.npy", sampling_rate=500, unit="mV", lead_names=["II"])
    np.testing.assert_array_equal(record.signal_mv, np.array([[0.5, np.nan, 1.0]], dtype=np.float32))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((200, 3), r"shape \(200, 3\), which is \(samples, leads\)\. Transpose the array"),
        ((2, 200), r"with 3 leads, as many as are named, found shape \(2, 200\)"),
        ((200,), r"found shape \(200,\)"),
        ((1, 3, 200), r"found shape \(1, 3, 200\)"),
        ((3, 0), "at least one lead and one sample"),
    ],
)
def test_an_array_that_is_not_leads_by_samples_is_an_error(tmp_path, shape, message):
    np.save(tmp_path / "ecg.npy", np.zeros(shape))
    with pytest.raises(RecordError, match=message):
        read_record(tmp_path / "ecg.npy", **TOLD)


@pytest.mark.parametrize("dtype", [bool, complex, "U4"])
def test_an_array_that_is_not_real_numbers_is_an_error(tmp_path, dtype):
    np.save(tmp_path / "ecg.npy", np.zeros((3, 200)).astype(dtype))
    with pytest.raises(RecordError, match="expected a signal of real numbers, found dtype"):
        read_record(tmp_path / "ecg.npy", **TOLD)


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "ecg.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(RecordError, match="a whole NumPy file without pickled objects, found ValueError"):
        read_record(tmp_path / "ecg.npy", **TOLD)


@pytest.mark.parametrize("name", ["ecg.npy", "ecg.npz"])
def test_a_cut_file_is_an_error(tmp_path, name):
    path = tmp_path / name
    if name == "ecg.npy":
        np.save(path, SIGNAL)
    else:
        np.savez(path, signal=SIGNAL)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(RecordError, match="expected a whole NumPy file"):
        read_record(path, **TOLD)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ecg": SIGNAL}, r"expected an array 'signal' \(and sampling_rate, lead_names, unit\), found \['ecg'\]"),
        ({"signal": SIGNAL, "sampling_rate": "fast"}, "expected one number as 'sampling_rate'"),
        (
            {"signal": SIGNAL, "sampling_rate": [500, 500]},
            "one value of 'sampling_rate', found 2",
        ),
        ({"signal": SIGNAL, "sampling_rate": 0}, "expected a positive sampling rate in Hz, found 0"),
        ({"signal": SIGNAL, "unit": ["u", "V"]}, "expected one 'unit', found 'u', 'V'"),
        ({"signal": SIGNAL, "unit": "volts"}, "expected a unit of voltage: .*, found 'volts'"),
        ({"signal": SIGNAL, "age_years": [1, 2]}, "expected one value of 'age_years'"),
        ({"signal": SIGNAL, "sex": 7}, "expected the fields of an ECGRecord, found this: `sex` must be 0"),
    ],
)
def test_an_archive_that_states_nonsense_is_an_error(tmp_path, arrays, message):
    np.savez(tmp_path / "ecg.npz", **arrays)
    told = {key: value for key, value in TOLD.items() if key not in arrays}
    with pytest.raises(RecordError, match=message):
        read_record(tmp_path / "ecg.npz", **told)
