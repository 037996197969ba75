# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Patients and dates in DICOM ECGs: what is stated, what follows from it, and what is impossible."""

from datetime import datetime

import numpy as np
import pytest
from tests.records.read_as import read_as
from tests.records.written_dicom import TWELVE_CHANNELS, group, write_dicom

from anyecg_hf.records import ECGRecord
from anyecg_hf.records.dicom_reader import DICOM


@pytest.fixture
def read(tmp_path):
    """Reads an ECG with these values in its data set."""

    def read(**fields) -> ECGRecord:
        item = group(np.ones((12, 100), dtype=np.int16), TWELVE_CHANNELS)
        return read_as(DICOM, write_dicom(tmp_path / "ecg.dcm", [item], **fields), annotations=True)

    return read


def test_the_patient_comes_without_a_name(read):
    record = read()
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == ("ecg", "p7", 67.0, 1)
    assert (record.height_cm, record.weight_kg) == (165.0, 68.0)
    assert record.recorded_at == datetime(2020, 5, 12, 12, 33, 59, 500000)
    assert (record.labels, record.comments, record.annotations) == ((), (), None)
    assert not [value for value in vars(record).values() if "Müller" in str(value) or "Doe" in str(value)]


@pytest.mark.parametrize(
    ("fields", "age_years"),
    [
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientAge": "095Y"}, 90.0),
        ({"PatientAge": None}, 67.0),
        ({"PatientAge": None, "PatientBirthDate": "19000101"}, 90.0),
        ({"PatientAge": None, "PatientBirthDate": None}, None),
    ],
)
def test_ages_are_stated_or_follow_from_the_date_of_birth(read, fields, age_years):
    assert read(**fields).age_years == age_years


@pytest.mark.parametrize(
    ("fields", "recorded_at"),
    [
        ({"AcquisitionDateTime": "20200512123359+0100"}, datetime(2020, 5, 12, 12, 33, 59)),
        (
            {"AcquisitionDateTime": None, "ContentDate": "20200512", "ContentTime": "1234"},
            datetime(2020, 5, 12, 12, 34),
        ),
        ({"AcquisitionDateTime": None}, None),
    ],
)
def test_the_start_is_that_of_the_acquisition(read, fields, recorded_at):
    assert read(**fields).recorded_at == recorded_at


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"AcquisitionDateTime": "20200512"}, "AcquisitionDateTime left out: '20200512' is no date with a time"),
        ({"PatientSize": 165}, "a patient's size in metres is expected, found 165: it is left out"),
    ],
)
def test_impossible_values_are_left_out_with_a_warning(read, fields, message):
    with pytest.warns(UserWarning, match=message):
        record = read(**fields)
    assert None in (record.recorded_at, record.height_cm)
