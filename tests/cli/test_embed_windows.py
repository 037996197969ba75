# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg embed --stride`; one vector a record is in `test_embed.py`."""

import csv
import json

import numpy as np
import pytest
from tests.cli.conftest import LEADS
from tests.models.ecg_signals import heartbeats
from tests.training.written_records import ecg_counts, write_wfdb

from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.records import open_record

COLUMNS = ["record", "start_s", "duration_s", "real_share", "embedding"]
# Windows of 5 s every 2.5 s of the two records below.
PLACES = [
    *[("records/a", 2.5 * number, 5.0) for number in range(4)],
    ("records/b", 0.0, 5.0),
    ("records/b", 2.5, 4.75),
]


@pytest.fixture
def folder(own_folder):
    """Two records of 12.5 and 7.3 s."""
    for name, seconds in (("b", 7.3), ("a", 12.5)):
        write_wfdb(own_folder / "records" / name, ecg_counts(0, leads=3, seconds=seconds), leads=LEADS)
    return own_folder / "records"


@pytest.fixture
def embed(anyecg, checkpoint):
    """Runs `anyecg embed` on the random checkpoint."""
    return lambda *arguments: anyecg("embed", *arguments, "--model", checkpoint)


def table(path) -> dict[str, list]:
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(path).to_pydict()


