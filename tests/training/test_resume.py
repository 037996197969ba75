# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs that are killed and resumed end as if nothing had happened."""

import random
import shutil
import signal
import time

import pytest
from tests.training.interruptions import train_and_count, train_until
from tests.training.small_runs import (
    KINDS,
    ROWS,
    SHAPE,
    SmallRuns,
    assert_same_run,
    checkpoint_names,
    metrics,
    start,
    train,
    write_records,
)

from anyecg_hf.training.checkpoints import CheckpointError
from anyecg_hf.training.configs import SourceConfig
from anyecg_hf.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return SmallRuns(tmp_path_factory.mktemp("runs"))


def train_in_processes(runs, config, processes=1):
    start(runs.root / "errors", train, config, processes=processes).finish()


def kill_at(runs, config, event, processes=1):
    group = start(runs.root / "errors", train_until, config, event, processes=processes)
    while group.is_alive() and all(member.exitcode is None for member in group.members):
        time.sleep(0.02)
    group.kill()
    return [member.exitcode for member in group.members]


@pytest.fixture(scope="module", params=KINDS)
def whole(request, runs):
    """An uninterrupted run of each kind, and how many events it had at which it could be killed."""
    folder, counted = runs.root / f"{request.param}-whole", runs.root / f"{request.param}-events"
    start(runs.root / "errors", train_and_count, runs.config(request.param, folder), counted).finish()
    return request.param, folder, int(counted.read_text())


