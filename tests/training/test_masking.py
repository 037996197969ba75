# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch

from anyecg_hf.training.configs import MaskingConfig
from anyecg_hf.training.masking import MASKING_STRATEGIES, check_masking, draw_mask, hide_patches
from anyecg_hf.training.windows import seeded_generator


@pytest.fixture
def real() -> torch.Tensor:
    """200 records of up to 12 leads and 40 patches, padded, every tenth patch unusable in one lead."""
    real = torch.ones(200, 12, 40, dtype=torch.bool)
    real[50:100, :, 30:] = False
    real[100:150, 8:] = False
    real[150:200, 3:, 20:] = False
    real[:, 1, ::10] = False
    return real


def hidden_share(hidden: torch.Tensor, real: torch.Tensor) -> float:
    return float(hidden.sum() / real.sum())


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_the_ratio_is_met_among_real_patches(strategy, ratio, real):
    hidden = draw_mask(real, strategy, ratio, seeded_generator(0))
    assert not (hidden & ~real).any()
    assert hidden_share(hidden, real) == pytest.approx(ratio, abs=0.04)


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_a_ratio_of_one_hides_every_real_patch(strategy, real):
    assert torch.equal(draw_mask(real, strategy, 1.0, seeded_generator(0)), real)


def test_whole_times_are_hidden_in_every_lead_of_padded_batches(real):
    hidden = draw_mask(real, "whole_time", 0.5, seeded_generator(0))
    per_time = hidden.any(dim=1)
    assert torch.equal(hidden, real & per_time[:, None])
    assert 0.45 < hidden_share(per_time[:50], torch.ones(50, 40)) < 0.55


def test_whole_leads_are_hidden_at_every_time_of_padded_batches(real):
    hidden = draw_mask(real, "whole_lead", 0.5, seeded_generator(0))
    assert torch.equal(hidden, real & hidden.any(dim=2, keepdim=True))
    assert len({tuple(lead) for lead in hidden.any(dim=2).tolist()}) > 100


def test_a_block_is_one_stretch_of_time_in_every_lead_within_the_record(real):
    hidden = draw_mask(real, "time_block", 0.3, seeded_generator(0))
    starts = set()
    for record, found in zip(real, hidden, strict=True):
        times = found.any(dim=0).nonzero().flatten()
        lasting = record.any(dim=0).sum()
        assert len(times) == round(float(lasting) * 0.3)
        assert torch.equal(times, torch.arange(times[0], times[0] + len(times)))
        assert torch.equal(found, record & found.any(dim=0))
        starts.add((int(lasting), int(times[0])))
    assert {0, 30 - 9} <= {start for lasting, start in starts if lasting == 30}  # from the very first to the last place


@pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
def test_at_least_one_patch_of_a_record_is_hidden_and_of_an_empty_one_none(strategy):
    real = torch.zeros(64, 3, 9, dtype=torch.bool)
    real[:60, 1, 4] = True
    hidden = draw_mask(real, strategy, 0.01, seeded_generator(0))
    assert hidden.flatten(1).sum(dim=1).tolist() == [1] * 60 + [0] * 4


def test_a_small_ratio_hides_one_time_or_lead_only(real):
    for strategy, dim in (("whole_time", 1), ("whole_lead", 2)):
        hidden = draw_mask(real, strategy, 1e-6, seeded_generator(0))
        assert hidden.any(dim=dim).sum(dim=1).tolist() == [1] * 200


def test_a_block_that_falls_into_a_gap_hides_what_is_nearest_not_everything():
    real = torch.ones(100, 2, 40, dtype=torch.bool)
    real[:, :, 1:39] = False
    hidden = draw_mask(real, "time_block", 0.1, seeded_generator(0))
    n_hidden = hidden.any(dim=1).sum(dim=1)
    assert (n_hidden >= 1).all() and float((n_hidden == 1).float().mean()) > 0.9


def test_draws_follow_from_the_generator_alone(real):
    def draw(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(torch.seed() % 1000)
        return [draw_mask(real, strategy, 0.5, seeded_generator(seed)) for strategy in MASKING_STRATEGIES]

    assert all(map(torch.equal, draw(1), draw(1)))
    assert not any(map(torch.equal, draw(1), draw(2)))


@pytest.mark.parametrize(
    ("strategy", "ratio", "message"),
    [
        ("all", 0.5, "masking strategy must be one of .*time_block.*, got 'all'"),
        ("random", 0.0, r"mask ratio must lie in \(0, 1\], got 0.0"),
        ("random", 1.5, "got 1.5"),
        ("random", float("nan"), "got nan"),
    ],
)
def test_impossible_masks_are_refused(real, strategy, ratio, message):
    with pytest.raises(ValueError, match=message):
        draw_mask(real, strategy, ratio)


@pytest.mark.parametrize(
    ("masking", "message"),
    [
        ([], "`masking` is empty"),
        ([MaskingConfig(ratio=2.0)], "mask ratio"),
        ([MaskingConfig(weight=0.0)], "`weight` of a masking strategy must be positive, got 0.0"),
        ([MaskingConfig(ratio=1.0, complement=True)], "`complement` has nothing to hide"),
    ],
)
def test_ways_to_hide_are_checked_before_the_run(masking, message):
    with pytest.raises(ValueError, match=message):
        check_masking(masking)


class TestHidePatches:
    def batch(self, real: torch.Tensor) -> dict[str, torch.Tensor]:
        numbers = torch.arange(real.numel()).view(real.shape)
        return {
            "input_values": numbers[..., None].float(),
            "attention_mask": real.long(),
            "lead_ids": numbers[:, :, 0],
            "labels": numbers,
            "time_offset": torch.arange(len(real)),
        }

    def test_strategies_are_drawn_by_weight(self, real):
        masking = [MaskingConfig(strategy="whole_lead", weight=3.0), MaskingConfig(strategy="whole_time")]
        generator, n_leads = seeded_generator(0), 0
        for _ in range(400):
            batch = {"attention_mask": real[:4, :, :12].long()}
            hide_patches(batch, masking, generator)
            hidden = batch["bool_masked_pos"]
            n_leads += bool(torch.equal(hidden, real[:4, :, :12] & hidden.any(dim=2, keepdim=True)))
        assert n_leads / 400 == pytest.approx(0.75, abs=0.07)

    @pytest.mark.parametrize("strategy", MASKING_STRATEGIES)
    def test_the_complement_doubles_every_tensor_and_hides_each_real_patch_once(self, real, strategy):
        before = self.batch(real)
        batch = dict(before)
        hide_patches(batch, [MaskingConfig(strategy=strategy, complement=True)], seeded_generator(3))
        assert batch.keys() == {*before, "bool_masked_pos"}
        for name, value in before.items():
            assert torch.equal(batch[name], torch.cat((value, value))), name
        hidden = batch["bool_masked_pos"]
        assert hidden.dtype == torch.bool and hidden.shape == (400, 12, 40)
        assert torch.equal(hidden[:200].int() + hidden[200:].int(), real.int())

    def test_without_the_complement_nothing_but_the_mask_is_added(self, real):
        before = self.batch(real)
        batch = dict(before)
        hide_patches(batch, [MaskingConfig(ratio=0.3)], seeded_generator(3))
        assert all(batch[name] is value for name, value in before.items())
        assert hidden_share(batch["bool_masked_pos"], real) == pytest.approx(0.3, abs=0.02)
