# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The model's code beside a checkpoint, so that it loads with `trust_remote_code=True` where this package is not."""

import json
import os
from pathlib import Path
from typing import Any

from transformers import AutoModel
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.utils import CONFIG_NAME, FEATURE_EXTRACTOR_NAME

from anyecg_hf.models.anyecg import AnyECGConfig, entry_anyecg
from anyecg_hf.models.anyecg.entry_anyecg import AUTO_CLASSES, HEADS_WITHOUT_AUTO_CLASS, PIPELINES
from anyecg_hf.models.anyecg.modeling_anyecg_long_records import AnyECGForLongRecordClassification
from anyecg_hf.models.anyecg.tokenization_anyecg import QUANTIZER_SUBFOLDER

_ENTRY = Path(entry_anyecg.__file__)
_LICENCE_LINES = 2
_TOKENIZER = "AutoFeatureExtractor"


def code_files() -> tuple[Path, ...]:
    """
    The files of the package that a checkpoint needs to load without it.

    Returns:
        `tuple[Path]`: by name; all that the entry module imports, found as transformers finds it.
    """
    return tuple(sorted({_ENTRY, *map(Path, get_relative_import_files(_ENTRY))}))


def add_remote_code(folder: str | os.PathLike) -> tuple[str, ...]:
    """
    Puts the model's code into the folder of a checkpoint, and `auto_map` into its configs, the quantizer's and the
    tokenizer's included: every Auto class that the package registers then loads it with `trust_remote_code=True`. The
    model's config also gets `custom_pipelines`, by which `transformers.pipeline` finds the tasks of the package.

    This is for a folder that is about to be shared; the folder of a training run needs no code. All is checked before
    anything is written, and a second call changes nothing. Files of the same name that are ours, by their licence
    lines, are of another version and are replaced. `auto_map` and
    `custom_pipelines` lose no entries other than those replaced.

    A head that no Auto class of transformers loads is given to `AutoModel` if it is what was saved, by the config's
    `architectures`. With the package `AutoModel` loads the backbone of every checkpoint.

    Args:
        folder (`str` or `os.PathLike`): As `save_pretrained` of a model, a quantizer or a tokenizer leaves it.

    Returns:
        `tuple[str]`: names of the code files, which lie in `folder` itself.

    Raises:
        `FileNotFoundError`: if the folder has none of the configs.
        `FileExistsError`: if it holds somebody else's file under one of the names.
        `ValueError`: if a config is none of AnyECG's, names somebody else's code, or is a link, as in the cache of the
            Hub.
    """
    folder = Path(folder)
    configs = _configs_with_code(folder)
    contents = {path.name: path.read_bytes() for path in code_files()}
    for name, content in contents.items():
        _refuse_foreign_file(folder / name, content)
    # The configs last: what they name is there by then.
    for path, content in {**{folder / name: content for name, content in contents.items()}, **configs}.items():
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
    return tuple(contents)


def _configs_with_code(folder: Path) -> dict[Path, bytes]:
    """Path and new content of every config in the folder."""
    paths = [folder / CONFIG_NAME, folder / QUANTIZER_SUBFOLDER / CONFIG_NAME, folder / FEATURE_EXTRACTOR_NAME]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise FileNotFoundError(
            f"expected the folder of a checkpoint, but {folder} has neither {CONFIG_NAME} nor {FEATURE_EXTRACTOR_NAME}:"
            " save a model or a tokenizer there first."
        )
    _refuse_link(folder / QUANTIZER_SUBFOLDER)
    return {path: _config_with_code(path) for path in found}


def _config_with_code(path: Path) -> bytes:
    _refuse_link(path)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON and of UTF-8
        raise ValueError(f"{path} is not JSON: {error}. Save the checkpoint anew.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds a {type(config).__name__}, expected an object. Save the checkpoint anew.")
    entries = _tokenizer_entries(config, path) if path.name == FEATURE_EXTRACTOR_NAME else _model_entries(config, path)
    config["auto_map"] = _joined("auto_map", config, entries, path)
    if config.get("model_type") == AnyECGConfig.model_type:
        config["custom_pipelines"] = _joined("custom_pipelines", config, _pipeline_entries(config), path)
    # As transformers writes both.
    return (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()


def _tokenizer_entries(config: dict[str, Any], path: Path) -> dict[str, str]:
    (tokenizer,) = {found[auto] for found in AUTO_CLASSES.values() for auto in found if auto.__name__ == _TOKENIZER}
    if config.get("feature_extractor_type") != tokenizer.__name__:
        raise ValueError(
            f"{path} is of a {config.get('feature_extractor_type')!r}, expected {tokenizer.__name__!r}: this code loads"
            " no other."
        )
    return {_TOKENIZER: _reference(tokenizer)}


def _model_entries(config: dict[str, Any], path: Path) -> dict[str, str]:
    by_type = {config_class.model_type: loaded for config_class, loaded in AUTO_CLASSES.items()}
    loaded = by_type.get(config.get("model_type"))
    if loaded is None:
        raise ValueError(
            f"{path} is of a {config.get('model_type')!r} model, expected one of {sorted(by_type)}: this code loads no"
            " other."
        )
    entries = {auto_class.__name__: _reference(found) for auto_class, found in loaded.items()}
    for head in HEADS_WITHOUT_AUTO_CLASS:
        if config.get("architectures") == [head.__name__]:
            entries["AutoModel"] = _reference(head)
    return entries


def _pipeline_entries(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    entries = {}
    for task, (pipeline, auto_class) in PIPELINES.items():
        if config.get("architectures") == [AnyECGForLongRecordClassification.__name__]:
            auto_class = AutoModel  # the only one that loads this head
        entries[task] = {"impl": _reference(pipeline), "pt": [auto_class.__name__], "type": "audio"}
    return entries


def _joined(field: str, config: dict[str, Any], entries: dict[str, Any], path: Path) -> dict[str, Any]:
    """The field of a config with our entries in it; refuses to replace somebody else's."""
    known = config.get(field) or {}
    if not isinstance(known, dict):
        raise ValueError(f"`{field}` in {path} is a {type(known).__name__}, expected an object. Remove it.")
    _refuse_foreign_code(field, known, entries, path)
    return {**known, **entries}


def _reference(found: type) -> str:
    return f"{_ENTRY.stem}.{found.__name__}"


def _refuse_foreign_code(field: str, known: dict[str, Any], entries: dict[str, Any], path: Path) -> None:
    ours = {file.stem for file in code_files()}
    for name in sorted(known.keys() & entries.keys()):
        value = known[name].get("impl") if isinstance(known[name], dict) else known[name]
        value = value[0] if isinstance(value, list) and value else value
        if str(value).partition(".")[0] not in ours:
            raise ValueError(
                f"`{field}` in {path} says that {name} loads {value!r}, which is not of this package: remove the entry"
                " if this code shall load it."
            )


def _refuse_foreign_file(path: Path, ours: bytes) -> None:
    if not os.path.lexists(path):
        return
    _refuse_link(path)
    licence = ours.splitlines()[:_LICENCE_LINES]
    if not path.is_file() or path.read_bytes().splitlines()[:_LICENCE_LINES] != licence:
        raise FileExistsError(
            f"{path} is not a file of this package, and its code needs that name: move it out of the folder."
        )


def _refuse_link(path: Path) -> None:
    # What is written to a link ends in the file that it points at, in the cache of the Hub for example.
    if path.is_symlink():
        raise ValueError(f"{path} is a link, expected a file: copy the folder with what its links point at first.")


__all__ = ["add_remote_code", "code_files"]
