# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Files that a visitor sends: taken off the disk at once, limited in size, parsed in a folder that is then removed."""

import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from anyecg_hf.pipelines.record_analysis import LONG_RECORD_S
from anyecg_hf.records import ECGRecord, MissingFileError, RecordSource, find_records, open_record

# WFDB has a file for each annotator and, at times, for each lead.
MAX_FILES = 32
MAX_BYTES = 20 * 2**20
# Of a longer record the beginning is read.
MAX_SECONDS = LONG_RECORD_S
# Samples of all leads together; 12 leads for ten minutes at 2000 Hz are half of it.
MAX_SAMPLES = 30_000_000

# Name -> content.
Upload = Mapping[str, bytes]


@dataclass(frozen=True)
class FileFacts:
    """
    What a visitor says about a file that leaves it open.

    Attributes:
        sampling_rate (`float`, *optional*): In Hz.
        lead_names (`tuple[str, ...]`, *optional*): In the order of the file.
        unit (`str`, *optional*): `"V"`, `"mV"`, `"uV"` or `"nV"`.
    """

    sampling_rate: float | None = None
    lead_names: tuple[str, ...] | None = None
    unit: str | None = None

    @classmethod
    def from_fields(cls, sampling_rate: float | None, leads: str | None, unit: str | None) -> "FileFacts":
        """What stands in the fields of the page; an empty one says nothing."""
        names = tuple(name.strip() for name in (leads or "").split(",") if name.strip())
        return cls(sampling_rate=sampling_rate or None, lead_names=names or None, unit=unit or None)


@dataclass(frozen=True, eq=False)
class ReadUpload:
    """
    A record, and what there is to say about the reading of it.

    Attributes:
        record ([`ECGRecord`]): The record, or its beginning.
        notes (`tuple[str, ...]`): Warnings, and what was left out.
    """

    record: ECGRecord
    notes: tuple[str, ...]


def take_files(paths: Iterable[str]) -> Upload:
    """
    Reads files into memory and removes them, whatever comes of it.

    Args:
        paths (`Iterable[str]`): Where the server has put what was sent, each file in a folder of its own.

    Returns:
        `Mapping[str, bytes]`: name -> content.

    Raises:
        `ValueError`: if there are too many, they are too large together, or two have one name.
    """
    files = [Path(path) for path in paths]
    try:
        if len(files) > MAX_FILES:
            raise ValueError(f"expected the files of one record, at most {MAX_FILES}, got {len(files)}.")
        n_bytes = sum(file.stat().st_size for file in files)
        if n_bytes > MAX_BYTES:
            raise ValueError(
                f"expected at most {MAX_BYTES / 2**20:g} MB, got {n_bytes / 2**20:.1f} MB: `anyecg run`, on a computer"
                " of your own, takes files of any size."
            )
        names = [file.name for file in files]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two files are called {repeated[0]}: send the files of one record.")
        return {file.name: file.read_bytes() for file in files}
    finally:
        for file in files:
            file.unlink(missing_ok=True)
            # The server's folder for this file, if there is nothing else in it.
            with suppress(OSError):
                file.parent.rmdir()


def sweep(folder: str | os.PathLike, older_than_s: float) -> None:
    """
    Removes what lies in the server's folder unread: uploads that were cut off, or that nobody asked about.

    Args:
        folder (`str` or `os.PathLike`): The server's folder.
        older_than_s (`float`): Age in seconds from which on a file goes.
    """
    oldest = time.time() - older_than_s
    for file in [path for path in Path(folder).rglob("*") if path.is_file()]:
        # One that a visitor's request takes meanwhile is gone already.
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < oldest:
                file.unlink()
    for empty in sorted((path for path in Path(folder).rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):
            if empty.stat().st_mtime < oldest:
                empty.rmdir()


def read_upload(upload: Upload, facts: FileFacts) -> ReadUpload:
    """
    Reads the one record that the files hold, in a temporary folder that is removed again.

    Args:
        upload (`Mapping[str, bytes]`): From [`take_files`].
        facts ([`FileFacts`]): What the files leave open.

    Returns:
        [`ReadUpload`]

    Raises:
        `ValueError`: if they hold no record, or several, or what they hold cannot be read; paths in the text are names.
    """
    if not upload:
        raise ValueError("expected a file, got none: choose one, or a sample.")
    with TemporaryDirectory(prefix="anyecg-upload-") as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        for name, content in upload.items():
            (Path(folder) / name).write_bytes(content)
        try:
            record, left_out = _read_beginning(_record_in(Path(folder), list(upload)), facts)
        except (ValueError, OSError) as error:
            raise ValueError(_without_folder(str(error), folder)) from error
    notes = [_without_folder(str(warning.message), folder) for warning in caught]
    return ReadUpload(record, tuple(dict.fromkeys([*left_out, *notes])))


def _record_in(folder: Path, names: Sequence[str]) -> Path:
    """The record that the files in a folder make up."""
    # What a single file is refused for is told best by its reader.
    if len(names) == 1:
        found = _found(folder / names[0])
    else:
        headers = [name for name in names if name.endswith(".hea")]
        found = [folder / headers[0]] if len(headers) == 1 else _found(folder)
    if len(found) > 1:
        listed = ", ".join(path.name for path in found[:5]) + (", ..." if len(found) > 5 else "")
        raise ValueError(f"expected the files of one record, found {len(found)}: {listed}. Send one at a time.")
    return found[0]


def _found(source: Path) -> list[Path]:
    try:
        return find_records(source)
    except MissingFileError:
        # A file is opened all the same: its reader says what is wrong. A folder has no reader.
        if source.is_dir():
            raise
        return [source]


def _read_beginning(path: Path, facts: FileFacts) -> tuple[ECGRecord, list[str]]:
    with open_record(path, **vars(facts)) as source:
        stop = min(source.n_samples, round(MAX_SECONDS * source.sampling_rate))
        if stop * source.n_leads > MAX_SAMPLES:
            raise ValueError(
                f"expected at most {MAX_SAMPLES:,} samples in {MAX_SECONDS:g} s of all leads, got"
                f" {stop * source.n_leads:,}: `anyecg run`, on a computer of your own, takes them."
            )
        if stop == source.n_samples:
            return source.to_record(), []
        note = f"Read: the first {MAX_SECONDS:g} s of {source.duration_s:,.0f} s. `anyecg embed` takes records whole."
        return _beginning(source, stop), [note]


def _beginning(source: RecordSource, stop: int) -> ECGRecord:
    return ECGRecord(
        signal_mv=source.read(0, stop),
        sampling_rate=source.sampling_rate,
        lead_names=source.lead_names,
        **vars(source.facts),
    )


def _without_folder(text: str, folder: str) -> str:
    """A text about files without the folder, which means nothing to the visitor."""
    return text.replace(f"{folder}/", "").replace(folder, "the upload")


__all__ = [
    *("MAX_BYTES", "MAX_FILES", "MAX_SAMPLES", "MAX_SECONDS"),
    *("FileFacts", "ReadUpload", "Upload", "read_upload", "sweep", "take_files"),
]
