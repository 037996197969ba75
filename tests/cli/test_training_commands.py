# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The commands that train, on a corpus that the tests write: what they understand, what they leave, how they fail."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.training.small_runs import CODES, QUANTIZER, SHAPE
from tests.training.written_superclasses import write_superclasses
from transformers import AutoFeatureExtractor, AutoModelForMaskedLM, AutoModelForSequenceClassification

from anyecg_hf.cli.configured import with_shortcuts
from anyecg_hf.cli.finetune import lora_options
from anyecg_hf.training.adapters import AdaptationConfig, LoraSettings
from anyecg_hf.training.configs import FinetuningConfig, PretrainingConfig, QuantizerTrainingConfig
from anyecg_hf.training.loop import NonFiniteLossError

ROOT = Path(__file__).parents[2]
SUPERCLASSES = ["NORM", "MI", "STTC", "CD", "HYP"]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a small PTB-XL: ten records of each of the folds 1, 9 and 10."""
    root = tmp_path_factory.mktemp("records")
    write_superclasses(root)
    return root


@pytest.fixture
def recipe(records: Path, own_folder: Path):
    """Writes a recipe of a stage and returns its path; run folders and cache are the test's own."""

    def write(stage: str, **changes: Any) -> Path:
        source = {"corpus": "ptb-xl", "data_dir": "ptb-xl"}
        content: dict[str, Any] = {
            "output_dir": stage,
            "data": {
                "train": [{**source, "split": "train"}],
                "held_out": [{**source, "split": "test"}],
                "window_s": 2.0,
                "batch_size": 5,
                "cache_dir": "cache",
                "root": str(records),
            },
            "run": {"steps": 4, "precision": "float32", "device": "cpu", "log_every": 2, "trackers": []},
            "optimiser": {"warmup_steps": 1},
        }
        if stage == "quantizer":
            content["model"] = {**QUANTIZER, "codebook_warmup_updates": 2}
        elif stage == "pretraining":
            content |= {"model": dict(SHAPE), "tokenizer": "quantizer/final"}
        else:
            content |= {"checkpoint": "pretraining/final", "task": {"name": "superclass"}}
            content["data"]["validation"] = [{**source, "split": "validation"}]
        for name, value in changes.items():
            content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
        path = own_folder / f"{stage}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def lines(folder: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


