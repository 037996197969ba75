# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Both paths of cardio-sparse attention equal the definition, outputs and gradients."""

import itertools

import pytest
import torch
from tests.models.anyecg.attention_cases import (
    Case,
    assert_equal,
    by_definition,
    by_path,
    draw_case,
    ragged_mask,
    seen_pairs,
)
from tests.models.battery import ignore_dynamo_deprecation
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

from anyecg_hf.models.anyecg import attention_anyecg, attention_band_anyecg
from anyecg_hf.models.anyecg.attention_anyecg import PATHS, cardio_sparse_attention, lay_out_mask

LEADS = (1, 2, 7, 12, 15)
PATCHES = (1, 3, 63, 130)
TOLERANCES = (0, 1, 2, 3)


def one_real_patch(batch: int, leads: int, patches: int) -> torch.Tensor:
    mask = torch.zeros(batch, leads, patches, dtype=torch.bool)
    mask[0, leads // 2, patches // 2] = True
    return mask


def split(case: Case) -> torch.Tensor:
    return cardio_sparse_attention(*case.states, lay_out_mask(case.key_mask, case.time_tolerance, "split"))


@pytest.mark.parametrize(("leads", "patches"), list(itertools.product(LEADS, PATCHES)))
def test_both_paths_equal_the_definition(leads: int, patches: int):
    masks = (None, ragged_mask(2, leads, patches), one_real_patch(2, leads, patches))
    heads = 1 if leads * patches > 500 else 2  # the definition takes long over many tokens
    for time_tolerance, mask in itertools.product(TOLERANCES, masks):
        case = draw_case(leads, patches, time_tolerance, heads=heads)
        case.key_mask = case.key_mask if mask is None else mask
        expected = by_definition(case)
        for path in PATHS:
            assert_equal(by_path(case, path), expected)


@pytest.mark.parametrize("path", PATHS)
def test_the_forced_path_is_the_one_that_runs(path: str, monkeypatch: pytest.MonkeyPatch):
    ran = []
    split_attention = attention_anyecg.split_attention
    dense = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        attention_anyecg, "split_attention", lambda *args: ran.append("split") or split_attention(*args)
    )
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **kwargs: ran.append("dense") or dense(*args, **kwargs),
    )
    for leads, patches in ((1, 5), (3, 40), (12, 200)):
        by_path(draw_case(leads, patches), path)
    assert ran == [path] * 3


@pytest.mark.parametrize(
    ("leads", "patches", "time_tolerance"),
    [(2, 300, 140), (3, 20, 500), (40, 9, 1), (2, 257, 5), (12, 128, 1), (12, 129, 1)],
    ids=["reach beyond a stretch", "all times", "a block of one", "odd rest", "one stretch", "a stretch and one"],
)
def test_any_layout_of_blocks_and_stretches_is_exact(leads: int, patches: int, time_tolerance: int):
    case = draw_case(leads, patches, time_tolerance)
    case.key_mask = ragged_mask(2, leads, patches)
    assert_equal(by_path(case, "split"), by_definition(case))


def test_stretches_as_long_as_a_graph_or_a_gpu_has_them_are_exact(monkeypatch: pytest.MonkeyPatch):
    case = draw_case(5, 150, 2)
    expected = by_definition(case)
    for queries, times in ((1, 1), (64, 4096), (1000, 7)):
        monkeypatch.setitem(attention_band_anyecg._BLOCK_QUERIES, "cpu", queries)
        monkeypatch.setitem(attention_band_anyecg._STRETCH_TIMES, "cpu", times)
        assert_equal(by_path(case, "split"), expected)


def test_one_gradient_for_all_outputs_is_as_good_as_many():
    case = draw_case(3, 40)
    case.grad_output = torch.ones(()).expand_as(case.grad_output)
    assert_equal(by_path(case, "split"), by_definition(case))


