# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What holds for every model class; `tests/models/*/test_modeling_*.py` name the class and add what is its own."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.tiny import padded_batch
from transformers import PreTrainedConfig, PreTrainedModel

BACKENDS = ("eager", "sdpa", "flex_attention", "cardio_sparse")
# Flex attention has no backward pass on the CPU.
BACKENDS_WITH_GRADIENT = ("sdpa", "cardio_sparse")
TIME_ENCODINGS = ("learned", "rotary")

# Largest difference between two ways to compute the same thing, per dtype.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2}

Batch = dict[str, torch.Tensor]

# Deprecations inside torch and transformers, in how they call each other; no change of ours can avoid them.
ignore_dynamo_deprecation = pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated")


def ignore_flex_warnings(test: Callable) -> Callable:
    """Of flex attention: the same, and the advice to compile, which takes longer than these tests."""
    for message in ("_compile flag on create_block_mask", "flex_attention called without torch.compile"):
        test = pytest.mark.filterwarnings(f"ignore:{message}")(test)
    return test


@dataclass
class Answers:
    """
    What a model says, sorted by what it says it about.

    Attributes:
        tokens (`torch.Tensor` of shape `(B, L, N, ...)`, *optional*): One answer for each patch.
        records (`torch.Tensor` of shape `(B, ...)`, *optional*): One answer for each record.
    """

    tokens: torch.Tensor | None = None
    records: torch.Tensor | None = None

    def record(self, index: int, leads: int, patches: int) -> "Answers":
        """The answers about the first leads and patches of one record."""
        tokens = None if self.tokens is None else self.tokens[index : index + 1, :leads, :patches]
        return Answers(tokens, None if self.records is None else self.records[index : index + 1])


