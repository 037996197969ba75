# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError, StrictDataclassFieldValidationError
from tests.models.tiny import tiny_config, tiny_quantizer_config
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from anyecg_hf import (
    LEAD_NAMES,
    AnyECGConfig,
    AnyECGForMaskedCodeModeling,
    AnyECGModel,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
)

CONFIGS = (AnyECGConfig, AnyECGQuantizerConfig)


def parameters_of(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> int:
    """Counted on the meta device, where the weights take no memory."""
    with torch.device("meta"):
        return model_class(config).num_parameters()


@pytest.mark.parametrize(
    ("preset", "model_class", "parameters"),
    [
        ("base", AnyECGModel, 254e6),
        ("large", AnyECGModel, 495e6),
        ("large", AnyECGForMaskedCodeModeling, 505e6),
        ("xl", AnyECGModel, 1.72e9),
    ],
)
def test_presets_have_as_many_parameters_as_the_paper_says(
    preset: str, model_class: type[PreTrainedModel], parameters: float
):
    assert parameters_of(model_class, AnyECGConfig.from_preset(preset)) == pytest.approx(parameters, rel=0.015)


def test_our_own_presets_have_the_size_they_are_meant_for():
    assert 1e6 <= parameters_of(AnyECGModel, AnyECGConfig.from_preset("tiny")) <= 3e6
    assert parameters_of(AnyECGModel, AnyECGConfig.from_preset("small")) == pytest.approx(15e6, rel=0.1)


@pytest.mark.parametrize(("preset", "heads"), [("small", 6), ("base", 16), ("large", 20), ("xl", 32)])
def test_heads_of_the_large_presets_are_64_wide(preset: str, heads: int):
    config = AnyECGConfig.from_preset(preset)
    assert config.num_attention_heads == heads
    assert config.head_size == 64
    assert config.intermediate_size == 4 * config.hidden_size


def test_defaults_are_the_papers():
    config = AnyECGConfig()
    assert (config.patch_size, config.sampling_rate, config.patch_seconds) == (300, 300, 1.0)
    assert (config.time_tolerance, config.time_encoding, config.max_time_positions) == (1, "learned", 85)
    assert config.to_dict() == AnyECGConfig.from_preset("base").to_dict()

    quantizer = AnyECGQuantizerConfig()
    assert (quantizer.codebook_size, quantizer.codebook_dim, quantizer.num_hidden_layers) == (8192, 64, 4)
    assert (quantizer.commitment_weight, quantizer.ema_decay, quantizer.codebook_update) == (1.0, 0.99, "ema")
    assert (quantizer.wavelet, quantizer.wavelet_levels, quantizer.wavelet_mode) == ("db6", 4, "symmetric")


def test_presets_take_overrides_and_unknown_presets_are_refused():
    assert AnyECGConfig.from_preset("tiny", num_hidden_layers=2).num_hidden_layers == 2
    with pytest.raises(ValueError, match=r"unknown preset 'huge': choose one of \['base', 'large', 'small'"):
        AnyECGConfig.from_preset("huge")


def test_the_lead_vocabulary_never_changes_its_order():
    assert LEAD_NAMES == (
        *("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"),
        *("VX", "VY", "VZ", "MLII", "V3R", "V4R", "V7", "V8", "V9", "unknown"),
    )
    for config_class in CONFIGS:
        assert list(config_class().lead_names) == list(LEAD_NAMES)
        assert config_class().unknown_lead_id == 21


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"token_label_level": "beat"}, "`token_label_level` must be 'time' or 'lead', got 'beat'"),
        ({"reconstruction_loss": "mae"}, "`reconstruction_loss` must be 'mse' or 'log_mse', got 'mae'"),
        ({"reconstruction_kernel_size": 4}, "`reconstruction_kernel_size` must be odd, got 4"),
        ({"reconstruction_stride": 0}, "`reconstruction_stride` must be at least 1, got 0"),
        ({"num_reconstruction_layers": 0}, "`num_reconstruction_layers` must be at least 1, got 0"),
    ],
)
def test_impossible_heads_are_refused_with_their_numbers(fields: dict, message: str):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        AnyECGConfig(**fields)


