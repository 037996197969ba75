# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Counts of parameters and arithmetic are those of the model's own code."""

import pytest
import torch
from tests.models.tiny import tiny_config, tiny_quantizer_config
from torch.utils.flop_counter import FlopCounterMode

from anyecg_hf import (
    AnyECGConfig,
    AnyECGForMaskedCodeModeling,
    AnyECGModel,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
)
from anyecg_hf.models.anyecg.attention_anyecg import cardio_sparse_pattern
from anyecg_hf.models.anyecg.configuration_anyecg import PRESETS
from anyecg_hf.training.adapters import adapt, parse_lora
from anyecg_hf.training.scaling import (
    BatchShape,
    count_parameters,
    forward_flops,
    known_peak_flops,
    model_flop_utilisation,
    seen_pairs,
    training_flops,
)

SHAPE = BatchShape(records=2, leads=3, patches=10)


def random_batch(config: AnyECGConfig, shape: BatchShape = SHAPE) -> dict[str, torch.Tensor]:
    size = (shape.records, shape.leads, shape.patches)
    return {
        "input_values": torch.randn(*size, config.patch_size),
        "bool_masked_pos": torch.rand(size) < 0.5,
        "labels": torch.zeros(size).long(),
    }


def flops_with_all_pairs(
    config: AnyECGConfig, shape: BatchShape = SHAPE, code_head: bool = True
) -> tuple[float, float]:
    """Forward and training FLOPs if attention were not sparse, which is what eager attention computes."""
    forward = forward_flops(config, shape, code_head)
    dense = shape.leads * shape.patches * shape.leads * shape.patches
    more = forward.attention * (dense / seen_pairs(shape.leads, shape.patches, config.time_tolerance) - 1)
    training = training_flops(config, shape.records, shape.leads, shape.patches, code_head=code_head)
    return forward.total + more, training + 3 * more


# Parameters


@pytest.mark.parametrize("code_head", [False, True])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_parameters_are_counted_exactly(preset: str, code_head: bool):
    config = AnyECGConfig.from_preset(preset)
    with torch.device("meta"):
        model = AnyECGForMaskedCodeModeling(config) if code_head else AnyECGModel(config)
    assert count_parameters(config, code_head).total == model.num_parameters()


def test_every_part_is_counted_exactly():
    config = AnyECGConfig.from_preset("small", num_quantizers=2, patch_channels=[32, 64], patch_strides=[10, 6])
    with torch.device("meta"):
        model = AnyECGForMaskedCodeModeling(config)
    counts = count_parameters(config, code_head=True)
    sizes = {name: sum(item.numel() for item in part.parameters()) for name, part in model.anyecg.named_children()}
    assert (counts.embeddings, counts.layer * counts.layers, counts.norm) == tuple(sizes.values())
    assert counts.layers == 8 and counts.head == sum(item.numel() for item in model.code_head.parameters())


# Arithmetic, against PyTorch's own counter of matrix products


@pytest.mark.parametrize(
    "overrides", [{}, {"num_quantizers": 2}, {"patch_channels": [8, 16, 24], "patch_strides": [5, 3, 5]}]
)
def test_forward_and_backward_flops_are_those_that_pytorch_counts(overrides: dict):
    config = tiny_config(attn_implementation="eager", max_time_positions=16, **overrides)
    check_against_the_counter(config)


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_flops_of_presets_are_those_that_pytorch_counts(preset: str):
    check_against_the_counter(AnyECGConfig.from_preset(preset, attn_implementation="eager"))


def check_against_the_counter(config: AnyECGConfig) -> None:
    model, batch = AnyECGForMaskedCodeModeling(config), random_batch(config)
    if config.num_quantizers > 1:
        batch["labels"] = batch["labels"][..., None].expand(*batch["labels"].shape, config.num_quantizers)
    with FlopCounterMode(display=False) as forward:
        loss = model(**batch).loss
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    expected_forward, expected_training = flops_with_all_pairs(config)
    assert forward.get_total_flops() == expected_forward
    assert forward.get_total_flops() + backward.get_total_flops() == expected_training


