# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import DatasetDict, load_from_disk
from tests.corpora.written_rows import corpus, row
from tests.fresh_process import in_fresh_process

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.corpora import cleaned as cleaned_module
from anyecg_hf.corpora.batches import PatchCollator
from anyecg_hf.corpora.cleaned import clean_corpus, record_of
from anyecg_hf.corpora.leakage.fingerprints import signal_fingerprint
from anyecg_hf.corpora.signal_feature import ECGSignal
from anyecg_hf.records import StoredSignal


@pytest.fixture(scope="module")
def tokenizer() -> AnyECGTokenizer:
    return AnyECGTokenizer()


def flat_row() -> dict:
    zeros = np.zeros((2, 400), dtype=np.int16)
    return row(7) | {"signal": StoredSignal(zeros, np.ones(2), np.zeros(2), ("mV", "mV"))}


def test_a_row_becomes_a_record():
    record = record_of(corpus([row(3, age_years=61.0, sex=1, labels=["426783006"])])[0])
    assert (record.record_id, record.patient_id, record.age_years, record.sex) == ("r003", "p001", 61.0, 1)
    assert (record.lead_names, record.sampling_rate, record.labels) == (("I", "II"), 100.0, ("426783006",))
    assert np.isnan(record.signal_mv[-1, 0])


def test_patches_are_those_of_the_tokenizer(tokenizer):
    dataset = corpus([row(0), row(1, n_leads=3, seconds=6)])
    cleaned = clean_corpus(dataset, tokenizer)
    assert "signal" not in cleaned.column_names
    batch = PatchCollator(("record_id",))([cleaned[0], cleaned[1]])
    expected = tokenizer([record_of(example) for example in dataset], return_tensors="pt")
    assert batch.pop("record_id") == ["r000", "r001"]
    assert {key: value.dtype for key, value in batch.items()} == {key: value.dtype for key, value in expected.items()}
    torch.testing.assert_close(batch.pop("input_values"), expected.pop("input_values"), atol=2e-3, rtol=1e-3)  # float16
    for key, value in expected.items():
        torch.testing.assert_close(batch[key], value)


def test_other_columns_stay_beside_the_patches(tokenizer):
    cleaned = clean_corpus(corpus([row(0, age_years=50.0, labels=["164889003"])]), tokenizer)[0]
    assert (cleaned["record_id"], cleaned["age_years"], cleaned["labels"]) == ("r000", 50.0, ["164889003"])
    assert (cleaned["n_leads"], cleaned["n_patches"]) == (2, 4)


def test_what_cannot_be_cleaned_is_left_out_and_counted(tokenizer, caplog):
    dataset = corpus([row(0), row(1, seconds=0.3), flat_row()])
    with caplog.at_level(logging.WARNING):
        cleaned = clean_corpus(dataset, tokenizer)
    assert cleaned["record_id"][:] == ["r000"]
    assert "2 records cannot be cleaned" in caplog.text
    assert "no usable lead" in caplog.text
    assert [example["record_id"] for example in clean_corpus(dataset.to_iterable_dataset(), tokenizer)] == ["r000"]


def test_a_stream_gives_the_same_patches(tokenizer):
    dataset = corpus([row(0), row(1, n_leads=3)])
    for found, expected in zip(
        clean_corpus(dataset.to_iterable_dataset(), tokenizer), clean_corpus(dataset, tokenizer), strict=True
    ):
        np.testing.assert_equal(found, expected)


def test_a_second_process_finds_what_the_first_computed(tmp_path):
    corpus([row(number) for number in range(3)]).save_to_disk(tmp_path / "corpus")
    script = f"""
        import datasets
        from anyecg_hf import AnyECGTokenizer
        from anyecg_hf.corpora import cleaned, signal_feature
        dataset = datasets.load_from_disk({str(tmp_path / "corpus")!r})
        result = cleaned.clean_corpus(dataset, AnyECGTokenizer())
        print(*(file["filename"] for file in result.cache_files))
    """
    outputs = []
    for _ in range(2):
        path = Path(in_fresh_process(script).split()[-1])
        outputs.append((path, path.stat().st_mtime_ns))
    assert outputs[0] == outputs[1]


def test_other_settings_are_computed_anew(tmp_path):
    corpus([row(0)]).save_to_disk(tmp_path / "corpus")
    dataset = load_from_disk(tmp_path / "corpus")
    paths = {clean_corpus(dataset, AnyECGTokenizer(notch_hz=hz)).cache_files[0]["filename"] for hz in (50, 60)}
    assert len(paths) == 2


def test_a_tokenizer_that_was_saved_and_loaded_finds_what_was_computed(tmp_path):
    corpus([row(0)]).save_to_disk(tmp_path / "corpus")
    dataset = load_from_disk(tmp_path / "corpus")
    AnyECGTokenizer(notch_hz=60).save_pretrained(tmp_path / "tokenizer")
    loaded = AnyECGTokenizer.from_pretrained(tmp_path / "tokenizer")
    paths = {
        clean_corpus(dataset, tokenizer).cache_files[0]["filename"]
        for tokenizer in (AnyECGTokenizer(notch_hz=60), loaded)
    }
    assert len(paths) == 1


def test_another_version_of_the_package_cleans_anew(tmp_path, monkeypatch):
    corpus([row(0)]).save_to_disk(tmp_path / "corpus")
    dataset = load_from_disk(tmp_path / "corpus")
    before = clean_corpus(dataset, AnyECGTokenizer()).cache_files
    monkeypatch.setattr(cleaned_module, "__version__", "0.0.0")
    assert clean_corpus(dataset, AnyECGTokenizer()).cache_files != before


