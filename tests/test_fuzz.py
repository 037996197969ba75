# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Broken files, a few hundred of every kind, always the same ones: only our own errors come out.

`benchmarks/fuzz_counts.py` tries many more, others at every seed.
"""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.fuzzing.targets import TARGETS
from tests.fuzzing.watching import Target, Watch

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
