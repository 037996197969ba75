# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Single values of a DICOM data set."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import RecordError

if TYPE_CHECKING:
    from pydicom import Dataset


@contextmanager
def legal_values(path: Path) -> Iterator[None]:
    """pydicom converts a value when it is asked for; whatever a broken one raises becomes a [`RecordError`]."""
    try:
        yield
    except (RecordError, ImportError, Warning):
        raise
    except Exception as error:
        raise RecordError(path, "legal values in a DICOM file", f"{type(error).__name__}: {error}") from error


def read_number(path: Path, item: "Dataset", keyword: str) -> float | None:
    """A number of a data set, `None` where it has none; raises [`RecordError`] for anything else."""
    try:
        value = item.get(keyword)
        number = None if value is None or value == "" else float(value)
    except (TypeError, ValueError) as error:
        raise RecordError(path, f"a number as {keyword}", f"this: {error}") from error
    if number is not None and not math.isfinite(number):
        raise RecordError(path, f"a finite number as {keyword}", f"{number}")
    return number


def read_text(item: "Dataset", keyword: str) -> str:
    """A text of a data set, empty where it has none."""
    value = item.get(keyword)
    return "" if value is None else str(value).strip()


def first_item(item: "Dataset", keyword: str) -> "Dataset | None":
    """The first item of a sequence in a data set, `None` where there is none."""
    sequence = item.get(keyword)
    return sequence[0] if sequence else None


__all__ = ["first_item", "legal_values", "read_number", "read_text"]
