# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Hand-crafted features on records whose beats, intervals and amplitudes are known because the tests write them."""

import warnings
from collections.abc import Sequence

import numpy as np
import pytest

from anyecg_hf.evaluation import BeatFeatures, HandcraftedBaseline, beat_features, find_beats, macro_auroc
from anyecg_hf.evaluation.baselines.handcrafted import BEAT_POINT_RATE, BEAT_POINTS, LEAD_FEATURES, RHYTHM_FEATURES
from anyecg_hf.evaluation.metrics import one_hot

RATE = 300
# Centre and width in seconds, amplitude in mV.
WAVES = {"P": (-0.15, 0.02, 0.15), "QRS": (0.0, 0.015, 1.0), "T": (0.27, 0.04, 0.3)}
LEAD_GAINS = np.array([1.0, 0.6, -0.8])
REGULAR = np.arange(0.5, 9.8, 0.8)


def beat(times_s: np.ndarray, st_mv: float = 0.0, **amplitudes: float) -> np.ndarray:
    """One beat in mV at `times_s` from the centre of its QRS complex; an ST segment is a plateau up to the T wave."""
    waves = {name: (centre, width, amplitudes.get(name, mv)) for name, (centre, width, mv) in WAVES.items()}
    curve = sum(mv * np.exp(-0.5 * ((times_s - centre) / width) ** 2) for centre, width, mv in waves.values())
    return curve + st_mv * ((times_s > 0.06) & (times_s < 0.2))


def record(
    r_times_s: Sequence[float], rate: float = RATE, duration_s: float = 10.0, gains: np.ndarray = LEAD_GAINS, **shape
) -> np.ndarray:
    """Leads `(len(gains), samples)` in mV that are one curve times their gain."""
    times_s = np.arange(round(duration_s * rate)) / rate
    return gains[:, None] * sum((beat(times_s - r, **shape) for r in r_times_s), np.zeros(len(times_s)))


def rhythm(features: BeatFeatures) -> dict[str, float]:
    return dict(zip(RHYTHM_FEATURES, features.rhythm.tolist(), strict=True))


def lead(features: BeatFeatures, index: int) -> dict[str, float]:
    return dict(zip(LEAD_FEATURES, features.leads[index].tolist(), strict=True))


def expected_median_beat(**shape) -> np.ndarray:
    """What a point stands for: the mean of the three samples at 300 Hz in it."""
    times_s = (np.arange(BEAT_POINTS * 3) - 75) / RATE
    return (LEAD_GAINS[:, None] * beat(times_s, **shape)).reshape(3, BEAT_POINTS, 3).mean(axis=2)


def assert_finite(features: BeatFeatures) -> None:
    for values in (features.median_beats, features.rhythm, features.leads):
        assert values.dtype == np.float32 and np.isfinite(values).all()


# Finding beats


@pytest.mark.parametrize("rate", [100, 250, 257, 300, 360, 500, 1000])
def test_every_beat_is_found_where_it_is_at_any_rate(rate):
    found = find_beats(record(REGULAR, rate), rate)
    assert found.dtype == np.int64
    np.testing.assert_allclose(found / rate, REGULAR, atol=1 / rate)


@pytest.mark.parametrize("beats_per_minute", [30, 60, 120, 200])
def test_slow_and_fast_hearts_are_followed(beats_per_minute):
    times_s = np.arange(0.4, 9.7, 60 / beats_per_minute)
    np.testing.assert_allclose(find_beats(record(times_s), RATE) / RATE, times_s, atol=0.01)


def test_beats_of_any_sign_and_size_are_found():
    for gains in (LEAD_GAINS, -LEAD_GAINS, 0.15 * LEAD_GAINS, 20 * LEAD_GAINS):
        np.testing.assert_allclose(find_beats(record(REGULAR, gains=gains), RATE) / RATE, REGULAR, atol=1 / RATE)


