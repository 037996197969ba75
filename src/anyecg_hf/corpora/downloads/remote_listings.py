# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which files a corpus has on PhysioNet, Zenodo or figshare, where they are, and their checksums.

A mirror answers the paths that the official sites answer: `<mirror>/physionet/<slug>/<version>/...` for
`https://physionet.org/files`, `<mirror>/zenodo/records/...` for `https://zenodo.org/api`, and
`<mirror>/figshare/{collections,articles,files}/...` for `https://api.figshare.com/v2` and `https://ndownloader.figshare.com`.
It is named by the environment variable `ANYECG_CORPORA_MIRROR`; `base_url` names a replacement for one site and wins.
"""

import fnmatch
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from ...records import RecordError
from ...records.wfdb_header import NULL_NAME, parse_header
from .download_errors import DownloadError, MissingRemoteFileError
from .downloading import Downloader
from .remote_files import Checksum, RemoteFile

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "ANYECG_CORPORA_MIRROR"
PHYSIONET_URL = "https://physionet.org/files"
ZENODO_URL = "https://zenodo.org/api"
FIGSHARE_URL = "https://api.figshare.com/v2"
# The most that figshare gives at a time; it gives 10 where nothing is asked.
FIGSHARE_PAGE_SIZE = 1000
_FIGSHARE_FILE_KEYS = ("id", "name", "size", "download_url")

# PhysioNet writes one space, sha256sum two, or one and `*`.
_SUM_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(?:\./)?(.+)")

Parsed = TypeVar("Parsed")


class RemoteListing(Protocol):
    """Knows which files a corpus has on its official site."""

    def files(self, downloader: Downloader) -> list[RemoteFile]:
        """
        Lists the files, in the order of the site.

        Args:
            downloader ([`Downloader`]): Fetches the site's index into the corpus's root, once.

        Returns:
            `list[RemoteFile]`

        Raises:
            [`DownloadError`]: if the index cannot be had or is none, or lists no file that is asked for.
        """


@dataclass(frozen=True)
class PhysioNetListing:
    """
    Files of a PhysioNet project, with the checksums of its `SHA256SUMS.txt`.

    A project or mirror without that file is listed by its `RECORDS`: headers, the files that these name, and the
    annotators of `ANNOTATORS`. Nothing of it can be verified, which a warning says.

    Args:
        slug (`str`): Name of the project in its URL.
        version (`str`): Version of the project.
        include (`tuple[str, ...]`): Patterns of paths, in which `*` stands for `/` too.
        base_url (`str`, *optional*): In place of `https://physionet.org/files`.
    """

    slug: str
    version: str
    include: tuple[str, ...] = ("*",)
    base_url: str | None = None

    def files(self, downloader: Downloader) -> list[RemoteFile]:
        """Lists the files. See [`RemoteListing.files`]."""
        index = self._file("SHA256SUMS.txt")
        try:
            sums = _read_index(downloader, index, _parse_sums)
        except MissingRemoteFileError:
            logger.warning(
                "%s: there is none. The files are found through RECORDS, and none of them can be verified.", index.url
            )
            paths = dict.fromkeys(self._recorded_paths(downloader))
            return _selected(map(self._file, filter(self._is_wanted, paths)), self.include, self._url("RECORDS"))
        wanted = (self._file(path, checksum) for path, checksum in sums if self._is_wanted(path))
        return _selected(wanted, self.include, index.url)

    def _url(self, path: str) -> str:
        base = _base_url(self.base_url, "physionet", PHYSIONET_URL)
        return f"{base}/{quote(f'{self.slug}/{self.version}/{path}')}"

    def _file(self, path: str, checksum: Checksum | None = None) -> RemoteFile:
        return RemoteFile(path, self._url(path), checksum=checksum)

    def _recorded_paths(self, downloader: Downloader) -> Iterator[str]:
        literal = [pattern for pattern in self.include if not set("*?[") & set(pattern)]
        annotators = self._annotators(downloader)
        yield from literal
        records = [record for record in self._records(downloader) if self._is_wanted(f"{record}.hea")]
        seen: set[str] = set()
        while records := [record for record in records if record not in seen]:
            seen.update(records)
            headers = downloader.fetch_all([self._file(f"{record}.hea") for record in records], "headers")
            segments: list[str] = []
            for record, header in zip(records, headers, strict=True):
                folder = record.rpartition("/")[0]
                named = _names_in_header(header)
                yield f"{record}.hea"
                yield from (_joined(folder, name) for name in named.files)
                yield from (f"{record}.{annotator}" for annotator in annotators)
                segments += [_joined(folder, name) for name in named.segments]
            records = list(dict.fromkeys(segments))

    def _is_wanted(self, path: str) -> bool:
        return bool(_hits(path, self.include))

    def _records(self, downloader: Downloader, folder: str = "") -> Iterator[str]:
        """Records of a folder; a line that ends in `/` is a folder with a list of its own."""
        for line in _read_index(downloader, self._file(f"{folder}RECORDS"), _parse_lines):
            if line.endswith("/"):
                yield from self._records(downloader, folder + line)
            else:
                yield folder + line

    def _annotators(self, downloader: Downloader) -> list[str]:
        try:
            lines = _read_index(downloader, self._file("ANNOTATORS"), _parse_lines)
        except MissingRemoteFileError:
            return []
        return [line.split()[0] for line in lines]


@dataclass(frozen=True)
class ZenodoListing:
    """
    Files of a Zenodo record, with sizes and checksums.

    Args:
        record_id (`int`): Number of the record, of one version.
        include (`tuple[str, ...]`): Patterns of file names.
        base_url (`str`, *optional*): In place of `https://zenodo.org/api`.
    """

    record_id: int
    include: tuple[str, ...] = ("*",)
    base_url: str | None = None

    def files(self, downloader: Downloader) -> list[RemoteFile]:
        """Lists the files. See [`RemoteListing.files`]."""
        base = _base_url(self.base_url, "zenodo", ZENODO_URL)
        index = RemoteFile(f"zenodo_{self.record_id}.json", f"{base}/records/{self.record_id}")
        return _selected(_read_index(downloader, index, self._parse), self.include, index.url)

    def _parse(self, text: str) -> list[RemoteFile]:
        base = _base_url(self.base_url, "zenodo", ZENODO_URL)
        files = []
        for entry in json.loads(text)["files"]:
            # The links in a mirrored answer still lead to Zenodo.
            url = f"{base}/records/{self.record_id}/files/{quote(entry['key'])}/content"
            if base == ZENODO_URL:
                url = entry["links"]["self"]
            algorithm, _, digest = entry["checksum"].rpartition(":")
            files.append(RemoteFile(entry["key"], url, entry["size"], Checksum(algorithm or "md5", digest)))
        return files


@dataclass(frozen=True)
class FigshareListing:
    """
    Files of all articles of a figshare collection, with sizes and checksums.

    Args:
        collection_id (`int`): Number of the collection.
        include (`tuple[str, ...]`): Patterns of file names.
        base_url (`str`, *optional*): In place of `https://api.figshare.com/v2`, and of the host of the files.
    """

    collection_id: int
    include: tuple[str, ...] = ("*",)
    base_url: str | None = None

    def files(self, downloader: Downloader) -> list[RemoteFile]:
        """Lists the files. See [`RemoteListing.files`]."""
        listed = f"collections/{self.collection_id}/articles"
        files: list[RemoteFile] = []
        for article in self._entries(downloader, listed, ("id",)):
            # The article's own entry holds its first ten files only.
            entries = self._entries(downloader, f"articles/{article['id']}/files", _FIGSHARE_FILE_KEYS)
            files += [self._file(entry) for entry in entries if not entry.get("is_link_only")]
        return _selected(files, self.include, f"{self._base()}/{listed}")

    def _file(self, entry: dict[str, Any]) -> RemoteFile:
        url = entry["download_url"] if self._base() == FIGSHARE_URL else f"{self._base()}/files/{entry['id']}"
        digest = entry.get("computed_md5") or entry.get("supplied_md5")
        return RemoteFile(entry["name"], url, entry["size"], Checksum("md5", digest) if digest else None)

    def _base(self) -> str:
        return _base_url(self.base_url, "figshare", FIGSHARE_URL)

    def _entries(self, downloader: Downloader, path: str, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Entries of all pages. A mirror of plain files may give the same page for every number."""
        seen: set[int] = set()
        page, is_last = 1, False
        while not is_last:
            url = f"{self._base()}/{path}?page={page}&page_size={FIGSHARE_PAGE_SIZE}"
            file = RemoteFile(f"figshare_{self.collection_id}/{path.replace('/', '_')}_{page}.json", url)
            entries = _read_index(downloader, file, partial(_parse_entries, keys=keys))
            fresh = [entry for entry in entries if entry["id"] not in seen]
            yield from fresh
            seen.update(entry["id"] for entry in fresh)
            is_last = not fresh or len(entries) < FIGSHARE_PAGE_SIZE
            page += 1


