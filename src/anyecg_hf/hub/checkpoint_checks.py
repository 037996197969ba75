# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Whether a folder holds a whole checkpoint or adapter: every weight of its architecture, and none beside."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from anyecg_hf.hub.file_checks import refuse_odd_names
from anyecg_hf.hub.hub_errors import HubError
from anyecg_hf.models import anyecg
from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGQuantizerConfig, AnyECGTokenizer
from anyecg_hf.models.anyecg.compatibility_anyecg import CODE_FIELDS, PATCH_FIELDS, mismatches
from anyecg_hf.plotting.code_summary_files import FILE_NAME as GALLERY_FILE
from anyecg_hf.training.adapters import ADAPTER_FILE, BASE_FIELD, MODEL_CONFIG_FILE
from anyecg_hf.training.peft_library import import_peft

CONFIG_FILE, WEIGHTS_FILE, INDEX_FILE = "config.json", "model.safetensors", "model.safetensors.index.json"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
TOKENIZER_FILE, QUANTIZER_FOLDER = "preprocessor_config.json", "quantizer"
_CONFIGS = {config.model_type: config for config in (AnyECGConfig, AnyECGQuantizerConfig)}

Shapes = dict[str, tuple[int, ...]]


def check_checkpoint(folder: Path, place: str) -> None:
    """
    Checks a checkpoint or adapter with what belongs to it, without loading a weight.

    Args:
        folder (`Path`): The folder.
        place (`str`): What errors call it.

    Raises:
        [`HubError`]: if weights are missing, unexpected or of another shape than the architecture's, if the
            architecture is none of ours, or if the tokenizer or its quantizer belongs to another model.
        `ImportError`: for an adapter, without PEFT.
    """
    config = None
    if (folder / ADAPTER_FILE).is_file():
        config = _check_adapter(folder, place)
    elif not _is_tokenizer_alone(folder):
        config = _check_model(folder, place)
    if (folder / QUANTIZER_FOLDER).is_dir():
        _check_model(folder / QUANTIZER_FOLDER, f"{place}/{QUANTIZER_FOLDER}")
    _refuse_stray_weights(folder, place)
    _refuse_strangers(folder, place, config)


