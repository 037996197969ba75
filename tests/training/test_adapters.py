# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import copy
import json
import sys
from pathlib import Path

import peft
import pytest
import torch
from tests.models.tiny import hidden_positions, padded_batch, tiny_config
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from anyecg_hf.models.anyecg import (
    AnyECGConfig,
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGForTokenClassification,
    AnyECGModel,
)
from anyecg_hf.training.adapters import (
    MODEL_CONFIG_FILE,
    AdaptationConfig,
    LoraSettings,
    TrainableWeights,
    adapt,
    head_names,
    load_adapted,
    parse_lora,
    save_adapted,
)

# PEFT reads an attribute of the model that transformers has renamed; `adapt` says nothing, plain PEFT does.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

HEADS = (
    AnyECGForSequenceClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForLongRecordClassification,
    AnyECGForTokenClassification,
    AnyECGForLeadReconstruction,
)
MULTI_LABEL = {"num_labels": 3, "problem_type": "multi_label_classification"}


def built(model_class: type = AnyECGForSequenceClassification, **overrides) -> PreTrainedModel:
    torch.manual_seed(0)
    return model_class(tiny_config(**{**MULTI_LABEL, "window_patches": 4, **overrides}))


def question(model_class: type = AnyECGForSequenceClassification) -> dict[str, torch.Tensor]:
    batch = padded_batch()
    if model_class is AnyECGForMaskedCodeModeling:
        codes = torch.arange(36).view(2, 3, 6) % 16
        return {**batch, "bool_masked_pos": hidden_positions(batch), "labels": codes}
    if model_class is AnyECGForLeadReconstruction:
        return {**batch, "bool_masked_pos": hidden_positions(batch), "labels": batch["input_values"].clone()}
    if model_class is AnyECGForTokenClassification:
        return {**batch, "labels": (torch.arange(36).view(2, 6, 3) % 2).float()}
    return {**batch, "labels": torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])}


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def train_steps(model: nn.Module, steps: int = 3, model_class: type = AnyECGForSequenceClassification) -> list[float]:
    """Losses of a few steps, in training mode."""
    optimizer = torch.optim.Adam([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-3)
    losses = []
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(**question(model_class)).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    model.eval()
    return losses


def answer(model: nn.Module) -> torch.Tensor:
    """What the head says, whatever it calls it; patches are hidden for heads that restore them."""
    batch = padded_batch()
    outputs = model(**batch, bool_masked_pos=hidden_positions(batch))
    return outputs["reconstruction" if "reconstruction" in outputs else "logits"].detach()


def logits(model: nn.Module) -> torch.Tensor:
    return answer(model.eval())


# Plain PEFT


@pytest.mark.parametrize("task_type", [None, "SEQ_CLS", "FEATURE_EXTRACTION"])
@pytest.mark.parametrize("model_class", HEADS)
def test_plain_peft_adapts_every_head_without_target_modules(model_class: type, task_type: str | None):
    plain = built(model_class)
    expected = logits(plain)
    model = peft.get_peft_model(plain, peft.LoraConfig(task_type=task_type, r=2)).eval()
    layers = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in trained(model) if ".lora_" in name}
    assert layers == {"q_proj", "v_proj"}
    others = {name.split(".")[2] for name in trained(model) if ".lora_" not in name}
    assert others == ({"classifier"} if task_type == "SEQ_CLS" and hasattr(plain, "classifier") else set())
    torch.testing.assert_close(logits(model), expected, rtol=1e-5, atol=1e-5)


# Modes


@pytest.mark.parametrize("model_class", HEADS)
@pytest.mark.parametrize("mode", ["full", "head", "lora"])
def test_every_mode_trains_exactly_its_weights(mode: str, model_class: type):
    model = built(model_class)
    every = {name for name, _ in model.named_parameters()}
    head = {name for name in every if not name.startswith("anyecg.")}
    before = copy.deepcopy(model.state_dict())
    adapted = adapt(model, AdaptationConfig(mode=mode, lora=LoraSettings(r=2)))
    if mode == "lora":
        in_layers = "base_model.model.anyecg.layers.{}.attention.{}.lora_{}.default.weight"
        expected = {in_layers.format(i, layer, m) for i in (0, 1) for layer in ("q_proj", "v_proj") for m in "AB"}
        expected |= {f"base_model.model.{name.replace('.', '.modules_to_save.default.', 1)}" for name in head}
        assert trained(adapted) == expected
    else:
        assert adapted is model and trained(model) == {"full": every, "head": head}[mode]

    losses = train_steps(adapted, model_class=model_class)
    assert losses[-1] < losses[0]
    if mode != "full":
        inner = adapted.get_base_model() if mode == "lora" else adapted
        for name, parameter in inner.anyecg.named_parameters():
            if ".lora_" not in name:
                old = before[f"anyecg.{name.replace('.base_layer', '')}"]
                assert torch.equal(parameter, old), name


