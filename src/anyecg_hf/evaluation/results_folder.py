# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The folder that an evaluation writes: its name, `results.json`, and the tables of `results.md`."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .evaluation_configs import EvaluationConfig

RESULTS_FILE = "results.json"
REPORT_FILE = "results.md"


def new_results_folder(config: EvaluationConfig) -> Path:
    """`config.output_dir`, not yet made; raises `ValueError` if it holds results and `overwrite` is not set."""
    folder = Path(config.output_dir)
    if (folder / RESULTS_FILE).exists() and not config.overwrite:
        raise ValueError(f"{folder} holds results: name another `output_dir`, or pass `--overwrite true`.")
    return folder


def write_results_json(results: Mapping[str, Any], folder: Path) -> None:
    """Writes `results.json`; `folder` is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULTS_FILE).write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")


def markdown_table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table of cells that are text."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


__all__ = ["REPORT_FILE", "RESULTS_FILE", "markdown_table", "new_results_folder", "write_results_json"]
