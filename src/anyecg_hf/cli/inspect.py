# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg inspect`: everything that a file carries."""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyecg_hf.cli.options import Outcome, add_reading_options, for_each_record, report
from anyecg_hf.records import Annotation, RecordFacts, RecordSource, find_format
from anyecg_hf.records.identity import IDENTIFYING_FIELDS, is_code
from anyecg_hf.records.lead_summary import LeadSummary, SignalSummary, summarize_signal

DESCRIPTION = """Prints what recordings carry, as it is in the file: format, leads and how they are stored, voltages,
patient, labels, annotations, comments. What identifies the patient, or may do so, is marked with *.

  anyecg inspect records500/00000/00001_hr
  anyecg inspect --annotations --json 100
  anyecg inspect exams_part0.hdf5::1169160 --sampling-rate 400 --unit mV --leads I,II,III,aVR,...

The whole record is read, block by block. The range of a lead is the median over its seconds of the range within one.
Records that are missing or cannot be read are listed at the end."""

_SEXES = {0: "male", 1: "female"}
_PATIENT = ("patient_id", "age_years", "sex", "weight_kg", "height_cm")
_FOOTNOTE = "* identifies the patient or may do so: ECGRecord.without_identity() leaves it out."
_COLUMNS = ("lead", "gain", "baseline", "unit", "missing is", "min mV", "max mV", "range mV", "missing", "")


@dataclass(frozen=True)
class Inspection:
    """What one record carries; `annotations` are `None` if they were not asked for or have no place in the file."""

    path: Path
    format_name: str
    source: RecordSource
    signal: SignalSummary
    annotations: tuple[Annotation, ...] | None

    @property
    def facts(self) -> RecordFacts:
        return self.source.facts

    @property
    def identifying(self) -> list[str]:
        """Names of the fields that identify the patient or may do so."""
        found = [name for name in IDENTIFYING_FIELDS if getattr(self.facts, name)]
        found += ["labels"] if not all(map(is_code, self.facts.labels)) else []
        has_text = any(annotation != annotation.without_text() for annotation in self.annotations or ())
        return found + (["annotations"] if has_text else [])


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "inspect",
        help="everything that a file carries",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("records", nargs="+", metavar="RECORD", help="records, folders or globs")
    parser.add_argument("--annotations", action="store_true", help="read annotations too")
    parser.add_argument("--json", action="store_true", help="print JSON, with every annotation")
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Inspects every record."""

    def inspect(path: Path, source: RecordSource) -> dict[str, Any] | str:
        found = Inspection(
            path=path,
            format_name=find_format(path).name,
            source=source,
            signal=summarize_signal(source),
            annotations=source.read_annotations() if options.annotations else None,
        )
        return _as_json(found) if options.json else "\n".join(_lines(found, options.annotations))

    outcome = for_each_record(options, inspect, "inspect")
    if options.json:
        failures = [{"path": path, "error": error} for path, error in outcome.failures.items()]
        json.dump({"records": outcome.results, "failures": failures}, sys.stdout, indent=2)
        print()
    elif outcome.results:
        print("\n\n".join(outcome.results))
    # Nothing was written that `report` could tell of; the failures are left.
    return report(Outcome(failures=outcome.failures), argparse.Namespace(json=False), "")


def _lines(found: Inspection, asked_for_annotations: bool) -> Iterator[str]:
    source, facts, marked = found.source, found.facts, found.identifying
    length = f"{source.duration_s:g} s, {source.n_samples} samples at {source.sampling_rate:g} Hz"
    yield _line("Record", facts.record_id, "record_id" in marked)
    yield _line("File", facts.source, "source" in marked)
    yield _line("Format", found.format_name)
    yield _line("Length", f"{length}, {source.n_leads} lead{'' if source.n_leads == 1 else 's'}")
    yield _line("Stored as", f"{found.signal.dtype}; (sample - baseline) / gain is the voltage in the unit")
    yield from (f"  {row}" for row in _table([_COLUMNS, *map(_cells, found.signal.leads)]))
    yield _line("Patient", facts.patient_id, "patient_id" in marked)
    yield _line("Age", None if facts.age_years is None else f"{facts.age_years:g} years")
    yield _line("Sex", _SEXES.get(facts.sex))
    yield _line("Weight", None if facts.weight_kg is None else f"{facts.weight_kg:g} kg")
    yield _line("Height", None if facts.height_cm is None else f"{facts.height_cm:g} cm")
    yield _line("Recorded at", facts.recorded_at, "recorded_at" in marked)
    yield _line("Labels", ", ".join(facts.labels), "labels" in marked)
    yield _line("Annotations", _annotations(found, asked_for_annotations), "annotations" in marked)
    yield _line("Comments", "" if facts.comments else None, "comments" in marked)
    yield from (f"  {comment}" for comment in facts.comments)
    if marked:
        yield _FOOTNOTE


def _line(title: str, value: object, is_marked: bool = False) -> str:
    text = "-" if value in (None, "") and not is_marked else str(value)
    return f"{title + ' *' if is_marked else title:<14}{text}".rstrip()


def _cells(lead: LeadSummary) -> tuple[str, ...]:
    voltages = (lead.min_mv, lead.max_mv, lead.typical_range_mv)
    return (
        lead.name,
        f"{lead.gain:.8g}",
        f"{lead.baseline:.8g}",
        lead.unit,
        "-" if lead.missing_code is None else str(lead.missing_code),
        *("-" if value is None else f"{value:.3f}" for value in voltages),
        f"{100 * lead.missing_share:.3g} %",
        "flat" if lead.is_flat else "",
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        yield "  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]).rstrip()


def _annotations(found: Inspection, asked_for: bool) -> str | None:
    if not asked_for:
        return "not read (--annotations)"
    if not found.annotations:
        return None
    symbols = Counter(annotation.symbol for annotation in found.annotations)
    notes = Counter(annotation.note for annotation in found.annotations if annotation.note)
    times_s = [annotation.time_s for annotation in found.annotations]
    text = f"{len(times_s)} from {min(times_s):g} to {max(times_s):g} s: {_counts(symbols)}"
    return f"{text}; notes: {_counts(notes)}" if notes else text


def _counts(counter: Counter) -> str:
    return ", ".join(f"{count} x {name}" for name, count in counter.most_common())


def _as_json(found: Inspection) -> dict[str, Any]:
    source, facts = found.source, found.facts
    return {
        "path": str(found.path),
        "format": found.format_name,
        "source": facts.source,
        "record_id": facts.record_id,
        "sampling_rate": source.sampling_rate,
        "samples": source.n_samples,
        "duration_s": source.duration_s,
        "dtype": found.signal.dtype,
        "leads": [_lead_as_json(lead) for lead in found.signal.leads],
        **{name: getattr(facts, name) for name in _PATIENT},
        "recorded_at": None if facts.recorded_at is None else facts.recorded_at.isoformat(),
        "labels": list(facts.labels),
        "annotations": None if found.annotations is None else [vars(one) for one in found.annotations],
        "comments": list(facts.comments),
        "identifying": found.identifying,
    }


def _lead_as_json(lead: LeadSummary) -> dict[str, Any]:
    # JSON has no infinity.
    legal = {name: None if value in (math.inf, -math.inf) else value for name, value in vars(lead).items()}
    return {**legal, "is_flat": lead.is_flat}
