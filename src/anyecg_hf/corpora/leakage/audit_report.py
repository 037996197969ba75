# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`AuditReport`: what an audit of corpora found, as Python, JSON and Markdown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .record_links import RecordKey
from .sketch_comparison import Similarity

EXACT, NEAR, NAMED = "exact", "near", "named"
_KINDS = {
    EXACT: "copies of the same samples",
    NEAR: "copies at another rate, gain, filter or length",
    NAMED: "copies by name",
}
# The JSON file has all of them.
_MOST_ROWS = 200


@dataclass(frozen=True, order=True)
class AuditedRecord:
    """A record in the words of a report: its corpus, its identifier, and the split it is in."""

    corpus: str
    record_id: str
    split: str | None

    @property
    def part(self) -> tuple[str, str | None]:
        """What it must not share with another part: the split of its corpus."""
        return self.corpus, self.split

    @property
    def key(self) -> RecordKey:
        """Corpus and identifier."""
        return RecordKey(self.corpus, self.record_id)

    def __str__(self) -> str:
        return f"{self.corpus}/{self.record_id}" + (f" ({self.split})" if self.split else "")


@dataclass(frozen=True)
class Copies:
    """
    Records that are copies of each other.

    Attributes:
        kind (`str`): `"exact"` (equal samples, whatever gain and baseline), `"near"` (one recording at another rate,
            filter, lead selection or length; always two records), or `"named"` (one name in two releases).
        records (`tuple[AuditedRecord, ...]`): Two or more.
        similarity ([`Similarity`], *optional*): For near copies, how alike they are, and where.
    """

    kind: str
    records: tuple[AuditedRecord, ...]
    similarity: Similarity | None = None

    @property
    def is_leak(self) -> bool:
        """Whether they are in different corpora or splits."""
        return _spread(self.records)


@dataclass(frozen=True)
class SharedPatient:
    """
    A patient with records in several corpora or splits.

    Attributes:
        patient_ids (`tuple[str, ...]`): The patient's identifiers; several where records link them to each other.
        records (`tuple[AuditedRecord, ...]`): All the patient's records.
    """

    patient_ids: tuple[str, ...]
    records: tuple[AuditedRecord, ...]


@dataclass(frozen=True)
class RepeatedId:
    """An identifier that several records of one corpus have."""

    corpus: str
    record_id: str
    times: int


@dataclass(frozen=True)
class UnreadRecord:
    """A record that was left out, and why."""

    corpus: str
    path: str
    reason: str


@dataclass(frozen=True)
class AuditedPart:
    """
    What was audited of one split of one corpus.

    Attributes:
        corpus (`str`), split (`str` or `None`): Which part.
        records (`int`): Number of records.
        patients (`int`): Number of patients known by identifier.
        without_patient (`int`): Records whose patient is not known.
    """

    corpus: str
    split: str | None
    records: int
    patients: int
    without_patient: int


