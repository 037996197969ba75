# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""GE MUSE exports: stored and derived leads bit by bit, patients without names, and files that are broken."""

import sys
import warnings
from datetime import datetime

import numpy as np
import pytest
from tests.records.read_as import open_as, read_as
from tests.records.written_xml import STORED_LEADS, diagnosis, muse_lead, muse_waveform, write_muse

from anyecg_hf.records import Annotation, RecordError, exported_record
from anyecg_hf.records.left_out import warn_of_averages
from anyecg_hf.records.muse_reader import MUSE

N_SAMPLES = 5000
ORDER = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
BEATS = "<QRSTimesTypes><QRS><Number>1</Number><Type>0</Type><Time>250</Time></QRS></QRSTimesTypes>"


@pytest.fixture
def samples() -> np.ndarray:
    """Steps of the eight stored leads."""
    return np.random.default_rng(0).integers(-2000, 2000, (8, N_SAMPLES)).astype(np.int16)


@pytest.fixture
def write(tmp_path, samples):
    """Writes the stored leads, with fields replaced in single ones."""

    def write(fields=None, rate="500", exponent="0", **document):
        leads = [
            muse_lead(name, lead, **(fields or {}).get(name, {}))
            for name, lead in zip(STORED_LEADS, samples, strict=True)
        ]
        return write_muse(tmp_path / "ecg.xml", [muse_waveform(leads, rate=rate, exponent=exponent)], **document)

    return write


def test_stored_leads_are_kept_bit_by_bit_and_derived_ones_exactly(write, samples):
    with open_as(MUSE, write()) as source:
        stored = source.read_stored(0, N_SAMPLES)
        record = source.to_record()
    assert (record.lead_names, record.sampling_rate, stored.samples.dtype) == (ORDER, 500.0, np.int16)
    first, second = samples[:2].astype(int)
    whole = [first, second, second - first, -first - second, 2 * first - second, 2 * second - first, *samples[2:]]
    np.testing.assert_array_equal(stored.samples, whole)
    halves = np.array([1, 1, 1, 2, 2, 2, *[1] * 6])
    np.testing.assert_allclose(stored.gain, halves / 4.88)
    assert (set(stored.units), set(stored.baseline)) == ({"uV"}, {0.0})
    np.testing.assert_allclose(record.signal_mv, np.array(whole) * 4.88e-3 / halves[:, None], atol=1e-6)


def test_derived_leads_that_need_more_than_16_bits_get_them(tmp_path):
    leads = [muse_lead("I", np.array([30000, -30000])), muse_lead("II", np.array([-30000, 30000]))]
    with open_as(MUSE, write_muse(tmp_path / "ecg.xml", [muse_waveform(leads)])) as source:
        stored = source.read_stored(0, 2)
    assert stored.samples.dtype == np.int32
    np.testing.assert_array_equal(stored.samples[4], [90000, -90000])


def test_leads_that_are_stored_are_not_derived(tmp_path):
    twelve = {name: np.full(100, number) for number, name in enumerate(ORDER)}
    path = write_muse(tmp_path / "a.xml", [muse_waveform([muse_lead(name.upper(), x) for name, x in twelve.items()])])
    record = read_as(MUSE, path)
    assert record.lead_names == ORDER
    np.testing.assert_allclose(record.signal_mv[:, 0], np.arange(12) * 4.88e-3, rtol=1e-6)


@pytest.mark.parametrize(("leads", "expected"), [(["II", "V1"], ("II", "V1")), (["V6", "II", "I"], (*ORDER[:6], "V6"))])
def test_leads_are_derived_from_one_and_two_only(tmp_path, leads, expected):
    path = write_muse(tmp_path / "a.xml", [muse_waveform([muse_lead(name, np.arange(100)) for name in leads])])
    assert read_as(MUSE, path).lead_names == expected


def test_nothing_is_derived_from_leads_in_different_steps(write):
    with pytest.warns(UserWarning, match="I and II are in different steps: III, aVR, aVL, aVF are not derived"):
        record = read_as(MUSE, write({"II": {"LeadAmplitudeUnitsPerBit": "2.44"}}))
    assert record.lead_names == STORED_LEADS


def test_every_lead_has_its_own_steps_and_unit(write, samples):
    fields = {"V1": {"LeadAmplitudeUnitsPerBit": "0.00244", "LeadAmplitudeUnits": "MILLIVOLTS"}}
    record = read_as(MUSE, write(fields))
    np.testing.assert_allclose(record.signal_mv[6], samples[2] * 0.00244, atol=1e-6)
    np.testing.assert_allclose(record.signal_mv[7], samples[3] * 0.00488, atol=1e-6)


