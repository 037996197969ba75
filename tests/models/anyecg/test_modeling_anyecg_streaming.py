# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`AnyECGModel.encode_windows`."""

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.battery import Batch
from tests.models.tiny import padded_batch, tiny_config

from anyecg_hf import AnyECGModel

LONG_WINDOW = {
    "input_values": torch.zeros(1, 9, 75),
    "attention_mask": torch.ones(1, 9, dtype=torch.long),
    "lead_ids": torch.zeros(1, dtype=torch.long),
}


def ragged_windows() -> list[Batch]:
    """Windows of one to three leads and one to six patches, the fourth with nothing real."""
    windows = []
    for seed, (leads, patches) in enumerate([(3, 6), (1, 2), (2, 5), (2, 3), (3, 1), (2, 4), (1, 6)]):
        batch = padded_batch(seed=seed)
        windows.append(
            {
                "input_values": batch["input_values"][0, :leads, :patches],
                "attention_mask": batch["attention_mask"][0, :leads, :patches] * (seed != 3),
                "lead_ids": batch["lead_ids"][0, :leads],
            }
        )
    return windows


def backbone(**overrides: Any) -> AnyECGModel:
    torch.manual_seed(0)
    return AnyECGModel(tiny_config(**overrides)).eval()


@pytest.mark.parametrize("time_encoding", ["learned", "rotary"])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_streamed_windows_equal_each_window_alone(time_encoding: str, batch_size: int):
    model, windows = backbone(time_encoding=time_encoding), ragged_windows()
    found = list(model.encode_windows(windows, batch_size))
    assert len(found) == len(windows)
    for index, (embedding, window) in enumerate(zip(found, windows, strict=True)):
        with torch.no_grad():
            expected = model(**{name: value[None] for name, value in window.items()}).pooler_output[0]
        assert embedding.shape == (32,) and embedding.dtype == torch.float32 and not embedding.requires_grad
        torch.testing.assert_close(embedding, expected, rtol=1e-5, atol=1e-5)
        assert embedding.any() == (index != 3)


def test_streamed_windows_are_consumed_as_they_are_needed():
    consumed = []

    def endless() -> Iterator[Batch]:
        for number, window in enumerate(itertools.cycle(ragged_windows())):
            consumed.append(number)
            yield window

    embeddings = backbone().encode_windows(endless(), batch_size=3)
    assert consumed == []
    for yielded in range(1, 8):
        next(embeddings)
        assert len(consumed) == 3 * -(-yielded // 3)


def test_streaming_takes_arrays_and_other_keys_and_no_windows_at_all():
    model, windows = backbone(), ragged_windows()
    arrays = [{**{name: value.numpy() for name, value in window.items()}, "scale": np.float32(1)} for window in windows]
    for found, expected in zip(model.encode_windows(arrays), model.encode_windows(windows), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert list(model.encode_windows([])) == []


def test_streaming_computes_in_evaluation_mode_and_leaves_every_mode_as_it_was():
    model, windows = backbone(hidden_dropout=0.5), ragged_windows()
    expected = list(model.encode_windows(windows, batch_size=2))
    model.train()
    model.layers[1].eval()
    modes = [module.training for module in model.modules()]
    found = []
    for embedding in model.encode_windows(windows, batch_size=2):
        found.append(embedding)
        assert [module.training for module in model.modules()] == modes
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_streaming_in_half_precision_gives_single_precision_near_the_other():
    model, windows = backbone(), ragged_windows()
    expected = torch.stack(list(model.encode_windows(windows)))
    found = torch.stack(list(model.to(torch.bfloat16).encode_windows(windows)))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)


@pytest.mark.gpu
def test_streaming_on_a_gpu_gives_what_the_cpu_gives():
    model, windows = backbone(), ragged_windows()
    expected = torch.stack(list(model.encode_windows(windows)))
    found = torch.stack(list(model.cuda().encode_windows(windows)))
    assert found.device.type == "cpu"
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_streamed_windows_that_do_not_fit_are_refused_with_their_number():
    model, windows = backbone(), ragged_windows()
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        model.encode_windows(windows, batch_size=0)
    for change, message in [
        ({"input_values": torch.zeros(1, 3, 6, 75)}, r"window 1: expected input_values \(leads, patches, 75 samples\)"),
        ({"input_values": torch.zeros(1, 0, 75), "attention_mask": torch.ones(1, 0)}, r"got \(1, 0, 75\), \(1, 0\)"),
        ({"attention_mask": torch.ones(1, 3)}, r"got \(1, 2, 75\), \(1, 3\) and \(1,\)"),
        ({"lead_ids": torch.zeros(2).long()}, r"got \(1, 2, 75\), \(1, 2\) and \(2,\)"),
    ]:
        broken = copy.copy(windows)
        broken[1] = {**windows[1], **change}
        with pytest.raises(ValueError, match=message):
            list(model.encode_windows(broken))
    with pytest.raises(ValueError, match=r"window 0 lacks \['attention_mask', 'lead_ids'\]"):
        next(model.encode_windows([{"input_values": torch.zeros(1, 2, 75)}]))
    with pytest.raises(ValueError, match="a window of 9 patches at offset 0 does not fit the 8 learned time positions"):
        list(model.encode_windows([LONG_WINDOW]))


def test_windows_that_are_no_features_are_refused_with_the_way_to_make_them():
    with pytest.raises(
        ValueError, match=r"window 0 is of type list: pass features, `map\(tokenizer.feature, windows\)`"
    ):
        next(backbone().encode_windows([[1.0, 2.0]]))
