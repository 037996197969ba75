# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The files of a checkpoint, looked at before `transformers` reads them: safetensors only, and none from elsewhere."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import is_offline_mode
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

# What `torch.load`, `pickle` and their kin write; opening such a file can run code.
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
SAFE_WEIGHTS = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)
# In place of a model: PEFT loads the one that they name.
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_MOST_INDEX_BYTES = 1 << 26
_PICKLE_ADVICE = (
    "A pickle runs code when it is opened, so none is. If you trust where it comes from, convert it: load its tensors"
    " with `torch.load(path, weights_only=True)` and write them with `safetensors.torch.save_file`."
)


class MismatchedSizesError(ValueError, RuntimeError):
    """Weights have other shapes than the model; `transformers` raises a `RuntimeError`."""


def is_path_to_nothing(checkpoint: str | os.PathLike) -> bool:
    """
    Whether a checkpoint is a path at which there is no folder; `transformers` would look for it on the Hub.

    Args:
        checkpoint (`str` or `os.PathLike`): A folder, or a name on the Hub such as `org/name`.

    Returns:
        `bool`: `False` for folders, and for what can be a name.
    """
    folder = Path(checkpoint)
    is_path = folder.exists() or folder.is_absolute() or len(folder.parts) > 2 or str(checkpoint).startswith(".")
    return is_path and not folder.is_dir()


def refuse_path_to_nothing(checkpoint: str | os.PathLike) -> None:
    """Raises `FileNotFoundError` if [`is_path_to_nothing`]."""
    if is_path_to_nothing(checkpoint):
        raise FileNotFoundError(f"there is no checkpoint folder {Path(checkpoint)}.")


def refuse_pickles(checkpoint: str | os.PathLike, arguments: Mapping[str, Any]) -> None:
    """
    Refuses a checkpoint whose weights would come from a pickle, or from files outside it.

    Pickles beside safetensors files, `optimizer.pt` in the checkpoints of `Trainer` for example, are never opened.

    Args:
        checkpoint (`str` or `os.PathLike`): Folder, or name on the Hub.
        arguments (`Mapping[str, Any]`): Of `from_pretrained`.

    Raises:
        `ValueError`: if there are pickles and no safetensors file, if `use_safetensors=False` is passed, or if
            `model.safetensors.index.json` is broken or names other files than those beside it.
        `FileNotFoundError`: if there is neither.
    """
    refuse_path_to_nothing(checkpoint)
    if arguments.get("use_safetensors") is False:
        raise ValueError(f"`use_safetensors=False` asks for a pickle. {_PICKLE_ADVICE}")
    hub = {name: arguments[name] for name in HUB_ARGUMENTS if arguments.get(name) is not None}
    variant = f".{arguments['variant']}" if arguments.get("variant") else ""
    single, index = (_with_variant(name, variant) for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))
    if os.path.isdir(checkpoint):
        folder = Path(checkpoint, hub.get("subfolder", ""))
        if (folder / single).is_file() or all((folder / name).is_file() for name in _ADAPTER_FILES):
            return
        if (folder / index).is_file():
            check_index(folder / index)
            return
        _refuse_folder(folder, single)
    elif _found(checkpoint, single, hub) is None:
        found = _found(checkpoint, index, hub)
        if found is not None:
            check_index(Path(found))
        elif any(_found(checkpoint, name, hub) is None for name in _ADAPTER_FILES):
            # What is not there says so, rather than that it lacks weights.
            cached_file(str(checkpoint), "config.json", **hub)
            part = f"subfolder {hub['subfolder']!r} of " if hub.get("subfolder") else ""
            raise ValueError(
                f"{part}{str(checkpoint)!r} has neither {single} nor {index}, and no other file is read."
                f" {_PICKLE_ADVICE}"
            )


def _refuse_folder(folder: Path, single: str) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}: the checkpoint lacks that part.")
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLE_SUFFIXES)
    if pickles:
        raise ValueError(
            f"{folder} has no {single}, but {', '.join(pickles[:3])}{' ...' if len(pickles) > 3 else ''}."
            f" {_PICKLE_ADVICE}"
        )
    raise FileNotFoundError(f"{folder} holds no weights: expected {single}. Is the checkpoint complete?")


def found_file(checkpoint: str | os.PathLike, name: str, hub: Mapping[str, Any]) -> str | None:
    """
    Looks for a file that may be absent.

    Args:
        checkpoint (`str` or `os.PathLike`): Folder, or name on the Hub.
        name (`str`): Of the file.
        hub (`Mapping[str, Any]`): Those arguments of `from_pretrained` that [`HUB_ARGUMENTS`] names.

    Returns:
        `str` or `None`: its path; `None` if it is not there, or if the cache lacks it and nobody can be asked.
    """
    if os.path.isdir(checkpoint):
        path = Path(checkpoint, hub.get("subfolder", ""), name)
        return str(path) if path.is_file() else None
    quiet = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors", "gated_repo")}
    return cached_file(str(checkpoint), name, **hub, **quiet)


