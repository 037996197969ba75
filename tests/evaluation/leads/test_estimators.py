# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
import torch
from tests.evaluation.leads.lead_batches import all_situations, part, true_batch
from tests.models.tiny import tiny_config

from anyecg_hf.evaluation.leads.estimators import LeastSquares, identities, mean_of_leads
from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES
from anyecg_hf.models.anyecg.lead_estimation_anyecg import LeadEstimator
from anyecg_hf.models.anyecg.lead_statistics_anyecg import fit_lead_covariance


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
