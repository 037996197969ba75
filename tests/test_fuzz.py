# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Broken files, a few hundred of every kind, always the same ones: only our own errors come out.

`benchmarks/fuzz_counts.py` tries many more, others at every seed.
"""

import mmap
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import nothing
from tests.fuzzing.targets import TARGETS
from tests.fuzzing.watching import MOST_BYTES, Target, Watch

EXAMPLES = 60


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_broken_file_is_read_or_raises_an_error_of_ours(target: Target, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    strategy = target.broken(target.prepare(folder))
    watch = Watch()

    # A failing example is told, not shrunk: that is for the script.
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def read(content: bytes) -> None:
        watch.read(target, folder, content)

    read()
    assert sum(watch.outcomes.values()) >= EXAMPLES
    assert len(watch.outcomes) > 1, f"nothing but {watch.outcomes}: these examples break nothing, or all the same"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process grew by")
def test_memory_that_python_does_not_see_counts(tmp_path):
    def read(folder: Path) -> None:
        with mmap.mmap(-1, MOST_BYTES + (64 << 20)) as block:
            block[:: mmap.PAGESIZE] = bytes(len(block) // mmap.PAGESIZE)

    target = Target("greedy", "file", lambda folder: [], lambda contents: nothing(), read, (ValueError,))
    with pytest.raises(AssertionError, match=r"3\d{8} bytes for a file of 3"):
        Watch().read(target, tmp_path, b"abc")
