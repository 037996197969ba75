# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The leakage audit: patients and recordings that corpora or splits have in common."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from .audit_report import (
    EXACT,
    NAMED,
    NEAR,
    AuditedPart,
    AuditedRecord,
    AuditReport,
    Copies,
    RepeatedId,
    SharedPatient,
    UnreadRecord,
)
from .fingerprints import Fingerprint, fingerprint
from .near_duplicates import find_near_duplicates
from .record_links import joined_groups
from .splitting import PatientRecord


@dataclass(frozen=True, kw_only=True)
class AuditEntry(PatientRecord):
    """
    A record to audit.

    Args:
        corpus (`str`), record_id (`str`), patient_id (`str`, *optional*), split (`str`, *optional*),
        source (`str`, *optional*):
            As in [`PatientRecord`]. What is called by one `corpus` was given as one: where a corpus is audited against
            another release of itself, they need two names, and the `source` says which corpus both are.
        fingerprint ([`Fingerprint`]):
            Of its signal.
    """

    fingerprint: Fingerprint

    @classmethod
    def of(cls, example: Mapping[str, Any], corpus: str | None = None) -> Self:
        """
        Args:
            example (`Mapping[str, Any]`):
                A row of `load_corpus`.
            corpus (`str`, *optional*):
                What to call its corpus, if not by the name it has in `CORPORA`.

        Returns:
            [`AuditEntry`]
        """
        return cls(
            corpus=corpus or example["corpus"],
            record_id=example["record_id"],
            patient_id=example["patient_id"],
            split=example["split"],
            source=example["corpus"],
            fingerprint=fingerprint(example["signal"], example["lead_names"], example["sampling_rate"]),
        )

    @property
    def described(self) -> AuditedRecord:
        """The entry in the words of the report."""
        return AuditedRecord(self.corpus, self.record_id, self.split)


def audit(
    entries: Iterable[AuditEntry], unread: Sequence[UnreadRecord] = (), show_progress: bool = False
) -> AuditReport:
    """
    Finds what corpora and splits have in common: patients, copies of recordings whatever their rate, gain, filter,
    leads and length, and names.

    Identifiers of patients and names of records are compared where they mean the same: within a corpus, whatever its
    release, and between corpora that were released as one. The identifiers of all folders are taken to be of one kind,
    so that a folder to train on can be audited against one to test on.

    Args:
        entries (`Iterable[AuditEntry]`):
            The records; all corpora that are used side by side belong into one audit.
        unread (`Sequence[UnreadRecord]`, *optional*):
            Records that could not be read, for the report.
        show_progress (`bool`, *optional*, defaults to `False`):
            Whether to show a progress bar.

    Returns:
        [`AuditReport`]

    Example:

    ```python
    >>> rows = [*load_corpus("ptb-xl", "ptb-xl", split="train"), *load_corpus("georgia", "georgia", split="train")]
    >>> audit(AuditEntry.of(row) for row in rows).is_clean
    True
    ```
    """
    listed = list(entries)
    exact = _exact_copies(listed)
    copies = [
        *(Copies(EXACT, _described(listed, members)) for members in exact),
        *_near_copies(listed, exact, show_progress),
        *(Copies(NAMED, _described(listed, members)) for members in _named_copies(listed)),
    ]
    return AuditReport(
        parts=_parts(listed),
        shared_patients=_shared_patients(listed),
        copies=tuple(sorted(copies, key=lambda found: not found.is_leak)),
        repeated_ids=_repeated_ids(listed),
        flat=tuple(entry.described for entry in listed if entry.fingerprint.exact is None),
        short=tuple(
            entry.described
            for entry in listed
            if entry.fingerprint.exact is not None and entry.fingerprint.sketch is None
        ),
        unread=tuple(unread),
    )


def _described(entries: Sequence[AuditEntry], members: Iterable[int]) -> tuple[AuditedRecord, ...]:
    return tuple(entries[member].described for member in members)


def _exact_copies(entries: Sequence[AuditEntry]) -> list[list[int]]:
    by_hash: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        if entry.fingerprint.exact is not None:
            by_hash[entry.fingerprint.exact].append(number)
    return [members for members in by_hash.values() if len(members) > 1]


def _near_copies(entries: Sequence[AuditEntry], exact: Iterable[Sequence[int]], show_progress: bool) -> list[Copies]:
    """Near copies, exact ones being represented by the first of them."""
    represented = {member for members in exact for member in members[1:]}
    sketches = [None if number in represented else entry.fingerprint.sketch for number, entry in enumerate(entries)]
    return [
        Copies(NEAR, _described(entries, (pair.first, pair.second)), pair.similarity)
        for pair in find_near_duplicates(sketches, show_progress)
    ]


def _named_copies(entries: Sequence[AuditEntry]) -> list[list[int]]:
    by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        if entry.name is not None:
            by_name[entry.id_space, entry.name].append(number)
    return [members for members in by_name.values() if len({entries[member].key for member in members}) > 1]


def _shared_patients(entries: Sequence[AuditEntry]) -> tuple[SharedPatient, ...]:
    """Patients in several parts; a copy by name has the patient that its original is known to have."""
    nodes: dict[tuple[str, str, str], int] = {}
    links = []
    for number, entry in enumerate(entries):
        if entry.patient_id is not None:
            node = ("patient", entry.id_space, entry.patient_id)
            links.append((number, nodes.setdefault(node, len(entries) + len(nodes))))
        if entry.name is not None:
            node = ("name", entry.id_space, entry.name)
            links.append((number, nodes.setdefault(node, len(entries) + len(nodes))))
    groups = joined_groups(len(entries) + len(nodes), links)
    members: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups[: len(entries)].tolist()):
        members[group].append(number)
    shared = []
    for numbers in members.values():
        patient_ids = sorted({entries[number].patient_id for number in numbers} - {None})
        records = _described(entries, numbers)
        if patient_ids and len({record.part for record in records}) > 1:
            shared.append(SharedPatient(tuple(patient_ids), records))
    return tuple(shared)


def _repeated_ids(entries: Sequence[AuditEntry]) -> tuple[RepeatedId, ...]:
    times = Counter(entry.key for entry in entries)
    return tuple(RepeatedId(key.corpus, key.record_id, count) for key, count in times.items() if count > 1)


def _parts(entries: Sequence[AuditEntry]) -> tuple[AuditedPart, ...]:
    by_part: dict[tuple[str, str | None], list[AuditEntry]] = defaultdict(list)
    for entry in entries:
        by_part[entry.described.part].append(entry)
    return tuple(
        AuditedPart(
            corpus,
            split,
            records=len(found),
            patients=len({entry.patient_id for entry in found} - {None}),
            without_patient=sum(entry.patient_id is None for entry in found),
        )
        for (corpus, split), found in by_part.items()
    )


__all__ = ["AuditEntry", "audit"]
