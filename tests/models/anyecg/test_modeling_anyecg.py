# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.battery import (
    BACKENDS,
    Answers,
    BackboneBattery,
    Batch,
    gradients,
    ignore_dynamo_deprecation,
    ignore_flex_warnings,
)
from tests.models.tiny import hidden_positions, padded_batch, tiny_config
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining

from anyecg_hf import AnyECGConfig, AnyECGForMaskedCodeModeling, AnyECGModel
from anyecg_hf.models.anyecg import attention_anyecg


class TestAnyECGModel(BackboneBattery):
    model_class = AnyECGModel
    auto_classes = (AutoModel,)
    backbone_weight = "layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGConfig:
        return tiny_config(**overrides)

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        shape = batch["input_values"].shape[:3]
        return Answers(outputs.last_hidden_state.view(*shape, -1), outputs.pooler_output)

    def loss(self, outputs: Any) -> torch.Tensor:
        target = torch.linspace(-1, 1, outputs.pooler_output.shape[-1])
        return (outputs.pooler_output - target).square().mean()


class TestAnyECGModelWithSplitAttention(TestAnyECGModel):
    """Records of the size of a test take the dense path by themselves."""

    @pytest.fixture(autouse=True)
    def split(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(attention_anyecg, "choose_path", lambda *sizes: "split")

    def test_the_split_is_what_runs(self, monkeypatch: pytest.MonkeyPatch):
        calls = []
        attend = attention_anyecg.split_attention
        monkeypatch.setattr(attention_anyecg, "split_attention", lambda *states: calls.append(1) or attend(*states))
        self.ask(self.model())
        assert len(calls) == self.config().num_hidden_layers


class TestAnyECGForMaskedCodeModeling(BackboneBattery):
    model_class = AnyECGForMaskedCodeModeling
    auto_classes = (AutoModelForPreTraining, AutoModelForMaskedLM)
    backbone_weight = "anyecg.layers.1.attention.q_proj.weight"

    def config(self, **overrides: Any) -> AnyECGConfig:
        return tiny_config(**overrides)

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        return Answers(tokens=outputs.logits)

    def inputs(self) -> Batch:
        batch = padded_batch()
        return {**batch, "bool_masked_pos": hidden_positions(batch)}

    def training_inputs(self) -> Batch:
        batch = self.inputs()
        return {**batch, "labels": random_codes(batch)}


def random_codes(batch: Batch, codebook_size: int = 16) -> torch.Tensor:
    """Codes as the tokenizer gives them: -1 where masked."""
    codes = torch.randint(codebook_size, batch["attention_mask"].shape, generator=torch.Generator().manual_seed(2))
    return codes.masked_fill(batch["attention_mask"] == 0, -1)


# Backbone


@pytest.fixture
def batch() -> Batch:
    return padded_batch()


def backbone(**overrides: Any) -> AnyECGModel:
    torch.manual_seed(0)
    return AnyECGModel(tiny_config(**overrides)).eval()


@ignore_flex_warnings
@torch.no_grad()
@pytest.mark.parametrize("backend", BACKENDS)
def test_padded_positions_are_zero_and_the_pooler_is_the_mean_of_the_others(
    backend: str, batch: Batch, uncompiled: None
):
    outputs = backbone(attn_implementation=backend)(**batch)
    real = batch["attention_mask"].flatten(1).bool()
    assert outputs.last_hidden_state.shape == (2, 18, 32)
    assert not outputs.last_hidden_state[~real].any()
    for record in range(2):
        mean = outputs.last_hidden_state[record][real[record]].mean(dim=0)
        torch.testing.assert_close(outputs.pooler_output[record], mean)


@torch.no_grad()
def test_a_record_without_real_tokens_pools_to_zero(batch: Batch):
    batch["attention_mask"][1] = 0
    assert not backbone()(**batch).pooler_output[1].any()


@torch.no_grad()
def test_a_time_offset_reads_further_rows_of_the_learned_table(batch: Batch):
    model, shifted = backbone(), backbone()
    table = shifted.embeddings.time_embeddings.weight
    table.copy_(table.roll(-2, dims=0))
    expected = shifted(**batch).last_hidden_state
    torch.testing.assert_close(model(**batch, time_offset=2).last_hidden_state, expected)
    each = model(**batch, time_offset=torch.tensor([2, 0])).last_hidden_state
    torch.testing.assert_close(each[0], expected[0])
    torch.testing.assert_close(each[1], model(**batch).last_hidden_state[1])
    assert (model(**batch).last_hidden_state - expected).abs().max() > 1e-2


@torch.no_grad()
def test_with_rotary_encoding_only_differences_in_time_matter(batch: Batch):
    model = backbone(time_encoding="rotary")
    expected = model(**batch).last_hidden_state
    found = model(**batch, time_offset=torch.tensor([100, 7])).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    backwards = {name: value.flip(2) if value.ndim > 2 else value for name, value in batch.items()}
    mirrored = model(**backwards).last_hidden_state.view(2, 3, 6, -1).flip(2).flatten(1, 2)
    assert (mirrored - expected).abs().max() > 1e-2, "but the direction of time does"


@pytest.mark.parametrize(
    ("patches", "offset", "message"),
    [
        (9, 0, r"a window of 9 patches at offset 0 does not fit the 8 learned time positions \(2 s\): use shorter"),
        (6, 3, r"a window of 6 patches at offset 3 does not fit .* `time_encoding=\"rotary\"`, which has no limit"),
        (6, torch.tensor([0, 3]), "a window of 6 patches at offset 3 does not fit the 8 learned time positions"),
    ],
)
def test_a_window_beyond_the_learned_table_is_refused(patches: int, offset: int | torch.Tensor, message: str):
    values = torch.zeros(2, 1, patches, 75)
    with pytest.raises(ValueError, match=message):
        backbone()(values, time_offset=offset)
    assert backbone(time_encoding="rotary")(values, time_offset=offset).last_hidden_state.shape == (2, patches, 32)


@torch.no_grad()
def test_a_far_patch_of_another_lead_is_seen_through_a_second_layer_only(batch: Batch):
    batch["attention_mask"][:] = 1
    changed = copy.deepcopy(batch)
    changed["input_values"][0, 2, 5] += 1.0
    for layers, seen in ((1, False), (2, True)):
        model = backbone(num_hidden_layers=layers)
        difference = model(**changed).last_hidden_state - model(**batch).last_hidden_state
        moved = difference.view(2, 3, 6, -1)[0, 0].abs().amax(dim=-1) > 1e-4
        assert moved[4] and moved[5]
        assert moved[0] == seen


@torch.no_grad()
def test_hidden_patches_show_nothing_of_themselves(batch: Batch):
    hidden = hidden_positions(batch)
    changed = copy.deepcopy(batch)
    changed["input_values"][hidden] = 3.0
    model = backbone()
    expected = model(**batch, bool_masked_pos=hidden).last_hidden_state
    torch.testing.assert_close(model(**changed, bool_masked_pos=hidden).last_hidden_state, expected, rtol=0, atol=0)
    assert (model(**batch).last_hidden_state - expected).abs().max() > 1e-2


def test_the_backbone_of_a_head_can_be_loaded_alone(tmp_path: Path, batch: Batch):
    head = AnyECGForMaskedCodeModeling(tiny_config()).eval()
    head.save_pretrained(tmp_path)
    loaded, info = AnyECGModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).pooler_output, head.anyecg(**batch).pooler_output)


