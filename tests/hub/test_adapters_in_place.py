# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`from_pretrained` of `transformers` acts on an adapter that it finds; ours looks at it first."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from anyecg_hf import AnyECGForSequenceClassification
from anyecg_hf.training.adapters import adapt, parse_lora, save_adapted

REPO = "org/anyecg-lora"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def adapter(checkpoint: Path, tmp_path: Path) -> Path:
    model = adapt(AnyECGForSequenceClassification.from_pretrained(checkpoint), parse_lora("r=2"))
    save_adapted(model, tmp_path / "adapter")
    return tmp_path / "adapter"


def edited(path: Path, **fields) -> bytes:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return path.read_bytes()


def load(repo: str = REPO):
    return AnyECGForSequenceClassification.from_pretrained(repo, cache_dir=constants.HF_HUB_CACHE)


def test_an_adapter_of_ours_loads_on_its_base(local_hub, adapter, checkpoint):
    local_hub.add(REPO, {name: (adapter / name).read_bytes() for name in (CONFIG, WEIGHTS)})
    expected = AnyECGForSequenceClassification.from_pretrained(checkpoint).anyecg.norm.weight
    for model in (load(), AnyECGForSequenceClassification.from_pretrained(adapter)):
        assert torch.equal(model.anyecg.norm.weight, expected)
        assert any("lora_A" in name for name, _ in model.named_parameters())


def test_one_beside_a_model_of_the_hub_does_not_replace_it(local_hub, adapter, checkpoint):
    model = {path.name: path.read_bytes() for path in checkpoint.glob("*") if path.is_file()}
    local_hub.add(REPO, {**model, CONFIG: (adapter / CONFIG).read_bytes(), WEIGHTS: (adapter / WEIGHTS).read_bytes()})
    with pytest.raises(
        ValueError, match=f"'{REPO}' holds a model and an adapter, which names '.*': that would be load"
    ):
        load()


def test_one_beside_a_model_of_a_folder_is_looked_at_too(adapter, shared):
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(adapter / name, shared / name)
    assert AnyECGForSequenceClassification.from_pretrained(shared).config.hidden_size > 0
    edited(shared / CONFIG, target_modules="(a+)+$")
    with pytest.raises(ValueError, match="must be a list of names of modules"):
        AnyECGForSequenceClassification.from_pretrained(shared)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"target_modules": "(a+)+$"}, "must be a list of names of modules"),
        ({"r": 10**9}, "must be a whole number from 1 to 4096"),
        ({"megatron_config": {}, "megatron_core": "antigravity"}, "sets megatron_config, which no adapter"),
        ({"base_model_name_or_path": None}, f"in '{REPO}' does not name the checkpoint of the adapter"),
    ],
)
def test_what_no_adapter_of_ours_says_is_refused(local_hub, adapter, fields, told):
    local_hub.add(REPO, {WEIGHTS: (adapter / WEIGHTS).read_bytes(), CONFIG: edited(adapter / CONFIG, **fields)})
    with pytest.raises(ValueError, match=told):
        load()


def test_a_pickle_is_neither_fetched_nor_opened(local_hub, adapter, checkpoint):
    model = {path.name: path.read_bytes() for path in checkpoint.glob("*") if path.is_file()}
    files = {CONFIG: (adapter / CONFIG).read_bytes(), "adapter_model.bin": pickle.dumps({})}
    local_hub.add(REPO, {**model, **files})
    with pytest.raises(ValueError, match=f"'{REPO}' has adapter_config.json, but no adapter_model.safetensors"):
        load()
    assert local_hub.requests("GET", "adapter_model.bin") == []


def test_a_base_of_pickles_is_refused(local_hub, adapter, shared):
    (shared / "model.safetensors").rename(shared / "pytorch_model.bin")
    files = {CONFIG: edited(adapter / CONFIG, base_model_name_or_path=str(shared))}
    local_hub.add(REPO, {**files, WEIGHTS: (adapter / WEIGHTS).read_bytes()})
    with pytest.raises(ValueError, match="shared has no model.safetensors, but pytorch_model.bin. A pickle runs code"):
        load()
