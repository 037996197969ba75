# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
import torch
from tests.corpora.written_rows import row, stored
from tests.models.tiny import tiny_config
from tests.training.small_runs import SHAPE, write_tokenizer
from tests.training.written_records import LEADS
from tests.training.written_sources import cleaned_rows, write_source

from anyecg_hf import AnyECGForLeadReconstruction, AnyECGTokenizer
from anyecg_hf.evaluation.evaluation_configs import BootstrapConfig, EvaluationConfig
from anyecg_hf.evaluation.leads.estimators import LeastSquares, identities, kinds_of, mean_of_leads
from anyecg_hf.evaluation.leads.reconstruction import evaluate_lead_reconstruction, lead_figures
from anyecg_hf.evaluation.leads.situations import (
    PARTS,
    STANDARD_LEADS,
    clean_batch,
    situations,
    standard_window,
)
from anyecg_hf.evaluation.metrics import psnr_db
from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES
from anyecg_hf.models.anyecg.lead_estimation_anyecg import LeadEstimator
from anyecg_hf.models.anyecg.lead_statistics_anyecg import fit_lead_covariance
from anyecg_hf.training.configs import DataConfig, TaskConfig
from anyecg_hf.training.leaks import LeakError


def twelve_leads(number: int, **columns):
    facts = {"signal": stored(12, 4, number), "lead_names": list(LEADS), "patient_id": f"p{number}"}
    return row(number, **{**facts, **columns})


def true_batch(records: int = 3, patches: int = 8) -> dict[str, torch.Tensor]:
    """Leads that keep their identities: limb leads of two signals, chest leads of these and their own."""
    generator = torch.Generator().manual_seed(0)
    one, two, *chest = torch.randn(8, records, patches, 75, generator=generator)
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    values = torch.stack([*limb, *(0.8 * one + 0.3 * signal for signal in chest)], dim=1)
    return {
        "input_values": values,
        "attention_mask": torch.ones(records, 12, patches, dtype=torch.long),
        "lead_ids": torch.tensor([[LEAD_NAMES.index(name) for name in STANDARD_LEADS]] * records),
        "scale": torch.full((records,), 0.2),
    }


def all_situations(batch, seed: int = 0):
    names = [f"r{number}" for number in range(len(batch["lead_ids"]))]
    return list(situations(batch, names, LEAD_NAMES, 300, seed))


def part(found, name: str) -> list:
    return [item for item in found if name in item.scored]


class TestSituations:
    def test_every_part_scores_its_leads(self):
        found = all_situations(true_batch())
        leads = {
            name: [
                sorted({STANDARD_LEADS[lead] for lead in item.scored[name].nonzero()[1]}) for item in part(found, name)
            ]
            for name in PARTS
        }
        assert leads["three_leads"] == [["V1", "V3", "V4", "V5", "V6"]]
        assert leads["one_chest_lead"] == [[f"V{number}"] for number in range(1, 7)]
        assert leads["limb_leads"] == [sorted(STANDARD_LEADS[:6])]
        assert leads["one_limb_lead"] == [[name] for name in STANDARD_LEADS[:6]]
        assert leads["blocked"] == [sorted(STANDARD_LEADS)]

    def test_only_three_leads_are_given_of_three_leads(self):
        (found,) = part(all_situations(true_batch()), "three_leads")
        clean = kinds_of(found.tensors).clean
        assert {STANDARD_LEADS[lead] for lead in clean.nonzero()[:, 1].tolist()} == {"I", "II", "V2"}

    def test_draws_follow_from_the_name_of_a_record_and_the_seed(self):
        batch = true_batch()
        ((whole,), (again,), (other,)) = (part(all_situations(batch, seed), "noised") for seed in (0, 0, 1))
        alone = {name: value[1:2] for name, value in batch.items()}
        (single,) = part(situations(alone, ["r1"], LEAD_NAMES, 300), "noised")
        assert torch.equal(single.tensors["input_values"][0], whole.tensors["input_values"][1])
        assert torch.equal(whole.tensors["input_values"], again.tensors["input_values"])
        assert not torch.equal(whole.tensors["input_values"], other.tensors["input_values"])

    def test_nothing_of_what_is_given_tells_the_strength_of_what_is_missing(self):
        batch = true_batch()
        louder = {**batch, "input_values": batch["input_values"].clone()}
        louder["input_values"][:, 8] *= 3  # V3
        # What a tokenizer makes of it: all leads together have unit spread.
        spread = louder["input_values"].square().mean(dim=(1, 2, 3)).sqrt()
        louder["input_values"] /= spread[:, None, None, None]
        louder["scale"] = batch["scale"] * spread
        for one, other in zip(all_situations(batch), all_situations(louder), strict=True):
            given = one.tensors["attention_mask"].bool() & ~one.tensors["bool_masked_pos"]
            values = one.tensors["input_values"]
            torch.testing.assert_close(values[given].square().mean(), torch.tensor(1.0))
            in_mv = one.tensors["labels"] * one.tensors["scale"][:, None, None, None]
            torch.testing.assert_close(in_mv, batch["input_values"] * 0.2)
            if not given[:, 8].any():
                torch.testing.assert_close(other.tensors["input_values"], values)

    def test_leads_come_in_the_standard_order_and_all_must_be_usable(self):
        turned = twelve_leads(0, lead_names=list(LEADS[::-1]))
        bad, few, good = (dict(cleaned_rows([item])[0]) for item in (twelve_leads(1), row(2), turned))
        bad["attention_mask"] = np.asarray(bad["attention_mask"]).copy()
        bad["attention_mask"][4] = False
        assert standard_window(bad, LEAD_NAMES) is None and standard_window(few, LEAD_NAMES) is None
        places = standard_window(good, LEAD_NAMES)
        batch = clean_batch([good], [places])
        assert [LEAD_NAMES[index] for index in batch["lead_ids"][0]] == list(STANDARD_LEADS)
        assert torch.equal(batch["input_values"][0, 0], torch.tensor(np.asarray(good["input_values"])[11]).float())


