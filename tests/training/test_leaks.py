# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""No record of PTB-XL folds 8 to 10, and no copy of one, is in a training list of any stage."""

import argparse
import csv
import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from examples import train_anyecg_tiny
from tests.training.written_records import LEADS, ecg_counts, write_corpora, write_wfdb

from anyecg_hf import TINY, AnyECGTokenizer
from anyecg_hf.corpora.leakage.fingerprints import signal_fingerprint
from anyecg_hf.records import find_records, read_record
from anyecg_hf.training.licensed_records import ListedRecord, list_records, split_records

HELD_OUT_FOLDS = (8, 9, 10)
PTBXL_NAMES = re.compile(r"(?:HR(\d{5})|(\d{5})_[hl]r)")


def ptbxl_folds(root: Path) -> dict[int, int]:
    """Fold of every PTB-XL record."""
    with open(root / "ptb-xl" / "ptbxl_database.csv", newline="") as table:
        return {int(row["ecg_id"]): int(row["strat_fold"]) for row in csv.DictReader(table)}


def fold_of(name: str, folds: dict[int, int]) -> int | None:
    """Fold that a record's name means, `None` outside PTB-XL."""
    found = PTBXL_NAMES.fullmatch(name)
    return folds[int(found.group(1) or found.group(2))] if found else None