@pytest.mark.parametrize(("base", "exponent", "rate_hz"), [("500", "0", 500), ("5", "2", 500), ("250", "0", 250)])
def test_the_rate_has_a_base_and_an_exponent(write, base, exponent, rate_hz):
    assert read_as(MUSE, write(rate=base, exponent=exponent)).sampling_rate == rate_hz


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-8", "utf-16", "iso-8859-1"])
def test_the_patient_comes_without_a_name(write, encoding):
    path = write(encoding=encoding, further=diagnosis("Sinus rhythm", "Abnormal ECG", "Confirmed by Doe, John (7)"))
    record = read_as(MUSE, path)
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == ("ecg", "p7", 68.0, 1)
    assert (record.height_cm, record.weight_kg) == (165.1, 68.0)
    assert record.recorded_at == datetime(2020, 5, 12, 12, 33, 59)
    assert record.labels == record.comments == ("Sinus rhythm", "Abnormal ECG")
    assert not {"Müller", "Mary", "Doe"} & set(repr(vars(record)).replace("'", " ").replace(",", " ").split())


def test_an_age_without_a_unit_follows_from_the_date_of_birth(write):
    path = write()
    path.write_bytes(path.read_bytes().replace(b"<AgeUnits>YEARS</AgeUnits>", b""))
    assert read_as(MUSE, path).age_years == 67.0
    path.write_bytes(path.read_bytes().replace(b"05-13-1952", b""))
    assert read_as(MUSE, path).age_years is None


def test_what_the_machine_said_before_a_physician_is_a_comment(write):
    further = diagnosis("Sinus rhythm") + diagnosis("Atrial fibrillation", tag="OriginalDiagnosis")
    record = read_as(MUSE, write(further=further))
    assert (record.labels, record.comments) == (("Sinus rhythm",), ("Sinus rhythm", "Atrial fibrillation"))


def test_beats_are_annotations(write):
    assert read_as(MUSE, write()).annotations is None
    assert read_as(MUSE, write(), annotations=True).annotations is None
    record = read_as(MUSE, write(further=BEATS), annotations=True)
    assert record.annotations == (Annotation(0.5, "0", "QRS"),)


@pytest.mark.parametrize("time", ["", "soon", "123.5"])
def test_a_beat_without_a_whole_sample_is_an_error(write, time):
    path = write(further=BEATS.replace("250", time))
    assert read_as(MUSE, path).n_leads == 12
    with pytest.raises(RecordError, match="ecg.xml: expected times of beats in whole samples, found this: invalid"):
        read_as(MUSE, path, annotations=True)


def test_beats_at_another_rate_are_left_out_with_a_warning(write):
    with pytest.warns(UserWarning, match="beats not read: the unit of their times is unknown where the rate is 250 Hz"):
        assert read_as(MUSE, write(rate="250", further=BEATS), annotations=True).annotations is None


