# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The multi-level wavelet decomposition of patches in torch: the quantizer's frequency target.

Equal to `pywt.wavedec`. The transform is linear, so for a given patch size it is one matrix, which PyWavelets itself
builds: one place for the mathematics, any wavelet, any border mode.
"""

from functools import lru_cache

import numpy as np
import torch

from .requirements_anyecg import pywt


@lru_cache(maxsize=16)
def wavelet_matrix(patch_size: int, wavelet: str, levels: int, mode: str, intermediate: bool = False) -> np.ndarray:
    """
    Matrix of the decomposition.

    Args:
        patch_size (`int`): Samples of a patch.
        wavelet (`str`), levels (`int`), mode (`str`): As in `pywt.wavedec`.
        intermediate (`bool`, *optional*, defaults to `False`): Whether to append the approximations cA_{n-1} ... cA_1.

    Returns:
        `np.ndarray` of shape `(patch_size, coefficients)`, float32: patch @ matrix = `[cA_n, cD_n, ..., cD_1]`.
    """
    identity = np.eye(patch_size)
    bands = pywt.wavedec(identity, wavelet, mode=mode, level=levels, axis=1)
    if intermediate:
        bands += [
            pywt.wavedec(identity, wavelet, mode=mode, level=level, axis=1)[0] for level in range(levels - 1, 0, -1)
        ]
    return np.concatenate(bands, axis=1).astype(np.float32)


@lru_cache(maxsize=16)
def band_lengths(patch_size: int, wavelet: str, levels: int, mode: str, intermediate: bool = False) -> tuple[int, ...]:
    """Coefficients in each band, in the order of [`wavelet_matrix`]; 343 in all for 300 samples, db6, 4 levels."""
    filter_length = pywt.Wavelet(wavelet).dec_len
    lengths = [patch_size]
    for _ in range(levels):
        lengths.append(pywt.dwt_coeff_len(lengths[-1], filter_length, mode))
    per_level = lengths[1:]
    bands = [per_level[-1], *reversed(per_level)]
    return tuple(bands + per_level[-2::-1] if intermediate else bands)


def wavelet_decompose(patches: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """
    Decomposes patches.

    Args:
        patches (`torch.Tensor` of shape `(..., S)`): Patches.
        matrix (`torch.Tensor` of shape `(S, coefficients)`): From [`wavelet_matrix`].

    Returns:
        `torch.Tensor` of shape `(..., coefficients)`.
    """
    with torch.autocast(patches.device.type, enabled=False):
        return patches @ matrix.to(patches.dtype)


__all__ = ["band_lengths", "wavelet_decompose", "wavelet_matrix"]
