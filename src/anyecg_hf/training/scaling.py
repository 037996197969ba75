# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How large a model is and how much arithmetic a training step takes; tests hold both against the model's own code."""

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Literal

from anyecg_hf.models.anyecg.configuration_anyecg import (
    AnyECGArchitectureConfig,
    AnyECGConfig,
    AnyECGQuantizerConfig,
)
from anyecg_hf.models.anyecg.wavelets_anyecg import band_lengths

Precision = Literal["bf16", "float32"]

# Dense peak in FLOP/s by name of the device, from the makers' data sheets: bf16 with float32 sums, and float32 without
# TF32. The first name that a device's own contains counts.
PEAK_FLOPS: dict[str, dict[Precision, float]] = {
    "B200": {"bf16": 2250e12, "float32": 75e12},
    "H200": {"bf16": 989e12, "float32": 67e12},
    "H100 PCIe": {"bf16": 756e12, "float32": 51e12},
    "H100 NVL": {"bf16": 835e12, "float32": 60e12},
    "H100": {"bf16": 989e12, "float32": 67e12},
    "A100": {"bf16": 312e12, "float32": 19.5e12},
    "L40S": {"bf16": 362e12, "float32": 91.6e12},
    "A10": {"bf16": 125e12, "float32": 31.2e12},
    "L4": {"bf16": 121e12, "float32": 30.3e12},
}


def known_peak_flops(device_name: str, precision: Precision) -> float | None:
    """
    Peak of one device.

    Args:
        device_name (`str`): As `torch.cuda.get_device_name()` says it.
        precision (`str`): `"bf16"` or `"float32"`.

    Returns:
        `float`: FLOP/s, or `None` for a device that the table does not have.
    """
    words = f" {device_name.replace('-', ' ')} "
    return next((peak[precision] for name, peak in PEAK_FLOPS.items() if f" {name} " in words), None)


# Parameters


@dataclass(frozen=True)
class ParameterCounts:
    """
    Parameters of a backbone, part by part.

    Attributes:
        embeddings (`int`): Patch encoder, lead and time embeddings, mask token.
        layer (`int`): One Transformer layer.
        layers (`int`): Number of layers.
        norm (`int`): Last norm.
        head (`int`): Code head, if counted.
    """

    embeddings: int
    layer: int
    layers: int
    norm: int
    head: int

    @property
    def total(self) -> int:
        """All parts together."""
        return self.embeddings + self.layer * self.layers + self.norm + self.head


def count_parameters(config: AnyECGConfig, code_head: bool = False) -> ParameterCounts:
    """
    Counts the parameters of [`AnyECGModel`], or of [`AnyECGForMaskedCodeModeling`].

    Args:
        config ([`AnyECGConfig`]): The architecture.
        code_head (`bool`, *optional*, defaults to `False`): Whether the code head is there.

    Returns:
        [`ParameterCounts`]
    """
    width, inner = config.hidden_size, config.intermediate_size
    convolutions = sum(
        stage.inputs * stage.channels + 3 * stage.channels for stage in patch_encoder_stages(config)
    )  # weights; bias and the norm's two
    projection = (_projection_inputs(config) + 1) * width + config.patch_size * width
    tables = len(config.lead_names) + (config.max_time_positions if config.time_encoding == "learned" else 0)
    attention, mlp, norms = 4 * (width + 1) * width, 2 * width * inner + inner + width, 4 * width
    return ParameterCounts(
        embeddings=convolutions + projection + (tables + 1) * width,
        layer=attention + mlp + norms,
        layers=config.num_hidden_layers,
        norm=2 * width,
        head=(width + 1) * config.num_quantizers * config.codebook_size if code_head else 0,
    )


@dataclass(frozen=True)
class PatchEncoderStage:
    """One convolution of the patch encoder: `frames` times a map from `inputs` numbers to `channels`."""

    frames: int
    inputs: int
    channels: int


def patch_encoder_stages(config: AnyECGArchitectureConfig) -> list[PatchEncoderStage]:
    """The convolutions of the patch encoder as matrix products."""
    frames, stages = config.patch_size, []
    kernels = [config.patch_kernel_size, *config.patch_strides[1:]]
    widths = pairwise([1, *config.patch_channels])
    for (width, channels), kernel, stride in zip(widths, kernels, config.patch_strides, strict=True):
        frames //= stride
        stages.append(PatchEncoderStage(frames, width * kernel, channels))
    return stages


def _projection_inputs(config: AnyECGArchitectureConfig) -> int:
    last = patch_encoder_stages(config)[-1]
    return last.frames * last.channels


# Arithmetic


@dataclass(frozen=True)
class BatchShape:
    """
    What one device takes at once.

    Attributes:
        records (`int`): Records or windows.
        leads (`int`): Leads of each, padded ones included.
        patches (`int`): Patches of each lead, padded ones included.
    """

    records: int
    leads: int
    patches: int

    def __post_init__(self):
        for item in fields(self):
            if getattr(self, item.name) < 1:
                raise ValueError(f"`{item.name}` of a batch must be at least 1, got {getattr(self, item.name)}.")

    @property
    def tokens(self) -> int:
        """Tokens of the batch."""
        return self.records * self.leads * self.patches


@dataclass(frozen=True)
class ForwardFlops:
    """
    Floating-point operations of one forward pass, a multiplication and an addition counting as two. Only matrix
    products count, as is usual: norms, activations and sums are a few in a thousand.

    Attributes:
        signal (`float`): What reads the samples: first convolution and linear path.
        patch_encoder (`float`): The rest of the patch encoder.
        layers (`float`): Projections and feed-forward layers.
        attention (`float`): Scores and weighted sums of the pairs that the cardio-sparse pattern lets see each other.
        heads (`float`): Code head, or everything of the quantizer that is not a Transformer layer.
    """

    signal: float
    patch_encoder: float
    layers: float
    attention: float
    heads: float

    @property
    def total(self) -> float:
        """All parts together."""
        return self.signal + self.patch_encoder + self.layers + self.attention + self.heads


