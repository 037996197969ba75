# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Dates with times as DICOM and HL7 write them."""

from datetime import datetime


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


__all__ = ["parse_moment"]
