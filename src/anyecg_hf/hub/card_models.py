# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a card says of the weights themselves, from configurations and from the heads of weight files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from anyecg_hf.models import anyecg
from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGModel, AnyECGQuantizerConfig, AnyECGRhythmQuantizer
from anyecg_hf.models.anyecg.adapter_files_anyecg import check_adapter_file
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import read_json
from anyecg_hf.training.adapters import ADAPTER_FILE, BASE_FIELD, MODEL_CONFIG_FILE

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_LOSS_TERMS = ("morphology", "frequency", "demography", "codebook", "commitment")


def describe_checkpoint(folder: Path) -> dict[str, Any]:
    """
    Sizes of a checkpoint and loss weights of its quantizer; no weight is read.

    Args:
        folder (`Path`): A model or a quantizer; a model's own quantizer lies in `quantizer/`.

    Returns:
        `dict`: `architecture` and `parameters`. What a quantizer alone does not have, a backbone and a trained window,
        is left out, as is a quantizer that is not there.

    Raises:
        `FileNotFoundError`: if there is no `config.json`, neither there nor in `quantizer/`.
    """
    places = [place for place in (folder, folder / "quantizer") if (place / "config.json").is_file()]
    if not places:
        raise FileNotFoundError(f"{folder} is no checkpoint: it has no config.json.")
    kinds = {read_json(place / "config.json")["model_type"]: place for place in places}
    architecture: dict[str, Any] = {}
    parameters: dict[str, int] = {}
    if "anyecg" in kinds:
        _describe_model(AnyECGConfig.from_pretrained(kinds["anyecg"]), architecture, parameters)
    if "anyecg_quantizer" in kinds:
        _describe_quantizer(AnyECGQuantizerConfig.from_pretrained(kinds["anyecg_quantizer"]), architecture, parameters)
    return {"architecture": architecture, "parameters": parameters}


def _describe_model(config: AnyECGConfig, architecture: dict[str, Any], parameters: dict[str, int]) -> None:
    patch_seconds = config.patch_size / config.sampling_rate
    window = config.trained_time_positions
    architecture |= {
        "class": (config.architectures or ["AnyECGModel"])[0],
        "patch_size": config.patch_size,
        "patch_seconds": patch_seconds,
        "sampling_rate": config.sampling_rate,
        **({} if window is None else {"window_patches": window, "window_seconds": window * patch_seconds}),
        "backbone_layers": config.num_hidden_layers,
    }
    parameters["backbone"] = _count(AnyECGModel, config)
    parameters["all"] = _count(getattr(anyecg, architecture["class"]), config)


def _describe_quantizer(
    config: AnyECGQuantizerConfig, architecture: dict[str, Any], parameters: dict[str, int]
) -> None:
    quantizer = {
        "class": "AnyECGRhythmQuantizer",
        "patch_size": config.patch_size,
        "patch_seconds": config.patch_size / config.sampling_rate,
        "sampling_rate": config.sampling_rate,
        "codebook_size": config.codebook_size,
        "quantizer_encoder_layers": config.num_hidden_layers,
        "quantizer_decoder_layers": config.num_decoder_layers,
        "loss_weights": {term: getattr(config, f"{term}_weight") for term in _LOSS_TERMS},
    }
    architecture |= {name: value for name, value in quantizer.items() if name not in architecture}
    parameters["quantizer_without_codebook"] = _count(AnyECGRhythmQuantizer, config)
    parameters["codebook"] = config.codebook_size * config.codebook_dim


def _count(kind: type, config: Any) -> int:
    with torch.device("meta"):
        return kind(config).num_parameters()


def size_rows(described: Mapping[str, Any]) -> list[list[str]]:
    """
    Rows of the table "What it is".

    Args:
        described (`Mapping`): Of [`describe_checkpoint`].

    Returns:
        `list[list[str]]`
    """
    architecture, parameters = described["architecture"], described["parameters"]
    rows, layers = [], []
    if "backbone" in parameters or "backbone_layers" in architecture:
        rows.append(["backbone parameters", f"{parameters['backbone']:,}"])
        layers.append(f"{architecture['backbone_layers']} (backbone)")
    if parameters.get("all", 0) > parameters.get("backbone", 0):
        rows.append(["parameters of the head", f"{parameters['all'] - parameters['backbone']:,}"])
    if "codebook" in parameters or "codebook_size" in architecture:
        own, codebook = parameters["quantizer_without_codebook"], parameters["codebook"]
        rows.append(["quantizer parameters", f"{own:,} without the codebook, which adds {codebook:,} values"])
        layers.append(f"{architecture['quantizer_encoder_layers']} (quantizer's encoder)")
        layers.append(f"{architecture['quantizer_decoder_layers']} (its decoder)")
    rows.append(["layers", ", ".join(layers)])
    patch = (
        f"patches of {architecture['patch_seconds']} s ({architecture['patch_size']} samples at"
        f" {architecture['sampling_rate']} Hz)"
    )
    if "codebook_size" in architecture:
        rows.append(["codebook", f"{architecture['codebook_size']} codes, {patch}"])
    else:
        rows.append(["input", patch])
    if "window_seconds" in architecture:
        window = f"{architecture['window_seconds']:g} s ({architecture['window_patches']} patches)"
        rows.append(["trained window", window])
    return rows


