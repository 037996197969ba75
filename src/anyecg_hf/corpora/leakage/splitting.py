# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Splits by patient that are the same on every machine, in every order and for every part of the records."""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from .record_links import RecordKey, id_space, joined_groups, record_name

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def assign_split(patient_id: str, fractions: Mapping[str, float] = FRACTIONS, seed: int = 0) -> str:
    """
    The split of a patient: a hash of the identifier, so that nothing else about the data changes it.

    Args:
        patient_id (`str`):
            Identifier of the patient, or of the record where the patient is not known.
        fractions (`Mapping[str, float]`, *optional*, defaults to 80 % `train`, 10 % `validation`, 10 % `test`):
            Name of each split -> its share of the patients. Their order matters.
        seed (`int`, *optional*, defaults to 0):
            Another one gives another split.

    Returns:
        `str`: name of the split.

    Raises:
        `ValueError`: if the identifier is empty or no text, or the shares are not positive or do not add up to 1.

    Example:

    ```python
    >>> assign_split("15709")
    'train'
    ```
    """
    if not isinstance(patient_id, str) or not patient_id:
        raise ValueError(f"`patient_id` must be a text that is not empty, got {patient_id!r}.")
    _check(fractions)
    digest = hashlib.sha256(f"{seed}\0{patient_id}".encode()).digest()
    at = int.from_bytes(digest[:8], "big") / 2**64
    names = list(fractions)
    ends = np.cumsum([fractions[name] for name in names])
    return names[min(int(np.searchsorted(ends, at, side="right")), len(names) - 1)]


def _check(fractions: Mapping[str, float]) -> None:
    shares = list(fractions.values())
    if not shares or min(shares) <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise ValueError(f"`fractions` must be positive and add up to 1, got {dict(fractions)}.")


@dataclass(frozen=True)
class PatientRecord:
    """
    What decides on the split of a record.

    Args:
        corpus (`str`):
            Its corpus.
        record_id (`str`):
            Its identifier in the corpus.
        patient_id (`str`, *optional*):
            Identifier of the patient; a record without one is taken for a patient of its own.
        split (`str`, *optional*):
            The split it has in the corpus.
        source (`str`, *optional*):
            The name of the corpus in `CORPORA`, if `corpus` is something else, such as a folder.
    """

    corpus: str
    record_id: str
    patient_id: str | None = None
    split: str | None = None
    source: str | None = None

    @classmethod
    def of(cls, example: Mapping[str, Any]) -> Self:
        """
        Args:
            example (`Mapping[str, Any]`): A row of `load_corpus`.

        Returns:
            [`PatientRecord`]
        """
        return cls(example["corpus"], example["record_id"], example.get("patient_id"), example.get("split"))

    @property
    def key(self) -> RecordKey:
        """Corpus and identifier."""
        return RecordKey(self.corpus, self.record_id)

    @property
    def id_space(self) -> str:
        """See [`~corpora.record_links.id_space`]."""
        return id_space(self.source or self.corpus)

    @property
    def name(self) -> str | None:
        """See [`~corpora.record_links.record_name`]."""
        return record_name(self.source or self.corpus, self.record_id)


@dataclass(frozen=True)
class PatientSplit:
    """
    Splits of records.

    Attributes:
        splits (`dict[RecordKey, str]`): Of every record.
        groups (`dict[RecordKey, int]`): Number of the group of patients that each record belongs to. Where nothing
            links patients to each other, a group is one patient.
    """

    splits: dict[RecordKey, str] = field(default_factory=dict)
    groups: dict[RecordKey, int] = field(default_factory=dict)

    def split_of(self, corpus: str, record_id: str) -> str:
        """
        Args:
            corpus (`str`), record_id (`str`): The record.

        Returns:
            `str`: name of its split.

        Raises:
            `ValueError`: if it was not among the records that were split.
        """
        try:
            return self.splits[RecordKey(corpus, record_id)]
        except KeyError:
            raise ValueError(f"{corpus}/{record_id} was not among the {len(self.splits)} records split.") from None

    @property
    def records(self) -> dict[str, int]:
        """Records of each split."""
        return dict(Counter(self.splits.values()))

    @property
    def patients(self) -> dict[str, int]:
        """Patients of each split, linked ones counted as one."""
        return dict(Counter({group: self.splits[key] for key, group in self.groups.items()}.values()))


