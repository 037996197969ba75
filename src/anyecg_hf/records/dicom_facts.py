# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a DICOM file says about patient and recording, names of persons aside."""

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .dicom_annotations import parse_statements
from .dicom_values import read_number, read_text
from .formats import warn
from .header_comments import hide_age, parse_sex
from .moments import age_at, parse_moment
from .report_lines import report_lines
from .source import RecordFacts

if TYPE_CHECKING:
    from pydicom import Dataset

_AGE = re.compile(r"(\d{1,3})([DWMY])")
_PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
# The start of the recording, best first; dates of a study or series are those of other things.
_STARTS = (("AcquisitionDateTime",), ("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"))
_TALLEST_CM = 300.0


def parse_facts(path: Path, dataset: "Dataset", start: datetime | None) -> RecordFacts:
    """
    Args:
        path (`Path`): The file.
        dataset (`Dataset`): Its data set.
        start (`datetime`, *optional*): What `recording_start` returns.

    Returns:
        [`RecordFacts`]: codes of the report are `labels`, its texts `comments`. What was left at zero or in no legal
        form is unknown; the latter is said in a warning.
    """
    statements = parse_statements(dataset.get("WaveformAnnotationSequence") or ())
    return RecordFacts(
        record_id=path.stem,
        patient_id=read_text(dataset, "PatientID") or None,
        age_years=_age_years(path, dataset, start),
        sex=parse_sex(read_text(dataset, "PatientSex")),
        weight_kg=read_number(path, dataset, "PatientWeight") or None,
        height_cm=_height_cm(path, dataset),
        recorded_at=None if start is None else start.replace(tzinfo=None),
        labels=statements.codes,
        comments=report_lines(statements.texts),
        source=str(path),
    )


def recording_start(path: Path, dataset: "Dataset") -> datetime | None:
    """Start of the recording, with a time zone if one is stated; `None`, with a warning, for what is no date."""
    for keywords in _STARTS:
        parts = [read_text(dataset, keyword) for keyword in keywords]
        if not all(parts):
            continue
        try:
            return parse_moment("".join(parts))
        except ValueError:
            warn(path, f"{' and '.join(keywords)} left out: {' '.join(parts)!r} is no date with a time.")
    return None


def _height_cm(path: Path, dataset: "Dataset") -> float | None:
    height_cm = 100 * (read_number(path, dataset, "PatientSize") or 0)
    if height_cm > _TALLEST_CM:
        warn(path, f"a patient's size in metres is expected, found {height_cm / 100:g}: it is left out.")
        return None
    return height_cm or None


def _age_years(path: Path, dataset: "Dataset", start: datetime | None) -> float | None:
    stated = read_text(dataset, "PatientAge")
    if stated:
        match = _AGE.fullmatch(stated)
        if match is None:
            warn(path, f"the age {stated!r} is left out: a number of D, W, M or Y is expected.")
            return None
        return hide_age(int(match[1]) / _PER_YEAR[match[2]])
    born = read_text(dataset, "PatientBirthDate")
    try:
        return age_at(path, datetime.strptime(born, "%Y%m%d") if born else None, start)
    except ValueError:
        warn(path, f"the date of birth is left out: {born!r} is no date.")
        return None


__all__ = ["parse_facts", "recording_start"]
