# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the script of the embedded checkpoint remembers of itself."""

import argparse
import json
from pathlib import Path

import pytest
from examples import train_anyecg_tiny
from tests.training.written_records import write_corpora

from anyecg_hf import AnyECGTokenizer


def arguments(output: Path, **changed) -> argparse.Namespace:
    defaults = {"quantizer_steps": 7, "pretraining_steps": 8, "finetuning_epochs": 9, "seed": 3, "cuda": False}
    return argparse.Namespace(output=output, **{**defaults, **changed})


def test_a_run_folder_keeps_the_arguments_of_its_first_start(tmp_path):
    train_anyecg_tiny.keep_arguments(arguments(tmp_path))
    train_anyecg_tiny.keep_arguments(arguments(tmp_path))
    with pytest.raises(
        ValueError, match=r"other arguments: quantizer_steps was 7 and is 70 now, seed was 3 and is 4 now"
    ):
        train_anyecg_tiny.keep_arguments(arguments(tmp_path, seed=4, quantizer_steps=70))
    assert json.loads((tmp_path / "arguments.json").read_text())["seed"] == 3


def test_a_run_folder_of_before_gets_the_file(tmp_path):
    (tmp_path / "quantizer").mkdir()
    train_anyecg_tiny.keep_arguments(arguments(tmp_path, seed=5))
    assert json.loads((tmp_path / "arguments.json").read_text())["seed"] == 5


def test_provenance_holds_what_decides_the_weights(tmp_path):
    write_corpora(tmp_path)
    corpora = train_anyecg_tiny.load_corpora(tmp_path, AnyECGTokenizer(patch_size=75))
    provenance = train_anyecg_tiny.provenance_of(corpora, arguments(tmp_path / "run"), code_weight=0.1)
    assert provenance == json.loads(json.dumps(provenance))
    stages = provenance["stages"]
    assert (stages["quantizer"]["max_steps"], stages["pretraining"]["max_steps"]) == (7, 8)
    assert (stages["finetuning"]["num_train_epochs"], provenance["finetuning_epochs_at_most"]) == (9, 9)
    assert [stages[stage]["learning_rate"] for stage in stages] == [1e-3, 1e-3, 3e-4]
    for facts in stages.values():
        assert (facts["adam_beta2"], facts["lr_scheduler_type"], facts["warmup_steps"]) == (0.98, "cosine", 50)
        assert (facts["per_device_train_batch_size"], facts["seed"], facts["lead_dropout"]) == (16, 3, 0.2)
        assert facts["optim"].startswith("adamw")
    assert stages["quantizer"]["loss_weights"]["commitment"] == 0.25
    assert [mask["strategy"] for mask in stages["pretraining"]["masking"]] == ["random", "whole_time", "whole_lead"]
    assert (provenance["window_patches"], provenance["training_records"]) == (40, 2)
    assert provenance["training_fingerprint_sha256"] == corpora.fingerprint
