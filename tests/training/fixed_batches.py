# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs that see the same eight windows in every step, however many processes and accumulated batches share them."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from tests.training.small_runs import train
from torch.distributed.tensor import DTensor

from anyecg_hf.training import loop
from anyecg_hf.training.configs import TrainingConfig
from anyecg_hf.training.feeding import FedBatch
from anyecg_hf.training.windows import seeded_generator

WINDOWS = 8
# Gradients that are zero but for rounding, of the keys' biases for example, must not become steps of Adam.
EPSILON = 1e-3


class FixedFeed:
    """In place of [`BatchFeed`]: this process's slices of joined batches."""

    def __init__(self, rows: Any, collate: Any, batch_size: int, *, process: int, n_processes: int, **settings: Any):
        self.rows, self.collate = rows, collate
        self.process, self.n_processes = process, n_processes
        self.batch_size = batch_size
        self.number = 0

    def __next__(self) -> FedBatch:
        parts = WINDOWS // self.batch_size
        part = self.number * self.n_processes + self.process
        self.number += 1
        step, part = divmod(part, parts)
        rows = [self.rows[(WINDOWS * step + index) % len(self.rows)] for index in range(WINDOWS)]
        joined = self.collate(rows, seeded_generator(step))
        span = slice(part * self.batch_size, (part + 1) * self.batch_size)
        names = tuple(f"{row['corpus']}/{row['record_id']}" for row in rows[span])
        return FedBatch({name: value[span] for name, value in joined.items()}, names, {"number": self.number})

    def go_to(self, place: dict[str, Any]) -> None:
        self.number = place["number"]

    def close(self) -> None:
        pass


def train_on_fixed_batches(configs: Iterable[TrainingConfig], folder: Path) -> None:
    """Trains one after the other; rank r writes its own weights to `<run>-<r>.pt` in `folder`."""
    rank = os.environ.get("RANK", "0")
    finish = loop.TrainingLoop._finish

    def note_and_finish(self: loop.TrainingLoop) -> Any:
        state = loop.unwrapped(self.model).state_dict()
        found = {
            "sharded": [name for name, value in state.items() if isinstance(value, DTensor)],
            "local": sum(value.to_local().numel() for value in state.values() if isinstance(value, DTensor)),
            "weights": {
                name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in state.items()
            },
        }
        torch.save(found, folder / f"{self.folder.path.name}-{rank}.pt")
        return finish(self)

    with (
        mock.patch.object(loop, "BatchFeed", FixedFeed),
        mock.patch.object(loop.TrainingLoop, "_finish", note_and_finish),
    ):
        for config in configs:
            train(config)


def _whole(value: torch.Tensor) -> torch.Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def train_with_a_bad_record(config: TrainingConfig, bad_rank: int, bad_batch: int, folder: Path) -> None:
    """Trains with a window of NaN in one batch of one process; that process writes which records it was of."""
    rank = int(os.environ.get("RANK", "0"))
    deal = loop.BatchFeed.__next__
    numbers = iter(range(1000))

    def spoiled(self: loop.BatchFeed) -> FedBatch:
        fed = deal(self)
        if rank == bad_rank and next(numbers) == bad_batch:
            fed.tensors["input_values"][0] = float("nan")
            (folder / "bad.txt").write_text("\n".join(fed.record_ids))
        return fed

    with mock.patch.object(loop.BatchFeed, "__next__", spoiled):
        train(config)
