# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg corpora`: the public corpora, and what several of them have in common."""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

from anyecg_hf.cli.tables import check_output
from anyecg_hf.corpora.description import CorpusDescription
from anyecg_hf.corpora.leakage.audit import AuditEntry, audit
from anyecg_hf.corpora.leakage.audit_report import AuditReport, UnreadRecord
from anyecg_hf.corpora.leakage.audit_sources import AuditSource, read_source

AUDIT_DESCRIPTION = """Looks for leakage: patients and recordings that corpora, or splits of one, have in common.

  anyecg corpora audit ptb-xl=data/ptb-xl georgia=data/challenge-2021
  anyecg corpora audit train/ test/ --output audit.md      folders of your own records
  anyecg corpora audit ludb                                downloads the corpus first

Recordings are found again at another rate, gain or length, filtered, and with some of the leads only. Patients are
compared by their identifiers where these mean the same: in all releases of a corpus, and in all folders.

Exit status: 0 no leakage, 1 leakage (or something could not be read at all), 2 wrong usage."""


def add_parser(commands) -> None:
    """Adds the sub-commands."""
    parser = commands.add_parser("corpora", help="public corpora: list them, audit them for leakage")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="names, sizes and licences", description="Lists the corpora that `load_corpus` knows."
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=run_list)
    auditing = actions.add_parser(
        "audit",
        help="find shared patients and recordings",
        description=AUDIT_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    auditing.add_argument(
        "sources", nargs="+", metavar="CORPUS", help="NAME=DIR, NAME (downloaded), or a folder of records"
    )
    auditing.add_argument("-o", "--output", type=Path, help=".md or .json file to write; both are written")
    auditing.add_argument("--json", action="store_true", help="print the whole report as JSON")
    auditing.set_defaults(run=run_audit, usage_error=auditing.error)


def run_list(options: argparse.Namespace) -> int:
    """Prints what is known of every corpus."""
    from anyecg_hf.corpora import CORPORA

    known = [builder.description for builder in CORPORA.values()]
    if options.json:
        print(json.dumps([asdict(description) for description in known], indent=2, ensure_ascii=False))
        return 0
    rows = [("name", "records", "labels", "licence", "access"), *map(_row, known)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _row(known: CorpusDescription) -> tuple[str, ...]:
    records = "" if known.n_records is None else str(known.n_records)
    licence = known.licence if known.licence_is_certain else f"{known.licence} (not certain)"
    # What it takes in detail is in the JSON and in the corpus's card.
    access = known.access.split(";")[0] + (", with limits" if ";" in known.access else "")
    return known.name, records, known.label_system or "none", licence, access


def run_audit(options: argparse.Namespace) -> int:
    """Audits corpora and prints what was found."""
    sources = _named_apart([_parse(argument, options) for argument in options.sources], options)
    if options.output is not None:
        check_output(options.output, (".md", ".json"))
    show_progress = sys.stderr.isatty()
    entries: list[AuditEntry] = []
    unread: list[UnreadRecord] = []
    for source in sources:
        entries += read_source(source, unread, show_progress)
    report = audit(entries, unread, show_progress)
    _print(report, options)
    return 0 if report.is_clean else 1


def _parse(argument: str, options: argparse.Namespace) -> AuditSource:
    from anyecg_hf.corpora import CORPORA

    name, is_named, folder = argument.partition("=")
    if is_named and name in CORPORA:
        if not Path(folder).is_dir():
            options.usage_error(f"{argument}: {folder!r} is not a folder.")
        return AuditSource(name, name, folder)
    if Path(argument).is_dir():
        return AuditSource(str(Path(argument)), "folder", argument)
    if argument in CORPORA:
        return AuditSource(argument, argument)
    options.usage_error(f"{argument}: expected NAME=DIR, NAME or a folder, where NAME is one of {', '.join(CORPORA)}.")


def _named_apart(sources: list[AuditSource], options: argparse.Namespace) -> list[AuditSource]:
    """Sources of one name are called by their folders too."""
    times = Counter(source.label for source in sources)
    apart = [
        replace(source, label=f"{source.name}={source.data_dir}")
        if source.data_dir is not None and times[source.label] > 1
        else source
        for source in sources
    ]
    for label, count in Counter(source.label for source in apart).items():
        if count > 1:
            options.usage_error(f"{label} is given twice, and would have every record in common with itself.")
    return apart


def _print(report: AuditReport, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(report.summary()))
    if options.output is not None:
        written = " and ".join(map(str, report.write(options.output)))
        print(f"written to {written}", file=sys.stderr if options.json else sys.stdout)
