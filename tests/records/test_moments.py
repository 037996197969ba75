# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Dates with times in DICOM's and HL7's form, seconds between them, and ages."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from anyecg_hf.records.moments import age_at, parse_moment, seconds_between

RECORDED = datetime(2020, 5, 12, 12, 0)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("20200512123359.125", datetime(2020, 5, 12, 12, 33, 59, 125000)),
        ("20200512123359.5", datetime(2020, 5, 12, 12, 33, 59, 500000)),
        ("20200512123359", datetime(2020, 5, 12, 12, 33, 59)),
        ("202005121233", datetime(2020, 5, 12, 12, 33)),
        ("2020051212", datetime(2020, 5, 12, 12)),
        ("20200512123359+0130", datetime(2020, 5, 12, 12, 33, 59, tzinfo=timezone(timedelta(hours=1, minutes=30)))),
    ],
)
def test_the_end_of_a_moment_may_be_missing(text, moment):
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "20200512", "2020-05-12 12:33", "20201312123359", "20200512250000", "now"])
def test_other_texts_are_no_moments(text):
    with pytest.raises(ValueError):
        parse_moment(text)


@pytest.mark.parametrize(
    ("start", "moment", "seconds"),
    [
        ("20200512123359.5", "20200512123400", 0.5),
        ("20200512123359.5+0200", "20200512103400+0000", 0.5),
        ("20200512123359.5", "20200512123400+0200", 0.5),
        ("20200512123359.5+0200", "20200512123358.5", -1.0),
    ],
)
def test_time_zones_count_where_both_are_stated(start, moment, seconds):
    assert seconds_between(parse_moment(start), parse_moment(moment)) == seconds


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
