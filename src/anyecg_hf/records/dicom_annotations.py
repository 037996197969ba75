# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
The waveform annotations of a DICOM file (PS3.3 C.10.10): those with a time become annotations of the record, coded and
free statements about the whole its labels and comments. Measurements of the whole are left out.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dicom_values import first_item, legal_values
from .errors import RecordError
from .moments import parse_moment, seconds_between
from .record import COMMENT_SYMBOL, Annotation

if TYPE_CHECKING:
    from pydicom import Dataset

_SPANS = ("SEGMENT", "MULTISEGMENT")


@dataclass(frozen=True)
class Timeline:
    """
    The multiplex group that was read.

    Attributes:
        path (`Path`): The file, for messages.
        group (`int`): Number of the group, counted from 1.
        rate_hz (`float`): Its rate.
        start (`datetime` or `None`): When it starts, with a time zone if one is stated.
        lead_names (`dict[int, str]`): Names of its leads by number of the channel, counted from 1.
    """

    path: Path
    group: int
    rate_hz: float
    start: datetime | None
    lead_names: dict[int, str]


@dataclass(frozen=True)
class Statements:
    """What annotations say about the whole recording: codes, and texts for people."""

    codes: tuple[str, ...]
    texts: tuple[str, ...]


def parse_statements(items: "Sequence[Dataset]") -> Statements:
    """
    Args:
        items (`Sequence[Dataset]`): The items of the Waveform Annotation Sequence.

    Returns:
        `Statements`: from the items that have neither a time nor a number.
    """
    about_all = [item for item in items if not item.get("TemporalRangeType") and item.get("NumericValue") is None]
    concepts = [
        first_item(item, "ConceptCodeSequence") or first_item(item, "ConceptNameCodeSequence") for item in about_all
    ]
    return Statements(
        codes=tuple(str(concept.CodeValue) for concept in concepts if concept is not None and concept.get("CodeValue")),
        texts=tuple(text for item in about_all if (text := _note(item))),
    )


def parse_annotations(items: "Sequence[Dataset]", timeline: Timeline) -> tuple[Annotation, ...] | None:
    """
    Args:
        items (`Sequence[Dataset]`): The items of the Waveform Annotation Sequence.
        timeline (`Timeline`): The group that was read; annotations of other groups are left out.

    Returns:
        `tuple[Annotation, ...]` or `None`: in the order of their times, the code as symbol and its meaning as note;
        `None` if the file has no annotations.

    Raises:
        [`RecordError`]: if a time cannot be told.
    """
    if not items:
        return None
    with legal_values(timeline.path):
        found = [
            Annotation(times_s[0], _symbol(item), _note(item), times_s[1] - times_s[0] if times_s[1:] else None, lead)
            for item in items
            for times_s in _spans_s(item, timeline)
            for lead in _leads(item, timeline)
        ]
    return tuple(sorted(found, key=lambda annotation: annotation.time_s))


def _spans_s(item: "Dataset", timeline: Timeline) -> list[tuple[float, ...]]:
    """Points in time, or starts and ends, in seconds from the start of the group."""
    kind = item.get("TemporalRangeType")
    if not kind:
        return []
    times_s = _times_s(item, timeline)
    if not times_s or (kind in _SPANS and len(times_s) % 2):
        raise RecordError(
            timeline.path, f"the times of a waveform annotation of the type {kind}", f"{len(times_s)} of them"
        )
    return list(zip(times_s[::2], times_s[1::2], strict=True)) if kind in _SPANS else [(time_s,) for time_s in times_s]


def _times_s(item: "Dataset", timeline: Timeline) -> list[float]:
    for keyword, seconds in _SECONDS.items():
        values = item.get(keyword)
        if values is not None and values != "":
            values = [values] if isinstance(values, (str, int, float)) else list(values)
            try:
                return [seconds(value, timeline) for value in values]
            except (TypeError, ValueError) as error:
                raise RecordError(
                    timeline.path, f"times in {keyword} of a waveform annotation", f"this: {error}"
                ) from error
    return []


def _position_s(position: int, timeline: Timeline) -> float:
    return (int(position) - 1) / timeline.rate_hz  # the first sample has the number 1


def _offset_s(offset_s: float, timeline: Timeline) -> float:
    return float(offset_s)


def _moment_s(moment: str, timeline: Timeline) -> float:
    if timeline.start is None:
        raise ValueError("the file does not say when the recording starts")
    return seconds_between(timeline.start, parse_moment(str(moment)))


_SECONDS: dict[str, Callable[[Any, Timeline], float]] = {
    "ReferencedSamplePositions": _position_s,
    "ReferencedTimeOffsets": _offset_s,
    "ReferencedDateTime": _moment_s,
}


def _leads(item: "Dataset", timeline: Timeline) -> Iterable[str | None]:
    """Names of the leads that an annotation is about; `None` stands for all of them."""
    referenced = item.get("ReferencedWaveformChannels")
    if referenced is None:
        return [None]
    pairs = list(zip(list(referenced)[::2], list(referenced)[1::2], strict=False))
    if any(group in (0, timeline.group) and channel == 0 for group, channel in pairs):
        return [None]
    channels = [channel for group, channel in pairs if group == timeline.group]
    return [timeline.lead_names[channel] for channel in channels if channel in timeline.lead_names]


def _symbol(item: "Dataset") -> str:
    concept = first_item(item, "ConceptNameCodeSequence") or first_item(item, "ConceptCodeSequence")
    return COMMENT_SYMBOL if concept is None else str(concept.get("CodeValue") or concept.get("CodeMeaning", ""))


def _note(item: "Dataset") -> str:
    """Everything that an annotation says to people."""
    concepts = [first_item(item, keyword) for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence")]
    unit = first_item(item, "MeasurementUnitsCodeSequence")
    parts = [
        *(str(concept.get("CodeMeaning") or "") for concept in concepts if concept is not None),
        str(item.get("UnformattedTextValue") or ""),
        "" if item.get("NumericValue") is None else str(item.NumericValue),
        "" if unit is None or item.get("NumericValue") is None else str(unit.get("CodeValue") or ""),
    ]
    return " ".join(part.strip() for part in parts if part.strip())


__all__ = ["Statements", "Timeline", "parse_annotations", "parse_statements"]
