# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The path without fused kernels, and attention dropout, which takes it on CPUs."""

import pytest
import torch
from tests.models.anyecg.attention_cases import Case, by_definition, by_path, draw_case, ragged_mask, seen_pairs
from transformers.utils import logging

from anyecg_hf.models.anyecg import attention_slices_anyecg, attention_split_anyecg
from anyecg_hf.models.anyecg.attention_anyecg import PATHS, cardio_sparse_attention, lay_out_mask
from anyecg_hf.models.anyecg.attention_slices_anyecg import sliced_attention


def attend(case: Case, dropout: float, path: str = "split", seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    mask = lay_out_mask(case.key_mask, case.time_tolerance, path)
    return cardio_sparse_attention(*case.states, mask, dropout=dropout)


@pytest.mark.parametrize("scores", [1, 5000, 2**30], ids=["a time each", "a few times each", "one slice"])
@pytest.mark.parametrize("padded", [False, True])
def test_slices_of_any_size_equal_the_definition(scores: int, padded: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention_slices_anyecg, "_SLICE_SCORES", scores)
    case = draw_case(5, 31, 2)
    if padded:
        case.key_mask = ragged_mask(2, 5, 31)
    states = [state.transpose(1, 2).unflatten(1, (5, 31)).detach().requires_grad_() for state in case.states]
    output = sliced_attention(*states, case.key_mask if padded else None, 2, case.query.shape[-1] ** -0.5)
    output.flatten(1, 2).backward(case.grad_output.transpose(1, 2))
    expected = by_definition(case)
    assert (output.flatten(1, 2).double() - expected.output).abs().max() <= 2e-6
    for state, theirs in zip(states, expected.gradients, strict=True):
        assert (state.grad.flatten(1, 2).transpose(1, 2).double() - theirs).abs().max() <= 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_as_good_as_that_of_dense_attention(dtype: torch.dtype, autocast: bool):
    case = draw_case(5, 40, heads=4, head_size=32).to(dtype)
    expected = by_definition(case)
    states = [state.transpose(1, 2).unflatten(1, (5, 40)).detach().requires_grad_() for state in case.states]
    with torch.autocast("cpu", dtype=dtype, enabled=autocast):
        output = sliced_attention(*states, None, 1, 32**-0.5)
    assert output.dtype == dtype
    output.flatten(1, 2).backward(case.grad_output.transpose(1, 2))
    dense = by_path(case, "dense")
    assert (output.flatten(1, 2).double() - expected.output).abs().max() <= 1.1 * (
        dense.output.double() - expected.output
    ).abs().max()
    for state, theirs, exact in zip(states, dense.gradients, expected.gradients, strict=True):
        error = (state.grad.flatten(1, 2).transpose(1, 2).double() - exact).abs().max()
        assert error <= 2 * (theirs.double() - exact).abs().max()


def weights_of(case: Case, dropout: float, path: str) -> torch.Tensor:
    """The attention weights `(B, L*N, H, L*N)`: values that name the keys make the output show them."""
    tokens = case.query.shape[2]
    case.value = torch.eye(tokens).expand(*case.query.shape[:2], -1, -1)
    case.query, case.key = (torch.zeros_like(case.value) for _ in range(2))
    return attend(case, dropout, path)


@pytest.mark.parametrize("path", PATHS)
def test_each_key_is_dropped_once_at_the_stated_rate(path: str):
    case = draw_case(4, 30, heads=2)
    case.key_mask = ragged_mask(2, 4, 30)
    seen = seen_pairs(case).expand(2, 2, 120, 120).transpose(1, 2)
    weights = weights_of(case, 0.25, path)
    kept = torch.where(seen, 1 / seen.sum(dim=-1, keepdim=True).clamp(min=1), 0.0) / 0.75
    dropped = seen & (weights == 0)
    torch.testing.assert_close(weights[~dropped], kept[~dropped])
    rate = float(dropped.sum() / seen.sum())
    assert abs(rate - 0.25) < 4 * (0.25 * 0.75 / float(seen.sum())) ** 0.5


def test_dropout_averages_to_dense_attention():
    case = draw_case(3, 12)
    case.key_mask = ragged_mask(2, 3, 12)
    draws = torch.stack([attend(case, 0.3, seed=seed) for seed in range(400)])
    spread = draws.std(dim=0).mean() / 400**0.5
    difference = draws.mean(dim=0).double() - by_definition(case).output
    assert 0 < spread < 0.05
    assert difference.square().mean().sqrt() < 1.5 * spread


def test_the_same_keys_are_dropped_in_the_backward_pass(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention_slices_anyecg, "_SLICE_SCORES", 300)  # several slices
    case = draw_case(3, 5, batch=1, heads=2, head_size=3).to(torch.float64)
    states = [state.requires_grad_() for state in case.states]
    assert not torch.equal(attend(case, 0.4, seed=7), attend(case, 0.4, seed=8))

    def dropped(*states: torch.Tensor) -> torch.Tensor:
        return attend(Case(*states, case.grad_output, case.key_mask, case.time_tolerance), 0.4, seed=7)

    assert torch.autograd.gradcheck(dropped, states)


def test_dropout_on_a_cpu_says_once_that_it_takes_the_slower_path(caplog: pytest.LogCaptureFixture):
    logging.enable_propagation()
    attention_split_anyecg.logger.warning_once.cache_clear()
    try:
        for _ in range(3):
            attend(draw_case(3, 8), 0.1)
    finally:
        logging.disable_propagation()
    messages = [record.message for record in caplog.records]
    assert messages == [
        "PyTorch has no fused attention kernel for float32 heads of 8 on 'cpu', or none that can drop keys:"
        " cardio_sparse attention takes a slower path."
    ]
