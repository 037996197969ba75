# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals over records and patients, against theory."""

from functools import partial

import numpy as np
import pytest
from tests.evaluation.metrics.drawn_scores import noisy_scores, random_labels

from anyecg_hf.evaluation.metrics import (
    Interval,
    accuracy,
    best_thresholds,
    bootstrap_interval,
    macro_auprc,
    macro_auroc,
    macro_f1,
    mean_interval,
    paired_bootstrap_difference,
    weighted_f1,
    whole_rows,
)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_interval_holds_the_estimate_of_the_full_set(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    interval = bootstrap_interval(macro_auroc, labels, scores, resamples=200)
    assert interval.estimate == macro_auroc(labels, scores)
    assert interval.low < interval.estimate < interval.high
    assert (interval.confidence, interval.resamples) == (0.95, 200)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    draw = partial(bootstrap_interval, macro_auroc, labels, scores, resamples=50)
    assert draw(seed=3) == draw(seed=3)
    assert draw(seed=3) != draw(seed=4)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says(generator):
    labels = random_labels(generator, 400, shares=[0.5])
    scores = generator.normal(size=labels.shape)
    interval = bootstrap_interval(lambda _, drawn: drawn.mean(), labels, scores, resamples=4000)
    half_width = 1.96 * scores.std() / np.sqrt(len(scores))
    assert interval.low == pytest.approx(scores.mean() - half_width, abs=0.08 * half_width)
    assert interval.high == pytest.approx(scores.mean() + half_width, abs=0.08 * half_width)
    narrower = bootstrap_interval(lambda _, drawn: drawn.mean(), labels, scores, resamples=4000, confidence=0.5)
    assert narrower.high - narrower.low == pytest.approx(2 * half_width * 0.6745 / 1.96, rel=0.1)


def test_a_class_absent_from_a_resample_is_left_out_of_its_mean():
    # The rare class is ranked perfectly, the common one at random: means of both where the rare one was drawn.
    generator = np.random.default_rng(1)
    labels = np.zeros((40, 2), dtype=int)
    labels[::2, 0], labels[0, 1] = 1, 1
    scores = np.stack([generator.random(40), labels[:, 1]], axis=1)
    seen = []

    def spy(drawn_labels, drawn_scores):
        seen.append(drawn_labels.shape[1])
        assert drawn_labels.any(axis=0).all() and not drawn_labels.all(axis=0).any()
        assert drawn_scores.shape == drawn_labels.shape
        return macro_auroc(drawn_labels, drawn_scores)

    interval = bootstrap_interval(spy, labels, scores, resamples=300)
    assert interval.resamples == 300
    # One record of forty is missing from (1 - 1/40)^40 = 36 % of the resamples.
    assert seen.count(1) / 300 == pytest.approx(0.363, abs=0.08)
    assert seen.count(1) + seen.count(2) == 301
    assert interval.low < 0.65


def test_resamples_without_any_class_are_skipped_and_counted():
    labels, scores = np.array([[1], [0], [0], [0]]), np.array([[0.9], [0.1], [0.2], [0.3]])
    interval = bootstrap_interval(macro_auroc, labels, scores, resamples=400)
    # Drawn without the positive (.75^4) or with nothing else (.25^4).
    assert interval.resamples / 400 == pytest.approx(1 - 0.75**4 - 0.25**4, abs=0.08)
    assert (interval.estimate, interval.low, interval.high) == (1.0, 1.0, 1.0)


def test_decisions_at_thresholds_of_each_class_can_be_bootstrapped(generator):
    labels = random_labels(generator, 60, shares=(0.5, 0.04))
    scores = noisy_scores(generator, labels)
    thresholds = best_thresholds(labels, scores)
    interval = bootstrap_interval(macro_f1, labels, scores >= thresholds, resamples=100)
    assert interval.estimate == macro_f1(labels, scores, thresholds)


def test_a_class_absent_from_the_full_set_is_an_error_of_the_bootstrap_that_names_it():
    labels = np.array([[1, 0], [0, 0]])
    with pytest.raises(ValueError, match="class 'HYP' has no positives"):
        bootstrap_interval(macro_auroc, labels, np.eye(2), class_names=["MI", "HYP"])
    with pytest.raises(ValueError, match="class 'HYP' has no positives"):
        paired_bootstrap_difference(macro_auroc, labels, np.eye(2), np.eye(2), class_names=["MI", "HYP"])


@pytest.mark.parametrize("arguments", [{"resamples": 0}, {"confidence": 0.0}, {"confidence": 95}])
def test_impossible_bootstrap_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="`resamples` must be at least 1 and `confidence` between 0 and 1"):
        bootstrap_interval(macro_auroc, np.eye(2), np.eye(2), **arguments)


