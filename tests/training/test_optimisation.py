# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import math

import pytest
import torch
from tests.models.tiny import tiny_config, tiny_quantizer_config

from anyecg_hf import AnyECGForSequenceClassification, AnyECGRhythmQuantizer
from anyecg_hf.training.configs import OptimiserConfig
from anyecg_hf.training.optimisation import learning_rate_share, make_optimiser, set_learning_rate


def settings_of(model, optimiser):
    """Parameter name -> its group."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: {"weight_decay": group["weight_decay"], "lr_scale": group["lr_scale"]}
        for group in optimiser.param_groups
        for parameter in group["params"]
    }


@pytest.fixture(scope="module")
def classifier():
    return AnyECGForSequenceClassification(tiny_config(num_labels=2))


class TestGroups:
    def test_matrices_decay_and_biases_norms_embeddings_and_the_mask_token_do_not(self, classifier):
        found = settings_of(classifier, make_optimiser(classifier, OptimiserConfig(weight_decay=0.3)))
        assert found.keys() == dict(classifier.named_parameters()).keys()
        decayed = {name for name, group in found.items() if group["weight_decay"] == 0.3}
        assert {group["weight_decay"] for name, group in found.items() if name not in decayed} == {0.0}
        assert {
            "anyecg.embeddings.patch_encoder.convolutions.0.weight",
            "anyecg.embeddings.patch_encoder.linear_path.weight",
            "anyecg.layers.1.attention.q_proj.weight",
            "anyecg.layers.0.mlp.down_proj.weight",
            "classifier.weight",
        } <= decayed
        assert not [name for name in decayed if name.endswith("bias") or "norm" in name or "_embeddings" in name]
        assert "anyecg.embeddings.mask_token" in found.keys() - decayed
        assert len(decayed) == 4 + 2 * 6 + 1

    def test_learned_codebooks_do_not_decay(self):
        model = AnyECGRhythmQuantizer(tiny_quantizer_config(codebook_update="loss"))
        found = settings_of(model, make_optimiser(model, OptimiserConfig()))
        assert found["quantizer.codebooks.0.embeddings"]["weight_decay"] == 0.0

    def test_rates_fall_from_the_head_layer_by_layer_to_the_embeddings(self, classifier):
        config = OptimiserConfig(learning_rate=0.1, layer_decay=0.5, schedule="constant", warmup_steps=0)
        optimiser = make_optimiser(classifier, config)
        found = settings_of(classifier, optimiser)
        for name, group in found.items():
            if "embeddings" in name:
                assert group["lr_scale"] == 0.125, name
            elif ".layers.0." in name:
                assert group["lr_scale"] == 0.25, name
            elif ".layers.1." in name:
                assert group["lr_scale"] == 0.5, name
            else:
                assert group["lr_scale"] == 1.0, name
        assert set_learning_rate(optimiser, 3, 10, config) == pytest.approx(0.1)
        assert sorted({group["lr"] for group in optimiser.param_groups}) == pytest.approx([0.0125, 0.025, 0.05, 0.1])

    def test_frozen_weights_are_absent_and_all_frozen_is_an_error(self):
        model = AnyECGForSequenceClassification(tiny_config(num_labels=2))
        model.anyecg.requires_grad_(False)
        assert settings_of(model, make_optimiser(model, OptimiserConfig())).keys() == {
            "classifier.weight",
            "classifier.bias",
        }
        model.requires_grad_(False)
        with pytest.raises(ValueError, match="no parameter of the model is trained: all of them are frozen"):
            make_optimiser(model, OptimiserConfig())

    def test_adam_has_the_configured_constants(self, classifier):
        group = make_optimiser(classifier, OptimiserConfig(beta_1=0.8, beta_2=0.95, epsilon=1e-6)).param_groups[0]
        assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-6)


class TestSchedules:
    def shares(self, steps, *at, **settings):
        return [learning_rate_share(step, steps, OptimiserConfig(**settings)) for step in at]

    @pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
    def test_all_of_them_warm_up_linearly(self, schedule):
        assert self.shares(100, 0, 4, 9, schedule=schedule, warmup_steps=10) == pytest.approx([0.1, 0.5, 1.0])

    def test_cosine(self):
        found = self.shares(110, 10, 35, 60, 110, 500, schedule="cosine", warmup_steps=10, final_share=0.2)
        quarter = 0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2
        assert found == pytest.approx([1.0, quarter, 0.6, 0.2, 0.2])

    def test_wsd_is_level_and_then_falls_in_a_line(self):
        settings = {"schedule": "wsd", "warmup_steps": 10, "decay_share": 0.25, "final_share": 0.1}
        found = self.shares(100, 10, 74, 75, 80, 100, **settings)
        assert found == pytest.approx([1.0, 1.0, 1.0, 0.82, 0.1])

    def test_constant_stays(self):
        assert self.shares(100, 10, 99, schedule="constant", warmup_steps=10, final_share=0.1) == [1.0, 1.0]

    def test_a_warm_up_longer_than_the_run_is_no_error(self):
        for schedule in ("cosine", "wsd", "constant"):
            assert self.shares(5, 4, schedule=schedule, warmup_steps=50) == [0.1]


class TestNames:
    def test_wrapped_names_belong_to_the_same_groups(self, classifier):
        wrapped = torch.nn.ModuleDict({"module": classifier})
        config = OptimiserConfig(layer_decay=0.5)
        plain = settings_of(classifier, make_optimiser(classifier, config))
        assert settings_of(wrapped, make_optimiser(wrapped, config)) == {
            f"module.{name}": group for name, group in plain.items()
        }
