# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`BinaryArray`: the `datasets` feature for arrays of any shape, as bytes; lists of numbers are ten times slower."""

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from datasets.features.features import register_feature
from datasets.table import array_cast


@dataclass
class BinaryArray:
    """
    An array of one dtype and any shape. In Arrow and Parquet it is a struct of `data` (bytes, C order, little endian)
    and `shape`.

    Args:
        values (`str`):
            NumPy dtype, for example `"float16"`.

    Example:

    ```python
    >>> features = Features({"input_values": BinaryArray("float16")})
    ```
    """

    values: str
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "dict"
    pa_type: ClassVar[Any] = pa.struct({"data": pa.large_binary(), "shape": pa.list_(pa.int32())})
    _type: str = field(default="BinaryArray", init=False, repr=False)

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def encode_example(self, value: np.ndarray | dict[str, Any]) -> dict[str, Any]:
        """
        Args:
            value (`np.ndarray`, or `dict` as encoded before): Numbers that the dtype holds.

        Returns:
            `dict`: the struct.
        """
        if isinstance(value, dict):
            return value
        array = np.ascontiguousarray(value, dtype=np.dtype(self.values).newbyteorder("<"))
        return {"data": array.tobytes(), "shape": list(np.shape(value))}

    def decode_example(self, value: dict[str, Any], token_per_repo_id: dict | None = None) -> np.ndarray:
        """
        Args:
            value (`dict`): The struct.
            token_per_repo_id (`dict`, *optional*): Unused; `datasets` passes it.

        Returns:
            `np.ndarray`: read-only.
        """
        array = np.frombuffer(value["data"], dtype=np.dtype(self.values).newbyteorder("<"))
        return array.astype(self.values, copy=False).reshape(value["shape"])

    def flatten(self) -> "BinaryArray | dict[str, Any]":
        """The feature itself."""
        return self

    def cast_storage(self, storage: pa.StructArray) -> pa.StructArray:
        """Casts an Arrow array of such structs to the exact type."""
        return array_cast(storage, self.pa_type)

    def embed_storage(self, storage: pa.StructArray, **kwargs: Any) -> pa.StructArray:
        """The array as it is: it refers to no files."""
        return storage


with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # "experimental"
    register_feature(BinaryArray, "BinaryArray")

__all__ = ["BinaryArray"]
