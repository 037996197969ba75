# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Model cards: facts from YAML, numbers from results files, words from a template."""

import os
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from anyecg_hf.training.licensed_records import LICENSED_CORPORA

TEMPLATE = "checkpoint.md.jinja"


def render_checkpoint_card(facts_file: str | os.PathLike, results: dict[str, Any]) -> str:
    """
    Renders a checkpoint's card.

    Args:
        facts_file (`str` or `os.PathLike`): YAML with the card's facts; the template lies beside it.
        results (`dict`): What the evaluation script wrote.

    Returns:
        `str`: the card with its metadata block.
    """
    facts_file = Path(facts_file)
    facts = yaml.safe_load(facts_file.read_text())
    data = ModelCardData(**facts["metadata"], eval_results=_evaluation_results(facts, results))
    corpora = [
        {"corpus": corpus, "records": results["training_records_by_corpus"][corpus.folder]}
        for corpus in LICENSED_CORPORA
        if corpus.folder in results["training_records_by_corpus"]
    ]
    card = ModelCard.from_template(
        data, template_path=str(facts_file.parent / TEMPLATE), facts=facts, results=results, corpora=corpora
    )
    return str(card)


def _evaluation_results(facts: dict[str, Any], results: dict[str, Any]) -> list[EvalResult]:
    auroc = results["superclasses"]["rows"]["fine-tuned"]["macro_auroc"]
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
