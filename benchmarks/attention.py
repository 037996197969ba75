# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures Cardio-Sparse Attention against dense attention and flex attention: time, memory, and where the split pays.

    python benchmarks/attention.py
    python benchmarks/attention.py --only 12x10 12x900     # some of the cases

Takes about half an hour on two cores. Needs Linux for the memory figures on CPUs, and matplotlib for the pictures.
"""

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from unittest import mock

import torch
from reporting import Conditions, benchmark_parser, markdown_table, peak_growth, verdict, write_report
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from anyecg_hf.models.anyecg import attention_band_anyecg
from anyecg_hf.models.anyecg.attention_anyecg import (
    PATHS,
    cardio_sparse_attention,
    cardio_sparse_pattern,
    choose_path,
    lay_out_mask,
)

LIBRARIES = ("anyecg-hf", "torch", "transformers")
HEADS, HEAD_SIZE, TIME_TOLERANCE = 12, 64, 1
CASES = ((12, 10), (12, 60), (12, 85), (12, 300), (12, 900), (12, 1800), (3, 1800), (2, 7200), (1, 3600))
CROSSING = [(12, patches) for patches in (10, 20, 30, 45, 60, 85, 120, 200)]
CROSSING += [(3, patches) for patches in (40, 85, 170, 340, 680)]
WIDE = ((12, 43, 10), (12, 100, 10), (12, 100, 30), (12, 300, 30))
# Heads and head sizes of the crossing: one large, and that of the embedded checkpoint.
CROSSING_HEADS = ((HEADS, HEAD_SIZE), (4, 32))
UNMASKED, MASKED, FLEX, OURS = "dense, unmasked", "dense, masked", "flex_attention", "cardio_sparse"
MODES = ("forward", "forward + backward")
# How the band may be cut; what is the default stands in `attention_band_anyecg`.
LAYOUT_CASES = ((12, 900), (3, 1800))
BLOCK_QUERIES, STRETCH_TIMES = (16, 32, 64, 128), (32, 128, 512, 4096)
# One measurement goes on until it has taken so long, within these numbers of turns.
TURNS_S, MIN_TURNS, MAX_TURNS = 2.0, 2, 200

Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Problem:
    """Queries, keys and values of one case, in the memory layout of the model's projections."""

    leads: int
    patches: int
    time_tolerance: int
    states: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    grad_output: torch.Tensor

    @property
    def name(self) -> str:
        return f"{self.leads}x{self.patches}"

    @property
    def input_bytes(self) -> int:
        """Bytes of query, key, value and output together."""
        return 4 * self.states[0].numel() * self.states[0].element_size()

    @property
    def share_seen(self) -> float:
        """Pairs of tokens that the pattern lets see each other, over all pairs: what arithmetic allows."""
        tolerance = min(self.time_tolerance, self.patches - 1)
        near = self.patches * (2 * tolerance + 1) - tolerance * (tolerance + 1)
        seen = self.leads * (self.patches**2 + (self.leads - 1) * near)
        return seen / (self.leads * self.patches) ** 2


def draw_problem(
    leads: int,
    patches: int,
    device: str,
    dtype: torch.dtype,
    heads: int = HEADS,
    head_size: int = HEAD_SIZE,
    time_tolerance: int = TIME_TOLERANCE,
) -> Problem:
    generator = torch.Generator().manual_seed(0)
    shape = (1, leads * patches, heads, head_size)
    *states, grad_output = (torch.randn(shape, generator=generator).to(device, dtype) for _ in range(4))
    return Problem(
        leads, patches, time_tolerance, tuple(state.transpose(1, 2) for state in states), grad_output.transpose(1, 2)
    )


def dense_unmasked(problem: Problem) -> Attention:
    return scaled_dot_product_attention


def dense_masked(problem: Problem) -> Attention:
    mask = forced_mask(problem, "dense").dense_mask
    return lambda *states: scaled_dot_product_attention(*states, attn_mask=mask)


def forced_mask(problem: Problem, path: str | None):
    key_mask = torch.ones(1, problem.leads, problem.patches, device=problem.states[0].device)
    return lay_out_mask(key_mask, problem.time_tolerance, path)