def test_noise_a_large_t_wave_and_one_artefact_do_not_hide_or_add_beats():
    signal = record(REGULAR, T=0.8) + 0.05 * np.random.default_rng(0).normal(size=(3, 3000))
    signal[1, 1705:1715] += 15.0  # between two beats
    found = find_beats(signal, RATE) / RATE
    extra = [time for time in found if np.abs(REGULAR - time).min() > 0.05]
    assert len(found) == len(REGULAR) + 1
    assert extra == pytest.approx([1710 / RATE], abs=0.05)


@pytest.mark.parametrize("signal", [np.zeros((3, 3000)), 0.03 * np.random.default_rng(0).normal(size=(12, 3000))])
def test_no_beats_are_found_where_there_are_none(signal):
    assert find_beats(signal, RATE).shape == (0,)


# Median beats


@pytest.mark.parametrize("rate", [250, 300, 500, 1000])
def test_the_median_beat_is_the_beat_in_millivolts(rate):
    features = beat_features(record(REGULAR, rate), rate)
    assert features.median_beats.shape == (3, BEAT_POINTS) == (3, 70)
    np.testing.assert_allclose(features.median_beats, expected_median_beat(), atol=0.06)
    peak = np.argmax(features.median_beats[0])
    assert peak / BEAT_POINT_RATE == pytest.approx(0.25, abs=0.01)


def test_a_few_other_beats_leave_the_median_beat_alone():
    signal = record(REGULAR[[0, 1, 2, 4, 5, 6, 8, 9, 10, 11]]) - record(REGULAR[[3, 7]])
    features = beat_features(signal, RATE)
    assert features.beats == len(REGULAR)
    np.testing.assert_allclose(features.median_beats, expected_median_beat(), atol=0.02)
    assert rhythm(features)["beat_similarity_lowest"] == pytest.approx(-1.0, abs=0.02)
    assert rhythm(features)["beat_similarity_mean"] == pytest.approx(8 / 12, abs=0.02)


def test_an_offset_of_a_lead_does_not_reach_the_median_beat():
    signal = record(REGULAR)
    plain, moved = beat_features(signal, RATE), beat_features(signal + [[0.5], [-2.0], [0.0]], RATE)
    np.testing.assert_allclose(moved.median_beats, plain.median_beats, atol=1e-5)
    np.testing.assert_allclose(moved.leads, plain.leads, atol=1e-4)


def test_a_lead_of_zeros_changes_no_other_lead():
    signal = record(REGULAR)
    plain, more = beat_features(signal, RATE), beat_features(np.insert(signal, 1, 0.0, axis=0), RATE)
    np.testing.assert_array_equal(np.delete(more.median_beats, 1, axis=0), plain.median_beats)
    np.testing.assert_array_equal(np.delete(more.leads, 1, axis=0), plain.leads)
    assert not more.median_beats[1].any() and not more.leads[1].any()


# Rhythm


def test_a_regular_rhythm_has_its_rate_and_no_variability():
    found = rhythm(beat_features(record(REGULAR), RATE))
    assert found["heart_rate_bpm"] == pytest.approx(75.0, abs=0.1)
    assert found["rr_mean_s"] == pytest.approx(0.8, abs=1e-3)
    assert found["rr_standard_deviation_s"] == pytest.approx(0.0, abs=2e-3)
    assert found["rr_successive_difference_s"] == pytest.approx(0.0, abs=3e-3)
    assert found["rr_shortest_to_median"] == pytest.approx(1.0, abs=5e-3)
    assert found["rr_longest_to_median"] == pytest.approx(1.0, abs=5e-3)
    assert found["beat_similarity_lowest"] == pytest.approx(1.0, abs=1e-3)


def test_an_irregular_rhythm_has_the_statistics_of_its_intervals():
    intervals = np.array([0.8, 0.6, 1.1, 0.7, 0.9, 1.3, 0.5, 0.8, 1.0])
    found = rhythm(beat_features(record(0.5 + np.concatenate([[0.0], intervals.cumsum()])), RATE))
    assert found["heart_rate_bpm"] == pytest.approx(60 / intervals.mean(), rel=2e-3)
    assert found["rr_standard_deviation_s"] == pytest.approx(intervals.std(), abs=5e-3)
    assert found["rr_successive_difference_s"] == pytest.approx(np.sqrt(np.mean(np.diff(intervals) ** 2)), abs=5e-3)
    assert found["rr_shortest_to_median"] == pytest.approx(0.5 / 0.8, abs=0.01)
    assert found["rr_longest_to_median"] == pytest.approx(1.3 / 0.8, abs=0.01)


