# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Texts of variable length in HDF5 files, where libhdf5 takes whatever length they claim."""

import struct

import numpy as np
import pytest
from tests.records.read_as import read_as

from anyecg_hf.records import RecordError, hdf5_texts
from anyecg_hf.records.hdf5_reader import HDF5, CodeTracings
from anyecg_hf.records.hdf5_texts import read_attribute

h5py = pytest.importorskip("h5py", reason='HDF5 files need h5py: pip install "anyecg-hf[records]"')

SAMPLES = np.ones((2, 1000), dtype=np.float32)
LEADS = ("MLII", "V1")


def write(path, others: int = 0, **options):
    with h5py.File(path, "w", **options) as file:
        signal = file.create_dataset("signal", data=SAMPLES, track_order=options.get("track_order"))
        signal.attrs["lead_names"] = list(LEADS)
        file.attrs["sampling_rate"] = 500
        for number in range(others):
            signal.attrs[f"other_{number}"] = "a remark of many words " * 5
        signal.attrs["unit"] = "mV"
    return path


def overwritten(path, after: bytes, length: int, claimed: int):
    """The file with another length of the text that comes after some bytes."""
    content = bytearray(path.read_bytes())
    place = content.index(struct.pack("<I", length), content.index(after))
    content[place : place + 4] = struct.pack("<I", claimed)
    path.write_bytes(content)
    return path


@pytest.fixture
def without_libhdf5(monkeypatch):
    """Texts of variable length are read by nobody else."""
    get = h5py.AttributeManager.__getitem__

    def getitem(attributes, name):
        text = h5py.check_string_dtype(attributes.get_id(name).dtype)
        assert text is None or text.length is not None, f"libhdf5 was asked for {name!r}"
        return get(attributes, name)

    monkeypatch.setattr(h5py.AttributeManager, "__getitem__", getitem)


@pytest.mark.filterwarnings("ignore:.*not read")
@pytest.mark.parametrize("others", [0, 6])
@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("options", [{}, {"track_order": True}, {"libver": "latest"}, {"libver": "v108"}])
def test_headers_of_every_kind_are_understood(tmp_path, without_libhdf5, options, userblock, others):
    path = write(tmp_path / "ecg.h5", others, userblock_size=userblock, **options)
    assert read_as(HDF5, path).lead_names == LEADS


def test_texts_are_those_that_h5py_reads(tmp_path):
    values = {"one": "Größe", "none": "", "list": ["", "a", "Ω" * 200], "table": [["a", "bc"], ["d", ""]], "raw": b"xy"}
    with h5py.File(tmp_path / "texts.h5", "w") as file:
        for name, value in values.items():
            file.attrs[name] = value
        file.attrs.create("nothing", np.empty(0, dtype=object), dtype=h5py.string_dtype())
        file.attrs["empty"] = h5py.Empty(h5py.string_dtype())
    with h5py.File(tmp_path / "texts.h5") as file:
        for name in file.attrs:
            found, expected = read_attribute(tmp_path / "texts.h5", file, name), file.attrs[name]
            assert type(found) is type(expected) and np.array_equal(found, expected), name


def test_a_text_longer_than_its_file_is_refused(tmp_path):
    path = overwritten(write(tmp_path / "ecg.h5"), b"lead_names", len("MLII"), 0xFFFF_FFF0)
    with pytest.raises(RecordError, match="texts in 'lead_names' of at most 250 times .*, found 4294967282 bytes"):
        read_as(HDF5, path)
    path = overwritten(write(tmp_path / "other.h5"), b"lead_names", len("MLII"), 1000)
    with pytest.raises(RecordError, match="expected a text of length 1000 in 'lead_names', found one of"):
        read_as(HDF5, path)


@pytest.mark.parametrize("content", [bytes(24), struct.pack("<HHIQ8x", 7, 1, 0, 0)])
def test_a_heap_of_objects_without_sizes_ends(tmp_path, content):
    path = write(tmp_path / "ecg.h5")
    file = bytearray(path.read_bytes())
    start = file.index(b"GCOL") + 16
    file[start : start + 24] = content
    path.write_bytes(file)
    with pytest.raises(RecordError, match="expected a text of length 4 in 'lead_names', found one of 0"):
        read_as(HDF5, path)


