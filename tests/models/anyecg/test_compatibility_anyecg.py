# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Configuration files of other versions, and parts that are not of one checkpoint."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from tests.models.tiny import hidden_positions, padded_batch, tiny_config, tiny_quantizer_config
from transformers import AutoModel

from anyecg_hf import (
    AnyECGConfig,
    AnyECGForMaskedCodeModeling,
    AnyECGModel,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.models.anyecg.compatibility_anyecg import (
    CONFIG_VERSION,
    check_codes_match,
    check_config_version,
    check_tokenizer_matches,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    AnyECGModel(tiny_config()).save_pretrained(tmp_path)
    AnyECGTokenizer(patch_size=75).save_pretrained(tmp_path)
    return tmp_path


def changed(checkpoint: Path, file: str = "config.json", **fields) -> Path:
    path = checkpoint / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return checkpoint


# Versions


def test_every_file_says_its_version(checkpoint: Path):
    for name in ("config.json", "preprocessor_config.json"):
        assert json.loads((checkpoint / name).read_text())["config_version"] == CONFIG_VERSION == "1.0"


@pytest.mark.parametrize("kind", [AnyECGConfig, AnyECGModel, AutoModel])
def test_a_later_major_version_is_refused(checkpoint: Path, kind: type):
    with pytest.raises(
        ValueError, match=r"config.json is of version 2.0, and this anyecg_hf reads 1.x: upgrade anyecg"
    ):
        kind.from_pretrained(changed(checkpoint, config_version="2.0"))


def test_a_later_version_of_the_tokenizer_is_refused(checkpoint: Path):
    with pytest.raises(ValueError, match=r"preprocessor_config.json is of version 12.1, and this anyecg_hf reads 1.x"):
        AnyECGTokenizer.from_pretrained(changed(checkpoint, "preprocessor_config.json", config_version="12.1"))


def test_a_later_minor_version_loads_and_stays_what_it_is(checkpoint: Path, tmp_path: Path):
    config = AnyECGConfig.from_pretrained(changed(checkpoint, config_version="1.7"))
    assert config.to_dict()["config_version"] == "1.7"


@pytest.mark.parametrize("version", ["1", "one", 1, 1.0, None, "1.0.0", "٢.0", "9" * 50 + ".0"])
def test_what_is_no_version_is_refused(version: object):
    with pytest.raises(ValueError, match="`config_version` in config.json must be such as '1.0', got"):
        check_config_version(version, "config.json")


def test_a_file_without_a_version_is_of_the_first(checkpoint: Path):
    fields = json.loads((checkpoint / "config.json").read_text())
    del fields["config_version"]
    (checkpoint / "config.json").write_text(json.dumps(fields))
    assert AnyECGModel.from_pretrained(checkpoint).config.config_version == "1.0"


# Fields


def test_unknown_fields_are_named_and_kept(checkpoint: Path):
    changed(checkpoint, n_layers=5, old_name="x")
    with pytest.warns(UserWarning, match="does not know, keeps and does not use: n_layers, old_name"):
        config = AnyECGModel.from_pretrained(checkpoint).config
    assert (config.n_layers, config.old_name) == (5, "x")


def test_what_this_version_writes_it_knows(checkpoint: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for kind in (AnyECGConfig, AnyECGModel, AutoModel, AnyECGTokenizer):
            kind.from_pretrained(checkpoint)
        AnyECGModel.from_pretrained(checkpoint, dtype="bfloat16", attn_implementation="eager", num_labels=3)


@pytest.mark.parametrize("name", ["validate_architecture", "head_size", "to_dict", "from_pretrained"])
def test_a_field_that_would_replace_a_part_of_the_class_is_refused(checkpoint: Path, name: str):
    with pytest.raises(ValueError, match=f"the config.json has {name}, which are no fields of AnyECGConfig but parts"):
        AnyECGModel.from_pretrained(changed(checkpoint, **{name: 3}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attn_implementation": "org/kernel"}, "`attn_implementation` in config.json is 'org/kernel', and would be f"),
        ({"_attn_implementation": "org/kernel:fn"}, "a checkpoint does not choose code"),
        ({"_attn_implementation_internal": ["x"]}, "a checkpoint does not choose code"),
        ({"transformers_weights": "../x.safetensors"}, "`transformers_weights` in config.json is '../x.safetensors'"),
        ({"dtype": "load"}, "`dtype` in config.json must be a type of torch such as 'float32', got 'load'"),
        ({"dtype": "int8"}, "`dtype` in config.json must be a type of real numbers such as 'float32', got 'int8'"),
        (
            {"quantization_config": [4]},
            "`quantization_config` in config.json must be an object, got '[4]'".replace("[", r"\["),
        ),
        (
            {"quantization_config": {"quant_method": "fp8"}},
            "is 'fp8', expected 'bitsandbytes': no checkpoint of AnyECG",
        ),
        ({"quantization_config": {"quant_method": ["x"]}}, r"`quant_method` in .* is \"\['x'\]\", expected 'bitsandb"),
        ({"quantization_config": {}}, "is 'None', expected 'bitsandbytes'"),
        ({"num_labels": {}}, "`num_labels` must be a whole number, got {}"),
        ({"num_labels": None}, "`num_labels` must be a whole number, got None"),
        ({"num_labels": -1}, "`num_labels` must be a whole number, got -1"),
        ({"dtype": {"": "float32"}}, "`dtype` in config.json must be a type of torch"),
        ({"model_type": "bert"}, "of a 'bert' model, but AnyECGConfig is for 'anyecg'"),
        ({"model_type": "anyecg_quantizer"}, "of a 'anyecg_quantizer' model, but AnyECGConfig is for 'anyecg'"),
    ],
)
def test_what_a_configuration_must_not_say_is_refused(checkpoint: Path, fields: dict, message: str):
    changed(checkpoint, **fields)
    for kind in (AnyECGConfig, AnyECGModel):
        with pytest.raises(ValueError, match=message):
            kind.from_pretrained(checkpoint)


def test_remote_code_is_neither_run_nor_looked_for_unless_asked(checkpoint: Path, tmp_path: Path):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    auto_map = {"AutoModel": "evil.Model", "AutoConfig": "../evil.Config", "AutoFeatureExtractor": "evil.Tokenizer"}
    changed(checkpoint, auto_map=auto_map)
    changed(checkpoint, "preprocessor_config.json", auto_map=auto_map)
    for kind in (AutoModel, AnyECGModel, AnyECGConfig, AnyECGTokenizer):
        assert not hasattr(kind.from_pretrained(checkpoint), "auto_map")


def test_unknown_settings_of_a_tokenizer_are_refused_with_what_to_do(checkpoint: Path):
    changed(checkpoint, "preprocessor_config.json", wander_hz=0.5, baseline="spline")
    with pytest.raises(ValueError, match="does not know: baseline, wander_hz. Without them records may be cleaned oth"):
        AnyECGTokenizer.from_pretrained(checkpoint)


def test_settings_of_another_tokenizer_are_refused(checkpoint: Path):
    changed(checkpoint, "preprocessor_config.json", feature_extractor_type="EncodecFeatureExtractor")
    with pytest.raises(ValueError, match="is of 'EncodecFeatureExtractor', expected 'AnyECGTokenizer'"):
        AnyECGTokenizer.from_pretrained(checkpoint)


# Parts of different checkpoints


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "the model's `patch_size` is 75, but the tokenizer's is 300: they are of different checkpoints"),
        ({"patch_size": 75, "sampling_rate": 250}, "the model's `sampling_rate` is 300, but the tokenizer's is 250"),
        ({"patch_size": 75, "lead_names": ["I", "unknown"]}, "the model's `lead_names` is .*, but the tokenizer's is"),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        check_tokenizer_matches(tiny_config(), AnyECGTokenizer(**settings))
    check_tokenizer_matches(tiny_config(lead_names=tuple(AnyECGTokenizer().lead_names)), AnyECGTokenizer(patch_size=75))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"codebook_size": 32},
            "the model's `codebook_size` is 16, but the quantizer's is 32: its codes cannot be the",
        ),
        ({"num_quantizers": 2}, "the model's `num_quantizers` is 1, but the quantizer's is 2"),
        ({"patch_size": 300, "wavelet_levels": 4}, "the model's `patch_size` is 75, but the quantizer's is 300"),
    ],
)
def test_codes_of_another_codebook_are_no_labels(fields: dict, message: str):
    with pytest.raises(ValueError, match=message):
        check_codes_match(tiny_config(), tiny_quantizer_config(**fields))
    check_codes_match(tiny_config(), tiny_quantizer_config())


