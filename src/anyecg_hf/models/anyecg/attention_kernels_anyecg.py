# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's fused attention kernels that also return the log-sum-exp.

They are private operators, so this is the only module that calls them. Each is tried once, on numbers that are known,
before it is relied upon; where it is absent or wrong, `select_kernel` returns `None` and its caller has another way.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

# Added to the score of a key that must not be seen. Finite, so that nothing becomes NaN where all keys are such.
LOWEST_BIAS = -1e30

# What the CUDA kernels round the rows of bias and log-sum-exp up to, in elements.
_CUDA_BIAS_ALIGNMENT = 16
_CUDA_LOGSUMEXP_ALIGNMENT = 32
# What a kernel may deviate by in its trial, next to values of about one: an order of magnitude above its rounding.
_TRIAL_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


@dataclass(frozen=True)
class KernelOutput:
    """
    What a fused kernel returns.

    Attributes:
        output (`torch.Tensor` of shape `(B, H, Q, d)`): Attention output.
        logsumexp (`torch.Tensor` of shape `(B, H, Q)`): Log of the sum of exponentiated scores.
        random_state (`tuple[torch.Tensor, ...]`): What the backward pass needs to drop the same keys again.
    """

    output: torch.Tensor
    logsumexp: torch.Tensor
    random_state: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True)
class FusedKernel:
    """
    One fused kernel as a pair of functions.

    Attributes:
        name (`str`): Its name, for people.
        accepts_bias (`bool`): Whether an additive bias may be passed.
        accepts_dropout (`bool`): Whether it can drop keys.
        random_states (`int`): Tensors in [`KernelOutput`]'s `random_state`.
        head_size_multiple (`int`), max_head_size (`int`): Head sizes d that it takes.
        forward (`Callable`): `(query, key, value, bias, scaling, dropout) -> KernelOutput`; tensors are `(B, H, T, d)`,
            the bias is `(B, 1, 1 or Q, K)` or `None`.
        backward (`Callable`): `(grad_output, query, key, value, bias, result, scaling, dropout)` -> gradients of query,
            key and value, for the output and log-sum-exp in `result`, which may be those of a larger attention that
            these keys are a part of. In the dtype of the query or a wider one.
    """

    name: str
    accepts_bias: bool
    accepts_dropout: bool
    random_states: int
    head_size_multiple: int
    max_head_size: int
    forward: Callable[..., KernelOutput]
    backward: Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


def _cpu_flash_forward(query, key, value, bias, scaling, dropout) -> KernelOutput:
    output, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, False, attn_mask=bias, scale=scaling
    )
    return KernelOutput(output, logsumexp)


def _cpu_flash_backward(grad_output, query, key, value, bias, result, scaling, dropout):
    # In float32 at least: float16 takes ten times as long here, and half precision would round every part's gradients.
    states = (grad_output, query, key, value, result.output)
    states = (state.to(torch.promote_types(state.dtype, torch.float32)) for state in states)
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        *states, result.logsumexp, 0.0, False, attn_mask=bias, scale=scaling
    )


def _cuda_flash_forward(query, key, value, bias, scaling, dropout) -> KernelOutput:
    output, logsumexp, _, _, _, _, seed, offset, _ = torch.ops.aten._scaled_dot_product_flash_attention(
        query, key, value, dropout, False, False, scale=scaling
    )
    return KernelOutput(output, logsumexp, (seed, offset))


def _cuda_flash_backward(grad_output, query, key, value, bias, result, scaling, dropout):
    return torch.ops.aten._scaled_dot_product_flash_attention_backward(
        *(grad_output, query, key, value, result.output, result.logsumexp.contiguous()),
        *(None, None, query.shape[2], key.shape[2], dropout, False, *result.random_state),
        scale=scaling,
    )


