# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains the embedded checkpoint `anyecg-tiny`: rhythm quantizer, masked codes, PTB-XL superclasses.

    python examples/train_anyecg_tiny.py DATA_ROOT --output runs/anyecg-tiny

`DATA_ROOT` holds the corpora's folders (`ptb-xl/`, `ludb/`, ...). A run that was interrupted goes on where it stopped.
PTB-XL folds 1-7 and the other licensed corpora train, fold 8 selects, fold 9 is only fingerprinted here to keep its
copies out of training; `evaluate_anyecg_tiny.py` reports on it. A run folder belongs to the arguments of its
first start.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import transformers

from anyecg_hf import TINY, AnyECGConfig, AnyECGQuantizerConfig, AnyECGRhythmQuantizer, AnyECGTokenizer
from anyecg_hf.corpora.label_tables import SUPERCLASSES
from anyecg_hf.evaluation.metrics import best_thresholds
from anyecg_hf.training.export import export_checkpoint
from anyecg_hf.training.finetuning import AnyECGClassifierWithCodes, class_probabilities, finetune_classifier
from anyecg_hf.training.licensed_records import (
    joint_fingerprint,
    list_records,
    refuse_leaks,
    split_records,
)
from anyecg_hf.training.stages import add_codes, pretrain, train_quantizer
from anyecg_hf.training.trainer import training_arguments, training_facts
from anyecg_hf.training.windows import CleanedRecord, CleanedRecords, RecordWindows, clean_records

WINDOW_PATCHES = 40  # 10 s of 0.25 s patches
PATCH = {
    "patch_size": 75,
    "patch_strides": [5, 3],
    "patch_channels": [32, 64],
    "time_encoding": "rotary",
}
CODEBOOK_SIZE = 512

QUANTIZER = AnyECGQuantizerConfig(
    **PATCH,
    hidden_size=128,
    num_hidden_layers=3,
    num_decoder_layers=2,
    num_attention_heads=4,
    intermediate_size=512,
    codebook_size=CODEBOOK_SIZE,
    codebook_dim=32,
    wavelet_levels=2,
    min_codebook_usage=0.5,
    # With unit weights the commitment, and attributes that ten seconds of ECG hardly tell, shrink the codes in use.
    frequency_weight=0.3,
    demography_weight=0.05,
    commitment_weight=0.25,
)
BACKBONE = AnyECGConfig(
    **PATCH,
    hidden_size=192,
    num_hidden_layers=5,
    num_attention_heads=3,
    intermediate_size=768,
    codebook_size=CODEBOOK_SIZE,
)
FINETUNING_CONFIG = {"classifier_pooling": "mean_max", "classifier_dropout": 0.2, "hidden_dropout": 0.1}
FINETUNING = {"learning_rate": 3e-4, "weight_decay": 0.05}
PATIENCE = 6
LEAD_DROPOUT = 0.2
MASKING = (("random", 0.5, 0.5), ("whole_time", 0.4, 0.35), ("whole_lead", 0.4, 0.15))
FINETUNING_MASKING = (("random", 0.5, 1.0),)
LOSS_TERMS = ("morphology", "frequency", "demography", "codebook", "commitment")
# Arguments of this script that decide the weights.
DECIDING = ("quantizer_steps", "pretraining_steps", "finetuning_epochs", "seed", "cuda")

DESCRIPTIONS = {
    "NORM": "normal ECG",
    "MI": "myocardial infarction",
    "STTC": "ST/T change",
    "CD": "conduction disturbance",
    "HYP": "hypertrophy",
}


