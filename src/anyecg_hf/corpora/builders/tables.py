# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""CSV tables of the corpora: every cell as text, and nothing dropped silently."""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from ..errors import CorpusError
from ..files import CorpusFiles
from ..preparation_report import NOTED, ReportLine

_FLAGS = {"": None, **dict.fromkeys(("true", "1", "1.0"), True), **dict.fromkeys(("false", "0", "0.0"), False)}


def require_table(files: CorpusFiles, *names: str) -> Path:
    """
    Finds a table that a corpus cannot do without.

    Args:
        files ([`CorpusFiles`]): The files of the corpus.
        names (`str`): Names that it may have, the best first.

    Returns:
        `Path`

    Raises:
        [`CorpusError`]: if there is none.
    """
    for name in names:
        path = files.table(name)
        if path is not None:
            return path
    raise CorpusError(
        files.root,
        f"the table {' or '.join(names)}",
        f"none among {len(files.paths)} files",
        "`data_dir` is the folder that holds it, with the records below.",
    )


def read_table(path: Path, columns: Sequence[str], header: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """
    Reads a CSV table row by row. Cells may be quoted and hold several lines; a `.gz` file is unpacked on the way.

    Args:
        path (`Path`): The file, UTF-8 with or without a byte order mark.
        columns (`Sequence[str]`): Columns that it must have.
        header (`Sequence[str]`, *optional*): Its columns, where it does not name them in its first row.

    Returns:
        `Iterator[dict[str, str]]`: of every row the cells by column, without blanks around them.

    Raises:
        [`CorpusError`]: if it lacks a column or has one twice, or cannot be parsed.
    """
    with _open_text(path) as file:
        reader = csv.reader(file)
        try:
            found = next(reader, []) if header is None else header
            missing = [column for column in columns if column not in found]
            if missing:
                among = f"no {', '.join(missing)} among {', '.join(map(repr, found)) or 'none'}"
                hint = "" if len(found) > 1 else "Columns have commas between them."
                raise CorpusError(path, f"the columns {', '.join(columns)}", among, hint)
            repeated = [column for column in dict.fromkeys(found) if column and found.count(column) > 1]
            if repeated:
                raise CorpusError(path, "every column once", f"{', '.join(map(repr, repeated))} more than once")
            for cells in filter(None, reader):
                if len(cells) != len(found):
                    place = f"{len(cells)} in the one that ends in line {reader.line_num}"
                    raise CorpusError(path, f"{len(found)} cells in every row", place)
                yield dict(zip(found, map(str.strip, cells), strict=True))
        except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError) as error:
            raise CorpusError(path, "a CSV table in UTF-8", f"{type(error).__name__}: {error}") from error


def keyed_table(
    path: Path, key: str, columns: Sequence[str] = (), header: Sequence[str] | None = None
) -> dict[str, dict[str, str]]:
    """
    Reads a CSV table whose rows are told apart by one column.

    Args:
        path (`Path`):
            The file.
        key (`str`):
            The column.
        columns (`Sequence[str]`, *optional*), header (`Sequence[str]`, *optional*):
            As in [`read_table`].

    Returns:
        `dict[str, dict[str, str]]`: rows by their cell in that column.

    Raises:
        [`CorpusError`]: if two rows with the same key differ, or as in [`read_table`].
    """
    rows: dict[str, dict[str, str]] = {}
    for row in read_table(path, (key, *columns), header):
        if rows.setdefault(row[key], row) != row:
            raise CorpusError(path, f"one row for each {key}", f"two that differ for {row[key]!r}")
    return rows


def absent_records(path: Path, n_absent: int) -> Iterator[ReportLine]:
    """One line on rows of a table whose records are not here; none if all are: a part of a corpus has many of them."""
    if n_absent:
        yield ReportLine("", path.name, NOTED, f"{n_absent} of its rows have no record here")


def parse_flag(path: Path, row: Mapping[str, str], column: str) -> bool | None:
    """
    Reads a cell that is true or false.

    Args:
        path (`Path`): The table, for messages.
        row (`Mapping[str, str]`): A row.
        column (`str`): Which cell of it.

    Returns:
        `bool` or `None`: `None` for an empty cell.

    Raises:
        [`CorpusError`]: if it is anything else.
    """
    cell = row[column]
    if cell.lower() not in _FLAGS:
        place = f"{cell!r} in the row of {next(iter(row.values()))!r}"
        raise CorpusError(path, f"true or false, 1 or 0, as {column!r}", place)
    return _FLAGS[cell.lower()]


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


__all__ = ["absent_records", "keyed_table", "parse_flag", "read_table", "require_table"]