@dataclass(frozen=True)
class AuditReport:
    """
    What an audit found. A leak is a patient or a recording in two corpora or in two splits. Copies within one split of
    one corpus are listed, but are none.

    Attributes:
        parts (`tuple[AuditedPart, ...]`): What was audited.
        shared_patients (`tuple[SharedPatient, ...]`): Patients in several corpora or splits; each is a leak.
        copies (`tuple[Copies, ...]`): Copies of recordings, leaks first.
        repeated_ids (`tuple[RepeatedId, ...]`): Identifiers that are not unique in their corpus.
        flat (`tuple[AuditedRecord, ...]`): Records in which no lead ever changes; they are copies of nothing.
        short (`tuple[AuditedRecord, ...]`): Records with too little signal for anything but the comparison of samples.
        unread (`tuple[UnreadRecord, ...]`): Records that were not audited.
    """

    parts: tuple[AuditedPart, ...]
    shared_patients: tuple[SharedPatient, ...] = ()
    copies: tuple[Copies, ...] = ()
    repeated_ids: tuple[RepeatedId, ...] = ()
    flat: tuple[AuditedRecord, ...] = ()
    short: tuple[AuditedRecord, ...] = ()
    unread: tuple[UnreadRecord, ...] = ()

    @property
    def leaks(self) -> tuple[SharedPatient | Copies, ...]:
        """Everything that leaks."""
        return (*self.shared_patients, *(copies for copies in self.copies if copies.is_leak))

    @property
    def is_clean(self) -> bool:
        """Whether nothing leaks."""
        return not self.leaks

    @property
    def linked(self) -> tuple[tuple[RecordKey, ...], ...]:
        """Groups of records that a split must keep together, for [`split_by_patient`]; they may overlap."""
        found = (*self.copies, *self.shared_patients)
        return tuple(tuple(record.key for record in one.records) for one in found)

    def copies_of(self, kind: str) -> tuple[Copies, ...]:
        """The copies of one kind: `"exact"`, `"near"` or `"named"`."""
        return tuple(copies for copies in self.copies if copies.kind == kind)

    def summary(self) -> list[str]:
        """The findings in a few lines."""
        lines = [_part_line(part) for part in self.parts]
        lines += [
            f"{words}: {len(found)}, of which {sum(copies.is_leak for copies in found)} leak"
            for kind, words in _KINDS.items()
            if (found := self.copies_of(kind))
        ]
        counts = {
            "patients in several corpora or splits": self.shared_patients,
            "repeated record ids": self.repeated_ids,
            "flat records, copies of nothing": self.flat,
            "records too short to look for more than equal samples": self.short,
            "records left out": self.unread,
        }
        lines += [f"{words}: {len(found)}" for words, found in counts.items() if found]
        verdict = "No leakage found." if self.is_clean else f"Leaks: {len(self.leaks)}."
        return [*lines, verdict]

    def to_dict(self) -> dict[str, Any]:
        """
        Returns:
            `dict[str, Any]`: everything, as JSON knows it.
        """
        found = asdict(self)
        for entry, copies in zip(found["copies"], self.copies, strict=True):
            entry["is_leak"] = copies.is_leak
        return {"is_clean": self.is_clean, "n_leaks": len(self.leaks), **found}

    def to_markdown(self) -> str:
        """
        Returns:
            `str`: the report for people; of long lists the first 200 rows.
        """
        leaking = [copies for copies in self.copies if copies.is_leak]
        harmless = [copies for copies in self.copies if not copies.is_leak]
        sections = (
            ("Shared patients", ("patient", "records"), [_patient_row(shared) for shared in self.shared_patients]),
            ("Copies that leak", _COPY_COLUMNS, [_copy_row(copies) for copies in leaking]),
            ("Copies within one split", _COPY_COLUMNS, [_copy_row(copies) for copies in harmless]),
            (
                "Repeated record ids",
                ("record", "times"),
                [(f"{repeated.corpus}/{repeated.record_id}", str(repeated.times)) for repeated in self.repeated_ids],
            ),
            ("Flat records", ("record",), [(str(record),) for record in self.flat]),
            ("Short records", ("record",), [(str(record),) for record in self.short]),
            (
                "Records left out",
                ("corpus", "path", "reason"),
                [(unread.corpus, unread.path, unread.reason) for unread in self.unread],
            ),
        )
        text = ["# Audit of corpora", "", *(f"- {line}" for line in self.summary())]
        for title, columns, rows in sections:
            if rows:
                text += ["", f"## {title}", "", *_table(columns, rows)]
        return "\n".join([*text, ""])

    def write(self, path: str | Path) -> tuple[Path, Path]:
        """
        Writes the report twice, as Markdown and as JSON.

        Args:
            path (`str` or `Path`): One of the two files; the other has the same name and the other suffix.

        Returns:
            `tuple[Path, Path]`: the Markdown and the JSON file.

        Raises:
            `ValueError`: if `path` ends in neither `.md` nor `.json`.
        """
        path = Path(path)
        if path.suffix not in (".md", ".json"):
            raise ValueError(f"the report must end in .md or .json, got {path}.")
        markdown, table = path.with_suffix(".md"), path.with_suffix(".json")
        markdown.write_text(self.to_markdown(), encoding="utf-8")
        table.write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return markdown, table


def _spread(records: Sequence[AuditedRecord]) -> bool:
    return len({record.part for record in records}) > 1


def _part_line(part: AuditedPart) -> str:
    name = part.corpus + (f" ({part.split})" if part.split else "")
    unknown = f", records without one {part.without_patient}" if part.without_patient else ""
    return f"{name}: records {part.records}, patients {part.patients}{unknown}"


_COPY_COLUMNS = ("kind", "records", "correlation", "seconds", "starts later by")


def _copy_row(copies: Copies) -> tuple[str, ...]:
    row = (copies.kind, ", ".join(map(str, copies.records)))
    found = copies.similarity
    if found is None:
        return (*row, "", "", "")
    return (*row, f"{found.correlation:.4f}", f"{found.overlap_s:.1f} s", f"{found.shift_s:.2f} s")


def _patient_row(shared: SharedPatient) -> tuple[str, ...]:
    return ", ".join(shared.patient_ids), ", ".join(map(str, shared.records))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows[:_MOST_ROWS]]
    if len(rows) > _MOST_ROWS:
        lines += ["", f"and {len(rows) - _MOST_ROWS} more: the JSON file has them all."]
    return lines


def _cell(value: str) -> str:
    return " ".join(value.replace("|", "\\|").split())


__all__ = [
    "EXACT",
    "NAMED",
    "NEAR",
    "AuditReport",
    "AuditedPart",
    "AuditedRecord",
    "Copies",
    "RepeatedId",
    "SharedPatient",
    "UnreadRecord",
]
