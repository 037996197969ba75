# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AdamW's parameter groups, and the learning rate as a function of the step alone."""

import math
import re

import torch
from torch import nn

from anyecg_hf.training.configs import OptimiserConfig

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_EMBEDDINGS = re.compile(r"(?:^|\.)embeddings\.")


def make_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """
    AdamW over the parameters that are trained.

    Args:
        model (`nn.Module`): The model, wrapped or sharded already.
        config ([`OptimiserConfig`]): Rates and decay.

    Returns:
        `torch.optim.AdamW`: its groups have `lr_scale`, the layer's share of the learning rate.

    Raises:
        `ValueError`: if nothing is trained.
    """
    depth = 1 + max(
        (int(found[1]) for name, _ in model.named_parameters() if (found := _LAYER.search(name))), default=-1
    )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if _is_decayed(name, parameter) else 0.0
            scale = config.layer_decay ** _layers_above(name, depth)
            groups.setdefault((decay, scale), []).append(parameter)
    if not groups:
        raise ValueError("no parameter of the model is trained: all of them are frozen.")
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": decay, "lr_scale": scale}
            for (decay, scale), parameters in sorted(groups.items(), key=lambda group: group[0])
        ],
        lr=config.learning_rate,
        betas=(config.beta_1, config.beta_2),
        eps=config.epsilon,
    )


def _is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """Matrices and kernels; not what is looked up or added."""
    return parameter.ndim > 1 and not re.search(r"(mask_token|_embeddings?\.weight|codebooks)", name)


def _layers_above(name: str, depth: int) -> int:
    """How many steps of the layer decay a parameter is away from the head."""
    layer = _LAYER.search(name)
    if layer is not None:
        return depth - int(layer[1])
    return depth + 1 if _EMBEDDINGS.search(name) else 0


def learning_rate_share(step: int, steps: int, config: OptimiserConfig) -> float:
    """
    Learning rate of a step, relative to the highest.

    Args:
        step (`int`): The step, from 0.
        steps (`int`): Steps of the whole run.
        config ([`OptimiserConfig`]): The schedule.

    Returns:
        `float`
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    decayed = 1 - config.final_share
    if config.schedule == "cosine":
        progress = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
        return config.final_share + decayed * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    if config.schedule == "wsd":
        start = max(steps * (1 - config.decay_share), config.warmup_steps)
        progress = (step - start) / max(steps - start, 1)
        return 1 - decayed * min(max(progress, 0.0), 1.0)
    return 1.0


def set_learning_rate(optimiser: torch.optim.Optimizer, step: int, steps: int, config: OptimiserConfig) -> float:
    """
    Sets the learning rate of every group for a step.

    Args:
        optimiser (`torch.optim.Optimizer`): From [`make_optimiser`].
        step, steps, config: As in [`learning_rate_share`].

    Returns:
        `float`: the learning rate of the head.
    """
    rate = config.learning_rate * learning_rate_share(step, steps, config)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_scale"]
    return rate


__all__ = ["learning_rate_share", "make_optimiser", "set_learning_rate"]
