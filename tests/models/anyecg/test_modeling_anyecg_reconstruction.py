# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.models.battery import Answers, BackboneBattery, Batch, gradients
from tests.models.tiny import hidden_positions, padded_batch, tiny_config
from transformers import AutoModelForSequenceClassification

from anyecg_hf import (
    AnyECGConfig,
    AnyECGForLeadReconstruction,
    AnyECGModel,
    AutoModelForECGReconstruction,
)
from anyecg_hf.models.anyecg.lead_estimation_anyecg import PatchKinds

LEADS = 22


def lead_covariance() -> torch.Tensor:
    """A covariance of all named leads in which the limb leads keep their identities."""
    factors = torch.randn(LEADS, 8, generator=torch.Generator().manual_seed(5))
    factors[2] = factors[1] - factors[0]
    factors[3] = -(factors[0] + factors[1]) / 2
    factors[4] = (factors[0] - factors[2]) / 2
    factors[5] = (factors[1] + factors[2]) / 2
    factors[-1] = 0.0
    return factors @ factors.T / 8


def restorer(correcting: bool = False, **overrides: Any) -> AnyECGForLeadReconstruction:
    torch.manual_seed(0)
    small = {"reconstruction_width": 8, "num_reconstruction_layers": 2, "reconstruction_kernel_size": 3}
    model = AnyECGForLeadReconstruction(tiny_config(**{**small, **overrides})).eval()
    model.set_lead_covariance(lead_covariance())
    if correcting:
        for module in (model.reconstruction_head.decoder.token_weights, model.reconstruction_head.decoder.lead_weights):
            torch.nn.init.normal_(module.weight, std=0.2)
    return model


class TestAnyECGForLeadReconstruction(BackboneBattery):
    model_class = AnyECGForLeadReconstruction
    auto_classes = (AutoModelForECGReconstruction,)
    backbone_weight = "anyecg.layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGConfig:
        overrides = {"reconstruction_loss": "mse", **overrides}  # whose fall the battery can measure in shares
        small = {"reconstruction_width": 8, "num_reconstruction_layers": 2, "reconstruction_kernel_size": 3}
        return tiny_config(**{**small, **overrides})

    def model(self, seed: int = 0, **overrides: Any) -> AnyECGForLeadReconstruction:
        model = super().model(seed, **overrides)
        model.set_lead_covariance(lead_covariance())
        # At zero, as it starts, the correction would hide whatever is wrong in it.
        torch.nn.init.normal_(model.reconstruction_head.decoder.token_weights.weight, std=5.0)
        return model

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        return Answers(tokens=outputs.reconstruction)

    def inputs(self) -> Batch:
        batch = padded_batch()
        return {**batch, "bool_masked_pos": hidden_positions(batch)}

    def training_inputs(self) -> Batch:
        batch = self.inputs()
        noised = hidden_positions(batch, seed=3) & ~batch["bool_masked_pos"]
        return {**batch, "noised": noised, "labels": batch["input_values"].roll(1, dims=0)}


# One record of all limb leads and V1 to V3


@pytest.fixture
def record() -> Batch:
    """Waveforms in which the limb leads keep their identities: 8 leads, 4 patches."""
    generator = torch.Generator().manual_seed(0)
    first, second, *chest = torch.randn(5, 1, 4, 75, generator=generator).cumsum(dim=-1) / 5
    third = second - first
    limb = [first, second, third, -(first + second) / 2, (first - third) / 2, (second + third) / 2]
    values = torch.stack([*limb, *chest[:2]], dim=1)
    return {
        "input_values": values,
        "attention_mask": torch.ones(1, 8, 4, dtype=torch.long),
        "lead_ids": torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7]]),
    }


def places(record: Batch, *leads: int, times: slice = slice(None)) -> torch.Tensor:
    chosen = torch.zeros(record["attention_mask"].shape, dtype=torch.bool)
    chosen[:, list(leads), times] = True
    return chosen


