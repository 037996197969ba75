# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HDF5 files: one record with what its attributes state, the exams of CODE-15%, and files that are something else."""

import sys

import numpy as np
import pytest

from anyecg_hf.records import (
    CodeTracings,
    RecordError,
    TruncatedFileError,
    UnsafeHeaderError,
    find_records,
    open_record,
    read_record,
)

h5py = pytest.importorskip("h5py")

LEADS = ("I", "II", "V1")
TOLD = {"sampling_rate": 500, "unit": "mV", "lead_names": LEADS}
SIGNAL = np.random.default_rng(0).normal(size=(3, 200)).astype(np.float16)


@pytest.fixture
def write(tmp_path):
    """Writes datasets, and attributes by `"/"` (the file) or the name of a dataset."""

    def write(datasets, attributes=None, name="ecg.h5", **options):
        with h5py.File(tmp_path / name, "w", **options) as file:
            for key, value in datasets.items():
                file[key] = value
            for key, values in (attributes or {}).items():
                file[key].attrs.update(values)
        return tmp_path / name

    return write


@pytest.mark.parametrize("key", ["ecg", "signal"])
@pytest.mark.parametrize("name", ["ecg.h5", "ecg.hdf5", "ecg.dat", "ecg"])
def test_a_dataset_reads_bit_by_bit_with_what_the_caller_says(write, key, name):
    path = write({key: SIGNAL}, name=name)
    with open_record(path, **TOLD) as source:
        stored = source.read_stored(0, 200)
    assert stored.samples.dtype == np.float16 and stored.samples.tobytes() == SIGNAL.tobytes()
    record = read_record(path, **TOLD)
    np.testing.assert_array_equal(record.signal_mv, SIGNAL.astype(np.float32))
    assert (record.sampling_rate, record.lead_names, record.record_id) == (500.0, LEADS, "ecg")


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("sampling_rate", "expected a sampling rate, found none in the file. Pass it in Hz"),
        ("unit", "expected a unit of the samples, found none in the file. Pass unit='mV'"),
        ("lead_names", "expected names of the leads, found none in the file. Pass lead_names"),
    ],
)
def test_what_nobody_states_is_not_guessed(write, left_out, message):
    with pytest.raises(RecordError, match=message):
        read_record(write({"ecg": SIGNAL}), **{key: value for key, value in TOLD.items() if key != left_out})


@pytest.mark.parametrize("holder", ["/", "ecg"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_attributes_of_the_file_or_the_dataset_state_everything(write, holder, as_bytes):
    leads = np.array(LEADS, dtype="S3") if as_bytes else list(LEADS)
    stated = {"sampling_rate": 257.5, "unit": np.bytes_("uV") if as_bytes else "uV", "lead_names": leads}
    patient = {"record_id": 7, "patient_id": "p7", "age_years": 93, "sex": "F", "weight_kg": np.nan, "labels": ["SR"]}
    record = read_record(write({"ecg": SIGNAL * 1000}, {holder: {**stated, **patient}}))
    np.testing.assert_allclose(record.signal_mv, SIGNAL, rtol=2e-3, atol=1e-4)
    assert (record.sampling_rate, record.lead_names) == (257.5, LEADS)
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == ("7", "p7", 90.0, 1)
    assert (record.weight_kg, record.labels) == (None, ("SR",))


def test_what_a_file_states_cannot_be_overruled(write):
    path = write({"ecg": SIGNAL}, {"ecg": {"sampling_rate": 400, "unit": "uV"}})
    with pytest.raises(RecordError, match="a sampling rate of 500 Hz, as passed, found 400 Hz in the file"):
        read_record(path, **TOLD)
    with pytest.raises(RecordError, match="samples in 'mV', as passed, found 'uV' in the file"):
        read_record(path, lead_names=LEADS, unit="mV")


def test_attributes_that_contradict_each_other_are_an_error(write):
    path = write({"ecg": SIGNAL}, {"ecg": {"sampling_rate": 400}, "/": {"sampling_rate": 500}})
    with pytest.raises(RecordError, match="expected one 'sampling_rate', found 400 at the dataset and 500 at the file"):
        read_record(path, lead_names=LEADS, unit="mV")


def test_attributes_and_datasets_that_are_not_read_are_named(write):
    path = write({"ecg": SIGNAL, "pressure": SIGNAL}, {"ecg": {"gain": 200}, "/": {"hospital": "A"}})
    with pytest.warns(UserWarning, match=r"ecg\.h5: not read: gain, hospital, pressure\."):
        read_record(path, **TOLD)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"sampling_rate": "fast"}, "expected one number as 'sampling_rate', found 'fast'"),
        ({"sampling_rate": [500, 500]}, "expected one value of 'sampling_rate', found 2"),
        ({"sampling_rate": 0}, "expected a positive sampling rate in Hz, found 0"),
        ({"unit": "volts"}, "expected a unit of voltage: .*, found 'volts'"),
        ({"unit": ["mV", "uV"]}, "expected one 'unit', found 'mV', 'uV'"),
        ({"sex": 7}, "expected the fields of an ECGRecord, found this: `sex` must be 0"),
        ({"lead_names": ["I", "II"]}, "expected the leads I, II, V1, as passed, found I, II in the file"),
    ],
)
def test_attributes_that_state_nonsense_are_an_error(write, attributes, message):
    told = {key: value for key, value in TOLD.items() if key not in attributes or key == "lead_names"}
    with pytest.raises(RecordError, match=message):
        read_record(write({"ecg": SIGNAL}, {"ecg": attributes}), **told)


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"ecg": SIGNAL.T}, r"shape \(200, 3\), which is \(samples, leads\)\. Transpose the array"),
        ({"ecg": SIGNAL[:2]}, r"with 3 leads, as many as are named, found shape \(2, 200\)"),
        ({"ecg": SIGNAL[None]}, r"found shape \(1, 3, 200\)"),
        ({"ecg": SIGNAL[:, :0]}, "at least one lead and one sample"),
        ({"ecg": 5.0}, r"found shape \(\)"),
        ({"ecg": SIGNAL.astype(complex)}, "expected a dataset 'ecg' of numbers, found dtype complex128"),
        ({"ecg/I": SIGNAL[0]}, "expected a dataset 'ecg' of numbers, found a group"),
        ({"ecg": SIGNAL, "signal": SIGNAL}, r"expected one dataset 'signal' or 'ecg', .* found \['ecg', 'signal'\]"),
        ({"waves": SIGNAL}, r"or 'exam_id' with 'tracings', found \['waves'\]"),
    ],
)
def test_a_file_without_a_signal_of_leads_by_samples_is_an_error(write, datasets, message):
    with pytest.raises(RecordError, match=message):
        read_record(write(datasets), **TOLD)


