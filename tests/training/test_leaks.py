# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""No record of PTB-XL folds 8 to 10, and no copy of one, is trained on in any stage of the embedded checkpoint."""

import csv
import json
import re
import warnings
from pathlib import Path

import datasets
import numpy as np
import pytest
from examples import train_anyecg_tiny
from tests.training.written_records import LEADS, ecg_counts, write_corpora, write_georgia, write_wfdb

from anyecg_hf import TINY, AnyECGTokenizer
from anyecg_hf.corpora.leakage.fingerprints import signal_fingerprint
from anyecg_hf.records import find_records, read_record
from anyecg_hf.training.configs import DataConfig
from anyecg_hf.training.leaks import LeakError
from anyecg_hf.training.sources import TrainingRows, load_rows

HELD_OUT_FOLDS = (8, 9, 10)
PTBXL_NAMES = re.compile(r"(?:HR)?(\d{5})(?:_[hl]r)?")
# Licensed for training with attribution; others among the shared records are not.
LICENSED = {
    *("ptb-xl", "chapman-shaoxing", "cpsc2018", "cpsc-extra", "georgia", "ningbo", "ptb", "code-15", "ludb"),
    *("cinc2011", "cinc2017", "mit-bih"),
}


def ptbxl_folds(root: Path) -> dict[int, int]:
    """Fold of every PTB-XL record."""
    with open(root / "ptb-xl" / "ptbxl_database.csv", newline="") as table:
        return {int(row["ecg_id"]): int(row["strat_fold"]) for row in csv.DictReader(table)}


def fold_of(name: str, folds: dict[int, int]) -> int:
    """Fold that the name of a PTB-XL record means."""
    return folds[int(PTBXL_NAMES.fullmatch(name)[1])]


def held_out_fingerprints(root: Path) -> dict[str, str]:
    """Fingerprint -> name of every file of a held-out PTB-XL record: 500 Hz, 100 Hz and copies of the challenge."""
    folds, found = ptbxl_folds(root), {}
    for path in find_records([folder for folder in (root / "ptb-xl", root / "challenge-2021") if folder.is_dir()]):
        named = PTBXL_NAMES.fullmatch(path.name)
        if named is None or folds.get(int(named[1])) not in HELD_OUT_FOLDS:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            record = read_record(path)
        found[signal_fingerprint(record.signal_mv, record.lead_names)] = path.name
    return found


def leaks(rows: datasets.Dataset, root: Path, held_out: dict[str, str]) -> list[str]:
    """What is wrong with rows to train on, told without what `load_rows` knows of copies."""
    folds, found = ptbxl_folds(root), []
    for corpus, record_id, fingerprint in set(zip(rows["corpus"], rows["record_id"], rows["fingerprint"], strict=True)):
        if corpus == "ptb-xl" and fold_of(record_id, folds) in HELD_OUT_FOLDS:
            found.append(f"{corpus}/{record_id} is of fold {fold_of(record_id, folds)}")
        if fingerprint in held_out:
            found.append(f"{corpus}/{record_id} is a copy of {held_out[fingerprint]}")
    return found


def recipes(root: Path, tmp_path: Path) -> dict[str, DataConfig]:
    """The data of every stage's recipe."""
    stages = train_anyecg_tiny.load_stages(root, tmp_path / "runs", {"data__cache_dir": str(tmp_path / "cache")})
    return {name: getattr(stages, name).data for name in ("quantizer", "pretraining", "superclass")}


def plant_copy(root: Path, counts: np.ndarray) -> None:
    """Hides a signal among the records of Georgia: leads turned round, other gain and baseline."""
    write_georgia(root, "E00002", counts[::-1] + 40, leads=LEADS[::-1], gain=437.5, baseline=-300)


def test_the_recipes_name_licensed_corpora_only(tmp_path):
    stages = train_anyecg_tiny.load_stages(tmp_path, tmp_path / "runs")
    for config in (stages.quantizer, stages.pretraining, stages.superclass):
        assert {source.corpus for source in config.data.train} <= LICENSED
        for source in [*config.data.train, *config.data.validation, *config.data.held_out]:
            assert source.corpus != "ptb-xl" or (source.folds and 10 not in source.folds)


