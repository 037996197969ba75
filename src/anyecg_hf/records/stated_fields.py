# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Rate, leads, unit and patient in files that name their fields: `.npz`, attributes of HDF5, columns of Parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import RecordError
from .header_comments import hide_age, parse_sex
from .source import RecordFacts

FIELD_NAMES = (
    *("sampling_rate", "lead_names", "unit", "record_id", "patient_id"),
    *("age_years", "sex", "weight_kg", "height_cm", "labels"),
)


@dataclass(frozen=True)
class StatedFields:
    """
    What a file states about a record, under the names that [`ECGRecord`] uses.

    Args:
        path (`Path`): The file, for messages.
        values (`Mapping[str, Any]`): Name -> number, text, list of them, or `None`; those of other names are ignored.
    """

    path: Path
    values: Mapping[str, Any]

    @property
    def sampling_rate(self) -> float | None:
        """Rate in Hz, `None` if it is not stated."""
        return self._number("sampling_rate")

    @property
    def lead_names(self) -> tuple[str, ...] | None:
        """Names of the leads as they are spelt, `None` if they are not stated."""
        return tuple(map(str, self._list("lead_names"))) or None

    @property
    def unit(self) -> str | None:
        """Unit of the samples as it is spelt, `None` if it is not stated."""
        units = dict.fromkeys(self._texts("unit"))
        if len(units) > 1:
            raise RecordError(self.path, "one 'unit'", ", ".join(map(repr, units)))
        return next(iter(units), None)

    def facts(self, record_id: str, source: str, comments: Sequence[str] = ()) -> RecordFacts:
        """
        Args:
            record_id (`str`): Identifier, unless the file states one.
            source (`str`): Where the record was read from.
            comments (`Sequence[str]`, *optional*): Further text.

        Returns:
            [`RecordFacts`]

        Raises:
            [`RecordError`]: if a field is of the wrong type, or impossible.
        """
        age = self._number("age_years")
        try:
            return RecordFacts(
                record_id=self._identifier("record_id") or record_id,
                patient_id=self._identifier("patient_id"),
                age_years=None if age is None else hide_age(age),
                sex=self._sex(),
                weight_kg=self._number("weight_kg"),
                height_cm=self._number("height_cm"),
                labels=self._texts("labels"),
                comments=tuple(comments),
                source=source,
            )
        except ValueError as error:
            raise RecordError(self.path, "the fields of an ECGRecord", f"this: {error}") from error

    def _single(self, name: str) -> Any:
        """The one value of a field; `None` for NaN, which stands for unknown."""
        value = self.values.get(name)
        if isinstance(value, list):
            if len(value) != 1:
                raise RecordError(self.path, f"one value of {name!r}", f"{len(value)}")
            value = value[0]
        return None if value != value else value

    def _number(self, name: str) -> float | None:
        value = self._single(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RecordError(self.path, f"one number as {name!r}", repr(value))
        return float(value)

    def _identifier(self, name: str) -> str | None:
        value = self._single(name)
        if value is None:
            return None
        # Tables keep whole numbers as floating-point ones where some are missing.
        return str(int(value) if isinstance(value, float) and value.is_integer() else value) or None

    def _sex(self) -> int | None:
        value = self._single("sex")
        if isinstance(value, str):
            return parse_sex(value)
        number = self._number("sex")
        return int(number) if number in (0, 1) else number

    def _texts(self, name: str) -> tuple[str, ...]:
        return tuple(str(text) for text in self._list(name) if text not in (None, ""))

    def _list(self, name: str) -> list[Any]:
        value = self.values.get(name)
        return value if isinstance(value, list) else [] if value is None else [value]


def as_plain(value: Any) -> Any:
    """Numbers and texts of Python in place of those of NumPy and h5py; `None` for anything else."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, (list, tuple)):
        return [as_plain(part) for part in value]
    return value if isinstance(value, (bool, int, float, str)) else None


__all__ = ["FIELD_NAMES", "StatedFields", "as_plain"]