def assert_same(found: Answers, expected: Answers, tolerance: float = TOLERANCE[torch.float32]) -> None:
    for name in ("tokens", "records"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def gradients(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


class ModelBattery:
    """
    The shared properties. A test class inherits from it and fills in the hooks of the first part.

    Attributes:
        model_class (`type[PreTrainedModel]`): The class under test.
        auto_classes (`tuple[type, ...]`): Auto classes that must lead to it.
        backbone_weight (`str`): Name of a weight without which a checkpoint is no checkpoint.
    """

    model_class: type[PreTrainedModel]
    auto_classes: tuple[type, ...]
    backbone_weight: str

    def config(self, **overrides: Any) -> PreTrainedConfig:
        raise NotImplementedError

    def answers(self, outputs: Any, batch: Batch) -> Answers:
        raise NotImplementedError

    def loss(self, outputs: Any) -> torch.Tensor:
        return outputs.loss

    def inputs(self) -> Batch:
        """What `forward` needs for answers: a padded batch."""
        return padded_batch()

    def training_inputs(self) -> Batch:
        """What `forward` needs for a loss."""
        return self.inputs()

    def after_step(self, model: PreTrainedModel) -> None:
        """What training does after an optimiser step."""

    # Help for the tests below

    def model(self, seed: int = 0, **overrides: Any) -> PreTrainedModel:
        torch.manual_seed(seed)
        return self.model_class(self.config(**overrides)).eval()

    @torch.no_grad()
    def ask(self, model: PreTrainedModel, batch: Batch | None = None) -> Answers:
        batch = self.inputs() if batch is None else batch
        return self.answers(model(**batch), batch)

    def backward(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        model.zero_grad()
        self.loss(model(**self.training_inputs())).backward()
        return gradients(model)

    # Saving and loading

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
    def test_a_saved_model_loads_complete_and_answers_the_same(self, dtype: torch.dtype, tmp_path: Path):
        model = self.model().to(dtype)
        model.save_pretrained(tmp_path)
        loaded, info = self.model_class.from_pretrained(tmp_path, output_loading_info=True)

        assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
        assert loaded.dtype == dtype
        assert not loaded.training
        saved_state, loaded_state = model.state_dict(), loaded.state_dict()
        assert saved_state.keys() == loaded_state.keys()
        for name, tensor in saved_state.items():
            torch.testing.assert_close(loaded_state[name], tensor, rtol=0, atol=0, check_dtype=False)
        assert_same(self.ask(loaded), self.ask(model), TOLERANCE[dtype])

    def test_a_model_saved_in_many_shards_loads_complete(self, tmp_path: Path):
        model = self.model()
        model.save_pretrained(tmp_path, max_shard_size="20KB")
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 2

        loaded, info = self.model_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
        assert_same(self.ask(loaded), self.ask(model), tolerance=0)

    def test_every_auto_class_loads_it(self, tmp_path: Path):
        self.model().save_pretrained(tmp_path)
        for auto_class in self.auto_classes:
            assert type(auto_class.from_pretrained(tmp_path)) is self.model_class
            assert type(auto_class.from_config(self.config())) is self.model_class

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
    def test_buffers_come_back_as_they_were_built(self, dtype: torch.dtype, tmp_path: Path):
        model = self.model()
        model.save_pretrained(tmp_path)
        loaded = dict(self.model_class.from_pretrained(tmp_path, dtype=dtype).named_buffers())
        assert loaded.keys() == dict(model.named_buffers()).keys()
        for name, built in model.named_buffers():
            torch.testing.assert_close(loaded[name], built, rtol=0, atol=0, msg=lambda m, n=name: f"{n}: {m}")

    def test_a_checkpoint_without_a_backbone_weight_is_refused(self, tmp_path: Path):
        self.model().save_pretrained(tmp_path)
        drop_weight(tmp_path, self.backbone_weight)
        with pytest.raises(ValueError, match=f"lacks 1 weights of {self.model_class.__name__}.*{self.backbone_weight}"):
            self.model_class.from_pretrained(tmp_path)

    def test_fields_passed_when_loading_are_checked_like_others(self, tmp_path: Path):
        self.model().save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="must be >= 0, got -1"):
            self.model_class.from_pretrained(tmp_path, time_tolerance=-1)

    def test_a_backbone_weight_of_another_shape_is_refused_even_where_mismatches_are_ignored(self, tmp_path: Path):
        self.model().save_pretrained(tmp_path)
        reshape_weight(tmp_path, self.backbone_weight)
        with pytest.raises(ValueError, match=f"lacks 1 weights of {self.model_class.__name__}.*{self.backbone_weight}"):
            self.model_class.from_pretrained(tmp_path, ignore_mismatched_sizes=True)

    @pytest.mark.parametrize("device_map", ["cpu", "auto"])
    def test_it_loads_through_a_device_map(self, device_map: str, tmp_path: Path):
        model = self.model()
        model.save_pretrained(tmp_path)
        loaded = self.model_class.from_pretrained(tmp_path, device_map=device_map)
        on_host = {name: value.to(loaded.device) for name, value in self.inputs().items()}
        found = self.ask(loaded, on_host)
        moved = Answers(*(None if value is None else value.cpu() for value in (found.tokens, found.records)))
        assert_same(moved, self.ask(model))

    def test_every_tensor_is_a_parameter_or_a_buffer(self):
        for name, module in self.model().named_modules():
            strays = [key for key, value in vars(module).items() if isinstance(value, torch.Tensor)]
            assert not strays, f"{name}: neither saved nor moved with the model"

    # The same answer every time, in any company, by any implementation

    def test_the_same_seed_builds_the_same_model_and_the_same_answer(self):
        first, second = self.model(seed=3), self.model(seed=3)
        for (name, ours), theirs in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, msg=lambda m, n=name: f"{n}: {m}")
        assert_same(self.ask(first), self.ask(first), tolerance=0)
        assert_same(self.ask(first), self.ask(second), tolerance=0)

    def test_cardio_sparse_attention_is_the_default_unless_another_is_named(self, tmp_path: Path):
        model = self.model()
        assert model.config._attn_implementation == "cardio_sparse"
        model.save_pretrained(tmp_path)
        assert self.model_class.from_pretrained(tmp_path).config._attn_implementation == "cardio_sparse"
        named = self.model_class.from_pretrained(tmp_path, attn_implementation="eager")
        assert named.config._attn_implementation == "eager"
        with pytest.raises(ValueError, match='"attn_implementation=nonsense"|attn_implementation="nonsense"'):
            self.model_class.from_pretrained(tmp_path, attn_implementation="nonsense")

    def test_a_chosen_implementation_stays_until_another_is_chosen(self, tmp_path: Path):
        self.model().save_pretrained(tmp_path)
        model = self.model_class.from_pretrained(tmp_path, attn_implementation="sdpa")
        self.ask(model)
        assert {module.config._attn_implementation for module in _configured(model)} == {"sdpa"}
        for name in ("cardio_sparse", "eager", "cardio_sparse"):
            model.set_attn_implementation(name)
            self.ask(model)
            assert {module.config._attn_implementation for module in _configured(model)} == {name}

    @ignore_flex_warnings
    @pytest.mark.parametrize("time_encoding", TIME_ENCODINGS)
    def test_all_attention_implementations_agree_on_a_padded_batch(self, time_encoding: str, uncompiled: None):
        model = self.model(time_encoding=time_encoding)
        model.set_attn_implementation("eager")
        expected = self.ask(model)
        for backend in BACKENDS:
            model.set_attn_implementation(backend)
            assert model.config._attn_implementation == backend
            assert_same(self.ask(model), expected)

    @pytest.mark.parametrize("backend", BACKENDS_WITH_GRADIENT)
    def test_gradients_agree_with_those_of_eager_attention(self, backend: str):
        model = self.model()
        model.set_attn_implementation("eager")
        expected = self.backward(model)
        model.set_attn_implementation(backend)
        for name, gradient in self.backward(model).items():
            assert gradient.isfinite().all(), name
            scale = max(float(expected[name].abs().max()), 1e-3)
            torch.testing.assert_close(gradient / scale, expected[name] / scale, rtol=1e-4, atol=1e-4)

    @pytest.mark.gpu
    def test_gradients_of_flex_attention_agree_with_those_of_eager_attention(self):
        model = self.model(hidden_size=64, num_attention_heads=2).cuda()
        inputs = {name: value.cuda() for name, value in self.training_inputs().items()}
        found = {}
        for backend in ("eager", "flex_attention"):
            model.set_attn_implementation(backend)
            model.zero_grad()
            self.loss(model(**inputs)).backward()
            found[backend] = gradients(model)
        for name, gradient in found["flex_attention"].items():
            torch.testing.assert_close(gradient, found["eager"][name], rtol=1e-2, atol=1e-3)

    @pytest.mark.parametrize("time_encoding", TIME_ENCODINGS)
    def test_a_record_gets_the_same_answer_alone_and_padded_in_a_batch(self, time_encoding: str):
        model, batch = self.model(time_encoding=time_encoding), self.inputs()
        together = self.ask(model, batch)
        for index, (leads, patches) in enumerate([(3, 6), (2, 4)]):
            alone = {name: crop(name, value, index, leads, patches) for name, value in batch.items()}
            assert_same(together.record(index, leads, patches), self.ask(model, alone))

    def test_what_stands_in_padded_places_changes_nothing(self):
        model, batch = self.model(), self.inputs()
        padded = batch["attention_mask"] == 0
        other = copy.deepcopy(batch)
        other["input_values"][padded] = 7.0
        other["lead_ids"][1, 2] = 5
        for implementation in ("eager", "cardio_sparse"):
            model.set_attn_implementation(implementation)
            found, expected = self.ask(model, other), self.ask(model, batch)
            assert_same(found, expected)

    def test_the_order_of_the_leads_does_not_matter(self):
        model, batch = self.model(), self.inputs()
        order = torch.tensor([2, 0, 1])
        shuffled = {name: value[:, order] if value.ndim > 1 else value for name, value in batch.items()}
        found, expected = self.ask(model, shuffled), self.ask(model, batch)
        if expected.tokens is not None:
            expected.tokens = expected.tokens[:, order]
        assert_same(found, expected)

    def test_leads_and_masks_may_be_left_out(self):
        model, batch = self.model(), self.inputs()
        values = batch["input_values"]
        unknown = torch.full(values.shape[:2], model.config.unknown_lead_id)
        spelled_out = {**batch, "attention_mask": torch.ones(values.shape[:3]).long(), "lead_ids": unknown}
        left_out = {name: value for name, value in batch.items() if name not in ("attention_mask", "lead_ids")}
        assert_same(self.ask(model, left_out), self.ask(model, spelled_out), tolerance=0)

    def test_a_record_with_nothing_real_in_it_still_gets_finite_numbers(self):
        model, batch = self.model(), self.inputs()
        batch["attention_mask"][1] = 0
        for implementation in ("eager", "sdpa", "cardio_sparse"):
            model.set_attn_implementation(implementation)
            answers = self.ask(model, batch)
            for value in (answers.tokens, answers.records):
                assert value is None or value.isfinite().all()

    @pytest.mark.parametrize(
        ("name", "shape", "message"),
        [
            ("input_values", (2, 3, 6, 300), r"expected input_values \(batch, leads, patches, 75 samples\), got shape"),
            ("input_values", (2, 3, 450), r"expected input_values .* got shape \(2, 3, 450\)"),
            ("attention_mask", (2, 18), r"expected attention_mask of the same shape .* got \(2, 18\)"),
            ("lead_ids", (2, 1), r"lead_ids \(2, 3\), got \(2, 3, 6\) and \(2, 1\)"),
        ],
    )
    def test_inputs_of_another_shape_are_refused(self, name: str, shape: tuple[int, ...], message: str):
        batch = self.inputs()
        batch[name] = torch.zeros(shape, dtype=batch[name].dtype)
        with pytest.raises(ValueError, match=message):
            self.model()(**batch)

    def test_half_precision_stays_near_single_precision(self):
        model = self.model()
        expected = self.ask(model)
        found = self.ask(model.to(torch.bfloat16))
        for ours, theirs in ((found.tokens, expected.tokens), (found.records, expected.records)):
            if theirs is not None:
                error = (ours.float() - theirs).square().mean().sqrt()
                assert error < TOLERANCE[torch.bfloat16] * theirs.square().mean().sqrt()

    @ignore_dynamo_deprecation
    def test_it_compiles_to_one_graph(self):
        model = self.model()
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        assert_same(self.ask(compiled), self.ask(model))
        torch.compiler.reset()

    # Training

    def test_every_parameter_receives_a_gradient(self):
        model = self.model().train()
        for name, gradient in self.backward(model).items():
            assert gradient.isfinite().all(), name

    def test_every_parameter_receives_a_gradient_when_optional_inputs_are_left_out(self):
        model = self.model().train()
        optional = ("attention_mask", "lead_ids", "demographics")
        inputs = {name: value for name, value in self.training_inputs().items() if name not in optional}
        self.loss(model(**inputs)).backward()
        without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
        assert not without, "data-parallel training waits for these for ever"

    def test_activation_checkpointing_changes_no_gradient(self):
        model = self.model().train()
        expected = self.backward(model)
        model.activation_checkpointing_enable()
        assert model.is_activation_checkpointing
        for name, gradient in self.backward(model).items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-6)

    def test_the_loss_falls_in_twenty_steps(self):
        model = self.model().train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        inputs, losses = self.training_inputs(), []
        for _ in range(20):
            loss = self.loss(model(**inputs))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.after_step(model)
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.7 * losses[0], losses


