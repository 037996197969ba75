# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How large a configuration may be: a downloaded one must not be able to fill the memory or to hang."""

import os
from typing import Any

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
    if not limited:
        return
    for name, most in MOST_ENTRIES.items():
        entries = len(getattr(config, name, ()))
        if entries > most:
            raise ValueError(_absurd(f"entries of {name}", entries, most))
    widest = max(config.patch_channels, default=0)
    if widest > SIZES["hidden_size"][1]:
        raise ValueError(_absurd("patch_channels", widest, SIZES["hidden_size"][1]))
    layers = config.num_hidden_layers + getattr(config, "num_decoder_layers", 0)
    parameters = layers * config.hidden_size * (4 * config.hidden_size + 2 * config.intermediate_size)
    if parameters > MOST_PARAMETERS:
        raise ValueError(_absurd("parameters of the layers", parameters, MOST_PARAMETERS))


def check_label_count(fields: dict[str, Any]) -> None:
    """
    Refuses more labels than any task has, before names are made up for them.

    Args:
        fields (`dict`): Of a configuration file.

    Raises:
        `ValueError`: names the number.
    """
    count = fields.get("num_labels")
    if isinstance(count, int) and count > MOST_LABELS and not sizes_are_free():
        raise ValueError(_absurd("num_labels", count, MOST_LABELS))


def sizes_are_free() -> bool:
    """Whether the upper bounds are lifted."""
    return os.environ.get(ANY_SIZE_VARIABLE, "") not in ("", "0")


def _absurd(name: str, value: int, most: int) -> str:
    return (
        f"`{name}` is {value:,}, and more than {most:,} is taken for a mistake or an attack. If it is meant, set the"
        f" environment variable {ANY_SIZE_VARIABLE}=1."
    )


__all__ = ["ANY_SIZE_VARIABLE", "SIZES", "check_label_count", "check_sizes", "sizes_are_free"]
