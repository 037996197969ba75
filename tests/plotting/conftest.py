# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Synthetic records and a look-up of what was drawn, by matplotlib group id."""

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("matplotlib")

STANDARD_LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]


def beats(leads: int, samples: int, sampling_rate: float) -> np.ndarray:
    """Narrow 1 mV peaks, one a second, on a different offset in each lead."""
    phase = np.arange(samples) / sampling_rate % 1.0
    peaks = np.exp(-0.5 * ((phase - 0.5) / 0.02) ** 2)
    return (peaks + np.arange(leads)[:, None]).astype(np.float32)


@pytest.fixture
def standard_leads() -> list[str]:
    return list(STANDARD_LEADS)


@pytest.fixture
def twelve_leads() -> np.ndarray:
    """10 s of the standard leads at 500 Hz, in mV."""
    return beats(12, 5000, 500)


@pytest.fixture
def two_leads() -> np.ndarray:
    """20 s of two leads at 250 Hz, in mV."""
    return beats(2, 5000, 250)


@pytest.fixture
def drawn() -> Callable:
    """`drawn(figure, gid)` lists the artists of that group."""

    def find(figure, gid: str) -> list:
        return figure.axes[0].findobj(lambda artist: artist.get_gid() == gid)

    return find