def _configured(model: PreTrainedModel) -> list[torch.nn.Module]:
    return [module for module in model.modules() if hasattr(module, "config")]


def crop(name: str, value: torch.Tensor, index: int, leads: int, patches: int) -> torch.Tensor:
    """One record of a padded batch without its padding."""
    value = value[index : index + 1]
    if name in ("input_values", "attention_mask", "bool_masked_pos"):
        return value[:, :leads, :patches]
    return value[:, :leads] if name == "lead_ids" else value


def _change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})


def drop_weight(folder: Path, name: str) -> None:
    _change_weights(folder, lambda weights: weights.pop(name))


def reshape_weight(folder: Path, name: str) -> None:
    _change_weights(folder, lambda weights: weights.update({name: weights[name].repeat_interleave(2, dim=0)}))


class BackboneBattery(ModelBattery):
    """What holds for the backbone and for every head on it, beyond [`ModelBattery`]."""

    def test_hidden_states_of_every_layer_can_be_asked_for(self):
        model, batch = self.model(), self.inputs()
        with torch.no_grad():
            outputs = model(**batch, output_hidden_states=True)
            silent = model(**batch)
        assert silent.hidden_states is None
        assert len(outputs.hidden_states) == model.config.num_hidden_layers + 1
        assert all(states.shape == (2, 18, model.config.hidden_size) for states in outputs.hidden_states)
        assert_same(self.answers(outputs, batch), self.answers(silent, batch), tolerance=0)

    def test_eager_attention_returns_its_weights_and_they_follow_the_pattern(self):
        model, batch = self.model(), self.inputs()
        model.set_attn_implementation("eager")
        with torch.no_grad():
            attentions = model(**batch, output_attentions=True).attentions
        assert len(attentions) == model.config.num_hidden_layers
        lead, time = torch.arange(18) // 6, torch.arange(18) % 6
        near = (time[:, None] - time[None]).abs() <= model.config.time_tolerance
        allowed = (lead[:, None] == lead[None]) | near
        real = batch["attention_mask"].flatten(1).bool()
        for weights in attentions:
            assert weights.shape == (2, model.config.num_attention_heads, 18, 18)
            torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 2, 18))
            for record in range(2):
                seen = weights[record, :, real[record]] > 0
                torch.testing.assert_close(seen, (allowed & real[record])[real[record]].expand_as(seen))

    @ignore_flex_warnings
    @pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend != "eager"])
    def test_attention_weights_of_other_implementations_are_an_error_that_names_eager(
        self, backend: str, uncompiled: None
    ):
        model = self.model()
        model.set_attn_implementation(backend)
        with pytest.raises(ValueError, match=f'"{backend}"` does not return attention weights.*"eager"` to get them'):
            model(**self.inputs(), output_attentions=True)

    def test_a_backbone_checkpoint_starts_every_head(self, tmp_path: Path):
        from anyecg_hf import AnyECGModel

        torch.manual_seed(1)
        backbone = AnyECGModel(self.config())
        backbone.save_pretrained(tmp_path)
        model = self.model_class.from_pretrained(tmp_path)
        found = getattr(model, "anyecg", model).state_dict()
        for name, tensor in backbone.state_dict().items():
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
        assert all(parameter.isfinite().all() for parameter in model.parameters())
