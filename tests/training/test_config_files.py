# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from anyecg_hf.training.adapters import AdaptationConfig, LoraSettings
from anyecg_hf.training.config_files import config_parser, different_fields, load_config, parse_config, save_config
from anyecg_hf.training.configs import (
    DataConfig,
    FinetuningConfig,
    MaskingConfig,
    OptimiserConfig,
    PretrainingConfig,
    QuantizerTrainingConfig,
    RunConfig,
    SourceConfig,
    TaskConfig,
)

DATA = {"train": [{"corpus": "ptb-xl", "folds": [1, 2], "options": {"sampling_rate": 100}}, {"parquet": "x/*.parquet"}]}
QUANTIZER = {"output_dir": "run", "data": DATA, "run": {"steps": 3}, "optimiser": {"warmup_steps": 0}}
FINETUNING = {**QUANTIZER, "checkpoint": "pretrained", "task": {"name": "superclass"}}

FULL = FinetuningConfig(
    output_dir="run: 1",
    data=DataConfig(
        train=[SourceConfig(corpus="ptb-xl", folds=[1], options={"sampling_rate": 100}), SourceConfig(parquet="a/*")],
        validation=[SourceConfig(corpus="georgia", weight=2.5)],
        lead_dropout=0.25,
    ),
    run=RunConfig(steps=7, trackers=[], precision="float32"),
    optimiser=OptimiserConfig(epsilon=1e-9, warmup_steps=2),
    model={"classifier_dropout": 0.1, "id2label": {0: "a"}},
    checkpoint="null",
    task=TaskConfig(name="labels", classes=["164889003", "AFIB"]),
    adaptation=AdaptationConfig(mode="lora", lora=LoraSettings(r=16, targets=["q_proj"])),
    masking=[MaskingConfig(strategy="whole_lead", ratio=0.4, complement=True), MaskingConfig()],
)


@pytest.fixture
def written(tmp_path: Path):
    """Writes YAML and returns its options for a command line."""

    def write(content: dict[str, Any]) -> list[str]:
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(content))
        return ["--config", str(tmp_path / "run.yaml")]

    return write


def test_a_file_becomes_dataclasses_all_the_way_down(written):
    config = parse_config(QuantizerTrainingConfig, written(QUANTIZER))
    assert config == QuantizerTrainingConfig(
        output_dir="run",
        data=DataConfig(
            train=[
                SourceConfig(corpus="ptb-xl", folds=[1, 2], options={"sampling_rate": 100}),
                SourceConfig(parquet="x/*.parquet"),
            ]
        ),
        run=RunConfig(steps=3),
        optimiser=OptimiserConfig(warmup_steps=0),
    )


def test_what_was_saved_is_read_again(tmp_path):
    save_config(FULL, tmp_path / "full.yaml")
    assert load_config(FinetuningConfig, tmp_path / "full.yaml") == FULL
    assert parse_config(FinetuningConfig, ["--config", str(tmp_path / "full.yaml")]) == FULL


def test_a_command_line_alone_says_the_same_as_a_file(written):
    line = [
        *("--output_dir", "run", "--run.steps", "3", "--optimiser.warmup_steps", "0"),
        "--data.train=[{corpus: ptb-xl, folds: [1, 2], options: {sampling_rate: 100}}, {parquet: 'x/*.parquet'}]",
    ]
    from_line, from_file = (parse_config(QuantizerTrainingConfig, text) for text in (line, written(QUANTIZER)))
    assert from_line == from_file


def test_options_after_a_file_replace_its_values(written):
    line = [*written(QUANTIZER), "--run.steps", "9", "--data.lead_dropout=0", "--optimiser.schedule", "wsd"]
    config = parse_config(QuantizerTrainingConfig, line)
    assert (config.run.steps, config.data.lead_dropout, config.optimiser.schedule) == (9, 0.0, "wsd")
    assert config.data.train[0].folds == [1, 2]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["--resume"], (True, False)),
        (["--resume", "--run.compile"], (True, True)),
        (["--resume", "false", "--run.compile=true"], (False, True)),
        (["--run.compile", "--run.steps", "3"], (False, True)),
    ],
)
def test_an_option_that_is_true_needs_no_value(written, line, expected):
    config = parse_config(QuantizerTrainingConfig, [*written(QUANTIZER), *line])
    assert (config.resume, config.run.compile) == expected


def test_sources_are_added_to_those_of_a_file(written):
    config = parse_config(
        QuantizerTrainingConfig,
        [*written(QUANTIZER), "--data.train+={corpus: georgia}", "--data.held_out+={corpus: sph, folds: [9]}"],
    )
    assert [source.corpus for source in config.data.train] == ["ptb-xl", None, "georgia"]
    assert config.data.held_out == [SourceConfig(corpus="sph", folds=[9])]


