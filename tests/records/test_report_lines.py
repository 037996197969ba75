# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Reports: their lines, without those that name a person."""

import pytest

from anyecg_hf.records.report_lines import report_lines


def test_lines_are_kept_once_in_order_and_without_blanks():
    texts = ["Normal  sinus rhythm ", "", "Normal ECG\nNormal sinus rhythm", "Borderline ECG"]
    assert report_lines(texts) == ("Normal sinus rhythm", "Normal ECG", "Borderline ECG")


@pytest.mark.parametrize(
    "line",
    [
        "Confirmed by Doe, John (123456) on 05/10/2021 1:15:09 PM",
        "Referred by:           Overread By: DOE",
        "Technician: KAB",
        "REFERRED BY: J. DOE",
        "Electronically signed by Dr. Doe",
        "Unconfirmed, reviewed by JD",
        "Interpretation confirmed (electronically) by Doe",
    ],
)
def test_lines_that_name_someone_are_left_out(line):
    assert report_lines(["Sinus rhythm", line]) == ("Sinus rhythm",)


@pytest.mark.parametrize(
    "line",
    [
        *("Atrial flutter, rate 80", "ST elevation: consider injury", "Unconfirmed report"),
        *("PR cannot be read, P waves hidden by T waves", "ST elevation confirmed; followed by T inversion"),
    ],
)
def test_findings_stay(line):
    assert report_lines([line]) == (line,)
