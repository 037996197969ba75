# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Configurations of AnyECG: the backbone and the rhythm quantizer."""

from dataclasses import fields
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from .compatibility_anyecg import CONFIG_VERSION, check_config_version
from .config_files_anyecg import AnyECGConfigFileMixin
from .limits_anyecg import check_lead_names, check_sizes
from .presets_anyecg import IS_REMOTE_CODE, LEAD_NAMES, PRESETS, UNKNOWN_LEAD, WAVELET_BAND_STD
from .requirements_anyecg import pywt

TIME_ENCODINGS = ("learned", "rotary")


@strict
class AnyECGArchitectureConfig(AnyECGConfigFileMixin, PreTrainedConfig):
    r"""
    What the backbone and the rhythm quantizer have in common: the shape of a token and of a Transformer layer.

    Args:
        patch_size (`int`, *optional*, defaults to 300):
            Samples of one lead in one patch, which is one token (paper: 300, one second).
        sampling_rate (`int`, *optional*, defaults to 300):
            Rate of the patches in Hz (paper: 300).
        lead_names (`list[str]`, *optional*):
            The lead vocabulary that `lead_ids` index into. Defaults to the package's vocabulary; its order never
            changes.
        hidden_size (`int`, *optional*, defaults to 1024):
            Width of the token embeddings.
        num_hidden_layers (`int`, *optional*, defaults to 20):
            Transformer layers (of the encoder, in the quantizer).
        num_attention_heads (`int`, *optional*, defaults to 16):
            Attention heads of every layer; must divide `hidden_size`.
        intermediate_size (`int`, *optional*, defaults to 4096):
            Width of the feed-forward layers.
        hidden_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of the feed-forward layers and of the patch encoder.
        hidden_dropout (`float`, *optional*, defaults to 0.0):
            Dropout after every attention and feed-forward block.
        attention_dropout (`float`, *optional*, defaults to 0.0):
            Dropout on the attention weights.
        layer_norm_eps (`float`, *optional*, defaults to 1e-6):
            Epsilon of layer and group norms.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the initial weights.
        patch_channels (`list[int]`, *optional*, defaults to `[64, 128, 256]`):
            Output channels of the patch encoder's 1-D convolutions.
        patch_strides (`list[int]`, *optional*, defaults to `[5, 3, 4]`):
            Their strides; the product must divide `patch_size`.
        patch_kernel_size (`int`, *optional*, defaults to 15):
            Kernel size of the first convolution in samples; later kernels are as wide as their stride.
        patch_norm_groups (`int`, *optional*, defaults to 8):
            Groups of the patch encoder's group norms; must divide every entry of `patch_channels`.
        time_tolerance (`int`, *optional*, defaults to 1):
            Cardio-Sparse Attention: how many patches a key of another lead may lie before or after the query.
        time_encoding (`str`, *optional*, defaults to `"learned"`):
            `"learned"`, a table of `max_time_positions` rows (paper), or `"rotary"`, legal for any length.
        max_time_positions (`int`, *optional*, defaults to 85):
            Rows of the learned table; 85 patches of 12 leads are the paper's 1024 tokens.
        trained_time_positions (`int`, *optional*):
            How many time positions training has covered; `None` if unknown. Written by the training code.
        rotary_base (`float`, *optional*, defaults to 10000.0):
            Base of the rotary frequencies.
        codebook_size (`int`, *optional*, defaults to 8192):
            Codes per codebook, K.
        num_quantizers (`int`, *optional*, defaults to 1):
            Residual codebooks, Q. With more than one, codes have a trailing axis of this length.
        config_version (`str`, *optional*):
            Of the file; a later major number is refused.
    """

    patch_size: int = 300
    sampling_rate: int = 300
    lead_names: list[str] | tuple[str, ...] = LEAD_NAMES
    hidden_size: int = 1024
    num_hidden_layers: int = 20
    num_attention_heads: int = 16
    intermediate_size: int = 4096
    hidden_act: str = "gelu"
    hidden_dropout: float | int = 0.0
    attention_dropout: float | int = 0.0
    layer_norm_eps: float = 1e-6
    initializer_range: float | int = 0.02
    patch_channels: list[int] | tuple[int, ...] = (64, 128, 256)
    patch_strides: list[int] | tuple[int, ...] = (5, 3, 4)
    patch_kernel_size: int = 15
    patch_norm_groups: int = 8
    time_tolerance: int = 1
    time_encoding: str = "learned"
    max_time_positions: int = 85
    trained_time_positions: int | None = None
    rotary_base: float | int = 10000.0
    codebook_size: int = 8192
    num_quantizers: int = 1
    config_version: str = CONFIG_VERSION

    def __post_init__(self, **kwargs: Any) -> None:
        # With the package its own classes load a checkpoint, and what they save has no code beside it.
        if not IS_REMOTE_CODE:
            kwargs.pop("auto_map", None)
        super().__post_init__(**kwargs)

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def patch_seconds(self) -> float:
        """Duration of one patch in seconds."""
        return self.patch_size / self.sampling_rate

    @property
    def trained_window_patches(self) -> int:
        """Patches of the longest window that training has covered; `max_time_positions` where that is not known."""
        trained = self.trained_time_positions or self.max_time_positions
        return min(trained, self.max_time_positions) if self.time_encoding == "learned" else trained

    @property
    def unknown_lead_id(self) -> int:
        """Index of the lead `unknown` in `lead_names`."""
        return list(self.lead_names).index(UNKNOWN_LEAD)

    def validate_architecture(self) -> None:
        """Refuses impossible shapes. Raises `ValueError` that names the fields and their values."""
        check_config_version(self.config_version, "the configuration")
        check_sizes(self)
        if self.time_tolerance < 0:
            raise ValueError(f"`time_tolerance` is a number of patches and must be >= 0, got {self.time_tolerance}.")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` ({self.hidden_size}) must be a multiple of `num_attention_heads`"
                f" ({self.num_attention_heads})."
            )
        if self.hidden_act not in ACT2FN:
            raise ValueError(f"`hidden_act` must be one of {sorted(ACT2FN)}, got {self.hidden_act!r}.")
        for name in ("hidden_dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` is a probability and must lie in [0, 1), got {getattr(self, name)}.")
        if self.rotary_base <= 1:
            raise ValueError(f"`rotary_base` must be larger than 1, got {self.rotary_base}.")
        if self.time_encoding not in TIME_ENCODINGS:
            raise ValueError(f"`time_encoding` must be one of {TIME_ENCODINGS}, got {self.time_encoding!r}.")
        if self.time_encoding == "rotary" and self.head_size % 2:
            raise ValueError(f"Rotary time encoding needs an even head size, got {self.head_size}.")
        check_lead_names(self.lead_names)
        self._validate_patch_encoder()

    def _validate_patch_encoder(self) -> None:
        if len(self.patch_channels) != len(self.patch_strides) or not self.patch_channels:
            raise ValueError(
                "`patch_channels` and `patch_strides` must have one entry for each convolution, got"
                f" {list(self.patch_channels)} and {list(self.patch_strides)}."
            )
        if self.patch_kernel_size < self.patch_strides[0]:
            raise ValueError(
                f"`patch_kernel_size` ({self.patch_kernel_size}) must be at least the first stride"
                f" ({self.patch_strides[0]}), or samples are skipped."
            )
        frames = self.patch_size
        for stride in self.patch_strides:
            if stride < 1 or frames % stride:
                raise ValueError(
                    f"the product of `patch_strides` {list(self.patch_strides)} must divide `patch_size`"
                    f" ({self.patch_size})."
                )
            frames //= stride
        if any(channels % self.patch_norm_groups for channels in self.patch_channels):
            raise ValueError(
                f"`patch_norm_groups` ({self.patch_norm_groups}) must divide every entry of `patch_channels`"
                f" {list(self.patch_channels)}."
            )


