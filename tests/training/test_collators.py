# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
import torch
from tests.training.written_records import cleaned_records

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.training.collators import MaskedCodeCollator, WindowCollator, pad_codes
from anyecg_hf.training.finetuning import ClassifierWithCodesCollator
from anyecg_hf.training.windows import RecordWindows


@pytest.fixture(scope="module")
def tokenizer() -> AnyECGTokenizer:
    return AnyECGTokenizer(patch_size=75)


@pytest.fixture(scope="module")
def windows() -> list[dict[str, np.ndarray]]:
    """Training windows of two records: 3 leads and 6 patches, 2 leads and 4 patches."""
    records = [
        cleaned_records(1, seconds=1.5, leads=3, labels=[[1, 0]])[0],
        cleaned_records(1, seconds=1.0, leads=2, labels=[[0, 1]])[0],
    ]
    for offset, record in enumerate(records):
        record.codes = np.arange(record.patch_mask.size).reshape(record.patch_mask.shape) + 100 * offset
    dataset = RecordWindows(records, 6, training=True)
    return [dataset[0], dataset[1]]


def test_windows_of_different_sizes_are_padded_and_masked(tokenizer, windows):
    batch = WindowCollator(tokenizer, keys=("demographics",))(windows)
    assert sorted(batch) == ["attention_mask", "demographics", "input_values", "lead_ids"]
    assert batch["input_values"].shape == (2, 3, 6, 75) and batch["input_values"].dtype == torch.float32
    assert batch["attention_mask"].sum(dim=(1, 2)).tolist() == [18, 8]
    assert not batch["input_values"][1, 2].any() and not batch["input_values"][1, :, 4:].any()
    torch.testing.assert_close(batch["input_values"][1, :2, :4], torch.tensor(windows[1]["input_values"]))
    assert batch["lead_ids"].tolist() == [[0, 1, 2], [0, 1, 0]]
    assert batch["demographics"].shape == (2, 3)


def test_labels_are_codes_with_minus_one_where_padded(tokenizer, windows):
    batch = MaskedCodeCollator(tokenizer)(windows)
    torch.testing.assert_close(batch["labels"][0], torch.arange(18).view(3, 6))
    torch.testing.assert_close(batch["labels"][1, :2, :4], torch.arange(100, 108).view(2, 4))
    assert (batch["labels"][1, 2] == -1).all() and (batch["labels"][1, :, 4:] == -1).all()
    assert batch["bool_masked_pos"].dtype == torch.bool
    assert not batch["bool_masked_pos"][batch["attention_mask"] == 0].any()


def test_each_batch_draws_one_strategy_by_weight(tokenizer, windows):
    strategies = (("whole_time", 0.4, 3.0), ("whole_lead", 0.4, 1.0), ("random", 1.0, 0.0))
    collator = MaskedCodeCollator(tokenizer, strategies=strategies)
    whole_times = []
    for draw in range(300):
        hidden = collator([{**windows[0], "draw": np.array([0, draw])}])["bool_masked_pos"][0]
        whole_times.append(bool((hidden == hidden[:1]).all()))
    # Whole leads look like whole times only if all three are hidden, which is rare.
    assert np.mean(whole_times) == pytest.approx(0.75 + 0.25 * 0.4**3, abs=0.08)


def test_draws_of_a_batch_follow_from_its_windows(tokenizer, windows):
    collator = MaskedCodeCollator(tokenizer, time_positions=50)
    torch.manual_seed(0)
    first = collator(windows)
    again = collator(windows)
    other = collator([windows[0], {**windows[1], "draw": np.array([0, 7])}])
    assert first["bool_masked_pos"].equal(again["bool_masked_pos"])
    assert first["time_offset"].equal(again["time_offset"])
    assert not first["bool_masked_pos"].equal(other["bool_masked_pos"])


def test_windows_without_draws_take_the_global_generator(tokenizer, windows):
    plain = [{key: value for key, value in window.items() if key != "draw"} for window in windows]
    collator, masks = MaskedCodeCollator(tokenizer), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        masks.append(collator(plain)["bool_masked_pos"])
    assert masks[0].equal(masks[1]) and not masks[0].equal(masks[2])


def test_windows_start_at_any_row_of_a_learned_time_table(tokenizer, windows):
    collator = WindowCollator(tokenizer, time_positions=9)
    offsets = torch.cat([collator([{**windows[0], "draw": np.array([0, draw])}])["time_offset"] for draw in range(60)])
    assert set(offsets.tolist()) == {0, 1, 2, 3}  # the window of 6 patches fits in 9 rows
    assert WindowCollator(tokenizer, time_positions=2)(windows)["time_offset"].tolist() == [0, 0]
    assert "time_offset" not in WindowCollator(tokenizer)(windows)


def test_fine_tuning_batches_hold_classes_as_labels_and_codes_beside_them(tokenizer, windows):
    batch = ClassifierWithCodesCollator(tokenizer)(windows)
    assert batch["labels"].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert batch["codes"].shape == (2, 3, 6)
    assert {"bool_masked_pos", "attention_mask", "lead_ids", "input_values"} < set(batch)


def test_codes_of_several_codebooks_keep_their_axis():
    mask = torch.ones(2, 2, 3)
    codes = [np.arange(12).reshape(2, 3, 2), np.arange(4).reshape(1, 2, 2)]
    padded = pad_codes(codes, mask)
    assert padded.shape == (2, 2, 3, 2)
    assert padded[1].tolist() == [[[0, 1], [2, 3], [-1, -1]], [[-1, -1]] * 3]
