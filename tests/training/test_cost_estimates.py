# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a layer keeps for the backward pass is what autograd saves; the rest of the estimate follows its definitions."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from anyecg_hf import AnyECGConfig, AnyECGForMaskedCodeModeling
from anyecg_hf.models.anyecg.attention_anyecg import choose_path, lay_out_mask
from anyecg_hf.models.anyecg.layers_anyecg import AnyECGEmbeddings, AnyECGLayer
from anyecg_hf.training.cost_estimates import (
    TrainingSetup,
    communicated_bytes,
    embedding_activation_bytes,
    estimate_memory,
    estimate_step,
    largest_batch,
    layer_activation_bytes,
)
from anyecg_hf.training.scaling import BatchShape, count_parameters, training_flops

ROOT = Path(__file__).parents[2]
SHORT, LONG = BatchShape(2, 12, 10), BatchShape(2, 12, 50)
GIGABYTE = 1e9


def saved_bytes(compute: Callable[[], object], not_counted: Iterable[torch.Tensor], precision: str) -> int:
    """Bytes that autograd keeps, every storage once; copies of weights that autocast makes are not counted."""
    weights = [item for item in not_counted]
    shapes = {shape for item in weights if item.ndim == 2 for shape in (tuple(item.shape), tuple(item.T.shape))}
    pointers = {item.untyped_storage().data_ptr() for item in weights}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in pointers and tuple(tensor.shape) not in shapes:
            kept[pointer] = tensor
        return tensor

    context = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), context:
        compute()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("precision", ["bf16", "float32"])
@pytest.mark.parametrize("implementation", ["cardio_sparse", "sdpa"])
@pytest.mark.parametrize("shape", [SHORT, LONG], ids=["dense", "split"])
@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("padded", [False, True])
def test_a_layer_keeps_what_autograd_saves(
    preset: str, shape: BatchShape, implementation: str, precision: str, padded: bool
):
    config = AnyECGConfig.from_preset(preset, time_encoding="learned")
    setup = TrainingSetup(precision=precision, device_type="cpu")
    config._attn_implementation = implementation
    layer = AnyECGLayer(config)
    hidden = torch.randn(shape.records, shape.leads * shape.patches, config.hidden_size, requires_grad=True)
    real = torch.ones(shape.records, shape.leads, shape.patches)
    if padded:
        real[:, -1, -2:] = 0
    path = choose_path(shape.leads, shape.patches, 1, "cpu")
    mask = lay_out_mask(real, 1, path if implementation == "cardio_sparse" else "dense")
    given = mask if implementation == "cardio_sparse" else mask.dense_mask
    found = saved_bytes(lambda: layer(hidden, given, None), layer.parameters(), precision)
    expected = layer_activation_bytes(config, shape, setup, padded)
    if implementation == "sdpa" and path == "split":
        number = 4 if precision == "float32" else 2
        expected += (shape.records if padded else 1) * (shape.leads * shape.patches) ** 2 * number
    # The rest: bits of padding masks.
    assert found == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("precision", ["bf16", "float32"])
@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_embeddings_keep_what_autograd_saves(preset: str, precision: str):
    config = AnyECGConfig.from_preset(preset)
    embeddings = AnyECGEmbeddings(config, use_mask_token=True)
    values, leads = torch.randn(2, 12, 10, 300), torch.zeros(2, 12).long()
    hidden = torch.rand(2, 12, 10) < 0.5
    compute = lambda: embeddings(values, leads, torch.arange(10)[None], hidden)  # noqa: E731
    found = saved_bytes(compute, embeddings.parameters(), precision)
    expected = embedding_activation_bytes(config, SHORT, TrainingSetup(precision=precision, device_type="cpu"))
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("precision", ["bf16", "float32"])
@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_a_whole_model_keeps_what_autograd_saves(preset: str, precision: str):
    config = AnyECGConfig.from_preset(preset, time_encoding="learned")
    model = AnyECGForMaskedCodeModeling(config)
    size = (LONG.records, LONG.leads, LONG.patches)
    inputs = {"input_values": torch.randn(*size, 300), "bool_masked_pos": torch.rand(size) < 0.5}
    labels = torch.zeros(size).long()
    found = saved_bytes(lambda: model(**inputs, labels=labels), model.parameters(), precision)
    setup = TrainingSetup(precision=precision, device_type="cpu")
    estimate = estimate_memory(config, LONG, setup)
    log_probabilities = 4 * LONG.tokens * config.codebook_size
    # The logits themselves, their copy and their gradient are no saved tensors.
    assert found == pytest.approx(estimate.activations - padding_masks(config, setup) + log_probabilities, rel=0.02)


def padding_masks(config: AnyECGConfig, setup: TrainingSetup) -> int:
    """The estimate expects padding, the batch has none."""
    each = layer_activation_bytes(config, LONG, setup, True) - layer_activation_bytes(config, LONG, setup, False)
    return config.num_hidden_layers * each


def test_checkpointing_keeps_the_inputs_of_layers_and_one_layer():
    config = AnyECGConfig.from_preset("base")
    plain = estimate_memory(config, LONG, TrainingSetup())
    lean = estimate_memory(config, LONG, TrainingSetup(activation_checkpointing=True))
    layer = layer_activation_bytes(config, LONG, TrainingSetup())
    assert plain.activations - lean.activations == 19 * layer - 20 * LONG.tokens * 1024 * 4
    assert replace(plain, activations=0) == replace(lean, activations=0)


# Weights, gradients and optimiser


