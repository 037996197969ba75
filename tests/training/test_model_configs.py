# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from tests.models.tiny import tiny_quantizer_config

from anyecg_hf import AnyECGConfig, AnyECGQuantizerConfig, AnyECGTokenizer
from anyecg_hf.training.model_configs import (
    check_fields,
    check_fixed,
    load_tokenizer,
    new_config,
    parent_digest,
    shared_with_tokenizer,
    tokenizer_for,
)


@pytest.mark.parametrize(
    ("config_class", "given", "message"),
    [
        (AnyECGConfig, {"hiden_size": 64, "n_layers": 3}, "hiden_size, n_layers are none of AnyECGConfig"),
        (AnyECGQuantizerConfig, {"codebook_dims": 64}, "codebook_dims are none of AnyECGQuantizerConfig"),
        (AnyECGQuantizerConfig, {"preset": "base"}, "preset are none of AnyECGQuantizerConfig"),
    ],
)
def test_typos_are_refused(config_class, given, message):
    with pytest.raises(ValueError, match=f"`model` has unknown fields: {message}"):
        new_config(config_class, given)


def test_known_fields_and_names_of_classes_are_taken():
    check_fields(AnyECGConfig, {"hidden_size": 64, "classifier_pooling": "mean", "id2label": {0: "a"}})
    assert new_config(AnyECGQuantizerConfig, {"codebook_size": 512, "codebook_dim": 16}).codebook_size == 512


def test_impossible_fields_are_refused_by_the_configuration_itself():
    with pytest.raises(ValueError, match="`model` cannot be: `loss_reduction` must be 'mean' or 'sum', got 'median'"):
        new_config(AnyECGQuantizerConfig, {"loss_reduction": "median"})
    with pytest.raises(ValueError, match=r"`model` cannot be: .*hidden_size(?s:.*)many"):
        new_config(AnyECGConfig, {"hidden_size": "many"})


def test_a_preset_names_the_size_and_fields_beside_it_stay():
    config = new_config(AnyECGConfig, {"preset": "small", "time_encoding": "rotary"}, {"codebook_size": 77})
    small = AnyECGConfig.from_preset("small")
    assert (config.hidden_size, config.num_hidden_layers) == (small.hidden_size, small.num_hidden_layers)
    assert (config.time_encoding, config.codebook_size) == ("rotary", 77)


def test_what_follows_from_the_tokenizer_need_not_be_said():
    tokenizer = AnyECGTokenizer(patch_size=120, sampling_rate=150, lead_names=["I", "V1", "unknown"])
    fixed = shared_with_tokenizer(tokenizer)
    config = new_config(AnyECGConfig, {"hidden_size": 64, "num_attention_heads": 2}, fixed)
    assert (config.patch_size, config.sampling_rate, list(config.lead_names)) == (120, 150, ["I", "V1", "unknown"])


def test_what_contradicts_the_tokenizer_is_refused_with_both_values():
    fixed = {**shared_with_tokenizer(AnyECGTokenizer()), "codebook_size": 512}
    given = {"patch_size": 75, "codebook_size": 256, "lead_names": ["I", "unknown"]}
    with pytest.raises(ValueError, match="contradicts the tokenizer it is to work with") as caught:
        new_config(AnyECGConfig, given, fixed)
    assert "patch_size is 300 there and 75 here" in str(caught.value)
    assert "codebook_size is 512 there and 256 here" in str(caught.value)
    assert "lead_names" in str(caught.value)


def test_what_agrees_with_the_tokenizer_may_be_said_again():
    fixed = shared_with_tokenizer(AnyECGTokenizer())
    check_fixed({"patch_size": 300, "lead_names": list(AnyECGTokenizer().lead_names), "hidden_size": 3}, fixed, "it")
    with pytest.raises(ValueError, match="contradicts it: patch_size is 300 there and None here"):
        check_fixed({"patch_size": None}, fixed, "it")


def test_the_tokenizer_of_a_new_quantizer_has_its_patches_and_own_filters():
    tokenizer = tokenizer_for(tiny_quantizer_config(), {"notch_hz": 60})
    assert (tokenizer.patch_size, tokenizer.notch_hz) == (75, 60)


def test_the_tokenizer_section_must_not_repeat_the_model():
    with pytest.raises(ValueError, match="`tokenizer` must not have patch_size: the model's are used"):
        tokenizer_for(tiny_quantizer_config(), {"patch_size": 300})


def test_typos_of_the_tokenizer_section_are_refused():
    with pytest.raises((TypeError, ValueError), match="notch"):
        tokenizer_for(tiny_quantizer_config(), {"notch": 60})


@pytest.mark.parametrize("path", ["/nowhere/final", "runs/quantizer/final", "./final"])
def test_a_checkpoint_path_to_nothing_is_not_looked_for_on_the_hub(path):
    with pytest.raises(ValueError, match=f"there is no checkpoint folder '{path}'"):
        load_tokenizer(path)


def test_what_a_run_takes_over_is_the_tokenizer_s_settings_and_the_weights_that_are_not_new():
    def model(value: float) -> torch.nn.Module:
        found = torch.nn.Linear(2, 1)
        torch.nn.init.constant_(found.weight, value)
        torch.nn.init.constant_(found.bias, 0.0)
        return found

    tokenizer, other = AnyECGTokenizer(patch_size=75), AnyECGTokenizer(patch_size=75, notch_hz=60.0)
    expected = parent_digest(tokenizer, model(1.0))
    assert parent_digest(AnyECGTokenizer(patch_size=75), model(1.0)) == expected
    assert expected not in (parent_digest(tokenizer, model(2.0)), parent_digest(other, model(1.0)))
    assert parent_digest(tokenizer, model(2.0), {"weight"}) == parent_digest(tokenizer, model(1.0), ["weight"])
