# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
from collections import Counter

import datasets
import pytest
from tests.corpora.written_rows import corpus, row

from anyecg_hf.corpora.mixing import mix_corpora


@pytest.fixture
def corpora() -> dict:
    return {
        name: corpus([row(number, seconds=1, corpus=name) for number in range(length)])
        for name, length in (("large", 40), ("small", 10))
    }


def shares(mixed) -> Counter:
    return Counter(example["corpus"] for example in mixed)


def test_rows_are_drawn_by_weight(corpora):
    counts = shares(mix_corpora(corpora, {"large": 1, "small": 3}, seed=1))
    assert counts["large"] >= 40
    assert counts["small"] / counts.total() == pytest.approx(0.75, abs=0.08)


def test_by_default_every_row_counts_the_same(corpora):
    counts = shares(mix_corpora(corpora, seed=1, stopping_strategy="first_exhausted"))
    assert counts["large"] / counts.total() == pytest.approx(0.8, abs=0.12)


def test_a_stream_can_be_resumed_exactly(corpora):
    def mixed():
        streams = {name: part.to_iterable_dataset() for name, part in corpora.items()}
        return mix_corpora(streams, {"large": 1, "small": 1}, seed=3, stopping_strategy="first_exhausted")

    whole = [(example["corpus"], example["record_id"]) for example in mixed()]
    for stopped_after in (1, 2, 7):
        before, found = mixed(), []
        for example, _ in zip(before, range(stopped_after), strict=False):
            found.append((example["corpus"], example["record_id"]))
            state = before.state_dict()
        after = mixed()
        after.load_state_dict(state)
        assert found + [(example["corpus"], example["record_id"]) for example in after] == whole


def test_signals_stay_as_they_are(corpora):
    mixed = mix_corpora(corpora, seed=1)
    assert mixed[0]["signal"].shape == (2, 100)


def test_what_cannot_be_mixed_is_refused(corpora):
    stream = corpora["small"].to_iterable_dataset()
    with pytest.raises(ValueError, match="at least one dataset"):
        mix_corpora({})
    with pytest.raises(ValueError, match="expected one split of a corpus, got a dictionary of 'train'"):
        mix_corpora({"small": datasets.DatasetDict({"train": corpora["small"]})})
    with pytest.raises(ValueError, match="all streams or all not"):
        mix_corpora({**corpora, "stream": stream})
    with pytest.raises(ValueError, match="pass `weights`"):
        mix_corpora({"stream": stream})
    with pytest.raises(ValueError, match="must have the names large, small, got large"):
        mix_corpora(corpora, {"large": 1})
    with pytest.raises(ValueError, match="positive numbers"):
        mix_corpora(corpora, {"large": 1, "small": 0})
    with pytest.raises(ValueError, match="small and large differ in report"):
        mix_corpora({**corpora, "small": corpora["small"].remove_columns("report")})
