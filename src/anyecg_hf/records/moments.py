# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Moments: dates with times as DICOM and HL7 write them, the seconds between two of them, and ages."""

from datetime import datetime
from pathlib import Path

from .formats import warn
from .header_comments import hide_age


def parse_moment(text: str) -> datetime:
    """
    Args:
        text (`str`): `YYYYMMDDHHMMSS.ffffff+ZZZZ`; everything after the hour may be missing, and seconds with all that
            follows them.

    Returns:
        `datetime`: with a time zone only if one is stated.

    Raises:
        `ValueError`: if there is no date with a time.
    """
    if not text[:10].isdigit() or len(text) < 10:
        raise ValueError(f"{text!r} is no date with a time as YYYYMMDDHHMMSS.")
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}")


def seconds_between(start: datetime, moment: datetime) -> float:
    """Seconds from one moment to another; where one states no time zone, it is taken to be in that of the other."""
    if start.tzinfo is None or moment.tzinfo is None:
        start, moment = start.replace(tzinfo=None), moment.replace(tzinfo=None)
    return (moment - start).total_seconds()


def age_at(path: Path, born: datetime | None, recorded_at: datetime | None) -> float | None:
    """Completed years between two dates, 90 for every age above 89; `None` where a date is missing or impossible."""
    if born is None or recorded_at is None:
        return None
    birthday_to_come = (recorded_at.month, recorded_at.day) < (born.month, born.day)
    years = recorded_at.year - born.year - birthday_to_come
    if years < 0:
        warn(path, "the patient is born after the recording: the age is left out.")
        return None
    return hide_age(years)


__all__ = ["age_at", "parse_moment", "seconds_between"]
