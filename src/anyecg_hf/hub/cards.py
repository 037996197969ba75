# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Model cards: facts from YAML, numbers from results files, words from a template."""

import math
import os
from pathlib import Path
from typing import Any

import jinja2
import yaml
from huggingface_hub import EvalResult, ModelCardData

from anyecg_hf.corpora import CORPORA
from anyecg_hf.hub.templates import load_template

TEMPLATE = "checkpoint.md.jinja"
# Weights may be trained on such records, and shared, where their authors are named.
LICENCES = ("CC-BY-4.0", "ODC-By-1.0")


def render_checkpoint_card(facts_file: str | os.PathLike, results: dict[str, Any]) -> str:
    """
    Renders a checkpoint's card.

    Args:
        facts_file (`str` or `os.PathLike`): YAML with the card's facts; the template lies beside it.
        results (`dict`): What the evaluation script wrote.

    Returns:
        `str`: the card with its metadata block.

    Raises:
        `ValueError`: if anything that the card states is missing or no number, or a corpus has no known licence.
    """
    facts_file = Path(facts_file)
    facts = yaml.safe_load(facts_file.read_text())
    _refuse_gaps(results)
    try:
        data = ModelCardData(**facts["metadata"], eval_results=_evaluation_results(results))
        return load_template(facts_file.parent / TEMPLATE).render(
            card_data=data.to_yaml(), facts=facts, results=results, corpora=_corpora(results)
        )
    except (jinja2.UndefinedError, KeyError, TypeError) as error:
        raise ValueError(f"the card states what {facts_file.name} or the results lack: {error}") from error


def _refuse_gaps(results: Any, place: str = "results") -> None:
    """Raises `ValueError` where nested results hold `None`, NaN or infinity, naming the place."""
    branches = results.items() if isinstance(results, dict) else enumerate(results) if isinstance(results, list) else ()
    for key, value in branches:
        _refuse_gaps(value, f"{place}.{key}")
    if results is None or (isinstance(results, float) and not math.isfinite(results)):
        raise ValueError(f"the card cannot state {place}: expected a number, found {results}.")


def _corpora(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the data table: corpora whose licence allows training with attribution, with their training records."""
    described = {name: builder.description for name, builder in CORPORA.items()}
    counts = results["training_records_by_corpus"]
    unlicensed = sorted(name for name in counts if name not in described or described[name].licence not in LICENCES)
    if unlicensed:
        raise ValueError(
            f"training records are of corpora without a licence to train with attribution: {', '.join(unlicensed)}."
        )
    return [{"corpus": described[name], "records": count} for name, count in sorted(counts.items())]


def _evaluation_results(results: dict[str, Any]) -> list[EvalResult]:
    auroc = results["superclasses"]["rows"]["finetuned"]["macro_auroc"]
    return [
        EvalResult(
            task_type="audio-classification",
            task_name="Multi-label ECG classification",
            dataset_type="ptb-xl",
            dataset_name="PTB-XL 1.0.3, five diagnostic superclasses",
            dataset_split="fold 9",
            metric_type="roc_auc",
            metric_name=f"macro AUROC (95 % interval {auroc['low']:.3f} to {auroc['high']:.3f})",
            metric_value=round(auroc["estimate"], 4),
        )
    ]
