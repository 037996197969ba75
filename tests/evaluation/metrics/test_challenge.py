# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The challenge score, by its definition written out, and the published rewards."""

from functools import partial

import numpy as np
import pytest

from anyecg_hf.corpora.label_tables import challenge_classes
from anyecg_hf.evaluation.metrics import (
    ChallengeRewards,
    bootstrap_interval,
    challenge_rewards,
    challenge_score,
    read_rewards,
)

TINY = ChallengeRewards(("AF", "NSR", "PVC"), np.array([[1.0, 0.25, 0.5], [0.25, 1.0, 0.4], [0.5, 0.4, 1.0]]), "NSR")


def written_out(labels: np.ndarray, decisions: np.ndarray, rewards: np.ndarray, normal: int) -> float:
    """The definition, record by record and pair by pair."""

    def earned(decided):
        total = 0.0
        for right_row, decided_row in zip(labels, decided, strict=True):
            right, chosen = set(np.flatnonzero(right_row)), set(np.flatnonzero(decided_row))
            total += sum(rewards[a, b] for a in right for b in chosen) / max(len(right | chosen), 1)
        return total

    idle = np.zeros_like(labels)
    idle[:, normal] = 1
    return (earned(decisions) - earned(idle)) / (earned(labels) - earned(idle))


def test_the_right_decisions_score_one_and_always_normal_zero():
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    assert challenge_score(labels, labels, TINY) == 1.0
    assert challenge_score(labels, np.array([[0, 1, 0]] * 3), TINY) == 0.0
    assert challenge_score(labels, np.zeros((3, 3)), TINY) < 0


def test_a_mistake_between_like_classes_costs_less():
    labels = np.array([[1, 0, 0], [0, 1, 0]])
    # Two classes are right or decided, so a mistake earns half its reward: .5 / 2 against .25 / 2 for "normal".
    assert challenge_score(labels, np.array([[0, 0, 1], [0, 1, 0]]), TINY) == pytest.approx((1.25 - 1.125) / 0.875)
    # Two decisions where one is right: (1 + .5) / 2.
    assert challenge_score(labels, np.array([[1, 0, 1], [0, 1, 0]]), TINY) == pytest.approx((1.75 - 1.125) / 0.875)


@pytest.mark.parametrize("year", [2020, 2021])
def test_the_score_is_that_of_the_definition_written_out(year):
    generator, rewards = np.random.default_rng(year), challenge_rewards(year)
    labels = generator.random((60, len(rewards.classes))) < 0.1
    decisions = labels ^ (generator.random(labels.shape) < 0.05)
    expected = written_out(labels, decisions, rewards.rewards, rewards.classes.index("NSR"))
    assert challenge_score(labels, decisions, rewards) == pytest.approx(expected, rel=1e-12)


def test_without_anything_to_win_the_score_is_zero():
    labels = np.array([[0, 1, 0], [0, 1, 0]])
    assert challenge_score(labels, labels, TINY) == 0.0
    assert challenge_score(np.zeros((2, 3)), labels, TINY) == 0.0


def test_the_score_can_be_bootstrapped_by_patient():
    generator = np.random.default_rng(0)
    labels = generator.random((80, 3)) < [0.4, 0.5, 0.05]
    decisions = labels ^ (generator.random(labels.shape) < 0.1)
    metric = partial(challenge_score, rewards=TINY)
    interval = bootstrap_interval(metric, labels, decisions, groups=np.repeat(range(40), 2), resamples=100)
    assert interval.estimate == challenge_score(labels, decisions, TINY)
    assert interval.low < interval.estimate < interval.high and interval.resamples == 100


@pytest.mark.parametrize(("year", "classes"), [(2020, 24), (2021, 26)])
def test_the_published_rewards_have_the_scored_classes_in_order(year, classes):
    rewards = challenge_rewards(year)
    assert rewards.classes == tuple(item.name for item in challenge_classes(year))
    assert rewards.rewards.shape == (classes, classes) and rewards.normal_class == "NSR"
    np.testing.assert_array_equal(rewards.rewards, rewards.rewards.T)
    assert (rewards.rewards.diagonal() == 1).all()
    assert rewards.rewards.min() == 0.15 and np.sort(np.unique(rewards.rewards))[-2] == 0.5


