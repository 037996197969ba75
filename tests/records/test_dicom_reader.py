# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""DICOM ECGs: samples bit by bit in every type, leads by code and by meaning, groups, and files that are broken."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from tests.records.read_as import open_as, read_as
from tests.records.written_dicom import CT_IMAGE_CLASS, TWELVE_CHANNELS, Channel, group, write_dicom

from anyecg_hf.records import RecordError, TruncatedFileError
from anyecg_hf.records.dicom_reader import DICOM
from anyecg_hf.records.left_out import warn_of_averages

N_SAMPLES = 1000
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).integers(-2000, 2000, (12, N_SAMPLES)).astype(np.int16)


@pytest.fixture
def path(tmp_path, samples):
    """Two seconds of twelve leads in steps of 5 uV."""
    return write_dicom(tmp_path / "ecg.dcm", [group(samples, TWELVE_CHANNELS)])


def one_lead(tmp_path, samples, channel=Channel(), **fields):  # noqa: B008 (frozen)
    return write_dicom(tmp_path / "one.dcm", [group(np.atleast_2d(samples), [channel], **fields)])


def test_samples_are_kept_bit_by_bit(path, samples):
    with open_as(DICOM, path) as source:
        stored = source.read_stored(0, N_SAMPLES)
        record = source.to_record()
    assert (stored.samples.dtype, record.lead_names, record.sampling_rate) == (np.int16, LEADS, 500.0)
    np.testing.assert_array_equal(stored.samples, samples)
    np.testing.assert_allclose(record.signal_mv, samples * 0.005, atol=1e-6)


@pytest.mark.filterwarnings("ignore:DICOM. derived waveforms")
def test_the_file_that_comes_with_pydicom_reads_as_pydicom_reads_it():
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    record = read_as(DICOM, Path(path), annotations=True)
    expected_uv = pydicom.dcmread(path).waveform_array(0).T
    np.testing.assert_allclose(record.signal_mv, expected_uv * 1e-3, atol=1e-6)
    assert (record.lead_names, record.sampling_rate, record.duration_s) == (LEADS, 1000.0, 10.0)
    assert (record.patient_id, record.age_years, record.sex) == ("642341", 42.0, 1)
    assert record.comments == ("RITMO SINUSALE", "ECG NORMALE")
    assert len(record.annotations) == 66


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.filterwarnings("ignore:.*big.endian")
def test_samples_of_every_type_and_byte_order_are_kept(tmp_path, dtype, big_endian):
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -(1 << 31)), min(limits.max, (1 << 31) - 1)
    samples = np.random.default_rng(0).integers(low, high, (2, 501), dtype=np.int64, endpoint=True)
    stored_as = samples.astype(dtype)
    item = group(stored_as, TWELVE_CHANNELS[:2])
    if big_endian:
        item.WaveformData = stored_as.astype(stored_as.dtype.newbyteorder(">")).T.tobytes()
    path = write_dicom(tmp_path / "ecg.dcm", [item], big_endian=big_endian)
    with open_as(DICOM, path) as source:
        np.testing.assert_array_equal(source.read_stored(0, 501).samples, samples)


def test_steps_baseline_correction_and_unit_are_each_channel_s_own(tmp_path, samples):
    channels = [
        Channel(fields={"ChannelSensitivityCorrectionFactor": "1.1", "ChannelBaseline": "20"}),
        Channel("2:2", "Lead II", unit="mV", sensitivity=0.002, fields={"ChannelBaseline": "-0.5"}),
        Channel("2:3", "Lead V1", fields={"ChannelBaseline": None, "ChannelSensitivityCorrectionFactor": None}),
    ]
    record = read_as(DICOM, write_dicom(tmp_path / "ecg.dcm", [group(samples[:3], channels)]))
    expected = [samples[0] * 5.5e-3 + 0.02, samples[1] * 0.002 - 0.5, samples[2] * 5e-3]
    np.testing.assert_allclose(record.signal_mv, expected, atol=1e-6)


