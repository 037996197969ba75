# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`read_record`, `open_record` and `find_records`: from a path to a record, and from folders and globs to paths."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .csv_reader import CSV
from .edf_reader import EDF
from .errors import MissingFileError, RecordError, UnknownFormatError
from .formats import ReadOptions, RecordFormat, read_head
from .numpy_reader import NUMPY
from .record import ECGRecord
from .source import RecordSource
from .wfdb_reader import WFDB, find_header

# Asked in this order: a format that any text could pass for comes last.
FORMATS: tuple[RecordFormat, ...] = (NUMPY, EDF, WFDB, CSV)


def read_record(
    path: str | os.PathLike,
    *,
    sampling_rate: float | None = None,
    lead_names: Sequence[str] | None = None,
    unit: str | None = None,
    annotations: bool = False,
) -> ECGRecord:
    """
    Reads one ECG recording. The format is found by content; nothing that a file leaves open is guessed.

    Args:
        path (`str` or `os.PathLike`):
            A WFDB record (with or without suffix), an EDF or BDF file (EDF+ and BDF+ too, unless they are
            discontinuous), a CSV table (rows are samples, columns are leads, an optional first column `time` in
            seconds) or a NumPy file (`.npy` with an array `(leads, samples)`, or `.npz` with `signal`,
            `sampling_rate`, `lead_names` and `unit`).
        sampling_rate (`float`, *optional*):
            Rate in Hz, where the file does not state it.
        lead_names (`Sequence[str]`, *optional*):
            Names of the leads in the order of the file, where the file does not state them or uses other names.
        unit (`str`, *optional*):
            `"V"`, `"mV"`, `"uV"` or `"nV"`, where the file does not state it.
        annotations (`bool`, *optional*, defaults to `False`):
            Whether to read annotations too (WFDB: the `.atr` file beside the header; EDF+ and BDF+: those in the file).

    Returns:
        [`ECGRecord`]: the signal in mV, `(leads, samples)` float32, NaN where samples are missing or invalid. Lead
        names outside the vocabulary, and repeated ones, become `unknown`, with a warning that lists them.

    Raises:
        [`RecordError`]: naming file, expectation and finding. [`MissingFileError`], [`TruncatedFileError`],
            [`UnsafeHeaderError`] and [`UnknownFormatError`] are special cases.
        `ValueError`: if an argument is impossible in itself.
        `ImportError`: if the file needs a package that is not installed, with the command that installs it.

    Example:

    ```python
    >>> record = read_record("records500/00000/00001_hr")
    >>> record.signal_mv.shape, record.sampling_rate
    ((12, 5000), 500.0)
    >>> record = read_record("ecg.csv", sampling_rate=250, unit="uV")
    ```
    """
    with open_record(path, sampling_rate=sampling_rate, lead_names=lead_names, unit=unit) as source:
        return source.to_record(annotations=annotations)


def open_record(
    path: str | os.PathLike,
    *,
    sampling_rate: float | None = None,
    lead_names: Sequence[str] | None = None,
    unit: str | None = None,
) -> RecordSource:
    """
    Opens one ECG recording to read it piece by piece. Of a WFDB, EDF or `.npy` file only the samples that are asked for
    are read, so that a recording of any length fits; CSV tables and `.npz` files are read into memory when opened.

    Args:
        path (`str` or `os.PathLike`), sampling_rate (`float`, *optional*), lead_names (`Sequence[str]`, *optional*),
        unit (`str`, *optional*):
            As in [`read_record`], which does no more than open a record and read all of it.

    Returns:
        [`RecordSource`]: a context manager; its samples are those of [`read_record`].

    Raises:
        As [`read_record`]: everything but the samples themselves is checked here.

    Example:

    ```python
    >>> with open_record("holter") as source:
    ...     first_minute_mv = source.read(0, round(60 * source.sampling_rate))
    ```
    """
    names = lead_names if lead_names is None or isinstance(lead_names, str) else tuple(lead_names)
    options = ReadOptions(sampling_rate=sampling_rate, lead_names=names, unit=unit)
    path = Path(path)
    head = read_head(path)
    for format_ in FORMATS:
        if format_.recognises(path, head):
            return format_.open(path, options)
    raise _unreadable(path, head)


def _unreadable(path: Path, head: bytes) -> RecordError:
    if path.is_dir():
        return RecordError(path, "a record", "a folder", "`find_records` lists the records in a folder.")
    if not path.exists():
        return MissingFileError(path, f"a record: this file, or a WFDB header {path.name}.hea", "neither")
    known = ", ".join(format_.name for format_ in FORMATS)
    return UnknownFormatError(path, f"a record in one of the formats {known}", f"a file that starts with {head[:16]!r}")


def find_records(sources: str | os.PathLike | Iterable[str | os.PathLike]) -> list[Path]:
    """
    Lists the records that paths, folders and globs mean, in a fixed order and each once.

    Args:
        sources (`str`, `os.PathLike` or an iterable of them):
            Records with or without suffix; folders, searched with all their sub-folders; globs (`**` included). In
            folders and globs only records are taken: a WFDB record once, whatever files it has, an EDF or BDF copy of
            the same name beside it included; EDF and BDF files with a signal; NumPy files with a signal; tables that
            name a lead or hold numbers only. Hidden folders are passed over.

    Returns:
        `list[Path]`: paths for [`read_record`], WFDB records without suffix.

    Raises:
        [`MissingFileError`]: if a path does not exist, or a folder or glob holds no record.

    Example:

    ```python
    >>> find_records(["records500", "more/*.csv", "100.dat"])
    ```
    """
    if isinstance(sources, (str, os.PathLike)):
        sources = [sources]
    found: dict[Path, None] = {}
    for source in sources:
        found.update(dict.fromkeys(_records_of(Path(source))))
    if not found:
        raise MissingFileError("", "at least one record", "an empty list of paths")
    return list(found)


def _records_of(source: Path) -> list[Path]:
    header = find_header(source)
    if header is not None and header.is_file():
        return [header.with_suffix("")]
    if source.is_file():
        return [source]
    if source.is_dir():
        records = [record for folder in _walk(source) for record in _select(folder)]
    elif glob.has_magic(str(source)):
        records = _records_of_glob(source)
    else:
        raise MissingFileError(source, "a record, a folder or a glob", "none of them")
    if not records:
        raise MissingFileError(
            source, f"records in one of the formats {', '.join(format_.name for format_ in FORMATS)}", "none"
        )
    return records


def _records_of_glob(pattern: Path) -> list[Path]:
    matches = [Path(match) for match in sorted(glob.glob(str(pattern), recursive=True))]
    files = _select([path for path in matches if path.is_file()])
    folders = [path for path in matches if path.is_dir()]
    if files or "**" in pattern.parts:
        return files
    return [record for top in folders for folder in _walk(top) for record in _select(folder)]


def _walk(top: Path) -> Iterator[list[Path]]:
    """Files of every folder under `top`, sorted."""
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield [Path(folder, name) for name in sorted(files)]


def _select(files: Sequence[Path]) -> list[Path]:
    """Records among files, format by format, sorted."""
    records = {
        record
        for format_ in FORMATS
        for record in format_.select([path for path in files if path.suffix.lower() in format_.suffixes])
    }
    # The same recording twice would leak between training and test.
    copies = {path for path in records if path.suffix.lower() in EDF.suffixes and path.with_suffix("") in records}
    return sorted(records - copies)


__all__ = ["FORMATS", "find_records", "open_record", "read_record"]
