# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What adapters are told: the short form of the command line, and QLoRA as far as it needs no bitsandbytes."""

import importlib.util
from collections.abc import Callable

import pytest
import torch
from tests.models.tiny import tiny_config
from torch import nn
from transformers import BitsAndBytesConfig
from transformers.quantizers.quantizers_utils import should_convert_module

from anyecg_hf.models.anyecg import (
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGModel,
)
from anyecg_hf.training.adapters import AdaptationConfig, LoraSettings, adapt, parse_lora

# The short form of the command line


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", LoraSettings()),
        ("r=16", LoraSettings(r=16)),
        (" r = 16 , alpha=32, dropout=0.1", LoraSettings(r=16, alpha=32.0, dropout=0.1)),
        ("targets=q_proj+k_proj,modules_to_save=classifier", None),
        ("quantize=True", LoraSettings(quantize=True)),
    ],
)
def test_the_short_form_is_read(text: str, settings: LoraSettings | None):
    settings = settings or LoraSettings(targets=["q_proj", "k_proj"], modules_to_save=["classifier"])
    assert parse_lora(text) == AdaptationConfig(mode="lora", lora=settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rank=16",
            r"unknown LoRA field 'rank' in 'rank=16': choose from \['alpha', 'dropout', 'modules_to_save', 'qu",
        ),
        ("16", "unknown LoRA field '16'"),
        ("r", "LoRA field 'r' in 'r' needs a value: `r=16`"),
        ("alpha=", "LoRA field 'alpha' in 'alpha=' needs a value: `alpha=32`"),
        ("r=8,r=16", "LoRA field 'r' stands twice in 'r=8,r=16'"),
        ("r=16.5", "LoRA field 'r' must be a whole number, got '16.5' in 'r=16.5': write `r=16`"),
        ("dropout=a lot", "LoRA field 'dropout' must be a number, got 'a lot'"),
        ("quantize=yes", "LoRA field 'quantize' must be true or false, got 'yes'"),
        ("r=0", "rank `r` of LoRA must be at least 1, got 0"),
        ("alpha=-1", "`alpha` of LoRA must be positive, got -1.0"),
        ("alpha=nan", "`alpha` of LoRA must be positive, got nan"),
        ("dropout=1", r"must lie in \[0, 1\), got 1.0"),
        ("targets=q_proj+", r"`targets` of LoRA holds an empty name: \['q_proj', ''\]"),
    ],
)
def test_a_short_form_with_a_mistake_is_refused(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_lora(text)


def test_no_target_at_all_is_refused():
    with pytest.raises(ValueError, match="`targets` of LoRA is empty"):
        LoraSettings(targets=[])


@pytest.mark.parametrize("name", ["targets", "modules_to_save"])
def test_a_layer_that_does_not_exist_is_refused_even_beside_one_that_does(name: str):
    with pytest.raises(ValueError, match=rf"`{name}` of LoRA: AnyECGForSequenceClassification has no \['q_porj'\]"):
        adapt(AnyECGForSequenceClassification(tiny_config()), parse_lora(f"{name}=q_proj+q_porj"))


# QLoRA


def test_qlora_without_bitsandbytes_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    hide_or_pretend(monkeypatch, lambda name: None)
    with pytest.raises(ImportError, match="needs bitsandbytes: pip install bitsandbytes"):
        parse_lora("quantize=true").loading_arguments()


def test_qlora_quantizes_the_layers_of_the_backbone_only(monkeypatch: pytest.MonkeyPatch):
    hide_or_pretend(monkeypatch, lambda name: importlib.util.spec_from_loader(name, loader=None))
    settings = parse_lora("quantize=true").loading_arguments()["quantization_config"]
    assert isinstance(settings, BitsAndBytesConfig) and settings.load_in_4bit
    assert settings.bnb_4bit_quant_type == "nf4" and settings.bnb_4bit_compute_dtype == torch.bfloat16
    heads = (AnyECGForMaskedCodeModeling, AnyECGForLongRecordClassification, AnyECGForLeadReconstruction)
    for model_class in (AnyECGForSequenceClassification, *heads, AnyECGModel):
        model = model_class(tiny_config())
        linear = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        converted = {name for name in linear if should_convert_module(name, settings.llm_int8_skip_modules)}
        layers = "layers." if model_class is AnyECGModel else "anyecg.layers."
        assert converted == {name for name in linear if name.startswith(layers)} and len(converted) == 2 * 6


def test_qlora_on_a_model_in_full_precision_is_refused():
    with pytest.raises(ValueError, match="QLoRA needs a model in 4 bits: load it with `adaptation.loading_arguments"):
        adapt(AnyECGForSequenceClassification(tiny_config()), parse_lora("quantize=true"))


def hide_or_pretend(monkeypatch: pytest.MonkeyPatch, answer: Callable) -> None:
    """Answers the question whether bitsandbytes is installed; other packages are looked for as ever."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: answer(name) if name == "bitsandbytes" else find_spec(name, *rest),
    )