def test_a_single_lead_may_have_one_dimension(write):
    path = write({"signal": np.arange(50, dtype=">i2")})
    with open_record(path, sampling_rate=500, unit="uV", lead_names=["I"]) as source:
        stored = source.read_stored(10, 20)
    assert stored.samples.dtype == np.int16 and stored.samples.tolist() == [list(range(10, 20))]
    assert stored.to_millivolts()[0, 0] == np.float32(0.01)


def test_only_the_samples_asked_for_are_read(write, monkeypatch):
    path = write({"ecg": np.zeros((3, 10_000), dtype=np.float32)})
    asked = []
    decode = h5py.Dataset.__getitem__

    def spy(self, index, *arguments, **options):
        asked.append(index)
        return decode(self, index, *arguments, **options)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    with open_record(path, **TOLD) as source:
        assert asked == []
        assert source.read(100, 120).shape == (3, 20)
        assert asked == [(..., slice(100, 120))]


def test_closing_a_record_closes_its_file(write):
    path = write({"ecg": SIGNAL})
    source = open_record(path, **TOLD)
    source.close()
    source.close()
    with h5py.File(path, "a") as file:  # impossible while the file is open for reading
        file["more"] = 1
    with pytest.raises(ValueError, match="is closed: open it again"):
        source.read(0, 1)


def test_samples_elsewhere_are_not_read(write, tmp_path):
    other = write({"ecg": SIGNAL}, name="other.h5")
    linked = tmp_path / "linked.h5"
    with h5py.File(linked, "w") as file:
        file["ecg"] = h5py.ExternalLink(str(other), "ecg")
    with pytest.raises(UnsafeHeaderError, match="expected samples in the file itself, found a link in place of 'ecg'"):
        read_record(linked, **TOLD)
    (tmp_path / "raw.bin").write_bytes(SIGNAL.tobytes())
    with h5py.File(linked, "w") as file:
        file.create_dataset("ecg", SIGNAL.shape, SIGNAL.dtype, external=[(str(tmp_path / "raw.bin"), 0, 1200)])
    with pytest.raises(UnsafeHeaderError, match="found 'ecg' in other files"):
        read_record(linked, **TOLD)
    with h5py.File(linked, "w") as file:
        layout = h5py.VirtualLayout(SIGNAL.shape, SIGNAL.dtype)
        layout[:] = h5py.VirtualSource(str(other), "ecg", SIGNAL.shape)
        file.create_virtual_dataset("ecg", layout)
    with pytest.raises(UnsafeHeaderError, match="found 'ecg' in other files"):
        read_record(linked, **TOLD)


