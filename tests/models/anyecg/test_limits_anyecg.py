# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import re

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoModel

from anyecg_hf import AnyECGConfig, AnyECGModel, AnyECGQuantizerConfig
from anyecg_hf.models.anyecg.configuration_anyecg import PRESETS
from anyecg_hf.models.anyecg.limits_anyecg import ANY_SIZE_VARIABLE, SIZES

ABSURD = [
    (AnyECGConfig, {"num_hidden_layers": 1_000_000}, "`num_hidden_layers` is 1,000,000, and more than 1,000 is taken"),
    (AnyECGConfig, {"hidden_size": 2**20, "num_attention_heads": 4}, "`hidden_size` is 1,048,576"),
    (AnyECGConfig, {"max_time_positions": 10**12}, "`max_time_positions` is 1,000,000,000,000"),
    (AnyECGConfig, {"codebook_size": 2**40}, "`codebook_size` is"),
    (AnyECGConfig, {"window_patches": 10**12, "time_encoding": "rotary"}, "`window_patches` is"),
    (AnyECGConfig, {"patch_channels": [8] * 20, "patch_strides": [1] * 20}, "`entries of patch_channels` is 20"),
    (AnyECGConfig, {"patch_channels": [10**9] * 3}, "`patch_channels` is 1,000,000,000"),
    (
        AnyECGConfig,
        {"num_hidden_layers": 1000, "hidden_size": 4096, "intermediate_size": 16384, "num_attention_heads": 32},
        "`parameters of the layers` is 201,326,592,000, and more than 20,000,000,000",
    ),
    (AnyECGQuantizerConfig, {"codebook_reservoir_size": 10**12}, "`codebook_reservoir_size` is"),
    (AnyECGQuantizerConfig, {"num_decoder_layers": 10**6}, "`num_decoder_layers` is"),
]


@pytest.mark.parametrize(("config_class", "fields", "message"), ABSURD, ids=lambda value: str(value)[:40])
def test_absurd_sizes_are_refused_with_field_bound_and_way_out(config_class, fields, message, monkeypatch):
    with pytest.raises(StrictDataclassClassValidationError, match=re.escape(message)) as caught:
        config_class(**fields)
    assert f"If it is meant, set the environment variable {ANY_SIZE_VARIABLE}=1." in str(caught.value)
    monkeypatch.setenv(ANY_SIZE_VARIABLE, "1")
    assert config_class(**fields)


def test_a_downloaded_configuration_is_refused_before_a_model_is_built(tmp_path):
    AnyECGConfig().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"never read")
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**fields, "num_hidden_layers": 10**9}))
    for load in (AutoModel.from_pretrained, AnyECGModel.from_pretrained, AnyECGConfig.from_pretrained):
        with pytest.raises(StrictDataclassClassValidationError, match="`num_hidden_layers` is 1,000,000,000"):
            load(tmp_path)


def test_names_are_not_made_up_for_billions_of_labels(tmp_path):
    AnyECGConfig().save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**fields, "num_labels": 10**12}))
    with pytest.raises(ValueError, match="`num_labels` is 1,000,000,000,000, and more than 100,000"):
        AnyECGConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_far_from_the_bounds(name):
    config = AnyECGConfig.from_preset(name)
    for field, (least, most) in SIZES.items():
        value = getattr(config, field, None)
        assert value is None or least <= value <= most / 2


def test_every_bound_is_of_a_field_that_exists():
    known = {**AnyECGConfig().to_dict(), **AnyECGQuantizerConfig().to_dict()}
    assert SIZES.keys() <= known.keys()
