# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anyecg_hf.code_counts import entropy_nats, mutual_information_bits, perplexity


def test_codes_used_alike_have_their_number_as_perplexity():
    assert perplexity(np.array([7, 7, 0, 7, 7])) == pytest.approx(4.0)


def test_one_code_has_no_entropy_and_neither_has_nothing():
    assert entropy_nats(np.array([5, 0])) == 0.0 == entropy_nats(np.zeros(3))


def test_codes_that_name_the_lead_tell_all_of_it():
    assert mutual_information_bits(np.diag([3, 3, 3, 3])) == pytest.approx(2.0)


def test_codes_that_are_the_same_in_every_lead_tell_nothing():
    assert mutual_information_bits(np.outer([1, 2, 3], [4, 5])) == pytest.approx(0.0, abs=1e-12)
