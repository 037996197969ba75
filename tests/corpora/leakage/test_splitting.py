# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import random
from collections import Counter

import pytest
from tests.fresh_process import in_fresh_process

from anyecg_hf.corpora.leakage.record_links import RecordKey
from anyecg_hf.corpora.leakage.splitting import FRACTIONS, PatientRecord, PatientSplit, assign_split, split_by_patient

HALVES = {"train": 0.5, "test": 0.5}


class TestAssignSplit:
    def test_it_is_the_same_everywhere_and_for_ever(self):
        found = {split: [n for n in range(40) if assign_split(str(n)) == split] for split in ("validation", "test")}
        assert found == {"validation": [10, 28], "test": [24, 26, 33, 34, 35]}

    def test_it_is_the_same_in_another_process(self):
        script = (
            "from anyecg_hf.corpora.leakage.splitting import assign_split as a; print(*(a(str(n)) for n in range(40)))"
        )
        assert in_fresh_process(script).split() == [assign_split(str(patient)) for patient in range(40)]

    def test_the_shares_are_those_asked_for(self):
        counts = Counter(assign_split(f"patient {patient}") for patient in range(20_000))
        assert counts["train"] == pytest.approx(16_000, rel=0.02)
        assert counts["validation"] == pytest.approx(2_000, rel=0.07)
        assert counts["test"] == pytest.approx(2_000, rel=0.07)

    def test_another_seed_is_another_split(self):
        patients = [str(patient) for patient in range(100)]
        assert [assign_split(patient, HALVES) for patient in patients] != [
            assign_split(patient, HALVES, seed=1) for patient in patients
        ]

    def test_growing_the_last_share_moves_patients_into_it_only(self):
        for patient in map(str, range(300)):
            before, after = (assign_split(patient, {"train": share, "test": 1 - share}) for share in (0.7, 0.6))
            assert (before, after) in {("train", "train"), ("test", "test"), ("train", "test")}

    def test_one_split_takes_all(self):
        assert {assign_split(str(patient), {"all": 1.0}) for patient in range(50)} == {"all"}

    def test_shares_that_add_up_but_for_rounding_are_fine(self):
        assert assign_split("a", dict.fromkeys("abcdefghij", 0.1)) in set("abcdefghij")

    @pytest.mark.parametrize("fractions", [{}, {"train": 0.8, "test": 0.1}, {"train": 1.2, "test": -0.2}])
    def test_impossible_shares_are_refused(self, fractions):
        with pytest.raises(ValueError, match=r"`fractions` must be positive and add up to 1, got \{"):
            assign_split("1", fractions)

    @pytest.mark.parametrize("patient_id", ["", None, 15709])
    def test_an_identifier_must_be_text(self, patient_id):
        with pytest.raises(ValueError, match="`patient_id` must be a text that is not empty, got"):
            assign_split(patient_id)


def many(corpus: str = "code-15", records: int = 400, patients: int = 150) -> list[PatientRecord]:
    return [PatientRecord(corpus, f"r{number}", f"p{number % patients}") for number in range(records)]