def test_a_set_too_small_for_any_resample_says_so():
    with pytest.raises(ValueError, match="none of 1 resamples of 2 records held a class"):
        # The first draw of this seed is one record twice.
        seed = next(seed for seed in range(9) if len(set(np.random.default_rng(seed).integers(2, size=2))) == 1)
        bootstrap_interval(macro_auroc, np.array([[1], [0]]), np.array([[1], [0]]), resamples=1, seed=seed)


def test_a_system_does_not_differ_from_itself(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    difference = paired_bootstrap_difference(macro_auroc, labels, scores, np.exp(scores), resamples=50)
    assert (difference.estimate, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_the_paired_difference_sees_what_two_intervals_cannot(generator):
    labels = random_labels(generator, 300)
    shared = noisy_scores(generator, labels)
    better, worse = shared, shared + 0.6 * generator.normal(size=labels.shape)
    difference = paired_bootstrap_difference(macro_auroc, labels, better, worse, resamples=300)
    intervals = [bootstrap_interval(macro_auroc, labels, scores, resamples=300) for scores in (better, worse)]
    assert difference.estimate == intervals[0].estimate - intervals[1].estimate
    assert difference.low > 0
    assert intervals[0].low < intervals[1].high
    swapped = paired_bootstrap_difference(macro_auroc, labels, worse, better, resamples=300)
    assert (swapped.low, swapped.high) == pytest.approx((-difference.high, -difference.low))


def test_an_interval_prints_as_papers_write_it():
    assert str(Interval(0.86849, 0.8331, 0.8999, 0.95, 1000)) == "0.868 [0.833, 0.900]"


def test_patients_are_drawn_with_all_their_records():
    labels = np.array([[1], [0]] * 6)
    scores = np.repeat(np.arange(4.0), 3)[:, None]
    seen = set()

    def spy(_, drawn):
        values, counts = np.unique(drawn, return_counts=True)
        assert (counts % 3 == 0).all() and counts.sum() == 12
        seen.add(tuple(values))
        return drawn.mean()

    bootstrap_interval(spy, labels, scores, groups=["a", "a", "a", "b", "b", "b", "c", "c", "c", "d", "d", "d"])
    assert len(seen) > 8


def test_copies_of_a_patients_record_do_not_narrow_the_interval(generator):
    labels = random_labels(generator, 150, shares=[0.5])
    scores = noisy_scores(generator, labels)
    patients = np.arange(150)
    one, two = (
        bootstrap_interval(
            macro_auroc, np.repeat(labels, n, axis=0), np.repeat(scores, n, axis=0), groups=np.repeat(patients, n)
        )
        for n in (1, 4)
    )
    assert (one.estimate, one.low, one.high) == pytest.approx((two.estimate, two.low, two.high), abs=1e-12)
    as_if_independent = bootstrap_interval(macro_auroc, np.repeat(labels, 4, axis=0), np.repeat(scores, 4, axis=0))
    assert as_if_independent.high - as_if_independent.low == pytest.approx((two.high - two.low) / 2, rel=0.15)


def test_patients_of_one_record_each_are_the_plain_bootstrap(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    plain = bootstrap_interval(macro_auprc, labels, scores, resamples=100)
    for groups in (range(200), [f"p{row}" for row in range(200)], [None] * 200, np.full(200, np.nan)):
        assert bootstrap_interval(macro_auprc, labels, scores, groups=groups, resamples=100) == plain


def test_patients_hold_for_paired_differences_too(generator):
    labels = random_labels(generator, 100, shares=[0.5])
    a, b = noisy_scores(generator, labels), noisy_scores(generator, labels)
    doubled = [np.repeat(values, 2, axis=0) for values in (labels, a, b)]
    one = paired_bootstrap_difference(macro_auroc, labels, a, b, resamples=200)
    two = paired_bootstrap_difference(macro_auroc, *doubled, groups=np.repeat(range(100), 2), resamples=200)
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-12)


def test_groups_of_another_length_are_refused():
    with pytest.raises(ValueError, match="`groups` must name a patient for each of 2 records, got 1"):
        bootstrap_interval(macro_auroc, np.eye(2), np.eye(2), groups=["a"])


def test_a_metric_of_whole_rows_sees_every_column_of_every_resample():
    labels = np.zeros((40, 3), dtype=int)
    labels[::2, 0], labels[0, 1] = 1, 1  # the last class is absent altogether
    decisions = labels.copy()
    decisions[:, 2] = [0, 1] * 20

    @whole_rows
    def spy(drawn_labels, drawn):
        assert drawn_labels.shape == drawn.shape == (40, 3)
        return accuracy(drawn_labels, drawn)

    interval = bootstrap_interval(spy, labels, decisions, resamples=100)
    assert (interval.estimate, interval.resamples) == (0.5, 100)
    # Were columns left out, every resample would be right throughout.
    assert interval.high < 0.8
    assert bootstrap_interval(accuracy, labels, decisions, resamples=100) == interval
    bound = partial(partial(accuracy, thresholds=0.5), class_names=["a", "b", "c"])
    assert bootstrap_interval(bound, labels, decisions, resamples=100) == interval
    difference = paired_bootstrap_difference(accuracy, labels, labels, decisions, resamples=100)
    assert (difference.estimate, difference.low) == (0.5, pytest.approx(1 - interval.high))


def test_the_interval_of_an_accuracy_is_as_wide_as_theory_says(generator):
    labels = random_labels(generator, 300, shares=[0.5])
    decisions = np.where(generator.random(labels.shape) < 0.8, labels, 1 - labels)
    interval = bootstrap_interval(accuracy, labels, decisions, resamples=3000)
    share = interval.estimate
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 300), rel=0.08)


def test_the_mean_of_figures_has_the_interval_of_theory(generator):
    values = generator.normal(20.0, 3.0, size=400)
    interval = mean_interval(values, resamples=4000)
    assert interval.estimate == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)
    by_record = mean_interval(np.repeat(values, 3), groups=np.repeat(range(400), 3), resamples=4000)
    assert (by_record.low, by_record.high) == pytest.approx((interval.low, interval.high))
    assert mean_interval(values, statistic=np.median, resamples=10).estimate == np.median(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, np.nan], "`values` must be finite: 1 records hold NaN"),
        ([1.0, np.inf], "`values` must be finite"),
        ([], r"must be \(values,\) with at least one, got shape \(0,\)"),
        ([[1.0]], r"got shape \(1, 1\)"),
    ],
)
def test_figures_that_are_undefined_have_no_mean(values, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(np.array(values))


def test_weighted_f1_with_an_absent_class_can_be_bootstrapped(generator):
    labels = np.pad(random_labels(generator, 60), ((0, 0), (0, 1)))
    interval = bootstrap_interval(weighted_f1, labels, noisy_scores(generator, labels), resamples=50)
    assert interval.resamples == 50