class TestEstimators:
    batch = true_batch(records=6)

    def test_the_mean_is_over_clean_leads(self):
        (found,) = part(all_situations(self.batch), "limb_leads")
        expected = found.tensors["labels"][:, 6:].mean(dim=1)
        torch.testing.assert_close(torch.tensor(mean_of_leads(found.tensors))[:, 3], expected)

    def test_least_squares_is_the_regression_on_the_training_records(self):
        rows = [{name: value[index] for name, value in self.batch.items()} for index in range(6)]
        least_squares = LeastSquares(fit_lead_covariance(rows, LEAD_NAMES).double().numpy())
        (found,) = part(all_situations(self.batch), "three_leads")
        flat = self.batch["input_values"].transpose(0, 1).flatten(1).double().numpy()
        given = flat[[0, 1, 7]]
        weights = np.linalg.lstsq(given.T, flat[8], rcond=None)[0]
        spread = (found.tensors["scale"] / self.batch["scale"]).double().numpy()
        restored = (least_squares(found.tensors)[:, 8] * spread[:, None, None]).reshape(-1)
        assert restored == pytest.approx(weights @ given, abs=1e-4)

    def test_identities_are_exact_where_they_apply_and_silent_elsewhere(self):
        estimator = LeadEstimator(tiny_config())
        found = all_situations(self.batch)
        for number, item in enumerate(part(found, "one_limb_lead")):
            truth = item.tensors["labels"][:, number].numpy()
            assert identities(item.tensors, estimator)[:, number] == pytest.approx(truth, abs=1e-5)
        (limb,) = part(found, "limb_leads")
        assert np.isnan(identities(limb.tensors, estimator)).all()

    def test_without_any_clean_lead_nothing_is_restored(self):
        (found,) = part(all_situations(self.batch), "blocked")
        times = found.scored["blocked"][:, 0]
        silent = LeastSquares(np.eye(len(LEAD_NAMES)))(found.tensors).transpose(0, 2, 1, 3)[times]
        assert not silent.any() and not mean_of_leads(found.tensors).transpose(0, 2, 1, 3)[times].any()


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
    from tests.training.small_runs import write_backbone

    backbone = str(write_backbone(tmp_path / "backbone"))
    with pytest.raises(ValueError, match="has no trained head for lead reconstruction"):
        evaluate_lead_reconstruction(config(tmp_path, checkpoint=backbone))
    with pytest.raises(ValueError, match="name the model to evaluate: `checkpoint`"):
        evaluate_lead_reconstruction(config(tmp_path, pretrained=backbone))
    with pytest.raises(ValueError, match="this protocol is of the task 'lead-reconstruction', got 'superclass'"):
        evaluate_lead_reconstruction(config(tmp_path, checkpoint=backbone, task=TaskConfig(name="superclass")))
