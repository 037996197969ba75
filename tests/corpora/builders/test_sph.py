# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""12-lead ECG database of Shandong Provincial Hospital."""

import csv
import io
import json
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.corpora.builders.battery import CorpusBattery
from tests.corpora.builders.written_corpora import all_rows, assert_same_row, written_report
from tests.corpora.builders.written_tables import SPH_ROWS, float_signal, write_sph, write_table
from tests.corpora.downloads.corpus_server import CorpusServer

from anyecg_hf.corpora import CorpusError, load_corpus


def write_h5(path: Path, n_samples: int, name: str = "ecg") -> None:
    with h5py.File(path, "w") as file:
        file[name] = float_signal(path.stem, 12, n_samples, "float16").samples


class TestSPH(CorpusBattery):
    @pytest.fixture
    def corpus(self, tmp_path):
        return write_sph(tmp_path / "sph")

    def test_a_record_of_another_length_is_left_out(self, corpus, cache_dir):
        write_h5(corpus.root / "records/A00001.h5", 501)
        rows, report = written_report("sph", corpus.root, cache_dir)
        assert set(rows) == {"A00002"}
        assert "expected 500 samples, as metadata.csv says, found 501" in report.skipped[0].reason

    def test_a_file_without_a_row_is_left_out(self, corpus, cache_dir):
        write_h5(corpus.root / "records/A00009.h5", 500)
        rows, report = written_report("sph", corpus.root, cache_dir)
        assert set(rows) == {"A00001", "A00002"}
        assert [(line.record_id, line.reason) for line in report.skipped] == [("A00009", "no row in metadata.csv")]
        assert "1 of its rows have no record here" in [line.reason for line in report.noted]

    def test_the_folder_of_the_records_will_do(self, corpus, cache_dir):
        rows = all_rows(load_corpus("sph", data_dir=corpus.root / "records", cache_dir=cache_dir))
        assert list(rows) == ["A00001", "A00002"]

    def test_two_files_of_one_record_count_once(self, corpus, cache_dir):
        (corpus.root / "records/SPH00001.h5").write_bytes((corpus.root / "records/A00001.h5").read_bytes())
        rows, report = written_report("sph", corpus.root, cache_dir)
        assert len(rows) == 2
        (line,) = report.skipped
        assert (line.path, line.reason) == ("records/SPH00001.h5", "the same record id as records/A00001.h5")

    def test_another_dataset_in_the_file_is_an_error(self, corpus, cache_dir):
        write_h5(corpus.root / "records/A00001.h5", 500, name="other")
        _, report = written_report("sph", corpus.root, cache_dir)
        assert "expected one dataset 'signal' or 'ecg'" in report.skipped[0].reason

    def test_it_is_downloaded_and_unpacked(self, corpus, cache_dir):
        # The archive on figshare is not compressed, whatever its name says.
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(corpus.root / "records", "records")
        contents = [
            ("metadata.csv", (corpus.root / "metadata.csv").read_bytes()),
            ("records.tar.gz", archive.getvalue()),
            ("code.pdf", b"no"),
        ]
        expected = all_rows(corpus.load(cache_dir / "local"))
        with CorpusServer() as server:
            server.serve("collections/5779802/articles", json.dumps([{"id": 1}]))
            files = []
            for number, (name, content) in enumerate(contents):
                url = server.serve(f"files/{number}", content)
                files.append({"id": number, "name": name, "size": len(content), "download_url": url})
            server.serve("articles/1/files", json.dumps(files))
            for streaming in (False, True):
                found = load_corpus("sph", cache_dir=cache_dir, base_url=server.url, streaming=streaming)
                for record_id, row in all_rows(found).items():
                    assert_same_row(row, expected[record_id])
            assert server.paths().count("files/1") == 1 and "files/2" not in server.paths()


def test_copies_may_name_their_files_otherwise(tmp_path):
    corpus = write_sph(tmp_path / "sph", prefix="SPH")
    assert list(all_rows(corpus.load(tmp_path / "cache"))) == ["A00001", "A00002"]


def test_a_table_without_a_column_is_refused(tmp_path):
    corpus = write_sph(tmp_path / "sph")
    write_table(corpus.root / "metadata.csv", [{"ECG_ID": row["ECG_ID"], "AHA_Code": "1"} for row in SPH_ROWS])
    with pytest.raises(
        CorpusError, match="expected the columns ECG_ID, AHA_Code, .*, found no Patient_ID, Age, Sex, N"
    ):
        corpus.load(tmp_path / "cache")


def test_the_real_records_come_out_as_they_are(records_dir: Path, tmp_path):
    rows, report = written_report("sph", records_dir / "sph", tmp_path)
    assert list(rows) == [f"A{number:05}" for number in range(1, 11)]
    assert [line.reason for line in report.lines] == ["25760 of its rows have no record here"]
    with open(records_dir / "sph/metadata.csv", newline="") as file:
        table = {row["ECG_ID"]: row for row in csv.DictReader(file)}
    for name, row in rows.items():
        assert (row["n_samples"], row["patient_id"]) == (int(table[name]["N"]), table[name]["Patient_ID"])
        assert ";".join(row["native_labels"]) == table[name]["AHA_Code"]
        assert (row["age_years"], "MF"[row["sex"]]) == (float(table[name]["Age"]), table[name]["Sex"])
        with h5py.File(records_dir / f"sph/records/SPH{name[1:]}.h5") as file:
            np.testing.assert_array_equal(row["signal"], file["ecg"][()].astype(np.float32))
        # Only in this order do the limb leads fit together.
        lead = dict(zip(row["lead_names"], row["signal"], strict=True))
        assert np.median(np.abs(lead["I"] + lead["III"] - lead["II"])) < 0.005
        assert np.median(np.abs(lead["aVL"] - lead["I"] + lead["II"] / 2)) < 0.005
