# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What pipelines may be told, checked."""

import math
from collections.abc import Iterable, Mapping
from typing import Any


def check_top_k(top_k: Any) -> None:
    """Raises `ValueError` unless it is a positive integer, or `None` for all."""
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1):
        raise ValueError(f"`top_k` must be a positive integer, or None for all classes; got {top_k!r}.")


def check_thresholds(threshold: Any, labels: Iterable[str]) -> None:
    """Raises `ValueError` unless it is a probability, a mapping from `labels` to probabilities, or `None`."""
    if threshold is None:
        return
    labels = list(labels)
    by_label = threshold if isinstance(threshold, Mapping) else {"threshold": threshold}
    if isinstance(threshold, Mapping) and not by_label.keys() <= set(labels):
        strange = sorted(map(str, by_label.keys() - set(labels)))
        raise ValueError(f"`threshold` names {strange}, which are no classes of this checkpoint: it has {labels}.")
    for value in by_label.values():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"`threshold` must be a probability from 0 to 1, or one for each label; got {value!r}.")


__all__ = ["check_thresholds", "check_top_k"]
