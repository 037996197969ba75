# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The embedded checkpoint and what it says of the samples, once."""

import pytest

from anyecg_hf import TINY
from anyecg_hf.web.samples import SAMPLES, sample_record
from anyecg_hf.web.workbench import Study, Workbench


@pytest.fixture(scope="session")
def workbench() -> Workbench:
    return Workbench(TINY)


@pytest.fixture(scope="session")
def studies(workbench) -> list[Study]:
    """Every sample, analysed."""
    return [workbench.study(sample_record(name), simulated=True) for name in SAMPLES]