def test_flops_of_a_backbone_without_codes_leave_the_head_out():
    config = tiny_config(attn_implementation="eager", max_time_positions=16)
    with FlopCounterMode(display=False) as counter:
        AnyECGModel(config)(random_batch(config)["input_values"])
    assert counter.get_total_flops() == flops_with_all_pairs(config, code_head=False)[0]
    assert training_flops(config, 2, 3, 10, trained=False) == forward_flops(config, SHAPE).total


def test_flops_with_frozen_weights_are_those_of_adapters_but_for_the_adapters_own():
    # A rank so small beside the width that the adapters' own arithmetic is below a hundredth.
    config = AnyECGConfig.from_preset("small", attn_implementation="eager")
    model = adapt(AnyECGForMaskedCodeModeling(config), parse_lora("r=1,modules_to_save=norm"))
    batch = random_batch(config)
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    expected = training_flops(config, 2, 3, 10, code_head=True, weight_gradients=False)
    dense = flops_with_all_pairs(config)[0] - forward_flops(config, SHAPE, code_head=True).total
    # The first layer's input takes no gradient, nor do its keys beyond the adapters.
    assert counter.get_total_flops() == pytest.approx(expected + 3 * dense, rel=0.03)


def test_flops_of_the_quantizer_are_those_that_pytorch_counts_within_two_percent():
    config = AnyECGQuantizerConfig(codebook_warmup_updates=0, codebook_size=512, attn_implementation="eager")
    model = AnyECGRhythmQuantizer(config).train()
    model.quantizer.started.fill_(True)
    batch = random_batch(config)
    with FlopCounterMode(display=False) as counter:
        loss = model(batch["input_values"]).loss
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    forward, training = flops_with_all_pairs(config, code_head=False)
    assert counter.get_total_flops() == pytest.approx(forward, rel=0.02)
    assert counter.get_total_flops() + backward.get_total_flops() == pytest.approx(training, rel=0.02)


@pytest.mark.parametrize(("leads", "patches", "tolerance"), [(1, 7, 1), (3, 5, 0), (3, 5, 1), (4, 6, 2), (2, 3, 9)])
def test_pairs_are_those_of_the_pattern(leads: int, patches: int, tolerance: int):
    tokens = torch.arange(leads * patches)
    sees = cardio_sparse_pattern(patches, tolerance)(0, 0, tokens[:, None], tokens)
    assert seen_pairs(leads, patches, tolerance) == int(sees.sum())


def test_flops_grow_with_records_and_faster_than_a_records_length():
    config = tiny_quantizer_config()
    once = training_flops(config, 1, 12, 50)
    assert training_flops(config, 4, 12, 50) == 4 * once
    assert training_flops(config, 1, 12, 100) > 2 * once


@pytest.mark.parametrize("sizes", [(0, 12, 10), (1, 0, 10), (1, 12, 0)])
def test_an_empty_batch_is_refused(sizes: tuple[int, int, int]):
    with pytest.raises(ValueError, match="of a batch must be at least 1, got 0"):
        training_flops(tiny_config(), *sizes)


# Utilisation


def test_utilisation_is_arithmetic_over_time_times_peak():
    assert model_flop_utilisation(3e12, seconds=2.0, peak_flops=5e12, devices=3) == pytest.approx(0.1)


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"peak_flops": -1.0}, {"devices": 0}, {"seconds": float("nan")}])
def test_utilisation_of_nothing_is_refused(wrong: dict):
    with pytest.raises(ValueError, match="must be positive, got"):
        model_flop_utilisation(1.0, **{"seconds": 1.0, "peak_flops": 1.0, **wrong})


@pytest.mark.parametrize(
    ("name", "bf16"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A10G", None),
        ("NVIDIA GeForce GTX 970", None),
        ("", None),
    ],
)
def test_peaks_are_known_by_the_devices_name(name: str, bf16: float | None):
    assert known_peak_flops(name, "bf16") == bf16
    assert (known_peak_flops(name, "float32") is None) == (bf16 is None)