def test_the_rhythm_is_read_and_averaged_beats_are_mentioned_once(tmp_path, samples):
    rhythm = muse_waveform([muse_lead("I", samples[0])])
    median = muse_waveform([muse_lead("I", samples[1, :600])], kind="Median")
    path = write_muse(tmp_path / "ecg.xml", [median, rhythm])
    warn_of_averages.cache_clear()
    with pytest.warns(
        UserWarning, match="GE MUSE: derived waveforms .averaged beats. beside the recording are not read"
    ):
        record = read_as(MUSE, path)
    np.testing.assert_allclose(record.signal_mv[0], samples[0] * 4.88e-3, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_as(MUSE, path)


def test_a_second_rhythm_is_left_out_with_a_warning(tmp_path, samples):
    rhythms = [muse_waveform([muse_lead("I", lead)]) for lead in samples[:2]]
    with pytest.warns(UserWarning, match="ecg.xml: Additional rhythm waveform ignored"):
        record = read_as(MUSE, write_muse(tmp_path / "ecg.xml", rhythms))
    np.testing.assert_allclose(record.signal_mv[0], samples[0] * 4.88e-3, atol=1e-6)


def test_what_makes_samples_doubtful_is_said(write):
    with pytest.warns(UserWarning, match="ecg.xml: left as they are stored: V1 LeadOff=TRUE, V2 LeadTimeOffset=2500"):
        read_as(MUSE, write({"V1": {"LeadOff": "TRUE"}, "V2": {"LeadTimeOffset": "2500"}}))
    with pytest.warns(UserWarning, match="FirstSampleBaseline is non-zero"):
        read_as(MUSE, write({"V1": {"FirstSampleBaseline": "12"}}))


def test_lead_names_and_unit_can_be_told_where_the_file_has_none(write):
    with pytest.warns(UserWarning, match="'Q9' .lead 3."):
        assert "unknown" in read_as(MUSE, write({"V1": {"LeadID": "Q9"}})).lead_names
    record = read_as(MUSE, write({"V1": {"LeadID": "Q9"}}), lead_names=("I", "II", "V7", *STORED_LEADS[3:]))
    assert record.lead_names == (*ORDER[:6], "V7", *ORDER[7:])
    unstated = {name: {"LeadAmplitudeUnits": None} for name in STORED_LEADS}
    with (
        pytest.warns(UserWarning, match="LeadAmplitudeUnits missing"),
        pytest.raises(RecordError, match="expected a unit of the samples, found none in the file"),
    ):
        read_as(MUSE, write(unstated))
    with pytest.warns(UserWarning, match="LeadAmplitudeUnits missing"):
        told = read_as(MUSE, write(unstated), unit="uV")
    np.testing.assert_array_equal(told.signal_mv, read_as(MUSE, write()).signal_mv)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"WaveFormData": "AAAA!"}, "GE MUSE data that ecgdatakit can decode, found this: Invalid Base64 in lead V1"),
        ({"WaveFormData": "AAAAAA=="}, "LeadByteCountTotal 10000 but 4 bytes decoded"),
        ({"WaveFormData": "AAAA", "LeadByteCountTotal": None}, "3 bytes is not a whole number of 2-byte samples"),
        ({"WaveFormData": None}, "Lead V1 .rhythm. has no WaveFormData"),
        ({"LeadSampleCountTotal": "4999"}, "LeadSampleCountTotal 4999 but 5000 samples decoded"),
        ({"LeadAmplitudeUnitsPerBit": None}, "the voltage of one step of lead V1, found 0"),
        ({"LeadAmplitudeUnitsPerBit": "0"}, "the voltage of one step of lead V1, found 0"),
        ({"LeadID": None}, "LeadData without LeadID"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*LeadAmplitudeUnits missing")
def test_a_broken_lead_is_an_error_that_names_it(write, fields, message):
    with pytest.raises(RecordError, match=f"ecg.xml: expected .*{message}"):
        read_as(MUSE, write({"V1": fields}))


def test_a_unit_that_is_no_voltage_is_an_error(write):
    with (
        pytest.warns(UserWarning, match="not a voltage unit"),
        pytest.raises(RecordError, match="expected a unit of voltage: 'V', 'mV', 'uV' or 'nV', found 'FURLONGS'"),
    ):
        read_as(MUSE, write({"V1": {"LeadAmplitudeUnits": "FURLONGS"}}))


def test_leads_of_different_lengths_are_an_error(tmp_path, samples):
    leads = [muse_lead("I", samples[0]), muse_lead("II", samples[1, :-1])]
    with pytest.raises(RecordError, match="expected one number of samples of all leads, found I: 5000, II: 4999"):
        read_as(MUSE, write_muse(tmp_path / "ecg.xml", [muse_waveform(leads)]))


@pytest.mark.parametrize(
    ("rate", "exponent", "hertz"),
    [("2565", "-1", 256.5), ("5", "2", 500.0), (" 1000 ", "", 1000.0), ("500,0", "0", 500.0)],
)
def test_the_rate_need_not_be_a_whole_number(write, rate, exponent, hertz):
    assert read_as(MUSE, write(rate=rate, exponent=exponent)).sampling_rate == hertz


@pytest.mark.parametrize("rate", ["", "0", "fast"])
def test_a_missing_rate_is_an_error(write, rate):
    with pytest.raises(RecordError, match="found this: rhythm waveform has no valid SampleBase"):
        read_as(MUSE, write(rate=rate))


def test_a_rate_that_contradicts_the_caller_is_an_error(write):
    with pytest.raises(RecordError, match="a sampling rate of 250 Hz, as passed, found 500 Hz in the file"):
        read_as(MUSE, write(), sampling_rate=250)


def test_a_file_without_a_rhythm_is_an_error(tmp_path, samples):
    path = write_muse(tmp_path / "ecg.xml", [muse_waveform([muse_lead("I", samples[0])], kind="Median")])
    with pytest.raises(RecordError, match="found this: No rhythm waveform"):
        read_as(MUSE, path)


def test_a_truncated_file_is_an_error(write):
    path = write()
    path.write_bytes(path.read_bytes()[:60000])
    with pytest.raises(RecordError, match="found this: Malformed XML: (unclosed token|no element found)"):
        read_as(MUSE, path)


def test_entities_are_refused(write):
    path = write()
    bomb = b'<!DOCTYPE RestingECG [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>'
    path.write_bytes(path.read_bytes().replace(b'<!DOCTYPE RestingECG SYSTEM "restecg.dtd">', bomb))
    with pytest.raises(RecordError, match="found this: XML entity declarations are not allowed"):
        read_as(MUSE, path)


def test_a_file_beyond_all_reason_is_refused_before_it_is_read(write, monkeypatch):
    monkeypatch.setattr(exported_record, "MAX_BYTES", 1 << 10)
    with pytest.raises(RecordError, match="ecg.xml: expected GE MUSE data of at most"):
        read_as(MUSE, write())


def test_a_missing_library_is_named_with_the_command_that_installs_it(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "ecgdatakit", None)
    with pytest.raises(ImportError, match=r'needs the package ecgdatakit: pip install "anyecg-hf\[records\]"'):
        read_as(MUSE, write())


def test_a_search_finds_muse_files_among_others(write, tmp_path):
    path = write()
    (tmp_path / "other.xml").write_text("<settings/>")
    (tmp_path / "philips.xml").write_text("<restingecgdata/>")
    assert MUSE.select(sorted(tmp_path.iterdir())) == [path]
