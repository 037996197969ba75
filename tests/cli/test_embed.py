# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import sys

import numpy as np
import pytest
from tests.cli.conftest import LEADS, write_csv
from tests.training.written_records import ecg_counts, write_wfdb

from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.records import read_record


@pytest.fixture
def folder(own_folder):
    """Three records of different lengths in a folder with a sub-folder, and a table that is no record."""
    for number, name in enumerate(("b", "a", "deep/c")):
        write_wfdb(own_folder / "records" / name, ecg_counts(number, leads=3, seconds=4 + number), leads=LEADS)
    (own_folder / "records" / "labels.csv").write_text("name,label\na,NORM\n")
    return own_folder / "records"


@pytest.fixture
def expected(checkpoint, folder):
    """Embeddings of the three records, by name."""
    analyzer = RecordAnalyzer(checkpoint)
    return {name: analyzer.embed(analyzer.clean(read_record(folder / name))) for name in ("a", "b", "deep/c")}


class TestNumPy:
    def test_a_folder_gives_one_row_a_record_and_a_list_of_the_records(
        self, anyecg, checkpoint, folder, expected, own_folder
    ):
        outcome = anyecg("embed", "records", "-o", "e.npy", "--model", checkpoint)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out == "3 embeddings of length 32 written to e.npy\n"
        assert (own_folder / "e.records.txt").read_text() == "records/a\nrecords/b\nrecords/deep/c\n"
        embeddings = np.load(own_folder / "e.npy")
        assert embeddings.shape == (3, 32) and embeddings.dtype == np.float32
        np.testing.assert_allclose(embeddings, np.stack(list(expected.values())), atol=1e-6)
        assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3

    def test_globs_and_records_keep_the_order_they_are_named_in(self, anyecg, checkpoint, folder, own_folder):
        outcome = anyecg("embed", "records/deep/*", "records/a.hea", "records/*", "-o", "e.npy", "--model", checkpoint)
        assert outcome.status == 0
        assert (own_folder / "e.records.txt").read_text() == "records/deep/c\nrecords/a\nrecords/b\n"

    def test_reading_options_reach_the_reader(self, anyecg, checkpoint, own_folder, counts):
        write_csv(own_folder / "a.csv", counts)
        outcome = anyecg(
            "embed", "a.csv", "-o", "e.npy", "--model", checkpoint, "--sampling-rate", "500", "--unit", "mV"
        )
        assert outcome.status == 0
        assert np.load(own_folder / "e.npy").shape == (1, 32)


class TestParquet:
    def test_it_holds_records_and_embeddings(self, anyecg, checkpoint, folder, expected, own_folder):
        parquet = pytest.importorskip("pyarrow.parquet")
        outcome = anyecg("embed", "records", "-o", "e.parquet", "--model", checkpoint)
        assert (outcome.status, outcome.out) == (0, "3 embeddings of length 32 written to e.parquet\n")
        table = parquet.read_table(own_folder / "e.parquet")
        assert table.column_names == ["record", "embedding"]
        assert str(table.schema.field("embedding").type).startswith("list<") and "float" in str(table.schema)
        assert table["record"].to_pylist() == ["records/a", "records/b", "records/deep/c"]
        np.testing.assert_allclose(table["embedding"].to_pylist(), np.stack(list(expected.values())), atol=1e-6)


class TestWarnings:
    def test_each_names_its_record(self, anyecg, checkpoint, half_flat, own_folder):
        for suffix in ("hea", "dat"):
            text = (own_folder / f"half_flat.{suffix}").read_bytes()
            (own_folder / f"other.{suffix}").write_bytes(text.replace(b"half_flat", b"other"))
        outcome = anyecg("embed", "half_flat", "other", "-o", "e.npy", "--model", checkpoint)
        assert (outcome.status, outcome.errors) == (0, [])
        assert outcome.warnings == [
            "Warning: half_flat: unusable leads are masked: V1 (flat).",
            "Warning: other: unusable leads are masked: V1 (flat).",
        ]


