# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Chapman-Shaoxing and Ningbo: one release, told apart by number."""

from pathlib import Path

import pytest
from tests.corpora.builders.battery import WrittenCorpus
from tests.corpora.builders.written_corpora import (
    RecordText,
    SiteBattery,
    write_challenge_corpus,
    write_record,
    written_report,
)
from tests.corpora.downloads.corpus_server import CorpusServer

from anyecg_hf.corpora import load_corpus
from anyecg_hf.corpora.builders.ecg_arrhythmia import is_chapman_shaoxing
from anyecg_hf.corpora.downloads.remote_files import Checksum

SITE = "ecg-arrhythmia/1.0.0"


def write_ecg_arrhythmia(root: Path, corpus: str, stems: list[str]) -> WrittenCorpus:
    rows = {}
    for stem in stems:
        text = RecordText(comments=("#Age: 85", "#Sex: Male", "#Dx: 164889003,59118001,164934002"))
        columns = {
            "age_years": 85.0,
            "sex": 0,
            "labels": ["164889003", "59118001", "164934002"],
            "patient_id": None,
        }
        rows[Path(stem).name] = write_record(root, f"WFDBRecords/{stem}", text, columns=columns)
    return WrittenCorpus(corpus, root, rows)


def lose_a_line_break(root: Path, stem: str) -> None:
    header = root / f"{stem}.hea"
    header.write_text(header.read_text().replace("\n", " ", 1))


class TestChapmanShaoxing(SiteBattery):
    site = SITE

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_ecg_arrhythmia(tmp_path / "own", "chapman-shaoxing", ["01/010/JS00001", "11/110/JS10646"])


class TestNingbo(SiteBattery):
    site = SITE

    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_ecg_arrhythmia(tmp_path / "own", "ningbo", ["11/110/JS10647", "46/460/JS45551"])


class TestNingboInTheChallenge:
    @pytest.fixture
    def corpus(self, tmp_path: Path):
        return write_challenge_corpus(tmp_path / "challenge", "ningbo", "ningbo", ["JS11438", "JS45551"])

    def test_rows_hold_what_was_written(self, corpus, cache_dir):
        rows, report = written_report("ningbo", corpus.root, cache_dir)
        assert {name: row["labels"] for name, row in rows.items()} == {
            "JS11438": ["164889003", "59118001"],
            "JS45551": [],
        }
        assert not report.lines

    def test_the_misnamed_header_belongs_to_its_record(self, corpus, cache_dir):
        folder = corpus.root / "training/ningbo/g1"
        write_record(folder, "JS23074")
        (folder / "JS23074.hea").rename(folder / "S23074.hea")
        rows, report = written_report("ningbo", corpus.root, cache_dir)
        assert list(rows) == ["JS11438", "JS23074", "JS45551"] and not report.lines
        assert rows["JS23074"]["signal"].shape == (12, 600)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def both(tmp_path: Path) -> Path:
    write_ecg_arrhythmia(tmp_path / "both", "ningbo", ["01/019/JS01052", "11/110/JS10646"])
    write_ecg_arrhythmia(tmp_path / "both", "ningbo", ["11/110/JS10647", "23/236/JS23074"])
    return tmp_path / "both"


def test_the_number_decides():
    assert is_chapman_shaoxing("JS00001") and is_chapman_shaoxing("JS10646")
    assert not is_chapman_shaoxing("JS10647") and not is_chapman_shaoxing("JS45551")


def test_each_takes_its_own_of_a_folder_with_both(both, cache_dir):
    assert list(written_report("chapman-shaoxing", both, cache_dir)[0]) == ["JS01052", "JS10646"]
    assert list(written_report("ningbo", both, cache_dir)[0]) == ["JS10647", "JS23074"]


@pytest.mark.parametrize(
    ("name", "broken"),
    [("chapman-shaoxing", "WFDBRecords/01/019/JS01052"), ("ningbo", "WFDBRecords/23/236/JS23074")],
)
def test_headers_that_lost_a_line_break_are_left_out(both, cache_dir, name, broken):
    lose_a_line_break(both, broken)
    rows, report = written_report(name, both, cache_dir)
    assert len(rows) == 1
    assert [line.path for line in report.skipped] == [broken]
    assert "12 signal lines" in report.skipped[0].reason


def test_the_own_release_comes_before_the_challenge(both, cache_dir):
    write_challenge_corpus(both, "ningbo", "ningbo", ["JS10647", "JS10648"])
    rows, report = written_report("ningbo", both, cache_dir)
    assert list(rows) == ["JS10647", "JS23074", "JS10648"]
    assert [(line.path, line.reason) for line in report.skipped] == [
        ("training/ningbo/g1/JS10647", "the same record id as WFDBRecords/11/110/JS10647")
    ]


def test_each_downloads_its_own(both, cache_dir):
    with CorpusServer() as server:
        sums = []
        for path in sorted(path for path in both.rglob("*") if path.is_file()):
            name = path.relative_to(both).as_posix()
            server.serve(f"{SITE}/{name}", path.read_bytes())
            sums.append(f"{Checksum('sha256', '0' * 64).of_file(path).digest} {name}\n")
        server.serve(f"{SITE}/SHA256SUMS.txt", "".join(sums))
        found = load_corpus("ningbo", split="train", base_url=server.url, cache_dir=cache_dir)
        assert [row["record_id"] for row in found] == ["JS10647", "JS23074"]
        assert not any("JS10646" in path or "JS01052" in path for path in server.paths())


class TestRealRecords:
    @pytest.mark.parametrize(("name", "n_records"), [("chapman-shaoxing", 10), ("ningbo", 33)])
    def test_every_record_is_read(self, records_dir, cache_dir, name, n_records):
        rows, report = written_report(name, records_dir / "challenge-2021", cache_dir)
        assert len(rows) == n_records and not report.skipped
        assert all(row["labels"] == row["native_labels"] for row in rows.values())

    def test_chest_leads_of_ningbo_may_be_zeros_and_a_record_too_high(self, records_dir, cache_dir):
        rows, report = written_report("ningbo", records_dir / "challenge-2021", cache_dir)
        signal = dict(zip(rows["JS11438"]["lead_names"], rows["JS11438"]["signal"], strict=True))
        assert signal["II"].any() and not any(signal[f"V{number}"].any() for number in range(1, 7))
        assert [line.record_id for line in report.lines] == ["JS23463"]
        assert "check gain and unit" in report.lines[0].reason
