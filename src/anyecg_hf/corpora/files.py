# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`CorpusFiles`: the files of a corpus, in a local folder or still to be fetched."""

import fnmatch
import glob
import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .downloads.downloading import Downloader, RemoteFile
from .errors import CorpusError


@dataclass(frozen=True)
class CorpusFiles:
    """
    Names of the files of a corpus. They look the same whether the files are here or not; `local` fetches what is not.

    Args:
        root (`Path`): The folder that holds them.
        paths (`tuple[str, ...]`): POSIX paths below it, sorted.
        remote (`dict[str, RemoteFile]`, *optional*): Where to fetch a path from, if it is not here.
        above (`dict[str, Path]`, *optional*): Tables in the folders above, by name.
        fingerprint (`str`, *optional*): Changes when a file does.
        n_bytes (`int`, *optional*): Size of all files, as far as they are here.
    """

    root: Path
    paths: tuple[str, ...]
    remote: dict[str, RemoteFile] = field(default_factory=dict)
    above: dict[str, Path] = field(default_factory=dict)
    fingerprint: str = ""
    n_bytes: int = 0

    @classmethod
    def of_folder(cls, root: Path, tables: Iterable[str] = ()) -> "CorpusFiles":
        """
        Lists a folder with all its sub-folders, linked ones too; hidden ones are passed over.

        Args:
            root (`Path`): The folder.
            tables (`Iterable[str]`, *optional*): Names of tables that may lie up to two folders above it.

        Returns:
            [`CorpusFiles`]

        Raises:
            [`CorpusError`]: if it is not a folder, or one of its sub-folders cannot be listed.
        """
        if not root.is_dir():
            raise CorpusError(root, "a folder with the records of a corpus", "no folder", "Check `data_dir`.")
        found = [(path.relative_to(root).as_posix(), path) for path in _files_below(root)]
        above = dict(_tables_above(root, tables))
        digest, n_bytes = hashlib.sha256(), 0
        for relative, path in (*sorted(found), *sorted(above.items())):
            status = _status(path)
            digest.update(f"{relative}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
            n_bytes += status.st_size
        paths = tuple(sorted(relative for relative, _ in found))
        return cls(root, paths, above=above, fingerprint=digest.hexdigest(), n_bytes=n_bytes)

    @classmethod
    def of_remote(cls, root: Path, remote: Sequence[RemoteFile]) -> "CorpusFiles":
        """Files that are fetched into `root` when they are asked for."""
        listed = {file.path: file for file in remote}
        stated = "\n".join(f"{file.path} {file.url} {file.checksum}" for file in remote)
        digest = hashlib.sha256(stated.encode()).hexdigest()
        return cls(root, tuple(sorted(listed)), remote=listed, fingerprint=digest)

    def matching(self, pattern: str) -> list[str]:
        """Paths whose last part matches a pattern such as `"A????.hea"`, in order."""
        matches = re.compile(fnmatch.translate(pattern)).match
        return [path for path in self.paths if matches(path.rpartition("/")[2])]

    @cached_property
    def by_stem(self) -> dict[str, tuple[str, ...]]:
        """Paths by the path without suffix."""
        found: dict[str, list[str]] = {}
        for path in self.paths:
            found.setdefault(posixpath.splitext(path)[0], []).append(path)
        return {stem: tuple(paths) for stem, paths in found.items()}

    def table(self, name: str) -> Path | None:
        """
        A table of the corpus, fetched if need be.

        Args:
            name (`str`): Its file name.

        Returns:
            `Path` or `None`: the one that lies highest, but those among the files before those above them.
        """
        found = self.matching(glob.escape(name))
        return self.local(min(found, key=lambda path: path.count("/"))) if found else self.above.get(name)

    def local(self, path: str) -> Path:
        """
        A file on this machine, fetched if need be.

        Args:
            path (`str`): One of `paths`.

        Returns:
            `Path`

        Raises:
            [`DownloadError`]: if it cannot be fetched.
        """
        self.fetch([path])
        return self.root / path

    def local_record(self, stem: str) -> Path:
        """A WFDB record on this machine, header and signal files fetched if need be; its path without suffix."""
        self.fetch(self.by_stem.get(stem, ()))
        return self.root / stem

    def for_reading(self) -> "CorpusFiles":
        """The same without the list of paths where nothing has to be fetched: light enough for worker processes."""
        return self if self.remote else CorpusFiles(self.root, (), fingerprint=self.fingerprint)

    def fetch(self, paths: Iterable[str]) -> None:
        """Fetches those of the paths that are not here."""
        wanted = [self.remote[path] for path in paths if path in self.remote]
        for file in wanted:
            self._downloader.fetch(file)

    @cached_property
    def _downloader(self) -> Downloader:
        return Downloader(self.root, progress=False)


def _files_below(root: Path) -> Iterator[Path]:
    walked: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_refuse):
        status = os.stat(folder)
        identity = status.st_dev, status.st_ino
        # A link may lead back up.
        if identity in walked:
            folders.clear()
            continue
        walked.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in names)


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:  # a link without its file, which is listed: whoever reads it says what is missing
        return path.lstat()


def _refuse(error: OSError) -> None:
    raise CorpusError(error.filename, "a folder that can be listed", str(error.strerror)) from error


def _tables_above(root: Path, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for name in names:
        # The last one wins in a dictionary: the nearest.
        for folder in reversed(root.absolute().parents[:2]):
            if (folder / name).is_file():
                yield name, folder / name


__all__ = ["CorpusFiles"]
