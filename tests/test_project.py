# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The project's files agree with each other and keep the house rules, and the guards of `conftest.py` really guard."""

import ast
import inspect
import logging
import re
import socket
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from anyecg_hf.models.anyecg.configuration_anyecg import AnyECGConfig, AnyECGQuantizerConfig
from anyecg_hf.models.anyecg.tokenization_anyecg import AnyECGTokenizer
from anyecg_hf.version import __version__

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "anyecg_hf"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

CODE_FOLDERS = ("src", "tests", "benchmarks", "conversion", "dataset_scripts", "examples")
LICENCE_HEADER = "# Copyright 2026 The anyecg_hf authors.\n# SPDX-License-Identifier: Apache-2.0\n"

MAX_LINES = 450
# Longer files and why they are better whole.
LONG_FILES: dict[str, str] = {}

CONSTRAINTS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
PINNED = {canonicalize_name(name): version for name, version in CONSTRAINTS.items()}


def code_files() -> list[Path]:
    return [path for folder in CODE_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def requirements() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "version" in PROJECT["dynamic"]
    assert citation["version"] == __version__
    assert re.findall(r"^## \[(\d\S*)\]", changelog, flags=re.MULTILINE)[0] == __version__


def test_every_constraint_pins_one_exact_public_version():
    assert {
        name: version for name, version in CONSTRAINTS.items() if not re.fullmatch(r"[\d.]+(post\d+)?", version)
    } == {}


def test_every_required_library_has_a_tested_version_within_its_range():
    libraries = [item for item in requirements() if item.name != PROJECT["name"]]
    outside = [
        f"{item}: tested {PINNED.get(canonicalize_name(item.name))}"
        for item in libraries
        if canonicalize_name(item.name) not in PINNED or PINNED[canonicalize_name(item.name)] not in item.specifier
    ]
    assert len(libraries) > 10 and outside == []


def test_every_range_has_a_lower_and_an_upper_bound():
    unbounded = [
        str(item)
        for item in requirements()
        if {bound.operator for bound in item.specifier} != {">=", "<"} and item.name not in (PROJECT["name"], "ruff")
    ]
    assert unbounded == []


def test_extras_refer_to_extras_that_exist():
    named = {extra for item in requirements() if item.name == PROJECT["name"] for extra in item.extras}
    assert named <= set(PROJECT["optional-dependencies"])


def test_the_register_of_deviations_states_the_real_defaults():
    register = (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8")
    stated = re.findall(r"`(\w+)=([^`]+)`", register)
    tokenizer = {name: item.default for name, item in inspect.signature(AnyECGTokenizer).parameters.items()}
    owners = [AnyECGConfig().to_dict(), AnyECGQuantizerConfig().to_dict(), tokenizer]

    defaults = {name: [owner[name] for owner in owners if name in owner] for name, _ in stated}
    wrong = {name: text for name, text in stated if ast.literal_eval(text) not in map(_as_list, defaults[name])}
    assert len(stated) > 30 and wrong == {}


def _as_list(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_source_files_stay_short():
    lengths = {
        path.relative_to(SOURCE).as_posix(): len(path.read_text("utf-8").splitlines()) for path in SOURCE.rglob("*.py")
    }
    too_long = {name: length for name, length in lengths.items() if length > MAX_LINES and name not in LONG_FILES}
    assert too_long == {}, f"split these, or list them in LONG_FILES with the reason (limit {MAX_LINES} lines)"
    assert {name for name in LONG_FILES if lengths.get(name, 0) <= MAX_LINES} == set(), "no longer needed in LONG_FILES"


def test_only_the_command_line_prints():
    prints = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] != "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert prints == []


def test_every_code_file_starts_with_the_licence_header():
    files = [path for path in code_files() if path.stat().st_size]
    assert [
        str(path.relative_to(ROOT)) for path in files if not path.read_text("utf-8").startswith(LICENCE_HEADER)
    ] == []


def test_the_network_is_blocked_and_this_machine_is_not():
    with pytest.raises(RuntimeError, match=r"without a network.*'192\.0\.2\.1'"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(RuntimeError, match="without a network.*'example.org'"):
        socket.getaddrinfo("example.org", 443)
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=1).close()


def test_fresh_memory_is_poisoned():
    like = torch.zeros(2)
    for fresh in (torch.empty(3), torch.empty_like(like), like.new_empty(3), torch.empty_strided((2,), (1,))):
        assert fresh.isnan().all()


@pytest.mark.uninitialized_memory
def test_a_marked_test_gets_fresh_memory_as_it_comes():
    assert torch.get_deterministic_debug_mode() == 0


def test_a_deprecation_that_transformers_logs_is_an_error():
    logger = logging.getLogger("transformers.somewhere")
    with pytest.raises(DeprecationWarning, match="`torch_dtype` is deprecated"):
        logger.warning("`torch_dtype` is deprecated! Use `dtype` instead!")