class TestSplitByPatient:
    def test_a_patient_is_in_one_split_as_its_identifier_says(self):
        found = split_by_patient(many())
        for record in many():
            assert found.split_of("code-15", record.record_id) == assign_split(record.patient_id)
        assert found.records == Counter(assign_split(record.patient_id) for record in many())
        assert sum(found.patients.values()) == 150

    def test_a_record_without_a_patient_is_a_patient_of_its_own(self):
        found = split_by_patient([PatientRecord("georgia", f"E{number:05d}") for number in range(50)])
        assert found.split_of("georgia", "E00007") == assign_split("E00007")
        assert len(set(found.groups.values())) == 50

    def test_order_and_other_records_do_not_matter(self):
        records = many()
        whole = split_by_patient(records)
        part = random.Random(0).sample(records, 100)
        assert split_by_patient(part).splits == {record.key: whole.splits[record.key] for record in part}

    def test_rows_of_a_corpus_will_do(self):
        row = {"corpus": "sph", "record_id": "A00001", "patient_id": "S1", "split": "train", "signal": None}
        assert split_by_patient([row]).split_of("sph", "A00001") == assign_split("S1")
        assert split_by_patient([{"corpus": "sph", "record_id": "A1"}]).split_of("sph", "A1") == assign_split("A1")

    def test_patients_of_two_corpora_that_happen_to_share_an_identifier_are_two(self):
        found = split_by_patient([PatientRecord("ludb", "1", "7"), PatientRecord("sph", "A1", "7")])
        assert len(set(found.groups.values())) == 2

    def test_releases_of_one_record_stay_together(self):
        records = [PatientRecord("ptb-xl", f"{number:05d}_hr", f"p{number // 2}") for number in range(60)]
        copies = [PatientRecord("ptb-xl", f"HR{number:05d}", source="ptb-xl") for number in range(60)]
        found = split_by_patient([*copies, *records], HALVES)
        for number in range(60):
            expected = assign_split(f"p{number // 2}", HALVES)
            assert found.split_of("ptb-xl", f"HR{number:05d}") == expected
            assert found.split_of("ptb-xl", f"{number:05d}_hr") == expected

    def test_a_copy_alone_is_where_its_original_alone_would_be(self):
        for number in range(30):
            original, copy = f"{number:05d}_hr", f"HR{number:05d}"
            splits = [
                split_by_patient([PatientRecord("ptb-xl", name)], HALVES).split_of("ptb-xl", name)
                for name in (original, copy)
            ]
            assert splits[0] == splits[1] == assign_split(str(number), HALVES)

    def test_linked_records_and_all_records_of_their_patients_stay_together(self):
        records = [*many(records=300, patients=100), *many("sph", 300, 100)]
        linked = [
            (RecordKey("code-15", f"r{number}"), RecordKey("sph", f"r{number + 7}")) for number in range(0, 90, 3)
        ]
        found = split_by_patient(records, HALVES, linked=linked)
        for one, other in linked:
            for corpus, number in (("code-15", int(one.record_id[1:])), ("sph", int(other.record_id[1:]))):
                for same_patient in range(number % 100, 300, 100):
                    assert found.split_of(corpus, f"r{same_patient}") == found.splits[one]
        assert set(found.splits.values()) == {"train", "test"}
        assert sum(found.patients.values()) == 200 - 30

    def test_links_that_share_a_record_join_into_one_group(self):
        records = [PatientRecord("georgia", f"E{number}") for number in range(40)]
        chain = [(RecordKey("georgia", f"E{number}"), RecordKey("georgia", f"E{number + 1}")) for number in range(39)]
        found = split_by_patient(records, HALVES, linked=reversed(chain))
        assert len(set(found.splits.values())) == 1 and found.patients == {found.splits[records[0].key]: 1}

    def test_linked_records_keep_their_split_when_the_deciding_one_is_absent(self):
        linked = [[RecordKey("georgia", "E1"), RecordKey("ningbo", "JS20000")]]
        one, other = PatientRecord("georgia", "E1"), PatientRecord("ningbo", "JS20000")
        for seed in range(20):
            both = split_by_patient([other, one], HALVES, seed, linked)
            assert len(set(both.splits.values())) == 1

    def test_official_splits_stay_and_what_is_linked_follows(self):
        originals = [
            PatientRecord("ptb-xl", f"{number:05d}_hr", f"p{number}", f"fold {number}") for number in range(20)
        ]
        # Without the table of PTB-XL its copies are all in `train`, and that is not official.
        copies = [PatientRecord("copies", f"HR{number:05d}", None, "train", "ptb-xl") for number in range(30)]
        other = PatientRecord("georgia", "E00001", None, "train")
        linked = [[other.key, RecordKey("ptb-xl", "00003_hr")]]
        found = split_by_patient([*copies, other, *originals], linked=linked, official=("ptb-xl",))
        for number in range(20):
            assert found.split_of("ptb-xl", f"{number:05d}_hr") == f"fold {number}"
            assert found.split_of("copies", f"HR{number:05d}") == f"fold {number}"
        assert found.split_of("georgia", "E00001") == "fold 3"
        assert found.split_of("copies", "HR00025") == assign_split("25")

    def test_official_splits_that_contradict_each_other_are_refused(self):
        records = [
            PatientRecord("ptb-xl", "00001_hr", "p1", "train"),
            PatientRecord("ptb-xl", "00002_hr", "p2", "test"),
        ]
        linked = [[record.key for record in records]]
        with pytest.raises(ValueError) as error:
            split_by_patient(records, linked=linked, official=["ptb-xl"])
        assert str(error.value) == (
            "ptb-xl/00001_hr is officially in 'train', and ptb-xl/00002_hr, which is linked to it, in 'test'."
            " Leave one of them out."
        )
        assert set(split_by_patient(records, linked=linked).splits.values()) <= set(FRACTIONS)

    def test_shares_are_checked_even_without_records(self):
        with pytest.raises(ValueError, match="`fractions` must be positive"):
            split_by_patient([], {"train": 0.5})
        assert split_by_patient([]) == PatientSplit()

    def test_a_record_that_was_not_split_is_an_error(self):
        with pytest.raises(ValueError, match=r"sph/A1 was not among the 400 records split\."):
            split_by_patient(many()).split_of("sph", "A1")
