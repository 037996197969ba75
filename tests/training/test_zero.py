# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""DeepSpeed's ZeRO trains in two processes (gloo, on the CPU) as copies of the model do, and resumes exactly."""

import importlib.util
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.fixed_batches import EPSILON, train_on_fixed_batches, train_with_a_bad_record
from tests.training.interruptions import train_until
from tests.training.small_runs import (
    KINDS,
    SmallRuns,
    assert_same_run,
    checkpoint_names,
    metrics,
    start,
    train,
    weights,
)

from anyecg_hf.training import loop
from anyecg_hf.training.configs import MaskingConfig, RunConfig
from anyecg_hf.training.preparation import make_accelerator

STEPS = 5
needs_deepspeed = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs deepspeed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("runs"))


def under_zero(stage: int, root: Path, job: Callable[..., None], *arguments: Any) -> None:
    """Does a job where `accelerate launch --use_deepspeed --zero_stage` has set the scene; DeepSpeed on the CPU."""
    del os.environ["ACCELERATE_USE_CPU"]
    os.environ |= {
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage),
        "DS_ACCELERATOR": "cpu",
        # A process that is killed while it builds DeepSpeed's kernel leaves a lock for which all later ones wait.
        "TORCH_EXTENSIONS_DIR": str(root / "kernels"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    job(*arguments)


def fixed(runs: SmallRuns, kind: str, name: str, **changes: Any):
    """A run without dropout or the complement trick, whose codebook starts with the first step."""
    config = runs.config(
        kind,
        runs.root / f"{kind}-{name}",
        **{
            "run__steps": STEPS,
            "run__log_every": 1,
            "data__batch_size": 4,
            "data__lead_dropout": 0.0,
            "optimiser__epsilon": EPSILON,
            "optimiser__layer_decay": 0.8,
            "optimiser__max_gradient_norm": 0.5,
            **changes,
        },
    )
    config.model["hidden_dropout"] = 0.0
    if kind == "quantizer":
        config.model["codebook_warmup_updates"] = 0
    if kind == "pretraining":
        config.masking = [MaskingConfig()]
    return config


@pytest.fixture(scope="module")
def trained(runs) -> dict[str, Any]:
    """Weights of every run and rank."""
    halves = {"run__gradient_accumulation": 2, "data__batch_size": 2}
    copies = [fixed(runs, kind, "copies") for kind in KINDS]
    copies += [fixed(runs, kind, "copies-halves", **halves) for kind in KINDS]
    copies.append(fixed(runs, "pretraining", "copies-bf16", run__precision="bf16"))
    groups = [start(runs.root / "errors", train_on_fixed_batches, copies, runs.root, processes=2)]
    for stage in (1, 2):
        shares = [fixed(runs, kind, f"zero{stage}") for kind in KINDS]
        shares += [fixed(runs, kind, f"zero{stage}-halves", **halves) for kind in KINDS]
        shares.append(fixed(runs, "pretraining", f"zero{stage}-bf16", run__precision="bf16"))
        job = (under_zero, stage, runs.root, train_on_fixed_batches, shares, runs.root)
        groups.append(start(runs.root / f"errors-{stage}", *job, processes=2))
    for group in groups:
        group.finish()
    return {path.stem: torch.load(path) for path in runs.root.glob("*.pt")}


def assert_close(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    assert found["weights"].keys() == expected["weights"].keys()
    for name, value in found["weights"].items():
        torch.testing.assert_close(value, expected["weights"][name], rtol=tolerance, atol=tolerance, msg=name)


@needs_deepspeed
@pytest.mark.parametrize("stage", [1, 2])
class TestTwoProcesses:
    # "-halves": two accumulated batches. They come to k-means, which starts the codebook, in another order.
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("batches", ["", "-halves"])
    def test_weights_and_codebook_are_those_of_copies(self, trained, kind, stage, batches):
        first, second = (trained[f"{kind}-zero{stage}{batches}-{rank}"] for rank in range(2))
        assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
        assert_close(first, trained[f"{kind}-copies{batches}-0"], 2e-6)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("batches", ["", "-halves"])
    def test_losses_and_the_norm_before_clipping_are_those_of_copies(self, runs, trained, kind, stage, batches):
        expected = metrics(runs.root / f"{kind}-copies{batches}")
        found = metrics(runs.root / f"{kind}-zero{stage}{batches}")
        assert max(line.get("gradient_norm", 0.0) for line in found) > 0.5  # some were clipped
        for line, other in zip(found, expected, strict=True):
            for key in [key for key in other if key.endswith(("loss", "norm", "rate", "seen"))]:
                assert line[key] == pytest.approx(other[key], rel=2e-5), key

    def test_bf16_is_that_of_copies_and_weights_stay_float32(self, trained, stage):
        found = trained[f"pretraining-zero{stage}-bf16-0"]
        assert {value.dtype for value in found["weights"].values()} == {torch.float32}
        assert_close(found, trained["pretraining-copies-bf16-0"], 2e-6)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_final_model_is_plain_safetensors(self, runs, trained, kind, stage):
        found = weights(runs.root / f"{kind}-zero{stage}")
        expected = trained[f"{kind}-zero{stage}-0"]["weights"]
        for name, value in expected.items():
            if kind == "pretraining":
                assert torch.equal(found[f"model.safetensors:{name}"], value)
        assert {name.rpartition(":")[0] for name in found} == {
            name.rpartition(":")[0] for name in weights(runs.root / f"{kind}-copies")
        }


@needs_deepspeed
class TestCheckpoints:
    @pytest.mark.parametrize(("kind", "stage"), [("quantizer", 2), ("finetuning", 1)])
    def test_a_killed_run_resumes_exactly(self, runs, tmp_path, kind, stage):
        whole = runs.config(kind, tmp_path / "whole", run__steps=8)
        start(tmp_path / "errors", under_zero, stage, runs.root, train, whole, processes=2).finish()
        config = runs.config(kind, tmp_path / "run", resume=True, run__steps=8)
        group = start(tmp_path / "errors", under_zero, stage, runs.root, train_until, config, 36, processes=2)
        group.members[0].join(60)
        group.kill()
        assert -signal.SIGKILL in [member.exitcode for member in group.members]
        assert checkpoint_names(tmp_path / "run")[0] == "step-00000004"
        start(tmp_path / "errors", under_zero, stage, runs.root, train, config, processes=2).finish()
        assert_same_run(tmp_path / "run", tmp_path / "whole")

    @pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (1, 2)])
    def test_a_checkpoint_of_another_engine_is_refused(self, runs, tmp_path, before, after):
        def group(stage: int, **changes: Any):
            config = runs.config("pretraining", tmp_path / "run", run__steps=4, **changes)
            job = (under_zero, stage, runs.root, train, config) if stage else (train, config)
            return start(tmp_path / "errors", *job, processes=2)

        group(before).finish()
        refused = group(after, resume=True)
        refused.wait()
        names = ["no DeepSpeed", "DeepSpeed's ZeRO stage 1", "DeepSpeed's ZeRO stage 2"]
        for text in refused.texts():
            assert f"step-00000004 was written with {names[before]}, and this run is one with {names[after]}" in text
        assert len(refused.texts()) == 2


