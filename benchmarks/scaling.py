# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/scaling.md: what training the larger sizes takes in memory and time, by estimate.

python benchmarks/scaling.py
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from reporting import markdown_table

from anyecg_hf import AnyECGConfig
from anyecg_hf.training.cost_estimates import (
    TrainingSetup,
    estimate_memory,
    estimate_step,
    largest_batch,
)
from anyecg_hf.training.scaling import PEAK_FLOPS, BatchShape, count_parameters, training_flops

DOCUMENT = Path(__file__).parents[1] / "docs" / "scaling.md"

PRESETS = ("base", "large", "xl")
DEVICES = (1, 8, 32)
SHARDINGS = (("none", "DDP"), ("fsdp2", "FSDP2"))
LEADS = 12
# Patches of a second: what most corpora have, and the paper's 1020 tokens.
WINDOWS = (10, 85)

MEMORY_BYTES = 80e9
# The rest is for the CUDA context, libraries and what the allocator cannot use.
USED_SHARE = 0.9

GPU = "H100"
REACHED = 0.4
NODE_DEVICES = 8
# What one GPU sends: within a node (NVLink 4, one direction), and between nodes (one 400 Gbit/s port a GPU).
LINK_BYTES_PER_S = {"node": 450e9, "cluster": 50e9}
BATCH_RECORDS = 32

CHECKS = (
    ("parameters", "every preset on the meta device", "equal"),
    ("FLOPs, forward and backward", "`torch.utils.flop_counter`, eager attention, tiny and small", "equal"),
    ("FLOPs of the rhythm quantizer", "the same", "within 2 %"),
    (
        "activations of layers, embeddings, whole model",
        "what autograd saves: tiny and small; float32 and bf16 autocast; short records (dense mask) and long (split);"
        " padded or not; `sdpa` and `cardio_sparse`",
        "within 2 %",
    ),
    ("gradients, optimiser", "the tensors of a model after a step of AdamW", "equal"),
    ("bf16 copies of weights", "the linear layers of small", "within 1 %"),
    ("gathered layers, buckets, loss, communication, activation checkpointing", "-", "by definition only"),
    ("speed", "-", "an assumption, below"),
)

USE = """## In code

```python
from anyecg_hf import AnyECGConfig
from anyecg_hf.training.cost_estimates import TrainingSetup, estimate_memory, largest_batch
from anyecg_hf.training.scaling import BatchShape, known_peak_flops, model_flop_utilisation, training_flops

config = AnyECGConfig.from_preset("base")
setup = TrainingSetup(devices=8, sharding="fsdp2", activation_checkpointing=True)
memory = estimate_memory(config, BatchShape(records=32, leads=12, patches=10), setup)
records = largest_batch(config, leads=12, patches=85, setup=setup, memory_bytes=72e9)
flops = training_flops(config, batch_records=32, leads=12, patches=10, code_head=True)
share = model_flop_utilisation(flops, seconds=0.05, peak_flops=known_peak_flops("NVIDIA H100 80GB HBM3", "bf16"))
assert memory.total < 72e9 and records > 0 and 0 < share < 1
```

A model of 1.7 billion weights takes a LoRA step on a CPU too: [xl_lora.md](benchmarks/xl_lora.md)."""


def gigabytes(number: float) -> str:
    """Bytes as GB."""
    return f"{number / 1e9:.1f}"


def arithmetic() -> Iterable[tuple[str, ...]]:
    """Rows: size, parameters, FLOPs a token and what attention adds in the longer window."""
    for preset in PRESETS:
        config = AnyECGConfig.from_preset(preset)
        counts = count_parameters(config, code_head=True)
        each = [
            f"{training_flops(config, 1, LEADS, patches, code_head=True) / (LEADS * patches) / 1e9:.2f}"
            for patches in WINDOWS
        ]
        yield preset, f"{counts.total:,}", *each


def state() -> Iterable[tuple[str, ...]]:
    """Rows: what a GPU holds before the first record."""
    for preset in PRESETS:
        for sharding, name in SHARDINGS:
            # A small batch: only what does not depend on it is shown.
            parts = [_memory(preset, TrainingSetup(devices, sharding), 1, WINDOWS[0]) for devices in DEVICES]
            cells = [
                gigabytes(part.weights + part.gradients + part.optimiser + part.working_weights + part.communication)
                for part in parts
            ]
            yield preset, name, *cells


def activations() -> Iterable[tuple[str, ...]]:
    """Rows: what one record adds, without and with activation checkpointing, the loss included."""
    for preset in PRESETS:
        cells = []
        for patches in WINDOWS:
            for checkpointing in (False, True):
                setup = TrainingSetup(activation_checkpointing=checkpointing)
                one, two = (_memory(preset, setup, records, patches).total for records in (32, 33))
                cells.append(f"{(two - one) / 1e9:.3f}")
        yield preset, *cells


def batches() -> Iterable[tuple[str, ...]]:
    """Rows: records of a GPU's batch that fit."""
    for preset in PRESETS:
        for sharding, name in SHARDINGS:
            for devices in DEVICES:
                cells = []
                for patches in WINDOWS:
                    setup = TrainingSetup(devices, sharding)
                    for how in (setup, replace(setup, activation_checkpointing=True)):
                        config = AnyECGConfig.from_preset(preset)
                        cells.append(str(largest_batch(config, LEADS, patches, how, MEMORY_BYTES * USED_SHARE)))
                yield preset, name, str(devices), *cells


