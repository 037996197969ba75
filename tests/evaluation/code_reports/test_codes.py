# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Codes and predictions made by hand, so that every number of the reports is known beforehand."""

from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from anyecg_hf.corpora.cleaned import PATCH_FEATURES
from anyecg_hf.corpora.signal_feature import ECG_FORMAT
from anyecg_hf.evaluation.code_reports.codes import report_on_masked_codes, report_on_quantizer
from anyecg_hf.training.codes import CODES as CODES_FEATURE
from anyecg_hf.training.masking import draw_mask

PATCH = 4
CODES = 8


def record_with_codes(codes: np.ndarray, lead_ids: list[int], mask: np.ndarray | None = None) -> dict[str, Any]:
    """A row whose every patch shows its own code: `code + 1` in the first sample."""
    codes = np.array(codes)
    mask = np.ones(codes.shape, dtype=bool) if mask is None else mask
    patches = np.tile(np.linspace(-1, 1, PATCH), (*codes.shape, 1))
    patches[..., 0] = codes + 1
    codes[~mask] = -1
    return {
        "input_values": (patches * mask[..., None]).astype(np.float16),
        "attention_mask": mask,
        "lead_ids": np.array(lead_ids),
        "scale": 1.0,
        "n_leads": codes.shape[0],
        "n_patches": codes.shape[1],
        "codes": codes,
    }


def dataset_of(records: list[dict[str, Any]]) -> datasets.Dataset:
    """The rows as `clean_corpus` and `add_codes` would give them."""
    arrays = {**PATCH_FEATURES, "codes": CODES_FEATURE}
    features = {name: arrays[name] for name in records[0]}
    names = {"corpus": datasets.Value("string"), "record_id": datasets.Value("string")}
    rows = [
        {
            **{
                name: features[name].encode_example(row[name])
                if hasattr(features[name], "encode_example")
                else row[name]
                for name in row
            },
            "corpus": "written",
            "record_id": str(number),
        }
        for number, row in enumerate(records)
    ]
    return datasets.Dataset.from_list(rows, features=datasets.Features({**features, **names})).with_format(ECG_FORMAT)


class ReadingQuantizer:
    """Reads the code that a patch shows; decodes to the patch, with noise of a known power on top."""

    def __init__(self, error: float = 0.1):
        self.config = SimpleNamespace(codebook_size=CODES)
        self.error = error

    def encode(self, input_values, attention_mask, lead_ids):
        return torch.where(attention_mask.bool(), (input_values[..., 0] - 1).long(), -1)

    def decode(self, codes, lead_ids):
        patches = torch.linspace(-1, 1, PATCH).repeat(*codes.shape, 1)
        patches[..., 0] = codes + 1
        return (patches + self.error * torch.tensor([1.0, -1.0, 1.0, -1.0])) * (codes >= 0)[..., None]


