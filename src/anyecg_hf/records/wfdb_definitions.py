# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Definitions at the start of WFDB annotation files, of which wfdb never comes to an end if they are not as it expects.

It looks at the notes of as many annotations as there are notes at sample 0, and stays for ever at one that starts with
`## ` and is neither a first time resolution nor a list of types.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import RecordError

_NOTE = 22
_SKIP, _FIRST_FIELD, _TEXT = 59, 60, 63
_RESOLUTION = re.compile(r"## time resolution: \d+\.?\d*")
_TYPES, _END_OF_TYPES = "## annotation type definitions", "## end of definitions"


@dataclass(frozen=True)
class _Entry:
    sample: int
    code: int
    notes: tuple[str, ...]


def check_definitions(path: Path) -> None:
    """
    Refuses an annotation file that wfdb would read for ever.

    Args:
        path (`Path`): The file.

    Raises:
        [`RecordError`]: shows the note.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(path, "a WFDB annotation file", f"this: {error.strerror}") from error
    if b"## " not in content:
        return
    entries = list(_entries(content))
    # One after the other, as wfdb lists them, an annotation with two of them included.
    every = [note for entry in entries for note in entry.notes or ("",)]
    notes = every[: sum(_is_definition(entry) for entry in entries)]
    has_resolution, number = False, 0
    while number < len(notes):
        note = notes[number]
        if note == _TYPES:
            following = every[number:]
            if _END_OF_TYPES not in following:
                return  # wfdb says so
            number += following.index(_END_OF_TYPES)
        elif note.startswith("## "):
            # A resolution of 0 counts as none.
            if has_resolution or not _RESOLUTION.search(note):
                raise RecordError(
                    path, "one time resolution and annotation types as definitions of annotations", f"{note[:80]!r}"
                )
            has_resolution = float(_RESOLUTION.search(note)[0].rpartition(" ")[2]) != 0
        number += 1


def _is_definition(entry: _Entry) -> bool:
    return entry.sample == 0 and entry.code == _NOTE


def _entries(content: bytes) -> Iterator[_Entry]:
    """Annotations up to the end, or to where the file is broken."""
    sample, place, last = 0, 0, len(content) - 2
    while place < last:
        while content[place + 1] >> 2 == _SKIP:
            if place + 8 > len(content):
                return
            high, low = content[place + 2 : place + 4], content[place + 4 : place + 6]
            sample += int.from_bytes(low + high, "little", signed=True)
            place += 6
        code = content[place + 1] >> 2
        sample += content[place] + 256 * (content[place + 1] & 3)
        place += 2
        notes = []
        while place + 2 <= len(content) and content[place + 1] >> 2 >= _FIRST_FIELD:
            is_text = content[place + 1] >> 2 == _TEXT
            length = content[place] if is_text else 0
            if is_text:
                notes.append(content[place + 2 : place + 2 + length].decode("latin-1"))
            place += 2 + length + length % 2
        yield _Entry(sample, code, tuple(notes))


__all__ = ["check_definitions"]
