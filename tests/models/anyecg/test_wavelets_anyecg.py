# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
import pywt
import torch

from anyecg_hf.models.anyecg.wavelets_anyecg import band_lengths, wavelet_decompose, wavelet_matrix

WAVELETS = ("haar", "db2", "db6", "sym4", "coif2", "bior3.5", "rbio2.4", "dmey")
MODES = tuple(pywt.Modes.modes)
PATCH_SIZES = (75, 150, 257, 300)


def deepest(wavelet: str, patch_size: int) -> int:
    return max(1, min(4, pywt.dwt_max_level(patch_size, pywt.Wavelet(wavelet).dec_len)))


@pytest.mark.parametrize("patch_size", PATCH_SIZES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.filterwarnings("ignore:Level value of 1 is too high")  # dmey on short patches
def test_the_torch_transform_equals_pywavelets(wavelet: str, mode: str, patch_size: int):
    levels = deepest(wavelet, patch_size)
    patches = np.random.default_rng(0).normal(size=(2, 3, patch_size)).astype(np.float32)
    expected = np.concatenate(pywt.wavedec(patches.astype(np.float64), wavelet, mode, levels, axis=-1), axis=-1)

    matrix = torch.tensor(wavelet_matrix(patch_size, wavelet, levels, mode))
    found = wavelet_decompose(torch.tensor(patches), matrix)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)
    assert sum(band_lengths(patch_size, wavelet, levels, mode)) == found.shape[-1]


def test_a_patch_has_343_numbers_in_the_papers_setting():
    assert band_lengths(300, "db6", 4, "symmetric") == (29, 29, 47, 83, 155)
    assert wavelet_matrix(300, "db6", 4, "symmetric").shape == (300, 343)


def test_intermediate_approximations_follow_the_details():
    patch = np.random.default_rng(1).normal(size=300)
    matrix = wavelet_matrix(300, "db6", 4, "symmetric", intermediate=True)
    lengths = band_lengths(300, "db6", 4, "symmetric", intermediate=True)
    assert lengths == (29, 29, 47, 83, 155, 47, 83, 155)
    bands = np.split(patch.astype(np.float32) @ matrix, np.cumsum(lengths)[:-1])
    for band, level in zip(bands[5:], (3, 2, 1), strict=True):
        approximation = pywt.wavedec(patch, "db6", mode="symmetric", level=level)[0]
        np.testing.assert_allclose(band, approximation, rtol=1e-4, atol=1e-4)


def test_the_numbers_of_a_patch_determine_it():
    patch = np.random.default_rng(2).normal(size=300).astype(np.float32)
    lengths = band_lengths(300, "db6", 4, "symmetric")
    bands = np.split(patch @ wavelet_matrix(300, "db6", 4, "symmetric"), np.cumsum(lengths)[:-1])
    np.testing.assert_allclose(pywt.waverec(bands, "db6", mode="symmetric"), patch, atol=1e-5)


def test_the_transform_passes_gradients_and_keeps_the_dtype():
    matrix = torch.tensor(wavelet_matrix(75, "db6", 2, "symmetric"))
    patches = torch.randn(2, 75, dtype=torch.float64, requires_grad=True)
    coefficients = wavelet_decompose(patches, matrix)
    assert coefficients.dtype == torch.float64
    coefficients.sum().backward()
    torch.testing.assert_close(patches.grad, matrix.double().sum(dim=1).expand(2, 75))
