# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Training checkpoints in the layout of AnyECG's ancestors (LaBraM, NeuroLM), read without running them and made plain.

Such a file is a pickle around tensors: a wrapper (`model`, `state_dict`), prefixes of what wrapped the module
(`module.`, `_orig_mod.`), and spellings that come to the same numbers. What is taken off or folded is noted for the
report.
"""

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file

WRAPPERS = ("model", "state_dict", "module", "model_ema", "state_dict_ema", "ema")
PREFIXES = ("module.", "_orig_mod.", "student.")


@dataclass
class AncestorState:
    """
    Weights by their names in the ancestors' layout.

    Attributes:
        tensors (`dict[str, torch.Tensor]`): Name -> weight.
        notes (`list[str]`): What was taken off, folded or left out, in words.
    """

    tensors: dict[str, torch.Tensor]
    notes: list[str] = field(default_factory=list)


def read_checkpoint(path: str | os.PathLike, weights: str | None = None) -> AncestorState:
    """
    Reads the weights of a training checkpoint. No code in it is run.

    Args:
        path (`str` or `os.PathLike`): `.pth`, `.pt`, `.bin`, or `.safetensors`.
        weights (`str`, *optional*): Which of several sets, for example `"model_ema"`.

    Returns:
        [`AncestorState`]: without wrappers and prefixes.

    Raises:
        `FileNotFoundError`: if there is no such file.
        `ValueError`: if it is no checkpoint, holds objects other than tensors and settings, or several sets of weights
            of which none was chosen.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}.")
    loaded = load_file(path) if path.suffix == ".safetensors" else _load_pickle(path)
    tensors, notes = _choose(loaded, weights, path)
    state = AncestorState(dict(tensors), notes)
    _strip_prefixes(state)
    return state


def _load_pickle(path: Path) -> Any:
    try:
        # Settings of a training are a Namespace in the ancestors' files: attributes and nothing else.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path} holds more than tensors, and nothing of it was run: {reason} Save its weights alone, where you"
            ' trust it: `torch.save({"model": model.state_dict()}, path)`.'
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no PyTorch checkpoint, or is cut short: {error}.") from error


def _choose(loaded: Any, weights: str | None, path: Path) -> tuple[Mapping[str, torch.Tensor], list[str]]:
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, expected weights by name.")
    if _are_weights(loaded):
        if weights is not None:
            raise ValueError(f"{path} holds one set of weights without a name: leave out {weights!r}.")
        return loaded, []
    found = [name for name in WRAPPERS if _are_weights(loaded.get(name))]
    if weights is None and len(found) == 1:
        weights = found[0]
    if weights not in found:
        chosen = "none was chosen" if weights is None else f"{weights!r} is none of them"
        raise ValueError(
            f"{path} holds weights under {found}, and {chosen}; its keys are {sorted(map(str, loaded))[:10]}."
            " Say which with `--weights`."
        )
    others = [name for name in found if name != weights]
    return loaded[weights], [f"weights taken from {weights!r}"] + [f"{name!r} left out" for name in others]


