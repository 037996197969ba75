# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cards of what people train: a quantizer, a backbone, a fine-tuned model, an adapter, each from its run folder."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from examples.simulate_record import simulate_record
from huggingface_hub import ModelCard
from tests.hub.test_card_facts import write_facts
from tests.hub.test_card_results import classification
from tests.training.small_runs import SmallRuns, train

from anyecg_hf import TINY, AnyECGForSequenceClassification, AnyECGModel, AnyECGTokenizer
from anyecg_hf.evaluation.classification.table_rows import Models
from anyecg_hf.hub.card_matches import checkpoint_digests
from anyecg_hf.hub.card_provenance import lineage_of, run_provenance, split_words, training_seconds
from anyecg_hf.hub.cards import render_folder_card, render_run_card
from anyecg_hf.hub.staging import Shared, stage
from anyecg_hf.training.adapters import load_adapted, parse_lora
from anyecg_hf.training.codes import weights_digest

ADAPTER = {"base_model": "org/base", "base_revision": "0123abc"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A quantizer, what was pretrained with it, and two models fine-tuned from that, one of them an adapter."""
    root = tmp_path_factory.mktemp("runs")
    small = SmallRuns(root)
    train(small.config("quantizer", root / "quantizer", run__steps=6))
    start = {"tokenizer": str(root / "quantizer" / "final"), "run__steps": 3}
    train(small.config("pretraining", root / "pretraining", **start))
    start = {"checkpoint": str(root / "pretraining" / "final"), "run__steps": 3}
    train(small.config("finetuning", root / "finetuning", **start))
    train(small.config("finetuning", root / "adapter", adaptation=parse_lora("r=4"), code_weight=0.0, **start))
    return root


@pytest.fixture(scope="module")
def cards(runs) -> dict[str, str]:
    facts = write_facts(runs, **ADAPTER)
    return {name: render_run_card(facts, runs / name) for name in ("quantizer", "pretraining", "finetuning", "adapter")}


@pytest.mark.parametrize("name", ["quantizer", "pretraining", "finetuning", "adapter"])
class TestEveryCard:
    def test_the_metadata_is_what_the_hub_reads(self, cards, name, tmp_path):
        path = tmp_path / "README.md"
        path.write_text(cards[name], encoding="utf-8")
        data = huggingface_hub.metadata_load(path)
        assert data == ModelCard.load(path).data.to_dict()
        assert data["license"] == "cc-by-4.0" and {"ecg", "anyecg"} <= set(data["tags"])
        assert "model-index" not in data
        assert data["library_name"] == ("peft" if name == "adapter" else "anyecg_hf")

    def test_it_says_what_every_card_says(self, cards, name):
        for words in (
            "**Research software, not a medical device.** It was trained on 24 records",
            "Not intended: diagnosis",
            "*anyECG-chat* (arXiv 2506.00942)",
            "## Training data\n\nOur own records.\n",
            "| written (no public corpus that anyecg_hf knows) | 24 | see above | see above |",
            "| quantizer | file `records.parquet` | - | - | - | `",
            "Not measured: the results of this checkpoint have no figures by sex, age or corpus.",
            "Energy and emissions: not measured.",
            "arXiv 2411.17711 (2024)",
        ):
            assert words in cards[name]

    def test_tables_are_whole_and_nothing_of_the_template_is_left(self, cards, name):
        assert not re.search(r"\{\{|\{%|\{#|\bNone\b(?!\.)|\bnan\b|\n\n\n", cards[name])
        for rows in (block.strip().splitlines() for block in cards[name].split("\n\n") if block.startswith("|")):
            assert len({row.count("|") for row in rows}) == 1 and len(rows) > 2

    def test_no_path_of_this_machine_is_in_it(self, cards, runs, name):
        assert str(runs) not in cards[name] and "/tmp" not in cards[name]

    def test_its_code_runs(self, cards, runs, name, tmp_path, monkeypatch):
        (code,) = re.findall(r"^```python\n(.*?)^```$", cards[name], flags=re.MULTILINE | re.DOTALL)
        simulate_record(tmp_path / "record", duration_s=3, sampling_rate=500, heart_rate=70, seed=1)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name: name)
        for said, place in (
            ("org/small", runs / name / "final"),
            ("org/base", runs / "pretraining" / "final"),
            ("path/to/a/record", tmp_path / "record"),
        ):
            code = code.replace(f'"{said}"', repr(str(place)))
        names: dict[str, Any] = {}
        exec(compile(code, "card", "exec"), names)
        assert names["codes"].min() >= -1 if name == "quantizer" else names["outputs"][0].isfinite().all()


def test_the_stages_on_the_way_are_told(cards):
    for name, number in (("quantizer", 1), ("pretraining", 2), ("finetuning", 3), ("adapter", 3)):
        part = cards[name].partition("## What the weights have seen")[2].partition("## Results")[0]
        assert part.count("file `records.parquet`") == number
    assert re.search(rf"\| quantizer \| [0-9.]+ s \| CPU, {os.cpu_count()} cores \|", cards["finetuning"])
    assert "| fine-tuning: labels | at most 3 | AdamW" in cards["finetuning"]
    assert "| fine-tuning: labels (lora) | at most 3 | AdamW" in cards["adapter"]
    assert "file `validation.parquet`" in cards["finetuning"] and "validation.parquet" not in cards["pretraining"]
    assert "| parameters of the head | 130 |" in cards["finetuning"]
    assert "codes, patches of 0.25 s (75 samples at 300 Hz)" in cards["quantizer"]
    assert "backbone parameters" not in cards["quantizer"]


def test_an_adapter_is_told_with_its_base(cards, runs):
    data = ModelCard(cards["adapter"]).data.to_dict()
    assert (data["base_model"], data["base_model_relation"]) == ("org/base", "adapter")
    base = weights_digest(AnyECGModel.from_pretrained(runs / "pretraining" / "final"))
    for line in (
        "| base model | `org/base` |",
        "| its revision | `0123abc` |",
        f"| weights of its backbone | SHA-256 `{base[:16]}...` as float32 |",
        "| method | LoRA (arXiv 2106.09685) |",
        "| rank, alpha, dropout | 4, 8, 0 |",
        "| adapted layers | `q_proj`, `v_proj` |",
        "| trained whole | `classifier` |",
        "| trained parameters | 1,154, of which 1,024 in low-rank matrices |",
        "| labels | 426177001, 427084000 |",
    ):
        assert line in cards["adapter"].splitlines()


def test_an_adapter_without_its_run_says_what_it_does_not_know(runs, tmp_path):
    shutil.copytree(runs / "adapter" / "final", tmp_path / "taken")
    card = render_folder_card(write_facts(tmp_path, base_model="org/base"), tmp_path / "taken")
    assert "## Training\n\nNot recorded.\n" in card and "| its revision | not recorded |" in card
    assert "Which records, beyond the statement above, is not recorded." in card
    assert "| all | not recorded | not recorded |" in card


def test_an_adapter_that_names_a_folder_needs_its_base(runs, tmp_path):
    with pytest.raises(ValueError, match=r"names a folder of this machine .* state `base_model` in the facts of"):
        render_run_card(write_facts(tmp_path), runs / "adapter")


def test_an_adapter_of_another_kind_is_refused(runs, tmp_path):
    shutil.copytree(runs / "adapter" / "final", tmp_path / "taken")
    path = tmp_path / "taken" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "peft_type": "IA3"}))
    with pytest.raises(ValueError, match="adapter_config.json is of a 'IA3' adapter, expected 'LORA'"):
        render_folder_card(write_facts(tmp_path, **ADAPTER), tmp_path / "taken")
    (path.parent / "adapter_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="taken is no adapter: it has no adapter_model.safetensors"):
        render_folder_card(write_facts(tmp_path, **ADAPTER), tmp_path / "taken")


def test_results_are_told_with_every_number_of_their_file(runs, tmp_path):
    path = write_results(tmp_path, runs / "finetuning" / "final")
    card = render_run_card(write_facts(tmp_path), runs / "finetuning", [path])
    assert [result.metric_value for result in ModelCard(card).data.eval_results] == [0.8765, 0.7003]
    assert ModelCard(card).data.model_name == "org/small"
    assert "### Diagnostic superclasses (`superclass`): PTB-XL, fold 9 (150 records)" in card
    assert "| sex | male | 82 | 71 | 0.812 [0.791, 0.834] | without MI |" in card


def write_results(folder: Path, checkpoint: Path) -> Path:
    path = folder / "results.json"
    is_adapter = (checkpoint / "adapter_config.json").is_file()
    load = load_adapted if is_adapter else AnyECGForSequenceClassification.from_pretrained
    evaluated = Models(AnyECGTokenizer(), [load(checkpoint)], None)
    path.write_text(json.dumps({**classification(), "models": evaluated.describe()}))
    return path


@pytest.mark.parametrize("name", ["finetuning", "adapter"])
def test_a_push_writes_the_same(runs, tmp_path, name):
    about = ADAPTER if name == "adapter" else {}
    facts, results = write_facts(tmp_path, **about), write_results(tmp_path, runs / name / "final")
    (tmp_path / "staged").mkdir()
    shared = Shared(runs / name / "final", card=facts, results=[results], remote_code=False)
    files = stage(shared, "org/small", tmp_path / "staged")
    assert files["README.md"].read_text() == render_run_card(facts, runs / name, [results])


def test_an_adapters_results_are_told(runs, tmp_path):
    path = write_results(tmp_path, runs / "adapter" / "final")
    card = render_run_card(write_facts(tmp_path, **ADAPTER), runs / "adapter", [path])
    assert ModelCard(card).data.eval_results[0].metric_value == 0.8765
    assert "| sex | male | 82 | 71 | 0.812 [0.791, 0.834] | without MI |" in card


def test_results_of_other_weights_are_refused(runs, tmp_path):
    path = write_results(tmp_path, runs / "finetuning" / "final")
    for name in ("pretraining", "quantizer", "adapter"):
        with pytest.raises(ValueError, match="results.json is of other weights than this card: SHA-256 [0-9a-f]{16}"):
            render_run_card(write_facts(tmp_path, **ADAPTER), runs / name, [path])
    path.write_text(json.dumps(classification()))
    with pytest.raises(ValueError, match="results.json does not say which weights it is of"):
        render_run_card(write_facts(tmp_path), runs / "finetuning", [path])


def test_the_hashes_are_those_of_the_evaluation():
    digests = checkpoint_digests(Path(TINY))
    assert weights_digest(AnyECGForSequenceClassification.from_pretrained(TINY)) in digests
    assert weights_digest(AnyECGModel.from_pretrained(TINY)) in digests and len(digests) == 2


def test_what_is_no_results_file_is_named(runs, tmp_path):
    path = tmp_path / "results.json"
    for text, message in (("{", "cannot be read"), ("[]", "cannot be read"), ('{"rows": {}}', "no results of")):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"results.json .*{message}"):
            render_run_card(write_facts(tmp_path), runs / "finetuning", [path])


def test_recorded_training_data_must_be_recorded(runs, tmp_path):
    facts = write_facts(tmp_path, training_data="recorded", **ADAPTER)
    with pytest.raises(ValueError, match="is `recorded`, but written is no corpus with a known licence: state it in w"):
        render_run_card(facts, runs / "finetuning")
    shutil.copytree(runs / "adapter" / "final", tmp_path / "taken")
    with pytest.raises(ValueError, match="but there is no run folder"):
        render_folder_card(facts, tmp_path / "taken")


def test_an_ancestor_that_does_not_say_what_it_saw_is_told(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs / "finetuning", run)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**settings, "checkpoint": "org/base"}))
    card = render_run_card(write_facts(tmp_path), run)
    assert "**Not known of org/base, from which it was trained.**" in card


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not the folder of a finished run: it has no config.yaml"):
        render_run_card(write_facts(tmp_path), tmp_path)


def test_places_are_no_part_of_the_provenance(runs):
    for name in ("quantizer", "finetuning"):
        settings = run_provenance(runs / name)["settings"]
        assert not {"output_dir", "resume", "checkpoint", "tokenizer"} & set(settings)
        assert not {"root", "cache_dir"} & set(settings["data"])
    assert [("task" in stage["settings"]) for stage in lineage_of(runs / "finetuning").stages] == [False, False, True]


def test_training_time_is_that_of_the_log(tmp_path):
    lines = [
        {"step": 5, "records_seen": 40, "records_per_s": 4.0},
        {"step": 5, "validation_loss": 0.5},
        {"step": 10, "records_seen": 100, "records_per_s": 6.0},
    ]
    log = tmp_path / "metrics.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 15, "records_se')
    assert training_seconds(log) == pytest.approx(20.0)
    assert training_seconds(tmp_path / "nothing.jsonl") is None


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([{"corpus": "ptb-xl", "folds": [3, 1, 2]}, {"corpus": "ptb-xl", "folds": [8, 2]}], "folds 1-3, 8"),
        ([{"corpus": "ptb-xl", "folds": [9]}], "fold 9"),
        ([{"corpus": "georgia", "split": "all"}], ""),
        ([{"corpus": "georgia", "split": "train"}, {"corpus": "ptb", "split": "test"}], "train and test splits"),
        ([{"parquet": "x.parquet", "split": "train"}], ""),
    ],
)
def test_splits_are_told_in_words(sources, expected):
    assert split_words(sources) == expected
