# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What every corpus builder must do, on a small corpus that its test writes."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyecg_hf.corpora import CORPORA, corpus_builder, load_corpus, stored_signal
from anyecg_hf.corpora.schema import features
from anyecg_hf.records import RecordError, StoredSignal


@dataclass(frozen=True)
class WrittenRow:
    """
    A record that a test wrote, and what must come out.

    Attributes:
        signal (`StoredSignal`): The numbers in the file, in the order of the leads in the row.
        files (`tuple[str, ...]`): Its signal files below the root; the first is cut short to make it unreadable. Empty
            where records share a file.
        columns (`dict[str, Any]`): Expected values of other columns.
    """

    signal: StoredSignal
    files: tuple[str, ...]
    columns: dict[str, Any]


@dataclass(frozen=True)
class WrittenCorpus:
    """
    A corpus on disk.

    Attributes:
        name (`str`): As `load_corpus` takes it.
        root (`Path`): `data_dir`.
        rows (`dict[str, WrittenRow]`): By record id, in the order of the corpus.
        options (`dict[str, Any]`): Options of the builder.
    """

    name: str
    root: Path
    rows: dict[str, WrittenRow]
    options: dict[str, Any] = field(default_factory=dict)

    def load(self, cache_dir: Path, **arguments):
        return load_corpus(self.name, data_dir=self.root, cache_dir=cache_dir, **{**self.options, **arguments})


def all_rows(found) -> dict[str, dict[str, Any]]:
    """Rows of all splits by record id."""
    return {row["record_id"]: row for dataset in found.values() for row in dataset}