@pytest.mark.parametrize("config_class", CONFIGS)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"hidden_size": 100, "num_attention_heads": 6},
            r"`hidden_size` \(100\) must be a multiple of `num_attention_heads` \(6\)",
        ),
        ({"patch_size": 0}, "`patch_size` must be at least 1, got 0"),
        ({"num_hidden_layers": -1}, "`num_hidden_layers` must be at least 1, got -1"),
        ({"codebook_size": 0}, "`codebook_size` must be at least 1, got 0"),
        ({"time_tolerance": -1}, "`time_tolerance` is a number of patches and must be >= 0, got -1"),
        ({"time_encoding": "sine"}, r"`time_encoding` must be one of \('learned', 'rotary'\), got 'sine'"),
        (
            {"time_encoding": "rotary", "hidden_size": 18, "num_attention_heads": 6},
            "Rotary time encoding needs an even head size, got 3",
        ),
        ({"lead_names": ["I", "II"]}, r"`lead_names` must be unique and hold 'unknown', got \['I', 'II'\]"),
        ({"lead_names": ["I", "I", "unknown"]}, "`lead_names` must be unique"),
        (
            {"patch_channels": [64, 128]},
            r"`patch_channels` and `patch_strides` must have one entry .* got \[64, 128\] and \[5, 3, 4\]",
        ),
        (
            {"patch_kernel_size": 3},
            r"`patch_kernel_size` \(3\) must be at least the first stride \(5\), or samples are skipped",
        ),
        ({"patch_strides": [5, 3, 7]}, r"product of `patch_strides` \[5, 3, 7\] must divide `patch_size` \(300\)"),
        ({"patch_strides": [5, 0, 4]}, r"product of `patch_strides` \[5, 0, 4\] must divide `patch_size`"),
        ({"patch_norm_groups": 7}, r"`patch_norm_groups` \(7\) must divide every entry of `patch_channels`"),
    ],
)
def test_impossible_shapes_are_refused_with_their_numbers(config_class: type, fields: dict, message: str):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        config_class(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"codebook_update": "adam"}, "`codebook_update` must be 'ema' or 'loss', got 'adam'"),
        ({"loss_reduction": "max"}, "`loss_reduction` must be 'mean' or 'sum', got 'max'"),
        ({"ema_decay": 1.0}, r"`ema_decay` must lie in \[0, 1\), got 1.0"),
        ({"demographics_mean": [1.0, 2.0]}, "hold age, weight and sex, with positive deviations; got"),
        ({"demographics_std": [1.0, 0.0, 1.0]}, "hold age, weight and sex, with positive deviations; got"),
        ({"wavelet": "morlet"}, "`wavelet` must be a discrete wavelet of PyWavelets, got 'morlet'"),
        ({"wavelet_mode": "mirror"}, "`wavelet_mode` must be one of .*'symmetric'.* got 'mirror'"),
        ({"wavelet_levels": 5}, r"`wavelet_levels` must lie in 1..4: .* a patch of 300 samples with db6; got 5"),
        ({"wavelet_levels": 0}, r"`wavelet_levels` must lie in 1..4"),
        (
            {"wavelet_band_std": [1.0, 1.0]},
            r"`wavelet_band_std` needs a positive number for each of \['cA4', 'cD4', 'cD3', 'cD2', 'cD1'\], got",
        ),
    ],
)
def test_an_impossible_quantizer_is_refused(fields: dict, message: str):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        AnyECGQuantizerConfig(**fields)


def test_an_unknown_way_to_pool_is_refused():
    with pytest.raises(
        StrictDataclassClassValidationError,
        match="`classifier_pooling` must be 'mean', 'mean_max' or 'attention', got 'sum'",
    ):
        AnyECGConfig(classifier_pooling="sum")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_act": "foo"}, "`hidden_act` must be one of"),
        ({"hidden_dropout": 1.5}, r"`hidden_dropout` is a probability and must lie in \[0, 1\), got 1.5"),
        ({"rotary_base": -1.0}, "`rotary_base` must be larger than 1, got -1.0"),
        ({"codebook_dim": 0}, "`codebook_dim` must be at least 1, got 0"),
        ({"num_decoder_layers": 0}, "`num_decoder_layers` must be at least 1, got 0"),
        ({"codebook_revival_threshold": -0.1}, "must be at least 0, got -0.1"),
    ],
)
def test_impossible_numbers_are_refused_before_a_layer_meets_them(fields: dict, message: str):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        AnyECGQuantizerConfig(**fields)


