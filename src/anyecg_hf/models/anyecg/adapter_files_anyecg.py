# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PEFT's file of an adapter, looked at before PEFT acts on it."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.utils import ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME, CONFIG_NAME

from .checkpoint_files_anyecg import HUB_ARGUMENTS, SAFE_WEIGHTS, found_file, read_json, refuse_pickles

MOST_RANK = 4096
_NAME = re.compile(r"[\w.-]+", re.ASCII)
# What PEFT writes for every adapter and does not matter here; of all further fields only the defaults are read.
_OF_NO_EFFECT = {
    *("peft_type", "peft_version", "task_type", "auto_mapping", "revision", "inference_mode", "megatron_core"),
    *("qalora_group_size", "base_model_name_or_path", "r", "lora_alpha", "lora_dropout", "target_modules"),
    "modules_to_save",
}
_DEFAULTS = {
    **{"bias": "none", "init_lora_weights": True},
    **{"rank_pattern": {}, "alpha_pattern": {}, "loftq_config": {}},
}


def check_adapter_file(path: Path) -> str | None:
    """
    Checks PEFT's file before PEFT acts on it: a LoRA on named modules, of a rank that a model can have.

    Args:
        path (`Path`): `adapter_config.json`.

    Returns:
        `str` or `None`: the checkpoint that it names.

    Raises:
        `ValueError`: for another kind of adapter, patterns in place of names, an absurd rank, or what [`adapt`] never
            writes.
    """
    fields = read_json(path)
    if fields.get("peft_type") != "LORA":
        raise ValueError(f"{path} is of a {fields.get('peft_type')!r} adapter, expected 'LORA'.")
    rank = fields.get("r")
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= MOST_RANK:
        raise ValueError(f"`r` in {path} must be a whole number from 1 to {MOST_RANK}, got {rank!r}.")
    for name in ("target_modules", "modules_to_save"):
        names = fields.get(name)
        if names is None:
            continue
        # PEFT takes a text for a regular expression, and some of them never end.
        if not isinstance(names, list) or not all(isinstance(each, str) and _NAME.fullmatch(each) for each in names):
            raise ValueError(f"`{name}` in {path} must be a list of names of modules, got {str(names)[:200]}.")
    for name in ("lora_alpha", "lora_dropout"):
        number = fields.get(name, 0)
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
            raise ValueError(f"`{name}` in {path} must be a number of at least 0, got {number!r}.")
    if fields.get("lora_dropout", 0) >= 1:
        raise ValueError(f"`lora_dropout` in {path} is a probability below 1, got {fields['lora_dropout']}.")
    # Patterns, layers made from others, libraries to import, other kinds of adapters.
    foreign = [name for name in fields if name not in _OF_NO_EFFECT and not _is_default(name, fields[name])]
    if foreign:
        raise ValueError(f"{path} sets {', '.join(foreign)}, which no adapter of this package has: it is not loaded.")
    base = fields.get("base_model_name_or_path")
    if base is not None and not (isinstance(base, str) and base):
        raise ValueError(f"`base_model_name_or_path` in {path} must name a checkpoint, got {base!r}.")
    return base


def _is_default(name: str, value: Any) -> bool:
    if name in _DEFAULTS:
        return value == _DEFAULTS[name]
    return value is None or (value is False and not name.endswith("_config"))


def check_adapter_in_place(checkpoint: str | os.PathLike, arguments: Mapping[str, Any]) -> None:
    """
    Checks the adapter of a checkpoint, if it has one, and the checkpoint that the adapter names: with PEFT,
    `from_pretrained` of `transformers` loads both in place of what was asked for.

    Args:
        checkpoint (`str` or `os.PathLike`): Folder, or name on the Hub.
        arguments (`Mapping[str, Any]`): Of `from_pretrained`.

    Raises:
        `ValueError`: if the adapter is a pickle, is none of this package, names no checkpoint or one of pickles, or if
            it lies on the Hub beside a model that it would replace.
    """
    hub = {name: arguments[name] for name in HUB_ARGUMENTS if arguments.get(name) is not None}
    found = found_file(checkpoint, ADAPTER_CONFIG_NAME, hub)
    if found is None:
        return
    if found_file(checkpoint, ADAPTER_SAFE_WEIGHTS_NAME, hub) is None:
        raise ValueError(
            f"{str(checkpoint)!r} has {ADAPTER_CONFIG_NAME}, but no {ADAPTER_SAFE_WEIGHTS_NAME}: no other file is read."
        )
    base = check_adapter_file(Path(found))
    if (Path(checkpoint) / CONFIG_NAME).is_file():
        return  # goes into the model that it lies beside
    if any(found_file(checkpoint, name, hub) is not None for name in SAFE_WEIGHTS):
        raise ValueError(
            f"{str(checkpoint)!r} holds a model and an adapter, which names {base!r}: that would be loaded in place of"
            " the model. Pull it, and remove from the copy what is not meant."
        )
    if base is None:
        raise ValueError(f"{ADAPTER_CONFIG_NAME} in {str(checkpoint)!r} does not name the checkpoint of the adapter.")
    refuse_pickles(base, arguments)


__all__ = ["MOST_RANK", "check_adapter_file", "check_adapter_in_place"]
