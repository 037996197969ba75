# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The recipes of tasks other than classification fit their stages."""

from pathlib import Path

import pytest

from anyecg_hf.evaluation.evaluation_configs import EvaluationConfig
from anyecg_hf.training.config_files import load_config
from anyecg_hf.training.configs import LONG_TASKS, RECONSTRUCTION_TASK, TOKEN_TASKS, FinetuningConfig
from anyecg_hf.training.sources import check_sources

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
FOLDER, EVALUATIONS = RECIPES / "tiny", RECIPES / "evaluation"
TASKS = {"lead_reconstruction": (RECONSTRUCTION_TASK,), "beats": TOKEN_TASKS, "long_rhythm": LONG_TASKS}


@pytest.mark.parametrize("name", TASKS)
def test_the_recipe_is_of_its_task_and_keeps_folds_apart(name):
    config = load_config(FinetuningConfig, FOLDER / f"{name}.yaml")
    check_sources(config.data)
    assert config.task.name in TASKS[name]
    # The head for leads joins the embedded checkpoint, so it is trained on its backbone.
    parent = "superclass" if name == "lead_reconstruction" else "pretraining"
    assert config.checkpoint == f"runs/anyecg-tiny/{parent}/final"
    assert config.output_dir == f"runs/anyecg-tiny/{name}"
    parts = {"train": range(1, 8), "validation": [8], "held_out": [9]}
    for part, folds in parts.items():
        for source in getattr(config.data, part):
            assert source.folds == (list(folds) if source.corpus == "ptb-xl" else None)
    if name == "lead_reconstruction":
        assert config.adaptation.mode == "head"
    if name == "long_rhythm":
        assert config.adaptation.mode == "head" and config.task.segment_s % config.data.window_s == 0


@pytest.mark.parametrize("name", TASKS)
def test_the_evaluation_is_of_the_same_task_and_records(name):
    trained, config = (
        load_config(FinetuningConfig, FOLDER / f"{name}.yaml"),
        load_config(EvaluationConfig, EVALUATIONS / f"{name}.yaml"),
    )
    check_sources(config.data)
    assert (config.task.name, config.task.segment_s) == (trained.task.name, trained.task.segment_s)
    assert config.output_dir == f"runs/anyecg-tiny/evaluation/{name}"
    assert config.data.window_s == trained.data.window_s
    if name == "lead_reconstruction":
        # Least squares is fitted on the kind of records that are tested on.
        assert config.checkpoint == f"{trained.output_dir}/final"
        assert config.data.held_out == trained.data.held_out and config.data.deduplicate
        assert config.data.train == [source for source in trained.data.train if source.corpus == "ptb-xl"]
    else:
        # Cross-validation over patients trains anew in every part.
        assert config.pretrained == trained.checkpoint and config.checkpoint is None
        assert config.data.train == trained.data.train and not config.data.held_out
