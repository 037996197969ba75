# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AUROC, F1, thresholds and bootstrap intervals, against scikit-learn, brute force and theory."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from anyecg_hf.evaluation import (
    Interval,
    best_thresholds,
    bootstrap_interval,
    macro_auroc,
    macro_f1,
    paired_bootstrap_difference,
    per_class_auroc,
    per_class_f1,
)

METRICS = [per_class_auroc, macro_auroc, per_class_f1, macro_f1, best_thresholds]


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def noisy_scores(generator: np.random.Generator, labels: np.ndarray, noise: float = 1.0) -> np.ndarray:
    return labels + noise * generator.normal(size=labels.shape)


def random_labels(generator: np.random.Generator, records: int = 200, shares=(0.5, 0.3, 0.1)) -> np.ndarray:
    return (generator.random((records, len(shares))) < shares).astype(int)


def test_auroc_is_the_share_of_pairs_in_the_right_order_with_ties_counting_half():
    labels = np.array([[1], [1], [0], [0]])
    scores = np.array([[0.9], [0.4], [0.4], [0.1]])
    assert per_class_auroc(labels, scores) == pytest.approx([3.5 / 4])


@pytest.mark.parametrize("decimals", [8, 1])
def test_auroc_equals_scikit_learn_with_and_without_ties(generator, decimals):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels).round(decimals)
    np.testing.assert_allclose(per_class_auroc(labels, scores), roc_auc_score(labels, scores, average=None), rtol=1e-12)
    assert macro_auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, average="macro"), rel=1e-12)


def test_auroc_depends_on_the_order_of_scores_alone(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    assert macro_auroc(labels, scores) == macro_auroc(labels.astype(bool), np.exp(scores))
    assert macro_auroc(labels, -scores) == pytest.approx(1 - macro_auroc(labels, scores), rel=1e-12)


def test_f1_equals_scikit_learn_at_one_threshold_and_at_one_a_class(generator):
    labels = random_labels(generator)
    scores = noisy_scores(generator, labels)
    np.testing.assert_allclose(per_class_f1(labels, scores), f1_score(labels, scores >= 0.5, average=None), rtol=1e-12)
    thresholds = np.array([0.1, 0.6, 1.2])
    expected = f1_score(labels, scores >= thresholds, average=None)
    np.testing.assert_allclose(per_class_f1(labels, scores, thresholds), expected, rtol=1e-12)
    assert macro_f1(labels, scores, thresholds) == pytest.approx(expected.mean(), rel=1e-12)


def test_f1_is_zero_where_nothing_is_found():
    assert per_class_f1(np.array([[1], [0]]), np.array([[0.2], [0.3]])).tolist() == [0.0]


@pytest.mark.parametrize("decimals", [8, 1])
def test_no_other_threshold_gives_a_higher_f1(generator, decimals):
    labels = random_labels(generator, 80)
    scores = noisy_scores(generator, labels).round(decimals)
    best = per_class_f1(labels, scores, best_thresholds(labels, scores))
    others = [per_class_f1(labels, scores, threshold) for threshold in np.unique(scores)]
    np.testing.assert_allclose(best, np.max(others, axis=0), rtol=1e-12)


def test_the_best_threshold_lies_half_way_between_scores_and_is_the_highest_of_equals():
    labels = np.array([[1], [1], [0], [0]])
    assert best_thresholds(labels, np.array([[0.8], [0.6], [0.2], [0.1]])).tolist() == pytest.approx([0.4])
    # Accepting the first record alone or all four gives 2/3; the former needs the higher threshold.
    labels = np.array([[1], [0], [0], [1]])
    scores = np.array([[4.0], [3.0], [2.0], [1.0]])
    assert per_class_f1(labels, scores, 3.5) == per_class_f1(labels, scores, 0.5) == pytest.approx([2 / 3])
    assert best_thresholds(labels, scores).tolist() == [3.5]


def test_the_best_threshold_parts_neighbouring_floats():
    scores = np.array([[1.0], [np.nextafter(1.0, 0.0)]])
    labels = np.array([[1], [0]])
    assert per_class_f1(labels, scores, best_thresholds(labels, scores)).tolist() == [1.0]


def test_the_best_threshold_accepts_every_record_where_that_is_best():
    labels = np.array([[1], [1], [0], [1]])
    scores = np.array([[0.4], [0.3], [0.2], [0.1]])
    assert best_thresholds(labels, scores).tolist() == [0.1]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1, 0], [0, 0], [1, 0]], "class 'HYP' has no positives among the 3 records"),
        ([[1, 1], [0, 1], [1, 1]], "class 'HYP' has no negatives among the 3 records"),
        ([[1, 0], [0, 1], [1, 2]], r"zeros and ones only, found \[2\]"),
        ([1, 0, 1], r"must be \(records, classes\) with at least one of each, got shape \(3,\)"),
        ([[1], [0], [1]], "2 names for the 1 classes"),
    ],
)
def test_labels_that_leave_a_metric_undefined_are_refused(metric, labels, message):
    with pytest.raises(ValueError, match=message):
        metric(np.array(labels), np.zeros((3, 2)), class_names=["MI", "HYP"])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[0.1, 0.2]], r"shape of `labels`, \(2, 2\), got \(1, 2\)"),
        (
            [[0.1, 0.2], [np.nan, 0.1]],
            "`scores` must be finite: 1 records hold NaN or infinity, first record 1",
        ),
        ([[np.inf, 0.2], [0.3, 0.1]], "`scores` must be finite"),
    ],
)
def test_scores_that_do_not_fit_are_refused(metric, scores, message):
    with pytest.raises(ValueError, match=message):
        metric(np.eye(2), np.array(scores))


def test_an_absent_class_without_a_name_is_called_by_its_column():
    with pytest.raises(ValueError, match="class 1 has no positives"):
        macro_auroc(np.array([[1, 0], [0, 0]]), np.zeros((2, 2)))


def test_thresholds_of_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match=r"one for each of the 2 classes, got shape \(3,\)"):
        macro_f1(np.eye(2), np.eye(2), np.zeros(3))


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
