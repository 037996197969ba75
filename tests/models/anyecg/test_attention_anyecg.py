# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from tests.models.battery import BACKENDS, ignore_flex_warnings
from tests.models.tiny import tiny_config
from transformers import AttentionInterface, AttentionMaskInterface

from anyecg_hf.models.anyecg import attention_anyecg
from anyecg_hf.models.anyecg.attention_anyecg import (
    CARDIO_SPARSE,
    cardio_sparse_attention,
    cardio_sparse_attention_forward,
    cardio_sparse_pattern,
    choose_path,
    create_cardio_sparse_mask,
    lay_out_mask,
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


def test_short_records_and_patterns_that_hide_nothing_take_the_dense_path():
    few = attention_anyecg._SPLIT_FROM_TOKENS["cpu"]
    assert choose_path(2, few // 2, 1, "cpu") == "split"
    assert choose_path(2, few // 2 - 1, 1, "cpu") == "dense"
    assert choose_path(1, 10 * few, 1, "cpu") == "dense"  # one lead sees itself
    assert choose_path(12, few, few - 1, "cpu") == "dense"  # a tolerance as long as the record
    # A tolerance that is a good part of the record: the band would be wider than what it saves.
    assert choose_path(12, 43, 1, "cpu") == choose_path(12, few, 30, "cpu") == "split"
    assert choose_path(12, 43, 10, "cpu") == choose_path(12, few, few - 2, "cpu") == "dense"
    assert choose_path(2, few, 1, "a device of the future") == "split"


def test_the_dense_path_carries_no_mask_where_nothing_is_hidden():
    assert lay_out_mask(torch.ones(2, 1, 50), 0).dense_mask is None
    assert lay_out_mask(torch.ones(2, 3, 5), 4).dense_mask is None
    padded = torch.ones(2, 3, 5)
    padded[1, 2] = 0
    assert lay_out_mask(padded, 4).dense_mask.shape == (2, 1, 1, 15)
    assert lay_out_mask(torch.ones(2, 3, 5), 1).dense_mask.shape == (1, 1, 15, 15)
    assert lay_out_mask(padded, 1).dense_mask.shape == (2, 1, 15, 15)


def test_the_split_path_holds_nothing_of_the_size_of_the_pattern():
    mask = lay_out_mask(torch.ones(1, 12, 5000), 1)
    assert mask.path == "split" and mask.dense_mask is None and mask.key_mask is None


def test_a_mask_of_a_pattern_alone_lies_where_the_padding_lay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention_anyecg, "bool", lambda _: True, raising=False)  # nothing to see on this device
    mask = lay_out_mask(torch.ones(1, 3, 5, device="meta"), 1, "dense")
    assert mask.key_mask is None and mask.dense_mask.device.type == "meta"


def test_a_mask_moves_to_where_the_layers_are():
    mask = torch.ones(2, 3, 5)
    mask[0, 0, 0] = 0
    for path in ("dense", "split"):
        moved = lay_out_mask(mask, 1, path).to("meta")
        assert moved.path == path and moved.key_mask.device.type == "meta"
        assert (moved.dense_mask is None) == (path == "split")


@pytest.mark.parametrize(
    ("shape", "time_tolerance", "path", "message"),
    [
        ((2, 15), 1, None, r"expected a mask \(batch, leads, patches\) .* got shape \(2, 15\)"),
        ((2, 0, 5), 1, None, r"with at least one of each, got shape \(2, 0, 5\)"),
        ((2, 3, 5), -1, None, "the time tolerance is a number of patches and must be >= 0, got -1"),
        ((2, 3, 5), 1, "sparse", r"expected a path of \('dense', 'split'\), or None for the faster one, got 'sparse'"),
    ],
)
def test_impossible_masks_are_refused(shape: tuple[int, ...], time_tolerance: int, path: str | None, message: str):
    with pytest.raises(ValueError, match=message):
        lay_out_mask(torch.ones(shape), time_tolerance, path)


@pytest.mark.parametrize("path", ["dense", "split"])
def test_tokens_that_are_not_leads_times_patches_are_refused(path: str):
    mask = lay_out_mask(torch.tensor([[[1, 1, 0]]]).expand(2, 4, 3), 1, path)
    states = torch.zeros(2, 2, 12, 8)
    with pytest.raises(ValueError, match="expected 4 leads x 3 patches = 12 tokens, as the mask says, got 11 queries"):
        cardio_sparse_attention(states[:, :, 1:], states, states, mask)
    with pytest.raises(ValueError, match="got 12 queries and 10 keys"):
        cardio_sparse_attention(states, states[:, :, 2:], states[:, :, 2:], mask)
    with pytest.raises(ValueError, match="the mask is for 2 records, but the queries are of 1"):
        cardio_sparse_attention(states[:1], states[:1], states[:1], mask)


def test_models_without_leads_and_patches_are_refused():
    states = torch.zeros(1, 2, 6, 8)
    with pytest.raises(TypeError, match="cardio_sparse attention needs a CardioSparseMask, got NoneType"):
        cardio_sparse_attention_forward(None, states, states, states, None)
