# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Errors of downloads and archives: which URL or file, what was expected, what was found, what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

_NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)


class DownloadError(OSError):
    """
    Something that could not be fetched or unpacked.

    Args:
        source (`str` or `os.PathLike`): The URL or the file at fault.
        expected (`str`): What it should be or hold.
        found (`str`): What was there instead.
        advice (`str`, *optional*): What to do about it.
    """

    def __init__(self, source: str | os.PathLike, expected: str, found: str, advice: str = ""):
        super().__init__()
        self.source = os.fspath(source)
        self.expected = expected
        self.found = found
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.source}: expected {self.expected}, found {self.found}. {self.advice}".rstrip()

    # Worker processes send errors home by pickle, which would call the class with `args` only.
    def __reduce__(self):
        return type(self), (self.source, self.expected, self.found, self.advice)


class MissingRemoteFileError(DownloadError):
    """The server does not have the file."""


class AccessDeniedError(DownloadError):
    """The server wants an account or an agreement first."""


class StorageError(DownloadError):
    """The own disk: full, read-only or otherwise unwilling."""


class ArchiveError(DownloadError):
    """An archive that is damaged, or that would write outside its folder."""


class StoppedError(Exception):
    """Another thread asked this one to stop."""


@contextmanager
def storing(path: str | os.PathLike) -> Iterator[None]:
    """Turns what the file system refuses while `path` is written into a [`StorageError`]."""
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        advice = "Mend it or choose another folder, and run again: what is finished is kept."
        if error.errno in _NO_SPACE:
            advice = "Free some space or choose another folder, and run again: what is finished is kept."
        elif error.errno in _NO_PERMISSION:
            advice = "Choose a folder that you may write to."
        raise StorageError(path, "that it can be read and written", error.strerror or str(error), advice) from error


__all__ = [
    "AccessDeniedError",
    "ArchiveError",
    "DownloadError",
    "MissingRemoteFileError",
    "StoppedError",
    "StorageError",
    "storing",
]