class TestOptions:
    def test_a_shortcut_stands_for_its_options_where_it_is(self):
        shortcuts = {"--twice": lambda text: [f"--a={text}", f"--b={text}"]}
        assert with_shortcuts(shortcuts, ["--x", "1", "--twice", "2", "--y"]) == ["--x", "1", "--a=2", "--b=2", "--y"]
        assert with_shortcuts(shortcuts, ["--twice=q=3"]) == ["--a=q=3", "--b=q=3"]

    def test_adapters_in_short_change_what_they_name_only(self):
        assert lora_options("r=16,targets=q_proj+k_proj") == [
            "--adaptation.mode=lora",
            "--adaptation.lora.r=16",
            '--adaptation.lora.targets=["q_proj", "k_proj"]',
        ]

    def test_adapters_in_short_are_those_of_the_configuration(self, anyecg, recipe, monkeypatch):
        asked = []
        monkeypatch.setattr("anyecg_hf.training.finetune.finetune", asked.append)
        path = recipe("finetuning", adaptation={"mode": "head", "lora": {"dropout": 0.1, "r": 4}})
        outcome = anyecg("finetune", "--config", path, "--lora", "r=16,alpha=32,targets=q_proj+k_proj", "--resume")
        assert (outcome.status, outcome.out) == (0, f"trained model written to {Path('finetuning/final')}\n")
        settings = LoraSettings(r=16, alpha=32.0, dropout=0.1, targets=["q_proj", "k_proj"])
        assert asked[0].adaptation == AdaptationConfig(mode="lora", lora=settings)
        assert asked[0].resume and not replace(asked[0], resume=False).resume

    @pytest.mark.parametrize(
        ("command", "config_class"),
        [
            ("train-quantizer", QuantizerTrainingConfig),
            ("pretrain", PretrainingConfig),
            ("finetune", FinetuningConfig),
        ],
    )
    def test_the_help_names_the_fields_and_an_example(self, anyecg, command, config_class):
        outcome = anyecg(command, "--help")
        assert outcome.status == 0
        assert f"usage: anyecg {command} --config FILE [--section.field VALUE ...]" in outcome.out
        assert f"\n  anyecg {command} --config examples/recipes/tiny/" in outcome.out
        assert "in 10^12 FLOP/s" in outcome.out and "--data.held_out" in outcome.out
        assert " ".join(config_class.__doc__.split("Args:")[0].split()).rstrip(".") in outcome.out

    def test_recipes_of_the_examples_exist(self, anyecg):
        for command in ("train-quantizer", "pretrain", "finetune"):
            words = anyecg(command, "--help").out.split()
            named = [word for word in words if word.startswith("examples/")]
            assert named and all((ROOT / name).exists() for name in named)

    def test_what_all_options_come_to_can_be_shown_without_running(self, anyecg, recipe):
        outcome = anyecg("pretrain", "--config", recipe("pretraining"), "--run.steps", "7", "--print_config")
        shown = yaml.safe_load(outcome.out)
        assert (outcome.status, shown["run"]["steps"], shown["data"]["lead_dropout"]) == (0, 7, 0.2)
        assert not Path("pretraining").exists()


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (("--run.step", "3"), "unrecognized arguments: --run.step 3"),
            (("--run.steps", "many"), "many"),
            (("--lora",), "--lora needs a value."),
            (("--lora", "rank=3"), "unknown LoRA field 'rank' in 'rank=3': choose from ["),
            (("--lora", "r=0"), "the rank `r` of LoRA must be at least 1, got 0."),
            (("--config", "absent.yaml"), "File does not exist: "),
        ],
    )
    def test_wrong_usage_is_told_in_one_line_and_where_to_look(self, anyecg, recipe, arguments, text):
        outcome = anyecg("finetune", "--config", recipe("finetuning"), *arguments)
        assert outcome.status == 2
        assert outcome.errors[0].startswith("anyecg finetune: ") and text in outcome.errors[0]
        assert outcome.errors[1:] == ["`anyecg finetune --help` lists the options."]

    def test_a_command_without_options_names_what_it_needs(self, anyecg):
        outcome = anyecg("pretrain")
        assert outcome.status == 2
        assert "required: output_dir, data.train, run.steps, tokenizer" in outcome.errors[0]

    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({"data": {"root": "/nowhere"}}, "anyecg train-quantizer: "),
            (
                {"data": {"train": [{"corpus": "ptb-xl", "data_dir": "ptb-xl", "folds": [4]}]}},
                "no records of its split",
            ),
            ({"data": {"train": [{"corpus": "ptbxl"}]}}, "`name` must be one of the corpora"),
            ({"data": {"held_out": [{"corpus": "ptb-xl", "data_dir": "ptb-xl"}]}}, "share the same "),
            ({"data": {"window_s": 2.1}}, "`window_s` must be a multiple of the patch"),
            ({"model": {"codebok_size": 9}}, "`model` has unknown fields: codebok_size"),
            ({"run": {"trackers": ["tensorbord"]}}, "`run.trackers` must be of"),
        ],
    )
    def test_what_cannot_be_trained_is_one_line(self, anyecg, recipe, changes, text):
        outcome = anyecg("train-quantizer", "--config", recipe("quantizer", **changes))
        assert outcome.status == 1
        told = [line for line in outcome.errors if line.startswith("anyecg train-quantizer: ")]
        assert len(told) == 1 and told[0] == outcome.errors[-1] and text in told[0]

    def test_a_checkpoint_that_is_not_there_is_named(self, anyecg, recipe):
        outcome = anyecg("pretrain", "--config", recipe("pretraining"))
        assert outcome.status == 1
        assert outcome.errors[-1].startswith("anyecg pretrain: ") and "quantizer/final" in outcome.errors[-1]

    def test_a_collapsed_codebook_ends_the_run_with_its_explanation(self, anyecg, recipe):
        path = recipe(
            "quantizer",
            model={"codebook_size": 64, "min_codebook_usage": 1.0, "codebook_revival_threshold": 0.0},
            run={"steps": 12},
        )
        outcome = anyecg("train-quantizer", "--config", path)
        assert outcome.status == 1
        assert "anyecg train-quantizer: the codebook has collapsed: only " in outcome.errors[-1]

    def test_a_loss_that_is_no_number_ends_the_run_in_one_line(self, anyecg, recipe, monkeypatch):
        def explode(config):
            raise NonFiniteLossError("step 3: the gradient's norm is nan")

        monkeypatch.setattr("anyecg_hf.training.train_quantizer.train_quantizer", explode)
        outcome = anyecg("train-quantizer", "--config", recipe("quantizer"))
        assert (outcome.status, outcome.out) == (1, "")
        assert outcome.errors == ["anyecg train-quantizer: step 3: the gradient's norm is nan"]

    def test_an_interrupted_training_says_how_to_go_on(self, anyecg, recipe, monkeypatch):
        def interrupt(config):
            raise KeyboardInterrupt

        monkeypatch.setattr("anyecg_hf.training.train_quantizer.train_quantizer", interrupt)
        outcome = anyecg("train-quantizer", "--config", recipe("quantizer"))
        assert outcome.status == 130
        assert outcome.err.strip() == "interrupted: `--resume` goes on from the last checkpoint in quantizer."


