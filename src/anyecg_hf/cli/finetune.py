# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg finetune`: a checkpoint for a task."""

import json
from dataclasses import asdict
from typing import Any

from anyecg_hf.cli.configured import add_configured_parser
from anyecg_hf.cli.trainings import train
from anyecg_hf.training.adapters import parse_lora
from anyecg_hf.training.configs import FinetuningConfig

DESCRIPTION = """Fine-tunes a checkpoint for a task: all of it, its head, low-rank adapters, or a probe of the frozen
backbone (--adaptation.mode).

  anyecg finetune --config examples/recipes/tiny/superclass.yaml --data.root DATA_ROOT
  anyecg finetune --config superclass.yaml --lora r=16,alpha=32

--lora is short for `--adaptation.mode lora` and the fields of --adaptation.lora. The weights of the best validation, or
without validation records the last ones, become `final` in the run folder. docs/training.md tells the whole way."""


def add_parser(commands: Any) -> None:
    """Adds the sub-command."""
    add_configured_parser(
        commands,
        "finetune",
        "fine-tune a checkpoint for a task",
        DESCRIPTION,
        lambda: FinetuningConfig,
        run,
        {"--lora": lora_options},
    )


def lora_options(text: str) -> list[str]:
    """
    What the short form of adapters stands for. Fields that it does not name stay as they are.

    Args:
        text (`str`): As [`parse_lora`] takes it, for example `"r=16,alpha=32"`.

    Returns:
        `list[str]`: options of [`FinetuningConfig`].

    Raises:
        `ValueError`: as [`parse_lora`].
    """
    settings = asdict(parse_lora(text).lora)
    named = [part.partition("=")[0].strip() for part in text.split(",") if part.strip()]
    fields = [f"--adaptation.lora.{name}={json.dumps(settings[name])}" for name in named]
    return ["--adaptation.mode=lora", *fields]


def run(config: FinetuningConfig) -> int:
    """Trains."""
    from anyecg_hf.training.finetune import finetune

    return train(finetune, config)