class TestFailures:
    def test_unreadable_records_are_reported_at_the_end_and_the_others_are_written(
        self, anyecg, checkpoint, folder, truncated, own_folder
    ):
        write_wfdb(own_folder / "flat", np.zeros((2, 2000), dtype=np.int64))
        outcome = anyecg("embed", "truncated", "records", "flat", "-o", "e.npy", "--model", checkpoint)
        assert outcome.status == 1
        assert np.load(own_folder / "e.npy").shape == (3, 32)
        assert len((own_folder / "e.records.txt").read_text().splitlines()) == 3
        count, first, second = outcome.errors
        assert count == "2 records could not be used:"
        assert "truncated.dat: expected 30000 bytes" in first
        assert second == "  no lead of flat can be used: I is flat, II is flat."

    def test_nothing_is_written_where_nothing_could_be_read(self, anyecg, checkpoint, truncated, own_folder):
        outcome = anyecg("embed", "truncated", "-o", "e.npy", "--model", checkpoint)
        assert (outcome.status, outcome.out) == (1, "")
        assert not (own_folder / "e.npy").exists() and not (own_folder / "e.records.txt").exists()

    @pytest.mark.parametrize(
        "output, message",
        [
            ("e.csv", "the output must end in .parquet or .npy, got e.csv."),
            ("e", "the output must end in .parquet or .npy, got e."),
            ("no/such/e.npy", "the folder no/such of the output does not exist: create it first."),
        ],
    )
    def test_impossible_outputs_are_refused_before_any_work(self, anyecg, record, output, message):
        # Neither the checkpoint nor the second record exists: neither is looked at.
        outcome = anyecg("embed", "rec", "nowhere", "-o", output, "--model", "/no/such/checkpoint")
        assert (outcome.status, outcome.out) == (1, "")
        assert outcome.errors == [f"anyecg embed: {message}"]

    def test_a_broken_checkpoint_is_one_error_not_one_a_record(self, anyecg, folder):
        outcome = anyecg("embed", "records", "-o", "e.npy", "--model", "/no/such/checkpoint")
        assert outcome.status == 1
        assert outcome.errors == ["anyecg embed: there is no checkpoint folder /no/such/checkpoint."]

    def test_a_path_to_nothing_does_not_stop_the_others(self, anyecg, checkpoint, record, own_folder):
        outcome = anyecg("embed", "nowhere", "rec", "no/*.dat", "rec.hea", "-o", "e.npy", "--model", checkpoint)
        assert (outcome.status, outcome.out) == (1, "1 embeddings of length 32 written to e.npy\n")
        count, first, second = outcome.errors
        assert count == "2 records could not be used:"
        assert first == "  nowhere: expected a record, a folder or a glob, found none of them."
        assert second.startswith("  no/*.dat: expected records in one of the formats")
        assert (own_folder / "e.records.txt").read_text() == "rec\n"

    @pytest.mark.parametrize("paths", [("nowhere",), ("nowhere", "nothing")])
    def test_nothing_but_paths_to_nothing_is_one_error(self, anyecg, checkpoint, own_folder, paths):
        outcome = anyecg("embed", *paths, "-o", "e.npy", "--model", checkpoint)
        assert (outcome.status, outcome.out) == (1, "")
        found = " ".join(f"{path}: expected a record, a folder or a glob, found none of them." for path in paths)
        assert outcome.errors == [f"anyecg embed: {found}"]
        assert not (own_folder / "e.npy").exists()

    def test_a_missing_pyarrow_says_how_to_install_it(self, anyecg, checkpoint, record, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        outcome = anyecg("embed", "rec", "-o", "e.parquet", "--model", checkpoint)
        assert outcome.status == 1
        assert outcome.errors == ['anyecg embed: writing Parquet needs pyarrow: pip install "anyecg-hf[data]"']


class TestJSON:
    def test_it_says_what_was_written_and_what_failed(self, anyecg, checkpoint, record, truncated):
        outcome = anyecg("embed", "rec", "nowhere", "truncated", "-o", "e.npy", "--json", "--model", checkpoint)
        facts = json.loads(outcome.out)
        assert outcome.status == 1 and outcome.errors[0] == "2 records could not be used:"
        assert (facts["output"], facts["records"]) == ("e.npy", 1)
        first, second = facts["failures"]
        assert first == {
            "path": "nowhere",
            "error": "nowhere: expected a record, a folder or a glob, found none of them.",
        }
        assert second["path"] == "truncated" and "truncated.dat: expected 30000 bytes" in second["error"]

    def test_where_nothing_was_written_it_says_null(self, anyecg, checkpoint, truncated):
        outcome = anyecg("embed", "truncated", "-o", "e.npy", "--json", "--model", checkpoint)
        facts = json.loads(outcome.out)
        assert (outcome.status, facts["output"], facts["records"], len(facts["failures"])) == (1, None, 0, 1)