@torch.no_grad()
def test_the_untrained_head_is_the_linear_solution(record: Batch):
    model = restorer()
    missing, noised = places(record, 0, 1, 2, 7), places(record, 6, times=slice(0, 2))
    outputs = model(**record, bool_masked_pos=missing, noised=noised)
    torch.testing.assert_close(outputs.reconstruction, outputs.linear_estimate, rtol=0, atol=0)
    assert outputs.loss is None
    corrected = restorer(correcting=True)(**record, bool_masked_pos=missing, noised=noised)
    torch.testing.assert_close(corrected.linear_estimate, outputs.linear_estimate, rtol=0, atol=0)
    assert (corrected.reconstruction - corrected.linear_estimate)[missing | noised].abs().max() > 1e-2


@torch.no_grad()
def test_clean_patches_come_back_as_given_and_padded_ones_as_zero(record: Batch):
    record["attention_mask"][0, 7, 3] = 0
    missing, noised = places(record, 6), places(record, 2, times=slice(0, 2))
    reconstruction = restorer(correcting=True)(**record, bool_masked_pos=missing, noised=noised).reconstruction
    clean = record["attention_mask"].bool() & ~missing & ~noised
    assert torch.equal(reconstruction[clean], record["input_values"][clean])
    assert not reconstruction[0, 7, 3].any()


@torch.no_grad()
@pytest.mark.parametrize("stray", [float("nan"), 1e9])
def test_what_stands_in_missing_patches_is_not_read(stray: float, record: Batch):
    model, missing = restorer(correcting=True), places(record, 0, 7, times=slice(1, 3))
    expected = model(**record, bool_masked_pos=missing).reconstruction
    record["input_values"][missing] = stray
    assert torch.equal(model(**record, bool_masked_pos=missing).reconstruction, expected)


def test_missing_and_padded_numbers_do_not_reach_a_gradient(record: Batch):
    record["attention_mask"][0, 5, 3] = 0
    missing = places(record, 7)
    labels = record["input_values"].clone()
    record["input_values"][missing] = float("nan")
    record["input_values"][0, 5, 3] = labels[0, 5, 3] = float("nan")
    model = restorer(correcting=True).train()
    model(**record, bool_masked_pos=missing, labels=labels).loss.backward()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())


@torch.no_grad()
@pytest.mark.parametrize("given", [(0, 1), (2, 4), (3, 5), (1, 3)])
def test_any_two_limb_leads_give_the_other_four_exactly_whatever_was_learned(given: tuple[int, int], record: Batch):
    missing = places(record, *({0, 1, 2, 3, 4, 5} - set(given)), 6)
    outputs = restorer(correcting=True)(**record, bool_masked_pos=missing)
    torch.testing.assert_close(outputs.reconstruction[:, :6], record["input_values"][:, :6], rtol=0, atol=1e-5)
    assert (outputs.reconstruction - record["input_values"])[:, 6].abs().max() > 0.1


