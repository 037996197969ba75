# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import copy

import pytest
import torch

from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES
from anyecg_hf.training.lead_corruption import CHEST_LEADS, LIMB_LEADS, SITUATIONS, Batch, corrupt_leads

STANDARD = (*LIMB_LEADS, *CHEST_LEADS)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def clean_batch(records: int = 40, names: tuple[str, ...] = STANDARD, patches: int = 10) -> Batch:
    values = torch.randn(records, len(names), patches, 300, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([LEAD_NAMES.index(name) for name in names])
    return {
        "input_values": values,
        "attention_mask": torch.ones(records, len(names), patches, dtype=torch.long),
        "lead_ids": ids.expand(records, -1).clone(),
        "scale": torch.ones(records),
    }


def leads_of(mask: torch.Tensor) -> list[set[str]]:
    """Names of the leads that a mask `(B, 12, N)` touches, for each record."""
    return [{STANDARD[index] for index in row.nonzero()[:, 0].tolist()} for row in mask.any(dim=2)]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_is_missing_or_noised_is_said_and_the_rest_is_as_it_was(situation: str, generator: torch.Generator):
    batch = clean_batch()
    batch["attention_mask"][:, 7, :2] = 0
    before = copy.deepcopy(batch)
    corrupted = corrupt_leads(batch, situation, generator)
    assert all(torch.equal(batch[name], before[name]) for name in batch)

    missing, noised = corrupted["bool_masked_pos"], corrupted["noised"]
    real = batch["attention_mask"].bool()
    assert not (missing & noised).any() and not ((missing | noised) & ~real).any()
    assert (missing | noised).flatten(1).any(dim=1).all()
    assert torch.equal(corrupted["labels"], batch["input_values"])
    assert not corrupted["input_values"][missing].any()
    left = corrupted["attention_mask"].bool() & ~missing & ~noised
    assert left.flatten(1).any(dim=1).all()
    assert torch.equal(corrupted["input_values"][left], batch["input_values"][left])
    assert not (corrupted["attention_mask"].bool() & ~real).any()
    assert torch.equal(corrupted["scale"], batch["scale"]) and torch.equal(corrupted["lead_ids"], batch["lead_ids"])


def test_of_three_leads_the_other_chest_leads_are_restored_and_no_other_lead_is_there(generator: torch.Generator):
    corrupted = corrupt_leads(clean_batch(3), "three_leads", generator)
    assert leads_of(corrupted["bool_masked_pos"]) == [{"V1", "V3", "V4", "V5", "V6"}] * 3
    assert leads_of(corrupted["attention_mask"].bool()) == [{"I", "II", *CHEST_LEADS}] * 3
    assert not corrupted["input_values"][:, 2:6].any()


def test_every_chest_lead_is_taken_away_in_turn_or_the_one_that_is_named(generator: torch.Generator):
    drawn = leads_of(corrupt_leads(clean_batch(), "one_chest_lead", generator)["bool_masked_pos"])
    assert {len(names) for names in drawn} == {1}
    assert set.union(*drawn) == set(CHEST_LEADS)
    named = corrupt_leads(clean_batch(3), "one_chest_lead", generator, chest_lead="V4")
    assert leads_of(named["bool_masked_pos"]) == [{"V4"}] * 3
    assert named["bool_masked_pos"][:, 9].all()


def test_all_limb_leads_are_missing_together(generator: torch.Generator):
    corrupted = corrupt_leads(clean_batch(3), "limb_leads", generator)
    assert leads_of(corrupted["bool_masked_pos"]) == [set(LIMB_LEADS)] * 3


def test_some_leads_are_noised_and_for_a_while_all_are_missing(generator: torch.Generator):
    corrupted = corrupt_leads(clean_batch(), "noise_and_block", generator)
    missing, noised = corrupted["bool_masked_pos"], corrupted["noised"]
    blocked = missing.any(dim=1)
    torch.testing.assert_close(missing, blocked[:, None].expand_as(missing))
    assert set(blocked.sum(dim=1).tolist()) <= {1, 2, 3}
    starts = [row.nonzero()[:, 0] for row in blocked]
    assert all(int(times[-1] - times[0]) == len(times) - 1 for times in starts)
    share = noised.any(dim=2).float().mean()
    assert 0.3 < float(share) < 0.5
    noise = (corrupted["input_values"] - corrupted["labels"])[noised]
    snr_db = -10 * noise.square().mean(dim=-1).log10()  # the signal has unit power
    assert noise.isfinite().all() and -12 < float(snr_db.quantile(0.1)) < float(snr_db.quantile(0.9)) < 25


def test_noise_keeps_within_the_band_of_cleaned_signals(generator: torch.Generator):
    corrupted = corrupt_leads(clean_batch(20, patches=20), "noise_and_block", generator)
    whole = corrupted["noised"].sum(dim=2) >= 12
    noise = (corrupted["input_values"] - corrupted["labels"]).masked_fill(~corrupted["noised"][..., None], 0.0)
    power = torch.fft.rfft(noise[whole].flatten(1)).abs().square().sum(dim=0)
    frequencies = torch.fft.rfftfreq(6000, 1 / 300)
    assert float(power[frequencies > 80].sum() / power.sum()) < 0.02


def test_random_leads_leave_at_least_one(generator: torch.Generator):
    missing = corrupt_leads(clean_batch(200), "random_leads", generator)["bool_masked_pos"]
    counts = missing.any(dim=2).sum(dim=1)
    assert set(counts.tolist()) == set(range(1, 12))
    whole = missing.sum(dim=2).amax(dim=1) == 10
    assert 0.3 < float(whole.float().mean()) < 0.7


def test_a_mixture_draws_what_each_record_allows(generator: torch.Generator):
    corrupted = corrupt_leads(clean_batch(200), "mixture", generator)
    found = leads_of(corrupted["bool_masked_pos"])
    assert {"V1", "V3", "V4", "V5", "V6"} in found and set(LIMB_LEADS) in found and {"V2"} in found
    assert set(STANDARD) in found and corrupted["noised"].any()
    single = corrupt_leads(clean_batch(20, names=("MLII",)), "mixture", generator)
    assert single["noised"].flatten(1).any(dim=1).all()


def test_the_generator_decides_the_draws():
    one, again, other = (
        corrupt_leads(clean_batch(), "mixture", torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["bool_masked_pos"], other["bool_masked_pos"])
    torch.manual_seed(1)
    assert torch.equal(corrupt_leads(clean_batch(), "mixture")["input_values"], one["input_values"])


def test_half_precision_patches_become_single_precision(generator: torch.Generator):
    batch = clean_batch(2)
    batch["input_values"] = batch["input_values"].half()
    corrupted = corrupt_leads(batch, "limb_leads", generator)
    assert corrupted["input_values"].dtype == corrupted["labels"].dtype == torch.float32


def test_a_record_without_the_leads_is_refused_and_named(generator: torch.Generator):
    batch = clean_batch(2, names=("I", "II", "V2"))
    with pytest.raises(ValueError, match=r"record 0 with the usable leads \['I', 'II', 'V2'\] does not allow 'three_l"):
        corrupt_leads(batch, "three_leads", generator)
    batch["attention_mask"][1, :2] = 0
    with pytest.raises(ValueError, match=r"record 1 with the usable leads \['V2'\] does not allow 'limb_leads'"):
        corrupt_leads(batch, "limb_leads", generator)
    with pytest.raises(ValueError, match="record 1 .* does not allow 'one_chest_lead'"):
        corrupt_leads(batch, "one_chest_lead", generator)
    with pytest.raises(ValueError, match="record 0 .* does not allow 'one_chest_lead'"):
        corrupt_leads(batch, "one_chest_lead", generator, chest_lead="V4")
    with pytest.raises(ValueError, match="record 0 .* does not allow 'mixture'"):
        corrupt_leads(clean_batch(1, names=("I",), patches=1), "mixture", generator)


@pytest.mark.parametrize(
    ("situation", "chest_lead", "message"),
    [
        ("all_leads", None, "situation must be one of .*'mixture'.*, got 'all_leads'"),
        ("one_chest_lead", "II", "`chest_lead` is one of .*'V1'.* for 'one_chest_lead', got 'II'"),
        ("limb_leads", "V1", "for 'one_chest_lead', got 'V1'"),
    ],
)
def test_unknown_situations_and_chest_leads_are_refused(situation: str, chest_lead: str | None, message: str):
    with pytest.raises(ValueError, match=message):
        corrupt_leads(clean_batch(1), situation, chest_lead=chest_lead)
