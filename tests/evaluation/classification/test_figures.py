# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from functools import partial

import numpy as np
import pytest

from anyecg_hf.evaluation.classification.figures import (
    CALIBRATION,
    Protocol,
    RowScores,
    class_figure,
    difference_interval,
    figure_interval,
    row_figures,
)
from anyecg_hf.evaluation.metrics import (
    accuracy,
    best_thresholds,
    bootstrap_interval,
    challenge_rewards,
    challenge_score,
    highest_class,
    macro_auprc,
    macro_auroc,
    macro_calibration_error,
    macro_f1,
    one_hot,
    paired_bootstrap_difference,
    per_class_auroc,
    top_class_calibration_error,
    weighted_f1,
)
from anyecg_hf.training.label_tasks import MULTI_LABEL, SINGLE_LABEL, LabelTask

CLASSES = ("A", "B", "C")
MULTI = Protocol(LabelTask("labels", CLASSES, MULTI_LABEL, lambda row: None))
ANOMALY = Protocol(LabelTask("anomaly", ("normal", "abnormal"), SINGLE_LABEL, lambda row: None))


@pytest.fixture
def drawn():
    """Labels of three classes, and probabilities that know something of them, of 60 records."""
    generator = np.random.default_rng(0)
    labels = (generator.random((60, 3)) < (0.2, 0.4, 0.6)).astype(float)
    return labels, (0.5 * labels + generator.random((60, 3))) / 1.5


def named(protocol: Protocol, values: np.ndarray) -> dict[str, float]:
    return dict(zip(protocol.all_names, values, strict=True))


class TestFigures:
    def test_of_a_multi_label_task_are_those_of_the_metrics(self, drawn):
        labels, said = drawn
        cuts = np.array([0.5, 0.6, 0.4])
        found = named(MULTI, MULTI.vector(labels, said, MULTI.decisions(said, cuts)))
        assert found["macro_auroc"] == pytest.approx(macro_auroc(labels, said))
        assert found["macro_auprc"] == pytest.approx(macro_auprc(labels, said))
        assert found["macro_f1"] == pytest.approx(macro_f1(labels, said, cuts))
        assert found["weighted_f1"] == pytest.approx(weighted_f1(labels, said, cuts))
        assert found[CALIBRATION] == pytest.approx(macro_calibration_error(labels, said))
        expected = per_class_auroc(labels, said)
        assert [found[class_figure("auroc", name)] for name in CLASSES] == pytest.approx(expected)

    def test_of_a_class_are_over_the_records_where_it_is_known(self, drawn):
        labels, said = drawn
        known = np.arange(60) % 3 > 0
        partly = labels.copy()
        partly[~known, 1] = np.nan
        decided = MULTI.decisions(said, np.full(3, 0.5))
        found = named(MULTI, MULTI.vector(partly, said, decided))
        alone = Protocol(LabelTask("labels", ("B",), MULTI_LABEL, lambda row: None))
        expected = named(alone, alone.vector(labels[known, 1:2], said[known, 1:2], decided[known, 1:2]))
        for figure in ("auroc", "auprc", "f1"):
            assert found[class_figure(figure, "B")] == pytest.approx(expected[class_figure(figure, "B")])
        whole = named(MULTI, MULTI.vector(labels, said, decided))
        assert found[class_figure("auroc", "A")] == whole[class_figure("auroc", "A")]
        aurocs = [found[class_figure("auroc", name)] for name in CLASSES]
        assert found["macro_auroc"] == pytest.approx(np.mean(aurocs))

    def test_weigh_known_positives_only(self):
        labels = np.array([[1, np.nan, 0], [1, 1, 0], [0, 0, 1], [0, np.nan, 1]])
        decided = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 1, 1]], dtype=bool)
        found = named(MULTI, MULTI.vector(labels, decided.astype(float), decided))
        # F1 .8 with two positives, 0 with one, 1 with two.
        assert found["weighted_f1"] == pytest.approx((2 * 0.8 + 0 + 2 * 1.0) / 5)

    def test_leave_out_classes_that_no_record_has(self, drawn):
        labels, said = drawn
        labels[:, 0] = 0
        found = named(MULTI, MULTI.vector(labels, said, said > 0.5))
        assert np.isnan(found[class_figure("auroc", "A")])
        assert found["macro_auroc"] == pytest.approx(macro_auroc(labels[:, 1:], said[:, 1:]))

    def test_of_a_binary_task_are_those_of_its_second_class(self):
        classes = np.array([0, 1, 1, 0, 1, 0])
        said = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.4, 0.6], [0.1, 0.9], [0.8, 0.2]])
        labels = one_hot(classes, 2).astype(float)
        found = named(ANOMALY, ANOMALY.vector(labels, said, ANOMALY.decisions(said, None)))
        assert ANOMALY.main == "auroc"
        assert found["auroc"] == pytest.approx(macro_auroc(labels[:, 1:], said[:, 1:]))
        assert found["auprc"] == pytest.approx(macro_auprc(labels[:, 1:], said[:, 1:]))
        assert found["accuracy"] == pytest.approx(accuracy(labels, highest_class(said))) == pytest.approx(4 / 6)
        assert found["weighted_f1"] == pytest.approx(weighted_f1(labels, highest_class(said)))
        assert found[CALIBRATION] == pytest.approx(top_class_calibration_error(labels, said))

    def test_of_the_challenge_have_its_score_and_count_what_is_unknown_as_absent(self):
        rewards = challenge_rewards(2021)
        protocol = Protocol(LabelTask("challenge", rewards.classes, MULTI_LABEL, lambda row: None))
        generator = np.random.default_rng(1)
        labels = (generator.random((40, len(rewards.classes))) < 0.2).astype(float)
        decided = generator.random(labels.shape) < 0.2
        expected = challenge_score(labels, decided, rewards)
        found = named(protocol, protocol.vector(labels, decided.astype(float), decided))
        assert found["challenge_score"] == pytest.approx(expected)
        labels[labels[:, 3] == 0, 3] = np.nan
        found = named(protocol, protocol.vector(labels, decided.astype(float), decided))
        assert found["challenge_score"] == pytest.approx(expected)

    def test_of_the_challenge_with_fewer_classes_have_their_rewards(self):
        names = ("AF", "NSR", "STach")
        protocol = Protocol(LabelTask("challenge", names, MULTI_LABEL, lambda row: None))
        rewards = challenge_rewards(2021)
        places = [rewards.classes.index(name) for name in names]
        assert (protocol.rewards.rewards == rewards.rewards[np.ix_(places, places)]).all()
        without_normal = Protocol(LabelTask("challenge", ("AF",), MULTI_LABEL, lambda row: None))
        assert "challenge_score" in protocol.names and "challenge_score" not in without_normal.names


