# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import datasets
import numpy as np
import pytest
import torch
from tests.corpora.written_rows import row
from tests.models.tiny import tiny_quantizer_config
from tests.training.written_sources import cleaned_rows

from anyecg_hf import AnyECGRhythmQuantizer
from anyecg_hf.models.anyecg.windowing_anyecg import window_spans
from anyecg_hf.training.codes import add_codes, weights_digest

WINDOW = 8


def quantizer(seed: int = 0, **config) -> AnyECGRhythmQuantizer:
    torch.manual_seed(seed)
    model = AnyECGRhythmQuantizer(tiny_quantizer_config(**{"time_encoding": "rotary", **config})).eval()
    model.quantizer.started.fill_(True)  # as after training; an untrained codebook warns
    return model


@pytest.fixture(scope="module")
def rows() -> datasets.Dataset:
    """Three records of one to three leads and 2 to 5 seconds, so of 8 to 20 patches."""
    return cleaned_rows([row(0, n_leads=1, seconds=2), row(2, n_leads=3, seconds=5), row(4, n_leads=2, seconds=3)])


def expected_codes(model: AnyECGRhythmQuantizer, found: dict) -> np.ndarray:
    """What `quantizer.encode` says of one row, window by window."""
    mask = torch.tensor(found["attention_mask"])[None].long()
    values = torch.tensor(found["input_values"])[None].float()
    leads = torch.tensor(found["lead_ids"])[None].long()
    parts = [model.encode(values[:, :, span], mask[:, :, span], leads) for span in window_spans(mask.shape[2], WINDOW)]
    return torch.cat(parts, dim=2)[0].numpy()


@pytest.mark.parametrize("codebooks", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_codes_are_those_of_the_quantizer_window_by_window(rows, codebooks, batch_size):
    model = quantizer(num_quantizers=codebooks)
    for found in add_codes(rows, model, WINDOW, batch_size):
        assert found["codes"].dtype == np.int16
        assert found["codes"].shape[2:] == (() if codebooks == 1 else (codebooks,))
        np.testing.assert_array_equal(found["codes"], expected_codes(model, found))


def test_masked_patches_have_no_code(rows):
    flat = row(6, n_leads=3)
    flat["signal"].samples[1] = 5
    found = add_codes(cleaned_rows([flat]), quantizer(), WINDOW)[0]
    assert not found["attention_mask"][1].any() and found["attention_mask"].any()
    np.testing.assert_array_equal(found["codes"] >= 0, found["attention_mask"])


def test_everything_else_of_the_rows_stays(rows):
    with_codes = add_codes(rows, quantizer(), WINDOW)
    assert with_codes.column_names == [*rows.column_names, "codes"]
    np.testing.assert_equal(list(with_codes.remove_columns("codes")), list(rows))


def test_a_stream_gives_the_prepared_codes(rows):
    model = quantizer(num_quantizers=2)
    prepared = add_codes(rows, model, WINDOW)
    for source in (rows.to_iterable_dataset(), rows.to_iterable_dataset().with_format(None)):
        stream = add_codes(source, model, WINDOW)
        assert stream.features == prepared.features
        np.testing.assert_equal(list(stream), list(prepared))
        np.testing.assert_equal(list(stream.filter(lambda found: True)), list(prepared))


class TestCache:
    @pytest.fixture
    def stored(self, rows, tmp_path) -> datasets.Dataset:
        rows.save_to_disk(tmp_path / "rows")
        return datasets.load_from_disk(tmp_path / "rows").with_format(rows.format["type"])

    def cached(self, stored, model: AnyECGRhythmQuantizer, **arguments) -> str:
        return add_codes(stored, model, **{"window_patches": WINDOW, **arguments}).cache_files[0]["filename"]

    def test_the_same_weights_are_computed_with_once(self, stored, tmp_path):
        model = quantizer()
        first = self.cached(stored, model)
        assert self.cached(stored, quantizer()) == first
        assert self.cached(stored, model, batch_size=2) == first
        model.save_pretrained(tmp_path / "saved")
        assert self.cached(stored, AnyECGRhythmQuantizer.from_pretrained(tmp_path / "saved")) == first

    def test_other_weights_windows_and_settings_give_other_codes(self, stored):
        model, other = quantizer(), quantizer(seed=1)
        wider = quantizer(time_tolerance=3)
        wider.load_state_dict(model.state_dict())
        found = [
            self.cached(stored, model),
            self.cached(stored, other),
            self.cached(stored, model, window_patches=5),
            self.cached(stored, wider),
        ]
        assert len(set(found)) == 4
        with pytest.raises(AssertionError):
            np.testing.assert_equal(*(list(add_codes(stored, each, WINDOW)["codes"]) for each in (model, other)))

    def test_a_changed_codebook_is_another_quantizer(self):
        model = quantizer()
        before = weights_digest(model)
        assert weights_digest(model) == before
        model.quantizer.codebooks[0].embeddings[0, 0] += 1e-6
        assert weights_digest(model) != before


def test_more_codes_than_int16_names_are_refused(rows, monkeypatch):
    model = quantizer()
    monkeypatch.setattr(model.config, "codebook_size", 40000)
    with pytest.raises(ValueError, match="kept as int16, which names 32768 of them at most; the codebook has 40000"):
        add_codes(rows, model, WINDOW)
