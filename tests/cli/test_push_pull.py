# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import shutil
from pathlib import Path

import pytest
from tests.hub.conftest import CARD, local_hub  # noqa: F401 (a fixture)

REPO = "org/anyecg-small"


@pytest.fixture
def saved(checkpoint, own_folder):
    shutil.copytree(checkpoint, own_folder / "saved")
    (own_folder / "saved" / "README.md").write_text(CARD)
    return "saved"


def test_a_dry_run_lists_files_and_sizes(anyecg, saved):
    outcome = anyecg("push", saved, REPO, "--dry-run", "--no-code")
    assert outcome.status == 0 and outcome.errors == []
    lines = outcome.out.splitlines()
    sizes = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in lines[:-1]}
    assert sizes == {
        str(path.relative_to(saved)): path.stat().st_size for path in Path(saved).rglob("*") if path.is_file()
    }
    total = f"{sum(sizes.values()):>14,}"
    assert lines[0].endswith("  README.md") and lines[-1] == f"{total}  in all; nothing was uploaded to {REPO}"


def test_there_and_back(anyecg, saved, local_hub, own_folder):  # noqa: F811
    pushed = json.loads(anyecg("push", saved, REPO, "--private", "--revision", "v1", "--message", "One", "--json").out)
    assert local_hub.titles(REPO, "v1") == ["One"] and local_hub.repositories["model", REPO].is_private
    outcome = anyecg("pull", REPO, "--revision", "v1", "-o", "back")
    assert outcome.out == f"back: {len(pushed['files']) + 1} files of {REPO}, commit {pushed['commit']}\n"
    weights = [own_folder / folder / "model.safetensors" for folder in ("saved", "back")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    told = json.loads(anyecg("pull", REPO, "--revision", pushed["commit"], "--json").out)
    assert told["commit"] == pushed["commit"] and "model.safetensors" in told["files"]


def test_options_reach_the_push(anyecg, saved, local_hub, own_folder):  # noqa: F811
    (own_folder / "CARD.md").write_text(CARD + "\nMore.\n")
    outcome = anyecg("push", saved, REPO, "--card", "CARD.md", "--tokenizer", saved, "--no-code")
    assert outcome.out.splitlines()[-1].endswith(
        f"/{REPO}/commit/{local_hub.repositories['model', REPO].at('main').oid}"
    )
    assert b"More." in local_hub.files(REPO)["README.md"] and "entry_anyecg.py" not in local_hub.files(REPO)
    (own_folder / saved / "README.md").unlink()
    anyecg("push", saved, REPO, "--licence", "cc0-1.0", "--training-data", "Random numbers.")
    assert b"license: cc0-1.0" in local_hub.files(REPO)["README.md"] and "entry_anyecg.py" in local_hub.files(REPO)


def test_what_is_wrong_is_one_line(anyecg, saved, local_hub, own_folder):  # noqa: F811
    outcome = anyecg("pull", "org/none")
    assert outcome.status == 1 and len(outcome.errors) == 1
    assert outcome.errors[0].startswith("anyecg pull: org/none: expected a repository that this account may read")
    (own_folder / saved / "training_args.bin").write_bytes(b"")
    outcome = anyecg("push", saved, REPO)
    assert outcome.status == 1
    assert outcome.errors == [
        "anyecg push: saved: expected weights as safetensors only, found 'training_args.bin'. Only safetensors: a"
        " pickle runs whatever code it holds as soon as it is loaded. Load it where you trust it, and save it with"
        " `save_pretrained`."
    ]
    assert anyecg("push", "nowhere", REPO).errors == [
        "anyecg push: nowhere: expected a model, or the folder of a saved one, found no such folder. Save the"
        " model first."
    ]
