# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`read_record`, `open_record` and `find_records`: from a path to a record, and from folders and globs to paths."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .addresses import file_part, parse_address
from .aecg_reader import AECG
from .csv_reader import CSV
from .dicom_reader import DICOM
from .edf_reader import EDF
from .errors import MissingFileError, RecordError, UnknownFormatError
from .formats import ReadOptions, RecordFormat, read_head
from .hdf5_reader import HDF5
from .muse_reader import MUSE
from .numpy_reader import NUMPY
from .parquet_reader import PARQUET
from .philips_reader import PHILIPS
from .record import ECGRecord
from .scp_reader import SCP
from .source import RecordSource
from .wfdb_reader import WFDB, find_header

# A file of theirs may hold many records.
_FORMATS_OF_MANY = (HDF5, PARQUET)
# Asked in this order: a format that any text could pass for comes last.
FORMATS: tuple[RecordFormat, ...] = (
    *_FORMATS_OF_MANY,
    *(NUMPY, EDF, DICOM, SCP, MUSE, PHILIPS, AECG, WFDB, CSV),
)


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
            One of

            - a WFDB record, with or without suffix;
            - an EDF or BDF file (EDF+ and BDF+ too, unless they are discontinuous);
            - a DICOM file with an ECG waveform, or an SCP-ECG file;
            - an XML export of GE MUSE or Philips, or an HL7 aECG;
            - a CSV or TSV table: rows are samples, columns are leads, an optional first column `time` in seconds;
            - a NumPy file: `.npy` with an array `(leads, samples)`, or `.npz` with `signal`, `sampling_rate`,
              `lead_names` and `unit`, and fields of [`ECGRecord`] such as `patient_id` and `age_years`;
            - an HDF5 file with a dataset `signal` or `ecg` `(leads, samples)` and the others of these as attributes, or
              with `exam_id` and `tracings` `(exams, samples, leads)` as in CODE-15%, whose padding with zeros at both
              ends is left out;
            - a Parquet file as `anyecg_hf.corpora` writes it.

            A record of a file that holds several has its name behind the path, `exams_part0.hdf5::1169160`, or its row
            counted from 0, `train.parquet::#0`; [`find_records`] lists them.
        sampling_rate (`float`, *optional*):
            Rate in Hz, where the file does not state it.
        lead_names (`Sequence[str]`, *optional*):
            Names of the leads in the order of the file, where the file does not state them or uses other names.
        unit (`str`, *optional*):
            `"V"`, `"mV"`, `"uV"` or `"nV"`, where the file does not state it.
        annotations (`bool`, *optional*, defaults to `False`):
            Whether to read annotations too: of WFDB the `.atr` file beside the header, else those in the file (EDF+,
            BDF+, DICOM, SCP-ECG, HL7 aECG, Parquet, and GE MUSE at 500 Hz).

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
    Opens one ECG recording to read it piece by piece. Of a WFDB, EDF, `.npy` or HDF5 file only the samples that are
    asked for are read, so that a recording of any length fits. The others are read into memory when opened; of a file
    of many records that is the one record.

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
    return find_format(path).open(Path(path), options)


def find_format(path: str | os.PathLike) -> RecordFormat:
    """
    Finds the format of a record by content.

    Args:
        path (`str` or `os.PathLike`): As in [`read_record`].

    Returns:
        [`RecordFormat`]: the one that [`open_record`] opens it with.

    Raises:
        [`RecordError`]: if there is no such record, or it is in none of the formats.
    """
    path = Path(path)
    head = read_head(path)
    for format_ in FORMATS:
        if format_.recognises(path, head):
            return format_
    raise _unreadable(path, head)


def _unreadable(path: Path, head: bytes) -> RecordError:
    if path.is_dir():
        return RecordError(path, "a record", "a folder", "`find_records` lists the records in a folder.")
    file = parse_address(path).file
    if file != path:
        expected = f"a file of many records ({' or '.join(format_.name for format_ in _FORMATS_OF_MANY)})"
        return RecordError(file, f"{expected}, as {path.name!r} names one of them", "another file")
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
            folders and globs only records are taken: a WFDB record once, whatever files it has, copies of the same name
            in other formats beside it included; EDF, BDF, NumPy and HDF5 files with a signal; Parquet files with a
            column of signals; DICOM files with an ECG; SCP-ECG files and XML exports of ECGs; tables that name a lead
            or hold numbers only. Hidden folders are passed over. A file that holds several records stands for all.

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
        return _records_in(source)
    if parse_address(source).name is not None:
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


def _records_in(file: Path) -> list[Path]:
    """Every record of a file; the file, if it holds one or none."""
    head = read_head(file)
    return [
        record for format_ in _FORMATS_OF_MANY if format_.recognises(file, head) for record in format_.select([file])
    ] or [file]


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
    """Records among files, sorted, those of one file in its order."""
    records = dict.fromkeys(
        record
        for format_ in FORMATS
        for record in format_.select([path for path in files if path.suffix.lower() in format_.suffixes])
    )
    # The same recording twice would leak between training and test. One of a file of many is no copy.
    suffixes = {suffix for format_ in FORMATS for suffix in format_.suffixes}
    names = {path.name for path in files if path.suffix.lower() in suffixes}
    copies = {path for path in records if path.name in names and path.with_suffix("") in records}
    return sorted((path for path in records if path not in copies), key=file_part)


__all__ = ["FORMATS", "find_format", "find_records", "open_record", "read_record"]