class TestTables:
    def test_an_output_that_nobody_named_is_not_overwritten(self, embed, folder, own_folder):
        outcome = embed("--window", 5, "--stride", 2.5, "records/a")
        assert outcome.status == 0 and outcome.out.endswith("written to embeddings.npy\n")
        assert len(np.load(own_folder / "embeddings.npy")) == 4
        assert (own_folder / "embeddings.records.csv").is_file()
        again = embed("--window", 5, "--stride", 2.5, "records/b")
        assert again.status == 1
        assert again.errors == ["anyecg embed: embeddings.npy exists: name the file to write with --output."]
        assert len(np.load(own_folder / "embeddings.npy")) == 4
        assert embed("records/b", "-o", "embeddings.npy").status == 0

    def test_parquet_has_a_row_for_each_window(self, embed, checkpoint, folder, own_folder):
        outcome = embed("records", "-o", "w.parquet", "--window", 5, "--stride", 2.5)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out == (
            "6 embeddings of length 32, cleaned by statistics of the whole records, written to w.parquet\n"
        )
        found = table(own_folder / "w.parquet")
        assert list(found) == COLUMNS
        assert list(zip(found["record"], found["start_s"], found["duration_s"], strict=True)) == PLACES
        assert found["real_share"] == [1.0] * 6
        with open_record(folder / "a") as source:
            expected = [
                window.embedding for window in RecordAnalyzer(checkpoint, window_s=5).embed_windows(source, 2.5)
            ]
        np.testing.assert_allclose(found["embedding"][:4], expected, rtol=0, atol=1e-6)
        assert np.abs(np.diff(found["embedding"], axis=0)).max(axis=1).min() > 1e-4

    def test_embeddings_are_stored_in_single_precision(self, embed, folder, own_folder):
        parquet = pytest.importorskip("pyarrow.parquet")
        embed("records", "-o", "w.parquet", "--stride", 10)
        types = {field.name: str(field.type) for field in parquet.read_schema(own_folder / "w.parquet")}
        assert types.pop("embedding").endswith(": float>")
        assert types == {"record": "string", "start_s": "double", "duration_s": "double", "real_share": "double"}

    def test_numpy_comes_with_a_list_of_the_windows(self, embed, folder, own_folder):
        outcome = embed("records", "-o", "w.npy", "--window", 5, "--stride", 2.5)
        assert (outcome.status, outcome.err) == (0, "")
        embeddings = np.load(own_folder / "w.npy")
        assert embeddings.shape == (6, 32) and embeddings.dtype == np.float32
        assert not (own_folder / "w.records.txt").exists()
        with open(own_folder / "w.records.csv", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == COLUMNS[:-1]
        assert [(name, float(start), float(duration)) for name, start, duration, _ in rows] == PLACES
        assert {share for *_, share in rows} == {"1.0"}

    def test_the_window_is_by_default_what_the_checkpoint_was_trained_on(self, embed, folder, own_folder):
        embed("records/a", "-o", "w.parquet", "--stride", 5)
        found = table(own_folder / "w.parquet")
        assert list(zip(found["start_s"], found["duration_s"], strict=True)) == [(0.0, 10.0), (5.0, 7.5)]

    def test_masked_patches_lower_the_share(self, embed, half_flat, own_folder):
        outcome = embed("half_flat", "-o", "w.parquet", "--window", 5, "--stride", 5)
        assert outcome.warnings == ["Warning: half_flat: unusable leads are masked: V1 (flat)."]
        assert table(own_folder / "w.parquet")["real_share"] == pytest.approx([2 / 3, 2 / 3])


class TestEDF:
    def test_it_is_walked_as_the_same_samples_in_a_wfdb_record(self, embed, own_folder):
        pytest.importorskip("pyedflib")
        from tests.records.written_edf import Channel, write_edf

        counts = np.rint(1000 * heartbeats(2, 24, 250, noise_mv=0.02)).astype(np.int64)
        channels = [
            Channel(label, row, physical=(-32.768, 32.767))
            for label, row in zip(("ECG II", "ECG V1"), counts, strict=True)
        ]
        write_edf(own_folder / "holter.edf", channels)
        write_wfdb(own_folder / "holter_wfdb", counts, sampling_rate=250, leads=("II", "V1"))
        outcome = embed("holter.edf", "holter_wfdb", "-o", "w.parquet", "--window", 5, "--stride", 2.5)
        assert (outcome.status, outcome.err) == (0, "")
        found = table(own_folder / "w.parquet")
        assert found["record"] == ["holter.edf"] * 9 + ["holter_wfdb"] * 9
        assert found["start_s"] == [2.5 * number for number in range(9)] * 2
        assert found["duration_s"] == ([5.0] * 8 + [4.0]) * 2
        np.testing.assert_allclose(found["embedding"][:9], found["embedding"][9:], rtol=0, atol=1e-5)


class TestOnePass:
    def test_it_says_what_the_statistics_are_of(self, embed, folder, own_folder):
        outcome = embed("records", "-o", "w.parquet", "--stride", 5, "--one-pass")
        assert (outcome.status, outcome.errors) == (0, [])
        assert outcome.out == (
            "3 embeddings of length 32, cleaned in one pass by statistics of the first 12.5 s, written to w.parquet\n"
        )
        assert outcome.warnings == [
            "Warning: records/a: scale, noise and unusable leads are those of the first 12.5 s.",
            "Warning: records/b: scale, noise and unusable leads are those of the first 7.3 s.",
        ]

    def test_of_a_long_record_it_takes_the_first_five_minutes(self, embed, own_folder):
        counts = ecg_counts(0, leads=1, seconds=310, sampling_rate=100)
        counts[:, 300 * 100 :] *= 3
        write_wfdb(own_folder / "long", counts, sampling_rate=100, leads=["II"])
        facts = {}
        for name, option in (("two", []), ("one", ["--one-pass"])):
            outcome = embed("long", "-o", "w.npy", "--stride", 10, "--json", *option)
            facts[name] = json.loads(outcome.out)["statistics"][0]
        assert (facts["two"]["measured_on_s"], facts["one"]["measured_on_s"]) == (310.0, 300.0)
        assert facts["one"]["scale_mv"] < 0.95 * facts["two"]["scale_mv"]
        assert facts["two"]["notes"] == []
        assert facts["one"]["notes"] == ["scale, noise and unusable leads are those of the first 300 s"]

    def test_without_a_stride_it_is_refused(self, embed, folder, own_folder):
        outcome = embed("records", "-o", "w.npy", "--one-pass")
        assert (outcome.status, outcome.out) == (1, "")
        assert outcome.errors == ["anyecg embed: --one-pass is for windows: pass --stride too."]
        assert not (own_folder / "w.npy").exists()


class TestJSON:
    def test_it_says_how_many_windows_there_are_and_what_they_are_cleaned_by(
        self, embed, folder, half_flat, checkpoint
    ):
        outcome = embed("records", "half_flat", "nowhere", "-o", "w.npy", "--window", 5, "--stride", 2.5, "--json")
        facts = json.loads(outcome.out)
        assert outcome.status == 1
        assert (facts["output"], facts["records"], facts["windows"]) == ("w.npy", 3, 9)
        assert [failure["path"] for failure in facts["failures"]] == ["nowhere"]
        analyzer = RecordAnalyzer(checkpoint)
        for found, name, seconds in zip(
            facts["statistics"], ("records/a", "records/b", "half_flat"), (12.5, 7.3, 10.0), strict=True
        ):
            with open_record(name) as source:
                scale_mv = analyzer.tokenizer.stream(source, 5).statistics.scale
            notes = ["unusable leads are masked: V1 (flat)"] if name == "half_flat" else []
            assert found == {"record": name, "measured_on_s": seconds, "scale_mv": scale_mv, "notes": notes}

    def test_without_a_stride_there_are_no_windows(self, embed, folder):
        facts = json.loads(embed("records", "-o", "w.npy", "--json").out)
        assert facts == {"output": "w.npy", "records": 2, "failures": []}


class TestFailures:
    def test_they_are_listed_at_the_end_and_the_others_are_written(self, embed, folder, truncated, own_folder):
        write_wfdb(own_folder / "flat", np.zeros((2, 2000), dtype=np.int64))
        outcome = embed("truncated", "flat", "nowhere", "records", "-o", "w.npy", "--window", 5, "--stride", 2.5)
        assert outcome.status == 1
        assert np.load(own_folder / "w.npy").shape == (6, 32)
        count, *failures = outcome.errors
        assert count == "3 records could not be used:"
        assert failures[0] == "  nowhere: expected a record, a folder or a glob, found none of them."
        assert "truncated.dat: expected 30000 bytes" in failures[1]
        assert failures[2] == "  no lead of flat can be used: I is flat, II is flat."

    @pytest.mark.parametrize("stride", ["0", "-2.5", "0.1", "nan", "inf"])
    def test_an_impossible_stride_is_one_error_and_no_record_is_read(self, embed, truncated, own_folder, stride):
        outcome = embed("truncated", "-o", "w.npy", f"--stride={stride}")
        assert (outcome.status, outcome.out) == (1, "")
        assert outcome.errors == [
            "anyecg embed: windows and strides must be whole numbers of patches (0.25 s) and at least one, got"
            f" {stride} s."
        ]
        assert not (own_folder / "w.npy").exists()
