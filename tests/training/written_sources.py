# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Sources of a run, written for a test as Parquet files, and their rows cleaned."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from tests.corpora.written_rows import corpus

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.corpora.cleaned import clean_corpus
from anyecg_hf.training.configs import SourceConfig

NORMAL, FIBRILLATION, FLUTTER = "426783006", "164889003", "164890007"


def write_source(path: Path, rows: Sequence[dict[str, Any]], **settings: Any) -> SourceConfig:
    """Writes rows of `written_rows.row`; returns the source that reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    corpus(rows).to_parquet(path)
    return SourceConfig(parquet=str(path), **settings)


def cleaned_rows(rows: Sequence[dict[str, Any]], most_patches: int | None = None) -> datasets.Dataset:
    """Rows of `written_rows.row` as a run sees them, in patches of 0.25 s."""
    return clean_corpus(corpus(rows), AnyECGTokenizer(patch_size=75), most_patches=most_patches)
