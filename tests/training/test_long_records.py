# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
import torch
from tests.training.small_runs import SmallRuns
from tests.training.written_annotations import annotated_row
from tests.training.written_sources import cleaned_rows, write_source

from anyecg_hf import AnyECGForLongRecordClassification, AnyECGModel
from anyecg_hf.training.annotation_labels import annotation_task
from anyecg_hf.training.configs import AdaptationConfig, FinetuningConfig, SourceConfig, TaskConfig
from anyecg_hf.training.finetune import finetune, finetuning_stage
from anyecg_hf.training.long_records import (
    LongRecordStage,
    SegmentSettings,
    collate_segments,
    embed_records,
    record_windows,
    segment_settings,
    without_rare,
)
from anyecg_hf.training.token_labels import TOKEN_LABELS, with_token_labels

BEATS = annotation_task("beats")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def backbone(runs) -> AnyECGModel:
    return AnyECGModel.from_pretrained(runs.backbone).eval()


def labelled(rows: list, most_patches: int | None = 11):
    return with_token_labels(cleaned_rows(rows, most_patches), BEATS, 0.25, keep_all=True)


def settings(windows: int | None = None, class_names: tuple[str, ...] = ("N", "V")) -> SegmentSettings:
    return SegmentSettings(BEATS, class_names, window_patches=8, patch_s=0.25, windows=windows)


def config(runs: SmallRuns, folder, **changes) -> FinetuningConfig:
    fields = {
        "task": TaskConfig(name="long-rhythm", drop_rare=1, segment_s=6.0),
        "adaptation": AdaptationConfig(mode="head"),
        "code_weight": 0.0,
        "model": {},
        **changes,
    }
    found = runs.config("finetuning", folder / "run", **fields)
    found.data.train = [write_source(folder / "train.parquet", [annotated_row(number) for number in range(6)])]
    found.data.validation = [
        write_source(folder / "validation.parquet", [annotated_row(number) for number in (10, 11)])
    ]
    return found


def test_windows_are_cut_across_the_rows_of_a_record():
    pieces = list(labelled([annotated_row(1)]))
    whole = labelled([annotated_row(1)], most_patches=None)[0]
    windows = list(record_windows(pieces, 13))
    assert [window["input_values"].shape[1] for window in windows] == [13, 13, 13, 9]
    joined = np.concatenate([window["input_values"] for window in windows], axis=1)
    assert np.array_equal(joined, whole["input_values"].astype(np.float32))
    assert np.array_equal(np.concatenate([window[TOKEN_LABELS] for window in windows]), whole[TOKEN_LABELS])


def test_a_record_with_a_gap_is_refused():
    pieces = list(labelled([annotated_row(1)]))
    with pytest.raises(ValueError, match=r"record written/r001: after patch \d+ comes \d+. If two sources"):
        list(record_windows([pieces[0], *pieces[2:]], 8))


def test_embeddings_are_those_that_the_model_computes_of_the_whole_record(runs, backbone):
    whole = labelled([annotated_row(1, seconds=12.5)], most_patches=None)[0]
    (segment,) = embed_records(labelled([annotated_row(1, seconds=12.5)]), backbone, settings())
    model = AnyECGForLongRecordClassification.from_pretrained(
        runs.backbone, window_patches=8, freeze_backbone=True, id2label={0: "N", 1: "V"}
    ).eval()
    batch = {
        "input_values": torch.tensor(whole["input_values"].astype(np.float32))[None],
        "attention_mask": torch.tensor(whole["attention_mask"])[None].long(),
        "lead_ids": torch.tensor(whole["lead_ids"].astype(np.int64))[None],
        "scale": torch.tensor([float(whole["scale"])]),
    }
    with torch.no_grad():
        expected = model(**batch)
        found = model(window_embeddings=torch.tensor(segment["window_embeddings"])[None])
    torch.testing.assert_close(torch.tensor(segment["window_embeddings"]), expected.window_embeddings[0])
    torch.testing.assert_close(found.logits, expected.logits)


def test_a_segment_has_the_classes_that_occur_in_it_and_short_rests_are_left_out(backbone):
    segments = embed_records(
        labelled([annotated_row(0, seconds=13), annotated_row(1, seconds=13)]), backbone, settings(3)
    )
    found = [(row["record_id"], row["start_s"], row["labels"].tolist(), row["n_patches"]) for row in segments]
    assert found == [
        ("r000", 0.0, [1.0, 0.0], 3),
        ("r000", 6.0, [1.0, 0.0], 3),
        ("r001", 0.0, [1.0, 0.0], 3),
        ("r001", 6.0, [1.0, 1.0], 3),
    ]


