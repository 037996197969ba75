# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from tests.models.tiny import tiny_config
from torch.nn.functional import binary_cross_entropy_with_logits

from anyecg_hf.models.anyecg.modeling_anyecg_tasks import classification_loss

CONFIG = tiny_config(num_labels=3, problem_type="multi_label_classification")
LABELS = torch.tensor([[1.0, 0.0, torch.nan], [torch.nan, 1.0, 1.0], [torch.nan] * 3, [0.0, 0.0, 1.0]])


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_without_unknown_labels_it_is_the_mean_over_all(logits):
    labels = LABELS.nan_to_num()
    expected = binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(classification_loss(CONFIG, logits, labels), expected)
    torch.testing.assert_close(classification_loss(CONFIG, logits, labels.long()), expected)


def test_unknown_labels_are_not_counted(logits):
    known = ~LABELS.isnan()
    expected = binary_cross_entropy_with_logits(logits[known], LABELS[known])
    torch.testing.assert_close(classification_loss(CONFIG, logits, LABELS), expected)


def test_what_the_head_says_where_nothing_is_known_has_no_gradient(logits):
    classification_loss(CONFIG, logits, LABELS).backward()
    assert torch.equal(logits.grad != 0, ~LABELS.isnan())


def test_where_nothing_is_known_at_all_the_loss_is_zero(logits):
    loss = classification_loss(CONFIG, logits, torch.full((4, 3), torch.nan))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_logits_that_are_no_numbers_are_not_hidden_by_unknown_labels(logits):
    broken = logits.detach().clone()
    broken[0, 0] = torch.nan  # known
    assert classification_loss(CONFIG, broken, LABELS).isnan()


def test_unknown_labels_decide_nothing_about_the_kind_of_problem(logits):
    undecided = tiny_config(num_labels=3)
    torch.testing.assert_close(
        classification_loss(undecided, logits, LABELS), classification_loss(CONFIG, logits, LABELS)
    )