def split_by_patient(
    records: Iterable[PatientRecord | Mapping[str, Any]],
    fractions: Mapping[str, float] = FRACTIONS,
    seed: int = 0,
    linked: Iterable[Collection[RecordKey]] = (),
    official: Collection[str] = (),
) -> PatientSplit:
    """
    Splits records so that no patient and no linked record is in two splits, within and across corpora.

    A patient who is linked to no other has the split that [`assign_split`] gives for its identifier, or where it is not
    known for that of the record ([`~corpora.record_links.record_name`]). Of linked ones, the first in the order of
    corpora and identifiers decides for all.

    Args:
        records (`Iterable[PatientRecord | Mapping]`):
            Records, or rows of `load_corpus` (of which `corpus`, `record_id`, `patient_id` and `split` are looked at).
            Copies of a record that have its name in another release (`HR00001` is `00001_hr`) belong together.
        fractions (`Mapping[str, float]`, *optional*), seed (`int`, *optional*):
            As in [`assign_split`].
        linked (`Iterable[Collection[RecordKey]]`, *optional*):
            Groups of records to keep together, such as [`AuditReport.linked`].
        official (`Collection[str]`, *optional*):
            What is called so by `corpus` keeps its own splits, such as `("ptb-xl",)`; whatever is linked to it follows.

    Returns:
        [`PatientSplit`]

    Raises:
        `ValueError`: if `fractions` is impossible, or linked records have different official splits.

    Example:

    ```python
    >>> report = audit(entries)
    >>> split = split_by_patient(entries, linked=report.linked, official=("ptb-xl",))
    >>> train = georgia.filter(lambda record: split.split_of("georgia", record["record_id"]) == "train")
    ```
    """
    _check(fractions)
    listed = [record if isinstance(record, PatientRecord) else PatientRecord.of(record) for record in records]
    nodes = _Nodes()
    own = [nodes.add_record(record) for record in listed]
    for keys in linked:
        nodes.link([nodes.number(("record", key.corpus, key.record_id)) for key in keys])
    groups = nodes.groups()
    deciding = nodes.first_names(groups)
    fixed = _official_splits(listed, groups[own], official)
    splits = [
        fixed[group] if group in fixed else assign_split(deciding[group], fractions, seed)
        for group in groups[own].tolist()
    ]
    numbers = dict(zip(dict.fromkeys(groups[own].tolist()), range(len(own)), strict=False))
    return PatientSplit(
        {record.key: split for record, split in zip(listed, splits, strict=True)},
        {record.key: numbers[group] for record, group in zip(listed, groups[own].tolist(), strict=True)},
    )


# A name is the same in every release; a plain identifier decides only where it is no name.
_DECIDING = ("patient", "name", "record")


class _Nodes:
    """Records, names that records share, and patients, with the links between them."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._links: list[tuple[int, int]] = []

    def number(self, node: Hashable) -> int:
        return self._numbers.setdefault(node, len(self._numbers))

    def link(self, numbers: list[int]) -> None:
        self._links += [(numbers[0], other) for other in numbers[1:]]

    def add_record(self, record: PatientRecord) -> int:
        own = self.number(("record", record.corpus, record.record_id))
        if record.name is not None:
            self.link([own, self.number(("name", record.id_space, record.name))])
        if record.patient_id is not None:
            self.link([own, self.number(("patient", record.id_space, record.patient_id))])
        return own

    def groups(self) -> np.ndarray:
        return joined_groups(len(self._numbers), self._links)

    def first_names(self, groups: np.ndarray) -> dict[int, str]:
        """The identifier that decides on each group: a patient's, or where none is known a record's."""
        first: dict[int, tuple[int, str, str]] = {}
        for (kind, space, name), number in self._numbers.items():
            group = int(groups[number])
            candidate = (_DECIDING.index(kind), space, name)
            first[group] = min(first.get(group, candidate), candidate)
        return {group: name for group, (_, _, name) in first.items()}


def _official_splits(records: list[PatientRecord], groups: np.ndarray, official: Collection[str]) -> dict[int, str]:
    deciding: dict[int, PatientRecord] = {}
    for record, group in zip(records, groups.tolist(), strict=True):
        if record.split is None or record.corpus not in official:
            continue
        first = deciding.setdefault(group, record)
        if first.split != record.split:
            raise ValueError(
                f"{first.key} is officially in {first.split!r}, and {record.key}, which is linked to it, in"
                f" {record.split!r}. Leave one of them out."
            )
    return {group: record.split for group, record in deciding.items()}


__all__ = ["FRACTIONS", "PatientRecord", "PatientSplit", "assign_split", "split_by_patient"]
