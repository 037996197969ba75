# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fresh processes without the package load a checkpoint that carries its code, and say what the package says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.fresh_process import in_fresh_process
from tests.hub import loading_process
from tests.models.tiny import tiny_config, tiny_quantizer_config

from anyecg_hf import (
    TINY,
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForTokenClassification,
    AnyECGRhythmQuantizer,
)
from anyecg_hf.hub.remote_code import add_remote_code

SHAPE = {"time_encoding": "rotary", "trained_time_positions": 80, "max_time_positions": 80}


def write_checkpoints(folder: Path) -> None:
    shutil.copytree(TINY, folder / "whole")
    torch.manual_seed(0)
    AnyECGForTokenClassification(tiny_config(**SHAPE, num_labels=3)).save_pretrained(folder / "tokens")
    restorer = AnyECGForLeadReconstruction(
        tiny_config(**SHAPE, reconstruction_width=8, num_reconstruction_layers=2, num_record_features=0)
    )
    root = torch.randn(22, 22)
    restorer.set_lead_covariance(root @ root.T / 22 + torch.eye(22))
    torch.nn.init.normal_(restorer.reconstruction_head.decoder.token_weights.weight)
    restorer.save_pretrained(folder / "reconstruction")
    config = tiny_config(**SHAPE, num_labels=2, window_patches=4)
    AnyECGForLongRecordClassification(config).save_pretrained(folder / "long_records")
    quantizer = AnyECGRhythmQuantizer(tiny_quantizer_config(**SHAPE))
    quantizer.quantizer.started.fill_(True)
    quantizer.save_pretrained(folder / "quantizer")


def write_other_version(folder: Path) -> None:
    shutil.copytree(folder / "whole", folder / "other_version")
    for name in ("attention_anyecg.py", "entry_anyecg.py"):
        path = folder / "other_version" / name
        path.write_text(path.read_text() + "\n# another version\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("loading")
    write_checkpoints(folder)
    for name in ("whole", "tokens", "reconstruction", "long_records", "quantizer"):
        add_remote_code(folder / name)
    write_other_version(folder)
    return folder


def start(package: str, job: str, folder: Path) -> subprocess.CompletedProcess:
    home = folder / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
    environment |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-I", "-W", "error::FutureWarning", loading_process.__file__, package, job, str(folder)],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def outcome(package: str, job: str, folder: Path) -> dict[str, Any]:
    process = start(package, job, folder)
    assert process.returncode == 0, process.stderr[-3000:]
    return torch.load(folder / f"{job}-{package}.pt", weights_only=True)


@pytest.fixture(scope="module")
def answers(folder) -> dict[str, dict[str, Any]]:
    return {package: outcome(package, "answers", folder) for package in ("with", "without")}


def test_the_process_without_the_package_cannot_import_it():
    script = """
        import sys
        from tests.hub.loading_process import BlockedPackage
        sys.meta_path.insert(0, BlockedPackage())
        try:
            import anyecg_hf
        except ModuleNotFoundError as error:
            print(error.name)
    """
    assert in_fresh_process(script, PYTHONPATH=str(Path(__file__).parents[2])) == "anyecg_hf\n"


def test_every_auto_class_answers_bit_for_bit_as_with_the_package(answers):
    expected, found = answers["with"]["tensors"], answers["without"]["tensors"]
    assert expected.keys() == found.keys() and len(found) > 100
    different = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert different == []
    assert [name for name in expected if expected[name].dtype != found[name].dtype] == []


def test_the_answers_say_something(answers):
    found = answers["without"]["tensors"]
    assert found["codes 20.0"].shape == (1, 12, 80) and len(found["codes 20.0"].unique()) > 20
    assert all(tensor.float().std() > 0 for name, tensor in found.items() if name.startswith(("Auto", "restored")))
    assert all(tensor.isfinite().all() for tensor in found.values())


def test_every_class_is_the_packages_namesake_and_all_are_of_one_module(answers):
    expected, found = answers["with"]["classes"], answers["without"]["classes"]
    assert {name: kind for name, (_, kind) in expected.items()} == {name: kind for name, (_, kind) in found.items()}
    assert all(module.startswith("anyecg_hf.") for module, _ in expected.values())
    modules = {module for module, _ in found.values()}
    assert all(module.startswith("transformers_modules.") for module in modules)
    whole = {module for module, _ in found.values() if module.split(".")[1] == "whole"}
    assert len(whole) == 1 and whole.pop().endswith(".entry_anyecg")


def test_attention_is_cardio_sparse_by_default(answers):
    assert set(answers["without"]["implementations"].values()) == {"cardio_sparse"}


def test_what_must_stay_in_single_precision_does(answers):
    found = answers["without"]["tensors"]
    kept = {name for name, tensor in found.items() if name.startswith("half") and tensor.dtype == torch.float32}
    assert any("codebooks" in name for name in kept) and any("lead_estimator" in name for name in kept)
    assert any(tensor.dtype == torch.bfloat16 for name, tensor in found.items() if name.startswith("half"))


def test_activation_checkpointing_changes_no_gradient(answers):
    found = answers["without"]["tensors"]
    plain = {name: value for name, value in found.items() if name.startswith("gradient False")}
    assert len(plain) > 50
    for name, value in plain.items():
        torch.testing.assert_close(found[name.replace("False", "True")], value)


def test_what_is_saved_again_loads_again_by_every_auto_class(folder):
    found = outcome("without", "saved_again", folder)
    tensors = found["tensors"]
    assert found["same weights"]
    # Weights that lie otherwise in memory are multiplied in another order.
    torch.testing.assert_close(tensors["after"], tensors["before"], atol=1e-5, rtol=1e-5)
    assert torch.equal(tensors["codes before"], tensors["codes after"])
    torch.testing.assert_close(tensors["pickled"], tensors["before"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tensors["eager"], tensors["before"], atol=1e-4, rtol=1e-4)
    expected = {"AutoConfig": "AnyECGConfig", "AutoModel": "AnyECGModel", "quantizer": "AnyECGRhythmQuantizer"}
    assert found["others"] == expected
    again = {path.name: path.read_bytes() for path in (folder / "again").glob("*.py")}
    assert again == {path.name: path.read_bytes() for path in (folder / "whole").glob("*.py")}


def test_two_versions_of_the_code_and_the_package_live_in_one_process(folder):
    found = outcome("without", "copies", folder)
    assert len(set(found["modules"])) == 2 and found["is packages"]
    for name, states in found["tensors"].items():
        assert torch.equal(states, found["tensors"]["before"]), name


def test_the_auto_class_that_transformers_lacks_comes_with_the_checkpoint(folder):
    assert outcome("without", "own_auto_class", folder)["restored"].isfinite().all()


def test_nothing_runs_that_nobody_allowed(folder, tmp_path):
    shutil.copytree(folder / "whole", tmp_path / "marked")
    for path in (tmp_path / "marked").glob("*.py"):
        path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + path.read_text())
    said = outcome("without", "refusal", tmp_path)
    assert len(said) == 8
    assert all("`trust_remote_code=True` to allow custom code to be run" in text for text in said.values())
    assert not (tmp_path / "ran").exists() and not list((tmp_path / "home").rglob("*_anyecg.py"))
