# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Options and steps that several sub-commands share."""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from anyecg_hf import TINY
from anyecg_hf.records import ECGRecord, read_record


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--device` and `--window`."""
    parser.add_argument(
        "--model", default=TINY, metavar="PATH_OR_NAME", help="checkpoint (default: the embedded anyecg-tiny)"
    )
    parser.add_argument("--device", type=_device, default="cpu", help="torch device, for example cuda (default: cpu)")
    parser.add_argument(
        "--window",
        type=float,
        metavar="SECONDS",
        help="window for long records (default: what the checkpoint trained on)",
    )


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
    group = parser.add_argument_group("what a file may leave open (CSV, NumPy)")
    group.add_argument("--sampling-rate", type=float, metavar="HZ", help="samples a second")
    group.add_argument("--leads", metavar="I,II,V1", help="lead names in the order of the file, separated by commas")
    group.add_argument("--unit", help="V, mV, uV or nV")


def read(path: Path | str, options: argparse.Namespace) -> ECGRecord:
    """Reads one record with the reading options."""
    leads = options.leads.split(",") if options.leads else None
    return read_record(path, sampling_rate=options.sampling_rate, lead_names=leads, unit=options.unit)


@dataclass
class Outcome:
    """Results of a loop over records, and what went wrong, by path."""

    results: list[Any] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def for_each_record(
    paths: Iterable[Path], options: argparse.Namespace, work: Callable[[Path, ECGRecord], Any], description: str
) -> Outcome:
    """Reads records and works on each, with a progress bar; one that fails is noted and does not stop the others."""
    outcome = Outcome()
    for path in tqdm(list(paths), desc=description, unit="record", disable=not sys.stderr.isatty() or None):
        try:
            outcome.results.append(work(path, read(path, options)))
        except (ValueError, OSError) as error:
            outcome.failures[str(path)] = str(error)
    return outcome


def report_failures(outcome: Outcome) -> int:
    """Lists what failed on stderr; returns the exit status."""
    if outcome.failures:
        print(f"{len(outcome.failures)} records could not be used:", file=sys.stderr)
        for path, error in outcome.failures.items():
            message = error if path in error else f"{path}: {error}"
            print(f"  {message}", file=sys.stderr)
    return 1 if outcome.failures else 0
