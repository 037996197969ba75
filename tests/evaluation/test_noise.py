# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Added noise: its power, its spectrum, what leads share, and what is refused."""

import numpy as np
import pytest
from scipy.signal import welch

from anyecg_hf.evaluation import NOISE_KINDS, add_noise

RATE = 500.0


@pytest.fixture
def clean() -> np.ndarray:
    """Four leads of 60 s in mV with other amplitudes and offsets; the last is missing."""
    generator = np.random.default_rng(0)
    leads = np.cumsum(generator.normal(size=(4, 30_000)), axis=1) * [[0.1], [0.01], [1.0], [0.0]]
    return leads + [[0.0], [5.0], [-2.0], [0.0]]


def noise_of(clean: np.ndarray, kind: str, seed: int = 0, **arguments) -> np.ndarray:
    # At 0 dB, in units of each lead's own spread.
    noisy = add_noise(clean, RATE, kind, 0.0, np.random.default_rng(seed), **arguments)
    return (noisy - clean)[:3] / clean[:3].std(axis=1, keepdims=True)


def band_share(noise: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    frequencies, power = welch(noise, RATE, nperseg=15_000, axis=1)
    return power[:, (frequencies >= low_hz) & (frequencies <= high_hz)].sum(axis=1) / power.sum(axis=1)


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("snr_db", [-6.0, 0.0, 12.0])
def test_the_ratio_of_powers_is_as_asked_in_every_lead(clean, kind, snr_db):
    noisy = add_noise(clean, RATE, kind, snr_db, np.random.default_rng(1))
    assert noisy.shape == clean.shape and noisy.dtype == np.float32
    noise = noisy[:3] - clean[:3]
    np.testing.assert_allclose(10 * np.log10(clean[:3].var(axis=1) / noise.var(axis=1)), snr_db, atol=0.01)
    np.testing.assert_allclose(noise.mean(axis=1), 0.0, atol=1e-4)


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_a_missing_lead_stays_missing_and_a_constant_one_constant(clean, kind):
    clean[1] = 0.7
    noisy = add_noise(clean, RATE, kind, 0.0, np.random.default_rng(1))
    assert not noisy[3].any()
    np.testing.assert_array_equal(noisy[1], np.float32(0.7))


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_the_generator_decides_the_noise_and_the_signal_is_left_alone(clean, kind):
    before = clean.copy()
    first, again, other = (add_noise(clean, RATE, kind, 6.0, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[:3] - other[:3]).max() > 0.01
    np.testing.assert_array_equal(clean, before)


def test_each_kind_has_its_band(clean):
    assert band_share(noise_of(clean, "baseline_wander"), 0.0, 0.6).min() > 0.99
    assert band_share(noise_of(clean, "emg"), 19.0, 151.0).min() > 0.99
    assert band_share(noise_of(clean, "electrode_motion"), 0.0, 10.1).min() > 0.9
    for mains_hz in (50.0, 60.0):
        mains = noise_of(clean, "powerline", mains_hz=mains_hz)
        assert band_share(mains, mains_hz - 1, mains_hz + 1).min() > 0.85
        tones = sum(band_share(mains, n * mains_hz - 2, n * mains_hz + 2) for n in (1, 2, 3))
        assert tones.min() > 0.98
        third = band_share(mains, 3 * mains_hz - 2, 3 * mains_hz + 2)
        np.testing.assert_allclose(third / band_share(mains, mains_hz - 1, mains_hz + 1), 0.09, rtol=0.1)


def test_harmonics_above_the_nyquist_frequency_are_left_out_not_folded(clean):
    rate = 130.0
    noise = add_noise(clean[:1], rate, "powerline", 0.0, np.random.default_rng(0)) - clean[:1]
    frequencies, power = welch(noise, rate, nperseg=8000, axis=1)
    assert power[0, np.abs(frequencies - 50) < 1].sum() / power[0].sum() > 0.99


def correlations(noise: np.ndarray) -> np.ndarray:
    return np.abs(np.corrcoef(noise)[np.triu_indices(3, 1)])


def test_leads_share_what_comes_from_one_source_and_nothing_else(clean):
    wander = np.mean([correlations(noise_of(clean, "baseline_wander", seed)).mean() for seed in range(10)])
    assert wander == pytest.approx(0.5, abs=0.1)
    for kind, most in (("emg", 0.05), ("electrode_motion", 0.35)):
        assert np.mean([correlations(noise_of(clean, kind, seed)).mean() for seed in range(10)]) < most
    # One mains: its phase drifts by turns, but alike in all leads.
    spectrum = np.fft.fft(noise_of(clean, "powerline"), axis=1)
    spectrum[:, np.abs(np.fft.fftfreq(spectrum.shape[1], 1 / RATE) - 50) > 5] = 0
    phases = np.unwrap(np.angle(np.fft.ifft(spectrum, axis=1)), axis=1)[:, 1000:-1000]
    drift = phases[0] - 2 * np.pi * 50 * np.arange(phases.shape[1]) / RATE
    assert np.ptp(drift) > 0.2
    np.testing.assert_allclose(phases[1:] - phases[:1] - (phases[1:, :1] - phases[:1, :1]), 0.0, atol=0.01)


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("rate", [130, 300, 1000])
def test_one_second_is_enough_at_any_usual_rate(kind, rate):
    clean = np.sin(np.arange(rate) / 7.0)[None]
    for seed in range(20):
        noisy = add_noise(clean, rate, kind, 3.0, np.random.default_rng(seed))
        snr = 10 * np.log10(clean.var() / (noisy - clean).var())
        assert snr == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "hum"}, "noise 'hum' is unknown; choose one of baseline_wander, powerline"),
        ({"mains_hz": 55}, "`mains_hz` must be 50 or 60, got 55"),
        ({"snr_db": np.inf}, "`snr_db` must be finite, got inf"),
        ({"sampling_rate": 100}, "noise 'powerline' needs a sampling rate above 100.2 Hz, got 100 Hz"),
        ({"sampling_rate": 100.1}, "noise 'powerline' needs a sampling rate above 100.2 Hz, got 100.1 Hz"),
        ({"sampling_rate": None}, "`sampling_rate` is missing"),
        ({"sampling_rate": 50, "kind": "emg"}, "noise 'emg' needs a sampling rate above 50 Hz"),
        ({"signal_mv": np.zeros(600)}, r"expected a signal \(leads, samples\), got shape \(600,\)"),
        ({"signal_mv": np.zeros((2, 299))}, "at least 1 s of signal are needed, got 299 samples at 300 Hz"),
        ({"signal_mv": np.full((2, 600), np.nan)}, "the signal has 1200 NaN or infinite samples"),
    ],
)
def test_noise_without_a_clear_meaning_is_refused(arguments, message):
    usual = {"signal_mv": np.ones((2, 600)), "sampling_rate": 300, "kind": "powerline", "snr_db": 6.0}
    with pytest.raises(ValueError, match=message):
        add_noise(**{**usual, "generator": np.random.default_rng(0), **arguments})


def test_real_records_get_the_noise_that_was_asked_for(records_dir):
    from anyecg_hf.records import find_records, read_record

    paths = [path for path in find_records(records_dir / "ptb-xl" / "records500")[:3]]
    if not paths:
        pytest.skip("needs ptb-xl, which is not among the real records")
    for path in paths:
        record = read_record(path)
        for kind in NOISE_KINDS:
            noisy = add_noise(record.signal_mv, record.sampling_rate, kind, 6.0, np.random.default_rng(0))
            noise = noisy - record.signal_mv
            np.testing.assert_allclose(10 * np.log10(record.signal_mv.var(axis=1) / noise.var(axis=1)), 6.0, atol=0.05)
