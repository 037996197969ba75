# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import re

import numpy as np
import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoFeatureExtractor, AutoModel

from anyecg_hf import AnyECGConfig, AnyECGModel, AnyECGQuantizerConfig, AnyECGTokenizer
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
        "`parameters of the layers` is 201,729,245,184, and more than 20,000,000,000",
    ),
    (AnyECGQuantizerConfig, {"codebook_reservoir_size": 10**12}, "`codebook_reservoir_size` is"),
    (AnyECGQuantizerConfig, {"num_decoder_layers": 10**6}, "`num_decoder_layers` is"),
    (AnyECGQuantizerConfig, {"patch_size": 60_000}, "`patch_size * patch_size` is 3,600,000,000, and more than"),
    (AnyECGConfig, {"codebook_size": 2**20, "num_quantizers": 8}, "`codebook_size * num_quantizers * hidden_size` is"),
    (AnyECGConfig, {"max_time_positions": 2**24}, "`max_time_positions * hidden_size` is"),
    (AnyECGConfig, {"reconstruction_width": 65_536}, "`reconstruction_width ** 2 * layers` is"),
    (AnyECGConfig, {"reconstruction_delays": [0, 10**12]}, "`reconstruction_delays` is 1,000,000,000,000"),
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


# Tokenizers


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"filter_order": 100_000}, "`filter_order` is 100,000, and more than 10 is taken for a mistake or an attack"),
        ({"sampling_rate": 30_000, "denoise": False}, "`sampling_rate` is 30,000, and more than 20,000"),
        ({"patch_size": 10**12}, "`patch_size` is 1,000,000,000,000, and more than 1,048,576"),
        ({"patch_size": 18_300}, "`patch_size / sampling_rate` is 61.0, and more than 60"),
        ({"notch_quality": 1e300}, "`notch_quality` is 1e+300, and more than 1,000"),
        ({"denoise_levels": 10**9}, "`denoise_levels` is 1,000,000,000, and more than 20"),
        ({"lead_names": [*map(str, range(5000)), "unknown"]}, "`entries of lead_names` is 5,001, and more than 4,096"),
    ],
)
def test_absurd_tokenizers_are_refused_before_a_record_meets_them(tmp_path, monkeypatch, fields, message):
    AnyECGTokenizer().save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    for load in (AnyECGTokenizer.from_pretrained, AutoFeatureExtractor.from_pretrained):
        with pytest.raises(ValueError, match=re.escape(message)):
            load(tmp_path)
    monkeypatch.setenv(ANY_SIZE_VARIABLE, "1")
    assert AnyECGTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampling_rate": "300"}, "`sampling_rate` must be a whole number, got '300'"),
        ({"sampling_rate": True}, "`sampling_rate` must be a whole number, got True"),
        ({"sampling_rate": 49}, "`sampling_rate` must be at least 50, got 49"),
        ({"patch_size": None}, "`patch_size` must be a whole number, got None"),
        ({"filter_order": 2.5}, "`filter_order` must be a whole number, got 2.5"),
        ({"notch_hz": "50"}, "`notch_hz` must be a number of Hz, or None, got '50'"),
        ({"bandpass_low_hz": float("nan")}, "`bandpass_low_hz` must be a number of Hz, or None, got nan"),
        (
            {"bandpass_low_hz": 1e-9},
            "`bandpass_low_hz` is 1e-09 Hz, which no ECG needs: use at least 0.001 Hz, or None",
        ),
        ({"notch_quality": float("inf")}, "`notch_quality` must be a number, got inf"),
        ({"denoise": "yes"}, "`denoise` must be true or false, got 'yes'"),
        ({"denoise_levels": [4]}, "`denoise_levels` must be a whole number, got [4]"),
        ({"lead_names": "I"}, "`lead_names` must be a list of names, got I"),
        ({"lead_names": [1, 2]}, "`lead_names` must be a list of names, got [1, 2]"),
        ({"lead_names": ["I", "I", "unknown"]}, "`lead_names` must be unique and hold 'unknown', got ['I', 'I', 'unkn"),
    ],
)
def test_settings_of_another_type_are_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        AnyECGTokenizer(**fields)


def test_numbers_of_numpy_are_numbers():
    tokenizer = AnyECGTokenizer(sampling_rate=np.int64(250), notch_hz=np.float32(60.0), notch_quality=30)
    assert tokenizer.patch_seconds == 1.2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["initializer_range", "layer_norm_eps", "rotary_base"])
def test_numbers_of_a_configuration_are_finite(name, value):
    with pytest.raises(StrictDataclassClassValidationError, match=f"`{name}` must be finite, got {value}"):
        AnyECGConfig(**{name: value})