class TestQuantizerReport:
    def report(self, records, error=0.1):
        rows = dataset_of(records).remove_columns("codes")  # the report encodes for itself
        return report_on_quantizer(ReadingQuantizer(error), rows)

    def test_codes_that_name_the_lead_carry_log2_of_the_number_of_leads(self):
        codes = np.repeat([[0], [1], [2], [3]], 10, axis=1)
        report = self.report([record_with_codes(codes, [0, 1, 6, 7])])
        assert report.code_lead_information_bits == pytest.approx(2.0)
        assert report.perplexity == pytest.approx(4.0)
        assert (report.codes_in_use, report.codebook_size) == (0.5, CODES)

    def test_codes_that_are_the_same_in_every_lead_carry_none(self):
        codes = np.tile(np.arange(10) % 5, (4, 1))
        report = self.report([record_with_codes(codes, [0, 1, 6, 7])])
        assert report.code_lead_information_bits == pytest.approx(0.0, abs=1e-9)
        assert report.perplexity == pytest.approx(5.0)

    def test_a_collapsed_codebook_has_a_perplexity_of_one(self):
        report = self.report([record_with_codes(np.zeros((3, 10), dtype=int), [0, 1, 2])])
        assert (report.perplexity, report.codes_in_use) == (pytest.approx(1.0), 1 / CODES)

    def test_only_real_patches_count_and_records_of_all_sizes_do(self):
        mask = np.ones((2, 10), dtype=bool)
        mask[1, 4:] = False
        records = [
            record_with_codes(np.zeros((2, 10), dtype=int), [0, 1], mask),
            record_with_codes(np.ones((1, 6), dtype=int), [3]),
        ]
        report = self.report(records)
        assert (report.records, report.patches) == (2, 14 + 6)
        assert report.perplexity == pytest.approx(np.exp(-(0.7 * np.log(0.7) + 0.3 * np.log(0.3))))

    def test_signal_to_error_is_in_decibels(self):
        codes = np.arange(10)[None] % CODES
        record = record_with_codes(codes, [0])
        power = float(np.square(record["input_values"].astype(np.float64)).mean())
        report = self.report([record], error=0.1)
        assert report.snr_db == pytest.approx(10 * np.log10(power / 0.1**2), abs=0.01)

    def test_correlations_are_of_leads_with_median_and_quartiles(self):
        codes = np.random.default_rng(0).integers(0, CODES, (5, 10))
        record = record_with_codes(codes, [0, 1, 2, 3, 4])
        signal = record["input_values"].astype(np.float64)
        decoded = signal + 0.5 * np.array([1, -1, 1, -1])
        expected = [np.corrcoef(signal[lead].ravel(), decoded[lead].ravel())[0, 1] for lead in range(5)]
        report = self.report([record], error=0.5)
        found = (report.correlation_low, report.correlation_median, report.correlation_high)
        np.testing.assert_allclose(found, np.percentile(expected, [25, 50, 75]), atol=2e-3)


class Oracle:
    """Predicts code `guess(truth)`; it sees the truth in the patches, hidden or not."""

    def __init__(self, guess=lambda truth: truth, confidence: float = 50.0):
        self.config = SimpleNamespace(codebook_size=CODES)
        self.guess = guess
        self.confidence = confidence

    def __call__(self, input_values, attention_mask, lead_ids, scale, bool_masked_pos):
        truth = (input_values[..., 0] - 1).long().clamp(min=0)
        logits = self.confidence * torch.nn.functional.one_hot(self.guess(truth), CODES)
        return SimpleNamespace(logits=logits)


