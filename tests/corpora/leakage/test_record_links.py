# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anyecg_hf.corpora import CORPORA
from anyecg_hf.corpora.leakage import record_links as links
from anyecg_hf.corpora.leakage.record_links import RecordKey, id_space, joined_groups, record_name


@pytest.mark.parametrize(
    ("corpus", "one", "other"),
    [
        ("ptb-xl", "00001_hr", "HR00001"),
        ("ptb-xl", "00001_hr", "00001_lr"),
        ("incart", "I01", "I0001"),
        ("ningbo", "JS10647", "JS10647"),
        ("cpsc2018", "A0001", "A0001"),
    ],
)
def test_releases_of_a_corpus_name_a_record_by_one_number(corpus, one, other):
    assert record_name(corpus, one) == record_name(corpus, other) is not None


@pytest.mark.parametrize(
    ("corpus", "one", "other"),
    [
        ("ptb-xl", "00001_hr", "HR00010"),
        ("ptb", "s0017lre", "S0017"),
        ("mit-bih", "100", "101"),
        ("sph", "A00001", "A00010"),
    ],
)
def test_other_names_mean_other_records(corpus, one, other):
    assert record_name(corpus, one) != record_name(corpus, other)


def test_names_in_folders_mean_nothing_elsewhere():
    assert record_name("folder", "00001_hr") is None


def test_a_name_without_a_number_is_itself():
    assert record_name("ptb-xl", "test") == "test"


def test_parts_of_one_release_share_their_identifiers():
    assert id_space("chapman-shaoxing") == id_space("ningbo") != id_space("georgia") == "georgia"


def test_the_corpora_named_here_exist():
    assert {*links._ID_SPACES, *links._NUMBERED, *links._NAMELESS} <= set(CORPORA)


def test_keys_read_as_a_path():
    assert str(RecordKey("ptb-xl", "00001_hr")) == "ptb-xl/00001_hr"


class TestGroups:
    def test_links_join_into_groups_counted_by_their_first_items(self):
        np.testing.assert_array_equal(joined_groups(6, [(4, 1), (5, 4), (2, 2)]), [0, 1, 2, 3, 1, 1])

    def test_a_late_link_joins_two_groups(self):
        assert len(set(joined_groups(5, [(0, 1), (2, 3), (3, 1)])[:4].tolist())) == 1

    def test_without_links_every_item_is_a_group(self):
        np.testing.assert_array_equal(joined_groups(3, []), [0, 1, 2])

    def test_nothing_has_no_groups(self):
        assert joined_groups(0, []).shape == (0,)
