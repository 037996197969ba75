# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`RecordSource`: an opened recording whose samples are read piece by piece, so that its length does not matter."""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np

from .header_comments import HeaderFacts
from .record import Annotation, ECGRecord, check_demographics
from .stored_signal import StoredSignal, as_stored


@dataclass(frozen=True)
class RecordFacts(HeaderFacts):
    """
    What a file says about a recording beside its samples; the fields are those of [`ECGRecord`].

    Raises:
        `ValueError`: if a number is impossible.
    """

    record_id: str | None = None
    recorded_at: datetime | None = None
    comments: tuple[str, ...] = ()
    source: str | None = None

    def __post_init__(self) -> None:
        check_demographics(self)


class RecordSource(ABC):
    """
    An opened recording. [`open_record`] makes one of a file and [`ArraySource.from_record`] of a record in memory. It
    is a context manager: temporary files, if it needs any, are gone when it is closed.

    A reader of a file format defines `_read_stored`, and where they apply `read_annotations` and `close`.

    Args:
        sampling_rate (`float`):
            Samples a second of every lead, in Hz.
        lead_names (`tuple[str, ...]`):
            Name of every lead.
        n_samples (`int`):
            Samples of each lead.
        facts ([`RecordFacts`]):
            Patient, start of the recording, comments: what else the file says.

    Example:

    ```python
    >>> with open_record("holter.edf") as source:
    ...     for block_mv in source.blocks(60.0):
    ...         print(block_mv.shape)
    ```
    """

    def __init__(self, *, sampling_rate: float, lead_names: tuple[str, ...], n_samples: int, facts: RecordFacts):
        self.sampling_rate = sampling_rate
        self.lead_names = lead_names
        self.n_samples = n_samples
        self.facts = facts
        self._closed = False

    @property
    def n_leads(self) -> int:
        """Number of leads."""
        return len(self.lead_names)

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.n_samples / self.sampling_rate

    @property
    def record_id(self) -> str | None:
        """Identifier in the corpus that the record comes from."""
        return self.facts.record_id

    @property
    def source(self) -> str | None:
        """The file that is read."""
        return self.facts.source

    def read(self, start: int, stop: int) -> np.ndarray:
        """
        Reads a piece of every lead. The samples are those that [`read_record`] gives, bit by bit.

        Args:
            start (`int`): First sample.
            stop (`int`): The sample after the last one.

        Returns:
            `np.ndarray` of shape `(leads, stop - start)`, float32: the samples in mV, NaN where they are missing or
            invalid. The array is the caller's own.

        Raises:
            `ValueError`: if the record has no such samples, or is closed.
            [`RecordError`]: if they cannot be decoded.
        """
        if operator.index(start) == operator.index(stop):
            self._check_range(start, stop)
            return np.empty((self.n_leads, 0), dtype=np.float32)
        return self.read_stored(start, stop).to_millivolts()

    def read_stored(self, start: int, stop: int) -> StoredSignal:
        """
        Reads a piece of every lead as the file holds it.

        Args:
            start (`int`): First sample.
            stop (`int`): The sample after the last one.

        Returns:
            [`StoredSignal`]: of the file's own numbers. Where parts of a record have calibrations of their own
            (segments of a WFDB record), they are float32 mV instead.

        Raises:
            `ValueError`: if the record has no such samples, or is closed.
            [`RecordError`]: if they cannot be decoded.
        """
        self._check_range(start, stop)
        return self._read_stored(operator.index(start), operator.index(stop))

    def _check_range(self, start: int, stop: int) -> None:
        if self._closed:
            raise ValueError(f"{self.source or 'the record'} is closed: open it again to read samples.")
        if not 0 <= start <= stop <= self.n_samples:
            raise ValueError(
                f"samples {start} to {stop} are not all in {self.source or 'the record'}: it has {self.n_samples},"
                " counted from 0."
            )

    @abstractmethod
    def _read_stored(self, start: int, stop: int) -> StoredSignal:
        """What `read_stored` returns; the range is legal."""

    def blocks(self, block_s: float = 60.0) -> Iterator[np.ndarray]:
        """
        Walks through the record from its start to its end.

        Args:
            block_s (`float`, *optional*, defaults to 60.0): Length of a block in seconds, rounded to whole samples.

        Returns:
            `Iterator[np.ndarray]`: blocks as from `read`, one after another and without overlap; the last may be
            shorter.

        Raises:
            `ValueError`: if a block is shorter than one sample.
        """
        step = round(block_s * self.sampling_rate) if math.isfinite(block_s) else 0
        if step < 1:
            raise ValueError(f"`block_s` must be one sample ({1 / self.sampling_rate:g} s) or more, got {block_s!r}.")
        return (self.read(start, min(start + step, self.n_samples)) for start in range(0, self.n_samples, step))

    def read_annotations(self) -> tuple[Annotation, ...] | None:
        """
        Reads the beats and rhythm changes that the file or its companion states.

        Returns:
            `tuple[Annotation, ...]` or `None`: `None` if there is no place for them.

        Raises:
            [`RecordError`]: if they cannot be decoded.
        """
        return None

    def to_record(self, annotations: bool = False) -> ECGRecord:
        """
        Reads the whole record into memory.

        Args:
            annotations (`bool`, *optional*, defaults to `False`): Whether to read annotations too.

        Returns:
            [`ECGRecord`]
        """
        return ECGRecord(
            signal_mv=self.read(0, self.n_samples),
            sampling_rate=self.sampling_rate,
            lead_names=self.lead_names,
            annotations=self.read_annotations() if annotations else None,
            **vars(self.facts),
        )

    def close(self) -> None:
        """Frees what the source holds. No samples can be read afterwards; closing again does nothing."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.source!r}: {self.n_leads} leads ({', '.join(self.lead_names)}),"
            f" {self.n_samples} samples at {self.sampling_rate:g} Hz, {self.duration_s:g} s)"
        )


class ArraySource(RecordSource):
    """
    A record whose samples are in memory, or mapped into it from a file.

    Args:
        samples (`np.ndarray` of shape `(leads, samples)`):
            Samples of any real type; never changed.
        sampling_rate (`float`), lead_names (`tuple[str, ...]`), facts ([`RecordFacts`]):
            As in [`RecordSource`].
        gain (`np.ndarray` of shape `(leads,)`, *optional*), baseline (`np.ndarray` of shape `(leads,)`, *optional*),
        units (`Sequence[str]`, *optional*), missing (`Sequence[int | None]`, *optional*):
            As in [`StoredSignal`]; by default the samples are millivolts, and none means "missing".
        annotations (`tuple[Annotation, ...]` or `Callable[[], tuple[Annotation, ...] | None]`, *optional*):
            What `read_annotations` returns, or does where they take work to read.
    """

    def __init__(
        self,
        samples: np.ndarray,
        *,
        sampling_rate: float,
        lead_names: tuple[str, ...],
        facts: RecordFacts,
        gain: np.ndarray | None = None,
        baseline: np.ndarray | None = None,
        units: Sequence[str] | None = None,
        missing: Sequence[int | None] = (),
        annotations: tuple[Annotation, ...] | Callable[[], tuple[Annotation, ...] | None] | None = None,
    ):
        super().__init__(sampling_rate=sampling_rate, lead_names=lead_names, n_samples=samples.shape[1], facts=facts)
        self._samples = samples
        self._calibration = {
            "gain": np.ones(len(samples)) if gain is None else gain,
            "baseline": np.zeros(len(samples)) if baseline is None else baseline,
            "units": ("mV",) * len(samples) if units is None else tuple(units),
            "missing": tuple(missing),
        }
        self._annotations = annotations

    @classmethod
    def from_record(cls, record: ECGRecord) -> Self:
        """
        Args:
            record ([`ECGRecord`]): A record in memory.

        Returns:
            [`ArraySource`]: the same record, to be read piece by piece.
        """
        facts = RecordFacts(**{name: getattr(record, name) for name in RecordFacts.__dataclass_fields__})
        return cls(
            record.signal_mv,
            sampling_rate=record.sampling_rate,
            lead_names=record.lead_names,
            facts=facts,
            annotations=record.annotations,
        )

    def _read_stored(self, start: int, stop: int) -> StoredSignal:
        # A copy always: a view could outlive the file, or let the caller change the record.
        piece = np.array(as_stored(self._samples[:, start:stop]), order="C", subok=False)
        return StoredSignal(piece, **self._calibration)

    def read_annotations(self) -> tuple[Annotation, ...] | None:
        return self._annotations() if callable(self._annotations) else self._annotations

    def close(self) -> None:
        super().close()
        self._samples = None


__all__ = ["ArraySource", "RecordFacts", "RecordSource"]
