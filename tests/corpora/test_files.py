# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The files of a corpus in a folder."""

import os
from pathlib import Path

import pytest

from anyecg_hf.corpora import CorpusError
from anyecg_hf.corpora.files import CorpusFiles


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "corpus/a/1.hea", "header")
    write(tmp_path / "corpus/.hidden/2.hea")
    return tmp_path / "corpus"


def test_paths_are_below_the_root_and_hidden_folders_passed_over(root):
    files = CorpusFiles.of_folder(root)
    assert (files.paths, files.n_bytes) == (("a/1.hea",), len("header"))


def test_linked_folders_are_searched_and_each_folder_once(root, tmp_path):
    write(tmp_path / "disk/3.hea")
    (root / "b").symlink_to(tmp_path / "disk")
    (root / "c").symlink_to(tmp_path / "disk")
    (root / "a/up").symlink_to(root)
    assert CorpusFiles.of_folder(root).paths == ("a/1.hea", "b/3.hea")


def test_a_link_without_its_file_is_listed(root, tmp_path):
    (root / "a/1.dat").symlink_to(tmp_path / "nowhere")
    assert CorpusFiles.of_folder(root).paths == ("a/1.dat", "a/1.hea")


def test_a_folder_that_cannot_be_listed_is_an_error(root, monkeypatch):
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(CorpusError, match="a: expected a folder that can be listed, found Permission denied"):
        CorpusFiles.of_folder(root)


def test_a_changed_file_changes_the_fingerprint(root):
    before = CorpusFiles.of_folder(root).fingerprint
    assert CorpusFiles.of_folder(root).fingerprint == before
    write(root / "a/1.hea", "another header")
    assert CorpusFiles.of_folder(root).fingerprint != before


def test_the_highest_table_counts_and_those_above_come_last(root):
    write(root / "a/table.csv")
    write(root.parent / "table.csv")
    assert CorpusFiles.of_folder(root, ["table.csv"]).table("table.csv") == root / "a/table.csv"
    (root / "a/table.csv").unlink()
    assert CorpusFiles.of_folder(root, ["table.csv"]).table("table.csv") == root.parent / "table.csv"
    assert CorpusFiles.of_folder(root).table("table.csv") is None
