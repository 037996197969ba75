# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Files of a corpus on its official site: where each lies, where it belongs, how it is known to be right."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .download_errors import DownloadError

# Folder below a corpus's root for what the downloads note; nothing remote may be written there.
RECORD_FOLDER = ".anyecg-download"
# What a file ends in until it is complete and verified.
PART_SUFFIX = ".part"

_HEX = re.compile("[0-9a-fA-F]*")
_HEX_DIGITS = {"sha256": 64, "md5": 32}
# A drive, control characters, and lone surrogates, which stand for bytes that are no text.
_UNSAFE = re.compile("^[A-Za-z]:|[\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Checksum:
    """
    What a publisher says of a file's content.

    Args:
        algorithm (`str`): `"sha256"` or `"md5"`.
        digest (`str`): Hexadecimal, in either case.
    """

    algorithm: str
    digest: str

    def __post_init__(self):
        digits = _HEX_DIGITS.get(self.algorithm)
        if digits is None:
            raise ValueError(f"expected a checksum by {' or '.join(_HEX_DIGITS)}, found {self.algorithm!r}.")
        if len(self.digest) != digits or not _HEX.fullmatch(self.digest):
            raise ValueError(f"expected {digits} hexadecimal digits of {self.algorithm}, found {self.digest!r}.")
        object.__setattr__(self, "digest", self.digest.lower())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"

    def of_file(self, path: Path) -> "Checksum":
        """Checksum by the same algorithm of a file on disk."""
        with open(path, "rb") as stream:
            # Not for security where it is md5, which some systems forbid otherwise.
            digest = hashlib.file_digest(stream, lambda: hashlib.new(self.algorithm, usedforsecurity=False))
        return Checksum(self.algorithm, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """
    One file of a corpus.

    Args:
        path (`str`): Where it belongs, relative to the corpus's root, with `/`.
        url (`str`): Where it is fetched, `https` or `http`, without a password.
        size (`int`, *optional*): Bytes.
        checksum ([`Checksum`], *optional*): Of its content.

    Raises:
        [`DownloadError`]: if the path leaves the root, or the URL is none.
    """

    path: str
    url: str
    size: int | None = None
    checksum: Checksum | None = None

    def __post_init__(self):
        url = urlsplit(self.url)
        if url.scheme not in ("https", "http") or not url.hostname or "@" in url.netloc:
            shown = self.url.replace(url.netloc, url.netloc.rpartition("@")[2]) if "@" in url.netloc else self.url
            raise DownloadError(shown, "an https or http URL without a password", "another")
        check_path(self.path, self.url)
        if self.path.endswith(PART_SUFFIX) or self.path.split("/")[0].casefold() == RECORD_FOLDER:
            raise DownloadError(self.url, f"names outside {RECORD_FOLDER}/, not ending in {PART_SUFFIX}", self.path)

    @property
    def is_checkable(self) -> bool:
        """Whether a file on disk can be told right from wrong."""
        return self.size is not None or self.checksum is not None

    def mismatch(self, path: Path) -> str | None:
        """What is found at `path` where it is not this file; `None` if all that is known of it agrees."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size} bytes"
        if self.checksum is not None and (found := self.checksum.of_file(path)) != self.checksum:
            return f"{found} in {size} bytes"
        return None

    def expectation(self) -> str:
        """What is known of it, in words."""
        known = [str(self.checksum)] if self.checksum else []
        return " in ".join(known + ([f"{self.size} bytes"] if self.size is not None else []))


def check_path(path: str, source: str, error: type[DownloadError] = DownloadError) -> None:
    """
    Refuses paths that could lead out of the folder below which they are meant, on any operating system.

    Args:
        path (`str`): The path, as a listing or an archive has it.
        source (`str`): Where it comes from, for the error.
        error (`type`, *optional*, defaults to `DownloadError`): What to raise.

    Raises:
        [`DownloadError`]: if it is not relative, has `..`, `.` or empty parts, `\\`, a drive or control characters.
    """
    if not {"", ".", ".."}.isdisjoint(path.split("/")) or _UNSAFE.search(path):
        raise error(
            source,
            "relative paths that stay below their folder",
            ascii(path),
            "Nothing was written; tell the publisher.",
        )


__all__ = ["PART_SUFFIX", "RECORD_FOLDER", "Checksum", "RemoteFile", "check_path"]
