# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import numpy as np
import pytest
import torch
from tests.models.tiny import tiny_config

from anyecg_hf import LEAD_NAMES
from anyecg_hf.models.anyecg import fit_lead_covariance
from anyecg_hf.models.anyecg.lead_estimation_anyecg import LeadEstimator, PatchKinds
from anyecg_hf.training.record_weights import fit_record_weights

NAMES = list(LEAD_NAMES)
LEADS = [LEAD_NAMES.index(name) for name in ("I", "II", "V1", "V2")]
CONFIG = tiny_config(num_record_features=16, reconstruction_delays=(-2, 0, 2))


def record(mixing: np.ndarray, seed: int, leads: int = 4, gain: float = 1.0, lag: int = 0) -> dict[str, Any]:
    """Leads that are `mixing (4, 3)` of three sources; V2 comes later by `lag` samples."""
    sources = np.random.default_rng(seed).normal(size=(3, 8 * 25))
    signals = gain * (mixing @ sources)
    signals[3] = np.roll(signals[3], lag)
    return {
        "input_values": signals.reshape(4, 8, 25)[:leads],
        "attention_mask": np.ones((leads, 8), dtype=bool),
        "lead_ids": np.array(LEADS[:leads]),
    }


@pytest.fixture
def bodies() -> list[np.ndarray]:
    """Two bodies: V2 follows I in one of them, its opposite in the other; how V1 follows II tells which it is."""
    return [np.array([[1, 0, 0], [0, 1, 0], [0, sign, 0.3], [2 * sign, 0, 0.1]]) for sign in (1.0, -1.0)]


@pytest.fixture
def rows(bodies) -> list[dict[str, Any]]:
    return [record(bodies[number % 2], number, gain=1.0 + number % 3) for number in range(40)]


def estimator(rows: list[dict[str, Any]], fitted: bool) -> LeadEstimator:
    found = LeadEstimator(CONFIG)
    found.covariance.copy_(fit_lead_covariance(rows, NAMES))
    if fitted:
        found.record_weights.load_state_dict(fit_record_weights(rows, CONFIG, found.covariance))
    return found


def error_of_v2(row: dict[str, Any], found: LeadEstimator) -> float:
    """Mean square of how V2 differs from its estimate by the others, per power."""
    values = torch.tensor(row["input_values"], dtype=torch.float32)[None]
    clean = torch.ones(values.shape[:3], dtype=torch.bool)
    clean[:, 3] = False
    given = torch.where(clean[..., None], values, 0.0)
    estimate = found(given, torch.tensor(LEADS)[None], PatchKinds(clean, ~clean, torch.zeros_like(clean))).values
    return float((estimate - values)[0, 3].square().mean() / values[0, 3].square().mean())


def test_new_records_are_restored_as_those_of_their_body(rows, bodies):
    plain, fitted = (estimator(rows, chosen) for chosen in (False, True))
    for number, body in enumerate(bodies):
        new = record(body, 100 + number, gain=5.0)
        assert error_of_v2(new, plain) > 0.5
        assert error_of_v2(new, fitted) < 0.1


def test_leads_that_come_later_are_restored_from_delayed_copies(bodies):
    late = [record(bodies[0], number, lag=2) for number in range(40)]
    assert error_of_v2(record(bodies[0], 100, lag=2), estimator(late, False)) > 0.5
    assert error_of_v2(record(bodies[0], 100, lag=2), estimator(late, True)) < 0.1


def test_the_same_rows_give_the_same_weights_and_the_global_generator_is_left_alone(rows):
    rows = rows[:8]
    covariance = fit_lead_covariance(rows, NAMES)
    state = torch.get_rng_state()
    first, again = (fit_record_weights(rows, CONFIG, covariance) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), state)
    other = fit_record_weights(rows, CONFIG, covariance, seed=1)
    assert not torch.equal(first["output_weight"], other["output_weight"])


def test_weights_of_leads_that_no_row_has_stay_zero(rows):
    found = fit_record_weights(rows[:8], CONFIG, fit_lead_covariance(rows, NAMES))
    others = [index for index in range(len(NAMES)) if index not in LEADS]
    assert not found["output_weight"][others].any() and not found["output_weight"][:, others].any()
    assert found["output_weight"][LEADS][:, LEADS].any()
    assert all(value.isfinite().all() and not value.requires_grad for value in found.values())


def test_rows_with_gaps_flat_leads_and_few_leads_do_no_harm(rows, bodies):
    generator = np.random.default_rng(0)
    holes = [record(bodies[number % 2], 200 + number) for number in range(10)]
    for row in holes:
        row["attention_mask"] = generator.random((4, 8)) < 0.5
        row["attention_mask"][generator.integers(4)] = False
        row["input_values"][~row["attention_mask"]] = np.nan
    flat = record(0 * bodies[0], 300)
    single = record(bodies[0], 301, leads=1)
    found = estimator([*rows, *holes, flat, single], True)
    assert error_of_v2(record(bodies[1], 100), found) < 0.2


def test_without_two_leads_anywhere_there_are_no_weights(bodies):
    single = [record(bodies[0], number, leads=1) for number in range(3)]
    found = fit_record_weights(single, CONFIG, fit_lead_covariance(single, NAMES))
    assert not any(value.any() for value in found.values())