@dataclass(frozen=True)
class Corpora:
    """Cleaned records by use; `labelled` are those of PTB-XL among the training records."""

    train: CleanedRecords
    selection: CleanedRecords

    @property
    def fingerprint(self) -> str:
        """Hash of the signals of all training records."""
        return joint_fingerprint(self.train.fingerprints)

    def listing(self) -> dict[str, list[str] | dict[str, str]]:
        """Names of the records of every stage, and the ones that could not be used with the reason."""
        return {
            "stages_1_and_2": sorted(record.name for record in self.train.records),
            "stage_3": sorted(record.name for record in self.labelled),
            "selection": sorted(record.name for record in self.selection.records),
            "refused": self.train.refused,
        }

    @property
    def labelled(self) -> list[CleanedRecord]:
        return [record for record in self.train.records if record.labels is not None]


def load_corpora(data_root: Path, tokenizer: AnyECGTokenizer) -> Corpora:
    """Cleans what may be trained on and refuses copies of held-out records."""
    splits = split_records(list_records(data_root))
    train = clean_records(splits.train, tokenizer, "clean training records")
    selection = clean_records(splits.selection, tokenizer, "clean selection records")
    report = clean_records(splits.report, tokenizer, "fingerprint held-out records")
    refuse_leaks(train.fingerprints, {**selection.fingerprints, **report.fingerprints})
    return Corpora(train, selection)


def stage_1(corpora: Corpora, tokenizer: AnyECGTokenizer, arguments: argparse.Namespace) -> AnyECGRhythmQuantizer:
    """The rhythm quantizer."""
    folder = arguments.output / "quantizer"
    if not (folder / "config.json").exists():
        quantizer = train_quantizer(
            QUANTIZER,
            tokenizer,
            corpora.train.records,
            arguments.output / "stage1",
            WINDOW_PATCHES,
            lead_dropout=LEAD_DROPOUT,
            **stage_arguments(arguments)["quantizer"],
        )
        quantizer.save_pretrained(folder)
    return AnyECGRhythmQuantizer.from_pretrained(folder).eval()


def stage_2(corpora: Corpora, tokenizer: AnyECGTokenizer, arguments: argparse.Namespace) -> Path:
    """Masked codes; returns the checkpoint's folder."""
    folder = arguments.output / "pretrained"
    if not (folder / "config.json").exists():
        model = pretrain(
            BACKBONE,
            tokenizer,
            corpora.train.records,
            arguments.output / "stage2",
            WINDOW_PATCHES,
            strategies=MASKING,
            lead_dropout=LEAD_DROPOUT,
            **stage_arguments(arguments)["pretraining"],
        )
        model.save_pretrained(folder)
    return folder


def stage_3(
    pretrained: Path, corpora: Corpora, tokenizer: AnyECGTokenizer, arguments: argparse.Namespace
) -> AnyECGClassifierWithCodes:
    """PTB-XL superclasses; fold 8 stops training early and sets the thresholds."""
    model = finetune_classifier(
        pretrained,
        tokenizer,
        corpora.labelled,
        corpora.selection.records,
        SUPERCLASSES,
        arguments.output / "stage3",
        WINDOW_PATCHES,
        config_overrides={"label_descriptions": DESCRIPTIONS, **FINETUNING_CONFIG},
        strategies=FINETUNING_MASKING,
        lead_dropout=LEAD_DROPOUT,
        patience=PATIENCE,
        **stage_arguments(arguments)["finetuning"],
    )
    windows = RecordWindows(corpora.selection.records, WINDOW_PATCHES, training=False, most_windows=1)
    scores = class_probabilities(model, tokenizer, windows)
    labels = np.stack([record.labels for record in corpora.selection.records])
    thresholds = best_thresholds(labels, scores, SUPERCLASSES)
    model.config.label_thresholds = dict(zip(SUPERCLASSES, map(float, thresholds), strict=True))
    return model