def _are_weights(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(torch.is_tensor(tensor) for tensor in value.values())


def _strip_prefixes(state: AncestorState) -> None:
    for prefix in PREFIXES:
        if not any(name.startswith(prefix) for name in state.tensors):
            continue
        stripped = [name.removeprefix(prefix) for name in state.tensors]
        if len(set(stripped)) < len(stripped):
            raise ValueError(f"without the prefix {prefix!r} two weights have the same name.")
        state.tensors = dict(zip(stripped, state.tensors.values(), strict=True))
        state.notes.append(f"prefix {prefix!r} taken off")


def drop(state: AncestorState, patterns: list[str]) -> None:
    """
    Leaves weights out on the user's word.

    Args:
        state ([`AncestorState`]): Changed in place.
        patterns (`list[str]`): Regular expressions that match whole names.

    Raises:
        `ValueError`: for a pattern that matches nothing.
    """
    for pattern in patterns:
        matched = [name for name in state.tensors if re.fullmatch(pattern, name)]
        if not matched:
            raise ValueError(f"nothing in the checkpoint is named {pattern!r}.")
        for name in matched:
            del state.tensors[name]
            state.notes.append(f"{name} left out as asked")


def make_plain(state: AncestorState) -> None:
    """
    Brings spellings that come to the same numbers to one, in place: layer scales (`gamma_1`, `gamma_2`) are multiplied
    into the maps before them, query and value biases become one fused bias with none for the keys, one-dimensional
    convolutions two-dimensional ones of height 1, and of two counts of a code the one that training goes on with stays.

    Args:
        state ([`AncestorState`]): Changed in place, with a note for each.
    """
    tensors = state.tensors
    for name in [name for name in tensors if re.search(r"(^|\.)gamma_[12]$", name)]:
        block, _, which = name.rpartition("gamma_")
        target = f"{block}attn.proj" if which == "1" else f"{block}mlp.fc2"
        if f"{target}.weight" not in tensors or f"{target}.bias" not in tensors:
            raise ValueError(f"{name} scales {target}, which the checkpoint lacks.")
        gamma = tensors.pop(name)
        tensors[f"{target}.weight"] = gamma[:, None] * tensors[f"{target}.weight"]
        tensors[f"{target}.bias"] = gamma * tensors[f"{target}.bias"]
        state.notes.append(f"{name} multiplied into {target}")
    for name in [name for name in tensors if name.endswith("attn.q_bias")]:
        block = name.removesuffix("q_bias")
        query, value = tensors.pop(name), tensors.pop(f"{block}v_bias", None)
        if value is None:
            raise ValueError(f"the checkpoint has {name} but no {block}v_bias.")
        tensors[f"{block}qkv.bias"] = torch.cat((query, torch.zeros_like(query), value))
        state.notes.append(f"{name} and {block}v_bias joined to {block}qkv.bias, with zeros for the keys")
    counts = tensors.pop("quantize.cluster_size", None)
    if counts is not None:
        tensors["quantize.embedding.cluster_size"] = counts
        state.notes.append("quantize.cluster_size, which training goes on with, taken for the codes' counts")
    started = tensors.get("quantize.embedding.initted")
    if started is not None and started.dtype != torch.bool:
        tensors["quantize.embedding.initted"] = started.reshape(()).bool()
        state.notes.append("quantize.embedding.initted made a truth value")
    for name, tensor in tensors.items():
        if re.search(r"patch_embed\.(conv\d+|proj)\.weight$", name) and tensor.ndim == 3:
            tensors[name] = tensor[:, :, None]
            state.notes.append(f"{name} made two-dimensional")


def widen_first_convolution(state: AncestorState, padding: int, stride: int) -> None:
    """
    Adds zeros to the kernels of the first convolutions, so that they see what they saw with another padding.

    This package pads by `(kernel - stride) // 2` before a patch. A kernel with zeros at its end may be as long as any
    padding needs.

    Args:
        state ([`AncestorState`]): Changed in place.
        padding (`int`): Zeros before a patch in the source.
        stride (`int`): Of the first convolution.

    Raises:
        `ValueError`: if the kernel reaches beyond the padding that this package would have then.
    """
    for name in [name for name in state.tensors if re.search(r"(^|\.)patch_embed\.conv1\.weight$", name)]:
        kernel = state.tensors[name].shape[-1]
        if (kernel - stride) // 2 == padding:
            continue
        wider = 2 * padding + stride
        if wider < kernel:
            raise ValueError(
                f"{name} has a kernel of {kernel} samples at a stride of {stride}: with {padding} zeros before a patch"
                " it has no equal here."
            )
        state.tensors[name] = torch.nn.functional.pad(state.tensors[name], (0, wider - kernel))
        state.notes.append(f"{name}: {wider - kernel} zeros added for a padding of {padding} samples")
