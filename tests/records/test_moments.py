# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Dates with times in DICOM's and HL7's form."""

from datetime import datetime, timedelta, timezone

import pytest

from anyecg_hf.records.moments import parse_moment


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
