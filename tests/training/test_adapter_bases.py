# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""An adapter on a base that it was not trained on, and adapter files that PEFT should not act on."""

import json
import re
from pathlib import Path

import pytest
import torch
from tests.models.tiny import padded_batch, tiny_config

from anyecg_hf import AnyECGForSequenceClassification
from anyecg_hf.models.anyecg.adapter_files_anyecg import check_adapter_file
from anyecg_hf.training.adapter_bases import describe_base
from anyecg_hf.training.adapters import ADAPTER_FILE, MODEL_CONFIG_FILE, adapt, load_adapted, parse_lora, save_adapted

FIELDS = {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "base_model_name_or_path": "org/base"}


def saved_base(folder: Path, seed: int, **fields) -> Path:
    torch.manual_seed(seed)
    AnyECGForSequenceClassification(tiny_config(**fields)).save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    model = AnyECGForSequenceClassification.from_pretrained(saved_base(tmp_path / "base", seed=0))
    save_adapted(adapt(model, parse_lora("r=2")), tmp_path / "adapter")
    return tmp_path / "adapter"


def changed(adapter: Path, file: str, **fields) -> Path:
    path = adapter / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return adapter


def test_an_adapter_says_what_weights_it_was_trained_on(adapter: Path, tmp_path: Path):
    stored = json.loads((adapter / MODEL_CONFIG_FILE).read_text())["adapter_base"]
    base = AnyECGForSequenceClassification.from_pretrained(tmp_path / "base")
    assert stored == describe_base(base) and stored["dtype"] == "float32" and len(stored["sha256"]) == 64
    with torch.no_grad():
        base.classifier.weight.add_(1.0)  # the adapter brings its own head
    assert describe_base(base) == stored


def test_another_base_of_the_same_size_is_refused_unless_it_is_meant(adapter: Path, tmp_path: Path):
    other = saved_base(tmp_path / "other", seed=1)
    with pytest.raises(
        ValueError, match=r"was trained on another checkpoint than .*other.*weights of the backbone dif"
    ):
        load_adapted(adapter, base=other)
    loaded = load_adapted(adapter, base=other, any_base=True).eval()
    right = load_adapted(adapter).eval()
    with torch.no_grad():
        assert not torch.equal(loaded(**padded_batch()).logits, right(**padded_batch()).logits)


def test_a_base_of_another_width_is_refused_with_its_weights(adapter: Path, tmp_path: Path):
    other = saved_base(tmp_path / "wide", seed=0, hidden_size=64)
    with pytest.raises(ValueError, match="wide' lacks .* weights of AnyECGForSequenceClassification"):
        load_adapted(adapter, base=other, any_base=True)


def test_an_adapter_of_an_earlier_version_that_says_nothing_still_loads(adapter: Path):
    fields = json.loads((adapter / MODEL_CONFIG_FILE).read_text())
    del fields["adapter_base"]
    (adapter / MODEL_CONFIG_FILE).write_text(json.dumps(fields))
    assert load_adapted(adapter).get_base_model().adapter_base["dtype"] == "float32"


def test_a_base_held_in_another_type_cannot_be_compared_and_loads(adapter: Path):
    assert load_adapted(adapter, dtype=torch.float64).get_base_model().dtype == torch.float64


def test_an_adapter_that_is_trained_on_keeps_its_base(adapter: Path, tmp_path: Path):
    save_adapted(load_adapted(adapter, trainable=True), tmp_path / "further")
    texts = [(folder / MODEL_CONFIG_FILE).read_text() for folder in (adapter, tmp_path / "further")]
    assert json.loads(texts[0])["adapter_base"] == json.loads(texts[1])["adapter_base"]


def test_an_adapter_as_a_pickle_is_refused(adapter: Path):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ValueError, match="has no adapter_model.safetensors"):
        load_adapted(adapter)
    with pytest.raises(ValueError, match=r"has no model.safetensors, but adapter_model.bin. A pickle runs code"):
        AnyECGForSequenceClassification.from_pretrained(adapter)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peft_type": "IA3"}, "is of a 'IA3' adapter, expected 'LORA'"),
        ({"r": 10**9}, "`r` in .* must be a whole number from 1 to 4096, got 1000000000"),
        ({"r": True}, "must be a whole number from 1 to 4096, got True"),
        ({"target_modules": "(a+)+$"}, r"`target_modules` in .* must be a list of names of modules, got \(a\+\)"),
        ({"modules_to_save": ["classifier", "x|y"]}, "`modules_to_save` in .* must be a list of names"),
        ({"rank_pattern": {".*": 10**6}}, "sets rank_pattern, which no adapter of this package has"),
        ({"megatron_config": {"a": 1}, "layer_replication": [[0, 9]]}, "sets megatron_config, layer_replication, whi"),
        ({"corda_config": False, "eva_config": 0}, "sets corda_config, eva_config, which no adapter"),
        ({"rank_pattern": None}, "sets rank_pattern, which no adapter"),
        ({"modules_to_save": 0.0}, "`modules_to_save` in .* must be a list of names of modules, got 0.0"),
        ({"bias": "all"}, "sets bias, which no adapter"),
        ({"lora_alpha": None}, "`lora_alpha` in .* must be a number of at least 0, got None"),
        ({"lora_dropout": 1.0}, "`lora_dropout` in .* is a probability below 1, got 1.0"),
        ({"init_lora_weights": "pissa"}, "sets init_lora_weights"),
        ({"base_model_name_or_path": ["a"]}, r"`base_model_name_or_path` in .* must name a checkpoint, got \['a'\]"),
    ],
)
def test_what_an_adapter_file_must_not_say_is_refused(tmp_path: Path, fields: dict, message: str):
    path = tmp_path / ADAPTER_FILE
    path.write_text(json.dumps({**FIELDS, **fields}))
    with pytest.raises(ValueError, match=message):
        check_adapter_file(path)
    path.write_text(json.dumps(FIELDS))
    assert check_adapter_file(path) == "org/base"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architectures": ["masked_code_loss"]}, "is for 'masked_code_loss', which this version"),
        ({"architectures": "AnyECGModel"}, "is for None, which this version"),
        ({"adapter_base": "abc"}, "should say what it was trained on, but says 'abc'"),
        ({"config_version": "2.0"}, "upgrade anyecg_hf"),
        ({"id2label": {"0": "A", "1": "B", "2": "C"}}, "do not fit what it says of itself"),
    ],
)
def test_a_model_description_that_makes_no_sense_is_refused(adapter: Path, fields: dict, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        load_adapted(changed(adapter, MODEL_CONFIG_FILE, **fields))


def test_an_adapter_that_names_no_base_asks_for_it(adapter: Path, tmp_path: Path):
    changed(adapter, ADAPTER_FILE, base_model_name_or_path=None)
    with pytest.raises(ValueError, match="does not name the checkpoint of the adapter: pass `base`"):
        load_adapted(adapter)
    assert load_adapted(adapter, base=tmp_path / "base")
