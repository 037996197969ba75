# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which record goes into which file: decided by sizes alone, the same everywhere, and told apart by a fingerprint."""

import os
from dataclasses import replace

import pytest
from tests.corpora.builders.written_corpora import write_ptb_xl
from tests.corpora.builders.written_tables import write_code_15, write_folder
from tests.corpora.parquet.prepared_corpora import georgia, record_file, write_georgia

from anyecg_hf.corpora import corpus_builder
from anyecg_hf.corpora.parquet import shard_plan
from anyecg_hf.corpora.parquet.shard_plan import ShardPlan, builder_options, divide, plan_shards, source_sizes


def plan_of(builder, shard_mb: float = 500, parquet_per_source_byte: float = 1.0) -> ShardPlan:
    files = builder.corpus_files()
    entries, _ = builder.entries_of(files)
    return plan_shards(
        builder,
        files,
        entries,
        form="public",
        shard_mb=shard_mb,
        parquet_per_source_byte=parquet_per_source_byte,
        parquet={"compression": "zstd"},
    )


class TestDivide:
    def test_runs_are_whole_and_of_about_the_same_size(self):
        assert divide([1, 1, 1, 1, 1, 1], 3) == [range(0, 2), range(2, 4), range(4, 6)]
        assert divide([4, 1, 1, 1, 1], 2) == [range(0, 1), range(1, 5)]

    def test_none_is_empty_where_one_item_is_larger_than_a_run(self):
        assert divide([1, 100, 1], 5) == [range(0, 1), range(1, 2), range(2, 3)]
        assert divide([100], 3) == [range(0, 1)]

    def test_without_sizes_there_is_one_run(self):
        assert divide([0, 0], 4) == [range(0, 2)]
        assert divide([], 4) == []

    @pytest.mark.parametrize("n_runs", [1, 2, 3, 7, 50, 1000])
    def test_every_item_is_in_one_run(self, n_runs):
        sizes = [(place * 37) % 11 for place in range(50)]
        assert [place for run in divide(sizes, n_runs) for place in run] == list(range(50))


class TestSourceSizes:
    def test_a_record_has_the_bytes_of_its_files(self, tmp_path):
        builder = georgia(write_georgia(tmp_path / "corpus", 2))
        files = builder.corpus_files()
        expected = [
            record_file(files.root, name).stat().st_size + record_file(files.root, name, ".hea").stat().st_size
            for name in ("E00001", "E00002")
        ]
        assert source_sizes(files, builder.entries_of(files)[0]) == expected

    def test_records_of_one_file_have_equal_parts_of_it(self, tmp_path):
        corpus = write_code_15(tmp_path / "corpus")
        builder = corpus_builder("code-15", corpus.root, cache_dir=tmp_path / "cache")
        files = builder.corpus_files()
        entries, _ = builder.entries_of(files)
        by_file = {}
        for entry, size in zip(entries, source_sizes(files, entries), strict=True):
            by_file.setdefault(entry.path, []).append(size)
        assert len(by_file) > 1
        for path, sizes in by_file.items():
            assert len(set(sizes)) == 1
            assert sum(sizes) == pytest.approx((files.root / path).stat().st_size)

    def test_a_record_without_files_has_none(self, tmp_path):
        builder = georgia(write_georgia(tmp_path / "corpus", 1))
        files = builder.corpus_files()
        (entry,), _ = builder.entries_of(files)
        assert source_sizes(files, [replace(entry, path="elsewhere/E00009")]) == [0]


class TestPlan:
    def test_the_number_of_files_is_that_of_the_formula(self, tmp_path):
        builder = georgia(write_georgia(tmp_path / "corpus", 6))
        n_bytes = sum(source_sizes(files := builder.corpus_files(), builder.entries_of(files)[0]))
        for n_shards in (1, 2, 3, 6):
            # A little more than a whole number of files is one file more.
            plan = plan_of(builder, shard_mb=n_bytes * 0.5 / (n_shards - 0.01) / 1e6, parquet_per_source_byte=0.5)
            assert [shard.name for shard in plan.shards] == [
                f"train-{number:05}-of-{n_shards:05}" for number in range(n_shards)
            ]
            assert [shard.n_entries for shard in plan.shards] == [6 // n_shards] * n_shards

    def test_splits_have_files_of_their_own(self, tmp_path):
        corpus = write_ptb_xl(tmp_path / "corpus")
        builder = corpus_builder("ptb-xl", corpus.root, cache_dir=tmp_path / "cache")
        plan = plan_of(builder)
        assert plan.splits == ("train", "validation", "test")
        assert [shard.name for shard in plan.shards] == [f"{name}-00000-of-00001" for name in plan.splits]
        entries, _ = builder.entries_of(builder.corpus_files())
        assert [[entry.split for entry in some] for some in plan.divided(entries)] == [[name] for name in plan.splits]

    def test_it_survives_json(self, tmp_path):
        plan = plan_of(georgia(write_georgia(tmp_path / "corpus", 3), leads=["II", "V1"]), shard_mb=0.01)
        again = ShardPlan.from_json(plan.to_json())
        assert again == plan and again.fingerprint == plan.fingerprint and again.differences(plan) == []

    def test_the_place_of_the_corpus_does_not_matter(self, tmp_path):
        first = write_georgia(tmp_path / "one", 3)
        second = write_georgia(tmp_path / "two", 3)
        for path in first.rglob("*.*"):
            os.utime(second / path.relative_to(first), ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        assert plan_of(georgia(first)).fingerprint == plan_of(georgia(second)).fingerprint

    def test_whatever_decides_about_the_rows_changes_the_fingerprint(self, tmp_path, monkeypatch):
        root = write_georgia(tmp_path / "corpus", 3)
        known = plan_of(georgia(root))
        assert plan_of(georgia(root)) == known
        assert plan_of(georgia(root, leads=["II"])).differences(known) == ["options"]
        assert plan_of(georgia(root), shard_mb=400).differences(known) == ["shard_mb"]

        monkeypatch.setattr(shard_plan, "installed_versions", lambda names: dict.fromkeys(names, "0.0"))
        assert plan_of(georgia(root)).differences(known) == ["versions"]
        monkeypatch.undo()

        os.utime(record_file(root, "E00002"), ns=(0, 0))
        changed = plan_of(georgia(root))
        assert changed.differences(known) == ["corpus_fingerprint"] and changed.fingerprint != known.fingerprint

    def test_options_name_no_folder_of_this_machine(self, tmp_path):
        table = tmp_path / "tables" / "labels.csv"
        corpus = write_folder(tmp_path / "corpus", table)
        builder = corpus_builder("folder", corpus.root, cache_dir=tmp_path / "cache", **corpus.options)
        assert builder_options(builder)["labels_csv"] == "labels.csv"
        assert str(tmp_path) not in plan_of(builder).to_json()

    @pytest.mark.parametrize("shard_mb", [0, -1, float("nan")])
    def test_a_size_that_is_none_is_refused(self, tmp_path, shard_mb):
        with pytest.raises(ValueError, match="`shard_mb` must be a positive number of megabytes, got"):
            plan_of(georgia(write_georgia(tmp_path / "corpus", 1)), shard_mb=shard_mb)
