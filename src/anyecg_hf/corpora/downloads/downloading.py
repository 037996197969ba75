# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Files of a corpus, from its official site to a folder: resumed, verified, and never half there."""

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from .download_errors import (
    AccessDeniedError,
    DownloadError,
    MissingRemoteFileError,
    StoppedError,
    StorageError,
    storing,
)
from .download_record import VerifiedFiles, file_lock
from .http_transfer import Transfer, open_session
from .remote_files import Checksum, RemoteFile

logger = logging.getLogger(__name__)

# So many files that cannot be had speak of the site rather than of the files.
MAX_FAILURES = 10


class Downloader:
    """
    Fetches files of a corpus into a folder.

    A file appears under its name when all of it is there and agrees with its size and checksum; until then it gathers
    in `<name>.part`, from which the next run goes on. What was verified is noted in `.anyecg-download/`, so that a
    later run looks only at sizes and times of change; a file that was touched is verified again, and a wrong one
    fetched anew. Several processes may fetch into the same folder: they share the work.

    Args:
        root (`Path`): Folder of the corpus; made when the first file comes.
        workers (`int`, *optional*, defaults to 8): Files fetched at a time.
        retries (`int`, *optional*, defaults to 5): Connections in a row that may bring nothing new, after the first.
        timeout_s (`float`, *optional*, defaults to 30.0): To connect, and between any two bytes.
        progress (`bool`, *optional*, defaults to `True`): Whether to show a bar.
        backoff_s (`float`, *optional*, defaults to 1.0): Pause before the second connection; it doubles up to a minute.
        auth (`tuple[str, str]`, *optional*): Name and password for PhysioNet, sent to `https://physionet.org` only. The
            user's netrc counts too, for https.

    Example:

    ```python
    >>> from pathlib import Path
    >>> from anyecg_hf.corpora.downloads.downloading import Downloader
    >>> from anyecg_hf.corpora.downloads.remote_listings import PhysioNetListing

    >>> downloader = Downloader(Path("ludb"))
    >>> files = PhysioNetListing("ludb", "1.0.1", include=("ludb.csv", "data/*")).files(downloader)
    >>> paths = downloader.fetch_all(files, "LUDB")
    ```
    """

    def __init__(
        self,
        root: Path,
        *,
        workers: int = 8,
        retries: int = 5,
        timeout_s: float = 30.0,
        progress: bool = True,
        backoff_s: float = 1.0,
        auth: tuple[str, str] | None = None,
    ):
        if workers < 1 or retries < 0 or timeout_s <= 0 or backoff_s < 0:
            raise ValueError(
                "expected workers >= 1, retries >= 0, timeout_s > 0 and backoff_s >= 0, "
                f"found {workers}, {retries}, {timeout_s} and {backoff_s}."
            )
        self.root = Path(root)
        self._workers = workers
        self._progress = progress
        self._patience = {"retries": retries, "timeout_s": timeout_s, "backoff_s": backoff_s}
        self._auth = auth
        self._verified = VerifiedFiles(self.root)
        self._transfer = partial(Transfer, open_session(workers), auth=auth, **self._patience)

    # Connections and locks stay with their process.
    def __reduce__(self):
        settings = {"workers": self._workers, "progress": self._progress, "auth": self._auth, **self._patience}
        return partial(Downloader, **settings), (self.root,)

    def fetch(self, file: RemoteFile) -> Path:
        """
        Fetches one file; returns at once where it is there and verified.

        Args:
            file ([`RemoteFile`]): What to fetch.

        Returns:
            `Path`: where it lies.

        Raises:
            [`DownloadError`]: naming the URL or file, what was expected, what was found, and what to do.
        """
        return self.fetch_all([file], file.path.rpartition("/")[2])[0]

    def fetch_all(self, files: Iterable[RemoteFile], description: str) -> list[Path]:
        """
        Fetches many files at a time. One that cannot be had does not keep the others from coming, unless the site
        denies access, the disk refuses, or ten have failed.

        Args:
            files (`Iterable[RemoteFile]`): What to fetch.
            description (`str`): What the bar says.

        Returns:
            `list[Path]`: where they lie, in the order of `files`.

        Raises:
            [`DownloadError`]: naming those that could not be had; what was fetched is kept.
        """
        files = list(files)
        self._verified.read()
        unique = _unique(files)
        waiting = [file for file in unique if not self._verified.vouches_for(file)]
        if waiting:
            with _Bar(unique, waiting, description, self._progress) as bar:
                self._in_threads(waiting, partial(self._obtain, bar=bar))
        return [self.root / file.path for file in files]

    def _obtain(self, file: RemoteFile, stop: threading.Event, bar: "_Bar") -> None:
        target = self.root / file.path
        n_bytes = self._n_bytes_verified(file, target)
        if n_bytes is not None:
            bar.add_bytes(n_bytes)
        else:
            with file_lock(self.root, file.path, stop):
                self._fetch_locked(file, target, stop, bar)
        bar.add_file()

    def _fetch_locked(self, file: RemoteFile, target: Path, stop: threading.Event, bar: "_Bar") -> None:
        if target.is_file():
            # Another process may have brought it while this one waited for the lock.
            self._verified.read()
            if self._verified.vouches_for(file) or self._n_bytes_verified(file, target) is not None:
                bar.add_bytes(target.stat().st_size)
                return
            if file.is_checkable:
                logger.warning("%s: not %s as expected; fetching it anew.", target, file.expectation())
                with storing(target):
                    target.unlink()
        self._transfer(stop=stop).run(file, target, bar.add_bytes)
        self._verified.add(file)

    def _n_bytes_verified(self, file: RemoteFile, target: Path) -> int | None:
        """Size of the file on disk if it is there and right."""
        if not file.is_checkable or not target.is_file():
            return None
        with storing(target):
            if file.mismatch(target) is not None:
                return None
        self._verified.add(file)
        return target.stat().st_size

    def _in_threads(self, files: list[RemoteFile], work: Callable[[RemoteFile, threading.Event], None]) -> None:
        remaining, lock, stop = iter(files), threading.Lock(), threading.Event()
        failures: list[DownloadError] = []

        def pull() -> None:
            while not stop.is_set():
                with lock:
                    file = next(remaining, None)
                if file is None:
                    return
                try:
                    work(file, stop)
                except StoppedError:
                    return
                except DownloadError as error:
                    failures.append(error)
                    if _is_final(error) or len(failures) >= MAX_FAILURES:
                        stop.set()
                except BaseException:
                    stop.set()
                    raise

        with ThreadPoolExecutor(self._workers) as pool:
            futures = [pool.submit(pull) for _ in range(min(self._workers, len(files)))]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                stop.set()
                raise
        _raise_failures(failures, len(files), self.root)