@dataclass(frozen=True)
class _HeaderNames:
    """Signal files and records that a header names."""

    files: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()


def _names_in_header(path: Path) -> _HeaderNames:
    try:
        header = parse_header(path)
    except RecordError as error:
        # One record of many; whoever reads the corpus meets its header again and reports it.
        logger.warning("%s Its signal files are not fetched.", error)
        return _HeaderNames()
    return _HeaderNames(
        tuple(name for name in header.signal_files() if name != NULL_NAME),
        tuple(segment.name for segment in header.segments if segment.name != NULL_NAME),
    )


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _base_url(base_url: str | None, site: str, official: str) -> str:
    mirror = os.environ.get(MIRROR_VARIABLE)
    return (base_url or (f"{mirror.rstrip('/')}/{site}" if mirror else official)).rstrip("/")


def _read_index(downloader: Downloader, file: RemoteFile, parse: Callable[[str], Parsed]) -> Parsed:
    """What an index says. One that says nothing is removed, so that the next run does not find it again."""
    path = downloader.fetch(file)
    try:
        return parse(path.read_text(encoding="utf-8"))
    except DownloadError:
        path.unlink()
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        path.unlink()
        raise DownloadError(
            file.url, "a list of files", f"something else ({type(error).__name__}: {error})", "Look at it in a browser."
        ) from error