def test_a_dataset_of_which_nearly_nothing_is_stored_is_refused_before_memory_is_asked_for(tmp_path):
    path = tmp_path / "ecg.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ecg", (3, 1 << 40), "f4", chunks=(3, 1 << 20))
    with pytest.raises(RecordError, match="ecg.h5: expected a dataset 'ecg' of at most 250 times its 0 bytes"):
        read_record(path, sampling_rate=500, unit="mV", lead_names=["I", "II", "V1"])


def test_a_cut_file_and_a_damaged_one_are_errors(write, tmp_path):
    path = write({"ecg": np.random.default_rng(1).normal(size=(3, 5000))})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(TruncatedFileError, match="expected an HDF5 file that h5py can open, found this: .*truncated"):
        read_record(path, **TOLD)
    with h5py.File(path, "w") as file:
        file.create_dataset("ecg", data=np.random.default_rng(1).normal(size=(3, 5000)), compression="gzip")
    content = bytearray(path.read_bytes())
    content[-5000:-4000] = bytes(1000)
    path.write_bytes(content)
    with pytest.raises(RecordError, match="expected an HDF5 file that h5py can decode, found OSError: .*during read"):
        read_record(path, **TOLD)


def test_damaged_structures_are_errors_of_the_record_and_do_not_stop_a_search(write):
    path = write({"ecg": SIGNAL}, {"ecg": {"sampling_rate": 500, "unit": "mV", "lead_names": list(LEADS)}})
    content = path.read_bytes()
    for signature in (b"TREE", b"SNOD", b"HEAP", b"GCOL"):
        path.write_bytes(content.replace(signature, b"????"))
        assert find_records(path.parent) == [path]
        is_heap = signature == b"GCOL"
        told = "a text of length 1 in 'lead_names', found one of 0" if is_heap else "an HDF5 file that h5py can decode"
        with pytest.raises(RecordError, match=rf"ecg\.h5: expected {told}"):
            read_record(path)


def test_a_file_may_begin_with_a_block_of_its_own_and_matlab_files_are_told_apart(write, tmp_path):
    path = write({"ecg": SIGNAL}, userblock_size=512)
    assert read_record(path, **TOLD).n_samples == 200
    matlab = tmp_path / "ecg.mat"
    matlab.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + path.read_bytes()[512:])
    with pytest.raises(RecordError, match=r"found a MATLAB file of version 7\.3, .* Save the signal as \.npz"):
        read_record(matlab, **TOLD)


@pytest.fixture
def exams(write):
    """Four exams of 60 samples: padded at both ends, whole, padded at the end by one, and the filler without an ECG."""
    tracings = np.random.default_rng(2).normal(size=(4, 60, 3)).astype(np.float32)
    tracings[0, :11] = tracings[0, 50:] = tracings[2, 59:] = tracings[3] = 0
    tracings[0, 20] = 0
    tracings[1, 0, 1:] = tracings[1, 59, :2] = 0
    path = write({"exam_id": np.array([1169160, 5, 77, 0]), "tracings": tracings}, name="exams_part0.hdf5")
    return path, tracings


def test_an_exam_is_named_behind_the_path_and_read_without_its_padding(exams):
    path, tracings = exams
    record = read_record(f"{path}::1169160", **TOLD)
    np.testing.assert_array_equal(record.signal_mv, tracings[0, 11:50].T)
    assert (record.record_id, record.source) == ("1169160", f"{path}::1169160")
    assert record.comments == ("samples of zeros left out: 11 before the ECG, 10 after it",)
    record = read_record(f"{path}::#1", **TOLD)
    np.testing.assert_array_equal(record.signal_mv, tracings[1].T)
    assert (record.record_id, record.comments) == ("5", ())


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", r"the name of one of its records behind the path, found none, and 4 records in the file\. The first is '"),
        ("::116", "expected a record '116', found none of this name among 4 records"),
        ("::#4", "expected a record '#4', found none"),
        ("::0", r"expected an ECG in exam 0 \(row 3\), found zeros only"),
    ],
)
def test_an_exam_that_is_not_named_not_there_or_empty_is_an_error(exams, key, message):
    with pytest.raises(RecordError, match=message):
        read_record(f"{exams[0]}{key}", **TOLD)


def test_a_file_of_a_single_exam_needs_no_name(write):
    path = write({"exam_id": np.array([9]), "tracings": np.ones((1, 20, 3))})
    assert read_record(path, **TOLD).record_id == "9"
    assert find_records(path) == [path]