def check_values(folder: Path, place: str) -> None:
    """
    Checks that all weights are finite; they are read one after the other.

    Args:
        folder (`Path`), place (`str`): As in [`check_checkpoint`], after it.

    Raises:
        [`HubError`]: names the first weight that is not.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():
                weight = file.get_tensor(name)
                if weight.is_floating_point() and not weight.isfinite().all():
                    raise HubError(
                        f"{place}/{path.relative_to(folder)}",
                        "finite weights",
                        f"NaN or infinity in {name!r}",
                        "The training diverged: push an earlier checkpoint.",
                    )


def check_agreement(folder: Path, place: str) -> None:
    """
    Checks that the configurations of model, tokenizer and quantizer belong together, as far as they are there.

    Args:
        folder (`Path`), place (`str`): As in [`check_checkpoint`].

    Raises:
        [`HubError`]: names the field in which they differ.
    """
    _refuse_strangers(folder, place, read_config(folder, place) if (folder / CONFIG_FILE).is_file() else None)


def _refuse_strangers(folder: Path, place: str, config: AnyECGConfig | AnyECGQuantizerConfig | None) -> None:
    if not (folder / TOKENIZER_FILE).is_file():
        return
    tokenizer = _reading(place, TOKENIZER_FILE, lambda: AnyECGTokenizer.from_pretrained(folder))
    if config is not None:
        _refuse_different(place, config, "the model", tokenizer, "its tokenizer", PATCH_FIELDS)
    if (folder / QUANTIZER_FOLDER).is_dir():
        quantizer = read_config(folder / QUANTIZER_FOLDER, f"{place}/{QUANTIZER_FOLDER}")
        _refuse_different(place, tokenizer, "the tokenizer", quantizer, "its quantizer", PATCH_FIELDS)
        if isinstance(config, AnyECGConfig):
            _refuse_different(place, config, "the model", quantizer, "its quantizer", CODE_FIELDS)


def kind_of(folder: Path, place: str) -> str:
    """
    What a checked folder holds, for its card.

    Args:
        folder (`Path`), place (`str`): As in [`check_checkpoint`].

    Returns:
        `str`: for example `AnyECGModel`, or `an adapter of AnyECGModel`.
    """
    if _is_tokenizer_alone(folder):
        return AnyECGTokenizer.__name__
    (architecture,) = read_config(folder, place).architectures
    return f"an adapter of {architecture}" if (folder / ADAPTER_FILE).is_file() else architecture


def _is_tokenizer_alone(folder: Path) -> bool:
    is_model = any((folder / name).is_file() for name in (CONFIG_FILE, ADAPTER_FILE))
    has_weights = any(path.suffix == ".safetensors" for path in folder.iterdir())
    return not is_model and not has_weights and (folder / TOKENIZER_FILE).is_file()


def read_config(folder: Path, place: str) -> AnyECGConfig | AnyECGQuantizerConfig:
    """
    Reads the configuration of a checkpoint.

    Args:
        folder (`Path`), place (`str`): As in [`check_checkpoint`].

    Returns:
        [`AnyECGConfig`] or [`AnyECGQuantizerConfig`]

    Raises:
        [`HubError`]: if there is none, or it is not of this package.
    """
    name = CONFIG_FILE if (folder / CONFIG_FILE).is_file() else MODEL_CONFIG_FILE
    if not (folder / name).is_file():
        raise HubError(
            place, f"a checkpoint with {CONFIG_FILE}", "no such file", "Save the model with `save_pretrained`."
        )
    fields = _read_json(folder / name, place)
    fields.pop(BASE_FIELD, None)  # of adapters: which weights they were trained on
    config_class = _CONFIGS.get(fields.get("model_type"))
    if config_class is None:
        raise HubError(
            f"{place}/{name}", f"`model_type` {' or '.join(_CONFIGS)}", repr(fields.get("model_type")), "Is it AnyECG?"
        )
    return _reading(place, name, lambda: config_class.from_dict(fields))


def _read_json(path: Path, place: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise HubError(f"{place}/{path.name}", "JSON", f"something else ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise HubError(f"{place}/{path.name}", "a JSON object", f"a {type(found).__name__}")
    return found


def _reading(place: str, name: str, read: Any) -> Any:
    try:
        return read()
    except (ValueError, TypeError, OSError, StrictDataclassError) as error:
        raise HubError(f"{place}/{name}", "what this package can read", " ".join(str(error).split())) from error


def _check_model(folder: Path, place: str) -> AnyECGConfig | AnyECGQuantizerConfig:
    config = read_config(folder, place)
    found = _stored_shapes(folder, place)
    expected = _shapes_of(_architecture(config, place), config, place, len(found))
    # A checkpoint may have several heads, one of which is its architecture.
    known = dict(expected)
    for model_class in _classes_of(config) if found.keys() - expected.keys() else ():
        known = {**_shapes_of(model_class, config, place, len(found)), **known}
    _refuse_unclean(place, config.architectures[0], expected, known, found)
    return config


def _classes_of(config: AnyECGConfig | AnyECGQuantizerConfig) -> list[type]:
    classes = dict.fromkeys(value for value in vars(anyecg).values() if isinstance(value, type))
    bases = (anyecg.AnyECGPreTrainedModel, anyecg.AnyECGRhythmQuantizer)
    return [
        model_class
        for model_class in classes
        if issubclass(model_class, bases)
        and model_class.config_class is type(config)
        and model_class is not anyecg.AnyECGPreTrainedModel
    ]


def _architecture(config: AnyECGConfig | AnyECGQuantizerConfig, place: str) -> type:
    names = config.architectures or []
    for model_class in _classes_of(config):
        if names == [model_class.__name__]:
            return model_class
    raise HubError(
        f"{place}/{CONFIG_FILE}",
        f"`architectures` with one of {', '.join(model_class.__name__ for model_class in _classes_of(config))}",
        repr(names),
        "Save the model with `save_pretrained` of that class.",
    )


def _shapes_of(model_class: type, config: Any, place: str, n_stored: int) -> Shapes:
    """Names and shapes of a model's weights; it is built without memory."""
    fields = ("num_hidden_layers", "num_decoder_layers")
    n_layers = sum(getattr(config, field, 0) for field in fields)
    if n_layers > n_stored:
        raise HubError(place, f"weights of {n_layers} layers", f"{n_stored} in all", "The config is not of them.")

    def build() -> Shapes:
        with torch.device("meta"):
            return {name: tuple(value.shape) for name, value in model_class(config).state_dict().items()}

    return _reading(place, CONFIG_FILE, build)


