# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What belongs together: the fields of a configuration file and this code, a tokenizer and a model."""

import inspect
import re
import warnings
from collections.abc import Iterable
from typing import Any

import torch

from .limits_anyecg import check_label_count, check_lead_names

# Of the files that this code writes. A file of the next major number means something else by what it says, one of a
# later minor number has fields more.
CONFIG_VERSION = "1.0"

# Where tokenizer, quantizer and model must agree, and where a quantizer and a model that predicts its codes must.
PATCH_FIELDS = ("sampling_rate", "patch_size", "lead_names")
CODE_FIELDS = ("codebook_size", "num_quantizers")

# What `transformers` and the Hub write beside our fields, or wrote before.
_LIBRARY_FIELDS = {
    *("_name_or_path", "name_or_path", "_commit_hash", "model_type", "auto_map", "custom_pipelines"),
    *("transformers_version", "torch_dtype", "quantization_config", "num_labels", "output_attentions"),
    *("_attn_implementation", "attn_implementation", "_output_attentions"),
    *("_experts_implementation", "experts_implementation", "peft_version", "base_model_name_or_path"),
}
TOKENIZER_LIBRARY_FIELDS = {
    *("padding_side", "return_attention_mask", "feature_extractor_type", "processor_class", "auto_map", "_auto_class"),
    *("name_or_path", "transformers_version", "_processor_class"),
}
# Would name files or code elsewhere.
_ATTENTION_FIELDS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_QUANT_METHOD = "bitsandbytes"
_FIELDS_OF_FILES = ("transformers_weights",)


def check_config_file(config_class: type, fields: Any, known: Iterable[str]) -> None:
    """
    Checks the content of a `config.json` before a configuration is made of it.

    Unknown fields are kept, as everywhere in `transformers`, with a warning that names them.

    Args:
        config_class (`type`): The configuration.
        fields (`dict`): The content of the file.
        known (`Iterable[str]`): Fields that the class has.

    Raises:
        `ValueError`: if the file is of a later version or another kind of model, names code or files elsewhere, or has
            an unknown field that would replace a part of the class.
    """
    if not isinstance(fields, dict):
        raise ValueError(f"a config.json must hold an object, got a {type(fields).__name__}.")
    check_config_version(fields.get("config_version", CONFIG_VERSION), "config.json")
    kind = fields.get("model_type", config_class.model_type)
    if config_class.model_type and kind != config_class.model_type:
        raise ValueError(
            f"the config.json is of a {kind!r} model, but {config_class.__name__} is for {config_class.model_type!r}:"
            " load it with the class that it was saved from, or with AutoModel."
        )
    _check_code_and_files(fields)
    quantized = fields.get("quantization_config")
    if quantized is not None and not isinstance(quantized, dict):
        raise ValueError(f"`quantization_config` in config.json must be an object, got {str(quantized)[:200]!r}.")
    # transformers passes over what it does not know, and fetches kernels for some that it does.
    if quantized is not None and quantized.get("quant_method") != _QUANT_METHOD:
        raise ValueError(
            f"`quant_method` in `quantization_config` in config.json is {str(quantized.get('quant_method'))[:200]!r},"
            f" expected {_QUANT_METHOD!r}: no checkpoint of AnyECG is held in another way."
        )
    _check_dtype(fields.get("dtype", fields.get("torch_dtype")))
    check_label_count(fields)
    unknown = sorted(name for name in fields.keys() - {*known} - _LIBRARY_FIELDS)
    taken = [name for name in unknown if hasattr(config_class, name)]
    if taken:
        raise ValueError(
            f"the config.json has {', '.join(taken)}, which are no fields of {config_class.__name__} but parts of it:"
            " remove them from the file."
        )
    if unknown:
        warnings.warn(
            f"the config.json has fields that this version of anyecg_hf does not know, keeps and does not use:"
            f" {', '.join(unknown)}. Another version may have written it: `pip install --upgrade anyecg-hf`.",
            UserWarning,
            stacklevel=4,
        )


def check_arguments(lead_names: Any, config_version: Any, further: dict[str, Any]) -> None:
    """
    Checks what a tokenizer is built with beside its cleaning.

    Args:
        lead_names (`Sequence[str]`): Its vocabulary.
        config_version (`str`): Of its settings.
        further (`dict`): Arguments that it has no name for.

    Raises:
        `TypeError`: for arguments that `transformers` has not stored either.
        `ValueError`: for a later version, or no vocabulary.
    """
    unknown = sorted(further.keys() - TOKENIZER_LIBRARY_FIELDS)
    if unknown:
        raise TypeError(f"unknown arguments of AnyECGTokenizer: {unknown}.")
    check_config_version(config_version, "the tokenizer's settings")
    check_lead_names(lead_names)


def check_tokenizer_file(tokenizer_class: type, fields: Any) -> None:
    """
    Checks the content of a `preprocessor_config.json`. Unknown settings are refused: one that is not followed would
    change the numbers.

    Args:
        tokenizer_class (`type`): The tokenizer.
        fields (`dict`): The content of the file.

    Raises:
        `ValueError`: if the file is of a later version or another class, or has unknown settings; names them.
    """
    if not isinstance(fields, dict):
        raise ValueError(f"a preprocessor_config.json must hold an object, got a {type(fields).__name__}.")
    check_config_version(fields.get("config_version", CONFIG_VERSION), "preprocessor_config.json")
    kind = fields.get("feature_extractor_type", tokenizer_class.__name__)
    if kind != tokenizer_class.__name__:
        raise ValueError(f"the preprocessor_config.json is of {kind!r}, expected {tokenizer_class.__name__!r}.")
    known = {*inspect.signature(tokenizer_class).parameters, *TOKENIZER_LIBRARY_FIELDS, "feature_size", "padding_value"}
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise ValueError(
            f"the preprocessor_config.json has settings that this version of anyecg_hf does not know:"
            f" {', '.join(unknown)}. Without them records may be cleaned otherwise than they should be: upgrade"
            " anyecg_hf (`pip install --upgrade anyecg-hf`), or remove them."
        )


