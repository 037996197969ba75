# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node
from tests.corpora.written_rows import row
from tests.training.written_records import ecg_counts, write_corpora, write_wfdb
from tests.training.written_sources import write_source

from anyecg_hf.corpora import corpus_builder, load_corpus, write_corpus
from anyecg_hf.training.configs import DataConfig, SourceConfig
from anyecg_hf.training.sources import joined_sources, load_rows, window_patches

PATCHES_A_SECOND = 4


@pytest.fixture
def data(tmp_path: Path):
    """A configuration of windows of two seconds, its cache in the test's folder."""

    def build(*train: SourceConfig, **settings) -> DataConfig:
        return DataConfig(train=list(train), **{"window_s": 2.0, "cache_dir": str(tmp_path / "cache"), **settings})

    return build


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_corpora(tmp_path / "data")
    return tmp_path / "data"


def names(rows) -> list[str]:
    return [f"{found['corpus']}/{found['record_id']}" for found in rows]


class TestKindsOfSources:
    def test_a_corpus_is_read_by_split_and_fold(self, data, root, tokenizer):
        settings = {"corpus": "ptb-xl", "data_dir": "ptb-xl"}

        def read(**more) -> list[str]:
            config = data(SourceConfig(**settings, **more), root=str(root))
            return names(load_rows(config, tokenizer).train)

        assert read() == ["ptb-xl/00001_hr", "ptb-xl/00008_hr"]
        assert read(split="test") == ["ptb-xl/00010_hr"]
        assert read(split="train", folds=[8]) == ["ptb-xl/00008_hr"]
        every = ["ptb-xl/00001_hr", "ptb-xl/00008_hr", "ptb-xl/00009_hr", "ptb-xl/00010_hr"]
        assert sorted(read(split="all")) == every
        assert read(split="all", folds=[9, 10]) == every[2:]

    def test_options_reach_the_corpus(self, data, root, tokenizer):
        source = SourceConfig(corpus="ptb-xl", data_dir=str(root / "ptb-xl"), options={"sampling_rates": 100})
        with pytest.raises(ValueError, match="no option 'sampling_rates'"):
            load_rows(data(source), tokenizer)

    def test_a_folder_of_recordings_is_a_corpus(self, data, tmp_path, tokenizer):
        write_wfdb(tmp_path / "mine" / "a", ecg_counts(0))
        write_wfdb(tmp_path / "mine" / "b", ecg_counts(1, leads=1), leads=["V2"])
        rows = load_rows(data(SourceConfig(corpus="folder", data_dir="mine"), root=str(tmp_path)), tokenizer).train
        assert sorted(found["n_leads"] for found in rows) == [1, 12]

    @pytest.mark.parametrize("form", ["public", "stored"])
    def test_parquet_as_the_project_writes_it_gives_the_rows_of_the_corpus(self, data, root, tmp_path, tokenizer, form):
        settings = {"data_dir": str(root / "ptb-xl"), "cache_dir": str(tmp_path / "cache")}
        write_corpus(corpus_builder("ptb-xl", **settings), tmp_path / "written", form=form)
        corpus = SourceConfig(corpus="ptb-xl", data_dir=str(root / "ptb-xl"))
        parquet = SourceConfig(parquet="written/**/*.parquet")
        expected, found = (
            list(load_rows(data(source, root=str(tmp_path)), tokenizer).train) for source in (corpus, parquet)
        )
        assert names(found) == names(expected) == ["ptb-xl/00001_hr", "ptb-xl/00008_hr"]
        np.testing.assert_equal(found, expected)

    def test_parquet_files_are_chosen_by_split_and_fold(self, data, tmp_path, tokenizer):
        rows = [row(0, split="train", fold=1), row(2, split="test", fold=2), row(4, split="train", fold=3)]
        source = write_source(tmp_path / "a.parquet", rows)

        def read(**changes) -> list[str]:
            return names(load_rows(data(dataclasses.replace(source, **changes)), tokenizer).train)

        assert read() == ["written/r000", "written/r004"]
        assert read(split="all") == ["written/r000", "written/r002", "written/r004"]
        assert read(split="all", folds=[2, 3]) == ["written/r002", "written/r004"]

    def test_sources_follow_one_another_and_keep_what_tasks_ask_for(self, data, tmp_path, tokenizer):
        first = write_source(tmp_path / "a.parquet", [row(0, age_years=50.0, labels=["164889003"])])
        second = write_source(tmp_path / "b.parquet", [row(2, n_leads=3)])
        loaded = load_rows(data(first, second), tokenizer)
        assert names(loaded.train) == ["written/r000", "written/r002"]
        assert (loaded.train[0]["age_years"], loaded.train[0]["labels"]) == (50.0, ["164889003"])
        assert isinstance(loaded.train[0]["input_values"], np.ndarray)
        assert loaded.facts.rows == {f"1: {first.parquet}": 1, f"2: {second.parquet}": 1} == loaded.facts.records

    def test_records_of_any_rate_become_patches_of_one_rate(self, data, tmp_path, tokenizer):
        rates = {"a": 500, "b": 250, "c": 360}
        for number, (name, rate) in enumerate(rates.items()):
            write_wfdb(tmp_path / "mine" / name, ecg_counts(number, sampling_rate=rate), sampling_rate=rate)
        assert set(load_corpus("folder", tmp_path / "mine", split="train")["sampling_rate"]) == {500, 250, 360}
        rows = load_rows(data(SourceConfig(corpus="folder", data_dir=str(tmp_path / "mine"))), tokenizer).train
        # Three seconds are twelve patches of 0.25 s, whatever the rate was; nothing of the old rate is left.
        assert {np.shape(found["input_values"]) for found in rows} == {(12, 12, 75)}
        assert "sampling_rate" not in rows.column_names


