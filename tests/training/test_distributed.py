# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Copies and shards of a model in two processes (gloo, on the CPU) train as one process does."""

import json
import re
import signal

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

from anyecg_hf import AnyECGForMaskedCodeModeling, AnyECGTokenizer
from anyecg_hf.training.configs import MaskingConfig

STEPS = 5


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return SmallRuns(tmp_path_factory.mktemp("runs"))


def fixed(runs, kind, name, **changes):
    """A run without dropout or the complement trick, whose codebook starts with the first step."""
    config = runs.config(
        kind,
        runs.root / f"{kind}-{name}",
        run__steps=STEPS,
        run__log_every=1,
        run__save_every=STEPS,
        data__batch_size=8,
        data__lead_dropout=0.0,
        optimiser__epsilon=EPSILON,
        **changes,
    )
    config.model["hidden_dropout"] = 0.0
    if kind == "quantizer":
        config.model["codebook_warmup_updates"] = 0
    if kind == "pretraining":
        config.masking = [MaskingConfig()]
    return config


@pytest.fixture(scope="module")
def trained(runs):
    """Weights of every run and rank."""
    alone = [fixed(runs, kind, "alone") for kind in KINDS]
    alone += [fixed(runs, kind, "accumulated") for kind in KINDS]
    for config in alone[3:]:
        config.run.gradient_accumulation, config.data.batch_size = 4, 2
    pairs = [fixed(runs, kind, "copies") for kind in KINDS] + [
        fixed(runs, kind, "shards", run__sharding="fsdp2") for kind in KINDS
    ]
    both = fixed(runs, "pretraining", "both", run__sharding="fsdp2", run__gradient_accumulation=2)
    for config in (*pairs, both):
        config.data.batch_size = 4
    both.data.batch_size = 2
    groups = [
        start(runs.root / "errors-1", train_on_fixed_batches, alone, runs.root),
        start(runs.root / "errors-2", train_on_fixed_batches, [*pairs, both], runs.root, processes=2),
    ]
    for group in groups:
        group.finish()
    return {path.stem: torch.load(path) for path in runs.root.glob("*.pt")}


def assert_close(found, expected, tolerance):
    assert found["weights"].keys() == expected["weights"].keys()
    for name, value in found["weights"].items():
        torch.testing.assert_close(value, expected["weights"][name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("kind", KINDS)
class TestTwoProcesses:
    def test_accumulated_batches_are_one_batch(self, trained, kind):
        assert_close(trained[f"{kind}-accumulated-0"], trained[f"{kind}-alone-0"], 1e-6)

    def test_copies_stay_identical_and_equal_one_process_on_the_joined_batch(self, trained, kind):
        first, second = trained[f"{kind}-copies-0"], trained[f"{kind}-copies-1"]
        assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
        assert_close(first, trained[f"{kind}-alone-0"], 1e-6)

    def test_shards_equal_copies(self, trained, kind):
        first, second = trained[f"{kind}-shards-0"], trained[f"{kind}-shards-1"]
        assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
        assert_close(first, trained[f"{kind}-copies-0"], 1e-6)

    def test_every_trained_weight_is_sharded(self, trained, kind):
        found = [trained[f"{kind}-shards-{rank}"] for rank in range(2)]
        names = set(found[0]["sharded"])
        sizes = {name: found[0]["weights"][name].numel() for name in names}
        # Buffers, the codebook's, are whole in every process.
        whole = [name for name in found[0]["weights"] if name not in names]
        assert all(re.search(r"\.codebooks\.|\.(started|updates)$", name) for name in whole)
        assert sum(half["local"] for half in found) == sum(sizes.values())
        assert all(0.4 < half["local"] / sum(sizes.values()) < 0.6 for half in found)

    def test_what_is_logged_is_of_all_processes(self, runs, trained, kind):
        logs = {name: metrics(runs.root / f"{kind}-{name}") for name in ("alone", "accumulated", "copies", "shards")}
        for name, lines in logs.items():
            for line, expected in zip(lines, logs["alone"], strict=True):
                for key in [key for key in expected if key.endswith(("loss", "norm", "seen"))]:
                    assert line[key] == pytest.approx(expected[key], rel=2e-5), (name, key)


class TestShards:
    def test_shards_and_accumulation_go_together(self, trained):
        assert_close(trained["pretraining-both-0"], trained["pretraining-alone-0"], 1e-6)

    def test_the_final_model_loads_with_its_tokenizer(self, runs, trained):
        folder = runs.root / "pretraining-shards" / "final"
        model = AnyECGForMaskedCodeModeling.from_pretrained(folder)
        for name, value in trained["pretraining-shards-0"]["weights"].items():
            assert torch.equal(model.state_dict()[name], value)
        assert AnyECGTokenizer.from_pretrained(folder).patch_size == 75

    @pytest.mark.parametrize("kind", ["quantizer"])
    def test_a_sharded_run_resumes_exactly(self, runs, tmp_path, kind):
        changes = {"run__sharding": "fsdp2", "run__steps": 8}
        start(tmp_path / "errors", train, runs.config(kind, tmp_path / "whole", **changes), processes=2).finish()
        config = runs.config(kind, tmp_path / "run", resume=True, **changes)
        group = start(tmp_path / "errors", train_until, config, 36, processes=2)
        group.members[0].join(60)
        group.kill()
        assert -signal.SIGKILL in [member.exitcode for member in group.members]
        assert checkpoint_names(tmp_path / "run")[0] == "step-00000004"
        start(tmp_path / "errors", train, config, processes=2).finish()
        assert_same_run(tmp_path / "run", tmp_path / "whole")


class TestBadLoss:
    @pytest.mark.parametrize(("processes", "bad_rank"), [(1, 0), (2, 1)])
    def test_all_processes_stop_before_the_step_and_the_records_are_named(self, runs, tmp_path, processes, bad_rank):
        config = runs.config("pretraining", tmp_path / "run", run__gradient_accumulation=2, run__save_every=1)
        group = start(tmp_path / "errors", train_with_a_bad_record, config, bad_rank, 5, tmp_path, processes=processes)
        group.wait()
        assert [member.exitcode for member in group.members] == [1] * processes
        file = tmp_path / "run" / "not-finite.json"
        for text in group.texts():
            assert "NonFiniteLossError: step 2: the gradient's norm is nan, and the losses are nan." in text
            assert f"{file} has the records of these batches: look at them, or lower the learning rate." in text
        told = json.loads(file.read_text())
        names = (tmp_path / "bad.txt").read_text().splitlines()
        assert told == {"step": 2, "gradient_norm": "nan", "batches": [{"loss": "nan", "records": names}]}
        # What is there is of before the bad step, and whole.
        assert checkpoint_names(tmp_path / "run") == ["step-00000001", "step-00000002"]
        start(
            tmp_path / "errors",
            train,
            runs.config("pretraining", tmp_path / "run", run__gradient_accumulation=2, run__save_every=1, resume=True),
            processes=processes,
        ).finish()
        assert all(value.isfinite().all() for value in weights(tmp_path / "run").values())
