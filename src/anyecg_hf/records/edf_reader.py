# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""EDF, EDF+, BDF and BDF+ files, decoded by pyedflib. Discontinuous files (EDF+D, BDF+D) are refused."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .edf_header import ADVICE, BDF_MAGIC, EDF_MAGIC, EDFHeader, parse_edf_header, parse_patient
from .errors import RecordError
from .formats import ReadOptions, RecordFormat, optional_package, read_head
from .lead_selection import StatedSignal, select_leads
from .moments import age_at
from .record import COMMENT_SYMBOL, Annotation
from .source import RecordFacts, RecordSource
from .stored_signal import StoredSignal

if TYPE_CHECKING:
    import pyedflib

# pyedflib has one table of open files for the whole process and refuses to open a file twice. Opening takes some 30 us,
# so a file is open only while it is read, and one at a time.
_LOCK = threading.Lock()


class EDFSource(RecordSource):
    """
    An EDF or BDF file whose header has been parsed and checked.

    Args:
        header (`EDFHeader`): The header.
        channels (`Sequence[int]`): Its signals that are leads.
        units (`Sequence[str]`): The unit of each.
        sampling_rate (`float`), lead_names (`tuple[str, ...]`), facts ([`RecordFacts`]): As in [`RecordSource`].
    """

    def __init__(
        self,
        header: EDFHeader,
        channels: Sequence[int],
        units: Sequence[str],
        *,
        sampling_rate: float,
        lead_names: tuple[str, ...],
        facts: RecordFacts,
    ):
        super().__init__(
            sampling_rate=sampling_rate,
            lead_names=lead_names,
            n_samples=header.n_records * header.signals[channels[0]].samples_per_record,
            facts=facts,
        )
        self._header = header
        self._channels = tuple(channels)
        self._units = tuple(units)

    def _read_stored(self, start: int, stop: int) -> StoredSignal:
        signals = [self._header.signals[channel] for channel in self._channels]
        samples = np.empty((self.n_leads, stop - start), dtype=np.int16 if self._header.is_16_bit else np.int32)
        with _opened(self._header.path) as reader:
            for lead, channel in enumerate(self._channels):
                samples[lead] = reader.readSignal(channel, start, stop - start, digital=True)
        return StoredSignal(
            samples,
            gain=np.array([1 / signal.step for signal in signals]),
            baseline=np.array([signal.zero_code for signal in signals]),
            units=self._units,
            missing=tuple(signal.missing_code for signal in signals),
        )

    def read_annotations(self) -> tuple[Annotation, ...] | None:
        """Annotations of EDF+ and BDF+, all with WFDB's symbol for a comment; `None` in plain EDF and BDF."""
        if not self._header.is_plus:
            return None
        with _opened(self._header.path, annotations=True) as reader:
            onsets_s, durations_s, texts = reader.readAnnotations()
        return tuple(
            Annotation(float(onset), COMMENT_SYMBOL, str(text), float(duration) if duration >= 0 else None)
            for onset, duration, text in zip(onsets_s, durations_s, texts, strict=True)
        )


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith((EDF_MAGIC, BDF_MAGIC))


def _select(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if _recognises(path, read_head(path, len(EDF_MAGIC))) and _holds_signal(path)]


def _holds_signal(path: Path) -> bool:
    """Whether there is more than annotations in a file, as scorings of sleep are."""
    try:
        return bool(parse_edf_header(path).signals)
    except RecordError:
        return True  # reading it will say what is wrong


def _open(path: Path, options: ReadOptions) -> EDFSource:
    header = parse_edf_header(path)
    stated = [
        StatedSignal(signal.label, signal.unit or None, signal.samples_per_record / header.record_s)
        for signal in header.signals
    ]
    channels = select_leads(path, stated, options.lead_names)
    leads = [stated[channel] for channel in channels]
    rate = options.resolve_sampling_rate(path, leads[0].rate_hz)
    units = [options.resolve_unit(path, lead.unit) for lead in leads]
    names = options.resolve_lead_names(path, [lead.name for lead in leads])
    with _opened(path):
        pass  # what pyedflib refuses shows when the record is opened
    return EDFSource(header, channels, units, sampling_rate=rate, lead_names=names, facts=_facts(header))


def _facts(header: EDFHeader) -> RecordFacts:
    """
    Patient and recording. The patient field of plain EDF, and the names of patient and technician in EDF+, stay where
    they are: they name a person.
    """
    comments, facts = [header.recording], {}
    if header.is_plus:
        patient = parse_patient(header.patient)
        # Start date, number of the investigation and technician come before the equipment.
        comments = [" ".join(header.recording.split()[4:]).removeprefix("X").strip(), patient.further]
        facts = {
            "patient_id": patient.code,
            "sex": patient.sex,
            "age_years": age_at(header.path, patient.born, header.recorded_at),
        }
    return RecordFacts(
        record_id=header.path.stem,
        recorded_at=header.recorded_at,
        comments=tuple(comment for comment in comments if comment),
        source=str(header.path),
        **facts,
    )


@contextmanager
def _opened(path: Path, annotations: bool = False) -> "Iterator[pyedflib.EdfReader]":
    with optional_package("pyedflib", "EDF and BDF files"):
        import pyedflib
    mode = pyedflib.READ_ALL_ANNOTATIONS if annotations else pyedflib.DO_NOT_READ_ANNOTATIONS
    with _LOCK:
        try:
            with pyedflib.EdfReader(str(path), mode) as reader:
                yield reader
        except OSError as error:
            found = str(error).removeprefix(f"{path}: ")
            advice = ADVICE if "compliant" in found else ""
            raise RecordError(path, "a file that pyedflib can decode", found, advice) from error


EDF = RecordFormat(name="EDF", suffixes=(".edf", ".bdf", ".rec"), recognises=_recognises, open=_open, select=_select)

__all__ = ["EDF", "EDFSource"]
