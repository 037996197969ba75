# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""DICOM files that would take gigabytes: by a length that they state, or by what they decompress to."""

import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from tests.records.read_as import read_as
from tests.records.written_dicom import Channel, group, write_dicom

from anyecg_hf.records import RecordError
from anyecg_hf.records.dicom_reader import DICOM

SAMPLES = np.arange(1000, dtype=np.int16)[None]


@pytest.fixture
def path(tmp_path):
    return write_dicom(tmp_path / "ecg.dcm", [group(SAMPLES, [Channel()])])


def deflated(path, further: bytes = b""):
    """The file in the compressed syntax, with something appended to its data set."""
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    plain = zlib.decompress(content[start:], -zlib.MAX_WBITS) + further
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    path.write_bytes(content[:start] + packer.compress(plain) + packer.flush())
    return path


def test_a_value_that_claims_gigabytes_takes_none(path):
    content = path.read_bytes()
    place = content.index(b"PN") + 2  # length of the patient's name, made that of a long form
    path.write_bytes(content[: place - 2] + b"OB\0\0" + b"\xf0\xff\xff\xff" + content[place + 2 :])
    tracemalloc.start()
    try:
        with pytest.raises(RecordError):
            read_as(DICOM, path)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()


def test_a_deflated_file_reads_like_others(path):
    expected = read_as(DICOM, path).signal_mv
    np.testing.assert_array_equal(read_as(DICOM, deflated(path)).signal_mv, expected)


def test_a_deflated_file_that_explodes_is_refused(path, monkeypatch):
    monkeypatch.setattr("anyecg_hf.records.formats._HARMLESS_BYTES", 1 << 20)
    with pytest.raises(RecordError, match="a deflated data set of at most 250 times its .* made to exhaust the memory"):
        read_as(DICOM, deflated(path, further=bytes(1 << 25)))


def test_a_deflated_file_without_the_length_of_its_header_is_refused(path):
    content = bytearray(deflated(path).read_bytes())
    content[136:138] = b"OB"
    path.write_bytes(content)
    with pytest.raises(RecordError, match="the length of its header in a deflated DICOM file, found none"):
        read_as(DICOM, path)
