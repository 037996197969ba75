# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import argparse
import json
from collections.abc import Callable

import pytest
from tests.evaluation.small_evaluations import small_evaluation, write_split, written_row
from tests.fresh_process import in_fresh_process

from anyecg_hf.cli import evaluate
from anyecg_hf.cli.configured import add_configured_parser
from anyecg_hf.evaluation.evaluation_configs import RobustnessConfig
from anyecg_hf.training.config_files import save_config
from anyecg_hf.training.configs import RunConfig
from anyecg_hf.training.leaks import LeakError


def parser_with(*add: Callable) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anyecg")
    parser.add_argument("--version", action="version", version="anyecg_hf 0")
    commands = parser.add_subparsers(dest="command", required=True)
    for each in add:
        each(commands)
    return parser


@pytest.fixture
def run(capsys):
    """Runs `anyecg` with only this command: status, stdout, stderr."""

    def run(*arguments):
        options = parser_with(evaluate.add_parser).parse_args([str(argument) for argument in arguments])
        try:
            status = options.run(options)
        except SystemExit as stopped:
            status = stopped.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def config(tmp_path):
    """A configuration of two quick rows, as a file."""
    settings = small_evaluation(tmp_path, rows=["majority", "finetuned"], robustness=RobustnessConfig(rows=[]))
    save_config(settings, tmp_path / "small.yaml")
    return tmp_path / "small.yaml"


class TestEvaluate:
    def test_writes_results_and_shows_the_main_figure(self, run, config, tmp_path):
        status, out, _ = run("evaluate", "--config", config, "--output_dir", tmp_path / "other")
        assert status == 0 and out.splitlines()[-1] == f"results.json, results.md and plots written to {tmp_path}/other"
        results = json.loads((tmp_path / "other" / "results.json").read_text())
        figure = results["rows"]["finetuned"]["figures"]["macro_auroc"]
        shown = f"macro_auroc {figure['estimate']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
        assert f"{'fine-tuned':<36}{shown}" in out.splitlines()
        assert f"{'majority class':<36}macro_auroc 0.500 [0.500, 0.500]" in out.splitlines()

    def test_an_option_goes_before_the_file(self, run, config, tmp_path):
        run("evaluate", "--config", config, "--bootstrap.resamples", 7)
        results = json.loads((tmp_path / "results" / "results.json").read_text())
        assert results["settings"]["bootstrap"]["resamples"] == 7

    def test_help_lists_every_field(self, run):
        status, out, _ = run("evaluate", "--help")
        assert status == 0 and out.startswith("usage: anyecg evaluate ")
        assert "  anyecg evaluate --config superclass.yaml\n" in out
        for name in ("--output_dir", "--task.name", "--data.window_s", "--robustness.snrs_db", "--bootstrap.resamples"):
            assert name in out

    def test_wrong_usage_names_what_is_wrong(self, run, config):
        status, _, err = run("evaluate", "--config", config, "--tsk.name", "anomaly")
        assert status == 2 and "unrecognized arguments: --tsk.name anomaly" in err
        assert err.endswith("`anyecg evaluate --help` lists the options.\n")
        assert run("evaluate")[0] == 2
        status, _, err = run("evaluate", "--config", "nothing.yaml")
        assert status == 2 and "nothing.yaml" in err

    def test_a_leak_is_an_error_of_the_records(self, run, config, tmp_path):
        write_split(tmp_path, "held_out", [written_row(number, patient_id="p3") for number in range(24, 36)])
        with pytest.raises(LeakError, match="same patient"):
            run("evaluate", "--config", config)


class TestConfiguredCommands:
    def test_pass_on_whatever_follows_their_name(self):
        found = []

        def add(commands):
            add_configured_parser(commands, "go", "goes", "Goes.", lambda: RunConfig, lambda c: found.append(c) or 0)

        parser = parser_with(add)
        options = parser.parse_args(["go", "--steps", "5", "--trackers", "[wandb, tensorboard]", "--compile=true"])
        assert options.run(options) == 0
        assert found == [RunConfig(steps=5, trackers=["wandb", "tensorboard"], compile=True)]

    def test_import_nothing_before_they_are_chosen(self):
        script = (
            "import argparse, sys\nfrom anyecg_hf.cli import evaluate\n"
            "commands = argparse.ArgumentParser().add_subparsers()\nevaluate.add_parser(commands)\n"
            "print(*{'datasets', 'jsonargparse', 'sklearn', 'matplotlib'} & set(sys.modules))"
        )
        assert in_fresh_process(script).strip() == ""
