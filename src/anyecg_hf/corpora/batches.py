# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Batches of records that are alike in leads and length, shuffled, resumable exactly, with the padding they cost."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import datasets
import numpy as np
import torch

from ..models.anyecg.batching_anyecg import pad_features
from .schema import check_one_split

_PATCH_KEYS = ("input_values", "attention_mask", "lead_ids", "scale")


@dataclass(frozen=True)
class PatchCollator:
    """
    Joins rows of [`clean_corpus`] to model input.

    Args:
        keys (`tuple[str, ...]`, *optional*):
            Further columns, returned as lists in the order of the rows.

    Example:

    ```python
    >>> batch = PatchCollator()([cleaned[0], cleaned[1]])
    >>> batch["input_values"].shape, batch["input_values"].dtype
    (torch.Size([2, 12, 10, 300]), torch.float32)
    ```
    """

    keys: tuple[str, ...] = ()

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """
        Args:
            rows (`Sequence[dict]`): Rows with the columns of `PATCH_FEATURES`.

        Returns:
            `dict` with `input_values` `(B, L, N, S)` float32, `attention_mask` `(B, L, N)` int64, `lead_ids` `(B, L)`
            int64, `scale` `(B,)` float32, and a list for each of `keys`.
        """
        arrays = [{key: np.asarray(row[key]) for key in _PATCH_KEYS} for row in rows]
        padded = pad_features(arrays, padding=True, max_length=None, return_tensors="np")
        batch: dict[str, Any] = {
            "input_values": torch.from_numpy(padded["input_values"].astype(np.float32)),
            "attention_mask": torch.from_numpy(padded["attention_mask"].astype(np.int64)),
            "lead_ids": torch.from_numpy(padded["lead_ids"].astype(np.int64)),
            "scale": torch.from_numpy(padded["scale"].astype(np.float32)),
        }
        return batch | {key: [row[key] for row in rows] for key in self.keys}


