# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""NumPy files: `.npy` with the signal alone, `.npz` with rate, leads, unit and patient beside it."""

import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import RecordError
from .formats import ReadOptions, RecordFormat, check_expansion, read_head, warn
from .record import shape_mismatch
from .source import ArraySource
from .stated_fields import FIELD_NAMES, StatedFields, as_plain

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\x03\x04"
_SIGNAL = "signal"
# NumPy parses an array's header as Python. CPython before 3.11.8 (gh-106905) may fail where two threads parse at once,
# and `datasets` reads the shards of a shuffled stream in threads.
_HEADERS = threading.Lock()


@dataclass(frozen=True)
class _Contents:
    """The signal of a file, and what it states beside it."""

    signal: np.ndarray
    stated: StatedFields


def _members(path: Path) -> list[str] | None:
    """Names in a ZIP archive; `None` if it is broken."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return None


def _recognises(path: Path, head: bytes) -> bool:
    if not head.startswith(_ZIP_MAGIC):
        return head.startswith(_NPY_MAGIC)
    members = _members(path)
    return path.suffix == ".npz" if members is None else any(name.endswith(".npy") for name in members)


def _select(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if _holds_signal(path)]


def _holds_signal(path: Path) -> bool:
    head = read_head(path)
    if head.startswith(_NPY_MAGIC):
        return True
    if not _recognises(path, head):
        return False
    members = _members(path)
    return members is None or f"{_SIGNAL}.npy" in members  # reading a broken one will say what is wrong


def _open(path: Path, options: ReadOptions) -> ArraySource:
    contents = _load(path)
    signal, stated = contents.signal, contents.stated
    if signal.dtype.kind not in "fiu":
        raise RecordError(path, "a signal of real numbers", f"dtype {signal.dtype}")
    rate = options.resolve_sampling_rate(path, stated.sampling_rate)
    names = options.resolve_lead_names(path, stated.lead_names)
    unit = options.resolve_unit(path, stated.unit)
    if signal.ndim == 1 and len(names) == 1:
        signal = signal[None]
    mismatch = shape_mismatch(signal.shape, len(names))
    if mismatch:
        raise RecordError(path, mismatch.expected, mismatch.found, mismatch.advice)
    return ArraySource(
        signal,
        units=(unit,) * len(names),
        sampling_rate=rate,
        lead_names=names,
        facts=stated.facts(record_id=path.stem, source=str(path)),
    )


def _load(path: Path) -> _Contents:
    try:
        # An `.npy` file is mapped into memory: pieces are read when they are asked for.
        with _HEADERS:
            loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _Contents(loaded, StatedFields(path, {}))
        with loaded as archive:
            return _contents_of(path, archive)
    except RecordError:
        raise
    except Exception as error:  # numpy, zipfile, zlib and tokenize each bring errors of their own
        raise RecordError(
            path, "a whole NumPy file without pickled objects", f"{type(error).__name__}: {error}"
        ) from error


def _contents_of(path: Path, archive: "np.lib.npyio.NpzFile") -> _Contents:
    members = archive.zip.namelist()
    read = [name for name in (_SIGNAL, *FIELD_NAMES) if f"{name}.npy" in members]
    if _SIGNAL not in read:
        found = sorted(name.removesuffix(".npy") for name in members)
        raise RecordError(path, f"an array {_SIGNAL!r} (and sampling_rate, lead_names, unit)", f"{found}")
    unread = sorted({name.removesuffix(".npy") for name in members} - set(read))
    if unread:
        warn(path, f"arrays not read: {', '.join(unread)}.")
    stated = {name: as_plain(_array(path, archive, name)) for name in read if name != _SIGNAL}
    return _Contents(_array(path, archive, _SIGNAL), StatedFields(path, stated))


def _array(path: Path, archive: "np.lib.npyio.NpzFile", name: str) -> np.ndarray:
    info = archive.zip.getinfo(f"{name}.npy")
    check_expansion(path, f"an array {name!r}", info.file_size, info.compress_size)
    with _HEADERS:
        array = archive[info.filename]
    if not isinstance(array, np.ndarray):  # numpy gives the bytes of whatever else there is
        raise RecordError(path, f"an array {name!r}", "other data")
    return array


NUMPY = RecordFormat(name="NumPy", suffixes=(".npy", ".npz"), recognises=_recognises, open=_open, select=_select)

__all__ = ["NUMPY"]
