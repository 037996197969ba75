# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One shard of a corpus: read, written aside, and put in its place when it is complete, with a summary beside it."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ...environment import installed_versions
from ...records import RecordError
from ..building import ECGCorpusBuilder
from ..downloads.download_errors import storing
from ..entries import CorpusEntry
from ..files import CorpusFiles
from ..preparation_report import ReportLine
from .shard_plan import LIBRARIES, PlannedShard
from .shard_rows import open_writer, row_groups

DATA_FOLDER, SUMMARY_FOLDER, PARTIAL_FOLDER = "data", "preparation", ".partial"


class ShardError(RuntimeError):
    """A shard that cannot be written; the message names shard and record."""


@dataclass(frozen=True)
class ShardTask:
    """
    What a process needs to write a shard.

    Attributes:
        builder ([`ECGCorpusBuilder`]): The corpus.
        files ([`CorpusFiles`]): Its files.
        entries (`tuple[CorpusEntry, ...]`): The records.
        shard ([`PlannedShard`]): What was planned.
        form (`str`): `"public"` or `"stored"`.
        folder (`Path`): Folder of the dataset.
        plan_fingerprint (`str`): Of the plan.
        versions (`dict[str, str]`): Versions of libraries that the plan was made with.
    """

    builder: ECGCorpusBuilder
    files: CorpusFiles
    entries: tuple[CorpusEntry, ...]
    shard: PlannedShard
    form: str
    folder: Path
    plan_fingerprint: str
    versions: dict[str, str]


@dataclass
class RowCounts:
    """
    What is in rows, for the card.

    Attributes:
        n_rows (`int`): Records.
        n_arrow_bytes (`int`): Their size in Arrow.
        duration_s (`float`), shortest_s (`float`), longest_s (`float`): All of them together, and the extremes; 0
            without records.
        patients (`list[str]`): Patients, each once, sorted.
        n_without_patient (`int`): Records that name no patient.
        rates_hz, leads, labels, native_labels, superclasses (`dict[str, int]`): Records by rate, by their leads (names
            apart by a comma), and with each label.
    """

    n_rows: int = 0
    n_arrow_bytes: int = 0
    duration_s: float = 0.0
    shortest_s: float = 0.0
    longest_s: float = 0.0
    patients: list[str] = field(default_factory=list)
    n_without_patient: int = 0
    rates_hz: dict[str, int] = field(default_factory=dict)
    leads: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    native_labels: dict[str, int] = field(default_factory=dict)
    superclasses: dict[str, int] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        """Counts a row of [`schema.to_row`]."""
        seconds = row["n_samples"] / row["sampling_rate"]
        self.shortest_s = seconds if self.n_rows == 0 else min(seconds, self.shortest_s)
        self.longest_s = max(seconds, self.longest_s)
        self.duration_s += seconds
        self.n_rows += 1
        if row["patient_id"] is None:
            self.n_without_patient += 1
        else:
            self.patients.append(row["patient_id"])
        _count(self.rates_hz, [f"{row['sampling_rate']:g}"])
        _count(self.leads, [",".join(row["lead_names"])])
        for name in ("labels", "native_labels", "superclasses"):
            _count(getattr(self, name), row[name])

    @classmethod
    def joined(cls, parts: "list[RowCounts]") -> "RowCounts":
        """Counts of several shards together."""
        full = [part for part in parts if part.n_rows]
        names = [item.name for item in fields(cls) if item.name not in ("patients", "shortest_s", "longest_s")]
        total = cls(
            patients=sorted({patient for part in full for patient in part.patients}),
            shortest_s=min((part.shortest_s for part in full), default=0.0),
            longest_s=max((part.longest_s for part in full), default=0.0),
        )
        for name in names:
            values = [getattr(part, name) for part in full]
            is_counts = isinstance(getattr(total, name), dict)
            setattr(total, name, dict(sum(map(Counter, values), Counter())) if is_counts else sum(values))
        return total


def _count(counts: dict[str, int], items: list[str]) -> None:
    for item in dict.fromkeys(items):
        counts[item] = counts.get(item, 0) + 1


@dataclass(frozen=True)
class ShardSummary:
    """
    What is in a shard.

    Attributes:
        name (`str`), split (`str`): As planned.
        plan_fingerprint (`str`): Of the plan that it belongs to.
        n_bytes (`int`), sha256 (`str`): Of the file.
        counts ([`RowCounts`]): What is in its rows.
        lines (`tuple[ReportLine, ...]`): Records that were left out or odd.
    """

    name: str
    split: str
    plan_fingerprint: str
    n_bytes: int
    sha256: str
    counts: RowCounts
    lines: tuple[ReportLine, ...]

    def to_json(self) -> str:
        """The summary as JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "ShardSummary":
        """The summary that [`to_json`] wrote; `ValueError`, `KeyError` or `TypeError` if it is none."""
        values = json.loads(text)
        lines = tuple(ReportLine(**line) for line in values["lines"])
        return cls(**{**values, "counts": RowCounts(**values["counts"]), "lines": lines})


def parquet_path(folder: Path, name: str) -> Path:
    """Where the shard of this name lies in a dataset's folder."""
    return folder / DATA_FOLDER / f"{name}.parquet"