def test_an_attentive_probe_trains_queries_values_and_the_linear_layer():
    adaptation = AdaptationConfig(mode="attentive_probe")
    model = adapt(built(**adaptation.loading_arguments()), adaptation)
    names = ("query.weight", "value.weight", "linear.weight", "linear.bias")
    assert trained(model) == {f"classifier.{name}" for name in names}
    losses = train_steps(model, steps=5)
    assert losses[-1] < losses[0]


def test_an_attentive_probe_reloads_by_itself(tmp_path: Path):
    adaptation = AdaptationConfig(mode="attentive_probe")
    built().save_pretrained(tmp_path / "base")
    arguments = {"ignore_mismatched_sizes": True, **adaptation.loading_arguments()}
    model = adapt(AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", **arguments), adaptation)
    train_steps(model)
    save_adapted(model, tmp_path / "probe")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "probe")
    torch.testing.assert_close(logits(again), logits(model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["head", "attentive_probe"])
def test_a_frozen_backbone_drops_nothing_while_its_head_trains(mode: str):
    adaptation = AdaptationConfig(mode=mode)
    model = adapt(built(hidden_dropout=0.5, attention_dropout=0.5, **adaptation.loading_arguments()), adaptation)
    calm = logits(model)
    torch.testing.assert_close(answer(model.train()), calm, rtol=1e-5, atol=1e-5)


def test_a_long_records_backbone_is_streamed_while_only_the_head_trains():
    model = adapt(built(AnyECGForLongRecordClassification), AdaptationConfig(mode="head"))
    assert not model._gradient_flows(padded_batch()["input_values"])
    with_adapters = adapt(built(AnyECGForLongRecordClassification), parse_lora("r=2")).get_base_model()
    assert with_adapters._gradient_flows(padded_batch()["input_values"])


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_a_backbone_that_the_config_freezes_is_refused_where_it_would_be_trained(mode: str):
    model = built(AnyECGForLongRecordClassification, freeze_backbone=True)
    with pytest.raises(
        ValueError, match=f"mode '{mode}' trains in the backbone.*load the model with `freeze_backbone=F"
    ):
        adapt(model, AdaptationConfig(mode=mode))


def test_a_head_mode_without_a_head_is_refused():
    assert head_names(AnyECGModel(tiny_config())) == []
    with pytest.raises(ValueError, match="mode 'head' trains the head, and AnyECGModel has none"):
        adapt(AnyECGModel(tiny_config()), AdaptationConfig(mode="head"))


@pytest.mark.parametrize("model_class", [AnyECGForSequenceClassification, AnyECGForLongRecordClassification])
def test_an_attentive_probe_needs_a_model_that_pools_by_attention(model_class: type):
    with pytest.raises(
        ValueError, match=f"needs AnyECGForSequenceClassification.*got {model_class.__name__} with 'mean'"
    ):
        adapt(built(model_class), AdaptationConfig(mode="attentive_probe"))


def test_an_unknown_mode_is_refused():
    with pytest.raises(
        ValueError, match=r"`mode` must be one of \['attentive_probe', 'full', 'head', 'lora'\], got 'loar'"
    ):
        AdaptationConfig(mode="loar")


def test_a_model_is_adapted_once():
    model = adapt(built(), parse_lora("r=2"))
    with pytest.raises(ValueError, match="has adapters already: `load_adapted"):
        adapt(model, AdaptationConfig(mode="head"))


def test_without_peft_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r'LoRA needs PEFT: pip install "anyecg-hf\[train\]"'):
        adapt(built(), parse_lora(""))


# Sizes