def test_a_wider_qrs_complex_is_wider(monkeypatch):
    narrow = rhythm(beat_features(record(REGULAR), RATE))["qrs_width_s"]
    monkeypatch.setitem(WAVES, "QRS", (0.0, 0.03, 1.0))
    wide = rhythm(beat_features(record(REGULAR), RATE))["qrs_width_s"]
    # The slope of a Gaussian of width 15 ms exceeds .15 of its highest between about .09 and 2.6 widths on each side.
    assert narrow == pytest.approx(2 * (2.6 - 0.09) * 0.015, abs=0.01)
    assert wide == pytest.approx(2 * narrow, abs=0.02)


# Leads


def test_amplitudes_of_a_lead_are_those_of_its_waves():
    found = lead(beat_features(record(REGULAR, st_mv=0.2), RATE), 0)
    assert found["qrs_highest_mv"] == pytest.approx(1.0, abs=0.02)
    assert found["p_highest_mv"] == pytest.approx(0.15, abs=0.03)
    assert found["st_level_mv"] == pytest.approx(0.2, abs=0.02)
    inverted = lead(beat_features(record(REGULAR), RATE), 2)
    assert inverted["qrs_lowest_mv"] == pytest.approx(-0.8, abs=0.02)
    assert inverted["t_lowest_mv"] == pytest.approx(-0.24, abs=0.02)
    assert inverted["p_lowest_mv"] == pytest.approx(-0.12, abs=0.03)
    assert inverted["st_level_mv"] == pytest.approx(0.0, abs=0.02)


def test_statistics_of_the_whole_lead_are_in_millivolts_and_millivolts_per_second():
    signal = record(REGULAR)
    features = beat_features(signal, RATE)
    assert features.leads.shape == (3, len(LEAD_FEATURES))
    for index in range(3):
        assert lead(features, index)["standard_deviation_mv"] == pytest.approx(signal[index].std(), rel=1e-5)
        slope = np.abs(np.diff(signal[index])).mean() * RATE
        assert lead(features, index)["mean_slope_mv_per_s"] == pytest.approx(slope, rel=1e-5)


def test_features_do_not_depend_on_the_rate_of_the_record():
    at_500, at_1000 = (beat_features(record(REGULAR, rate), rate) for rate in (500, 1000))
    np.testing.assert_allclose(at_500.median_beats, at_1000.median_beats, atol=0.02)
    np.testing.assert_allclose(at_500.rhythm, at_1000.rhythm, atol=0.2)
    np.testing.assert_allclose(at_500.leads, at_1000.leads, atol=0.05)


# Records that lack something


def test_a_flat_record_gives_zeros():
    features = beat_features(np.zeros((3, 3000), dtype=np.float32), RATE)
    assert_finite(features)
    assert features.beats == 0
    assert not features.median_beats.any() and not features.rhythm.any() and not features.leads.any()


def test_without_beats_only_statistics_of_the_whole_signal_remain():
    signal = 0.03 * np.random.default_rng(0).normal(size=(12, 3000))
    features = beat_features(signal, RATE)
    assert_finite(features)
    assert features.beats == 0
    assert not features.median_beats.any() and not features.rhythm.any() and not features.leads[:, 2:].any()
    np.testing.assert_allclose(features.leads[:, 0], signal.std(axis=1), rtol=1e-5)


def test_silent_stretches_do_not_hide_the_beats_beside_them():
    signal = record(REGULAR)
    signal[:, 900:] = 0.0
    np.testing.assert_allclose(find_beats(signal, RATE) / RATE, REGULAR[REGULAR < 3.0], atol=0.01)


def test_one_beat_has_a_shape_but_no_intervals():
    features = beat_features(record([5.0]), RATE)
    assert_finite(features)
    assert features.beats == 1
    np.testing.assert_allclose(features.median_beats, expected_median_beat(), atol=0.02)
    assert features.rhythm[:6].tolist() == [0.0] * 6
    assert rhythm(features)["beat_similarity_mean"] == pytest.approx(1.0)