def test_a_stream_must_know_its_columns(tokenizer):
    stream = corpus([row(0)]).to_iterable_dataset().map(lambda example: {"one": 1})
    with pytest.raises(ValueError, match="pass `features` to its `map`"):
        clean_corpus(stream, tokenizer)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("shown_as", ["torch", "numpy", None, "raw"])
def test_it_does_not_matter_how_rows_are_shown(tokenizer, shown_as, streaming):
    dataset = corpus([row(0), row(1, n_leads=3, age_years=50.0)])
    expected = clean_corpus(dataset, tokenizer)
    shown = dataset.to_iterable_dataset() if streaming else dataset
    if shown_as == "raw":
        shown = shown.cast_column("signal", ECGSignal(decode=False))
    else:
        shown = shown.with_format(shown_as)
    found = list(clean_corpus(shown, tokenizer))
    np.testing.assert_equal(found, list(expected))


def test_a_dictionary_of_splits_is_refused(tokenizer):
    splits = DatasetDict({"train": corpus([row(0)])})
    with pytest.raises(ValueError, match="expected one split of a corpus, got a dictionary of 'train'"):
        clean_corpus(splits, tokenizer)


class TestLongRecords:
    ROWS = (row(0, seconds=3), row(1, n_leads=3, seconds=11), row(2, seconds=8))

    def test_they_are_cleaned_whole_and_cut_evenly(self, tokenizer):
        whole = clean_corpus(corpus(self.ROWS), tokenizer)
        cut = clean_corpus(corpus(self.ROWS), tokenizer, most_patches=4)
        places = [(found["record_id"], found["first_patch"], found["n_patches"]) for found in cut]
        assert places == [
            *[("r000", 0, 3)],
            *[("r001", 0, 3), ("r001", 3, 4), ("r001", 7, 4)],
            *[("r002", 0, 4), ("r002", 4, 4)],
        ]
        for record in whole:
            parts = [found for found in cut if found["record_id"] == record["record_id"]]
            assert record["first_patch"] == 0
            for name in ("input_values", "attention_mask"):
                np.testing.assert_array_equal(np.concatenate([part[name] for part in parts], axis=1), record[name])
            for name in ("lead_ids", "scale", "n_leads", "fingerprint", "patient_id", "labels"):
                for part in parts:
                    np.testing.assert_array_equal(part[name], record[name])

    def test_records_within_the_bound_stay_whole(self, tokenizer):
        rows = corpus(self.ROWS)
        np.testing.assert_equal(
            list(clean_corpus(rows, tokenizer, most_patches=11)), list(clean_corpus(rows, tokenizer))
        )

    def test_a_stream_is_cut_alike_and_resumed_within_a_record(self, tokenizer):
        expected = list(clean_corpus(corpus(self.ROWS), tokenizer, most_patches=4))
        stream = clean_corpus(corpus(self.ROWS).to_iterable_dataset(), tokenizer, most_patches=4)
        np.testing.assert_equal(list(stream), expected)
        for taken in (1, 2, 3, 4):
            rows = iter(stream)
            for _ in range(taken):
                next(rows)
            state = stream.state_dict()
            resumed = clean_corpus(corpus(self.ROWS).to_iterable_dataset(), tokenizer, most_patches=4)
            resumed.load_state_dict(state)
            np.testing.assert_equal(list(resumed), expected[taken:])

    def test_another_bound_is_computed_anew(self, tmp_path):
        corpus([row(0)]).save_to_disk(tmp_path / "corpus")
        dataset = load_from_disk(tmp_path / "corpus")
        paths = {
            clean_corpus(dataset, AnyECGTokenizer(), most_patches=most).cache_files[0]["filename"]
            for most in (None, 2, 3, 2)
        }
        assert len(paths) == 3

    @pytest.mark.parametrize("most_patches", [0, -1])
    def test_a_row_has_at_least_one_patch(self, tokenizer, most_patches):
        with pytest.raises(ValueError, match=f"`most_patches` must be at least 1, got {most_patches}"):
            clean_corpus(corpus([row(0)]), tokenizer, most_patches=most_patches)


class TestFingerprint:
    def test_it_is_that_of_the_signal_as_it_was_read(self, tokenizer):
        dataset = corpus([row(0), row(1, n_leads=3)])
        expected = [signal_fingerprint(each["signal"], each["lead_names"]) for each in dataset]
        assert list(clean_corpus(dataset, tokenizer)["fingerprint"]) == expected
        stream = clean_corpus(dataset.to_iterable_dataset(), tokenizer, most_patches=2)
        assert [found["fingerprint"] for found in stream] == [name for name in expected for _ in range(2)]

    def test_copies_of_another_gain_and_lead_order_have_the_same(self, tokenizer):
        original = row(0, n_leads=3)
        stored = original["signal"]
        copy = StoredSignal(
            stored.samples[::-1], stored.gain / 4.88, stored.baseline + 100, stored.units, stored.missing
        )
        turned = {**original, "record_id": "copy", "signal": copy, "lead_names": original["lead_names"][::-1]}
        # The missing sample counts as no step, so that it may lie anywhere.
        fingerprints = clean_corpus(corpus([original, turned, row(3, n_leads=3)]), tokenizer)["fingerprint"]
        assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_a_row_that_is_no_record_is_left_out_and_counted(tokenizer, caplog):
    with caplog.at_level(logging.WARNING):
        cleaned = clean_corpus(corpus([row(0), row(1, sampling_rate=0.0), row(2, lead_names=["I"])]), tokenizer)
    assert cleaned["record_id"][:] == ["r000"]
    assert "2 records cannot be cleaned" in caplog.text and "sampling" in caplog.text
