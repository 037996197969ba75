# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""EDF headers: patients and dates, known, hidden or impossible."""

from datetime import datetime

import numpy as np
import pytest
from tests.records.written_edf import Channel, overwrite, write_edf

from anyecg_hf.records.edf_header import PatientField, parse_edf_header, parse_patient


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
