# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints whose tokenizer, quantizer and model are of different checkpoints: training does not start."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.models.tiny import tiny_quantizer_config
from tests.training.small_runs import SmallRuns

from anyecg_hf import AnyECGRhythmQuantizer
from anyecg_hf.training.classification import ClassificationStage


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def backbone(runs: SmallRuns, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs.backbone, tmp_path / "backbone"))


def stage(runs: SmallRuns, backbone: Path, **changes) -> ClassificationStage:
    return ClassificationStage(
        runs.config("finetuning", backbone.parent / "run", checkpoint=str(backbone), **changes), torch.device("cpu")
    )


def test_a_tokenizer_of_another_model_stops_fine_tuning(runs: SmallRuns, backbone: Path):
    path = backbone / "preprocessor_config.json"
    fields = json.loads(path.read_text())
    first, second, *rest = fields["lead_names"]
    path.write_text(json.dumps({**fields, "lead_names": [second, first, *rest]}))
    with pytest.raises(
        ValueError, match=r"the model's `lead_names` is \['I', 'II', .* but the tokenizer's is \['II', 'I"
    ):
        stage(runs, backbone, code_weight=0.0)


def test_codes_of_another_codebook_stop_fine_tuning_that_needs_them(runs: SmallRuns, backbone: Path):
    shutil.rmtree(backbone / "quantizer")
    AnyECGRhythmQuantizer(tiny_quantizer_config(codebook_size=32)).save_pretrained(backbone / "quantizer")
    with pytest.raises(
        ValueError, match="the model's `codebook_size` is 8, but the quantizer's is 32: its codes cannot"
    ):
        stage(runs, backbone, code_weight=0.1)
