# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Small corpora in memory, in the one schema."""

from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
from tests.models.ecg_signals import heartbeats

from anyecg_hf.corpora.schema import features
from anyecg_hf.corpora.signal_feature import ECG_FORMAT
from anyecg_hf.records import StoredSignal

LEADS = ("I", "II", "V1", "V2", "V3")
RATE_HZ = 100
STEPS_PER_MV = 1000.0


def stored(n_leads: int, seconds: float, seed: int = 0) -> StoredSignal:
    """Heartbeats as int16, the first sample of the last lead missing."""
    signal_mv = heartbeats(n_leads, seconds, RATE_HZ, noise_mv=0.02 + 0.01 * seed)
    samples = np.rint(signal_mv * STEPS_PER_MV).astype(np.int16)
    samples[-1, 0] = -(1 << 15)
    return StoredSignal(
        samples,
        gain=np.full(n_leads, STEPS_PER_MV),
        baseline=np.zeros(n_leads),
        units=("mV",) * n_leads,
        missing=(-(1 << 15),) * n_leads,
    )


def row(number: int, n_leads: int = 2, seconds: float = 4, **columns: Any) -> dict[str, Any]:
    """One row; every patient has two records."""
    empty = {name: None for name in features()}
    lists = {name: [] for name in ("labels", "native_labels", "likelihoods", "superclasses", "annotations")}
    signal = stored(n_leads, seconds, number)
    return {
        **empty,
        **lists,
        "record_id": f"r{number:03}",
        "patient_id": f"p{number // 2:03}",
        "corpus": "written",
        "signal": signal,
        "sampling_rate": float(RATE_HZ),
        "lead_names": list(LEADS[:n_leads]),
        "n_samples": signal.samples.shape[1],
        "split": "train",
        "license": "CC0-1.0",
        **columns,
    }


def corpus(rows: Sequence[dict[str, Any]]) -> datasets.Dataset:
    """Rows as `load_corpus` gives them."""
    return datasets.Dataset.from_list(list(rows), features=features()).with_format(ECG_FORMAT)