@strict
class AnyECGConfig(AnyECGArchitectureConfig):
    r"""
    Configuration of the AnyECG backbone ([`AnyECGModel`]) and its heads.

    The defaults are the paper's AnyECG-B ("base"); [`AnyECGConfig.from_preset`] has the other sizes. Fields shared with
    the quantizer are described in [`AnyECGArchitectureConfig`].

    Args:
        use_scale_embeddings (`bool`, *optional*, defaults to `False`):
            Whether tokens are told the recording scale, without which a model does not know voltages.
        classifier_pooling (`str`, *optional*, defaults to `"mean"`):
            What [`AnyECGForSequenceClassification`] pools the tokens by: `"mean"`, `"mean_max"`, which joins the mean
            and the maximum over real tokens, or `"attention"` by learned queries.
        classifier_dropout (`float`, *optional*, defaults to 0.0):
            Dropout before the classification layer.
        label_descriptions (`dict[str, str]`, *optional*), label_thresholds (`dict[str, float]`, *optional*):
            What each label means in words, and the probability from which on a multi-label class counts as present.
        window_patches (`int`, *optional*):
            [`AnyECGForLongRecordClassification`]: patches of the windows that a long record is cut into. `None` takes
            the longest that training has covered, [`trained_window_patches`].
        num_window_layers (`int`, *optional*, defaults to 2):
            [`AnyECGForLongRecordClassification`]: layers of the Transformer over windows; heads and widths are the
            backbone's.
        windows_per_forward (`int`, *optional*, defaults to 16):
            [`AnyECGForLongRecordClassification`]: windows that pass through the backbone together where no gradient
            flows through it. Bounds the memory that a long record takes.
        freeze_backbone (`bool`, *optional*, defaults to `False`):
            [`AnyECGForLongRecordClassification`]: whether only the head is trained.
        token_label_level (`str`, *optional*, defaults to `"time"`):
            [`AnyECGForTokenClassification`]: whether there is a label for every patch `"time"`, over all leads, or for
            every `"lead"` and patch.
        num_record_features (`int`, *optional*, defaults to 64), reconstruction_delays (defaults to `(-6, 0, 6)`):
            [`AnyECGForLeadReconstruction`]: units that make a record's own weights, and samples its leads are moved by.
        reconstruction_width (`int`, *optional*, defaults to 64), num_reconstruction_layers (`int`, defaults to 6),
        reconstruction_kernel_size (`int`, defaults to 5), reconstruction_stride (`int`, defaults to 3):
            [`AnyECGForLeadReconstruction`]: channels and number of its convolutions, their odd kernel size in frames,
            and samples of a frame, which must divide `patch_size`.
        reconstruction_loss (`str`, *optional*, defaults to `"log_mse"`):
            [`AnyECGForLeadReconstruction`]: `"mse"`, or `"log_mse"`, the logarithm of each lead's error per power.

    Example:

    ```python
    >>> from anyecg_hf import AnyECGConfig, AnyECGModel

    >>> config = AnyECGConfig.from_preset("small", time_encoding="rotary")
    >>> model = AnyECGModel(config)
    ```
    """

    model_type = "anyecg"
    base_model_tp_plan = {
        "layers.*.attention.q_proj": "colwise",
        "layers.*.attention.k_proj": "colwise",
        "layers.*.attention.v_proj": "colwise",
        "layers.*.attention.o_proj": "rowwise",
        "layers.*.mlp.up_proj": "colwise",
        "layers.*.mlp.down_proj": "rowwise",
    }
    base_model_fsdp_plan = {"layers.*": "free_full_weight", "norm": "keep_full_weight"}
    # Trainer hands all outputs but these to `compute_metrics`.
    keys_to_ignore_at_inference = ["window_embeddings", "window_mask", "linear_estimate"]

    use_scale_embeddings: bool = False
    classifier_pooling: str = "mean"
    classifier_dropout: float | int = 0.0
    label_descriptions: dict[str, str] | None = None
    label_thresholds: dict[str, float] | None = None
    window_patches: int | None = None
    num_window_layers: int = 2
    windows_per_forward: int = 16
    freeze_backbone: bool = False
    token_label_level: str = "time"
    num_record_features: int = 64
    reconstruction_delays: list[int] | tuple[int, ...] = (-6, 0, 6)
    reconstruction_width: int = 64
    num_reconstruction_layers: int = 6
    reconstruction_kernel_size: int = 5
    reconstruction_stride: int = 3
    reconstruction_loss: str = "log_mse"

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "AnyECGConfig":
        """
        Builds one of the named sizes.

        Args:
            name (`str`):
                `"tiny"` and `"small"` (ours), `"base"`, `"large"` or `"xl"` (the paper's 254M, 500M and 1.7B).
            overrides:
                Fields that differ from the preset.

        Raises:
            `ValueError`: if there is no such preset.
            `TypeError`: for a field that does not exist.
        """
        if name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}: choose one of {sorted(PRESETS)}.")
        known = {field.name for field in fields(cls)} | {"num_labels", "attn_implementation"}
        if not overrides.keys() <= known:
            raise TypeError(f"unknown fields of {cls.__name__}: {sorted(overrides.keys() - known)}.")
        return cls(**{**PRESETS[name], **overrides})

    def validate_architecture(self) -> None:
        super().validate_architecture()
        if self.classifier_pooling not in ("mean", "mean_max", "attention"):
            raise ValueError(
                f"`classifier_pooling` must be 'mean', 'mean_max' or 'attention', got {self.classifier_pooling!r}."
            )
        if self.token_label_level not in ("time", "lead"):
            raise ValueError(f"`token_label_level` must be 'time' or 'lead', got {self.token_label_level!r}.")
        if self.reconstruction_loss not in ("mse", "log_mse"):
            raise ValueError(f"`reconstruction_loss` must be 'mse' or 'log_mse', got {self.reconstruction_loss!r}.")
        if self.reconstruction_kernel_size % 2 == 0:
            raise ValueError(f"`reconstruction_kernel_size` must be odd, got {self.reconstruction_kernel_size}.")
        longest = self.trained_window_patches
        if self.time_encoding == "learned" and self.window_patches is not None and self.window_patches > longest:
            raise ValueError(
                f"`window_patches` ({self.window_patches}) goes beyond the {longest} learned time positions that were"
                ' trained: use shorter windows, or a model with `time_encoding="rotary"`, which has no limit.'
            )


