# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import importlib.util
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState, is_initialized
from tests.models.tiny import tiny_quantizer_config
from tests.training.small_runs import SmallRuns, metrics, train

from anyecg_hf import AnyECGRhythmQuantizer
from anyecg_hf.training.configs import RunConfig
from anyecg_hf.training.preparation import make_accelerator, prepare_model, running_accelerator
from anyecg_hf.training.throughput import Throughput
from anyecg_hf.training.trackers import choose_trackers, tracked_settings


def run_config(**changes):
    return RunConfig(**{"steps": 1, "device": "cpu", "precision": "float32", **changes})


@pytest.fixture(autouse=True)
def no_state():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class TestAccelerator:
    def test_an_engine_that_the_loop_does_not_drive_is_refused(self, monkeypatch):
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
        with pytest.raises(
            ValueError, match="configured to use its own FSDP.*start with torchrun, and shard with `run.sha"
        ):
            make_accelerator(run_config())

    def test_compilation_by_accelerate_is_refused(self, monkeypatch):
        monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")
        with pytest.raises(ValueError, match="set `run.compile: true` instead"):
            make_accelerator(run_config())

    def test_the_environment_does_not_change_the_accumulation(self, monkeypatch):
        monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "7")
        assert make_accelerator(run_config(gradient_accumulation=3)).gradient_accumulation_steps == 3

    def test_state_is_given_back_also_after_an_error(self):
        with (
            pytest.raises(RuntimeError, match="mine"),
            running_accelerator(run_config(precision="bf16")) as accelerator,
        ):
            assert accelerator.mixed_precision == "bf16"
            raise RuntimeError("mine")
        assert not is_initialized() and PartialState._shared_state == {}

    def test_the_state_of_a_program_that_has_an_accelerator_stays(self):
        own = Accelerator(cpu=True)
        with running_accelerator(run_config()):
            pass
        assert own.state.mixed_precision == "no"
        assert own.num_processes == 1

    def test_shards_need_several_processes(self):
        accelerator = make_accelerator(run_config(sharding="fsdp2"))
        with pytest.raises(ValueError, match='"fsdp2"` needs several processes: start them with torchrun or acc'):
            prepare_model(torch.nn.Linear(2, 2), run_config(sharding="fsdp2"), accelerator)

    def test_a_codebook_trained_by_gradient_is_not_sharded(self):
        config = run_config(sharding="fsdp2")
        model = AnyECGRhythmQuantizer(tiny_quantizer_config(codebook_update="loss"))
        accelerator = SimpleNamespace(num_processes=2, device=torch.device("cpu"))
        with pytest.raises(ValueError, match='`codebook_update: "loss"` does not go with `run.sharding: "fsdp2"`'):
            prepare_model(model, config, accelerator)


class TestTrackers:
    @pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs tensorboard")
    def test_tensorboard_gets_every_figure(self, tmp_path_factory):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        root = tmp_path_factory.mktemp("runs")
        train(SmallRuns(root).config("pretraining", root / "run", run__steps=6, run__trackers=None))
        (file,) = (root / "run" / "anyecg").glob("events.out.tfevents.*")
        events = EventAccumulator(str(file))
        events.Reload()
        found = [(event.step, event.value) for event in events.Scalars("loss")]
        expected = [(line["step"], line["loss"]) for line in metrics(root / "run")]
        assert found == [(step, pytest.approx(loss, rel=1e-6)) for step, loss in expected]
        assert {"learning_rate", "gradient_norm", "tokens_per_s"} <= set(events.Tags()["scalars"])

    def test_an_unknown_tracker_is_an_error_that_lists_the_known(self):
        with pytest.raises(ValueError, match="tensorbord.*Choose between .*tensorboard"):
            make_accelerator(run_config(), ["tensorbord"], "/tmp")

    @pytest.mark.filterwarnings("ignore:.*no supported trackers are currently installed")
    @pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
    def test_a_tracker_that_is_not_installed_is_an_error(self):
        with pytest.raises(ImportError, match="trackers that are not installed: wandb. Install them, or leave"):
            make_accelerator(run_config(), ["wandb"])

    def test_no_trackers_on_request(self):
        assert choose_trackers(run_config(trackers=[])) == []

    def test_settings_are_told_on_one_level(self):
        found = tracked_settings({"run": {"steps": 3, "trackers": None}, "folds": [1, 2], "name": "x"})
        assert found == {"run.steps": 3, "run.trackers": "None", "folds": "[1, 2]", "name": "x"}


class TestThroughput:
    def test_rates_are_counts_by_the_time_since_the_last_call(self, monkeypatch):
        from anyecg_hf.training import throughput as module

        clock = iter([100.0, 102.0, 102.0, 110.0, 110.0])
        monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
        monkeypatch.setattr(module, "training_flops", lambda config, batch, leads, patches, **kind: 1e12 * batch)
        accelerator = make_accelerator(run_config())
        throughput = Throughput(torch.device("cpu"), RunConfig(steps=1, peak_tflops=10.0))
        mask = torch.ones(4, 3, 5, dtype=torch.long)
        mask[0, 0] = 0
        throughput.count(None, mask)
        assert throughput.measure(accelerator) == {
            "records_per_s": 2.0,
            "tokens_per_s": 27.5,
            "tflops": 2.0,
            "model_flop_utilisation": pytest.approx(0.2),
        }
        assert throughput.measure(accelerator)["records_per_s"] == 0.0

    def test_without_a_known_peak_there_is_no_utilisation(self):
        throughput = Throughput(torch.device("cpu"), RunConfig(steps=1))
        assert "model_flop_utilisation" not in throughput.measure(make_accelerator(run_config()))