def is_hub_name(name: str) -> bool:
    """Whether others can load a checkpoint by this name: a folder of this machine means nothing to them."""
    return bool(name) and name.count("/") <= 1 and not name.startswith((".", "/")) and not Path(name).exists()


@dataclass(frozen=True)
class AdapterDescription:
    """
    What the files of an adapter say.

    Attributes:
        rank (`int`), alpha (`float`), dropout (`float`): Its settings.
        targets (`list[str]`): Layers with low-rank matrices.
        trained_whole (`list[str]`): Modules that it brings along whole.
        parameters (`int`), low_rank_parameters (`int`): All weights of the file, and those of low-rank matrices.
        base_name (`str`), base_revision (`str`): As `adapter_config.json` names them; empty where it does not.
        base_weights (`str`): Hash of the backbone that it was trained on; empty where it was not noted.
        architecture (`str`), labels (`list[str]`): Of the model that it was trained in; empty where that is not noted.
    """

    rank: int
    alpha: float
    dropout: float
    targets: list[str]
    trained_whole: list[str]
    parameters: int
    low_rank_parameters: int
    base_name: str
    base_revision: str
    base_weights: str
    architecture: str
    labels: list[str]


def describe_adapter(folder: Path) -> AdapterDescription:
    """
    Args:
        folder (`Path`): An adapter of [`~anyecg_hf.training.adapters.save_adapted`].

    Returns:
        [`AdapterDescription`]

    Raises:
        `FileNotFoundError`: if a file of it is missing.
        `ValueError`: if it is no LoRA adapter.
    """
    for name in (ADAPTER_FILE, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is no adapter: it has no {name}.")
    base_name = check_adapter_file(folder / ADAPTER_FILE)
    config = read_json(folder / ADAPTER_FILE)
    inner = folder / MODEL_CONFIG_FILE
    model = read_json(inner) if inner.is_file() else {}
    base = model.get(BASE_FIELD) or {}
    sizes = _sizes(folder / ADAPTER_WEIGHTS)
    whole = {name: count for name, count in sizes.items() if ".lora_" not in name}
    return AdapterDescription(
        rank=config["r"],
        alpha=config["lora_alpha"],
        dropout=config["lora_dropout"],
        targets=sorted(config["target_modules"] or ()),
        # PEFT lists names of modules that the model does not have, too.
        trained_whole=[
            name for name in dict.fromkeys(config["modules_to_save"] or ()) if any(f".{name}." in key for key in whole)
        ],
        parameters=sum(sizes.values()),
        low_rank_parameters=sum(sizes.values()) - sum(whole.values()),
        base_name=base_name or "",
        base_revision=config.get("revision") or "",
        base_weights=f"SHA-256 `{base['sha256'][:16]}...` as {base['dtype']}" if base else "",
        architecture=next(iter(model.get("architectures", ())), ""),
        labels=[model["id2label"][key] for key in sorted(model.get("id2label", {}), key=int)],
    )


def _sizes(weights: Path) -> dict[str, int]:
    with safe_open(str(weights), "pt") as file:
        return {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}


def adapter_rows(adapter: AdapterDescription, base: str, revision: str) -> list[list[str]]:
    """
    Rows of the table "What it is".

    Args:
        adapter ([`AdapterDescription`]): The adapter.
        base (`str`), revision (`str`): The checkpoint below, and its commit, which may be empty.

    Returns:
        `list[list[str]]`
    """
    rows = [
        ["base model", f"`{base}`"],
        ["its revision", f"`{revision}`" if revision else "not recorded"],
        ["weights of its backbone", adapter.base_weights or "not recorded"],
        ["method", "LoRA (arXiv 2106.09685)"],
        ["rank, alpha, dropout", f"{adapter.rank}, {adapter.alpha:g}, {adapter.dropout:g}"],
        ["adapted layers", ", ".join(f"`{name}`" for name in adapter.targets)],
        ["trained whole", ", ".join(f"`{name}`" for name in adapter.trained_whole) or "nothing"],
        [
            "trained parameters",
            f"{adapter.parameters:,}, of which {adapter.low_rank_parameters:,} in low-rank matrices",
        ],
    ]
    if adapter.architecture:
        rows.append(["model class", f"`{adapter.architecture}`"])
    if adapter.labels:
        rows.append(["labels", ", ".join(adapter.labels)])
    return rows


__all__ = [
    "ADAPTER_WEIGHTS",
    "AdapterDescription",
    "adapter_rows",
    "describe_adapter",
    "describe_checkpoint",
    "is_hub_name",
    "size_rows",
]
