# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from tests.models.battery import BACKENDS, ignore_flex_warnings
from tests.models.tiny import tiny_config
from transformers import AttentionInterface, AttentionMaskInterface

from anyecg_hf.models.anyecg.attention_anyecg import (
    CARDIO_SPARSE,
    cardio_sparse_pattern,
    create_cardio_sparse_mask,
)
from anyecg_hf.models.anyecg.layers_anyecg import AnyECGAttention


def attention_by_definition(
    attention: AnyECGAttention, hidden: torch.Tensor, mask: torch.Tensor, time_tolerance: int
) -> torch.Tensor:
    """Query by query, head by head, over the keys that the pattern names; `(B, L*N, D)`, zero for padded queries."""
    batch, leads, patches = mask.shape
    query, key, value = (project(hidden) for project in (attention.q_proj, attention.k_proj, attention.v_proj))
    output = torch.zeros_like(hidden)
    places = [(lead, time) for lead in range(leads) for time in range(patches)]
    for record in range(batch):
        for asking, (lead, time) in enumerate(places):
            seen = [
                index
                for index, (other, when) in enumerate(places)
                if mask[record, other, when] and (other == lead or abs(when - time) <= time_tolerance)
            ]
            if not mask[record, lead, time]:
                continue
            for start in range(0, hidden.shape[-1], attention.head_size):
                part = slice(start, start + attention.head_size)
                scores = key[record, seen, part] @ query[record, asking, part] / attention.head_size**0.5
                output[record, asking, part] = scores.softmax(dim=0) @ value[record, seen, part]
    return attention.o_proj(output)


@ignore_flex_warnings
@torch.no_grad()
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("leads", "patches", "time_tolerance"), [(3, 5, 0), (3, 5, 1), (2, 7, 2), (1, 4, 1), (4, 1, 1), (2, 3, 99)]
)
def test_every_implementation_computes_the_pattern(
    backend: str, leads: int, patches: int, time_tolerance: int, uncompiled: None
):
    config = tiny_config(time_tolerance=time_tolerance, attn_implementation=backend)
    attention = AnyECGAttention(config)
    hidden = torch.randn(2, leads * patches, config.hidden_size)
    mask = torch.ones(2, leads, patches, dtype=torch.long)
    mask[1, -1, -1] = 0
    mask[1, 0, 0] = 1

    found, _ = attention(hidden, create_cardio_sparse_mask(config, hidden, mask))
    expected = attention_by_definition(attention, hidden, mask, time_tolerance)
    real = mask.flatten(1).bool()
    torch.testing.assert_close(found[real], expected[real], rtol=1e-5, atol=1e-5)


def test_the_pattern_is_same_lead_or_near_in_time():
    sees = cardio_sparse_pattern(patches=4, time_tolerance=1)
    index = torch.arange(8)
    pattern = sees(0, 0, index[:, None], index[None])
    assert pattern[1].tolist() == [True] * 4 + [True, True, True, False]
    assert pattern[4].tolist() == [True, True, False, False] + [True] * 4
    assert torch.equal(pattern, pattern.T)


def test_cardio_sparse_is_registered_for_attention_and_for_masks():
    assert CARDIO_SPARSE == "cardio_sparse"
    assert CARDIO_SPARSE in AttentionInterface().valid_keys()
    assert CARDIO_SPARSE in AttentionMaskInterface().valid_keys()


@pytest.mark.parametrize("backend", ["eager", "sdpa", "cardio_sparse"])
def test_attention_dropout_acts_in_training_only(backend: str):
    config = tiny_config(attention_dropout=0.5, attn_implementation=backend)
    attention, hidden = AnyECGAttention(config), torch.randn(1, 6, config.hidden_size)
    mask = create_cardio_sparse_mask(config, hidden, torch.ones(1, 2, 3))
    calm = attention.eval()(hidden, mask)[0]
    torch.testing.assert_close(attention(hidden, mask)[0], calm, rtol=0, atol=0)
    assert (attention.train()(hidden, mask)[0] - calm).abs().max() > 1e-3
