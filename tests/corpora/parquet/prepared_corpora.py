# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Corpora that a test writes and prepares as Parquet."""

import os
from pathlib import Path

from tests.corpora.builders.written_corpora import RecordText, write_challenge_record

from anyecg_hf.corpora import ECGCorpusBuilder, corpus_builder
from anyecg_hf.corpora.parquet.sharding import PreparedCorpus, write_corpus

# Sinus rhythm, atrial fibrillation, and both with a block, in turn.
DIAGNOSES = ("426783006", "164889003", "426783006,59118001")
# Two of the records below make a file of this size.
SHARD_MB = 0.03


def write_georgia(root: Path, n_records: int = 6) -> Path:
    """Records `E00001` ..., 12 leads, 600 samples at 500 Hz."""
    for number in range(n_records):
        text = RecordText(gain_text="1000/mV")
        dx = DIAGNOSES[number % len(DIAGNOSES)]
        write_challenge_record(root, "georgia", f"E{number + 1:05}", dx=dx, text=text)
    return root


def record_file(root: Path, record_id: str, suffix: str = ".mat") -> Path:
    """A file of a record of [`write_georgia`]."""
    return root / f"training/georgia/g1/{record_id}{suffix}"


def cut_short(root: Path, record_id: str) -> None:
    """Makes a record of [`write_georgia`] unreadable."""
    path = record_file(root, record_id)
    os.truncate(path, path.stat().st_size // 2)


def georgia(root: Path, **options) -> ECGCorpusBuilder:
    return corpus_builder("georgia", root, cache_dir=root.parent / "cache", **options)


def prepare_georgia(root: Path, output: Path, **options) -> PreparedCorpus:
    return write_corpus(georgia(root), output, **{"shard_mb": SHARD_MB, **options})


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a dataset's folder by their path, but for the lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
