# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The Space in `examples/space`: its metadata fit the package, and its script serves the page."""

import runpy
from pathlib import Path

import yaml
from tests.test_project import PINNED, PROJECT

import anyecg_hf
import anyecg_hf.web
from anyecg_hf.version import __version__

SPACE = Path(__file__).parents[1] / "examples" / "space"


def test_the_metadata_are_those_that_a_space_needs():
    _, front, text = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", maxsplit=2)
    metadata = yaml.safe_load(front)
    assert metadata["sdk"] == "gradio" and metadata["sdk_version"] == PINNED["gradio"]
    assert metadata["license"] == PROJECT["license"].lower()
    assert (SPACE / metadata["app_file"]).is_file()
    assert len(metadata["short_description"]) <= 60
    assert metadata["python_version"] in PROJECT["requires-python"]
    assert "no decision about a patient" in text


def test_the_requirements_are_this_packages_wheel_with_the_page():
    lines = (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"./anyecg_hf-{__version__}-py3-none-any.whl[web]"]
    assert "web" in PROJECT["optional-dependencies"]


def test_the_script_serves_the_embedded_checkpoint_where_the_space_says(monkeypatch):
    served = []
    monkeypatch.setattr(anyecg_hf.web, "serve", lambda workbench, host, started: served.append((workbench.name, host)))
    runpy.run_path(str(SPACE / "app.py"), run_name="__main__")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    runpy.run_path(str(SPACE / "app.py"), run_name="__main__")
    assert served == [("anyecg-tiny", "127.0.0.1"), ("anyecg-tiny", "0.0.0.0")]