@strict
class AnyECGQuantizerConfig(AnyECGArchitectureConfig):
    r"""
    Configuration of the rhythm quantizer ([`AnyECGRhythmQuantizer`], stage 1).

    Fields shared with the backbone are described in [`AnyECGArchitectureConfig`]; their defaults differ here
    (width 384, four layers as the paper says, six heads).

    Args:
        num_decoder_layers (`int`, *optional*, defaults to 3):
            Transformer layers of the multi-view decoder.
        codebook_dim (`int`, *optional*, defaults to 64):
            Length d of a code vector.
        codebook_update (`str`, *optional*, defaults to `"ema"`):
            `"ema"` moves codes to the running mean of their vectors, `"loss"` trains them by gradient (paper).
        ema_decay (`float`, *optional*, defaults to 0.99):
            Decay of the running means.
        codebook_warmup_updates (`int`, *optional*, defaults to 150):
            Optimiser steps without quantization before the k-means start.
        codebook_revival_threshold (`float`, *optional*, defaults to 0.05):
            A code used less than this share of uniform use is replaced by a vector of the current batch; 0 switches
            revival off.
        codebook_reservoir_size (`int`, *optional*, defaults to 16384):
            Encoder vectors kept for the k-means start and for revival.
        kmeans_iterations (`int`, *optional*, defaults to 20):
            Iterations of the (spherical) k-means start.
        codebook_seed (`int`, *optional*, defaults to 0):
            Seed of the k-means start and of revival.
        min_codebook_usage (`float`, *optional*, defaults to 0.2):
            Share of codes in use below which training stops: the codebook has collapsed.
        wavelet (`str`, *optional*, defaults to `"db6"`), wavelet_mode (`str`, *optional*, defaults to `"symmetric"`):
            Wavelet and border mode of the frequency target, in PyWavelets' names.
        wavelet_levels (`int`, *optional*, defaults to 4):
            Levels of the frequency target; 4 is the most that 300 samples allow with db6.
        wavelet_intermediate (`bool`, *optional*, defaults to `False`):
            Whether the target also holds the redundant approximations of every level (the paper's wording).
        wavelet_band_std (`list[float]`, *optional*):
            Standard deviation of each band of the target, in the order cA_n, cD_n ... cD_1, for signals in recording
            scale. `None` takes constants measured on real records.
        demographics_mean (`list[float]`, *optional*), demographics_std (`list[float]`, *optional*):
            Mean and standard deviation of age (years), weight (kg) and sex (0 male, 1 female); PTB-XL folds 1-8.
        morphology_weight, frequency_weight, demography_weight, codebook_weight, commitment_weight (`float`):
            Weights of the five loss terms, all 1.0 as in the paper; the last is its beta.
        loss_reduction (`str`, *optional*, defaults to `"mean"`):
            `"mean"` over real elements of unit-variance targets, or the paper's plain `"sum"`.
    """

    model_type = "anyecg_quantizer"

    hidden_size: int = 384
    num_hidden_layers: int = 4
    num_attention_heads: int = 6
    intermediate_size: int = 1536
    num_decoder_layers: int = 3
    codebook_dim: int = 64
    codebook_update: str = "ema"
    ema_decay: float | int = 0.99
    codebook_warmup_updates: int = 150
    codebook_revival_threshold: float | int = 0.05
    codebook_reservoir_size: int = 16384
    kmeans_iterations: int = 20
    codebook_seed: int = 0
    min_codebook_usage: float | int = 0.2
    wavelet: str = "db6"
    wavelet_levels: int = 4
    wavelet_mode: str = "symmetric"
    wavelet_intermediate: bool = False
    wavelet_band_std: list[float | int] | None = None
    demographics_mean: list[float | int] | tuple[float | int, ...] = (59.3, 71.0, 0.48)
    demographics_std: list[float | int] | tuple[float | int, ...] = (16.8, 15.9, 0.5)
    morphology_weight: float | int = 1.0
    frequency_weight: float | int = 1.0
    demography_weight: float | int = 1.0
    codebook_weight: float | int = 1.0
    commitment_weight: float | int = 1.0
    loss_reduction: str = "mean"

    @property
    def wavelet_bands(self) -> list[str]:
        """Names of the target's bands, in order: `cA4`, `cD4` ... `cD1` (and `cA3` ... `cA1` if asked for)."""
        levels = range(self.wavelet_levels, 0, -1)
        bands = [f"cA{self.wavelet_levels}", *(f"cD{level}" for level in levels)]
        if self.wavelet_intermediate:
            bands += [f"cA{level}" for level in range(self.wavelet_levels - 1, 0, -1)]
        return bands

    @property
    def band_std(self) -> list[float]:
        """Standard deviation of each band of [`wavelet_bands`]."""
        if self.wavelet_band_std is not None:
            return list(self.wavelet_band_std)
        measured = [(WAVELET_BAND_STD[band[:2]], int(band[2:])) for band in self.wavelet_bands]
        return [std[min(level, len(std)) - 1] for std, level in measured]

    def validate_architecture(self) -> None:
        super().validate_architecture()
        if self.codebook_revival_threshold < 0 or self.codebook_warmup_updates < 0:
            raise ValueError(
                "`codebook_revival_threshold` and `codebook_warmup_updates` must be at least 0, got"
                f" {self.codebook_revival_threshold} and {self.codebook_warmup_updates}."
            )
        if self.codebook_update not in ("ema", "loss"):
            raise ValueError(f"`codebook_update` must be 'ema' or 'loss', got {self.codebook_update!r}.")
        if self.loss_reduction not in ("mean", "sum"):
            raise ValueError(f"`loss_reduction` must be 'mean' or 'sum', got {self.loss_reduction!r}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"`ema_decay` must lie in [0, 1), got {self.ema_decay}.")
        if len(self.demographics_mean) != 3 or len(self.demographics_std) != 3 or min(self.demographics_std) <= 0:
            raise ValueError(
                "`demographics_mean` and `demographics_std` hold age, weight and sex, with positive deviations; got"
                f" {list(self.demographics_mean)} and {list(self.demographics_std)}."
            )
        self._validate_wavelet()

    def _validate_wavelet(self) -> None:
        if self.wavelet not in pywt.wavelist(kind="discrete"):
            raise ValueError(f"`wavelet` must be a discrete wavelet of PyWavelets, got {self.wavelet!r}.")
        if self.wavelet_mode not in pywt.Modes.modes:
            raise ValueError(f"`wavelet_mode` must be one of {pywt.Modes.modes}, got {self.wavelet_mode!r}.")
        deepest = pywt.dwt_max_level(self.patch_size, pywt.Wavelet(self.wavelet).dec_len)
        if not 1 <= self.wavelet_levels <= deepest:
            raise ValueError(
                f"`wavelet_levels` must lie in 1..{deepest}: more than that does not fit a patch of"
                f" {self.patch_size} samples with {self.wavelet}; got {self.wavelet_levels}."
            )
        std = self.wavelet_band_std
        if std is not None and (len(std) != len(self.wavelet_bands) or min(std) <= 0):
            raise ValueError(f"`wavelet_band_std` needs a positive number for each of {self.wavelet_bands}, got {std}.")


__all__ = ["LEAD_NAMES", "PRESETS", "UNKNOWN_LEAD", "AnyECGArchitectureConfig", "AnyECGConfig", "AnyECGQuantizerConfig"]
