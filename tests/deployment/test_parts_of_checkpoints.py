# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that lack a quantizer, or whose parts do not belong together."""

import pytest
from tests.models.tiny import tiny_config

from anyecg_hf import AnyECGModel, AnyECGTokenizer
from anyecg_hf.deployment.exported_checkpoint import export_checkpoint


def test_a_checkpoint_without_a_quantizer_is_exported_without_one(tmp_path):
    AnyECGModel(tiny_config()).save_pretrained(tmp_path / "own")
    AnyECGTokenizer(patch_size=75).save_pretrained(tmp_path / "own")
    exported = export_checkpoint(tmp_path / "own", tmp_path / "exported", form="torch")
    assert set(exported.files) == {"model.pt2", "preprocessor_config.json", "export.json"}


def test_a_tokenizer_of_another_model_is_not_exported_with_it(tmp_path):
    AnyECGModel(tiny_config()).save_pretrained(tmp_path / "own")
    AnyECGTokenizer(patch_size=150).save_pretrained(tmp_path / "own")
    with pytest.raises(ValueError, match="the model's `patch_size` is 75, but the tokenizer's is 150"):
        export_checkpoint(tmp_path / "own", tmp_path / "exported", form="torch")
    assert not (tmp_path / "exported").exists()
