# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains the embedded checkpoint `anyecg-tiny` by its recipes, and packs it.

    python examples/train_anyecg_tiny.py DATA_ROOT --output runs/anyecg-tiny

`DATA_ROOT` holds the corpora's folders (`ptb-xl/`, `ludb/`, ...); `examples/recipes/tiny/` says which records train,
and how. A run that was interrupted goes on where it stopped. `evaluate_anyecg_tiny.py` reports on fold 9, which is read
here only to keep its copies out of training.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets

from anyecg_hf import TINY, AnyECGTokenizer
from anyecg_hf.hub.card_provenance import run_provenance
from anyecg_hf.training.classification import label_task, labelled_rows
from anyecg_hf.training.config_files import load_config
from anyecg_hf.training.configs import (
    FinetuningConfig,
    PretrainingConfig,
    QuantizerTrainingConfig,
    TrainingConfig,
)
from anyecg_hf.training.export import pack_checkpoint
from anyecg_hf.training.finetune import finetune
from anyecg_hf.training.pretrain import pretrain
from anyecg_hf.training.sources import load_rows
from anyecg_hf.training.train_quantizer import train_quantizer

RECIPES = Path(__file__).parent / "recipes" / "tiny"


@dataclasses.dataclass(frozen=True)
class Stages:
    """The configurations of the stages; the last trains a head on the frozen backbone of the one before."""

    quantizer: QuantizerTrainingConfig
    pretraining: PretrainingConfig
    superclass: FinetuningConfig
    lead_reconstruction: FinetuningConfig

    def runs(self) -> list[tuple[TrainingConfig, Callable[[Any], Any]]]:
        """Each with what carries it out, in order."""
        return [
            (self.quantizer, train_quantizer),
            (self.pretraining, pretrain),
            (self.superclass, finetune),
            (self.lead_reconstruction, finetune),
        ]


def load_stages(data_root: Path, output: Path, overrides: dict[str, Any] | None = None) -> Stages:
    """
    Reads the recipes.

    Args:
        data_root (`Path`): Folder of the corpora's folders.
        output (`Path`): Where the runs go.
        overrides (`dict`, *optional*): Fields that all stages have, for example `run__device="cpu"`.

    Returns:
        [`Stages`]
    """
    shared = {"data__root": str(data_root), "resume": True, **(overrides or {})}
    folders = {field.name: output / field.name for field in dataclasses.fields(Stages)}
    return Stages(
        quantizer=load_config(
            QuantizerTrainingConfig, RECIPES / "quantizer.yaml", output_dir=str(folders["quantizer"]), **shared
        ),
        pretraining=load_config(
            PretrainingConfig,
            RECIPES / "pretraining.yaml",
            output_dir=str(folders["pretraining"]),
            tokenizer=str(folders["quantizer"] / "final"),
            **shared,
        ),
        superclass=load_config(
            FinetuningConfig,
            RECIPES / "superclass.yaml",
            output_dir=str(folders["superclass"]),
            checkpoint=str(folders["pretraining"] / "final"),
            **shared,
        ),
        lead_reconstruction=load_config(
            FinetuningConfig,
            RECIPES / "lead_reconstruction.yaml",
            output_dir=str(folders["lead_reconstruction"]),
            checkpoint=str(folders["superclass"] / "final"),
            **shared,
        ),
    )


def train(stages: Stages) -> None:
    """Runs the stages that are not finished."""
    for config, run in stages.runs():
        if not (Path(config.output_dir) / "final").exists():
            run(config)


def provenance_of(stages: Stages) -> dict[str, Any]:
    """What decided the weights: settings, records and versions of every stage."""
    return {
        field.name: run_provenance(Path(getattr(stages, field.name).output_dir)) for field in dataclasses.fields(stages)
    }


def records_of(stages: Stages) -> dict[str, dict[str, list[str]]]:
    """Records of every stage, by corpus."""
    tokenizer = AnyECGTokenizer.from_pretrained(Path(stages.quantizer.output_dir) / "final")
    unlabelled = load_rows(stages.quantizer.data, tokenizer)
    labelled = load_rows(stages.superclass.data, tokenizer)
    twelve_leads = load_rows(stages.lead_reconstruction.data, tokenizer)
    _, labelled = labelled_rows(label_task(stages.superclass.task), labelled, stages.superclass.task.drop_rare)
    return {
        "stages_1_and_2": _by_corpus(unlabelled.train),
        "stage_3": _by_corpus(labelled.train),
        "lead_reconstruction": _by_corpus(twelve_leads.train),
        "selection": _by_corpus(labelled.validation),
    }


def _by_corpus(rows: datasets.Dataset) -> dict[str, list[str]]:
    names: dict[str, set[str]] = {}
    for corpus, record_id in zip(rows["corpus"], rows["record_id"], strict=True):
        names.setdefault(corpus, set()).add(record_id)
    return {corpus: sorted(found) for corpus, found in sorted(names.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder of the corpora's folders")
    parser.add_argument("--output", type=Path, default=Path("runs/anyecg-tiny"), help="folder of the runs")
    parser.add_argument("--checkpoint", type=Path, default=Path(TINY), help="where the finished checkpoint goes")
    parser.add_argument("--cpu", action="store_true", help="train on the CPU, whatever else there is")
    parser.add_argument("--cache-dir", help="where prepared records are kept")
    arguments = parser.parse_args()
    overrides = {"run__device": "cpu"} if arguments.cpu else {}
    overrides |= {"data__cache_dir": arguments.cache_dir} if arguments.cache_dir else {}
    stages = load_stages(arguments.data_root, arguments.output, overrides)
    train(stages)
    classifier, leads = (Path(stage.output_dir) / "final" for stage in (stages.superclass, stages.lead_reconstruction))
    pack_checkpoint(classifier, arguments.checkpoint, provenance_of(stages), heads=[leads])
    listing = json.dumps(records_of(stages), indent=1) + "\n"
    (arguments.checkpoint / "training_records.json").write_text(listing)


if __name__ == "__main__":
    main()
