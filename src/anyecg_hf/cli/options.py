# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Options and steps that several sub-commands share."""

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from anyecg_hf import TINY
from anyecg_hf.cli.tables import check_output
from anyecg_hf.records import ECGRecord, MissingFileError, RecordSource, find_records, open_record


def add_batch_options(parser: argparse.ArgumentParser, outputs: str, default: str) -> None:
    """`RECORD`s, `--output` and `--json`. An output that nobody named is never overwritten: see [`choose_output`]."""
    parser.add_argument("records", nargs="+", metavar="RECORD", help="records, folders or globs")
    parser.add_argument(
        "-o", "--output", type=Path, help=f"{outputs} file to write (default: {default}, unless that exists)"
    )
    parser.set_defaults(default_output=Path(default))
    parser.add_argument("--json", action="store_true", help="print what was written and what failed as JSON")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--device` and `--window`."""
    parser.add_argument(
        "--model", default=TINY, metavar="PATH_OR_NAME", help="checkpoint (default: the embedded anyecg-tiny)"
    )
    add_device_option(parser)
    parser.add_argument(
        "--window",
        type=float,
        metavar="SECONDS",
        help="window for long records (default: what the checkpoint trained on)",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """`--device`."""
    parser.add_argument("--device", type=_device, default="cpu", help="torch device, for example cuda (default: cpu)")


def _device(name: str) -> str:
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # torch says it either way
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(f"torch cannot use {name!r} here: {reason}") from None
    return name


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """What a file may leave open."""
    group = parser.add_argument_group("what a file may leave open (CSV, NumPy, HDF5, at times EDF)")
    group.add_argument("--sampling-rate", type=float, metavar="HZ", help="samples a second")
    group.add_argument("--leads", metavar="I,II,V1", help="lead names in the order of the file, separated by commas")
    group.add_argument("--unit", help="V, mV, uV or nV")


def open_with_options(path: Path | str, options: argparse.Namespace) -> RecordSource:
    """Opens one record with the reading options."""
    leads = options.leads.split(",") if options.leads else None
    return open_record(path, sampling_rate=options.sampling_rate, lead_names=leads, unit=options.unit)


def read(path: Path | str, options: argparse.Namespace) -> ECGRecord:
    """Reads one record with the reading options."""
    with open_with_options(path, options) as source:
        return source.to_record()


def choose_output(options: argparse.Namespace, suffixes: Sequence[str]) -> Path:
    """The file to write, checked before any work is done; raises `ValueError` if it cannot be that."""
    if options.output is None and options.default_output.exists():
        raise ValueError(f"{options.default_output} exists: name the file to write with --output.")
    output = options.output or options.default_output
    check_output(output, suffixes)
    return output


@dataclass
class Outcome:
    """Results of a loop over records, and what went wrong, by path."""

    results: list[Any] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def for_each_record(
    options: argparse.Namespace, work: Callable[[Path, RecordSource], Any], description: str
) -> Outcome:
    """
    Opens `options.records` and works on each, with a progress bar. One that fails or is missing is noted and does not
    stop the others; warnings are shown with the record that they are about.

    Raises:
        `ValueError`: if none of `options.records` exists.
    """
    outcome = Outcome()
    paths = _find_each(options.records, outcome.failures)
    for path in tqdm(paths, desc=description, unit="record", disable=not sys.stderr.isatty() or None):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                with open_with_options(path, options) as source:
                    outcome.results.append(work(path, source))
            except (ValueError, OSError) as error:
                outcome.failures[str(path)] = str(error)
        for message in dict.fromkeys(str(warning.message) for warning in caught):
            tqdm.write(f"Warning: {_with_path(path, message)}", file=sys.stderr)
    return outcome


def _find_each(sources: list[str], failures: dict[str, str]) -> list[Path]:
    """Records of all sources, each once; sources without any go to `failures`."""
    found: dict[Path, None] = {}
    for source in sources:
        try:
            found.update(dict.fromkeys(find_records(source)))
        except MissingFileError as error:
            failures[source] = str(error)
    if not found:
        raise ValueError(" ".join(failures.values()))
    return list(found)


def _with_path(path: Path | str, message: str) -> str:
    return message if str(path) in message else f"{path}: {message}"


def report(outcome: Outcome, options: argparse.Namespace, summary: str, facts: dict[str, Any] | None = None) -> int:
    """
    Says what was written on stdout, as `summary` or as JSON with `facts`, and what failed on stderr; returns the exit
    status.
    """
    if options.json:
        found = {
            "output": str(options.output) if outcome.results else None,
            "records": len(outcome.results),
            **(facts or {}),
            "failures": [{"path": path, "error": error} for path, error in outcome.failures.items()],
        }
        print(json.dumps(found, indent=2))
    elif outcome.results:
        print(f"{summary} written to {options.output}")
    if outcome.failures:
        count = len(outcome.failures)
        print(f"{count} record{'' if count == 1 else 's'} could not be used:", file=sys.stderr)
        for path, error in outcome.failures.items():
            print(f"  {_with_path(path, error)}", file=sys.stderr)
    return 1 if outcome.failures else 0
