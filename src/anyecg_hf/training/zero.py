# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""DeepSpeed's ZeRO through Accelerate: all weights in every process, shares of the optimiser (stage 1) and of the
gradients (stage 2)."""

import importlib.util
import os

import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin, DistributedType
from accelerate.utils.operations import convert_outputs_to_fp32
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf.training.configs import OptimiserConfig, RunConfig

_MOMENTS = "zero."


def read_zero_plugin(config: RunConfig) -> DeepSpeedPlugin | None:
    """
    What `accelerate launch --use_deepspeed` or `accelerate config` ask for.

    Args:
        config ([`RunConfig`]): Device, sharding and accumulation.

    Returns:
        `accelerate.utils.DeepSpeedPlugin`, or `None` if DeepSpeed is not asked for.

    Raises:
        `ImportError`: if DeepSpeed is not installed.
        `ValueError`: if it is asked for what the loop does not do with it; says what to choose.
    """
    if not _is_set("ACCELERATE_USE_DEEPSPEED"):
        return None
    if importlib.util.find_spec("deepspeed") is None:
        raise ImportError("Accelerate is configured to use DeepSpeed, which is not installed: pip install deepspeed")
    if config.sharding != "none":
        raise ValueError(
            f'`run.sharding: "{config.sharding}"` shards without DeepSpeed: choose plain multi-GPU in `accelerate'
            ' config`, or `run.sharding: "none"`.'
        )
    if os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none") != "none":
        raise ValueError(
            "training takes no DeepSpeed configuration file: its optimiser, precision, clipping and accumulation are"
            " the run's. Start with `accelerate launch --use_deepspeed --zero_stage 2`."
        )
    if _is_set("ACCELERATE_USE_CPU") or (config.device == "cpu" and torch.accelerator.is_available()):
        raise ValueError(
            "DeepSpeed takes the accelerators of a machine that has some, and Accelerate leaves DeepSpeed out where"
            " the CPU is asked for: choose one of them."
        )
    if int(os.environ.get("WORLD_SIZE", 1)) < 2:
        raise ValueError(
            "DeepSpeed needs several processes: `accelerate launch --use_deepspeed --zero_stage 2 --num_processes 8`."
        )
    plugin = DeepSpeedPlugin(gradient_accumulation_steps=config.gradient_accumulation)
    if plugin.zero_stage not in (1, 2):
        raise ValueError(
            f"ZeRO stage {plugin.zero_stage} is not what training is made for: choose `--zero_stage 1`, which shards"
            ' the optimiser, or 2, gradients too. Weights as well are sharded by `run.sharding: "fsdp2"`, nothing by'
            " plain multi-GPU, both without DeepSpeed."
        )
    offloaded = {plugin.offload_optimizer_device, plugin.offload_param_device} - {"none", None}
    if offloaded:
        raise ValueError(
            f"DeepSpeed is to offload to {sorted(offloaded)[0]}, and training is not made for it: choose none."
        )
    return plugin


def prepare_zero(
    model: PreTrainedModel,
    optimiser: torch.optim.Optimizer,
    config: RunConfig,
    optimiser_config: OptimiserConfig,
    accelerator: Accelerator,
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """
    Gives a model and its optimiser to DeepSpeed, which clips and steps in the last backward pass of a step, unless the
    gradient is not finite.

    Args:
        model (`PreTrainedModel`): The model. Every trained weight must take part in every batch.
        optimiser (`torch.optim.Optimizer`): Its optimiser.
        config ([`RunConfig`]): Precision.
        optimiser_config ([`OptimiserConfig`]): Clipping.
        accelerator (`accelerate.Accelerator`): Made with [`read_zero_plugin`]'s.

    Returns:
        `tuple`: the engine around the model, and the sharded optimiser.
    """
    settings = accelerator.deepspeed_plugin.deepspeed_config
    settings["gradient_clipping"] = optimiser_config.max_gradient_norm or 0.0
    settings["train_micro_batch_size_per_gpu"] = 1  # must be there, and only its own statistics use it
    if config.precision == "bf16":
        # Its own bf16 would round the weights and the codebook's sums.
        autocast = torch.autocast(accelerator.device.type, torch.bfloat16)
        model.forward = convert_outputs_to_fp32(autocast(model.forward))
    return accelerator.prepare(model, optimiser)


def uses_zero(accelerator: Accelerator) -> bool:
    """Whether DeepSpeed is at work."""
    return accelerator.distributed_type == DistributedType.DEEPSPEED


def zero_stage(optimiser: torch.optim.Optimizer) -> int:
    """The ZeRO stage of an optimiser, 0 if it is not DeepSpeed's."""
    if not hasattr(optimiser, "optimizer"):  # Accelerate's wrapper
        return 0
    return 2 if optimiser.optimizer.partition_gradients else 1


def zero_moments(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """
    This process's share of the moments.

    Args:
        optimiser (`torch.optim.Optimizer`): From [`prepare_zero`].

    Returns:
        `dict[str, torch.Tensor]`: by the group's number and the moment's name.
    """
    inner = optimiser.optimizer.optimizer
    return {
        f"{_MOMENTS}{number}.{name}": value
        for number, group in enumerate(inner.param_groups)
        for name, value in inner.state[group["params"][0]].items()
    }


def set_zero_moments(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """
    Goes on from a checkpoint; the model has its weights already.

    Args:
        optimiser (`torch.optim.Optimizer`): From [`prepare_zero`].
        tensors (`dict[str, torch.Tensor]`): What [`zero_moments`] gave, among others; it is taken out.
    """
    optimiser.optimizer.refresh_fp32_params()  # this process's share of the weights
    inner = optimiser.optimizer.optimizer
    for number, group in enumerate(inner.param_groups):
        share, prefix = group["params"][0], f"{_MOMENTS}{number}."
        for name in [name for name in tensors if name.startswith(prefix)]:
            value = tensors.pop(name)
            # As in PyTorch, the count of steps stays on the CPU.
            inner.state[share][name.removeprefix(prefix)] = value if value.ndim == 0 else value.to(share.device)


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("true", "1")


__all__ = [
    "prepare_zero",
    "read_zero_plugin",
    "set_zero_moments",
    "uses_zero",
    "zero_moments",
    "zero_stage",
]
