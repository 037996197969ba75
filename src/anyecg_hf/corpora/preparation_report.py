# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`PreparationReport`: which records of a corpus were left out or odd, and why."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

SKIPPED, NOTED = "skipped", "noted"

_FILE_NAME = "report.jsonl"
_PART = "report-part-*.jsonl"


@dataclass(frozen=True, order=True)
class ReportLine:
    """
    What was found about one record.

    Attributes:
        record_id (`str`): The record.
        path (`str`): Its path below the corpus root.
        outcome (`str`): `"skipped"`, or `"noted"` where the record was kept.
        reason (`str`): Why.
    """

    record_id: str
    path: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class PreparationReport:
    """
    Lines of all records that were not plainly read.

    Attributes:
        lines (`tuple[ReportLine, ...]`): Sorted by record.
    """

    lines: tuple[ReportLine, ...] = ()

    @property
    def skipped(self) -> tuple[ReportLine, ...]:
        """Records that were left out."""
        return tuple(line for line in self.lines if line.outcome == SKIPPED)

    @property
    def noted(self) -> tuple[ReportLine, ...]:
        """Oddities of records that were kept."""
        return tuple(line for line in self.lines if line.outcome == NOTED)

    @classmethod
    def read(cls, folder: Path) -> "PreparationReport":
        """Reads the report in a folder; an empty one if there is none."""
        path = folder / _FILE_NAME
        return cls(_parse(path) if path.is_file() else ())

    def write(self, folder: Path) -> None:
        """Writes the report into a folder."""
        text = "".join(f"{json.dumps(asdict(line), ensure_ascii=False)}\n" for line in sorted(self.lines))
        (folder / _FILE_NAME).write_text(text, encoding="utf-8")


def append_line(folder: Path, line: ReportLine) -> None:
    """Adds a line to the part of a report that belongs to this process."""
    with open(folder / _PART.replace("*", str(os.getpid())), "a", encoding="utf-8") as file:
        file.write(f"{json.dumps(asdict(line), ensure_ascii=False)}\n")


def join_parts(folder: Path, lines: Iterable[ReportLine] = ()) -> PreparationReport:
    """Joins the parts that several processes wrote into one report, and removes them."""
    parts = sorted(folder.glob(_PART))
    report = PreparationReport(tuple(sorted({*lines, *(line for part in parts for line in _parse(part))})))
    report.write(folder)
    for part in parts:
        part.unlink()
    return report


def _parse(path: Path) -> tuple[ReportLine, ...]:
    return tuple(ReportLine(**json.loads(text)) for text in path.read_text(encoding="utf-8").splitlines())


__all__ = ["NOTED", "SKIPPED", "PreparationReport", "ReportLine", "append_line", "join_parts"]
