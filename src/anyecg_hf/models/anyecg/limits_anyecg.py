# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How large a configuration may be: a downloaded one must not be able to fill the memory or to hang."""

import math
import os
from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from typing import Any

from .presets_anyecg import UNKNOWN_LEAD

# Lifts the upper bounds, for who builds such a model on purpose.
ANY_SIZE_VARIABLE = "ANYECG_ALLOW_ANY_SIZE"

# Least and most of every size. The largest preset, `xl`, has 34 layers, width 2048 and 1.7e9 parameters.
SIZES: dict[str, tuple[int, int]] = {
    "patch_size": (1, 2**20),
    "sampling_rate": (1, 100_000),
    "hidden_size": (1, 65_536),
    "num_hidden_layers": (1, 1000),
    "num_attention_heads": (1, 4096),
    "intermediate_size": (1, 2**20),
    "patch_kernel_size": (1, 2**16),
    "patch_norm_groups": (1, 65_536),
    "max_time_positions": (1, 2**24),
    "codebook_size": (1, 2**20),
    "num_quantizers": (1, 64),
    "num_decoder_layers": (1, 1000),
    "codebook_dim": (1, 65_536),
    "codebook_reservoir_size": (1, 2**24),
    "kmeans_iterations": (1, 10_000),
    "num_window_layers": (1, 1000),
    "windows_per_forward": (1, 2**20),
    "window_patches": (1, 2**24),
    "num_reconstruction_layers": (1, 1000),
    "reconstruction_width": (1, 65_536),
    "reconstruction_kernel_size": (1, 1025),
    "reconstruction_stride": (1, 2**20),
    "num_record_features": (0, 65_536),
}
MOST_ENTRIES = {"patch_channels": 16, "patch_strides": 16, "lead_names": 4096, "reconstruction_delays": 64}
MOST_LABELS = 100_000
MOST_PARAMETERS = 2 * 10**10
# Of one tensor; the largest of `xl` with eight codebooks, its code head, has 1.3e8.
MOST_IN_TABLE = 2**30

# Least and most of what a tokenizer's cleaning is told; the rate's least is that of a record.
WHOLE_CLEANING_NUMBERS = {"sampling_rate": (50, 20_000), "patch_size": (2, 2**20), "filter_order": (1, 10)}
CLEANING_NUMBERS = {"bandpass_low_hz": 1e-3, "bandpass_high_hz": 1e-3, "notch_hz": 1e-3}
MOST_NOTCH_QUALITY = 1000
MOST_DENOISE_LEVELS = 20
LONGEST_PATCH_S = 60


def check_sizes(config: Any) -> None:
    """
    Refuses sizes that are impossible or absurd.

    Args:
        config ([`AnyECGConfig`] or [`AnyECGQuantizerConfig`]): Whatever of `SIZES` it has; `None` is any size.

    Raises:
        `ValueError`: names the field, its value and the bound.
    """
    limited = not sizes_are_free()
    for name, (least, most) in SIZES.items():
        value = getattr(config, name, None)
        if value is not None and value < least:
            raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        if value is not None and limited and value > most:
            raise ValueError(_absurd(name, value, most))
    for name, value in vars(config).items():
        for number in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"`{name}` must be finite, got {value}.")
    if not limited:
        return
    for name, most in MOST_ENTRIES.items():
        entries = len(getattr(config, name, ()))
        if entries > most:
            raise ValueError(_absurd(f"entries of {name}", entries, most))
    widest = max(config.patch_channels, default=0)
    if widest > SIZES["hidden_size"][1]:
        raise ValueError(_absurd("patch_channels", widest, SIZES["hidden_size"][1]))
    further = ("num_decoder_layers", "num_window_layers")
    layers = config.num_hidden_layers + sum(getattr(config, name, 0) for name in further)
    parameters = layers * config.hidden_size * (4 * config.hidden_size + 2 * config.intermediate_size)
    if parameters > MOST_PARAMETERS:
        raise ValueError(_absurd("parameters of the layers", parameters, MOST_PARAMETERS))
    for name, size in _tables(config):
        if size > MOST_IN_TABLE:
            raise ValueError(_absurd(name, size, MOST_IN_TABLE))


