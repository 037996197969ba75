# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records of different sizes -> one batch, zero-padded in leads and patches."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature

from .inputs_anyecg import to_numpy


def pad_features(
    processed_features: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
    padding: bool | str,
    max_length: int | None,
    return_tensors: str | None,
) -> BatchFeature:
    """
    What [`AnyECGTokenizer.pad`] does; arguments as there.

    Raises:
        `ValueError`: for an unknown `padding`, a missing `max_length`, or tensors of records that differ in size.
    """
    if isinstance(processed_features, Mapping):
        keys = list(processed_features)
        processed_features = [
            dict(zip(keys, row, strict=True)) for row in zip(*processed_features.values(), strict=True)
        ]
    columns = {key: [to_numpy(item[key]) for item in processed_features] for key in processed_features[0]}
    if padding not in (True, False, "longest", "max_length", "do_not_pad"):
        raise ValueError(f"`padding` must be True, False, 'longest', 'max_length' or 'do_not_pad', got {padding!r}.")
    if padding is False or padding == "do_not_pad":
        stackable = {len({value.shape for value in values}) == 1 for values in columns.values()}
        if return_tensors is not None and stackable != {True}:
            raise ValueError("records of different sizes need `padding=True` to become one tensor.")
        if return_tensors is None:
            return BatchFeature(columns)
    leads = max(len(values) for values in columns["lead_ids"])
    longest = max(values.shape[1] for values in columns["input_values"])
    if padding == "max_length":
        if max_length is None:
            raise ValueError('`padding="max_length"` needs `max_length_s` (or `max_length`, in patches).')
        longest = max(longest, max_length)
    shapes = {
        "input_values": (leads, longest, columns["input_values"][0].shape[2]),
        "attention_mask": (leads, longest),
        "lead_ids": (leads,),
    }
    batch = {
        key: _stack_padded(values, shapes[key]) if key in shapes else np.stack(values)
        for key, values in columns.items()
    }
    return BatchFeature(batch, tensor_type=return_tensors or "np")


def patches_within(max_length_s: float | None, patch_s: float, truncation: bool, padding: bool | str) -> int | None:
    """
    Whole patches in `max_length_s`, `None` if there is no limit. Raises `ValueError` if the arguments of
    [`AnyECGTokenizer`]'s call contradict each other.
    """
    if max_length_s is None:
        if truncation or padding == "max_length":
            raise ValueError('`truncation=True` and `padding="max_length"` need `max_length_s`, in seconds.')
        return None
    if not truncation and padding != "max_length":
        raise ValueError('`max_length_s` needs `truncation=True` or `padding="max_length"` to have an effect.')
    patches = int(max_length_s / patch_s + 1e-9)
    if patches < 1:
        raise ValueError(f"`max_length_s` must be at least one patch ({patch_s:g} s), got {max_length_s}.")
    return patches


def _stack_padded(values: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    stacked = np.zeros((len(values), *shape), dtype=values[0].dtype)
    for row, value in zip(stacked, values, strict=True):
        row[tuple(slice(size) for size in value.shape)] = value
    return stacked


__all__ = ["pad_features", "patches_within"]
