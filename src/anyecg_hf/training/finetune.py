# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning a checkpoint for a task.

accelerate launch -m anyecg_hf.training.finetune --config superclass.yaml
"""

import sys

from accelerate import Accelerator
from transformers import PreTrainedModel

from anyecg_hf.training.classification import ClassificationStage
from anyecg_hf.training.config_files import parse_config
from anyecg_hf.training.configs import FinetuningConfig
from anyecg_hf.training.loop import run_training
from anyecg_hf.training.stage import Stage


def finetune(config: FinetuningConfig) -> PreTrainedModel:
    """
    Fine-tunes a checkpoint. Of the validations, the best one's weights are kept.

    Args:
        config ([`FinetuningConfig`]): The run.

    Returns:
        `PreTrainedModel`, in evaluation mode; `final` in the run folder holds its tokenizer too.

    Raises:
        `ValueError`: as [`run_training`], and if the records do not have the labels that the task needs.
    """

    def make_stage(accelerator: Accelerator) -> Stage:
        return ClassificationStage(config, accelerator.device)

    return run_training(config, make_stage)


if __name__ == "__main__":
    finetune(parse_config(FinetuningConfig, sys.argv[1:]))


__all__ = ["finetune"]
