# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import errno
import logging
import os
import pickle
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import datasets
import numpy as np
import pytest
from tests.corpora.written_rows import RATE_HZ, stored

from anyecg_hf.corpora import CORPORA, CorpusError, corpus_builder, load_corpus
from anyecg_hf.corpora import catalogue as catalogue_module
from anyecg_hf.corpora.building import CorpusConfig, ECGCorpusBuilder
from anyecg_hf.corpora.description import CorpusDescription
from anyecg_hf.corpora.entries import CorpusEntry, CorpusRecord
from anyecg_hf.corpora.files import CorpusFiles
from anyecg_hf.corpora.preparation_report import PreparationReport
from anyecg_hf.records import RecordError
from anyecg_hf.records.formats import warn


@dataclasses.dataclass
class WrittenConfig(CorpusConfig):
    offset_mv: float = 0.0


class Written(ECGCorpusBuilder):
    """Files of integers, in folders that are splits."""

    BUILDER_CONFIG_CLASS = WrittenConfig
    description = CorpusDescription(
        name="written",
        title="Written corpus",
        summary="For tests.",
        homepage="https://example.org",
        citation="Nobody",
        licence="CC0-1.0",
        licence_is_certain=True,
        label_system="cinc2017",
        access="ask for it",
    )

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry]:
        for path in files.matching("*.txt"):
            pure = PurePosixPath(path)
            yield CorpusEntry(pure.stem, path, split=pure.parent.name, patient_id="p", native_labels=("A", "N"))

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        path = files.local(entry.path)
        samples = np.loadtxt(path, dtype=np.int16, ndmin=2)
        if samples.shape[1] < 10:
            raise RecordError(entry.path, "at least 10 samples", f"{samples.shape[1]}")
        if samples.shape[0] == 1:
            warn(path, "one lead only.")
        signal = dataclasses.replace(stored(len(samples), 1), samples=samples)
        return CorpusRecord(signal, float(RATE_HZ), ("I", "II", "V1")[: len(samples)])


@pytest.fixture(autouse=True)
def known_to_load_corpus(monkeypatch):
    monkeypatch.setitem(CORPORA, "written", Written)
    assert catalogue_module.CORPORA is CORPORA


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "written"
    for split, names in {"train": "abc", "test": "d"}.items():
        (root / split).mkdir(parents=True)
        for number, name in enumerate(names):
            save(root / split / f"{name}.txt", stored(2, 1, number).samples)
    return root


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def save(path: Path, samples: np.ndarray) -> None:
    np.savetxt(path, samples, fmt="%d")


def names(dataset) -> list[str]:
    return [example["record_id"] for example in dataset]


def test_splits_are_those_of_the_entries(root, cache_dir):
    found = load_corpus("written", root, cache_dir=cache_dir)
    assert {split: names(dataset) for split, dataset in found.items()} == {"train": ["a", "b", "c"], "test": ["d"]}
    assert names(load_corpus("written", root, split="train[:2]", cache_dir=cache_dir)) == ["a", "b"]


def test_a_builder_works_by_itself(root, cache_dir):
    builder = Written(data_dir=str(root), cache_dir=str(cache_dir))
    builder.download_and_prepare()
    assert names(builder.as_dataset(split="train")) == ["a", "b", "c"]
    assert names(builder.as_streaming_dataset(split="test")) == ["d"]


def test_labels_are_mapped_and_kept(root, cache_dir):
    example = load_corpus("written", root, split="test", cache_dir=cache_dir)[0]
    assert example["native_labels"] == ["A", "N"]
    assert "164889003" in example["labels"]
    native = load_corpus("written", root, split="test", labels="native", cache_dir=cache_dir)
    assert native[0]["labels"] == ["A", "N"]
    assert native.column_names == list(example)


def test_records_that_cannot_be_used_are_left_out_listed_and_counted(root, cache_dir, caplog):
    save(root / "train" / "b.txt", np.zeros((2, 5), dtype=np.int16))
    with caplog.at_level(logging.WARNING):
        found = load_corpus("written", root, split="train", cache_dir=cache_dir)
    assert names(found) == ["a", "c"]
    assert "written: 1 records were left out, the first of them b" in caplog.text
    (line,) = corpus_builder("written", root, cache_dir=cache_dir).report.skipped
    assert (line.record_id, line.path, line.outcome) == ("b", "train/b.txt", "skipped")
    assert line.reason == "train/b.txt: expected at least 10 samples, found 5."


@pytest.mark.parametrize("num_proc", [None, 2])
def test_strict_names_the_record(root, cache_dir, num_proc):
    save(root / "train" / "b.txt", np.zeros((2, 5), dtype=np.int16))
    with pytest.raises(RecordError, match=r"train/b.txt: expected at least 10 samples, found 5"):
        load_corpus("written", root, strict=True, cache_dir=cache_dir, num_proc=num_proc)


