# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What broken files may do: be read, or raise an error of ours, within a bounded time and memory."""

import collections
import signal
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis.strategies import SearchStrategy

# Far beyond what any of the small files needs.
MOST_SECONDS = 20.0
MOST_BYTES = 256 << 20


class HungError(BaseException):
    """An example ran too long; no `Exception`, so that nothing swallows it."""


@dataclass(frozen=True)
class Target:
    """
    A kind of file, and what reads it.

    Attributes:
        name (`str`): For people.
        file (`str`): Name of the file that is broken.
        prepare (`Callable[[Path], list[bytes]]`): Writes what stands beside it into a folder; returns good contents.
        broken (`Callable[[list[bytes]], SearchStrategy[bytes]]`): Ways to break one of them.
        read (`Callable[[Path], object]`): Reads the file in the folder.
        errors (`tuple[type[Exception], ...]`): What may be raised.
    """

    name: str
    file: str
    prepare: Callable[[Path], list[bytes]]
    broken: Callable[[list[bytes]], SearchStrategy[bytes]]
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]


@dataclass
class Watch:
    """
    What was seen in many examples.

    Attributes:
        outcomes (`collections.Counter`): `"read"`, or the name of the error -> how often.
        most_bytes (`int`): The largest growth of the process over one file; where the system does not tell it (it is
            not Linux), the largest peak of memory that Python and NumPy asked for.
        most_seconds (`float`): The longest time.
    """

    outcomes: collections.Counter = field(default_factory=collections.Counter)
    most_bytes: int = 0
    most_seconds: float = 0.0

    def read(self, target: Target, folder: Path, content: bytes) -> None:
        """
        Reads one broken file.

        Raises:
            `AssertionError`: if it took too much memory. An error that is none of the target's comes out as it is.
            [`HungError`]: if it took too long.
        """
        (folder / target.file).write_bytes(content)
        before = signal.signal(signal.SIGALRM, _hung)
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
        resident = _ResidentMemory()
        tracemalloc.start()
        started_s = time.perf_counter()
        outcome = "read"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                target.read(folder)
        except target.errors as error:
            assert str(error).strip(), f"a {type(error).__name__} without a word"
            outcome = type(error).__name__
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self.most_seconds = max(self.most_seconds, time.perf_counter() - started_s)
            peak = max(tracemalloc.get_traced_memory()[1], resident.growth())
            tracemalloc.stop()
            self.most_bytes = max(self.most_bytes, peak)
        self.outcomes[outcome] += 1
        assert peak < MOST_BYTES, f"{peak} bytes for a file of {len(content)}"


class _ResidentMemory:
    """Growth of this process at its largest, since it was made: libraries in C take memory that Python does not see."""

    def __init__(self):
        try:
            Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
        except OSError:
            pass
        self._before = self._peak()

    def growth(self) -> int:
        """Bytes."""
        return self._peak() - self._before

    def _peak(self) -> int:
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return 0
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def _hung(*_: object) -> None:
    raise HungError(f"still reading after {MOST_SECONDS:g} s")
