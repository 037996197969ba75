# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from tests.models.tiny import tiny_config

from anyecg_hf import LEAD_NAMES
from anyecg_hf.models.anyecg.lead_estimation_anyecg import LeadEstimator, PatchKinds
from anyecg_hf.models.anyecg.lead_weights_anyecg import RecordWeights, delayed

LEADS = [LEAD_NAMES.index(name) for name in ("I", "II", "V1", "V2")]
V1, V2 = 2, 3


@pytest.fixture
def covariance() -> torch.Tensor:
    found = torch.zeros(len(LEAD_NAMES), len(LEAD_NAMES))
    factor = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    found[torch.tensor(LEADS)[:, None], torch.tensor(LEADS)] = factor @ factor.T
    return found


@pytest.fixture
def weights() -> RecordWeights:
    """With values that nothing was fitted to."""
    built = RecordWeights(tiny_config(num_record_features=6, reconstruction_delays=(-2, 0, 2)))
    generator = torch.Generator().manual_seed(1)
    for buffer in built.buffers():
        buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
    return built


@pytest.fixture
def values() -> torch.Tensor:
    return torch.randn(2, 4, 5, 25, generator=torch.Generator().manual_seed(2))


def ids(order: list[int] | None = None) -> torch.Tensor:
    return torch.tensor([LEADS if order is None else [LEADS[place] for place in order]]).expand(2, -1)


def all_clean(values: torch.Tensor) -> torch.Tensor:
    return torch.ones(values.shape[:3], dtype=torch.bool)


class TestDelayed:
    def test_copies_run_on_over_patches_and_end_with_zeros(self):
        leads = torch.arange(1.0, 7.0).view(1, 1, 2, 3)
        later, same, earlier = delayed(leads, (2, 0, -1))[0].flatten(2)[:, 0]
        assert later.tolist() == [0, 0, 1, 2, 3, 4]
        assert same.tolist() == [1, 2, 3, 4, 5, 6]
        assert earlier.tolist() == [2, 3, 4, 5, 6, 0]

    @pytest.mark.parametrize("delays", [(-2, 2), (0, 0)])
    def test_delays_that_lack_zero_or_repeat_are_refused(self, delays):
        with pytest.raises(ValueError, match="`reconstruction_delays` must differ, and hold 0, got"):
            RecordWeights(tiny_config(reconstruction_delays=delays))


class TestRecordWeights:
    def test_unfitted_weights_add_nothing(self, values, covariance):
        unfitted = RecordWeights(tiny_config())
        assert not unfitted(values, ids(), all_clean(values), covariance).any()

    def test_the_sum_is_that_of_delayed_leads_times_their_weights(self, weights, values, covariance):
        clean = all_clean(values)
        clean[:, V2] = False
        found = weights(values, ids(), clean, covariance)
        known = values * clean[..., None]
        own = known.flatten(2) @ known.flatten(2).mT / (5 * 25)
        pairs = clean[:, :, 0, None] & clean[:, None, :, 0]
        used = weights.weights(own, pairs, clean.mT, covariance, ids())
        assert used.shape == (2, 5, 4, 3, 4) and not used[..., V2].any() and used[..., :V2].all()
        for place, delay in enumerate((-2, 0, 2)):
            rolled = torch.roll(known.flatten(2), delay, dims=-1)
            if delay:
                rolled[..., slice(delay) if delay > 0 else slice(delay, None)] = 0.0
            found = found - torch.einsum("bnlm,bmns->blns", used[..., place, :], rolled.view_as(known))
        torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-5)

    def test_twice_the_record_has_the_same_weights(self, weights, values, covariance):
        once, twice = (weights(gain * values, ids(), all_clean(values), covariance) for gain in (1.0, 2.0))
        torch.testing.assert_close(twice, 2 * once)

    def test_another_record_has_other_weights(self, weights, values, covariance):
        signal = values[:1].expand(2, -1, -1, -1).clone()
        signal[1, V1] = signal[1, 0]  # V1 as it never follows I in the first one
        clean = all_clean(values)
        own = signal.flatten(2) @ signal.flatten(2).mT
        first, second = weights.weights(own, own > -torch.inf, clean.mT, covariance, ids())
        assert (first - second).abs().max() > 0.01

    def test_the_order_of_the_leads_does_not_matter(self, weights, values, covariance):
        order = [2, 0, 3, 1]
        expected = weights(values, ids(), all_clean(values), covariance)[:, order]
        found = weights(values[:, order], ids(order), all_clean(values), covariance)
        torch.testing.assert_close(found, expected)

    def test_a_lead_that_is_there_twice_counts_once(self, weights, values, covariance):
        expected = weights(values, ids(), all_clean(values), covariance)
        order = [0, 1, 2, 3, 3]
        again = values[:, order]
        found = weights(again, ids(order), all_clean(again), covariance)
        torch.testing.assert_close(found, expected[:, order], rtol=1e-4, atol=1e-5)

    def test_padding_changes_nothing(self, weights, values, covariance):
        expected = weights(values, ids(), all_clean(values), covariance)
        padded = torch.cat((values, torch.full_like(values, torch.nan)), dim=2)
        clean = torch.cat((all_clean(values), ~all_clean(values)), dim=2)
        found = weights(padded, ids(), clean, covariance)
        torch.testing.assert_close(found[:, :, :5], expected)

    def test_leads_without_statistics_neither_help_nor_are_helped(self, weights, values, covariance):
        expected = weights(values[:, :3], ids([0, 1, 2]), all_clean(values[:, :3]), covariance)
        lead_ids = ids().clone()
        lead_ids[:, V2] = LEAD_NAMES.index("unknown")
        found = weights(values, lead_ids, all_clean(values), covariance)
        torch.testing.assert_close(found[:, :3], expected)
        assert not found[:, 3].any()

    def test_silence_stays_silent(self, weights, values, covariance):
        assert not weights(0 * values, ids(), all_clean(values), covariance).any()


class TestInTheEstimate:
    def test_missing_limb_leads_keep_their_identities(self, weights, values):
        names = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2"]
        lead_ids = torch.tensor([[LEAD_NAMES.index(name) for name in names]])
        factor = torch.randn(len(LEAD_NAMES), 8, generator=torch.Generator().manual_seed(3))
        estimator = LeadEstimator(tiny_config(num_record_features=6, reconstruction_delays=(-2, 0, 2)))
        estimator.covariance.copy_(factor @ factor.T)
        clean = torch.zeros(1, 8, 5, dtype=torch.bool)
        clean[:, 6:] = True
        signals = torch.zeros(1, 8, 5, 25)
        signals[:, 6:] = values[:1, :2]
        plain = estimator(signals, lead_ids, PatchKinds(clean, ~clean, torch.zeros_like(clean))).values
        for name, buffer in weights.named_buffers():
            getattr(estimator.record_weights, name).copy_(buffer)
        found = estimator(signals, lead_ids, PatchKinds(clean, ~clean, torch.zeros_like(clean))).values
        added = (found - plain)[0]
        assert added[:6].abs().amax(dim=(1, 2)).min() > 0.01 and not added[6:].any()
        first, second, third, right, left, foot = added[:6]
        torch.testing.assert_close(third, second - first, rtol=0, atol=1e-4)
        torch.testing.assert_close(right, -(first + second) / 2, rtol=0, atol=1e-4)
        torch.testing.assert_close(left, (first - third) / 2, rtol=0, atol=1e-4)
        torch.testing.assert_close(foot, (second + third) / 2, rtol=0, atol=1e-4)
