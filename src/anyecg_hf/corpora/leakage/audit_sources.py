# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the leakage audit reads: corpora on disk or from their sites, record by record."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from tqdm import tqdm

from ..preparation_report import SKIPPED
from .audit import AuditEntry
from .audit_report import UnreadRecord


@dataclass(frozen=True)
class AuditSource:
    """
    A corpus to audit.

    Args:
        label (`str`): What the report calls it; another one for each source.
        name (`str`): Its name in `CORPORA`.
        data_dir (`str`, *optional*): Its folder. Without it, it is downloaded.
    """

    label: str
    name: str
    data_dir: str | os.PathLike | None = None


def read_source(source: AuditSource, unread: list[UnreadRecord], show_progress: bool = False) -> Iterator[AuditEntry]:
    """
    Reads the records of a corpus and takes their fingerprints. No more than one signal is in memory at a time.

    Args:
        source ([`AuditSource`]): The corpus.
        unread (`list[UnreadRecord]`): Takes the records that are left out, with the reason.
        show_progress (`bool`, *optional*, defaults to `False`): Whether to show a progress bar.

    Returns:
        `Iterator[AuditEntry]`

    Raises:
        `ValueError`: if the corpus is unknown.
        [`CorpusError`]: if the folder does not hold it.
        [`DownloadError`]: if it cannot be downloaded.
    """
    # Late: fingerprints and reports need no `datasets`.
    from ..loading import corpus_builder

    builder = corpus_builder(source.name, source.data_dir)
    files = builder.corpus_files()
    entries, lines = builder.entries_of(files)
    rows = builder.rows(entries, files, lines)
    for row in tqdm(rows, desc=source.label, total=len(entries), unit="record", disable=not show_progress):
        # A folder has the one split `train`, even if it is called "test".
        split = None if source.name == "folder" else row["split"]
        yield AuditEntry.of({**row, "signal": row["signal"].to_millivolts(), "split": split}, source.label)
    unread += [UnreadRecord(source.label, line.path, line.reason) for line in lines if line.outcome == SKIPPED]


__all__ = ["AuditSource", "read_source"]