def fingerprint_of(path: Path) -> str | None:
    """Fingerprint of a record, `None` if it is flat or cannot be read, and so cannot be trained on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            record = read_record(path)
        except ValueError:
            return None
    return signal_fingerprint(record.signal_mv, record.lead_names)


def held_out_fingerprints(root: Path) -> dict[str, str]:
    """Fingerprint -> name of every file of a held-out PTB-XL record: 500 Hz, 100 Hz and copies of the challenge."""
    folds = ptbxl_folds(root)
    known = {f"HR{ecg_id:05d}" for ecg_id in folds}
    paths = find_records([folder for folder in (root / "ptb-xl", root / "challenge-2021") if folder.is_dir()])
    held_out = [
        path
        for path in paths
        if (path.name in known or path.name.endswith(("_hr", "_lr"))) and fold_of(path.name, folds) in HELD_OUT_FOLDS
    ]
    return {fingerprint_of(path): path.name for path in held_out}


def leaks(listed: Iterable[ListedRecord], root: Path, held_out: dict[str, str]) -> list[str]:
    """What is wrong with a training list, entry by entry."""
    folds, found = ptbxl_folds(root), []
    for entry in listed:
        fold = fold_of(entry.path.name, folds)
        if fold in HELD_OUT_FOLDS:
            found.append(f"{entry.corpus}/{entry.path.name} is of fold {fold}")
        copied = held_out.get(fingerprint_of(entry.path))
        if copied:
            found.append(f"{entry.corpus}/{entry.path.name} is a copy of {copied}")
    return found


def plant_copy(root: Path, counts: np.ndarray) -> Path:
    """Hides a signal among the records of LUDB: leads turned round, other gain and baseline."""
    return write_wfdb(root / "ludb" / "data" / "2", counts[::-1] + 40, leads=LEADS[::-1], gain=437.5, baseline=-300)


class TestWrittenCorpora:
    @pytest.fixture
    def root(self, tmp_path):
        write_corpora(tmp_path)
        return tmp_path

    @pytest.fixture
    def tokenizer(self):
        return AnyECGTokenizer(patch_size=75)

    def test_the_training_lists_are_clean(self, root):
        train = split_records(list_records(root)).train
        assert len(train) == 2
        assert leaks(train, root, held_out_fingerprints(root)) == []

    def test_all_held_out_files_are_known(self, root):
        write_wfdb(root / "ptb-xl" / "records100" / "00000" / "00010_lr", ecg_counts(11), sampling_rate=100)
        write_wfdb(root / "challenge-2021" / "training" / "ptb-xl" / "g1" / "HR00009", ecg_counts(12))
        assert sorted(held_out_fingerprints(root).values()) == [
            "00008_hr",
            "00009_hr",
            "00010_hr",
            "00010_lr",
            "HR00009",
        ]

    @pytest.mark.parametrize("fold", HELD_OUT_FOLDS)
    def test_the_check_finds_a_planted_copy(self, root, fold):
        plant_copy(root, ecg_counts(fold))
        train = split_records(list_records(root)).train
        assert leaks(train, root, held_out_fingerprints(root)) == [f"ludb/2 is a copy of {fold:05d}_hr"]

    def test_the_check_finds_a_record_by_its_number(self, root):
        challenge = write_wfdb(root / "challenge-2021" / "training" / "ptb-xl" / "g1" / "HR00009", ecg_counts(50))
        entry = ListedRecord(challenge, "challenge-2021")
        assert leaks([entry], root, {}) == ["challenge-2021/HR00009 is of fold 9"]

    def test_the_training_script_uses_these_lists_in_every_stage(self, root, tokenizer, monkeypatch):
        corpora = train_anyecg_tiny.load_corpora(root, tokenizer)
        used = {}

        class EnoughSeen(Exception):
            pass

        def spy(stage: str, positions: tuple[int, ...]):
            def train(*args, **kwargs):
                used[stage] = [[record.name for record in args[position]] for position in positions]
                raise EnoughSeen

            return train

        monkeypatch.setattr(train_anyecg_tiny, "train_quantizer", spy("stage 1", (2,)))
        monkeypatch.setattr(train_anyecg_tiny, "pretrain", spy("stage 2", (2,)))
        monkeypatch.setattr(train_anyecg_tiny, "finetune_classifier", spy("stage 3", (2, 3)))
        arguments = argparse.Namespace(
            output=root / "run", quantizer_steps=1, pretraining_steps=1, finetuning_epochs=1, seed=0, cuda=False
        )
        for call in (
            lambda: train_anyecg_tiny.stage_1(corpora, tokenizer, arguments),
            lambda: train_anyecg_tiny.stage_2(corpora, tokenizer, arguments),
            lambda: train_anyecg_tiny.stage_3(root, corpora, tokenizer, arguments),
        ):
            with pytest.raises(EnoughSeen):
                call()
        every, labelled, selection = ["ptb-xl/00001_hr", "ludb/1"], ["ptb-xl/00001_hr"], ["ptb-xl/00008_hr"]
        assert used == {"stage 1": [every], "stage 2": [every], "stage 3": [labelled, selection]}
        assert corpora.listing() == {
            "stages_1_and_2": sorted(every),
            "stage_3": labelled,
            "selection": selection,
            "refused": {},
        }

    @pytest.mark.parametrize("fold", [8, 9])
    def test_the_training_script_refuses_a_planted_copy(self, root, tokenizer, fold):
        plant_copy(root, ecg_counts(fold))
        with pytest.raises(ValueError, match=rf"copies of held-out records: ludb/2 = ptb-xl/{fold:05d}_hr"):
            train_anyecg_tiny.load_corpora(root, tokenizer)


class TestRealRecords:
    @pytest.fixture(scope="class")
    @classmethod
    def root(cls, records_dir):
        if not (records_dir / "ptb-xl" / "ptbxl_database.csv").is_file():
            pytest.skip("needs PTB-XL, which is not among the real records")
        return records_dir

    @pytest.fixture(scope="class")
    @classmethod
    def held_out(cls, root):
        fingerprints = held_out_fingerprints(root)
        assert len(fingerprints) > 100
        assert None not in fingerprints
        return fingerprints

    def test_no_training_list_holds_a_held_out_record_or_a_copy(self, root, held_out):
        stages_1_and_2 = split_records(list_records(root)).train
        stage_3 = [entry for entry in stages_1_and_2 if entry.superclasses is not None]
        assert len(stages_1_and_2) > len(stage_3) > 0
        assert {entry.fold for entry in stage_3} <= set(range(1, 8))
        assert leaks(stages_1_and_2, root, held_out) == []  # stage 3 is a part of it

    def test_the_check_finds_a_planted_copy(self, root, held_out, tmp_path):
        entry = split_records(list_records(root)).report[0]
        record = read_record(entry.path)
        counts = np.rint(record.signal_mv * 1000).astype(np.int64)
        planted = write_wfdb(tmp_path / "7", counts[::-1] - 64, leads=record.lead_names[::-1], gain=200.0, baseline=100)
        assert len(leaks([ListedRecord(planted, "ludb")], root, held_out)) == 1

    def test_the_shipped_checkpoint_was_trained_on_folds_1_to_7_and_other_corpora(self, root):
        listing_file = Path(TINY) / "training_records.json"
        if not listing_file.is_file():
            pytest.skip(f"needs the list of its training records beside the embedded checkpoint: {listing_file.name}")
        listing, folds = json.loads(listing_file.read_text()), ptbxl_folds(root)

        def folds_in(part: str) -> set[int | None]:
            return {fold_of(name.split("/")[-1], folds) for name in listing[part]}

        assert folds_in("stages_1_and_2") <= {None, *range(1, 8)}
        assert folds_in("stage_3") <= set(range(1, 8))
        assert folds_in("selection") == {8}
        assert set(listing["stage_3"]) < set(listing["stages_1_and_2"])
