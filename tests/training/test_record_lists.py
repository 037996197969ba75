# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path

import datasets
import pytest

from anyecg_hf.training.leaks import RowKey
from anyecg_hf.training.record_lists import RECORDS_FILE, trained_records, write_record_list
from anyecg_hf.training.sources import DataFacts, TrainingRows

FIRST = RowKey("georgia", "E1", "patient 1", "aa")
SECOND = RowKey("georgia", "E2", None, "bb")
THIRD = RowKey("ptb-xl", "00003_hr", "3", "cc")


def rows_of(*records: RowKey) -> datasets.Dataset:
    columns = zip(*records, strict=True)
    return datasets.Dataset.from_dict(dict(zip(RowKey._fields, map(list, columns), strict=True)))


def write_run(folder: Path, *records: RowKey, **settings: str) -> Path:
    """A run folder with its list; returns its `final`."""
    (folder / "final").mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps(settings))
    write_record_list(TrainingRows(rows_of(*records), None, DataFacts()), folder)
    return folder / "final"


def test_a_run_tells_its_records_signals_and_patients(tmp_path):
    found = trained_records(write_run(tmp_path / "run", FIRST, SECOND, FIRST))
    assert (found.n_records, found.unknown) == (2, [])
    assert found.keys[("patient", "georgia", "patient 1")] == "georgia/E1"
    assert ("signal", "bb") in found.keys and ("record", "georgia", "E2") in found.keys


def test_records_that_a_run_selects_by_are_listed_too(tmp_path):
    write_record_list(TrainingRows(rows_of(FIRST), rows_of(THIRD), DataFacts()), tmp_path)
    assert set(datasets.Dataset.from_parquet(str(tmp_path / RECORDS_FILE))["record_id"]) == {"E1", "00003_hr"}


def test_the_records_of_what_a_run_starts_from_count(tmp_path):
    quantizer = write_run(tmp_path / "quantizer", FIRST)
    pretraining = write_run(tmp_path / "pretraining", SECOND, tokenizer=str(quantizer))
    finetuning = write_run(tmp_path / "finetuning", THIRD, checkpoint=str(pretraining))
    assert {key[1] for key in trained_records(finetuning).keys if key[0] == "signal"} == {"aa", "bb", "cc"}


def test_a_list_is_written_once(tmp_path):
    write_run(tmp_path / "run", FIRST)
    write_record_list(TrainingRows(rows_of(SECOND), None, DataFacts()), tmp_path / "run")
    assert trained_records(tmp_path / "run" / "final").n_records == 1


def test_a_stream_leaves_no_list_and_is_said_to_be_unknown(tmp_path):
    (tmp_path / "final").mkdir()
    write_record_list(TrainingRows(rows_of(FIRST).to_iterable_dataset(), None, DataFacts()), tmp_path)
    found = trained_records(tmp_path / "final")
    assert (found.n_records, found.unknown) == (0, [str(tmp_path / "final")])


@pytest.mark.parametrize("name", ["org/anyecg-xl", "nowhere"])
def test_of_what_is_not_here_nothing_is_known(name):
    assert trained_records(name).unknown == [name]


def test_a_packed_checkpoint_tells_names(tmp_path):
    listing = {"stages_1_and_2": {"ptb-xl": ["00003_hr"]}, "selection": {"ptb-xl": ["HR00008"]}}
    (tmp_path / "training_records.json").write_text(json.dumps(listing))
    found = trained_records(tmp_path)
    assert found.unknown == [] and set(found.keys) == {("record", "ptb-xl", "3"), ("record", "ptb-xl", "8")}
