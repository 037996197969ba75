# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What every protocol asks of checkpoints: where they run, how they clean records, and what they were trained on."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..models.anyecg import AnyECGTokenizer
from ..models.anyecg.compatibility_anyecg import check_tokenizer_matches
from ..training.leaks import LeakError, RowKey, leak_keys
from ..training.model_configs import load_tokenizer
from ..training.record_lists import trained_records
from .evaluation_configs import EvaluationConfig

logger = logging.getLogger(__name__)


def evaluation_device(config: EvaluationConfig) -> torch.device:
    """Where the models of an evaluation run."""
    return torch.device("cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu")


def shared_tokenizer(checkpoints: Sequence[str]) -> AnyECGTokenizer:
    """
    The tokenizer of checkpoints that are evaluated on the same cleaned records.

    Args:
        checkpoints (`Sequence[str]`): At least one.

    Returns:
        [`AnyECGTokenizer`]

    Raises:
        `ValueError`: if they clean records differently, or one is a path to nothing.
    """
    tokenizers = {checkpoint: load_tokenizer(checkpoint) for checkpoint in checkpoints}
    refuse_different(tokenizers, _cleaning_settings, "clean records differently")
    return tokenizers[checkpoints[0]]


def _cleaning_settings(tokenizer: AnyECGTokenizer) -> dict[str, Any]:
    return {name: value for name, value in tokenizer.to_dict().items() if not name.startswith("_")}


def refuse_different(items: Mapping[str, Any], settings: Callable[[Any], dict[str, Any]], what: str) -> None:
    """
    Refuses checkpoints that differ where they must not.

    Args:
        items (`Mapping[str, Any]`): Checkpoint -> what was loaded from it.
        settings (`Callable`): What of it must be the same for all.
        what (`str`): What they do if it is not, for the error.

    Raises:
        `ValueError`: names two checkpoints, and both values of each setting.
    """
    found = {name: settings(item) for name, item in items.items()}
    for name, values in found.items():
        first, expected = next(iter(found.items()))
        odd = {key: (expected.get(key), values.get(key)) for key in {*expected, *values}}
        odd = {key: pair for key, pair in odd.items() if pair[0] != pair[1]}
        if odd:
            raise ValueError(f"{first} and {name} {what}: {odd}. Evaluate them one by one.")


def refuse_long_windows(window_s: float, models: Sequence[nn.Module], tokenizer: AnyECGTokenizer) -> None:
    """
    Raises `ValueError` if one of the models was trained on shorter windows than `window_s` seconds, or on other patches
    than the tokenizer makes.
    """
    for model in models:
        check_tokenizer_matches(model.config, tokenizer)
        longest_s = model.config.trained_window_patches * tokenizer.patch_seconds
        if window_s > longest_s:
            raise ValueError(f"`data.window_s` is {window_s:g}, but a model was trained on windows of {longest_s:g} s.")


def refuse_seen_records(checkpoint: str, test: Sequence[RowKey]) -> dict[str, Any]:
    """
    Refuses to evaluate a checkpoint on records that it was trained or selected on.

    Args:
        checkpoint (`str`): The checkpoint.
        test (`Sequence[RowKey]`): Test records.

    Returns:
        `dict`: how many `records` it and its ancestors have seen, and of which checkpoints that is `unknown`.

    Raises:
        [`LeakError`]: names a pair of records.
    """
    seen = trained_records(checkpoint)
    for record in test:
        shared = next((key for key in leak_keys(*record) if key in seen.keys), None)
        if shared is not None:
            raise LeakError(
                f"{checkpoint} was trained or selected on {seen.keys[shared]}, which shares its {shared[0]} with the"
                f" test record {record.corpus}/{record.record_id}: no figure would mean anything."
            )
    if seen.unknown:
        logger.warning(
            "nobody knows what %s was trained on: it may have seen the test records", ", ".join(seen.unknown)
        )
    return {"records": seen.n_records, "unknown": seen.unknown}


def seen_before(checkpoint: str, records: Sequence[RowKey]) -> dict[str, Any]:
    """
    How many of the records a checkpoint has been trained on, without or with labels.

    Args:
        checkpoint (`str`): The checkpoint whose backbone is used.
        records (`Sequence[RowKey]`): The records of the cross-validation.

    Returns:
        `dict`: `seen`, of `records`, and `unknown`, checkpoints that do not say what they were trained on.
    """
    known = trained_records(checkpoint)
    seen = sum(any(key in known.keys for key in leak_keys(*record)) for record in records)
    return {"seen": seen, "records": len(records), "unknown": known.unknown}


__all__ = [
    "evaluation_device",
    "refuse_different",
    "refuse_long_windows",
    "refuse_seen_records",
    "seen_before",
    "shared_tokenizer",
]
