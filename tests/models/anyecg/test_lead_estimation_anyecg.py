# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.tiny import tiny_config

from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES
from anyecg_hf.models.anyecg.lead_estimation_anyecg import LeadEstimator, PatchKinds
from anyecg_hf.models.anyecg.lead_statistics_anyecg import fit_lead_covariance

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


# Noised leads: three sources and what is a lead's own, as slow as an ECG

BANDS_HZ = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


def band_noise(low_hz: float, high_hz: float, rms: float, samples: int = 3000, seed: int = 3) -> torch.Tensor:
    spectrum = torch.fft.rfft(torch.randn(samples, generator=torch.Generator().manual_seed(seed)))
    frequencies = torch.fft.rfftfreq(samples, 1 / 300)
    noise = torch.fft.irfft(spectrum * ((frequencies >= low_hz) & (frequencies <= high_hz)), n=samples)
    return rms * noise / noise.square().mean().sqrt()


def slow_record(seed: int = 0) -> torch.Tensor:
    """Four leads `(4, 40, 75)`, of 2 to 12 Hz; a fifth of each lead's power is its own."""
    shared = torch.stack([band_noise(2.0, 12.0, 1.0, seed=100 * seed + number) for number in range(3)])
    own = torch.stack([band_noise(2.0, 12.0, 1.0, seed=100 * seed + 10 + number) for number in range(4)])
    return (MIXING @ shared + 0.5 * own).view(4, 40, 75)


MIXING = torch.tensor([[1.0, 0.2, 0.0], [0.6, 0.8, 0.1], [0.1, 1.0, 0.4], [0.0, 0.3, 1.0]])


def slow_estimator() -> LeadEstimator:
    covariance = torch.zeros(len(LEAD_NAMES), len(LEAD_NAMES))
    covariance[6:10, 6:10] = MIXING @ MIXING.T + 0.25 * torch.eye(4)
    return estimator(covariance)


def noised_lead(noise: torch.Tensor, times: slice = slice(4, 36)) -> tuple[torch.Tensor, torch.Tensor, PatchKinds]:
    """Truth, input and kinds of a record whose third lead is noised for a while."""
    truth = slow_record()[None]
    noised = torch.zeros(1, 4, 40, dtype=torch.bool)
    noised[:, 2, times] = True
    values = truth + torch.where(noised[..., None], noise.view(1, 1, 40, 75), 0.0)
    return truth, values, PatchKinds(~noised, torch.zeros_like(noised), noised)


def by_hand(values: torch.Tensor, kinds: PatchKinds) -> np.ndarray:
    """The third lead of the record, in double precision, from the definitions."""
    signal, noised = values[0].double().numpy(), kinds.noised[0, 2].numpy()
    covariance = slow_estimator().covariance[6:10, 6:10].double().numpy()
    others = [0, 1, 3]
    ridge = 1e-4 * np.diag(np.diag(covariance)[others])
    weights = np.linalg.solve(covariance[np.ix_(others, others)] + ridge, covariance[others, 2])
    fitted = np.einsum("l,lns->ns", weights, signal[others])
    clean = np.where(kinds.clean[0, :, :, None].numpy(), signal, 0.0)
    # Powers of the clean patches, found and expected: the record is louder or quieter than others.
    expected = kinds.clean[0].numpy().sum(axis=1) @ np.diag(covariance)
    error = np.square(clean).mean(axis=2).sum() / expected * (covariance[2, 2] - weights @ covariance[others, 2])
    difference = np.where(noised[:, None], signal[2] - fitted, 0.0).reshape(-1)
    padded = 8192
    frequencies = np.abs(np.fft.fftfreq(padded, 1 / 300))
    below = [np.exp(-((frequencies / edge) ** 4)) for edge in BANDS_HZ]
    responses = np.diff([0 * frequencies, *below, 1 + 0 * frequencies], axis=0)
    energy = np.square(np.abs(np.fft.fft(clean.reshape(4, -1), padded))).sum(axis=0)
    kept = np.zeros(3000)
    for response in responses:
        part = np.fft.ifft(np.fft.fft(difference, padded) * response).real
        power = np.square(part).sum() / (75 * noised.sum())
        share = error * (energy * response**2).sum() / energy.sum()
        kept += share / (share + max(power - share, 0.0)) * part[:3000]
    return np.where(noised[:, None], fitted + kept.reshape(40, 75), signal[2])


@pytest.mark.parametrize(
    ("band_hz", "rms"), [((0.2, 0.7), 2.0), ((1.0, 10.0), 0.5), ((15.0, 70.0), 1.0), ((0.1, 140.0), 0.2)]
)
def test_a_noised_lead_is_a_wiener_filter_between_its_input_and_least_squares(band_hz: tuple, rms: float):
    _, values, kinds = noised_lead(band_noise(*band_hz, rms))
    found = slow_estimator()(values, torch.tensor([CHEST]), kinds).values
    np.testing.assert_allclose(found[0, 2].numpy(), by_hand(values, kinds), rtol=0, atol=2e-5)
    assert torch.equal(found[:, [0, 1, 3]], values[:, [0, 1, 3]])


