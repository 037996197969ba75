# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the commands that train have in common."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anyecg_hf.training.configs import TrainingConfig


def train(training: Callable[[Any], Any], config: TrainingConfig) -> int:
    """
    Trains, and says where the model is.

    Args:
        training (`Callable`): Trains from a configuration.
        config ([`TrainingConfig`]): The run.

    Returns:
        `int`: exit status.

    Raises:
        `ValueError`: for whatever ends a training that its message explains.
    """
    from anyecg_hf.training.checkpoints import CheckpointError
    from anyecg_hf.training.codebook_health import CodebookCollapseError
    from anyecg_hf.training.console import report_progress
    from anyecg_hf.training.loop import NonFiniteLossError

    folder = Path(config.output_dir)
    report_progress()
    try:
        training(config)
    except (NonFiniteLossError, CodebookCollapseError, CheckpointError) as error:
        raise ValueError(str(error)) from error
    except KeyboardInterrupt:
        print(f"\ninterrupted: `--resume` goes on from the last checkpoint in {folder}.", file=sys.stderr)
        raise
    print(f"trained model written to {folder / 'final'}")
    return 0


__all__ = ["train"]
