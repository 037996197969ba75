# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the documents show works, what they link to is there, and numbers that the code knows too are the code's."""

import re
from pathlib import Path

import pytest

from anyecg_hf import AnyECGConfig
from anyecg_hf.models.anyecg import attention_anyecg, attention_band_anyecg
from anyecg_hf.models.anyecg.configuration_anyecg import PRESETS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted((ROOT / "docs").rglob("*.md"))
LINKED = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCUMENTS]
ATTENTION = (ROOT / "docs" / "attention.md").read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def relative_links(text: str) -> list[str]:
    """Targets of links and pictures within the repository, without the place in the file; those in code are none."""
    prose = re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", prose) + re.findall(r'(?:src|href)="([^"]+)"', prose)
    inside = (target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target))
    return [target for target in inside if target]


WITH_CODE = [path for path in DOCUMENTS if python_blocks(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", WITH_CODE, ids=name_of)
def test_the_python_blocks_run_in_order(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for number, block in enumerate(python_blocks(path.read_text(encoding="utf-8")), start=1):
        exec(compile(block, f"{name_of(path)}, Python block {number}", "exec"), names)


def test_there_are_documents_with_code():
    assert ROOT / "docs" / "attention.md" in WITH_CODE


@pytest.mark.parametrize("path", LINKED, ids=name_of)
def test_links_and_pictures_lead_to_files_that_exist(path: Path):
    links = relative_links(path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(("name", "least"), [("README.md", 6), ("docs/attention.md", 3)])
def test_links_are_found(name: str, least: int):
    assert len(relative_links((ROOT / name).read_text(encoding="utf-8"))) >= least


def test_links_are_told_from_code():
    text = 'a [file](b.md#part), ![picture](c/d.png "title"), [web](https://e.org), [here](#f), `x[0](y)`\n'
    assert relative_links(text + "```python\nx[0](y)\n```\n") == ["b.md", "c/d.png"]


def test_the_sizes_at_which_attention_splits_are_those_of_the_code():
    assert f"below {attention_anyecg._SPLIT_FROM_TOKENS['cpu']} tokens on CPUs" in ATTENTION
    assert f"stretches ({attention_band_anyecg._STRETCH_TIMES['cpu']} patches on CPUs)" in ATTENTION


def test_the_defaults_of_attention_are_those_of_the_configuration():
    assert f"config.time_tolerance ({AnyECGConfig().time_tolerance} patch by default)" in " ".join(ATTENTION.split())
    assert "(0 in every preset)" in ATTENTION
    assert {AnyECGConfig.from_preset(preset).attention_dropout for preset in PRESETS} == {0.0}


def test_the_share_of_arithmetic_is_that_of_the_pattern():
    leads, patches, tolerance = 12, 1800, AnyECGConfig().time_tolerance
    in_band = sum(patches - abs(shift) for shift in range(-tolerance, tolerance + 1))
    pairs = leads * patches**2 + leads * (leads - 1) * in_band
    fewer = (leads * patches) ** 2 / pairs
    assert f"become {fewer:.1f} times fewer at half an hour" in " ".join(ATTENTION.split())
