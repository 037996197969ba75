# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Every protocol's results become tables and, where they are of the checkpoint itself, entries of the Hub's index."""

import copy
from typing import Any

import pytest

from anyecg_hf.hub.card_results import read_results


def figure(estimate: float) -> dict[str, Any]:
    return {"estimate": estimate, "low": estimate - 0.0213, "high": estimate + 0.0217, "by_seed": [estimate]}


def settings(corpus: str = "ptb-xl", **source: Any) -> dict[str, Any]:
    held_out = [{"corpus": corpus, "split": "all", **source}]
    return {"data": {"train": [], "held_out": held_out}, "bootstrap": {"confidence": 0.9, "resamples": 100}}


def row(title: str, auroc: float) -> dict[str, Any]:
    classes = {"NORM": {"auroc": figure(auroc + 0.0102)}, "MI": {"auroc": None}}
    figures = {"macro_auroc": figure(auroc), "macro_f1": figure(0.7003)}
    return {"title": title, "seeds": [0], "figures": figures, "classes": classes}


def classification() -> dict[str, Any]:
    splits = {
        name: {"records": 150, "positives": {"NORM": 60, "MI": 0}, "without_any_class": 3}
        for name in ("train", "validation", "test")
    }
    groups = {
        "male": {"records": 82, "patients": 71, "left_out": ["MI"], "note": "", "rows": {"finetuned": figure(0.8123)}},
        "female": {"records": 9, "patients": 9, "left_out": [], "note": "9 records, fewer than 20", "rows": {}},
    }
    return {
        "task": {"name": "superclass", "main_figure": "macro_auroc"},
        "settings": settings(folds=[9]),
        "data": splits,
        "rows": {"majority": row("majority class", 0.5), "finetuned": row("fine-tuned", 0.8765)},
        "differences": {"finetuned": {"majority": {"macro_auroc": figure(0.3765)}}},
        "subgroups": {"sex": groups},
    }


def leads() -> dict[str, Any]:
    rows = {
        name: {"psnr_db": figure(value), "pearson_r": figure(value / 30)}
        for name, value in (("mean", 20.1), ("trained", 27.2))
    }
    return {
        "task": {
            "name": "lead-reconstruction",
            "rows": {"mean": "mean of the leads", "linear": "our linear part", "trained": "ours"},
            "parts": {"noised": "(d) noised leads, -5 to 15 dB"},
        },
        "settings": settings("georgia"),
        "data": {"test_windows": 31, "test_patients": 30},
        "parts": {"noised": {"rows": rows, "differences": {"mean": {"psnr_db": figure(7.1)}}}},
    }


def cross_validation() -> dict[str, Any]:
    shown = {"accuracy": {"estimate": 0.61, "low": None, "high": None}, "macro_auroc": None}
    return {
        "task": {"name": "beats", "rows": {"trained": "trained backbone"}},
        "settings": settings("mit-bih"),
        "backbone": {"seen": 2, "records": 5, "unknown": ["org/base"]},
        "units": {
            "patches": {
                "rows": {"trained": shown},
                "examples": 455,
                "patients": 4,
                "caveat": "4 prove nothing.",
            },
            "records": {"refused": "too few of them."},
        },
    }


def test_a_classification_has_its_table_its_classes_and_two_entries():
    section = read_results(classification())
    words, table, rest = section.parts
    assert section.title == "Diagnostic superclasses (`superclass`): PTB-XL, fold 9 (150 records)"
    assert words.startswith("Macro AUROC with a 90 % bootstrap interval over patients;")
    assert table.splitlines()[0] == "| features | macro AUROC | fine-tuned less this row |"
    assert "| majority class | 0.500 [0.479, 0.522] | +0.377 [+0.355, +0.398] |" in table.splitlines()
    assert "| fine-tuned | 0.876 [0.855, 0.898] |  |" in table.splitlines()
    assert "Fine-tuned, AUROC by class: NORM 0.887 (60 records)." in rest
    assert "3 in training, 3 in validation, 3 in the test." in rest
    found = [(entry.metric_type, entry.metric_value, entry.dataset_config) for entry in section.entries]
    assert found == [("roc_auc", 0.8765, "superclass"), ("f1", 0.7003, "superclass")]
    assert section.entries[0].metric_name == "macro AUROC (90 % interval 0.855 to 0.898)"


def test_subgroups_say_what_their_figures_leave_out():
    _, table = read_results(classification()).subgroups
    assert table.splitlines()[2:] == [
        "| sex | male | 82 | 71 | 0.812 [0.791, 0.834] | without MI |",
        "| sex | female | 9 | 9 | - | 9 records, fewer than 20 |",
    ]


def test_the_own_row_is_the_probe_where_nothing_was_fine_tuned():
    results = classification()
    results["rows"] = {"majority": results["rows"]["majority"], "probe": row("linear probe", 0.8)}
    results["differences"] = {"probe": {"majority": {"macro_auroc": None}}}
    section = read_results(results)
    assert "| majority class | 0.500 [0.479, 0.522] | - |" in section.parts[1].splitlines()
    assert section.entries[0].metric_value == 0.8
    results["rows"].pop("probe")
    with pytest.raises(ValueError, match="none of the rows majority is the checkpoint's own"):
        read_results(results)


def test_an_undefined_main_figure_has_no_entry():
    results = classification()
    results["rows"]["finetuned"]["figures"]["macro_auroc"] = None
    section = read_results(results)
    assert "| fine-tuned | - |  |" in section.parts[1].splitlines()
    assert [entry.metric_type for entry in section.entries] == ["f1"]


def test_missing_leads_have_an_entry_for_every_situation():
    section = read_results(leads())
    assert (
        section.title
        == "Missing and noised leads: Georgia 12-Lead ECG Challenge Database, all records (31 windows of 30 patients)"
    )
    assert (
        "| (d) noised leads, -5 to 15 dB | ours | 27.20 [27.18, 27.22] | 0.907 [0.885, 0.928] |  |" in section.parts[1]
    )
    assert "+7.10 [+7.08, +7.12]" in section.parts[1]
    found = [(entry.metric_type, entry.metric_value, entry.dataset_type) for entry in section.entries]
    assert found == [("psnr", 27.2, "georgia"), ("pearsonr", 0.9067, "georgia")]


def test_a_cross_validation_is_told_from_a_test_of_the_weights():
    section = read_results(cross_validation())
    text = "\n".join(section.parts)
    assert section.entries == []
    assert "not of the weights in this folder" in text
    assert "seen 2 of the 5 records in its own training. It is not known of all" in text
    assert "By patches, 455 of 4 patients. 4 prove nothing." in text
    assert "| trained backbone | 0.610 | - |" in text
    assert "By records: not evaluated. too few of them." in text


def test_what_is_no_evaluation_is_refused():
    with pytest.raises(ValueError, match="no results of `anyecg evaluate`"):
        read_results({"loss": 1.0})


@pytest.mark.parametrize("key", ["data", "differences", "subgroups"])
def test_what_is_missing_is_named(key):
    results = copy.deepcopy(classification())
    results.pop(key)
    with pytest.raises(KeyError, match=key):
        read_results(results)