def throughput() -> Iterable[tuple[str, ...]]:
    """Rows: speed by assumption."""
    for preset in PRESETS:
        config = AnyECGConfig.from_preset(preset)
        for sharding, name in SHARDINGS:
            for devices in DEVICES:
                link = LINK_BYTES_PER_S["node" if devices <= NODE_DEVICES else "cluster"]
                setup = TrainingSetup(devices, sharding)
                time = estimate_step(
                    config,
                    BatchShape(BATCH_RECORDS, LEADS, WINDOWS[0]),
                    setup,
                    peak_flops=PEAK_FLOPS[GPU]["bf16"],
                    link_bytes_per_s=link,
                    reached=REACHED,
                )
                yield (
                    *(preset, name, str(devices)),
                    *(f"{1000 * time.compute_s:.0f}", f"{1000 * time.communication_s:.0f}"),
                    *(f"{time.records_per_s:,.0f}", f"{time.tokens_per_s:,.0f}", f"{time.utilisation:.0%}"),
                )


def _memory(preset: str, setup: TrainingSetup, records: int, patches: int):
    return estimate_memory(AnyECGConfig.from_preset(preset), BatchShape(records, LEADS, patches), setup)


def render() -> str:
    """The whole document."""
    windows = [f"{patches} s{how}" for patches in WINDOWS for how in ("", ", checkpointing")]
    limit = MEMORY_BYTES * USED_SHARE
    paragraphs = [
        "# Scale: memory and time of the larger models",
        "Written by `python benchmarks/scaling.py`, not by hand; a test compares the two.",
        "**Estimates, not measurements.** No GPU was there: nothing below was run on one, neither DDP, FSDP2 nor"
        " DeepSpeed across GPUs. What was checked is the model behind the numbers, on CPUs:",
        markdown_table(("part", "checked against", "how close"), CHECKS),
        "One difference between CPUs and CUDA is allowed for: autocast computes group norm in float32 on CUDA, so that"
        " the patch encoder keeps more. Numbers are per GPU, in GB of 10^9 bytes, for masked code modelling (stage 2)"
        f" with {LEADS} leads, in bf16 autocast with float32 weights, gradients and AdamW moments, all weights trained,"
        f" no dropout. Windows are of {WINDOWS[0]} s ({LEADS * WINDOWS[0]} tokens), as most corpora have them, and of"
        f" {WINDOWS[1]} s ({LEADS * WINDOWS[1]} tokens), the paper's.",
        "## Size and arithmetic",
        "Model FLOPs of a training step, forward and backward: matrix products of the layers, the patch encoder and the"
        " code head, and attention over the pairs that the cardio-sparse pattern lets see each other.",
        markdown_table(
            ("size", "parameters with code head", *(f"GFLOP a token, {patches} s" for patches in WINDOWS)), arithmetic()
        ),
        "## Memory that does not depend on the batch",
        "Weights, gradients, both moments. Under DDP also bf16 copies of the weights, which autocast keeps for a step,"
        " and from two GPUs on gradient buckets; under FSDP2 two gathered layers, the gathered rest (embeddings, last"
        " norm, code head) and one layer's gradients. FSDP2 on one GPU shards nothing. The update is taken to be fused:"
        " PyTorch's default may need room for another copy of the weights, when the activations are gone.",
        markdown_table(
            ("size", "", *(f"{devices} GPU{'s' if devices > 1 else ''}, GB" for devices in DEVICES)), state()
        ),
        "## Memory of a record",
        "What one more record adds at the start of the backward pass: activations, and the code logits, which the model"
        " computes for every token. With activation checkpointing a layer keeps its input only. Windows below 4096"
        " tokens take the dense path on CUDA, whose mask every layer is taken to keep.",
        markdown_table(("size", *(f"{window}, GB" for window in windows)), activations()),
        "## Largest batch",
        f"Records that fit on a GPU of {MEMORY_BYTES / 1e9:.0f} GB, of which {limit / 1e9:.0f} GB are used.",
        markdown_table(("size", "", "GPUs", *windows), batches()),
        "## Time",
        f"By assumption: {GPU} GPUs of {PEAK_FLOPS[GPU]['bf16'] / 1e12:.0f} TFLOP/s, of which they reach {REACHED:.0%}"
        f" while they compute, {BATCH_RECORDS} windows of {WINDOWS[0]} s each,"
        f" {LINK_BYTES_PER_S['node'] / 1e9:.0f} GB/s from"
        f" a GPU to others of its node of {NODE_DEVICES} and {LINK_BYTES_PER_S['cluster'] / 1e9:.0f} GB/s beyond,"
        " communication hidden behind computing as far as it is shorter, data always ready. Where communication is the"
        " longer, larger batches or gradient accumulation win.",
        markdown_table(
            (
                *("size", "", "GPUs", "computing, ms", "communication, ms", "records/s", "tokens/s"),
                "model FLOP utilisation",
            ),
            throughput(),
        ),
        USE,
    ]
    return "\n\n".join(paragraphs) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="file to write (default: docs/scaling.md)")
    parser.parse_args().output.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
