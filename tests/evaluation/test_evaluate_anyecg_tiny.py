# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the script of the embedded checkpoint hands to its card."""

import json
from pathlib import Path

import pytest
from examples import evaluate_anyecg_tiny
from examples.evaluate_anyecg_tiny import CARDS, RECIPES, measure_subgroups
from tests.hub.test_card_results import classification
from tests.hub.test_cards import RESULTS

from anyecg_hf.evaluation.leads.estimators import TITLES
from anyecg_hf.evaluation.leads.situations import PARTS
from anyecg_hf.hub.card_results import lead_table
from anyecg_hf.hub.cards import render_checkpoint_card


def mean(estimate: float) -> dict:
    """As `patient_mean` gives it."""
    found = {"estimate": estimate, "low": estimate - 1, "high": estimate + 1}
    return {**found, "confidence": 0.95, "resamples": 20, "values": 40, "patients": 30}


def lead_results() -> dict:
    """Of `evaluate_lead_reconstruction`, as far as the card has them."""
    figures = ("psnr_db", "peak_psnr_db", "ssim", "mae_mv", "pearson_r")
    rows = {row: {name: mean(20.0 + place) for name in figures} for place, row in enumerate(("linear", "trained"))}
    differences = {"linear": {name: mean(1.0) for name in figures}}
    return {
        "task": {"rows": TITLES, "parts": PARTS},
        "settings": {"bootstrap": {"confidence": 0.95}},
        "data": {"test_windows": 31, "test_patients": 30},
        "parts": {part: {"rows": rows, "differences": differences} for part in PARTS},
    }


def test_the_card_has_every_situation_with_the_rows_that_answer():
    leads = lead_table(lead_results())
    assert (leads["windows"], leads["patients"], len(leads["parts"])) == (31, 30, len(PARTS))
    assert leads["parts"][0]["rows"] == {
        "linear": {
            "psnr_db": {"estimate": 20.0, "low": 19.0, "high": 21.0},
            "pearson_r": {"estimate": 20.0, "low": 19.0, "high": 21.0},
            "less": {"estimate": 1.0, "low": 0.0, "high": 2.0},
        },
        "trained": {
            "psnr_db": {"estimate": 21.0, "low": 20.0, "high": 22.0},
            "pearson_r": {"estimate": 21.0, "low": 20.0, "high": 22.0},
        },
    }
    card = render_checkpoint_card(CARDS / "anyecg-tiny.yaml", {**RESULTS, "lead_reconstruction": leads})
    assert "31 windows of 30 patients" in card
    for title in PARTS.values():
        assert f"| {title} | {TITLES['linear']} | 20.00 [19.00, 21.00] |" in card


def write_stored(folder: Path, auroc: float) -> Path:
    superclasses = {"rows": {"finetuned": {"macro_auroc": {"estimate": auroc}}}, "records": 150}
    (folder / "results.json").write_text(json.dumps({"superclasses": superclasses, "stored_bytes": 1}))
    return folder


def test_subgroups_are_added_to_the_stored_results_of_the_same_weights(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(evaluate_anyecg_tiny, "evaluate", lambda config: told.append(config) or classification())
    results = measure_subgroups(tmp_path, write_stored(tmp_path, 0.8765), tmp_path / "out", None)
    assert results["superclasses"]["subgroups"]["sex"]["male"]["figure"]["estimate"] == 0.8123
    assert results["superclasses"]["records"] == 150 and results["stored_bytes"] == 1
    assert (told[0].rows, told[0].checkpoint, told[0].pretrained) == (["finetuned"], str(tmp_path), None)
    with pytest.raises(ValueError, match="macro AUROC is 0.87650 here and 0.90000 in the results: measure all"):
        measure_subgroups(tmp_path, write_stored(tmp_path, 0.9), tmp_path / "out", None)


def test_its_recipes_exist():
    assert all((RECIPES / name).is_file() for name in ("ptbxl_superclass.yaml", "lead_reconstruction.yaml"))