class TestMaskedCodeReport:
    @pytest.fixture
    def records(self):
        generator = np.random.default_rng(0)
        return [record_with_codes(generator.integers(0, CODES, (4, 30)), [0, 1, 6, 7]) for _ in range(3)]

    def report(self, model, train, records, strategy="random", ratio=0.5, seed=0):
        return report_on_masked_codes(model, dataset_of(train), dataset_of(records), strategy, ratio, seed)

    def test_a_model_that_knows_the_truth_is_right_and_sure(self, records):
        report = self.report(Oracle(), records, records)
        assert report.accuracy == 1.0
        assert report.cross_entropy == pytest.approx(0.0, abs=1e-6)
        assert (report.strategy, report.ratio) == ("random", 0.5)

    def test_a_model_that_is_always_wrong_is_never_right(self, records):
        report = self.report(Oracle(lambda truth: (truth + 1) % CODES), records, records)
        assert report.accuracy == 0.0 and report.cross_entropy > 40

    def test_a_model_that_knows_nothing_has_the_entropy_of_the_codebook(self, records):
        report = self.report(Oracle(confidence=0.0), records, records)
        assert report.cross_entropy == pytest.approx(np.log(CODES))

    def test_only_hidden_patches_are_scored(self, records):
        real = torch.ones(3, 4, 30, dtype=torch.bool)
        hidden = draw_mask(real, "whole_time", 0.4, torch.Generator().manual_seed(7))
        report = self.report(Oracle(), records, records, "whole_time", 0.4, seed=7)
        assert report.hidden == int(hidden.sum())

    def test_missing_patches_are_neither_hidden_nor_copied(self):
        mask = np.ones((2, 30), dtype=bool)
        mask[:, 10:] = False
        codes = np.full((2, 30), 3)
        report = self.report(
            Oracle(), [record_with_codes(codes, [0, 1])], [record_with_codes(codes, [0, 1], mask)], ratio=1.0
        )
        assert (report.hidden, report.copy_nearest_accuracy, report.copy_neighbour_accuracy) == (20, 0.0, 0.0)

    def test_the_unigram_is_that_of_the_same_lead_in_training(self):
        # Lead I: codes 0, 0, 0, 1; lead V1: code 5 only. One count is added everywhere.
        train = [record_with_codes([[0, 0, 0, 1], [5, 5, 5, 5]], [0, 6])]
        held_out = [record_with_codes([[0, 1, 2, 0], [5, 5, 0, 5]], [0, 6])]
        report = self.report(Oracle(), train, held_out, ratio=1.0)
        lead_i = [4 / 12, 2 / 12, 1 / 12, 4 / 12]
        lead_v1 = [5 / 12, 5 / 12, 1 / 12, 5 / 12]
        assert report.hidden == 8
        assert report.unigram_cross_entropy == pytest.approx(-np.log([*lead_i, *lead_v1]).mean())

    def test_copying_the_nearest_code_is_right_where_codes_last(self):
        constant = [record_with_codes(np.array([[1], [2], [3]]).repeat(30, axis=1), [0, 1, 2])]
        report = self.report(Oracle(), constant, constant)
        assert (report.copy_nearest_accuracy, report.copy_neighbour_accuracy) == (1.0, 0.0)

    def test_copying_the_neighbour_is_right_where_leads_agree(self):
        agreeing = [record_with_codes(np.tile(np.arange(30) % CODES, (3, 1)), [0, 1, 2])]
        report = self.report(Oracle(), agreeing, agreeing, "whole_lead", 0.4)
        assert report.copy_neighbour_accuracy == 1.0
        assert report.copy_nearest_accuracy == 0.0  # the whole lead is hidden

    def test_whole_times_cannot_be_copied_from_a_neighbour(self):
        agreeing = [record_with_codes(np.tile(np.arange(30) % CODES, (3, 1)), [0, 1, 2])]
        report = self.report(Oracle(), agreeing, agreeing, "whole_time", 0.4)
        assert report.copy_neighbour_accuracy == 0.0

    def test_copies_take_the_nearest_visible_code_the_earlier_of_two(self, monkeypatch):
        visible = [False, True, False, False, True, False, False, False, True]
        hidden = ~torch.tensor([[visible]])
        monkeypatch.setattr("anyecg_hf.evaluation.code_reports.codes.draw_mask", lambda *_: hidden)
        copied = {0: 1, 2: 1, 3: 2, 5: 2, 6: 2, 7: 3}  # 6 lies between two as near
        codes = np.array([[0, 1, 0, 0, 2, 0, 0, 0, 3]])
        held_out = record_with_codes(codes, [0])
        assert self.report(Oracle(), [held_out], [held_out]).copy_nearest_accuracy == 0.0
        for position, code in copied.items():
            changed = codes.copy()
            changed[0, position] = code
            record = record_with_codes(changed, [0])
            found = self.report(Oracle(), [record], [record]).copy_nearest_accuracy
            assert found == pytest.approx(1 / len(copied))

    def test_copying_the_previous_code_looks_back_only(self, monkeypatch):
        visible = [False, True, False, False, True]
        hidden = ~torch.tensor([[visible]])
        monkeypatch.setattr("anyecg_hf.evaluation.code_reports.codes.draw_mask", lambda *_: hidden)
        # Of the hidden 0, 2 and 3, the first has nothing before it and the others follow the 1.
        held_out = record_with_codes(np.array([[1, 1, 1, 1, 2]]), [0])
        assert self.report(Oracle(), [held_out], [held_out]).copy_previous_accuracy == pytest.approx(2 / 3)

    def test_masks_follow_from_the_seed(self, records):
        first, again, other = (self.report(Oracle(), records, records, seed=seed).hidden for seed in (1, 1, 2))
        assert first == again != other