@torch.no_grad()
def test_a_noised_limb_lead_follows_from_two_clean_ones(record: Batch):
    truth, noised = record["input_values"].clone(), places(record, 1)
    record["input_values"][noised] += 3.0
    reconstruction = restorer(correcting=True)(**record, noised=noised).reconstruction
    torch.testing.assert_close(reconstruction, truth, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_linear_solution_of_a_noised_lead_comes_from_it_and_the_clean_ones(record: Batch):
    model, noised = restorer(), places(record, 6)
    quiet = model(**record, noised=noised).linear_estimate
    least_squares = model(**record, bool_masked_pos=noised).linear_estimate
    hum = torch.sin(2 * torch.pi * 60 / 300 * torch.arange(300.0)).view(1, 1, 4, 75) * noised[..., None]
    loud = model(**{**record, "input_values": record["input_values"] + 3 * hum}, noised=noised).linear_estimate
    assert (quiet - record["input_values"])[noised].abs().max() > 1e-2
    assert (quiet - least_squares)[noised].abs().max() > 1e-2
    # What is loud in one octave is taken away there, and the others keep what they had.
    changes = [float((estimate - quiet)[noised].square().mean()) for estimate in (loud, least_squares)]
    assert changes[0] < 0.05 and changes[0] < 0.2 * changes[1]


@torch.no_grad()
def test_without_statistics_a_noised_lead_is_its_own_linear_solution(record: Batch):
    model, noised = restorer(), places(record, 6)
    model.set_lead_covariance(torch.zeros(LEADS, LEADS))
    assert torch.equal(model(**record, noised=noised).linear_estimate, record["input_values"])


@torch.no_grad()
def test_other_leads_do_without_a_noised_one(record: Batch):
    noised, missing = places(record, 6), places(record, 7)
    model = restorer()
    outputs = model(**record, bool_masked_pos=missing, noised=noised)
    shifted = {**record, "input_values": record["input_values"] + 5.0 * noised[..., None]}
    again = model(**shifted, bool_masked_pos=missing, noised=noised)
    torch.testing.assert_close(again.linear_estimate[missing], outputs.linear_estimate[missing], rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("clean_limb", [(), (4,)])
def test_restored_limb_leads_keep_their_identities_whatever_was_learned(clean_limb: tuple[int, ...], record: Batch):
    missing = places(record, *({0, 1, 2, 3, 4, 5} - set(clean_limb)))
    outputs = restorer(correcting=True)(**record, bool_masked_pos=missing)
    correction = outputs.reconstruction - outputs.linear_estimate
    assert correction.abs().max() > 1e-2
    first, second, third, right, left, foot = correction[0, :6]
    for found, expected in [
        (third, second - first),
        (right, -(first + second) / 2),
        (left, (first - third) / 2),
        (foot, (second + third) / 2),
    ]:
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_where_every_lead_is_missing_the_linear_solution_is_zero_and_the_correction_is_not(record: Batch):
    missing = places(record, *range(8), times=slice(1, 3))
    outputs = restorer(correcting=True)(**record, bool_masked_pos=missing)
    assert not outputs.linear_estimate[missing].any()
    assert outputs.reconstruction[missing].abs().max() > 1e-3
    everything = restorer(correcting=True)(**record, bool_masked_pos=places(record, *range(8)))
    assert everything.reconstruction.isfinite().all()


@torch.no_grad()
def test_the_correction_has_the_scale_of_what_is_given(record: Batch):
    head, missing, noised = restorer(correcting=True).reconstruction_head, places(record, 6), places(record, 0, 7)
    hidden = torch.randn(1, 8, 4, 32)
    kinds = PatchKinds(~missing & ~noised, missing, noised)
    values = record["input_values"].masked_fill(missing[..., None], 0.0)
    once, _ = head(values, hidden, record["lead_ids"], kinds)
    twice, _ = head(2 * values, hidden, record["lead_ids"], kinds)
    torch.testing.assert_close(twice, 2 * once)


# Loss


@pytest.mark.parametrize("loss", ["mse", "log_mse"])
def test_the_loss_is_that_of_missing_and_noised_real_patches(loss: str, record: Batch):
    record["attention_mask"][0, 7, 3] = 0
    labels = record["input_values"].flip(-1)
    labels[:, 6] *= 10.0
    missing, noised = places(record, 6, 7), places(record, 0, 2, times=slice(0, 3))
    outputs = restorer(reconstruction_loss=loss)(**record, bool_masked_pos=missing, noised=noised, labels=labels)
    errors = (outputs.reconstruction - labels).square()
    real = record["attention_mask"].bool()
    if loss == "mse":
        expected = errors[(missing | noised) & real].mean()
    else:
        counted = [(missing | noised)[0, lead] & real[0, lead] for lead in (0, 2, 6, 7)]
        pairs = zip((0, 2, 6, 7), counted, strict=True)
        ratios = [errors[0, lead][kept].mean() / labels[0, lead][kept].square().mean() for lead, kept in pairs]
        expected = torch.stack([torch.log1p(ratio / 1e-3) for ratio in ratios]).mean()
    torch.testing.assert_close(outputs.loss, expected)
    torch.testing.assert_close(outputs.missing_loss, errors[missing & real].mean())
    torch.testing.assert_close(outputs.noised_loss, errors[noised & real].mean())


def test_with_nothing_to_restore_the_loss_is_zero_and_every_parameter_has_a_gradient(record: Batch):
    model = restorer(correcting=True).train()
    loss = model(**record, bool_masked_pos=places(record), labels=record["input_values"]).loss
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not any(gradient.any() for gradient in gradients(model).values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.zeros(1, 8, 4, 75)}, "`labels` need `bool_masked_pos` or `noised`"),
        ({"bool_masked_pos": torch.ones(1, 8)}, r"expected bool_masked_pos \(1, 8, 4\) .* got \(1, 8\)"),
        ({"noised": torch.ones(1, 4, 8)}, r"expected noised \(1, 8, 4\) .* got \(1, 4, 8\)"),
        (
            {"labels": torch.zeros(1, 8, 4), "noised": torch.ones(1, 8, 4)},
            r"expected labels of shape \(1, 8, 4, 75\) .* got \(1, 8, 4\)",
        ),
    ],
)
def test_inputs_that_make_no_sense_are_refused(changes: Batch, message: str, record: Batch):
    with pytest.raises(ValueError, match=message):
        restorer()(**record, **changes)


