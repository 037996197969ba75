# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
import json

import datasets
import pytest
import torch
from datasets.distributed import split_dataset_by_node
from tests.corpora.written_rows import corpus, row

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.corpora.batches import BucketedBatches, PatchCollator
from anyecg_hf.corpora.cleaned import clean_corpus

SIZES = [(2, 2), (1, 3), (2, 9), (1, 3), (2, 2), (1, 9), (2, 3), (2, 2), (1, 2), (2, 9), (1, 3), (2, 2), (1, 9)]


@pytest.fixture(scope="module")
def cleaned() -> datasets.Dataset:
    rows = [row(number, leads, seconds) for number, (leads, seconds) in enumerate(SIZES)]
    return clean_corpus(corpus(rows), AnyECGTokenizer())


def ids(rows: list[dict]) -> list[str]:
    return [row["record_id"] for row in rows]


def batches_of(dataset, **settings) -> BucketedBatches:
    return BucketedBatches(dataset, **{"batch_size": 3, "collate": ids, "pool_size": 5, "seed": 4, **settings})


def stream_of(cleaned: datasets.Dataset, num_shards: int = 1) -> datasets.IterableDataset:
    return cleaned.to_iterable_dataset(num_shards=num_shards)


class TestOrder:
    @pytest.mark.parametrize("shuffle", [True, False])
    @pytest.mark.parametrize("streaming", [True, False])
    def test_every_row_comes_once(self, cleaned, shuffle, streaming):
        dataset = stream_of(cleaned) if streaming else cleaned
        found = [name for batch in batches_of(dataset, shuffle=shuffle) for name in batch]
        assert sorted(found) == sorted(cleaned["record_id"][:])

    def test_batches_hold_rows_alike_in_leads_and_length(self, cleaned):
        sizes = dict(
            zip(cleaned["record_id"][:], zip(cleaned["n_leads"], cleaned["n_patches"], strict=True), strict=True)
        )
        for batch in batches_of(cleaned, pool_size=100, length_step=2):
            leads, patches = zip(*(sizes[name] for name in batch), strict=True)
            assert len(batch) <= 3
            assert len(set(leads)) == 1
            assert max(patches) - min(patches) < 2

    def test_the_order_follows_from_seed_and_epoch(self, cleaned):
        first = list(batches_of(cleaned))
        assert list(batches_of(cleaned)) == first
        assert list(batches_of(cleaned, seed=5)) != first
        later = batches_of(cleaned)
        later.set_epoch(1)
        assert list(later) != first

    def test_without_shuffling_rows_stay_in_order_as_far_as_buckets_allow(self, cleaned):
        found = list(batches_of(cleaned, shuffle=False, pool_size=100))
        assert found[0] == ["r000", "r004", "r006"]
        assert all(batch == sorted(batch) for batch in found)

    def test_a_second_iteration_starts_again(self, cleaned):
        batches = batches_of(cleaned)
        assert list(batches) == list(batches)

    def test_rows_must_be_cleaned(self, cleaned):
        with pytest.raises(ValueError, match="expected rows of `clean_corpus`, got a dataset without n_leads"):
            batches_of(corpus([row(0)]))
        with pytest.raises(ValueError, match="expected one split"):
            batches_of(datasets.DatasetDict({"train": cleaned}))

    def test_sizes_must_be_positive(self, cleaned):
        for name in ("batch_size", "pool_size", "length_step"):
            with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
                batches_of(cleaned, **{name: 0})


