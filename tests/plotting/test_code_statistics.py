# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import math

import numpy as np
import pytest
import torch
from tests.models.tiny import tiny_quantizer_config

from anyecg_hf.plotting.code_statistics import CodeStatistics

CONFIG = tiny_quantizer_config(codebook_size=6)
SAMPLES = CONFIG.patch_size


def batch(codes: list, value: float = 0.0) -> dict:
    """One lead (I) a window, every patch constant: code + value."""
    codes = np.array(codes)[:, None, :]
    patches = np.repeat((codes + value)[..., None], SAMPLES, axis=-1).astype(np.float32)
    return {
        "codes": codes,
        "patches": patches,
        "attention_mask": np.ones(codes.shape, dtype=np.int64),
        "lead_ids": np.zeros(codes.shape[:2], dtype=np.int64),
    }


def gathered(**arguments) -> CodeStatistics:
    statistics = CodeStatistics(CONFIG)
    statistics.add(**arguments)
    return statistics


def test_counts_means_and_shares_are_those_of_real_patches():
    arguments = batch([[0, 0, 2, 5], [2, 2, -1, 0]])
    arguments["attention_mask"][0, 0, 3] = 0
    arguments["patches"][0, 0, 1] = 4.0
    summary = gathered(**arguments).finish()
    assert summary.counts.tolist() == [3, 0, 3, 0, 0, 0] and summary.patches == 6
    assert summary.shares.tolist() == [0.5, 0, 0.5, 0, 0, 0]
    assert summary.mean[0] == pytest.approx(4 / 3) and (summary.mean[2] == 2).all()
    assert np.isnan(summary.mean[1]).all() and np.isnan(summary.low[1]).all()


def test_codes_never_used_are_listed():
    summary = gathered(**batch([[3, 0, 3]])).finish()
    assert summary.unused.tolist() == [1, 2, 4, 5] and summary.by_count.tolist() == [3, 0]
    assert summary.usage == pytest.approx(1 / 3)
    assert summary.perplexity == pytest.approx(math.exp(math.log(3) / 3 + 2 / 3 * math.log(1.5)))


def test_batches_add_up_to_one_batch():
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 6, (8, 5)).tolist()
    whole, parts = gathered(**batch(codes)), CodeStatistics(CONFIG)
    for row in codes:
        parts.add(**batch([row]))
    one, several = whole.finish(), parts.finish()
    assert np.array_equal(one.lead_counts, several.lead_counts) and one.records == several.records == 8
    assert np.array_equal(one.mean, several.mean, equal_nan=True)


def test_tensors_and_residual_codes_are_taken_and_the_first_codebook_counts():
    arguments = {name: torch.from_numpy(value) for name, value in batch([[1, 2]]).items()}
    arguments["codes"] = torch.stack([arguments["codes"], torch.full_like(arguments["codes"], 5)], dim=-1)
    config = tiny_quantizer_config(codebook_size=6, num_quantizers=2)
    statistics = CodeStatistics(config)
    statistics.add(**arguments)
    summary = statistics.finish()
    assert summary.counts.tolist() == [0, 1, 1, 0, 0, 0] and summary.codebooks == 2


class TestSpread:
    def test_percentiles_are_of_all_patches_while_these_are_few(self):
        statistics = CodeStatistics(CONFIG)
        for value in range(11):
            statistics.add(**batch([[0]], value))
        summary = statistics.finish()
        assert (summary.low[0] == 1).all() and (summary.high[0] == 9).all() and summary.kept[0] == 11

    def test_of_many_an_even_sample_of_bounded_size_is_kept(self):
        statistics = CodeStatistics(CONFIG)
        for value in range(3000):
            statistics.add(**batch([[0]], value))
        summary = statistics.finish()
        assert summary.kept.tolist() == [100, 0, 0, 0, 0, 0]
        # Standard errors of the two percentiles are 90 here.
        assert summary.low[0, 0] == pytest.approx(300, abs=300) and summary.high[0, 0] == pytest.approx(2700, abs=300)
        assert summary.mean[0] == pytest.approx(1499.5)

    def test_the_seed_decides_the_sample(self):
        def low(seed: int) -> float:
            statistics = CodeStatistics(CONFIG, seed)
            for value in range(500):
                statistics.add(**batch([[0]], value))
            return float(statistics.finish().low[0, 0])

        assert low(0) == low(0) != low(1)


class TestLeads:
    def test_leads_are_counted_and_named(self):
        arguments = batch([[0, 0], [0, 1], [0, 1]])
        arguments["lead_ids"][1:] = 6  # V1
        summary = gathered(**arguments).finish()
        assert [(use.name, use.patches, use.share) for use in summary.leads_of(0)] == [("I", 2, 0.5), ("V1", 2, 0.5)]
        assert [use.name for use in summary.leads_of(1)] == ["V1"]

    def test_codes_that_name_the_lead_tell_all_of_it(self):
        arguments = batch([[0, 0], [1, 1]])
        arguments["lead_ids"][1] = 6
        summary = gathered(**arguments).finish()
        assert summary.lead_entropy_bits == pytest.approx(1.0)
        assert summary.code_lead_information_bits == pytest.approx(1.0)

    def test_codes_that_know_nothing_of_the_lead_tell_nothing(self):
        arguments = batch([[0, 1], [0, 1]])
        arguments["lead_ids"][1] = 6
        assert gathered(**arguments).finish().code_lead_information_bits == pytest.approx(0.0)

    def test_the_bias_is_about_what_chance_makes(self):
        rng = np.random.default_rng(0)
        arguments = batch(rng.integers(0, 6, (200, 10)).tolist())
        arguments["lead_ids"][:, 0] = rng.integers(0, 12, 200)
        summary = gathered(**arguments).finish()
        assert summary.code_lead_bias_bits == pytest.approx(5 * 11 / (2 * 2000 * math.log(2)))
        assert summary.code_lead_information_bits == pytest.approx(summary.code_lead_bias_bits, rel=0.4)


