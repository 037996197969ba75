# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What every benchmark writes: a Markdown file that says what was measured, on what kind of machine, and how busy."""

import argparse
import ctypes
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks"
# Cores taken by other processes from which on times are not worth keeping.
BUSY_CORES = 0.2


def benchmark_parser(description: str, script: str) -> argparse.ArgumentParser:
    """A parser with `--output`, which by default is `docs/benchmarks/<script>.md`."""
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    name = f"{Path(script).stem}.md"
    parser.add_argument(
        "--output", type=Path, default=RESULTS / name, help=f"file to write (default: docs/benchmarks/{name})"
    )
    return parser


class Conditions:
    """
    The machine, and how much of it other processes used while the context was open.

    Args:
        libraries (`Sequence[str]`): Distributions whose versions matter here.
    """

    def __init__(self, libraries: Sequence[str]):
        self.libraries = libraries
        self.cores = psutil.cpu_count()
        self.taken_cores = 0.0

    def __enter__(self) -> "Conditions":
        psutil.cpu_percent()  # the next call tells the mean since this one
        self._start_s, self._own_s = time.perf_counter(), sum(os.times()[:4])
        return self

    def __exit__(self, *exception: object) -> None:
        used = psutil.cpu_percent() / 100 * self.cores
        own = (sum(os.times()[:4]) - self._own_s) / (time.perf_counter() - self._start_s)
        self.taken_cores = max(0.0, used - own)

    @property
    def busy(self) -> bool:
        """Whether others took so much that times mean little."""
        return self.taken_cores >= BUSY_CORES

    def table(self) -> str:
        """Kind of machine, load and versions as a Markdown table."""
        rows = [
            ("CPU", f"{_cpu_model()}, {self.cores} cores"),
            ("memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
            ("GPU", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"),
            ("other processes meanwhile", f"{self.taken_cores:.1f} of {self.cores} cores"),
            ("Python", platform.python_version()),
            *((name, importlib.metadata.version(name)) for name in self.libraries),
        ]
        return markdown_table(("machine", ""), rows)


@dataclass(frozen=True)
class Memory:
    """
    Resident memory of this process in bytes.

    Attributes:
        now (`int`): At this moment.
        peak (`int`): The most so far.
        files (`int`): The part of `now` that is files mapped into memory.
    """

    now: int
    peak: int
    files: int

    @classmethod
    def read(cls) -> "Memory":
        # Not `ru_maxrss`: a new process inherits that of the one that started it.
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return cls(*(1024 * int(status[name].split()[0]) for name in ("VmRSS", "VmHWM", "RssFile")))


def peak_growth(work: Callable[[], object]) -> int:
    """
    Most resident memory in bytes that `work` takes beyond what the process holds before; its result counts while it is
    returned. Linux only.
    """
    ctypes.CDLL(None).malloc_trim(0)  # memory that was freed and kept for reuse would hide some growth
    before = Memory.read().now
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is resident now
    work()
    return max(0, Memory.read().peak - before)


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in cpuinfo.read_text().split("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    family = f" (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else ""
    return facts.get("model name", platform.machine()) + family


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; cells are written with `str`."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def verdict(what: str, value: float, bound: float, unit: str, *, at_least: bool = False) -> str:
    """A line that holds a value against its target."""
    met = value >= bound if at_least else value <= bound
    relation = "at least" if at_least else "at most"
    return f"- {what}: **{value:.3g}{unit}**, target {relation} {bound:g}{unit}: {'met' if met else '**not met**'}."


def write_report(output: Path, script: str, title: str, paragraphs: Sequence[str], conditions: Conditions) -> None:
    """Writes (and prints) a result file; says first if the machine was too busy for times to count."""
    head = [f"# {title}", f"Written by `python benchmarks/{Path(script).name}`, not by hand."]
    if conditions.busy:
        head.append("**Other processes kept the machine busy: the times are not final.**")
    text = "\n\n".join([*head, *paragraphs, "## Conditions", conditions.table()]) + "\n"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    print(text)
