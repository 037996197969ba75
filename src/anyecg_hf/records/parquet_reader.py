# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows of Parquet files, in the two forms that `anyecg_hf.corpora` writes: as stored, or lists of millivolts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .addresses import Address, find_row, list_addresses, parse_address
from .errors import RecordError, TruncatedFileError
from .formats import ReadOptions, RecordFormat, optional_package, read_head, warn
from .record import Annotation, shape_mismatch
from .source import ArraySource
from .stated_fields import FIELD_NAMES, StatedFields
from .stored_signal import StoredSignal, as_stored

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

_MAGIC = b"PAR1"
_SIGNAL, _RECORD_ID, _ANNOTATIONS, _REPORT = "signal", "record_id", "annotations", "report"
_STORED_FIELDS = ("samples", "dtype", "gain", "baseline", "unit", "missing")
# Columns of the schema of `anyecg_hf.corpora`, whose lists of numbers are millivolts.
_CORPUS_COLUMNS = {"record_id", "corpus", "n_samples", "native_labels"}
# Rows of a group that are decoded at once on the way to the one that is wanted.
_ROWS_AT_ONCE = 16


def _recognises(path: Path, head: bytes) -> bool:
    return (head or read_head(parse_address(path).file)).startswith(_MAGIC)


def _select(paths: Sequence[Path]) -> list[Path]:
    return [record for path in paths if read_head(path, len(_MAGIC)) == _MAGIC for record in _records_in(path)]


def _records_in(path: Path) -> list[Path]:
    """Every row of a file; none if it holds no ECG."""
    try:
        with _opened(path) as file:
            if not _is_signal(file):
                return []
            return list_addresses(path, _record_ids(path, file))
    except (RecordError, ImportError):
        return [path]  # opening it will say what is wrong


def _open(path: Path, options: ReadOptions) -> ArraySource:
    address = parse_address(path)
    with _opened(address.file) as file:
        if not _is_signal(file):
            raise RecordError(
                address.file,
                f"a column {_SIGNAL!r}: a struct of {', '.join(_STORED_FIELDS)}, or lists of numbers for every lead",
                ", ".join(f"{field.name!r} ({field.type})" for field in file.schema_arrow),
            )
        row = find_row(address, _record_ids(address.file, file))
        with _decoding(address.file):
            table = _read_row(address.file, file, row)
    return _source(address, table, options, source=str(path))


def _is_signal(file: "pyarrow.parquet.ParquetFile") -> bool:
    import pyarrow

    schema = file.schema_arrow
    if _SIGNAL not in schema.names:
        return False
    kind = _storage(schema.field(_SIGNAL).type)
    if pyarrow.types.is_struct(kind):
        return {field.name for field in kind} >= set(_STORED_FIELDS)
    for _ in range(2):
        if not (
            pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind)
        ):
            return False
        kind = kind.value_type
    return pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)


def _storage(kind: "pyarrow.DataType") -> "pyarrow.DataType":
    """What an extension type, such as the arrays of `datasets`, is made of."""
    return getattr(kind, "storage_type", kind)


def _record_ids(path: Path, file: "pyarrow.parquet.ParquetFile") -> list[str | None]:
    if _RECORD_ID not in file.schema_arrow.names:
        return [None] * file.metadata.num_rows
    with _decoding(path):
        values = file.read(columns=[_RECORD_ID]).column(_RECORD_ID).to_pylist()
    return [None if value is None else str(value) for value in values]


def _read_row(path: Path, file: "pyarrow.parquet.ParquetFile", row: int) -> "pyarrow.RecordBatch":
    """One row; only its row group is read."""
    group = 0
    while row >= file.metadata.row_group(group).num_rows:
        row -= file.metadata.row_group(group).num_rows
        group += 1
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group]):
        if row < batch.num_rows:
            return batch.slice(row, 1)
        row -= batch.num_rows
    raise TruncatedFileError(path, f"{row + 1} more rows in row group {group}", "its end", "Fetch the file again.")


