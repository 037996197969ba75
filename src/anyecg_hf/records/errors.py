# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Errors of the record readers: which file, what was expected, what was found, what to do."""

import os


class RecordError(ValueError):
    """
    A record that cannot be read.

    Args:
        path (`str` or `os.PathLike`): The file at fault.
        expected (`str`): What it should be or hold.
        found (`str`): What was there instead.
        advice (`str`, *optional*): What to do about it.

    Example:

    ```python
    >>> raise RecordError("a.dat", expected="120000 bytes", found="60000 bytes", advice="Fetch the file again.")
    RecordError: a.dat: expected 120000 bytes, found 60000 bytes. Fetch the file again.
    ```
    """

    def __init__(self, path: str | os.PathLike, expected: str, found: str, advice: str = ""):
        super().__init__()
        self.path = os.fspath(path)
        self.expected = expected
        self.found = found
        self.advice = advice

    def __str__(self) -> str:
        found = self.found.rstrip(".")  # what another library says may be a sentence
        return f"{self.path}: expected {self.expected}, found {found}. {self.advice}".rstrip()

    # Worker processes send errors home by pickle, which would call the class with `args` only.
    def __reduce__(self):
        return type(self), (self.path, self.expected, self.found, self.advice)


class MissingFileError(RecordError, FileNotFoundError):
    """A record, or a file that a record needs, does not exist."""


class TruncatedFileError(RecordError):
    """A file holds fewer samples than its header says."""


class UnsafeHeaderError(RecordError):
    """A header names files outside its own folder."""


class UnknownFormatError(RecordError):
    """A file is in none of the formats that can be read."""


__all__ = ["MissingFileError", "RecordError", "TruncatedFileError", "UnknownFormatError", "UnsafeHeaderError"]