def test_a_field_of_the_model_is_added_to_those_of_a_file(written):
    line = [*written({**QUANTIZER, "model": {"hidden_size": 64}}), "--model.codebook_size", "512"]
    assert parse_config(QuantizerTrainingConfig, line).model == {"hidden_size": 64, "codebook_size": 512}


def test_overrides_replace_values_of_a_file(tmp_path):
    save_config(FULL, tmp_path / "full.yaml")
    config = load_config(
        FinetuningConfig,
        tmp_path / "full.yaml",
        output_dir="other: run",
        run__steps=9,
        run__patience=None,
        run__trackers=["tensorboard"],
        data__root=tmp_path,
        data__held_out=[{"corpus": "sph"}],
        optimiser__epsilon=1e-10,
        resume=True,
    )
    assert (config.output_dir, config.run.steps, config.run.patience) == ("other: run", 9, None)
    assert (config.run.trackers, config.optimiser.epsilon, config.resume) == (["tensorboard"], 1e-10, True)
    assert (config.data.root, config.data.held_out) == (str(tmp_path), [SourceConfig(corpus="sph")])
    assert config.data.train == FULL.data.train


def merged(changes: dict[str, Any]) -> dict[str, Any]:
    content = {**FINETUNING}
    for name, value in changes.items():
        content[name] = {**content[name], **value} if isinstance(content.get(name), dict) else value
    return content


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outptu": 1}, "'outptu' is not accepted"),
        ({"data": {"windows": 3}}, "'data' does not accept option 'windows'"),
        ({"data": {"train": [{"corpus": "x", "fold": [1]}]}}, "'fold' is not accepted"),
        ({"run": {"step": 3}}, "'run' does not accept option 'step'"),
        ({"optimiser": {"lr": 1e-3}}, "'optimiser' does not accept option 'lr'"),
        ({"task": {"names": []}}, "'task' does not accept option 'names'"),
        ({"adaptation": {"lora": {"rank": 8}}}, "'adaptation' does not accept option 'lora.rank'"),
        ({"masking": [{"share": 0.5}]}, "'share' is not accepted"),
    ],
)
def test_unknown_keys_are_refused_at_every_level(written, changes, message):
    with pytest.raises(ValueError, match=f"^FinetuningConfig: .*(?s:.*){re.escape(message)}"):
        parse_config(FinetuningConfig, written(merged(changes)))


@pytest.mark.parametrize("option", ["--run.step", "--adaptation.lora.rank", "--tokenizer"])
def test_unknown_options_are_refused(written, option):
    with pytest.raises(ValueError, match=f"unrecognized arguments: {option}"):
        parse_config(FinetuningConfig, [*written(FINETUNING), option, "3"])


@pytest.mark.parametrize(
    ("absent", "name"),
    [("output_dir", "output_dir"), ("data", "data.train"), ("run", "run.steps"), ("checkpoint", "checkpoint")],
)
def test_missing_keys_are_named(written, absent, name):
    content = {key: value for key, value in FINETUNING.items() if key != absent}
    with pytest.raises(ValueError, match=f"required: {name}$"):
        parse_config(FinetuningConfig, written(content))


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"run": {"steps": "many"}}, "run.steps", "many"),
        ({"run": {"steps": 1.5}}, "run.steps", "1.5"),
        ({"run": {"precision": "fp8"}}, "run.precision", "fp8"),
        ({"data": {"train": {"corpus": "x"}}}, "data.train", "Expected a <class 'list'>"),
        ({"data": {"train": [{"corpus": "x", "folds": 1}]}}, "folds", "Given value: 1"),
        ({"data": {"streaming": "perhaps"}}, "data.streaming", "perhaps"),
        ({"masking": [{"strategy": "all"}]}, "strategy", "all"),
        ({"resume": 3}, "resume", "3"),
    ],
)
def test_values_of_another_type_are_refused_with_the_key(written, changes, key, message):
    with pytest.raises(ValueError) as caught:
        parse_config(FinetuningConfig, written(merged(changes)))
    assert f'"{key}"' in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"lead_dropout": 1.5}}, "`lead_dropout` must be from 0 to 1, got 1.5"),
        ({"data": {"batch_size": 0}}, "`batch_size` must be at least 1, got 0"),
        ({"run": {"steps": 0}}, "`steps` must be at least 1, got 0"),
        ({"run": {"gradient_accumulation": 0}}, "`gradient_accumulation` must be at least 1"),
        ({"optimiser": {"learning_rate": -1.0}}, "`learning_rate` must be at least 0, got -1"),
        ({"optimiser": {"layer_decay": 1.2}}, "`layer_decay` must be from 0 to 1, got 1.2"),
        ({"adaptation": {"lora": {"r": 0}}}, "rank `r` of LoRA must be at least 1"),
        ({"code_weight": -0.1}, "`code_weight` must be at least 0, got -0.1"),
        ({"task": {"drop_rare": -1}}, "`drop_rare` must be at least 0, got -1"),
    ],
)
def test_impossible_numbers_are_refused(written, changes, message):
    with pytest.raises(ValueError, match=message):
        parse_config(FinetuningConfig, written(merged(changes)))


