# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from tests.models.battery import Answers, BackboneBattery, Batch, ModelBattery
from tests.models.tiny import hidden_positions, padded_batch, tiny_config

from anyecg_hf import (
    TINY,
    AnyECGConfig,
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGModel,
)


class TestAnyECGForLongRecordClassification(ModelBattery):
    model_class = AnyECGForLongRecordClassification
    auto_classes = ()
    backbone_weight = "anyecg.layers.1.attention.q_proj.weight"
    test_a_backbone_checkpoint_starts_every_head = BackboneBattery.test_a_backbone_checkpoint_starts_every_head

    def config(self, **overrides: Any) -> AnyECGConfig:
        # Of the battery's batch, the first record has a whole window and half of one, the second a single whole one.
        several = {"window_patches": 4, "windows_per_forward": 2}
        return tiny_config(**{"num_labels": 3, "problem_type": "multi_label_classification", **several, **overrides})

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        return Answers(records=outputs.logits)

    def training_inputs(self) -> Batch:
        return {**padded_batch(), "labels": torch.tensor([[1, 0, 1], [0, 1, 0]])}


@pytest.fixture
def batch() -> Batch:
    return padded_batch()


def long_model(**overrides: Any) -> AnyECGForLongRecordClassification:
    torch.manual_seed(0)
    settings = {"num_labels": 2, "window_patches": 4, "windows_per_forward": 2, **overrides}
    return AnyECGForLongRecordClassification(tiny_config(**settings)).eval()


