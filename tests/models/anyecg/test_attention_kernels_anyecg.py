# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from tests.models.anyecg.attention_cases import assert_equal, by_definition, by_path, draw_case, ragged_mask
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

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
    assert bias.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert bias[0].tolist() == [0.0, torch.tensor(LOWEST_BIAS, dtype=bias.dtype).item()]
    # Other devices take no other dtype than that of the query.
    assert hiding_bias(torch.tensor([False], device="meta"), query.to("meta")).dtype == dtype


@pytest.mark.parametrize("mode", ["fake tensors", "another default device", "another default dtype", "inference"])
def test_a_trial_succeeds_in_whatever_mode_it_is_first_needed(mode: str):
    modes = {
        "fake tensors": FakeTensorMode(),
        "another default device": torch.device("meta"),
        "another default dtype": default_dtype(torch.float16),
        "inference": torch.inference_mode(),
    }
    with modes[mode]:
        assert kernel_works.__wrapped__(CPU_FLASH, "cpu", torch.float32)


@contextmanager
def default_dtype(dtype: torch.dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def test_a_trial_for_which_memory_does_not_suffice_is_no_verdict():
    def exhausted(*arguments):
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        kernel_works(replace(CPU_FLASH, forward=exhausted), "cpu", torch.float32)


class CallLog(TorchDispatchMode):
    """Names of the attention operators that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "scaled_dot_product" in str(function):
            self.names.append(str(function).removeprefix("aten._scaled_dot_product_").removesuffix(".default"))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_kernels_are_called_by_their_schemas(
    dtype: torch.dtype, padded: bool, dropout: float, monkeypatch: pytest.MonkeyPatch
):
    """On the meta device, where operators check their arguments and compute nothing."""
    monkeypatch.setattr(attention_kernels_anyecg, "KERNELS", {"meta": (CUDA_FLASH, CUDA_EFFICIENT)})
    half = dtype == torch.bfloat16
    monkeypatch.setattr(
        attention_kernels_anyecg, "_passes_trial", lambda name, *where: half or name == CUDA_EFFICIENT.name
    )
    states = [torch.randn(2, 12, 130, 4, 64, device="meta", dtype=dtype).requires_grad_() for _ in range(3)]
    key_mask = torch.ones(2, 12, 130, dtype=torch.bool, device="meta") if padded else None
    with CallLog() as log:
        output = attention_split_anyecg.split_attention(*states, key_mask, 1, 0.125, dropout)
        output.sum().backward()
    own = "flash_attention" if half and not padded else "efficient_attention"
    assert log.names == [own, "efficient_attention", f"{own}_backward", "efficient_attention_backward"]
    assert output.shape == (2, 12, 130, 4, 64) and output.dtype == dtype and output.is_contiguous()
    assert all(state.grad.shape == state.shape and state.grad.dtype == dtype for state in states)


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