def _found(checkpoint: str | os.PathLike, name: str, hub: dict[str, Any]) -> str | None:
    """Local path of a file of a repository, `None` if the repository is known not to have it."""
    return cached_file(str(checkpoint), name, **hub, _raise_exceptions_for_missing_entries=False)


def _with_variant(name: str, variant: str) -> str:
    stem, suffix = name.split(".", 1)
    return f"{stem}{variant}.{suffix}" if name == SAFE_WEIGHTS_NAME else name.replace(".index", f".index{variant}")


def check_index(path: Path) -> None:
    """
    Checks the list of the files that the weights are spread over.

    Args:
        path (`Path`): `model.safetensors.index.json`.

    Raises:
        `ValueError`: if it is no such list, or names anything but safetensors files beside it.
    """
    size = path.stat().st_size
    if size > _MOST_INDEX_BYTES:
        raise ValueError(f"{path} has {size} bytes, expected {_MOST_INDEX_BYTES} at most: it is no list of weights.")
    index = read_json(path)
    files = index.get("weight_map")
    if not isinstance(files, dict) or not files or not isinstance(index.get("metadata"), dict):
        raise ValueError(f"{path} is no list of weights: expected objects `metadata` and `weight_map`.")
    for weight, name in files.items():
        # Both separators on every system: files travel.
        is_local = isinstance(name, str) and not {"/", "\\", ":", "\0"} & {*name} and name.endswith(".safetensors")
        if not is_local:
            raise ValueError(
                f"{path} says that {weight!r} lies in {name!r}: expected a safetensors file beside it. Nothing was"
                " read."
            )


def read_json(path: Path) -> dict[str, Any]:
    """
    An object from a JSON file.

    Raises:
        `ValueError`: if it is none, or is nested too deeply.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}, expected an object.")
    return found


@contextmanager
def loading(checkpoint: str | os.PathLike | None, what: str) -> Iterator[None]:
    """
    Says which checkpoint an error is about, and what it means: `transformers` does not always.

    Args:
        checkpoint (`str`, `os.PathLike` or `None`): Folder, or name on the Hub.
        what (`str`): What is loaded from it.

    Raises:
        `FileNotFoundError`: if it is a path to nothing.
        `ValueError`: if a file of it is damaged.
        `OSError`: if it is not there or cannot be had.
    """
    if checkpoint is not None and not os.path.isfile(checkpoint):
        refuse_path_to_nothing(checkpoint)
    try:
        yield
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise ValueError(f"a file of {str(checkpoint)!r} is not UTF-8 text: {error}.") from error
    except RecursionError as error:
        raise ValueError(f"a file of {str(checkpoint)!r} is nested too deeply to be a configuration.") from error
    except SafetensorError as error:
        raise ValueError(
            f"the weights of {checkpoint} cannot be read: {error}. The file is damaged: fetch it again."
        ) from error
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise MismatchedSizesError(
            f"the weights of {checkpoint} have other shapes than its config.json and what was passed say. If another"
            f" head is wanted, pass `ignore_mismatched_sizes=True`. {error}"
        ) from error
    except OSError as error:
        if checkpoint is None or os.path.isdir(checkpoint):
            raise
        raise OSError(f"{what} cannot be loaded from {str(checkpoint)!r}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    if any(isinstance(link, GatedRepoError) for link in chain):
        return "access to the repository must be granted: ask for it on its page, then log in with `hf auth login`."
    if any(isinstance(link, RepositoryNotFoundError) for link in chain):
        return (
            "there is no such folder here and no such repository on the Hub. Check the name; if the repository is"
            " private, log in with `hf auth login`."
        )
    invalid = next((link for link in chain if isinstance(link, HFValidationError)), None)
    if invalid is not None:
        return f"there is no such folder here, and it cannot be a name on the Hub. {invalid}"
    if is_offline_mode() or any(isinstance(link, (LocalEntryNotFoundError, OfflineModeIsEnabled)) for link in chain):
        return (
            "there is no such folder here, the cache of the Hub does not have it, and the Hub cannot be asked"
            f"{' (offline mode)' if is_offline_mode() else ''}. Check the name and the connection."
        )
    if any(isinstance(link, EntryNotFoundError) for link in chain):
        return f"the repository lacks a file. {error}"
    return str(error)


__all__ = [
    "HUB_ARGUMENTS",
    "PICKLE_SUFFIXES",
    "SAFE_WEIGHTS",
    "MismatchedSizesError",
    "check_index",
    "found_file",
    "is_path_to_nothing",
    "loading",
    "read_json",
    "refuse_path_to_nothing",
    "refuse_pickles",
]
