# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a reader of one file format must offer, and how what a file says meets what the caller says."""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..models.anyecg.configuration_anyecg import UNKNOWN_LEAD
from ..models.anyecg.signal_anyecg import canonical_lead_name, millivolts_per_unit
from .errors import RecordError
from .source import RecordSource

# So much memory harms nobody, and no ECG that takes more is compressed so well.
_HARMLESS_BYTES = 1 << 30
_BEST_COMPRESSION = 250


@dataclass(frozen=True)
class ReadOptions:
    """
    What the caller of [`open_record`] says about a file. A file's own statements are never overruled.

    Args:
        sampling_rate (`float`, *optional*): Rate in Hz.
        lead_names (`tuple[str, ...]`, *optional*): Names of the leads, in the order of the file.
        unit (`str`, *optional*): Unit of the samples: `"V"`, `"mV"`, `"uV"` or `"nV"`.
    """

    sampling_rate: float | None = None
    lead_names: tuple[str, ...] | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        rate = self.sampling_rate
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"`sampling_rate` must be a positive number of Hz, got {rate!r}.")
        if self.unit is not None:
            millivolts_per_unit(self.unit)
        if self.lead_names is not None:
            object.__setattr__(self, "lead_names", _known_lead_names(self.lead_names))

    def resolve_sampling_rate(self, path: Path, stated: float | None) -> float:
        """
        Args:
            path (`Path`): The file, for messages.
            stated (`float`, *optional*): The rate in Hz that the file states.

        Returns:
            `float`: the rate in Hz.

        Raises:
            [`RecordError`]: if nobody states a rate, if it is impossible, or if file and caller contradict each other.
        """
        if stated is None:
            if self.sampling_rate is None:
                raise RecordError(
                    path,
                    "a sampling rate",
                    "none in the file",
                    "Pass it in Hz, for example sampling_rate=500 (command line: --sampling-rate 500).",
                )
            return float(self.sampling_rate)
        if not (math.isfinite(stated) and stated > 0):
            raise RecordError(path, "a positive sampling rate in Hz", f"{stated:g} in the file")
        if self.sampling_rate is not None and not math.isclose(stated, self.sampling_rate, rel_tol=1e-6):
            raise RecordError(
                path,
                f"a sampling rate of {self.sampling_rate:g} Hz, as passed",
                f"{stated:g} Hz in the file",
                "Leave `sampling_rate` out: the file states its own.",
            )
        return float(stated)

    def resolve_unit(self, path: Path, stated: str | None) -> str:
        """
        Args:
            path (`Path`): The file, for messages.
            stated (`str`, *optional*): The unit that the file states.

        Returns:
            `str`: the unit: `"V"`, `"mV"`, `"uV"` or `"nV"`, as it was spelt.

        Raises:
            [`RecordError`]: if nobody states a unit, if it is unknown, or if file and caller contradict each other.
        """
        if stated is None:
            if self.unit is None:
                raise RecordError(
                    path, "a unit of the samples", "none in the file", "Pass unit='mV', 'uV', 'V' or 'nV' (--unit mV)."
                )
            return self.unit
        try:
            factor = millivolts_per_unit(stated)
        except ValueError:
            raise RecordError(path, "a unit of voltage: 'V', 'mV', 'uV' or 'nV'", f"{stated!r}") from None
        if self.unit is not None and millivolts_per_unit(self.unit) != factor:
            raise RecordError(
                path,
                f"samples in {self.unit!r}, as passed",
                f"{stated!r} in the file",
                "Leave `unit` out: the file states its own.",
            )
        return stated

    def resolve_lead_names(self, path: Path, stated: Sequence[str] | None) -> tuple[str, ...]:
        """
        Turns a file's lead names into those of the vocabulary. Odd and repeated names become `unknown`, with one
        warning that lists them, unless the caller has named them.

        Args:
            path (`Path`): The file, for messages.
            stated (`Sequence[str]`, *optional*): The names that the file states.

        Returns:
            `tuple[str, ...]`: names from the lead vocabulary.

        Raises:
            [`RecordError`]: if nobody names the leads, or if file and caller contradict each other.
        """
        if stated is None:
            if self.lead_names is None:
                raise RecordError(
                    path,
                    "names of the leads",
                    "none in the file",
                    "Pass lead_names, for example ['I', 'II', 'V1'] (--leads I,II,V1).",
                )
            return self.lead_names
        known = [canonical_lead_name(name) for name in stated]
        if self.lead_names is None:
            return _name_leads(path, stated, known)
        if len(stated) != len(self.lead_names) or any(
            name not in (None, UNKNOWN_LEAD, given) for name, given in zip(known, self.lead_names, strict=True)
        ):
            raise RecordError(
                path,
                f"the leads {', '.join(self.lead_names)}, as passed",
                f"{', '.join(stated)} in the file",
                "Leave `lead_names` out, or pass the file's leads in the file's order.",
            )
        return self.lead_names


