# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Memory of one device in training, and the time of a step, as estimates; `docs/scaling.md` is made from them.

Memory counts what PyTorch keeps, from the weights to what the backward pass needs. What layers and embeddings keep is
checked on CPUs against what autograd saves; nothing here was measured on a GPU.
"""

from dataclasses import dataclass, fields
from typing import Literal

from anyecg_hf.models.anyecg.attention_anyecg import choose_path
from anyecg_hf.models.anyecg.configuration_anyecg import AnyECGArchitectureConfig, AnyECGConfig
from anyecg_hf.training.scaling import (
    BatchShape,
    Precision,
    count_parameters,
    forward_flops,
    model_flop_utilisation,
    patch_encoder_stages,
    training_flops,
)

Sharding = Literal["none", "fsdp2"]

FLOAT32, BF16 = 4, 2


@dataclass(frozen=True)
class TrainingSetup:
    """
    How a model is trained.

    Attributes:
        devices (`int`): Number of devices.
        sharding (`str`): `"none"`: a copy of the model on each (DDP), or `"fsdp2"`.
        precision (`str`): `"bf16"`: float32 weights, bf16 arithmetic (autocast), or `"float32"`.
        activation_checkpointing (`bool`): Whether layers are computed again in the backward pass.
        trained_parameters (`int`, *optional*): How many parameters are trained; all if not given.
        device_type (`str`): `"cuda"` or `"cpu"`, which choose attention and autocast differently.
    """

    devices: int = 1
    sharding: Sharding = "none"
    precision: Precision = "bf16"
    activation_checkpointing: bool = False
    trained_parameters: int | None = None
    device_type: str = "cuda"

    @property
    def shards(self) -> int:
        """In how many pieces parameters, gradients and optimiser lie."""
        return self.devices if self.sharding == "fsdp2" else 1


@dataclass(frozen=True)
class MemoryEstimate:
    """
    Bytes on each device at the worst moment, the start of the backward pass.

    Attributes:
        weights (`float`): Float32 weights, or this device's shard.
        gradients (`float`): Float32 gradients, likewise.
        optimiser (`float`): Both moments of AdamW in float32, likewise.
        working_weights (`float`): bf16 copies of autocast, or the gathered layers of FSDP2.
        communication (`float`): DDP's gradient buckets, or FSDP2's gradients of one layer.
        activations (`float`): What layers and embeddings keep for the backward pass.
        loss (`float`): Code logits, their float32 copy, log-probabilities and gradient.
    """

    weights: float
    gradients: float
    optimiser: float
    working_weights: float
    communication: float
    activations: float
    loss: float

    @property
    def total(self) -> float:
        """Sum of all."""
        return sum(getattr(self, item.name) for item in fields(self))


def layer_activation_bytes(
    config: AnyECGArchitectureConfig, batch: BatchShape, setup: TrainingSetup, padded: bool = True
) -> int:
    """
    Bytes that one Transformer layer keeps for the backward pass, without dropout.

    Args:
        config ([`AnyECGConfig`]): The architecture.
        batch ([`BatchShape`]): What the device takes at once.
        setup ([`TrainingSetup`]): For precision and device.
        padded (`bool`, *optional*, defaults to `True`): Whether something is masked: each record then has its own mask.

    Returns:
        `int`
    """
    width, inner = config.hidden_size, config.intermediate_size
    heads_and_norms = FLOAT32 * (config.num_attention_heads + 4)  # log-sum-exp; two numbers of each norm
    if setup.precision == "bf16":
        # Residuals stay float32. Autocast casts the input of each projection anew.
        inputs, states, mlp = 5 * width, 3 * width, 2 * inner
        token = FLOAT32 * 2 * width + BF16 * (inputs + states + mlp) + heads_and_norms
    else:
        token = FLOAT32 * (2 * width + 3 * width + 3 * width + 2 * inner) + heads_and_norms
    mask = 0
    if choose_path(batch.leads, batch.patches, config.time_tolerance, setup.device_type) == "dense":
        sees_all = batch.leads == 1 or config.time_tolerance >= batch.patches - 1
        per_query = 1 if sees_all else batch.leads * batch.patches
        masks = batch.records if padded else int(not sees_all)
        mask = masks * per_query * batch.leads * batch.patches * (BF16 if setup.precision == "bf16" else FLOAT32)
    return batch.tokens * token + mask


def embedding_activation_bytes(config: AnyECGArchitectureConfig, batch: BatchShape, setup: TrainingSetup) -> int:
    """
    Bytes that patch encoder and embeddings keep for the backward pass; arguments as [`layer_activation_bytes`].

    Returns:
        `int`
    """
    size = BF16 if setup.precision == "bf16" else FLOAT32
    # Group norm is float32 in autocast on CUDA, bf16 on CPUs.
    norm_size = FLOAT32 if setup.device_type == "cuda" else size
    stages = patch_encoder_stages(config)
    inputs = (
        sum(stage.frames * stage.inputs for stage in stages)
        + stages[-1].frames * stages[-1].channels
        + config.patch_size
    )
    normed = sum(2 * stage.frames * stage.channels for stage in stages)
    statistics = 2 * FLOAT32 * config.patch_norm_groups * len(stages)
    return batch.tokens * (size * inputs + norm_size * normed + statistics)


def estimate_memory(
    config: AnyECGConfig, batch: BatchShape, setup: TrainingSetup, code_head: bool = True
) -> MemoryEstimate:
    """
    Memory of one device in training, without the CUDA context and the allocator's slack.

    Args:
        config ([`AnyECGConfig`]): The architecture.
        batch ([`BatchShape`]): What the device takes at once.
        setup ([`TrainingSetup`]): How it is trained.
        code_head (`bool`, *optional*, defaults to `True`): Whether codes are predicted (stage 2).

    Returns:
        [`MemoryEstimate`]
    """
    counts = count_parameters(config, code_head)
    trained = counts.total if setup.trained_parameters is None else setup.trained_parameters
    half = setup.precision == "bf16"
    layer, embeddings = (
        layer_activation_bytes(config, batch, setup),
        embedding_activation_bytes(config, batch, setup),
    )
    kept = counts.layers * layer
    if setup.activation_checkpointing:
        # Every layer's float32 input, and all of the one that is computed again.
        kept = counts.layers * batch.tokens * config.hidden_size * FLOAT32 + layer
    logits = batch.tokens * config.num_quantizers * config.codebook_size if code_head else 0
    if setup.shards > 1:
        # The layer at work and the next one, beside what FSDP2 gathers for the whole step: all that is no layer.
        gathered = counts.total - counts.layer * counts.layers + 2 * counts.layer
        working, communication = gathered * (BF16 if half else FLOAT32), min(counts.layer, trained) * FLOAT32
    else:
        working = counts.total * BF16 if half else 0
        communication = trained * FLOAT32 if setup.devices > 1 else 0
    return MemoryEstimate(
        weights=counts.total * FLOAT32 / setup.shards,
        gradients=trained * FLOAT32 / setup.shards,
        optimiser=2 * trained * FLOAT32 / setup.shards,
        working_weights=working,
        communication=communication,
        activations=kept + embeddings + batch.tokens * config.hidden_size * (FLOAT32 + (BF16 if half else FLOAT32)),
        loss=logits * ((BF16 if half else FLOAT32) + (3 if half else 2) * FLOAT32),
    )


def largest_batch(
    config: AnyECGConfig, leads: int, patches: int, setup: TrainingSetup, memory_bytes: float, code_head: bool = True
) -> int:
    """
    Records that fit on one device.

    Args:
        config ([`AnyECGConfig`]): The architecture.
        leads (`int`), patches (`int`): Shape of a record.
        setup ([`TrainingSetup`]): How it is trained.
        memory_bytes (`float`): Memory that training may take.
        code_head (`bool`, *optional*, defaults to `True`): As in [`estimate_memory`].

    Returns:
        `int`: 0 if not even one fits.
    """
    alone = estimate_memory(config, BatchShape(1, leads, patches), setup, code_head).total
    each = estimate_memory(config, BatchShape(2, leads, patches), setup, code_head).total - alone
    return max(0, int((memory_bytes - alone) // each) + 1) if alone <= memory_bytes else 0


@dataclass(frozen=True)
class StepTime:
    """
    Time of one optimiser step.

    Attributes:
        compute_s (`float`): Arithmetic of one device, recomputed activations included.
        communication_s (`float`): What passes between devices, hidden behind the arithmetic as far as it goes.
        records_per_s (`float`), tokens_per_s (`float`): Of all devices.
        utilisation (`float`): Model FLOP utilisation that results.
    """

    compute_s: float
    communication_s: float
    records_per_s: float
    tokens_per_s: float
    utilisation: float


def communicated_bytes(parameters: int, setup: TrainingSetup) -> float:
    """
    Bytes that each device sends in one step.

    Args:
        parameters (`int`): Parameters of the model, all trained.
        setup ([`TrainingSetup`]): How it is trained.

    Returns:
        `float`: DDP: a ring all-reduce of float32 gradients. FSDP2: two gathers of the weights in the precision of the
        arithmetic, and a reduce-scatter of float32 gradients.
    """
    share = (setup.devices - 1) / setup.devices
    if setup.sharding == "none":
        return 2 * share * FLOAT32 * parameters
    return share * parameters * (2 * (BF16 if setup.precision == "bf16" else FLOAT32) + FLOAT32)


def estimate_step(
    config: AnyECGConfig,
    batch: BatchShape,
    setup: TrainingSetup,
    peak_flops: float,
    link_bytes_per_s: float,
    reached: float,
    code_head: bool = True,
) -> StepTime:
    """
    Time of a step for an assumed share of the peak.

    Args:
        config ([`AnyECGConfig`]): The architecture.
        batch ([`BatchShape`]): What each device takes at once.
        setup ([`TrainingSetup`]): How it is trained.
        peak_flops (`float`): Peak of one device in FLOP/s.
        link_bytes_per_s (`float`): What one device sends to the others in a second.
        reached (`float`): Share of the peak that the arithmetic reaches while it runs: an assumption.
        code_head (`bool`, *optional*, defaults to `True`): As in [`estimate_memory`].

    Returns:
        [`StepTime`]
    """
    shape = (batch.records, batch.leads, batch.patches)
    model = training_flops(config, *shape, code_head=code_head)
    forward = forward_flops(config, batch)
    again = forward.layers + forward.attention if setup.activation_checkpointing else 0.0
    compute_s = (model + again) / (peak_flops * reached)
    communication_s = communicated_bytes(count_parameters(config, code_head).total, setup) / link_bytes_per_s
    step_s = max(compute_s, communication_s)
    return StepTime(
        compute_s=compute_s,
        communication_s=communication_s,
        records_per_s=setup.devices * batch.records / step_s,
        tokens_per_s=setup.devices * batch.tokens / step_s,
        utilisation=model_flop_utilisation(model, step_s, peak_flops),
    )


__all__ = [
    "MemoryEstimate",
    "StepTime",
    "TrainingSetup",
    "communicated_bytes",
    "embedding_activation_bytes",
    "estimate_memory",
    "estimate_step",
    "largest_batch",
    "layer_activation_bytes",
]
