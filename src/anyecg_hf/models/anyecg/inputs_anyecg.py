# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a user may pass as records, rates and lead names -> one array and one value a record."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .configuration_anyecg import UNKNOWN_LEAD
from .signal_anyecg import canonical_lead_name


def to_numpy(value: Any) -> np.ndarray:
    """Array of an array, list or torch tensor of any device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy lacks
            value = value.float()
    return np.asarray(value)


def as_signal(ecg: Any) -> np.ndarray:
    """One record as float32 `(leads, samples)`; raises `ValueError` for other ranks, no samples or no numbers."""
    signal = to_numpy(ecg)
    if signal.dtype == object or not np.issubdtype(signal.dtype, np.number) or np.iscomplexobj(signal):
        raise ValueError(f"expected an array of real numbers (leads, samples), got dtype {signal.dtype}.")
    if signal.ndim == 1:
        signal = signal[None]
    if signal.ndim != 2:
        raise ValueError(f"expected one record as (leads, samples) or (samples,), got shape {signal.shape}.")
    if signal.size == 0:
        raise ValueError(f"the record is empty: got shape {signal.shape}.")
    # One layout in memory, or sums would be taken in another order and the last digits depend on it.
    return np.ascontiguousarray(signal, dtype=np.float32)


def as_records(ecg: Any) -> list[Any]:
    """One record or many -> a list of records."""
    if hasattr(ecg, "signal_mv"):
        return [ecg]
    if isinstance(ecg, (list, tuple)):
        if not ecg:
            raise ValueError("expected at least one record, got an empty list.")
        return [ecg] if np.isscalar(ecg[0]) else list(ecg)
    return list(ecg) if getattr(ecg, "ndim", None) == 3 else [ecg]


def spread(value: Any, records: int, name: str) -> list[Any]:
    """One value for all records, or a list with one entry each."""
    if not isinstance(value, (list, tuple, np.ndarray)) or getattr(value, "ndim", 1) == 0:
        return [value] * records
    if len(value) != records:
        raise ValueError(f"`{name}` has {len(value)} entries for {records} records: pass one for all, or one each.")
    return list(value)


def spread_lead_names(lead_names: Any, records: int) -> list[Any]:
    """One list of names for all records, or one list each."""
    if lead_names is None or isinstance(lead_names, str) or all(isinstance(name, str) for name in lead_names):
        return [lead_names] * records
    return spread(list(lead_names), records, "lead_names")


def unpack_record(
    record: Any, sampling_rate: float | None, lead_names: Sequence[str] | None, unit: str
) -> tuple[Any, float, Sequence[str], str]:
    """
    Signal, rate, lead names and unit of a record that carries them; `None` for the signal of one that is read later.
    Raises `ValueError` if what the caller says contradicts it.
    """
    if sampling_rate is not None and float(sampling_rate) != float(record.sampling_rate):
        raise ValueError(
            f"`sampling_rate` is {sampling_rate} but the record says {record.sampling_rate} Hz: leave it out."
        )
    if lead_names is not None and list(lead_names) != list(record.lead_names):
        raise ValueError(
            f"`lead_names` is {list(lead_names)} but the record says {list(record.lead_names)}: leave it out."
        )
    if unit != "mV":
        raise ValueError(f"an ECGRecord is in millivolts: leave `unit` out (got {unit!r}).")
    return getattr(record, "signal_mv", None), record.sampling_rate, record.lead_names, "mV"


def resolve_lead_names(
    lead_names: Sequence[str] | str | None, shape: tuple[int, int], vocabulary: Sequence[str]
) -> tuple[str, ...]:
    """The vocabulary's names of the leads of an array `(leads, samples)`; raises `ValueError` if that is not clear."""
    if lead_names is None:
        raise ValueError(
            f"`lead_names` is missing: pass one name for each of the {shape[0]} leads, for example"
            f' lead_names=["I", "II", "V1"]; use "{UNKNOWN_LEAD}" for a lead whose place is not known.'
        )
    names = [lead_names] if isinstance(lead_names, str) else list(lead_names)
    if len(names) != shape[0]:
        hint = ""
        if len(names) == shape[1]:
            hint = " The array looks like (samples, leads): pass its transpose, `ecg.T`."
        raise ValueError(
            f"expected an array (leads, samples) with {len(names)} leads for lead_names {names}, got shape"
            f" {shape}.{hint}"
        )
    resolved = [canonical_lead_name(name, vocabulary) for name in names]
    strange = [name for name, known in zip(names, resolved, strict=True) if known is None]
    if strange:
        raise ValueError(
            f'unknown lead names {strange}: expected names from {vocabulary}; use "{UNKNOWN_LEAD}" for a lead'
            " outside this list."
        )
    repeated = sorted({name for name in resolved if resolved.count(name) > 1 and name != UNKNOWN_LEAD})
    if repeated:
        raise ValueError(f"duplicate lead names {repeated} in {names}: only '{UNKNOWN_LEAD}' may repeat.")
    return tuple(resolved)


__all__ = ["as_records", "as_signal", "resolve_lead_names", "spread", "spread_lead_names", "to_numpy", "unpack_record"]
