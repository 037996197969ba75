# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import pytest
import torch
from tests.training.small_runs import SmallRuns, train

from anyecg_hf.training.config_files import load_config
from anyecg_hf.training.configs import PretrainingConfig
from anyecg_hf.training.run_folder import RunFolder, library_versions

FACTS = {"rows": {"1: ludb": 5}, "records": {"1: ludb": 4}, "dropped": {}, "fingerprint": "abc"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return SmallRuns(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def config(runs, tmp_path):
    return runs.config("pretraining", tmp_path / "run")


@pytest.fixture
def folder(config):
    folder = RunFolder(config)
    folder.open()
    folder.write_data_facts(FACTS)
    return folder


class TestOpen:
    def test_the_configuration_is_read_back_as_it_was(self, folder, config):
        assert load_config(PretrainingConfig, folder.path / "config.yaml") == config

    def test_versions_are_noted(self, folder):
        assert json.loads((folder.path / "versions.json").read_text()) == library_versions()
        assert library_versions()["torch"] == torch.__version__
        assert {"python", "anyecg_hf", "transformers", "accelerate", "datasets", "numpy"} <= library_versions().keys()

    def test_a_configuration_cut_off_before_the_records_were_found_is_written_anew(self, config):
        folder = RunFolder(config)
        folder.path.mkdir()
        (folder.path / "config.yaml").write_text("output_dir: /some")
        folder.open()
        assert load_config(PretrainingConfig, folder.path / "config.yaml") == config

    def test_records_must_be_those_of_the_first_part(self, folder):
        folder.write_data_facts(FACTS)
        with pytest.raises(ValueError, match="fingerprint was 'abc' and is 'abd' now. Restore them, or name another"):
            folder.write_data_facts({**FACTS, "fingerprint": "abd"})
        assert json.loads((folder.path / "data.json").read_text()) == FACTS


class TestMetrics:
    def test_lines_after_a_step_and_one_that_was_cut_off_go(self, folder):
        for step in (5, 10, 15):
            folder.log({"step": step, "loss": 0.5})
        with folder.metrics.open("a") as file:
            file.write('{"step": 20, "lo')
        folder.cut_metrics(10)
        assert [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()] == [5, 10]

    def test_numbers_that_json_does_not_have_become_text(self, folder):
        folder.log({"step": 1, "loss": float("nan"), "gradient_norm": float("inf")})
        assert json.loads(folder.metrics.read_text()) == {"step": 1, "loss": "nan", "gradient_norm": "inf"}

    def test_a_folder_without_figures_has_nothing_to_cut(self, folder):
        folder.cut_metrics(3)
        assert not folder.metrics.exists()


def test_a_run_leaves_a_picture_and_the_use_of_every_code(runs, tmp_path):
    config = runs.config("quantizer", tmp_path / "run")
    config.run.plots = True
    train(config)
    folder = tmp_path / "run"
    assert (folder / "metrics.png").stat().st_size > 10_000
    counts = json.loads((folder / "code_counts.json").read_text())
    assert [len(codebook) for codebook in counts] == [8] and sum(counts[0]) > 0
