# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HL7 annotated ECGs: samples bit by bit, rates, annotations with times, and files that are broken."""

from datetime import datetime

import numpy as np
import pytest
from tests.records.read_as import open_as, read_as
from tests.records.written_xml import TWELVE_LEADS, aecg_lead, aecg_set, aecg_time, write_aecg

from anyecg_hf.records import Annotation, RecordError
from anyecg_hf.records.aecg_reader import AECG

N_SAMPLES = 1000


def lead_code(name: str) -> str:
    return f"MDC_ECG_LEAD_{name.upper()}"


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).integers(-800, 800, (12, N_SAMPLES))


@pytest.fixture
def write(tmp_path, samples):
    """Writes twelve leads in steps of 2.5 uV."""

    def write(time=None, lead=None, **document):
        leads = [aecg_lead(lead_code(name), digits) for name, digits in zip(TWELVE_LEADS, samples, strict=True)]
        leads[2:3] = [leads[2] if lead is None else lead]
        return write_aecg(tmp_path / "ecg.xml", [aecg_set(aecg_time() if time is None else time, *leads)], **document)

    return write


def roi(*boundaries: str) -> str:
    return f"<support><supportingROI>{''.join(boundaries)}</supportingROI></support>"


def span(low: str, high: str | None = None, *, code: str = "TIME_ABSOLUTE", unit: str = "") -> str:
    unit = f' unit="{unit}"' if unit else ""
    ends = f'<low value="{low}"{unit}/>' + (f'<high value="{high}"{unit}/>' if high else "")
    return f'<component><boundary><code code="{code}"/><value>{ends}</value></boundary></component>'


def on_lead(name: str) -> str:
    return f'<component><boundary><code code="{lead_code(name)}"/></boundary></component>'


def annotation(code: str, value: str, region: str, inner: str = "") -> str:
    return f'<component><annotation><code code="{code}"/>{value}{region}{inner}</annotation></component>'


def annotation_set(*annotations: str) -> str:
    return f"<subjectOf><annotationSet>{''.join(annotations)}</annotationSet></subjectOf>"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_samples_are_kept_bit_by_bit(write, samples, encoding):
    with open_as(AECG, write(encoding=encoding)) as source:
        stored = source.read_stored(0, N_SAMPLES)
        record = source.to_record()
    assert (stored.samples.dtype, record.lead_names, record.sampling_rate) == (np.int16, TWELVE_LEADS, 500.0)
    np.testing.assert_array_equal(stored.samples, samples)
    np.testing.assert_allclose(record.signal_mv, samples * 0.0025, atol=1e-6)


def test_digits_beyond_16_bits_and_fractions_are_kept(write):
    for digits, dtype in (([70000] * N_SAMPLES, np.int32), ([0.25] * N_SAMPLES, np.float64)):
        with open_as(AECG, write(lead=aecg_lead(lead_code("III"), digits))) as source:
            stored = source.read_stored(0, 10)
        assert (stored.samples.dtype, stored.samples[2, 0]) == (dtype, digits[0])


def test_origin_scale_and_unit_are_each_lead_s_own(write, samples):
    lead = aecg_lead(lead_code("III"), samples[2], scale="0.001", unit="mV", origin="0.5")
    np.testing.assert_allclose(read_as(AECG, write(lead=lead)).signal_mv[2], samples[2] * 0.001 + 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("increment", "unit", "rate_hz"),
    [("0.002", "s", 500.0), ("1", "ms", 1000.0), ("4000", "us", 250.0), ("0.0035", "s", 1 / 0.0035)],
)
@pytest.mark.filterwarnings("ignore:.*is not an integer")
def test_the_increment_of_time_is_the_rate(write, increment, unit, rate_hz):
    assert read_as(AECG, write(time=aecg_time(increment, unit))).sampling_rate == pytest.approx(rate_hz, rel=1e-12)


def test_the_patient_comes_without_a_name(write):
    statements = annotation_set(
        annotation("MDC_ECG_INTERPRETATION_STATEMENT", "<value>Sinus rhythm</value>", ""),
        annotation("MDC_ECG_INTERPRETATION_STATEMENT", "<value>Confirmed by Doe, John</value>", ""),
        annotation("MDC_ECG_INTERPRETATION_COMMENT", "<value>Poor contact</value>", ""),
    )
    record = read_as(AECG, write(annotations=statements), annotations=True)
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == ("ecg", "p7", 67.0, 1)
    assert record.recorded_at == datetime(2020, 5, 12, 12, 33, 59, 500000)
    assert (record.labels, record.comments) == (("Sinus rhythm",), ("Sinus rhythm", "Poor contact"))
    assert record.annotations == ()


def test_the_stated_age_comes_before_that_from_the_date_of_birth(write):
    age = '<code code="21612-7"/><value value="46" unit="a"/>'
    further = f"<controlVariable><relatedObservation>{age}</relatedObservation></controlVariable>"
    assert read_as(AECG, write(further=further)).age_years == 46.0