@pytest.mark.parametrize(("band_hz", "rms"), [((0.2, 0.7), 0.1), ((1.0, 10.0), 0.3), ((15.0, 70.0), 3.0)])
def test_it_is_nearer_to_the_truth_than_its_input_and_least_squares(band_hz: tuple[float, float], rms: float):
    truth, values, kinds = noised_lead(band_noise(*band_hz, rms))
    fixed, ids = slow_estimator(), torch.tensor([CHEST])
    missing = PatchKinds(kinds.clean, kinds.noised, kinds.missing)
    answers = {
        "given": values,
        "least squares": fixed(values.masked_fill(kinds.noised[..., None], 0.0), ids, missing).values,
        "both": fixed(values, ids, kinds).values,
    }
    errors = {name: float((value - truth)[kinds.noised].square().mean()) for name, value in answers.items()}
    assert errors["both"] < 0.9 * min(errors["given"], errors["least squares"])


def test_what_least_squares_may_err_by_is_no_noise_and_a_flood_of_it_leaves_only_least_squares():
    truth, values, kinds = noised_lead(torch.zeros(3000))
    fixed, ids = slow_estimator(), torch.tensor([CHEST])
    covariance = fixed.covariance.clone()
    fixed.covariance[8, 8] *= 9.0  # an error larger than any difference here
    torch.testing.assert_close(fixed(values, ids, kinds).values, truth, rtol=0, atol=1e-5)
    fixed.covariance.copy_(covariance)
    flooded = values + kinds.noised[..., None] * band_noise(0.1, 140.0, 1e4).view(1, 1, 40, 75)
    missing = PatchKinds(kinds.clean, kinds.noised, kinds.missing)
    least_squares = fixed(values.masked_fill(kinds.noised[..., None], 0.0), ids, missing).values
    torch.testing.assert_close(fixed(flooded, ids, kinds).values, least_squares, rtol=0, atol=1e-2)


def test_without_a_clean_lead_that_tells_of_it_a_noised_patch_stays_as_it_is():
    _, values, kinds = noised_lead(band_noise(15.0, 70.0, 1.0))
    fixed, ids = slow_estimator(), torch.tensor([CHEST])
    unknown, without_statistics = LEAD_NAMES.index("unknown"), LEAD_NAMES.index("V5")
    for names in ([6, 7, unknown, 9], [unknown, without_statistics, 8, without_statistics]):
        lead_ids = torch.tensor([names])
        assert torch.equal(fixed(values, lead_ids, kinds).values, values)
    silent = values * kinds.noised[..., None]
    assert torch.equal(fixed(silent, ids, kinds).values, silent)
    kinds.clean[:, :, 10:20] = False
    kinds.noised[:, :, 10:20] = True
    found = fixed(values, ids, kinds).values
    assert torch.equal(found[:, :, 10:20], values[:, :, 10:20])
    assert (found - values)[:, 2, 20:30].abs().max() > 0.5


def test_twice_the_input_gives_twice_the_estimate():
    _, values, kinds = noised_lead(band_noise(1.0, 10.0, 0.7))
    fixed, ids = slow_estimator(), torch.tensor([CHEST])
    torch.testing.assert_close(fixed(1024 * values, ids, kinds).values, 1024 * fixed(values, ids, kinds).values)
    torch.testing.assert_close(fixed(values / 1024, ids, kinds).values, fixed(values, ids, kinds).values / 1024)


@pytest.mark.parametrize("more", [1, 7, 100])
def test_padding_and_other_records_change_nothing(more: int):
    _, values, kinds = noised_lead(band_noise(0.2, 0.7, 3.0), times=slice(0, 40))
    fixed, ids = slow_estimator(), torch.tensor([CHEST])
    expected = fixed(values, ids, kinds).values

    def padded(tensor: torch.Tensor) -> torch.Tensor:
        alone = torch.cat((tensor, tensor.new_zeros(1, 4, more, *tensor.shape[3:])), dim=2)
        return torch.cat((torch.ones_like(alone), alone))

    batch = PatchKinds(*(padded(mask) for mask in (kinds.clean, kinds.missing, kinds.noised)))
    batch.clean[0], batch.missing[0] = False, False
    found = fixed(padded(values), ids.expand(2, -1), batch).values
    torch.testing.assert_close(found[1:, :, :40], expected, rtol=0, atol=2e-5)
    assert not found[1, :, 40:].any()


def test_bands_above_half_of_a_low_sampling_rate_do_no_harm():
    fixed = slow_estimator()
    fixed.sampling_rate = 75
    _, values, kinds = noised_lead(band_noise(15.0, 70.0, 1.0))
    assert fixed(values, torch.tensor([CHEST]), kinds).values.isfinite().all()


# Precision


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
