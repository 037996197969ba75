# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run: whole or not there at all, rotated, and without a pickle in them.

A checkpoint is written into a folder of another name, flushed to the disk, and renamed when every process is done. What
a crash, a kill or a full disk leaves behind never looks like one.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from anyecg_hf.training.preparation import unwrapped
from anyecg_hf.training.processes import OtherProcessError, together
from anyecg_hf.training.zero import set_zero_moments, zero_moments, zero_stage

_NAME = re.compile(r"step-(\d{8})")
_UNFINISHED = "unfinished-"
_MODEL_FILE = "trained.safetensors"
_OPTIMISER_FILE = "optimiser.safetensors"
_STATE_FILE = "state.json"


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or read."""


@dataclass
class ProcessState:
    """
    What each process keeps for itself.

    Attributes:
        place (`dict`): Place in its rows.
        tensors (`dict[str, torch.Tensor]`): What the stage keeps beside the model.
    """

    place: dict[str, Any]
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class Checkpoints:
    """
    The checkpoints of a run.

    Args:
        folder (`Path`): Where they lie.
        keep (`int`): How many of them stay.
        process (`int`, *optional*, defaults to 0), n_processes (`int`, *optional*, defaults to 1): This process.
    """

    folder: Path
    keep: int
    process: int = 0
    n_processes: int = 1

    def newest(self) -> Path | None:
        """The last complete checkpoint, `None` if there is none."""
        found = self._complete()
        return found[-1] if found else None

    def save(
        self,
        step: int,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        state: dict[str, Any],
        own: ProcessState,
    ) -> None:
        """
        Writes a checkpoint, then removes the oldest ones. Every process must call it.

        Args:
            step (`int`): Steps done.
            model (`nn.Module`): As it is trained. Frozen parameters are left out.
            optimiser (`torch.optim.Optimizer`): Its optimiser.
            state (`dict`): What JSON holds of the run; the first process's counts.
            own ([`ProcessState`]): Of this process.

        Raises:
            [`CheckpointError`]: if a file could not be written, for example on a full disk, in all processes. Earlier
                checkpoints stay.
        """
        options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
        model, stage = unwrapped(model), zero_stage(optimiser)
        weights = get_model_state_dict(model, options=options)
        if stage:
            shares, moments = zero_moments(optimiser), {"state": {}, "param_groups": []}
        else:
            shares, moments = {}, get_optimizer_state_dict(model, optimiser, options=options)
        unfinished = self.folder / f"{_UNFINISHED}{step:08d}"

        def write() -> None:
            _write_tensors({**own.tensors, **shares}, unfinished / f"process-{self.process}.safetensors")
            _write_json(own.place, unfinished / f"process-{self.process}.json")
            if self.process == 0:
                tensors = {
                    f"{parameter}.{name}": value
                    for parameter, values in moments["state"].items()
                    for name, value in values.items()
                }
                _write_tensors(weights, unfinished / _MODEL_FILE)
                _write_tensors(tensors, unfinished / _OPTIMISER_FILE)
                facts = {"step": step, "n_processes": self.n_processes, "zero_stage": stage}
                _write_json({**state, **facts, "groups": moments["param_groups"]}, unfinished / _STATE_FILE)

        try:
            together(lambda: self._make_empty(unfinished))
            together(write)
            together(lambda: self._finish(unfinished, step))
        except Exception as error:
            if self.process == 0:
                shutil.rmtree(unfinished, ignore_errors=True)
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written into {self.folder}: {_described(error)}. Those"
                " before it are as they were: remove the cause, for example make room on the disk, then resume."
            ) from error

    def load(
        self, path: Path, model: nn.Module, optimiser: torch.optim.Optimizer
    ) -> tuple[dict[str, Any], ProcessState]:
        """
        Puts model and optimiser back to a checkpoint.

        Args:
            path (`Path`): From [`~Checkpoints.newest`].
            model (`nn.Module`), optimiser (`torch.optim.Optimizer`): As built for this run.

        Returns:
            `tuple`: the run's state, and this process's.

        Raises:
            [`CheckpointError`]: if it was written by another number of processes, with another stage of ZeRO or by
                another model, or is damaged.
        """
        state = _read(_read_json, path / _STATE_FILE)
        if state["n_processes"] != self.n_processes:
            raise CheckpointError(
                f"{path} was written by {state['n_processes']} processes and there are {self.n_processes} now: each"
                " keeps its place in its share of the rows. Start as many, or begin a new run from the saved weights."
            )
        model, stage = unwrapped(model), zero_stage(optimiser)
        if state.get("zero_stage", 0) != stage:  # absent in earlier versions
            raise CheckpointError(
                f"{path} was written with {_engine(state.get('zero_stage', 0))}, and this run is one with"
                f" {_engine(stage)}: each keeps its moments in its own way. Start as before, or begin a new run from"
                " the saved weights."
            )
        weights, moments = _read(_read_tensors, path / _MODEL_FILE), _read(_read_tensors, path / _OPTIMISER_FILE)
        self._check_fits(path, weights, model)
        options = StateDictOptions(full_state_dict=True, ignore_frozen_params=True, strict=False)
        set_model_state_dict(model, weights, options=options)
        own = ProcessState(
            place=_read(_read_json, path / f"process-{self.process}.json"),
            tensors=_read(_read_tensors, path / f"process-{self.process}.safetensors"),
        )
        if stage:
            set_zero_moments(optimiser, own.tensors)
        else:
            set_optimizer_state_dict(
                model,
                optimiser,
                {"state": _by_parameter(moments), "param_groups": state["groups"]},
                options=StateDictOptions(full_state_dict=True),
            )
        return state, own

    def _check_fits(self, path: Path, weights: dict[str, torch.Tensor], model: nn.Module) -> None:
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        expected = {name: tuple(value.shape) for name, value in model.state_dict().items() if name not in frozen}
        found = {name: tuple(value.shape) for name, value in weights.items()}
        odd = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        if odd:
            listed = ", ".join(f"{name} {found.get(name)} (here {expected.get(name)})" for name in odd[:3])
            raise CheckpointError(
                f"{path} is of another model: {len(odd)} weights differ in name or shape, for example {listed}."
            )

    def _complete(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _make_empty(self, unfinished: Path) -> None:
        if self.process == 0:
            for left in self.folder.glob(f"{_UNFINISHED}*"):  # by a run that was killed
                shutil.rmtree(left)
            unfinished.mkdir(parents=True)

    def _finish(self, unfinished: Path, step: int) -> None:
        if self.process:
            return
        flush_to_disk(unfinished)
        unfinished.rename(self.folder / f"step-{step:08d}")
        flush_to_disk(self.folder)
        for old in self._complete()[: -self.keep]:
            shutil.rmtree(_moved_away(old))


def flush_to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """
    Writes a folder aside and puts it in the place of an earlier one, which stays until the new one is whole.

    Args:
        folder (`Path`): The folder.
        write (`Callable[[Path], None]`): Writes its files into the path that it is given.

    Raises:
        [`CheckpointError`]: if it could not be written; the earlier one stays.
    """
    aside = folder.with_name(f"{_UNFINISHED}{folder.name}")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        write(aside)
        for path in (*aside.rglob("*"), aside):
            flush_to_disk(path)
        earlier = _moved_away(folder) if folder.exists() else None
        aside.rename(folder)
        flush_to_disk(folder.parent)
        if earlier is not None:
            shutil.rmtree(earlier)
    except Exception as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise CheckpointError(
            f"{folder} could not be written: {_described(error)}. What was there before is as it was, and so are the"
            " checkpoints: remove the cause, for example make room on the disk, then resume."
        ) from error


def replace_file(path: Path, text: str) -> None:
    """
    Writes a text file aside and puts it in the place of an earlier one, so that at any moment one of them is whole.

    Args:
        path (`Path`): The file.
        text (`str`): What it is to hold.
    """
    aside = path.with_name(f"{_UNFINISHED}{path.name}")
    try:
        aside.write_text(text)
        flush_to_disk(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _moved_away(folder: Path) -> Path:
    """Gives a folder a name under which what a kill leaves of it does not look whole."""
    away = folder.with_name(f"{_UNFINISHED}removal-{folder.name}")
    shutil.rmtree(away, ignore_errors=True)
    return folder.rename(away)


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, OtherProcessError) else f"{type(error).__name__}: {error}"


def _engine(stage: int) -> str:
    return f"DeepSpeed's ZeRO stage {stage}" if stage else "no DeepSpeed"


def _by_parameter(moments: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    found: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        parameter, _, name = key.rpartition(".")
        found.setdefault(parameter, {})[name] = value
    return found


def _write_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    # Cloned: safetensors refuses tensors that share memory.
    save_file({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}, path)
    flush_to_disk(path)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    # Copied into memory of our own, aligned as torch does: the file may be rotated away while the run goes on.
    return {name: value.clone() for name, value in load_file(path).items()}


def _write_json(content: Any, path: Path) -> None:
    path.write_text(json.dumps(content))
    flush_to_disk(path)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def _read(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}. Remove {path.parent} to go on from the checkpoint before it."
        ) from error


__all__ = ["CheckpointError", "Checkpoints", "ProcessState", "flush_to_disk", "replace_file", "replace_folder"]
