# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Several corpora as one dataset."""

import math
from collections.abc import Mapping

import datasets

from .schema import check_one_split
from .signal_feature import ECG_FORMAT


def mix_corpora(
    corpora: Mapping[str, datasets.Dataset | datasets.IterableDataset],
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
    stopping_strategy: str = "all_exhausted",
) -> datasets.Dataset | datasets.IterableDataset:
    """
    Draws rows from several corpora by weight. A stream of the result can be resumed exactly (`state_dict`).

    Args:
        corpora (`Mapping[str, datasets.Dataset]`, or of `datasets.IterableDataset`):
            Name -> dataset of one kind and with the same columns.
        weights (`Mapping[str, float]`, *optional*):
            Name -> how often a row is drawn from it, relative to the others; by default from each as often as it has
            rows, so that every row counts the same (not for streams, whose length is unknown).
        seed (`int`, *optional*, defaults to 0):
            Of the draws.
        stopping_strategy (`str`, *optional*, defaults to `"all_exhausted"`):
            `"all_exhausted"` goes on, repeating the shorter ones, until each has been seen whole; `"first_exhausted"`
            stops with the first.

    Returns:
        `datasets.Dataset` or `datasets.IterableDataset`

    Raises:
        `ValueError`: if there is nothing to mix, if weights and corpora do not match, or if columns differ.
    """
    if not corpora:
        raise ValueError("`corpora` must name at least one dataset, got none.")
    parts = list(corpora.values())
    for part in parts:
        check_one_split(part)
    are_streams = {isinstance(part, datasets.IterableDataset) for part in parts}
    if len(are_streams) > 1:
        raise ValueError("`corpora` must be all streams or all not: load them with the same `streaming`.")
    _check_columns(corpora)
    if weights is None:
        if are_streams == {True}:
            raise ValueError("streams do not know their length: pass `weights`, for example {'ptb-xl': 2, 'sph': 1}.")
        weights = {name: len(part) for name, part in corpora.items()}
    shares = _shares(corpora, weights)
    mixed = datasets.interleave_datasets(parts, probabilities=shares, seed=seed, stopping_strategy=stopping_strategy)
    return mixed if are_streams == {True} else mixed.with_format(ECG_FORMAT)


def _shares(corpora: Mapping[str, object], weights: Mapping[str, float]) -> list[float]:
    if set(weights) != set(corpora):
        raise ValueError(f"`weights` must have the names {', '.join(corpora)}, got {', '.join(weights)}.")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights.values()):
        raise ValueError(f"`weights` must be positive numbers, got {dict(weights)}.")
    total = sum(weights.values())
    return [weights[name] / total for name in corpora]


def _check_columns(corpora: Mapping[str, datasets.Dataset | datasets.IterableDataset]) -> None:
    first, *others = corpora
    expected = corpora[first].features
    for name in others:
        found = corpora[name].features
        if found != expected:
            odd = sorted(key for key in {*expected, *found} if expected.get(key) != found.get(key))
            raise ValueError(f"`corpora` must have the same columns: {name} and {first} differ in {', '.join(odd)}.")


__all__ = ["mix_corpora"]
