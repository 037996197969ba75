# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import pytest
import torch
from tests.models.anyecg.attention_cases import assert_equal, by_definition, by_path, draw_case, ragged_mask

from anyecg_hf.models.anyecg import attention_kernels_anyecg, attention_split_anyecg
from anyecg_hf.models.anyecg.attention_kernels_anyecg import (
    CPU_FLASH,
    CUDA_EFFICIENT,
    CUDA_FLASH,
    LOWEST_BIAS,
    KernelOutput,
    hiding_bias,
    kernel_works,
    select_kernel,
)

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_cpu_kernel_passes_its_trial_in_every_precision(dtype: torch.dtype):
    assert kernel_works(CPU_FLASH, "cpu", dtype)


def absent(*arguments):
    raise AttributeError("'_OpNamespace' 'aten' object has no attribute '_scaled_dot_product_flash_attention_for_cpu'")


def unmerged_backward(grad_output, query, key, value, bias, result, scaling, dropout):
    """A kernel that normalises over its own keys only: right for itself, wrong as a part."""
    own = CPU_FLASH.forward(query, key, value, bias, scaling, dropout)
    return CPU_FLASH.backward(grad_output, query, key, value, bias, own, scaling, dropout)


def shifted_logsumexp(*arguments):
    result = CPU_FLASH.forward(*arguments)
    return replace(result, logsumexp=result.logsumexp / 0.6931471805599453)  # base 2


@pytest.mark.parametrize(
    "change",
    [{"forward": absent}, {"backward": absent}, {"backward": unmerged_backward}, {"forward": shifted_logsumexp}],
    ids=["no forward", "no backward", "gradients of its own part only", "another base"],
)
def test_a_kernel_that_is_absent_or_wrong_fails_its_trial(change: dict):
    assert not kernel_works(replace(CPU_FLASH, **change), "cpu", torch.float32)


@pytest.mark.parametrize("kernel", [CUDA_FLASH, CUDA_EFFICIENT], ids=lambda kernel: kernel.name)
def test_a_cuda_kernel_fails_its_trial_on_a_cpu(kernel):
    assert not kernel_works(kernel, "cpu", torch.float32)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_cuda_kernels_pass_their_trials(dtype: torch.dtype):
    assert kernel_works(CUDA_FLASH, "cuda", dtype)
    assert kernel_works(CUDA_EFFICIENT, "cuda", dtype)
    assert kernel_works(CUDA_EFFICIENT, "cuda", torch.float32)


def test_a_trial_draws_no_random_numbers():
    before = torch.get_rng_state()
    kernel_works.__wrapped__(CPU_FLASH, "cpu", torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


def test_cpus_have_one_kernel_and_none_that_drops_keys():
    query = torch.zeros(1, 1, 4, 8)
    assert select_kernel(query, with_bias=True, dropout=0.0) is CPU_FLASH
    assert select_kernel(query, with_bias=False, dropout=0.0) is CPU_FLASH
    assert select_kernel(query, with_bias=False, dropout=0.1) is None
    assert select_kernel(query.to("meta"), with_bias=False, dropout=0.0) is None


def test_head_sizes_that_a_kernel_does_not_take_are_left_to_the_next(monkeypatch: pytest.MonkeyPatch):
    narrow = replace(CPU_FLASH, name="narrow", head_size_multiple=8, max_head_size=16)
    monkeypatch.setattr(attention_kernels_anyecg, "KERNELS", {"cpu": (narrow, CPU_FLASH)})
    chosen = {size: select_kernel(torch.zeros(1, 1, 4, size), False, 0.0).name for size in (8, 12, 16, 24)}
    assert chosen == {8: "narrow", 12: CPU_FLASH.name, 16: "narrow", 24: CPU_FLASH.name}


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bias_hides_keys_finitely(dtype: torch.dtype):
    query = torch.zeros(1, 1, 2, 8, dtype=dtype)
    bias = hiding_bias(torch.tensor([[True, False]]), query)
    assert bias.tolist() == [[0.0, LOWEST_BIAS]]
    assert bias.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.tensor(LOWEST_BIAS, dtype=torch.float16).isfinite()


def test_without_a_kernel_attention_is_as_exact(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention_kernels_anyecg, "KERNELS", {})
    monkeypatch.setattr(attention_split_anyecg._SplitAttention, "apply", None)
    case = draw_case(4, 70, 2)
    assert_equal(by_path(case, "split"), by_definition(case))
    case.key_mask = ragged_mask(2, 4, 70)
    assert_equal(by_path(case, "split"), by_definition(case))


def test_the_parts_of_the_cpu_kernel_merge_to_the_whole():
    query, key, value, grad_output = (torch.randn(2, 3, length, 8) for length in (5, 14, 14, 5))
    whole = CPU_FLASH.forward(query, key, value, None, 0.3, 0.0)
    parts = [CPU_FLASH.forward(query, key[:, :, half], value[:, :, half], None, 0.3, 0.0) for half in HALVES]
    share = torch.sigmoid(parts[1].logsumexp - parts[0].logsumexp)[..., None]
    torch.testing.assert_close(torch.lerp(parts[0].output, parts[1].output, share), whole.output, rtol=0, atol=1e-6)

    merged = KernelOutput(whole.output, whole.logsumexp)
    expected = CPU_FLASH.backward(grad_output, query, key, value, None, whole, 0.3, 0.0)
    found = [
        CPU_FLASH.backward(grad_output, query, key[:, :, half], value[:, :, half], None, merged, 0.3, 0.0)
        for half in HALVES
    ]
    torch.testing.assert_close(found[0][0] + found[1][0], expected[0], rtol=0, atol=1e-5)
    for index in (1, 2):
        joined = torch.cat([found[0][index], found[1][index]], dim=2)
        torch.testing.assert_close(joined, expected[index], rtol=0, atol=1e-5)


HALVES = (slice(0, 6), slice(6, 14))