class TestResume:
    @pytest.mark.parametrize("kind", ["dataset", "stream", "shuffled shards"])
    def test_a_resumed_run_gives_the_batches_of_an_uninterrupted_one(self, cleaned, kind):
        def fresh() -> BucketedBatches:
            if kind == "dataset":
                batches = batches_of(cleaned)
            elif kind == "stream":
                batches = batches_of(stream_of(cleaned))
            else:
                batches = batches_of(stream_of(cleaned, num_shards=13).shuffle(seed=2, buffer_size=1))
            batches.set_epoch(2)
            return batches

        uninterrupted = list(fresh())
        assert sum(map(len, uninterrupted)) == len(SIZES)
        for stopped_after in range(len(uninterrupted) + 1):
            before = fresh()
            iterator = iter(before)
            for _ in range(stopped_after):
                next(iterator)
            state = json.loads(json.dumps(before.state_dict()))
            after = batches_of(fresh().dataset)
            after.load_state_dict(state)
            assert list(after) == uninterrupted[stopped_after:]

    @pytest.mark.parametrize("streaming", [True, False])
    def test_after_a_resumed_iteration_the_next_is_whole(self, cleaned, streaming):
        batches = batches_of(stream_of(cleaned) if streaming else cleaned)
        whole, started = list(batches), batches.state_dict()
        iterator = iter(batches)
        states = [batches.state_dict() for _, _ in zip(range(4), iterator, strict=False)]
        batches.load_state_dict(states[-1])
        assert list(batches) == whole[4:]
        assert list(batches) == whole
        batches.load_state_dict(states[-1])
        batches.load_state_dict(started)
        assert list(batches) == whole

    def test_a_state_of_other_settings_is_refused(self, cleaned):
        state = batches_of(cleaned).state_dict()
        with pytest.raises(ValueError, match=r"got one of pool_size 5 \(here 6\), seed 4 \(here 5\)"):
            batches_of(cleaned, pool_size=6, seed=5).load_state_dict(state)
        with pytest.raises(ValueError, match=r"n_rows 13 \(here 3\)"):
            batches_of(cleaned.select(range(3))).load_state_dict(state)

    @pytest.mark.parametrize("streaming", [True, False])
    def test_a_state_of_another_number_of_workers_is_refused(self, cleaned, streaming):
        batches = batches_of(stream_of(cleaned, num_shards=4) if streaming else cleaned)
        next(iter(batches))
        batches.load_state_dict(batches.state_dict())
        loader = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=2)
        with pytest.raises(ValueError, match="of as many DataLoader workers as there are, 2, got one of 0"):
            list(loader)

    def test_workers_alone_know_where_they_are(self, cleaned):
        batches = batches_of(cleaned)
        list(torch.utils.data.DataLoader(batches, batch_size=None, num_workers=1))
        with pytest.raises(RuntimeError, match="StatefulDataLoader of torchdata"):
            batches.state_dict()
        batches.set_epoch(1)
        assert batches.state_dict()["epoch"] == 1

    def test_after_the_last_batch_the_state_is_that_of_a_new_iteration(self, cleaned):
        batches = batches_of(cleaned)
        started = batches.state_dict()
        list(batches)
        assert batches.state_dict() == started


def test_workers_that_stay_hear_of_a_new_epoch(cleaned):
    batches = batches_of(cleaned)
    loader = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=1, persistent_workers=True)
    found = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        found.append(list(loader))
    assert found[0] != found[1]
    assert found[0] == list(batches_of(cleaned))


class TestPadding:
    def test_the_waste_is_that_of_the_batches(self, cleaned):
        batches = batches_of(cleaned, collate=PatchCollator(), pool_size=100, length_step=8)
        masks = [batch["attention_mask"] for batch in batches]
        assert batches.padding.records == len(SIZES)
        assert batches.padding.padded == sum(mask.numel() for mask in masks)
        assert batches.padding.real == sum(leads * seconds for leads, seconds in SIZES)
        assert 0 < batches.padding.waste < 1

    def test_finer_buckets_waste_less(self, cleaned):
        coarse, fine = (batches_of(cleaned, pool_size=100, length_step=step) for step in (100, 1))
        for batches in (coarse, fine):
            list(batches)
        assert fine.padding.waste == 0 < coarse.padding.waste

    def test_nothing_is_wasted_before_the_start(self, cleaned):
        assert batches_of(cleaned).padding.waste == 0


class TestSharing:
    @pytest.mark.parametrize("streaming", [True, False])
    def test_workers_share_the_rows(self, cleaned, streaming):
        dataset = stream_of(cleaned, num_shards=4) if streaming else cleaned
        loader = torch.utils.data.DataLoader(batches_of(dataset), batch_size=None, num_workers=2)
        found = [name for batch in loader for name in batch]
        assert sorted(found) == sorted(cleaned["record_id"][:])

    @pytest.mark.parametrize("streaming", [True, False])
    def test_nodes_share_the_rows(self, cleaned, streaming):
        dataset = stream_of(cleaned, num_shards=4) if streaming else cleaned
        parts = [split_dataset_by_node(dataset, rank=rank, world_size=2) for rank in range(2)]
        found = [[name for batch in batches_of(part) for name in batch] for part in parts]
        assert set(found[0]).isdisjoint(found[1])
        assert sorted(found[0] + found[1]) == sorted(cleaned["record_id"][:])


def test_the_default_collator_makes_model_input(cleaned):
    batch = next(iter(BucketedBatches(cleaned, batch_size=2)))
    assert set(batch) == {"input_values", "attention_mask", "lead_ids", "scale"}
    assert batch["input_values"].dtype == torch.float32
    assert batch["attention_mask"].dtype == batch["lead_ids"].dtype == torch.int64
    assert batch["scale"].isfinite().all()
