# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What in a record identifies the patient or may do so, for `ECGRecord.without_identity` and whoever marks it."""

import re

IDENTIFYING_FIELDS = ("record_id", "patient_id", "recorded_at", "comments", "source")

# Notes that name a rhythm and nothing else: the codes of PhysioNet's annotation files.
_RHYTHM_NOTES = frozenset(
    f"({code}"
    for code in (
        *("AB", "AFIB", "AFL", "ASYS", "AT", "B", "BI", "BII", "BIII", "BR", "HGEA", "IVR", "J", "N", "NOD", "NSR"),
        *("P", "PM", "PREX", "SAB", "SBR", "ST", "SVT", "SVTA", "T", "VER", "VF", "VFIB", "VFL", "VT"),
    )
)
# One word without accents: "426783006", "1AVB", "NST_", "147+367", "I-AVB".
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+|;.()-]{0,31}")
# "12-MAY-2019", "12.05.2019", "12MAY2019", "20190512"
_DATE = re.compile(
    r"\d{1,4}[-._][A-Za-z0-9]{1,9}[-._]\d{1,4}|\d{1,2}[A-Za-z]{3,9}\d{2,4}"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
)
# "+", "N", "[45]", "2:5250", "MDC_ECG_WAVC_PWAVE"
_SYMBOL = re.compile(r".|[A-Za-z0-9\[][A-Za-z0-9_:.\]-]{0,63}")


def is_code(label: str) -> bool:
    """Whether a label is a code or a single word, and not free text or a date."""
    return bool(_CODE.fullmatch(label)) and not _DATE.fullmatch(label)


def is_symbol(symbol: str) -> bool:
    """Whether the symbol of an annotation is a single character or a code, and not free text or a date."""
    return bool(_SYMBOL.fullmatch(symbol)) and not _DATE.fullmatch(symbol)


def is_rhythm(note: str) -> bool:
    """Whether the note of an annotation is one of PhysioNet's rhythm codes, such as `"(AFIB"`."""
    return note in _RHYTHM_NOTES


__all__ = ["IDENTIFYING_FIELDS", "is_code", "is_rhythm"]
