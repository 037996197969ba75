# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Both protocols of annotated records, on six records that the test writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.training.small_runs import write_backbone
from tests.training.written_annotations import annotated_row
from tests.training.written_sources import write_source

from anyecg_hf.evaluation.annotations.long_records import evaluate_long_records
from anyecg_hf.evaluation.annotations.token_labels import evaluate_token_labels
from anyecg_hf.evaluation.evaluation_configs import EvaluationConfig
from anyecg_hf.training.configs import DataConfig, TaskConfig


def config(root: Path, name: str, **settings) -> EvaluationConfig:
    rows = settings.pop("rows", None) or [annotated_row(number) for number in range(6)]
    data = DataConfig(train=[write_source(root / "written.parquet", rows)], window_s=2.0, cache_dir=str(root / "cache"))
    found = EvaluationConfig(
        output_dir=str(root / "results"),
        pretrained=str(write_backbone(root / "backbone")),
        task=TaskConfig(name=name, segment_s=settings.pop("segment_s", None)),
        data=data,
        device="cpu",
    )
    return found


def test_long_records_are_evaluated_by_segment_and_by_record(tmp_path):
    found = evaluate_long_records(config(tmp_path, "long-beats", segment_s=6.0), steps=2)
    segments, records = found["units"]["segments"], found["units"]["records"]
    assert (segments["examples"], segments["patients"], segments["folds"]) == (12, 6, 6)
    assert segments["positives"] == {"V": 3} and records["positives"] == {"V": 3}
    assert (records["examples"], records["classes"]) == (6, ["V"])  # all have normal beats
    assert set(segments["rows"]) == {"majority", "random_probe", "probe", "windows"}
    # Three of ten training segments, or two where one is left out.
    assert segments["rows"]["majority"]["accuracy"]["estimate"] == 0.75
    assert segments["rows"]["windows"]["macro_auroc"]["low"] is None
    assert json.loads((tmp_path / "results" / "results.json").read_text())["units"] == found["units"]
    text = (tmp_path / "results" / "results.md").read_text()
    assert text.count("**6 patients prove nothing") == 2
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["results.json", "results.md"]
    assert "does not say what it was trained on" in text and "| fine-tuned" not in text


def test_a_unit_without_anything_to_tell_says_why(tmp_path):
    found = evaluate_long_records(config(tmp_path, "long-rhythm", segment_s=6.0), steps=1)
    assert found["units"]["segments"]["classes"] == ["sinus", "ventricular"]
    rows = [annotated_row(number) for number in (1, 3)]
    refused = evaluate_long_records(config(tmp_path / "same", "long-rhythm", segment_s=6.0, rows=rows), steps=1)
    assert refused["units"]["records"]["refused"].startswith("no class is left: sinus (2 of 2 labelled segments)")
    assert "Not evaluated: no class is left" in (tmp_path / "same" / "results" / "results.md").read_text()


def test_patches_are_evaluated(tmp_path):
    found = evaluate_token_labels(config(tmp_path, "beats"), steps=2)
    patches = found["units"]["patches"]
    assert patches["classes"] == ["none", "N", "V"] and patches["patients"] == 6
    assert sum(patches["positives"].values()) == patches["examples"]
    majority = patches["rows"]["majority"]
    assert majority["accuracy"]["estimate"] == pytest.approx(patches["positives"]["none"] / patches["examples"])
    probe = patches["rows"]["probe"]["macro_auroc"]["estimate"]
    assert np.isfinite(probe) and patches["rows"]["finetuned"]["macro_auroc"] is not None
    assert "by patches" in (tmp_path / "results" / "results.md").read_text().lower()


@pytest.mark.parametrize(
    ("protocol", "name"), [(evaluate_long_records, "long-beats"), (evaluate_token_labels, "beats")]
)
def test_windows_longer_than_the_backbone_was_trained_on_are_refused(tmp_path, protocol, name):
    asked = config(tmp_path, name, segment_s=200.0)
    asked.data.window_s = 100.0
    with pytest.raises(ValueError, match=r"`data\.window_s` is 100, but a model was trained on windows of"):
        protocol(asked)


@pytest.mark.parametrize("protocol", [evaluate_long_records, evaluate_token_labels])
def test_results_are_not_overwritten_and_other_tasks_are_refused(tmp_path, protocol):
    with pytest.raises(ValueError, match="this protocol is of the tasks .*, got 'superclass'"):
        protocol(config(tmp_path, "superclass"))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.json").write_text("{}")
    with pytest.raises(ValueError, match="holds results: name another `output_dir`"):
        protocol(config(tmp_path, "beats"))
