# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs that are killed at an event: at a step, a line of the log, or somewhere in a save."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.training.small_runs import train

from anyecg_hf.training import checkpoints, loop, run_folder
from anyecg_hf.training.configs import TrainingConfig

# Functions whose calls are events, a kill coming just before them.
_EVENTS: tuple[tuple[Any, str], ...] = (
    (loop.TrainingLoop, "_backward"),
    (loop.TrainingLoop, "_clip"),
    (loop.TrainingLoop, "_save"),
    (run_folder.RunFolder, "log"),
    (run_folder, "replace_file"),
    (checkpoints, "save_file"),
    (checkpoints, "_write_json"),
    (checkpoints, "flush_to_disk"),
    (checkpoints.shutil, "rmtree"),
    (Path, "rename"),
    (Path, "replace"),
)


class _Counter:
    def __init__(self, strike: int | None, number: int):
        self.events = 0
        self._strike = strike
        self._number = number

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.events += 1
            if self.events == self._strike:
                os.kill(os.getpid(), self._number)
            return function(*arguments, **named)

        return call


@contextmanager
def _watched(strike: int | None = None, number: int = signal.SIGKILL) -> Iterator[_Counter]:
    counter = _Counter(strike, number)
    patches = [mock.patch.object(owner, name, counter.counted(getattr(owner, name))) for owner, name in _EVENTS]
    for patch in patches:
        patch.start()
    try:
        yield counter
    finally:
        for patch in patches:
            patch.stop()


def train_and_count(config: TrainingConfig, file: Path) -> None:
    """Trains, and writes the number of events into a file."""
    with _watched() as counter:
        train(config)
    if os.environ.get("RANK", "0") == "0":
        file.write_text(str(counter.events))


def train_until(config: TrainingConfig, event: int, number: int = signal.SIGKILL) -> None:
    """Trains, and sends itself a signal just before an event."""
    # A shell's background jobs inherit that interrupts are ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with _watched(event, number):
        train(config)