class TestThresholds:
    def test_are_those_of_best_f1_where_the_class_is_known(self, drawn):
        labels, said = drawn
        expected = best_thresholds(labels[20:, :1], said[20:, :1])[0]
        labels[:20, 0] = np.nan
        found = MULTI.thresholds(labels, said)
        assert found[0] == expected
        assert found[1:] == pytest.approx(best_thresholds(labels[:, 1:], said[:, 1:]))

    def test_do_not_exist_where_the_most_likely_class_is_taken(self):
        assert ANOMALY.thresholds(np.eye(2), np.eye(2)) is None
        assert ANOMALY.decisions(np.array([[0.4, 0.6]]), None).tolist() == [[False, True]]


class TestIntervals:
    @pytest.fixture
    def rows(self, drawn):
        labels, said = drawn
        other = np.random.default_rng(5).random(said.shape)
        validation = np.random.default_rng(6).random(said.shape)
        first = RowScores("ours", (0,), [said], [said])
        second = RowScores("other", (0, 1), [validation, validation], [other, said])
        patients = [f"p{index // 2}" for index in range(60)]
        found = row_figures(MULTI, [first, second], labels, labels, patients, resamples=200, seed=3)
        return labels, said, other, patients, found

    def test_are_the_bootstraps_over_patients(self, rows):
        labels, said, _, patients, found = rows
        place = MULTI.all_names.index("macro_auroc")
        ours = figure_interval(found["ours"].mean[place], found["ours"].resampled[:, place], 0.95)
        assert ours == bootstrap_interval(macro_auroc, labels, said, groups=patients, resamples=200, seed=3)

    def test_of_differences_are_paired(self, rows):
        labels, said, other, patients, found = rows
        place = MULTI.all_names.index("weighted_f1")
        drawn = {"groups": patients, "resamples": 200, "seed": 3}
        cuts = found["ours"].thresholds[0]
        cuts_other = found["other"].thresholds[0]
        alone = row_figures(
            MULTI,
            [found["ours"].scores, RowScores("other", (0,), found["other"].scores.validation[:1], [other])],
            labels,
            labels,
            patients,
            resamples=200,
            seed=3,
        )
        difference = difference_interval(alone["ours"], alone["other"], place, 0.95)
        expected = paired_bootstrap_difference(weighted_f1, labels, said >= cuts, other >= cuts_other, **drawn)
        assert (difference.estimate, difference.low, difference.high) == pytest.approx(
            (expected.estimate, expected.low, expected.high)
        )

    def test_of_several_seeds_are_of_their_mean(self, rows):
        labels, said, other, _, found = rows
        place = MULTI.all_names.index("macro_auroc")
        both = [macro_auroc(labels, other), macro_auroc(labels, said)]
        assert found["other"].estimates[:, place] == pytest.approx(both)
        assert found["other"].mean[place] == pytest.approx(np.mean(both))
        assert found["other"].spread[place] == pytest.approx(np.std(both, ddof=1))
        assert np.isnan(found["ours"].spread).all()

    def test_take_thresholds_from_validation_only(self, rows):
        labels, _, _, _, found = rows
        validation = found["other"].scores.validation[0]
        assert found["other"].thresholds[0] == pytest.approx(best_thresholds(labels, validation))

    def test_of_the_calibration_error_hold_it(self, rows):
        *_, found = rows
        place = MULTI.all_names.index(CALIBRATION)
        for row in found.values():
            interval = figure_interval(row.mean[place], row.resampled[:, place], 0.95)
            assert interval.low < interval.estimate < interval.high

    def test_are_none_where_a_figure_is_not_defined(self):
        assert figure_interval(np.nan, np.ones(3), 0.95) is None
        assert figure_interval(0.5, np.full(3, np.nan), 0.95) is None
        assert figure_interval(0.5, np.array([0.4, np.nan, 0.6]), 0.95).resamples == 2


def test_the_main_figure_can_be_had_for_some_classes_alone(drawn):
    labels, said = drawn
    part = partial(np.take, indices=[0, 2], axis=1)
    assert MULTI.main_figure(part(labels), part(said)) == pytest.approx(macro_auroc(part(labels), part(said)))
