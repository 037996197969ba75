# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tables by sex, age and corpus: every record in one row, and rows that say nothing say so."""

import numpy as np
import pytest
from tests.evaluation.metrics.drawn_scores import noisy_scores, random_labels

from anyecg_hf.evaluation.metrics import (
    AGE_BANDS,
    accuracy,
    age_bands,
    bootstrap_interval,
    macro_auroc,
    subgroup_table,
)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_row_is_the_metric_on_the_records_of_the_group(generator):
    labels = random_labels(generator, 200, shares=(0.5, 0.4))
    scores = noisy_scores(generator, labels)
    sexes = np.array(["female", "male"])[generator.integers(2, size=200)]
    patients = [f"p{row // 2}" for row in range(200)]
    rows = subgroup_table(macro_auroc, labels, scores, sexes, patients=patients, resamples=50, seed=3)
    assert [row.group for row in rows] == ["female", "male"]
    assert sum(row.records for row in rows) == 200
    for row in rows:
        members = np.flatnonzero(sexes == row.group)
        expected = bootstrap_interval(
            macro_auroc,
            labels[members],
            scores[members],
            groups=[patients[member] for member in members],
            resamples=50,
            seed=3,
        )
        assert row.interval == expected
        assert row.positives == tuple(labels[members].sum(axis=0))
        assert (row.records, row.patients) == (len(members), len({patients[member] for member in members}))
        assert (row.left_out, row.note) == ((), "")


def test_groups_too_small_to_say_anything_are_listed_as_such(generator):
    labels = random_labels(generator, 70, shares=(0.5, 0.4))
    groups = ["a"] * 40 + ["b"] * 3 + [None] * 27
    labels[43:] = 0
    table = subgroup_table(
        macro_auroc, labels, noisy_scores(generator, labels), groups, order=["c", "b", "a", "unknown"]
    )
    assert [(row.group, row.records) for row in table] == [("c", 0), ("b", 3), ("a", 40), ("unknown", 27)]
    assert [row.interval is None for row in table] == [True, True, False, True]
    assert [row.note for row in table] == [
        "no records",
        "3 records, fewer than 20",
        "",
        "no class with at least 5 positives and negatives",
    ]
    assert table[0].positives == (0, 0) and table[0].patients is None


def test_a_class_that_is_scarce_in_a_group_is_left_out_of_its_figure_and_named(generator):
    labels = random_labels(generator, 100, shares=(0.5, 0.5))
    labels[:50, 1] = 0
    labels[:4, 1] = 1
    scores = noisy_scores(generator, labels)
    groups = ["few"] * 50 + ["many"] * 50
    few, many = subgroup_table(macro_auroc, labels, scores, groups, class_names=["MI", "HYP"], resamples=20)
    assert (few.left_out, many.left_out) == (("HYP",), ())
    assert few.positives[1] == 4
    assert few.interval.estimate == macro_auroc(labels[:50, :1], scores[:50, :1])
    (row, _) = subgroup_table(macro_auroc, labels, scores, groups, min_of_each=4, resamples=20)
    assert row.left_out == () and row.interval.estimate == macro_auroc(labels[:50], scores[:50])


def test_accuracy_in_a_group_counts_every_class(generator):
    labels = random_labels(generator, 60, shares=(0.5, 0.0))
    decisions = labels.copy()
    decisions[::3, 1] = 1
    (row,) = subgroup_table(accuracy, labels, decisions, ["one corpus"] * 60, resamples=20)
    assert row.interval.estimate == pytest.approx(2 / 3) and row.left_out == ()


def test_ages_fall_into_bands_whose_lower_end_belongs_to_them():
    ages = [0, 39.9, 40, 59.9, 60, 74.9, 75, 101, None, float("nan")]
    expected = ["<40"] * 2 + ["40-60"] * 2 + ["60-75"] * 2 + [">=75"] * 2 + ["unknown"] * 2
    assert age_bands(ages) == age_bands(np.array(ages, dtype=float)) == expected
    assert AGE_BANDS == ("<40", "40-60", "60-75", ">=75", "unknown")
    with pytest.raises(ValueError, match="an age must not be negative, got -1 years"):
        age_bands([-1])


def test_groups_that_do_not_fit_are_refused(generator):
    labels = random_labels(generator, 30)
    scores = noisy_scores(generator, labels)
    with pytest.raises(ValueError, match="`groups` must have an entry for each of 30 records, got 2"):
        subgroup_table(macro_auroc, labels, scores, ["a", "b"])
    with pytest.raises(ValueError, match="`patients` must have an entry for each of 30 records, got 1"):
        subgroup_table(macro_auroc, labels, scores, ["a"] * 30, patients=["p"])
    with pytest.raises(ValueError, match=r"groups \['a', 'unknown'\] are not in `order`, \['b'\]"):
        subgroup_table(macro_auroc, labels, scores, ["a"] * 29 + [None], order=["b"])
