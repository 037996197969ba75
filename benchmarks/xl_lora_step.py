# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures one forward pass and one LoRA step of the XL model in bf16 on the CPU: peak memory, time, loss.

    python benchmarks/xl_lora_step.py

Needs Linux and, for the default cases, up to 16 GB of memory.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from reporting import Conditions, Memory, benchmark_parser, markdown_table, verdict, write_report
from transformers import AutoModelForSequenceClassification, BatchFeature

from anyecg_hf import LEAD_NAMES, AnyECGConfig, AnyECGTokenizer
from anyecg_hf.training.adapters import TrainableWeights, adapt, parse_lora

LIBRARIES = ("anyecg-hf", "torch", "transformers", "peft")
TARGET_BYTES = 16e9
NUM_LABELS = 5


@dataclass(frozen=True)
class Case:
    """One batch: records of 12 leads of so many seconds, and whether activations are computed again."""

    records: int
    seconds: int
    checkpointing: bool

    def __str__(self) -> str:
        how = ", activation checkpointing" if self.checkpointing else ""
        return f"{self.records} x {self.seconds} s ({12 * self.records * self.seconds} tokens){how}"


# 10 s as most corpora have them, and the paper's 1020 tokens.
CASES = (Case(4, 10, False), Case(1, 85, False), Case(1, 85, True))


@dataclass(frozen=True)
class Step:
    """What the process saw: memory in bytes before, after building and at the end; seconds; losses."""

    before: Memory
    built: Memory
    done: Memory
    build_s: float
    forward_s: float
    step_s: float
    loss_before: float
    loss_after: float
    parameters: int
    trained: int


def example_batch(case: Case) -> BatchFeature:
    """Noise of ECG size through the tokenizer, and labels."""
    random = np.random.default_rng(0)
    records_mv = [random.normal(scale=0.3, size=(12, 500 * case.seconds)) for _ in range(case.records)]
    batch = AnyECGTokenizer()(records_mv, sampling_rate=500, lead_names=LEAD_NAMES[:12], return_tensors="pt")
    batch["labels"] = torch.arange(case.records) % NUM_LABELS
    return batch


def train_once(case: Case, preset: str, lora: str) -> Step:
    """Builds the model in bf16, trains its adapters on the batch once, and looks at the loss again."""
    batch = example_batch(case)
    before, start = Memory.read(), time.perf_counter()
    torch.manual_seed(0)
    config = AnyECGConfig.from_preset(preset, num_labels=NUM_LABELS)
    # Weights are bf16 from the start: never is there a float32 copy.
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.bfloat16)
    if case.checkpointing:
        model.activation_checkpointing_enable()
    model = adapt(model, parse_lora(lora)).train()
    optimizer = torch.optim.AdamW([item for item in model.parameters() if item.requires_grad], lr=1e-3)
    built, built_at = Memory.read(), time.perf_counter()
    with torch.no_grad():
        loss_before = float(model(**batch).loss)
    forward_at = time.perf_counter()
    model(**batch).loss.backward()
    optimizer.step()
    done, done_at = Memory.read(), time.perf_counter()
    with torch.no_grad():
        loss_after = float(model(**batch).loss)
    weights = TrainableWeights.of(model)
    return Step(
        before=before,
        built=built,
        done=done,
        build_s=built_at - start,
        forward_s=forward_at - built_at,
        step_s=done_at - forward_at,
        loss_before=loss_before,
        loss_after=loss_after,
        parameters=weights.total,
        trained=weights.trained,
    )


def in_fresh_process(case: Case, preset: str, lora: str) -> Step:
    """[`train_once`] in a process that has held nothing before."""
    command = [sys.executable, __file__, "--preset", preset, "--lora", lora, "--case", json.dumps(asdict(case))]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    facts = json.loads(finished.stdout)
    memories = {name: Memory(**facts.pop(name)) for name in ("before", "built", "done")}
    return Step(**memories, **facts)


def measure(arguments: argparse.Namespace) -> None:
    """Runs every case and reports."""
    with Conditions(LIBRARIES) as conditions:
        steps = {case: in_fresh_process(case, arguments.preset, arguments.lora) for case in CASES}
    rows = [
        (
            case,
            f"{step.done.peak / 1e9:.2f}",
            f"{(step.built.peak - step.before.now) / 1e9:.2f}",
            f"{step.build_s:.0f}",
            f"{step.forward_s:.1f}",
            f"{step.step_s:.1f}",
            f"{step.loss_before:.3f} to {step.loss_after:.3f}",
        )
        for case, step in steps.items()
    ]
    one = next(iter(steps.values()))
    header = (
        *("records x seconds of 12 leads", "peak, GB", "of which building, GB", "building, s", "forward pass, s"),
        *("LoRA step, s", "loss before and after"),
    )
    paragraphs = [
        f"A random `{arguments.preset}` model with a classifier of {NUM_LABELS} labels and LoRA `{arguments.lora}`:"
        f" {one.parameters:,} parameters, of which {one.trained:,} ({one.trained / one.parameters:.2%}) are trained."
        " Frozen weights and classifier are bf16, adapters float32, the default of PEFT. One forward pass without"
        " gradients, then one step of AdamW on a batch of noise: forward pass, backward pass, update. Each case runs in"
        " a fresh process; the peak is all its resident memory (`VmHWM`), libraries and batch included, up to the end"
        f" of the step. Threads: {torch.get_num_threads()}.",
        markdown_table(header, rows),
        verdict("largest peak", max(step.done.peak for step in steps.values()) / 1e9, TARGET_BYTES / 1e9, " GB"),
    ]
    write_report(arguments.output, __file__, "A LoRA step of the XL model on a CPU", paragraphs, conditions)


def main() -> None:
    parser = benchmark_parser(__doc__, "xl_lora")
    parser.add_argument("--preset", default="xl", help="size of the model (default: %(default)s)")
    parser.add_argument("--lora", default="r=16", help="adapters, as for `anyecg finetune` (default: %(default)s)")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is None:
        measure(arguments)
    else:
        print(json.dumps(asdict(train_once(Case(**arguments.case), arguments.preset, arguments.lora))))


if __name__ == "__main__":
    main()