def test_a_stream_logs_once_what_it_leaves_out(root, caplog):
    save(root / "train" / "b.txt", np.zeros((2, 5), dtype=np.int16))
    stream = load_corpus("written", root, split="train", streaming=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert names(stream) == ["a", "c"]
    assert caplog.text.count("left out: train/b.txt") == 1


def test_oddities_are_noted_and_the_record_kept(root, cache_dir):
    save(root / "train" / "a.txt", stored(1, 1).samples)  # one lead: `read` warns
    save(root / "train" / "b.txt", np.zeros((2, 100), dtype=np.int16))
    save(root / "train" / "c.txt", np.array([[0, 32000] * 50] * 2, dtype=np.int16))
    builder = corpus_builder("written", root, cache_dir=cache_dir)
    builder.download_and_prepare(num_proc=2)
    assert names(builder.as_dataset(split="train")) == ["a", "b", "c"]
    notes = {line.record_id: line.reason for line in builder.report.noted}
    assert notes["a"].endswith("one lead only.")
    assert notes["b"] == "every lead is flat or missing"
    assert notes["c"] == "the leads' median range is 32 mV, outside of 0.1 to 10: check gain and unit"
    assert "d" not in notes


def test_a_record_id_counts_once(root, cache_dir):
    save(root / "test" / "a.txt", stored(2, 1).samples)
    builder = corpus_builder("written", root, cache_dir=cache_dir)
    builder.download_and_prepare()
    assert sorted(name for split in builder.as_dataset().values() for name in names(split)) == ["a", "b", "c", "d"]
    (line,) = builder.report.skipped
    assert line.reason.startswith("the same record id as test/a.txt")
    with pytest.raises(CorpusError, match="every record, each once"):
        load_corpus("written", root, strict=True, cache_dir=cache_dir / "strict")


def test_leads_are_put_into_the_order_asked_for(root, cache_dir):
    whole = load_corpus("written", root, split="train", cache_dir=cache_dir)[0]
    turned = load_corpus("written", root, split="train", leads=["ii", "DI"], cache_dir=cache_dir)[0]
    assert turned["lead_names"] == ["II", "I"]
    np.testing.assert_array_equal(turned["signal"], whole["signal"][::-1])


def test_records_without_a_lead_asked_for_are_left_out(root, cache_dir):
    save(root / "train" / "b.txt", stored(3, 1).samples)
    builder = corpus_builder("written", root, leads=["V1"], cache_dir=cache_dir)
    builder.download_and_prepare()
    assert names(builder.as_dataset(split="train")) == ["b"]
    assert {line.record_id for line in builder.report.skipped} == {"a", "c", "d"}
    assert "the leads V1, found no V1" in builder.report.skipped[0].reason


def test_a_corpus_without_one_usable_record_is_an_error(root, cache_dir):
    for path in root.rglob("*.txt"):
        save(path, np.zeros((2, 5), dtype=np.int16))
    with pytest.raises(CorpusError, match="expected records that can be read, found none; 4 were left out, first"):
        load_corpus("written", root, cache_dir=cache_dir)


def test_a_changed_corpus_is_prepared_anew(root, cache_dir):
    assert len(load_corpus("written", root, split="train", cache_dir=cache_dir)) == 3
    save(root / "train" / "e.txt", stored(2, 1, 9).samples)
    assert len(load_corpus("written", root, split="train", cache_dir=cache_dir)) == 4


def test_a_prepared_corpus_is_not_read_again(root, cache_dir, monkeypatch):
    load_corpus("written", root, cache_dir=cache_dir)
    monkeypatch.setattr(Written, "read", lambda *_: pytest.fail("it was read again"))
    assert names(load_corpus("written", root, split="test", cache_dir=cache_dir)) == ["d"]


def test_an_interrupted_preparation_loses_nothing(root, cache_dir, monkeypatch):
    read = Written.read

    def interrupted(self, entry, files):
        if entry.record_id == "c":
            raise KeyboardInterrupt
        return read(self, entry, files)

    monkeypatch.setattr(Written, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_corpus("written", root, cache_dir=cache_dir)
    monkeypatch.setattr(Written, "read", read)
    found = load_corpus("written", root, cache_dir=cache_dir)
    assert names(found["train"]) == ["a", "b", "c"]
    assert corpus_builder("written", root, cache_dir=cache_dir).report == PreparationReport()


def test_a_full_disk_is_said_and_leaves_nothing_that_looks_prepared(root, cache_dir, monkeypatch):
    import datasets.arrow_writer

    def full(self, *arguments, **settings):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(datasets.arrow_writer.ArrowWriter, "write_table", full)
        with pytest.raises(OSError, match="No space left on device"):
            load_corpus("written", root, cache_dir=cache_dir)
    assert names(load_corpus("written", root, split="test", cache_dir=cache_dir)) == ["d"]


def test_options_of_a_corpus_are_checked(root, cache_dir):
    assert load_corpus("written", root, offset_mv=1.0, cache_dir=cache_dir)
    with pytest.raises(ValueError, match="written has no option 'rate'; it has offset_mv"):
        load_corpus("written", root, rate=100)
    with pytest.raises(ValueError, match="georgia has no option 'rate'; it has none"):
        load_corpus("georgia", root, rate=100)
    with pytest.raises(ValueError, match=r"`split` must be one split, got \['train', 'test'\]"):
        load_corpus("written", root, split=["train", "test"])
    with pytest.raises(ValueError, match="one of the corpora .*, got 'ptbxl'"):
        load_corpus("ptbxl", root)
    with pytest.raises(ValueError, match="`labels` must be one of snomed, native, superclass, got 'scp'"):
        load_corpus("written", root, labels="scp")
    with pytest.raises(ValueError, match="written has no superclasses"):
        load_corpus("written", root, labels="superclass")
    for leads in ("I", [], ["I", "I"], ["I", "X9"]):
        with pytest.raises(ValueError, match="`leads` must"):
            load_corpus("written", root, leads=leads)


def test_without_a_folder_or_a_site_it_says_what_to_obtain(cache_dir):
    with pytest.raises(CorpusError, match="`data_dir` with the records of written, found none. ask for it"):
        load_corpus("written", cache_dir=cache_dir)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(CorpusError, match="nowhere: expected a folder with the records of a corpus, found no folder"):
        load_corpus("written", tmp_path / "nowhere")


def test_every_shard_of_a_stream_is_a_record(root):
    stream = load_corpus("written", root, split="train", streaming=True)
    assert stream.n_shards == 3
    assert sorted(names(stream.shuffle(seed=1, buffer_size=1))) == ["a", "b", "c"]


@pytest.mark.parametrize("way", ["straight", "link", "detour"])
def test_a_cache_among_the_records_is_refused(root, tmp_path, way):
    (tmp_path / "link").symlink_to(root)
    folder = {"straight": root, "link": tmp_path / "link", "detour": root / "test" / ".."}[way]
    with pytest.raises(ValueError, match="`cache_dir` must not lie within `data_dir`"):
        load_corpus("written", root, cache_dir=folder / "cache")


def test_a_folder_may_be_in_the_users_home(root, cache_dir, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.setenv("USERPROFILE", str(root.parent))
    assert names(load_corpus("written", "~/written", split="test", cache_dir=cache_dir)) == ["d"]


def test_a_stream_can_be_written_and_shown_in_any_format(root, tmp_path):
    stream = load_corpus("written", root, split="train", streaming=True)
    assert next(iter(stream.with_format("arrow"))).column("record_id").to_pylist() == ["a"]
    stream.to_parquet(tmp_path / "train.parquet")
    again = datasets.Dataset.from_parquet(str(tmp_path / "train.parquet"), cache_dir=str(tmp_path))
    assert again.features == stream.features
    np.testing.assert_array_equal(again[2]["signal"], next(iter(stream.skip(2)))["signal"])


@pytest.mark.parametrize("labels", ["snomed", "native"])
def test_a_stream_can_be_sent_to_another_process(root, labels):
    stream = load_corpus("written", root, split="train", streaming=True, labels=labels)
    assert names(pickle.loads(pickle.dumps(stream))) == ["a", "b", "c"]


def test_rows_wait_for_being_written_as_long_as_they_are_few_bytes(root, cache_dir, monkeypatch):
    builder = corpus_builder("written", root, cache_dir=cache_dir)
    monkeypatch.setattr(CorpusFiles, "of_folder", classmethod(lambda cls, *_: files))
    for row_bytes, n_rows in ((1 << 20, 64), (16 << 20, 4), (1 << 30, 1)):
        paths = tuple(f"train/{name}.txt" for name in "abc")
        files = CorpusFiles(root, paths, n_bytes=3 * row_bytes)
        builder._split_generators(datasets.StreamingDownloadManager())
        assert builder._writer_batch_size == n_rows


def test_reasons_name_files_below_the_root(root, cache_dir):
    save(root / "train" / "a.txt", stored(1, 1).samples)
    builder = corpus_builder("written", root, cache_dir=cache_dir)
    builder.download_and_prepare()
    assert builder.report.noted[0].reason == "train/a.txt: one lead only."