def flex(problem: Problem) -> Attention:
    tokens, device = problem.leads * problem.patches, problem.states[0].device
    pattern = cardio_sparse_pattern(problem.patches, problem.time_tolerance)
    block_mask = create_block_mask(pattern, 1, None, tokens, tokens, device=device)
    compiled = torch.compile(flex_attention)
    return lambda *states: compiled(*states, block_mask=block_mask)


def ours(problem: Problem, path: str | None = None) -> Attention:
    mask = forced_mask(problem, path)
    return lambda *states: cardio_sparse_attention(*states, mask).transpose(1, 2)


IMPLEMENTATIONS: dict[str, Callable[[Problem], Attention]] = {
    UNMASKED: dense_unmasked,
    MASKED: dense_masked,
    FLEX: flex,
    OURS: ours,
}


def call(attention: Attention, problem: Problem, mode: str) -> None:
    """One forward pass, or one with gradients of all three inputs; waits for the device."""
    if mode == MODES[0]:
        with torch.no_grad():
            attention(*problem.states)
    else:
        states = [state.detach().requires_grad_() for state in problem.states]
        attention(*states).backward(problem.grad_output)
    if problem.states[0].is_cuda:
        torch.cuda.synchronize()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_bytes(work: Callable[[], object], device: str) -> int:
    if device == "cpu":
        return peak_growth(work)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return torch.cuda.max_memory_allocated() - before


@dataclass
class Figures:
    """Medians over turns in seconds, and peak extra memory in bytes, by implementation and mode."""

    problem: Problem
    time_s: dict[tuple[str, str], float] = field(default_factory=dict)
    memory: dict[tuple[str, str], int] = field(default_factory=dict)

    def ratio(self, other: str, mode: str) -> float:
        """How many times faster we are than another implementation."""
        return self.time_s[other, mode] / self.time_s[OURS, mode]


