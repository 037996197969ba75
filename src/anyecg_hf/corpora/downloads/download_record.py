# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What below a corpus's root is known to be right, and the locks that let one process write a file at a time."""

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .download_errors import StoppedError, storing
from .remote_files import RECORD_FOLDER, RemoteFile

logger = logging.getLogger(__name__)

# Files share this many locks, lest a corpus leave one lock file for each of its files.
N_LOCKS = 1024
# How long a thread that waits for another process takes to notice that it is to stop.
LOCK_WAIT_S = 0.5


class VerifiedFiles:
    """
    The files below a root that were verified, so that a later run need not read them all again.

    Kept in one text file to which lines are added: bytes, time of change, checksum or URL, path. A file that was
    touched since then, or of which something else is expected, counts as not verified.

    Args:
        root (`Path`): Folder of the corpus.
    """

    def __init__(self, root: Path):
        self.root = root
        self.path = root / RECORD_FOLDER / "verified.tsv"
        self._entries: dict[str, str] = {}
        self._n_bytes_read = 0
        self._lock = threading.Lock()
        self._may_write = True

    def read(self) -> None:
        """Takes in what was added since the last time, by this process or another."""
        with self._lock, storing(self.path):
            try:
                with open(self.path, "rb") as stream:
                    if stream.seek(0, os.SEEK_END) < self._n_bytes_read:
                        self._forget()
                    stream.seek(self._n_bytes_read)
                    content = stream.read()
            except FileNotFoundError:
                self._forget()
                return
            # Another process may be in the middle of the last line.
            content = content[: content.rfind(b"\n") + 1]
            self._n_bytes_read += len(content)
            for line in content.decode("utf-8", errors="replace").split("\n"):
                entry, _, path = line.rpartition("\t")
                if path:
                    self._entries[path] = entry

    def vouches_for(self, file: RemoteFile) -> bool:
        """Whether the file is there, as it was when it was verified to be `file`."""
        known = self._entries.get(file.path)
        if known is None:
            return False
        try:
            found = self._entry(file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return found == known and (file.size is None or known.split("\t")[0] == str(file.size))

    def add(self, file: RemoteFile) -> None:
        """Notes that the file is there and right."""
        entry = self._entry(file)
        with self._lock:
            self._entries[file.path] = entry
            if not self._may_write:
                return
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with open(self.path, "ab", buffering=0) as stream:
                    # The first line end closes a line that an interrupted process left open.
                    stream.write(f"\n{entry}\t{file.path}\n".encode())
            except OSError as error:
                # Costs only that the files are verified again the next time.
                self._may_write = False
                logger.warning("%s: cannot note what was verified (%s).", self.path, error.strerror)

    def _forget(self) -> None:
        self._n_bytes_read = 0
        self._entries.clear()

    def _entry(self, file: RemoteFile) -> str:
        status = (self.root / file.path).stat()
        return f"{status.st_size}\t{status.st_mtime_ns}\t{file.checksum or file.url}"


@contextmanager
def file_lock(root: Path, path: str, stop: threading.Event) -> Iterator[None]:
    """
    Holds the right to write the file `path` below `root`; waits while another thread or process has it.

    Raises:
        [`StorageError`]: if nothing can be written there.
        [`StoppedError`]: if `stop` is set while it waits.
    """
    folder = root / RECORD_FOLDER / "locks"
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    number = int.from_bytes(hashlib.blake2b(path.encode(), digest_size=2).digest()) % N_LOCKS
    lock = FileLock(folder / f"{number:03x}.lock")
    with storing(folder):
        while not lock.is_locked:
            if stop.is_set():
                raise StoppedError
            with suppress(Timeout):
                lock.acquire(timeout=LOCK_WAIT_S)
    try:
        yield
    finally:
        lock.release()


__all__ = ["VerifiedFiles", "file_lock"]
