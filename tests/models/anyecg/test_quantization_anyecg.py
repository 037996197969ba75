# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from typing import Any

import pytest
import torch
from tests.models.tiny import tiny_quantizer_config
from torch.nn.functional import normalize

from anyecg_hf.models.anyecg.quantization_anyecg import VectorQuantizer, spherical_kmeans

CODES, WIDTH = 16, 8


@torch.no_grad()
def new_quantizer(**overrides: Any) -> VectorQuantizer:
    """In training mode before its warm-up, with random codes, as the model that owns it fills them in."""
    quantizer = VectorQuantizer(tiny_quantizer_config(**overrides))
    generator = torch.Generator().manual_seed(0)
    for codebook in quantizer.codebooks:
        codebook.embeddings.copy_(torch.randn(codebook.embeddings.shape, generator=generator))
    return quantizer.train()


@torch.no_grad()
def started_quantizer(**overrides: Any) -> VectorQuantizer:
    """In training mode, past its warm-up and with every code in use; no revival."""
    quantizer = new_quantizer(**{"codebook_revival_threshold": 0, **overrides})
    for codebook in quantizer.codebooks:
        codebook.ema_counts.fill_(1.0)
        codebook.ema_sums.copy_(normalize(codebook.embeddings, dim=-1))
    quantizer.started.fill_(True)
    return quantizer


