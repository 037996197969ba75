# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from tests.training.written_records import ecg_counts, write_corpora, write_ptbxl_tables, write_wfdb

from anyecg_hf.training.licensed_records import (
    LICENSED_CORPORA,
    joint_fingerprint,
    list_records,
    read_ptbxl_table,
    refuse_leaks,
    refuse_other_records,
    split_records,
)


class TestPTBXLTable:
    @pytest.fixture
    def table(self, tmp_path):
        write_ptbxl_tables(
            tmp_path,
            {
                1: {"scp_codes": "{'IMI': 0.0, 'LVH': 100.0, 'SR': 0.0}", "strat_fold": "3", "age": "300"},
                2: {"scp_codes": "{'SR': 100.0}", "weight": "", "sex": "1"},
                3: {"scp_codes": "{'LVH': 35.0, 'NDT': 80.0, 'CRBBB': 15.0, 'NORM': 50.0}", "age": ""},
            },
        )
        return read_ptbxl_table(tmp_path)

    def test_a_likelihood_of_zero_counts_as_given(self, table):
        assert table[1].superclasses == ("MI", "HYP")

    def test_statements_without_a_diagnostic_class_give_none(self, table):
        assert table[2].superclasses == ()

    def test_superclasses_come_in_one_order(self, table):
        assert table[3].superclasses == ("NORM", "STTC", "CD", "HYP")

    def test_300_years_stand_for_90_and_empty_cells_are_unknown(self, table):
        np.testing.assert_array_equal(table[1].demographics, (90.0, 70.0, 0.0))
        np.testing.assert_array_equal(table[2].demographics, (60.0, np.nan, 1.0))
        np.testing.assert_array_equal(table[3].demographics, (np.nan, 70.0, 0.0))

    def test_the_fold_is_read(self, table):
        assert (table[1].fold, table[2].fold) == (3, 1)