class TestLongRecords:
    def test_records_are_cut_evenly_into_rows_of_two_windows(self, data, tmp_path, tokenizer):
        source = write_source(tmp_path / "a.parquet", [row(0, seconds=4), row(2, seconds=9)])
        loaded = load_rows(data(source), tokenizer)
        places = [(found["record_id"], found["first_patch"], found["n_patches"]) for found in loaded.train]
        assert places == [("r000", 0, 16), ("r002", 0, 12), ("r002", 12, 12), ("r002", 24, 12)]
        assert (*loaded.facts.rows.values(), *loaded.facts.records.values()) == (4, 2)

    def test_rows_of_one_record_are_no_copies_of_each_other(self, data, tmp_path, tokenizer):
        source = write_source(tmp_path / "a.parquet", [row(0, seconds=9)])
        loaded = load_rows(data(source, deduplicate=True), tokenizer)
        assert len(loaded.train) == 3 and loaded.facts.dropped == {}

    def test_all_of_a_long_record_is_validated_on(self, data, tmp_path, tokenizer):
        train, validation = (write_source(tmp_path / f"{n}.parquet", [row(n, seconds=9)]) for n in (0, 2))
        loaded = load_rows(data(train, validation=[validation]), tokenizer)
        sizes = [found["n_patches"] for found in loaded.validation]
        assert sum(sizes) == 9 * PATCHES_A_SECOND and max(sizes) <= 2 * PATCHES_A_SECOND
        assert loaded.facts.validation_rows == len(sizes) == 5


class TestWeights:
    def test_rows_are_drawn_by_weight(self, data, tmp_path, tokenizer):
        often = write_source(tmp_path / "a.parquet", [row(n, corpus="often") for n in range(0, 4)], weight=9)
        seldom = write_source(tmp_path / "b.parquet", [row(n, corpus="seldom") for n in range(10, 14)], weight=1)
        drawn = Counter(load_rows(data(often, seldom), tokenizer).train["corpus"])
        assert drawn["often"] > 4 * drawn["seldom"] and drawn["seldom"] >= 4  # all of it, and the other repeated

    def test_weights_for_some_sources_only_are_refused(self, data, tokenizer):
        sources = [SourceConfig(corpus="sph", weight=2.0), SourceConfig(corpus="georgia")]
        with pytest.raises(ValueError, match="`weight` must be given for every training source or for none"):
            load_rows(data(*sources), tokenizer)

    @pytest.mark.parametrize("weight", [0.0, -1.0, float("nan")])
    def test_weights_are_positive(self, data, tmp_path, tokenizer, weight):
        source = write_source(tmp_path / "a.parquet", [row(0)], weight=weight)
        with pytest.raises(ValueError, match="`weights` must be positive"):
            load_rows(data(source), tokenizer)


class TestStreaming:
    @pytest.mark.parametrize("weights", [(None, None), (2.0, 1.0)])
    def test_a_stream_gives_the_prepared_rows(self, data, tmp_path, tokenizer, weights):
        first = write_source(tmp_path / "a.parquet", [row(n, seconds=5) for n in range(3)], weight=weights[0])
        second = write_source(tmp_path / "b.parquet", [row(n, n_leads=3) for n in range(10, 13)], weight=weights[1])
        config = data(first, second, validation=[write_source(tmp_path / "v.parquet", [row(20)])])
        prepared = load_rows(config, tokenizer)
        streamed = load_rows(dataclasses.replace(config, streaming=True), tokenizer)
        assert isinstance(streamed.train, datasets.IterableDataset)
        assert streamed.train.features == prepared.train.features
        expected = {(found["record_id"], found["first_patch"]): found for found in prepared.train}
        seen = set()
        for found in streamed.train:  # the smaller source may begin anew
            place = (found["record_id"], found["first_patch"])
            np.testing.assert_equal(found, expected[place])
            seen.add(place)
        assert seen == expected.keys()
        assert streamed.facts.fingerprint is None and isinstance(streamed.validation, datasets.Dataset)

    def test_a_stream_of_a_corpus_is_its_records(self, data, root, tokenizer):
        source = SourceConfig(corpus="ptb-xl", data_dir=str(root / "ptb-xl"), split="all", folds=[1, 9])
        rows = list(load_rows(data(source, streaming=True), tokenizer).train)
        assert set(names(rows)) == {"ptb-xl/00001_hr", "ptb-xl/00009_hr"}

    def test_streams_of_thousands_of_shards_can_be_shuffled_and_shared_among_processes(self):
        def numbers(shards):
            yield from ({"number": shard} for shard in shards)

        parts = {
            str(part): datasets.IterableDataset.from_generator(
                numbers,
                features=datasets.Features({"number": datasets.Value("int64")}),
                gen_kwargs={"shards": list(range(part, 6000, 3))},
            )
            for part in range(3)
        }
        nested = {"two": joined_sources({name: parts[name] for name in "01"}, [None, None]), "one": parts["2"]}
        stream = joined_sources(nested, [None, None]).shuffle(0, buffer_size=1)
        shares = [{row["number"] for row in split_dataset_by_node(stream, process, 2)} for process in range(2)]
        assert shares[0] | shares[1] == set(range(6000))

    def test_a_stream_cannot_be_deduplicated(self, data, tokenizer):
        with pytest.raises(ValueError, match="`deduplicate` needs all records at once"):
            load_rows(data(SourceConfig(corpus="sph"), streaming=True, deduplicate=True), tokenizer)