def test_codes_of_a_larger_codebook_are_refused_where_they_are_used():
    torch.manual_seed(0)
    batch = padded_batch()
    quantizer = AnyECGRhythmQuantizer(tiny_quantizer_config(codebook_size=4096))
    quantizer.quantizer.started.fill_(True)
    codes = quantizer.eval().encode(**batch)
    assert codes.max() >= 16
    with pytest.raises(
        ValueError, match="is beyond the codebook of 16 codes: the tokenizer belongs to another checkpo"
    ):
        AnyECGForMaskedCodeModeling(tiny_config())(**batch, labels=codes, bool_masked_pos=hidden_positions(batch))


def test_a_quantizer_is_no_backbone_and_the_other_way_round(tmp_path: Path):
    AnyECGRhythmQuantizer(tiny_quantizer_config()).save_pretrained(tmp_path / "quantizer")
    AnyECGModel(tiny_config()).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="of a 'anyecg_quantizer' model, but AnyECGConfig is for 'anyecg'"):
        AnyECGModel.from_pretrained(tmp_path / "quantizer")
    with pytest.raises(ValueError, match="of a 'anyecg' model, but AnyECGQuantizerConfig is for 'anyecg_quantizer'"):
        AnyECGQuantizerConfig.from_pretrained(tmp_path / "model")


def test_a_place_without_a_config_is_not_all_defaults(checkpoint, tmp_path):
    (tmp_path / "empty").mkdir()
    for config_class in (AnyECGConfig, AnyECGQuantizerConfig):
        with pytest.raises(OSError, match="expected a config.json with fields in '.*', subfolder 'none', found none"):
            config_class.from_pretrained(checkpoint, subfolder="none")
        with pytest.raises(OSError, match="expected a config.json with fields in '.*empty', found none"):
            config_class.from_pretrained(tmp_path / "empty")
