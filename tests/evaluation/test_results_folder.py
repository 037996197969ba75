# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import pytest

from anyecg_hf.evaluation.evaluation_configs import EvaluationConfig
from anyecg_hf.evaluation.results_folder import markdown_table, new_results_folder, write_results_json
from anyecg_hf.training.configs import DataConfig, TaskConfig


def config(folder, **settings) -> EvaluationConfig:
    data = DataConfig(train=[])
    return EvaluationConfig(
        output_dir=str(folder), checkpoint="none", task=TaskConfig(name="anomaly"), data=data, **settings
    )


def test_results_are_not_replaced_unless_that_is_asked_for(tmp_path):
    folder = new_results_folder(config(tmp_path / "a" / "b"))
    assert not folder.exists()
    write_results_json({"figure": 0.5}, folder)
    assert json.loads((folder / "results.json").read_text()) == {"figure": 0.5}
    with pytest.raises(ValueError, match="b holds results: name another `output_dir`, or pass `--overwrite true`"):
        new_results_folder(config(folder))
    assert new_results_folder(config(folder, overwrite=True)) == folder


def test_what_json_cannot_say_is_no_result(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results_json({"figure": float("nan")}, tmp_path)


def test_a_bar_in_a_cell_does_not_end_it():
    assert markdown_table(["a", "b"], [["1|2", "3"]]) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"
