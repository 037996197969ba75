# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The models of a cross-validation: the backbone, its twin of random weights, and the run that trains one in a part."""

from dataclasses import dataclass

import torch

from ...models.anyecg import AnyECGModel, AnyECGTokenizer
from ...training.configs import RunConfig
from ..checkpoints import evaluation_device, refuse_long_windows
from ..evaluation_configs import EvaluationConfig


@dataclass(frozen=True, eq=False)
class Backbones:
    """
    What probes are fitted on, in evaluation mode.

    Attributes:
        trained ([`AnyECGModel`]): Of the checkpoint.
        random ([`AnyECGModel`]): Of the same architecture.
    """

    trained: AnyECGModel
    random: AnyECGModel


def load_backbones(config: EvaluationConfig, checkpoint: str, tokenizer: AnyECGTokenizer) -> Backbones:
    """
    Loads the backbone and draws its twin.

    Args:
        config ([`EvaluationConfig`]): `device`, `data.window_s` and the first of `seeds`.
        checkpoint (`str`): The backbone.
        tokenizer ([`AnyECGTokenizer`]): Its tokenizer.

    Returns:
        [`Backbones`]

    Raises:
        `ValueError`: if a window is longer than the backbone was trained on.
    """
    device = evaluation_device(config)
    trained = AnyECGModel.from_pretrained(checkpoint, dtype=torch.float32).eval().to(device)
    refuse_long_windows(config.data.window_s, [trained], tokenizer)
    torch.manual_seed(config.seeds[0])
    return Backbones(trained, AnyECGModel(trained.config).eval().to(device))


def fold_run(config: EvaluationConfig, steps: int) -> RunConfig:
    """The run of a part: a fixed number of steps, of which nothing is kept but the model."""
    return RunConfig(
        steps=steps,
        precision="float32",
        device=config.device,
        seed=config.seeds[0],
        save_every=max(steps, 1),
        keep=1,
        trackers=[],
        plots=False,
    )


__all__ = ["Backbones", "fold_run", "load_backbones"]
