# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import threading
from dataclasses import dataclass

import datasets
import pytest
import torch
from tests.corpora.written_rows import corpus, row

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.corpora import clean_corpus
from anyecg_hf.training.feeding import BatchFeed, validation_batches
from anyecg_hf.training.windows import WindowCollator, WindowSettings

ROWS = 13
pytestmark = pytest.mark.filterwarnings("ignore:1 missing samples are interpolated")

COLLATE = WindowCollator(WindowSettings(patches=4, lead_dropout=0.5))


def cleaned(rows, stream=False):
    written = corpus(rows)
    return clean_corpus(written.to_iterable_dataset(num_shards=len(written)) if stream else written, TOKENIZER)


TOKENIZER = AnyECGTokenizer(patch_size=75)


@pytest.fixture(scope="module", params=["dataset", "stream"])
def rows(request):
    written = [row(number, n_leads=2 + number % 3, seconds=2) for number in range(ROWS)]
    return cleaned(written, stream=request.param == "stream")


def feed_of(rows, **settings):
    return BatchFeed(rows, COLLATE, **{"batch_size": 3, "seed": 5, "pool_size": 8, "prefetch": 2, **settings})


def deal(feed, count):
    found = [next(feed) for _ in range(count)]
    feed.close()
    return found


def assert_same(found, expected):
    assert [fed.record_ids for fed in found] == [fed.record_ids for fed in expected]
    assert [fed.place["number"] for fed in found] == [fed.place["number"] for fed in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.tensors.keys() == other.tensors.keys()
        for name, value in one.tensors.items():  # an unknown scale is NaN
            torch.testing.assert_close(value, other.tensors[name], rtol=0, atol=0, equal_nan=True)


class TestPlace:
    def test_after_each_batch_a_feed_can_be_put_back(self, rows):
        whole = deal(feed_of(rows), 14)  # two epochs and a bit
        for number in (0, 1, 4, 6, 12):
            feed = feed_of(rows)
            feed.go_to(json.loads(json.dumps(whole[number].place)))
            assert_same(deal(feed, 13 - number), whole[number + 1 :])

    def test_the_place_of_a_feed_that_was_put_back_is_as_good(self, rows):
        whole, place = deal(feed_of(rows), 14), None
        for number in range(0, 14, 2):
            feed = feed_of(rows)
            if place is not None:
                feed.go_to(json.loads(json.dumps(place)))
            found = deal(feed, 2)
            assert_same(found, whole[number : number + 2])
            place = found[-1].place

    def test_a_feed_at_work_can_be_put_back(self, rows):
        feed = feed_of(rows)
        whole = [next(feed) for _ in range(8)]
        feed.go_to(whole[2].place)
        assert_same(deal(feed, 5), whole[3:])

    def test_preparing_ahead_changes_nothing(self, rows):
        assert_same(deal(feed_of(rows, prefetch=0), 9), deal(feed_of(rows, prefetch=3), 9))

    def test_the_seed_changes_order_and_windows(self, rows):
        ids = [[fed.record_ids for fed in deal(feed_of(rows, seed=seed), 4)] for seed in (5, 6)]
        assert ids[0] != ids[1]

    def test_the_place_of_other_settings_is_refused(self, rows):
        (fed,) = deal(feed_of(rows), 1)
        with pytest.raises(ValueError, match="same dataset and settings, got one of pool_size 8 .here 9."):
            feed_of(rows, pool_size=9).go_to(fed.place)


def epochs_of(feed, n_rows):
    """Record ids of two epochs, as lists."""
    found = [[], []]
    for epoch in found:
        while len(epoch) < n_rows:
            epoch.extend(next(feed).record_ids)
    feed.close()
    return found


class TestShares:
    @pytest.mark.parametrize("processes", [2, 3])
    def test_processes_have_disjoint_shares_whose_union_is_everything(self, rows, processes):
        everything = {f"written/r{number:03}" for number in range(ROWS)}
        sizes = [len(range(process, ROWS, processes)) for process in range(processes)]
        shares = [
            epochs_of(feed_of(rows, process=process, n_processes=processes), size) for process, size in enumerate(sizes)
        ]
        for epoch in range(2):
            dealt = [name for share in shares for name in share[epoch]]
            assert len(dealt) == ROWS
            assert set(dealt) == everything
        orders = {tuple(share[epoch]) for share in shares for epoch in range(2)}
        assert len(orders) == 2 * processes

    def test_processes_draw_other_windows(self, rows):
        first, second = (deal(feed_of(rows, process=process, n_processes=2), 3) for process in range(2))
        assert [fed.tensors["lead_ids"].tolist() for fed in first] != [
            fed.tensors["lead_ids"].tolist() for fed in second
        ]

    @pytest.mark.parametrize("prefetch", [0, 2])
    def test_a_process_without_rows_says_so(self, prefetch):
        feed = feed_of(cleaned([row(0)]), process=1, n_processes=2, prefetch=prefetch)
        with pytest.raises(
            ValueError, match="this process has no rows to train on: there are fewer rows than processes"
        ):
            next(feed)
        feed.close()


@dataclass(frozen=True)
class FailingCollator(WindowCollator):
    def add(self, batch, rows, places, generator):
        if any(row["record_id"] == "r007" for row in rows):
            raise RuntimeError("record r007 is odd")


class TestThread:
    def threads(self):
        return [thread for thread in threading.enumerate() if thread.name == "anyecg batches"]

    @pytest.mark.parametrize("prefetch", [0, 1, 3])
    def test_an_error_surfaces_where_batches_are_asked_for_and_stays(self, rows, prefetch):
        feed = BatchFeed(rows, FailingCollator(WindowSettings(4)), 3, prefetch=prefetch)
        with pytest.raises(RuntimeError, match="record r007 is odd"):
            while True:
                next(feed)
        if prefetch:
            with pytest.raises(RuntimeError, match="record r007 is odd"):
                next(feed)  # and does not wait for ever
        feed.close()
        assert not self.threads()

    def test_close_ends_a_thread_that_waits_for_room(self, rows):
        feed = feed_of(rows, prefetch=1)
        next(feed)
        assert len(self.threads()) == 1
        feed.close()
        feed.close()
        assert not self.threads()

    def test_no_thread_is_started_before_the_first_batch(self, rows):
        feed_of(rows)
        assert not self.threads()


class TestValidationBatches:
    def test_every_row_comes_once_with_its_first_window_and_all_leads(self):
        rows = cleaned([row(number, n_leads=2 + number % 2, seconds=2) for number in range(5)])
        assert isinstance(rows, datasets.Dataset)
        first, second = (list(validation_batches(rows, COLLATE, 2)) for _ in range(2))
        assert sorted(item["record_id"] for _, group in first for item in group) == [f"r00{i}" for i in range(5)]
        for (batch, group), (again, _) in zip(first, second, strict=True):
            assert all(torch.equal(value, again[name]) for name, value in batch.items())
            for index, item in enumerate(group):
                expected = torch.tensor(item["input_values"][:, :4].astype("float32"))
                assert torch.equal(batch["input_values"][index], expected)
