# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""CODE-15%, as Zenodo has it and as the PhysioNet Challenge 2025 has it."""

import hashlib
import io
import json
import pickle
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb
from tests.corpora.builders.battery import CorpusBattery
from tests.corpora.builders.written_corpora import all_rows, assert_same_row, written_report
from tests.corpora.builders.written_tables import (
    CODE_TABLE,
    code_row,
    float_signal,
    write_code_15,
    write_code_wfdb,
    write_table,
    write_tracings,
)
from tests.corpora.downloads.corpus_server import CorpusServer

from anyecg_hf.corpora import CorpusError, corpus_builder, load_corpus


class TestCODE15(CorpusBattery):
    @pytest.fixture
    def corpus(self, tmp_path):
        return write_code_15(tmp_path / "code-15")

    def test_exams_come_file_by_file_without_the_filler(self, corpus, cache_dir):
        rows, report = written_report("code-15", corpus.root, cache_dir)
        assert list(rows) == ["10", "20", "30"] and not report.lines

    def test_an_exam_of_zeros_is_left_out(self, corpus, cache_dir):
        write_tracings(corpus.root / "exams_part1.hdf5", {30: None})
        rows, report = written_report("code-15", corpus.root, cache_dir)
        assert list(rows) == ["10", "20"]
        assert "expected an ECG in exam 30 (row 0), found zeros only" in report.skipped[0].reason

    def test_leads_of_zeros_and_gaps_of_zeros_stay(self, corpus, cache_dir):
        signal = float_signal("gap", 12, 400, "float32")
        signal.samples[3] = 0
        signal.samples[:, 100:150] = 0
        write_tracings(corpus.root / "exams_part1.hdf5", {30: signal})
        row = all_rows(corpus.load(cache_dir))["30"]
        np.testing.assert_array_equal(row["signal"], signal.samples)

    def test_exams_that_table_and_file_do_not_share_are_said(self, corpus, cache_dir):
        signal = float_signal("more", 12, 400, "float32")
        # The table has exam 20 in the other file.
        write_tracings(corpus.root / "exams_part1.hdf5", {40: signal, 20: signal})
        rows, report = written_report("code-15", corpus.root, cache_dir)
        assert list(rows) == ["10", "20"]
        assert [(line.record_id, line.path, line.reason) for line in report.skipped] == [
            ("20", "exams_part1.hdf5", "exams.csv lists no such exam for this file"),
            ("30", "exams_part1.hdf5", "not in the file that exams.csv names"),
            ("40", "exams_part1.hdf5", "exams.csv lists no such exam for this file"),
        ]

    def test_a_part_of_the_files_will_do(self, corpus, cache_dir):
        (corpus.root / "exams_part0.hdf5").unlink()
        rows, report = written_report("code-15", corpus.root, cache_dir)
        assert list(rows) == ["30"]
        assert [line.reason for line in report.lines] == ["2 of its rows have no record here"]

    def test_a_truncated_file_leaves_the_others(self, corpus, cache_dir):
        path = corpus.root / "exams_part0.hdf5"
        path.write_bytes(path.read_bytes()[:-5000])
        rows, report = written_report("code-15", corpus.root, cache_dir)
        assert list(rows) == ["30"]
        (line,) = report.skipped
        assert (line.record_id, line.path) == ("", "exams_part0.hdf5")
        assert line.reason.startswith("2 exams: ") and "truncated" in line.reason
        with pytest.raises(CorpusError, match="found exams_part0.hdf5: 2 exams"):
            corpus.load(cache_dir / "strict", strict=True)

    def test_a_shuffled_stream_goes_from_file_to_file(self, corpus, cache_dir):
        expected = all_rows(corpus.load(cache_dir))
        stream = corpus.load(cache_dir, streaming=True, split="train")
        for seed in range(3):
            rows = list(stream.shuffle(seed=seed, buffer_size=2))
            assert sorted(row["record_id"] for row in rows) == ["10", "20", "30"]
            for row in rows:
                assert_same_row(row, expected[row["record_id"]])

    def test_a_builder_with_an_open_file_can_be_sent_to_a_worker(self, corpus, cache_dir):
        builder = corpus_builder("code-15", corpus.root, cache_dir=cache_dir)
        files = builder.corpus_files()
        entries, _ = builder.entries_of(files)
        rows = builder.rows(entries, files, [])
        first = next(rows)
        again = pickle.loads(pickle.dumps(builder))
        assert next(again.rows(entries, files, []))["record_id"] == first["record_id"] == "10"
        assert [row["record_id"] for row in rows] == ["20", "30"]

    def test_streams_of_one_builder_do_not_disturb_each_other(self, corpus, cache_dir):
        builder = corpus_builder("code-15", corpus.root, cache_dir=cache_dir)
        files = builder.corpus_files()
        entries, _ = builder.entries_of(files)
        pairs = zip(builder.rows(entries, files, []), builder.rows(entries[::-1], files, []), strict=True)
        ids = [(one["record_id"], other["record_id"]) for one, other in pairs]
        assert ids == [("10", "30"), ("20", "20"), ("30", "10")]

    def test_it_is_downloaded_and_unpacked(self, corpus, cache_dir):
        expected = all_rows(corpus.load(cache_dir / "local"))
        contents = {"exams.csv": (corpus.root / "exams.csv").read_bytes(), "README.md": b"no"}
        for part in ("exams_part0", "exams_part1"):
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as packed:
                packed.write(corpus.root / f"{part}.hdf5", f"{part}.hdf5")
            contents[f"{part}.zip"] = archive.getvalue()
        with CorpusServer() as server:
            listed = []
            for name, content in contents.items():
                checksum = f"md5:{hashlib.md5(content).hexdigest()}"
                listed.append({"key": name, "size": len(content), "checksum": checksum})
                server.serve(f"records/4916206/files/{name}/content", content)
            server.serve("records/4916206", json.dumps({"files": listed}))
            for _ in range(2):
                rows = all_rows(load_corpus("code-15", cache_dir=cache_dir, base_url=server.url))
                assert list(rows) == list(expected)
                for record_id, row in rows.items():
                    assert_same_row(row, expected[record_id])
            assert server.paths().count("records/4916206/files/exams_part0.zip/content") == 1
            assert not any("README" in path for path in server.paths())


