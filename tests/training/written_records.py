# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records and corpora written for a test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tests.models.ecg_signals import heartbeats

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def ecg_counts(seed: int, leads: int = 12, seconds: float = 3.0, sampling_rate: int = 500) -> np.ndarray:
    """A noisy ECG in steps of 1 uV, another one for every seed, `(leads, samples)` int64."""
    noise = np.random.default_rng(seed).normal(0.0, 0.02, (leads, round(seconds * sampling_rate)))
    return np.rint(1000 * (heartbeats(leads, seconds, sampling_rate) + noise)).astype(np.int64)


def write_wfdb(
    path: Path,
    counts: np.ndarray,
    *,
    sampling_rate: int = 500,
    leads: Sequence[str] = LEADS,
    gain: float = 1000.0,
    baseline: int = 0,
    comments: Sequence[str] = (),
) -> Path:
    """Writes counts `(leads, samples)` as format 16; `(counts - baseline) / gain` are mV. Returns the record's path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{path.name} {len(counts)} {sampling_rate} {counts.shape[1]}"]
    lines += [f"{path.name}.dat 16 {gain:g}({baseline})/mV 16 0 0 0 0 {lead}" for lead in leads[: len(counts)]]
    path.with_name(f"{path.name}.hea").write_text("\n".join([*lines, *(f"#{text}" for text in comments), ""]))
    path.with_name(f"{path.name}.dat").write_bytes(counts.T.astype("<i2").tobytes())
    return path


def write_ptbxl_tables(folder: Path, rows: dict[int, dict[str, str]]) -> None:
    """Writes `ptbxl_database.csv` with `ecg_id -> cells`."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("patient_id", "age", "sex", "height", "weight", "report", "scp_codes", "strat_fold")
    columns += ("filename_lr", "filename_hr")
    defaults = {"age": "60", "sex": "0", "weight": "70", "scp_codes": "{'NORM': 100.0}", "strat_fold": "1"}
    lines = [",".join(("ecg_id", *columns))]
    for ecg_id, cells in rows.items():
        files = {f"filename_{suffix}": _ptbxl_path(ecg_id, suffix) for suffix in ("lr", "hr")}
        filled = {"patient_id": f"{ecg_id}.0", "height": "", "report": "", **files, **defaults, **cells}
        lines.append(",".join((str(ecg_id), *(f'"{filled[name]}"' for name in columns))))
    (folder / "ptbxl_database.csv").write_text("\n".join(lines) + "\n")


def _ptbxl_path(ecg_id: int, suffix: str) -> str:
    folder = {"lr": "records100", "hr": "records500"}[suffix]
    return f"{folder}/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_{suffix}"


def write_georgia(root: Path, name: str, counts: np.ndarray, **arguments: Any) -> Path:
    """Writes a record of Georgia as the challenge has it; arguments as of [`write_wfdb`]."""
    path = root / "challenge-2021" / "training" / "georgia" / "g1" / name
    return write_wfdb(path, counts, comments=("Age: 50", "Sex: Male", "Dx: 426783006"), **arguments)


def write_corpora(root: Path) -> dict[str, np.ndarray]:
    """
    A data root: PTB-XL records 1 (fold 1), 8 (fold 8), 9 (fold 9), 10 (fold 10), and one record of Georgia.

    Returns:
        `dict[str, np.ndarray]`: record name -> counts, all of 500 Hz.
    """
    rows = {fold: {"strat_fold": str(fold)} for fold in (1, 8, 9, 10)}
    write_ptbxl_tables(root / "ptb-xl", rows)
    signals = {f"{fold:05d}_hr": ecg_counts(fold) for fold in rows}
    for name, counts in signals.items():
        write_wfdb(root / "ptb-xl" / "records500" / "00000" / name, counts)
    signals["E00001"] = ecg_counts(100)
    write_georgia(root, "E00001", signals["E00001"])
    return signals
