# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from anyecg_hf.training import trackers
from anyecg_hf.training.configs import DataConfig, OptimiserConfig, QuantizerTrainingConfig, RunConfig, SourceConfig
from anyecg_hf.training.trackers import choose_trackers, tracked_settings


@pytest.mark.parametrize(("is_installed", "expected"), [(True, ["tensorboard"]), (False, [])])
def test_by_default_it_is_tensorboard_where_that_is_installed(monkeypatch, is_installed, expected):
    monkeypatch.setattr(trackers, "is_tensorboard_available", lambda: is_installed)
    assert choose_trackers(RunConfig(steps=1)) == expected


def test_an_empty_list_means_none():
    assert choose_trackers(RunConfig(steps=1, trackers=[])) == []


def test_a_name_that_accelerate_does_not_know_is_refused():
    with pytest.raises(ValueError, match=r"`run\.trackers` must be of .*tensorboard.*wandb, got weights"):
        choose_trackers(RunConfig(steps=1, trackers=["weights"]))


def test_a_tracker_that_is_not_installed_is_not_passed_over(monkeypatch):
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: ["tensorboard"])
    assert choose_trackers(RunConfig(steps=1, trackers=["tensorboard"])) == ["tensorboard"]
    with pytest.raises(ImportError, match="pip install wandb"):
        choose_trackers(RunConfig(steps=1, trackers=["tensorboard", "wandb"]))


def test_settings_are_one_level_of_plain_values():
    config = QuantizerTrainingConfig(
        output_dir="run",
        data=DataConfig(train=[SourceConfig(corpus="sph")]),
        run=RunConfig(steps=3),
        optimiser=OptimiserConfig(warmup_steps=1),
        model={"a": 1.5},
    )
    settings = tracked_settings(dataclasses.asdict(config))
    assert {type(value) for value in settings.values()} <= {bool, int, float, str}
    assert (settings["run.steps"], settings["model.a"], settings["run.compile"]) == (3, 1.5, False)
    assert "'corpus': 'sph'" in settings["data.train"] and settings["run.patience"] == "None"
