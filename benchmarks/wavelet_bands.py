# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures the standard deviation of the wavelet bands that `AnyECGQuantizerConfig` uses as its defaults.

    python benchmarks/wavelet_bands.py path/to/ptb-xl

Reads PTB-XL folds 1-8 at 500 Hz and prints one line per number of levels.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import pywt
import wfdb

from anyecg_hf import AnyECGTokenizer


def training_records(root: Path) -> list[Path]:
    """500 Hz records of folds 1-8 that are there."""
    with open(root / "ptbxl_database.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if int(row["strat_fold"]) <= 8]
    return [root / row["filename_hr"] for row in rows if (root / f"{row['filename_hr']}.hea").exists()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder of ptbxl_database.csv and records500/")
    arguments = parser.parse_args()
    tokenizer = AnyECGTokenizer()
    patches = []
    for path in training_records(arguments.root):
        record = wfdb.rdrecord(str(path))
        cleaned = tokenizer.clean(record.p_signal.T, record.fs, record.sig_name)
        patches.append(cleaned.patches[cleaned.patch_mask])
    patches = np.concatenate(patches)
    print(f"{len(patches)} patches")
    for levels in range(1, 5):
        bands = pywt.wavedec(patches, "db6", mode="symmetric", level=levels, axis=1)
        names = [f"cA{levels}", *(f"cD{level}" for level in range(levels, 0, -1))]
        print(", ".join(f"{name} {band.std():.3f}" for name, band in zip(names, bands, strict=True)))


if __name__ == "__main__":
    main()
