# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`results.json` and `results.md` of a cross-validation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..patient_means import shown
from ..results_folder import REPORT_FILE, markdown_table, write_results_json
from .cross_validation import FIGURES

_FIGURE_TITLES = {
    "accuracy": "accuracy",
    "macro_auprc": "macro AUPRC",
    "macro_auroc": "macro AUROC",
    "weighted_f1": "weighted F1",
}

_POOLED = (
    "Predictions of all parts are pooled. A class is rarer in training where a patient who has it is left out: areas"
    " under curves of rows that know little else therefore lie below one half, that of the frequencies first of all."
)


def write_cross_validation(results: Mapping[str, Any], folder: Path) -> None:
    """
    Writes both.

    Args:
        results (`Mapping`): Of [`evaluate_long_records`] or [`evaluate_token_labels`].
        folder (`Path`): Where to; made if need be.
    """
    write_results_json(results, folder)
    (folder / REPORT_FILE).write_text(render_cross_validation(results))


def render_cross_validation(results: Mapping[str, Any]) -> str:
    """The results in words and tables; `results` as in [`write_cross_validation`]."""
    parts = [f"# {results['task']['name']}", _backbone(results["backbone"]), _POOLED]
    for name, unit in results["units"].items():
        parts.append(f"## By {name}\n\n{_unit(unit, results['task'])}")
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    parts.append(f"{versions}\n\nSeconds: {results['seconds']:g}.")
    return "\n\n".join(parts) + "\n"


def _backbone(found: Mapping[str, Any]) -> str:
    text = f"The backbone has seen {found['seen']} of the {found['records']} records in its own training"
    if found["unknown"]:
        return f"{text}, as far as is known: {', '.join(found['unknown'])} does not say what it was trained on."
    return f"{text}."


def _unit(unit: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    if "refused" in unit:
        return f"Not evaluated: {unit['refused']}"
    listed = ", ".join(f"{name} {count}" for name, count in unit["positives"].items())
    beside = f"{unit['patients']} patients"
    words = f"{unit['examples']} examples of {beside} in {unit['folds']} parts by patient. Positives: {listed}."
    header = ["row", "patients", *(_FIGURE_TITLES[name] for name in FIGURES)]
    rows = [
        [task["rows"][name], str(unit["patients"]), *(shown(figures[figure]) for figure in FIGURES)]
        for name, figures in unit["rows"].items()
    ]
    return "\n\n".join(
        part for part in (words, unit["caveat"] and f"**{unit['caveat']}**", markdown_table(header, rows)) if part
    )


__all__ = ["render_cross_validation", "write_cross_validation"]
