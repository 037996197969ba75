# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.tiny import tiny_config

from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES
from anyecg_hf.models.anyecg.lead_estimation_anyecg import LeadEstimator, PatchKinds, fit_lead_covariance

CHEST = [LEAD_NAMES.index(name) for name in ("V1", "V2", "V3", "V4")]


def rows(records: int = 4, leads: list[int] | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """Records whose leads mix the same three sources with the same strengths."""
    leads = CHEST if leads is None else leads
    mixing = np.random.default_rng(9).normal(size=(len(LEAD_NAMES), 3))
    generator = np.random.default_rng(seed)
    return [
        {
            "input_values": np.einsum("ls,snp->lnp", mixing[leads], generator.normal(size=(3, 5, 75))).astype(
                "float16"
            ),
            "attention_mask": np.ones((len(leads), 5), dtype=bool),
            "lead_ids": np.array(leads, dtype=np.int16),
        }
        for _ in range(records)
    ]


def estimator(covariance: torch.Tensor) -> LeadEstimator:
    built = LeadEstimator(tiny_config())
    built.covariance.copy_(covariance)
    return built


def kinds(missing: torch.Tensor) -> PatchKinds:
    return PatchKinds(~missing, missing, torch.zeros_like(missing))


# Covariance


def test_the_covariance_is_that_of_the_samples():
    data = rows()
    found = fit_lead_covariance(data, list(LEAD_NAMES)).numpy()
    samples = np.concatenate([row["input_values"].astype(float).reshape(4, -1) for row in data], axis=1)
    np.testing.assert_allclose(found[np.ix_(CHEST, CHEST)], samples @ samples.T / samples.shape[1], rtol=1e-4)
    others = [index for index in range(len(LEAD_NAMES)) if index not in CHEST]
    assert not found[others].any() and not found[:, others].any()


def test_padded_patches_and_unknown_leads_are_left_out():
    data = rows()
    expected = fit_lead_covariance(data, list(LEAD_NAMES))
    padded = []
    for row in data:
        values = np.concatenate([row["input_values"], np.full((2, 5, 75), np.nan, dtype=np.float16)])
        values[5] = 1.0
        mask = np.concatenate([row["attention_mask"], np.zeros((1, 5), dtype=bool), np.ones((1, 5), dtype=bool)])
        ids = np.append(row["lead_ids"], [CHEST[0], LEAD_NAMES.index("unknown")])
        padded.append({"input_values": torch.from_numpy(values), "attention_mask": mask, "lead_ids": ids})
    torch.testing.assert_close(fit_lead_covariance(padded, list(LEAD_NAMES)), expected)


def test_pairs_from_different_records_still_give_a_covariance():
    parts = [rows(1, leads=pair, seed=seed) for seed, pair in enumerate(([6, 7], [7, 8], [6, 8]))]
    parts[2][0]["input_values"][1] *= -1  # contradicts the other two
    found = fit_lead_covariance([row for part in parts for row in part], list(LEAD_NAMES))
    assert float(torch.linalg.eigvalsh(found.double())[0]) > -1e-5
    assert torch.equal(found, found.T) or torch.allclose(found, found.T)


def test_rows_without_anything_real_and_numbers_that_are_none_are_refused():
    data = rows(1)
    data[0]["attention_mask"][:] = False
    with pytest.raises(ValueError, match="no row has a real patch of a named lead"):
        fit_lead_covariance(data, list(LEAD_NAMES))
    data = rows(2)
    data[1]["input_values"][0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="row 1: real patches must be finite"):
        fit_lead_covariance(data, list(LEAD_NAMES))


# Estimate


@pytest.mark.parametrize("given", [[0], [1, 3], [0, 1, 2]])
def test_a_missing_lead_is_estimated_by_least_squares_on_just_the_leads_that_are_there(given: list[int]):
    torch.manual_seed(0)
    factors = torch.randn(len(LEAD_NAMES), 30)
    covariance = factors @ factors.T / 30
    values = torch.randn(1, 4, 2, 75)
    missing = torch.ones(1, 4, 2, dtype=torch.bool)
    missing[:, given, 0] = False
    missing[:, 3, 1] = False  # another pattern at another time
    found = estimator(covariance)(values.masked_fill(missing[..., None], 0.0), torch.tensor([CHEST]), kinds(missing))
    block = covariance[CHEST][:, CHEST]
    for time, leads in ((0, given), (1, [3])):
        weights = block[:, leads] @ torch.linalg.inv(block[leads][:, leads])
        expected = torch.einsum("ij,js->is", weights, values[0, leads, time])
        absent = missing[0, :, time]
        torch.testing.assert_close(found.values[0, absent, time], expected[absent], rtol=0, atol=5e-3)
    assert not found.exact.any()


def test_dependent_leads_do_not_break_the_solution():
    data = rows()  # four leads of three sources
    covariance = fit_lead_covariance(data, list(LEAD_NAMES))
    values = torch.from_numpy(data[0]["input_values"]).float()[None]
    missing = torch.zeros(1, 4, 5, dtype=torch.bool)
    missing[:, 2] = True
    found = estimator(covariance)(values.masked_fill(missing[..., None], 0.0), torch.tensor([CHEST]), kinds(missing))
    torch.testing.assert_close(found.values, values, rtol=0, atol=0.02)


def test_leads_without_statistics_neither_help_nor_are_helped():
    covariance = fit_lead_covariance(rows(), list(LEAD_NAMES))
    unknown = LEAD_NAMES.index("unknown")
    ids = torch.tensor([[*CHEST[:2], unknown, unknown]])
    values, missing = torch.randn(1, 4, 1, 75), torch.zeros(1, 4, 1, dtype=torch.bool)
    missing[:, [1, 3]] = True
    values = values.masked_fill(missing[..., None], 0.0)
    found = estimator(covariance)(values, ids, kinds(missing)).values
    alone = estimator(covariance)(values[:, :2], ids[:, :2], kinds(missing[:, :2])).values
    torch.testing.assert_close(found[:, 1], alone[:, 1], rtol=0, atol=1e-6)
    assert not found[:, 3].any()


def test_the_precision_stays_when_the_module_is_moved_to_another_dtype():
    covariance = fit_lead_covariance(rows(), list(LEAD_NAMES))
    assert torch.equal(estimator(covariance).to(torch.bfloat16).covariance, covariance)
    assert estimator(covariance).to("meta").covariance.device.type == "meta"


def test_on_real_records_least_squares_restores_chest_leads_and_identities_limb_leads(records_dir: Path):
    from anyecg_hf import TINY, AnyECGTokenizer
    from anyecg_hf.records import read_record

    paths = sorted((records_dir / "ptb-xl" / "records100" / "00000").glob("*.hea"))[:12]
    tokenizer = AnyECGTokenizer.from_pretrained(TINY)
    batch = tokenizer([read_record(path) for path in paths], return_tensors="pt")
    cleaned = [{name: batch[name][index] for name in batch} for index in range(len(paths))]
    fixed = estimator(fit_lead_covariance(cleaned[:-3], list(LEAD_NAMES)))
    values, ids = batch["input_values"][-3:], batch["lead_ids"][-3:]

    def correlation(lead: int, missing_leads: list[int]) -> float:
        missing = torch.zeros(values.shape[:3], dtype=torch.bool)
        missing[:, missing_leads] = True
        found = fixed(values.masked_fill(missing[..., None], 0.0), ids, kinds(missing)).values
        return float(torch.corrcoef(torch.stack((found[:, lead].flatten(), values[:, lead].flatten())))[0, 1])

    assert correlation(9, [9]) > 0.8
    assert correlation(4, [2, 3, 4, 5]) > 0.99
