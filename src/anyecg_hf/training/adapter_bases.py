# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What an adapter belongs to: the class of its model, and the weights of its base."""

import math
import re
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from anyecg_hf.models import anyecg
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import read_json
from anyecg_hf.training.codes import weights_digest

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


def adapted_class(folder: Path, names: Any) -> type[PreTrainedModel]:
    """
    The class of the model that an adapter was trained in.

    Args:
        folder (`Path`): The adapter, for the error.
        names (`list[str]`): `architectures` of its model configuration.

    Returns:
        `type[PreTrainedModel]`

    Raises:
        `ValueError`: if this package has no such model.
    """
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    model_class = getattr(anyecg, name, None) if isinstance(name, str) and name in anyecg.__all__ else None
    if not (isinstance(model_class, type) and issubclass(model_class, PreTrainedModel)):
        raise ValueError(f"the adapter {str(folder)!r} is for {name!r}, which this version of anyecg-hf has not.")
    return model_class


def describe_base(model: PreTrainedModel) -> dict[str, str] | None:
    """
    What tells the backbone of a checkpoint from others.

    Args:
        model ([`PreTrainedModel`]): As loaded, without adapters.

    Returns:
        `dict[str, str]`: `sha256` of its weights and their `dtype`; `None` for weights in 4 bits or on no device.
    """
    backbone = model.base_model
    if getattr(model, "is_loaded_in_4bit", False) or any(value.is_meta for value in backbone.parameters()):
        return None
    return {"sha256": weights_digest(backbone), "dtype": str(backbone.dtype).removeprefix("torch.")}


def check_base(folder: Path, base: str | Path, trained_on: Any, found: dict[str, str]) -> None:
    """
    Refuses an adapter on other weights than it was trained on, where that can be told.

    Args:
        folder (`Path`): The adapter, for the error.
        base (`str` or `Path`): The checkpoint, for the error.
        trained_on (`dict[str, str]`): What the adapter says of its base.
        found (`dict[str, str]`): The same of the checkpoint, from [`describe_base`].

    Raises:
        `ValueError`: if both are of one type and differ, or the adapter says nothing that can be understood.
    """
    if not isinstance(trained_on, dict):
        raise ValueError(f"the adapter {str(folder)!r} should say what it was trained on, but says {trained_on!r}.")
    if trained_on.get("dtype") == found["dtype"] and trained_on.get("sha256") != found["sha256"]:
        raise ValueError(
            f"the adapter {str(folder)!r} was trained on another checkpoint than {str(base)!r}: the weights of the"
            " backbone differ, and its answers would mean nothing. Pass the right one as `base`, or `any_base=True`."
        )


__all__ = ["MOST_RANK", "adapted_class", "check_adapter_file", "check_base", "describe_base"]