class _Bar:
    """One bar for all threads: in bytes where all sizes are known, else in files."""

    def __init__(self, files: list[RemoteFile], waiting: list[RemoteFile], description: str, is_shown: bool):
        self._is_in_bytes = all(file.size is not None for file in files)
        self._lock = threading.Lock()
        total, rest = (
            (sum(file.size for file in some) if self._is_in_bytes else len(some)) for some in (files, waiting)
        )
        style = {"unit": "B", "unit_scale": True, "unit_divisor": 1024} if self._is_in_bytes else {"unit": "file"}
        self._bar = tqdm(total=total, initial=total - rest, desc=description, disable=not is_shown, **style)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()

    def add_bytes(self, n_bytes: int) -> None:
        if self._is_in_bytes:
            with self._lock:
                self._bar.update(n_bytes)

    def add_file(self) -> None:
        if not self._is_in_bytes:
            with self._lock:
                self._bar.update()


def _unique(files: list[RemoteFile]) -> list[RemoteFile]:
    by_path: dict[str, RemoteFile] = {}
    for file in files:
        other = by_path.setdefault(file.path, file)
        if other != file:
            raise DownloadError(file.path, "one file for it", f"two that differ, {other.url} and {file.url}")
    return list(by_path.values())


def _is_final(error: DownloadError) -> bool:
    """Whether the other files would meet the same."""
    return isinstance(error, (AccessDeniedError, StorageError))


def _raise_failures(failures: list[DownloadError], n_files: int, root: Path) -> None:
    if not failures:
        return
    failures = sorted(failures, key=_is_final, reverse=True)
    if len(failures) == 1 or _is_final(failures[0]):
        raise failures[0]
    shown = "\n  ".join(str(failure) for failure in failures[:3])
    raise DownloadError(
        root,
        f"{n_files} files",
        f"{len(failures)} that could not be had",
        f"What was fetched is kept. The first of them:\n  {shown}",
    ) from failures[0]


__all__ = [
    "AccessDeniedError",
    "Checksum",
    "DownloadError",
    "Downloader",
    "MissingRemoteFileError",
    "RemoteFile",
    "StorageError",
]
