# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg train-quantizer`: stage 1."""

from typing import Any

from anyecg_hf.cli.configured import add_configured_parser
from anyecg_hf.cli.trainings import train
from anyecg_hf.training.configs import QuantizerTrainingConfig

DESCRIPTION = """Stage 1: trains the rhythm quantizer, which turns patches of an ECG into codes.

  anyecg train-quantizer --config examples/recipes/tiny/quantizer.yaml --data.root DATA_ROOT
  anyecg train-quantizer --config runs/anyecg-tiny/quantizer/config.yaml --resume

`final` in the run folder is the tokenizer of stage 2. docs/training.md tells the whole way."""


def add_parser(commands: Any) -> None:
    """Adds the sub-command."""
    add_configured_parser(
        commands,
        "train-quantizer",
        "train the rhythm quantizer (stage 1)",
        DESCRIPTION,
        lambda: QuantizerTrainingConfig,
        run,
    )


def run(config: QuantizerTrainingConfig) -> int:
    """Trains."""
    from anyecg_hf.training.train_quantizer import train_quantizer

    return train(train_quantizer, config)
