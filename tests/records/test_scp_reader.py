# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""SCP-ECG files: samples bit by bit in every encoding, patients without names, and files that are broken."""

import struct
from datetime import datetime

import numpy as np
import pytest
from tests.records.read_as import open_as, read_as
from tests.records.written_scp import write_scp

from anyecg_hf.records import Annotation, RecordError
from anyecg_hf.records.scp_reader import SCP

N_SAMPLES = 2500


@pytest.fixture
def leads() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {name: np.cumsum(generator.integers(-12, 13, N_SAMPLES)) for name in ("I", "II", "aVR", "V6")}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("huffman", [False, True])
def test_samples_are_kept_bit_by_bit(tmp_path, leads, order, huffman):
    leads["II"] = np.tile([0, 300, -300, 12000], N_SAMPLES // 4)
    path = write_scp(tmp_path / "ecg.bin", leads, order=order, huffman=huffman)
    with open_as(SCP, path) as source:
        stored = source.read_stored(0, N_SAMPLES)
        record = source.to_record()
    assert (stored.samples.dtype, record.lead_names, record.sampling_rate) == (np.int16, tuple(leads), 500.0)
    np.testing.assert_array_equal(stored.samples, list(leads.values()))
    np.testing.assert_allclose(record.signal_mv, np.array(list(leads.values())) * 0.005, atol=1e-6)


def test_steps_are_nanovolts(tmp_path, leads):
    record = read_as(SCP, write_scp(tmp_path / "ecg.scp", leads, step_nv=1000))
    np.testing.assert_allclose(record.signal_mv[0], leads["I"] * 0.001, atol=1e-6)


@pytest.mark.parametrize(("interval_us", "rate_hz"), [(1000, 1000.0), (3906, 256.0), (3333, 300.0), (7000, 1e6 / 7000)])
def test_the_interval_is_rounded_to_microseconds(tmp_path, leads, interval_us, rate_hz):
    assert read_as(SCP, write_scp(tmp_path / "ecg.scp", leads, interval_us=interval_us)).sampling_rate == rate_hz


def test_the_patient_comes_without_a_name(tmp_path, leads):
    path = write_scp(tmp_path / "ecg.scp", leads, statements=["SINUS RHYTHM", "Confirmed by Doe, John"])
    record = read_as(SCP, path, annotations=True)
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == ("ecg", "p7", 68.0, 1)
    assert (record.height_cm, record.weight_kg) == (165.0, 68.0)
    assert record.recorded_at == datetime(2020, 5, 12, 12, 33, 59)
    assert record.labels == record.comments == ("SINUS RHYTHM",)
    assert record.annotations is None


def test_beats_are_annotations(tmp_path, leads):
    starts = dict.fromkeys(leads, 11)
    path = write_scp(tmp_path / "ecg.scp", leads, beats=[(0, 261), (1, 511)], starts=starts)
    assert read_as(SCP, path, annotations=True).annotations == (
        Annotation(0.5, "0", "QRS"),
        Annotation(1.0, "1", "QRS"),
    )


def test_leads_recorded_one_after_another_are_an_error(tmp_path, leads):
    path = write_scp(tmp_path / "ecg.scp", leads, starts={"V6": N_SAMPLES + 1})
    with pytest.raises(
        RecordError, match="expected leads that start at the same time, found I at sample 1, .*V6 at sample"
    ):
        read_as(SCP, path)


def test_an_unknown_step_is_an_error(tmp_path, leads):
    with (
        pytest.warns(UserWarning, match="amplitude multiplier is 0"),
        pytest.raises(RecordError, match="expected the voltage of one step of lead I, found 0"),
    ):
        read_as(SCP, write_scp(tmp_path / "ecg.scp", leads, step_nv=0))


def test_a_changed_byte_is_said(tmp_path, leads):
    path = write_scp(tmp_path / "ecg.scp", leads)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="ecg.scp: SCP-ECG CRC mismatch in: record, Section 6"):
        read_as(SCP, path)


@pytest.mark.parametrize("keep", [200, 5000])
def test_a_truncated_file_is_an_error(tmp_path, leads, keep):
    path = write_scp(tmp_path / "ecg.scp", leads)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RecordError, match=rf"found this: SCP-ECG record declares \d+ bytes but the file has {keep}"):
        read_as(SCP, path)


def test_leads_that_claim_gigabytes_are_refused_before_they_get_any(tmp_path, leads):
    path = write_scp(tmp_path / "ecg.scp", leads, huffman=True)
    content = bytearray(path.read_bytes())
    definition = content.index(struct.pack("<LL", 1, N_SAMPLES))
    content[definition + 4 : definition + 8] = struct.pack("<L", 2_456_847_463)
    path.write_bytes(content)
    with pytest.raises(
        RecordError, match=r"at most 32 samples for each of its \d+ bytes, found leads of 2456854963 sam"
    ):
        read_as(SCP, path)


@pytest.mark.parametrize("head", [b"", b"\0" * 64, b"I,II\n" * 20, b"\x93NUMPY" + b"\1" * 40])
def test_other_files_are_not_taken_for_it(tmp_path, head):
    assert not SCP.recognises(tmp_path / "ecg.scp", head)