@pytest.mark.parametrize("centre_s", [0.1, 0.85])
def test_a_beat_that_is_cut_by_the_end_of_a_short_record_is_still_used(centre_s):
    features = beat_features(record([centre_s], duration_s=1.0), RATE)
    assert_finite(features)
    assert features.beats == 1
    inside = slice(15, 35)
    np.testing.assert_allclose(features.median_beats[:, inside], expected_median_beat()[:, inside], atol=0.15)


def test_beats_at_the_edges_count_for_the_rhythm_but_not_for_the_shape():
    edges = record([0.15, 9.85], gains=-LEAD_GAINS)
    features = beat_features(record([1.0, 2.0, 3.0]) + edges, RATE)
    np.testing.assert_allclose(features.median_beats, expected_median_beat(), atol=0.02)
    assert features.beats == 5


@pytest.mark.parametrize("function", [find_beats, beat_features])
@pytest.mark.parametrize(
    ("signal", "rate", "message"),
    [
        (np.zeros(3000), 300, r"expected a signal \(leads, samples\) in mV, got shape \(3000,\)"),
        (np.zeros((0, 3000)), 300, r"got shape \(0, 3000\)"),
        (np.zeros((12, 299)), 300, "at least 1 s of signal are needed, got 299 samples at 300 Hz"),
        (np.full((1, 3000), np.nan), 300, "3000 NaN or infinite samples: pass it through `AnyECGTokenizer.clean`"),
        (np.zeros((1, 3000)), 50, "`sampling_rate` must be above 50 Hz, got 50 Hz"),
        (np.zeros((1, 3000)), None, "`sampling_rate` is missing"),
    ],
)
def test_signals_without_a_clear_meaning_are_refused(function, signal, rate, message):
    with pytest.raises(ValueError, match=message):
        function(signal, rate)


# The baseline