def tokens(seed: int = 1, records: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors `(B, 3, 5, d)` and a mask `(B, 3, 5)` with a padded lead and padded patches."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(records, 3, 5, dtype=torch.bool)
    mask[0, 2], mask[1, :, 3:] = False, False
    return torch.randn(records, 3, 5, WIDTH, generator=generator), mask


# Choosing codes


def test_the_chosen_code_is_the_nearest_on_the_unit_sphere():
    quantizer = started_quantizer().eval()
    vectors, mask = tokens()
    with torch.no_grad():
        quantizer.codebooks[0].embeddings.mul_(torch.linspace(0.1, 9.0, CODES)[:, None])  # lengths must not matter
    found = quantizer(vectors, mask)
    unit_codes = normalize(quantizer.codebooks[0].embeddings, dim=-1)
    distances = torch.cdist(normalize(vectors, dim=-1).flatten(0, 2), unit_codes)
    expected = distances.argmin(dim=-1).view(4, 3, 5)
    assert found.codes.shape == (4, 3, 5, 1) and found.codes.dtype == torch.int64
    assert torch.equal(found.codes[..., 0], expected)
    torch.testing.assert_close(found.vectors, unit_codes[expected])
    nearest = distances.min(dim=-1).values.square().view(4, 3, 5)
    torch.testing.assert_close(found.codebook_error, nearest, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.commitment_error, nearest, atol=1e-5, rtol=1e-5)


def test_looking_up_codes_gives_the_quantized_vectors():
    quantizer = started_quantizer(num_quantizers=2).eval()
    found = quantizer(*tokens())
    torch.testing.assert_close(quantizer.look_up(found.codes), found.vectors)


def test_more_residual_codebooks_leave_less_error():
    vectors, mask = tokens(records=40)
    errors = []
    for codebooks in (1, 2, 4):
        quantizer = new_quantizer(num_quantizers=codebooks, kmeans_iterations=10)
        quantizer(vectors, mask)
        quantizer.update_codebook()
        found = quantizer.eval()(vectors, mask)
        assert found.codes.shape == (40, 3, 5, codebooks)
        errors.append(float(found.commitment_error[mask].mean()))
    assert errors[1] < 0.6 * errors[0] and errors[2] < 0.6 * errors[1]


def test_residual_codes_take_the_mean_length_of_what_they_stand_for():
    quantizer = started_quantizer(num_quantizers=2, ema_decay=0.25)
    vectors, mask = tokens()
    first, second = quantizer.codebooks
    codes = quantizer(vectors, mask).codes
    residual = normalize(vectors, dim=-1) - first.look_up(codes[..., 0])
    lengths = (residual * normalize(second.embeddings, dim=-1)[codes[..., 1]]).sum(dim=-1)[mask]
    quantizer.update_codebook()
    assert first.gain == 1.0
    torch.testing.assert_close(second.gain, 0.25 * 1.0 + 0.75 * lengths.mean())
    torch.testing.assert_close(second.look_up(codes[..., 1]).norm(dim=-1), second.gain.expand(mask.shape))


def test_the_gradient_passes_straight_through_to_the_unit_vectors():
    quantizer = started_quantizer()
    vectors, mask = tokens()
    vectors.requires_grad_()
    weights = torch.randn(vectors.shape)
    (quantizer(vectors, mask).vectors * weights).sum().backward()
    expected = torch.autograd.grad((normalize(vectors, dim=-1) * weights).sum(), vectors)[0]
    torch.testing.assert_close(vectors.grad, expected)


def test_the_commitment_error_pulls_vectors_to_their_codes():
    quantizer = started_quantizer()
    vectors, mask = tokens()
    vectors.requires_grad_()
    before = quantizer(vectors, mask).commitment_error.sum()
    before.backward()
    moved = quantizer.eval()((vectors - 0.1 * vectors.grad).detach(), mask)
    assert moved.commitment_error.sum() < before


# Averages


def test_the_update_is_the_batch_mean_at_decay_zero():
    quantizer = started_quantizer(ema_decay=0.0)
    vectors, mask = tokens()
    before = quantizer.codebooks[0].embeddings.clone()
    codes = quantizer(vectors, mask).codes[..., 0]
    quantizer.update_codebook()
    unit = normalize(vectors, dim=-1)
    for code in range(CODES):
        own = unit[mask & (codes == code)]
        expected = normalize(own.mean(dim=0), dim=-1) if len(own) else before[code]
        torch.testing.assert_close(quantizer.codebooks[0].embeddings[code], expected)
        assert quantizer.codebooks[0].ema_counts[code] == len(own)
    assert codes[mask].unique().numel() > 5


def test_the_update_moves_by_the_decay():
    quantizer = started_quantizer(ema_decay=0.9)
    codebook = quantizer.codebooks[0]
    counts, sums = codebook.ema_counts.clone(), codebook.ema_sums.clone()
    vectors, mask = tokens()
    codes = quantizer(vectors, mask).codes[..., 0][mask]
    quantizer.update_codebook()
    unit = normalize(vectors, dim=-1)[mask]
    counted = torch.bincount(codes, minlength=CODES).float()
    summed = torch.zeros(CODES, WIDTH).index_add_(0, codes, unit)
    torch.testing.assert_close(codebook.ema_counts, 0.9 * counts + 0.1 * counted)
    torch.testing.assert_close(codebook.ema_sums, 0.9 * sums + 0.1 * summed)
    torch.testing.assert_close(codebook.embeddings, normalize(codebook.ema_sums, dim=-1))


def test_only_real_tokens_enter_the_statistics():
    vectors, mask = tokens()
    states = []
    for filler in (0.0, 5.0):
        quantizer = started_quantizer(num_quantizers=2, codebook_revival_threshold=0.5)
        quantizer(vectors.masked_fill(~mask[..., None], filler), mask)
        quantizer.update_codebook()
        states.append(quantizer.state_dict())
    assert_same_state(*states)


def test_a_batch_without_real_tokens_changes_nothing():
    quantizer = started_quantizer(codebook_revival_threshold=0.5)
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    vectors, mask = tokens()
    quantizer(vectors, torch.zeros_like(mask))
    quantizer.update_codebook()
    del before["updates"]
    assert_same_state(before, {name: quantizer.state_dict()[name] for name in before})


def test_evaluation_gathers_nothing():
    quantizer = started_quantizer().eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(*tokens())
    assert all(codebook._gathered is None for codebook in quantizer.codebooks)
    quantizer.update_codebook()
    del before["updates"]
    assert_same_state(before, {name: quantizer.state_dict()[name] for name in before})


def test_two_halves_gathered_before_an_update_count_as_one_batch():
    vectors, mask = tokens()
    whole, halves = (started_quantizer(num_quantizers=2) for _ in range(2))
    whole(vectors, mask)
    halves(vectors[:1], mask[:1])
    halves(vectors[1:], mask[1:])
    for quantizer in (whole, halves):
        quantizer.update_codebook()
    assert_same_state(whole.state_dict(), halves.state_dict(), tolerance=1e-6)


def test_the_forward_pass_alone_changes_no_buffer():
    quantizer = started_quantizer()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(*tokens())
    assert_same_state(before, quantizer.state_dict())


def test_codebooks_stay_in_single_precision_when_vectors_are_not():
    quantizer = started_quantizer(ema_decay=0.5)
    vectors, mask = tokens()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = quantizer(vectors.bfloat16(), mask)
    assert found.vectors.dtype == torch.bfloat16
    assert found.commitment_error.dtype == torch.float32
    quantizer.update_codebook()
    reference = started_quantizer(ema_decay=0.5)
    reference(vectors.bfloat16().float(), mask)
    reference.update_codebook()
    assert all(value.dtype == torch.float32 for value in quantizer.codebooks.state_dict().values())
    assert_same_state(quantizer.state_dict(), reference.state_dict())


def test_autocast_changes_no_code():
    quantizer = started_quantizer(num_quantizers=2).eval()
    vectors = torch.randn(50, 4, 10, WIDTH)
    mask = torch.ones(50, 4, 10, dtype=torch.bool)
    expected = quantizer(vectors, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = quantizer(vectors, mask)
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.vectors, expected.vectors)


# Warm-up and start


def test_vectors_pass_unquantized_until_the_warm_up_is_over():
    quantizer = new_quantizer(codebook_warmup_updates=2)
    vectors, mask = tokens()
    for _ in range(2):
        found = quantizer(vectors, mask)
        torch.testing.assert_close(found.vectors, normalize(vectors, dim=-1))
        assert not found.codebook_error.any() and not found.commitment_error.any()
        quantizer.update_codebook()
        assert not quantizer.started
    quantizer(vectors, mask)
    quantizer.update_codebook()
    assert quantizer.started and quantizer.updates == 3
    assert quantizer(vectors, mask).commitment_error[mask].mean() > 1e-3


def test_the_start_is_kmeans_of_the_real_vectors():
    quantizer = new_quantizer(kmeans_iterations=7, codebook_seed=3)
    vectors, mask = tokens()
    quantizer(vectors, mask)
    quantizer.update_codebook()
    generator = torch.Generator().manual_seed(3 * 1_000_003)
    expected = spherical_kmeans(normalize(vectors, dim=-1)[mask], CODES, 7, generator)
    torch.testing.assert_close(quantizer.codebooks[0].embeddings, expected)
    assert quantizer.codebooks[0].ema_counts.sum() >= mask.sum()


def test_kmeans_finds_well_separated_clusters():
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(WIDTH)
    labels = torch.arange(400) % WIDTH
    vectors = centres[labels] + 0.05 * torch.randn(400, WIDTH, generator=generator)
    found = spherical_kmeans(3.0 * vectors, 24, 20, generator)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(24))
    assert ((normalize(vectors, dim=-1) @ found.T).max(dim=1).values > 0.9).all()


