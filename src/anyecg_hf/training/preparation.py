# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A model made ready for the hardware: copies or shards of it, precision, activation checkpointing, compilation."""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState, is_initialized
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DynamoBackend,
    GradientAccumulationPlugin,
    InitProcessGroupKwargs,
)
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from transformers import PreTrainedModel

from anyecg_hf.models.anyecg.quantization_anyecg import RhythmCodebook
from anyecg_hf.training.configs import OptimiserConfig, RunConfig
from anyecg_hf.training.optimisation import make_optimiser
from anyecg_hf.training.zero import prepare_zero, read_zero_plugin, uses_zero

# The others wait while the first process of a machine reads and cleans the records.
_LONGEST_WAIT = timedelta(hours=6)


@contextmanager
def running_accelerator(
    config: RunConfig, log_with: list[str] | None = None, project_dir: str | None = None
) -> Iterator[Accelerator]:
    """
    Accelerate's view of the processes and devices while a run lasts. Afterwards the next run of this Python process may
    have another precision or device, unless the program had an `Accelerator` before, whose state then stays.

    Args:
        config, log_with, project_dir: As in [`make_accelerator`].

    Returns:
        A context of [`make_accelerator`]'s result.
    """
    is_ours, had_group = not is_initialized(), dist.is_initialized()
    try:
        accelerator = make_accelerator(config, log_with, project_dir)
        try:
            yield accelerator
        finally:
            for tracker in accelerator.trackers:
                tracker.finish()
    finally:
        if is_ours:
            AcceleratorState._reset_state()
            GradientState._reset_state()
            if not dist.is_initialized():
                PartialState._reset_state()
            elif not had_group:
                # Not now: processes that left a group cannot count on finding each other again.
                atexit.register(_leave_group)


def _leave_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def make_accelerator(
    config: RunConfig, log_with: list[str] | None = None, project_dir: str | None = None
) -> Accelerator:
    """
    Accelerate's view of the processes and devices.

    Args:
        config ([`RunConfig`]): Device, precision and accumulation.
        log_with (`list[str]`, *optional*), project_dir (`str`, *optional*): Trackers and their folder.

    Returns:
        `accelerate.Accelerator`

    Raises:
        `ValueError`: if Accelerate is configured for its own FSDP, or for a use of DeepSpeed, that the loop does not
            drive; if a tracker is unknown.
        `ImportError`: if a tracker, or DeepSpeed where it is asked for, is not installed.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("true", "1"):
        raise ValueError(
            "Accelerate is configured to use its own FSDP, and training is not made for it: choose plain multi-GPU in"
            ' `accelerate config`, or start with torchrun, and shard with `run.sharding: "fsdp2"`.'
        )
    zero = read_zero_plugin(config)
    process_group = InitProcessGroupKwargs(timeout=_LONGEST_WAIT)
    if zero is not None and not torch.accelerator.is_available():
        process_group.backend = "gloo"  # Accelerate takes DeepSpeed for one process else
    is_plain = zero is None and config.sharding == "none"
    accelerator = Accelerator(
        cpu=config.device == "cpu" and zero is None,
        # A sharded model computes in its own mixed precision.
        mixed_precision="bf16" if config.precision == "bf16" and is_plain else "no",
        deepspeed_plugin=zero,
        # As a plugin: a plain number gives way to a variable of the environment.
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=config.gradient_accumulation, sync_with_dataloader=False
        ),
        log_with=log_with or None,
        project_dir=project_dir,
        kwargs_handlers=[
            process_group,
            # DDP else rearranges its buckets after the first step of every start, and with them the order in which more
            # than two processes' gradients are added: a resumed run would differ in the last bits.
            DistributedDataParallelKwargs(find_unused_parameters=True),
        ],
    )
    if accelerator.state.dynamo_plugin.backend != DynamoBackend.NO:
        raise ValueError("Accelerate is configured to compile models: set `run.compile: true` instead.")
    absent = sorted(set(log_with or []) - {str(tracker) for tracker in accelerator.log_with})
    if absent:
        raise ImportError(f"trackers that are not installed: {', '.join(absent)}. Install them, or leave them out.")
    return accelerator


def prepare_training(
    model: PreTrainedModel, config: RunConfig, optimiser_config: OptimiserConfig, accelerator: Accelerator
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """
    A model as [`prepare_model`] leaves it, and its optimiser; both sharded by DeepSpeed where Accelerate is configured
    for it.

    Args:
        model, config, accelerator: As in [`prepare_model`].
        optimiser_config ([`OptimiserConfig`]): As in [`make_optimiser`].

    Returns:
        `tuple`: the model to call, and its optimiser.

    Raises:
        `ValueError`: as [`prepare_model`] and [`make_optimiser`].
    """
    model = prepare_model(model, config, accelerator)
    optimiser = make_optimiser(model, optimiser_config)
    if uses_zero(accelerator):
        return prepare_zero(model, optimiser, config, optimiser_config, accelerator)
    return model, optimiser


def prepare_model(model: PreTrainedModel, config: RunConfig, accelerator: Accelerator) -> nn.Module:
    """
    Puts a model on its device and wraps it for the processes there are.

    Accelerate's own FSDP does not shard on a CPU, so `fsdp2` is PyTorch's `fully_shard`, the same on every device: each
    transformer layer, then the rest.

    Args:
        model (`PreTrainedModel`): The model, with what is not trained frozen.
        config ([`RunConfig`]): Sharding, precision, activation checkpointing, compilation.
        accelerator (`accelerate.Accelerator`): From [`make_accelerator`].

    Returns:
        `nn.Module`: a `DistributedDataParallel` around the model with several processes and copies, else the model;
        [`prepare_training`] puts DeepSpeed around it.

    Raises:
        `ValueError`: if sharding is asked for and there is one process, or a codebook that is trained by gradient.
    """
    if config.activation_checkpointing:
        # The second name is that of earlier versions of transformers, 5.17 for example.
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    if config.compile:
        model.compile()  # in place, so that weights keep their names
    if config.sharding == "none":
        return model.to(accelerator.device) if uses_zero(accelerator) else accelerator.prepare_model(model)
    if accelerator.num_processes == 1:
        raise ValueError(
            '`run.sharding: "fsdp2"` needs several processes: start them with torchrun or accelerate launch.'
        )
    codebooks = [module for module in model.modules() if isinstance(module, RhythmCodebook)]
    if any(codebook.config.codebook_update == "loss" for codebook in codebooks):
        raise ValueError(
            '`codebook_update: "loss"` does not go with `run.sharding: "fsdp2"`: the codebook would be sharded, and'
            ' could not be started or revived. Use `"ema"`, or `run.sharding: "none"`.'
        )
    return _shard(model.to(accelerator.device), config, accelerator)


def _shard(model: PreTrainedModel, config: RunConfig, accelerator: Accelerator) -> nn.Module:
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if config.precision == "bf16" else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # the model does it, and keeps its targets exact
    )
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):  # all begin with the weights of the first process
            dist.broadcast(tensor, src=0)
    layers = set(model._no_split_modules)
    for module in model.modules():
        if type(module).__name__ in layers:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    return fully_shard(model, mesh=mesh, mp_policy=policy)


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """The model inside its wrapper."""
    return getattr(model, "module", model)  # of `DistributedDataParallel` and of DeepSpeed's engine


__all__ = ["make_accelerator", "prepare_model", "prepare_training", "running_accelerator", "unwrapped"]