def in_turns(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Medians of times taken in turns, in another order each time: a call is slower after some than after others."""
    shuffled, names = random.Random(0), list(works)
    taken = {name: [seconds(work)] for name, work in works.items()}
    round_s = sum(times[0] for times in taken.values())
    for _ in range(min(MAX_TURNS, max(MIN_TURNS, math.ceil(TURNS_S / round_s))) - 1):
        shuffled.shuffle(names)
        for name in names:
            taken[name].append(seconds(works[name]))
    return {name: statistics.median(times) for name, times in taken.items()}


def measure(problem: Problem, device: str, implementations: dict[str, Callable[[Problem], Attention]]) -> Figures:
    figures = Figures(problem)
    for mode in MODES:
        works = {}
        for name, build in implementations.items():
            if name == FLEX and device == "cpu" and mode != MODES[0]:
                continue  # has no backward pass on CPUs
            attention = build(problem)
            if name == FLEX:
                call(attention, problem, mode)  # compiles
            works[name] = lambda attention=attention, mode=mode: call(attention, problem, mode)
            # With the mask, which is of the size of the pattern where there is one.
            figures.memory[name, mode] = peak_bytes(lambda w=works[name], b=build: (b(problem), w()), device)
        for name, median in in_turns(works).items():
            figures.time_s[name, mode] = median
        print(problem.name, mode, {name: round(figures.time_s[name, mode], 4) for name in works}, flush=True)
    return figures


def measure_crossing(device: str, dtype: torch.dtype) -> list[Figures]:
    """Both paths at short lengths and at wide tolerances."""
    paths = {path: lambda problem, path=path: ours(problem, path) for path in PATHS}
    problems = [draw_problem(*case, device, dtype, *heads) for heads in CROSSING_HEADS for case in CROSSING]
    problems += [
        draw_problem(leads, patches, device, dtype, time_tolerance=tolerance) for leads, patches, tolerance in WIDE
    ]
    return [measure(problem, device, paths) for problem in problems]


@contextmanager
def layout(device: str, block_queries: int, stretch_times: int) -> Iterator[None]:
    """The band cut into other blocks and stretches than by default."""
    chosen = {"_BLOCK_QUERIES": block_queries, "_STRETCH_TIMES": stretch_times}
    with ExitStack() as stack:
        for name, value in chosen.items():
            stack.enter_context(mock.patch.dict(getattr(attention_band_anyecg, name), {device: value}))
        yield


def layout_table(device: str, dtype: torch.dtype) -> str:
    """Forward and backward of the split, in milliseconds, by sizes of blocks and stretches."""
    found = []
    for case in LAYOUT_CASES:
        problem = draw_problem(*case, device, dtype)
        attention = ours(problem, "split")

        def work(sizes: tuple[int, int], problem=problem, attention=attention) -> None:
            with layout(device, *sizes):
                call(attention, problem, MODES[1])

        works = {sizes: lambda sizes=sizes: work(sizes) for sizes in product(BLOCK_QUERIES, STRETCH_TIMES)}
        work((BLOCK_QUERIES[0], STRETCH_TIMES[0]))
        medians = in_turns(works)
        found += [
            (problem.name, queries, *(f"{1e3 * medians[queries, times]:.0f}" for times in STRETCH_TIMES))
            for queries in BLOCK_QUERIES
        ]
    header = ("leads x seconds", "queries a block", *(f"stretch of {times}, ms" for times in STRETCH_TIMES))
    return markdown_table(header, found)


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{1e3 * value:.3g}"


def time_table(all_figures: Sequence[Figures], mode: str) -> str:
    header = ("leads x seconds", *(f"{name}, ms" for name in IMPLEMENTATIONS), "times faster than unmasked", "limit")
    rows = [
        (
            figures.problem.name,
            *(_milliseconds(figures.time_s.get((name, mode))) for name in IMPLEMENTATIONS),
            f"{figures.ratio(UNMASKED, mode):.2f}",
            f"{1 / figures.problem.share_seen:.2f}",
        )
        for figures in all_figures
    ]
    return markdown_table(header, rows)


def memory_table(all_figures: Sequence[Figures], mode: str) -> str:
    header = (
        "leads x seconds",
        "q, k, v and out, MB",
        *(f"{name}, MB" for name in IMPLEMENTATIONS),
        "ours over inputs",
    )
    rows = []
    for figures in all_figures:
        held = figures.problem.input_bytes
        found = [figures.memory.get((name, mode)) for name in IMPLEMENTATIONS]
        rows.append(
            (
                figures.problem.name,
                f"{held / 1e6:.1f}",
                *("-" if value is None else f"{value / 1e6:.1f}" for value in found),
                f"{figures.memory[OURS, mode] / held:.2f}",
            )
        )
    return markdown_table(header, rows)


def crossing_table(crossing: Sequence[Figures], device: str) -> str:
    header = (
        "heads",
        "leads x seconds",
        "tokens",
        "tolerance",
        *(f"split over dense, {mode}" for mode in MODES),
        "path taken",
    )
    rows = []
    for figures in crossing:
        problem = figures.problem
        ratios = [figures.time_s["split", mode] / figures.time_s["dense", mode] for mode in MODES]
        _, heads, tokens, head_size = problem.states[0].shape
        rows.append(
            (
                f"{heads} of {head_size}",
                problem.name,
                tokens,
                problem.time_tolerance,
                *(f"{ratio:.2f}" for ratio in ratios),
                choose_path(problem.leads, problem.patches, problem.time_tolerance, device),
            )
        )
    return markdown_table(header, rows)


def verdicts(by_name: dict[str, Figures], device: str) -> list[str]:
    """The targets, as far as their cases were measured."""
    forward, both = MODES
    found = []
    if "12x1800" in by_name and device == "cpu":
        long = by_name["12x1800"]
        found.append(
            verdict("forward at 12x1800, times faster than dense", long.ratio(UNMASKED, forward), 8, "", at_least=True)
        )
        over = long.memory[OURS, forward] / long.problem.input_bytes
        found.append(verdict("peak extra memory of the forward pass at 12x1800 over q, k, v and out", over, 3, ""))
    if "12x900" in by_name and device == "cpu":
        ratio = by_name["12x900"].ratio(UNMASKED, both)
        found.append(verdict("forward + backward at 12x900, times faster than dense", ratio, 5, "", at_least=True))
    if "12x10" in by_name:
        ratio = 1 / by_name["12x10"].ratio(MASKED, forward)
        found.append(verdict("time at 12x10 over that of masked dense attention", ratio, 1.1, ""))
    if "12x1800" in by_name and device == "cuda":
        long = by_name["12x1800"]
        for other, bound in ((UNMASKED, 6), (FLEX, 1)):
            ratio = long.ratio(other, forward)
            found.append(verdict(f"forward at 12x1800, times faster than {other}", ratio, bound, "", at_least=True))
    return found


def draw(all_figures: Sequence[Figures], path) -> None:
    """Time and memory of 12 leads against seconds, and what arithmetic would allow."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    chosen = sorted((f for f in all_figures if f.problem.leads == 12), key=lambda f: f.problem.patches)
    patches = [figures.problem.patches for figures in chosen]
    panels = [(mode, "time_s", 1.0, "seconds") for mode in MODES]
    panels += [("forward", "memory", 1e-6, "peak extra memory, MB")]
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    colors = dict(zip(IMPLEMENTATIONS, ("tab:blue", "tab:orange", "tab:green", "tab:red"), strict=True))
    for axis, (mode, what, factor, label) in zip(axes, panels, strict=True):
        for name in IMPLEMENTATIONS:
            points = [(n, getattr(f, what).get((name, mode))) for n, f in zip(patches, chosen, strict=True)]
            points = [(n, factor * value) for n, value in points if value]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colors[name], label=name)
        if what == "time_s":
            limit = [f.time_s[UNMASKED, mode] * f.problem.share_seen for f in chosen]
            axis.plot(patches, limit, "k--", linewidth=1, label="dense x share of pairs seen")
        else:
            axis.plot(patches, [1e-6 * f.problem.input_bytes for f in chosen], "k:", linewidth=1, label="q, k, v, out")
        axis.set(xscale="log", yscale="log", xlabel="seconds of 12 leads", ylabel=label, title=f"{mode}: {label}")
        axis.grid(alpha=0.3, which="both", linewidth=0.5)
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = benchmark_parser(__doc__, __file__)
    parser.add_argument("--only", nargs="+", metavar="LEADSxSECONDS", help="cases to measure (default: all)")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(default: %(default)s)"
    )
    arguments = parser.parse_args()
    measure_all(arguments)


