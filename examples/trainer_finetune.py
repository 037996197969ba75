# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tunes the embedded checkpoint with `transformers.Trainer` in place of `anyecg finetune`.

    python examples/trainer_finetune.py DATA_DIR --output runs/trainer

`DATA_DIR` holds PTB-XL. Trainer's own options do the rest: schedules, several GPUs, resuming, trackers.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoFeatureExtractor, AutoModelForSequenceClassification, Trainer, TrainingArguments

import anyecg_hf
from anyecg_hf.corpora import PatchCollator, clean_corpus, load_corpus

CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
COLLATE = PatchCollator(keys=("superclasses",))


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Cleaned rows -> what the model takes, `labels` `(B, 5)` float32 of 0 and 1."""
    batch = COLLATE(rows)
    present = batch.pop("superclasses")
    return {**batch, "labels": torch.tensor([[float(name in found) for name in CLASSES] for found in present])}


def finetune(data_dir: str | Path, output: str | Path, checkpoint: str | Path = anyecg_hf.TINY, **arguments) -> Trainer:
    """
    Fine-tunes on PTB-XL's folds 1 to 8.

    Args:
        data_dir (`str` or `Path`): Folder of PTB-XL.
        output (`str` or `Path`): Where checkpoints go.
        checkpoint (`str` or `Path`, *optional*): What to start from; the embedded one by default.
        arguments: Of `TrainingArguments`.

    Returns:
        `Trainer`: after training.
    """
    tokenizer = AutoFeatureExtractor.from_pretrained(checkpoint)
    rows = clean_corpus(load_corpus("ptb-xl", data_dir=data_dir, split="train"), tokenizer)
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint,
        num_labels=len(CLASSES),
        id2label=dict(enumerate(CLASSES)),
        label2id={name: index for index, name in enumerate(CLASSES)},
        problem_type="multi_label_classification",
    )
    # Trainer would drop what `forward` does not name, before `collate` has seen it.
    settings = TrainingArguments(output_dir=str(output), remove_unused_columns=False, **arguments)
    trainer = Trainer(model, settings, data_collator=collate, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    trainer.save_model()  # with the tokenizer and its quantizer
    return trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path, help="folder of PTB-XL")
    parser.add_argument("--output", type=Path, default=Path("runs/trainer"), help="where checkpoints go")
    parser.add_argument("--steps", type=int, default=500, help="optimiser steps")
    options = parser.parse_args()
    finetune(
        options.data_dir,
        options.output,
        max_steps=options.steps,
        per_device_train_batch_size=16,
        learning_rate=3e-4,
        warmup_steps=50,
        logging_steps=10,
    )


if __name__ == "__main__":
    main()
