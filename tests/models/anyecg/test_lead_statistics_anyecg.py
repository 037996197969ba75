# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import numpy as np
import pytest
import torch
from tests.models.tiny import tiny_config

from anyecg_hf import LEAD_NAMES
from anyecg_hf.models.anyecg.lead_estimation_anyecg import LeadEstimator, PatchKinds
from anyecg_hf.models.anyecg.lead_statistics_anyecg import fit_lead_covariance, fit_record_kinds

NAMES = list(LEAD_NAMES)
LEADS = [LEAD_NAMES.index(name) for name in ("I", "II", "V1", "V2")]


def record(mixing: np.ndarray, seed: int, leads: int = 4, gain: float = 1.0) -> dict[str, Any]:
    """Leads that are `mixing (4, 3)` of three sources."""
    sources = np.random.default_rng(seed).normal(size=(3, 8 * 25))
    return {
        "input_values": gain * (mixing @ sources).reshape(4, 8, 25)[:leads],
        "attention_mask": np.ones((leads, 8), dtype=bool),
        "lead_ids": np.array(LEADS[:leads]),
    }


@pytest.fixture
def bodies() -> list[np.ndarray]:
    """Two bodies: V2 follows I in one of them, its opposite in the other; how V1 follows II tells which it is."""
    return [np.array([[1, 0, 0], [0, 1, 0], [0, sign, 0.3], [2 * sign, 0, 0.1]]) for sign in (1.0, -1.0)]


@pytest.fixture
def rows(bodies) -> list[dict[str, Any]]:
    return [record(bodies[number % 2], number, gain=1.0 + number % 3) for number in range(20)]


def estimator(rows: list[dict[str, Any]], kinds: int) -> LeadEstimator:
    found = LeadEstimator(tiny_config(num_record_kinds=kinds))
    found.covariance.copy_(fit_lead_covariance(rows, NAMES))
    groups = fit_record_kinds(rows, NAMES, found.covariance, kinds)
    found.kind_covariances.copy_(groups.covariances)
    found.kind_sizes.copy_(groups.sizes)
    return found


def without_v2(row: dict[str, Any], found: LeadEstimator) -> tuple[torch.Tensor, torch.Tensor]:
    """V2 as it is and as it is estimated from the others."""
    values = torch.tensor(row["input_values"], dtype=torch.float32)[None]
    clean = torch.ones(values.shape[:3], dtype=torch.bool)
    clean[:, 3] = False
    kinds = PatchKinds(clean, ~clean, torch.zeros_like(clean))
    given = torch.where(clean[..., None], values, 0.0)
    return values[0, 3], found(given, torch.tensor(LEADS)[None], kinds).values[0, 3]


class TestKinds:
    def test_records_are_grouped_by_how_their_leads_go_together_whatever_their_size(self, rows, bodies):
        covariance = fit_lead_covariance(rows, NAMES)
        kinds = fit_record_kinds(rows, NAMES, covariance, 2)
        assert kinds.sizes.tolist() == [10.0, 10.0]
        signs = kinds.covariances[:, LEADS[0], LEADS[3]].sign()
        assert sorted(signs.tolist()) == [-1.0, 1.0]
        power = kinds.covariances.diagonal(dim1=1, dim2=2).sum(dim=1)
        torch.testing.assert_close(power, covariance.diagonal().sum().expand(2), rtol=1e-5, atol=0)

    def test_leads_that_a_record_lacks_follow_from_the_others_as_in_the_mean(self, rows, bodies):
        covariance = fit_lead_covariance(rows, NAMES)
        (only,) = fit_record_kinds([record(bodies[0], 1, leads=3)], NAMES, covariance, 1).covariances
        given, v2 = LEADS[:3], LEADS[3]
        assert only[LEADS[1], LEADS[2]] > 0.1
        weights = torch.linalg.solve(covariance[given][:, given], covariance[given, v2])
        torch.testing.assert_close(only[v2, given], weights @ only[given][:, given], rtol=1e-3, atol=1e-3)
        left = covariance[v2, v2] - weights @ covariance[given, v2]
        torch.testing.assert_close(only[v2, v2], weights @ only[given][:, given] @ weights + left, rtol=1e-3, atol=1e-3)

    def test_kinds_are_covariances_whatever_leads_and_patches_records_lack(self, rows, bodies):
        generator = np.random.default_rng(0)
        for row in rows:
            row["attention_mask"] = generator.random((4, 8)) < 0.5
            row["attention_mask"][generator.integers(4)] = False
        kinds = fit_record_kinds(rows, NAMES, fit_lead_covariance(rows, NAMES), 8)
        assert kinds.sizes.sum() > 10
        assert torch.linalg.eigvalsh(kinds.covariances.double()).min() > -1e-6

    def test_records_of_few_leads_are_left_out(self, rows, bodies):
        kinds = fit_record_kinds([record(bodies[0], 1, leads=1)], NAMES, fit_lead_covariance(rows, NAMES), 3)
        assert not kinds.sizes.any() and not kinds.covariances.any()

    def test_there_may_be_fewer_records_than_kinds(self, rows):
        kinds = fit_record_kinds(rows[:3], NAMES, fit_lead_covariance(rows, NAMES), 5)
        assert kinds.covariances.shape == (5, len(NAMES), len(NAMES)) and kinds.sizes.sum() == 3
        assert ((kinds.sizes > 0) == kinds.covariances.flatten(1).any(dim=1)).all()

    def test_the_same_rows_give_the_same_kinds(self, rows):
        first, again = (fit_record_kinds(rows, NAMES, fit_lead_covariance(rows, NAMES), 4) for _ in range(2))
        assert torch.equal(first.covariances, again.covariances)


class TestEstimates:
    def test_a_record_is_restored_by_its_own_kind(self, rows, bodies):
        plain, told = estimator(rows, 0), estimator(rows, 2)
        for number, body in enumerate(bodies):
            wanted, found = without_v2(record(body, 100 + number), told)
            _, fixed = without_v2(record(body, 100 + number), plain)
            error, fixed_error = ((each - wanted).square().mean() for each in (found, fixed))
            assert error < 0.1 * fixed_error

    def test_twice_the_input_is_twice_the_answer(self, rows, bodies):
        told = estimator(rows, 2)
        once, twice = (without_v2(record(bodies[0], 7, gain=gain), told)[1] for gain in (1.0, 2.0))
        torch.testing.assert_close(twice, 2 * once)

    def test_kinds_that_are_not_there_change_nothing(self, rows, bodies):
        plain, empty = estimator(rows, 0), estimator(rows, 0)
        empty.kind_covariances, empty.kind_sizes = torch.zeros(4, len(NAMES), len(NAMES)), torch.zeros(4)
        expected, found = (without_v2(record(bodies[0], 3), each)[1] for each in (plain, empty))
        torch.testing.assert_close(found, expected)

    def test_a_silent_record_stays_silent(self, rows):
        silent = {**rows[0], "input_values": np.zeros((4, 8, 25))}
        assert not without_v2(silent, estimator(rows, 2))[1].any()