def stage_arguments(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Fields of each stage's `TrainingArguments` that differ from the defaults of [`training_arguments`]."""
    shared = {"per_device_train_batch_size": 16, "bf16": True, "use_cpu": not arguments.cuda, "seed": arguments.seed}
    return {
        "quantizer": {**shared, "max_steps": arguments.quantizer_steps},
        "pretraining": {**shared, "max_steps": arguments.pretraining_steps},
        "finetuning": {**shared, **FINETUNING, "num_train_epochs": arguments.finetuning_epochs},
    }


def keep_arguments(arguments: argparse.Namespace) -> None:
    """
    Writes the arguments into a run folder that has none yet, or compares them with those of its first start.

    Raises:
        `ValueError`: if the run folder was made with other arguments; names them.
    """
    file = arguments.output / "arguments.json"
    now = {name: getattr(arguments, name) for name in DECIDING}
    if not file.exists():
        file.write_text(json.dumps(now, indent=1) + "\n")
        return
    before = json.loads(file.read_text())
    different = [name for name in DECIDING if now[name] != before.get(name)]
    if different:
        pairs = ", ".join(f"{name} was {before.get(name)} and is {now[name]} now" for name in different)
        raise ValueError(f"{arguments.output} is a run with other arguments: {pairs}. Pass those or another --output.")


def provenance_of(corpora: Corpora, arguments: argparse.Namespace, code_weight: float) -> dict[str, Any]:
    """What decided the weights."""
    folders = {"quantizer": "stage1", "pretraining": "stage2", "finetuning": "stage3"}
    stages: dict[str, dict[str, Any]] = {
        stage: {
            **training_facts(training_arguments(arguments.output / folders[stage], **overrides)),
            "lead_dropout": LEAD_DROPOUT,
        }
        for stage, overrides in stage_arguments(arguments).items()
    }
    stages["quantizer"]["loss_weights"] = {term: getattr(QUANTIZER, f"{term}_weight") for term in LOSS_TERMS}
    stages["pretraining"]["masking"] = _named(MASKING)
    stages["finetuning"]["masking"] = _named(FINETUNING_MASKING)
    stages["finetuning"]["loss_weights"] = {"classification": 1.0, "masked_codes": code_weight}
    stages["finetuning"]["patience_epochs"] = PATIENCE
    stages["finetuning"]["config"] = FINETUNING_CONFIG
    return {
        "seed": arguments.seed,
        "quantizer_steps": arguments.quantizer_steps,
        "pretraining_steps": arguments.pretraining_steps,
        "finetuning_epochs_at_most": arguments.finetuning_epochs,
        "window_patches": WINDOW_PATCHES,
        "stages": stages,
        "training_records": len(corpora.train.records),
        "labelled_training_records": len(corpora.labelled),
        "training_fingerprint_sha256": corpora.fingerprint,
    }


def _named(masking: tuple[tuple[str, float, float], ...]) -> list[dict[str, Any]]:
    return [{"strategy": strategy, "ratio": ratio, "weight": weight} for strategy, ratio, weight in masking]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder of the corpora's folders")
    parser.add_argument("--output", type=Path, default=Path("runs/anyecg-tiny"), help="run folder")
    parser.add_argument("--checkpoint", type=Path, default=Path(TINY), help="where the finished checkpoint goes")
    parser.add_argument("--quantizer-steps", type=int, default=1500)
    parser.add_argument("--pretraining-steps", type=int, default=2000)
    parser.add_argument("--finetuning-epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cuda", action="store_true", help="train on the GPU")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_warning()
    arguments.output.mkdir(parents=True, exist_ok=True)
    keep_arguments(arguments)

    tokenizer = AnyECGTokenizer(patch_size=QUANTIZER.patch_size)
    corpora = load_corpora(arguments.data_root, tokenizer)
    tokenizer.quantizer = stage_1(corpora, tokenizer, arguments)
    add_codes(corpora.train.records, tokenizer.quantizer, WINDOW_PATCHES)
    pretrained = stage_2(corpora, tokenizer, arguments)
    model = stage_3(pretrained, corpora, tokenizer, arguments)
    provenance = provenance_of(corpora, arguments, model.code_weight)
    export_checkpoint(model, tokenizer, arguments.checkpoint, provenance)
    (arguments.checkpoint / "training_records.json").write_text(json.dumps(corpora.listing(), indent=1) + "\n")


if __name__ == "__main__":
    main()
