# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""An endless supply of batches for one process, which knows its place after every batch."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
from datasets.distributed import split_dataset_by_node

from anyecg_hf.corpora import BucketedBatches
from anyecg_hf.training.windows import Batch, Row, WindowCollator, seeded_generator


@dataclass(frozen=True)
class FedBatch:
    """
    A batch and where it came from.

    Attributes:
        tensors (`dict[str, torch.Tensor]`): What the model takes.
        record_ids (`tuple[str, ...]`): `corpus/record` of each window.
        place (`dict`): State of the feed after this batch.
    """

    tensors: Batch
    record_ids: tuple[str, ...]
    place: dict[str, Any]


class BatchFeed:
    """
    Deals this process's share of the rows in batches, epoch after epoch.

    What is drawn follows from the seed, the process and the number of the batch alone, so that a feed which is put back
    to a place deals what it would have dealt. Batches are prepared ahead in a thread.

    Args:
        rows (`datasets.Dataset` or `datasets.IterableDataset`): Rows of `clean_corpus`.
        collate ([`WindowCollator`]): Rows -> batch.
        batch_size (`int`): Windows in a batch.
        seed (`int`, *optional*, defaults to 0): Of all draws.
        process (`int`, *optional*, defaults to 0), n_processes (`int`, *optional*, defaults to 1): Which share.
        pool_size (`int`, *optional*, defaults to 1024): As in [`BucketedBatches`].
        prefetch (`int`, *optional*, defaults to 4): Batches that are prepared ahead; 0 for none.

    Raises:
        `ValueError`: while dealing, if this process has no rows.
    """

    def __init__(
        self,
        rows: datasets.Dataset | datasets.IterableDataset,
        collate: WindowCollator,
        batch_size: int,
        seed: int = 0,
        process: int = 0,
        n_processes: int = 1,
        pool_size: int = 1024,
        prefetch: int = 4,
    ):
        if isinstance(rows, datasets.IterableDataset):
            # The order of shards, which for a corpus read from its own files are its records.
            rows = split_dataset_by_node(rows.shuffle(seed, buffer_size=1), process, n_processes)
        elif n_processes > 1:
            rows = rows.select(range(process, len(rows), n_processes))
        self._collate = collate
        self._seed = seed
        self._process = process
        self._prefetch = prefetch
        self._batches = BucketedBatches(rows, batch_size, collate=_as_they_are, pool_size=pool_size, seed=seed)
        self._number = 0
        self._dealing: Generator[FedBatch, None, None] | _Ahead | None = None

    def __iter__(self) -> Iterator[FedBatch]:
        return self

    def __next__(self) -> FedBatch:
        if self._dealing is None:
            self._dealing = _Ahead(self._deal(), self._prefetch) if self._prefetch else self._deal()
        return next(self._dealing)

    def go_to(self, place: dict[str, Any]) -> None:
        """
        Goes on after a batch.

        Args:
            place (`dict`): Of a [`FedBatch`] of the same rows and settings.

        Raises:
            `ValueError`: if it is of others.
        """
        self.close()
        self._number = place["number"]
        self._batches.load_state_dict(place["batches"])

    def close(self) -> None:
        """Ends the thread. The feed can be put to a place again."""
        if self._dealing is not None:
            self._dealing.close()
            self._dealing = None

    def _deal(self) -> Generator[FedBatch, None, None]:
        while True:
            before = self._number
            for rows in self._batches:
                generator = seeded_generator(self._seed, self._process, self._number)
                self._number += 1
                yield FedBatch(
                    tensors=self._collate(rows, generator),
                    record_ids=tuple(f"{row['corpus']}/{row['record_id']}" for row in rows),
                    place={"number": self._number, "batches": self._batches.state_dict()},
                )
            if self._number == before == 0:  # one that was put to the end of an epoch starts with none, too
                raise ValueError(
                    "this process has no rows to train on: there are fewer rows than processes, or a stream has none of"
                    " its split, folds and labels, or none that may be trained on."
                )
            self._batches.set_epoch(self._batches.epoch + 1)


def _as_they_are(rows: list[Row]) -> list[Row]:
    return rows


class _Ahead:
    """
    Runs an iterator in a thread, at most `depth` items ahead.

    Args:
        source (`Generator`): What to run.
        depth (`int`): Items that may wait.
    """

    def __init__(self, source: Generator[FedBatch, None, None], depth: int):
        self._source = source
        self._ready: queue.Queue[FedBatch | BaseException] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fill, daemon=True, name="anyecg batches")
        self._thread.start()

    def __next__(self) -> FedBatch:
        if self._error is None:
            item = self._ready.get()
            if not isinstance(item, BaseException):
                return item
            self._error = item
        raise self._error

    def close(self) -> None:
        """Ends the thread and waits for it: torch must not be at work in one when Python exits."""
        self._stop.set()
        self._thread.join()
        self._source.close()

    def _fill(self) -> None:
        try:
            while not self._stop.is_set():
                self._put(next(self._source))
        except BaseException as error:
            self._put(error)

    def _put(self, item: FedBatch | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue


def validation_batches(
    rows: datasets.Dataset, collate: Callable[[Sequence[Row]], Batch], batch_size: int
) -> Iterator[tuple[Batch, list[Row]]]:
    """
    All rows once in batches of alike size, without draws.

    Args:
        rows (`datasets.Dataset`): Rows of `clean_corpus`.
        collate (`Callable`): Rows -> batch.
        batch_size (`int`): Windows in a batch.

    Returns:
        `Iterator[tuple]`: batches with their rows.
    """
    for group in BucketedBatches(rows, batch_size, collate=_as_they_are, shuffle=False):
        yield collate(group), group


__all__ = ["BatchFeed", "FedBatch", "validation_batches"]