def _tables(config: Any) -> Iterator[tuple[str, int]]:
    """What decides the size of single tensors, each within its own bound, by the fields that are multiplied."""
    width, patch = config.hidden_size, config.patch_size
    yield "patch_size * hidden_size", patch * width
    frames = patch // math.prod(max(1, stride) for stride in config.patch_strides)
    yield "patch_size / patch_strides * patch_channels", frames * max(config.patch_channels, default=0) * width
    yield "codebook_size * num_quantizers * hidden_size", config.codebook_size * config.num_quantizers * width
    if config.time_encoding == "learned":
        yield "max_time_positions * hidden_size", config.max_time_positions * width
    yield "lead_names * hidden_size", len(config.lead_names) * width
    yield "labels * hidden_size", len(config.id2label or ()) * 2 * width
    if hasattr(config, "codebook_dim"):
        yield "patch_size * patch_size", patch * patch
        vectors = max(config.codebook_size * config.num_quantizers, config.codebook_reservoir_size)
        yield "codebook vectors * codebook_dim", vectors * config.codebook_dim
    if hasattr(config, "reconstruction_width"):
        kernel = config.reconstruction_width**2 * config.reconstruction_kernel_size
        yield "reconstruction_width ** 2 * layers", kernel * config.num_reconstruction_layers
        frame = config.reconstruction_stride * config.reconstruction_width
        yield "reconstruction_width * reconstruction_stride", frame * max(config.reconstruction_width, 128)
        pairs = len(config.lead_names) ** 2 * len(config.reconstruction_delays)
        yield "lead_names ** 2 * num_record_features", pairs * max(1, config.num_record_features)
        yield "reconstruction_delays", max(map(abs, config.reconstruction_delays), default=0)


def check_cleaning(settings: Any) -> None:
    """
    Refuses settings of the cleaning that are of another type, impossible or absurd.

    Args:
        settings ([`CleaningSettings`]): What a tokenizer is told.

    Raises:
        `ValueError`: names the field, its value and the bound.
    """
    for name, (least, most) in WHOLE_CLEANING_NUMBERS.items():
        value = getattr(settings, name)
        _check_number(name, value, Integral, "a whole number")
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        _check_most(name, value, most)
    seconds = settings.patch_size / settings.sampling_rate
    _check_most("patch_size / sampling_rate", seconds, LONGEST_PATCH_S)
    nyquist_hz = settings.sampling_rate / 2
    for name, least in CLEANING_NUMBERS.items():
        value = getattr(settings, name)
        if value is None:
            continue
        _check_number(name, value, Real, "a number of Hz, or None")
        if not 0 < value <= nyquist_hz:
            raise ValueError(f"`{name}` must lie between 0 and {nyquist_hz:g} Hz, or be None; got {value}.")
        if value < least and not sizes_are_free():
            raise ValueError(f"`{name}` is {value} Hz, which no ECG needs: use at least {least} Hz, or None.")
    _check_number("notch_quality", settings.notch_quality, Real, "a number")
    if not settings.notch_quality > 0:
        raise ValueError(f"`notch_quality` must be positive, got {settings.notch_quality}.")
    _check_most("notch_quality", settings.notch_quality, MOST_NOTCH_QUALITY)
    if not isinstance(settings.denoise, bool):
        raise ValueError(f"`denoise` must be true or false, got {settings.denoise!r}.")
    _check_number("denoise_levels", settings.denoise_levels, Integral, "a whole number")
    _check_most("denoise_levels", settings.denoise_levels, MOST_DENOISE_LEVELS)


def check_lead_names(names: Any) -> None:
    """
    Refuses what is no lead vocabulary.

    Args:
        names (`Sequence[str]`): The vocabulary of a model or a tokenizer.

    Raises:
        `ValueError`: shows what it is instead.
    """
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"`lead_names` must be a list of names, got {str(names)[:200]}.")
    if len(names) > MOST_ENTRIES["lead_names"] and not sizes_are_free():
        raise ValueError(_absurd("entries of lead_names", len(names), MOST_ENTRIES["lead_names"]))
    if len(set(names)) != len(names) or UNKNOWN_LEAD not in names:
        raise ValueError(f"`lead_names` must be unique and hold {UNKNOWN_LEAD!r}, got {str(list(names))[:200]}.")


def check_label_count(fields: dict[str, Any]) -> None:
    """
    Refuses more labels than any task has, before names are made up for them.

    Args:
        fields (`dict`): Of a configuration file.

    Raises:
        `ValueError`: names the number.
    """
    count = fields.get("num_labels")
    if "num_labels" in fields and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
        raise ValueError(f"`num_labels` must be a whole number, got {count!r}.")
    if count is not None and count > MOST_LABELS and not sizes_are_free():
        raise ValueError(_absurd("num_labels", count, MOST_LABELS))


def sizes_are_free() -> bool:
    """Whether the upper bounds are lifted."""
    return os.environ.get(ANY_SIZE_VARIABLE, "") not in ("", "0")


def _check_number(name: str, value: Any, kind: type, what: str) -> None:
    # JSON's `true` is a whole number to Python.
    if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value):
        raise ValueError(f"`{name}` must be {what}, got {value!r}.")


def _check_most(name: str, value: float, most: float) -> None:
    if value > most and not sizes_are_free():
        raise ValueError(_absurd(name, value, most))


def _absurd(name: str, value: float, most: float) -> str:
    return (
        f"`{name}` is {value:,}, and more than {most:,} is taken for a mistake or an attack. If it is meant, set the"
        f" environment variable {ANY_SIZE_VARIABLE}=1."
    )


__all__ = [
    "ANY_SIZE_VARIABLE",
    "SIZES",
    "check_cleaning",
    "check_label_count",
    "check_lead_names",
    "check_sizes",
    "sizes_are_free",
]
