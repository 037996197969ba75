# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
from tests.corpora.leakage.recordings import recording
from tests.training.written_records import write_wfdb

from anyecg_hf.corpora import CORPORA
from anyecg_hf.corpora.files import CorpusFiles
from anyecg_hf.models.anyecg.signal_anyecg import resample


def write(path, patient: int, patient_id: str | None = None, rate_hz: int = 500, gain: float = 1000.0):
    """A recording of a made-up patient as a WFDB record."""
    signal_mv = resample(recording(patient), 500, rate_hz)
    comments = () if patient_id is None else (f"Patient ID: {patient_id}",)
    counts = np.rint(signal_mv * 1000).astype(np.int64)
    return write_wfdb(path, counts, sampling_rate=rate_hz, gain=gain, comments=comments)


@pytest.fixture
def folders(own_folder):
    """`train` and `test`: three records each, all of different patients."""
    for number, name in enumerate(("train/a", "train/b", "train/c", "test/a", "test/d", "test/e")):
        write(own_folder / name, number, f"p{number}")
    return own_folder


class TestAudit:
    def test_two_clean_folders(self, anyecg, folders):
        outcome = anyecg("corpora", "audit", "train", "test")
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out == ("train: records 3, patients 3\ntest: records 3, patients 3\nNo leakage found.\n")

    def test_a_recording_in_both_leaks_at_another_rate_and_gain_too(self, anyecg, folders):
        write(folders / "test/copy", 1, rate_hz=100, gain=200.0)
        outcome = anyecg("corpora", "audit", "train/", "test/", "--output", "audit.md")
        assert (outcome.status, outcome.err) == (1, "")
        assert outcome.out.splitlines() == [
            "train: records 3, patients 3",
            "test: records 4, patients 3, records without one 1",
            "copies at another rate, gain, filter or length: 1, of which 1 leak",
            "Leaks: 1.",
            "written to audit.md and audit.json",
        ]
        assert "| near | train/b, test/copy | 1.0000 | 10.0 s | 0.00 s |\n" in (folders / "audit.md").read_text()

    def test_a_patient_in_both_leaks(self, anyecg, folders):
        write(folders / "test/again", 77, "p0")
        outcome = anyecg("corpora", "audit", "train", "test")
        assert outcome.status == 1
        assert "patients in several corpora or splits: 1\n" in outcome.out

    def test_copies_in_one_folder_are_no_leak(self, anyecg, folders):
        write(folders / "train/copy", 1, "p1")
        outcome = anyecg("corpora", "audit", "train", "test")
        assert outcome.status == 0
        assert "copies of the same samples: 1, of which 0 leak\n" in outcome.out

    def test_json_is_the_whole_report(self, anyecg, folders):
        write(folders / "test/copy", 1)
        outcome = anyecg("corpora", "audit", "train", "test", "--json", "-o", "audit.json")
        assert (outcome.status, outcome.err) == (1, "written to audit.md and audit.json\n")
        found = json.loads(outcome.out)
        assert found == json.loads((folders / "audit.json").read_text())
        (copies,) = found["copies"]
        assert [record["record_id"] for record in copies["records"]] == ["b", "copy"]
        assert found["parts"][1]["records"] == 4

    def test_two_releases_of_a_corpus_are_told_apart_by_their_folders(self, anyecg, own_folder):
        for number in (1, 2):
            write(own_folder / "2020" / f"HR0000{number}", number)
        for number in (2, 3):
            write(own_folder / "2021" / f"HR0000{number}", number)
        outcome = anyecg("corpora", "audit", "ptb-xl=2020", "ptb-xl=2021", "--json")
        assert outcome.status == 1
        found = json.loads(outcome.out)
        assert [part["corpus"] for part in found["parts"]] == ["ptb-xl=2020", "ptb-xl=2021"]
        assert [copies["kind"] for copies in found["copies"]] == ["exact", "named"]
        assert {copies["records"][0]["record_id"] for copies in found["copies"]} == {"HR00002"}

    def test_corpora_of_one_folder_are_read_by_their_names(self, anyecg, own_folder):
        write(own_folder / "challenge/georgia/E00001", 1)
        write(own_folder / "challenge/ningbo/JS20000", 1)
        outcome = anyecg("corpora", "audit", "georgia=challenge", "ningbo=challenge")
        assert outcome.status == 1
        assert outcome.out.splitlines()[:2] == [
            "georgia (train): records 1, patients 0, records without one 1",
            "ningbo (train): records 1, patients 0, records without one 1",
        ]

    def test_a_bare_name_is_downloaded(self, anyecg, own_folder, monkeypatch):
        write(own_folder / "downloaded/E00001", 1)
        monkeypatch.setattr(
            CORPORA["georgia"], "corpus_files", lambda builder: CorpusFiles.of_folder(own_folder / "downloaded")
        )
        outcome = anyecg("corpora", "audit", "georgia")
        assert (outcome.status, outcome.out.splitlines()[-1]) == (0, "No leakage found.")
        assert outcome.out.startswith("georgia (train): records 1, ")

    def test_records_that_cannot_be_read_are_listed(self, anyecg, folders):
        signal = folders / "test/a.dat"
        signal.write_bytes(signal.read_bytes()[:-1000])
        outcome = anyecg("corpora", "audit", "train", "test", "-o", "audit.md")
        assert outcome.status == 0
        assert "test: records 2, patients 2\nrecords left out: 1\n" in outcome.out
        assert "| test | a | " in (folders / "audit.md").read_text()

    def test_flat_records_are_counted_apart(self, anyecg, folders):
        for name in ("train/flat", "test/flat"):
            write_wfdb(folders / name, np.zeros((12, 5000), dtype=np.int64))
        outcome = anyecg("corpora", "audit", "train", "test")
        assert outcome.status == 0
        assert "flat records, copies of nothing: 2\n" in outcome.out

    def test_a_folder_without_records_says_so(self, anyecg, own_folder):
        (own_folder / "empty").mkdir()
        outcome = anyecg("corpora", "audit", "ptb-xl=empty")
        assert outcome.status == 1 and outcome.out == ""
        assert outcome.err.startswith("anyecg corpora: ") and "records of ptb-xl" in outcome.err

    @pytest.mark.parametrize(
        ("sources", "message"),
        [
            (["nowhere"], "nowhere: expected NAME=DIR, NAME or a folder, where NAME is one of cpsc2018, "),
            (["ptb=nowhere"], "ptb=nowhere: 'nowhere' is not a folder."),
            (["train", "test", "train"], "folder=train is given twice, and would have every record in common with"),
            (["no-corpus=train"], "no-corpus=train: expected NAME=DIR"),
            ([], "the following arguments are required: CORPUS"),
        ],
    )
    def test_wrong_usage(self, anyecg, folders, sources, message):
        outcome = anyecg("corpora", "audit", *sources)
        assert (outcome.status, outcome.out) == (2, "")
        assert message in outcome.err

    def test_an_impossible_output_is_refused_before_any_work(self, anyecg, folders):
        outcome = anyecg("corpora", "audit", "train", "-o", "audit.csv")
        assert outcome.status == 1
        assert outcome.err == "anyecg corpora: the output must end in .md or .json, got audit.csv.\n"


class TestList:
    def test_every_corpus_has_a_line(self, anyecg):
        outcome = anyecg("corpora", "list")
        assert (outcome.status, outcome.err) == (0, "")
        header, *lines = outcome.out.splitlines()
        assert header.split() == ["name", "records", "labels", "licence", "access"]
        assert [line.split()[0] for line in lines] == list(CORPORA)
        assert lines[list(CORPORA).index("ptb-xl")].split() == ["ptb-xl", "21799", "scp", "CC-BY-4.0", "open"]
        assert "CC-BY-4.0 (not certain)" in lines[list(CORPORA).index("georgia")]
        assert max(map(len, lines)) <= 120

    def test_json_has_all_that_is_known(self, anyecg):
        found = json.loads(anyecg("corpora", "list", "--json").out)
        assert [corpus["name"] for corpus in found] == list(CORPORA)
        assert found[list(CORPORA).index("ptb-xl")]["licence_is_certain"] is True


def test_an_action_is_required(anyecg):
    outcome = anyecg("corpora")
    assert outcome.status == 2 and "ACTION" in outcome.err
