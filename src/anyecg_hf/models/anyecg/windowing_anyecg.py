# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How a record too long for a model is cut into windows, and what of its windows is said of the record."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch


def window_spans(patches: int, length: int) -> list[slice]:
    """
    Covers a record with the fewest windows, evenly split: a short rest would be judged out of context.

    Args:
        patches (`int`): Patches of the record.
        length (`int`): Patches that a window has at most.

    Returns:
        `list[slice]`: one window after the other, their lengths differing by at most one patch.

    Raises:
        `ValueError`: if `length` is not positive.

    Example:

    ```python
    >>> window_spans(41, 40)
    [slice(0, 20, None), slice(20, 41, None)]
    ```
    """
    if length < 1:
        raise ValueError(f"a window must have at least one patch, got `length` {length}.")
    count = -(-patches // length)
    edges = [patches * index // count for index in range(count + 1)] if count else []
    return [slice(start, stop) for start, stop in zip(edges, edges[1:], strict=False)]


def check_window(window_s: float | None) -> None:
    """Raises `ValueError` unless it is a positive number of seconds, or `None` for the training window."""
    if window_s is not None and not (math.isfinite(window_s) and window_s > 0):
        raise ValueError(f"the window must be a positive number of seconds, got {window_s:g}.")


def longest_window(window_s: float | None, trained_patches: int, patch_s: float) -> int:
    """Patches of the longest window of `window_s` seconds, at least one; the training window for `None`."""
    return trained_patches if window_s is None else max(1, round(window_s / patch_s))


def beyond_training(window_s: float | None, trained_patches: int, patch_s: float) -> str | None:
    """What to warn of if windows of `window_s` seconds are longer than those of the training, else `None`."""
    trained_s = trained_patches * patch_s
    if window_s is None or window_s <= trained_s:
        return None
    return (
        f"windows of {window_s:g} s are longer than the {trained_s:g} s that the checkpoint was trained on: what it"
        " says of them is less certain."
    )


def cut_feature(feature: Mapping[str, Any], length: int) -> list[dict[str, Any]]:
    """The windows of one record's model input ([`AnyECGTokenizer.feature`]), of at most `length` patches."""
    return [
        {
            **feature,
            "input_values": feature["input_values"][:, span],
            "attention_mask": feature["attention_mask"][:, span],
        }
        for span in window_spans(feature["attention_mask"].shape[1], length)
    ]


def mean_over_windows(values: Sequence[torch.Tensor], real_patches: Sequence[int]) -> torch.Tensor:
    """
    What is said of a record: the mean over its windows, each weighted by its patches that are not masked.

    Args:
        values (`Sequence[torch.Tensor]`, each of shape `(D,)`): Embedding or probabilities of each window.
        real_patches (`Sequence[int]`): Patches of each window that are not masked, over all leads.

    Returns:
        `torch.Tensor` of shape `(D,)`, float32 on the CPU.

    Raises:
        `ValueError`: if nothing is real.
    """
    tokens = sum(real_patches)
    if not tokens:
        raise ValueError("every patch of the record is masked: there is nothing to embed or classify.")
    return sum(real * value.float().cpu() for real, value in zip(real_patches, values, strict=True)) / tokens


def nothing_usable(record_id: str | None, lead_names: Sequence[str], unusable: Mapping[int, str]) -> ValueError:
    """The error for a record without a usable patch, with its leads and why."""
    reasons = ", ".join(f"{lead_names[lead]} is {why}" for lead, why in sorted(unusable.items()))
    return ValueError(f"no lead of {record_id or 'the record'} can be used: {reasons or 'all is missing'}.")


__all__ = [
    "beyond_training",
    "check_window",
    "cut_feature",
    "longest_window",
    "mean_over_windows",
    "nothing_usable",
    "window_spans",
]
