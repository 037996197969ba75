# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`RecordSource` and `open_record`: ranges, blocks and closing, for records in memory and files of every format."""

from datetime import datetime

import numpy as np
import pytest
from tests.records.read_as import FORMAT_NAMES
from tests.records.written_edf import Channel, write_edf

from anyecg_hf.records import (
    Annotation,
    ArraySource,
    ECGRecord,
    MissingFileError,
    RecordError,
    RecordFacts,
    UnknownFormatError,
    open_record,
    read_record,
)

TOLD = {"sampling_rate": 100, "unit": "uV", "lead_names": ["I", "V1"]}


@pytest.fixture
def record():
    signal = np.random.default_rng(0).normal(size=(2, 250)).astype(np.float32)
    signal[0, 17] = np.nan
    return ECGRecord(
        signal,
        sampling_rate=100,
        lead_names=("I", "V1"),
        record_id="r1",
        age_years=57.0,
        sex=1,
        recorded_at=datetime(2020, 5, 12),
        labels=("NORM",),
        annotations=(Annotation(0.5, "N"),),
        comments=("free text",),
        source="a.hea",
    )


@pytest.fixture(params=["wfdb", "edf", "csv", "npy", "npz"])
def file(request, tmp_path, write_wfdb, counts):
    """A record of 300 samples in every format, and what must be told to read it."""
    samples = np.random.default_rng(0).normal(size=(2, 300)) * 1000
    path = tmp_path / f"ecg.{request.param}"
    if request.param == "wfdb":
        return write_wfdb(counts), {}
    if request.param == "edf":
        return write_edf(path, [Channel(name, counts[0].astype(int), rate=100) for name in ("I", "V1")]), {}
    if request.param == "csv":
        path.write_text("\n".join(["I,V1", *(f"{one!r},{two!r}" for one, two in samples.T.tolist())]))
        return path, {"sampling_rate": 100, "unit": "uV"}
    if request.param == "npy":
        np.save(path, samples)
        return path, TOLD
    np.savez(path, signal=samples.astype(np.float32), sampling_rate=100, lead_names=["I", "V1"], unit="uV", sex=1)
    return path, {}


def test_an_open_file_is_the_record_that_reading_gives(file):
    path, told = file
    record = read_record(path, **told)
    with open_record(path, **told) as source:
        assert source.to_record() == record
        facts = (source.sampling_rate, source.lead_names, source.n_samples, source.n_leads, source.duration_s)
        assert facts == (record.sampling_rate, record.lead_names, 300, 2, record.duration_s)
        assert (source.record_id, source.source, source.facts.sex) == (record.record_id, record.source, record.sex)


@pytest.mark.parametrize(("start", "stop"), [(0, 300), (0, 1), (7, 8), (13, 211), (299, 300)])
def test_a_piece_is_bit_by_bit_that_of_the_whole_and_the_callers_own(file, start, stop):
    path, told = file
    whole = read_record(path, **told).signal_mv
    with open_record(path, **told) as source:
        piece = source.read(start, stop)
        assert piece.dtype == np.float32 and piece.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(piece, whole[:, start:stop])
        piece[:] = 0
        np.testing.assert_array_equal(source.read(start, stop), whole[:, start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (0, 301), (301, 301), (5, 4)])
def test_a_range_outside_the_record_is_refused(file, start, stop):
    path, told = file
    with (
        open_record(path, **told) as source,
        pytest.raises(ValueError, match=f"samples {start} to {stop} are not all in .*: it has 300, counted from 0"),
    ):
        source.read(start, stop)


def test_an_empty_range_is_an_empty_array_and_a_fraction_no_range(file):
    path, told = file
    with open_record(path, **told) as source:
        assert source.read(5, 5).shape == (2, 0)
        with pytest.raises(TypeError, match="float"):
            source.read(0, 5.0)


def test_a_closed_source_reads_nothing(file):
    path, told = file
    source = open_record(path, **told)
    blocks = source.blocks()
    source.close()
    source.close()
    for read in (lambda: source.read(0, 1), lambda: source.read(0, 0), lambda: next(blocks)):
        with pytest.raises(ValueError, match="is closed: open it again to read samples"):
            read()


@pytest.mark.parametrize(
    ("block_s", "lengths"),
    [(1.0, [100, 100, 50]), (0.014, [1] * 250), (2.5, [250]), (60.0, [250]), (1.249, [125, 125])],
)
def test_blocks_cover_the_record_once_and_the_last_may_be_shorter(record, block_s, lengths):
    source = ArraySource.from_record(record)
    blocks = list(source.blocks(block_s))
    assert [block.shape for block in blocks] == [(2, length) for length in lengths]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), record.signal_mv)


@pytest.mark.parametrize("block_s", [0, -1.0, 0.004, float("nan"), float("inf")])
def test_a_block_without_a_sample_is_refused_at_once(record, block_s):
    with pytest.raises(ValueError, match=r"`block_s` must be one sample \(0.01 s\) or more, got"):
        ArraySource.from_record(record).blocks(block_s)


def test_a_record_in_memory_survives_being_a_source(record):
    source = ArraySource.from_record(record)
    assert source.to_record(annotations=True) == record
    assert source.to_record().annotations is None
    assert repr(source) == "ArraySource('a.hea': 2 leads (I, V1), 250 samples at 100 Hz, 2.5 s)"


def test_an_array_file_is_mapped_and_not_loaded(tmp_path):
    np.save(tmp_path / "ecg.npy", np.zeros((2, 300), dtype=np.float32))
    with open_record(tmp_path / "ecg.npy", **{**TOLD, "unit": "mV"}) as source:
        assert isinstance(source._samples, np.memmap)
        assert type(source.read(0, 10)) is np.ndarray
    record = read_record(tmp_path / "ecg.npy", **{**TOLD, "unit": "mV"})
    assert type(record.signal_mv) is np.ndarray and record.signal_mv.flags["OWNDATA"]


def test_an_array_in_the_order_of_fortran_reads_alike(tmp_path):
    samples = np.asfortranarray(np.random.default_rng(0).normal(size=(2, 300)))
    np.save(tmp_path / "ecg.npy", samples)
    with open_record(tmp_path / "ecg.npy", **TOLD) as source:
        np.testing.assert_array_equal(source.read(3, 9), (samples[:, 3:9] * 1e-3).astype(np.float32))


def test_impossible_facts_are_refused_when_a_file_is_opened(tmp_path):
    with pytest.raises(ValueError, match="`sex` must be 0"):
        RecordFacts(sex=2)
    np.savez(tmp_path / "ecg.npz", signal=np.zeros((2, 300)), age_years=-1)
    with pytest.raises(RecordError, match="expected the fields of an ECGRecord, found this: `age_years`"):
        open_record(tmp_path / "ecg.npz", **TOLD)


def test_what_cannot_be_read_cannot_be_opened(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\x00\x01\x02")
    with pytest.raises(UnknownFormatError, match=f"a record in one of the formats {FORMAT_NAMES}, found a file"):
        open_record(tmp_path / "a.bin")
    with pytest.raises(MissingFileError, match="expected a record"):
        open_record(tmp_path / "nothing")
    with pytest.raises(ValueError, match="`sampling_rate` must be a positive number of Hz, got 0"):
        open_record(tmp_path / "a.bin", sampling_rate=0)
