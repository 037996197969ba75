# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Labels of records that have none but their annotations: the rhythms and kinds of beats that occur."""

from collections.abc import Iterable

from ...records import Annotation
from ..label_tables import label_table

RHYTHM_CHANGE = "+"


def beat_labels(annotations: Iterable[Annotation]) -> tuple[str, ...]:
    """
    Args:
        annotations (`Iterable[Annotation]`): Annotations of a record, in WFDB's symbols.

    Returns:
        `tuple[str, ...]`: rhythm notes such as `"(AFIB"`, then symbols of beats and of what could not be classified
        (noise `"~"` too), each once and in the order in which they first occur. Symbols that mark a place or hold a
        comment are left out; those that no table knows are not.
    """
    found = list(annotations)
    table = label_table("wfdb")
    rhythms = [note.note for note in found if note.symbol == RHYTHM_CHANGE and note.note]
    beats = [note.symbol for note in found if note.symbol not in table or table[note.symbol].kind != "mark"]
    return tuple(dict.fromkeys((*rhythms, *beats)))


__all__ = ["RHYTHM_CHANGE", "beat_labels"]
