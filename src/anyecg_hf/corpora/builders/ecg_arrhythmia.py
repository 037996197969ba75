# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What Chapman-Shaoxing and Ningbo share: their joint release `ecg-arrhythmia`, and names that count on."""

from ..downloads.remote_listings import PhysioNetListing
from .challenge_layout import record_number

JS_PATTERN = "JS[0-9][0-9][0-9][0-9][0-9]"
# Records are numbered through; those up to this one are of Chapman-Shaoxing.
_LAST_CHAPMAN_SHAOXING = 10_646

ECG_ARRHYTHMIA_URL = "https://physionet.org/content/ecg-arrhythmia/"


def is_chapman_shaoxing(record_id: str) -> bool:
    """Whether a record such as `JS00001` is of Chapman-Shaoxing; it is of Ningbo otherwise."""
    return record_number(record_id) <= _LAST_CHAPMAN_SHAOXING


def ecg_arrhythmia_listing(numbers: tuple[str, ...], base_url: str | None) -> PhysioNetListing:
    """
    Where records can be downloaded.

    Args:
        numbers (`tuple[str, ...]`): Patterns of the numbers in their names.
        base_url (`str`, *optional*): In place of the official site.

    Returns:
        [`PhysioNetListing`]
    """
    include = tuple(f"WFDBRecords/*/JS{number}.*" for number in numbers)
    return PhysioNetListing("ecg-arrhythmia", "1.0.0", include=include, base_url=base_url)


__all__ = ["ECG_ARRHYTHMIA_URL", "JS_PATTERN", "ecg_arrhythmia_listing", "is_chapman_shaoxing"]