def test_one_device_in_float32_keeps_four_numbers_a_parameter():
    config = AnyECGConfig.from_preset("base")
    parameters = count_parameters(config, code_head=True).total
    estimate = estimate_memory(config, SHORT, TrainingSetup(precision="float32"))
    assert estimate.weights == estimate.gradients == 4 * parameters
    assert estimate.optimiser == 8 * parameters
    assert estimate.working_weights == estimate.communication == 0


def test_the_optimiser_keeps_two_numbers_a_parameter_as_estimated():
    config = AnyECGConfig.from_preset("tiny")
    model = AnyECGForMaskedCodeModeling(config)
    optimizer = torch.optim.AdamW(model.parameters())
    sum(item.sum() for item in model.parameters()).backward()
    optimizer.step()
    states = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    estimate = estimate_memory(config, SHORT, TrainingSetup())
    assert sum(tensor.nbytes for tensor in states) == estimate.optimiser
    assert sum(item.grad.nbytes for item in model.parameters()) == estimate.gradients


def test_autocast_copies_are_those_of_the_weights_it_casts():
    config = AnyECGConfig.from_preset("small")
    model = AnyECGForMaskedCodeModeling(config)
    cast = sum(p.numel() for module in model.modules() if isinstance(module, nn.Linear) for p in module.parameters())
    estimate = estimate_memory(config, SHORT, TrainingSetup(device_type="cpu"))
    assert estimate.working_weights == pytest.approx(2 * cast, rel=0.01)


def test_ddp_copies_and_fsdp_divides():
    config = AnyECGConfig.from_preset("large")
    alone = estimate_memory(config, SHORT, TrainingSetup())
    ddp = estimate_memory(config, SHORT, TrainingSetup(devices=8))
    fsdp = estimate_memory(config, SHORT, TrainingSetup(devices=8, sharding="fsdp2"))
    assert replace(ddp, communication=0) == alone and ddp.communication == alone.gradients
    assert (fsdp.weights, fsdp.gradients, fsdp.optimiser) == (
        alone.weights / 8,
        alone.gradients / 8,
        alone.optimiser / 8,
    )
    assert fsdp.activations == alone.activations and fsdp.working_weights < alone.working_weights
    assert estimate_memory(config, SHORT, TrainingSetup(sharding="fsdp2")) == alone


def test_adapters_need_no_gradients_of_frozen_weights():
    config = AnyECGConfig.from_preset("xl")
    setup = TrainingSetup(trained_parameters=1000)
    estimate = estimate_memory(config, SHORT, setup, code_head=False)
    assert (estimate.gradients, estimate.optimiser) == (4000, 8000)


# What fits, and how long it takes


@pytest.mark.parametrize("sharding", ["none", "fsdp2"])
def test_the_largest_batch_fits_and_one_more_does_not(sharding: str):
    config, setup = AnyECGConfig.from_preset("base"), TrainingSetup(devices=8, sharding=sharding)
    records = largest_batch(config, 12, 85, setup, 72 * GIGABYTE)
    assert records > 0
    assert estimate_memory(config, BatchShape(records, 12, 85), setup).total <= 72 * GIGABYTE
    assert estimate_memory(config, BatchShape(records + 1, 12, 85), setup).total > 72 * GIGABYTE


def test_nothing_fits_where_the_weights_do_not():
    assert largest_batch(AnyECGConfig.from_preset("xl"), 12, 10, TrainingSetup(), 16 * GIGABYTE) == 0


def test_a_step_takes_its_arithmetic_or_its_communication_whichever_is_longer():
    config, shape = AnyECGConfig.from_preset("base"), BatchShape(4, 12, 10)
    setup = TrainingSetup(devices=8)
    peak = {"peak_flops": 1e15, "reached": 0.4}
    fast = estimate_step(config, shape, setup, link_bytes_per_s=1e15, **peak)
    assert fast.compute_s == training_flops(config, 4, 12, 10, code_head=True) / 4e14
    assert fast.utilisation == pytest.approx(0.4)
    assert fast.tokens_per_s == pytest.approx(8 * 480 / fast.compute_s)
    assert fast.records_per_s == pytest.approx(8 * 4 / fast.compute_s)
    slow = estimate_step(config, shape, setup, link_bytes_per_s=1e9, **peak)
    parameters = count_parameters(config, code_head=True).total
    assert slow.communication_s == pytest.approx(2 * 7 / 8 * 4 * parameters / 1e9)
    assert slow.tokens_per_s == pytest.approx(8 * 480 / slow.communication_s)
    again = estimate_step(config, shape, replace(setup, activation_checkpointing=True), link_bytes_per_s=1e15, **peak)
    assert 0.29 < again.utilisation < 0.32


def test_one_device_sends_nothing_and_shards_send_weights_twice_and_gradients_once():
    for sharding in ("none", "fsdp2"):
        assert communicated_bytes(1000, TrainingSetup(sharding=sharding)) == 0
    assert communicated_bytes(1000, TrainingSetup(devices=4, sharding="fsdp2")) == 0.75 * 1000 * (2 * 2 + 4)
    float32 = TrainingSetup(devices=4, sharding="fsdp2", precision="float32")
    assert communicated_bytes(1000, float32) == 0.75 * 1000 * (2 * 4 + 4)


def test_the_document_is_what_the_script_writes(tmp_path: Path):
    command = [sys.executable, str(ROOT / "benchmarks" / "scaling.py"), "--output", str(tmp_path / "scaling.md")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    written = (tmp_path / "scaling.md").read_text(encoding="utf-8")
    assert written == (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
