# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures the embedded checkpoint on PTB-XL fold 9 and writes its results and its card.

    python examples/evaluate_anyecg_tiny.py DATA_ROOT --run runs/anyecg-tiny

Writes `results.json` and `README.md` into the checkpoint's folder. Fold 9 is read for nothing but this report. With
`--run`, the run folder of `train_anyecg_tiny.py`, the table also has a probe on the backbone before fine-tuning.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
import transformers

from anyecg_hf import TINY, AnyECGForMaskedCodeModeling, AnyECGForSequenceClassification, AnyECGModel, AnyECGTokenizer
from anyecg_hf.evaluation.codes import report_on_masked_codes, report_on_quantizer
from anyecg_hf.evaluation.superclasses import LabelledSplits, report_on_superclasses
from anyecg_hf.hub.cards import render_checkpoint_card
from anyecg_hf.training.licensed_records import list_records, split_records
from anyecg_hf.training.stages import add_codes
from anyecg_hf.training.windows import clean_records

MASKS = (("random", 0.5), ("whole_time", 0.4), ("whole_lead", 0.4))
CARDS = Path(__file__).parents[1] / "model_cards"
RANDOM_SEEDS = (0, 1, 2)


def evaluate(data_root: Path, checkpoint: Path, run: Path | None) -> dict:
    """Everything that the card states."""
    tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
    splits = split_records(list_records(data_root))
    train, selection, report = (
        clean_records(records, tokenizer, f"clean {name}").records
        for name, records in (("train", splits.train), ("fold 8", splits.selection), ("fold 9", splits.report))
    )
    classifier = AnyECGForSequenceClassification.from_pretrained(checkpoint).eval()
    masked = AnyECGForMaskedCodeModeling.from_pretrained(checkpoint).eval()
    window = classifier.config.trained_time_positions
    probes = {"linear probe, fine-tuned backbone": AnyECGModel.from_pretrained(checkpoint)}
    if run is not None:
        probes["linear probe, pre-trained backbone"] = AnyECGModel.from_pretrained(run / "pretrained")
    for seed in RANDOM_SEEDS:
        torch.manual_seed(seed)
        probes[f"linear probe, random backbone (seed {seed})"] = AnyECGModel(classifier.config)
    labelled = LabelledSplits([record for record in train if record.labels is not None], selection, report)
    add_codes([*train, *report], tokenizer.quantizer, window)
    return {
        "quantizer": asdict(report_on_quantizer(tokenizer.quantizer, tokenizer, report, window)),
        "masked_codes": [
            asdict(report_on_masked_codes(masked, tokenizer, train, report, window, strategy, ratio))
            for strategy, ratio in MASKS
        ],
        "superclasses": report_on_superclasses(classifier, probes, tokenizer, labelled, window),
        "training_records_by_corpus": _count_by_corpus([record.name for record in train]),
        "parameters": {
            "backbone": sum(parameter.numel() for parameter in classifier.anyecg.parameters()),
            "quantizer": sum(parameter.numel() for parameter in tokenizer.quantizer.parameters()),
        },
        "stored_bytes": sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file()),
        "provenance": json.loads((checkpoint / "provenance.json").read_text()),
    }


def _count_by_corpus(names: list[str]) -> dict[str, int]:
    corpora = sorted({name.split("/")[0] for name in names})
    return {corpus: sum(name.startswith(f"{corpus}/") for name in names) for corpus in corpora}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder of the corpora's folders")
    parser.add_argument("--checkpoint", type=Path, default=Path(TINY))
    parser.add_argument("--run", type=Path, help="run folder of the training")
    parser.add_argument("--card-only", action="store_true", help="render the card from results.json again")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    results_file = arguments.checkpoint / "results.json"
    if not arguments.card_only:
        results = evaluate(arguments.data_root, arguments.checkpoint, arguments.run)
        results_file.write_text(json.dumps(results, indent=1) + "\n")
    card = render_checkpoint_card(CARDS / "anyecg-tiny.yaml", json.loads(results_file.read_text()))
    (arguments.checkpoint / "README.md").write_text(card)


if __name__ == "__main__":
    main()