def test_heaps_larger_than_their_file_are_refused(tmp_path):
    path = write(tmp_path / "ecg.h5")
    file = bytearray(path.read_bytes())
    place = file.index(b"GCOL") + 8
    file[place : place + 8] = struct.pack("<Q", len(file) + 1)
    path.write_bytes(file)
    with pytest.raises(RecordError, match=f"expected heaps within the file's {len(file)} bytes, found {len(file) + 1}"):
        read_as(HDF5, path)


@pytest.mark.filterwarnings("ignore:.*not read")
def test_texts_that_lie_where_only_newer_files_have_them_are_asked_for_in_fixed_length(tmp_path):
    path = write(tmp_path / "ecg.h5", others=20, libver="latest")
    with pytest.raises(RecordError, match="'lead_names' in the header of its object, found a text of variable length"):
        read_as(HDF5, path)
    with h5py.File(path, "a", libver="latest") as file:
        file["signal"].attrs["lead_names"] = np.array(LEADS, dtype="S")
        file["signal"].attrs["unit"] = np.bytes_("mV")
    assert read_as(HDF5, path).lead_names == LEADS


@pytest.mark.parametrize(
    "value",
    [np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]), np.array([np.arange(3), np.arange(2)], dtype=object)],
)
def test_lists_of_lists_and_tables_are_no_texts(tmp_path, value):
    dtype = h5py.vlen_dtype("i4") if value.dtype == object else None
    with h5py.File(write(tmp_path / "ecg.h5"), "a") as file:
        file["signal"].attrs.create("unit", value, dtype=dtype)
    with pytest.raises(RecordError, match="expected a text, a number or a list of them in 'unit', found dtype"):
        read_as(HDF5, tmp_path / "ecg.h5")


def test_a_header_that_goes_round_in_circles_ends(tmp_path):
    path = write(tmp_path / "ecg.h5", others=6)
    with path.open("rb") as file, h5py.File(path) as opened:
        header = h5py.h5o.get_info(opened["signal"].id).addr
        file.seek(header)
        first = bytearray(file.read(4096))
    # The only message left is one that says "go on here".
    first[16:40] = struct.pack("<HHB3xQQ", 0x10, 16, 0, header + 16, 24)
    first[8:12] = struct.pack("<I", 24)
    content = bytearray(path.read_bytes())
    content[header : header + len(first)] = first
    path.write_bytes(content)
    with path.open("rb") as file:
        assert list(hdf5_texts._attributes(hdf5_texts._Blocks(path, file, base=0), header)) == []


class TestIdentifiers:
    def file(self, path, userblock=0, **options):
        with h5py.File(path, "w", userblock_size=userblock) as file:
            file.create_dataset("exam_id", data=["exam_a", "exam_b"], dtype=h5py.string_dtype(), **options)
            file["tracings"] = np.ones((2, 100, 1), dtype=np.float32)
        return path

    def opened(self, path) -> tuple[str, ...]:
        with CodeTracings(path, lead_names=["I"], unit="mV") as tracings:
            return tracings.exam_ids

    @pytest.mark.parametrize("userblock", [0, 512])
    def test_texts_are_read(self, tmp_path, userblock):
        path = self.file(tmp_path / "exams.h5", userblock)
        assert self.opened(path) == ("exam_a", "exam_b")

    def test_longer_than_their_file_they_are_refused(self, tmp_path):
        path = self.file(tmp_path / "exams.h5")
        with h5py.File(path) as file:
            place = file["exam_id"].id.get_offset()
        content = bytearray(path.read_bytes())
        content[place : place + 4] = struct.pack("<I", 1 << 30)
        path.write_bytes(content)
        with pytest.raises(RecordError, match="texts in '/exam_id' of at most 250 times .*, found 1073741830 bytes"):
            self.opened(path)

    def test_in_chunks_they_are_asked_for_in_fixed_length(self, tmp_path):
        path = self.file(tmp_path / "exams.h5", chunks=(1,))
        with pytest.raises(RecordError, match="texts of fixed length in '/exam_id', found variable length in chunks"):
            self.opened(path)