def _known_lead_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ValueError(f"`lead_names` must be a sequence of names, got the single string {names!r}.")
    known = tuple(canonical_lead_name(name) for name in names)
    odd = [name for name, canonical in zip(names, known, strict=True) if canonical is None]
    if odd:
        raise ValueError(f"`lead_names` holds names outside the lead vocabulary: {odd}. Use 'unknown' for such leads.")
    named = [name for name in known if name != UNKNOWN_LEAD]
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise ValueError(f"`lead_names` repeats {repeated}: every lead but 'unknown' can occur once.")
    return known


def _name_leads(path: Path, stated: Sequence[str], known: Sequence[str | None]) -> tuple[str, ...]:
    names, odd = [], []
    for position, (raw, name) in enumerate(zip(stated, known, strict=True), start=1):
        if name is None:
            odd.append(f"{raw!r} (lead {position})")
        elif name in names and name != UNKNOWN_LEAD:
            odd.append(f"{raw!r} (lead {position}, repeated)")
            name = None
        names.append(name or UNKNOWN_LEAD)
    if odd:
        warn(path, f"leads read as {UNKNOWN_LEAD!r}: {', '.join(odd)}. Pass `lead_names` if you know better.")
    return tuple(names)


def warn(path: Path, message: str) -> None:
    """Issues a `UserWarning` that starts with the file."""
    warnings.warn(f"{path}: {message}", UserWarning, stacklevel=3)


@dataclass(frozen=True)
class RecordFormat:
    """
    A file format that [`open_record`] knows. Every reader module defines one; an entry in `reading.FORMATS` makes it
    known.

    Args:
        name (`str`):
            Name of the format, for messages.
        suffixes (`tuple[str, ...]`):
            Suffixes, in lower case, of the files that a search through folders looks at.
        recognises (`Callable[[Path, bytes], bool]`):
            Whether a path (which need not exist) with these first bytes is in this format, judged by content.
        open (`Callable[[Path, ReadOptions], RecordSource]`):
            Checks the file and opens the record. It is the one way to its samples: a whole record is a source read from
            start to end.
        select (`Callable[[Sequence[Path]], list[Path]]`):
            The records among files with the right suffixes: tables that hold no ECG are left out, and a record of
            several files is named once.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path, bytes], bool]
    open: Callable[[Path, ReadOptions], RecordSource]
    select: Callable[[Sequence[Path]], list[Path]]


def read_head(path: str | os.PathLike, size: int = 4096) -> bytes:
    """First bytes of a file, none if it is not a file; raises [`RecordError`] if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return b""
    except OSError as error:
        raise RecordError(path, "a file that can be read", f"this: {error.strerror}") from error


@contextmanager
def optional_package(name: str, files: str, extra: str = "records") -> Iterator[None]:
    """
    Where a package is imported that readers need and users may lack.

    Args:
        name (`str`): Name of the package.
        files (`str`): The files that need it.
        extra (`str`, *optional*, defaults to `"records"`): The extra of this package that brings it.

    Raises:
        `ImportError`: if it is not installed, with the command that installs it.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f'Reading {files} needs the package {name}: pip install "anyecg-hf[{extra}]"') from error


def check_expansion(path: Path, what: str, n_bytes: int, stored_bytes: int) -> None:
    """
    Refuses data that take gigabytes of memory and nearly nothing in the file, before memory is asked for.

    Args:
        path (`Path`): The file.
        what (`str`): What is to be read, for messages.
        n_bytes (`int`): Its size in memory, as the file states it.
        stored_bytes (`int`): Its size in the file.

    Raises:
        [`RecordError`]: if no ECG could be compressed so well.
    """
    if n_bytes > max(_HARMLESS_BYTES, _BEST_COMPRESSION * stored_bytes):
        raise RecordError(
            path,
            f"{what} of at most {_BEST_COMPRESSION} times its {stored_bytes} bytes in the file",
            f"{n_bytes} bytes",
            "The file is corrupt, or made to exhaust the memory.",
        )


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are UTF-8 text (a character may be cut at the end)."""
    if not head or b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3
    return True


__all__ = ["ReadOptions", "RecordFormat", "check_expansion", "is_text", "optional_package", "read_head", "warn"]