def test_kmeans_with_fewer_vectors_than_clusters_gives_unit_vectors():
    found = spherical_kmeans(torch.randn(5, WIDTH), CODES, 5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(CODES))


def test_the_reservoir_keeps_the_newest_vectors_only():
    quantizer = new_quantizer(codebook_warmup_updates=100, codebook_reservoir_size=64)
    for seed in range(30):
        quantizer(*tokens(seed=seed))
        quantizer.update_codebook()
    kept = torch.cat(list(quantizer.training_state().values()))
    assert 64 <= len(kept) <= 96
    vectors, mask = tokens(seed=29)
    assert (kept @ normalize(vectors, dim=-1)[mask][0] > 0.9999).any()
    vectors, mask = tokens(seed=0)
    assert not (kept @ normalize(vectors, dim=-1)[mask][0] > 0.9999).any()


# Revival


def test_dead_codes_are_revived_by_vectors_of_the_batch():
    quantizer = started_quantizer(codebook_revival_threshold=0.5)
    codebook = quantizer.codebooks[0]
    with torch.no_grad():
        codebook.ema_counts[:4] = 0.0
        codebook.ema_sums[:4] = 0.0
        codebook.embeddings[:4] = -100.0 * torch.ones(WIDTH)
    vectors = tokens()[0].abs()  # far from the dead codes, which nobody will choose
    mask = tokens()[1]
    chosen = quantizer(vectors, mask).codes
    assert not (chosen < 4).any()
    quantizer.update_codebook()
    unit = normalize(vectors, dim=-1)[mask]
    for code in range(4):
        assert (unit @ codebook.embeddings[code]).max() > 0.9999
    revived = codebook.embeddings[:4]
    assert torch.pdist(revived).min() > 1e-3, "four different vectors"
    assert (codebook.ema_counts >= 0.5 * codebook.ema_counts.mean()).all()


