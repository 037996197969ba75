# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tables that the command line writes."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def check_suffix(path: Path, suffixes: Sequence[str]) -> None:
    """Refuses an output of another kind."""
    if path.suffix not in suffixes:
        raise ValueError(f"the output must end in {' or '.join(suffixes)}, got {path}.")


def check_output(path: Path, suffixes: Sequence[str]) -> None:
    """Refuses an output of another kind, or in a missing folder, before any work is done."""
    check_suffix(path, suffixes)
    if not path.parent.is_dir():
        raise ValueError(f"the folder {path.parent} of the output does not exist: create it first.")
    if path.suffix == ".parquet":
        _pyarrow()


def write_parquet(path: Path, columns: dict[str, Sequence[Any]], number_type: str) -> None:
    """
    Writes columns to a Parquet file.

    Args:
        path (`Path`): File to write.
        columns (`dict[str, Sequence]`): Name -> values; nested lists of numbers become lists of `number_type`.
        number_type (`str`): Arrow type of numbers in nested lists.
    """
    pyarrow = _pyarrow()
    arrays = {name: _column(pyarrow, values, number_type) for name, values in columns.items()}
    pyarrow.parquet.write_table(pyarrow.table(arrays), path)


def write_csv(path: Path, columns: dict[str, Sequence[Any]]) -> None:
    """Writes columns of names and numbers to a CSV file with a header row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _column(pyarrow: Any, values: Sequence[Any], number_type: str) -> Any:
    depth, innermost = 0, values[0]
    while isinstance(innermost, list):
        depth, innermost = depth + 1, innermost[0]
    if not depth or isinstance(innermost, str):
        return pyarrow.array(values)
    kind = pyarrow.type_for_alias(number_type)
    for _ in range(depth):
        kind = pyarrow.list_(kind)
    return pyarrow.array(values, type=kind)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError('writing Parquet needs pyarrow: pip install "anyecg-hf[data]"') from error
    return pyarrow
