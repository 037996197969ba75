# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A fresh process without the package that reads a corpus of the Hub, whole, streamed and offline.

`python -I dataset_process.py REPO COMMIT FILE`; what it found goes to `FILE`, as JSON.
"""

import hashlib
import json
import sys
from typing import Any

import datasets
import numpy as np
from datasets import load_dataset
from huggingface_hub import snapshot_download


def told(rows: Any) -> list[list[Any]]:
    """Name, shape and a digest of every record; missing samples are NaN and written as 99 mV."""
    found = []
    for row in rows:
        signal = np.nan_to_num(np.asarray(row["signal"], dtype=np.float32), nan=99.0)
        found.append([row["record_id"], list(signal.shape), hashlib.sha256(signal.tobytes()).hexdigest()])
    return found


def main() -> None:
    repo, commit, output = sys.argv[1:]
    result = {}
    for name, options in (("main", {}), ("pinned", {"revision": commit})):
        whole = load_dataset(repo, **options)
        streamed = load_dataset(repo, streaming=True, **options)
        result[f"{name} whole"] = {split: told(rows) for split, rows in whole.items()}
        result[f"{name} streamed"] = {split: told(rows) for split, rows in streamed.items()}
    result["types"] = [type(rows).__name__ for rows in (whole["train"], streamed["train"])]
    result["snapshot"] = snapshot_download(repo, repo_type="dataset", revision=commit)
    datasets.config.HF_HUB_OFFLINE = True
    again = load_dataset(repo, revision=commit)
    result["again"] = {split: told(rows) for split, rows in again.items()}
    with open(output, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