def long_batch(patches: int = 18) -> Batch:
    """Two records: two leads for all patches; one lead for 7 patches, a whole window of 4 of them unusable."""
    values = torch.cat([padded_batch(seed=seed)["input_values"][:1, :2] for seed in range(-(-patches // 6))], dim=2)
    mask = torch.ones(2, 2, patches, dtype=torch.long)
    mask[0, 1, 3:6] = 0
    mask[1, 1] = mask[1, :, 7:] = mask[1, :, :4] = 0
    values = torch.cat((values, -values.flip(2)))[:, :, :patches] * mask[..., None]
    return {"input_values": values, "attention_mask": mask, "lead_ids": torch.tensor([[0, 1], [6, 0]])}


def single_windows(batch: Batch, patches: int, record: int = 0) -> Iterator[Batch]:
    """Features of the windows of one record, the last one as short as it is."""
    for start in range(0, batch["input_values"].shape[2], patches):
        span = slice(start, start + patches)
        yield {
            "input_values": batch["input_values"][record, :, span],
            "attention_mask": batch["attention_mask"][record, :, span],
            "lead_ids": batch["lead_ids"][record],
        }


def alone(window: Batch) -> Batch:
    return {name: value[None] for name, value in window.items()}


# Windows


@torch.no_grad()
def test_window_embeddings_are_the_backbones_of_windows_cut_by_hand_the_last_one_short():
    model, batch = long_model(time_encoding="learned"), long_batch(patches=18)
    outputs = model(**batch)
    assert outputs.window_embeddings.shape == (2, 5, 32)
    for record in range(2):
        for index, window in enumerate(single_windows(batch, 4, record)):
            assert window["input_values"].shape[1] == (2 if index == 4 else 4)
            expected = model.anyecg(**alone(window)).pooler_output[0]
            torch.testing.assert_close(outputs.window_embeddings[record, index], expected, rtol=1e-5, atol=1e-5)
    assert outputs.window_mask.tolist() == [[True] * 5, [False, True, False, False, False]]
    assert not outputs.window_embeddings[~outputs.window_mask].any()


@torch.no_grad()
def test_a_record_is_judged_alone_as_in_a_batch_with_a_longer_one():
    model, batch = long_model(), long_batch()
    together = model(**batch)
    short = {name: value[1:] for name, value in batch.items()}
    short["lead_ids"] = short["lead_ids"][:, :1]
    for patches in (7, 8, 11):
        for name in ("input_values", "attention_mask"):
            short[name] = batch[name][1:, :1, :patches]
        torch.testing.assert_close(model(**short).logits, together.logits[1:], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_record_shorter_than_a_window_is_one_short_window(batch: Batch):
    model = long_model(window_patches=8)
    outputs = model(**batch)
    expected = model.anyecg(**batch).pooler_output
    torch.testing.assert_close(outputs.window_embeddings[:, 0], expected, rtol=0, atol=0)
    torch.testing.assert_close(model(window_embeddings=expected[:, None]).logits, outputs.logits)


@torch.no_grad()
@pytest.mark.parametrize("windows_per_forward", [1, 3, 100])
def test_the_answer_does_not_depend_on_how_many_windows_are_computed_at_once(windows_per_forward: int):
    expected = long_model()(**long_batch()).logits
    found = long_model(windows_per_forward=windows_per_forward)(**long_batch()).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def sizes_of_calls(model: AnyECGForLongRecordClassification) -> list[int]:
    """Filled with the number of windows of every call of the backbone."""
    sizes: list[int] = []
    model.anyecg.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    return sizes


@pytest.mark.parametrize("freeze_backbone", [False, True])
def test_windows_go_in_chunks_unless_gradients_flow_and_empty_ones_are_skipped(freeze_backbone: bool):
    model = long_model(freeze_backbone=freeze_backbone)
    sizes = sizes_of_calls(model)
    with torch.no_grad():
        model(**long_batch())  # five real windows of the first record, one of the second
    assert sizes == [2, 2, 2]
    sizes.clear()
    model.train()(**long_batch())
    assert sizes == ([2, 2, 2] if freeze_backbone else [6])


def test_the_default_window_is_the_longest_that_training_has_covered():
    for settings, expected in [
        ({}, 8),  # `max_time_positions`
        ({"trained_time_positions": 5}, 5),
        ({"trained_time_positions": 20}, 8),
        ({"trained_time_positions": 20, "time_encoding": "rotary"}, 20),
        ({"time_encoding": "rotary"}, 8),
        ({"trained_time_positions": 5, "window_patches": 3}, 3),
        ({"trained_time_positions": 5, "window_patches": 9, "time_encoding": "rotary"}, 9),
    ]:
        assert long_model(**{"window_patches": None, **settings}).window_patches == expected
    model = long_model(window_patches=None)
    with torch.no_grad():
        assert model(**long_batch(patches=18)).window_embeddings.shape[1] == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window_patches": 9}, r"`window_patches` \(9\) goes beyond the 8 learned time positions .*\"rotary\""),
        ({"window_patches": 6, "trained_time_positions": 5}, "goes beyond the 5 learned time positions"),
        ({"window_patches": 0}, "`window_patches` must be at least 1, got 0"),
        ({"num_window_layers": 0}, "`num_window_layers` must be at least 1, got 0"),
        ({"windows_per_forward": 0}, "`windows_per_forward` must be at least 1, got 0"),
    ],
)
def test_impossible_windows_are_refused(fields: dict[str, int], message: str):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        tiny_config(**fields)


def test_an_odd_head_size_is_refused():
    with pytest.raises(ValueError, match="needs an even head size, got 3: `hidden_size` 6 over"):
        long_model(hidden_size=6)


def test_hiding_patches_is_an_augmentation(batch: Batch):
    model = long_model()
    plain, hidden = model(**batch).logits, model(**batch, bool_masked_pos=hidden_positions(batch)).logits
    assert (plain - hidden).abs().max() > 1e-3


# The Transformer over windows


@torch.no_grad()
def test_the_order_of_the_windows_matters_and_their_distance_from_the_start_does_not():
    model = long_model(window_patches=2)
    embeddings = torch.randn(1, 9, 32)
    logits = model(window_embeddings=embeddings).logits
    assert (model(window_embeddings=embeddings.flip(1)).logits - logits).abs().max() > 1e-2
    later = torch.cat((torch.zeros(1, 3000, 32), embeddings), dim=1)
    torch.testing.assert_close(model(window_embeddings=later).logits, logits, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_given_embeddings_without_a_mask_are_real_unless_zero_and_with_a_mask_nothing_else_counts():
    model = long_model()
    embeddings, mask = torch.randn(2, 4, 32), torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0]])
    expected = model(window_embeddings=embeddings * mask[..., None]).logits
    embeddings[mask == 0] = torch.nan
    outputs = model(window_embeddings=embeddings, window_mask=mask)
    torch.testing.assert_close(outputs.logits, expected, rtol=0, atol=0)
    assert torch.equal(outputs.window_mask, mask.bool())
    torch.testing.assert_close(model(window_embeddings=embeddings[1:, :1]).logits, expected[1:], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_hidden_states_of_the_layers_over_windows_can_be_asked_for():
    model, batch = long_model(num_window_layers=3), long_batch()
    states = model(**batch, output_hidden_states=True).hidden_states
    assert [state.shape for state in states] == [(2, 5, 32)] * 4
    assert model(**batch).hidden_states is None
    tokens = model.classifier.norm(states[-1])[1, 1]  # of the second record only this window is real
    torch.testing.assert_close(model.classifier.output(tokens), model(**batch).logits[1])
    model.config.output_hidden_states = True
    assert len(model(**batch).hidden_states) == 4


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "pass either patches .* or what was computed from them"),
        ({"input_values": torch.zeros(1, 1, 4, 75), "window_embeddings": torch.zeros(1, 1, 32)}, "pass either patches"),
        ({"input_values": torch.zeros(1, 1, 4, 75), "window_mask": torch.ones(1, 1)}, "pass either patches"),
        ({"attention_mask": torch.ones(1, 1, 4), "window_embeddings": torch.zeros(1, 1, 32)}, "pass either patches"),
        ({"window_embeddings": torch.zeros(3, 32)}, r"window_embeddings \(batch, windows, 32 features\) .* \(3, 32\)"),
        ({"window_embeddings": torch.zeros(1, 0, 32)}, r"at least one window, got shape \(1, 0, 32\)"),
        (
            {"window_embeddings": torch.zeros(1, 3, 32), "window_mask": torch.ones(3)},
            r"for window_embeddings \(1, 3, 32\) expected window_mask \(1, 3\), got \(3,\)",
        ),
        ({"input_values": torch.zeros(1, 1, 0, 75)}, r"the records hold no patches: got input_values \(1, 1, 0, 75\)"),
        (
            {"input_values": torch.zeros(1, 1, 4, 75), "time_offset": 3},
            "takes no `time_offset`: every window starts",
        ),
        (
            {"input_values": torch.zeros(1, 1, 4, 75), "output_attentions": True},
            'does not return attention weights: load the model with `attn_implementation="eager"` and ask its backbone',
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        long_model()(**inputs)


# Training


def test_a_frozen_backbone_stays_as_it_is_and_only_the_head_gets_gradients():
    model = long_model(freeze_backbone=True, hidden_dropout=0.5).train()
    assert model.training and model.classifier.training and not any(m.training for m in model.anyecg.modules())
    outputs = model(**long_batch(), labels=torch.tensor([0, 1]))
    assert not outputs.window_embeddings.requires_grad
    outputs.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith("classifier."), name
        assert (parameter.grad is None) != name.startswith("classifier."), name
    torch.testing.assert_close(model(**long_batch()).window_embeddings, outputs.window_embeddings, rtol=0, atol=0)


def test_a_frozen_backbone_is_frozen_after_loading_too(tmp_path: Path):
    AnyECGModel(tiny_config()).save_pretrained(tmp_path)
    model = AnyECGForLongRecordClassification.from_pretrained(tmp_path, freeze_backbone=True)
    assert {name for name, value in model.named_parameters() if value.requires_grad} == {
        f"classifier.{name}" for name, _ in model.classifier.named_parameters()
    }
    model.save_pretrained(tmp_path / "head")
    again = AnyECGForLongRecordClassification.from_pretrained(tmp_path / "head").train()
    assert not again.anyecg.training and not any(value.requires_grad for value in again.anyecg.parameters())


def test_gradients_through_a_frozen_backbone_reach_adapters_in_it_and_the_input():
    model, batch = long_model(freeze_backbone=True).train(), long_batch()
    model.anyecg.norm.weight.requires_grad_(True)
    model(**batch, labels=torch.tensor([0, 1])).loss.backward()
    assert model.anyecg.norm.weight.grad.any() and model.anyecg.norm.bias.grad is None
    model.anyecg.norm.weight.requires_grad_(False)
    batch["input_values"].requires_grad_(True)
    model(**batch, labels=torch.tensor([0, 1])).loss.backward()
    sensitive = batch["input_values"].grad.abs().sum(dim=-1) > 0
    assert torch.equal(sensitive, batch["attention_mask"].bool())


def test_every_backbone_weight_gets_a_gradient_even_from_a_batch_with_nothing_real():
    model, batch = long_model().train(), long_batch()
    batch["attention_mask"][:] = 0
    model(**batch, labels=torch.tensor([0, 1])).loss.backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.anyecg.parameters())


