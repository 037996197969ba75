# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from tests.models.ecg_signals import heartbeats

from anyecg_hf.evaluation.classification.robustness import Condition, Worsening, conditions
from anyecg_hf.evaluation.evaluation_configs import RobustnessConfig

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2"]


@pytest.fixture
def example():
    """A record of eight leads, 4 s at 500 Hz, with missing samples in lead II and a flat lead V1."""
    signal_mv = heartbeats(8, 4, 500)
    signal_mv[1, 100:200] = np.nan
    signal_mv[6] = 0.0
    return {"corpus": "c", "record_id": "r", "signal": signal_mv, "sampling_rate": 500.0, "lead_names": LEADS}


def worsened(example, kind: str, value: float, seed: int = 0):
    return Worsening(Condition(kind, value), mains_hz=50.0, seed=seed)(example, place=3)


class TestWorsening:
    @pytest.mark.parametrize("kind", ["baseline_wander", "powerline", "electrode_motion", "emg"])
    def test_noise_has_the_asked_strength_and_leaves_gaps_and_flat_leads(self, example, kind):
        found = worsened(example, kind, 6.0)
        assert found["place"] == 3 and found["lead_names"] == LEADS and found["sampling_rate"] == 500.0
        noise = found["signal"] - example["signal"]
        assert np.isnan(found["signal"]).sum() == 100 and np.isnan(found["signal"][1, 100:200]).all()
        assert (noise[6] == 0).all()
        ratio_db = 10 * np.log10(example["signal"][0].var() / noise[0].var())
        assert ratio_db == pytest.approx(6.0, abs=0.01)

    def test_noise_has_the_same_course_at_every_ratio_and_another_in_every_record(self, example):
        clean = example["signal"][0]
        loud, quiet = (worsened(example, "emg", snr_db)["signal"][0] - clean for snr_db in (0.0, 20.0))
        assert loud == pytest.approx(10 * quiet, abs=1e-5)
        again = worsened(example, "emg", 0.0)["signal"][0] - clean
        assert (again == loud).all()
        other = worsened({**example, "record_id": "s"}, "emg", 0.0)["signal"][0] - clean
        assert abs(np.corrcoef(other, loud)[0, 1]) < 0.2
        seeded = worsened(example, "emg", 0.0, seed=1)["signal"][0] - clean
        assert abs(np.corrcoef(seeded, loud)[0, 1]) < 0.2

    @pytest.mark.parametrize(("count", "names"), [(1, ["I"]), (2, ["I", "II"]), (3, ["I", "II", "V2"])])
    def test_leads_are_taken_away(self, example, count, names):
        found = worsened(example, "leads", count)
        assert found["lead_names"] == names
        places = [LEADS.index(name) for name in names]
        np.testing.assert_array_equal(found["signal"], example["signal"][places])

    @pytest.mark.parametrize("rate", [100.0, 250.0, 360.0, 1000.0])
    def test_the_rate_changes_and_what_is_missing_stays_missing(self, example, rate):
        found = worsened(example, "sampling_rate", rate)
        assert found["sampling_rate"] == rate and found["n_samples"] == round(4 * rate)
        missing = np.flatnonzero(np.isnan(found["signal"][1])) / rate
        to_a_sample = 1 / rate + 1 / 500
        assert missing[0] == pytest.approx(0.2, abs=to_a_sample) and missing[-1] == pytest.approx(
            0.398, abs=to_a_sample
        )
        assert np.isfinite(found["signal"][[0, 2, 3, 4, 5, 6, 7]]).all()
        times = np.arange(found["n_samples"]) / rate
        expected = np.interp(times, np.arange(2000) / 500, example["signal"][0])
        assert np.corrcoef(found["signal"][0], expected)[0, 1] > 0.97

    @pytest.mark.parametrize(
        ("kind", "value", "leads", "rate", "seconds", "applies"),
        [
            ("leads", 3, ["I", "II"], 500, 10, False),
            ("leads", 2, ["II", "I"], 500, 10, True),
            ("powerline", 6, ["I"], 100, 10, False),
            ("powerline", 6, ["I"], 100.1, 10, False),
            ("powerline", 6, ["I"], 250, 10, True),
            ("emg", 6, ["I"], 50, 10, False),
            ("baseline_wander", 6, ["I"], 50, 10, True),
            ("baseline_wander", 6, ["I"], 500, 0.9, False),
            ("sampling_rate", 250, ["I"], 100, 0.9, True),
        ],
    )
    def test_records_that_cannot_be_changed_so_are_told(self, kind, value, leads, rate, seconds, applies):
        worsening = Worsening(Condition(kind, value), mains_hz=50.0, seed=0)
        assert worsening.applies_to(leads, rate, round(rate * seconds)) is applies


class TestConditions:
    def test_are_every_kind_at_every_ratio_then_leads_and_rates(self):
        config = RobustnessConfig(noise=["emg", "powerline"], snrs_db=[6, 0], leads=[1, 6], sampling_rates_hz=[250])
        titles = [condition.title for condition in conditions(config)]
        noise = ["emg, 6 dB", "emg, 0 dB", "powerline, 6 dB", "powerline, 0 dB"]
        assert titles == [*noise, "I", "limb leads", "250 Hz"]

    def test_none_are_asked_for_by_empty_lists(self):
        assert conditions(RobustnessConfig(noise=[], leads=[], sampling_rates_hz=[])) == []

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"noise": ["hum"]}, r"`robustness\.noise` \['hum'\] is unknown: choose from baseline_wander"),
            ({"leads": [4]}, r"`robustness\.leads` must be of \[1, 2, 3, 6\], got \[4\]"),
            ({"mains_hz": 55}, r"`robustness\.mains_hz` must be 50 or 60, got 55"),
        ],
    )
    def test_that_do_not_exist_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            RobustnessConfig(**settings)
