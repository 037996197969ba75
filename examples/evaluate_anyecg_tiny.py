# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures the embedded checkpoint on PTB-XL fold 9 and writes its results and its card.

    python -m examples.evaluate_anyecg_tiny DATA_ROOT --run runs/anyecg-tiny
    python -m examples.evaluate_anyecg_tiny DATA_ROOT --subgroups  # of the stored weights, without the run folder
    python -m examples.evaluate_anyecg_tiny --card  # nothing is measured

Writes `results.json` and `README.md` into the checkpoint's folder, and the whole tables of the superclasses and of
missing leads, with plots, into the run folder. Fold 9 is scored here only. The run folder is that of
`train_anyecg_tiny.py`: the table has a probe on the backbone as it was before fine-tuning.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import transformers
from examples.train_anyecg_tiny import load_stages

from anyecg_hf import (
    TINY,
    AnyECGForMaskedCodeModeling,
    AnyECGTokenizer,
)
from anyecg_hf.evaluation.classification.protocol import evaluate
from anyecg_hf.evaluation.classification.task_splits import load_task_data
from anyecg_hf.evaluation.code_reports.codes import report_on_masked_codes, report_on_quantizer
from anyecg_hf.evaluation.evaluation_configs import EvaluationConfig
from anyecg_hf.evaluation.leads.reconstruction import evaluate_lead_reconstruction
from anyecg_hf.hub.card_models import describe_checkpoint
from anyecg_hf.hub.card_results import class_table, lead_table
from anyecg_hf.hub.cards import render_checkpoint_card
from anyecg_hf.training.codes import add_codes
from anyecg_hf.training.config_files import load_config
from anyecg_hf.training.label_tasks import label_task
from anyecg_hf.training.sources import load_rows

MASKS = (("random", 0.5), ("whole_time", 0.4), ("whole_lead", 0.4))
RECIPES = Path(__file__).parent / "recipes" / "evaluation"
CARDS = Path(__file__).parents[1] / "model_cards"


def measure(data_root: Path, checkpoint: Path, run: Path, cache_dir: str | None) -> dict[str, Any]:
    """Everything that the card states."""
    overrides = {"data__root": str(data_root)} | ({"data__cache_dir": cache_dir} if cache_dir else {})
    stages = load_stages(data_root, run, overrides)
    overrides |= {"checkpoint": str(checkpoint), "overwrite": True}
    config = load_config(
        EvaluationConfig,
        RECIPES / "ptbxl_superclass.yaml",
        output_dir=str(run / "evaluation" / "superclass"),
        pretrained=str(run / "pretraining" / "final"),
        **overrides,
    )
    leads = load_config(
        EvaluationConfig,
        RECIPES / "lead_reconstruction.yaml",
        output_dir=str(run / "evaluation" / "lead_reconstruction"),
        **overrides,
    )
    return {
        **measure_codes(config, checkpoint, stages),
        "superclasses": class_table(evaluate(config)),
        "lead_reconstruction": lead_table(evaluate_lead_reconstruction(leads)),
        **describe_folder(checkpoint),
    }


def describe_folder(checkpoint: Path) -> dict[str, Any]:
    """What the card states of the folder itself, without measuring anything."""
    return {
        "training_records_by_corpus": count_records(checkpoint),
        **describe_checkpoint(checkpoint),
        "stored_bytes": sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file()),
        "provenance": json.loads((checkpoint / "provenance.json").read_text()),
    }


def measure_subgroups(data_root: Path, checkpoint: Path, output: Path, cache_dir: str | None) -> dict[str, Any]:
    """The stored results with subgroups, of the classifier alone: nothing of the training run is needed."""
    results = json.loads((checkpoint / "results.json").read_text())
    config = load_config(
        EvaluationConfig,
        RECIPES / "ptbxl_superclass.yaml",
        output_dir=str(output),
        checkpoint=str(checkpoint),
        pretrained=None,
        rows=["finetuned"],
        robustness__rows=[],
        overwrite=True,
        data__root=str(data_root),
        **({"data__cache_dir": cache_dir} if cache_dir else {}),
    )
    found = class_table(evaluate(config))
    stored, now = (table["rows"]["finetuned"]["macro_auroc"]["estimate"] for table in (results["superclasses"], found))
    if abs(stored - now) > 1e-4:
        raise ValueError(
            f"the classifier's macro AUROC is {now:.5f} here and {stored:.5f} in the results: measure all."
        )
    results["superclasses"]["subgroups"] = found["subgroups"]
    return results


def measure_codes(config: EvaluationConfig, checkpoint: Path, stages: Any) -> dict[str, Any]:
    """Rhythm codes, and predictions of hidden ones, on fold 9."""
    tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
    masked, found = AnyECGForMaskedCodeModeling.from_pretrained(checkpoint, output_loading_info=True)
    if found["missing_keys"]:
        raise ValueError(f"{checkpoint} predicts no codes: it lacks {', '.join(sorted(found['missing_keys']))}.")
    masked.eval()
    window = masked.config.trained_time_positions
    held_out = load_task_data(config.data, tokenizer, label_task(config.task), 0).test.windows
    train = load_rows(stages.quantizer.data, tokenizer).train
    train, coded = (add_codes(rows, tokenizer.quantizer, window) for rows in (train, held_out))
    return {
        "quantizer": asdict(report_on_quantizer(tokenizer.quantizer, held_out)),
        "masked_codes": [
            asdict(report_on_masked_codes(masked, train, coded, strategy, ratio)) for strategy, ratio in MASKS
        ],
    }


def count_records(checkpoint: Path) -> dict[str, int]:
    """Training records of every corpus."""
    listing = json.loads((checkpoint / "training_records.json").read_text())
    return {corpus: len(records) for corpus, records in listing["stages_1_and_2"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, nargs="?", help="folder of the corpora's folders")
    parser.add_argument("--checkpoint", type=Path, default=Path(TINY), help="what to measure")
    parser.add_argument("--run", type=Path, default=Path("runs/anyecg-tiny"), help="its run folder")
    parser.add_argument("--subgroups", action="store_true", help="measure subgroups only, and add them to the results")
    parser.add_argument(
        "--card", action="store_true", help="measure nothing: describe the folder again, write the card"
    )
    parser.add_argument("--cache-dir", help="where prepared records are kept")
    arguments = parser.parse_args()
    if arguments.data_root is None and not arguments.card:
        parser.error("measuring needs data_root; without it there is --card.")
    transformers.logging.set_verbosity_warning()
    datasets.disable_progress_bars()
    if arguments.card:
        results = json.loads((arguments.checkpoint / "results.json").read_text())
        results |= describe_folder(arguments.checkpoint)
    elif arguments.subgroups:
        folder = arguments.run / "evaluation" / "subgroups"
        results = measure_subgroups(arguments.data_root, arguments.checkpoint, folder, arguments.cache_dir)
    else:
        results = measure(arguments.data_root, arguments.checkpoint, arguments.run, arguments.cache_dir)
    (arguments.checkpoint / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    card = render_checkpoint_card(CARDS / "anyecg-tiny.yaml", results)
    (arguments.checkpoint / "README.md").write_text(card)


if __name__ == "__main__":
    main()