class TestRuns:
    def test_a_run_is_refused_twice_and_goes_on_when_asked(self, anyecg, recipe):
        path = recipe("quantizer")
        first = anyecg("train-quantizer", "--config", path)
        assert (first.status, first.out) == (0, f"trained model written to {Path('quantizer/final')}\n")
        assert first.errors and all(re.match(r"\d\d:\d\d:\d\d ", line) for line in first.errors)  # no bars here
        assert re.search(r"step (\d+) of \1, loss", first.errors[-1])

        again = anyecg("train-quantizer", "--config", path)
        assert again.status == 1 and "quantizer holds a run already" in again.errors[-1]
        resumed = anyecg("train-quantizer", "--config", path, "--resume")
        assert resumed.status == 0

    def test_the_configuration_that_a_run_left_resumes_it(self, anyecg, recipe):
        assert anyecg("train-quantizer", "--config", recipe("quantizer")).status == 0
        Path("quantizer/metrics.jsonl").write_text("")
        assert anyecg("train-quantizer", "--config", "quantizer/config.yaml", "--resume").status == 0
        assert Path("quantizer/final/preprocessor_config.json").exists()

    def test_the_three_stages_follow_each_other_as_modules(self, recipe, own_folder):
        for module, stage in (
            ("train_quantizer", "quantizer"),
            ("pretrain", "pretraining"),
            ("finetune", "finetuning"),
        ):
            run_module(module, own_folder, "--config", recipe(stage), "--run.seed", "5")
            assert [line["step"] for line in lines(stage) if "loss" in line][-1] == 4

        for folder, model_class in (
            ("pretraining", AutoModelForMaskedLM),
            ("finetuning", AutoModelForSequenceClassification),
        ):
            tokenizer = AutoFeatureExtractor.from_pretrained(f"{folder}/final")
            model = model_class.from_pretrained(f"{folder}/final").eval()
            batch = tokenizer(
                torch.randn(2, 900).numpy(), sampling_rate=300, lead_names=["I", "V1"], return_tensors="pt"
            )
            codes = tokenizer.encode(batch)
            logits = model(**batch).logits
            assert int(codes.max()) < CODES["codebook_size"] and logits.isfinite().all()
        assert logits.shape == (1, 5) and list(model.config.id2label.values()) == SUPERCLASSES
        assert set(model.config.label_thresholds) == set(SUPERCLASSES)
        assert any("validation_macro_auroc" in line for line in lines("finetuning"))


def run_module(name: str, folder: Path, *arguments: object) -> None:
    """Runs `python -m anyecg_hf.training.NAME`, as `accelerate launch -m` does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"anyecg_hf.training.{name}", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
