# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Zip and tar archives: checked to the last entry before the first is written, and unpacked where a file is missing."""

import json
import lzma
import os
import posixpath
import shutil
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .download_errors import ArchiveError, storing
from .download_record import file_lock
from .remote_files import RECORD_FOLDER, check_path

CHUNK_BYTES = 1 << 20

_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_MAX_LINK_BYTES = 4096
_UNTOUCHED = "Nothing was written."
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, UnicodeDecodeError),
)


@dataclass(frozen=True)
class _Entry:
    """A file in an archive: `size` in bytes, or `link`, the path in the archive that it leads to."""

    path: str
    size: int = 0
    link: str | None = None


def extract(archive: Path, destination: Path) -> Path:
    """
    Unpacks a zip or tar archive (tar plain or compressed by gzip, bzip2 or xz).

    All entries are checked before anything is written. Links become copies of the files that they lead to. What an
    archive holds is noted in `.anyecg-download/`: another call writes only files that are missing or of another size. A
    changed archive is unpacked anew.

    Args:
        archive (`Path`): The archive.
        destination (`Path`): Folder below which its files go; made if need be.

    Returns:
        `Path`: the folder.

    Raises:
        [`ArchiveError`]: if it is damaged or encrypted, holds paths or links that lead outside, devices or a path
            twice, or would need more room than there is.
        [`StorageError`]: if the folder cannot be written.
    """
    archive, destination = Path(archive), Path(destination)
    if not archive.is_file():
        raise ArchiveError(archive, "an archive", "no such file")
    marker = destination / RECORD_FOLDER / f"{archive.name}.json"
    sizes = _noted_sizes(archive, marker)
    if sizes is None or _missing(sizes, destination):
        with file_lock(destination, marker.name, threading.Event()), _open(archive) as reader:
            entries = _checked(archive, reader, destination)
            if _noted_sizes(archive, marker) is None:
                _begin(archive, entries, destination, marker)
            _unpack(reader, entries, destination, marker.with_suffix(".part"))
    return destination


def _noted_sizes(archive: Path, marker: Path) -> dict[str, int] | None:
    """Bytes of each file in the archive, if it was unpacked before as it is now, be it in part."""
    try:
        noted = json.loads(marker.read_text(encoding="utf-8"))
        return noted["files"] if noted["archive"] == _identity(archive) else None
    except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError):
        return None


def _identity(archive: Path) -> list[int]:
    status = archive.stat()
    return [status.st_size, status.st_mtime_ns]


def _missing(sizes: dict[str, int], destination: Path) -> set[str]:
    """Paths that are not there in their full size."""
    return {path for path, size in sizes.items() if _size_on_disk(destination / path) != size}