def test_annotations_have_times_durations_and_leads(write):
    wave = annotation(
        "MDC_ECG_WAVC",
        '<value code="MDC_ECG_WAVC_PWAVE" displayName="P wave"/>',
        roi(span("0.125", "0.375", code="TIME_RELATIVE", unit="s"), on_lead("aVR")),
    )
    beat = annotation(
        "MDC_ECG_BEAT", '<value code="MDC_ECG_BEAT_NORMAL"/>', roi(span("20200512123400.750")), inner=wave
    )
    rhythm = annotation(
        "MDC_ECG_RHY", "<value>AF</value>", roi(span("20200512123400", "20200512123401.25"), on_lead("Q"))
    )
    rate = annotation("MDC_ECG_HEART_RATE", '<value value="60" unit="bpm"/>', "")
    record = read_as(AECG, write(annotations=annotation_set(beat, rhythm, rate)), annotations=True)
    assert record.annotations == (
        Annotation(0.125, "MDC_ECG_WAVC_PWAVE", "P wave", 0.25, "aVR"),
        Annotation(0.5, "MDC_ECG_RHY", "AF", 1.25),
        Annotation(1.25, "MDC_ECG_BEAT_NORMAL"),
    )


def test_times_may_name_their_zone(write):
    beat = annotation("MDC_ECG_BEAT", "", roi(span("20200512113400.500+0000")))
    time = aecg_time(head="20200512123359.500+0100")
    record = read_as(AECG, write(time=time, annotations=annotation_set(beat)), annotations=True)
    assert record.annotations == (Annotation(1.0, "MDC_ECG_BEAT"),)
    assert record.recorded_at == datetime(2020, 5, 12, 12, 33, 59, 500000)


def test_no_annotation_set_means_no_annotations(write):
    assert read_as(AECG, write(), annotations=True).annotations is None


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (span("yesterday"), "times of annotations, found this: 'yesterday' is no date with a time"),
        (span("1", code="TIME_RELATIVE", unit="d"), "a number of s, ms, us, found '1' 'd'"),
        (span("nan", code="TIME_RELATIVE", unit="s"), "a number of s, ms, us, found 'nan' 's'"),
    ],
)
def test_a_time_that_cannot_be_told_is_an_error(write, region, message):
    path = write(annotations=annotation_set(annotation("MDC_ECG_BEAT", "", roi(region))))
    assert read_as(AECG, path).n_leads == 12
    with pytest.raises(RecordError, match=f"ecg.xml: expected {message}"):
        read_as(AECG, path, annotations=True)


def test_a_second_set_of_sequences_is_left_out_with_a_warning(tmp_path, samples):
    sets = [aecg_set(aecg_time(), aecg_lead(lead_code(name), samples[0])) for name in ("I", "II")]
    with pytest.warns(UserWarning, match="ecg.xml: 2 sequence sets in the rhythm series; only the first is read"):
        assert read_as(AECG, write_aecg(tmp_path / "ecg.xml", sets)).lead_names == ("I",)


def test_a_lead_outside_the_vocabulary_is_unknown(write, samples):
    with pytest.warns(UserWarning, match="'-aVR' .lead 3."):
        record = read_as(AECG, write(lead=aecg_lead("MDC_ECG_LEAD_AVRNEG", samples[2])))
    assert record.lead_names[2] == "unknown"


@pytest.mark.parametrize(
    ("lead", "message"),
    [
        (aecg_lead(lead_code("III"), []), "Lead MDC_ECG_LEAD_III has no digits"),
        (aecg_lead(lead_code("III"), ["x"] * N_SAMPLES), "Invalid digits in lead MDC_ECG_LEAD_III"),
        (aecg_lead(lead_code("III"), ["inf"] * N_SAMPLES), "finite samples, found infinite ones"),
        (aecg_lead(lead_code("III"), [1]), "one number of samples of all leads, found I: 1000, II: 1000, III: 1,"),
        (aecg_lead(lead_code("III"), [1] * N_SAMPLES, unit="mmHg"), "a unit of voltage: .*, found 'mmHg'"),
        (aecg_lead(lead_code("III"), [1] * N_SAMPLES, unit=""), "a unit of the samples, found none in the file"),
        (aecg_lead(lead_code("III"), [1] * N_SAMPLES, origin="?"), r"origins of leads as voltages, found '\?' 'uV'"),
        (
            aecg_lead(lead_code("III"), [1] * N_SAMPLES, origin="5").replace('"5" unit="uV"', '"5" unit="kg"'),
            "origins of leads as voltages, found '5' 'kg'",
        ),
        (aecg_lead(lead_code("III"), [1] * N_SAMPLES, scale="0"), "the voltage of one step of lead III, found 0"),
        (aecg_lead(lead_code("III"), [1] * N_SAMPLES, scale=""), "the voltage of one step of lead III, found 0"),
    ],
)
def test_a_broken_lead_is_an_error(write, lead, message):
    with pytest.raises(RecordError, match=f"ecg.xml: expected .*{message}"):
        read_as(AECG, write(lead=lead))


@pytest.mark.parametrize(
    ("time", "message"),
    [("", "No usable time increment"), (aecg_time("0"), "No usable time increment"), (aecg_time(unit="d"), "unit 'd'")],
)
def test_a_missing_rate_is_an_error(write, time, message):
    with pytest.raises(RecordError, match=f"found this: .*{message}"):
        read_as(AECG, write(time=time))


def test_entities_are_refused(write):
    path = write()
    bomb = '<!DOCTYPE r [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><AnnotatedECG'
    path.write_text(path.read_text().replace("<AnnotatedECG", bomb))
    with pytest.raises(RecordError, match="found this: XML entity declarations are not allowed"):
        read_as(AECG, path)
