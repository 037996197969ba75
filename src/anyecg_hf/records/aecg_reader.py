# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
HL7 annotated ECGs (aECG, `AnnotatedECG`). ecgdatakit decodes the first rhythm series and its first set of sequences; it
leaves out the times of annotations, so these are read here.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

from ..models.anyecg.signal_anyecg import canonical_lead_name, millivolts_per_unit
from .errors import RecordError
from .exported_record import decode, exported_facts, exported_leads
from .formats import ReadOptions, RecordFormat
from .moments import parse_moment, seconds_between
from .record import Annotation
from .source import ArraySource
from .xml_text import parse_xml, recogniser, selector

_NAME = "HL7 aECG"
_AVERAGES = "REPRESENTATIVE_BEAT"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True)
class _Region:
    """What an annotation is about: a span of time in seconds from the start, and a lead."""

    start_s: float
    stop_s: float | None
    lead_name: str | None


@dataclass(frozen=True)
class _Clock:
    """Turns the times of a file into seconds from the start of its recording."""

    path: Path
    head: str
    head_unit: str

    def absolute_s(self, text: str) -> float:
        try:
            return seconds_between(parse_moment(self.head), parse_moment(text))
        except ValueError as error:
            raise RecordError(self.path, "times of annotations", f"this: {error}") from None

    def relative_s(self, text: str, unit: str) -> float:
        # The head of relative times is a quantity; that of absolute ones is the moment that they count from.
        head_s = _quantity_s(self.path, self.head, self.head_unit) if self.head_unit in _SECONDS else 0.0
        return _quantity_s(self.path, text, unit) - head_s


def _open(path: Path, options: ReadOptions) -> ArraySource:
    decoded = decode(path, "hl7_aecg", _NAME)
    _check_origins(path)
    times = decoded.raw_metadata["rhythm_time"]
    rate_hz = times["sampling_rate_exact"]
    rounded = abs(rate_hz - round(rate_hz)) < 1e-9 * rate_hz
    leads = exported_leads(path, decoded, options, float(round(rate_hz)) if rounded else rate_hz)
    clock = _Clock(path, times["head"], "" if times["code"].upper() == "TIME_ABSOLUTE" else times["head_unit"])
    return ArraySource(**vars(leads), facts=exported_facts(path, decoded), annotations=partial(_annotations, clock))


def _rhythm(path: Path) -> Element:
    """The series that ecgdatakit decodes."""
    return next(
        series
        for series in parse_xml(path).iterfind("{*}component/{*}series")
        if _attribute(series.find("{*}code"), "code").upper() != _AVERAGES
    )


def _check_origins(path: Path) -> None:
    """Refuses origins of leads that ecgdatakit would take for 0, or for voltages in the unit of the scale."""
    for origin in _rhythm(path).iterfind("{*}component/{*}sequenceSet/{*}component/{*}sequence/{*}value/{*}origin"):
        text, unit = _attribute(origin, "value"), _attribute(origin, "unit")
        if not _is_voltage(text, unit):
            raise RecordError(path, "origins of leads as voltages", f"{text!r} {unit!r}")


def _is_voltage(text: str, unit: str) -> bool:
    try:
        value = float(text or 0)
        if value and unit:
            millivolts_per_unit(unit)
    except ValueError:
        return False
    return math.isfinite(value)


def _annotations(clock: _Clock) -> tuple[Annotation, ...] | None:
    """Annotations of the rhythm series that have a time; the symbol is the code of what was found there."""
    sets = _rhythm(clock.path).findall("{*}subjectOf/{*}annotationSet")
    if not sets:
        return None
    found = []
    for annotation in (annotation for one_set in sets for annotation in one_set.iterfind(".//{*}annotation")):
        region = _region(clock, annotation)
        if region is None:
            continue
        value = annotation.find("{*}value")
        text = "" if value is None else " ".join((value.text or "").split())
        found.append(
            Annotation(
                time_s=region.start_s,
                symbol=_attribute(value, "code") or _attribute(annotation.find("{*}code"), "code"),
                note=_attribute(value, "displayName") or text,
                duration_s=None if region.stop_s is None else region.stop_s - region.start_s,
                lead_name=region.lead_name,
            )
        )
    return tuple(sorted(found, key=lambda annotation: annotation.time_s))


def _region(clock: _Clock, annotation: Element) -> _Region | None:
    """Where an annotation lies; `None` if it has no time, as statements and measurements of the whole."""
    start_s = stop_s = lead_name = None
    for boundary in annotation.iterfind("{*}support/{*}supportingROI/{*}component/{*}boundary"):
        code, value = _attribute(boundary.find("{*}code"), "code"), boundary.find("{*}value")
        if code.upper() in ("TIME_ABSOLUTE", "TIME_RELATIVE") and value is not None:
            ends = [value.find(f"{{*}}{name}") for name in ("low", "high", "center")]
            low, high, center = (end if _attribute(end, "value") else None for end in ends)
            first = next((end for end in (low, center, high, value) if end is not None and end.get("value")), None)
            if first is not None:
                start_s = _seconds(clock, code, first)
                stop_s = _seconds(clock, code, high) if low is not None and high is not None else None
        else:
            lead_name = canonical_lead_name(code) or lead_name
    return None if start_s is None else _Region(start_s, stop_s, lead_name)


def _seconds(clock: _Clock, code: str, end: Element) -> float:
    if code.upper() == "TIME_ABSOLUTE":
        return clock.absolute_s(_attribute(end, "value"))
    return clock.relative_s(_attribute(end, "value"), _attribute(end, "unit"))


def _attribute(element: Element | None, name: str) -> str:
    return "" if element is None else (element.get(name) or "").strip()


def _quantity_s(path: Path, text: str, unit: str) -> float:
    try:
        seconds = float(text) * _SECONDS[unit]
        if not math.isfinite(seconds):
            raise ValueError
        return seconds
    except (KeyError, ValueError):
        raise RecordError(path, f"a number of {', '.join(_SECONDS)}", f"{text!r} {unit!r}") from None


_recognises = recogniser("AnnotatedECG")
AECG = RecordFormat(name=_NAME, suffixes=(".xml",), recognises=_recognises, open=_open, select=selector(_recognises))

__all__ = ["AECG"]