def _size_on_disk(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _checked(archive: Path, reader: "_Reader", destination: Path) -> dict[str, _Entry]:
    """Entries by path, links resolved to the file they lead to, if nothing speaks against unpacking them."""
    entries: dict[str, _Entry] = {}
    n_bytes, n_free = 0, _n_bytes_free(destination)
    for entry in reader.entries():
        check_path(entry.path, str(archive), ArchiveError)
        if entry.path.split("/")[0].casefold() == RECORD_FOLDER:
            raise ArchiveError(archive, f"no files in {RECORD_FOLDER}/", entry.path, _UNTOUCHED)
        if entry.path in entries:
            raise ArchiveError(archive, "each path once", f"{entry.path!r} twice", _UNTOUCHED)
        n_bytes += entry.size - (_size_on_disk(destination / entry.path) or 0)
        if n_bytes > n_free:
            room = f"files for the {n_free} bytes that are free"
            raise ArchiveError(archive, room, f"at least {n_bytes} bytes", _UNTOUCHED)
        entries[entry.path] = entry
    if not entries:
        raise ArchiveError(archive, "at least one file", "none")
    return {path: _resolved(archive, entry, entries) for path, entry in entries.items()}


def _n_bytes_free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _resolved(archive: Path, entry: _Entry, entries: dict[str, _Entry]) -> _Entry:
    target = entry
    # No chain is longer than the archive, unless it is a circle.
    for _ in entries:
        if target.link is None:
            return entry if target is entry else _Entry(entry.path, target.size, target.path)
        target = entries.get(target.link, target)
    raise ArchiveError(archive, "links to files of the archive", f"{entry.path!r} to {entry.link!r}", _UNTOUCHED)


def _begin(archive: Path, entries: dict[str, _Entry], destination: Path, marker: Path) -> None:
    # Files from elsewhere must not pass for files of this archive when it is unpacked in part.
    for path in entries:
        with storing(destination / path):
            if _size_on_disk(destination / path) is not None:
                (destination / path).unlink()
    noted = {"archive": _identity(archive), "files": {path: entry.size for path, entry in entries.items()}}
    with storing(marker):
        marker.write_text(json.dumps(noted), encoding="utf-8")


def _unpack(reader: "_Reader", entries: dict[str, _Entry], destination: Path, part: Path) -> None:
    missing = _missing({path: entry.size for path, entry in entries.items()}, destination)
    for path, stream in reader.contents({path for path in missing if entries[path].link is None}):
        _write(reader, stream, entries[path], destination, part)
    for path in sorted(missing):
        if entries[path].link is not None:
            with storing(destination / path):
                shutil.copyfile(destination / entries[path].link, part)
                _move(part, destination / path)


def _write(reader: "_Reader", stream: IO[bytes], entry: _Entry, destination: Path, part: Path) -> None:
    n_bytes = 0
    with storing(part), open(part, "wb") as written:
        while chunk := reader.read(stream):
            n_bytes += len(chunk)
            if n_bytes > entry.size:
                break
            written.write(chunk)
    if n_bytes != entry.size:
        part.unlink()
        found = f"{'more than ' if n_bytes > entry.size else ''}{n_bytes}"
        raise ArchiveError(reader.path, f"{entry.size} bytes of {entry.path!r}, as it says", found)
    with storing(destination / entry.path):
        _move(part, destination / entry.path)


def _move(part: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part, target)


class _Reader(ABC):
    """What zip and tar archives have in common."""

    def __init__(self, path: Path):
        self.path = path

    @abstractmethod
    def entries(self) -> Iterator[_Entry]:
        """All files and links, folders left out; reads the archive to its end."""

    @abstractmethod
    def contents(self, paths: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """Paths and streams of some files, in the order of the archive."""

    def read(self, stream: IO[bytes]) -> bytes:
        with _finding_damage(self.path):
            return stream.read(CHUNK_BYTES)

    def _refuse(self, path: str, kind: str) -> ArchiveError:
        return ArchiveError(self.path, "files, folders and links", f"{kind}, {path!r}", _UNTOUCHED)

    def _linked(self, path: str, target: str) -> _Entry:
        """A link, its target relative to the archive's root."""
        inside = posixpath.normpath(target)
        if inside.startswith(("/", "../")) or inside == "..":
            raise ArchiveError(self.path, "links that stay inside", f"{path!r} to {target!r}", _UNTOUCHED)
        return _Entry(path, link=inside)


class _ZipReader(_Reader):
    def __init__(self, path: Path, opened: zipfile.ZipFile):
        super().__init__(path)
        self._zip = opened

    def entries(self) -> Iterator[_Entry]:
        for info in self._zip.infolist():
            path, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 1:
                raise self._refuse(path, "an encrypted file")
            if info.is_dir():
                check_path(path.rstrip("/"), str(self.path), ArchiveError)
            elif kind == stat.S_IFLNK:
                yield self._linked(path, posixpath.join(posixpath.dirname(path), self._link_target(info)))
            elif kind in (0, stat.S_IFREG):
                yield _Entry(path, info.file_size)
            else:
                raise self._refuse(path, "a device")

    def contents(self, paths: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
        for info in self._zip.infolist():
            if info.filename in paths:
                with _finding_damage(self.path):
                    stream = self._zip.open(info)
                with stream:
                    yield info.filename, stream

    def _link_target(self, info: zipfile.ZipInfo) -> str:
        if info.file_size > _MAX_LINK_BYTES:
            raise self._refuse(info.filename, "a link that is too long")
        with _finding_damage(self.path):
            return self._zip.read(info).decode("utf-8")


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a damaged or missing header for the end of the archive, and so would lose the rest."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"no header or end mark at byte {tar.offset}") from error


class _TarReader(_Reader):
    def __init__(self, path: Path, opened: tarfile.TarFile):
        super().__init__(path)
        self._tar = opened

    def entries(self) -> Iterator[_Entry]:
        for member in self._members():
            path = _tar_path(member)
            if member.issym():
                yield self._linked(path, posixpath.join(posixpath.dirname(path), member.linkname))
            elif member.islnk():
                yield self._linked(path, member.linkname)
            elif member.isreg() and not member.issparse():
                yield _Entry(path, member.size)
            elif not member.isdir():
                raise self._refuse(path, "a sparse file" if member.isreg() else "a device")
            elif path != ".":
                check_path(path, str(self.path), ArchiveError)
        with _finding_damage(self.path):
            # The checksum of a compressed archive lies at its end.
            while self._tar.fileobj.read(CHUNK_BYTES):
                pass

    def contents(self, paths: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
        for member in self._members():
            if _tar_path(member) in paths:
                yield _tar_path(member), self._tar.extractfile(member)

    def _members(self) -> Iterator[tarfile.TarInfo]:
        members = iter(self._tar)
        while True:
            with _finding_damage(self.path):
                member = next(members, None)
            if member is None:
                return
            yield member


def _tar_path(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./").rstrip("/") or "."


@contextmanager
def _finding_damage(archive: Path) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGE, OSError) as error:
        # gzip and bzip2 report damage as errors of the system, but without its number.
        if isinstance(error, OSError) and (isinstance(error, ArchiveError) or error.errno is not None):
            raise
        found = f"damage ({str(error) or type(error).__name__})"
        raise ArchiveError(archive, "a complete archive", found, "Remove it and fetch it again.") from error


@contextmanager
def _open(archive: Path) -> Iterator[_Reader]:
    with open(archive, "rb") as stream:
        is_zip = stream.read(4) in _ZIP_STARTS
    reader = _ZipReader if is_zip else _TarReader
    with _finding_damage(archive):
        opened = zipfile.ZipFile(archive) if is_zip else tarfile.open(archive, tarinfo=_StrictTarInfo)
    with opened:
        yield reader(archive, opened)


__all__ = ["extract"]