def _cuda_bias(bias: torch.Tensor | None, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor | None:
    """The bias `(B, H, Q, K)` with rows that start at aligned addresses."""
    if bias is None:
        return None
    keys = key.shape[2]
    bias = nn.functional.pad(bias, (0, -keys % _CUDA_BIAS_ALIGNMENT))[..., :keys]
    return bias.expand(*query.shape[:3], keys)


def _cuda_efficient_forward(query, key, value, bias, scaling, dropout) -> KernelOutput:
    output, logsumexp, seed, offset = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, _cuda_bias(bias, query, key), True, dropout, False, scale=scaling
    )
    return KernelOutput(output, logsumexp[..., : query.shape[2]], (seed, offset))


def _cuda_efficient_backward(grad_output, query, key, value, bias, result, scaling, dropout):
    queries = query.shape[2]
    logsumexp = nn.functional.pad(
        result.logsumexp, (0, -queries % _CUDA_LOGSUMEXP_ALIGNMENT), value=float("inf")
    ).contiguous()
    *gradients, _ = torch.ops.aten._scaled_dot_product_efficient_attention_backward(
        *(grad_output, query, key, value, _cuda_bias(bias, query, key), result.output, logsumexp),
        *(*result.random_state, dropout, [True, True, True, False], False),
        scale=scaling,
    )
    return tuple(gradients)


_ANY_SIZE = 2**31

CPU_FLASH = FusedKernel(
    name="flash attention for CPUs",
    accepts_bias=True,
    accepts_dropout=False,
    random_states=0,
    head_size_multiple=1,
    max_head_size=_ANY_SIZE,
    forward=_cpu_flash_forward,
    backward=_cpu_flash_backward,
)
CUDA_FLASH = FusedKernel(
    name="flash attention",
    accepts_bias=False,
    accepts_dropout=True,
    random_states=2,
    head_size_multiple=8,
    max_head_size=192,  # on some GPUs, larger ones have no backward pass
    forward=_cuda_flash_forward,
    backward=_cuda_flash_backward,
)
CUDA_EFFICIENT = FusedKernel(
    name="memory-efficient attention",
    accepts_bias=True,
    accepts_dropout=True,
    random_states=2,
    head_size_multiple=8,
    max_head_size=_ANY_SIZE,
    forward=_cuda_efficient_forward,
    backward=_cuda_efficient_backward,
)

# By device type, the fastest first. Others (MPS, XPU) have no kernel that returns the log-sum-exp.
KERNELS = {"cpu": (CPU_FLASH,), "cuda": (CUDA_FLASH, CUDA_EFFICIENT)}


