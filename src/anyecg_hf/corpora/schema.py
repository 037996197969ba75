# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The one schema of all corpora, and how a record becomes a row of it."""

from typing import Any

import datasets
from datasets import List, Value

from ..records.header_comments import HeaderFacts
from .description import CorpusDescription
from .entries import CorpusEntry, CorpusRecord
from .label_tables import label_table, normalised_label, superclasses, to_snomed
from .signal_feature import ECGSignal

# Changes when the rows of the same files, or how tables keep them, would change.
SCHEMA_VERSION = "2"

_PATIENT = ("patient_id", "age_years", "sex", "weight_kg", "height_cm")


def features() -> datasets.Features:
    """
    The columns of every corpus.

    `signal` is an [`ECGSignal`]; `labels` are SNOMED CT codes, `native_labels` the corpus's own, with `likelihoods` in
    percent where it states them; `superclasses` are PTB-XL's. `sex` is 0 male, 1 female; `age_years` 90 stands for
    every age above 89. What is unknown is `None` or an empty list.

    Returns:
        `datasets.Features`
    """
    return datasets.Features(
        {
            "record_id": Value("string"),
            "patient_id": Value("string"),
            "corpus": Value("string"),
            "signal": ECGSignal(),
            "sampling_rate": Value("float64"),
            "lead_names": List(Value("string")),
            "n_samples": Value("int64"),
            "age_years": Value("float32"),
            "sex": Value("int8"),
            "weight_kg": Value("float32"),
            "height_cm": Value("float32"),
            "labels": List(Value("string")),
            "native_labels": List(Value("string")),
            "likelihoods": List(Value("float32")),
            "superclasses": List(Value("string")),
            "report": Value("string"),
            "annotations": List(
                {
                    "time_s": Value("float64"),
                    "duration_s": Value("float64"),
                    "symbol": Value("string"),
                    "note": Value("string"),
                    "lead_name": Value("string"),
                }
            ),
            "fold": Value("int8"),
            "split": Value("string"),
            "license": Value("string"),
        }
    )


def to_row(description: CorpusDescription, entry: CorpusEntry, record: CorpusRecord) -> dict[str, Any]:
    """
    Args:
        description ([`CorpusDescription`]): The corpus.
        entry ([`CorpusEntry`]): What the corpus says about the record.
        record ([`CorpusRecord`]): What the record holds.

    Returns:
        `dict[str, Any]`: a row of [`features`], `signal` being a [`~anyecg_hf.records.StoredSignal`].
    """
    label_system, native = _label_system(description, entry, record), _native_labels(entry, record)
    return {
        "record_id": entry.record_id,
        "corpus": description.name,
        "signal": record.signal,
        "sampling_rate": record.sampling_rate,
        "lead_names": list(record.lead_names),
        "n_samples": record.signal.samples.shape[1],
        **_patient(entry, record.facts),
        "labels": list(to_snomed(label_system, native).codes) if label_system else [],
        "native_labels": list(native),
        "likelihoods": list(entry.likelihoods),
        "superclasses": _superclasses(native) if label_system == "scp" else [],
        "report": entry.report or record.report or None,
        "annotations": [vars(annotation) for annotation in record.annotations],
        "fold": entry.fold,
        "split": entry.split,
        "license": description.licence,
    }


def check_one_split(dataset: Any) -> None:
    """Raises `ValueError` for a dictionary of splits, which is what a corpus is loaded as by default."""
    if isinstance(dataset, dict):
        splits = ", ".join(map(repr, dataset))
        raise ValueError(f"expected one split of a corpus, got a dictionary of {splits}: choose one of them.")


def unknown_labels(description: CorpusDescription, entry: CorpusEntry, record: CorpusRecord) -> tuple[str, ...]:
    """Native labels that are in no table, so that nobody has decided yet what they mean."""
    label_system = _label_system(description, entry, record)
    if not label_system:
        return ()
    table = label_table(label_system)
    unmapped = to_snomed(label_system, _native_labels(entry, record)).unmapped
    return tuple(label for label in unmapped if normalised_label(label_system, label) not in table)


def _superclasses(scp_codes: tuple[str, ...]) -> list[str]:
    table = label_table("scp")
    return list(superclasses(code for code in scp_codes if code in table))


def _label_system(description: CorpusDescription, entry: CorpusEntry, record: CorpusRecord) -> str:
    stated = (record.label_system, entry.label_system, description.label_system)
    return next(system for system in stated if system is not None)


def _native_labels(entry: CorpusEntry, record: CorpusRecord) -> tuple[str, ...]:
    return record.facts.labels if entry.native_labels is None else entry.native_labels


def _patient(entry: CorpusEntry, facts: HeaderFacts) -> dict[str, Any]:
    stated = {name: getattr(entry, name) for name in _PATIENT}
    return {name: getattr(facts, name) if value is None else value for name, value in stated.items()}


__all__ = ["SCHEMA_VERSION", "check_one_split", "features", "to_row", "unknown_labels"]
