# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The configuration of a model in the ancestors' layout: what its weights tell, and what only its makers know."""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from ancestor_files import AncestorState
from torch.nn.functional import normalize

from anyecg_hf import AnyECGConfig, AnyECGQuantizerConfig

CODEBOOK = "quantize.embedding.weight"
# No weight tells these, and none is guessed.
STATED = (
    *("patch_size", "sampling_rate", "lead_names", "num_attention_heads", "patch_norm_groups"),
    *("layer_norm_eps", "hidden_act", "time_tolerance"),
)
STATED_OF_QUANTIZERS = ("wavelet", "wavelet_levels", "wavelet_mode")


def is_quantizer(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether the weights are of stage 1."""
    return CODEBOOK in tensors


def build_config(
    tensors: Mapping[str, torch.Tensor], stated: Mapping[str, Any]
) -> AnyECGConfig | AnyECGQuantizerConfig:
    """
    Args:
        tensors (`Mapping[str, torch.Tensor]`): Weights in the ancestors' layout, made plain.
        stated (`Mapping[str, Any]`): Fields of the configuration; those in `STATED` must be there, for stage 1 those in
            `STATED_OF_QUANTIZERS` too.

    Returns:
        `AnyECGConfig` or `AnyECGQuantizerConfig`

    Raises:
        `ValueError`: names the fields that are missing, or the first that the weights contradict.
    """
    needed = (*STATED, *(STATED_OF_QUANTIZERS if is_quantizer(tensors) else ()))
    missing = [name for name in needed if name not in stated]
    if missing:
        raise ValueError(f"the weights do not tell {', '.join(missing)}: state them in the file of `--config`.")
    told = _told_by_weights(tensors, stated)
    for name, value in told.items():
        if name in stated and _plain(stated[name]) != _plain(value):
            raise ValueError(f"`{name}` is {stated[name]} in the configuration, but {value} by the weights.")
    leads = {name: tensor.shape[1] for name, tensor in tensors.items() if name.endswith("pos_embed")}
    for name, count in leads.items():
        if count != len(stated["lead_names"]):
            raise ValueError(
                f"{name} has {count} rows, expected one for each of {len(stated['lead_names'])} lead names."
            )
    config_class = AnyECGQuantizerConfig if is_quantizer(tensors) else AnyECGConfig
    return config_class(**{**stated, **told})


def _told_by_weights(tensors: Mapping[str, torch.Tensor], stated: Mapping[str, Any]) -> dict[str, Any]:
    start = "encoder." if is_quantizer(tensors) else ""
    kernels = []
    while (name := f"{start}patch_embed.conv{len(kernels) + 1}.weight") in tensors:
        kernels.append(tensors[name])
    needed = (f"{start}norm.weight", f"{start}blocks.0.mlp.fc1.weight", f"{start}pos_embed")
    lacking = [name for name in needed if name not in tensors]
    if not kernels or lacking:
        lacking = lacking or [f"{start}patch_embed.conv1.weight"]
        raise ValueError(
            f"expected weights in the layout of LaBraM and NeuroLM, but {', '.join(lacking)} is not there."
        )
    width, channels = tensors[needed[0]].shape[0], [kernel.shape[0] for kernel in kernels]
    projection = tensors.get(f"{start}patch_embed.proj.weight")
    frames = (width if projection is None else projection.shape[1]) // channels[-1]
    later = [kernel.shape[-1] for kernel in kernels[1:]]
    told: dict[str, Any] = {
        "hidden_size": width,
        "num_hidden_layers": _count_blocks(tensors, start),
        "intermediate_size": tensors[needed[1]].shape[0],
        "patch_channels": channels,
        "patch_kernel_size": kernels[0].shape[-1],
        "patch_strides": [_first_stride(stated["patch_size"], frames, later), *later],
    }
    if f"{start}time_embed" in tensors:
        told |= {"time_encoding": "learned", "max_time_positions": tensors[f"{start}time_embed"].shape[1]}
    elif stated.get("time_encoding") != "rotary":
        raise ValueError(
            f"{start}time_embed is not there: state `time_encoding: rotary` if queries and keys are turned."
        )
    return told | (_told_by_quantizer(tensors) if start else _told_by_heads(tensors, stated))


def _told_by_quantizer(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    codes, dimension = tensors[CODEBOOK].shape
    layers = _count_blocks(tensors, "decoder.")
    return {"codebook_size": codes, "codebook_dim": dimension, "num_decoder_layers": layers, "num_quantizers": 1}


def _told_by_heads(tensors: Mapping[str, torch.Tensor], stated: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"use_scale_embeddings": "scale_embed" in tensors}
    if "lm_head.weight" in tensors:
        told["codebook_size"] = tensors["lm_head.weight"].shape[0] // stated.get("num_quantizers", 1)
    if "head.weight" in tensors:
        told["num_labels"] = tensors["head.weight"].shape[0]
    return told


def _count_blocks(tensors: Mapping[str, torch.Tensor], start: str) -> int:
    pattern = re.compile(rf"{re.escape(start)}blocks\.(\d+)\.")
    return 1 + max((int(found[1]) for name in tensors if (found := pattern.match(name))), default=-1)


def _first_stride(patch_size: int, frames: int, later: list[int]) -> int:
    whole = frames * math.prod(later)
    if not frames or patch_size % whole:
        raise ValueError(
            f"a patch of {patch_size} samples does not give {frames} frames after strides of {later}: kernels after the"
            " first must be as wide as their strides, and the frames must cover the patch."
        )
    return patch_size // whole


def fill_what_is_implied(state: AncestorState, config: AnyECGConfig | AnyECGQuantizerConfig) -> None:
    """
    Adds the weights of parts that the ancestors do not have, such that the parts do nothing; in place, with notes.

    Args:
        state ([`AncestorState`]): Made plain.
        config (`AnyECGConfig` or `AnyECGQuantizerConfig`): From [`build_config`].
    """
    tensors, width = state.tensors, config.hidden_size
    start = "encoder." if is_quantizer(tensors) else ""
    like = tensors[f"{start}norm.weight"]
    implied = {f"{start}patch_embed.skip.weight": lambda: like.new_zeros(width, config.patch_size)}
    if f"{start}patch_embed.proj.weight" not in tensors:
        implied[f"{start}patch_embed.proj.weight"] = lambda: torch.eye(width, dtype=like.dtype)
        implied[f"{start}patch_embed.proj.bias"] = lambda: like.new_zeros(width)
    if start:
        codes = tensors[CODEBOOK]
        counts = "quantize.embedding.cluster_size"
        implied |= {
            counts: lambda: torch.ones(len(codes)),
            "quantize.embedding.embed_avg": lambda: normalize(codes.float(), dim=-1) * tensors[counts][:, None],
            "quantize.embedding.initted": lambda: torch.ones((), dtype=torch.bool),
            "quantize.updates": lambda: torch.zeros((), dtype=torch.long),
            "quantize.gain": lambda: torch.ones(()),
        }
    else:
        implied["mask_token"] = lambda: like.new_zeros(1, 1, width)
    for name, make in implied.items():
        if name not in tensors:
            tensors[name] = make()
            state.notes.append(f"{name} is not there: filled in so that it changes nothing")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
