# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
import torch
from tests.checkpoints import THRESHOLDS, WINDOW_PATCHES, random_classifier
from tests.training.written_records import cleaned_records

from anyecg_hf import AnyECGModel, AnyECGTokenizer
from anyecg_hf.corpora.label_tables import SUPERCLASSES
from anyecg_hf.evaluation.superclasses import (
    LabelledSplits,
    backbone_features,
    labels_of,
    paired_differences,
    report_on_superclasses,
    score_table,
)

NAMES = ("A", "B")


@pytest.fixture(scope="module")
def tokenizer() -> AnyECGTokenizer:
    return AnyECGTokenizer(patch_size=75)


@pytest.fixture(scope="module")
def splits() -> LabelledSplits:
    """The same twelve records in each part; class 0 is a signal turned upside down, the others are of no help."""
    pattern = np.random.default_rng(0).integers(0, 2, (12, 5))
    pattern[:, 0] = np.arange(12) % 2
    records = cleaned_records(12, seconds=4.0, labels=pattern.tolist())
    return LabelledSplits(records, records, records)


class TestScoreTable:
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [1, 1], [0, 0]])

    def test_a_perfect_row_scores_one_and_a_useless_one_half(self):
        rows = {"perfect": self.labels.astype(float), "constant": np.zeros((6, 2))}
        table = score_table(self.labels, rows, NAMES)
        assert table["perfect"]["macro_auroc"]["estimate"] == 1.0
        assert table["perfect"]["auroc"] == {"A": 1.0, "B": 1.0}
        assert table["constant"]["auroc"] == {"A": 0.5, "B": 0.5}
        interval = table["constant"]["macro_auroc"]
        assert (interval["low"], interval["estimate"], interval["high"]) == (0.5, 0.5, 0.5)

    def test_differences_are_of_the_reference_less_each_other_row(self):
        rows = {"fine-tuned": self.labels.astype(float), "constant": np.zeros((6, 2))}
        differences = paired_differences(self.labels, rows, "fine-tuned")
        assert list(differences) == ["constant"]
        assert differences["constant"]["estimate"] == 0.5


@torch.no_grad()
def test_features_are_mean_and_maximum_over_the_real_tokens(tokenizer, splits):
    backbone = AnyECGModel(random_classifier().config).eval()
    record = splits.train[0]
    features = backbone_features(backbone, tokenizer, [record], WINDOW_PATCHES)
    hidden = backbone(
        torch.tensor(record.patches[None], dtype=torch.float32),
        torch.tensor(record.patch_mask[None], dtype=torch.long),
        torch.tensor(record.lead_ids[None]),
    ).last_hidden_state[0]
    expected = torch.cat((hidden.mean(dim=0), hidden.amax(dim=0)))
    np.testing.assert_allclose(features[0], expected, atol=1e-5)


def test_the_report_has_every_row_with_its_paired_difference(tokenizer, splits):
    torch.manual_seed(0)
    classifier = random_classifier()
    probes = {"linear probe, random backbone": AnyECGModel(classifier.config)}
    report = report_on_superclasses(classifier, probes, tokenizer, splits, WINDOW_PATCHES)
    rows = {"fine-tuned", "linear probe, random backbone", "hand-crafted features"}
    assert set(report["rows"]) == rows
    assert set(report["fine_tuned_minus"]) == rows - {"fine-tuned"}
    assert report["records"] == 12
    labels = labels_of(splits.report)
    assert report["positives"] == dict(zip(SUPERCLASSES, labels.sum(axis=0).astype(int), strict=True))
    for row in report["rows"].values():
        interval = row["macro_auroc"]
        assert interval["low"] <= interval["estimate"] <= interval["high"]
        assert interval["estimate"] == pytest.approx(np.mean(list(row["auroc"].values())))
    # Which way up a signal is, a probe can tell.
    assert report["rows"]["linear probe, random backbone"]["auroc"]["NORM"] == 1.0
    assert 0 <= report["macro_f1"] <= 1 and set(THRESHOLDS) == set(SUPERCLASSES)
