# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import platform
import re
import warnings

import pytest
import torch
import transformers

from anyecg_hf import TINY
from anyecg_hf.cli import env, main
from anyecg_hf.records.reading import FORMATS
from anyecg_hf.version import __version__

MODEL = ("--model", "--device", "--window")
TRAINING = ("--config", "--output_dir", "--data.train", "--run.steps", "--optimiser.learning_rate", "--resume")
READING = ("--sampling-rate", "--leads", "--unit")
OPTIONS = {
    "run": ("RECORD", "--output", "--no-picture", "--start", "--json", *MODEL, *READING),
    "inspect": ("RECORD", "--annotations", "--json", *READING),
    "embed": ("RECORD", "--output", "--json", "--stride", "--one-pass", *MODEL, *READING),
    "tokenize": ("RECORD", "--output", "--json", *MODEL, *READING),
    "codebook": ("MODEL", "RECORD", "--corpus", "--output", "--most", "--device", "--window", "--json", *READING),
    "corpora": ("list", "audit"),
    "train-quantizer": TRAINING,
    "pretrain": (*TRAINING, "--tokenizer", "--masking"),
    "finetune": (*TRAINING, "--checkpoint", "--task.name", "--adaptation.mode", "--lora"),
    "evaluate": ("--config", "--output_dir", "--task.name", "--data.held_out", "--checkpoint", "--robustness.noise"),
    "push": (
        *("--tokenizer", "--card", "--licence", "--training-data", "--base-model", "--no-code", "--private"),
        *("--revision", "--message", "--dry-run", "--json"),
    ),
    "pull": ("--output", "--revision", "--json"),
    "export": ("--onnx", "--torch-export", "--output", "--model", "--part", "--int8", "--json"),
    "demo": ("--web", "--port", "--gallery", *MODEL),
    "env": ("--json",),
}


class TestHelp:
    @pytest.mark.parametrize("command", OPTIONS)
    def test_every_command_names_its_options(self, anyecg, command):
        outcome = anyecg(command, "--help")
        assert outcome.status == 0
        assert all(option in outcome.out for option in OPTIONS[command])
        if "RECORD" in OPTIONS[command]:
            assert f"anyecg {command} " in outcome.out  # an example to copy
        if "--model" in OPTIONS[command]:
            assert "default: the embedded anyecg-tiny" in " ".join(outcome.out.split())

    def test_the_kinds_of_records_are_all_that_can_be_read(self, anyecg):
        printed = " ".join(anyecg("run", "--help").out.split())
        assert f"in one of {', '.join(known.name for known in FORMATS)};" in printed

    def test_the_command_lists_its_sub_commands(self, anyecg):
        outcome = anyecg("--help")
        assert outcome.status == 0
        assert all(re.search(rf"\n    {command}\s", outcome.out) for command in OPTIONS)
        assert "Research software, not a medical device." in outcome.out
        modules = {module.__name__.split(".")[-1].replace("_", "-") for module in main.COMMANDS}
        assert modules == set(OPTIONS)

    def test_the_version_is_the_packages(self, anyecg):
        assert anyecg("--version").out == f"anyecg_hf {__version__}\n"

    @pytest.mark.parametrize("arguments", [(), ("dance",), ("run",), ("embed",), ("run", "rec", "--nonsense")])
    def test_wrong_usage_gives_status_2(self, anyecg, arguments):
        outcome = anyecg(*arguments)
        assert outcome.status == 2
        assert outcome.err.startswith("usage: anyecg")

    def test_the_embedded_checkpoint_is_the_default(self, anyecg, record, monkeypatch):
        asked = []

        class Analyzer:
            def __init__(self, checkpoint, **settings):
                asked.append((checkpoint, settings))
                raise ValueError("enough seen")

        monkeypatch.setattr("anyecg_hf.cli.run.RecordAnalyzer", Analyzer)
        assert anyecg("run", "rec").errors == ["anyecg run: enough seen"]
        assert asked == [(TINY, {"device": "cpu", "window_s": None})]


class TestEnv:
    def test_it_names_versions_and_devices(self, anyecg):
        outcome = anyecg("env")
        lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines() if not line.startswith("cpu threads"))
        assert outcome.status == 0
        assert (lines["python"], lines["torch"]) == (platform.python_version(), torch.__version__)
        assert lines["transformers"] == transformers.__version__
        assert (lines["cuda"] == "none") == (not torch.cuda.is_available())

    def test_json_holds_the_same(self, anyecg):
        facts = json.loads(anyecg("env", "--json").out)
        assert facts["torch"] == torch.__version__
        assert {"python", "platform", "cpu threads", "cuda", *env.LIBRARIES} == set(facts)

    def test_what_is_missing_is_said_to_be_missing(self, anyecg, monkeypatch):
        monkeypatch.setattr(env, "LIBRARIES", ("no-such-library",))
        assert json.loads(anyecg("env", "--json").out)["no-such-library"] == "not installed"


class TestWarnings:
    def test_the_same_warning_is_one_line(self, anyecg, monkeypatch):
        def warn_often(options):
            for text in ("odd lead", "odd lead", "odd unit"):
                warnings.warn(text, UserWarning, stacklevel=1)
            return 0

        monkeypatch.setattr(env, "run", warn_often)
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # what Python does outside of pytest
            outcome = anyecg("env")
        assert outcome.warnings == ["Warning: odd lead", "Warning: odd unit"]
        assert outcome.errors == []

    def test_an_interrupted_command_ends_quietly(self, anyecg, monkeypatch):
        def interrupt(options):
            raise KeyboardInterrupt

        monkeypatch.setattr(env, "run", interrupt)
        outcome = anyecg("env")
        assert (outcome.status, outcome.err) == (130, "")
