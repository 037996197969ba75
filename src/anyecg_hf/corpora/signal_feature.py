# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`ECGSignal`, the `datasets` feature that keeps a signal as its source stored it, and the format that protects it."""

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from datasets import List, Value
from datasets.features.features import register_feature
from datasets.formatting import PythonFormatter, _register_formatter
from datasets.table import array_cast

from ..records import StoredSignal
from ..records.stored_signal import as_stored

_COLUMNS = {
    "samples": "large_binary",
    "dtype": "string",
    "gain": List(Value("float64")),
    "baseline": List(Value("float64")),
    "unit": List(Value("string")),
    "missing": List(Value("int64")),
}


@dataclass
class ECGSignal:
    """
    A signal as its source stored it, bit by bit; rows of a dataset show it in millivolts.

    In Arrow and Parquet it is a struct: `samples` (bytes of the array `(leads, samples)`, C order, little endian),
    `dtype` (`"int16"`, `"int32"`, `"float16"`, `"float32"` or `"float64"`), and for every lead `gain`, `baseline`,
    `unit` and `missing` as in [`~anyecg_hf.records.StoredSignal`]. Millivolts can be put in: what a function returns to
    `Dataset.map` as `signal` is stored as it is, and a column of lists `(leads, samples)` can be cast to this feature.

    Args:
        decode (`bool`, *optional*, defaults to `True`):
            Whether rows hold `np.ndarray` of shape `(leads, samples)`, float32, in mV, with NaN where samples are
            missing, or the struct as a `dict` ([`stored_signal`] makes a [`~anyecg_hf.records.StoredSignal`] of it).

    Example:

    ```python
    >>> dataset = load_corpus("ptb-xl", data_dir="ptb-xl", split="train")
    >>> dataset[0]["signal"].shape
    (12, 5000)
    >>> dataset.cast_column("signal", ECGSignal(decode=False))[0]["signal"]["dtype"]
    'int16'
    ```
    """

    decode: bool = True
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "dict"
    pa_type: ClassVar[Any] = pa.struct(
        {
            "samples": pa.large_binary(),
            "dtype": pa.string(),
            "gain": pa.list_(pa.float64()),
            "baseline": pa.list_(pa.float64()),
            "unit": pa.list_(pa.string()),
            "missing": pa.list_(pa.int64()),
        }
    )
    # As the name of the class, but for the case: dataset cards spell it "ecg_signal" and read that as "EcgSignal".
    _type: str = field(default="EcgSignal", init=False, repr=False)

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def encode_example(self, value: StoredSignal | np.ndarray | dict[str, Any]) -> dict[str, Any]:
        """
        Args:
            value ([`~anyecg_hf.records.StoredSignal`], `np.ndarray` of shape `(leads, samples)` in mV, or `dict`):
                A signal; a `dict` is one that was encoded before.

        Returns:
            `dict`: the struct.
        """
        if isinstance(value, dict):
            return value
        if isinstance(value, StoredSignal):
            return value.to_struct()
        samples = as_stored(np.asarray(value))
        n_leads = len(samples)
        return StoredSignal(samples, np.ones(n_leads), np.zeros(n_leads), ("mV",) * n_leads).to_struct()

    def decode_example(self, value: dict[str, Any], token_per_repo_id: dict | None = None) -> np.ndarray:
        """
        Args:
            value (`dict`): The struct.
            token_per_repo_id (`dict`, *optional*): Unused; `datasets` passes it.

        Returns:
            `np.ndarray` of shape `(leads, samples)`, float32: mV, NaN where samples are missing.
        """
        if not self.decode:
            raise RuntimeError("Decoding is off for this feature: cast the column to ECGSignal(decode=True).")
        return stored_signal(value).to_millivolts()

    def flatten(self) -> "ECGSignal | dict[str, Any]":
        """The feature itself, or the columns of the struct where it is not decoded."""
        if self.decode:
            return self
        return {name: Value(kind) if isinstance(kind, str) else kind for name, kind in _COLUMNS.items()}

    def cast_storage(self, storage: pa.Array) -> pa.StructArray:
        """Casts an Arrow array of such structs, or of lists of numbers in mV, `(leads, samples)`, to the exact type."""
        if not pa.types.is_struct(storage.type) and not pa.types.is_null(storage.type):
            signals = [self.encode_example(_array_of(value)) if value.is_valid else None for value in storage]
            return pa.array(signals, type=self.pa_type)
        return array_cast(storage, self.pa_type)

    def embed_storage(self, storage: pa.StructArray, **kwargs: Any) -> pa.StructArray:
        """The array as it is: it refers to no files."""
        return storage


def _array_of(value: pa.Scalar) -> np.ndarray:
    """Lists of numbers as an array; a type error, which `datasets` takes for "keep it as lists", for other things."""
    leads = [lead.values for lead in value.values] if _is_list(value.type) and _is_list(value.type.value_type) else []
    if not leads or any(lead is None or not _is_number(lead.type) or len(lead) != len(leads[0]) for lead in leads):
        raise TypeError(f"expected a signal as lists of numbers, (leads, samples), got {value.type}.")
    return np.stack([lead.to_numpy(zero_copy_only=False) for lead in leads])


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def stored_signal(value: dict[str, Any]) -> StoredSignal:
    """
    Args:
        value (`dict`): The struct of an [`ECGSignal`] column.

    Returns:
        [`~anyecg_hf.records.StoredSignal`]: the signal, bit by bit as its source stored it.
    """
    return StoredSignal.from_struct(value)


class ECGFormatter(PythonFormatter):
    """
    Rows as without a format. Under the default format `Dataset.map` would write a signal that its function has looked
    at back in millivolts; under any named one it keeps the stored form, unless the function returns the signal.
    """


ECG_FORMAT = "ecg"

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # "experimental"
    register_feature(ECGSignal, "EcgSignal")
_register_formatter(ECGFormatter, ECG_FORMAT)

__all__ = ["ECG_FORMAT", "ECGSignal", "stored_signal"]