@pytest.mark.parametrize("warmup_steps", [3, 50])
def test_a_warm_up_that_never_ends_is_refused_with_both_numbers(written, warmup_steps):
    content = merged({"optimiser": {"warmup_steps": warmup_steps}})
    with pytest.raises(ValueError, match=rf"`optimiser\.warmup_steps` is {warmup_steps} and `run\.steps` 3: .* lower"):
        parse_config(FinetuningConfig, written(content))
    options = [*written(content), "--run.steps", str(warmup_steps + 1)]
    assert parse_config(FinetuningConfig, options).optimiser.warmup_steps == warmup_steps


@pytest.mark.parametrize("mode", ["full", "head", "attentive_probe"])
def test_settings_of_adapters_need_their_mode(written, mode):
    content = written(merged({"adaptation": {"mode": mode}}))
    with pytest.raises(ValueError, match=rf"`adaptation\.lora` is set, and `adaptation\.mode` is '{mode}': make that"):
        parse_config(FinetuningConfig, [*content, "--adaptation.lora.r", "16"])
    options = [*content, "--adaptation.lora.r", "16", "--adaptation.mode", "lora"]
    assert parse_config(FinetuningConfig, options).adaptation.lora.r == 16
    assert parse_config(FinetuningConfig, content).adaptation == AdaptationConfig(mode=mode)


def test_a_file_that_is_not_there_or_no_yaml_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"File does not exist: .*nothing\.yaml"):
        load_config(QuantizerTrainingConfig, tmp_path / "nothing.yaml")
    (tmp_path / "broken.yaml").write_text("data: [1")
    with pytest.raises(ValueError, match="Problems parsing config"):
        load_config(QuantizerTrainingConfig, tmp_path / "broken.yaml")


def described(config_class: type) -> dict[str, str]:
    """Field -> its description, from the docstrings of the class and those it is made from."""
    found = {}
    for item in reversed(config_class.__mro__[:-1]):
        arguments = (item.__doc__ or "").partition("Args:")[2]
        for name, text in re.findall(r"^ {8}(\w+) \([^\n]*?\): ((?:.|\n {12})*)", arguments, re.MULTILINE):
            found[name] = " ".join(text.split())
    return found


def help_of(config_class: type, *arguments: str, capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(SystemExit):
        config_parser(config_class).parse_args(arguments)
    return "".join(capsys.readouterr().out.split())  # lines break at hyphens, too


@pytest.mark.parametrize(
    ("config_class", "option", "parts"),
    [
        (QuantizerTrainingConfig, "--help", (QuantizerTrainingConfig, DataConfig, RunConfig, OptimiserConfig)),
        (QuantizerTrainingConfig, "--data.train.help", (SourceConfig,)),
        (PretrainingConfig, "--help", (PretrainingConfig,)),
        (PretrainingConfig, "--masking.help", (MaskingConfig,)),
        (FinetuningConfig, "--help", (FinetuningConfig, TaskConfig, AdaptationConfig, LoraSettings)),
    ],
)
def test_the_help_of_the_command_line_is_that_of_the_fields(config_class, option, parts, capsys):
    shown = help_of(config_class, option, capsys=capsys)
    for part in parts:
        texts = described(part)
        assert set(texts) == {item.name for item in dataclasses.fields(part)}
        for name, text in texts.items():
            if name in ("data", "run", "optimiser", "task", "adaptation", "lora"):  # groups have a help of their own
                continue
            assert "".join(text.split()).removesuffix(".") in shown, f"{part.__name__}.{name}"


def test_differences_are_named_with_both_values():
    before = {"run": {"steps": 3, "seed": 0}, "model": {"hidden_size": 64}, "resume": False}
    now = {"run": {"steps": 4, "seed": 0}, "model": {"codebook_size": 8}, "resume": False, "task": "rhythm"}
    assert different_fields(before, now) == {
        "run.steps": (3, 4),
        "model.hidden_size": (64, None),
        "model.codebook_size": (None, 8),
        "task": (None, "rhythm"),
    }
    assert different_fields(now, now) == {}
