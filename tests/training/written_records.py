# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records and corpora written for a test, and cleaned records to train on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tests.models.ecg_signals import heartbeats

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.corpora.leakage.fingerprints import signal_fingerprint
from anyecg_hf.records import ECGRecord
from anyecg_hf.training.windows import CleanedRecord

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
    columns = ("age", "sex", "weight", "scp_codes", "strat_fold")
    defaults = {"age": "60", "sex": "0", "weight": "70", "scp_codes": "{'NORM': 100.0}", "strat_fold": "1"}
    lines = [",".join(("ecg_id", *columns))]
    for ecg_id, cells in rows.items():
        filled = {**defaults, **cells}
        lines.append(",".join((str(ecg_id), *(f'"{filled[name]}"' for name in columns))))
    (folder / "ptbxl_database.csv").write_text("\n".join(lines) + "\n")


def write_corpora(root: Path) -> dict[str, np.ndarray]:
    """
    A data root: PTB-XL records 1 (fold 1), 8 (fold 8), 9 (fold 9), 10 (fold 10), and one record of LUDB.

    Returns:
        `dict[str, np.ndarray]`: record name -> counts, all of 500 Hz.
    """
    rows = {fold: {"strat_fold": str(fold)} for fold in (1, 8, 9, 10)}
    write_ptbxl_tables(root / "ptb-xl", rows)
    signals = {f"{fold:05d}_hr": ecg_counts(fold) for fold in rows}
    for name, counts in signals.items():
        write_wfdb(root / "ptb-xl" / "records500" / "00000" / name, counts)
    signals["1"] = ecg_counts(100)
    write_wfdb(root / "ludb" / "data" / "1", signals["1"])
    return signals


def cleaned_records(
    count: int, seconds: float = 3.0, leads: int = 3, labels: Sequence[Sequence[float]] | None = None
) -> list[CleanedRecord]:
    """Records ready for training; where `labels` `(count, classes)` are given, class 0 turns the signal upside down."""
    tokenizer = AnyECGTokenizer(patch_size=75)
    records = []
    for index in range(count):
        signal_mv = (ecg_counts(index, leads, seconds) / 1000).astype(np.float32)
        if labels is not None and labels[index][0]:
            signal_mv = -signal_mv
        record = ECGRecord(signal_mv, 500, LEADS[:leads], record_id=str(index))
        cleaned = tokenizer.clean(record)
        records.append(
            CleanedRecord(
                name=f"written/{index}",
                fingerprint=signal_fingerprint(record.signal_mv, record.lead_names),
                patches=cleaned.patches.astype(np.float16),
                patch_mask=cleaned.patch_mask,
                lead_ids=tokenizer.feature(cleaned)["lead_ids"],
                scale=cleaned.scale,
                demographics=np.array([50.0 + index, np.nan, index % 2], dtype=np.float32),
                labels=None if labels is None else np.asarray(labels[index], dtype=np.float32),
            )
        )
    return records
