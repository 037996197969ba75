# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Labels of patches from a record's annotations, each with one fixed definition.

**Beats.** A patch has the class of the annotated beat (its R peak) that lies in it, `none` without one; with beats of
several classes the first of V, S, F, Q, N. The classes are those of ANSI/AAMI EC57 as de Chazal et al. (IEEE Trans.
Biomed. Eng. 51, 2004) group the symbols of MIT-BIH; symbols that MIT-BIH lacks stand with their kind (`B`, `n` in N,
`r` in V, `?` in Q). Before the first and after the last beat, and in ventricular flutter or fibrillation (`[` to `]`,
`!`), nothing is said.

**Rhythm.** A patch has the rhythm whose note (`+`, such as `"(AFIB"`) is in force at its middle; before the first note,
and under a note that is none of WFDB's, nothing is said.

Only annotations about all leads count: those of a single lead (LUDB) mark waves, and no classes of beats.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyecg_hf.corpora.label_tables import label_table
from anyecg_hf.models.anyecg.modeling_anyecg_tokens import IGNORED_LABEL

Annotations = Sequence[Mapping[str, Any]]

# AAMI class -> WFDB symbols, from the class that decides last about a patch to the one that decides first.
AAMI_SYMBOLS = {"N": "NLRBejn", "Q": "/fQ?", "F": "F", "S": "AaJS", "V": "VEr"}
BEAT_CLASSES = ("none", "N", "S", "V", "F", "Q")
_BEAT_TITLES = {
    "none": "no beat in the patch",
    "N": "normal, bundle branch block or escape beat",
    "S": "supraventricular ectopic beat",
    "V": "ventricular ectopic beat",
    "F": "fusion of ventricular and normal beat",
    "Q": "paced, fusion with paced, or unclassifiable beat",
}
# Rhythm -> WFDB notes.
RHYTHM_NOTES = {
    "sinus": ("(N", "(SBR"),
    "atrial fibrillation or flutter": ("(AFIB", "(AFL"),
    "other supraventricular": ("(AB", "(NOD", "(SVTA"),
    "ventricular": ("(B", "(T", "(IVR", "(VT", "(VFL"),
    "paced": ("(P",),
    "other": ("(BII", "(PREX"),
}
RHYTHM_CLASSES = tuple(RHYTHM_NOTES)

_BEAT_OF = {symbol: name for name, symbols in AAMI_SYMBOLS.items() for symbol in symbols}
_RHYTHM_OF = {note: name for name, notes in RHYTHM_NOTES.items() for note in notes}
_RHYTHM_CHANGE, _FLUTTER_START, _FLUTTER_END, _FLUTTER_WAVE = "+", "[", "]", "!"


@dataclass(frozen=True)
class AnnotationTask:
    """
    What patches are labelled with.

    Attributes:
        name (`str`): `beats` or `rhythm`.
        class_names (`tuple[str, ...]`): Classes, in the order of labels and logits.
        descriptions (`dict[str, str]`): Class -> what it means.
        label_patches (`Callable`): `(annotations, first_patch, n_patches, patch_s)` -> classes `(n_patches,)` int64,
            -100 where nothing is said.
    """

    name: str
    class_names: tuple[str, ...]
    descriptions: dict[str, str]
    label_patches: Callable[[Annotations, int, int, float], np.ndarray]

    def without(self, names: set[str]) -> "AnnotationTask":
        """The task without some of its classes: of their patches nothing is said."""
        kept = [place for place, name in enumerate(self.class_names) if name not in names]
        # One place more, which -100 finds from the end.
        new_place = np.full(len(self.class_names) + 1, IGNORED_LABEL)
        new_place[kept] = np.arange(len(kept))
        whole = self.label_patches

        def label_patches(annotations: Annotations, first_patch: int, n_patches: int, patch_s: float) -> np.ndarray:
            found = whole(annotations, first_patch, n_patches, patch_s)
            return new_place[np.where(found == IGNORED_LABEL, -1, found)]

        class_names = tuple(self.class_names[place] for place in kept)
        return AnnotationTask(self.name, class_names, self.descriptions, label_patches)


