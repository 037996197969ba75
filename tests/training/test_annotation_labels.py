# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from tests.training.written_annotations import annotation

from anyecg_hf.corpora.label_tables import label_table
from anyecg_hf.training.annotation_labels import (
    BEAT_CLASSES,
    RHYTHM_CLASSES,
    RHYTHM_NOTES,
    annotation_task,
    beats_of_patches,
    rhythm_of_patches,
)


def names(labels: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    return ["?" if label == -100 else classes[label] for label in labels]


def beats(annotations: list, first_patch: int = 0, n_patches: int = 6, patch_s: float = 0.5) -> list[str]:
    return names(beats_of_patches(annotations, first_patch, n_patches, patch_s), BEAT_CLASSES)


def rhythm(annotations: list, first_patch: int = 0, n_patches: int = 6) -> list[str]:
    return names(rhythm_of_patches(annotations, first_patch, n_patches, 0.5), RHYTHM_CLASSES)


class TestBeats:
    def test_a_patch_has_the_class_of_the_beat_in_it(self):
        found = [annotation(0.1, "L"), annotation(0.7, "a"), annotation(1.4, "E"), annotation(2.6, "f")]
        assert beats(found) == ["N", "S", "V", "none", "none", "Q"]

    def test_a_beat_on_the_border_belongs_to_the_later_patch(self):
        times = [0.0, 0.25 * 3, 0.25 * 5]
        assert beats([annotation(time_s, "N") for time_s in times], patch_s=0.25) == [
            "N",
            "none",
            "none",
            "N",
            "none",
            "N",
        ]

    def test_of_several_beats_the_rarer_kind_decides(self):
        pairs = [("N", "V"), ("V", "A"), ("F", "A"), ("F", "N"), ("N", "Q"), ("N", "N")]
        found = [
            annotation(0.5 * patch + offset, symbol)
            for patch, pair in enumerate(pairs)
            for offset, symbol in zip((0.1, 0.3), pair, strict=True)
        ]
        assert beats(found) == ["V", "V", "S", "F", "Q", "N"]

    def test_nothing_is_said_before_the_first_and_after_the_last_beat(self):
        assert beats([annotation(0.6, "N"), annotation(1.6, "N")]) == ["?", "N", "none", "N", "?", "?"]

    def test_nothing_is_said_in_ventricular_flutter(self):
        found = [annotation(0.1, "N"), annotation(0.6, "["), annotation(1.2, "!"), annotation(1.4, "]")]
        assert beats([*found, annotation(2.9, "N")]) == ["N", "?", "?", "none", "none", "N"]
        assert beats([annotation(0.1, "N"), annotation(1.1, "["), annotation(2.9, "N")]) == ["N", "none", *"????"]

    def test_pieces_of_a_record_have_the_labels_of_their_place(self):
        found = [annotation(0.3 * number, symbol) for number, symbol in enumerate("NVNANNFNN")]
        whole = beats_of_patches(found, 0, 6, 0.5)
        parts = [beats_of_patches(found, first, 2, 0.5) for first in (0, 2, 4)]
        assert np.array_equal(np.concatenate(parts), whole)

    def test_marks_waves_of_single_leads_and_other_symbols_are_no_beats(self):
        waves = [annotation(0.1, "N", lead_name="II"), annotation(0.2, "p"), annotation(0.3, "x"), annotation(0.4, "~")]
        assert beats(waves) == ["?"] * 6

    def test_every_symbol_of_a_beat_in_the_table_has_a_class(self):
        unsaid = set("[]!xsT")  # flutter, blocked P waves, changes of waves
        kinds = {label: item.kind for label, item in label_table("wfdb").items()}
        symbols = {label for label, kind in kinds.items() if kind == "beat"} - unsaid | {"Q", "?"}
        for symbol in symbols:
            assert beats([annotation(0.1, symbol)])[0] not in ("?", "none"), symbol


class TestRhythm:
    def test_a_patch_has_the_rhythm_at_its_middle(self):
        found = [annotation(0.2, "+", "(N"), annotation(1.2, "+", "(AFIB"), annotation(1.8, "+", "(VT")]
        fibrillation = "atrial fibrillation or flutter"
        assert rhythm(found) == ["sinus", "sinus", fibrillation, fibrillation, "ventricular", "ventricular"]

    def test_nothing_is_said_before_the_first_note_and_under_an_unknown_one(self):
        found = [annotation(1.0, "+", "(P\x00"), annotation(2.0, "+", "(NEW")]
        assert rhythm(found) == ["?", "?", "paced", "paced", "?", "?"]
        assert rhythm([annotation(0.1, "N")]) == ["?"] * 6

    def test_every_rhythm_of_the_table_has_one_class(self):
        notes = [note for group in RHYTHM_NOTES.values() for note in group]
        assert sorted(notes) == sorted(label for label, item in label_table("wfdb").items() if item.kind == "rhythm")
        assert len(set(notes)) == len(notes)


class TestTask:
    def test_without_a_class_nothing_is_said_of_its_patches_and_the_others_are_renumbered(self):
        task = annotation_task("beats").without({"none", "S"})
        assert task.class_names == ("N", "V", "F", "Q")
        found = [annotation(0.5 * place + 0.1, symbol) for place, symbol in ((0, "N"), (1, "A"), (3, "V"), (5, "F"))]
        assert task.label_patches(found, 0, 7, 0.5).tolist() == [0, -100, -100, 1, -100, 2, -100]

    def test_unknown_tasks_are_refused(self):
        with pytest.raises(ValueError, match="about beats or rhythm, got 'waves'"):
            annotation_task("waves")


def test_mit_bih_has_as_many_beats_as_its_annotations(records_dir):
    from anyecg_hf.corpora import load_corpus

    if not (records_dir / "mitdb").is_dir():
        pytest.skip("no MIT-BIH here")
    record = next(iter(load_corpus("mit-bih", records_dir / "mitdb", split="train", streaming=True)))
    labels = beats_of_patches(record["annotations"], 0, 7223, 0.25)
    symbols = [item["symbol"] for item in record["annotations"]]
    assert record["record_id"] == "100"
    # Two beats are never so close here; the last beats are in the last patches.
    counts = {name: int((labels == place).sum()) for place, name in enumerate(BEAT_CLASSES)}
    assert (counts["N"], counts["S"], counts["V"]) == (symbols.count("N"), symbols.count("A"), symbols.count("V"))
