# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
import torch
from tests.corpora.written_rows import row, stored
from tests.training.small_runs import SmallRuns
from tests.training.written_records import LEADS
from tests.training.written_sources import cleaned_rows, write_source

from anyecg_hf import AnyECGForLeadReconstruction
from anyecg_hf.training.configs import AdaptationConfig, FinetuningConfig, TaskConfig
from anyecg_hf.training.finetune import finetune
from anyecg_hf.training.lead_reconstruction import (
    LeadReconstructionCollator,
    LeadReconstructionStage,
    covariance_rows,
)
from anyecg_hf.training.windows import WindowSettings, seeded_generator


def twelve_leads(number: int, **columns):
    return row(number, signal=stored(12, 4, number), lead_names=list(LEADS), patient_id=f"p{number}", **columns)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("runs"))


def config(runs: SmallRuns, folder, **changes) -> FinetuningConfig:
    small = {"reconstruction_width": 8, "num_reconstruction_layers": 1}
    fields = {"task": TaskConfig(name="lead-reconstruction"), "code_weight": 0.0, "model": small, **changes}
    found = runs.config("finetuning", folder / "run", **fields)
    found.data.train = [write_source(folder / "train.parquet", [twelve_leads(number) for number in range(6)])]
    found.data.validation = [write_source(folder / "validation.parquet", [twelve_leads(10), twelve_leads(11)])]
    return found


@pytest.mark.parametrize("loss", ["log_mse", "mse"])
def test_counts_are_what_the_loss_is_a_mean_over(runs, tmp_path, loss):
    stage = LeadReconstructionStage(
        config(runs, tmp_path, model={"reconstruction_width": 8, "reconstruction_loss": loss})
    )
    batch = stage.collate([stage.data.train[index] for index in range(4)], seeded_generator(1))
    stage.model.eval()
    parts = [{name: value[index : index + 1] for name, value in batch.items()} for index in range(4)]
    losses = [stage.model(**part).loss.item() for part in parts]
    counts = [stage.counts(part)["restoration_loss"] for part in parts]
    joined = stage.terms(stage.model(**batch))["restoration_loss"].value.item()
    assert len(set(counts)) > 1 and sum(counts) == stage.counts(batch)["restoration_loss"]
    assert joined == pytest.approx(np.average(losses, weights=counts), rel=1e-5)


def test_the_covariance_is_that_of_the_training_rows_and_is_saved(runs, tmp_path):
    found = config(runs, tmp_path)
    stage = LeadReconstructionStage(found)
    expected = stage.model.fit_lead_covariance(stage.data.train)
    assert expected.diagonal()[:12].min() > 0
    assert torch.equal(stage.model.lead_covariance, expected)
    assert torch.equal(LeadReconstructionStage(found).model.lead_covariance, expected)
    model = finetune(found)
    saved = AnyECGForLeadReconstruction.from_pretrained(tmp_path / "run" / "final")
    assert torch.equal(saved.lead_covariance, expected) and torch.equal(model.lead_covariance, expected)


def test_of_very_many_rows_some_are_chosen_evenly(monkeypatch):
    monkeypatch.setattr("anyecg_hf.training.lead_reconstruction.COVARIANCE_ROWS", 3)
    rows = cleaned_rows([twelve_leads(number) for number in range(7)])
    assert [found["record_id"] for found in covariance_rows(rows)] == ["r000", "r002", "r004"]
    stream = rows.to_iterable_dataset()
    assert [found["record_id"] for found in covariance_rows(stream)] == ["r000", "r001", "r002"]


def test_adapters_keep_the_covariance(runs, tmp_path):
    found = config(runs, tmp_path, adaptation=AdaptationConfig(mode="lora"))
    expected = LeadReconstructionStage(found).model.get_base_model().lead_covariance.clone()
    model = finetune(found)
    assert expected.any()
    assert torch.equal(model.merge_and_unload().lead_covariance, expected)


def test_validation_is_about_one_chest_lead_a_record_and_the_same_every_time(runs, tmp_path):
    found = config(runs, tmp_path)
    finetune(found)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    validations = [line for line in lines if "validation_psnr_db" in line]
    assert len(validations) == 3
    assert len({line["validation_linear_psnr_db"] for line in validations}) == 1
    assert all(-1 <= line["validation_pearson_r"] <= 1 for line in validations)

    collate = LeadReconstructionCollator(WindowSettings(8))
    rows = list(cleaned_rows([twelve_leads(0), twelve_leads(1)]))
    once, again = collate(rows), collate(rows)
    assert all(torch.equal(once[name], again[name]) for name in once)
    missing = once["bool_masked_pos"].any(dim=2)
    assert (missing.sum(dim=1) == 1).all() and not missing[:, :6].any()


def test_validation_records_without_a_chest_lead_are_left_out_or_refused(runs, tmp_path, caplog):
    found = config(runs, tmp_path)
    limb = row(20, n_leads=2, patient_id="p20")
    found.data.validation = [write_source(tmp_path / "mixed.parquet", [limb, twelve_leads(21)])]
    assert LeadReconstructionStage(found).data.validation["record_id"] == ["r021", "r021"]  # of two windows
    assert "2 of 4 validation rows are left out" in caplog.text
    found.data.validation = [write_source(tmp_path / "limb.parquet", [limb])]
    with pytest.raises(ValueError, match="no validation record has a usable chest lead"):
        LeadReconstructionStage(found)


def test_a_window_with_a_single_patch_stays_as_it_is():
    rows = [dict(found) for found in cleaned_rows([twelve_leads(0), row(1, n_leads=1)])]
    mask = np.zeros_like(np.asarray(rows[1]["attention_mask"]))
    mask[0, 0] = True
    rows[1]["attention_mask"] = mask
    batch = LeadReconstructionCollator(WindowSettings(16))(rows, seeded_generator(1))
    assert (batch["bool_masked_pos"] | batch["noised"])[0].any()
    assert not (batch["bool_masked_pos"] | batch["noised"])[1].any()
    assert torch.equal(batch["input_values"][1], batch["labels"][1])


def test_a_checkpoint_of_another_shape_is_refused(runs, tmp_path):
    with pytest.raises(ValueError, match="does not fit the weights|lacks"):
        LeadReconstructionStage(config(runs, tmp_path, model={"intermediate_size": 48}))
    with pytest.raises(ValueError, match="`model` has unknown fields: reconstruction_depth"):
        LeadReconstructionStage(config(runs, tmp_path, model={"reconstruction_depth": 2}))