class TestWrittenCorpora:
    @pytest.fixture
    def root(self, tmp_path):
        write_corpora(tmp_path / "data")
        return tmp_path / "data"

    def load(self, root: Path, tmp_path: Path, stage: str = "quantizer", **changed) -> TrainingRows:
        config = recipes(root, tmp_path)[stage]
        # What was written: PTB-XL at one rate, and Georgia.
        for part in (config.train, config.validation, config.held_out):
            part[:] = [source for source in part if source.corpus in ("ptb-xl", "georgia") and not source.options]
        for name, value in changed.items():
            setattr(config, name, value)
        return load_rows(config, AnyECGTokenizer(patch_size=75))

    @pytest.mark.parametrize(
        ("stage", "expected"),
        [
            ("quantizer", {"ptb-xl/00001_hr", "georgia/E00001"}),
            ("pretraining", {"ptb-xl/00001_hr", "georgia/E00001"}),
            ("superclass", {"ptb-xl/00001_hr"}),
        ],
    )
    def test_every_stage_trains_on_folds_1_to_7_and_other_corpora(self, root, tmp_path, stage, expected):
        rows = self.load(root, tmp_path, stage).train
        assert {"/".join(name) for name in zip(rows["corpus"], rows["record_id"], strict=True)} == expected
        assert leaks(rows, root, held_out_fingerprints(root)) == []

    def test_fold_8_selects_and_fold_9_does_not(self, root, tmp_path):
        assert list(self.load(root, tmp_path, "superclass").validation["record_id"]) == ["00008_hr"]

    @pytest.mark.parametrize("fold", [8, 9])
    def test_a_planted_copy_is_left_out(self, root, tmp_path, fold):
        plant_copy(root, ecg_counts(fold))
        data = self.load(root, tmp_path)
        assert set(data.train["record_id"]) == {"00001_hr", "E00001"}
        assert data.facts.dropped == {"same signal as a validation or held-out record": 1}

    def test_a_planted_copy_is_refused_unless_the_recipe_drops_it(self, root, tmp_path):
        plant_copy(root, ecg_counts(9))
        with pytest.raises(LeakError, match=r"record georgia/E00002 and .* ptb-xl/00009_hr share the same signal"):
            self.load(root, tmp_path, on_leak="refuse")

    def test_a_challenge_copy_is_known_by_its_number(self, root, tmp_path):
        write_wfdb(root / "challenge-2021" / "training" / "ptb-xl" / "g1" / "HR00009", ecg_counts(50))
        assert "HR00009" not in self.load(root, tmp_path).train["record_id"]

    def test_the_check_of_these_tests_finds_a_planted_copy(self, root, tmp_path):
        plant_copy(root, ecg_counts(9))
        rows = self.load(root, tmp_path, held_out=[]).train
        assert leaks(rows, root, held_out_fingerprints(root)) == ["georgia/E00002 is a copy of 00009_hr"]


class TestRealRecords:
    @pytest.fixture(scope="class")
    @classmethod
    def root(cls, records_dir):
        if not (records_dir / "ptb-xl" / "ptbxl_database.csv").is_file():
            pytest.skip("needs PTB-XL, which is not among the real records")
        return records_dir

    def test_no_stage_trains_on_a_held_out_record_or_a_copy(self, root, tmp_path):
        held_out = held_out_fingerprints(root)
        assert len(held_out) > 100 and None not in held_out
        configs = recipes(root, tmp_path)
        assert configs["quantizer"].train == configs["pretraining"].train
        for stage in ("quantizer", "superclass"):
            rows = load_rows(configs[stage], AnyECGTokenizer(patch_size=75)).train
            assert len(rows) > 100
            assert leaks(rows, root, held_out) == []

    def test_the_shipped_checkpoint_was_trained_on_folds_1_to_7_and_other_corpora(self, root):
        listing, folds = json.loads((Path(TINY) / "training_records.json").read_text()), ptbxl_folds(root)

        def folds_in(part: str) -> set[int]:
            return {fold_of(name, folds) for name in listing[part]["ptb-xl"]}

        assert folds_in("stages_1_and_2") == set(range(1, 8))
        assert folds_in("stage_3") == set(range(1, 8)) and set(listing["stage_3"]) == {"ptb-xl"}
        assert folds_in("selection") == {8}
        assert set(listing["stages_1_and_2"]) <= LICENSED
        assert set(listing["stage_3"]["ptb-xl"]) <= set(listing["stages_1_and_2"]["ptb-xl"])
