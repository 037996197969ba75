# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from types import SimpleNamespace

import pytest
import torch

from anyecg_hf import AnyECGRhythmQuantizer
from anyecg_hf.training import trainer
from anyecg_hf.training.trainer import CodebookCallback, CodebookCollapseError, training_arguments, training_facts


def test_our_defaults_give_way_to_what_is_passed(tmp_path):
    arguments = training_arguments(tmp_path, use_cpu=True, weight_decay=0.5)
    assert (arguments.weight_decay, arguments.seed, arguments.lr_scheduler_type) == (0.5, 0, "cosine")
    assert arguments.output_dir == str(tmp_path)
    assert arguments.report_to == []  # nothing is sent anywhere
    assert arguments.device == torch.device("cpu")


def test_columns_that_only_the_collator_knows_are_kept(tmp_path):
    assert training_arguments(tmp_path, use_cpu=True).remove_unused_columns is False


def test_facts_are_those_of_the_training_as_json_has_them(tmp_path):
    facts = training_facts(training_arguments(tmp_path, use_cpu=True, max_steps=7, weight_decay=0.5))
    assert (facts["max_steps"], facts["weight_decay"], facts["lr_scheduler_type"]) == (7, 0.5, "cosine")
    assert "num_train_epochs" not in facts and type(facts["optim"]) is str
    assert training_facts(training_arguments(tmp_path, use_cpu=True, num_train_epochs=4))["num_train_epochs"] == 4


class TestCodebookCallback:
    STATE = SimpleNamespace(global_step=0, logging_steps=3)

    @pytest.fixture
    def model(self, quantizer_config):
        return AnyECGRhythmQuantizer(quantizer_config(min_codebook_usage=0.5))

    @pytest.fixture
    def callback(self, model, tmp_path):
        callback = CodebookCallback()
        callback.on_train_begin(training_arguments(tmp_path, use_cpu=True), self.STATE, None, model=model)
        return callback

    def test_one_hook_is_on_however_often_training_begins(self, callback, model, tmp_path):
        callback.on_train_begin(training_arguments(tmp_path, use_cpu=True), self.STATE, None, model=model)
        assert len(model.quantizer._forward_hooks) == 1
        callback.remove_hook()
        callback.remove_hook()
        assert len(model.quantizer._forward_hooks) == 0

    def test_the_uses_of_all_processes_decide(self, callback, model, monkeypatch):
        """Another process has used the codes that this one has not; nothing is checked between the logged steps."""
        monkeypatch.setattr(model, "update_codebook", lambda: None)
        callback._uses[:, 0] = 1000
        others = torch.full_like(callback._uses, 5)
        step = {"args": None, "control": None, "model": model}
        monkeypatch.setattr(trainer, "reduce", lambda uses, reduction: uses + others)
        callback.on_step_end(state=SimpleNamespace(global_step=3, logging_steps=3), **step)
        callback._uses[:, 0] = 1000
        monkeypatch.setattr(trainer, "reduce", lambda uses, reduction: uses)
        callback.on_step_end(state=SimpleNamespace(global_step=4, logging_steps=3), **step)
        with pytest.raises(CodebookCollapseError, match="in use at step 6"):
            callback.on_step_end(state=SimpleNamespace(global_step=6, logging_steps=3), **step)

    def test_every_process_has_its_own_file(self, callback):
        names = [callback.state_file(SimpleNamespace(world_size=2, process_index=rank)) for rank in (0, 1)]
        assert names == ["codebook_reservoir-rank0.safetensors", "codebook_reservoir-rank1.safetensors"]
        assert callback.state_file(SimpleNamespace(world_size=1, process_index=0)) == callback.STATE_FILE