@needs_deepspeed
@pytest.mark.parametrize("stage", [1, 2])
def test_a_gradient_that_is_no_number_stops_before_the_step(runs, tmp_path, stage):
    config = runs.config("pretraining", tmp_path / "run", run__gradient_accumulation=2, run__save_every=1)
    group = start(
        tmp_path / "errors", under_zero, stage, runs.root, train_with_a_bad_record, config, 1, 5, tmp_path, processes=2
    )
    group.wait()
    assert [member.exitcode for member in group.members] == [1, 1]
    for text in group.texts():
        assert "NonFiniteLossError: step 2: the gradient's norm is inf, and the losses are nan." in text
    names = (tmp_path / "bad.txt").read_text().splitlines()
    told = json.loads((tmp_path / "run" / "not-finite.json").read_text())
    assert told == {"step": 2, "gradient_norm": "inf", "batches": [{"loss": "nan", "records": names}]}
    assert checkpoint_names(tmp_path / "run") == ["step-00000001", "step-00000002"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_trained_weight_takes_part_in_every_batch(runs, tmp_path, monkeypatch, kind):
    """What ZeRO's processes need: they add the gradients of a batch in one order."""
    without: list[str] = []
    backward = loop.TrainingLoop._backward

    def watched(self: loop.TrainingLoop, *arguments: Any) -> torch.Tensor:
        loss = backward(self, *arguments)
        names = [name for name, item in self.model.named_parameters() if item.requires_grad and item.grad is None]
        without.extend(names)
        self.optimiser.zero_grad()
        return loss

    monkeypatch.setattr(loop.TrainingLoop, "_backward", watched)
    train(runs.config(kind, tmp_path / "run", run__steps=7))
    assert without == []


class TestRefusals:
    @pytest.fixture(autouse=True)
    def launched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As `accelerate launch --use_deepspeed --num_processes 2` sets it, with DeepSpeed there or not."""
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: name if name == "deepspeed" else find_spec(name, *rest)
        )
        monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
        monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
        monkeypatch.setenv("WORLD_SIZE", "2")

    @pytest.mark.parametrize(
        ("variable", "value", "message"),
        [
            ("WORLD_SIZE", "1", "needs several processes: `accelerate launch --use_deepspeed"),
            ("ACCELERATE_USE_CPU", "true", "Accelerate leaves DeepSpeed out where the CPU is asked for"),
            ("ACCELERATE_DEEPSPEED_CONFIG_FILE", "zero.json", "takes no DeepSpeed configuration file"),
            ("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3", 'ZeRO stage 3 is not .* are sharded by `run.sharding: "fsdp2"`'),
            ("ACCELERATE_DEEPSPEED_ZERO_STAGE", "0", "ZeRO stage 0 is not what training is made for: choose"),
            ("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "cpu", "is to offload to cpu, .* choose none"),
            ("ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE", "nvme", "is to offload to nvme"),
        ],
    )
    def test_what_the_loop_does_not_do_with_deepspeed_is_refused(self, monkeypatch, variable, value, message):
        monkeypatch.setenv(variable, value)
        with pytest.raises(ValueError, match=message):
            make_accelerator(RunConfig(steps=1))

    def test_one_way_of_sharding_is_chosen(self):
        with pytest.raises(ValueError, match='`run.sharding: "fsdp2"` shards without DeepSpeed: choose plain multi'):
            make_accelerator(RunConfig(steps=1, sharding="fsdp2"))

    def test_deepspeed_that_is_not_installed_is_named(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
        with pytest.raises(ImportError, match="use DeepSpeed, which is not installed: pip install deepspeed"):
            make_accelerator(RunConfig(steps=1))
