# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains the embedded checkpoint `anyecg-tiny`: rhythm quantizer, masked codes, PTB-XL superclasses.

    python examples/train_anyecg_tiny.py DATA_ROOT --output runs/anyecg-tiny

`DATA_ROOT` holds the corpora's folders (`ptb-xl/`, `ludb/`, ...). A run that was interrupted goes on where it stopped.
PTB-XL folds 1-7 and the other licensed corpora train, fold 8 selects, fold 9 is only fingerprinted here to keep its
copies out of training; `evaluate_anyecg_tiny.py` reports on it.
"""

import argparse
import json
from pathlib import Path

import transformers

from anyecg_hf import AnyECGConfig, AnyECGQuantizerConfig, AnyECGRhythmQuantizer, AnyECGTokenizer
from anyecg_hf.training.licensed_records import list_records, refuse_leaks, split_records
from anyecg_hf.training.stages import add_codes, pretrain, train_quantizer
from anyecg_hf.training.windows import clean_records

WINDOW_PATCHES = 40  # 10 s of 0.25 s patches
PATCH = {
    "patch_size": 75,
    "patch_strides": [5, 3],
    "patch_channels": [32, 64],
    "time_encoding": "rotary",
    "trained_time_positions": WINDOW_PATCHES,
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
MASKING = (("random", 0.5, 0.5), ("whole_time", 0.4, 0.35), ("whole_lead", 0.4, 0.15))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path, help="folder of the corpora's folders")
    parser.add_argument("--output", type=Path, default=Path("runs/anyecg-tiny"), help="run folder")
    parser.add_argument("--quantizer-steps", type=int, default=1500)
    parser.add_argument("--pretraining-steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_warning()

    tokenizer = AnyECGTokenizer(patch_size=QUANTIZER.patch_size)
    splits = split_records(list_records(arguments.data_root))
    train = clean_records(splits.train, tokenizer, "clean training records")
    held_out = clean_records([*splits.selection, *splits.report], tokenizer, "fingerprint held-out records")
    refuse_leaks(train.fingerprints, held_out.fingerprints)
    arguments.output.mkdir(parents=True, exist_ok=True)
    training_list = {"records": sorted(record.name for record in train.records), "refused": train.refused}
    (arguments.output / "training_records.json").write_text(json.dumps(training_list, indent=1))

    shared = {"per_device_train_batch_size": 16, "bf16": True, "use_cpu": True, "seed": arguments.seed}
    quantizer_folder = arguments.output / "quantizer"
    if (quantizer_folder / "config.json").exists():
        quantizer = AnyECGRhythmQuantizer.from_pretrained(quantizer_folder).eval()
    else:
        quantizer = train_quantizer(
            QUANTIZER,
            tokenizer,
            train.records,
            arguments.output / "stage1",
            WINDOW_PATCHES,
            max_steps=arguments.quantizer_steps,
            **shared,
        )
        quantizer.save_pretrained(quantizer_folder)
    add_codes(train.records, quantizer, WINDOW_PATCHES)
    model = pretrain(
        BACKBONE,
        tokenizer,
        train.records,
        arguments.output / "stage2",
        WINDOW_PATCHES,
        strategies=MASKING,
        max_steps=arguments.pretraining_steps,
        **shared,
    )
    model.save_pretrained(arguments.output / "pretrained")


if __name__ == "__main__":
    main()
