# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which corpora share records and patients by name, and how links between records join into groups."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..builders.challenge_layout import record_number

# Both are parts of one release, which numbers its records throughout.
_ID_SPACES = {"chapman-shaoxing": "ecg-arrhythmia", "ningbo": "ecg-arrhythmia"}
# Releases spell names in several ways that have the number in common: `00001_hr`, `00001_lr` and `HR00001`; `I01` and
# `I0001`. Not so PTB, whose `s0017lre` the challenge calls `S0005`.
_NUMBERED = {"ptb-xl", "incart"}
# Its records have names that mean nothing elsewhere.
_NAMELESS = {"folder"}


@dataclass(frozen=True, order=True)
class RecordKey:
    """
    A record among those of several corpora.

    Attributes:
        corpus (`str`): What its corpus is called there.
        record_id (`str`): Its identifier in this corpus.
    """

    corpus: str
    record_id: str

    def __str__(self) -> str:
        return f"{self.corpus}/{self.record_id}"


def id_space(corpus: str) -> str:
    """
    What two corpora have in common if equal identifiers of patients and records mean the same in both.

    Args:
        corpus (`str`): Name of a corpus, as in `CORPORA`.

    Returns:
        `str`
    """
    return _ID_SPACES.get(corpus, corpus)


def record_name(corpus: str, record_id: str) -> str | None:
    """
    The name that all copies of a record have in common, in whatever release.

    Args:
        corpus (`str`): Name of its corpus, as in `CORPORA`.
        record_id (`str`): Its identifier.

    Returns:
        `str` or `None`: comparable within the [`id_space`]; `None` if its identifier means nothing beyond its folder.
    """
    if corpus in _NAMELESS:
        return None
    if corpus in _NUMBERED and any(character.isdigit() for character in record_id):
        return str(record_number(record_id))
    return record_id


def joined_groups(n_items: int, links: Iterable[tuple[int, int]]) -> np.ndarray:
    """
    Joins linked items into groups, and groups that share an item.

    Args:
        n_items (`int`): Number of items.
        links (`Iterable[tuple[int, int]]`): Pairs of items that belong together.

    Returns:
        `np.ndarray` of shape `(n_items,)`: number of each item's group, counted in the order of their first items.
    """
    # Late: the package is imported without them.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n_items, n_items))
    groups = connected_components(graph, directed=False)[1]
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[numbers]


__all__ = ["RecordKey", "id_space", "joined_groups", "record_name"]
