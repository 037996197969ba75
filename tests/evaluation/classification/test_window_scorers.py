# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import datasets
import numpy as np
import pytest
import torch
from tests.corpora.written_rows import row
from tests.models.tiny import tiny_config
from tests.training.written_sources import cleaned_rows

from anyecg_hf import AnyECGModel
from anyecg_hf.corpora.signal_feature import ECG_FORMAT
from anyecg_hf.evaluation.baselines import beat_features
from anyecg_hf.evaluation.classification.window_scorers import (
    BackboneFeatures,
    HandcraftedVectors,
    LeadLayout,
    extracted,
)


@pytest.fixture
def windows():
    """Four windows of two, two, three and one lead, of 2 s, the last of 1 s."""
    sizes = ((2, 2), (2, 2), (3, 2), (1, 1))
    return cleaned_rows([row(number, n_leads=leads, seconds=s) for number, (leads, s) in enumerate(sizes)])


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return AnyECGModel(tiny_config()).eval()


class CountedFeatures(BackboneFeatures):
    """Counts the windows that are computed."""

    computed = 0

    def __call__(self, rows):
        CountedFeatures.computed += len(rows)
        return super().__call__(rows)


class TestFeatures:
    def test_of_a_backbone_are_mean_and_maximum_over_real_tokens(self, backbone, windows):
        found = extracted(BackboneFeatures(backbone), windows)
        assert found.shape == (4, 64) and found.dtype == np.float32
        for place, window in enumerate(windows):
            inputs = {
                "input_values": torch.tensor(window["input_values"].astype(np.float32))[None],
                "attention_mask": torch.tensor(window["attention_mask"].astype(np.int64))[None],
                "lead_ids": torch.tensor(window["lead_ids"].astype(np.int64))[None],
            }
            with torch.no_grad():
                outputs = backbone(**inputs)
            real = outputs.last_hidden_state[0][inputs["attention_mask"].flatten().bool()]
            expected = torch.cat((real.mean(dim=0), real.amax(dim=0)))
            assert found[place] == pytest.approx(expected.numpy(), abs=1e-4)

    def test_are_computed_once_for_the_same_weights_and_again_for_others(self, backbone, windows, tmp_path):
        windows.save_to_disk(tmp_path / "windows")
        kept = datasets.load_from_disk(tmp_path / "windows").with_format(ECG_FORMAT)
        CountedFeatures.computed = 0
        first = extracted(CountedFeatures(backbone), kept)
        assert CountedFeatures.computed == 4
        assert (extracted(CountedFeatures(backbone), kept) == first).all()
        assert CountedFeatures.computed == 4
        torch.manual_seed(1)
        other = extracted(CountedFeatures(AnyECGModel(tiny_config()).eval()), kept)
        assert not np.allclose(other, first)

    def test_a_digest_tells_weights_and_settings_apart(self, backbone):
        digest = BackboneFeatures(backbone).digest
        torch.manual_seed(0)
        assert BackboneFeatures(AnyECGModel(tiny_config())).digest == digest
        torch.manual_seed(0)
        assert BackboneFeatures(AnyECGModel(tiny_config(time_tolerance=2))).digest != digest
        torch.manual_seed(1)
        assert BackboneFeatures(AnyECGModel(tiny_config())).digest != digest

    def test_made_by_hand_survive_as_vectors(self, windows):
        layout = LeadLayout.of(windows, 300.0)
        extractor = HandcraftedVectors(layout)
        (found,) = extractor.as_beat_features(extractor([windows[2]]))
        expected = beat_features(layout.signal(windows[2]) * np.float32(windows[2]["scale"]), 300.0)
        for name in ("median_beats", "rhythm", "leads"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


class TestLayout:
    def test_has_every_lead_that_occurs_in_the_order_of_the_vocabulary(self, windows):
        assert LeadLayout.of(windows, 300.0).lead_ids == (0, 1, 6)

    def test_puts_leads_into_their_places_and_zeros_where_there_are_none(self, windows):
        layout = LeadLayout((6, 1, 0), 300.0)
        signal = layout.signal(windows[0], samples=700)
        patches = windows[0]["input_values"].astype(np.float32).reshape(2, -1)
        assert signal.shape == (3, 700) and (signal[0] == 0).all() and (signal[:, 600:] == 0).all()
        np.testing.assert_array_equal(signal[1:, :600], patches[::-1])

    def test_leaves_out_leads_that_it_does_not_have(self, windows):
        assert LeadLayout((0,), 300.0).signal(windows[2]).shape == (1, 600)

    def test_pads_short_windows_to_a_second(self, windows):
        short = {**windows[3], "input_values": windows[3]["input_values"][:, :2]}
        short["attention_mask"] = windows[3]["attention_mask"][:, :2]
        signal = LeadLayout((0,), 300.0).signal(short)
        assert signal.shape == (1, 300) and (signal[:, 150:] == 0).all()

    def test_of_several_unknown_leads_the_first_stays(self, windows):
        twice = {**windows[0], "lead_ids": np.array([21, 21])}
        expected = windows[0]["input_values"][0].astype(np.float32).ravel()
        np.testing.assert_array_equal(LeadLayout((21,), 300.0).signal(twice)[0], expected)

    def test_masked_patches_are_zero(self, windows):
        masked = {**windows[0], "attention_mask": np.array(windows[0]["attention_mask"])}
        masked["attention_mask"][0, 0] = False
        assert (LeadLayout((0, 1), 300.0).signal(masked)[0, :75] == 0).all()
