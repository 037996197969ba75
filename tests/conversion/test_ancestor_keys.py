# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The table of names: every weight has a row, and every row leads back."""

import pytest
import torch
from ancestor_keys import backbone_table, quantizer_table, to_ours, to_theirs
from tests.conversion.sources import backbone, quantizer

from anyecg_hf import (
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
)

KINDS = {
    "backbone": (None, AnyECGModel, ""),
    "code head": ("lm_head", AnyECGForMaskedCodeModeling, "anyecg."),
    "classifier": ("head", AnyECGForSequenceClassification, "anyecg."),
    "quantizer": ("quantizer", AnyECGRhythmQuantizer, ""),
}


def example(kind: str):
    head, model_class, prefix = KINDS[kind]
    source, config = quantizer() if head == "quantizer" else backbone(head, use_scale_embeddings=True)
    channels = config.patch_channels
    table = quantizer_table(channels) if head == "quantizer" else backbone_table(channels, prefix)
    return source.state_dict(), table, model_class(config)


@pytest.mark.parametrize("kind", KINDS)
def test_all_weights_of_both_sides_are_in_the_table(kind):
    theirs, table, model = example(kind)
    ours = to_ours(theirs, table)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.items()} == expected
    assert to_theirs(model.state_dict(), table).keys() == theirs.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_leads_back_bit_for_bit(kind):
    theirs, table, model = example(kind)
    for name, tensor in theirs.items():
        back = to_theirs(to_ours({name: tensor}, table), table)
        assert list(back) == [name] and back[name].shape == tensor.shape and torch.equal(back[name], tensor), name
    again = to_ours(to_theirs(model.state_dict(), table), table)
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())


def test_a_weight_has_one_row_only():
    for kind in KINDS:
        theirs, table, model = example(kind)
        assert {sum(row.match(name) is not None for row in table) for name in theirs} == {1}


def test_weights_without_a_place_are_named():
    theirs, table, _ = example("code head")
    with pytest.raises(ValueError, match=r"2 weights have no place in AnyECG: cls_token, blocks.0.attn.q_norm.weight"):
        to_ours({**theirs, "cls_token": torch.zeros(1, 1, 32), "blocks.0.attn.q_norm.weight": torch.ones(16)}, table)
    long_records = AnyECGForLongRecordClassification(backbone()[1])
    with pytest.raises(ValueError, match="no place in the ancestors' layout: classifier.input_norm.weight"):
        to_theirs(long_records.state_dict(), table)


def test_a_weight_of_another_rank_is_named():
    theirs, table, _ = example("code head")
    with pytest.raises(ValueError, match=r"mask_token has the shape \(32,\)"):
        to_ours({"mask_token": theirs["mask_token"][0, 0]}, table)
