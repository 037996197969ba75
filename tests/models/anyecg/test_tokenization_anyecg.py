# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From recordings to patches; codes, saving and loading are in `test_tokenization_anyecg_quantizer.py`."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.ecg_signals import heartbeats
from transformers import BatchFeature

from anyecg_hf import LEAD_NAMES, AnyECGTokenizer

LEADS = ["I", "II", "V1"]


@pytest.fixture
def tokenizer() -> AnyECGTokenizer:
    return AnyECGTokenizer()


@pytest.fixture
def ecg() -> np.ndarray:
    """10 s of three leads at 500 Hz."""
    return heartbeats(leads=3, seconds=10, sampling_rate=500, wander_mv=0.1, noise_mv=0.01)


@dataclass(frozen=True)
class Recording:
    """What the tokenizer wants to see in an `ECGRecord`, and no more."""

    signal_mv: np.ndarray
    sampling_rate: float
    lead_names: tuple[str, ...]


def assert_same_batch(found: BatchFeature, expected: BatchFeature) -> None:
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(np.asarray(found[key]), np.asarray(expected[key]), err_msg=key)


# What comes out


def test_a_record_becomes_patches_mask_lead_ids_and_scale(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    batch = tokenizer(ecg, sampling_rate=500, lead_names=LEADS)
    assert isinstance(batch, BatchFeature)
    assert list(batch) == ["input_values", "attention_mask", "lead_ids", "scale"] == tokenizer.model_input_names
    assert batch["input_values"].shape == (1, 3, 10, 300) and batch["input_values"].dtype == np.float32
    assert batch["attention_mask"].shape == (1, 3, 10) and batch["attention_mask"].dtype == np.int64
    assert batch["lead_ids"].tolist() == [[0, 1, 6]] and batch["lead_ids"].dtype == np.int64
    assert batch["scale"].shape == (1,) and batch["scale"].dtype == np.float32
    assert batch["input_values"].std() == pytest.approx(1.0, abs=1e-3)
    assert (batch["attention_mask"] == 1).all()


def test_tensors_come_out_on_request(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    arrays = tokenizer(ecg, 500, LEADS, return_tensors="np")
    tensors = tokenizer(ecg, 500, LEADS, return_tensors="pt")
    dtypes = {"input_values": torch.float32, "attention_mask": torch.int64, "lead_ids": torch.int64}
    assert {key: value.dtype for key, value in tensors.items()} == {**dtypes, "scale": torch.float32}
    assert_same_batch(tensors, arrays)


def test_millivolts_are_patches_times_scale(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    batch = tokenizer(ecg, 500, LEADS)
    peak_mv = (batch["input_values"][0, 0] * batch["scale"][0]).max()
    assert peak_mv == pytest.approx(1.0, abs=0.2)


# What goes in


@pytest.mark.parametrize(
    "as_given",
    [
        lambda ecg: ecg.astype(np.float64),
        lambda ecg: ecg[None],
        lambda ecg: [ecg],
        lambda ecg: torch.tensor(ecg),
        lambda ecg: [torch.tensor(ecg, requires_grad=True)],
        lambda ecg: np.asfortranarray(ecg),
        lambda ecg: np.repeat(ecg, 2, axis=1)[:, ::2],
    ],
    ids=["float64", "three-axes", "list", "tensor", "list-of-tensors", "fortran-order", "strided"],
)
def test_arrays_lists_and_tensors_are_the_same_record(tokenizer: AnyECGTokenizer, ecg: np.ndarray, as_given: Any):
    assert_same_batch(tokenizer(as_given(ecg), 500, LEADS), tokenizer(ecg, 500, LEADS))


def test_the_callers_array_is_left_alone(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    ecg[1, 100:120] = np.nan
    before = ecg.copy()
    tokenizer(ecg, 500, LEADS)
    np.testing.assert_array_equal(ecg, before)


@pytest.mark.parametrize("names", ["II", ["II"], "dii"])
def test_one_lead_may_come_without_a_lead_axis(tokenizer: AnyECGTokenizer, ecg: np.ndarray, names: Any):
    expected = tokenizer(ecg[1:2], 500, ["II"])
    assert_same_batch(tokenizer(ecg[1], 500, names), expected)
    assert_same_batch(tokenizer(ecg[1].astype(np.float64).tolist(), 500, names), expected)


def test_records_carry_their_own_rate_and_leads(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    record = Recording(ecg, 500.0, tuple(LEADS))
    assert_same_batch(tokenizer(record), tokenizer(ecg, 500, LEADS))
    assert_same_batch(tokenizer(record, sampling_rate=500, lead_names=LEADS), tokenizer(ecg, 500, LEADS))
    both = tokenizer([record, Recording(ecg[:2, :2000], 400, ("V6", "aVR"))])
    assert both["input_values"].shape == (2, 3, 10, 300)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampling_rate": 250}, "`sampling_rate` is 250 but the record says 500.0 Hz: leave it out"),
        ({"lead_names": ["I", "II", "V2"]}, "`lead_names` is .*'V2'.* but the record says .*'V1'.*: leave it out"),
        ({"unit": "uV"}, r"an ECGRecord is in millivolts: leave `unit` out \(got 'uV'\)"),
    ],
)
def test_what_contradicts_a_record_is_refused(
    tokenizer: AnyECGTokenizer, ecg: np.ndarray, arguments: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        tokenizer(Recording(ecg, 500.0, tuple(LEADS)), **arguments)


@pytest.mark.parametrize(("unit", "per_mv"), [("V", 1e-3), ("uV", 1e3), ("nV", 1e6), ("µV", 1e3)])
def test_units_are_converted(tokenizer: AnyECGTokenizer, ecg: np.ndarray, unit: str, per_mv: float):
    found = tokenizer(ecg.astype(np.float64) * per_mv, 500, LEADS, unit=unit)
    expected = tokenizer(ecg, 500, LEADS)
    np.testing.assert_allclose(found["input_values"], expected["input_values"], atol=1e-4)
    np.testing.assert_allclose(found["scale"], expected["scale"], rtol=1e-5)


def test_every_record_may_have_its_own_rate_leads_and_unit(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    short = heartbeats(leads=2, seconds=4.6, sampling_rate=257)
    batch = tokenizer([ecg, 1000 * short], [500, 257], [LEADS, ["V6", "unknown"]], unit=["mV", "uV"])
    assert batch["input_values"].shape == (2, 3, 10, 300)
    assert batch["lead_ids"].tolist() == [[0, 1, 6], [11, 21, 0]]
    assert batch["attention_mask"][1].sum(axis=1).tolist() == [5, 5, 0]


def test_a_batch_gives_exactly_the_numbers_of_its_records_one_by_one(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    rates, names = [500, 257, 360, 1000], [LEADS, ["V6", "I"], ["MLII"], ["I", "unknown", "unknown", "V2"]]
    records = [ecg] + [
        heartbeats(leads=len(leads), seconds=seconds, sampling_rate=rate, noise_mv=0.02)
        for rate, leads, seconds in zip(rates[1:], names[1:], (4.6, 7.2, 1.0), strict=True)
    ]
    batch = tokenizer(records, rates, names)
    for row, (record, rate, leads) in enumerate(zip(records, rates, names, strict=True)):
        alone = tokenizer(record, rate, leads)
        rows, patches = alone["attention_mask"].shape[1:]
        np.testing.assert_array_equal(batch["input_values"][row, :rows, :patches], alone["input_values"][0])
        np.testing.assert_array_equal(batch["attention_mask"][row, :rows, :patches], alone["attention_mask"][0])
        np.testing.assert_array_equal(batch["lead_ids"][row, :rows], alone["lead_ids"][0])
        assert batch["scale"][row] == alone["scale"][0]
        for key in ("input_values", "attention_mask"):
            assert not batch[key][row, rows:].any() and not batch[key][row, :, patches:].any()
        assert not batch["lead_ids"][row, rows:].any()


def test_an_extra_bad_lead_changes_no_number_of_the_others(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    expected = tokenizer(ecg, 500, LEADS)
    with pytest.warns(UserWarning, match=r"unusable leads are masked: V2 \(flat\)"):
        found = tokenizer(np.concatenate((ecg, np.zeros_like(ecg[:1]))), 500, [*LEADS, "V2"])
    assert found["attention_mask"][0].sum(axis=1).tolist() == [10, 10, 10, 0]
    assert found["lead_ids"].tolist() == [[0, 1, 6, 7]]
    np.testing.assert_allclose(found["input_values"][:, :3], expected["input_values"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["scale"], expected["scale"], rtol=1e-6)


def test_gaps_are_masked_and_no_nan_comes_out(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    ecg[1, 1000:1500] = np.nan
    ecg[2, ::100] = np.nan
    batch = tokenizer(ecg, 500, LEADS)
    assert batch["attention_mask"].sum() == 29 and batch["attention_mask"][0, 1, 2] == 0
    assert np.isfinite(batch["input_values"]).all()
    assert not batch["input_values"][0, 1, 2].any()


def test_cleaning_says_what_was_done(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    ecg[0] = np.nan
    with pytest.warns(UserWarning, match=r"unusable leads are masked: I \(missing\)"):
        cleaned = tokenizer.clean(ecg, 500, LEADS)
    assert cleaned.unusable == {0: "missing"}
    assert cleaned.lead_names == ("I", "II", "V1")
    assert "notch 50 Hz" in cleaned.steps


# Padding and truncation


@pytest.mark.parametrize(("padding", "patches"), [(True, 10), ("longest", 10), ("max_length", 14)])
def test_padding_goes_to_the_longest_or_to_the_wanted_length(
    tokenizer: AnyECGTokenizer, ecg: np.ndarray, padding: bool | str, patches: int
):
    max_length_s = 14.0 if padding == "max_length" else None
    batch = tokenizer([ecg, ecg[:, :2000]], 500, LEADS, padding=padding, max_length_s=max_length_s)
    assert batch["input_values"].shape == (2, 3, patches, 300)
    assert batch["attention_mask"].sum(axis=(1, 2)).tolist() == [30, 12]
    assert not batch["input_values"][1, :, 4:].any()


@pytest.mark.parametrize("padding", [False, "do_not_pad"])
def test_without_padding_records_stay_apart(tokenizer: AnyECGTokenizer, ecg: np.ndarray, padding: bool | str):
    records, names = [ecg, ecg[:2, :2000]], [LEADS, LEADS[:2]]
    batch = tokenizer(records, 500, names, padding=padding)
    assert [values.shape for values in batch["input_values"]] == [(3, 10, 300), (2, 4, 300)]
    with pytest.raises(ValueError, match="records of different sizes need `padding=True` to become one tensor"):
        tokenizer(records, 500, names, padding=padding, return_tensors="pt")
    same_size = tokenizer([ecg, ecg], 500, LEADS, padding=padding, return_tensors="pt")
    assert same_size["input_values"].shape == (2, 3, 10, 300)


def test_truncation_keeps_the_first_seconds_as_they_were(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    whole = tokenizer(ecg, 500, LEADS)
    cut = tokenizer(ecg, 500, LEADS, truncation=True, max_length_s=4.9)
    np.testing.assert_array_equal(cut["input_values"], whole["input_values"][:, :, :4])
    np.testing.assert_array_equal(cut["scale"], whole["scale"])
    with pytest.raises(ValueError, match="`max_length_s` needs `truncation=True` or"):
        tokenizer(ecg, 500, LEADS, max_length_s=4.9)


def test_an_unknown_setting_is_refused():
    with pytest.raises(TypeError, match=r"unknown arguments of AnyECGTokenizer: \['samplingrate'\]"):
        AnyECGTokenizer(samplingrate=250)


def test_gaps_are_reported_with_the_record_they_are_in(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    gap = ecg.copy()
    gap[:, 1000:2500] = np.nan
    with pytest.warns(UserWarning, match="record 1: 4500 missing samples are interpolated and 9 patches masked"):
        tokenizer([ecg, gap], 500, LEADS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truncation": True}, '`truncation=True` and `padding="max_length"` need `max_length_s`, in seconds'),
        ({"padding": "max_length"}, '`truncation=True` and `padding="max_length"` need `max_length_s`, in seconds'),
        ({"truncation": True, "max_length_s": 0.5}, r"`max_length_s` must be at least one patch \(1 s\), got 0.5"),
        ({"padding": "left"}, "`padding` must be True, False, 'longest', 'max_length' or 'do_not_pad', got 'left'"),
    ],
)
def test_impossible_lengths_are_refused(
    tokenizer: AnyECGTokenizer, ecg: np.ndarray, arguments: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        tokenizer(ecg, 500, LEADS, **arguments)


def test_pad_collates_items_of_a_dataset_with_their_labels(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    items = [
        {**tokenizer.feature(tokenizer.clean(signal, 500, names)), "labels": label}
        for signal, names, label in ((ecg, LEADS, 1), (ecg[:2, :2000], LEADS[:2], 0))
    ]
    batch = tokenizer.pad(items, return_tensors="pt")
    assert batch["labels"].tolist() == [1, 0]
    expected = tokenizer([ecg, ecg[:2, :2000]], 500, [LEADS, LEADS[:2]], return_tensors="pt")
    for key in expected:
        torch.testing.assert_close(batch[key], expected[key], rtol=0, atol=0)


# Bad input


def refused(tokenizer: AnyECGTokenizer, message: str, ecg: Any, *args: Any, **kwargs: Any) -> None:
    with pytest.raises(ValueError, match=message):
        tokenizer(ecg, *args, **kwargs)


@pytest.mark.parametrize(
    ("sampling_rate", "message"),
    [
        (None, "`sampling_rate` is missing: pass the rate of the signal in Hz, for example sampling_rate=500"),
        (0, "`sampling_rate` must lie between 50 and 50000 Hz, got 0"),
        (-500, "got -500"),
        (0.002, "got 0.002. It is the number of samples a second, not the interval between them"),
        (1e9, "got 1e.09"),
        (float("nan"), "got nan"),
        ("fast", "`sampling_rate` must be one number of Hz, got 'fast'"),
        ([500, 500], "`sampling_rate` has 2 entries for 1 records: pass one for all, or one each"),
    ],
)
def test_a_missing_or_impossible_sampling_rate_is_refused(
    tokenizer: AnyECGTokenizer, ecg: np.ndarray, sampling_rate: Any, message: str
):
    refused(tokenizer, message, ecg, sampling_rate, LEADS)


@pytest.mark.parametrize(
    ("lead_names", "message"),
    [
        (None, '`lead_names` is missing: pass one name for each of the 3 leads, for example lead_names=\\["I", "II"'),
        (["I", "II", "PLETH"], r"unknown lead names \['PLETH'\]: expected names from \['I', .* use \"unknown\" for"),
        (["I", "DI", "V1"], r"duplicate lead names \['I'\] in \['I', 'DI', 'V1'\]: only 'unknown' may repeat"),
        (["I", "II"], r"expected an array \(leads, samples\) with 2 leads .*\['I', 'II'\], got shape \(3, 5000\)\.$"),
    ],
)
def test_missing_unknown_or_repeated_leads_are_refused(
    tokenizer: AnyECGTokenizer, ecg: np.ndarray, lead_names: Any, message: str
):
    refused(tokenizer, message, ecg, 500, lead_names)


def test_an_array_of_samples_by_leads_is_refused_with_the_remedy(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    refused(
        tokenizer,
        r"got shape \(5000, 3\)\. The array looks like \(samples, leads\): pass its transpose, `ecg.T`",
        ecg.T,
        500,
        LEADS,
    )


@pytest.mark.parametrize(
    ("strange", "message"),
    [
        (np.float32(3.0), r"expected one record as \(leads, samples\) or \(samples,\), got shape \(\)"),
        (np.zeros((1, 1, 3, 900)), r"expected one record as .* got shape \(1, 3, 900\)|got shape \(1, 1, 3, 900\)"),
        (np.zeros((3, 0)), r"the record is empty: got shape \(3, 0\)"),
        ([], "expected at least one record, got an empty list"),
        (np.array([["a", "b"]] * 3), "expected an array of real numbers .* got dtype <U1"),
        (np.zeros((3, 900), dtype=complex), "expected an array of real numbers .* got dtype complex128"),
        (None, "expected an array of real numbers .* got dtype object"),
    ],
)
def test_what_is_no_signal_is_refused(tokenizer: AnyECGTokenizer, strange: Any, message: str):
    refused(tokenizer, message, strange, 500, LEADS)


def test_an_unknown_unit_is_refused(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    refused(tokenizer, "unknown unit 'counts': expected one of 'V', 'mV', 'uV', 'nV'", ecg, 500, LEADS, unit="counts")


def test_a_record_shorter_than_half_a_patch_is_refused_with_the_minimum(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    message = r"too short: 200 samples at 500 Hz are 0.4 s, and at least 0.5 s \(half a patch\) are needed"
    refused(tokenizer, message, ecg[:, :200], 500, LEADS)
    assert tokenizer(ecg[:, :300], 500, LEADS)["attention_mask"].tolist() == [[[1], [1], [1]]]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_counts_or_microvolts_taken_for_millivolts_are_refused(
    tokenizer: AnyECGTokenizer, ecg: np.ndarray, dtype: type
):
    raw = np.round(1000 * ecg).astype(dtype)
    refused(tokenizer, r"probably microvolts \(unit='uV'\) or raw analog-to-digital counts", raw, 500, LEADS)
    assert tokenizer(raw, 500, LEADS, unit="uV")["attention_mask"].all()


def test_integer_millivolts_that_are_plausible_are_taken(tokenizer: AnyECGTokenizer):
    ecg = heartbeats(leads=3, seconds=10, sampling_rate=500, wander_mv=1.0)
    whole_millivolts = np.round(3 * ecg).astype(np.int16)
    assert tokenizer(whole_millivolts, 500, LEADS)["attention_mask"].all()


def test_a_bad_record_of_a_batch_is_named(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    refused(tokenizer, "record 1 of 2: the record is too short: 100 samples", [ecg, ecg[:, :100]], 500, LEADS)


def test_an_offset_of_a_hundred_millivolts_and_a_spike_are_no_errors(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = tokenizer(ecg, 500, LEADS)
        offset = tokenizer(ecg + np.float32(100.0), 500, LEADS)
    np.testing.assert_allclose(offset["input_values"], expected["input_values"], atol=2e-3)
    ecg[0, 2500] = 80.0
    assert tokenizer(ecg, 500, LEADS)["attention_mask"].all()


@pytest.mark.parametrize("field", ["bandpass_low_hz", "notch_hz"])
def test_impossible_settings_are_refused_at_once(field: str):
    with pytest.raises(ValueError, match=f"`{field}` must lie between 0 and 150 Hz, or be None; got 500"):
        AnyECGTokenizer(**{field: 500})


# Real records


def test_real_records_become_clean_patches_alone_and_in_a_batch(tokenizer: AnyECGTokenizer, records_dir: Path):
    pytest.importorskip("wfdb")
    from anyecg_hf.records import read_record

    paths = [records_dir / "ptb-xl/records500/00000/00001_hr", records_dir / "ptb-xl/records100/00000/00001_lr"]
    found = [path for path in paths if path.with_suffix(".hea").exists()]
    if not found:
        pytest.skip(f"{records_dir} has no PTB-XL record 00001")
    records = [read_record(path) for path in found]
    batch = tokenizer(records)
    assert batch["input_values"].shape == (len(records), 12, 10, 300)
    assert batch["lead_ids"].tolist() == [[LEAD_NAMES.index(name) for name in record.lead_names] for record in records]
    assert np.isfinite(batch["input_values"]).all()
    assert batch["attention_mask"].all()
    for row, record in enumerate(records):
        alone = tokenizer(record)
        np.testing.assert_array_equal(batch["input_values"][row], alone["input_values"][0])
        assert 0.05 < alone["scale"][0] < 1.0
    if len(records) == 2:  # the same recording at two rates
        same = np.corrcoef(batch["input_values"][0].ravel(), batch["input_values"][1].ravel())[0, 1]
        assert same > 0.95