@pytest.mark.parametrize("path", PATHS)
def test_scores_of_any_size_leave_hidden_keys_hidden(path: str):
    case = draw_case(3, 40).to(torch.float64)
    case.key_mask = ragged_mask(2, 3, 40)
    for factor in (200.0, 1000.0):
        case.query, case.key = factor * case.query, factor * case.key  # up to some 1e5, and then 1e11
        found, expected = by_path(case, path), by_definition(case)
        torch.testing.assert_close(found.output, expected.output, rtol=0, atol=1e-6)
    case.query = torch.full_like(case.query, -300.0)
    case.key = torch.full_like(case.key, 300.0)  # every score is -2.5e5
    torch.testing.assert_close(by_path(case, path).output, by_definition(case).output, rtol=0, atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_scores_are_scaled_as_asked(path: str):
    case = draw_case(3, 40)
    mask = lay_out_mask(case.key_mask, case.time_tolerance, path)
    found = cardio_sparse_attention(*case.states, mask, scaling=0.9)
    rescaled = Case(case.query * 0.9 * 8**0.5, case.key, case.value, case.grad_output, case.key_mask, 1)
    torch.testing.assert_close(found.double(), by_definition(rescaled).output, rtol=0, atol=2e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("leads", [1, 3])
def test_gradients_in_double_precision_are_those_of_finite_differences(path: str, leads: int):
    case = draw_case(leads, 4, batch=2, heads=2, head_size=3).to(torch.float64)
    case.key_mask = ragged_mask(2, leads, 4)
    states = [state.requires_grad_() for state in case.states]
    mask = lay_out_mask(case.key_mask, case.time_tolerance, path)
    assert torch.autograd.gradcheck(lambda *states: cardio_sparse_attention(*states, mask), states)


@pytest.mark.parametrize("path", PATHS)
def test_one_usable_lead_among_several(path: str):
    case = draw_case(4, 9)
    case.key_mask[:, [0, 1, 3]] = False
    assert_equal(by_path(case, path), by_definition(case))


@pytest.mark.parametrize("path", PATHS)
def test_a_lead_whose_neighbours_within_the_band_are_all_masked_while_others_are_not(path: str):
    case = draw_case(3, 12, time_tolerance=1)
    case.key_mask[:, 1:, 4:9] = False  # the first lead looks into nothing from 5 to 7
    seen = seen_pairs(case)[0, 0, 6]
    assert seen[:12].all() and not seen[12:].any()
    assert_equal(by_path(case, path), by_definition(case))


@pytest.mark.parametrize("path", PATHS)
def test_queries_that_see_nothing_get_zeros_and_pass_no_gradient(path: str):
    case = draw_case(3, 40)
    case.key_mask[0] = False
    case.key_mask[1, :2] = False
    case.key_mask[1, 2, 20:] = False
    found = by_path(case, path)
    assert torch.equal(found.output[0], torch.zeros_like(found.output[0]))
    assert torch.equal(found.output[1, 30:40], torch.zeros_like(found.output[1, 30:40]))
    for gradient in found.gradients:
        assert torch.equal(gradient[0], torch.zeros_like(gradient[0]))
    assert_equal(found, by_definition(case))


@pytest.mark.parametrize(
    "layout", ["heads first", "time steps apart", "heads apart", "numbers apart", "numbers before tokens"]
)
def test_states_may_lie_in_memory_in_any_way(layout: str):
    case = draw_case(5, 70)
    expected = by_definition(case)
    if layout == "heads first":
        states = [state.contiguous() for state in case.states]
    elif layout == "time steps apart":
        states = [state.repeat_interleave(2, dim=2)[:, :, ::2] for state in case.states]
    elif layout == "heads apart":
        states = [state.repeat_interleave(3, dim=1)[:, 1::3] for state in case.states]
    elif layout == "numbers apart":
        states = [state.repeat_interleave(2, dim=3)[..., ::2] for state in case.states]
    else:
        states = [state.transpose(2, 3).contiguous().transpose(2, 3) for state in case.states]
    case.query, case.key, case.value = states
    case.grad_output = torch.empty_like(states[0]).copy_(case.grad_output)
    assert_equal(by_path(case, "split"), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("padded", [False, True])
def test_half_precision_is_as_good_as_that_of_dense_attention(dtype: torch.dtype, padded: bool):
    case = draw_case(6, 150, batch=2, heads=4, head_size=32).to(dtype)
    if padded:
        case.key_mask = ragged_mask(2, 6, 150)
    expected = by_definition(case)
    errors = {}
    for path in PATHS:
        found = by_path(case, path)
        assert found.output.dtype == dtype
        pairs = zip((found.output, *found.gradients), (expected.output, *expected.gradients), strict=True)
        errors[path] = [float((ours.double() - theirs).abs().max()) for ours, theirs in pairs]
    # The gradients of both parts are summed in single precision, so they are the better ones.
    for ours, dense, times in zip(errors["split"], errors["dense"], (2, 1.1, 1.1, 1.1), strict=True):
        assert ours <= times * dense, errors


@pytest.mark.parametrize("path", PATHS)
def test_autocast_leaves_double_precision_alone(path: str):
    case = draw_case(3, 50).to(torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = cardio_sparse_attention(*case.states, lay_out_mask(case.key_mask, 1, path))
    assert output.dtype == torch.float64


def test_autocast_computes_in_half_precision_and_returns_gradients_in_single():
    case = draw_case(3, 50)
    expected = by_definition(case)
    states = [state.requires_grad_() for state in case.states]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = cardio_sparse_attention(*states, lay_out_mask(case.key_mask, 1, "split"))
    assert output.dtype == torch.bfloat16
    output.float().backward(case.grad_output.transpose(1, 2))
    assert (output.double() - expected.output).abs().max() < 2e-2
    for state, theirs in zip(states, expected.gradients, strict=True):
        assert state.grad.dtype == torch.float32
        assert (state.grad.double() - theirs).abs().max() < 5e-2


@ignore_dynamo_deprecation
def test_it_compiles_to_one_graph_with_gradients_for_all_lengths():
    def attend(query, key, value, key_mask):
        flat = (states.flatten(2, 3) for states in (query, key, value))
        return cardio_sparse_attention(*flat, lay_out_mask(key_mask, 1, "split"))

    torch.compiler.reset()
    graphs = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(attend, fullgraph=True, backend=graphs)
    for patches in (40, 150, 333):
        case = draw_case(3, patches)
        case.key_mask = ragged_mask(2, 3, patches)
        states = [state.unflatten(2, (3, patches)) for state in case.states]
        for tensor, axis in (*((state, 3) for state in states), (case.key_mask, 2)):
            torch._dynamo.mark_dynamic(tensor, axis)
        output = compiled(*(state.requires_grad_() for state in states), case.key_mask)
        output.backward(case.grad_output.transpose(1, 2))
        expected = by_definition(case)
        assert (output.double() - expected.output).abs().max() <= 2e-6
        for state, theirs in zip(states, expected.gradients, strict=True):
            assert (state.grad.flatten(2, 3).double() - theirs).abs().max() <= 1e-5
    assert graphs.frame_count == 1
    torch.compiler.reset()


def test_activation_checkpointing_changes_nothing():
    case = draw_case(4, 60)
    plain = by_path(case, "split")
    states = [state.detach().requires_grad_() for state in case.states]
    mask = lay_out_mask(case.key_mask, case.time_tolerance, "split")
    output = checkpoint(cardio_sparse_attention, *states, mask, use_reentrant=False)
    output.backward(case.grad_output.transpose(1, 2))
    assert torch.equal(output, plain.output)
    for state, gradient in zip(states, plain.gradients, strict=True):
        assert torch.equal(state.grad, gradient)


def test_only_the_asked_for_gradients_are_returned():
    case = draw_case(3, 40)
    case.value.requires_grad_()
    split(case).backward(case.grad_output.transpose(1, 2))
    torch.testing.assert_close(case.value.grad.double(), by_definition(case).gradients[2], rtol=0, atol=1e-5)
    assert case.query.grad is None and case.key.grad is None


def test_a_second_derivative_is_refused_rather_than_wrong():
    case = draw_case(2, 10)
    states = [state.requires_grad_() for state in case.states]
    (gradient,) = torch.autograd.grad(split(case).square().sum(), states[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_on_cuda_both_paths_equal_the_definition(dtype: torch.dtype, padded: bool, path: str):
    case = draw_case(12, 130, 1, heads=4, head_size=64).to(dtype)
    if padded:
        case.key_mask = ragged_mask(2, 12, 130)
    expected = by_definition(case)
    on_device = Case(
        *(state.cuda() for state in (*case.states, case.grad_output)), case.key_mask.cuda(), case.time_tolerance
    )
    found = by_path(on_device, path)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 5e-3}[dtype]
    for ours, theirs in zip((found.output, *found.gradients), (expected.output, *expected.gradients), strict=True):
        torch.testing.assert_close(ours.double().cpu(), theirs, rtol=tolerance, atol=tolerance)
