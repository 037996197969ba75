# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HDF5 files, read by h5py: one record in a dataset `signal` or `ecg`, or many as in CODE-15%."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .addresses import Address, find_row, list_addresses, parse_address
from .errors import RecordError, TruncatedFileError, UnsafeHeaderError
from .formats import ReadOptions, RecordFormat, check_expansion, optional_package, read_head, warn
from .hdf5_texts import read_attribute, read_text_dataset
from .record import shape_mismatch
from .source import ArraySource, RecordFacts, RecordSource
from .stated_fields import FIELD_NAMES, StatedFields, as_plain
from .stored_signal import StoredSignal, as_stored

if TYPE_CHECKING:
    import h5py

_MAGIC = b"\x89HDF\r\n\x1a\n"
# Where the magic may stand: a block of the user's own may come first.
_MAGIC_OFFSETS = (0, 512, 1024, 2048)
_MATLAB_MAGIC = b"MATLAB 7.3 MAT-file"
_SIGNAL_DATASETS = ("signal", "ecg")
_TRACINGS, _EXAM_IDS = "tracings", "exam_id"
# What HDF5 and netCDF write about dimensions.
_STRUCTURE = ("CLASS", "NAME", "DIMENSION_LIST", "DIMENSION_LABELS", "REFERENCE_LIST")
# A chunk may hold pieces of many exams, and reading them one by one should not decompress it again for each.
_CHUNK_CACHE = {"rdcc_nbytes": 64 << 20, "rdcc_nslots": 100_003}


class HDF5Source(RecordSource):
    """
    A dataset of an open HDF5 file, of which only what is asked for is read.

    Args:
        dataset (`h5py.Dataset` of shape `(leads, samples)`, or `(samples,)` of a single lead):
            The samples. Closing the source closes its file.
        unit (`str`):
            Their unit.
        sampling_rate (`float`), lead_names (`tuple[str, ...]`), facts ([`RecordFacts`]):
            As in [`RecordSource`].
    """

    def __init__(
        self,
        dataset: "h5py.Dataset",
        unit: str,
        *,
        sampling_rate: float,
        lead_names: tuple[str, ...],
        facts: RecordFacts,
    ):
        super().__init__(sampling_rate=sampling_rate, lead_names=lead_names, n_samples=dataset.shape[-1], facts=facts)
        self._dataset = dataset
        self._unit = unit

    def _read_stored(self, start: int, stop: int) -> StoredSignal:
        samples = _read(self._dataset, (..., slice(start, stop)))
        return StoredSignal(
            np.atleast_2d(samples),
            gain=np.ones(self.n_leads),
            baseline=np.zeros(self.n_leads),
            units=(self._unit,) * self.n_leads,
        )

    def close(self) -> None:
        if not self._closed:
            self._dataset.file.close()
        super().close()


@dataclass(frozen=True)
class Tracing:
    """
    One exam of a file as CODE-15% has them.

    Attributes:
        exam_id (`str`): Its identifier.
        signal ([`StoredSignal`]): Its samples without the padding.
        padding_before (`int`), padding_after (`int`): How many samples of zeros in all leads stood around them.
    """

    exam_id: str
    signal: StoredSignal
    padding_before: int
    padding_after: int


