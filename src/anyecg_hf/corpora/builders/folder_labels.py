# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The label table of a folder of records: what its rows say, and which record each of them means."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ...records.header_comments import parse_age, parse_sex
from ..entries import CorpusEntry
from ..errors import CorpusError
from ..preparation_report import NOTED, SKIPPED, ReportLine
from .tables import parse_flag, read_table

RECORD_COLUMN, LABELS_COLUMN, SEPARATOR = "record", "labels", ";"
SPLIT_NAMES = ("train", "validation", "test")
_PATIENT_COLUMNS = ("patient_id", "age_years", "sex", "weight_kg", "height_cm")
_COLUMNS = (RECORD_COLUMN, LABELS_COLUMN, *_PATIENT_COLUMNS, "split", "fold", "report")
_UNKNOWN = {"", "nan", "none", "n/a", "unknown"}
# Suffixes of files that together are one WFDB record, which is called by the name without them.
_WFDB_SUFFIXES = (".hea", ".dat", ".mat")
_LARGEST_FOLD = 127

Value = TypeVar("Value", int | None, float | None)


@dataclass(frozen=True)
class LabelTable:
    """
    A CSV table with a row for each record. Columns, of which only the first is needed:

    - `record`: the record, as its id, as its path below the folder with or without suffix, or as the last part of
      either where no other record has the same;
    - `labels`: its labels, `;` between them;
    - `patient_id`, `age_years`, `sex` (`M`, `female`, `0` ...), `weight_kg`, `height_cm`;
    - `split` (`train`, `validation` or `test`; by default `train`), `fold` (a whole number), `report` (free text).

    An empty cell is unknown; then what the record's own file says counts, except for labels: a record with a row and
    no labels has none.

    Args:
        path (`Path`): The file.
        label_columns (`Sequence[str]`, *optional*): Further columns, each named by a label, with 1 where a record has
            it and 0 or nothing where it has not.
    """

    path: Path
    label_columns: Sequence[str] = ()

    def entries(self, records: Sequence[CorpusEntry]) -> Iterator[CorpusEntry | ReportLine]:
        """
        Joins rows and records.

        Args:
            records (`Sequence[CorpusEntry]`): Records with id and path, each id once.

        Returns:
            `Iterator[CorpusEntry | ReportLine]`: the records in their order, with what the table says of them, and
            lines on rows without a record and records without a row.

        Raises:
            [`CorpusError`]: if a cell cannot be understood, a row means several records, or several rows that differ
                mean one.
        """
        names = _names(records)
        said: dict[str, CorpusEntry] = {}
        unread: set[str] = set()
        for row in read_table(self.path, (RECORD_COLUMN, *self.label_columns)):
            unread = set(row) - {*_COLUMNS, *self.label_columns}
            name = row[RECORD_COLUMN]
            record = self._record(name, names)
            if record is None:
                yield ReportLine(name, name, SKIPPED, f"{self.path.name} has a row for it, but there is no such record")
                continue
            entry = self._said(row, record)
            if said.setdefault(record.record_id, entry) != entry:
                raise CorpusError(self.path, "one row for each record", f"two that differ for {record.record_id!r}")
        if unread:
            yield ReportLine("", self.path.name, NOTED, f"columns that are not read: {', '.join(sorted(unread))}")
        for record in records:
            if record.record_id not in said:
                yield ReportLine(record.record_id, record.path, NOTED, f"no row in {self.path.name}")
            yield said.get(record.record_id, record)

    def _record(self, name: str, names: dict[str, list[CorpusEntry]]) -> CorpusEntry | None:
        plain = PurePosixPath(name).as_posix()
        stem = PurePosixPath(name).with_suffix("").as_posix() if plain.endswith(_WFDB_SUFFIXES) else plain
        found = names.get(plain) or names.get(stem) or []
        if len(found) > 1:
            several = ", ".join(entry.path for entry in found[:3])
            raise CorpusError(self.path, "one record for each row", f"{len(found)} for {name!r}: {several}")
        return found[0] if found else None

    def _said(self, row: dict[str, str], record: CorpusEntry) -> CorpusEntry:
        split = row.get("split") or "train"
        if split not in SPLIT_NAMES:
            raise self._error(row, f"{', '.join(SPLIT_NAMES)} or nothing", "split")
        return replace(
            record,
            native_labels=self._labels(row),
            patient_id=row.get("patient_id") or None,
            age_years=self._parsed(row, "age_years", parse_age, "an age in years"),
            sex=self._parsed(row, "sex", parse_sex, "M or F, male or female, 0 or 1"),
            weight_kg=self._parsed(row, "weight_kg", _positive, "a weight in kg"),
            height_cm=self._parsed(row, "height_cm", _positive, "a height in cm"),
            split=split,
            fold=self._parsed(row, "fold", _fold, f"a whole number up to {_LARGEST_FOLD}"),
            report=row.get("report", ""),
        )

    def _labels(self, row: dict[str, str]) -> tuple[str, ...] | None:
        if LABELS_COLUMN not in row and not self.label_columns:
            return None
        stated = [label.strip() for label in row.get(LABELS_COLUMN, "").split(SEPARATOR)]
        flagged = [column for column in self.label_columns if parse_flag(self.path, row, column)]
        return tuple(dict.fromkeys(label for label in (*stated, *flagged) if label))

    def _parsed(self, row: dict[str, str], column: str, parse: Callable[[str], Value], expected: str) -> Value:
        """A cell as a number, `None` if it is empty or not there."""
        cell = row.get(column, "")
        if cell.lower() in _UNKNOWN:
            return None
        value = parse(cell)
        if value is None:
            raise self._error(row, expected, column)
        return value

    def _error(self, row: dict[str, str], expected: str, column: str) -> CorpusError:
        found = f"{row[column]!r} in the row of {row[RECORD_COLUMN]!r}"
        return CorpusError(self.path, f"{expected} as {column!r}", found)


def _names(records: Sequence[CorpusEntry]) -> dict[str, list[CorpusEntry]]:
    """Records by every name that a row may use; an id or path counts before the last part of another."""
    names: dict[str, list[CorpusEntry]] = {}
    for record in records:
        for whole in (record.record_id, record.path):
            found = names.setdefault(PurePosixPath(whole).name, [])
            if record not in found:
                found.append(record)
    return names | {whole: [record] for record in records for whole in (record.record_id, record.path)}


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _fold(text: str) -> int | None:
    number = int(text) if text.isdecimal() else None
    return number if number is not None and number <= _LARGEST_FOLD else None


__all__ = ["LABELS_COLUMN", "RECORD_COLUMN", "SEPARATOR", "LabelTable"]
