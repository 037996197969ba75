# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures the embedded checkpoint on PTB-XL fold 9 and writes its results and its card.

    python examples/evaluate_anyecg_tiny.py DATA_ROOT --run runs/anyecg-tiny

Writes `results.json` and `README.md` into the checkpoint's folder. Fold 9 is scored here only; the training
fingerprints it, to keep its copies out. With `--run`, the run folder of `train_anyecg_tiny.py`, the table also has a
probe on the backbone before fine-tuning.
"""

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import transformers

from anyecg_hf import (
    TINY,
    AnyECGConfig,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.evaluation.codes import report_on_masked_codes, report_on_quantizer
from anyecg_hf.evaluation.superclasses import LabelledSplits, labels_of, report_on_superclasses
from anyecg_hf.hub.cards import render_checkpoint_card
from anyecg_hf.training.licensed_records import list_records, refuse_other_records, split_records
from anyecg_hf.training.stages import add_codes
from anyecg_hf.training.windows import CleanedRecord, clean_records

MASKS = (("random", 0.5), ("whole_time", 0.4), ("whole_lead", 0.4))
CARDS = Path(__file__).parents[1] / "model_cards"
RANDOM_SEEDS = (0, 1, 2)


def evaluate(data_root: Path, checkpoint: Path, run: Path | None) -> dict:
    """Everything that the card states."""
    tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
    provenance = json.loads((checkpoint / "provenance.json").read_text())
    splits = split_records(list_records(data_root))
    cleaned_train = clean_records(splits.train, tokenizer, "clean train")
    refuse_other_records(cleaned_train.fingerprints, provenance["training_fingerprint_sha256"])
    train = cleaned_train.records
    selection = clean_records(splits.selection, tokenizer, "clean fold 8").records
    report = clean_records(splits.report, tokenizer, "clean fold 9").records
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
        "superclasses": {
            **report_on_superclasses(classifier, probes, tokenizer, labelled, window),
            "without_any_class": {
                name: _without_any_class(getattr(labelled, name)) for name in ("train", "selection", "report")
            },
        },
        "training_records_by_corpus": _count_by_corpus([record.name for record in train]),
        "architecture": _architecture(classifier.config, tokenizer.quantizer),
        "parameters": {
            "backbone": sum(parameter.numel() for parameter in classifier.anyecg.parameters()),
            **_quantizer_parameters(tokenizer.quantizer),
        },
        "stored_bytes": sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file()),
        "provenance": provenance,
    }


def _count_by_corpus(names: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(name.rsplit("/", 1)[0] for name in names).items()))


def _without_any_class(records: list[CleanedRecord]) -> int:
    return int(np.sum(~labels_of(records).any(axis=1)))


def _architecture(config: AnyECGConfig, quantizer: AnyECGRhythmQuantizer) -> dict:
    return {
        "patch_size": config.patch_size,
        "patch_seconds": config.patch_seconds,
        "sampling_rate": config.sampling_rate,
        "window_patches": config.trained_time_positions,
        "window_seconds": config.trained_time_positions * config.patch_seconds,
        "backbone_layers": config.num_hidden_layers,
        "quantizer_encoder_layers": quantizer.config.num_hidden_layers,
        "quantizer_decoder_layers": quantizer.config.num_decoder_layers,
        "loss_weights": {
            term: getattr(quantizer.config, f"{term}_weight")
            for term in ("morphology", "frequency", "demography", "codebook", "commitment")
        },
    }


def _quantizer_parameters(quantizer: AnyECGRhythmQuantizer) -> dict[str, int]:
    """The codebook counts by itself: it is a buffer or a parameter, as it is trained."""
    codebook = sum(codebook.embeddings.numel() for codebook in quantizer.quantizer.codebooks)
    others = (value.numel() for name, value in quantizer.named_parameters() if ".codebooks." not in name)
    return {"quantizer_without_codebook": sum(others), "codebook": codebook}


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
