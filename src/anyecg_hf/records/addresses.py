# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Addresses of records in files that hold several: `exams_part0.hdf5::1169160`, or `exams_part0.hdf5::#0` by row."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import RecordError

_SEPARATOR = "::"
_ROW = "#"
# What file systems take for one part of a path, and asking them for a longer one is an error.
_MAX_PART_BYTES = 255


@dataclass(frozen=True)
class Address:
    """
    A file, or one record of it.

    Attributes:
        file (`Path`): The file.
        name (`str` or `None`): Name of the record, or `#` and its row, counted from 0; `None` if the path names none.
    """

    file: Path
    name: str | None = None


def parse_address(path: Path) -> Address:
    """
    Args:
        path (`Path`): A file, or a file, `::` and the name of a record.

    Returns:
        [`Address`]: without a name if there is a file of the whole path, or none in front of a `::`.
    """
    text = str(path)
    end = -1 if os.path.isfile(text) else text.find(_SEPARATOR)
    while end > 0:
        if os.path.isfile(text[:end]):
            return Address(Path(text[:end]), text[end + len(_SEPARATOR) :])
        end = text.find(_SEPARATOR, end + 1)
    return Address(path)


def list_addresses(file: Path, names: Sequence[str | None]) -> list[Path]:
    """
    Args:
        file (`Path`): A file.
        names (`Sequence[str | None]`): Names of its records, `None` for one without a name.

    Returns:
        `list[Path]`: a path for every record, the file itself if it has one only. Those whose name is repeated,
        missing or unfit for a path are addressed by row.
    """
    if len(names) == 1:
        return [file]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    return [
        Path(f"{file}{_SEPARATOR}{name}")
        if _can_be_addressed(file, name) and name not in repeated
        else Path(f"{file}{_SEPARATOR}{_ROW}{row}")
        for row, name in enumerate(names)
    ]


def file_part(path: Path) -> Path:
    """What stands in front of the first `::`, by which records are sorted: those of a file stay in its order."""
    return Path(str(path).partition(_SEPARATOR)[0])


def _can_be_addressed(file: Path, name: str | None) -> bool:
    if not name or name.startswith(_ROW) or "\0" in name:
        return False
    address = f"{file}{_SEPARATOR}{name}"
    return str(Path(address)) == address and all(
        len(os.fsencode(part)) <= _MAX_PART_BYTES for part in Path(address).parts
    )


def find_row(address: Address, names: Sequence[str | None]) -> int:
    """
    Args:
        address ([`Address`]): Which record is meant.
        names (`Sequence[str | None]`): Names of the file's records.

    Returns:
        `int`: its row.

    Raises:
        [`RecordError`]: if the file has no such record, or several, or if none is named and there are several.
    """
    file, name = address.file, address.name
    count = f"{len(names)} record{'' if len(names) == 1 else 's'}"
    if not names:
        raise RecordError(file, "at least one record", "none")
    if name is None:
        if len(names) == 1:
            return 0
        example = list_addresses(file, names)[0]
        raise RecordError(
            file,
            "the name of one of its records behind the path",
            f"none, and {count} in the file",
            f"The first is {str(example)!r}; `find_records` lists them all.",
        )
    if name.startswith(_ROW) and name[1:].isdecimal():
        rows = [int(name[1:])] if int(name[1:]) < len(names) else []
    else:
        rows = [row for row, known in enumerate(names) if known == name]
    if len(rows) == 1:
        return rows[0]
    if rows:
        raise RecordError(
            file,
            f"one record {name!r}",
            f"{len(rows)} of them",
            f"Address one by its row: '{file}{_SEPARATOR}{_ROW}{rows[0]}'.",
        )
    raise RecordError(file, f"a record {name!r}", f"none of this name among {count}", "`find_records` lists them.")


__all__ = ["Address", "file_part", "find_row", "list_addresses", "parse_address"]
