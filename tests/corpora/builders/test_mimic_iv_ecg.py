# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""MIMIC-IV-ECG, with and without the patients of MIMIC-IV."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from tests.corpora.builders.written_corpora import (
    RecordText,
    SignalFile,
    SiteBattery,
    all_rows,
    write_record,
    written_report,
)
from tests.corpora.builders.written_tables import MIMIC_LEADS, mimic_path, write_mimic, write_table

from anyecg_hf.corpora import CORPORA, CorpusError, load_corpus
from anyecg_hf.corpora.builders.mimic_iv_ecg import Anchor


def patients(path: Path, *rows: tuple) -> Path:
    columns = ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group")
    return write_table(path, [dict(zip(columns, (*row, "2014 - 2016"), strict=True)) for row in rows])


class TestMIMICIVECG(SiteBattery):
    site = "mimic-iv-ecg/1.0"

    @pytest.fixture
    def corpus(self, tmp_path):
        return write_mimic(tmp_path / "mimic-iv-ecg")

    def test_avf_stands_where_the_file_has_it(self, corpus, cache_dir):
        row = corpus.load(cache_dir, split="train")[0]
        assert row["lead_names"] == list(MIMIC_LEADS)
        written = corpus.rows[row["record_id"]].signal.to_millivolts()
        chosen = corpus.load(cache_dir, split="train", leads=["aVL", "aVF"])[0]
        np.testing.assert_array_equal(chosen["signal"], written[[5, 4]])

    def test_the_patients_of_mimic_iv_give_age_and_sex(self, corpus, cache_dir, tmp_path):
        table = patients(tmp_path / "patients.csv", ("10000032", "F", 52, 2180), ("10000117", "M", 91, 2180))
        rows, report = written_report("mimic-iv-ecg", corpus.root, cache_dir, patients_csv=table)
        assert [(row["age_years"], row["sex"]) for row in rows.values()] == [(52.0, 1), (52.0, 1), (90.0, 0)]
        assert [line.reason for line in report.lines] == ["1 of its rows have no record here"]

    def test_the_table_of_patients_may_be_packed(self, corpus, cache_dir, tmp_path):
        table = patients(tmp_path / "patients.csv", ("10000032", "F", 50, 2178))
        packed = tmp_path / "patients.csv.gz"
        packed.write_bytes(gzip.compress(table.read_bytes()))
        rows, report = written_report("mimic-iv-ecg", corpus.root, cache_dir, patients_csv=packed)
        assert [row["age_years"] for row in rows.values()] == [52.0, 52.0, None]
        assert "its patient 10000117 is not in `patients_csv`" in [line.reason for line in report.noted]
        packed.write_bytes(packed.read_bytes()[:-10])
        with pytest.raises(CorpusError, match="patients.csv.gz: expected a CSV table in UTF-8, found EOFError"):
            corpus.load(cache_dir, patients_csv=packed)

    def test_a_changed_table_of_patients_is_read_anew(self, corpus, cache_dir, tmp_path):
        table = patients(tmp_path / "patients.csv", ("10000032", "F", 52, 2180))
        assert corpus.load(cache_dir, patients_csv=table)["train"][0]["sex"] == 1
        patients(table, ("10000032", "M", 52, 2180))
        os.utime(table, ns=(1, 1))
        assert corpus.load(cache_dir, patients_csv=table)["train"][0]["sex"] == 0

    def test_a_record_without_measurements_has_no_labels(self, corpus, cache_dir):
        path = corpus.root / "machine_measurements.csv"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
        rows, report = written_report("mimic-iv-ecg", corpus.root, cache_dir)
        assert [len(row["native_labels"]) for row in rows.values()] == [2, 0, 0]
        reasons = {line.record_id: line.reason for line in report.noted if line.record_id}
        assert set(reasons) == {"44458630", "49036311"}
        assert set(reasons.values()) == {"no row in machine_measurements.csv, so no labels"}

    def test_a_record_that_is_not_listed_is_left_out(self, corpus, cache_dir):
        write_record(corpus.root, mimic_path("10000032", "40000001"), RecordText(), [SignalFile(".dat")])
        rows, report = written_report("mimic-iv-ecg", corpus.root, cache_dir)
        assert set(rows) == set(corpus.rows)
        assert [(line.record_id, line.reason) for line in report.skipped] == [("40000001", "no row in record_list.csv")]

    def test_the_records_of_some_patients_will_do(self, corpus, cache_dir):
        # The lists lie two folders above.
        rows = all_rows(load_corpus("mimic-iv-ecg", data_dir=corpus.root / "files/p1000", cache_dir=cache_dir))
        assert list(rows) == list(corpus.rows)


def test_missing_samples_stay_missing(tmp_path):
    corpus = write_mimic(tmp_path / "mimic-iv-ecg")
    rows = all_rows(corpus.load(tmp_path / "cache"))
    assert all(np.isnan(row["signal"]).sum() == 1 for row in rows.values())


@pytest.mark.parametrize(
    ("anchor", "year", "age"),
    [
        (Anchor(0, 52, 2180), 2180, 52.0),
        (Anchor(0, 52, 2180), 2176, 48.0),
        (Anchor(0, 85, 2180), 2189, 89.0 + 1.0),
        (Anchor(0, 85, 2180), 2184, 89.0),
        (Anchor(0, 91, 2180), 2180, 90.0),
        (Anchor(0, 91, 2180), 2179, None),
        (Anchor(0, 18, 2180), 2150, None),
    ],
)
def test_ages_follow_from_the_anchor_year(anchor, year, age):
    assert anchor.age_in(year) == age


def test_ages_that_are_no_numbers_are_refused(tmp_path):
    corpus = write_mimic(tmp_path / "mimic-iv-ecg")
    table = patients(tmp_path / "patients.csv", ("10000032", "F", "old", 2180))
    with pytest.raises(
        CorpusError, match="expected whole numbers as anchor_age and anchor_year, found 'old' and '2180'"
    ):
        corpus.load(tmp_path / "cache", patients_csv=table)


def test_a_table_that_is_not_there_is_an_error(tmp_path):
    corpus = write_mimic(tmp_path / "mimic-iv-ecg")
    with pytest.raises(CorpusError, match="expected the file that the option `patients_csv` names, found no such file"):
        corpus.load(tmp_path / "cache", patients_csv=tmp_path / "no.csv")


def test_what_needs_credentials_is_said():
    access = CORPORA["mimic-iv-ecg"].description.access
    assert access.startswith("open; age and sex need the table `hosp/patients.csv.gz`")
    assert "waveform_note_links.csv" in access and "data use agreement" in access
