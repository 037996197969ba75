# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Model configurations from the `model` section of a run."""

import hashlib
import inspect
import json
from collections.abc import Collection
from dataclasses import fields
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from torch import nn

from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGQuantizerConfig, AnyECGTokenizer
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import is_path_to_nothing
from anyecg_hf.training.codes import weights_digest

ModelConfig = TypeVar("ModelConfig", AnyECGConfig, AnyECGQuantizerConfig)

# What a tokenizer and a model that reads its patches must agree on.
_SHARED = ("sampling_rate", "patch_size", "lead_names")


def check_fields(config_class: type, given: dict[str, Any], extra: tuple[str, ...] = ()) -> None:
    """
    Refuses fields that a model configuration does not have: `transformers` would keep them silently.

    Args:
        config_class (`type`): The configuration's class.
        given (`dict`): Field -> value.
        extra (`tuple[str, ...]`, *optional*): Names that are allowed beside the fields.

    Raises:
        `ValueError`: names the unknown ones.
    """
    unknown = sorted(set(given) - {field.name for field in fields(config_class)} - {"id2label", *extra})
    if unknown:
        raise ValueError(f"`model` has unknown fields: {', '.join(unknown)} are none of {config_class.__name__}.")


def new_config(
    config_class: type[ModelConfig], given: dict[str, Any], fixed: dict[str, Any] | None = None
) -> ModelConfig:
    """
    Builds the configuration of a new model.

    Args:
        config_class (`type`): [`AnyECGConfig`] or [`AnyECGQuantizerConfig`].
        given (`dict`): Fields; for [`AnyECGConfig`] `preset` may name a size.
        fixed (`dict`, *optional*): Fields that follow from elsewhere, a tokenizer's checkpoint for example.

    Returns:
        The configuration.

    Raises:
        `ValueError`: for an unknown field, an impossible value, or one that contradicts `fixed`.
    """
    fixed = fixed or {}
    check_fields(config_class, given, extra=("preset",) if config_class is AnyECGConfig else ())
    check_fixed(given, fixed, "the tokenizer it is to work with")
    given = {**given, **fixed}
    preset = given.pop("preset", None)
    try:
        return config_class(**given) if preset is None else AnyECGConfig.from_preset(preset, **given)
    except StrictDataclassError as error:  # of the library, and no `ValueError`
        raise ValueError(f"`model` cannot be: {error.__cause__ or error}") from error


def check_fixed(given: dict[str, Any], fixed: dict[str, Any], what: str) -> None:
    """
    Refuses fields that contradict what is fixed elsewhere.

    Args:
        given (`dict`): Field -> value.
        fixed (`dict`): Field -> value that it must have.
        what (`str`): By what they are fixed.

    Raises:
        `ValueError`: names the fields and both values.
    """
    odd = {name: (given[name], value) for name, value in fixed.items() if name in given and given[name] != value}
    if odd:
        listed = ", ".join(f"{name} is {own!r} there and {theirs!r} here" for name, (theirs, own) in odd.items())
        raise ValueError(f"`model` contradicts {what}: {listed}. Leave these fields out.")


def shared_with_tokenizer(tokenizer: AnyECGTokenizer) -> dict[str, Any]:
    """Fields that a model takes over from its tokenizer."""
    return {name: getattr(tokenizer, name) for name in _SHARED}


def load_tokenizer(checkpoint: str) -> AnyECGTokenizer:
    """
    The tokenizer of the checkpoint that a run starts from.

    Args:
        checkpoint (`str`): A folder, or a name on the Hub.

    Returns:
        [`AnyECGTokenizer`]

    Raises:
        `ValueError`: if it is a path to nothing; as a name it would be looked for on the Hub.
    """
    if is_path_to_nothing(checkpoint):
        raise ValueError(f"there is no checkpoint folder {checkpoint!r}. That of an earlier stage is its `final`.")
    return AnyECGTokenizer.from_pretrained(checkpoint)


def parent_digest(tokenizer: AnyECGTokenizer, model: nn.Module, new: Collection[str] = ()) -> str:
    """
    Hash of what a run takes over from the checkpoint that it starts from.

    Args:
        tokenizer ([`AnyECGTokenizer`]): For its settings.
        model (`nn.Module`): Loaded from the checkpoint, and not changed since.
        new (`Collection[str]`, *optional*): Names of weights that are not from there.

    Returns:
        `str`: hexadecimal SHA-256.
    """
    own = inspect.signature(AnyECGTokenizer).parameters
    settings = {name: value for name, value in tokenizer.to_dict().items() if name in own}
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(f"{text} {weights_digest(model, new)}".encode()).hexdigest()


def tokenizer_for(config: AnyECGQuantizerConfig, given: dict[str, Any]) -> AnyECGTokenizer:
    """
    Builds the tokenizer of a new quantizer.

    Args:
        config ([`AnyECGQuantizerConfig`]): The quantizer's.
        given (`dict`): Further fields of the tokenizer.

    Returns:
        [`AnyECGTokenizer`]

    Raises:
        `ValueError`: for an unknown field, or one that is the model's.
    """
    twice = sorted(set(given) & set(_SHARED))
    if twice:
        raise ValueError(f"`tokenizer` must not have {', '.join(twice)}: the model's are used.")
    shared = {name: getattr(config, name) for name in _SHARED}
    try:
        return AnyECGTokenizer(**shared, **given)
    except TypeError as error:
        raise ValueError(f"`tokenizer` cannot be built: {error}") from error


__all__ = [
    "check_fields",
    "check_fixed",
    "load_tokenizer",
    "new_config",
    "parent_digest",
    "shared_with_tokenizer",
    "tokenizer_for",
]
