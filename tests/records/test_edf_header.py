# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""EDF headers: patients, ages and dates, known, hidden or impossible."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests.records.written_edf import Channel, overwrite, write_edf

from anyecg_hf.records.edf_header import PatientField, age_at, parse_edf_header, parse_patient

RECORDED = datetime(2020, 5, 12, 12, 0)


@pytest.mark.parametrize(
    ("text", "patient"),
    [
        ("MCH-0234567 F 02-MAY-1951 Haagse_Harry", PatientField("MCH-0234567", 1, datetime(1951, 5, 2))),
        ("p7 M X X pacemaker 80_kg", PatientField("p7", 0, None, "pacemaker 80_kg")),
        ("X X X X", PatientField()),
        ("X X 31-FEB-1951 X", PatientField()),
        ("", PatientField()),
        ("p7", PatientField("p7")),
    ],
)
def test_the_patient_field_gives_all_but_the_name(text, patient):
    assert parse_patient(text) == patient


@pytest.mark.parametrize(
    ("born", "years"),
    [
        *[(datetime(1950, 5, 12), 70.0), (datetime(1950, 5, 13), 69.0), (datetime(2020, 1, 1), 0.0)],
        *[(datetime(1930, 5, 13), 89.0), (datetime(1930, 5, 12), 90.0), (datetime(1900, 1, 1), 90.0)],
        (None, None),
    ],
)
def test_ages_are_completed_years_and_90_above_89(born, years):
    assert age_at(Path("a.edf"), born, RECORDED) == years


def test_an_age_needs_both_dates_in_their_order():
    assert age_at(Path("a.edf"), datetime(1950, 5, 12), None) is None
    with pytest.warns(UserWarning, match="a.edf: the patient is born after the recording: the age is left out"):
        assert age_at(Path("a.edf"), datetime(2021, 5, 12), RECORDED) is None


@pytest.mark.parametrize(
    ("recording", "start_date", "recorded_at"),
    [
        ("Startdate 02-MAR-2002 X X X", "02.03.02", datetime(2002, 3, 2, 9, 5, 7)),
        ("Startdate 02-MAR-2102 X X X", "02.03.yy", datetime(2102, 3, 2, 9, 5, 7)),
        ("Startdate X X X X", "01.01.85", None),
        ("Startdate X X X X", "02.03.02", None),
        ("Startdate not recorded", "09.05.19", None),
        ("ward 3", "02.03.02", datetime(2002, 3, 2, 9, 5, 7)),
        ("", "02.03.85", datetime(1985, 3, 2, 9, 5, 7)),
        ("", "02.03.84", datetime(2084, 3, 2, 9, 5, 7)),
        *[("", "01.01.85", None), ("", "31.02.20", None), ("", "xx.xx.xx", None), ("", "", None)],
    ],
)
def test_the_start_is_read_unless_it_is_hidden_or_impossible(tmp_path, recording, start_date, recorded_at):
    path = write_edf(tmp_path / "a.edf", [Channel("I", np.zeros(250))])
    overwrite(path, "recording", recording)
    overwrite(path, "start date", start_date)
    overwrite(path, "start time", "09.05.07")
    assert parse_edf_header(path).recorded_at == recorded_at