def _parse_sums(text: str) -> list[tuple[str, Checksum]]:
    sums = []
    for line in _parse_lines(text):
        match = _SUM_LINE.fullmatch(line)
        if not match:
            raise ValueError(f"no line of a checksum and a path: {line[:80]!r}")
        sums.append((match[2], Checksum("sha256", match[1])))
    return sums


def _parse_lines(text: str) -> list[str]:
    # Not `splitlines`, which splits paths at rare characters.
    lines = [line for line in (line.strip(" \t\r") for line in text.split("\n")) if line]
    if not lines:
        raise ValueError("no lines")
    if lines[0].startswith("<"):
        raise ValueError(f"a web page: {lines[0][:80]!r}")
    return lines


def _parse_entries(text: str, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise ValueError(f"no list, but {text[:80]!r}")
    for entry in entries:
        if missing := [key for key in keys if key not in entry]:
            raise ValueError(f"an entry without {', '.join(missing)}")
    return entries


def _hits(path: str, include: tuple[str, ...]) -> list[str]:
    return [pattern for pattern in include if fnmatch.fnmatchcase(path, pattern)]


def _selected(files: Iterable[RemoteFile], include: tuple[str, ...], source: str) -> list[RemoteFile]:
    """Files that match a pattern, each path once."""
    chosen: dict[str, RemoteFile] = {}
    used: set[str] = set()
    for file in files:
        if hits := _hits(file.path, include):
            used.update(hits)
            other = chosen.setdefault(file.path, file)
            if other != file and (file.checksum is None or other.checksum != file.checksum):
                raise DownloadError(source, f"one file {file.path!r}", f"two that differ, {other.url} and {file.url}")
    if not chosen:
        raise DownloadError(source, f"files like {', '.join(include)}", "none", "Check the version of the corpus.")
    if unused := [pattern for pattern in include if pattern not in used]:
        logger.warning("%s: no file like %s.", source, ", ".join(unused))
    return list(chosen.values())


__all__ = ["FigshareListing", "PhysioNetListing", "RemoteListing", "ZenodoListing"]