def test_single_rewards_are_the_published_ones():
    for year, left in ((2020, "LBBB"), (2021, "CLBBB|LBBB")):
        rewards = challenge_rewards(year)
        published = {
            **{("AF", "AFL"): 0.5, ("AF", "NSR"): 0.25, ("QAb", "NSR"): 0.15, ("LAD", "LAnFB"): 0.5},
            **{("NSR", "PAC|SVPB"): 0.4125, ("AF", "PAC|SVPB"): 0.3375, (left, "AF"): 0.475, ("SB", "STach"): 0.425},
        }
        for (right, decided), reward in published.items():
            assert rewards.rewards[rewards.classes.index(right), rewards.classes.index(decided)] == reward


def test_the_rewards_are_those_of_the_published_tables(records_dir):
    folder = records_dir / "labels"
    if not (folder / "weights_abbreviations.csv").is_file():
        pytest.skip("needs the challenge's weights_abbreviations.csv, which is not among the real records")
    table, rewards = read_rewards(folder / "weights_abbreviations.csv", "NSR"), challenge_rewards(2021)
    assert table.classes == rewards.classes
    np.testing.assert_array_equal(table.rewards, rewards.rewards)
    by_code = read_rewards(folder / "weights.csv", "426783006")
    np.testing.assert_array_equal(by_code.rewards, rewards.rewards)


def test_a_table_of_rewards_is_read(tmp_path):
    path = tmp_path / "weights.csv"
    path.write_text(",AF,NSR\nAF,1,0.25\nNSR,0.3,1\n")
    rewards = read_rewards(path, "NSR")
    assert rewards.classes == ("AF", "NSR") and rewards.rewards.tolist() == [[1.0, 0.25], [0.3, 1.0]]
    # Rows are what is right: for NSR, AF earns .3 / 2; for AF, NSR would earn .25 / 2.
    score = challenge_score(np.array([[1, 0], [0, 1]]), np.array([[1, 0], [1, 0]]), rewards)
    assert score == pytest.approx((1.15 - 1.125) / (2 - 1.125))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",AF,NSR\nAF,1,0.25\n", "the same 2 classes in its first row and first column, found 1 rows"),
        (",AF,NSR\nNSR,1,0.25\nAF,0.3,1\n", r"first \['NSR', 'AF'\]"),
        (",AF,NSR\nAF,1,0.25\nNSR,0.3\n", "expected a square table"),
        (",AF,NSR\nAF,1,\nNSR,0.3,1\n", "a reward is no number"),
        (",AF,NSR\nAF,1,nan\nNSR,0.3,1\n", "`rewards` must be finite"),
        (",AF,SB\nAF,1,0.2\nSB,0.3,1\n", "`normal_class` 'NSR' is not among the classes"),
        ("", "expected a square table with the same 0 classes"),
    ],
)
def test_a_table_that_is_not_square_and_complete_is_refused(tmp_path, text, message):
    path = tmp_path / "weights.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_rewards(path, "NSR")


def test_columns_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="`class_names` has 3 names for the 2 classes of `labels`"):
        challenge_score(np.eye(2), np.eye(2), TINY)
    with pytest.raises(ValueError, match="must be the classes of `rewards`"):
        challenge_score(np.eye(3), np.eye(3), TINY, class_names=("NSR", "AF", "PVC"))
    with pytest.raises(ValueError, match=r"`decisions` must hold zeros and ones only, found \[0.7\]"):
        challenge_score(np.eye(3), 0.7 * np.eye(3), TINY)
    with pytest.raises(ValueError, match=r"`decisions` must have the shape of `labels`, \(3, 3\), got \(2, 3\)"):
        challenge_score(np.eye(3), np.eye(3)[:2], TINY)
    with pytest.raises(ValueError, match="challenge year 2019 is unknown"):
        challenge_rewards(2019)
    with pytest.raises(ValueError, match="a row and a column for each of the 1 classes"):
        ChallengeRewards(("NSR",), np.eye(2), "NSR")
