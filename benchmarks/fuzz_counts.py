# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Counts what happens to thousands of broken files: read, or an error of ours, in how much memory and time.

    python -m benchmarks.fuzz_counts --examples 20000 --seed 1

Every kind of file has a process of its own, with an upper bound for its address space, and draws its files by the seed.
The table goes into docs/reliability.md. `tests/test_fuzz.py` is the same with few files, always the same ones.
"""

import argparse
import json
import multiprocessing
import re
import resource
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- written by benchmarks/fuzz_counts.py -->", "<!-- end -->"
MOST_ADDRESSES = 16 << 30
AT_ONCE = 200
# A library in C that never comes back lets no alarm through: its process is killed.
MOST_FURTHER_SECONDS = 300.0


@dataclass
class Count:
    """
    What happened to the broken files of one kind.

    Attributes:
        name (`str`): The kind.
        outcomes (`dict[str, int]`): `"read"` or the name of the error -> number of files.
        failures (`dict[str, str]`): What was none of our errors -> the file that did it.
        most_bytes (`int`), resident_bytes (`int`): Growth of the process over one file at most, and over all of them.
        most_seconds (`float`): Of one file.
    """

    name: str
    outcomes: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    most_bytes: int = 0
    resident_bytes: int = 0
    most_seconds: float = 0.0

    @property
    def files(self) -> int:
        """All of them."""
        return sum(self.outcomes.values())


def count(number: int, examples: int, seconds: float, first_seed: int, kept: Path, queue: Any) -> None:
    """Tries one kind of file in this process and puts its [`Count`] into the queue."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    import torch
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from tests.fuzzing.targets import TARGETS
    from tests.fuzzing.watching import HungError, Watch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    target, watch = TARGETS[number], Watch()
    result = Count(target.name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "folder")
        folder.mkdir()
        broken = target.broken(target.prepare(folder))
        (folder / target.file).write_bytes(b"")
        before = _resident()
        started_s, rounds = time.perf_counter(), 0

        def read(content: bytes) -> None:
            try:
                watch.read(target, folder, content)
            except (Exception, HungError) as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}"
                watch.outcomes[f"**{type(error).__name__}**"] += 1
                if what not in result.failures:
                    kept.mkdir(parents=True, exist_ok=True)
                    place = kept / f"{re.sub(r'[^a-z]+', '-', target.name.lower())}-{len(result.failures)}"
                    place.write_bytes(content)
                    result.failures[what] = str(place)

        while sum(watch.outcomes.values()) < examples and time.perf_counter() - started_s < seconds:
            options = {"max_examples": AT_ONCE, "phases": [Phase.generate], "database": None, "deadline": None}
            options["suppress_health_check"] = list(HealthCheck)
            seed(first_seed * 1_000_000 + rounds)(settings(**options)(given(broken)(read)))()
            rounds += 1
        result.resident_bytes = max(0, _resident() - before)
    result.outcomes = dict(watch.outcomes.most_common())
    result.most_bytes, result.most_seconds = watch.most_bytes, watch.most_seconds
    queue.put(result)


def _resident() -> int:
    """Most resident memory of this process so far, in bytes. Linux only."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def tried(number: int, name: str, arguments: argparse.Namespace) -> Count:
    """[`count`] in a process of its own; one that crashes or does not come back is told like other failures."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    options = (number, arguments.examples, arguments.seconds, arguments.seed, arguments.keep, queue)
    process = context.Process(target=count, args=options)
    process.start()
    end_s = time.perf_counter() + arguments.seconds + MOST_FURTHER_SECONDS
    while process.is_alive() and queue.empty():
        process.join(0.2)
        if time.perf_counter() > end_s:
            process.kill()
    found = queue.get() if process.exitcode is None or not queue.empty() else Count(name)
    process.join()
    if process.exitcode:
        found.failures[f"exit status {process.exitcode}"] = "the process itself"
        found.outcomes.setdefault("**crash**", 1)
    return found


def table(counts: list[Count]) -> str:
    """The counts as a Markdown table."""
    lines = ["| file | tried | what came of it | most memory | longest | errors that are not ours |", "|" + "---|" * 6]
    for item in counts:
        outcomes = ", ".join(f"{name} {number:,}" for name, number in item.outcomes.items())
        memory = f"{item.most_bytes / 1e6:.1f} MB, process +{item.resident_bytes / 1e6:.0f} MB"
        failures = ", ".join(item.failures) or "none"
        lines.append(
            f"| {item.name} | {item.files:,} | {outcomes} | {memory} | {item.most_seconds:.2f} s | {failures} |"
        )
    return "\n".join(lines)


def write(counts: list[Count], arguments: argparse.Namespace, document: Path) -> None:
    """Puts the table between its marks into the document."""
    total, failures = sum(item.files for item in counts), sum(len(item.failures) for item in counts)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("hypothesis", "transformers", "numpy", "wfdb"))
    text = "\n\n".join(
        [
            BEGIN,
            f"{total:,} broken files of {len(counts)} kinds, drawn by seed {arguments.seed}; {failures} kinds of errors"
            " that are not ours (a crash of the process counts as one). The address space was bounded at"
            f" {MOST_ADDRESSES >> 30} GiB. {libraries}.",
            'The first figure of "most memory" is how much the process grew at most over one file, libraries in C'
            " included, the second over all of them. Times are of a shared machine.",
            table(counts),
            END,
        ]
    )
    content = document.read_text(encoding="utf-8")
    begin, end = content.index(BEGIN), content.index(END) + len(END)
    document.write_text(content[:begin] + text + content[end:], encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=20_000, help="files of each kind (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="at most, for each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what the files are drawn by (default: %(default)s)")
    parser.add_argument("--only", default="", help="kinds whose name holds this; writes no document")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where files that fail are kept")
    arguments = parser.parse_args()
    from tests.fuzzing.targets import TARGETS

    counts = []
    for number, target in enumerate(TARGETS):
        if arguments.only in target.name:
            counts.append(tried(number, target.name, arguments))
            print(json.dumps(counts[-1].__dict__), flush=True)
    if not arguments.only:
        write(counts, arguments, DOCUMENT)
    return int(any(item.failures for item in counts))


if __name__ == "__main__":
    raise SystemExit(main())