class CodeTracings:
    """
    A file laid out as those of CODE-15%: `exam_id` `(exams,)` and `tracings` `(exams, samples, leads)`, short exams
    padded with zeros at both ends. It is opened once, and exams are read one at a time. It is a context manager.

    The last exam of a published file is a filler without samples, with the identifier 0.

    Args:
        path (`str` or `os.PathLike`):
            The HDF5 file.
        lead_names (`Sequence[str]`):
            Names of the leads in the order of the file.
        unit (`str`):
            Unit of the samples: `"V"`, `"mV"`, `"uV"` or `"nV"`.

    Raises:
        [`RecordError`]: if the file cannot be opened, or is laid out otherwise.
        `ImportError`: if h5py is not installed.

    Example:

    ```python
    >>> with CodeTracings("exams_part0.hdf5", lead_names=["I", "II", "III", ...], unit="mV") as tracings:
    ...     for row in range(len(tracings)):
    ...         tracing = tracings.read(row)
    ```
    """

    def __init__(self, path: Path, *, lead_names: Sequence[str], unit: str):
        self._path = Path(path)
        self._file = _open_file(self._path)
        try:
            with _decoding(self._path):
                self.exam_ids = _exam_ids(self._path, self._file)
                self._tracings = _dataset(self._path, self._file, _TRACINGS)
            self._units = (unit,) * len(lead_names)
            self._check_shape(len(lead_names))
        except BaseException:
            self._file.close()
            raise

    exam_ids: tuple[str, ...]
    """Identifiers of the exams."""

    def _check_shape(self, n_leads: int) -> None:
        shape, n_exams = self._tracings.shape, len(self.exam_ids)
        if len(shape) != 3 or (shape[0], shape[2]) != (n_exams, n_leads):
            raise RecordError(
                self._path,
                f"{_TRACINGS!r} (exams, samples, leads) of {n_exams} exams and {n_leads} leads",
                f"shape {shape}",
                f"There is one {_EXAM_IDS!r} for each exam; name every lead, and no other.",
            )

    def __len__(self) -> int:
        return len(self.exam_ids)

    def read(self, row: int) -> Tracing:
        """
        Reads one exam.

        Args:
            row (`int`): Which one, counted from 0 as in `exam_ids`.

        Returns:
            [`Tracing`]: the numbers of the file, `(leads, samples)`, without the padding.

        Raises:
            `ValueError`: if there is no such row, or the file is closed.
            [`RecordError`]: if the exam cannot be decoded, or holds nothing but zeros.
        """
        if not self._file:
            raise ValueError(f"{self._path} is closed: open it again to read exams.")
        if not 0 <= row < len(self):
            raise ValueError(f"exam {row} is not in {self._path}: it has {len(self)}, counted from 0.")
        samples = _read(self._tracings, row)
        real = np.flatnonzero((samples != 0).any(axis=1))
        if not real.size:
            raise RecordError(self._path, f"an ECG in exam {self.exam_ids[row]} (row {row})", "zeros only")
        begin, end = int(real[0]), int(real[-1]) + 1
        n_leads = len(self._units)
        return Tracing(
            self.exam_ids[row],
            StoredSignal(np.ascontiguousarray(samples[begin:end].T), np.ones(n_leads), np.zeros(n_leads), self._units),
            padding_before=begin,
            padding_after=len(samples) - end,
        )

    def close(self) -> None:
        """Closes the file; closing again does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _recognises(path: Path, head: bytes) -> bool:
    return _is_hdf5(head or read_head(parse_address(path).file))


def _is_hdf5(head: bytes) -> bool:
    return any(head.startswith(_MAGIC, offset) for offset in _MAGIC_OFFSETS) or head.startswith(_MATLAB_MAGIC)


def _select(paths: Sequence[Path]) -> list[Path]:
    return [record for path in paths if _is_hdf5(read_head(path)) for record in _records_in(path)]


def _records_in(path: Path) -> list[Path]:
    """Every record of a file; none if it holds no ECG."""
    try:
        with _open_file(path) as file, _decoding(path):
            if _holds_tracings(file):
                return list_addresses(path, _exam_ids(path, file))
            return [path] if any(name in file for name in _SIGNAL_DATASETS) else []
    except (RecordError, ImportError):
        return [path]  # opening it will say what is wrong


def _open(path: Path, options: ReadOptions) -> RecordSource:
    address = parse_address(path)
    file = _open_file(address.file)
    try:
        with _decoding(address.file):
            if not _holds_tracings(file):
                return _open_signal(address, file, options)
            with file:
                return _open_tracing(address, file, options, source=str(path))
    except BaseException:
        file.close()
        raise


def _holds_tracings(file: "h5py.File") -> bool:
    return _TRACINGS in file and _EXAM_IDS in file


def _open_signal(address: Address, file: "h5py.File", options: ReadOptions) -> HDF5Source:
    path = address.file
    find_row(address, [path.stem])
    found = [name for name in _SIGNAL_DATASETS if name in file]
    if len(found) != 1:
        expected = f"one dataset {' or '.join(map(repr, _SIGNAL_DATASETS))}, or {_EXAM_IDS!r} with {_TRACINGS!r}"
        raise RecordError(path, expected, f"{sorted(file)}")
    dataset = _dataset(path, file, found[0])
    stated = _stated(path, file, dataset)
    rate = options.resolve_sampling_rate(path, stated.sampling_rate)
    names = options.resolve_lead_names(path, stated.lead_names)
    unit = options.resolve_unit(path, stated.unit)
    is_single = dataset.ndim == 1 and len(names) == 1
    mismatch = shape_mismatch((1, *dataset.shape) if is_single else dataset.shape, len(names))
    if mismatch:
        raise RecordError(path, mismatch.expected, mismatch.found, mismatch.advice)
    _report_unread(path, file, dataset)
    facts = stated.facts(record_id=path.stem, source=str(path))
    return HDF5Source(dataset, unit, sampling_rate=rate, lead_names=names, facts=facts)


def _open_tracing(address: Address, file: "h5py.File", options: ReadOptions, source: str) -> ArraySource:
    path = address.file
    row = find_row(address, _exam_ids(path, file))
    dataset = _dataset(path, file, _TRACINGS)
    stated = _stated(path, file, dataset)
    rate = options.resolve_sampling_rate(path, stated.sampling_rate)
    names = options.resolve_lead_names(path, stated.lead_names)
    with CodeTracings(path, lead_names=names, unit=options.resolve_unit(path, stated.unit)) as tracings:
        tracing = tracings.read(row)
    _report_unread(path, file, dataset)
    padding = f"samples of zeros left out: {tracing.padding_before} before the ECG, {tracing.padding_after} after it"
    return ArraySource(
        tracing.signal.samples,
        units=tracing.signal.units,
        sampling_rate=rate,
        lead_names=names,
        facts=RecordFacts(
            record_id=tracing.exam_id,
            comments=(padding,) if tracing.padding_before or tracing.padding_after else (),
            source=source,
        ),
    )


def _exam_ids(path: Path, file: "h5py.File") -> tuple[str, ...]:
    with _decoding(path):
        values = np.asarray(read_text_dataset(path, _dataset(path, file, _EXAM_IDS, kinds="iuSO")))
    if values.ndim != 1:
        raise RecordError(path, f"a list of identifiers in {_EXAM_IDS!r}", f"shape {values.shape}")
    return tuple(map(str, as_plain(values)))


def _dataset(path: Path, file: "h5py.File", name: str, kinds: str = "fiu") -> "h5py.Dataset":
    """A dataset whose numbers are all in this file."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise _unsafe(path, f"a link in place of {name!r}")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.dtype.kind not in kinds:
        what = "numbers" if kinds == "fiu" else "whole numbers or texts"
        found = f"dtype {dataset.dtype}" if isinstance(dataset, h5py.Dataset) else "a group"
        raise RecordError(path, f"a dataset {name!r} of {what}", found)
    if dataset.external or dataset.is_virtual:
        raise _unsafe(path, f"{name!r} in other files")
    check_expansion(path, f"a dataset {name!r}", dataset.nbytes, dataset.id.get_storage_size())
    return dataset