def seen_pairs(leads: int, patches: int, time_tolerance: int) -> int:
    """
    Pairs of query and key that see each other in one record.

    Args:
        leads (`int`), patches (`int`): L and N.
        time_tolerance (`int`): As in the config.

    Returns:
        `int`
    """
    reach = min(time_tolerance, patches - 1)
    in_band = patches * (2 * reach + 1) - reach * (reach + 1)
    return leads * patches**2 + leads * (leads - 1) * in_band


def forward_flops(config: AnyECGArchitectureConfig, batch: BatchShape, code_head: bool = False) -> ForwardFlops:
    """
    Arithmetic of one forward pass of a backbone or of the rhythm quantizer.

    Args:
        config ([`AnyECGConfig`] or [`AnyECGQuantizerConfig`]): The architecture.
        batch ([`BatchShape`]): Padded tokens count like others.
        code_head (`bool`, *optional*, defaults to `False`): Whether a backbone's codes are predicted (stage 2).

    Returns:
        [`ForwardFlops`]
    """
    width, tokens = config.hidden_size, batch.tokens
    first, *others = patch_encoder_stages(config)
    layers, heads = config.num_hidden_layers, config.num_quantizers * config.codebook_size * width if code_head else 0
    if isinstance(config, AnyECGQuantizerConfig):
        layers, heads = layers + config.num_decoder_layers, _quantizer_products(config)
    encoder = sum(stage.frames * stage.inputs * stage.channels for stage in others) + _projection_inputs(config) * width
    pairs = batch.records * seen_pairs(batch.leads, batch.patches, config.time_tolerance)
    return ForwardFlops(
        signal=2.0 * tokens * (first.frames * first.inputs * first.channels + config.patch_size * width),
        patch_encoder=2.0 * tokens * encoder,
        layers=2.0 * tokens * layers * (4 * width**2 + 2 * width * config.intermediate_size),
        attention=4.0 * pairs * layers * width,
        heads=2.0 * tokens * heads,
    )


def _quantizer_products(config: AnyECGQuantizerConfig) -> int:
    """Multiplications a token outside the layers: to the code space, through the codebooks, back, and the views."""
    wavelet = (config.wavelet, config.wavelet_levels, config.wavelet_mode, config.wavelet_intermediate)
    views = config.patch_size + sum(band_lengths(config.patch_size, *wavelet))
    to_code_space_and_back = 2 * config.hidden_size * config.codebook_dim
    codebooks = config.num_quantizers * config.codebook_size * config.codebook_dim
    return to_code_space_and_back + codebooks + config.hidden_size * views


def training_flops(
    config: AnyECGArchitectureConfig,
    batch_records: int,
    leads: int,
    patches: int,
    trained: bool = True,
    code_head: bool = False,
    weight_gradients: bool = True,
) -> float:
    """
    Model FLOPs of one step of one device: what the mathematics needs, recomputed activations not included.

    Args:
        config ([`AnyECGConfig`] or [`AnyECGQuantizerConfig`]): The architecture.
        batch_records (`int`), leads (`int`), patches (`int`): Shape of the batch.
        trained (`bool`, *optional*, defaults to `True`): Whether there is a backward pass through the backbone.
        code_head (`bool`, *optional*, defaults to `False`): Whether codes are predicted (stage 2).
        weight_gradients (`bool`, *optional*, defaults to `True`): Whether the backbone's own weights are trained; with
            adapters they are not, and the adapters' own arithmetic is left out.

    Returns:
        `float`

    Raises:
        `ValueError`: for an empty batch.

    Example:

    ```python
    >>> flops = training_flops(model.config, batch_records=32, leads=12, patches=10)
    >>> model_flop_utilisation(flops, seconds=0.2, peak_flops=known_peak_flops("NVIDIA A100-SXM4-80GB", "bf16"))
    ```
    """
    forward = forward_flops(config, BatchShape(batch_records, leads, patches), code_head)
    if not trained:
        return forward.total
    if not weight_gradients:
        # Gradients pass through the layers, not on to the patches.
        return forward.total + forward.layers + 2 * forward.attention + forward.heads
    # The gradient of every product is two; the samples take none.
    return 3 * forward.total - forward.signal


def model_flop_utilisation(flops: float, seconds: float, peak_flops: float, devices: int = 1) -> float:
    """
    Share of the devices' peak that the model's own arithmetic takes.

    Args:
        flops (`float`): Model FLOPs of all devices together in that time, from [`training_flops`].
        seconds (`float`): Time they took.
        peak_flops (`float`): Peak of one device in FLOP/s.
        devices (`int`, *optional*, defaults to 1): Number of devices.

    Returns:
        `float`: between 0 and 1.

    Raises:
        `ValueError`: if time, peak or number of devices is not positive.
    """
    if not (seconds > 0 and peak_flops > 0 and devices > 0):
        raise ValueError(
            f"`seconds`, `peak_flops` and `devices` must be positive, got {seconds}, {peak_flops} and {devices}."
        )
    return flops / (seconds * peak_flops * devices)


__all__ = [
    "PEAK_FLOPS",
    "BatchShape",
    "ForwardFlops",
    "ParameterCounts",
    "PatchEncoderStage",
    "count_parameters",
    "forward_flops",
    "known_peak_flops",
    "model_flop_utilisation",
    "patch_encoder_stages",
    "seen_pairs",
    "training_flops",
]