class TestKill:
    def test_a_run_killed_at_drawn_moments_ends_with_the_same_weights_and_figures(self, runs, whole, tmp_path):
        kind, reference, events = whole
        config = runs.config(kind, tmp_path / "run", resume=True)
        draw = random.Random(kind)
        # One save of three has about a third of the events: some of the kills come in the midst of one.
        for event in (draw.randrange(events // 3, events // 2), draw.randrange(2, 9), draw.randrange(18, 28)):
            assert kill_at(runs, config, event) == [-signal.SIGKILL]
        assert len(metrics(tmp_path / "run")) < len(metrics(reference))
        train_in_processes(runs, config)
        assert_same_run(tmp_path / "run", reference)
        assert checkpoint_names(tmp_path / "run") == ["step-00000008", "step-00000012"]

    @pytest.mark.parametrize("whole", ["quantizer"], indirect=True)
    def test_a_kill_from_outside_at_any_time_changes_nothing(self, runs, whole, tmp_path):
        kind, reference, _ = whole
        config = runs.config(kind, tmp_path / "run", resume=True)
        draw = random.Random(kind)
        for _ in range(2):
            group = start(runs.root / "errors", train, config)
            time.sleep(draw.uniform(0.2, 1.0))
            group.kill()
        train_in_processes(runs, config)
        assert_same_run(tmp_path / "run", reference)

    def test_prefetching_changes_nothing(self, runs, whole, tmp_path):
        kind, reference, _ = whole
        train_in_processes(runs, runs.config(kind, tmp_path / "run", data__prefetch=0))
        assert_same_run(tmp_path / "run", reference)

    # With three, gradients are added in an order that depends on DDP's buckets.
    @pytest.mark.parametrize(("kind", "processes"), [("quantizer", 3), ("finetuning", 2)])
    def test_several_processes_resume_exactly_too(self, runs, tmp_path, kind, processes):
        counted = tmp_path / "events"
        config = runs.config(kind, tmp_path / "whole")
        start(runs.root / "errors", train_and_count, config, counted, processes=processes).finish()
        events, config = int(counted.read_text()), runs.config(kind, tmp_path / "run", resume=True)
        draw = random.Random(kind)
        for event in (draw.randrange(events // 3, events // 2), draw.randrange(18, 28)):
            assert -signal.SIGKILL in kill_at(runs, config, event, processes)
        train_in_processes(runs, config, processes)
        assert_same_run(tmp_path / "run", tmp_path / "whole")

    @pytest.mark.parametrize("whole", ["finetuning"], indirect=True)
    def test_an_interrupt_leaves_a_run_that_can_be_resumed(self, runs, whole, tmp_path):
        kind, reference, _ = whole
        config = runs.config(kind, tmp_path / "run", resume=True)
        group = start(runs.root / "errors", train_until, config, 40, signal.SIGINT)
        group.wait()
        assert group.members[0].exitcode == 1
        assert "KeyboardInterrupt" in group.texts()[0]
        train_in_processes(runs, config)
        assert_same_run(tmp_path / "run", reference)


def hold(config):
    """Works in a run's folder until it is killed."""
    folder = RunFolder(config)
    folder.open()
    (folder.path / "held").touch()
    time.sleep(60)


@pytest.fixture(scope="module")
def begun(runs):
    """A pretraining of five steps, its last checkpoint of step 4, as a function that copies it."""
    folder = runs.root / "begun"
    train_in_processes(runs, runs.config("pretraining", folder, run__steps=5))
    (folder / "checkpoints" / "step-00000005").rename(runs.root / "step-00000005")

    def copy(target):
        shutil.copytree(folder, target)
        return target

    return copy


class TestRefusal:
    def test_a_folder_that_holds_a_run_is_not_overwritten(self, runs, begun, tmp_path):
        folder = begun(tmp_path / "run")
        with pytest.raises(ValueError, match="holds a run already: go on with it .`--resume true`., or name another"):
            train(runs.config("pretraining", folder, run__steps=5))

    def test_a_folder_that_another_process_trains_in_is_refused_until_that_ends(self, runs, begun, tmp_path):
        folder = begun(tmp_path / "run")
        config = runs.config("pretraining", folder, run__steps=5, resume=True)
        group = start(runs.root / "errors", hold, config)
        while not (folder / "held").exists():
            time.sleep(0.02)
        with pytest.raises(ValueError, match="another process is training in .*live on when torchrun itself is killed"):
            train(config)
        group.kill()
        train(config)
        assert checkpoint_names(folder)[-1] == "step-00000005"

    def test_other_settings_are_named_with_both_values(self, runs, begun, tmp_path):
        config = runs.config("pretraining", begun(tmp_path / "run"), run__steps=5, resume=True)
        config.optimiser.learning_rate = 0.1
        config.data.batch_size = 3
        config.model = {**SHAPE, "hidden_size": 64}
        with pytest.raises(ValueError, match="is a run with other settings") as caught:
            train(config)
        for text in (
            "optimiser.learning_rate was 0.003 and is 0.1 now",
            "data.batch_size was 4 and is 3 now",
            "model.hidden_size was 32 and is 64 now",
            "model.hidden_dropout was 0.1 and is None now",
            "Pass those, or another `output_dir`.",
        ):
            assert text in str(caught.value)

    def test_settings_that_change_no_weight_are_free(self, runs, begun, tmp_path):
        free = {"save_every": 2, "keep": 1, "log_every": 1, "peak_tflops": 1.0}
        changes = {f"run__{name}": value for name, value in free.items()}
        config = runs.config("pretraining", begun(tmp_path / "run"), run__steps=5, resume=True, **changes)
        config.data.prefetch = 0
        train(config)
        assert checkpoint_names(tmp_path / "run") == ["step-00000005"]
        assert [line["step"] for line in metrics(tmp_path / "run")] == [3, 5]

    def test_a_mean_over_steps_before_and_after_a_resume_counts_each_once(self, runs, begun, tmp_path):
        folder = begun(tmp_path / "run")
        before = metrics(folder)
        config = runs.config("pretraining", folder, run__steps=5, resume=True)
        train_in_processes(runs, config)
        # Step 4 was before the checkpoint, step 5 after it; both lie between the lines of the log.
        assert metrics(folder) == before
        assert [line["step"] for line in before] == [3, 5]

    def test_another_number_of_processes_is_refused(self, runs, begun, tmp_path):
        config = runs.config("pretraining", begun(tmp_path / "run"), run__steps=5, resume=True)
        group = start(runs.root / "errors", train, config, processes=2)
        group.wait()
        assert len(group.texts()) == 2
        for text in group.texts():
            assert "step-00000004 was written by 1 processes and there are 2 now" in text
            assert "Start as many, or begin a new run from the saved weights." in text

    def test_other_records_are_refused(self, runs, begun, tmp_path):
        folder = begun(tmp_path / "run")
        original = runs.records.read_bytes()
        try:
            write_records(runs.records, ROWS - 1)
            with pytest.raises(
                ValueError, match="the records are not those that .* was started with: rows.1: .* was 24"
            ):
                train(runs.config("pretraining", folder, run__steps=5, resume=True))
        finally:
            runs.records.write_bytes(original)

    def test_a_checkpoint_of_another_model_is_refused_and_says_what_differs(self, runs, begun, tmp_path):
        folder = begun(tmp_path / "run")
        other = runs.config("pretraining", tmp_path / "other", run__steps=1, model={**SHAPE, "num_hidden_layers": 1})
        train(other)
        shutil.rmtree(folder / "checkpoints")
        shutil.copytree(tmp_path / "other" / "checkpoints", folder / "checkpoints")
        with pytest.raises(CheckpointError, match="is of another model: 16 weights differ in name or shape") as caught:
            train(runs.config("pretraining", folder, run__steps=5, resume=True))
        assert "anyecg.layers.1.attention.k_proj.bias None (here (32,))" in str(caught.value)

    def test_a_run_that_never_found_its_records_may_be_started_again_otherwise(self, runs, tmp_path):
        wrong = runs.config("pretraining", tmp_path / "run", run__steps=1)
        wrong.data.train = [SourceConfig(parquet=str(tmp_path / "typo.parquet"))]
        with pytest.raises(ValueError, match="there is no file"):
            train(wrong)
        train(runs.config("pretraining", tmp_path / "run", run__steps=1))
        assert checkpoint_names(tmp_path / "run") == ["step-00000001"]
