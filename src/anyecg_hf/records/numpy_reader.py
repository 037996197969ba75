# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""NumPy files: `.npy` with the signal alone, `.npz` with rate, leads, unit and patient beside it."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors import RecordError
from .formats import ReadOptions, RecordFormat, read_head, warn
from .record import shape_mismatch
from .source import ArraySource, RecordFacts

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\x03\x04"
_PATIENT_KEYS = ("record_id", "patient_id", "age_years", "sex", "weight_kg", "height_cm")
_SIGNAL_KEYS = ("signal", "sampling_rate", "lead_names", "unit")


@dataclass(frozen=True)
class _Contents:
    """What a file states; `None` where it is silent."""

    signal: np.ndarray
    sampling_rate: float | None = None
    lead_names: tuple[str, ...] | None = None
    unit: str | None = None
    patient: dict[str, Any] = field(default_factory=dict)


def _is_archive_of_arrays(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return path.suffix == ".npz"


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(_NPY_MAGIC) or (head.startswith(_ZIP_MAGIC) and _is_archive_of_arrays(path))


def _select(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if _holds_signal(path)]


def _holds_signal(path: Path) -> bool:
    head = read_head(path)
    if head.startswith(_NPY_MAGIC):
        return True
    if not _recognises(path, head):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "signal.npy" in archive.namelist()
    except zipfile.BadZipFile:
        return True  # reading it will say what is wrong


def _open(path: Path, options: ReadOptions) -> ArraySource:
    contents = _load(path)
    signal = contents.signal
    if signal.dtype.kind not in "fiu":
        raise RecordError(path, "a signal of real numbers", f"dtype {signal.dtype}")
    rate = options.resolve_sampling_rate(path, contents.sampling_rate)
    names = options.resolve_lead_names(path, contents.lead_names)
    unit = options.resolve_unit(path, contents.unit)
    if signal.ndim == 1 and len(names) == 1:
        signal = signal[None]
    mismatch = shape_mismatch(signal.shape, len(names))
    if mismatch:
        raise RecordError(path, mismatch.expected, mismatch.found, mismatch.advice)
    try:
        facts = RecordFacts(source=str(path), **{"record_id": path.stem, **contents.patient})
    except (TypeError, ValueError) as error:
        raise RecordError(path, "the fields of an ECGRecord", f"this: {error}") from error
    return ArraySource(
        signal,
        units=(unit,) * len(names),
        sampling_rate=rate,
        lead_names=names,
        facts=facts,
    )


def _load(path: Path) -> _Contents:
    try:
        # An `.npy` file is mapped into memory: pieces are read when they are asked for.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _Contents(loaded)
        with loaded as archive:
            arrays = {key: archive[key] for key in archive.files}
    except Exception as error:  # numpy, zipfile, zlib and tokenize each bring errors of their own
        raise RecordError(
            path, "a whole NumPy file without pickled objects", f"{type(error).__name__}: {error}"
        ) from error
    return _contents_of(path, arrays)


def _contents_of(path: Path, arrays: Mapping[str, np.ndarray]) -> _Contents:
    if "signal" not in arrays:
        raise RecordError(path, f"an array 'signal' (and {', '.join(_SIGNAL_KEYS[1:])})", f"{sorted(arrays)}")
    unread = sorted(set(arrays) - {*_SIGNAL_KEYS, *_PATIENT_KEYS, "labels"})
    if unread:
        warn(path, f"arrays not read: {', '.join(unread)}.")
    patient: dict[str, Any] = {key: _scalar(path, key, arrays[key]) for key in _PATIENT_KEYS if key in arrays}
    if "labels" in arrays:
        patient["labels"] = _texts(arrays["labels"])
    return _Contents(
        signal=arrays["signal"],
        sampling_rate=_number(path, "sampling_rate", arrays["sampling_rate"]) if "sampling_rate" in arrays else None,
        lead_names=_texts(arrays["lead_names"]) if "lead_names" in arrays else None,
        unit="".join(_texts(arrays["unit"])) if "unit" in arrays else None,
        patient=patient,
    )


def _texts(array: np.ndarray) -> tuple[str, ...]:
    return tuple(np.atleast_1d(array).astype(str).tolist())


def _number(path: Path, key: str, array: np.ndarray) -> float:
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise RecordError(path, f"one number as {key!r}", f"shape {array.shape}, dtype {array.dtype}")
    return float(array.item())


def _scalar(path: Path, key: str, array: np.ndarray) -> Any:
    """The single value of an array; `None` for NaN, which stands for unknown."""
    if array.size != 1:
        raise RecordError(path, f"one value of {key!r}", f"shape {array.shape}")
    value = array.item()
    return None if value != value else value


NUMPY = RecordFormat(name="NumPy", suffixes=(".npy", ".npz"), recognises=_recognises, open=_open, select=_select)

__all__ = ["NUMPY"]