def check_config_version(version: Any, file: str) -> None:
    """
    Refuses files of later versions.

    Args:
        version (`str`): What the file says.
        file (`str`): Its name, for the error.

    Raises:
        `ValueError`: if it is no version, or its major number is beyond [`CONFIG_VERSION`].
    """
    match = re.fullmatch(r"(\d{1,6})\.(\d{1,6})", version, re.ASCII) if isinstance(version, str) else None
    if not match:
        raise ValueError(f"`config_version` in {file} must be such as {CONFIG_VERSION!r}, got {version!r}.")
    if int(match[1]) > int(CONFIG_VERSION.partition(".")[0]):
        raise ValueError(
            f"{file} is of version {version}, and this anyecg_hf reads {CONFIG_VERSION.partition('.')[0]}.x: upgrade"
            " anyecg_hf (`pip install --upgrade anyecg-hf`)."
        )


def _check_code_and_files(fields: dict[str, Any]) -> None:
    for name in _ATTENTION_FIELDS:
        value = fields.get(name)
        if value is not None and not (isinstance(value, str) and re.fullmatch(r"\w+", value)):
            raise ValueError(
                f"`{name}` in config.json is {value!r}, and would be fetched and run: a checkpoint does not choose"
                " code. Remove it, and pass `attn_implementation=` if you want that kernel."
            )
    for name in _FIELDS_OF_FILES:
        if fields.get(name) is not None:
            raise ValueError(
                f"`{name}` in config.json is {fields[name]!r}: weights of AnyECG lie in model.safetensors, or in the"
                " files that model.safetensors.index.json names. Remove it."
            )


def _check_dtype(dtype: Any) -> None:
    if dtype is None or isinstance(dtype, torch.dtype) or dtype == "auto":
        return
    name = str(dtype).removeprefix("torch.")
    if not isinstance(dtype, str) or not isinstance(getattr(torch, name, None), torch.dtype):
        raise ValueError(f"`dtype` in config.json must be a type of torch such as 'float32', got {dtype!r}.")
    if not getattr(torch, name).is_floating_point:
        raise ValueError(f"`dtype` in config.json must be a type of real numbers such as 'float32', got {dtype!r}.")


def mismatches(ours: Any, theirs: Any, fields: Iterable[str] = PATCH_FIELDS) -> list[str]:
    """
    Where two parts of a checkpoint contradict each other.

    Args:
        ours, theirs (configuration or tokenizer): Both have the fields.
        fields (`Iterable[str]`, *optional*): What to compare.

    Returns:
        `list[str]`: fields that differ, in order.
    """
    return [name for name in fields if _plain(getattr(ours, name)) != _plain(getattr(theirs, name))]


def check_tokenizer_matches(config: Any, tokenizer: Any) -> None:
    """
    Refuses a model and a tokenizer that do not belong together.

    Args:
        config ([`AnyECGConfig`] or [`AnyECGQuantizerConfig`]): Of the model.
        tokenizer ([`AnyECGTokenizer`]): Makes its input.

    Raises:
        `ValueError`: names the first field that differs, and both values.

    Example:

    ```python
    >>> check_tokenizer_matches(model.config, tokenizer)
    ```
    """
    for name in mismatches(config, tokenizer):
        raise ValueError(
            f"the model's `{name}` is {_shown(config, name)}, but the tokenizer's is {_shown(tokenizer, name)}: they"
            " are of different checkpoints, and what the model says of such patches would mean nothing."
        )


def check_quantizer_matches(tokenizer: Any, quantizer_config: Any) -> None:
    """As [`check_tokenizer_matches`], for a tokenizer and the quantizer that it is given."""
    for name in mismatches(tokenizer, quantizer_config):
        raise ValueError(
            f"the quantizer's `{name}` is {_shown(quantizer_config, name)}, but the tokenizer's is"
            f" {_shown(tokenizer, name)}: they must agree."
        )


def check_codes_match(config: Any, quantizer_config: Any) -> None:
    """
    Refuses a model as predictor of a quantizer's codes if it has another codebook or other patches.

    Args:
        config ([`AnyECGConfig`]): Of a model with a code head.
        quantizer_config ([`AnyECGQuantizerConfig`]): Of the quantizer whose codes are its labels.

    Raises:
        `ValueError`: names the first field that differs, and both values.
    """
    for name in mismatches(config, quantizer_config, (*PATCH_FIELDS, *CODE_FIELDS)):
        raise ValueError(
            f"the model's `{name}` is {_shown(config, name)}, but the quantizer's is"
            f" {_shown(quantizer_config, name)}: its codes cannot be the model's labels. Take both from one checkpoint."
        )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def _shown(holder: Any, name: str) -> str:
    return str(getattr(holder, name))[:200]


__all__ = [
    "CODE_FIELDS",
    "CONFIG_VERSION",
    "PATCH_FIELDS",
    "check_arguments",
    "check_codes_match",
    "check_config_file",
    "check_config_version",
    "check_quantizer_matches",
    "check_tokenizer_file",
    "check_tokenizer_matches",
    "mismatches",
]