def test_a_stride_that_cuts_patches_apart_is_refused():
    with pytest.raises(ValueError, match=r"`reconstruction_stride` \(4\) must divide `patch_size` \(75\)"):
        restorer(reconstruction_stride=4)


# Precision, size, checkpoints


def test_training_under_autocast_stays_near_single_precision(record: Batch):
    model = restorer(correcting=True).train()
    corrupted = {"bool_masked_pos": places(record, 6), "noised": places(record, 7, times=slice(1, 4))}
    expected = model(**record, **corrupted, labels=record["input_values"])
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(**record, **corrupted, labels=record["input_values"])
        limb = model(**record, bool_masked_pos=places(record, *range(6))).reconstruction[0]
    torch.testing.assert_close(limb[2], limb[1] - limb[0], rtol=0, atol=1e-5)
    outputs.loss.backward()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
    assert outputs.reconstruction.dtype == torch.float32
    torch.testing.assert_close(outputs.linear_estimate, expected.linear_estimate, rtol=0, atol=0)
    torch.testing.assert_close(outputs.loss, expected.loss, rtol=0.05, atol=0)


def test_the_covariance_keeps_its_precision_when_the_model_loses_it(tmp_path: Path):
    model = restorer().to(torch.bfloat16)
    assert torch.equal(model.lead_covariance, restorer().lead_covariance)
    model.save_pretrained(tmp_path)
    assert load_file(tmp_path / "model.safetensors")[_COVARIANCE].dtype == torch.float32
    loaded = AnyECGForLeadReconstruction.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert torch.equal(loaded.lead_covariance, model.lead_covariance)


_COVARIANCE = "reconstruction_head.lead_estimator.covariance"


def test_the_head_of_the_largest_preset_is_small_beside_its_backbone():
    with torch.device("meta"):
        model = AnyECGForLeadReconstruction(AnyECGConfig.from_preset("xl"))
    head = sum(parameter.numel() for parameter in model.reconstruction_head.parameters())
    assert head < 0.001 * sum(parameter.numel() for parameter in model.parameters())


def test_a_backbone_starts_a_head_without_statistics_that_says_so(tmp_path: Path, record: Batch):
    AnyECGModel(tiny_config()).save_pretrained(tmp_path)
    model, info = AnyECGForLeadReconstruction.from_pretrained(tmp_path, output_loading_info=True)
    assert _COVARIANCE in info["missing_keys"]
    assert not model.lead_covariance.any()
    missing = places(record, 2, 6)
    reconstruction = model(**record, bool_masked_pos=missing).reconstruction
    torch.testing.assert_close(reconstruction[:, 2], record["input_values"][:, 2], rtol=0, atol=1e-5)
    assert not reconstruction[:, 6].any()


def test_a_checkpoint_of_this_head_starts_others(tmp_path: Path):
    restorer().save_pretrained(tmp_path)
    for auto_class in (AnyECGModel, AutoModelForSequenceClassification):
        _, info = auto_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["unexpected_keys"]


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (torch.eye(12), r"over the 22 names of `config.lead_names`, of shape \(22, 22\), got \(12, 12\)"),
        (torch.full((LEADS, LEADS), float("nan")), "must be finite and symmetric"),
        (torch.ones(LEADS, LEADS).triu(), "must be finite and symmetric"),
        (-torch.eye(LEADS), "no negative eigenvalues, got -1"),
    ],
)
def test_a_matrix_that_is_no_covariance_of_the_leads_is_refused(covariance: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        restorer().set_lead_covariance(covariance)