def test_a_preset_refuses_fields_that_do_not_exist():
    with pytest.raises(TypeError, match=r"unknown fields of AnyECGConfig: \['hiden_size'\]"):
        AnyECGConfig.from_preset("tiny", hiden_size=64)


@pytest.mark.parametrize("config_class", CONFIGS)
def test_a_value_of_the_wrong_type_is_refused(config_class: type):
    with pytest.raises(StrictDataclassFieldValidationError, match="hidden_size"):
        config_class(hidden_size="wide")


@pytest.mark.parametrize("config_class", CONFIGS)
@pytest.mark.parametrize(
    ("name", "value"), [("initializer_range", 1), ("hidden_dropout", 0), ("attention_dropout", 0), ("rotary_base", 2)]
)
def test_whole_numbers_are_numbers_too(config_class: type, name: str, value: int):
    assert getattr(config_class(**{name: value}), name) == value
    assert AnyECGQuantizerConfig(demographics_mean=[60, 70, 0]).demographics_mean == [60, 70, 0]


@pytest.mark.parametrize(
    "config",
    [
        tiny_config(classifier_pooling="mean_max", trained_time_positions=4, time_encoding="rotary"),
        tiny_config(id2label={0: "NORM", 1: "MI", 2: "STTC"}, problem_type="multi_label_classification"),
        tiny_quantizer_config(num_quantizers=2, wavelet_intermediate=True, codebook_update="loss"),
        tiny_quantizer_config(wavelet_band_std=[1.0, 2.0, 3.0], demographics_mean=(50.0, 70.0, 0.5)),
    ],
)
def test_a_config_survives_saving_and_loading(config: PreTrainedConfig, tmp_path: Path):
    config.save_pretrained(tmp_path)
    for loaded in (type(config).from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        assert type(loaded) is type(config)
        assert loaded.id2label == config.id2label
        assert json.loads(loaded.to_json_string()) == json.loads(config.to_json_string())


def test_facts_are_stored_and_what_follows_from_them_is_not(tmp_path: Path):
    for config in (tiny_config(attn_implementation="eager"), tiny_quantizer_config()):
        config.save_pretrained(tmp_path)
        stored = json.loads((tmp_path / "config.json").read_text())
        derived = ("head_size", "patch_seconds", "unknown_lead_id", "wavelet_bands", "band_std")
        assert not {*derived, "_attn_implementation", "attn_implementation", "base_model_tp_plan"} & stored.keys()
        assert stored["model_type"] == config.model_type


def test_a_key_that_this_version_does_not_know_is_kept(tmp_path: Path):
    tiny_config().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "from_a_later_version": 7}))
    with pytest.warns(UserWarning, match="does not know, keeps and does not use: from_a_later_version"):
        loaded = AnyECGConfig.from_pretrained(tmp_path)
    assert loaded.from_a_later_version == 7
    assert loaded.to_dict()["from_a_later_version"] == 7


def test_wavelet_bands_are_named_coarse_to_fine():
    config = AnyECGQuantizerConfig(wavelet_intermediate=True)
    assert config.wavelet_bands == ["cA4", "cD4", "cD3", "cD2", "cD1", "cA3", "cA2", "cA1"]
    assert len(config.band_std) == 8
    assert min(config.band_std) > 0
    assert AnyECGQuantizerConfig(wavelet_band_std=[1, 2, 3, 4, 5]).band_std == [1, 2, 3, 4, 5]


def test_models_leave_their_config_as_it_is():
    for model_class, config in ((AnyECGModel, tiny_config()), (AnyECGRhythmQuantizer, tiny_quantizer_config())):
        before = config.to_dict()
        model_class(config)
        assert config.to_dict() == before
