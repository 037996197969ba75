# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
import torch
from tests.training.small_runs import SmallRuns
from tests.training.written_annotations import annotated_row, annotation
from tests.training.written_sources import cleaned_rows, write_source

from anyecg_hf import AnyECGForTokenClassification
from anyecg_hf.training.annotation_labels import annotation_task
from anyecg_hf.training.configs import AdaptationConfig, FinetuningConfig, TaskConfig
from anyecg_hf.training.finetune import finetune
from anyecg_hf.training.token_labels import (
    TOKEN_LABELS,
    TokenLabelCollator,
    TokenLabelStage,
    token_figures,
    with_token_labels,
)
from anyecg_hf.training.windows import WindowSettings, seeded_generator


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("runs"))


def config(runs: SmallRuns, folder, name: str = "beats", **changes) -> FinetuningConfig:
    settings = {"task": TaskConfig(name=name, drop_rare=1), "code_weight": 0.0, **changes}
    found = runs.config("finetuning", folder / "run", **settings)
    train = [annotated_row(number) for number in range(6)]
    found.data.train = [write_source(folder / "train.parquet", train)]
    found.data.validation = [
        write_source(folder / "validation.parquet", [annotated_row(number) for number in (10, 11)])
    ]
    return found


def test_pieces_of_a_record_are_labelled_by_their_place():
    whole, pieces = (
        with_token_labels(cleaned_rows([annotated_row(1)], most_patches=size), annotation_task("beats"), 0.25)
        for size in (None, 10)
    )
    assert len(whole) == 1 and len(pieces) == 5
    assert np.concatenate([row[TOKEN_LABELS] for row in pieces]).tolist() == whole[0][TOKEN_LABELS].tolist()
    assert whole[0][TOKEN_LABELS].dtype == np.int16 and "annotations" not in whole.column_names


def test_rows_about_which_nothing_is_said_are_left_out_unless_records_must_stay_whole():
    silent = annotated_row(0, annotations=[annotation(0.1, "p", lead_name="I")])
    rows = cleaned_rows([silent, annotated_row(1)])
    assert with_token_labels(rows, annotation_task("beats"), 0.25)["record_id"] == ["r001"]
    assert len(with_token_labels(rows, annotation_task("beats"), 0.25, keep_all=True)) == 2


def test_batches_have_the_labels_of_the_drawn_window_and_none_where_padded():
    rows = list(
        with_token_labels(
            cleaned_rows([annotated_row(1), annotated_row(2, seconds=3.0)]), annotation_task("beats"), 0.25
        )
    )
    batch = TokenLabelCollator(WindowSettings(16))(rows, seeded_generator(0))
    assert batch["labels"].shape == (2, 16) and batch["labels"].dtype == torch.int64
    assert (batch["labels"][1, 12:] == -100).all()
    whole = rows[0][TOKEN_LABELS].tolist()
    starts = [start for start in range(len(whole) - 15) if whole[start : start + 16] == batch["labels"][0].tolist()]
    values = torch.tensor(np.asarray(rows[0]["input_values"])).float()
    assert any(torch.equal(values[:, start : start + 16], batch["input_values"][0]) for start in starts)


def test_counts_are_what_the_loss_is_a_mean_over(runs, tmp_path):
    stage = TokenLabelStage(config(runs, tmp_path))
    rows = [stage.data.train[index] for index in range(3)]
    batch = stage.collate(rows, seeded_generator(3))
    batch["attention_mask"][0, :, :3] = 0
    batch["labels"].masked_fill_(~batch["attention_mask"].any(dim=1), -100)
    stage.model.eval()
    losses, counts = [], []
    for index in range(3):
        one = {name: value[index : index + 1] for name, value in batch.items()}
        losses.append(stage.model(**one).loss.item())
        counts.append(stage.counts(one)["token_loss"])
    joined = stage.terms(stage.model(**batch))["token_loss"].value.item()
    assert sum(counts) == stage.counts(batch)["token_loss"]
    assert joined == pytest.approx(np.average(losses, weights=counts), rel=1e-5)


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_a_run_leaves_a_model_with_the_classes_that_occur(runs, tmp_path, mode):
    found = config(runs, tmp_path, adaptation=AdaptationConfig(mode=mode))
    model = finetune(found)
    assert model.config.id2label == {0: "none", 1: "N", 2: "V"}
    assert model.config.problem_type == "single_label_classification"
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"validation_macro_auroc", "validation_macro_f1", "validation_accuracy"} <= last.keys()
    if mode == "full":
        loaded = AnyECGForTokenClassification.from_pretrained(tmp_path / "run" / "final")
        assert loaded.config.label_descriptions["V"] == "ventricular ectopic beat"


def test_classes_without_patches_are_an_error_unless_they_may_be_left_out(runs, tmp_path):
    with pytest.raises(ValueError, match=r"missing: S \(0 of \d+ training patches\), .*Set `task.drop_rare: 1`"):
        TokenLabelStage(config(runs, tmp_path, task=TaskConfig(name="beats")))


def test_records_without_annotations_are_refused(runs, tmp_path):
    with pytest.raises(ValueError, match="no training record has annotations of rhythm"):
        found = config(runs, tmp_path, name="rhythm-spans")
        found.data.train = [write_source(tmp_path / "bare.parquet", [annotated_row(0, annotations=[])])]
        TokenLabelStage(found)


def test_figures_are_over_the_classes_that_occur():
    scores = np.eye(3)[[0, 1, 1, 0]] * 0.8 + 0.1
    found = token_figures(np.array([0, 1, 1, 1]), scores, ("a", "b", "c"))
    assert found == pytest.approx({"accuracy": 0.75, "macro_auroc": 5 / 6, "macro_f1": (2 / 3 + 0.8) / 2})
    with pytest.raises(ValueError, match="all labelled patches are of one class"):
        token_figures(np.array([1, 1]), scores[:2], ("a", "b", "c"))
