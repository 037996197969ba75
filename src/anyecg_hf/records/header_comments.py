# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the comment lines of a WFDB header say about patient and diagnosis, in every spelling that the corpora use."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Ages above 89 are hidden for privacy (as 300, as ">89"); 90 stands for all of them.
MAX_STATED_AGE = 89
HIDDEN_AGE_YEARS = 90.0
_HIDDEN_AS = 300.0
# What is above is no age, but a number that stands for "unknown".
_OLDEST_YEARS = 125.0

_SEX = {
    **dict.fromkeys(("m", "male", "man", "0", "0.0"), 0),
    **dict.fromkeys(("f", "female", "woman", "1", "1.0"), 1),
}
_NO_LABEL = {"", "unknown", "nan", "none", "n/a"}

# "#<age>: 65 <sex>: F <diagnoses>: ..." may hold several entries in one line.
_BRACKETED = re.compile(r"<([^<>]+)>\s*:?\s*([^<]*)")
# "# 69 M 1085 1629 x1": age and sex of the MIT-BIH databases, where -1 is an age that is not known.
_AGE_AND_SEX = re.compile(r"(-?\d{1,3})\s+([MF])(?:\s|$)")
_AGE = re.compile(r"(>)?\s*(\d+(?:\.\d+)?)\s*(?:y|yrs?|years?)?\.?", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\.?", re.IGNORECASE)


@dataclass(frozen=True)
class HeaderFacts:
    """Patient and diagnosis as far as the comments tell; the fields are those of [`ECGRecord`]."""

    patient_id: str | None = None
    age_years: float | None = None
    sex: int | None = None
    weight_kg: float | None = None
    height_cm: float | None = None
    labels: tuple[str, ...] = ()


def parse_comments(comments: Iterable[str]) -> HeaderFacts:
    """
    Reads the comment lines of a header.

    Args:
        comments (`Iterable[str]`): The lines without their `#`.

    Returns:
        [`HeaderFacts`]: what is not stated, or not understood, stays `None`.
    """
    entries: dict[str, str] = {}
    for comment in comments:
        for key, value in _entries(comment):
            entries.setdefault(key, value)
    return HeaderFacts(
        patient_id=entries.get("patient id") or entries.get("patient") or None,
        age_years=parse_age(entries.get("age", "")),
        sex=parse_sex(entries.get("sex", entries.get("gender", ""))),
        weight_kg=_parse_number(entries.get("weight", ""), {"": 1.0, "kg": 1.0}),
        height_cm=_parse_number(entries.get("height", ""), {"": 1.0, "cm": 1.0, "m": 100.0}),
        labels=_parse_labels(entries.get("dx") or entries.get("labels", "")),
    )


def _entries(comment: str) -> list[tuple[str, str]]:
    """`(key, value)` pairs of one comment line, keys in lower case with blanks."""
    pairs = _BRACKETED.findall(comment)
    age_and_sex = _AGE_AND_SEX.match(comment.strip())
    if age_and_sex:
        pairs = [("age", age_and_sex[1]), ("sex", age_and_sex[2])]
    elif not pairs and ":" in comment:
        pairs = [comment.split(":", 1)]
    return [(key.strip().lower().replace("_", " "), value.strip()) for key, value in pairs]


def parse_age(text: str) -> float | None:
    """
    Reads an age.

    Args:
        text (`str`): `"57"`, `"57 years"`, `">89"`, `"NaN"` ...

    Returns:
        `float` or `None`: years, 90 for every age above 89, `None` if there is no age in years.
    """
    match = _AGE.fullmatch(text.strip())
    if not match:
        return None
    years = float(match[2])
    if match[1] and years < MAX_STATED_AGE:
        return None
    if years > _OLDEST_YEARS and years != _HIDDEN_AS:
        return None
    return HIDDEN_AGE_YEARS if match[1] else hide_age(years)


def hide_age(years: float) -> float:
    """An age in years, 90 for every one above 89."""
    return HIDDEN_AGE_YEARS if years > MAX_STATED_AGE else float(years)


def parse_sex(text: str) -> int | None:
    """
    Reads a sex.

    Args:
        text (`str`): `"M"`, `"female"`, `"0"` ...

    Returns:
        `int` or `None`: 0 male, 1 female, `None` if it is neither.
    """
    return _SEX.get(text.strip().lower())


def _parse_number(text: str, factors: dict[str, float]) -> float | None:
    match = _NUMBER.fullmatch(text.strip())
    if not match or match[2].lower() not in factors:
        return None
    # Zero stands for "not measured".
    return float(match[1]) * factors[match[2].lower()] or None


def _parse_labels(text: str) -> tuple[str, ...]:
    labels = (label.strip() for label in text.split(","))
    return tuple(dict.fromkeys(label for label in labels if label.lower() not in _NO_LABEL))


__all__ = ["HIDDEN_AGE_YEARS", "MAX_STATED_AGE", "HeaderFacts", "hide_age", "parse_age", "parse_comments", "parse_sex"]