def _source(address: Address, row: "pyarrow.RecordBatch", options: ReadOptions, source: str) -> ArraySource:
    path = address.file
    with _decoding(path):
        values = {name: row.column(name)[0].as_py() for name in row.schema.names if name != _SIGNAL}
    stated = StatedFields(path, values)
    rate = options.resolve_sampling_rate(path, stated.sampling_rate)
    names = options.resolve_lead_names(path, stated.lead_names)
    unit = "mV" if stated.unit is None and values.keys() >= _CORPUS_COLUMNS else stated.unit
    signal = _signal(path, row.column(_SIGNAL), unit, options)
    mismatch = shape_mismatch(signal.samples.shape, len(names))
    if mismatch:
        raise RecordError(path, mismatch.expected, mismatch.found, mismatch.advice)
    n_samples = values.get("n_samples")
    if n_samples not in (None, signal.samples.shape[1]):
        raise RecordError(path, f"{n_samples} samples, as 'n_samples' says", f"{signal.samples.shape[1]}")
    facts = stated.facts(record_id=f"{path.stem}{address.name or ''}", source=source, comments=_comments(path, values))
    annotations = _annotations(path, values.get(_ANNOTATIONS))
    return ArraySource(**vars(signal), sampling_rate=rate, lead_names=names, facts=facts, annotations=annotations)


def _signal(path: Path, column: "pyarrow.Array", stated_unit: str | None, options: ReadOptions) -> StoredSignal:
    import pyarrow

    if column.null_count:
        raise RecordError(path, f"a {_SIGNAL!r} in the row", "none")
    is_stored = pyarrow.types.is_struct(_storage(column.type))
    try:
        signal = StoredSignal.from_struct(column[0].as_py()) if is_stored else _matrix(column)
    except (TypeError, ValueError) as error:
        expected = "samples with a calibration for each lead" if is_stored else "leads of one length"
        raise RecordError(path, f"{expected} in {_SIGNAL!r}", f"this: {error}") from error
    if is_stored:
        for unit in signal.units:
            options.resolve_unit(path, unit)  # one that is no voltage, or a contradiction, is an error
        return signal
    n_leads = len(signal)
    unit = options.resolve_unit(path, stated_unit)
    return StoredSignal(signal, np.ones(n_leads), np.zeros(n_leads), units=(unit,) * n_leads)


def _matrix(column: "pyarrow.Array") -> np.ndarray:
    """The lists of one row as an array `(leads, samples)`; nulls are NaN."""
    leads = getattr(column, "storage", column).flatten()
    lengths = [len(lead) if lead.is_valid else None for lead in leads]
    if len(set(lengths)) != 1 or None in lengths:
        raise ValueError(f"leads of {lengths} samples.")
    return as_stored(leads.flatten().to_numpy(zero_copy_only=False).reshape(len(lengths), -1))


def _comments(path: Path, values: dict[str, Any]) -> list[str]:
    """Report and further columns of text and numbers, a line each; others are named in a warning."""
    comments = str(values.get(_REPORT) or "").splitlines()
    unread = []
    for name, value in values.items():
        if name in (*FIELD_NAMES, _REPORT, _ANNOTATIONS, "n_samples") or value in (None, "", []):
            continue
        parts = value if isinstance(value, list) else [value]
        if all(isinstance(part, (str, int, float, date)) for part in parts):
            comments.append(f"{name}: {', '.join(map(str, parts))}")
        else:
            unread.append(name)
    if unread:
        warn(path, f"columns not read: {', '.join(unread)}.")
    return comments


def _annotations(path: Path, value: Any) -> tuple[Annotation, ...] | None:
    if value is None:
        return None
    try:
        return tuple(
            Annotation(
                float(fields["time_s"]),
                fields["symbol"],
                fields.get("note") or "",
                fields.get("duration_s"),
                fields.get("lead_name"),
            )
            for fields in value
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise RecordError(
            path, f"'time_s' and 'symbol' in every one of {_ANNOTATIONS!r}", f"{type(error).__name__}: {error}"
        ) from error


@contextmanager
def _opened(path: Path) -> "Iterator[pyarrow.parquet.ParquetFile]":
    with optional_package("pyarrow", "Parquet files", extra="data"):
        import pyarrow.parquet
    with _decoding(path):
        file = pyarrow.parquet.ParquetFile(path)
    with file:
        yield file


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turns errors of pyarrow, which are those of Python at repeated names and dates out of range, into our own."""
    import pyarrow

    try:
        yield
    except RecordError:
        raise
    except (pyarrow.ArrowException, OSError, LookupError, ValueError, OverflowError) as error:
        raise RecordError(
            path,
            "a Parquet file that pyarrow can decode",
            f"{type(error).__name__}: {error}",
            "The file may be truncated or corrupt: fetch it again.",
        ) from error


PARQUET = RecordFormat(name="Parquet", suffixes=(".parquet",), recognises=_recognises, open=_open, select=_select)

__all__ = ["PARQUET"]