def measure_all(arguments: argparse.Namespace) -> None:
    device = arguments.device
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    cases = [case for case in CASES if arguments.only is None or f"{case[0]}x{case[1]}" in arguments.only]
    torch._dynamo.config.cache_size_limit = 64  # one compiled flex attention a case
    with Conditions(LIBRARIES) as conditions:
        all_figures = [measure(draw_problem(*case, device, dtype), device, IMPLEMENTATIONS) for case in cases]
        crossing = measure_crossing(device, dtype)
        layouts = layout_table(device, dtype)
    picture = arguments.output.with_suffix(".png")
    draw(all_figures, picture)
    on_gpu = "These figures are of the GPU below." if device == "cuda" else "Not measured on GPU."
    paragraphs = [
        f"One record, {HEADS} heads of {HEAD_SIZE}, tolerance {TIME_TOLERANCE}, {str(dtype).removeprefix('torch.')},"
        f" {torch.get_num_threads()} threads. {on_gpu} `dense` is `scaled_dot_product_attention`; `flex_attention` is"
        " compiled and has no backward pass on CPUs. All implementations of a case take turns in one process, in random"
        " order; times are medians, without the making of masks, which a model does once for all layers. `limit` is"
        " how many times fewer pairs of tokens the pattern has than dense attention.",
        "\n".join(verdicts({figures.problem.name: figures for figures in all_figures}, device)),
        f"![time and memory against length]({picture.name})",
        *(text for mode in MODES for text in (f"## {mode.capitalize()}", time_table(all_figures, mode))),
        "## Peak extra memory",
        "Growth of the process beyond query, key and value, mask and output included; with gradients, also those of"
        " query, key and value.",
        *(text for mode in MODES for text in (f"{mode.capitalize()}:", memory_table(all_figures, mode))),
        "## Where the split pays",
        "Both paths of `cardio_sparse`, forced. The path that is taken by default is chosen by the number of tokens and"
        " by the share of all pairs that the split would compute.",
        crossing_table(crossing, device),
        "## How the band is cut",
        "Forward and backward of the split by the queries of a block and the times of a stretch. On CPUs 32 queries and"
        " stretches of 128 are the default: within the noise of the best, at little memory.",
        layouts,
    ]
    write_report(arguments.output, __file__, "Cardio-Sparse Attention", paragraphs, conditions)


if __name__ == "__main__":
    main()
