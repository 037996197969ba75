# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the README shows works, and what it states is so."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from examples.simulate_record import simulate_record

import anyecg_hf
from anyecg_hf import AnyECGConfig, AnyECGModel
from anyecg_hf.cli.main import main
from anyecg_hf.models.anyecg.configuration_anyecg import PRESETS, UNKNOWN_LEAD

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Command lines of the shell blocks that start with `program`, split into words."""
    lines = [line for block in code_blocks("bash") for line in block.splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words[:1] == [program]]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `make demo` leaves behind, and with a folder of two recordings."""
    folder = tmp_path_factory.mktemp("simulated")
    for name, seed in (("demo-output/simulated", 1), ("recordings/first", 2), ("recordings/second", 3)):
        simulate_record(folder / name, duration_s=10, sampling_rate=500, heart_rate=70, seed=seed)
    return folder


@pytest.fixture
def desk(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, a fresh copy of the simulated one."""
    if not Path(anyecg_hf.TINY).is_dir():
        pytest.skip(f"the embedded checkpoint is not there: {anyecg_hf.TINY} (examples/train_anyecg_tiny.py makes it)")
    shutil.copytree(simulated, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_python_blocks() -> dict[str, Any]:
    """Runs all Python blocks in order in one namespace, which it returns."""
    names: dict[str, Any] = {}
    for number, block in enumerate(code_blocks("python"), start=1):
        exec(compile(block, f"README.md, Python block {number}", "exec"), names)
    return names


def test_the_python_blocks_run_in_order_and_give_what_they_say(desk: Path, capsys: pytest.CaptureFixture):
    names = run_python_blocks()
    printed = capsys.readouterr().out
    tokenizer, codes, mask = names["tokenizer"], names["codes"], names["batch"]["attention_mask"]
    patches = round(10 / tokenizer.patch_seconds)

    assert names["batch"]["input_values"].shape == (1, 12, patches, tokenizer.patch_size)
    assert codes.shape == (1, 12, patches) and torch.equal(codes >= 0, mask.bool())
    assert names["waveform_mv"].shape == (1, 12, 3000) and names["waveform_mv"].abs().max() > 0.01
    assert names["embedding"].shape == (1, names["model"].config.hidden_size) and names["embedding"].isfinite().all()
    assert all(f"'{label}': 0." in printed for label in names["classifier"].config.id2label.values())
    assert (desk / "ecg.png").read_bytes().startswith(b"\x89PNG")
    assert names["embeddings"].shape == (3, names["model"].config.hidden_size) and names["embeddings"].isfinite().all()
    assert names["output"].logits.shape == (*codes.shape, names["masked"].config.codebook_size)
    assert names["output"].loss.isfinite() and names["masked"].code_head.weight.grad.any()


@pytest.mark.parametrize("words", commands("anyecg"), ids=" ".join)
@pytest.mark.usefixtures("loud_libraries_afterwards")
def test_the_commands_succeed_and_write_what_they_name(desk: Path, words: list[str], capsys: pytest.CaptureFixture):
    assert main(words[1:]) == 0
    printed = capsys.readouterr()
    assert printed.out and not printed.err
    written = [desk / word for word in words if word.endswith((".png", ".parquet"))]
    assert all(path.stat().st_size > 1000 for path in written)


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {words[1] for words in commands("make")}
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_the_first_lines_say_what_it_is_not():
    head = re.split(r"^```", README, flags=re.MULTILINE)[0]
    for words in ("not a medical device", "anyECG-chat", "2601.10748", "AnyECG-Lab"):
        assert words in head


@pytest.mark.parametrize("preset", PRESETS)
def test_the_table_of_sizes_is_computed_from_the_presets(preset: str):
    config = AnyECGConfig.from_preset(preset)
    with torch.device("meta"):
        parameters = AnyECGModel(config).num_parameters()
    shape = f"{config.num_hidden_layers} | {config.hidden_size} | {config.num_attention_heads}"
    assert f'| `"{preset}"` | {shape} | {parameters:,} | {2 * parameters / 1e6:.0f} MB |' in README


def test_the_number_of_leads_is_that_of_the_vocabulary():
    named = [name for name in anyecg_hf.LEAD_NAMES if name != UNKNOWN_LEAD]
    assert f"any of {len(named)} named leads" in README


def test_the_table_of_rooms_names_every_package():
    packages = {path.parent.name for path in (ROOT / "src" / "anyecg_hf").glob("*/__init__.py")} - {"models"}
    rooms = "".join(line.split("|")[1] for line in README.splitlines() if line.startswith("| `"))
    assert all(f"`{package}`" in rooms for package in packages)
