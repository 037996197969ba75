# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from anyecg_hf.evaluation.annotations import long_records, token_labels
from anyecg_hf.evaluation.classification import protocol as classification
from anyecg_hf.evaluation.evaluation_configs import EvaluationConfig
from anyecg_hf.evaluation.leads import reconstruction
from anyecg_hf.evaluation.protocols import evaluate_task
from anyecg_hf.training.configs import DataConfig, TaskConfig


def config(name: str) -> EvaluationConfig:
    return EvaluationConfig(
        output_dir="nowhere", checkpoint="none", task=TaskConfig(name=name), data=DataConfig(train=[])
    )


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [
        ("superclass", classification, "evaluate"),
        ("beats", token_labels, "evaluate_token_labels"),
        ("rhythm-spans", token_labels, "evaluate_token_labels"),
        ("long-rhythm", long_records, "evaluate_long_records"),
        ("lead-reconstruction", reconstruction, "evaluate_lead_reconstruction"),
    ],
)
def test_the_task_decides_the_protocol(monkeypatch, name, module, function):
    monkeypatch.setattr(module, function, lambda given: {"called": given.task.name})
    assert evaluate_task(config(name)) == {"called": name}


def test_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match="must be one of superclass, .*, lead-reconstruction, got 'sleep'"):
        evaluate_task(config("sleep"))
