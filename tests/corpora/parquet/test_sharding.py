# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A corpus as Parquet: what is in the files, and that a run can end anywhere without harm."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from filelock import FileLock
from tests.corpora.builders.battery import all_rows, assert_same_row
from tests.corpora.builders.written_corpora import write_ptb_xl
from tests.corpora.downloads.corpus_server import CorpusServer
from tests.corpora.parquet.prepared_corpora import (
    SHARD_MB,
    contents,
    cut_short,
    georgia,
    prepare_georgia,
    record_file,
    write_georgia,
)

from anyecg_hf.corpora import CorpusError, corpus_builder, load_corpus, stored_signal
from anyecg_hf.corpora.downloads.download_errors import StorageError
from anyecg_hf.corpora.parquet import shard_rows, shard_writing
from anyecg_hf.corpora.parquet.shard_writing import ShardError
from anyecg_hf.corpora.parquet.sharding import PreparedCorpus, write_corpus
from anyecg_hf.records import RecordError, read_record

READ_WITHOUT_THE_PACKAGE = """
    import json, sys
    import numpy as np
    from datasets import load_dataset

    rows = {}
    for split, dataset in load_dataset(sys.argv[1], cache_dir=sys.argv[2]).items():
        for row in dataset:
            signal_mv = np.array(row.pop("signal"), dtype=np.float32)
            np.save(f"{sys.argv[2]}/{row['record_id']}.npy", signal_mv)
            rows[row["record_id"]] = row
    assert not any("anyecg" in name for name in sys.modules)
    json.dump(rows, open(f"{sys.argv[2]}/rows.json", "w"))
"""
KILLED_AT_THE_SECOND_SHARD = """
    import os, signal, sys
    from pathlib import Path
    from tests.corpora.parquet.prepared_corpora import prepare_georgia
    from anyecg_hf.corpora.parquet import shard_writing

    def die_at_the_second(path, known=shard_writing._sha256, seen=[]):
        seen.append(path)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return known(path)

    shard_writing._sha256 = die_at_the_second
    prepare_georgia(Path(sys.argv[1]), Path(sys.argv[2]))
"""
WITH_LITTLE_SPACE = """
    import resource, sys
    from pathlib import Path
    from tests.corpora.parquet.prepared_corpora import prepare_georgia

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        prepare_georgia(Path(sys.argv[1]), Path(sys.argv[2]), shard_mb=500)
    except OSError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_georgia(tmp_path / "corpus")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "parquet"


def run_python(script: str, *arguments: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])}
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def shard_files(output: Path) -> list[Path]:
    return sorted((output / "data").iterdir())


class TestContent:
    def test_whoever_has_no_anyecg_loads_the_same_rows(self, tmp_path, output):
        corpus = write_ptb_xl(tmp_path / "corpus")
        write_corpus(corpus_builder("ptb-xl", corpus.root, cache_dir=tmp_path / "cache"), output)
        found = tmp_path / "found"
        found.mkdir()
        finished = run_python(READ_WITHOUT_THE_PACKAGE, output, found)
        assert finished.returncode == 0, finished.stderr

        rows = json.loads((found / "rows.json").read_text())
        expected = all_rows(corpus.load(tmp_path / "cache"))
        assert list(rows) == list(expected) and len(rows) == 3
        for record_id, row in expected.items():
            signal_mv = row.pop("signal")
            assert np.isnan(signal_mv).sum() == 1
            np.testing.assert_array_equal(np.load(found / f"{record_id}.npy"), signal_mv)
            assert rows[record_id] == row

    def test_the_stored_form_is_the_source_bit_by_bit(self, root, output, tmp_path):
        prepared = prepare_georgia(root, output, form="stored")
        found = load_dataset("parquet", data_files=[str(path) for path in prepared.parquet_paths], split="train")
        expected = load_corpus("georgia", root, split="train", raw=True, cache_dir=tmp_path / "cache")
        for row, source in zip(found, expected, strict=True):
            stored = stored_signal(source.pop("signal"))
            np.testing.assert_array_equal(row.pop("signal"), stored.to_millivolts())
            assert row == source
        (first, *_) = pq.read_table(prepared.parquet_paths[0]).column("signal").to_pylist()
        raw = record_file(root, "E00001").read_bytes()[-12 * 600 * 2 :]
        assert first["samples"] == np.frombuffer(raw, "<i2").reshape(600, 12).T.tobytes()
        assert first["dtype"] == "int16" and first["missing"] == [-(1 << 15)] * 12

    @pytest.mark.parametrize("form", ["public", "stored"])
    def test_every_row_is_a_record_for_the_readers(self, root, output, form):
        prepared = prepare_georgia(root, output, form=form)
        record = read_record(f"{prepared.parquet_paths[1]}::#0")
        expected = read_record(record_file(root, record.record_id))
        assert record.record_id != "E00001"
        np.testing.assert_array_equal(record.signal_mv, expected.signal_mv)
        assert record.sampling_rate == 500 and record.lead_names == expected.lead_names

    def test_files_have_names_that_the_hub_knows_and_summaries_that_are_true(self, root, output):
        prepared = prepare_georgia(root, output)
        names = [path.name for path in shard_files(output)]
        assert names == [f"train-{number:05}-of-{len(names):05}.parquet" for number in range(len(names))]
        assert len(names) > 1 and prepared.n_written == len(names)
        for summary, path in zip(prepared.shards, shard_files(output), strict=True):
            assert summary.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
            assert summary.n_bytes == path.stat().st_size
            assert summary.counts.n_rows == pq.read_metadata(path).num_rows > 0
        assert prepared.n_bytes == sum(path.stat().st_size for path in shard_files(output))

    def test_what_is_in_the_rows_is_counted(self, tmp_path, output):
        corpus = write_ptb_xl(tmp_path / "corpus")
        prepared = write_corpus(corpus_builder("ptb-xl", corpus.root, cache_dir=tmp_path / "cache"), output)
        counts = prepared.counts
        assert (counts.n_rows, counts.duration_s, counts.shortest_s, counts.longest_s) == (3, 6.0, 2.0, 2.0)
        assert (counts.patients, counts.n_without_patient) == (["13243", "15709", "20372"], 0)
        assert counts.rates_hz == {"500": 3} and counts.superclasses == {"NORM": 1, "MI": 1, "CD": 1}
        assert counts.native_labels == dict.fromkeys(["NORM", "LVOLT", "SR", "IMI", "AFIB", "CLBBB"], 1)
        assert prepared.counts_of("validation").patients == ["13243"]
        assert PreparedCorpus.read(output).counts == counts

    def test_records_lie_in_row_groups_of_a_few_megabytes(self, root, output, monkeypatch):
        monkeypatch.setattr(shard_rows, "ROW_GROUP_BYTES", 2 * 12 * 600 * 4)
        prepared = prepare_georgia(root, output, shard_mb=500)
        (path,) = prepared.parquet_paths
        metadata = pq.read_metadata(path)
        assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [2, 2, 2]

    def test_what_parquet_cannot_hold_is_an_error_with_the_name_of_the_record(self, root, output, monkeypatch):
        monkeypatch.setattr(shard_rows, "MAX_VALUES", 7199)
        monkeypatch.setattr("anyecg_hf.corpora.parquet.sharding._parquet_per_source_byte", lambda *_: 1.0)
        told = "train-00000-of-00001: record 'E00001' does not fit into Parquet: its 7200 samples are more than"
        with pytest.raises(ShardError, match=told):
            prepare_georgia(root, output, shard_mb=500)

    def test_leads_can_be_chosen(self, root, output):
        prepared = write_corpus(georgia(root, leads=["V1", "II"]), output)
        assert prepared.counts.leads == {"V1,II": 6}
        assert prepared.plan.options == {"leads": ["V1", "II"]}


class TestAgain:
    def test_the_same_run_again_changes_nothing(self, root, output):
        first = prepare_georgia(root, output)
        before = {path: path.stat().st_mtime_ns for path in shard_files(output)}
        files = contents(output)
        again = prepare_georgia(root, output)
        assert again.n_written == 0 and again.shards == first.shards
        assert {path: path.stat().st_mtime_ns for path in shard_files(output)} == before
        assert contents(output) == files

    def test_another_folder_gets_the_same_bytes(self, root, output, tmp_path):
        prepare_georgia(root, output)
        prepare_georgia(root, tmp_path / "other")
        assert contents(output) == contents(tmp_path / "other")

    def test_a_killed_run_loses_no_finished_shard(self, root, output, tmp_path):
        finished = run_python(KILLED_AT_THE_SECOND_SHARD, root, output)
        assert finished.returncode == -9, finished.stderr
        (survivor,) = shard_files(output)
        assert list((output / ".partial").iterdir())
        with pytest.raises(CorpusError, match="all 3 shards of its plan and report.jsonl, found 1 shards. Prepare"):
            PreparedCorpus.read(output)

        written = survivor.stat().st_mtime_ns
        prepared = prepare_georgia(root, output)
        assert prepared.n_written == len(prepared.shards) - 1
        assert survivor.stat().st_mtime_ns == written
        assert not (output / ".partial").exists()
        prepare_georgia(root, tmp_path / "whole")
        assert contents(output) == contents(tmp_path / "whole")

    @pytest.mark.parametrize("harm", ["no summary", "summary cut short", "summary of another plan", "shard cut short"])
    def test_a_shard_that_is_not_whole_is_written_anew(self, root, output, harm):
        prepared = prepare_georgia(root, output)
        files = contents(output)
        path = prepared.parquet_paths[1]
        summary = output / "preparation" / f"{path.stem}.json"
        if harm == "no summary":
            summary.unlink()
        elif harm == "summary cut short":
            os.truncate(summary, 100)
        elif harm == "summary of another plan":
            summary.write_text(summary.read_text().replace(prepared.plan.fingerprint, "0" * 64))
        else:
            os.truncate(path, 1000)
        assert prepare_georgia(root, output).n_written == 1
        assert contents(output) == files

    def test_another_plan_in_the_folder_is_refused_or_replaced(self, root, output):
        prepare_georgia(root, output)
        for name in ("README.md", "gallery.png", "notes.txt"):
            (output / name).write_text("of the old plan")
        before = contents(output)
        told = r"found 7 files of a plan with other form, parquet_per_source_byte\. .*pass `overwrite`"
        with pytest.raises(CorpusError, match=told):
            prepare_georgia(root, output, form="stored")
        assert contents(output) == before

        prepared = prepare_georgia(root, output, form="stored", shard_mb=500, overwrite=True)
        assert [path.name for path in shard_files(output)] == ["train-00000-of-00001.parquet"]
        assert prepared.n_written == 1 and PreparedCorpus.read(output).plan.form == "stored"
        # What is not ours stays; the card and picture of the old plan do not.
        assert (output / "notes.txt").exists()
        assert not (output / "README.md").exists() and not (output / "gallery.png").exists()

    def test_overwriting_keeps_what_is_of_the_same_plan(self, root, output):
        prepare_georgia(root, output)
        assert prepare_georgia(root, output, overwrite=True).n_written == 0

    def test_a_changed_record_is_another_plan(self, root, output):
        prepare_georgia(root, output)
        os.utime(record_file(root, "E00002"), ns=(0, 0))
        with pytest.raises(CorpusError, match="a plan with other corpus_fingerprint"):
            prepare_georgia(root, output)

    def test_a_broken_plan_is_refused_or_replaced(self, root, output):
        prepare_georgia(root, output)
        (output / "preparation" / "plan.json").write_text("{}")
        with pytest.raises(CorpusError, match="plan.json: expected a plan of shards, found KeyError"):
            prepare_georgia(root, output)
        assert prepare_georgia(root, output, overwrite=True).n_written == 3

    @pytest.mark.parametrize("name", ["train.parquet", "notes.txt", "train-00000-of-00099.parquet"])
    def test_data_of_others_is_never_replaced_nor_mixed_with_ours(self, root, output, name):
        prepare_georgia(root, output)
        (output / "data" / name).write_bytes(b"of somebody else")
        with pytest.raises(CorpusError, match=f"expected shards of one plan only, found {name}"):
            prepare_georgia(root, output, overwrite=True)
        assert (output / "data" / name).read_bytes() == b"of somebody else"

    def test_two_runs_cannot_write_into_one_folder(self, root, output):
        output.mkdir()
        with FileLock(output / ".lock"), pytest.raises(CorpusError, match="found another one. Wait for it."):
            prepare_georgia(root, output)
        prepare_georgia(root, output)

    def test_a_downloaded_corpus_is_written_and_found_again(self, root, output, tmp_path):
        expected = prepare_georgia(root, tmp_path / "local")
        with CorpusServer() as server:
            paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
            names = {f"challenge-2021/1.0.3/{path.relative_to(root).as_posix()}": path for path in paths}
            for name, path in names.items():
                server.serve(name, path.read_bytes())
            sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(root)}" for path in paths]
            server.serve("challenge-2021/1.0.3/SHA256SUMS.txt", "\n".join([*sums, ""]))
            for n_written in (3, 0):
                builder = corpus_builder("georgia", cache_dir=tmp_path / "cache", base_url=server.url)
                prepared = write_corpus(builder, output, shard_mb=SHARD_MB)
                assert prepared.n_written == n_written
        assert [shard.sha256 for shard in prepared.shards] == [shard.sha256 for shard in expected.shards]


class TestBadRecords:
    def test_they_are_left_out_and_listed_without_the_folders_of_this_machine(self, root, output, tmp_path):
        cut_short(root, "E00002")
        prepared = prepare_georgia(root, output)
        assert prepared.counts.n_rows == 5
        (line,) = prepared.report.skipped
        assert (line.record_id, line.path) == ("E00002", "training/georgia/g1/E00002")
        assert line.reason.startswith("training/georgia/g1/E00002.")
        assert PreparedCorpus.read(output).report == prepared.report
        assert not [name for name, content in contents(output).items() if str(tmp_path).encode() in content]

    def test_strict_makes_them_an_error_in_what_is_finished_too(self, root, output):
        cut_short(root, "E00002")
        with pytest.raises(RecordError, match="E00002"):
            write_corpus(georgia(root, strict=True), output, shard_mb=SHARD_MB)
        prepare_georgia(root, output)
        with pytest.raises(RecordError, match="E00002"):
            write_corpus(georgia(root, strict=True), output, shard_mb=SHARD_MB)

    def test_a_shard_without_rows_does_no_harm(self, root, output, tmp_path):
        for record_id in ("E00001", "E00002"):
            cut_short(root, record_id)
        prepared = prepare_georgia(root, output, shard_mb=0.02)
        assert [shard.counts.n_rows for shard in prepared.shards].count(0) == 1
        rows = load_dataset(str(output), split="train", cache_dir=str(tmp_path / "hub"))
        assert rows["record_id"][:] == ["E00003", "E00004", "E00005", "E00006"]

    def test_a_corpus_without_any_is_an_error(self, root, output):
        for number in range(1, 7):
            cut_short(root, f"E{number:05}")
        with pytest.raises(CorpusError, match="found none; 6 were left out, the first of them training/georgia/g1/E0"):
            prepare_georgia(root, output)

    def test_what_nobody_foresaw_names_shard_and_record(self, root, output, monkeypatch):
        builder = georgia(root)
        known = builder.read
        monkeypatch.setattr(
            builder, "read", lambda entry, files: {}["x"] if entry.record_id == "E00002" else known(entry, files)
        )
        monkeypatch.setattr("anyecg_hf.corpora.parquet.sharding._parquet_per_source_byte", lambda *_: 1.0)
        told = r"train-00000-of-00001, record 'E00002' \(training/georgia/g1/E00002\): KeyError: 'x'"
        with pytest.raises(ShardError, match=told):
            write_corpus(builder, output)


class TestDisk:
    def test_a_full_disk_leaves_nothing_under_a_final_name(self, root, output):
        finished = run_python(WITH_LITTLE_SPACE, root, output)
        target = output / "data" / "train-00000-of-00001.parquet"
        told = finished.stderr.splitlines()[-1]
        assert told.startswith(f"StorageError: {target}: expected that it can be read and written, found"), told
        assert "File too large" in told
        assert shard_files(output) == [] and not list((output / ".partial").iterdir())
        assert prepare_georgia(root, output, shard_mb=500).n_written == 1

    def test_a_disk_that_fills_up_keeps_what_is_finished(self, root, output, monkeypatch):
        def sync(path: Path) -> None:
            if path.name == "shard.parquet" and len(shard_files(output)) == 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(shard_writing, "_sync", sync)
        told = "found No space left on device. Free some space or choose another folder, and run again"
        with pytest.raises(StorageError, match=told):
            prepare_georgia(root, output)
        monkeypatch.undo()
        assert len(shard_files(output)) == 1
        assert prepare_georgia(root, output).n_written == 2

    @pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder that nobody may write to")
    def test_a_folder_that_cannot_be_written_to_is_an_error(self, root):
        with pytest.raises(StorageError, match="/sys/anyecg: expected that it can be read and written, found"):
            prepare_georgia(root, Path("/sys/anyecg"))

    def test_a_file_in_place_of_the_folder_is_an_error(self, root, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="found File exists"):
            prepare_georgia(root, tmp_path / "file")

    def test_the_corpus_itself_is_not_written_into(self, root):
        with pytest.raises(CorpusError, match="expected a folder outside of the corpus, found one in"):
            prepare_georgia(root, root / "parquet")
        assert not (root / "parquet").exists()


class TestArguments:
    @pytest.mark.parametrize(
        ("argument", "told"),
        [
            ({"form": "mV"}, "`form` must be one of public, stored, got 'mV'."),
            ({"engine": "spark"}, "`engine` must be one of local, ray, got 'spark'."),
            ({"num_proc": 0}, "`num_proc` must be at least 1, got 0."),
            ({"shard_mb": 0}, "`shard_mb` must be a positive number of megabytes, got 0."),
        ],
    )
    def test_what_cannot_be_is_refused(self, root, output, argument, told):
        with pytest.raises(ValueError, match=told.replace(".", r"\.")):
            prepare_georgia(root, output, **argument)

    def test_a_folder_that_was_not_prepared_is_told_from_one_that_was(self, tmp_path):
        with pytest.raises(CorpusError, match="a folder that `write_corpus` filled, found no preparation/plan.json"):
            PreparedCorpus.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "folder"), [("georgia", "challenge-2021"), ("mit-bih", "mitdb"), ("ptb-xl", "ptb-xl"), ("sph", "sph")]
)
def test_real_records_come_out_as_load_corpus_has_them(records_dir, tmp_path, name, folder):
    builder = corpus_builder(name, records_dir / folder, cache_dir=tmp_path / "cache")
    prepared = write_corpus(builder, tmp_path / "parquet", shard_mb=5)
    expected = load_corpus(name, records_dir / folder, streaming=True, cache_dir=tmp_path / "cache")
    found = load_dataset(str(tmp_path / "parquet"), cache_dir=str(tmp_path / "hub"), streaming=True)
    assert prepared.counts.n_rows > 0 and list(found) == list(expected)
    for split, rows in found.items():
        for number, (row, source) in enumerate(zip(rows, expected[split], strict=True)):
            row["signal"] = np.array(row["signal"], dtype=np.float32)
            assert_same_row(row, source)
            if number == 20:
                break
