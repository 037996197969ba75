# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Corpora: the public ECG corpora under one schema, as `datasets` datasets."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Loaded when asked for: label tables and fingerprints serve people who have no `datasets`.
_MODULES = {
    **dict.fromkeys(("AuditEntry",), "leakage.audit"),
    **dict.fromkeys(("AuditReport",), "leakage.audit_report"),
    **dict.fromkeys(("BucketedBatches", "PatchCollator"), "batches"),
    **dict.fromkeys(("ECGCorpusBuilder",), "building"),
    **dict.fromkeys(("CORPORA",), "catalogue"),
    **dict.fromkeys(("clean_corpus", "record_of"), "cleaned"),
    **dict.fromkeys(("CorpusDescription",), "description"),
    **dict.fromkeys(("CorpusError",), "errors"),
    **dict.fromkeys(("anomaly", "arrhythmia_labels", "classes_used"), "label_sets"),
    **dict.fromkeys(("challenge_labels", "superclasses", "to_snomed"), "label_tables"),
    **dict.fromkeys(("corpus_builder", "load_corpus"), "loading"),
    **dict.fromkeys(("mix_corpora",), "mixing"),
    **dict.fromkeys(("PreparationReport",), "preparation_report"),
    **dict.fromkeys(("PreparedCorpus", "write_corpus"), "parquet.sharding"),
    **dict.fromkeys(("ECGSignal", "stored_signal"), "signal_feature"),
    **dict.fromkeys(("assign_split", "split_by_patient"), "leakage.splitting"),
}

if TYPE_CHECKING:
    from .batches import BucketedBatches, PatchCollator
    from .building import ECGCorpusBuilder
    from .catalogue import CORPORA
    from .cleaned import clean_corpus, record_of
    from .description import CorpusDescription
    from .errors import CorpusError
    from .label_sets import anomaly, arrhythmia_labels, classes_used
    from .label_tables import challenge_labels, superclasses, to_snomed
    from .leakage.audit import AuditEntry
    from .leakage.audit_report import AuditReport
    from .leakage.splitting import assign_split, split_by_patient
    from .loading import corpus_builder, load_corpus
    from .mixing import mix_corpora
    from .parquet.sharding import PreparedCorpus, write_corpus
    from .preparation_report import PreparationReport
    from .signal_feature import ECGSignal, stored_signal


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


__all__ = [
    "CORPORA",
    "AuditEntry",
    "AuditReport",
    "BucketedBatches",
    "CorpusDescription",
    "CorpusError",
    "ECGCorpusBuilder",
    "ECGSignal",
    "PatchCollator",
    "PreparationReport",
    "PreparedCorpus",
    "anomaly",
    "arrhythmia_labels",
    "assign_split",
    "challenge_labels",
    "classes_used",
    "clean_corpus",
    "corpus_builder",
    "load_corpus",
    "mix_corpora",
    "record_of",
    "split_by_patient",
    "stored_signal",
    "superclasses",
    "to_snomed",
    "write_corpus",
]
