# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Corpora: the public ECG corpora under one schema, as `datasets` datasets."""

from importlib import import_module
from typing import TYPE_CHECKING

# Loaded when asked for: fingerprints and label tables serve people who have no `datasets`.
_MODULES = {
    "CORPORA": "catalogue",
    "CorpusDescription": "description",
    "CorpusError": "errors",
    "ECGCorpusBuilder": "building",
    "ECGSignal": "signal_feature",
    "PreparationReport": "preparation_report",
    "corpus_builder": "loading",
    "load_corpus": "loading",
    "stored_signal": "signal_feature",
}

if TYPE_CHECKING:
    from .building import ECGCorpusBuilder
    from .catalogue import CORPORA
    from .description import CorpusDescription
    from .errors import CorpusError
    from .loading import corpus_builder, load_corpus
    from .preparation_report import PreparationReport
    from .signal_feature import ECGSignal, stored_signal


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


__all__ = [
    "CORPORA",
    "CorpusDescription",
    "CorpusError",
    "ECGCorpusBuilder",
    "ECGSignal",
    "PreparationReport",
    "corpus_builder",
    "load_corpus",
    "stored_signal",
]
