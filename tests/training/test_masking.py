# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch

from anyecg_hf.training.masking import MASKING_STRATEGIES, draw_mask


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def real() -> torch.Tensor:
    """200 records of 12 leads and 40 patches; two leads and the last ten patches are not real."""
    real = torch.ones(200, 12, 40, dtype=torch.bool)
    real[:, 3:5] = False
    real[:, :, 30:] = False
    return real


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
@pytest.mark.parametrize("ratio", [0.15, 0.5, 0.8])
def test_the_ratio_of_real_patches_is_hidden_and_nothing_else(real, generator, strategy, ratio):
    hidden = draw_mask(real, strategy, ratio, generator)
    assert hidden.dtype == torch.bool and hidden.shape == real.shape
    assert not hidden[~real].any()
    assert float(hidden[real].float().mean()) == pytest.approx(ratio, abs=0.05)


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_a_ratio_of_one_hides_every_real_patch(real, generator, strategy):
    torch.testing.assert_close(draw_mask(real, strategy, 1.0, generator), real)


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_at_least_one_patch_is_hidden_where_any_is_real(generator, strategy):
    real = torch.zeros(300, 2, 3, dtype=torch.bool)
    real[1:, 1, 0] = True
    hidden = draw_mask(real, strategy, 1e-6, generator)
    assert not hidden[0].any()
    assert hidden[1:].flatten(1).sum(dim=1).eq(1).all()


def test_whole_times_are_hidden_in_every_real_lead(real, generator):
    hidden = draw_mask(real, "whole_time", 0.3, generator)
    times = hidden.any(dim=1, keepdim=True)
    torch.testing.assert_close(hidden, times & real)
    assert len({tuple(row.tolist()) for row in times[:, 0]}) > 190  # drawn for each record


def test_whole_leads_are_hidden_at_every_real_time(real, generator):
    hidden = draw_mask(real, "whole_lead", 0.3, generator)
    leads = hidden.any(dim=2, keepdim=True)
    torch.testing.assert_close(hidden, leads & real)
    assert leads.sum() > 0 and not leads.flatten(1).all(dim=1).any()


def test_the_least_that_a_whole_strategy_hides_is_a_whole_time_or_lead(generator):
    real = torch.ones(50, 4, 5, dtype=torch.bool)
    assert draw_mask(real, "whole_time", 1e-6, generator).flatten(1).sum(dim=1).eq(4).all()
    assert draw_mask(real, "whole_lead", 1e-6, generator).flatten(1).sum(dim=1).eq(5).all()


def test_the_generator_decides_the_draws(real):
    masks = [draw_mask(real, "random", 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert masks[0].equal(masks[1]) and not masks[0].equal(masks[2])
    torch.manual_seed(1)
    assert draw_mask(real, "random", 0.5).equal(masks[0])


def test_unknown_strategies_are_refused(real):
    with pytest.raises(ValueError, match=r"must be one of \('random', 'whole_time', 'whole_lead'\), got 'block'"):
        draw_mask(real, "block", 0.5)


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.01])
def test_impossible_ratios_are_refused(real, ratio):
    with pytest.raises(ValueError, match=rf"mask ratio must lie in \(0, 1\], got {ratio}"):
        draw_mask(real, "random", ratio)
