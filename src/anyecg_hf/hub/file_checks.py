# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which files may go to the Hub or come from it: no pickles, and no names that lead out of the folder."""

import pickletools
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from anyecg_hf.hub.hub_errors import HubError
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import PICKLE_SUFFIXES

# Formats beside the usual ones that are, or may hold, a pickle.
_PICKLE_SUFFIXES = {*PICKLE_SUFFIXES, ".dill", ".npy", ".npz", ".h5", ".keras"}
# Opcodes by which a pickle names what it calls; pickles of protocols 0 and 1 begin with no sign of what they are.
_NAMES = {"EXT1", "EXT2", "EXT4", "GLOBAL", "INST", "STACK_GLOBAL"}
_CALLS = {"BUILD", "INST", "NEWOBJ", "NEWOBJ_EX", "OBJ", "REDUCE"}
_MOST_PICKLE_BYTES = 1 << 24
_WHY = "a pickle runs whatever code it holds as soon as it is loaded"
_ADVICE = f"Only safetensors: {_WHY}. Load it where you trust it, and save it with `save_pretrained`."


def refuse_odd_names(place: str, names: Iterable[str]) -> None:
    """
    Refuses names of files that lead out of the folder that they are written to, or that not every system can have.

    Args:
        place (`str`): The repository or folder, for the error.
        names (`Iterable[str]`): Paths in it, with slashes.

    Raises:
        [`HubError`]: names the first.
    """
    for name in names:
        parts = name.split("/")
        is_odd = any(part in ("", ".", "..") for part in parts) or any(sign in "\\:" or sign < " " for sign in name)
        if is_odd or PurePosixPath(name).is_absolute():
            raise HubError(
                place,
                "names of files inside the repository",
                f"{name!r}",
                "Such a name may write elsewhere on your disk: do not use this repository.",
            )


def refuse_pickle_names(place: str, names: Iterable[str]) -> None:
    """Raises [`HubError`] if one of the files is by its name a pickle, or may hold one."""
    for name in names:
        if PurePosixPath(name).suffix.lower() in _PICKLE_SUFFIXES:
            raise HubError(place, "weights as safetensors only", f"{name!r}", _ADVICE)


def refuse_pickle_content(place: str, folder: Path, names: Iterable[str]) -> None:
    """
    Raises [`HubError`] if a file is by its content a pickle, whatever it is called, or a broken `.safetensors`.

    Args:
        place (`str`): The repository or folder, for the error.
        folder (`Path`): Where the files lie.
        names (`Iterable[str]`): Paths in it.
    """
    for name in names:
        path = folder / name
        if _holds_pickle(path):
            raise HubError(place, "weights as safetensors only", f"a pickle in {name!r}", _ADVICE)


def _holds_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(16)
    if path.suffix == ".safetensors":
        # Its first eight bytes are a length, which may look like anything; then its JSON begins.
        return start[8:9] != b"{"
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return True
    if _calls_as_pickle(path):
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:  # as `torch.save` writes it
        return any(PurePosixPath(name).suffix == ".pkl" for name in archive.namelist())


def _calls_as_pickle(path: Path) -> bool:
    """Whether it reads as a pickle that names and calls something; text does not. Nothing of it runs."""
    with path.open("rb") as file:
        start = file.read(_MOST_PICKLE_BYTES)
    try:
        found = {opcode.name for opcode, _, _ in pickletools.genops(start)}
    except ValueError:
        return False
    return bool(found & _NAMES and found & _CALLS)


__all__ = ["refuse_odd_names", "refuse_pickle_content", "refuse_pickle_names"]
