# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from tests.models.battery import Answers, Batch, ModelBattery, crop
from tests.models.tiny import padded_batch, tiny_quantizer_config
from torch.nn.functional import normalize
from transformers import AutoModel, AutoModelForAudioTokenization, PreTrainedModel

from anyecg_hf import AnyECGQuantizerConfig, AnyECGRhythmQuantizer

NAN = float("nan")
LOSS_TERMS = ("morphology_loss", "frequency_loss", "demography_loss", "codebook_loss", "commitment_loss")


class TestAnyECGRhythmQuantizer(ModelBattery):
    model_class = AnyECGRhythmQuantizer
    auto_classes = (AutoModel, AutoModelForAudioTokenization)
    backbone_weight = "encoder.layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGQuantizerConfig:
        return tiny_quantizer_config(**overrides)

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        return Answers(tokens=torch.cat((outputs.reconstruction, outputs.codes[..., None]), dim=-1))

    def training_inputs(self) -> Batch:
        return {**padded_batch(), "demographics": torch.tensor([[60.0, 80.0, 1.0], [40.0, NAN, 0.0]])}

    def after_step(self, model: PreTrainedModel) -> None:
        model.update_codebook()


# The five loss terms, by hand


class Watched:
    """A quantizer whose inner results can be read after a forward pass."""

    def __init__(self, **overrides: Any):
        torch.manual_seed(0)
        self.model = AnyECGRhythmQuantizer(tiny_quantizer_config(**overrides)).eval()
        self.seen: dict[str, Any] = {}
        for name in ("quantizer", "decoder.frequency_head", "decoder.demography_head"):
            self.model.get_submodule(name).register_forward_hook(
                lambda module, inputs, output, name=name: self.seen.update({name: output, f"{name} input": inputs[0]})
            )

    def __call__(self, **inputs: torch.Tensor):
        return self.model(**inputs)


def by_hand(watched: Watched, batch: Batch) -> dict[str, np.ndarray]:
    """Squared errors of the real elements, term by term, from the definitions and PyWavelets."""
    config, real = watched.model.config, batch["attention_mask"].bool()
    with torch.no_grad():
        outputs = watched(**batch)
    bands = pywt.wavedec(batch["input_values"][real].numpy(), "db6", mode="symmetric", level=2, axis=-1)
    target = np.concatenate([band / std for band, std in zip(bands, config.band_std, strict=True)], axis=-1)
    tokens = watched.seen["quantizer"]
    units = normalize(watched.seen["quantizer input"], dim=-1)
    distances = (units - tokens.vectors).square().sum(dim=-1)[real]

    means = torch.stack([tokens.vectors[record][real[record]].mean(dim=0) for record in range(len(real))])
    torch.testing.assert_close(watched.seen["decoder.demography_head input"], means)
    attributes = (batch["demographics"] - torch.tensor([59.3, 71.0, 0.48])) / torch.tensor([16.8, 15.9, 0.5])
    known = ~attributes.isnan()
    return {
        "morphology_loss": (outputs.reconstruction - batch["input_values"])[real].square().numpy(),
        "frequency_loss": (watched.seen["decoder.frequency_head"][real].numpy() - target) ** 2,
        "demography_loss": (watched.seen["decoder.demography_head"] - attributes)[known].square().numpy(),
        "codebook_loss": distances.numpy(),
        "commitment_loss": distances.numpy(),
    }


@pytest.fixture
def batch() -> Batch:
    return {**padded_batch(), "demographics": torch.tensor([[60.0, 80.0, 1.0], [40.0, NAN, 0.0]])}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_terms_are_what_the_paper_says(reduction: str, batch: Batch):
    weights = {"morphology_weight": 0.5, "frequency_weight": 2.0, "demography_weight": 3.0, "codebook_weight": 5.0}
    watched = Watched(loss_reduction=reduction, commitment_weight=0.25, **weights)
    errors = by_hand(watched, batch)
    assert errors["morphology_loss"].shape == (17 + 8, 75)
    assert errors["frequency_loss"].shape == (17 + 8, 97)
    assert errors["demography_loss"].shape == (5,)
    expected = {name: getattr(np, reduction)(values) for name, values in errors.items()}
    outputs = watched(**batch)
    for name, value in expected.items():
        assert float(outputs[name].detach()) == pytest.approx(value, rel=1e-4), name
    total = sum(weight * expected[name.replace("_weight", "_loss")] for name, weight in weights.items())
    assert float(outputs.loss.detach()) == pytest.approx(total + 0.25 * expected["commitment_loss"], rel=1e-4)


