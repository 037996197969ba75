# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: what it was told, what it ran with, what it measured."""

import dataclasses
import errno
import json
import logging
import platform
from pathlib import Path
from shutil import copytree
from typing import Any, TextIO

import yaml

from anyecg_hf.environment import installed_versions, machine_kind
from anyecg_hf.training.checkpoints import replace_file, replace_folder
from anyecg_hf.training.config_files import different_fields, save_config
from anyecg_hf.training.configs import TrainingConfig
from anyecg_hf.version import __version__

try:
    import fcntl
except ImportError:
    fcntl = None

logger = logging.getLogger(__name__)

# Changing these between two parts of a run changes nothing that it computes.
_FREE_FIELDS = (
    *("output_dir", "resume", "data.num_proc", "data.root", "data.cache_dir", "data.prefetch"),
    *("run.save_every", "run.keep", "run.log_every", "run.trackers", "run.plots", "run.peak_tflops"),
)
_PARENT = "parent_sha256"  # a field of `DataFacts`
MACHINE_FIELD = "machine"  # beside versions
_LIBRARIES = ("torch", "transformers", "accelerate", "datasets", "peft", "numpy", "scipy", "pywavelets", "safetensors")


class RunFolder:
    """
    `config.yaml`, `versions.json`, `data.json`, `training_records.parquet`, `metrics.jsonl` and its picture
    `metrics.png`, details such as `code_counts.json`, `checkpoints/` and `final/`.

    Args:
        config ([`TrainingConfig`]): The run.
    """

    def __init__(self, config: TrainingConfig):
        self.config = config
        self.path = Path(config.output_dir)
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.final = self.path / "final"
        self.metrics = self.path / "metrics.jsonl"
        self.bad_batches = self.path / "not-finite.json"
        self._lock_file: TextIO | None = None
        self.data_facts = self.path / "data.json"

    def open(self) -> None:
        """
        Makes the folder of a new run, or checks that a run can be resumed in it. What was left by a run that never
        found its records is no run.

        Raises:
            `ValueError`: if it holds a run and `resume` is not set, or one with other settings, or a process is still
                at work in it.
        """
        self._lock()
        file = self.path / "config.yaml"
        if not self.data_facts.exists() and not self.checkpoints.exists():
            save_config(self.config, file)
            _write_json(self.path / "versions.json", self._versions())
            return
        if not self.config.resume:
            raise ValueError(
                f"{self.path} holds a run already: go on with it (`--resume true`), or name another `output_dir`."
            )
        self._check_same(yaml.safe_load(file.read_text()))
        self._compare_versions(json.loads((self.path / "versions.json").read_text()))

    def close(self) -> None:
        """Lets others work in the folder."""
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def _lock(self) -> None:
        """Ends with the process, however that ends. Forked helpers do not keep it, as they would one of `flock`."""
        self.path.mkdir(parents=True, exist_ok=True)
        if fcntl is None:  # on Windows
            return
        file = (self.path / "lock").open("w")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise ValueError(
                f"another process is training in {self.path}: wait for its end, or end it. The processes that torchrun"
                " started live on when torchrun itself is killed."
            ) from error
        self._lock_file = file

    def _check_same(self, before: dict[str, Any]) -> None:
        found = different_fields(before, dataclasses.asdict(self.config))
        odd = {name: values for name, values in found.items() if name not in _FREE_FIELDS}
        if odd:
            raise ValueError(
                f"{self.path} is a run with other settings: {_listed(odd)}. Pass those, or another `output_dir`."
            )

    def _versions(self) -> dict[str, str]:
        return {**library_versions(), MACHINE_FIELD: machine_kind(self.config.run.device)}

    def _compare_versions(self, before: dict[str, str]) -> None:
        found = different_fields(before, self._versions())
        if found:
            logger.warning(
                "%s was started with other versions or on another machine, and may end with other weights: %s",
                self.path,
                _listed(found),
            )

    def write_data_facts(self, facts: dict[str, Any]) -> None:
        """
        Writes `data.json`, or compares it with that of the run's first part.

        Args:
            facts (`dict`): What the run is trained on.

        Raises:
            `ValueError`: if the records, or the checkpoint that the run starts from, are others than before.
        """
        if self.data_facts.exists():
            now = json.loads(json.dumps(facts))
            before = json.loads(self.data_facts.read_text())
            # An earlier version may have noted less.
            odd = different_fields(before, {name: value for name, value in now.items() if name in before})
            if _PARENT in odd:  # first, for another tokenizer may leave other rows
                name = "tokenizer" if hasattr(self.config, "tokenizer") else "checkpoint"
                raise ValueError(
                    f"`{name}` {getattr(self.config, name)!r} is not the one that {self.path} was started from: its"
                    " weights or its tokenizer's settings have changed since. Restore it, or name another `output_dir`."
                )
            if odd:
                raise ValueError(
                    f"the records are not those that {self.path} was started with: {_listed(odd)}. Restore them, or"
                    " name another `output_dir`."
                )
        _write_json(self.data_facts, facts)

    def cut_metrics(self, step: int) -> None:
        """Drops the lines of `metrics.jsonl` that come after a step: the run is at that step again."""
        if not self.metrics.exists():
            return
        kept = [line for line in self.metrics.read_text().splitlines() if _step_of(line) <= step]
        replace_file(self.metrics, "".join(f"{line}\n" for line in kept))

    def log(self, measured: dict[str, float]) -> None:
        """Adds a line to `metrics.jsonl`; numbers that are not finite become strings, which JSON has no numbers for."""
        with self.metrics.open("a") as file:
            file.write(json.dumps({name: _json_number(value) for name, value in measured.items()}) + "\n")

    def write_bad_batches(self, step: int, gradient_norm: float, batches: list[dict[str, Any]]) -> None:
        """
        Writes `not-finite.json`: the batches that training stopped at.

        Args:
            step (`int`): The step that was not taken.
            gradient_norm (`float`): Norm of its gradient.
            batches (`list[dict]`): `loss` and `records` of each.
        """
        listed = [{"loss": _json_number(batch["loss"]), "records": batch["records"]} for batch in batches]
        _write_json(self.bad_batches, {"step": step, "gradient_norm": _json_number(gradient_norm), "batches": listed})

    def copy_best(self) -> None:
        """Makes `final` of `best`."""
        replace_folder(self.final, lambda aside: copytree(self.best, aside, dirs_exist_ok=True))

    def write_details(self, details: dict[str, Any]) -> None:
        """Replaces the files of what a line of the log has no room for: name -> JSON content."""
        for name, content in details.items():
            replace_file(self.path / f"{name}.json", json.dumps(content) + "\n")

    def draw(self) -> None:
        """Draws `metrics.png`, where matplotlib is installed. That it cannot is no reason for a run to fail."""
        if not self.metrics.exists():
            return
        try:
            from anyecg_hf.plotting.training_curves import save_training_curves

            save_training_curves(self.metrics, self.path / "metrics.png", title=self.path.name)
        except (ImportError, OSError, ValueError) as error:
            logger.warning("no picture of the run: %s", error)


def library_versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that a training runs with, as far as installed."""
    return {"python": platform.python_version(), "anyecg_hf": __version__, **installed_versions(_LIBRARIES)}


def _listed(odd: dict[str, tuple[Any, Any]]) -> str:
    return "; ".join(f"{name} was {old!r} and is {new!r} now" for name, (old, new) in odd.items())


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")  # cut off while it was written


def _json_number(value: Any) -> Any:
    return value if not isinstance(value, float) or abs(value) < float("inf") else str(value)


def _write_json(path: Path, content: Any) -> None:
    replace_file(path, json.dumps(content, indent=1) + "\n")


__all__ = ["MACHINE_FIELD", "RunFolder", "library_versions"]