class TestClasses:
    def test_enrichment_is_against_records_with_a_class(self):
        """Code 0 is all of AF's patches and a quarter of NSR's; the unlabelled record does not count."""
        codes = [[0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]]
        summary = gathered(**batch(codes), classes=[("AF",), ("NSR",), ()]).finish()
        uses = {use.name: use for use in summary.classes_of(0)}
        assert uses["AF"].enrichment == pytest.approx((4 / 5) / (4 / 8))
        assert uses["NSR"].enrichment == pytest.approx((1 / 5) / (4 / 8))
        assert (uses["AF"].patches, uses["AF"].records, uses["AF"].class_records) == (4, 1, 1)
        assert (summary.records, summary.labelled_records) == (3, 2)
        assert [use.name for use in summary.classes_of(1)] == ["NSR"] and not summary.classes_of(5)

    def test_a_record_counts_in_each_of_its_classes(self):
        summary = gathered(**batch([[0, 1], [0, 0]]), classes=[("NSR", "PVC", "NSR"), ("NSR",)]).finish()
        assert summary.class_names == ("NSR", "PVC") and summary.class_records.tolist() == [2, 1]
        assert summary.class_counts[:2].tolist() == [[3, 1], [1, 1]]

    def test_windows_of_one_record_are_one_record(self):
        statistics = CodeStatistics(CONFIG)
        statistics.add(**batch([[0], [0]]), classes=[("AF",)] * 2, record_ids=["a", "a"])
        statistics.add(**batch([[1], [0]]), classes=[("AF",)] * 2, record_ids=["a", "b"])
        summary = statistics.finish()
        assert summary.records == 2 and summary.class_records.tolist() == [2]
        assert summary.code_records.tolist() == [2, 1, 0, 0, 0, 0]
        assert summary.class_code_records[:, 0].tolist() == [2, 1, 0, 0, 0, 0]

    def test_a_class_with_few_records_comes_after_those_with_support(self):
        codes = [[0, 0]] * 6 + [[0, 1]]
        summary = gathered(**batch(codes), classes=[("NSR",)] * 6 + [("VT",)]).finish()
        assert [(use.name, use.has_support) for use in summary.classes_of(0)] == [("NSR", True), ("VT", False)]
        assert [(use.name, use.enrichment) for use in summary.classes_of(1)] == [("VT", 7.0)]

    def test_without_classes_there_are_none(self):
        summary = gathered(**batch([[0, 1]])).finish()
        assert summary.class_names == () and summary.classes_of(0) == [] and summary.labelled_records == 0


def test_the_scale_is_the_geometric_mean_and_needs_every_window():
    statistics = gathered(**batch([[0], [0]]), scale=np.array([0.1, 0.4]))
    assert statistics.finish().scale_mv == pytest.approx(0.2)
    statistics.add(**batch([[0]]))
    assert statistics.finish().scale_mv is None


def test_the_figures_are_json():
    summary = gathered(**batch([[3, 0, 3]]), classes=[("AF",)], scale=[0.2]).finish()
    found = json.loads(json.dumps(summary.to_dict()))
    assert found["unused"] == [1, 2, 4, 5] and found["records_with_rhythm_class"] == 1
    assert found["codes"][0] == {
        "code": 3,
        "rank": 1,
        "patches": 2,
        "share": pytest.approx(2 / 3),
        "records": 1,
        "leads": [{"name": "I", "patches": 2, "share": 1.0}],
        "classes": [{"name": "AF", "enrichment": 1.0, "patches": 2, "records": 1, "class_records": 1}],
    }


class TestRefusals:
    def test_shapes_that_do_not_agree_are_named(self):
        arguments = batch([[0, 1]])
        arguments["patches"] = arguments["patches"][..., :50]
        told = r"for codes .* of shape \(1, 1, 2\) expected .*'patches': \(1, 1, 2, 75\).*, got .*\(1, 1, 2, 50\)"
        with pytest.raises(ValueError, match=told):
            gathered(**arguments)

    def test_a_code_beyond_the_codebook(self):
        with pytest.raises(ValueError, match="code 6 is beyond the codebook of 6 codes"):
            gathered(**batch([[0, 6]]))

    def test_classes_of_another_number_of_windows(self):
        with pytest.raises(ValueError, match="`classes` has 1 entries for 2 windows: one is needed for each"):
            gathered(**batch([[0], [1]]), classes=[("AF",)])

    def test_a_string_for_the_classes_of_a_window(self):
        with pytest.raises(ValueError, match="put it into a list"):
            gathered(**batch([[0]]), classes=["AF"])

    def test_nothing_at_all(self):
        with pytest.raises(ValueError, match="no patch with a code was added"):
            gathered(**batch([[-1]])).finish()
