# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures the peak memory of loading a random XL checkpoint (bf16 shards) and of one forward pass of it.

    python benchmarks/xl_memory.py

Needs Linux, about 3.5 GB of disk in the temporary folder (`TMPDIR`) and 4 GB of memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from reporting import Conditions, Memory, benchmark_parser, markdown_table, verdict, write_report
from transformers import AutoModel
from transformers.utils.logging import disable_progress_bar

from anyecg_hf import LEAD_NAMES, AnyECGConfig, AnyECGTokenizer

LIBRARIES = ("anyecg-hf", "torch", "transformers", "safetensors")
TARGET_RATIO = 1.15


@dataclass(frozen=True)
class Loading:
    """What the loading process saw: memory before, after loading and after the forward pass; seconds of each step."""

    before: Memory
    loaded: Memory
    done: Memory
    load_s: float
    forward_s: float


def write_checkpoint(folder: Path, preset: str, shard_size: str) -> int:
    """Saves a random backbone that was never anything but bf16; returns its number of parameters."""
    model = AutoModel.from_config(AnyECGConfig.from_preset(preset), dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size=shard_size)
    return model.num_parameters()


def load_and_run(folder: Path) -> Loading:
    """Loads the checkpoint in bf16 and runs a 12-lead record of 10 s through it."""
    noise_mv = np.random.default_rng(0).normal(scale=0.3, size=(12, 5000))
    batch = AnyECGTokenizer()(noise_mv, sampling_rate=500, lead_names=LEAD_NAMES[:12], return_tensors="pt")
    before, start = Memory.read(), time.perf_counter()
    model = AutoModel.from_pretrained(folder, dtype=torch.bfloat16).eval()
    loaded, loaded_at = Memory.read(), time.perf_counter()
    with torch.no_grad():
        pooled = model(batch["input_values"], batch["attention_mask"], batch["lead_ids"]).pooler_output
    done, done_at = Memory.read(), time.perf_counter()
    if pooled.dtype != torch.bfloat16 or not pooled.isfinite().all():
        raise RuntimeError(f"expected finite bfloat16 numbers from the forward pass, got {pooled.dtype} {pooled}.")
    return Loading(before, loaded, done, load_s=loaded_at - start, forward_s=done_at - loaded_at)


def in_fresh_process(folder: Path) -> Loading:
    """[`load_and_run`] in a process that has never held the model."""
    command = [sys.executable, __file__, "--load", str(folder)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    facts = json.loads(finished.stdout)
    memories = {name: Memory(**facts.pop(name)) for name in ("before", "loaded", "done")}
    return Loading(**memories, **facts)


def measure(arguments: argparse.Namespace) -> None:
    """Writes the checkpoint, loads it elsewhere, reports."""
    with Conditions(LIBRARIES) as conditions, tempfile.TemporaryDirectory(prefix="anyecg-xl-") as name:
        folder = Path(name)
        parameters = write_checkpoint(folder, arguments.preset, arguments.shard_size)
        shards = sorted(folder.glob("*.safetensors"))
        stored = sum(path.stat().st_size for path in shards)
        loading = in_fresh_process(folder)

    held = loading.before.now
    steps = (("loading", loading.loaded, loading.load_s), ("one forward pass", loading.done, loading.forward_s))
    rows = [
        (
            f"after {step}",
            f"{memory.peak - held:,}",
            f"{(memory.peak - held) / stored:.3f}",
            f"{memory.files - loading.before.files:,}",
            f"{seconds:.1f}",
        )
        for step, memory, seconds in steps
    ]
    paragraphs = [
        f"A random `{arguments.preset}` backbone of {parameters:,} parameters in {len(shards)} bf16 shards of together"
        f" {stored:,} bytes, loaded by `AutoModel.from_pretrained(..., dtype=torch.bfloat16)` on the CPU in a fresh"
        " process, and one forward pass of a 12-lead record of 10 s. Peak resident memory (`VmHWM`) less the"
        f" {held:,} bytes that the process held before, libraries and the record included. Weights stay mapped from"
        " their files and become resident when they are first read.",
        markdown_table(("", "peak, bytes", "over the files' size", "of which mapped files now", "seconds"), rows),
        verdict("peak over the files' size", (loading.done.peak - held) / stored, TARGET_RATIO, ""),
    ]
    write_report(arguments.output, __file__, "Memory of a large checkpoint", paragraphs, conditions)


def main() -> None:
    parser = benchmark_parser(__doc__, __file__)
    parser.add_argument("--preset", default="xl", help="size of the model (default: %(default)s)")
    parser.add_argument("--shard-size", default="1GB", help="size of a shard (default: %(default)s)")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    disable_progress_bar()
    if arguments.load is None:
        measure(arguments)
    else:
        print(json.dumps(asdict(load_and_run(arguments.load))))


if __name__ == "__main__":
    main()