def test_revival_can_be_switched_off():
    quantizer = started_quantizer(codebook_revival_threshold=0)
    with torch.no_grad():
        quantizer.codebooks[0].ema_counts[0] = 0.0
        quantizer.codebooks[0].embeddings[0] = -torch.ones(WIDTH)
    quantizer(tokens()[0].abs(), tokens()[1])
    quantizer.update_codebook()
    assert torch.equal(quantizer.codebooks[0].embeddings[0], -torch.ones(WIDTH))


# The paper's form: codes trained by gradient


def test_codes_are_trained_by_gradient_in_loss_mode():
    quantizer = started_quantizer(codebook_update="loss")
    vectors, mask = tokens()
    before = quantizer.codebooks[0].embeddings.detach().clone()
    errors = quantizer(vectors, mask).codebook_error
    errors[mask].sum().backward()
    gradient = quantizer.codebooks[0].embeddings.grad
    used = quantizer(vectors, mask).codes[mask].unique()
    assert (gradient[used].abs().sum(dim=-1) > 0).all()
    with torch.no_grad():
        quantizer.codebooks[0].embeddings -= 0.1 * gradient
    assert quantizer(vectors, mask).codebook_error[mask].sum() < errors[mask].sum()
    with torch.no_grad():
        quantizer.codebooks[0].embeddings.copy_(before)
    quantizer.update_codebook()
    assert torch.equal(quantizer.codebooks[0].embeddings, before), "no average beside the gradient"
    assert quantizer.codebooks[0].ema_counts.sum() != CODES, "use is still counted"


def test_codes_are_no_parameters_under_averages():
    quantizer = started_quantizer(codebook_update="ema")
    assert not list(quantizer.parameters())
    assert not quantizer(*tokens()).codebook_error.requires_grad


# The same every time


def train(quantizer: VectorQuantizer, steps: range) -> None:
    for step in steps:
        quantizer(*tokens(seed=step))
        quantizer.update_codebook()


@pytest.mark.parametrize("codebooks", [1, 2])
def test_training_draws_from_its_own_seed_only(codebooks: int):
    states = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        quantizer = new_quantizer(num_quantizers=codebooks, codebook_revival_threshold=0.5)
        train(quantizer, range(6))
        states.append(quantizer.state_dict())
    assert_same_state(*states)
    other = new_quantizer(num_quantizers=codebooks, codebook_revival_threshold=0.5, codebook_seed=1)
    train(other, range(6))
    assert not torch.equal(other.codebooks[0].embeddings, states[0]["codebooks.0.embeddings"])


@pytest.mark.parametrize("interrupted_after", [2, 5])
def test_an_interrupted_training_continues_exactly(interrupted_after: int):
    overrides = {"codebook_warmup_updates": 3, "codebook_revival_threshold": 0.5, "num_quantizers": 2}
    whole, first, second = (new_quantizer(**overrides) for _ in range(3))
    train(whole, range(8))

    train(first, range(interrupted_after))
    second.load_state_dict(first.state_dict())
    second.load_training_state(first.training_state())
    train(second, range(interrupted_after, 8))
    assert whole.started and second.started
    assert_same_state(second.state_dict(), whole.state_dict())


def assert_same_state(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 0) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )
