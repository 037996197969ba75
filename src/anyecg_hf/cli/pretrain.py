# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg pretrain`: stage 2."""

from typing import Any

from anyecg_hf.cli.configured import add_configured_parser
from anyecg_hf.cli.trainings import train
from anyecg_hf.training.configs import PretrainingConfig

DESCRIPTION = """Stage 2: trains the backbone to predict the rhythm codes of hidden patches.

  anyecg pretrain --config examples/recipes/tiny/pretraining.yaml --data.root DATA_ROOT
  anyecg pretrain --config runs/anyecg-tiny/pretraining/config.yaml --resume

`final` in the run folder is the checkpoint to fine-tune. docs/training.md tells the whole way."""


def add_parser(commands: Any) -> None:
    """Adds the sub-command."""
    add_configured_parser(
        commands,
        "pretrain",
        "train the backbone on masked codes (stage 2)",
        DESCRIPTION,
        lambda: PretrainingConfig,
        run,
    )


def run(config: PretrainingConfig) -> int:
    """Trains."""
    from anyecg_hf.training.pretrain import pretrain

    return train(pretrain, config)