@pytest.mark.parametrize("pooling", ["mean", "mean_max"])
@pytest.mark.parametrize("rank", [8, 16])
def test_adapters_with_the_classifier_are_at_most_one_percent_of_base(rank: int, pooling: str):
    with torch.device("meta"):
        config = AnyECGConfig.from_preset("base", num_labels=71, classifier_pooling=pooling)
        model = AnyECGForSequenceClassification(config)
        total = TrainableWeights.of(model).total
        weights = TrainableWeights.of(adapt(model, parse_lora(f"r={rank}")))
    adapters = 20 * 2 * rank * (1024 + 1024)
    classifier = 71 * (1024 * (2 if pooling == "mean_max" else 1) + 1)
    assert weights.trained == adapters + classifier
    assert weights.trained <= 0.01 * total
    assert weights.share == weights.trained / (total + weights.trained)


def test_an_attentive_probe_of_base_is_half_a_percent():
    with torch.device("meta"):
        config = AnyECGConfig.from_preset("base", num_labels=5, classifier_pooling="attention")
        model = adapt(AnyECGForSequenceClassification(config), AdaptationConfig(mode="attentive_probe"))
    assert TrainableWeights.of(model).trained == 1024 * 1024 + 16 * 1024 + 5 * 1025
    assert TrainableWeights.of(model).share < 0.005


# Merging


@pytest.mark.parametrize("model_class", HEADS)
def test_merged_adapters_give_the_same_answer(model_class: type):
    adapted = adapt(built(model_class), parse_lora("r=2,targets=q_proj+k_proj+v_proj+o_proj+up_proj+down_proj"))
    train_steps(adapted, model_class=model_class)
    plain, expected = logits(built(model_class)), logits(adapted)
    assert (expected - plain).abs().max() > 1e-3
    merged = adapted.merge_and_unload()
    assert type(merged) is model_class and {name for name, _ in merged.named_parameters()} == {
        name for name, _ in built(model_class).named_parameters()
    }
    torch.testing.assert_close(logits(merged), expected, rtol=1e-5, atol=1e-5)


def test_merging_in_double_precision_shows_that_the_rest_is_rounding():
    adapted = adapt(built().double(), parse_lora("r=2")).double()
    train_steps(adapted)
    expected = logits(adapted)
    torch.testing.assert_close(logits(adapted.merge_and_unload()), expected, rtol=1e-12, atol=1e-12)


# Saving, loading, going on


@pytest.fixture
def adapter(tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """A trained adapter of three named labels on a checkpoint of two, and its answer."""
    built(num_labels=2).save_pretrained(tmp_path / "base")
    names = {0: "NORM", 1: "MI", 2: "STTC"}
    labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    model = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "base", ignore_mismatched_sizes=True, problem_type="multi_label_classification", **labels
    )
    model = adapt(model, parse_lora("r=2,alpha=8"))
    train_steps(model)
    save_adapted(model, tmp_path / "adapter")
    return tmp_path / "adapter", logits(model)


