# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Philips exports, plain and compressed: samples bit by bit, patients without names, and files that are broken."""

import base64
from datetime import datetime

import numpy as np
import pytest
from tests.records.read_as import open_as, read_as
from tests.records.written_xml import TWELVE_LEADS, write_philips

from anyecg_hf.records import RecordError
from anyecg_hf.records.philips_reader import PHILIPS

N_SAMPLES = 2500
STATEMENTS = """
  <interpretations><interpretation><severity code="AB">- ABNORMAL ECG -</severity>
    <mdsignatureline>Confirmed by: Smith, Ann</mdsignatureline>
    <statement><statementcode>SR</statementcode><leftstatement>SINUS RHYTHM</leftstatement>
      <rightstatement>V-rate 50-99</rightstatement></statement>
  </interpretation></interpretations>"""


@pytest.fixture
def leads() -> dict[str, np.ndarray]:
    """Twelve leads that wander, each on its own: no derived lead follows exactly from I and II."""
    generator = np.random.default_rng(0)
    return {name: np.cumsum(generator.integers(-12, 13, N_SAMPLES)) for name in TWELVE_LEADS}


@pytest.mark.parametrize("xli", [True, False], ids=["XLI", "plain"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_samples_are_kept_bit_by_bit(tmp_path, leads, xli, encoding):
    path = write_philips(tmp_path / "ecg.xml", leads, xli=xli, encoding=encoding)
    with open_as(PHILIPS, path) as source:
        stored = source.read_stored(0, N_SAMPLES)
        record = source.to_record()
    assert (stored.samples.dtype, record.lead_names, record.sampling_rate) == (np.int16, TWELVE_LEADS, 500.0)
    np.testing.assert_array_equal(stored.samples, list(leads.values()))
    np.testing.assert_allclose(record.signal_mv, np.array(list(leads.values())) * 0.005, atol=1e-6)


def test_large_and_repetitive_samples_survive_compression(tmp_path, leads):
    leads |= {"V1": np.tile([8000, 8000, -8000, -8000], N_SAMPLES // 4), "V2": np.zeros(N_SAMPLES, dtype=int)}
    leads |= {"V3": np.tile([0, 5, 10, 5], N_SAMPLES // 4)}
    with open_as(PHILIPS, write_philips(tmp_path / "ecg.xml", leads)) as source:
        np.testing.assert_array_equal(source.read_stored(0, N_SAMPLES).samples, list(leads.values()))


def test_resolution_and_zero_are_the_file_s_own(tmp_path, leads):
    attributes = {"resolution": "2.5", "signaloffset": "100"}
    path = write_philips(tmp_path / "ecg.xml", leads, xli=False, attributes=attributes)
    expected = (np.array(list(leads.values())) - 100) * 0.0025
    np.testing.assert_allclose(read_as(PHILIPS, path).signal_mv, expected, atol=1e-6)


def test_the_patient_comes_without_a_name(tmp_path, leads):
    record = read_as(PHILIPS, write_philips(tmp_path / "ecg.xml", leads, further=STATEMENTS))
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == ("ecg", "p7", 67.0, 1)
    assert (record.height_cm, record.weight_kg) == (165.0, 68.0)
    assert record.recorded_at == datetime(2020, 5, 12, 12, 33, 59)
    assert record.labels == record.comments == ("SINUS RHYTHM V-rate 50-99", "ABNORMAL")


def test_ages_above_89_are_90(tmp_path, leads):
    path = write_philips(tmp_path / "ecg.xml", leads, encoding="utf-8")
    path.write_text(path.read_text().replace("<dateofbirth>1952-05-13</dateofbirth>", "<years>97</years>"))
    assert read_as(PHILIPS, path).age_years == 90.0


def test_a_birth_after_the_recording_tells_no_age(tmp_path, leads):
    path = write_philips(tmp_path / "ecg.xml", leads, encoding="utf-8")
    path.write_text(path.read_text().replace("1952-05-13", "2022-05-13"))
    with pytest.warns(UserWarning, match="born after the recording: the age is left out"):
        assert read_as(PHILIPS, path).age_years is None


def test_compressed_leads_in_another_order_are_an_error(tmp_path, leads):
    names = [*TWELVE_LEADS[6:], *TWELVE_LEADS[:6]]
    path = write_philips(tmp_path / "ecg.xml", leads, attributes={"leadlabels": " ".join(names)})
    with pytest.raises(RecordError, match="the leads I, II, III, aVR, aVL, aVF first in a .* by XLI, found V1, V2"):
        read_as(PHILIPS, path)


@pytest.mark.parametrize("encoding", ["Base64", "Plain"])
@pytest.mark.parametrize("attributes", [{"durationperchannel": "2500"}, {"numberofleads": "8"}])
def test_more_samples_than_the_header_says_are_an_error(tmp_path, leads, attributes, encoding):
    path = write_philips(tmp_path / "ecg.xml", leads, xli=False, attributes=attributes, encoding="utf-8")
    if encoding == "Plain":
        before, bracket, content = path.read_text().partition('bitspersample="16">')
        text, end, after = content.partition("</parsedwaveforms>")
        plain = " ".join(map(str, np.frombuffer(base64.b64decode(text), dtype="<i2")))
        path.write_text(before.replace('"Base64"', '"Plain"') + bracket + plain + end + after)
    stated = 8 * 2500 if "numberofleads" in attributes else 12 * 1250
    with pytest.raises(RecordError, match=f"{stated} samples of .* leads, as its header says, found 30000"):
        read_as(PHILIPS, path)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"durationperchannel": "6000"}, "Lead I: 2500 samples, 3000 expected"),
        ({"durationperchannel": None}, "Missing or invalid parsedwaveforms@durationperchannel"),
        ({"compression": "ZIP"}, "Compression unsupported: ZIP"),
        ({"dataencoding": "Hex"}, "XLI data with encoding 'Hex' is unsupported"),
        ({"numberofleads": "13", "leadlabels": " ".join([*TWELVE_LEADS, "V7"])}, "holds 12 leads, 13 expected"),
    ],
)
def test_a_broken_recording_is_an_error(tmp_path, leads, attributes, message):
    path = write_philips(tmp_path / "ecg.xml", leads, attributes=attributes)
    with pytest.raises(
        RecordError, match=f"ecg.xml: expected Philips data that ecgdatakit can decode, found.*{message}"
    ):
        read_as(PHILIPS, path)


def test_a_missing_resolution_is_an_error(tmp_path, leads):
    path = write_philips(tmp_path / "ecg.xml", leads, attributes={"resolution": None}, encoding="utf-8")
    path.write_text(path.read_text().replace("<resolution>5</resolution>", ""))
    with (
        pytest.warns(UserWarning, match="no signal resolution"),
        pytest.raises(RecordError, match="expected the voltage of one step of lead I, found 0"),
    ):
        read_as(PHILIPS, path)


@pytest.mark.parametrize("keep", [100, 3001])
def test_truncated_data_are_an_error(tmp_path, leads, keep):
    path = write_philips(tmp_path / "ecg.xml", leads, encoding="utf-8")
    before, start, rest = path.read_text().partition("<parsedwaveforms")
    attributes, bracket, content = rest.partition(">")
    text, end, after = content.partition("</parsedwaveforms>")
    cut = base64.b64encode(base64.b64decode(text)[:keep]).decode()
    path.write_text(before + start + attributes + bracket + cut + end + after)
    with pytest.raises(RecordError, match="found this: XLI chunk [12]: invalid size .* bytes left"):
        read_as(PHILIPS, path)


def test_another_version_of_the_schema_is_an_error(tmp_path, leads):
    path = write_philips(tmp_path / "ecg.xml", leads, encoding="utf-8")
    path.write_text(path.read_text().replace("1.04<", "9.9<"))
    with pytest.raises(RecordError, match="found this: Files of type PhilipsECG 9.9 are unsupported"):
        read_as(PHILIPS, path)


def test_entities_are_refused(tmp_path, leads):
    path = write_philips(tmp_path / "ecg.xml", leads, encoding="utf-8")
    bomb = '<!DOCTYPE r [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><restingecgdata'
    path.write_text(path.read_text().replace("<restingecgdata", bomb))
    with pytest.raises(RecordError, match="found this: XML entity declarations are not allowed"):
        read_as(PHILIPS, path)