def test_the_codebook_term_has_a_gradient_in_loss_mode_only(batch: Batch):
    averaged = Watched().model.train()(**batch)
    assert not averaged.codebook_loss.requires_grad and averaged.commitment_loss.requires_grad
    by_gradient = Watched(codebook_update="loss")
    outputs = by_gradient(**batch)
    outputs.codebook_loss.backward()
    gradient = by_gradient.model.quantizer.codebooks[0].embeddings.grad
    used = outputs.codes[outputs.codes >= 0].unique()
    assert (gradient[used].abs().sum(dim=-1) > 0).all()
    assert by_gradient.model.code_projection[0].weight.grad is None, "the term moves codes, not vectors"


@pytest.mark.parametrize("demographics", [None, torch.full((2, 3), NAN)], ids=["left out", "all unknown"])
def test_without_demographics_the_term_is_zero_and_still_touches_its_head(
    demographics: torch.Tensor | None, batch: Batch
):
    model = Watched().model.train()
    outputs = model(**{**batch, "demographics": demographics})
    assert outputs.demography_loss.item() == 0.0
    outputs.loss.backward()
    head = model.decoder.demography_head
    assert head.weight.grad is not None and not head.weight.grad.any() and not head.bias.grad.any()


def test_padding_changes_no_loss_term(batch: Batch):
    model = Watched().model
    alone = {name: crop(name, value, 1, 2, 4) for name, value in batch.items()}
    padded = {name: value[1:] for name, value in batch.items()}
    with torch.no_grad():
        expected, found = model(**alone), model(**padded)
    for name in (*LOSS_TERMS, "loss", "perplexity", "codebook_usage"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_a_batch_without_anything_real_has_no_loss(batch: Batch):
    with torch.no_grad():
        outputs = Watched().model(**{**batch, "attention_mask": torch.zeros(2, 3, 6).long()})
    for name in (*LOSS_TERMS, "loss"):
        assert outputs[name] == 0.0, name
    assert (outputs.codes == -1).all()


# Codes and codebook


def test_outputs_are_blank_where_nothing_is_real(batch: Batch):
    outputs = Watched().model(**batch)
    padded = batch["attention_mask"] == 0
    assert outputs.codes.shape == (2, 3, 6) and outputs.reconstruction.shape == (2, 3, 6, 75)
    assert (outputs.codes[padded] == -1).all() and not outputs.reconstruction[padded].any()
    assert (outputs.codes[~padded] >= 0).all() and outputs.reconstruction[~padded].any(dim=-1).all()


def test_perplexity_and_usage_describe_the_codes_of_the_batch(batch: Batch):
    outputs = Watched().model(**batch)
    counts = torch.bincount(outputs.codes[outputs.codes >= 0], minlength=16).float()
    shares = counts[counts > 0] / counts.sum()
    torch.testing.assert_close(outputs.perplexity, (-(shares * shares.log()).sum()).exp())
    torch.testing.assert_close(outputs.codebook_usage, (counts > 0).float().mean())


@pytest.mark.parametrize("codebooks", [1, 3])
def test_encode_and_decode_are_the_two_halves_of_the_forward_pass(codebooks: int, batch: Batch):
    model = Watched(num_quantizers=codebooks).model
    inputs = {name: batch[name] for name in ("input_values", "attention_mask", "lead_ids")}
    with torch.no_grad():
        outputs = model(**batch)
    codes = model.encode(**inputs)
    assert codes.shape == ((2, 3, 6) if codebooks == 1 else (2, 3, 6, codebooks))
    assert torch.equal(codes, outputs.codes)
    torch.testing.assert_close(model.decode(codes, batch["lead_ids"]), outputs.reconstruction)
    assert not model.encode(**inputs).requires_grad


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_real_token_is_counted_once_however_the_gradient_is_computed(checkpointing: bool, batch: Batch):
    model = Watched().model.train()
    model.quantizer.started.fill_(True)
    if checkpointing:
        model.activation_checkpointing_enable()
    model(**batch).loss.backward()
    assert model.quantizer.codebooks[0]._gathered.counts.sum() == batch["attention_mask"].sum()


def test_a_window_beyond_the_learned_time_positions_is_refused(batch: Batch):
    values = torch.zeros(1, 1, 9, 75)
    message = r"a window of 9 patches at offset 0 does not fit the 8 learned time positions \(2 s\)"
    model = Watched().model
    for refused in (
        lambda: model(values),
        lambda: model.encode(values),
        lambda: model.decode(torch.zeros(1, 1, 9).long()),
    ):
        with pytest.raises(ValueError, match=message):
            refused()
    assert Watched(time_encoding="rotary").model.encode(values).shape == (1, 1, 9)


def test_the_codebook_stays_in_single_precision_in_a_half_precision_model(tmp_path: Path):
    model = Watched().model
    model.save_pretrained(tmp_path)
    loaded = AnyECGRhythmQuantizer.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    for name, value in loaded.quantizer.state_dict().items():
        expected = model.quantizer.state_dict()[name]
        assert value.dtype == expected.dtype and torch.equal(value, expected), name
    assert loaded(**padded_batch()).loss.isfinite()
