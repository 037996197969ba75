# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Whose a record is, and means with bootstrap intervals over patients; none where there are too few patients."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..corpora.leakage.record_links import id_space
from ..training.leaks import RowKey
from .evaluation_configs import BootstrapConfig
from .metrics import percentile_interval

# With fewer an interval would look like evidence, and is none: resamples of five patients know five patients.
MIN_PATIENTS = 20


def patient_of(key: RowKey) -> Hashable:
    """The patient of a record among those of all corpora; where that is unknown, the record."""
    if key.patient_id is None:
        return "record", key.corpus, key.record_id, key.fingerprint
    return "patient", id_space(key.corpus), key.patient_id


def patient_mean(values: np.ndarray, patients: Sequence[Hashable], bootstrap: BootstrapConfig) -> dict[str, Any] | None:
    """
    Mean over all defined values, and its interval over patients.

    Args:
        values (`np.ndarray` of shape `(records, ...)`): NaN where undefined.
        patients (`Sequence` of length `records`): Patient of every record.
        bootstrap ([`BootstrapConfig`]): Resamples, confidence and seed.

    Returns:
        `dict` or `None`: `estimate`, `low` and `high` (`None` with fewer than [`MIN_PATIENTS`] patients), `confidence`,
        `resamples`, `values` and `patients`, how many it is of; `None` if no value is defined.

    Raises:
        `ValueError`: if there are not as many patients as records.
    """
    flat = values.reshape(len(values), -1)
    if len(patients) != len(flat):
        raise ValueError(f"expected a patient for each of {len(flat)} records, got {len(patients)}.")
    known = ~np.isnan(flat)
    if not known.any():
        return None
    numbers: dict[Hashable, int] = {}
    group = np.array([numbers.setdefault(patient, len(numbers)) for patient in patients])
    sums = np.bincount(group, weights=np.where(known, flat, 0.0).sum(axis=1))
    counts = np.bincount(group, weights=known.sum(axis=1))
    sums, counts = sums[counts > 0], counts[counts > 0]
    found = {
        "estimate": float(sums.sum() / counts.sum()),
        "low": None,
        "high": None,
        "confidence": bootstrap.confidence,
        "resamples": 0,
        "values": int(counts.sum()),
        "patients": len(counts),
    }
    if len(counts) < MIN_PATIENTS:
        return found
    drawn = np.random.default_rng(bootstrap.seed).integers(len(counts), size=(bootstrap.resamples, len(counts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return {**found, **asdict(percentile_interval(found["estimate"], means, bootstrap.confidence))}


def shown(mean: Mapping[str, Any] | None, digits: int = 3, signed: bool = False) -> str:
    """A mean in a table: with its interval, or without where there is none."""
    if mean is None:
        return "-"
    style = f"{'+' if signed else ''}.{digits}f"
    text = f"{mean['estimate']:{style}}"
    return text if mean["low"] is None else f"{text} [{mean['low']:{style}}, {mean['high']:{style}}]"


__all__ = ["MIN_PATIENTS", "patient_mean", "patient_of", "shown"]
