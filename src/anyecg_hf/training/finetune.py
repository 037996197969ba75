# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning a checkpoint for a task.

accelerate launch -m anyecg_hf.training.finetune --config superclass.yaml
"""

import sys

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from anyecg_hf.training.classification import ClassificationStage
from anyecg_hf.training.config_files import parse_config
from anyecg_hf.training.configs import LABEL_TASKS, LONG_TASKS, RECONSTRUCTION_TASK, TOKEN_TASKS, FinetuningConfig
from anyecg_hf.training.console import report_progress
from anyecg_hf.training.lead_reconstruction import LeadReconstructionStage
from anyecg_hf.training.long_records import LongRecordStage
from anyecg_hf.training.loop import run_training
from anyecg_hf.training.stage import Stage
from anyecg_hf.training.token_labels import TokenLabelStage


def finetune(config: FinetuningConfig) -> PreTrainedModel:
    """
    Fine-tunes a checkpoint. Of the validations, the best one's weights are kept.

    Args:
        config ([`FinetuningConfig`]): The run.

    Returns:
        `PreTrainedModel`, in evaluation mode; `final` in the run folder holds its tokenizer too.

    Raises:
        `ValueError`: as [`run_training`], for an unknown task, and if the records do not have the labels that it needs.
    """

    def make_stage(accelerator: Accelerator) -> Stage:
        return finetuning_stage(config, accelerator.device).with_facts()

    return run_training(config, make_stage)


def finetuning_stage(config: FinetuningConfig, device: torch.device) -> Stage:
    """
    The stage of a task.

    Args:
        config ([`FinetuningConfig`]): The run; `task.name` decides.
        device (`torch.device`): Where records are encoded or embedded before training.

    Returns:
        [`Stage`]

    Raises:
        `ValueError`: for an unknown task, or a field that belongs to another.
    """
    name = config.task.name
    if config.task.segment_s is not None and name not in LONG_TASKS:
        raise ValueError(f"`task.segment_s` belongs to {' and '.join(LONG_TASKS)}, not to {name!r}.")
    if name in LABEL_TASKS:
        return ClassificationStage(config, device)
    if name in TOKEN_TASKS:
        return TokenLabelStage(config)
    if name in LONG_TASKS:
        return LongRecordStage(config, device)
    if name == RECONSTRUCTION_TASK:
        return LeadReconstructionStage(config)
    known = (*LABEL_TASKS, *TOKEN_TASKS, *LONG_TASKS, RECONSTRUCTION_TASK)
    raise ValueError(f"`task.name` must be one of {', '.join(known)}, got {name!r}.")


if __name__ == "__main__":
    report_progress()
    finetune(parse_config(FinetuningConfig, sys.argv[1:]))


__all__ = ["finetune", "finetuning_stage"]