@dataclass
class PaddingCount:
    """
    Tokens of the batches that this process has dealt; `DataLoader` workers count their own.

    Attributes:
        records (`int`): Rows.
        real (`int`): Tokens, leads times patches, that rows have.
        padded (`int`): Tokens that batches have.
    """

    records: int = 0
    real: int = 0
    padded: int = 0

    @property
    def waste(self) -> float:
        """Share of the tokens in batches that are padding."""
        return 1 - self.real / self.padded if self.padded else 0.0

    def add(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Counts a batch of rows with so many `(leads, patches)`."""
        self.records += len(sizes)
        self.real += sum(leads * patches for leads, patches in sizes)
        self.padded += len(sizes) * max(leads for leads, _ in sizes) * max(patches for _, patches in sizes)


@dataclass(frozen=True)
class _Place:
    """Where an iteration is: batches that were dealt out of a pool, and for a stream its state at the pool's start."""

    pool: int = 0
    batches: int = 0
    stream: dict[str, Any] | None = None


class BucketedBatches(torch.utils.data.IterableDataset):
    """
    Batches of rows of alike leads and length, from a dataset or a stream.

    Rows are taken in pools of `pool_size`; in each they are shuffled, sorted into buckets by leads and length, and
    dealt out in batches, whose order is shuffled again. Everything follows from the seed, the epoch and the place in
    the dataset, so that `state_dict` says in three numbers, and the stream's own state, where to go on: a resumed run
    gives the very batches that an uninterrupted one gives.

    A `datasets.Dataset` is shuffled as a whole. Of a stream the order of its shards, which for a corpus read from its
    own files are its records, is shuffled by `dataset.shuffle(seed, buffer_size=1)`. In `DataLoader` workers each takes
    its share, and each has a state of its own: `torchdata`'s `StatefulDataLoader` gathers them. For several nodes, pass
    a part from `datasets.distributed.split_dataset_by_node`; their numbers of batches may differ.

    Args:
        dataset (`datasets.Dataset` or `datasets.IterableDataset`):
            Rows of [`clean_corpus`].
        batch_size (`int`):
            Rows in a batch; the last of a bucket in a pool may have fewer.
        collate (`Callable`, *optional*):
            Makes a batch of a list of rows; by default [`PatchCollator`].
        shuffle (`bool`, *optional*, defaults to `True`):
            Whether to shuffle. Without it rows come in the order of the dataset as far as buckets allow.
        pool_size (`int`, *optional*, defaults to 1024):
            Rows that are sorted together: more of them, less padding and more memory.
        length_step (`int`, *optional*, defaults to 4):
            Patches by which lengths in one bucket may differ.
        seed (`int`, *optional*, defaults to 0):
            Of the order.

    Raises:
        `ValueError`: if a size is not positive, or the dataset is not one of cleaned rows.

    Example:

    ```python
    >>> batches = BucketedBatches(cleaned, batch_size=32, seed=1)
    >>> for batch in batches:
    ...     state = batches.state_dict()
    >>> f"{batches.padding.waste:.1%} of the tokens were padding"
    ```
    """

    def __init__(
        self,
        dataset: datasets.Dataset | datasets.IterableDataset,
        batch_size: int,
        collate: Callable[[list[dict[str, Any]]], Any] | None = None,
        shuffle: bool = True,
        pool_size: int = 1024,
        length_step: int = 4,
        seed: int = 0,
    ):
        sizes = {"batch_size": batch_size, "pool_size": pool_size, "length_step": length_step}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"`{name}` must be at least 1, got {size}.")
        check_one_split(dataset)
        if dataset.features is not None and not {"n_leads", "n_patches"} <= dataset.features.keys():
            raise ValueError("expected rows of `clean_corpus`, got a dataset without n_leads and n_patches.")
        self.dataset = dataset
        self.batch_size = batch_size
        self.collate = PatchCollator() if collate is None else collate
        self.shuffle = shuffle
        self.pool_size = pool_size
        self.length_step = length_step
        self.seed = seed
        # Shared with `DataLoader` workers, also with those that stay for several epochs.
        self._epoch = torch.tensor(0).share_memory_()
        self._is_dealt_in_workers = torch.tensor(False).share_memory_()
        self.padding = PaddingCount()
        self._start = self._place = _Place()
        self._n_workers_at_start: int | None = None

    @property
    def epoch(self) -> int:
        """The epoch whose order is dealt."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch; the next iteration starts at its beginning."""
        self._go_to(_Place(), epoch)

    def state_dict(self) -> dict[str, Any]:
        """
        Where the iteration is.

        Returns:
            `dict[str, Any]`: what `load_state_dict` takes, and JSON or `torch.save` keep.

        Raises:
            `RuntimeError`: if the batches are dealt in `DataLoader` workers, and this is not one of them.
        """
        if self._is_dealt_in_workers and torch.utils.data.get_worker_info() is None:
            raise RuntimeError(
                "batches are dealt in DataLoader workers, which alone know where they are: use the StatefulDataLoader"
                " of torchdata, or no workers. After `set_epoch` there is a state again."
            )
        place = self._place
        return {
            "epoch": self.epoch,
            "pool": place.pool,
            "batches": place.batches,
            "stream": place.stream,
            "settings": {**self._settings(), "n_workers": _n_workers()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        Lets the next iteration go on from a place.

        Args:
            state (`dict[str, Any]`): From `state_dict` of the same dataset and settings.

        Raises:
            `ValueError`: if it is of other settings, which would repeat rows and leave out others. That it is of as
                many workers is checked when the iteration starts.
        """
        settings = dict(state["settings"])
        n_workers = settings.pop("n_workers")
        own = self._settings()
        odd = [f"{name} {settings.get(name)} (here {own[name]})" for name in own if settings.get(name) != own[name]]
        if odd:
            raise ValueError(f"the state must be of the same dataset and settings, got one of {', '.join(odd)}.")
        self._go_to(_Place(state["pool"], state["batches"], copy.deepcopy(state["stream"])), state["epoch"])
        self._n_workers_at_start = n_workers

    def __iter__(self) -> Iterator[Any]:
        start = self._take_start()
        already_dealt = start.batches
        for place, rows, following in self._pools(start):
            batches = self._deal(rows, place.pool)
            for number, batch in enumerate(batches[already_dealt:], start=already_dealt + 1):
                # Noted before the batch is handed out: the caller asks for the state while it has the batch.
                self._place = replace(place, batches=number) if number < len(batches) else following
                self.padding.add([(row["n_leads"], row["n_patches"]) for row in batch])
                yield self.collate(batch)
            already_dealt = 0
        self._place = _Place()

    def _go_to(self, place: _Place, epoch: int) -> None:
        self._epoch.fill_(epoch)
        self._is_dealt_in_workers.fill_(torch.utils.data.get_worker_info() is not None)
        self._start = self._place = place
        self._n_workers_at_start = None

    def _take_start(self) -> _Place:
        """Where this iteration starts; the next one starts at the beginning."""
        n_workers, at_start = _n_workers(), self._n_workers_at_start
        start, self._start, self._n_workers_at_start = self._start, _Place(), None
        if start != _Place() and at_start != n_workers:
            raise ValueError(
                f"the state must be of as many DataLoader workers as there are, {n_workers}, got one of {at_start}:"
                " each has its share of the rows, so that some would be repeated and others left out."
            )
        if n_workers:
            self._is_dealt_in_workers.fill_(True)
        return start

    def _settings(self) -> dict[str, Any]:
        """What the order of the batches depends on beside the place."""
        is_stream = isinstance(self.dataset, datasets.IterableDataset)
        return {
            "n_rows": None if is_stream else len(self.dataset),
            **{name: getattr(self, name) for name in ("batch_size", "shuffle", "pool_size", "length_step", "seed")},
        }

    def _pools(self, start: _Place) -> Iterator[tuple[_Place, list[dict[str, Any]], _Place]]:
        """Every pool with its place and the place after it."""
        if isinstance(self.dataset, datasets.IterableDataset):
            yield from self._pools_of_stream(start)
            return
        order = self._order()
        for pool in range(start.pool, -(-len(order) // self.pool_size)):
            chosen = order[pool * self.pool_size : (pool + 1) * self.pool_size]
            yield _Place(pool), _rows(self.dataset[chosen]), _Place(pool + 1)

    def _pools_of_stream(self, start: _Place) -> Iterator[tuple[_Place, list[dict[str, Any]], _Place]]:
        self.dataset.set_epoch(self.epoch)
        # Without a state, too: a dataset starts every iteration of an epoch from the last that it was given.
        self.dataset.load_state_dict(copy.deepcopy(start.stream or {}))
        stream, place = iter(self.dataset), start
        while rows := list(islice(stream, self.pool_size)):
            following = _Place(place.pool + 1, stream=copy.deepcopy(self.dataset.state_dict()))
            yield place, rows, following
            place = following

    def _order(self) -> np.ndarray:
        """Indices of this worker's rows in the order of this epoch."""
        n_rows = len(self.dataset)
        order = np.arange(n_rows)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(n_rows)
        worker = torch.utils.data.get_worker_info()
        return order if worker is None else order[worker.id :: worker.num_workers]

    def _deal(self, rows: list[dict[str, Any]], pool: int) -> list[list[dict[str, Any]]]:
        generator = np.random.default_rng([self.seed, self.epoch, pool])
        if self.shuffle:
            rows = [rows[index] for index in generator.permutation(len(rows))]
        buckets: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for row in rows:
            buckets.setdefault((row["n_leads"], -(-row["n_patches"] // self.length_step)), []).append(row)
        batches = [
            bucket[first : first + self.batch_size]
            for bucket in buckets.values()
            for first in range(0, len(bucket), self.batch_size)
        ]
        return [batches[index] for index in generator.permutation(len(batches))] if self.shuffle else batches


def _n_workers() -> int:
    worker = torch.utils.data.get_worker_info()
    return 0 if worker is None else worker.num_workers


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


__all__ = ["BucketedBatches", "PaddingCount", "PatchCollator"]
