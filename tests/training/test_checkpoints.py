# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import errno
import json
import re
import resource
from pathlib import Path
from unittest import mock

import pytest
import torch
from tests.training.small_runs import start
from torch import nn

from anyecg_hf.training import checkpoints as module
from anyecg_hf.training.checkpoints import CheckpointError, Checkpoints, ProcessState, replace_file, replace_folder
from anyecg_hf.training.processes import together

FILES = {"trained.safetensors", "optimiser.safetensors", "state.json", "process-0.safetensors", "process-0.json"}


class Trained:
    """A model with a frozen weight and a buffer, its optimiser after some steps, and its checkpoints."""

    def __init__(self, folder, width=3, keep=2):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 1))
        self.model[0].bias.requires_grad_(False)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        groups = [{"params": trained[:2], "lr_scale": 0.5}, {"params": trained[2:], "lr_scale": 1.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=0.1)
        self.checkpoints = Checkpoints(folder, keep)

    def step(self):
        self.model(torch.randn(4, 3)).sum().backward()
        self.optimiser.step()
        self.optimiser.zero_grad()

    def save(self, step, **tensors):
        own = ProcessState({"number": step}, {name: torch.tensor(value) for name, value in tensors.items()})
        self.checkpoints.save(step, self.model, self.optimiser, {"progress": {"step": step}}, own)

    def load(self):
        return self.checkpoints.load(self.checkpoints.newest(), self.model, self.optimiser)

    def weights(self):
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def moments(self):
        return [dict(values) for values in self.optimiser.state_dict()["state"].values()]

    def names(self):
        return sorted(path.name for path in self.checkpoints.folder.iterdir())


@pytest.fixture
def trained(tmp_path):
    trained = Trained(tmp_path / "checkpoints")
    trained.step()
    trained.save(1, counts=[1, 2], mean=0.5)
    return trained


def full_disk(*arguments, **named):
    raise OSError(errno.ENOSPC, "No space left on device")


class TestSaveAndLoad:
    def test_a_checkpoint_brings_everything_back(self, trained, tmp_path):
        assert {path.name for path in trained.checkpoints.newest().iterdir()} == FILES
        other = Trained(tmp_path / "checkpoints")
        other.step()
        other.step()
        state, own = other.load()
        assert state["step"] == 1 and state["progress"] == {"step": 1}
        assert own.place == {"number": 1}
        assert own.tensors["counts"].tolist() == [1, 2] and float(own.tensors["mean"]) == 0.5
        for name, value in trained.weights().items():
            assert torch.equal(other.weights()[name], value) or name == "0.bias", name
        for found, expected in zip(other.moments(), trained.moments(), strict=True):
            assert found.keys() == expected.keys() == {"step", "exp_avg", "exp_avg_sq"}
            assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert [group["lr_scale"] for group in other.optimiser.param_groups] == [0.5, 1.0]

    def test_frozen_weights_are_left_out(self, trained):
        from safetensors.torch import load_file

        names = load_file(trained.checkpoints.newest() / "trained.safetensors").keys()
        assert "0.bias" not in names
        assert {"0.weight", "1.running_mean", "2.bias"} <= names

    def test_what_is_read_no_longer_needs_the_files(self, trained):
        _, own = trained.load()
        tensors = [*own.tensors.values(), *(value for values in trained.moments() for value in values.values())]
        for path in trained.checkpoints.newest().iterdir():
            path.write_bytes(b"\0" * path.stat().st_size)
        assert own.tensors["counts"].tolist() == [1, 2]
        assert all(value.data_ptr() % 64 == 0 for value in tensors if value.numel())

    def test_a_damaged_file_is_named_with_the_way_on(self, trained):
        file = trained.checkpoints.newest() / "optimiser.safetensors"
        file.write_bytes(file.read_bytes()[:40])
        text = re.escape(f"{file} cannot be read: ") + ".*" + re.escape(f"Remove {file.parent} to go on from the")
        with pytest.raises(CheckpointError, match=text):
            trained.load()

    def test_a_model_of_another_width_is_refused(self, trained, tmp_path):
        other = Trained(tmp_path / "checkpoints", width=4)
        before = other.weights()
        with pytest.raises(CheckpointError, match=r"another model: 6 .*0.weight \(3, 3\) \(here \(4, 3\)\)"):
            other.load()
        assert all(torch.equal(value, before[name]) for name, value in other.weights().items())


class TestRotation:
    def test_the_newest_ones_stay(self, trained):
        for step in (2, 10, 3):
            trained.save(step)
        assert trained.names() == ["step-00000003", "step-00000010"]
        assert trained.checkpoints.newest().name == "step-00000010"

    def test_what_a_kill_left_is_not_taken_for_a_checkpoint_and_is_cleared(self, trained):
        for name in ("unfinished-00000009", "unfinished-removal-step-00000000"):
            (trained.checkpoints.folder / name).mkdir()
            (trained.checkpoints.folder / name / "state.json").write_text("{}")
        assert trained.checkpoints.newest().name == "step-00000001"
        trained.save(2)
        assert trained.names() == ["step-00000001", "step-00000002"]

    def test_a_checkpoint_that_is_being_removed_does_not_look_whole(self, trained):
        trained.save(2)
        real = module.shutil.rmtree

        def halfway(path, **named):
            if "step-00000001" in str(path) and path.exists():
                (path / "state.json").unlink()
                raise KeyboardInterrupt
            real(path, **named)

        with mock.patch.object(module.shutil, "rmtree", halfway), pytest.raises(KeyboardInterrupt):
            trained.save(3)
        assert trained.names() == ["step-00000002", "step-00000003", "unfinished-removal-step-00000001"]


class TestFailure:
    @pytest.mark.parametrize(
        ("owner", "name", "call"),
        [
            *((module, "save_file", call) for call in range(3)),
            *((module, "_write_json", call) for call in range(2)),
            *((module, "flush_to_disk", call) for call in range(6)),
            (Path, "mkdir", 0),
            (Path, "rename", 0),
        ],
    )
    def test_a_full_disk_at_any_file_leaves_the_earlier_checkpoints(self, trained, tmp_path, owner, name, call):
        expected = trained.weights()
        trained.step()
        effects = [mock.DEFAULT] * call + [full_disk] + [mock.DEFAULT] * 20
        original = getattr(owner, name)

        def fail_once(*arguments, **named):
            effect = effects.pop(0)
            return full_disk() if effect is full_disk else original(*arguments, **named)

        with mock.patch.object(owner, name, fail_once), pytest.raises(CheckpointError) as caught:
            trained.save(2)
        text = str(caught.value)
        assert text.startswith(
            f"the checkpoint of step 2 could not be written into {tmp_path / 'checkpoints'}: OSError"
        )
        assert "No space left on device. Those before it are as they were: remove the cause" in text
        assert "make room on the disk, then resume." in text
        assert trained.names() == ["step-00000001"]
        trained.load()
        assert all(torch.equal(value, expected[name]) for name, value in trained.weights().items())
        trained.save(2)
        assert trained.names() == ["step-00000001", "step-00000002"]

    def test_a_disk_that_is_really_full_leaves_the_earlier_checkpoints(self, trained, tmp_path):
        group = start(tmp_path / "errors", save_with_little_room, tmp_path / "checkpoints")
        group.finish()
        assert json.loads((tmp_path / "checkpoints" / "told.json").read_text()) == ["step-00000001", "told.json"]
        trained.load()

    def test_all_processes_fail_if_one_does(self, tmp_path):
        group = start(tmp_path / "errors", fail_in_the_second, tmp_path, processes=2)
        group.wait()
        texts = group.texts()
        assert "ValueError: this one only" in texts[1]
        assert "OtherProcessError: process 1 failed: ValueError: this one only" in texts[0]


def save_with_little_room(folder):
    """Files may grow to a few bytes only, which writing meets with an error as on a full disk."""
    import signal

    trained = Trained(folder)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    with pytest.raises(CheckpointError, match="File too large"):
        trained.save(2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (folder / "told.json").touch()
    (folder / "told.json").write_text(json.dumps(trained.names()))


def fail_in_the_second(folder):
    import torch.distributed as dist

    dist.init_process_group("gloo")

    def work():
        if dist.get_rank():
            raise ValueError("this one only")

    together(work)


class TestReplace:
    def test_a_folder_is_replaced_as_a_whole(self, tmp_path):
        folder = tmp_path / "final"
        replace_folder(folder, lambda aside: (aside / "old").write_text("1"))
        replace_folder(folder, lambda aside: (aside / "new").write_text("2"))
        assert [path.name for path in folder.iterdir()] == ["new"]
        assert [path.name for path in tmp_path.iterdir()] == ["final"]

    def test_a_failure_while_writing_leaves_the_earlier_folder(self, tmp_path):
        folder = tmp_path / "final"
        replace_folder(folder, lambda aside: (aside / "old").write_text("1"))

        def write(aside):
            (aside / "half").write_text("2")
            full_disk()

        with pytest.raises(CheckpointError, match=r"final could not be written: OSError: .*No space.*make room"):
            replace_folder(folder, write)
        assert [path.name for path in folder.iterdir()] == ["old"]
        assert [path.name for path in tmp_path.iterdir()] == ["final"]

    def test_a_file_is_replaced_as_a_whole(self, tmp_path):
        file = tmp_path / "config.yaml"
        replace_file(file, "old")
        with mock.patch.object(module, "flush_to_disk", full_disk), pytest.raises(OSError, match="No space"):
            replace_file(file, "new")
        assert file.read_text() == "old"
        assert list(tmp_path.iterdir()) == [file]