def test_an_adapter_is_small_and_loads_with_its_labels(adapter: tuple[Path, torch.Tensor]):
    folder, expected = adapter
    files = {path.name for path in folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", MODEL_CONFIG_FILE} <= files
    assert "config.json" not in files and "model.safetensors" not in files
    loaded = load_adapted(folder)
    assert trained(loaded) == set() and not loaded.training
    assert loaded.config.id2label == {0: "NORM", 1: "MI", 2: "STTC"}
    torch.testing.assert_close(logits(loaded), expected, rtol=0, atol=0)


@pytest.mark.parametrize("auto", [peft.AutoPeftModelForSequenceClassification, AutoModelForSequenceClassification])
def test_the_auto_classes_load_an_adapter_too(auto: type, adapter: tuple[Path, torch.Tensor]):
    folder, expected = adapter
    # They know the checkpoint's labels only.
    loaded = auto.from_pretrained(folder, num_labels=3, ignore_mismatched_sizes=True)
    torch.testing.assert_close(logits(loaded), expected, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="size mismatch|ignore_mismatched_sizes"):
        auto.from_pretrained(folder)


def test_an_adapter_moves_to_its_checkpoint_in_another_place(adapter: tuple[Path, torch.Tensor], tmp_path: Path):
    folder, expected = adapter
    (tmp_path / "base").rename(tmp_path / "moved")
    torch.testing.assert_close(logits(load_adapted(folder, base=tmp_path / "moved")), expected, rtol=0, atol=0)


def test_training_an_adapter_goes_on_where_it_was(adapter: tuple[Path, torch.Tensor], tmp_path: Path):
    folder, before = adapter
    again = load_adapted(folder, trainable=True)
    assert all(".lora_" in name or ".modules_to_save." in name for name in trained(again)) and trained(again)
    train_steps(again)
    save_adapted(again, tmp_path / "further")
    after = logits(load_adapted(tmp_path / "further"))
    assert (after - before).abs().max() > 1e-4
    torch.testing.assert_close(after, logits(again), rtol=0, atol=0)


@pytest.mark.parametrize("model_class", HEADS[1:])
def test_adapters_of_other_heads_load_too(model_class: type, tmp_path: Path):
    base = built(model_class)
    base.save_pretrained(tmp_path / "base")
    model = adapt(model_class.from_pretrained(tmp_path / "base"), parse_lora("r=2"))
    train_steps(model, model_class=model_class)
    save_adapted(model, tmp_path / "adapter")
    loaded = load_adapted(tmp_path / "adapter")
    assert type(loaded.get_base_model()) is model_class
    torch.testing.assert_close(logits(loaded), logits(model), rtol=1e-6, atol=1e-6)


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path, adapter: tuple[Path, torch.Tensor]):
    with pytest.raises(ValueError, match="has no adapter_config.json and no model_config.json"):
        load_adapted(tmp_path)
    (adapter[0] / MODEL_CONFIG_FILE).unlink()
    with pytest.raises(ValueError, match="saved by `save_adapted`, but .* has no model_config.json"):
        load_adapted(adapter[0])


def test_an_adapter_of_an_unknown_model_is_refused(adapter: tuple[Path, torch.Tensor]):
    path = adapter[0] / MODEL_CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": ["AnyECGForEverything"]}))
    with pytest.raises(ValueError, match="is for 'AnyECGForEverything', which this version of anyecg-hf has not"):
        load_adapted(adapter[0])


@pytest.mark.parametrize("model_class", HEADS)
def test_adapters_train_in_bfloat16(model_class: type):
    model = adapt(built(model_class).to(torch.bfloat16), parse_lora("r=2"))
    losses = train_steps(model, model_class=model_class)
    assert losses[-1] < losses[0]


def test_adapters_train_under_activation_checkpointing_with_the_same_gradients():
    def gradients(checkpointing: bool) -> dict[str, torch.Tensor]:
        model = built()
        if checkpointing:
            model.activation_checkpointing_enable()
        model = adapt(model, parse_lora("r=2"))
        model.train()(**question()).loss.backward()
        return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}

    torch.manual_seed(0)
    expected = gradients(False)
    torch.manual_seed(0)
    found = gradients(True)
    assert found.keys() == expected.keys() and all(gradient is not None for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=lambda m, n=name: f"{n}: {m}")


def test_a_checkpoint_of_another_size_is_no_base_of_an_adapter(adapter: tuple[Path, torch.Tensor], tmp_path: Path):
    built(hidden_size=64).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="other.* lacks 38 weights of AnyECGForSequenceClassification"):
        load_adapted(adapter[0], base=tmp_path / "other")


class TestLoadReport:
    """What `transformers` says of absent weights is shown unless the adapter brings them."""

    @pytest.mark.parametrize(("modules_to_save", "is_told"), [(None, False), ([], True)])
    def test_a_head_is_missing_only_where_the_adapter_does_not_bring_it(
        self, tmp_path, caplog, modules_to_save, is_told
    ):
        AnyECGModel(tiny_config()).save_pretrained(tmp_path / "base")
        # PEFT itself adds `classifier`, and no head of another name.
        model = AnyECGForMaskedCodeModeling.from_pretrained(tmp_path / "base")
        lora = LoraSettings(r=2, modules_to_save=modules_to_save)
        save_adapted(adapt(model, AdaptationConfig(mode="lora", lora=lora)), tmp_path / "adapter")
        caplog.clear()
        load_adapted(tmp_path / "adapter")
        (head,) = head_names(model)
        assert ("LOAD REPORT" in caplog.text) == is_told == (f"{head}.bias" in caplog.text)