def _weight_files(folder: Path, place: str) -> list[str]:
    if (folder / INDEX_FILE).is_file():
        if (folder / WEIGHTS_FILE).is_file():
            raise HubError(
                place,
                f"either {WEIGHTS_FILE} or {INDEX_FILE}",
                "both",
                "Whoever loads it gets the first: save the model into an empty folder.",
            )
        weight_map = _read_json(folder / INDEX_FILE, place).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
            raise HubError(f"{place}/{INDEX_FILE}", "a `weight_map`", "none")
        names = sorted(set(weight_map.values()))
        refuse_odd_names(place, names)
        return names
    return [WEIGHTS_FILE]


def _stored_shapes(folder: Path, place: str) -> Shapes:
    found: Shapes = {}
    for name in _weight_files(folder, place):
        found |= _shapes_in(folder / name, place)
    return found


def _refuse_stray_weights(folder: Path, place: str) -> None:
    """Nobody would load them, and nobody has looked at them."""
    is_adapter = (folder / ADAPTER_FILE).is_file()
    read = {folder / name for name in ([ADAPTER_WEIGHTS_FILE] if is_adapter else _weight_files(folder, place))}
    read.add(folder / GALLERY_FILE)
    if (folder / QUANTIZER_FOLDER).is_dir():
        read |= {folder / QUANTIZER_FOLDER / name for name in _weight_files(folder / QUANTIZER_FOLDER, place)}
    if strays := sorted(set(folder.rglob("*.safetensors")) - read):
        raise HubError(
            place,
            f"the weights of {'an adapter' if is_adapter else 'one model'} and no others",
            f"{strays[0].relative_to(folder).as_posix()!r}",
            "Move them elsewhere, or save the model into a folder of its own.",
        )


def _shapes_in(path: Path, place: str) -> Shapes:
    if not path.is_file():
        raise HubError(place, f"weights in {path.name}", "no such file", "Save the model with `save_pretrained`.")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except SafetensorError as error:
        raise HubError(
            f"{place}/{path.name}", "whole safetensors", f"a broken file ({error})", "Save or fetch it again."
        ) from error


def _check_adapter(folder: Path, place: str) -> AnyECGConfig:
    peft = import_peft()
    if not (folder / MODEL_CONFIG_FILE).is_file():
        raise HubError(
            place,
            f"{MODEL_CONFIG_FILE}, the configuration of the model that the adapter was trained in",
            "no such file",
            "Save it with `anyecg_hf.training.adapters.save_adapted`.",
        )
    config = read_config(folder, place)
    model_class = _architecture(config, place)
    found = _shapes_in(folder / ADAPTER_WEIGHTS_FILE, place)

    def build() -> Shapes:
        adapter = peft.PeftConfig.from_pretrained(str(folder))
        adapter.base_model_name_or_path = None
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT's use of names that transformers has renamed
            model = peft.get_peft_model(model_class(config), adapter)
            return {name: tuple(value.shape) for name, value in peft.get_peft_model_state_dict(model).items()}

    expected = _reading(place, ADAPTER_FILE, build)
    _refuse_unclean(place, f"the adapter of {model_class.__name__}", expected, expected, found)
    return config


def _refuse_unclean(place: str, name: str, expected: Shapes, known: Shapes, found: Shapes) -> None:
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - known.keys())
    reshaped = sorted(key for key in found.keys() & known.keys() if found[key] != known[key])
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    told = [f"{len(keys)} {problem}, such as {keys[0]!r}" for problem, keys in problems.items() if keys]
    if told:
        raise HubError(
            place,
            f"all weights of {name} and no others",
            "; ".join(told),
            "Whoever loads it would get random numbers or lose weights: save the model that you mean again.",
        )


def _refuse_different(place: str, one: Any, name: str, other: Any, other_name: str, fields: tuple[str, ...]) -> None:
    for field in mismatches(one, other, fields):
        raise HubError(
            place,
            f"`{field}` of {name} and {other_name} to agree",
            f"{getattr(one, field)!r} and {getattr(other, field)!r}",
            "They are of different checkpoints: put those together that were trained together.",
        )


__all__ = ["check_agreement", "check_checkpoint", "check_values", "kind_of", "read_config"]
