# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A small PTB-XL whose superclasses can be seen in the signal."""

from pathlib import Path

import numpy as np
from tests.training.written_records import ecg_counts, write_ptbxl_tables, write_wfdb

# SCP statements of superclasses NORM, MI, STTC, CD and HYP, and what multiplies their records' signals in six leads.
STATEMENTS = {"NORM": 1.0, "IMI": -1.0, "NST_": 0.3, "CLBBB": 3.0, "LVH": -3.0}


def write_superclasses(root: Path, copies: int = 2, seconds: float = 3.0, folds: tuple[int, ...] = (1, 9, 10)) -> Path:
    """
    Writes as many records of each superclass into each fold, of patients of their own; folds 9 and 10 validate and
    test. The chest leads tell the class.

    Returns:
        `Path`: the corpus's folder, `root / "ptb-xl"`.
    """
    folder = root / "ptb-xl"
    wanted = [(fold, statement) for fold in folds for statement in STATEMENTS for _ in range(copies)]
    rows = {}
    for ecg_id, (fold, statement) in enumerate(wanted, start=1):
        rows[ecg_id] = {"strat_fold": str(fold), "scp_codes": f"{{'{statement}': 100.0}}"}
        counts = ecg_counts(ecg_id, seconds=seconds)
        counts[6:] = np.rint(counts[6:] * STATEMENTS[statement])
        write_wfdb(folder / "records500" / "00000" / f"{ecg_id:05d}_hr", counts)
    write_ptbxl_tables(folder, rows)
    return folder
