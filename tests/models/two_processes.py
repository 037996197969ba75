# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the distributed tests run in two processes (gloo, on the CPU); spawned processes import it from here."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tests.models.tiny import hidden_positions, padded_batch, tiny_config, tiny_quantizer_config
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from anyecg_hf import (
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGForTokenClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
)
from anyecg_hf.models.anyecg import attention_anyecg
from anyecg_hf.models.anyecg.quantization_anyecg import VectorQuantizer

PROCESSES = 2
STEPS = 3


def run(folder: Path) -> None:
    """Runs every job below in two processes; rank r writes what a job returns to `<job>-<r>.pt` in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(_process, args=(port, folder), nprocs=PROCESSES, start_method="spawn")


def _process(rank: int, port: int, folder: Path) -> None:
    places = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": PROCESSES,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    os.environ.update({name: str(value) for name, value in places.items()})
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for job in JOBS:
        torch.save(job(rank, folder), folder / f"{job.__name__}-{rank}.pt")
    dist.destroy_process_group()


# Codebooks


def codebook_vectors(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors `(4, 3, 6, d)` and their mask, the batch of all processes."""
    generator = torch.Generator().manual_seed(step)
    mask = torch.rand(4, 3, 6, generator=generator) < 0.8
    return torch.randn(4, 3, 6, 8, generator=generator), mask


def train_codebooks(rows: slice) -> dict[str, torch.Tensor]:
    """Starts two residual codebooks and updates them, with revival, on these rows of every batch."""
    torch.manual_seed(rows.start or 0)  # what a process draws elsewhere must not matter
    config = tiny_quantizer_config(num_quantizers=2, codebook_revival_threshold=0.5, ema_decay=0.5)
    quantizer = VectorQuantizer(config).train()
    for codebook in quantizer.codebooks:
        nn.init.ones_(codebook.embeddings)
    for step in range(STEPS):
        vectors, mask = codebook_vectors(step)
        quantizer(vectors[rows], mask[rows])
        quantizer.update_codebook()
    return quantizer.state_dict()


def codebooks(rank: int, folder: Path) -> dict[str, torch.Tensor]:
    return train_codebooks(half(rank))


# Data-parallel training


def half(rank: int) -> slice:
    return slice(2 * rank, 2 * rank + 2)


def joined_batch() -> dict[str, torch.Tensor]:
    """Four records, two for each process, all of the same size and with as many hidden patches."""
    values = torch.cat([padded_batch(seed=seed)["input_values"][:1, :2, :4] for seed in range(4)])
    lead_ids = torch.tensor([[0, 1], [6, 11], [0, 7], [2, 3]])
    return {"input_values": values, "attention_mask": torch.ones(4, 2, 4).long(), "lead_ids": lead_ids}


def training_batch(kind: str) -> dict[str, torch.Tensor]:
    batch = joined_batch()
    if kind.startswith("masked_codes"):
        hidden = (torch.arange(32) % 2 == 0).view(4, 2, 4)
        return {**batch, "bool_masked_pos": hidden, "labels": torch.arange(32).view(4, 2, 4) % 16}
    if kind in ("classification", "long_records"):
        # No lead names, no mask: what is left out must not stop data-parallel training.
        return {"input_values": batch["input_values"], "labels": torch.tensor([0, 1, 1, 0])}
    if kind == "token_labels":
        return {"input_values": batch["input_values"], "labels": torch.arange(16).view(4, 4) % 2}
    if kind == "lead_reconstruction":
        missing = torch.zeros(4, 2, 4, dtype=torch.bool)
        missing[:, 1] = True
        return {**batch, "bool_masked_pos": missing, "labels": batch["input_values"].flip(-1)}
    return batch  # without demographics


def build(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind.startswith("masked_codes"):
        return AnyECGForMaskedCodeModeling(tiny_config()).train()
    if kind == "classification":
        return AnyECGForSequenceClassification(tiny_config(num_labels=2)).train()
    if kind == "long_records":
        config = tiny_config(num_labels=2, window_patches=2, freeze_backbone=True)
        return AnyECGForLongRecordClassification(config).train()
    if kind == "token_labels":
        return AnyECGForTokenClassification(tiny_config(num_labels=2)).train()
    if kind == "lead_reconstruction":
        model = AnyECGForLeadReconstruction(tiny_config(reconstruction_width=8, num_reconstruction_layers=2))
        model.set_lead_covariance(torch.eye(22))
        return model.train()
    return AnyECGRhythmQuantizer(tiny_quantizer_config()).train()


SPLIT = "masked_codes, split attention"
KINDS = (
    *("masked_codes", SPLIT, "classification", "long_records", "token_labels", "lead_reconstruction", "quantizer"),
)


def train(kind: str, rows: slice, wrap: Callable[[nn.Module], nn.Module]) -> dict[str, torch.Tensor]:
    path = "split" if kind == SPLIT else "dense"
    with mock.patch.object(attention_anyecg, "choose_path", return_value=path) as chosen:
        state = _train(kind, rows, wrap)
    assert chosen.called
    return state


def _train(kind: str, rows: slice, wrap: Callable[[nn.Module], nn.Module]) -> dict[str, torch.Tensor]:
    model = build(kind)
    wrapped, optimizer = wrap(model), torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(STEPS):
        optimizer.zero_grad()
        wrapped(**{name: value[rows] for name, value in training_batch(kind).items()}).loss.backward()
        optimizer.step()
        if kind == "quantizer":
            model.update_codebook()
    return model.state_dict()


def data_parallel(rank: int, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {kind: train(kind, half(rank), DistributedDataParallel) for kind in KINDS}


# Tensor-parallel inference


def tensor_parallel(rank: int, folder: Path) -> dict[str, torch.Tensor]:
    """Answers of the checkpoint in `folder / "checkpoint"`, its layers split over the processes."""
    batch = padded_batch()
    found = {}
    for implementation in ("cardio_sparse", "eager"):
        model = AnyECGForMaskedCodeModeling.from_pretrained(
            folder / "checkpoint", tp_plan="auto", attn_implementation=implementation
        )
        with torch.no_grad():
            found[implementation] = model(**batch, bool_masked_pos=hidden_positions(batch)).logits
    weight = model.anyecg.layers[0].mlp.up_proj.weight
    found["own rows"] = torch.tensor(len(weight.to_local() if hasattr(weight, "to_local") else weight))
    backbone = AnyECGModel.from_pretrained(folder / "checkpoint", tp_plan="auto")
    with torch.no_grad():
        found["backbone"] = backbone(**batch).last_hidden_state
    return found


JOBS = (codebooks, data_parallel, tensor_parallel)
