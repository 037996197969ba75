# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import logging
from pathlib import Path

import pytest
from tests.corpora.written_rows import row
from tests.training.written_records import LEADS, ecg_counts, write_corpora, write_georgia, write_wfdb
from tests.training.written_sources import write_source

from anyecg_hf.training.configs import DataConfig, SourceConfig
from anyecg_hf.training.leaks import LeakError, copy_keys, leak_keys
from anyecg_hf.training.sources import load_rows


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """PTB-XL's folds 1, 8, 9 and 10, one record each, and a record of Georgia."""
    write_corpora(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def load(tmp_path: Path, tokenizer):
    def load(*train: SourceConfig, **settings):
        shared = {"window_s": 2.0, "cache_dir": str(tmp_path / "cache"), "root": str(tmp_path / "data")}
        return load_rows(DataConfig(train=list(train), **{**shared, **settings}), tokenizer)

    return load


@pytest.fixture
def written(tmp_path: Path):
    """Writes a source of records of one patient each: number -> columns."""

    def write(name: str, numbers: dict[int, dict], **settings) -> SourceConfig:
        rows = [row(number, **{"patient_id": f"p{number}", **columns}) for number, columns in numbers.items()]
        return write_source(tmp_path / f"{name}.parquet", rows, **settings)

    return write


def ids(rows) -> list[str]:
    return list(rows["record_id"])


def ptb_xl(*folds: int) -> SourceConfig:
    return SourceConfig(corpus="ptb-xl", data_dir="ptb-xl", split="all", folds=list(folds))


GEORGIA = SourceConfig(corpus="georgia", data_dir="challenge-2021/training/georgia")


class TestLeaks:
    def test_separate_records_are_no_leak(self, load, root):
        facts = load(ptb_xl(1), GEORGIA, validation=[ptb_xl(8)], held_out=[ptb_xl(9, 10)]).facts
        assert facts.dropped == {} and list(facts.rows.values()) == [1, 1]

    @pytest.mark.parametrize("part", ["validation", "held_out"])
    def test_records_of_the_same_patient(self, load, written, part):
        train = written("train", {0: {"patient_id": "p1"}, 2: {}})
        other = written("other", {1: {"patient_id": "p1"}})
        with pytest.raises(LeakError, match=r"training record written/r000 and .* written/r001 share the same patient"):
            load(train, **{part: [other]})
        loaded = load(train, **{part: [other]}, on_leak="drop")
        assert ids(loaded.train) == ["r002"]
        assert loaded.facts.dropped == {"same patient as a validation or held-out record": 1}

    def test_patients_of_other_corpora_are_other_patients(self, load, written):
        train = written("train", {0: {"patient_id": "1", "corpus": "sph"}})
        other = written("other", {1: {"patient_id": "1", "corpus": "georgia"}})
        assert load(train, held_out=[other]).facts.dropped == {}

    def test_unknown_patients_are_no_one_in_particular(self, load, written):
        train, other = (written(str(number), {number: {"patient_id": None}}) for number in (0, 1))
        assert load(train, held_out=[other]).facts.dropped == {}

    def test_copies_of_ptb_xl_in_the_challenge_are_known_by_their_number(self, load, root):
        # Another signal, so that nothing but the name tells.
        write_wfdb(root / "challenge" / "g1" / "HR00009", ecg_counts(50), comments=["Dx: 426783006"])
        write_wfdb(root / "challenge" / "g1" / "HR00011", ecg_counts(51), comments=["Dx: 426783006"])
        challenge = SourceConfig(corpus="ptb-xl", data_dir="challenge", split="all")
        with pytest.raises(LeakError, match=r"ptb-xl/HR00009 and .* ptb-xl/00009_hr share the same record"):
            load(challenge, held_out=[ptb_xl(9)])
        loaded = load(challenge, held_out=[ptb_xl(9)], on_leak="drop")
        assert ids(loaded.train) == ["HR00011"]
        assert loaded.facts.dropped == {"same record as a validation or held-out record": 1}

    def test_a_signal_that_hides_in_another_corpus_at_another_gain(self, load, root, caplog):
        hidden = {"leads": LEADS[::-1], "gain": 437.5, "baseline": -300}
        write_georgia(root, "E00002", ecg_counts(9)[::-1] + 40, **hidden)
        with pytest.raises(
            LeakError, match=r"georgia/E00002 and .* ptb-xl/00009_hr share the same signal.*on_leak: drop"
        ):
            load(ptb_xl(1), GEORGIA, held_out=[ptb_xl(9)])
        with caplog.at_level(logging.WARNING):
            loaded = load(ptb_xl(1), GEORGIA, held_out=[ptb_xl(9)], on_leak="drop")
        assert sorted(ids(loaded.train)) == ["00001_hr", "E00001"]
        assert loaded.facts.dropped == {"same signal as a validation or held-out record": 1}
        assert "1 training records are left out" in caplog.text

    def test_other_records_of_the_patient_whose_copy_is_held_out(self, load, written):
        held_out = written("held", {0: {"patient_id": None, "corpus": "cpsc2018"}})
        # The first is the held-out signal, and alone says who its patient is.
        twins = {0: {"patient_id": "p7", "corpus": "sph"}, 4: {"patient_id": "p7", "corpus": "sph"}}
        train = written("train", {**twins, 5: {"corpus": "sph"}})
        with pytest.raises(LeakError, match="sph/r000"):
            load(train, held_out=[held_out])
        loaded = load(train, held_out=[held_out], on_leak="drop")
        assert ids(loaded.train) == ["r005"]
        assert sum(loaded.facts.dropped.values()) == 2

    def test_all_rows_of_a_long_record_are_dropped(self, load, tmp_path, written):
        long = write_source(tmp_path / "long.parquet", [row(0, seconds=9), row(4)])
        loaded = load(long, held_out=[written("held", {1: {"patient_id": "p000"}})], on_leak="drop")
        assert ids(loaded.train) == ["r004"]
        assert sum(loaded.facts.dropped.values()) == 1  # records are counted

    def test_validation_and_held_out_records_must_not_be_of_the_same_patient(self, load, written):
        train, validation = written("train", {0: {}}), written("validation", {2: {}})
        held_out = written("held", {3: {"patient_id": "p2"}})
        with pytest.raises(LeakError, match="validation record written/r002 and held-out record written/r003"):
            load(train, validation=[validation], held_out=[held_out], on_leak="drop")

    def test_nothing_left_is_an_error(self, load, written):
        train = written("train", {0: {}})
        with pytest.raises(ValueError, match="there is no record to train on.*left out"):
            load(train, held_out=[train], on_leak="drop")

    def test_a_stream_is_refused_where_a_leak_comes_to_light(self, load, written, caplog):
        train = written("train", {0: {}, 2: {}, 4: {"patient_id": "p2"}})
        settings = {"held_out": [written("held", {2: {"corpus": "sph"}, 3: {"patient_id": "p2"}})], "streaming": True}
        with pytest.raises(LeakError, match="written/r002"):
            list(load(train, **settings).train)
        with caplog.at_level(logging.WARNING):
            rows = list(load(train, **settings, on_leak="drop").train)
        assert [found["record_id"] for found in rows] == ["r000"]
        assert caplog.text.count("records of the stream are left out, the first of them written/r002") == 1


class TestCopies:
    def test_the_first_source_keeps_its_copy(self, load, written):
        first = written("first", {0: {"corpus": "sph"}, 2: {"corpus": "sph"}})
        second = written("second", {2: {"corpus": "georgia"}, 4: {"corpus": "georgia"}})

        def kept(*sources: SourceConfig) -> list[tuple[str, str]]:
            rows = load(*sources, deduplicate=True).train
            return sorted(zip(rows["record_id"], rows["corpus"], strict=True))

        assert kept(first, second) == [("r000", "sph"), ("r002", "sph"), ("r004", "georgia")]
        assert kept(second, first) == [("r000", "sph"), ("r002", "georgia"), ("r004", "georgia")]

    def test_a_source_that_is_named_twice_is_trained_on_once(self, load, written):
        first, again = written("first", {0: {}, 2: {}}), written("again", {2: {}, 4: {}})
        loaded = load(first, again, deduplicate=True)
        assert ids(loaded.train) == ["r000", "r002", "r004"]
        assert loaded.facts.dropped == {"copy of another training record": 1}

    def test_both_rates_of_a_record_are_one_record_by_name(self, load, root):
        counts = ecg_counts(60, sampling_rate=100)
        write_wfdb(root / "ptb-xl" / "records100" / "00000" / "00001_lr", counts, sampling_rate=100)
        slow = dataclasses.replace(ptb_xl(1), options={"sampling_rate": 100})
        assert ids(load(ptb_xl(1), slow, deduplicate=True).train) == ["00001_hr"]
        assert len(load(ptb_xl(1), slow).train) == 2

    def test_without_it_copies_are_kept(self, load, written):
        loaded = load(*(written(name, {0: {"corpus": name}}) for name in ("sph", "georgia")))
        assert list(loaded.train["corpus"]) == ["sph", "georgia"]

    def test_validation_records_are_judged_once_and_the_loss_is_told(self, load, written, caplog):
        first, second = (written(name, {2: {"corpus": name}}) for name in ("sph", "georgia"))
        with caplog.at_level(logging.WARNING):
            loaded = load(written("train", {0: {}}), validation=[first, second], deduplicate=True)
        assert list(loaded.validation["corpus"]) == ["sph", "sph"]  # four seconds are two windows
        assert loaded.facts.validation_rows == 2
        assert "2 validation rows are left out" in caplog.text

    def test_patients_of_a_dropped_validation_copy_are_not_trained_on(self, load, written):
        validation = [written(name, {2: {"corpus": name}}) for name in ("sph", "georgia")]
        train = written("train", {0: {}, 4: {"corpus": "georgia", "patient_id": "p2"}})
        assert ids(load(train, validation=validation, deduplicate=True, on_leak="drop").train) == ["r000"]

    def test_copies_are_looked_for_after_leaks(self, load, written):
        # The first copy is a patient's who is held out, so that neither may stay.
        first = written("first", {2: {"corpus": "sph", "patient_id": "p9"}})
        second = written("second", {2: {"corpus": "georgia"}, 4: {}})
        held_out = written("held", {6: {"corpus": "sph", "patient_id": "p9"}})
        loaded = load(first, second, held_out=[held_out], deduplicate=True, on_leak="drop")
        assert ids(loaded.train) == ["r004"]


def test_what_rows_have_in_common():
    assert list(copy_keys("ptb-xl", "HR00009", "f")) == [("signal", "f"), ("record", "ptb-xl", "9")]
    assert list(copy_keys("ptb-xl", "00009_lr", None)) == [("record", "ptb-xl", "9")]
    assert list(leak_keys("folder", "a", "p", "f")) == [("signal", "f"), ("patient", "folder", "p")]
    shared = [set(leak_keys(corpus, "JS00001", "7", None)) for corpus in ("ningbo", "chapman-shaoxing")]
    assert shared[0] == shared[1] != set(leak_keys("sph", "JS00001", "7", None))


def test_nothing_of_real_ptb_xl_leaks_into_training(load, records_dir):
    if not (records_dir / "ptb-xl").is_dir():
        pytest.skip("needs PTB-XL, which is not among the real records")
    loaded = load(ptb_xl(1), ptb_xl(8), validation=[ptb_xl(9)], root=str(records_dir), on_leak="drop", window_s=10.0)
    patients = [set(rows["patient_id"]) for rows in (loaded.train, loaded.validation)]
    assert all(len(found) > 10 for found in patients) and not patients[0] & patients[1]
