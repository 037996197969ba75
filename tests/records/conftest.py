# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""WFDB records written by hand, so that every oddity of a header can be had."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def counts() -> np.ndarray:
    """Two leads of 16-bit samples, with one invalid one."""
    generator = np.random.default_rng(0)
    samples = generator.integers(-2000, 2000, (2, 300)).astype("<i2")
    samples[1, 7] = -32768
    return samples


@pytest.fixture
def write_wfdb(tmp_path: Path) -> Callable[..., Path]:
    """Writes 16-bit samples of shape `(leads, samples)` as a record and returns its path without suffix."""

    def write(
        samples: np.ndarray,
        *,
        name: str = "rec",
        record_line: str | None = None,
        leads: Sequence[str] = ("I", "II"),
        gains: Sequence[str] | str = "1000/mV",
        layout: str = "16",
        data_file: str | None = None,
        comments: Sequence[str] = (),
    ) -> Path:
        data_file = data_file or f"{name}.dat"
        gains = [gains] * len(leads) if isinstance(gains, str) else gains
        lines = [record_line or f"{name} {len(leads)} 500 {samples.shape[1]}"]
        lines += [f"{data_file} {layout} {gain} 16 0 0 0 0 {lead}" for gain, lead in zip(gains, leads, strict=True)]
        (tmp_path / f"{name}.hea").write_text("\n".join([*lines, *comments, ""]), encoding="utf-8")
        if "/" not in data_file:
            offset = b"\0" * int(layout.partition("+")[2] or 0)
            (tmp_path / data_file).write_bytes(offset + samples.T.astype("<i2").tobytes())
        return tmp_path / name

    return write