def hiding_bias(seen: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Bias for the scores of `query`, of the shape of `seen` (bool): zero where a key is seen."""
    # The CPU kernels take float32 beside half precision, the CUDA kernels the dtype of the queries only.
    wide = query.device.type == "cpu"
    dtype = torch.promote_types(query.dtype, torch.float32) if wide else query.dtype
    # On CUDA float16 ends at -65504: hiding is exact as long as scores stay well within that.
    lowest = max(LOWEST_BIAS, torch.finfo(dtype).min)
    return torch.zeros(seen.shape, dtype=dtype, device=query.device).masked_fill(~seen, lowest)


def select_kernel(query: torch.Tensor, with_bias: bool, dropout: float) -> FusedKernel | None:
    """
    Fastest kernel that can do what is asked.

    Args:
        query (`torch.Tensor` of shape `(..., d)`): For device, dtype and head size.
        with_bias (`bool`): Whether a bias is added to the scores.
        dropout (`float`): Share of keys to drop.

    Returns:
        [`FusedKernel`] or `None`: none is to be had on this device, in this version of PyTorch, for this dtype.
    """
    for kernel in KERNELS.get(query.device.type, ()):
        able = (kernel.accepts_bias or not with_bias) and (kernel.accepts_dropout or dropout == 0.0)
        fits = query.shape[-1] % kernel.head_size_multiple == 0 and query.shape[-1] <= kernel.max_head_size
        if able and fits and _passes_trial(kernel.name, query.device.type, query.dtype):
            return kernel
    return None


@torch.compiler.assume_constant_result
def _passes_trial(name: str, device_type: str, dtype: torch.dtype) -> bool:
    return kernel_works(next(kernel for kernel in KERNELS[device_type] if kernel.name == name), device_type, dtype)


@lru_cache(maxsize=128)
def kernel_works(kernel: FusedKernel, device_type: str, dtype: torch.dtype) -> bool:
    """Whether a kernel exists and its outputs and gradients on a small input are those of plain arithmetic."""
    tolerance = _TRIAL_TOLERANCE.get(dtype, 0.0)
    with _plainly(device_type):
        for bias_rows in (1, 5) if kernel.accepts_bias else (0,):
            expected = _trial(PLAIN_ARITHMETIC, bias_rows, device_type, torch.float64)
            try:
                found = _trial(kernel, bias_rows, device_type, dtype)
            except torch.OutOfMemoryError:
                raise
            except (AttributeError, RuntimeError, TypeError, ValueError):  # absent, of another signature, or refusing
                return False
            pairs = zip(found, expected, strict=True)
            if not all(bool((ours.double() - theirs).abs().max() <= tolerance) for ours, theirs in pairs):
                return False
    return True


@contextmanager
def _plainly(device_type: str) -> Iterator[None]:
    """Computes real numbers, whatever mode the caller is in: tracing, fake tensors, another default device."""
    with (
        torch._C.DisableTorchFunction(),
        _disable_current_modes(),
        torch.no_grad(),
        torch.autocast(device_type, enabled=False),
    ):
        yield


def _trial(kernel: FusedKernel, bias_rows: int, device_type: str, dtype: torch.dtype) -> list[torch.Tensor]:
    """Output, log-sum-exp and gradients of 5 queries and 7 keys that are half of a larger attention."""
    query, key, value, grad_output = (
        _waves(frequency, length, device_type, dtype)
        for frequency, length in ((0.37, 5), (0.73, 7), (1.1, 7), (1.7, 5))
    )
    bias = None
    if bias_rows:
        rows = torch.arange(bias_rows, device=device_type)
        seen = torch.arange(7, device=device_type) != rows[:, None]
        bias = hiding_bias(seen.expand(2, 1, bias_rows, 7), query)
    scaling = 0.125
    result = kernel.forward(query, key, value, bias, scaling, 0.0)
    merged = KernelOutput(result.output, result.logsumexp + math.log(2), result.random_state)
    gradients = kernel.backward(grad_output, query, key, value, bias, merged, scaling, 0.0)
    return [result.output, result.logsumexp, *gradients]


def _waves(frequency: float, length: int, device_type: str, dtype: torch.dtype) -> torch.Tensor:
    """Numbers `(2, 2, length, 64)` whose two records overlap in memory, as blocks of the band do."""
    steps = torch.arange((length + 2) * 2 * 64, device=device_type, dtype=torch.float64)
    return torch.sin(steps * frequency).to(dtype).as_strided((2, 2, length, 64), (2 * 128, 64, 128, 1))


def _plain_forward(query, key, value, bias, scaling, dropout) -> KernelOutput:
    scores = query @ key.transpose(2, 3) * scaling + (0.0 if bias is None else bias)
    return KernelOutput(scores.softmax(dim=-1) @ value, scores.logsumexp(dim=-1))


def _plain_backward(grad_output, query, key, value, bias, result, scaling, dropout):
    scores = query @ key.transpose(2, 3) * scaling + (0.0 if bias is None else bias)
    weights = (scores - result.logsumexp[..., None]).exp()
    shared = (grad_output * result.output).sum(dim=-1, keepdim=True)
    grad_scores = weights * (grad_output @ value.transpose(2, 3) - shared) * scaling
    return grad_scores @ key, grad_scores.transpose(2, 3) @ query, weights.transpose(2, 3) @ grad_output


# The yardstick of the trials.
PLAIN_ARITHMETIC = replace(CPU_FLASH, name="plain arithmetic", forward=_plain_forward, backward=_plain_backward)


__all__ = ["LOWEST_BIAS", "FusedKernel", "KernelOutput", "hiding_bias", "kernel_works", "select_kernel"]