# Masked code modelling


def masked_code_model(**overrides: Any) -> AnyECGForMaskedCodeModeling:
    torch.manual_seed(0)
    return AnyECGForMaskedCodeModeling(tiny_config(**overrides)).eval()


def test_the_loss_is_the_mean_cross_entropy_of_hidden_patches_with_a_code(batch: Batch):
    hidden, labels = hidden_positions(batch), random_codes(batch)
    hidden[0, 1, 2] = True  # an unusable patch, whose code is -1
    labels[0, 0, 0] = -100  # any negative number
    outputs = masked_code_model()(**batch, bool_masked_pos=hidden, labels=labels)
    assert outputs.logits.shape == (2, 3, 6, 16)
    counted = hidden & (labels >= 0)
    assert 0 < counted.sum() < hidden.sum()
    expected = torch.nn.functional.cross_entropy(outputs.logits[counted], labels[counted])
    torch.testing.assert_close(outputs.loss, expected)


def test_labels_of_visible_patches_do_not_count(batch: Batch):
    hidden, labels = hidden_positions(batch), random_codes(batch)
    model = masked_code_model()
    expected = model(**batch, bool_masked_pos=hidden, labels=labels).loss
    others = torch.where(hidden, labels, (labels + 1) % 16)
    torch.testing.assert_close(model(**batch, bool_masked_pos=hidden, labels=others).loss, expected, rtol=0, atol=0)