def test_every_exam_is_listed_in_the_order_of_the_file(exams):
    path = exams[0]
    expected = [path.with_name(f"{path.name}::{name}") for name in ("1169160", "5", "77", "0")]
    assert find_records(path) == find_records(path.parent) == find_records(path.parent / "*.hdf5") == expected
    assert find_records(expected[1]) == [expected[1]]


def test_only_files_with_an_ecg_are_listed(write, tmp_path):
    ecg = write({"ecg": SIGNAL})
    write({"weights": SIGNAL}, name="network.h5")
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(ecg.read_bytes()[:1000])
    (tmp_path / "other.h5").write_bytes(b"no HDF5")
    assert find_records(tmp_path) == [damaged, ecg]


def test_tracings_read_one_exam_after_another_from_a_file_opened_once(exams, monkeypatch):
    path, tracings = exams
    opened = []
    open_file = h5py.File
    monkeypatch.setattr(
        h5py, "File", lambda *arguments, **options: opened.append(1) or open_file(*arguments, **options)
    )
    with CodeTracings(path, lead_names=LEADS, unit="mV") as exams_of_file:
        assert exams_of_file.exam_ids == ("1169160", "5", "77", "0") and len(exams_of_file) == 4
        found = [exams_of_file.read(row) for row in range(3)]
        with pytest.raises(RecordError, match="zeros only"):
            exams_of_file.read(3)
        with pytest.raises(ValueError, match="exam 4 is not in .* it has 4, counted from 0"):
            exams_of_file.read(4)
    assert len(opened) == 1
    assert [(exam.exam_id, exam.padding_before, exam.padding_after) for exam in found] == [
        *(("1169160", 11, 10), ("5", 0, 0), ("77", 0, 1))
    ]
    for exam, whole in zip(found, tracings, strict=False):
        stop = 60 - exam.padding_after
        np.testing.assert_array_equal(exam.signal.samples, whole[exam.padding_before : stop].T)
        assert exam.signal.samples.flags["C_CONTIGUOUS"] and exam.signal.units == ("mV",) * 3
    with pytest.raises(ValueError, match="is closed: open it again to read exams"):
        exams_of_file.read(0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_tracings_keep_their_type(write, dtype):
    tracings = np.random.default_rng(3).normal(size=(2, 30, 3)).astype(dtype)
    path = write({"exam_id": [b"a", b"b"], "tracings": tracings})
    with CodeTracings(path, lead_names=LEADS, unit="mV") as exams_of_file:
        signal = exams_of_file.read(1).signal
    assert exams_of_file.exam_ids == ("a", "b") and signal.samples.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(signal.samples, tracings[1].T)


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        (
            {"exam_id": np.arange(3), "tracings": np.ones((2, 30, 3))},
            r"expected 'tracings' \(exams, samples, leads\) of 3 exams and 3 leads, found shape \(2, 30, 3\)",
        ),
        ({"exam_id": np.arange(2), "tracings": np.ones((2, 30, 12))}, r"found shape \(2, 30, 12\)"),
        ({"exam_id": np.arange(2), "tracings": np.ones((2, 3))}, r"found shape \(2, 3\)"),
        ({"exam_id": np.ones((2, 1), int), "tracings": np.ones((2, 30, 3))}, "expected a list of identifiers"),
        ({"exam_id": np.ones(2), "tracings": np.ones((2, 30, 3))}, "a dataset 'exam_id' of whole numbers or texts"),
    ],
)
def test_tracings_that_do_not_fit_together_are_an_error(write, datasets, message):
    path = write(datasets)
    with pytest.raises(RecordError, match=message):
        CodeTracings(path, lead_names=LEADS, unit="mV")
    with pytest.raises(RecordError, match=message):
        read_record(f"{path}::#0", **TOLD)


def test_repeated_identifiers_are_addressed_by_row(write):
    path = write({"exam_id": [5, 6, 5], "tracings": np.ones((3, 30, 3))})
    listed = [path.with_name(f"{path.name}::{name}") for name in ("#0", "6", "#2")]
    assert find_records(path) == listed
    assert [read_record(record, **TOLD).record_id for record in listed] == ["5", "6", "5"]
    with pytest.raises(RecordError, match=r"one record '5', found 2 of them\. Address one by its row: '.*::#0'"):
        read_record(f"{path}::5", **TOLD)


def test_a_missing_library_is_named_with_the_command_that_installs_it(write, monkeypatch):
    path = write({"ecg": SIGNAL})
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert find_records(path.parent) == [path]
    with pytest.raises(ImportError, match=r'HDF5 files needs the package h5py: pip install "anyecg-hf\[records\]"'):
        read_record(path, **TOLD)