def beats_of_patches(annotations: Annotations, first_patch: int, n_patches: int, patch_s: float) -> np.ndarray:
    """
    Beats by patch, as this module defines them.

    Args:
        annotations (`Sequence[Mapping]`): Of the whole record, as in the corpora's rows.
        first_patch (`int`): Number of the first patch in the record.
        n_patches (`int`): Patches to label.
        patch_s (`float`): Length of a patch in seconds.

    Returns:
        `np.ndarray` of shape `(n_patches,)`, int64: index into `BEAT_CLASSES`, -100 where nothing is said.
    """
    about_all = [item for item in annotations if item["lead_name"] is None]
    beats = [(_patch_of(item, patch_s), _BEAT_OF[item["symbol"]]) for item in about_all if item["symbol"] in _BEAT_OF]
    labels = np.full(n_patches, IGNORED_LABEL)
    if not beats:
        return labels
    labels[_span(min(beats)[0], max(beats)[0], first_patch, n_patches)] = BEAT_CLASSES.index("none")
    for name in AAMI_SYMBOLS:
        found = np.array([place for place, kind in beats if kind == name], dtype=np.int64) - first_patch
        labels[found[(found >= 0) & (found < n_patches)]] = BEAT_CLASSES.index(name)
    for start, stop in _flutter(about_all, patch_s):
        labels[_span(start, stop, first_patch, n_patches)] = IGNORED_LABEL
    return labels


def rhythm_of_patches(annotations: Annotations, first_patch: int, n_patches: int, patch_s: float) -> np.ndarray:
    """Rhythm by patch, as this module defines it; arguments as [`beats_of_patches`], index into `RHYTHM_CLASSES`."""
    changes = sorted(
        (item["time_s"], _rhythm_label(item["note"]))
        for item in annotations
        if item["lead_name"] is None and item["symbol"] == _RHYTHM_CHANGE and item["note"]
    )
    middles_s = (first_patch + np.arange(n_patches) + 0.5) * patch_s
    in_force = np.searchsorted([time_s for time_s, _ in changes], middles_s, side="right")
    return np.array([IGNORED_LABEL, *(label for _, label in changes)])[in_force]


def _rhythm_label(note: str) -> int:
    name = _RHYTHM_OF.get(note.strip("\x00 "))
    return IGNORED_LABEL if name is None else RHYTHM_CLASSES.index(name)


def _patch_of(item: Mapping[str, Any], patch_s: float) -> int:
    # Times come from sample numbers: a beat on the border must not fall before it by rounding.
    return int(np.floor(item["time_s"] / patch_s + 1e-9))


def _span(first: int, last: int, first_patch: int, n_patches: int) -> slice:
    """Patches from `first` to `last` of the record, as places among `n_patches`."""
    return slice(int(np.clip(first - first_patch, 0, n_patches)), int(np.clip(last + 1 - first_patch, 0, n_patches)))


def _flutter(annotations: Annotations, patch_s: float) -> list[tuple[int, int]]:
    """First and last patch of every stretch of ventricular flutter or fibrillation; one without end is to the end."""
    found, start = [], None
    for item in sorted(annotations, key=lambda item: item["time_s"]):
        place = _patch_of(item, patch_s)
        if item["symbol"] == _FLUTTER_START:
            start = place
        elif item["symbol"] == _FLUTTER_END and start is not None:
            found.append((start, place))
            start = None
        elif item["symbol"] == _FLUTTER_WAVE:
            found.append((place, place))
    return found if start is None else [*found, (start, 1 << 40)]


def annotation_task(name: str) -> AnnotationTask:
    """
    What a task labels patches with.

    Args:
        name (`str`): `beats` or `rhythm`, or the name of a task of [`TaskConfig`] about them.

    Returns:
        [`AnnotationTask`]

    Raises:
        `ValueError`: for another name.
    """
    if name in ("beats", "long-beats"):
        return AnnotationTask("beats", BEAT_CLASSES, dict(_BEAT_TITLES), beats_of_patches)
    if name in ("rhythm", "rhythm-spans", "long-rhythm"):
        table = label_table("wfdb")
        titles = {name: ", ".join(table[note].name for note in notes) for name, notes in RHYTHM_NOTES.items()}
        return AnnotationTask("rhythm", RHYTHM_CLASSES, titles, rhythm_of_patches)
    raise ValueError(f"a task about annotations must be about beats or rhythm, got {name!r}.")


__all__ = [
    "AAMI_SYMBOLS",
    "BEAT_CLASSES",
    "RHYTHM_CLASSES",
    "RHYTHM_NOTES",
    "AnnotationTask",
    "annotation_task",
    "beats_of_patches",
    "rhythm_of_patches",
]
