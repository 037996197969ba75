# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from tests.models.tiny import tiny_config
from torch import nn

from anyecg_hf.models.anyecg.layers_anyecg import (
    AnyECGEmbeddings,
    AnyECGPatchEncoder,
    AnyECGScaleEmbeddings,
    rotary_time,
    time_positions,
)

CPU = torch.device("cpu")


@torch.no_grad()
@pytest.mark.parametrize(("kernel_size", "strides"), [(15, [5, 3]), (6, [5, 3]), (5, [5, 5]), (16, [3, 5])])
def test_the_patch_encoder_is_a_stack_of_convolutions(kernel_size: int, strides: list[int]):
    config = tiny_config(patch_kernel_size=kernel_size, patch_strides=strides)
    encoder = AnyECGPatchEncoder(config)
    patches = torch.randn(2, 3, 4, 75)

    overlap = kernel_size - strides[0]
    frames = nn.functional.pad(patches.reshape(-1, 1, 75), (overlap // 2, overlap - overlap // 2))
    widths, kernels = [1, 8, 16], [kernel_size, *strides[1:]]
    for index, (linear, norm) in enumerate(zip(encoder.convolutions, encoder.norms, strict=True)):
        # A row of the linear map runs over (kernel, channels), a convolution's weight over (channels, kernel).
        weight = linear.weight.view(-1, kernels[index], widths[index]).transpose(1, 2)
        frames = nn.functional.conv1d(frames, weight, linear.bias, stride=strides[index])
        frames = nn.functional.gelu(norm(frames))
    expected = encoder.projection(frames.transpose(1, 2).flatten(1)).view(2, 3, 4, -1) + encoder.linear_path(patches)
    torch.testing.assert_close(encoder(patches), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_size_of_a_patch_is_not_lost_to_the_norms():
    encoder = AnyECGPatchEncoder(tiny_config())
    encoder.convolutions[0].bias.zero_()  # the norm behind it then sees no size at all
    patch = torch.randn(1, 1, 1, 75)
    difference = encoder(3.0 * patch) - encoder(patch)
    torch.testing.assert_close(difference, 2.0 * encoder.linear_path(patch), rtol=1e-4, atol=1e-4)
    assert difference.abs().max() > 0.1


@torch.no_grad()
def test_embeddings_add_patch_lead_and_time():
    config = tiny_config()
    embeddings = AnyECGEmbeddings(config, use_mask_token=True).eval()
    patches, leads = torch.randn(1, 2, 3, 75), torch.tensor([[4, 9]])
    hidden = embeddings(patches, leads, torch.tensor([[2, 3, 4]]))
    assert hidden.shape == (1, 6, 32)
    encoded = embeddings.patch_encoder(patches)
    for lead in range(2):
        for patch in range(3):
            expected = (
                encoded[0, lead, patch]
                + embeddings.lead_embeddings.weight[leads[0, lead]]
                + embeddings.time_embeddings.weight[2 + patch]
            )
            torch.testing.assert_close(hidden[0, 3 * lead + patch], expected)


def test_rotary_encoding_has_no_time_table():
    assert AnyECGEmbeddings(tiny_config(time_encoding="rotary")).time_embeddings is None
    assert rotary_time(tiny_config(), torch.zeros(1, 3), 2, torch.float32) is None


def test_rotary_tables_repeat_the_times_of_every_lead():
    config = tiny_config(time_encoding="rotary")
    cosines, sines = rotary_time(config, time_positions(config, 4, 5, CPU), 3, torch.float32)
    assert cosines.shape == sines.shape == (1, 1, 12, config.head_size)
    torch.testing.assert_close(cosines**2 + sines**2, torch.ones_like(cosines))
    for lead in range(3):
        # The first frequency turns one radian a patch.
        torch.testing.assert_close(sines[0, 0, 4 * lead : 4 * lead + 4, 0], torch.tensor([5.0, 6.0, 7.0, 8.0]).sin())


def test_time_positions_start_at_the_offset():
    config = tiny_config()
    assert time_positions(config, 3, 0, CPU).tolist() == [[0, 1, 2]]
    assert time_positions(config, 3, 5, CPU).tolist() == [[5, 6, 7]]
    assert time_positions(config, 3, torch.tensor([0, 4]), CPU).tolist() == [[0, 1, 2], [4, 5, 6]]


class TestScaleEmbeddings:
    @torch.no_grad()
    def test_rows_stand_at_half_octaves_and_are_joined_by_lines(self):
        embeddings = AnyECGScaleEmbeddings(tiny_config())
        table = embeddings.table.weight
        found = embeddings(torch.tensor([2.0**-6, 2.0**-3, 2.0**-2.75, 2.0**-2.5]))
        expected = torch.stack([table[0], table[6], (table[6] + table[7]) / 2, table[7]])
        torch.testing.assert_close(found, expected)

    @torch.no_grad()
    def test_beyond_its_ends_the_last_rows_stand(self):
        embeddings = AnyECGScaleEmbeddings(tiny_config())
        found = embeddings(torch.tensor([1e-3, 2.0, 80.0]))
        torch.testing.assert_close(found, embeddings.table.weight[[0, 14, 14]])

    @torch.no_grad()
    def test_an_unknown_scale_adds_nothing(self):
        embeddings = AnyECGEmbeddings(tiny_config(), use_scale_embeddings=True).eval()
        inputs = torch.randn(2, 1, 3, 75), torch.tensor([[0], [1]]), torch.tensor([[0, 1, 2]])
        without = embeddings(*inputs)
        torch.testing.assert_close(embeddings(*inputs, scale=torch.full((2,), torch.nan)), without)
        told = embeddings(*inputs, scale=torch.tensor([torch.nan, 0.125]))
        torch.testing.assert_close(told[0], without[0])
        row = embeddings.scale_embeddings.table.weight[6]
        torch.testing.assert_close(told[1] - without[1], row.expand(3, -1), atol=1e-6, rtol=1e-4)

    def test_gradients_reach_the_table_without_a_scale_too(self):
        embeddings = AnyECGEmbeddings(tiny_config(), use_scale_embeddings=True)
        embeddings(torch.randn(1, 1, 1, 75), torch.tensor([[0]]), torch.tensor([[0]])).sum().backward()
        assert embeddings.scale_embeddings.table.weight.grad.abs().max() == 0.0