class TestFingerprint:
    def test_it_is_independent_of_the_order(self, data, tmp_path, tokenizer):
        first = write_source(tmp_path / "a.parquet", [row(0), row(2)])
        second = write_source(tmp_path / "b.parquet", [row(4)])
        turned = write_source(tmp_path / "c.parquet", [row(4), row(2), row(0)])
        fingerprints = {
            load_rows(data(*sources), tokenizer).facts.fingerprint for sources in ([first, second], [second, first])
        }
        assert fingerprints == {load_rows(data(turned), tokenizer).facts.fingerprint}

    def test_it_tells_other_records(self, data, tmp_path, tokenizer):
        sources = [write_source(tmp_path / f"{n}.parquet", [row(n)]) for n in range(2)]
        one, other = (load_rows(data(source), tokenizer).facts.fingerprint for source in sources)
        assert one != other and len(one) == 64


class TestRefusals:
    @pytest.mark.parametrize("source", [SourceConfig(), SourceConfig(corpus="sph", parquet="a.parquet")])
    def test_a_source_is_a_corpus_or_parquet(self, data, tokenizer, source):
        with pytest.raises(ValueError, match="must have `corpus` or `parquet`, one of them"):
            load_rows(data(source), tokenizer)

    def test_a_run_needs_a_source(self, data, tokenizer):
        with pytest.raises(ValueError, match=r"`data\.train` is empty"):
            load_rows(data(), tokenizer)

    def test_an_unknown_corpus_is_refused(self, data, tokenizer):
        with pytest.raises(ValueError, match="'ptbxl'"):
            load_rows(data(SourceConfig(corpus="ptbxl")), tokenizer)

    def test_files_that_are_not_there_are_refused_with_their_path(self, data, tmp_path, tokenizer):
        with pytest.raises(ValueError, match=rf"no file '{tmp_path}/x/\*\.parquet'"):
            load_rows(data(SourceConfig(parquet="x/*.parquet"), root=str(tmp_path)), tokenizer)

    def test_a_source_without_records_of_its_folds_is_named(self, data, tmp_path, tokenizer):
        good, empty = (write_source(tmp_path / f"{n}.parquet", [row(n, fold=n)]) for n in (0, 2))
        with pytest.raises(ValueError, match=r"no records of its split and folds: .*2\.parquet.*folds=\[7\]"):
            load_rows(data(good, dataclasses.replace(empty, folds=[7])), tokenizer)

    @pytest.mark.parametrize("option", ["labels", "raw", "streaming"])
    def test_options_that_the_run_decides_are_refused(self, data, tokenizer, option):
        with pytest.raises(ValueError, match=f"`options` of a source must not have {option}"):
            load_rows(data(SourceConfig(corpus="ptb-xl", options={option: "native"})), tokenizer)

    def test_records_that_all_cannot_be_cleaned_leave_nothing_to_train_on(self, data, tmp_path, tokenizer):
        source = write_source(tmp_path / "a.parquet", [row(0, seconds=0.1)])
        with pytest.raises(ValueError, match="there is no record to train on"):
            load_rows(data(source), tokenizer)

    @pytest.mark.parametrize("window_s", [0.3, 0.0, -1.0])
    def test_a_window_is_a_whole_number_of_patches(self, data, tokenizer, window_s):
        with pytest.raises(ValueError, match=r"`window_s` must be a multiple of the patch, 0\.25 s, got"):
            window_patches(data(window_s=window_s), tokenizer)

    def test_windows_are_counted_in_patches(self, data, tokenizer):
        assert [window_patches(data(window_s=seconds), tokenizer) for seconds in (0.25, 2.0, 10.0)] == [1, 8, 40]