def test_rows_that_contradict_each_other_are_refused(tmp_path):
    corpus = write_code_15(tmp_path / "code-15")
    write_table(corpus.root / "exams.csv", [*CODE_TABLE, code_row(10, part=0, patient=7, age=56)])
    with pytest.raises(CorpusError, match="expected one row for each exam_id, found two that differ for '10'"):
        corpus.load(tmp_path / "cache")


def test_a_flag_that_is_none_is_refused(tmp_path):
    corpus = write_code_15(tmp_path / "code-15")
    write_table(corpus.root / "exams.csv", [code_row(10, part=0, SB="perhaps")])
    expected = "expected true or false, 1 or 0, as 'SB', found 'perhaps' in the row of '10'"
    with pytest.raises(CorpusError, match=expected):
        corpus.load(tmp_path / "cache")


def test_archives_must_be_unpacked_first(tmp_path):
    root = tmp_path / "code-15"
    root.mkdir()
    (root / "exams_part0.zip").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"found exams_part0.zip\. Unpack the archives first\."):
        load_corpus("code-15", data_dir=root, cache_dir=tmp_path / "cache")


@pytest.fixture
def wfdb_root(tmp_path: Path) -> Path:
    root = tmp_path / "code-15-wfdb"
    write_code_wfdb(root, "11", "# Age: 22", "# Sex: Female", "# Chagas label: True", "# Source: CODE-15%")
    write_code_wfdb(root, "12", "# Exam ID: 12", "# Patient ID: 48705", "# Age: 93", "# Chagas label: False")
    write_code_wfdb(root, "13", "# Age: 64", "# Sex: Male", "# Chagas label: True", "# Source: SaMi-Trop")
    write_code_wfdb(root, "14", "# Age: 64", "# Sex: Male")
    write_code_wfdb(root, "A0001", "# Age: 64", "# Sex: Male", "#Dx: 426783006")
    return root


def test_records_of_the_challenge_2025_have_no_labels_but_a_statement(wfdb_root, tmp_path):
    rows, report = written_report("code-15", wfdb_root, tmp_path / "cache")
    assert {name: row["report"] for name, row in rows.items()} == {
        "11": "Chagas label: True",
        "12": "Chagas label: False",
    }
    assert [row["patient_id"] for row in rows.values()] == [None, "48705"]
    assert [(row["age_years"], row["sex"]) for row in rows.values()] == [(22.0, 1), (90.0, None)]
    assert all(row["labels"] == row["native_labels"] == [] for row in rows.values())
    assert {line.record_id: line.reason for line in report.skipped} == {
        "13": "13: expected a record of CODE-15%, found the source SaMi-Trop. It is of another corpus.",
        "14": "14: expected a header of the Challenge 2025, with `# Chagas label`, found none.",
    }


def test_the_real_records_come_out_as_they_are(records_dir: Path, tmp_path):
    rows, report = written_report("code-15", records_dir / "code-15-wfdb", tmp_path)
    assert len(rows) == 204
    assert len(report.skipped) == 16 and all("SaMi-Trop" in line.reason for line in report.skipped)
    assert Counter(row["report"] for row in rows.values()) == {"Chagas label: True": 85, "Chagas label: False": 119}
    assert sum(row["patient_id"] is not None for row in rows.values()) == 20
    assert rows["1111"]["patient_id"] == "48705"
    for name in ("1000001", "1111"):
        physical_mv = wfdb.rdsamp(str(records_dir / "code-15-wfdb" / name))[0].T
        np.testing.assert_allclose(rows[name]["signal"], physical_mv, atol=0.5 / 1000)
