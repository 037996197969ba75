# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import os

import pytest
import torch
import transformers

from anyecg_hf import environment
from anyecg_hf.environment import installed_versions, machine_kind


def test_versions_are_those_of_the_libraries_that_are_installed(monkeypatch):
    found = installed_versions(["torch", "transformers", "no-such-distribution"])
    assert found == {"torch": torch.__version__, "transformers": transformers.__version__}


def test_a_cpu_is_told_with_its_cores(monkeypatch):
    monkeypatch.setattr(environment.torch.cuda, "is_available", lambda: True)
    assert machine_kind("cpu") == f"CPU, {os.cpu_count()} cores"
    monkeypatch.setattr(environment.torch.cuda, "is_available", lambda: False)
    assert machine_kind() == machine_kind("cuda") == f"CPU, {os.cpu_count()} cores"


@pytest.mark.parametrize(("processes", "told"), [(None, "NVIDIA X"), ("1", "NVIDIA X"), ("4", "4 x NVIDIA X")])
def test_gpus_are_told_with_their_number(monkeypatch, processes, told):
    monkeypatch.setattr(environment.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(environment.torch.cuda, "get_device_name", lambda: "NVIDIA X")
    if processes:
        monkeypatch.setenv("WORLD_SIZE", processes)
    assert machine_kind() == machine_kind("auto") == told
