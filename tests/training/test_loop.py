# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import multiprocessing
import threading
from collections import Counter
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file
from tests.training.fixed_batches import EPSILON, FixedFeed
from tests.training.small_runs import KINDS, SmallRuns, checkpoint_names, metrics, train, weights
from torch import nn

from anyecg_hf.models.anyecg.layers_anyecg import AnyECGMLP
from anyecg_hf.training import classification, loop
from anyecg_hf.training.checkpoints import CheckpointError
from anyecg_hf.training.configs import MaskingConfig


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return SmallRuns(tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def nothing_left():
    """No run leaves a thread or a process."""
    before = set(threading.enumerate())
    yield
    started = [thread for thread in set(threading.enumerate()) - before if thread.name != "tqdm_monitor"]
    for thread in started:
        thread.join(timeout=10)  # transformers does not wait for the threads that it loads weights with
    assert [thread.name for thread in started if thread.is_alive()] == []
    assert multiprocessing.active_children() == []


class TestRun:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_run_leaves_its_folder_and_returns_what_final_holds(self, runs, tmp_path, kind):
        model = train(runs.config(kind, tmp_path / "run", run__steps=7))
        assert not model.training
        folder = "quantizer/" if kind == "quantizer" else ""
        found = weights(tmp_path / "run")
        own = {f"{folder}model.safetensors:{name}": value for name, value in model.state_dict().items()}
        assert own.keys() <= found.keys()
        assert all(torch.equal(value, found[name]) for name, value in own.items())
        expected = {"config.yaml", "versions.json", "data.json", "metrics.jsonl", "training_records.parquet"}
        expected |= {"checkpoints", "final", "lock"}
        expected |= {"finetuning": {"best"}, "quantizer": {"code_counts.json"}}.get(kind, set())
        assert {path.name for path in (tmp_path / "run").iterdir()} == expected
        assert checkpoint_names(tmp_path / "run") == ["step-00000004", "step-00000007"]
        lines = [line for line in metrics(tmp_path / "run") if "loss" in line]
        assert [line["step"] for line in lines] == [3, 6, 7]
        assert all(line["loss"] > 0 and line["gradient_norm"] > 0 for line in lines)
        assert lines[0]["learning_rate"] == pytest.approx(3e-3)

    def test_another_precision_may_follow_in_the_same_program(self, runs, tmp_path):
        losses = []
        for number, precision in enumerate(("float32", "bf16", "float32")):
            config = runs.config("pretraining", tmp_path / str(number), run__steps=3, run__precision=precision)
            model = train(config)
            assert {value.dtype for value in model.parameters()} == {torch.float32}
            losses.append(metrics(tmp_path / str(number))[0]["loss"])
        assert losses[0] == losses[2]
        assert losses[1] == pytest.approx(losses[0], rel=0.02) and losses[1] != losses[0]

    @pytest.mark.parametrize("name", ["steps", "gradient_accumulation", "save_every", "keep", "log_every"])
    def test_counts_below_one_are_refused_before_anything_is_written(self, runs, tmp_path, name):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
            train(runs.config("pretraining", tmp_path / "run", **{f"run__{name}": 0}))
        assert not (tmp_path / "run").exists()

    def test_a_full_disk_stops_the_run_with_what_to_do_and_it_resumes(self, runs, tmp_path):
        config = runs.config("pretraining", tmp_path / "run", run__steps=6, run__save_every=2, resume=True)
        real, calls = loop.Checkpoints.save, []

        def full(self, step, *arguments):
            calls.append(step)
            if step == 4:
                with mock.patch("anyecg_hf.training.checkpoints.save_file", side_effect=OSError(28, "No space left")):
                    return real(self, step, *arguments)
            return real(self, step, *arguments)

        with mock.patch.object(loop.Checkpoints, "save", full), pytest.raises(CheckpointError, match="make room"):
            train(config)
        assert checkpoint_names(tmp_path / "run") == ["step-00000002"]
        train(config)
        assert checkpoint_names(tmp_path / "run") == ["step-00000004", "step-00000006"]


class TestChoice:
    """Validations whose figures are made up, one a step."""

    def run(self, runs, folder, figures, **changes):
        given = iter(figures)

        def validate(stage, model, batches):
            assert not model.training
            return {"macro_auroc": next(given)}

        config = runs.config(
            "finetuning", folder, run__steps=len(figures), run__validate_every=1, run__save_every=50, **changes
        )
        with mock.patch.object(classification.ClassificationStage, "validate", validate):
            train(config)
        state = json.loads((max((folder / "checkpoints").iterdir()) / "state.json").read_text())
        return state["progress"]

    def test_final_is_the_best_step(self, runs, tmp_path):
        progress = self.run(runs, tmp_path / "run", [0.6, 0.8, 0.7])
        assert (progress["step"], progress["best_step"], progress["best"], progress["stale"]) == (3, 2, 0.8, 1)
        self.run(runs, tmp_path / "short", [0.6, 0.8], optimiser__schedule="constant")
        self.run(runs, tmp_path / "long", [0.6, 0.8, 0.7], optimiser__schedule="constant")
        short, long = weights(tmp_path / "short"), weights(tmp_path / "long")
        assert all(torch.equal(value, long[name]) for name, value in short.items())
        for name, value in weights(tmp_path / "run", "best").items():
            assert torch.equal(value, weights(tmp_path / "run")[name])

    def test_training_ends_when_nothing_gets_better_and_saves_where_it_ended(self, runs, tmp_path):
        progress = self.run(runs, tmp_path / "run", [0.8, 0.7, 0.6, 0.9, 0.9], run__patience=2)
        assert (progress["step"], progress["best_step"], progress["stale"]) == (3, 1, 2)
        assert checkpoint_names(tmp_path / "run") == ["step-00000003"]

    def test_a_figure_that_is_not_a_number_is_never_the_best(self, runs, tmp_path):
        progress = self.run(runs, tmp_path / "run", [float("nan"), 0.2, float("nan")])
        assert (progress["best_step"], progress["best"]) == (2, 0.2)

    def test_without_a_selection_the_last_step_stays(self, runs, tmp_path):
        with mock.patch.object(classification.ClassificationStage, "selection", None):
            progress = self.run(runs, tmp_path / "run", [0.6, 0.8, 0.7])
        assert progress["best_step"] is None
        assert not (tmp_path / "run" / "best").exists()
        trained = load_file(tmp_path / "run" / "checkpoints" / "step-00000003" / "trained.safetensors")
        final = load_file(tmp_path / "run" / "final" / "model.safetensors")
        assert all(torch.equal(value, trained[name]) for name, value in final.items())

    def test_a_finished_run_that_is_resumed_keeps_its_thresholds(self, runs, tmp_path):
        config = runs.config("finetuning", tmp_path / "run", run__steps=2, run__validate_every=2, resume=True)
        expected = train(config).config.label_thresholds
        assert expected.keys() == {"426177001", "427084000"}
        assert train(config).config.label_thresholds == expected


class TestPrepared:
    @pytest.mark.parametrize("kind", KINDS)
    def test_activation_checkpointing_gives_the_same_weights(self, runs, tmp_path, kind):
        forward, calls = AnyECGMLP.forward, []

        def counted(mlp, hidden):
            if mlp.training:
                calls.append(mlp)
            return forward(mlp, hidden)

        with mock.patch.object(AnyECGMLP, "forward", counted):
            self.compare(runs, tmp_path, kind, run__activation_checkpointing=True)
        # Those of the second run are called in the backward pass, too.
        once, twice = sorted(set(Counter(map(id, calls)).values()))
        assert twice == 2 * once

    def test_compilation_gives_the_same_weights(self, runs, tmp_path):
        compiled = []

        def traced(model):
            compiled.append(model)
            model._compiled_call_impl = torch.compile(model._call_impl, backend="aot_eager")

        with mock.patch.object(nn.Module, "compile", traced), mock.patch.object(loop, "BatchFeed", FixedFeed):
            self.compare(runs, tmp_path, "pretraining", run__compile=True, data__batch_size=8, run__steps=2)
        assert len(compiled) == 1

    def compare(self, runs, folder, kind, **changes):
        found = {}
        for name, setting in {"plain": False, "other": True}.items():
            given = {field: value and setting if value is True else value for field, value in changes.items()}
            config = runs.config(kind, folder / name, **{"run__steps": 3, "optimiser__epsilon": EPSILON, **given})
            config.data.lead_dropout = 0.0
            config.model["hidden_dropout"] = 0.0
            if kind == "quantizer":
                config.model["codebook_warmup_updates"] = 1
            if kind == "pretraining":
                config.masking = [MaskingConfig()]
            train(config)
            found[name] = weights(folder / name)
        for name, value in found["plain"].items():
            torch.testing.assert_close(found["other"][name], value, rtol=1e-5, atol=1e-6, msg=name)