def test_training_a_frozen_model_on_patches_is_training_its_head_on_embeddings():
    model, batch, labels = long_model(freeze_backbone=True).train(), long_batch(), torch.tensor([0, 1])
    embeddings = model(**batch).window_embeddings
    losses = [model(**batch, labels=labels).loss, model(window_embeddings=embeddings, labels=labels).loss]
    torch.testing.assert_close(losses[1], losses[0])


def needles(records: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings `(B, 24, 32)` of which one window anywhere holds the sign that decides about the class."""
    embeddings = torch.randn(records, 24, 32, generator=generator)
    labels = torch.randint(2, (records,), generator=generator)
    where = torch.randint(24, (records,), generator=generator)
    embeddings[torch.arange(records), where, :4] = (8.0 * labels - 4.0)[:, None]
    return embeddings, labels


def test_it_learns_a_class_that_depends_on_one_window_among_many():
    model, generator = long_model(initializer_range=0.05).train(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.classifier.parameters(), lr=3e-3)
    losses = []
    for _ in range(80):
        embeddings, labels = needles(64, generator)
        loss = model(window_embeddings=embeddings, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0], losses
    embeddings, labels = needles(256, generator)
    with torch.no_grad():
        right = model.eval()(window_embeddings=embeddings).logits.argmax(dim=-1) == labels
    assert right.float().mean() > 0.9


# Checkpoints


def test_a_checkpoint_of_another_head_starts_a_new_head_and_the_other_way_round(tmp_path: Path, batch: Batch):
    for pooling, other_class in itertools.product(
        ("mean", "mean_max", "attention"), (AnyECGForSequenceClassification, AnyECGForMaskedCodeModeling)
    ):
        other = other_class(tiny_config(classifier_pooling=pooling, window_patches=4)).eval()
        other.save_pretrained(tmp_path)
        model, info = AnyECGForLongRecordClassification.from_pretrained(tmp_path, output_loading_info=True)
        assert {name.split(".")[0] for name in info["missing_keys"]} == {"classifier"}
        assert not info["unexpected_keys"] and not info["mismatched_keys"]
        model.save_pretrained(tmp_path)
        again, info = other_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["unexpected_keys"] and not info["mismatched_keys"]
        with torch.no_grad():
            torch.testing.assert_close(again.anyecg(**batch).pooler_output, other.anyecg(**batch).pooler_output)


def test_another_number_of_labels_keeps_the_transformer_over_windows(tmp_path: Path):
    saved = long_model(num_labels=2)
    saved.save_pretrained(tmp_path)
    loaded = AnyECGForLongRecordClassification.from_pretrained(tmp_path, num_labels=7, ignore_mismatched_sizes=True)
    assert loaded.classifier.output.weight.shape == (7, 32) and loaded.classifier.output.weight.isfinite().all()
    for name, tensor in saved.classifier.layers.state_dict().items():
        torch.testing.assert_close(loaded.classifier.layers.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.skipif(not Path(TINY).is_dir(), reason="the embedded checkpoint is not there")
def test_the_embedded_checkpoint_streams_a_record_to_the_same_answer():
    model = AnyECGForLongRecordClassification.from_pretrained(TINY, freeze_backbone=True, windows_per_forward=2).eval()
    assert model.window_patches == model.config.trained_time_positions
    patches = 2 * model.window_patches + 5
    values = torch.randn(1, 2, patches, model.config.patch_size)
    record = {"input_values": values, "attention_mask": torch.ones(1, 2, patches).long(), "lead_ids": torch.ones(1, 2)}
    record["lead_ids"] = record["lead_ids"].long()
    with torch.no_grad():
        expected = model(**record).logits
        windows = single_windows(record, model.window_patches)
        embeddings = torch.stack(list(model.anyecg.encode_windows(windows, batch_size=2)))
        found = model(window_embeddings=embeddings[None]).logits
    assert embeddings.shape == (3, 192) and expected.shape == (1, 5)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


# Streaming


@torch.no_grad()
def test_a_record_streamed_window_by_window_is_classified_as_from_its_patches():
    model, batch = long_model(), long_batch()
    embeddings = torch.stack(
        [torch.stack(list(model.anyecg.encode_windows(single_windows(batch, 4, record), 2))) for record in range(2)]
    )
    expected = model(**batch)
    streamed = model(window_embeddings=embeddings)
    torch.testing.assert_close(streamed.logits, expected.logits, rtol=1e-5, atol=1e-5)
    assert torch.equal(streamed.window_mask, expected.window_mask)
