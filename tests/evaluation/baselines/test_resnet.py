# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The residual network learns, chooses by the validation fold, repeats itself, and refuses what does not fit."""

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from anyecg_hf.evaluation import ResNetBaseline
from anyecg_hf.evaluation.baselines.resnet import ResNet1d, ResNetSettings
from anyecg_hf.evaluation.metrics import macro_auroc, one_hot

LEADS, SAMPLES = 3, 600
SMALL_FOLD = ResNetSettings(batch_size=16, learning_rate=3e-3)


@dataclass(frozen=True)
class Fold:
    signals: np.ndarray
    labels: np.ndarray


def make_fold(seed: int, records: int = 48) -> Fold:
    """Two classes: fast waves in all leads, and an inverted pulse somewhere in the second lead."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=(records, 2))
    times = np.arange(SAMPLES) / 300
    signals = 0.3 * generator.normal(size=(records, LEADS, SAMPLES))
    for signal, (is_fast, is_inverted) in zip(signals, labels, strict=True):
        signal += np.sin(2 * np.pi * (6 if is_fast else 2) * times + generator.uniform(0, 6))
        centre = generator.uniform(0.5, 1.5)
        signal[1] += (-3 if is_inverted else 3) * np.exp(-0.5 * ((times - centre) / 0.05) ** 2)
    return Fold(signals.astype(np.float32), labels)


@pytest.fixture(scope="module")
def train() -> Fold:
    return make_fold(0)


@pytest.fixture(scope="module")
def validation() -> Fold:
    return make_fold(1, 32)


def fit(train: Fold, validation: Fold, **arguments) -> ResNetBaseline:
    arguments = {"epochs": 2, **arguments}
    return ResNetBaseline.fit(train.signals, train.labels, validation.signals, validation.labels, **arguments)


@pytest.fixture(scope="module")
def trained(train, validation) -> ResNetBaseline:
    return fit(train, validation, epochs=15, settings=SMALL_FOLD)


def test_the_network_has_the_size_that_it_says():
    parameters = sum(parameter.numel() for parameter in ResNet1d(12, 5, ResNetSettings()).parameters())
    assert 0.40e6 < parameters < 0.47e6


def test_it_learns_rate_and_shape(trained):
    test = make_fold(2, 100)
    scores = trained.scores(test.signals)
    assert scores.shape == (100, 2) and scores.dtype == np.float64
    assert scores.min() >= 0 and scores.max() <= 1
    assert macro_auroc(test.labels, scores) > 0.9


def test_the_validation_fold_chooses_the_epoch(trained, validation):
    assert len(trained.validation_aurocs) == 15
    assert trained.validation_auroc == max(trained.validation_aurocs)
    assert trained.best_epoch == trained.validation_aurocs.index(trained.validation_auroc) + 1
    assert macro_auroc(validation.labels, trained.scores(validation.signals)) == trained.validation_auroc
    assert not trained.model.training


def test_the_validation_fold_only_chooses(train, validation):
    other = Fold(validation.signals[::-1] * 2, validation.labels)
    one, two = fit(train, validation, epochs=1), fit(train, other, epochs=1)
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, two.model.state_dict()[name]), name


def test_a_seed_repeats_a_run_and_leaves_other_random_numbers_alone(train, validation):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = fit(train, validation, seed=3)
    assert torch.equal(torch.rand(1), expected)
    again, other = fit(train, validation, seed=3), fit(train, validation, seed=4)
    np.testing.assert_array_equal(one.scores(validation.signals), again.scores(validation.signals))
    assert np.abs(one.scores(validation.signals) - other.scores(validation.signals)).max() > 1e-3


def test_a_record_is_scored_alone_as_among_others_and_missing_leads_are_zeros(trained, validation):
    together = trained.scores(validation.signals)
    np.testing.assert_allclose(trained.scores(validation.signals[3:4]), together[3:4], atol=1e-5)
    without_leads = validation.signals * np.array([1, 0, 0], dtype=np.float32)[:, None]
    assert np.isfinite(trained.scores(without_leads)).all()
    assert np.isfinite(trained.scores(np.zeros((1, LEADS, 300)))).all()


def test_a_single_label_problem_gets_probabilities_that_add_up_to_one():
    drawn = [make_fold(0, 96), make_fold(1, 32), make_fold(2, 100)]
    *folds, test = [Fold(fold.signals, one_hot(fold.labels @ [1, 2], 4)) for fold in drawn]
    baseline = fit(*folds, problem_type="single_label_classification", epochs=15, settings=SMALL_FOLD)
    scores = baseline.scores(test.signals)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    assert macro_auroc(test.labels, scores) > 0.85


def test_what_is_not_known_of_a_class_is_neither_learned_nor_chosen_by(train, validation):
    known = (
        replace(train, labels=train.labels.astype(float)),
        replace(validation, labels=validation.labels.astype(float)),
    )
    for fold in known:
        fold.labels[::3, 1] = np.nan
    found = fit(*known)
    expected = fit(train, validation)
    assert not torch.equal(found.model.classifier.weight, expected.model.classifier.weight)
    scores, rows = found.scores(validation.signals), np.isfinite(known[1].labels[:, 1])
    aurocs = [
        macro_auroc(validation.labels[:, :1], scores[:, :1]),
        macro_auroc(validation.labels[rows, 1:], scores[rows, 1:]),
    ]
    assert found.validation_auroc == pytest.approx(np.mean(aurocs))
    with pytest.raises(ValueError, match="zeros and ones only"):
        fit(*known, problem_type="single_label_classification")


def test_a_time_budget_ends_the_run_with_at_least_one_epoch(train, validation):
    baseline = fit(train, validation, epochs=10_000, seconds=1e-3)
    assert len(baseline.validation_aurocs) == 1
    assert np.isfinite(baseline.scores(validation.signals)).all()


def test_batches_larger_than_the_fold_are_as_large_as_it(train, validation):
    assert len(fit(train, validation, settings=ResNetSettings(batch_size=500)).validation_aurocs) == 2


def test_a_trained_network_can_be_pickled(trained, validation):
    copied = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(copied.scores(validation.signals), trained.scores(validation.signals))


def test_training_data_are_left_alone(train, validation):
    before = train.signals.copy(), train.labels.copy()
    fit(train, validation, epochs=1)
    np.testing.assert_array_equal(train.signals, before[0])
    np.testing.assert_array_equal(train.labels, before[1])


def test_what_does_not_fit_is_refused(train, validation, trained):
    with pytest.raises(ValueError, match=r"`signals_train` must be \(48, leads, samples\), got shape \(47, 3, 600\)"):
        fit(replace(train, signals=train.signals[1:]), validation)
    with pytest.raises(ValueError, match="`signals_validation` has 2 leads, but the network was trained on 3"):
        fit(train, replace(validation, signals=validation.signals[:, :2]))
    with pytest.raises(ValueError, match="`signals` has 299 samples at 300 Hz, but at least 1 s are needed"):
        trained.scores(np.zeros((1, LEADS, 299)))
    broken = validation.signals.copy()
    broken[4, 0, 0] = np.nan
    with pytest.raises(ValueError, match="`signals_validation` must be finite: 1 records .* first record 4"):
        fit(train, replace(validation, signals=broken))
    with pytest.raises(ValueError, match=r"`signals` must be \(records, leads, samples\), got shape \(3, 600\)"):
        trained.scores(validation.signals[0])


def test_labels_and_settings_that_mean_nothing_are_refused(train, validation):
    with pytest.raises(ValueError, match="class 'MI' has no positives among the 32 records of `labels_validation`"):
        fit(train, replace(validation, labels=validation.labels * [1, 0]), class_names=["NORM", "MI"])
    with pytest.raises(ValueError, match="the same classes: got 2 for training, 1 for validation"):
        fit(train, replace(validation, labels=validation.labels[:, :1]))
    with pytest.raises(ValueError, match="`problem_type` must be one of"):
        fit(train, validation, problem_type="regression")
    for arguments in ({"epochs": 0}, {"seconds": 0.0}, {"seconds": float("nan")}):
        with pytest.raises(ValueError, match="`epochs` must be at least 1 and `seconds` positive"):
            fit(train, validation, **arguments)


@pytest.mark.gpu
def test_it_trains_and_scores_on_a_gpu(train, validation):
    baseline = fit(train, validation, device="cuda")
    assert baseline.model.classifier.weight.is_cuda
    assert np.isfinite(baseline.scores(validation.signals)).all()