@pytest.mark.parametrize("nothing", ["hidden", "known"])
def test_the_loss_is_zero_where_nothing_is_to_be_predicted(nothing: str, batch: Batch):
    hidden, labels = hidden_positions(batch), random_codes(batch)
    if nothing == "hidden":
        hidden[:] = False
    else:
        labels[:] = -1
    loss = masked_code_model()(**batch, bool_masked_pos=hidden, labels=labels).loss
    assert loss.item() == 0.0
    loss.backward()


def test_residual_codes_get_one_prediction_for_each_codebook(batch: Batch):
    hidden = hidden_positions(batch)
    labels = torch.stack((random_codes(batch), random_codes(batch).flip(1)), dim=-1)
    outputs = masked_code_model(num_quantizers=2)(**batch, bool_masked_pos=hidden, labels=labels)
    assert outputs.logits.shape == (2, 3, 6, 2, 16)
    counted = hidden[..., None] & (labels >= 0)
    expected = torch.nn.functional.cross_entropy(outputs.logits[counted], labels[counted])
    torch.testing.assert_close(outputs.loss, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"labels": torch.full((2, 3, 6), 16)},
            "label 16 is beyond the codebook of 16 codes: the tokenizer belongs to",
        ),
        ({"bool_masked_pos": None}, "`labels` need `bool_masked_pos`: only hidden patches are predicted"),
        ({"labels": torch.zeros(2, 18).long()}, r"expected labels of shape \(2, 3, 6, 1\) .* got \(2, 18\)"),
        ({"labels": torch.zeros(2, 3, 6, 2).long()}, r"expected labels of shape \(2, 3, 6, 1\) .* got \(2, 3, 6, 2\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change: dict[str, torch.Tensor | None], message: str, batch: Batch):
    inputs = {**batch, "bool_masked_pos": hidden_positions(batch), "labels": random_codes(batch), **change}
    with pytest.raises(ValueError, match=message):
        masked_code_model()(**inputs)


@ignore_dynamo_deprecation
def test_the_default_compiler_computes_the_same_loss_and_gradients(batch: Batch):
    model = masked_code_model(num_hidden_layers=1)
    inputs = {**batch, "bool_masked_pos": hidden_positions(batch), "labels": random_codes(batch)}
    losses, found = [], []
    for forward in (model, torch.compile(model, fullgraph=True)):
        model.zero_grad()
        loss = forward(**inputs).loss
        loss.backward()
        losses.append(loss)
        found.append(gradients(model))
    torch.testing.assert_close(losses[1], losses[0])
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-5)
    torch.compiler.reset()


class TestScale:
    @torch.no_grad()
    def test_a_model_that_is_told_the_scale_answers_by_it(self, caplog):
        config = tiny_config(use_scale_embeddings=True)
        model, patches = AnyECGModel(config).eval(), torch.randn(2, 2, 4, config.patch_size)
        small, large = (model(patches, scale=torch.full((2,), scale)).pooler_output for scale in (0.1, 0.4))
        assert (small - large).abs().max() > 1e-3
        unknown = model(patches, scale=torch.tensor([0.1, torch.nan])).pooler_output
        torch.testing.assert_close(unknown[0], small[0])
        assert "voltages" not in caplog.text
        torch.testing.assert_close(model(patches).pooler_output[1], unknown[1])
        assert "Without `scale` the model does not know voltages" in caplog.text

    @torch.no_grad()
    def test_other_models_do_not_read_it(self):
        config = tiny_config()
        model, patches = AnyECGModel(config).eval(), torch.randn(1, 2, 4, config.patch_size)
        found = model(patches, scale=torch.tensor([0.4])).pooler_output
        torch.testing.assert_close(found, model(patches).pooler_output)

    @torch.no_grad()
    def test_windows_carry_their_scale(self):
        config = tiny_config(use_scale_embeddings=True)
        model, patches = AnyECGModel(config).eval(), torch.randn(1, 2, 4, config.patch_size)
        window = {"input_values": patches[0], "attention_mask": torch.ones(2, 4), "lead_ids": torch.tensor([0, 1])}
        expected = model(patches, lead_ids=torch.tensor([[0, 1]]), scale=torch.tensor([0.3])).pooler_output[0]
        (found,) = model.encode_windows([{**window, "scale": 0.3}])
        torch.testing.assert_close(found, expected)
