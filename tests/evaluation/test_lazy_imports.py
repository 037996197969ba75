# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The evaluation loads what is asked for and nothing else."""

from pathlib import Path

import pytest
from tests.fresh_process import in_fresh_process

import anyecg_hf.evaluation
import anyecg_hf.evaluation.baselines
import anyecg_hf.evaluation.metrics

SOURCE = Path(anyecg_hf.evaluation.__file__).parents[2]


@pytest.mark.parametrize(
    "package", [anyecg_hf.evaluation, anyecg_hf.evaluation.baselines, anyecg_hf.evaluation.metrics]
)
def test_every_name_of_a_package_can_be_had(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import anyecg_hf.evaluation", ["anyecg_hf.evaluation.metrics", "anyecg_hf.evaluation.baselines"]),
        ("import anyecg_hf.evaluation.metrics", ["scipy.stats", "sklearn", "anyecg_hf.evaluation.baselines"]),
        ("from anyecg_hf.evaluation.baselines import fit_linear_probe", ["anyecg_hf.evaluation.baselines.resnet"]),
    ],
)
def test_importing_brings_only_what_is_needed(statement, absent):
    script = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    brought = in_fresh_process(script).split()
    assert "anyecg_hf.evaluation" in brought
    assert set(absent).isdisjoint(brought)
