# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anyecg_hf.evaluation.annotations.cross_validation import FixedProbe, caveat, patient_folds, pooled_figures
from anyecg_hf.evaluation.evaluation_configs import BootstrapConfig
from anyecg_hf.evaluation.metrics import one_hot


@pytest.mark.parametrize(("count", "parts"), [(2, 2), (10, 10), (11, 5), (30, 5)])
def test_parts_share_no_patient_and_every_example_is_tested_once(count, parts):
    patients = [f"p{number % count}" for number in range(3 * count)]
    folds = patient_folds(patients)
    assert len(folds) == parts
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(3 * count))
    for fold in folds:
        sides = [{patients[index] for index in side} for side in (fold.train, fold.test)]
        assert sides[0].isdisjoint(sides[1]) and len(fold.train) + len(fold.test) == 3 * count


def test_parts_do_not_depend_on_the_order_of_examples():
    patients = [f"p{number}" for number in range(12)]

    def parts(listed):
        return {frozenset(listed[index] for index in fold.test) for fold in patient_folds(listed)}

    assert parts(patients) == parts(patients[::-1])


def test_one_patient_is_none_too_many():
    with pytest.raises(ValueError, match="at least two patients, got 1"):
        patient_folds(["p", "p"])


class TestFixedProbe:
    generator = np.random.default_rng(0)

    def test_it_separates_what_is_separable(self):
        labels = self.generator.integers(2, size=(80, 2))
        features = 3.0 * labels + self.generator.normal(size=labels.shape)
        probe = FixedProbe.fit(features, labels, is_multi_label=True)
        assert ((probe.scores(features) > 0.5) == labels).mean() > 0.85

    def test_a_class_without_both_outcomes_gets_its_frequency(self):
        features = self.generator.normal(size=(20, 3))
        labels = np.stack([np.zeros(20), np.ones(20), np.arange(20) % 2], axis=1)
        scores = FixedProbe.fit(features, labels, is_multi_label=True).scores(features)
        assert scores[:, 0].max() < 1e-5 and scores[:, 1].min() > 1 - 1e-5

    @pytest.mark.parametrize("present", [(1,), (0, 2), (0, 1, 2)])
    def test_a_class_that_was_never_seen_is_never_said(self, present):
        classes = np.array([present[number % len(present)] for number in range(30)])
        features = one_hot(classes, 3) + 0.1 * self.generator.normal(size=(30, 3))
        scores = FixedProbe.fit(features, one_hot(classes, 3), is_multi_label=False).scores(features)
        assert scores.sum(axis=1) == pytest.approx(1.0)
        assert scores.argmax(axis=1).tolist() == classes.tolist()
        assert all(scores[:, column].max() < 1e-9 for column in {0, 1, 2} - set(present))


def test_few_patients_get_no_interval_and_a_caveat():
    labels, scores = np.array([[1, 0], [0, 1], [1, 0]]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    found = pooled_figures(labels, scores, ["a", "b", "c"], False, BootstrapConfig())
    assert found["accuracy"] == {"estimate": pytest.approx(2 / 3), "low": None, "high": None}
    assert found["macro_auroc"]["estimate"] == 1.0
    assert caveat(3).startswith("3 patients prove nothing: there are no intervals")


def test_enough_patients_get_intervals():
    generator = np.random.default_rng(0)
    labels = one_hot(generator.integers(2, size=60), 2)
    scores = np.clip(labels + 0.4 * generator.normal(size=labels.shape), 0, 1)
    found = pooled_figures(
        labels, scores, [f"p{number % 30}" for number in range(60)], False, BootstrapConfig(resamples=50)
    )
    for figure in found.values():
        assert figure["low"] <= figure["estimate"] <= figure["high"]
    assert caveat(30) == ""


def test_without_a_class_of_both_outcomes_there_is_no_area():
    found = pooled_figures(np.ones((4, 1)), np.full((4, 1), 0.7), list("abcd"), True, BootstrapConfig())
    assert found["macro_auroc"] is None and found["accuracy"]["estimate"] == 1.0