def test_of_a_segment_without_labels_nothing_is_said():
    unknown, none, normal, ventricular = -100, 0, 1, 3
    label = settings().label
    assert label(np.array([none, normal, ventricular, unknown])).tolist() == [1.0, 1.0]
    found = label(np.array([unknown, unknown, normal]))
    assert found[0] == 1.0 and np.isnan(found[1])


def test_batches_are_padded_with_windows_that_are_not_there(runs, backbone):
    rows = list(embed_records(labelled([annotated_row(0), annotated_row(1, seconds=6)]), backbone, settings()))
    batch = collate_segments(rows)
    assert batch["window_embeddings"].shape[:2] == (2, 6)
    assert batch["attention_mask"][:, 0].tolist() == [[1] * 6, [1, 1, 1, 0, 0, 0]]


@pytest.mark.parametrize("segment_s", [6.0, None])
def test_a_run_leaves_a_model_that_takes_whole_records(runs, tmp_path, segment_s):
    task = TaskConfig(name="long-rhythm", drop_rare=1, segment_s=segment_s)
    found = config(runs, tmp_path, task=task)
    if segment_s is None:  # all records are in sinus rhythm for a while
        found.task.name = "long-beats"
    model = finetune(found)
    expected = {0: "sinus", 1: "ventricular"} if segment_s else {0: "V"}
    assert model.config.id2label == expected
    assert model.config.window_patches == 8 and model.config.freeze_backbone
    backbone, trained = AnyECGModel.from_pretrained(runs.backbone), model.anyecg.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in backbone.state_dict().items())
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert "validation_macro_auroc" in last
    assert set(model.config.label_thresholds) == set(expected.values())


def test_other_modes_streams_and_odd_segments_are_refused(runs, tmp_path, tokenizer):
    with pytest.raises(ValueError, match="set `adaptation.mode: head`, got 'full'"):
        LongRecordStage(config(runs, tmp_path, adaptation=AdaptationConfig()), torch.device("cpu"))
    with pytest.raises(ValueError, match="`data.streaming` and `weight` must not be set"):
        LongRecordStage(config(runs, tmp_path, data__streaming=True), torch.device("cpu"))
    task = TaskConfig(name="long-beats", segment_s=5.0)
    with pytest.raises(ValueError, match="`task.segment_s` must be a multiple of `data.window_s`, 2 s, got 5"):
        segment_settings(config(runs, tmp_path, task=task), tokenizer)


def test_classes_that_all_segments_have_are_an_error_unless_they_may_be_left_out(backbone):
    segments = embed_records(labelled([annotated_row(0), annotated_row(1)]), backbone, settings(3))
    with pytest.raises(ValueError, match=r"missing: N \(4 of 4 training segments\). Set `task.drop_rare: 1`"):
        without_rare(settings(3), {"training": segments}, drop_rare=0)
    kept, parts = without_rare(settings(3), {"training": segments, "validation": None}, drop_rare=1)
    assert kept.class_names == ("V",) and parts["validation"] is None
    assert [row["labels"].tolist() for row in parts["training"]] == [[0.0], [0.0], [0.0], [1.0]]
    assert torch.equal(
        torch.tensor(parts["training"][1]["window_embeddings"]), torch.tensor(segments[1]["window_embeddings"])
    )


def test_a_record_of_two_sources_must_be_deduplicated(runs, tmp_path):
    found = config(runs, tmp_path)
    found.data.train.append(SourceConfig(parquet=found.data.train[0].parquet))
    with pytest.raises(ValueError, match="set `data.deduplicate: true`"):
        LongRecordStage(found, torch.device("cpu"))
    found.data.deduplicate = True
    assert len(LongRecordStage(found, torch.device("cpu")).data.train) == 12


def test_the_task_decides_the_stage(runs, tmp_path):
    def stage(**changes):
        return finetuning_stage(config(runs, tmp_path, **changes), torch.device("cpu"))

    assert type(stage()).__name__ == "LongRecordStage"
    with pytest.raises(ValueError, match="`task.name` must be one of superclass, .*, lead-reconstruction, got 'sleep'"):
        stage(task=TaskConfig(name="sleep"))
    with pytest.raises(ValueError, match="`task.segment_s` belongs to long-beats and long-rhythm, not to 'beats'"):
        stage(task=TaskConfig(name="beats", segment_s=60.0))
    with pytest.raises(ValueError, match="`code_weight` must be 0 for the task 'beats'"):
        stage(task=TaskConfig(name="beats", drop_rare=1), code_weight=0.1)