def summary_path(folder: Path, name: str) -> Path:
    """Where the summary of a shard lies in a dataset's folder."""
    return folder / SUMMARY_FOLDER / f"{name}.json"


def write_shard(task: ShardTask) -> ShardSummary:
    """
    Writes one shard. The same task gives the same bytes, wherever it runs.

    Args:
        task ([`ShardTask`]): What to write. Its folder has the sub-folders that this module names.

    Returns:
        [`ShardSummary`]: what was written beside it, too.

    Raises:
        [`ShardError`]: if something unforeseen happens to a record, or the libraries are not those of the plan.
        [`~anyecg_hf.records.RecordError`]: if a record cannot be used, and the builder is strict.
        [`StorageError`]: if the disk refuses; nothing is left under a final name.
    """
    name = task.shard.name
    _check_versions(task)
    with storing(task.folder):
        partial = tempfile.TemporaryDirectory(prefix=f"{name}.", dir=task.folder / PARTIAL_FOLDER)
    with partial:
        written = Path(partial.name, "shard.parquet")
        lines: list[ReportLine] = []
        counts = _write_rows(task, written, lines)
        summary = ShardSummary(
            name=name,
            split=task.shard.split,
            plan_fingerprint=task.plan_fingerprint,
            n_bytes=written.stat().st_size,
            sha256=_sha256(written),
            counts=counts,
            lines=tuple(without_folder(line, task.files.root) for line in lines),
        )
        target = summary_path(task.folder, name)
        with storing(target):
            described = _write_aside(summary.to_json(), Path(partial.name, target.name))
            # A shard counts when its summary is there.
            os.replace(written, parquet_path(task.folder, name))
            os.replace(described, target)
    return summary


def put_text(text: str, target: Path, partial: Path) -> None:
    """
    Writes a small file in one piece: it has its name only when all of it is there.

    Args:
        text (`str`): What goes into it.
        target (`Path`): The file.
        partial (`Path`): A folder of the same file system for what is not finished.

    Raises:
        [`StorageError`]: if the disk refuses.
    """
    with storing(target):
        os.replace(_write_aside(text, partial / target.name), target)


def _write_aside(text: str, path: Path) -> Path:
    path.write_text(text, encoding="utf-8")
    _sync(path)
    return path


def without_folder(line: ReportLine, root: Path) -> ReportLine:
    """A line that says nothing about where on this machine the corpus lies."""
    reason = line.reason
    for folder in dict.fromkeys((root, root.resolve())):
        reason = reason.replace(f"{folder}{os.sep}", "")
        # Tables may lie above.
        for parent in folder.parents[:2]:
            if len(parent.parts) > 2:
                reason = reason.replace(f"{parent}{os.sep}", "")
    return ReportLine(line.record_id, line.path, line.outcome, reason)


def _write_rows(task: ShardTask, path: Path, lines: list[ReportLine]) -> RowCounts:
    counts = RowCounts()
    target = parquet_path(task.folder, task.shard.name)
    with storing(target):
        writer = open_writer(str(path), task.form)
    try:
        for table in row_groups(_rows(task, lines, counts), task.form):
            counts.n_arrow_bytes += table.nbytes
            with storing(target):
                writer.write_table(table, row_group_size=len(table))
    except RecordError:
        raise
    except ValueError as error:
        raise ShardError(f"{task.shard.name}: {error}") from error
    else:
        with storing(target):
            writer.close()
            _sync(path)
    finally:
        # What cannot be finished is thrown away.
        with suppress(OSError):
            writer.close()
    counts.patients = sorted(set(counts.patients))
    return counts


def _rows(task: ShardTask, lines: list[ReportLine], counts: RowCounts) -> Iterator[dict[str, Any]]:
    at: list[CorpusEntry] = []

    def entries() -> Iterator[CorpusEntry]:
        for entry in task.entries:
            at[:] = [entry]
            yield entry

    try:
        for row in task.builder.rows(entries(), task.files, lines):
            counts.add(row)
            yield row
    except RecordError:
        raise
    except Exception as error:
        place = f"record {at[0].record_id!r} ({at[0].path})" if at else "before the first record"
        raise ShardError(f"{task.shard.name}, {place}: {type(error).__name__}: {error}") from error


def _check_versions(task: ShardTask) -> None:
    found = installed_versions(LIBRARIES)
    if found != task.versions:
        differing = [
            f"{name} {found.get(name, 'none')} in place of {task.versions.get(name, 'none')}"
            for name in sorted(found.keys() | task.versions.keys())
            if found.get(name) != task.versions.get(name)
        ]
        raise ShardError(
            f"{task.shard.name}: this worker has {', '.join(differing)}; install the same versions on every machine."
        )


def _sync(path: Path) -> None:
    """Waits until the file is on the disk, lest a power failure leave an empty file of its name."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = [
    "DATA_FOLDER",
    "PARTIAL_FOLDER",
    "SUMMARY_FOLDER",
    "RowCounts",
    "ShardError",
    "ShardSummary",
    "ShardTask",
    "parquet_path",
    "put_text",
    "summary_path",
    "without_folder",
    "write_shard",
]
