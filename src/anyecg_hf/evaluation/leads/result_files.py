# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`results.json`, `results.md` and the picture of corrupted-lead generation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..patient_means import MIN_PATIENTS, shown
from ..results_folder import REPORT_FILE, markdown_table, write_results_json
from .estimators import TITLES
from .situations import GIVEN, PARTS, STANDARD_LEADS

PICTURE = "three_leads.png"
_FIGURES = {
    "psnr_db": ("PSNR in dB", 2),
    "peak_psnr_db": ("PSNR of the peak in dB", 2),
    "ssim": ("SSIM", 3),
    "mae_mv": ("MAE in mV", 4),
    "pearson_r": ("r", 3),
}


@dataclass(frozen=True, eq=False)
class Example:
    """
    A record to draw.

    Attributes:
        name (`str`): Corpus and record.
        clean_mv (`np.ndarray` of shape `(12, samples)`): In the order of `STANDARD_LEADS`.
        restored_mv (`np.ndarray` of shape `(12, samples)`): NaN where nothing was restored.
    """

    name: str
    clean_mv: np.ndarray
    restored_mv: np.ndarray


def write_lead_results(results: Mapping[str, Any], example: Example, sampling_rate: int, folder: Path) -> None:
    """
    Writes everything.

    Args:
        results (`Mapping`): Of [`evaluate_lead_reconstruction`].
        example ([`Example`]): The record of the picture.
        sampling_rate (`int`): In Hz.
        folder (`Path`): Where to; made if need be.
    """
    write_results_json(results, folder)
    (folder / REPORT_FILE).write_text(render_lead_markdown(results))
    save_picture(example, sampling_rate, folder / PICTURE)


def render_lead_markdown(results: Mapping[str, Any]) -> str:
    """The results in words and tables; `results` as in [`write_lead_results`]."""
    data, bootstrap = results["data"], results["settings"]["bootstrap"]
    intervals = f"intervals of {bootstrap['confidence']:.0%} from {bootstrap['resamples']} resamples of patients"
    if data["test_patients"] < MIN_PATIENTS:
        intervals = f"no intervals: these are fewer than {MIN_PATIENTS} patients"
    parts = [
        "# Corrupted-lead generation",
        f"{data['test_windows']} windows of {data['test_patients']} patients with the twelve standard leads"
        f" ({data['without_twelve_leads']} others left out), cleaned, at {data['sampling_rate_hz']} Hz. Means over"
        f" scored leads and windows; {intervals}. Least squares is fitted on {data['training_rows']} training windows.",
        "PSNR has each clean lead's own peak to peak over the window as its range, as SSIM has; PSNR of the peak its"
        " highest absolute value. SSIM is in one dimension with windows of 7 samples. Only missing or noised samples"
        " are scored.",
        f"![from I, II and V2]({PICTURE})",
        *(_part(part, results["parts"][part]) for part in PARTS),
        ", ".join(f"{name} {number}" for name, number in results["versions"].items())
        + f"\n\nSeconds: {results['seconds']:g}.",
    ]
    return "\n\n".join(parts) + "\n"


def _part(part: str, found: Mapping[str, Any]) -> str:
    header = ["row", *(title for title, _ in _FIGURES.values()), "PSNR of ours less it"]
    rows = []
    for row, figures in found["rows"].items():
        cells = [shown(figures[name], digits) for name, (_, digits) in _FIGURES.items()]
        rows.append([TITLES[row], *cells, shown(found["differences"].get(row, {}).get("psnr_db"), 2, signed=True)])
    return f"## {PARTS[part]}\n\n{markdown_table(header, rows)}"


def save_picture(example: Example, sampling_rate: int, path: Path) -> None:
    """
    Draws a record and what was restored of it on ECG paper.

    Args:
        example ([`Example`]): The record.
        sampling_rate (`int`): In Hz.
        path (`Path`): A PNG.
    """
    from ...plotting import plot_ecg, save_figure  # late: the figures can be computed without matplotlib

    figure = plot_ecg(
        example.clean_mv.astype(np.float32),
        sampling_rate,
        STANDARD_LEADS,
        reconstruction_mv=example.restored_mv.astype(np.float32),
        reconstruction_rate=sampling_rate,
        title=f"{example.name}: chest leads restored from {', '.join(GIVEN)}",
        subtitle="The test window of median PSNR; cleaned signal.",
        reconstruction_label=f"Restored from {', '.join(GIVEN)}",
    )
    save_figure(figure, path)


__all__ = ["PICTURE", "Example", "render_lead_markdown", "save_picture", "write_lead_results"]