def assert_same_row(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_equal(found[name], value, err_msg=name)


class CorpusBattery:
    """Subclasses give a fixture `corpus` -> [`WrittenCorpus`] of at least two records."""

    @pytest.fixture
    def corpus(self, tmp_path: Path) -> WrittenCorpus:
        raise NotImplementedError

    @pytest.fixture
    def cache_dir(self, tmp_path: Path) -> Path:
        return tmp_path / "cache"

    def test_rows_hold_what_was_written(self, corpus, cache_dir):
        rows = all_rows(corpus.load(cache_dir))
        assert set(rows) == set(corpus.rows)
        for record_id, written in corpus.rows.items():
            row = rows[record_id]
            assert set(row) == set(features())
            np.testing.assert_array_equal(row["signal"], written.signal.to_millivolts())
            assert (row["corpus"], row["n_samples"]) == (corpus.name, written.signal.samples.shape[1])
            assert len(row["lead_names"]) == len(row["signal"])
            for name, value in written.columns.items():
                assert row[name] == pytest.approx(value) if isinstance(value, float) else row[name] == value, name

    def test_the_stored_form_is_that_of_the_source(self, corpus, cache_dir, tmp_path):
        prepared = corpus.load(cache_dir, raw=True)
        for split, dataset in prepared.items():
            dataset.to_parquet(tmp_path / f"{split}.parquet")
            again = type(dataset).from_parquet(str(tmp_path / f"{split}.parquet"), cache_dir=str(tmp_path))
            for row in (*dataset, *again):
                signal, written = stored_signal(row["signal"]), corpus.rows[row["record_id"]].signal
                assert signal.samples.dtype == written.samples.dtype
                assert signal.samples.tobytes() == written.samples.tobytes()
                np.testing.assert_array_equal(signal.gain, written.gain)
                np.testing.assert_array_equal(signal.baseline, written.baseline)
                assert signal.missing == written.missing

    def test_a_stream_holds_the_stored_form_whatever_its_labels(self, corpus, cache_dir):
        for row in all_rows(corpus.load(cache_dir, streaming=True, raw=True, labels="native")).values():
            assert (
                stored_signal(row["signal"]).samples.tobytes() == corpus.rows[row["record_id"]].signal.samples.tobytes()
            )
            assert row["labels"] == row["native_labels"]

    def test_a_stream_gives_the_same_rows_in_the_same_order(self, corpus, cache_dir):
        prepared, streamed = corpus.load(cache_dir), corpus.load(cache_dir, streaming=True)
        assert list(prepared) == list(streamed)
        for split in prepared:
            pairs = zip(prepared[split], streamed[split], strict=True)
            for found, expected in pairs:
                assert_same_row(found, expected)

    def test_two_processes_prepare_the_same_rows(self, corpus, cache_dir, tmp_path):
        one, two = corpus.load(cache_dir), corpus.load(tmp_path / "two", num_proc=2)
        for split in one:
            assert_same_row({"rows": list(two[split])}, {"rows": list(one[split])})

    def test_native_labels_can_take_the_place_of_snomed_codes(self, corpus, cache_dir):
        for row in all_rows(corpus.load(cache_dir, labels="native")).values():
            assert row["labels"] == row["native_labels"]

    def test_leads_are_chosen_by_name(self, corpus, cache_dir):
        rows = all_rows(corpus.load(cache_dir))
        (name, *_) = next(iter(rows.values()))["lead_names"][-1:]
        if name == "unknown":
            pytest.skip("the corpus does not name its leads")
        for record_id, row in all_rows(corpus.load(cache_dir, leads=[name])).items():
            lead = rows[record_id]["lead_names"].index(name)
            assert row["lead_names"] == [name]
            np.testing.assert_array_equal(row["signal"], rows[record_id]["signal"][[lead]])

    def test_a_record_cut_short_is_left_out_and_listed(self, corpus, cache_dir):
        cut, kept = _cut_the_first(corpus)
        builder = corpus_builder(corpus.name, corpus.root, cache_dir=cache_dir, **corpus.options)
        builder.download_and_prepare()
        assert set(all_rows(builder.as_dataset())) == kept
        assert [line.record_id for line in builder.report.skipped] == [cut]
        assert builder.report.skipped[0].reason
        assert {row["record_id"] for split in corpus.load(cache_dir, streaming=True).values() for row in split} == kept

    def test_strict_makes_it_an_error(self, corpus, cache_dir):
        _cut_the_first(corpus)
        with pytest.raises(RecordError):
            corpus.load(cache_dir, strict=True)
        corpus.load(cache_dir)
        with pytest.raises(ValueError):  # from the cache, too
            corpus.load(cache_dir, strict=True)

    def test_a_changed_file_is_read_anew(self, corpus, cache_dir):
        corpus.load(cache_dir)
        _, kept = _cut_the_first(corpus)
        assert set(all_rows(corpus.load(cache_dir))) == kept

    def test_the_path_may_hold_any_character(self, corpus, cache_dir, tmp_path):
        moved = shutil.copytree(corpus.root, tmp_path / "Ünïcode and % blanks" / corpus.root.name)
        rows = all_rows(load_corpus(corpus.name, data_dir=moved, cache_dir=cache_dir, **corpus.options))
        assert set(rows) == set(corpus.rows)

    def test_a_folder_without_the_corpus_is_refused(self, corpus, cache_dir, tmp_path):
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(RecordError, match=str(empty)):
            load_corpus(corpus.name, data_dir=empty, cache_dir=cache_dir, **corpus.options)

    def test_the_description_is_complete(self, corpus):
        description = CORPORA[corpus.name].description
        assert description.name == corpus.name
        assert description.homepage.startswith("https://") or corpus.name == "folder"
        assert all((description.title, description.summary, description.citation, description.licence))


def _cut_the_first(corpus: WrittenCorpus) -> tuple[str, set[str]]:
    """Cuts the first record that has a signal file of its own; returns its id and those of the others."""
    cut = next((record_id for record_id, row in corpus.rows.items() if row.files), None)
    if cut is None:
        pytest.skip("the records of the corpus share a file")
    path = corpus.root / corpus.rows[cut].files[0]
    os.truncate(path, path.stat().st_size // 2)
    return cut, set(corpus.rows) - {cut}
