# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What an adapter belongs to: the class of its model, and the weights of its base."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from anyecg_hf.models import anyecg
from anyecg_hf.training.codes import weights_digest


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


__all__ = ["adapted_class", "check_base", "describe_base"]