def test_the_padding_value_is_a_missing_sample(tmp_path, samples):
    samples[0, 100:110] = -32768
    path = one_lead(tmp_path, samples[0], WaveformPaddingValue=np.int16(-32768).tobytes())
    signal_mv = read_as(DICOM, path).signal_mv[0]
    assert np.flatnonzero(np.isnan(signal_mv)).tolist() == list(range(100, 110))


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        (Channel("2:62", "Lead aVR, augmented voltage, right"), "aVR"),
        (Channel("2:66", "Lead V8"), "V8"),
        (Channel("5.6.3-9-3", "Lead V1"), "V1"),
        (Channel("5.6.3-9-61", "Ableitung III"), "III"),
        (Channel("X1", "Lead V4"), "V4"),
        (Channel("X1", "", fields={"ChannelLabel": "avl"}), "aVL"),
        (Channel("2:18", "Lead Z"), "VZ"),
        (Channel("", "", fields={"ChannelSourceSequence": None, "ChannelLabel": "V6"}), "V6"),
    ],
)
def test_leads_are_known_by_code_meaning_or_label(tmp_path, samples, channel, name):
    assert read_as(DICOM, one_lead(tmp_path, samples[0], channel)).lead_names == (name,)


def test_an_odd_lead_is_unknown_unless_the_caller_knows_it(tmp_path, samples):
    path = one_lead(tmp_path, samples[0], Channel("X1", "Lead Q"))
    with pytest.warns(UserWarning, match="leads read as 'unknown': 'Lead Q' .lead 1."):
        assert read_as(DICOM, path).lead_names == ("unknown",)
    assert read_as(DICOM, path, lead_names=["V9"]).lead_names == ("V9",)


def test_nameless_leads_must_be_named_by_the_caller(tmp_path, samples):
    path = one_lead(tmp_path, samples[0], Channel("", "", fields={"ChannelSourceSequence": None}))
    with pytest.raises(RecordError, match="expected names of the leads, found none in the file. Pass lead_names"):
        read_as(DICOM, path)
    assert read_as(DICOM, path, lead_names=["V9"]).lead_names == ("V9",)


def test_a_code_that_contradicts_its_meaning_is_an_error(tmp_path, samples):
    with pytest.raises(RecordError, match="lead codes and their meanings to agree, found 2:3 .V1. as 'Lead II'"):
        read_as(DICOM, one_lead(tmp_path, samples[0], Channel("2:3", "Lead II")))


def test_pressures_are_left_out_with_a_warning(tmp_path, samples):
    channels = [Channel("2:2", "Lead II"), Channel("109016", "Arterial pressure", unit="mm[Hg]")]
    path = write_dicom(tmp_path / "ecg.dcm", [group(samples[:2], channels)])
    with pytest.warns(UserWarning, match=r"not in a unit of voltage: 'Arterial pressure' \(mm\[Hg\]\)"):
        record = read_as(DICOM, path)
    assert record.lead_names == ("II",)
    np.testing.assert_allclose(record.signal_mv[0], samples[0] * 0.005, atol=1e-6)