def _unsafe(path: Path, found: str) -> UnsafeHeaderError:
    return UnsafeHeaderError(
        path, "samples in the file itself", found, "Nothing else was read. If you trust it, copy it with h5repack."
    )


def _read(dataset: "h5py.Dataset", index: Any) -> np.ndarray:
    samples = _read_raw(dataset, index)
    try:
        return as_stored(samples)
    except ValueError as error:
        raise RecordError(dataset.file.filename, "samples that can be kept as they are", f"this: {error}") from error


def _read_raw(dataset: "h5py.Dataset", index: Any) -> Any:
    with _decoding(dataset.file.filename):
        return dataset[index]


@contextmanager
def _decoding(path: str | Path) -> Iterator[None]:
    """Turns what h5py raises at damaged structures into errors of records."""
    try:
        yield
    except RecordError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise RecordError(
            path,
            "an HDF5 file that h5py can decode",
            f"{type(error).__name__}: {error}",
            "It may be truncated or corrupt, or compressed by a filter that h5py lacks.",
        ) from error


def _stated(path: Path, file: "h5py.File", dataset: "h5py.Dataset") -> StatedFields:
    """What the attributes of the dataset and of the file state."""
    values: dict[str, Any] = {}
    for name in FIELD_NAMES:
        found = [as_plain(read_attribute(path, holder, name)) for holder in (dataset, file) if name in holder.attrs]
        if len(found) == 2 and found[0] != found[1]:
            raise RecordError(path, f"one {name!r}", f"{found[0]!r} at the dataset and {found[1]!r} at the file")
        if found:
            values[name] = found[0]
    return StatedFields(path, values)


def _report_unread(path: Path, file: "h5py.File", dataset: "h5py.Dataset") -> None:
    known = {*FIELD_NAMES, *_STRUCTURE}
    attributes = {name for holder in (file, dataset) for name in holder.attrs if not name.startswith("_")} - known
    others = set(file) - {dataset.name.lstrip("/"), _EXAM_IDS}
    if attributes or others:
        warn(path, f"not read: {', '.join(sorted(attributes | others))}.")


def _open_file(path: Path) -> "h5py.File":
    head = read_head(path)
    if head.startswith(_MATLAB_MAGIC):
        raise RecordError(
            path,
            "an HDF5 file with an ECG",
            "a MATLAB file of version 7.3, whose variables have no fixed names",
            "Save the signal as .npz with signal, sampling_rate, lead_names and unit.",
        )
    with optional_package("h5py", "HDF5 files"):
        import h5py
    try:
        return h5py.File(path, "r", locking="best-effort", **_CHUNK_CACHE)
    except OSError as error:
        kind = TruncatedFileError if "truncated" in str(error) else RecordError
        raise kind(path, "an HDF5 file that h5py can open", f"this: {error}") from error


HDF5 = RecordFormat(name="HDF5", suffixes=(".h5", ".hdf5"), recognises=_recognises, open=_open, select=_select)

__all__ = ["HDF5", "CodeTracings", "HDF5Source", "Tracing"]
