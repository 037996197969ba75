# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
import torch
from tests.corpora.written_rows import row
from tests.evaluation.leads.lead_batches import twelve_leads
from tests.models.tiny import tiny_config
from tests.training.small_runs import SHAPE, write_backbone, write_tokenizer
from tests.training.written_sources import cleaned_rows, write_source

from anyecg_hf import AnyECGForLeadReconstruction, AnyECGTokenizer
from anyecg_hf.evaluation.evaluation_configs import BootstrapConfig, EvaluationConfig
from anyecg_hf.evaluation.leads.reconstruction import evaluate_lead_reconstruction, lead_figures
from anyecg_hf.evaluation.metrics import psnr_db
from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES
from anyecg_hf.models.anyecg.lead_statistics_anyecg import fit_lead_covariance
from anyecg_hf.training.configs import DataConfig, TaskConfig
from anyecg_hf.training.leaks import LeakError


class TestFigures:
    clean = np.random.default_rng(0).normal(size=(2, 3, 4, 75))

    def test_only_scored_patches_count_and_the_range_is_of_the_whole_window(self):
        scored = np.zeros((2, 3, 4), dtype=bool)
        scored[0, 1, 2:] = True
        restored = self.clean + 0.1
        restored[~scored] += 5.0
        found = lead_figures(self.clean, restored, scored)
        whole = self.clean[0, 1].reshape(1, -1)
        assert found["mae_mv"][0, 1] == pytest.approx(0.1)
        assert found["psnr_db"][0, 1] == pytest.approx(20 * np.log10(np.ptp(whole) / 0.1))
        assert found["peak_psnr_db"][0, 1] == pytest.approx(20 * np.log10(np.abs(whole).max() / 0.1))
        assert all(np.isnan(values).sum() == 5 for values in found.values())

    def test_leads_that_were_not_restored_as_a_whole_or_are_flat_have_no_figure(self):
        scored = np.ones((2, 3, 4), dtype=bool)
        clean, restored = self.clean.copy(), self.clean + 0.1
        restored[0, 0, 0] = np.nan
        clean[1, 2] = 0.0
        found = lead_figures(clean, restored, scored)
        for values in found.values():
            assert np.isnan(values).nonzero()[0].tolist() == [0, 1]

    def test_what_is_exact_has_a_highest_psnr(self):
        found = lead_figures(self.clean, self.clean, np.ones((2, 3, 4), dtype=bool))
        assert (found["psnr_db"] == 120.0).all() and np.isinf(psnr_db(self.clean[0, :, 0], self.clean[0, :, 0])).all()


def write_model(folder, covariance: torch.Tensor | None = None, **settings):
    write_tokenizer(folder)
    torch.manual_seed(0)
    small = {"reconstruction_width": 8, "num_reconstruction_layers": 1}
    model = AnyECGForLeadReconstruction(tiny_config(**{**SHAPE, **small, "trained_time_positions": 16, **settings}))
    if covariance is not None:
        model.set_lead_covariance(covariance)
    model.save_pretrained(folder)
    return folder


def config(root, test: list | None = None, **settings) -> EvaluationConfig:
    data = DataConfig(
        train=[write_source(root / "train.parquet", [twelve_leads(number) for number in range(6)])],
        held_out=[write_source(root / "test.parquet", test or [twelve_leads(9), row(20), twelve_leads(10)])],
        window_s=4.0,
        cache_dir=str(root / "cache"),
    )
    standard = {
        "output_dir": str(root / "results"),
        "task": TaskConfig(name="lead-reconstruction"),
        "bootstrap": BootstrapConfig(resamples=20),
        "device": "cpu",
        "data": data,
    }
    return EvaluationConfig(**{**standard, **settings})


def test_the_whole_protocol(tmp_path):
    rows = cleaned_rows([twelve_leads(number) for number in range(6)], most_patches=16)
    checkpoint = str(write_model(tmp_path / "model", fit_lead_covariance(rows, LEAD_NAMES)))
    found = evaluate_lead_reconstruction(config(tmp_path, checkpoint=checkpoint))
    assert found["data"]["test_windows"] == found["data"]["test_patients"] == 2
    assert found["data"]["without_twelve_leads"] == 1
    for name, rows_and_differences in found["parts"].items():
        rows = rows_and_differences["rows"]
        # An untrained head is its linear part, and that is least squares but for identities and noised leads.
        assert rows["trained"] == rows["linear"], name
        assert rows_and_differences["differences"]["linear"]["psnr_db"]["estimate"] == 0.0
    for name in ("three_leads", "one_chest_lead"):
        rows = found["parts"][name]["rows"]
        assert rows["linear"]["psnr_db"]["estimate"] == pytest.approx(
            rows["least_squares"]["psnr_db"]["estimate"], abs=0.5
        )
        assert rows["linear"]["psnr_db"]["estimate"] > rows["mean"]["psnr_db"]["estimate"]
    assert found["parts"]["one_chest_lead"]["rows"]["trained"]["psnr_db"]["values"] == 12
    assert "identities" in found["parts"]["one_limb_lead"]["rows"]
    assert "identities" not in found["parts"]["limb_leads"]["rows"]
    assert "given" in found["parts"]["noised"]["rows"] and "given" not in found["parts"]["blocked"]["rows"]
    assert json.loads((tmp_path / "results" / "results.json").read_text())["parts"] == found["parts"]
    text = (tmp_path / "results" / "results.md").read_text()
    assert "no intervals: these are fewer than 20 patients" in text
    assert (tmp_path / "results" / "three_leads.png").read_bytes().startswith(b"\x89PNG")


def test_shared_patients_and_missing_leads_are_refused(tmp_path):
    checkpoint = str(write_model(tmp_path / "model"))
    with pytest.raises(LeakError, match="share the same patient"):
        evaluate_lead_reconstruction(config(tmp_path, [twelve_leads(30, patient_id="p2")], checkpoint=checkpoint))
    with pytest.raises(ValueError, match="none of 1 test windows has all of the leads I, II"):
        evaluate_lead_reconstruction(config(tmp_path, [row(40)], checkpoint=checkpoint))


def test_checkpoints_that_see_other_records_are_refused(tmp_path):
    one, other, short = (
        str(write_model(tmp_path / name, trained_time_positions=patches))
        for name, patches in (("one", 16), ("other", 16), ("short", 8))
    )
    AnyECGTokenizer(patch_size=75, denoise=False).save_pretrained(other)
    with pytest.raises(ValueError, match="one and .*other clean records differently: .*denoise"):
        evaluate_lead_reconstruction(config(tmp_path, checkpoint=[one, other]))
    with pytest.raises(ValueError, match=r"`data\.window_s` is 4, but a model was trained on windows of 2 s"):
        evaluate_lead_reconstruction(config(tmp_path, checkpoint=[one, short]))


def test_a_checkpoint_without_the_head_and_other_tasks_are_refused(tmp_path):
    backbone = str(write_backbone(tmp_path / "backbone"))
    with pytest.raises(ValueError, match="has no trained head for lead reconstruction"):
        evaluate_lead_reconstruction(config(tmp_path, checkpoint=backbone))
    with pytest.raises(ValueError, match="name the model to evaluate: `checkpoint`"):
        evaluate_lead_reconstruction(config(tmp_path, pretrained=backbone))
    with pytest.raises(ValueError, match="this protocol is of the task 'lead-reconstruction', got 'superclass'"):
        evaluate_lead_reconstruction(config(tmp_path, checkpoint=backbone, task=TaskConfig(name="superclass")))
