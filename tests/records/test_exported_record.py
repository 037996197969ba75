# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What ecgdatakit decodes, on its way to a record: warnings, samples in narrow types, calibration."""

import warnings

import ecgdatakit
import numpy as np
import pytest
from tests.records.written_xml import muse_lead, muse_waveform, write_muse

from anyecg_hf.records import RecordError
from anyecg_hf.records.exported_record import decode, exported_facts, exported_leads
from anyecg_hf.records.formats import ReadOptions


def lead(samples, **fields) -> ecgdatakit.Lead:
    stated = {"label": "I", "sampling_rate": 500, "resolution": 5.0, "resolution_unit": "uV", "adc_resolution": 5.0}
    return ecgdatakit.Lead(samples=np.asarray(samples, dtype=np.float64), **{**stated, **fields})


def leads_of(tmp_path, *leads):
    decoded = ecgdatakit.ECGRecord()
    decoded.leads = list(leads)
    return exported_leads(tmp_path / "ecg.xml", decoded, ReadOptions())


def test_a_file_of_another_format_is_an_error(tmp_path):
    path = write_muse(tmp_path / "ecg.xml", [muse_waveform([muse_lead("I", np.arange(9))])])
    with pytest.raises(RecordError, match="expected HL7 aECG data, found what ecgdatakit takes for 'ge_muse_xml'"):
        decode(path, "hl7_aecg", "HL7 aECG")


def test_a_package_that_ecgdatakit_needs_is_installed_by_the_same_command(tmp_path, monkeypatch):
    def parse(path, **options):
        raise ImportError("No module named 'xmltodict'")

    path = write_muse(tmp_path / "ecg.xml", [muse_waveform([muse_lead("I", np.arange(9))])])
    monkeypatch.setattr(ecgdatakit.FileParser, "parse", parse)
    with pytest.raises(ImportError, match=r'pip install "anyecg-hf\[records\]"'):
        decode(path, "ge_muse_xml", "GE MUSE")


def test_raw_samples_are_no_reason_to_warn(tmp_path):
    path = write_muse(tmp_path / "ecg.xml", [muse_waveform([muse_lead("I", np.arange(9))])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(path, "ge_muse_xml", "GE MUSE")


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [([-32768, 32767], "int16"), ([-32769, 0], "int32"), ([0, 1 << 31], "float64"), ([0.5, np.nan], "float64")],
)
def test_samples_get_the_narrowest_type_that_holds_them(tmp_path, samples, dtype):
    stored = leads_of(tmp_path, lead(samples)).samples
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored[0], samples)


def test_scale_and_offset_become_gain_and_baseline(tmp_path):
    leads = leads_of(
        tmp_path, lead([1], offset=20.0), lead([1], label="II", resolution=0.002, resolution_unit="mV", offset=-0.5)
    )
    np.testing.assert_allclose(leads.gain, [0.2, 500])
    np.testing.assert_allclose(leads.baseline, [-4, 250])
    assert (leads.units, leads.lead_names) == (("uV", "mV"), ("I", "II"))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"sampling_rate": 250}, "one sampling rate of all leads, found I: 500 Hz, II: 250 Hz"),
        ({"samples": [1, 2]}, "one number of samples of all leads, found I: 1, II: 2"),
        ({"resolution": float("nan")}, "the voltage of one step of lead II"),
        ({"resolution": 1e-320}, "the voltage of one step of lead II"),
    ],
)
def test_leads_that_do_not_fit_together_are_an_error(tmp_path, second, message):
    with pytest.raises(RecordError, match=f"ecg.xml: expected {message}"):
        leads_of(tmp_path, lead([1]), lead(**{"samples": [1], "label": "II", **second}))


def test_impossible_patients_are_an_error(tmp_path):
    decoded = ecgdatakit.ECGRecord()
    decoded.patient.weight = float("inf")
    with pytest.raises(
        RecordError, match="the fields of an ECGRecord, found this: `weight_kg` must be a finite number"
    ):
        exported_facts(tmp_path / "ecg.xml", decoded)
