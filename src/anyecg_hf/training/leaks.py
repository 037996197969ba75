# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What records have in common that must not be on both sides of an evaluation: signals, names, patients."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import datasets

from anyecg_hf.corpora.leakage.record_links import id_space, record_name

logger = logging.getLogger(__name__)


class LeakError(ValueError):
    """Records to train on are copies of held-out ones, or of the same patients."""


def leak_keys(
    corpus: str, record_id: str, patient_id: str | None, fingerprint: str | None
) -> Iterator[tuple[str, ...]]:
    """
    What two rows have in common if one must not be trained on where the other is evaluated on.

    Args:
        corpus, record_id, patient_id, fingerprint (`str`): Of a row.

    Returns:
        `Iterator[tuple[str, ...]]`: its signal, its record and its patient, as far as they are known.
    """
    yield from copy_keys(corpus, record_id, fingerprint)
    if patient_id is not None:
        yield "patient", id_space(corpus), patient_id


def copy_keys(corpus: str, record_id: str, fingerprint: str | None) -> Iterator[tuple[str, ...]]:
    """What copies of a record have in common; arguments as in [`leak_keys`]."""
    if fingerprint is not None:
        yield "signal", fingerprint
    name = record_name(corpus, record_id)
    if name is not None:
        yield "record", id_space(corpus), name


class RowKey(NamedTuple):
    """What tells records apart."""

    corpus: str
    record_id: str
    patient_id: str | None
    fingerprint: str | None


def row_keys(rows: datasets.Dataset) -> Iterator[RowKey]:
    """Keys of the records that cleaned rows are of, one a row."""
    columns = rows.select_columns(list(RowKey._fields)).with_format(None)
    yield from map(RowKey, *(columns[name] for name in RowKey._fields))


def keys_of(parts: Iterable[datasets.Dataset]) -> dict[tuple[str, ...], str]:
    """What the records of cleaned rows have ([`leak_keys`]) -> one record that has it."""
    return {
        key: f"{row.corpus}/{row.record_id}"
        for part in parts
        for row in dict.fromkeys(row_keys(part))
        for key in leak_keys(*row)
    }


def refuse_shared(ours: Sequence[datasets.Dataset], theirs: Sequence[datasets.Dataset], what: str) -> None:
    """Raises [`LeakError`] if records on two sides share anything; `what` says what `ours` are."""
    forbidden = keys_of(theirs)
    for key, record in keys_of(ours).items():
        if key in forbidden:
            raise LeakError(
                f"{what} record {record} and held-out record {forbidden[key]} share the same {key[0]}: no figure would"
                " mean anything."
            )


class CopyFinder:
    """Tells copies of records by signal or name; of each, the first one that is asked about is no copy."""

    def __init__(self):
        self._seen: set[tuple[str, ...]] = set()

    def is_copy(self, row: RowKey) -> bool:
        """Whether a record with the same signal or name was asked about before; ask once a record."""
        keys = set(copy_keys(row.corpus, row.record_id, row.fingerprint))
        is_copy = not keys.isdisjoint(self._seen)
        self._seen |= keys
        return is_copy


def without_copies(parts: Sequence[datasets.Dataset], what: str = "validation") -> list[datasets.Dataset]:
    """The rows of the first of several copies of each record; a warning counts the others."""
    copies = CopyFinder()
    kept = [rows_of_records(part, lambda row: not copies.is_copy(row)) for part in parts]
    n_dropped = sum(map(len, parts)) - sum(map(len, kept))
    if n_dropped:
        logger.warning("%d %s rows are left out: copies of another %s record", n_dropped, what, what)
    return kept


def find_leaks(
    parts: Iterable[datasets.Dataset], forbidden: Mapping[tuple[str, ...], str]
) -> dict[RowKey, tuple[str, ...]]:
    """
    Records that must not be trained on -> what they share with one that is held out, or with another leak: a held-out
    copy that does not name its patient leads to its twin, and the twin to the patient's other records.
    """
    rows_of: dict[tuple[str, ...], list[RowKey]] = {}
    found: dict[RowKey, tuple[str, ...]] = {}
    for row in dict.fromkeys(row for part in parts for row in row_keys(part)):
        for key in leak_keys(*row):
            rows_of.setdefault(key, []).append(row)
            if key in forbidden:
                found.setdefault(row, key)
    waiting = list(found)
    while waiting:
        for key in leak_keys(*waiting.pop()):
            following = [row for row in rows_of.pop(key, ()) if row not in found]
            found.update(dict.fromkeys(following, key))
            waiting += following
    return found


def rows_of_records(rows: datasets.Dataset, is_kept: Callable[[RowKey], bool]) -> datasets.Dataset:
    """The rows of the records that are kept; asks once a record."""
    keys = list(row_keys(rows))
    verdicts = {key: is_kept(key) for key in dict.fromkeys(keys)}
    return rows.select([index for index, key in enumerate(keys) if verdicts[key]])


def refuse_leak(row: RowKey, key: tuple[str, ...], forbidden: Mapping[tuple[str, ...], str], on_leak: str) -> None:
    """Raises [`LeakError`] for a record that shares `key` with a held-out one, unless such are dropped."""
    if on_leak == "refuse" and key in forbidden:
        raise LeakError(
            f"training record {row.corpus}/{row.record_id} and validation or held-out record {forbidden[key]} share the"
            f" same {key[0]}. Leave one of them out, or set `data.on_leak: drop` to train without such records."
        )


@dataclass
class NotHeldOut:
    """Keeps the rows of a stream that may be trained on."""

    forbidden: Mapping[tuple[str, ...], str]
    on_leak: str
    has_warned: bool = False

    def __call__(self, corpus: str, record_id: str, patient_id: str | None, fingerprint: str | None) -> bool:
        row = RowKey(corpus, record_id, patient_id, fingerprint)
        leak = next((key for key in leak_keys(*row) if key in self.forbidden), None)
        if leak is None:
            return True
        refuse_leak(row, leak, self.forbidden, self.on_leak)
        if not self.has_warned:
            logger.warning(
                "training records of the stream are left out, the first of them %s/%s: same %s as %s",
                *(corpus, record_id, leak[0], self.forbidden[leak]),
            )
            self.has_warned = True
        return False


__all__ = [
    "CopyFinder",
    "LeakError",
    "NotHeldOut",
    "RowKey",
    "copy_keys",
    "find_leaks",
    "keys_of",
    "leak_keys",
    "refuse_leak",
    "refuse_shared",
    "row_keys",
    "rows_of_records",
    "without_copies",
]