class TestListOfRecords:
    @pytest.fixture
    def root(self, tmp_path):
        write_ptbxl_tables(
            tmp_path / "ptb-xl",
            {
                **{ecg_id: {"strat_fold": str(ecg_id)} for ecg_id in range(1, 11)},
                77: {"strat_fold": "2", "age": "33", "scp_codes": "{'IMI': 50.0}"},
            },
        )
        counts = ecg_counts(0, seconds=1)
        for name in ("records500/00000/00001_hr", "records100/00000/00001_lr", "records100/00000/00009_lr"):
            write_wfdb(tmp_path / "ptb-xl" / name, counts)
        copies = tmp_path / "challenge-2021" / "training" / "ptb-xl" / "g1"
        for name in ("HR00001", "HR00009", "HR00010", "HR00077", "HR12345"):
            write_wfdb(copies / name, counts)
        write_wfdb(tmp_path / "challenge-2021" / "training" / "georgia" / "g1" / "E00001", counts)
        write_wfdb(tmp_path / "ludb" / "data" / "1", counts)
        headless = write_wfdb(
            tmp_path / "challenge-2021" / "training" / "st_petersburg_incart" / "g1" / "I0001", counts
        )
        headless.with_name("I0001.dat").unlink()
        write_wfdb(tmp_path / "ahadb" / "0201", counts)
        (tmp_path / "ludb" / "ludb.csv").write_text("ID,Sex\n1,F\n")
        return tmp_path

    @pytest.fixture
    def listed(self, root):
        return {f"{entry.corpus}/{entry.path.stem}": entry for entry in list_records(root)}

    def test_a_ptb_xl_record_is_listed_once_at_its_highest_rate(self, listed, root):
        assert sorted(listed) == [
            "challenge-2021/georgia/E00001",
            "challenge-2021/ptb-xl/HR00010",
            "challenge-2021/ptb-xl/HR00077",
            "ludb/1",
            "ptb-xl/00001_hr",
            "ptb-xl/00009_lr",
        ]
        assert listed["ptb-xl/00001_hr"].path == root / "ptb-xl" / "records500" / "00000" / "00001_hr"
        assert len(list_records(root)) == len(listed)

    def test_a_challenge_copy_has_the_fold_and_labels_of_its_number(self, listed):
        copy = listed["challenge-2021/ptb-xl/HR00077"]
        assert (copy.fold, copy.superclasses, copy.demographics[0]) == (2, ("MI",), 33.0)

    def test_records_of_other_corpora_have_no_fold_and_no_labels(self, listed):
        other = listed["challenge-2021/georgia/E00001"]
        assert (other.fold, other.superclasses, other.demographics) == (None, None, None)

    def test_copies_of_records_that_ptb_xl_withdrew_are_left_out(self, listed):
        assert not any("HR12345" in name for name in listed)

    def test_headers_without_signals_and_unlicensed_corpora_are_left_out(self, listed):
        assert not any(name.startswith("ahadb") or "I0001" in name for name in listed)

    def test_the_order_is_fixed(self, root):
        assert list_records(root) == list_records(root)

    def test_every_licence_allows_training_with_attribution(self):
        assert {corpus.licence for corpus in LICENSED_CORPORA} == {"CC BY 4.0", "ODC-By 1.0"}
        assert all(corpus.attribution for corpus in LICENSED_CORPORA)
        assert not {"ahadb", "sph", "cpsc2021"} & {corpus.folder for corpus in LICENSED_CORPORA}

    def test_every_source_of_the_challenge_has_its_own_citation(self):
        sources = {corpus.name: corpus.attribution for corpus in LICENSED_CORPORA if "challenge-2021" in corpus.name}
        assert set(sources) == {
            f"challenge-2021/{source}"
            for source in ("chapman_shaoxing", "cpsc_2018", "cpsc_2018_extra", "georgia", "ningbo", "ptb", "ptb-xl")
        }
        assert all("Perez Alday et al." in attribution for attribution in sources.values())
        assert sources["challenge-2021/ptb"].startswith("Bousseljot et al.")

    def test_names_that_only_end_like_ptb_xl_have_no_fold(self, root):
        write_wfdb(root / "ludb" / "data" / "patient_hr", ecg_counts(5, seconds=1))
        listed = {f"{entry.corpus}/{entry.path.stem}": entry for entry in list_records(root)}
        assert listed["ludb/patient_hr"].fold is None

    def test_folds_decide_the_split(self, root):
        splits = split_records(list_records(root))
        assert [entry.path.stem for entry in splits.train] == ["00001_hr", "E00001", "HR00077", "1"]
        assert splits.selection == []
        assert [entry.path.stem for entry in splits.report] == ["00009_lr"]

    def test_fold_8_selects_and_fold_10_is_in_no_list(self, tmp_path):
        write_corpora(tmp_path)
        splits = split_records(list_records(tmp_path))
        names = [[entry.path.stem for entry in part] for part in (splits.train, splits.selection, splits.report)]
        assert names == [["00001_hr", "1"], ["00008_hr"], ["00009_hr"]]


def test_leaks_are_refused_by_name():
    refuse_leaks({"a": "ludb/1"}, {"b": "ptb-xl/00009_hr"})
    with pytest.raises(
        ValueError, match=r"1 training records are copies of held-out records: ludb/1 = ptb-xl/00009_hr"
    ):
        refuse_leaks({"a": "ludb/1", "c": "ludb/2"}, {"a": "ptb-xl/00009_hr"})


def test_records_other_than_those_of_the_training_are_refused():
    expected = joint_fingerprint(["a", "b"])
    assert expected == joint_fingerprint({"b": "ludb/1", "a": "ludb/2"}) != joint_fingerprint(["a"])
    refuse_other_records({"b": "ludb/1", "a": "ludb/2"}, expected)
    with pytest.raises(ValueError, match=rf"the checkpoint was trained on {expected[:16]}.*Pass the data root"):
        refuse_other_records(["a"], expected)
