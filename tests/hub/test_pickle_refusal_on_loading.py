# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`from_pretrained` reads weights from safetensors only, on disk and on the Hub, and no pickle ever runs."""

import pickle

import pytest
import torch
from huggingface_hub import constants

from anyecg_hf import AnyECGForSequenceClassification, AnyECGModel, AnyECGRhythmQuantizer, AnyECGTokenizer

REPO = "org/anyecg-small"


@pytest.fixture
def bomb(tmp_path) -> bytes:
    """A pickle that leaves a file behind when it is loaded."""

    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "went-off"), "w")

    yield pickle.dumps(Bomb())
    assert not (tmp_path / "went-off").exists()


def test_a_pickle_in_place_of_the_weights_is_refused(shared, bomb):
    (shared / "model.safetensors").unlink()
    (shared / "pytorch_model.bin").write_bytes(bomb)
    for model_class in (AnyECGModel, AnyECGForSequenceClassification):
        with pytest.raises(
            ValueError, match="shared has no model.safetensors, but pytorch_model.bin. A pickle runs code"
        ):
            model_class.from_pretrained(shared)


def test_so_is_one_that_is_asked_for(shared):
    torch.save(AnyECGModel.from_pretrained(shared).state_dict(), shared / "pytorch_model.bin")
    with pytest.raises(ValueError, match="`use_safetensors=False` asks for a pickle. A pickle runs code"):
        AnyECGModel.from_pretrained(shared, use_safetensors=False)
    AnyECGModel.from_pretrained(shared, use_safetensors=None)


def test_the_quantizers_too(shared, bomb):
    (shared / "quantizer" / "model.safetensors").rename(shared / "kept")
    (shared / "quantizer" / "pytorch_model.bin").write_bytes(bomb)
    with pytest.raises(ValueError, match="quantizer has no model.safetensors, but pytorch_model.bin"):
        AnyECGRhythmQuantizer.from_pretrained(shared, subfolder="quantizer")
    with pytest.raises(ValueError, match="quantizer has no model.safetensors, but pytorch_model.bin"):
        _ = AnyECGTokenizer.from_pretrained(shared).quantizer


def test_what_trainings_leave_beside_safetensors_is_left_alone(shared, bomb):
    (shared / "optimizer.pt").write_bytes(bomb)
    (shared / "pytorch_model.bin").write_bytes(bomb)
    assert AnyECGModel.from_pretrained(shared).config.hidden_size > 0


def test_no_weights_at_all_are_an_error_that_says_so(shared):
    (shared / "model.safetensors").unlink()
    with pytest.raises(OSError, match="holds no weights: expected model.safetensors"):
        AnyECGModel.from_pretrained(shared)


def test_on_the_hub_nothing_but_safetensors_is_fetched(local_hub, shared, bomb):
    local_hub.add(REPO, {"config.json": (shared / "config.json").read_bytes(), "pytorch_model.bin": bomb})
    with pytest.raises(ValueError, match=f"'{REPO}' has neither model.safetensors nor .* and no other file is read"):
        AnyECGModel.from_pretrained(REPO, cache_dir=constants.HF_HUB_CACHE)
    assert local_hub.requests("GET", r"pytorch_model\.bin") == []
