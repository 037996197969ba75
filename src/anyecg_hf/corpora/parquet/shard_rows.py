# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows of the schema as Arrow batches and Parquet files, in the public or the stored form."""

from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, List, Value

from ...records import StoredSignal
from ..schema import features
from ..signal_feature import ECGSignal

FORMS = ("public", "stored")

# Of what was tried on PTB-XL, dictionaries with zstd 3 made the smallest public files but for levels that write many
# times slower, and those that are read fastest: samples are multiples of a step, so a column has few different values.
# Splitting the bytes of the floats made them nearly twice as large.
PARQUET = {"version": "2.6", "compression": "zstd", "compression_level": 3, "use_dictionary": True}
# Millivolts in a row group, as float32: one to two megabytes of Parquet.
ROW_GROUP_BYTES = 8 * 2**20
# Arrow counts the values of a list, and Parquet the bytes of a value, in 32 bits.
MAX_VALUES = 2**31 - 1 - ROW_GROUP_BYTES


def form_features(form: str) -> Features:
    """
    Args:
        form (`str`): `"public"`, with `signal` as lists of float32 mV `(leads, samples)` that every reader of Parquet
            understands, or `"stored"`, with the [`ECGSignal`] that keeps the source bit by bit.

    Returns:
        `datasets.Features`: the columns of the schema.

    Raises:
        `ValueError`: if there is no such form.
    """
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {', '.join(FORMS)}, got {form!r}.")
    return features() if form == "stored" else Features({**features(), "signal": List(List(Value("float32")))})


def open_writer(target: IO[bytes] | str, form: str) -> pq.ParquetWriter:
    """A writer of Parquet whose files carry the columns for `datasets`, too."""
    return pq.ParquetWriter(target, form_features(form).arrow_schema, **PARQUET)


def row_groups(rows: Iterable[dict[str, Any]], form: str) -> Iterator[pa.Table]:
    """
    Gathers rows until they make a row group.

    Args:
        rows (`Iterable[dict[str, Any]]`): Rows of [`schema.to_row`].
        form (`str`): One of `FORMS`.

    Returns:
        `Iterator[pyarrow.Table]`: row groups of about `ROW_GROUP_BYTES` of millivolts, or one larger record.

    Raises:
        `ValueError`: naming the record that Arrow cannot hold.
    """
    gathered: list[dict[str, Any]] = []
    n_bytes = 0
    for row in rows:
        gathered.append(row)
        n_bytes += row["signal"].samples.size * 4
        if n_bytes >= ROW_GROUP_BYTES:
            yield _table(gathered, form)
            gathered, n_bytes = [], 0
    if gathered:
        yield _table(gathered, form)


def _table(rows: list[dict[str, Any]], form: str) -> pa.Table:
    try:
        return _converted(rows, form)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        for row in rows:
            try:
                _converted([row], form)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as its_error:
                raise ValueError(f"record {row['record_id']!r} does not fit into Parquet: {its_error}") from its_error
        raise ValueError(f"records from {rows[0]['record_id']!r} on do not fit into Parquet: {error}") from error


def _converted(rows: list[dict[str, Any]], form: str) -> pa.Table:
    schema = form_features(form).arrow_schema
    columns = {}
    for field in schema:
        values = [row[field.name] for row in rows]
        if field.name == "signal":
            columns[field.name] = _signals(values, form)
        else:
            columns[field.name] = pa.array(values, type=field.type)
    return pa.table(columns, schema=schema)


def _signals(signals: list[StoredSignal], form: str) -> pa.Array:
    for signal in signals:
        if max(signal.samples.size, signal.samples.nbytes * (form == "stored")) > MAX_VALUES:
            raise ValueError(f"its {signal.samples.size} samples are more than one value of Parquet can hold.")
    if form == "stored":
        return pa.array([ECGSignal().encode_example(signal) for signal in signals], type=ECGSignal.pa_type)
    values_mv = np.concatenate([signal.to_millivolts().ravel() for signal in signals])
    n_samples = np.repeat([signal.samples.shape[1] for signal in signals], [len(signal.samples) for signal in signals])
    leads = pa.ListArray.from_arrays(_offsets(n_samples), pa.array(values_mv))
    return pa.ListArray.from_arrays(_offsets([len(signal.samples) for signal in signals]), leads)


def _offsets(lengths: Iterable[int]) -> pa.Array:
    return pa.array(np.cumsum([0, *lengths]), type=pa.int32())


__all__ = ["FORMS", "MAX_VALUES", "PARQUET", "ROW_GROUP_BYTES", "form_features", "open_writer", "row_groups"]