def make_cohort(seed: int, records: int = 60) -> tuple[list[BeatFeatures], np.ndarray]:
    """Two independent classes: a raised ST segment in the first, a fast heart in the second."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=(records, 2))
    features = []
    for raised, fast in labels:
        intervals = generator.normal(0.5 if fast else 0.9, 0.04, size=30)
        times_s = intervals.cumsum()
        gains = LEAD_GAINS * generator.uniform(0.7, 1.3)
        signal = record(times_s[times_s < 9.9], st_mv=0.15 * raised, gains=gains)
        features.append(beat_features(signal + 0.02 * generator.normal(size=signal.shape), RATE))
    return features, labels


@pytest.fixture(scope="module")
def baseline() -> HandcraftedBaseline:
    return HandcraftedBaseline.fit(*make_cohort(0), *make_cohort(1, 30), components=5, class_names=["STE", "fast"])


def test_the_baseline_learns_shape_and_rhythm(baseline):
    features, labels = make_cohort(2)
    scores = baseline.scores(features)
    assert scores.shape == (60, 2)
    assert macro_auroc(labels, scores) > 0.97
    assert macro_auroc(labels, scores[:, ::-1]) < 0.7


def test_the_baseline_serves_single_label_problems():
    folds = []
    for seed, records in ((0, 60), (1, 40)):
        features, labels = make_cohort(seed, records)
        folds += [features, one_hot(labels @ [1, 2], 4)]
    fitted = HandcraftedBaseline.fit(*folds, problem_type="single_label_classification", components=5)
    features, labels = make_cohort(2)
    scores = fitted.scores(features)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    assert (scores.argmax(axis=1) == labels @ [1, 2]).mean() > 0.8


def test_its_components_are_orthonormal_and_those_of_the_training_records(baseline):
    beats = np.stack([features.median_beats.ravel() for features in make_cohort(0)[0]])
    np.testing.assert_allclose(baseline.components @ baseline.components.T, np.eye(5), atol=1e-6)
    np.testing.assert_allclose(baseline.mean_beats, beats.mean(axis=0), atol=1e-6)
    rest = beats - beats.mean(axis=0)
    variances = np.linalg.eigvalsh(np.cov(rest.T, bias=True))[::-1][:5]
    np.testing.assert_allclose((rest @ baseline.components.T).var(axis=0), variances, rtol=1e-4)


def test_it_scores_a_record_alone_as_it_does_among_others(baseline):
    features, _ = make_cohort(2, 5)
    np.testing.assert_allclose(baseline.scores(features[3:4]), baseline.scores(features)[3:4], rtol=1e-12)


def test_a_record_without_beats_gets_finite_scores_and_can_be_trained_on(baseline):
    nothing = beat_features(np.zeros((3, 3000)), RATE)
    assert np.isfinite(baseline.scores([nothing])).all()
    features, labels = make_cohort(0)
    fitted = HandcraftedBaseline.fit([*features, nothing], np.vstack([labels, [0, 0]]), *make_cohort(1, 30))
    assert np.isfinite(fitted.scores([*features, nothing])).all()


def test_components_are_no_more_than_the_training_records_span():
    features, labels = make_cohort(0, 8)
    labels[:2] = [[0, 1], [1, 0]]
    fitted = HandcraftedBaseline.fit(features, labels, features, labels, components=50)
    assert fitted.components.shape == (7, 3 * BEAT_POINTS)


def test_records_with_other_leads_are_refused(baseline):
    two_leads = beat_features(record(REGULAR, gains=LEAD_GAINS[:2]), RATE)
    with pytest.raises(ValueError, match="record 1 has 2 leads, but 3 are expected"):
        baseline.scores([beat_features(record(REGULAR), RATE), two_leads])


def test_a_baseline_without_components_or_records_is_refused():
    features, labels = make_cohort(0, 8)
    with pytest.raises(ValueError, match="`components` must be at least 1, got 0"):
        HandcraftedBaseline.fit(features, labels, features, labels, components=0)
    with pytest.raises(ValueError, match="`features_train` is empty"):
        HandcraftedBaseline.fit([], labels[:0], features, labels)


def test_a_class_that_no_training_record_has_is_named():
    features, labels = make_cohort(0, 8)
    with pytest.raises(ValueError, match="class 'fast' has no positives among the 8 records of `labels_train`"):
        HandcraftedBaseline.fit(features, labels * [1, 0], features, labels, class_names=["STE", "fast"])


# Real records


def test_beats_of_real_records_agree_with_the_cardiologists(records_dir):
    wfdb = pytest.importorskip("wfdb")
    folder = records_dir / "ludb" / "data"
    if not folder.is_dir():
        pytest.skip("needs ludb, which is not among the real records")
    annotated = missed = added = 0
    for number in range(1, 31):
        path = str(folder / str(number))
        recording, annotation = wfdb.rdrecord(path), wfdb.rdann(path, "ii")
        expected = annotation.sample[np.array(annotation.symbol) == "N"]
        found = find_beats(recording.p_signal.T, recording.fs)
        tolerance = 0.1 * recording.fs
        # The first and last beats of these records are not annotated.
        found = found[(found > expected.min() - tolerance) & (found < expected.max() + tolerance)]
        distances = np.abs(expected[:, None] - found[None, :])
        annotated += len(expected)
        missed += np.count_nonzero(distances.min(axis=1) > tolerance)
        added += np.count_nonzero(distances.min(axis=0) > tolerance)
    assert annotated > 200
    assert missed + added <= 0.01 * annotated


def test_features_of_cleaned_real_records_are_finite(records_dir):
    from anyecg_hf import AnyECGTokenizer
    from anyecg_hf.records import find_records, read_record

    records = [
        path
        for corpus in ("challenge-2011", "code-15-wfdb", "ptb-xl/records500")
        if (records_dir / corpus).is_dir()
        for path in find_records(records_dir / corpus)[:10]
    ]
    if not records:
        pytest.skip("needs challenge-2011, code-15-wfdb or ptb-xl, none of which is among the real records")
    tokenizer = AnyECGTokenizer()
    for path in records:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # flat leads are what this test is after
            cleaned = tokenizer.clean(read_record(path))
        features = beat_features(cleaned.patches.reshape(len(cleaned.patches), -1) * cleaned.scale, 300)
        assert_finite(features)