def test_the_original_group_is_read_wherever_it_stands(tmp_path, samples):
    averages = group(samples[:1, :600], TWELVE_CHANNELS[:1], WaveformOriginality="DERIVED")
    path = write_dicom(tmp_path / "ecg.dcm", [averages, group(samples, TWELVE_CHANNELS)])
    warn_of_averages.cache_clear()
    with pytest.warns(UserWarning, match="DICOM: derived waveforms .averaged beats. beside the recording are not read"):
        record = read_as(DICOM, path)
    np.testing.assert_allclose(record.signal_mv, samples * 0.005, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_as(DICOM, path)


def test_the_longest_group_is_read_where_none_is_said_to_be_original(tmp_path, samples):
    short, long = (group(samples[:1, :n], TWELVE_CHANNELS[:1], WaveformOriginality="DERIVED") for n in (600, N_SAMPLES))
    assert read_as(DICOM, write_dicom(tmp_path / "ecg.dcm", [short, long])).n_samples == N_SAMPLES


def test_further_original_groups_are_named_in_a_warning(tmp_path, samples):
    second = group(samples[:2], TWELVE_CHANNELS[:2], rate=250, MultiplexGroupLabel="STRIP")
    path = write_dicom(tmp_path / "ecg.dcm", [group(samples, TWELVE_CHANNELS), second])
    with pytest.warns(UserWarning, match=r"only the first original one is read: STRIP \(2 channels, 4 s\)"):
        assert read_as(DICOM, path).n_leads == 12


def test_skew_is_left_as_it_is_with_a_warning(tmp_path, samples):
    channel = Channel(fields={"ChannelSampleSkew": "0.5"})
    with pytest.warns(UserWarning, match="sampled at different moments, which is left as it is: I by 0.5 samples"):
        record = read_as(DICOM, one_lead(tmp_path, samples[0], channel))
    np.testing.assert_allclose(record.signal_mv[0], samples[0] * 0.005, atol=1e-6)


def test_a_unit_that_nobody_states_can_be_passed(tmp_path, samples):
    path = one_lead(tmp_path, samples[0], Channel(unit=None, sensitivity=None))
    with pytest.raises(RecordError, match="expected a unit of the samples, found none in the file"):
        read_as(DICOM, path)
    np.testing.assert_allclose(read_as(DICOM, path, unit="uV").signal_mv[0], samples[0] * 1e-3, atol=1e-6)


def test_a_rate_that_nobody_states_can_be_passed(tmp_path, samples):
    path = one_lead(tmp_path, samples[0], SamplingFrequency=None)
    with pytest.raises(RecordError, match="expected a sampling rate, found none in the file"):
        read_as(DICOM, path)
    assert read_as(DICOM, path, sampling_rate=500).sampling_rate == 500.0
    with pytest.raises(RecordError, match="a positive sampling rate in Hz, found 0 in the file"):
        read_as(DICOM, one_lead(tmp_path, samples[0], SamplingFrequency=0))


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (Channel(unit="mm[Hg]"), "lead I in a unit of voltage: 'V', 'mV', 'uV' or 'nV', found 'mm.Hg.'"),
        (Channel(sensitivity=1e-320), "a sensitivity and a correction factor of lead 'I' other than 0, found 1e-320"),
        (Channel(sensitivity=0), "a sensitivity and a correction factor of lead 'I' other than 0, found 0.0 and 1.0"),
        (
            Channel(sensitivity=None),
            "a sensitivity and a correction factor of lead 'I' other than 0, found None and None",
        ),
    ],
)
def test_a_channel_without_a_voltage_is_an_error(tmp_path, samples, channel, message):
    with pytest.raises(RecordError, match=f"one.dcm: expected {message}"):
        read_as(DICOM, one_lead(tmp_path, samples[0], channel))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        (
            {"NumberOfWaveformSamples": 1001},
            TruncatedFileError,
            "1001 samples of 1 channels in 2002 bytes, .*found 2000",
        ),
        ({"NumberOfWaveformSamples": 999}, RecordError, "999 samples of 1 channels in 1998 bytes, found 2000 bytes"),
        ({"NumberOfWaveformSamples": 0}, TruncatedFileError, "0 samples of 1 channels in 0 bytes, at least one"),
        ({"NumberOfWaveformChannels": 2}, RecordError, "definitions of 2 channels, found 1"),
        ({"WaveformData": None}, TruncatedFileError, "1000 samples of 1 channels in 2000 bytes, .*found 0 bytes"),
        ({"WaveformSampleInterpretation": "MB"}, RecordError, "linear samples of .* bits, found 'MB' of 16 bits"),
        ({"WaveformBitsAllocated": 12}, RecordError, "linear samples of .* bits, found 'SS' of 12 bits"),
    ],
)
def test_a_broken_group_is_an_error(tmp_path, samples, fields, error, message):
    with pytest.raises(error, match=f"one.dcm: expected {message}"):
        read_as(DICOM, one_lead(tmp_path, samples[0], **fields))


def test_a_file_without_a_waveform_is_an_error(tmp_path):
    path = write_dicom(tmp_path / "ct.dcm", [], sop_class=CT_IMAGE_CLASS)
    with pytest.raises(
        RecordError, match="a DICOM file with an ECG waveform, found no waveform in it .CT Image Storage."
    ):
        read_as(DICOM, path)


def test_a_truncated_file_is_an_error(path):
    content = path.read_bytes()
    for size in (132, 200, 1000, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:size])
        with pytest.raises(
            RecordError, match="ecg.dcm: expected (a whole DICOM|a DICOM file with|definitions|1000 samples)"
        ):
            read_as(DICOM, path)


def test_a_search_finds_ecgs_among_other_objects(path, tmp_path):
    write_dicom(tmp_path / "ct.dcm", [], sop_class=CT_IMAGE_CLASS)
    (tmp_path / "text.dcm").write_text("no DICOM")
    assert DICOM.select(sorted(tmp_path.iterdir())) == [path]


def test_a_missing_library_is_named_with_the_command_that_installs_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImportError, match=r'needs the package pydicom: pip install "anyecg-hf\[records\]"'):
        read_as(DICOM, path)
