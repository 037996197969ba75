# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""CSV tables: one row a sample, one column a lead, with a header row and a time column if they are there."""

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..models.anyecg.signal_anyecg import canonical_lead_name
from .errors import RecordError
from .formats import ReadOptions, RecordFormat, is_text, read_head
from .source import ArraySource, RecordFacts

_DELIMITERS = ",;\t"
_TIME_COLUMNS = ("time", "time_s", "t")
_SECONDS = (None, "s", "sec", "seconds")
_COUNTERS = ("", "index", "sample", "samples", "timestamp", "unnamed: 0")
# "I", "I (mV)", "I [mV]"
_NAME_AND_UNIT = re.compile(r"\s*(.*?)\s*(?:[(\[]\s*(\w+)\s*[)\]]\s*)?")


@dataclass(frozen=True)
class _Column:
    name: str
    unit: str | None


def _first_row(text: str) -> list[str]:
    line = next((line for line in text.lstrip("\ufeff").splitlines() if line.strip()), "")
    return next(csv.reader([line], delimiter=_delimiter(line)), [])


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()  # a missing sample
    return True


def _columns(row: Sequence[str]) -> list[_Column] | None:
    """Names and units of a header row, `None` if the row holds samples."""
    if all(map(_is_number, row)) and any(cell.strip() for cell in row):
        return None
    return [_Column(*_NAME_AND_UNIT.fullmatch(cell.replace("\n", " ")).groups()) for cell in row]


def _holds_leads(row: Sequence[str]) -> bool:
    columns = _columns(row)
    return columns is None or any(canonical_lead_name(column.name) for column in columns)


def _recognises(path: Path, head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore").lstrip("\ufeff \r\n")
    if not is_text(head) or text[:1] in ("{", "[", "<", ""):
        return False
    row = _first_row(text)
    return len(row) > 1 or _holds_leads(row)


def _select(paths: Sequence[Path]) -> list[Path]:
    """Tables that name at least one lead, or hold nothing but numbers; lists of labels and patients do neither."""
    heads = {path: read_head(path) for path in paths}
    return [
        path
        for path, head in heads.items()
        if _recognises(path, head) and _holds_leads(_first_row(head.decode("utf-8", errors="ignore")))
    ]


def _open(path: Path, options: ReadOptions) -> ArraySource:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(path, "UTF-8 text", f"the byte {error.object[error.start]:#x}") from None
    columns = _columns(_first_row(text))
    table = _parse_table(path, text, skip_header=columns is not None)
    stated_rate = None
    if columns is not None and _has_time(path, columns):
        stated_rate = _rate_of_times(path, table[:, 0], options.sampling_rate)
        columns, table = columns[1:], table[:, 1:]
    sampling_rate = options.resolve_sampling_rate(path, stated_rate)
    if columns is None:
        columns = [_Column("", None)] * table.shape[1]
        names = options.resolve_lead_names(path, None)
    else:
        names = options.resolve_lead_names(path, [column.name for column in columns])
    if not columns or len(names) != len(columns):
        raise RecordError(path, f"{len(names)} columns, one for each lead", f"{len(columns)}")
    units = [options.resolve_unit(path, column.unit) for column in columns]
    return ArraySource(
        table.T,
        units=units,
        sampling_rate=sampling_rate,
        lead_names=names,
        facts=RecordFacts(record_id=path.stem, source=str(path)),
    )


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells. Blank lines may only stand at the end: elsewhere a sample would be lost."""
    lines = text.splitlines(keepends=True)
    reader = csv.reader(lines, delimiter=_delimiter(next((line for line in lines if line.strip()), "")))
    started, blank = False, None
    try:
        for row in reader:
            if not row:
                blank = blank or (reader.line_num if started else None)
                continue
            if blank:
                raise RecordError(
                    path, "a row for every sample", f"a blank line {blank}", "Write nan where it is missing."
                )
            started = True
            yield reader.line_num, row
    except csv.Error as error:
        raise RecordError(path, "a CSV table", f"{error} in line {reader.line_num}") from None


def _parse_table(path: Path, text: str, skip_header: bool) -> np.ndarray:
    """Numbers of the table, `(rows, columns)` float64; NaN where a cell is empty."""
    rows = _rows(path, text)
    width = None
    if skip_header:
        width = len(next(rows)[1])
    values = array("d")
    for line, row in rows:
        width = width or len(row)
        if len(row) != width:
            raise RecordError(path, f"{width} cells in every row", f"{len(row)} in line {line}")
        try:
            values.extend([float(cell) for cell in row])
        except ValueError:
            values.extend([_number(path, line, cell) for cell in row])
    if not values:
        raise RecordError(path, "rows of samples", "none")
    return np.frombuffer(values).reshape(-1, width)


def _number(path: Path, line: int, cell: str) -> float:
    if not cell.strip():
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise RecordError(
            path, "numbers with a decimal point, below one header row at most", f"{cell[:40]!r} in line {line}"
        ) from None


def _has_time(path: Path, columns: Sequence[_Column]) -> bool:
    """Whether the first column is time in seconds. Counters and times in other units are no leads: an error."""
    for number, column in enumerate(columns, start=1):
        name = column.name.lower()
        if name in _TIME_COLUMNS and (column.unit or "s").lower() in _SECONDS and number == 1:
            continue
        if name in _COUNTERS or re.match(r"(time|t)(?![a-z0-9])", name):
            raise RecordError(
                path,
                "columns that are leads, after a first column 'time' in seconds if there is one",
                f"{column.name!r} as column {number}",
                "Remove or rename the column, or convert it to seconds.",
            )
    return columns[0].name.lower() in _TIME_COLUMNS


def _rate_of_times(path: Path, times: np.ndarray, passed_rate: float | None) -> float:
    """Rate in Hz that a column of times in seconds shows."""
    steps = np.diff(times)
    if not len(steps) or not np.isfinite(times).all() or times[-1] <= times[0]:
        raise RecordError(path, "a time column that increases", "one that does not, or a single row")
    fitted = len(steps) / (times[-1] - times[0])

    def deviation(rate: float) -> float:
        return float(np.abs(times - times[0] - np.arange(len(times)) / rate).max())

    half_a_sample = 0.5 / fitted
    if deviation(fitted) > half_a_sample:
        raise RecordError(
            path,
            "evenly spaced times",
            f"steps from {steps.min():g} to {steps.max():g} s",
            "Resample the signal, or write the times with more digits.",
        )
    if passed_rate is not None and deviation(passed_rate) <= half_a_sample:
        return passed_rate
    # Printed times are rounded. A whole number of Hz that explains them as well as the fitted rate is the rate.
    whole = max(1, round(fitted))
    return float(whole) if deviation(whole) <= 2 * deviation(fitted) + 1e-6 / fitted else float(fitted)


CSV = RecordFormat(name="CSV", suffixes=(".csv", ".tsv", ".txt"), recognises=_recognises, open=_open, select=_select)

__all__ = ["CSV"]
