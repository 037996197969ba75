# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`ptbxl_database.csv`: what PTB-XL says about its records."""

import ast
import math
from collections.abc import Mapping
from pathlib import Path

from ...records.header_comments import parse_age
from ...records.record import check_demographics
from ..entries import CorpusEntry
from ..errors import CorpusError
from .tables import keyed_table

PTBXL_TABLE = "ptbxl_database.csv"

_COLUMNS = (
    *("patient_id", "age", "sex", "height", "weight"),
    *("report", "scp_codes", "strat_fold", "filename_lr", "filename_hr"),
)
_FOLDS = range(1, 11)
# The others are for training.
_SPLITS = {9: "validation", 10: "test"}


def read_ptbxl_table(path: Path, sampling_rate: int) -> dict[int, CorpusEntry]:
    """
    Reads the table.

    Args:
        path (`Path`): Its path.
        sampling_rate (`int`): Which files to name: 500 or 100, in Hz.

    Returns:
        `dict[int, CorpusEntry]`: by `ecg_id`.

    Raises:
        [`CorpusError`]: if a column is missing, or a row cannot be understood.
    """
    file_column = "filename_hr" if sampling_rate == 500 else "filename_lr"
    entries = {}
    for ecg_id, row in keyed_table(path, "ecg_id", _COLUMNS).items():
        try:
            entries[int(ecg_id)] = _entry(row, row[file_column])
        except (ValueError, SyntaxError, TypeError, AttributeError) as error:
            raise CorpusError(path, "rows as in PTB-XL", f"another for ecg_id {ecg_id!r}: {error}") from error
    return entries


def _entry(row: Mapping[str, str], file_name: str) -> CorpusEntry:
    codes = {str(code): float(likelihood) for code, likelihood in ast.literal_eval(row["scp_codes"]).items()}
    patient, sex, fold = _number(row["patient_id"]), _number(row["sex"]), int(row["strat_fold"])
    if fold not in _FOLDS:
        raise ValueError(f"fold {fold} is not one of {min(_FOLDS)} to {max(_FOLDS)}.")
    entry = CorpusEntry(
        record_id=Path(file_name).name,
        path=file_name,
        split=_SPLITS.get(fold, "train"),
        fold=fold,
        patient_id=None if patient is None else f"{patient:.0f}",
        age_years=parse_age(row["age"]),
        sex=sex if sex not in (0, 1) else int(sex),
        weight_kg=_number(row["weight"]),
        height_cm=_number(row["height"]),
        native_labels=tuple(codes),
        likelihoods=tuple(codes.values()),
        report=row["report"],
    )
    check_demographics(entry)
    return entry


def _number(text: str) -> float | None:
    number = float(text) if text else math.nan
    return None if math.isnan(number) else number


__all__ = ["PTBXL_TABLE", "read_ptbxl_table"]
