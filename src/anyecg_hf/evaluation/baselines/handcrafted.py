# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The baseline that a learned representation has to beat: median beats, RR intervals, amplitudes, a linear classifier.

Everything is computed from short cleaned records (10 s, say) in which most beats look alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from ...models.anyecg.signal_anyecg import check_sampling_rate, resample
from .probe import LinearProbe, fit_linear_probe

# Beats are found and cut at one rate, so that windows are whole numbers of samples whatever the record's rate.
_RATE = 300
_BEFORE_R, _AFTER_R = round(0.25 * _RATE), round(0.45 * _RATE)
_SAMPLES_PER_POINT = 3
BEAT_POINTS = (_BEFORE_R + _AFTER_R) // _SAMPLES_PER_POINT
BEAT_POINT_RATE = _RATE / _SAMPLES_PER_POINT

RHYTHM_FEATURES = (
    "heart_rate_bpm",
    "rr_mean_s",
    "rr_standard_deviation_s",
    "rr_successive_difference_s",
    "rr_shortest_to_median",
    "rr_longest_to_median",
    "beat_similarity_mean",
    "beat_similarity_lowest",
    "qrs_width_s",
)
LEAD_FEATURES = (
    "standard_deviation_mv",
    "mean_slope_mv_per_s",
    "qrs_highest_mv",
    "qrs_lowest_mv",
    "qrs_mean_absolute_mv",
    "st_level_mv",
    "t_highest_mv",
    "t_lowest_mv",
    "p_highest_mv",
    "p_lowest_mv",
)

_QRS_BAND_HZ = (5.0, 25.0)
_SMOOTHING_S = 0.12
_REFRACTORY_S = 0.25
_TYPICAL_HEIGHT_WINDOW_S = 2.0
# Of the typical peak of the record: low enough for small beats, above most T waves.
_MIN_HEIGHT, _MIN_PROMINENCE = 0.4, 0.32
# A stretch without a wave of this size is silent, or noise.
_MIN_QRS_MV = 0.02
_MIN_DURATION_S = 1.0
_QRS_SLOPE_SHARE = 0.15


@dataclass(frozen=True, eq=False)
class BeatFeatures:
    """
    Hand-crafted features of one record; always finite.

    Attributes:
        median_beats (`np.ndarray` of shape `(leads, BEAT_POINTS)`, float32):
            Median over the beats, mV above the level before the QRS complex, from 0.25 s before to 0.45 s after its
            centre, 100 points a second.
        rhythm (`np.ndarray` of shape `(len(RHYTHM_FEATURES),)`, float32): Named by `RHYTHM_FEATURES`.
        leads (`np.ndarray` of shape `(leads, len(LEAD_FEATURES))`, float32): Named by `LEAD_FEATURES`.
        beats (`int`): Beats found. With one beat the RR features are 0; with none, so are `median_beats`, `rhythm` and
            the wave amplitudes in `leads`, and only what is read from the whole signal remains.
    """

    median_beats: np.ndarray
    rhythm: np.ndarray
    leads: np.ndarray
    beats: int


def find_beats(signal_mv: np.ndarray, sampling_rate: float) -> np.ndarray:
    """
    Centres of the QRS complexes, one list for all leads.

    Peaks of the root mean square over the leads of the 5-25 Hz band, smoothed over about a QRS width and compared with
    the record's own typical peak, the median of the highest in every 2 s (silent stretches, masked ones for example, do
    not count): one artefact does not hide the beats.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`): In mV, cleaned; at least 1 s.
        sampling_rate (`float`): In Hz, above 50.

    Returns:
        `np.ndarray` of shape `(beats,)`, int64: sample indices, ascending.

    Raises:
        `ValueError`: for another shape, a missing sample, a shorter record or a lower rate.
    """
    signal_mv, sampling_rate = _checked_signal(signal_mv, sampling_rate)
    band_pass = butter(2, _QRS_BAND_HZ, btype="bandpass", fs=sampling_rate, output="sos")
    strength = np.sqrt(np.square(sosfiltfilt(band_pass, signal_mv, axis=1)).mean(axis=0))
    width = 2 * round(_SMOOTHING_S * sampling_rate / 2) + 1  # odd: an even one shifts the peak by half a sample
    strength = uniform_filter1d(uniform_filter1d(strength, width), width)  # twice: once leaves a flat top
    windows = max(1, int(len(strength) / (_TYPICAL_HEIGHT_WINDOW_S * sampling_rate)))
    highest = np.array([window.max() for window in np.array_split(strength, windows)])
    highest = highest[highest >= _MIN_QRS_MV]
    if len(highest) == 0:
        return np.zeros(0, dtype=np.int64)
    typical = np.median(highest)
    peaks, _ = find_peaks(
        strength,
        height=_MIN_HEIGHT * typical,
        prominence=_MIN_PROMINENCE * typical,
        distance=round(_REFRACTORY_S * sampling_rate),
    )
    return peaks.astype(np.int64)


def beat_features(signal_mv: np.ndarray, sampling_rate: float) -> BeatFeatures:
    """
    Median beats, rhythm and amplitudes of one record.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`):
            In mV, cleaned, for example [`CleanedECG`] patches times scale; leads that are zero throughout are allowed.
        sampling_rate (`float`): In Hz, above 50.

    Returns:
        [`BeatFeatures`]

    Raises:
        `ValueError`: as [`find_beats`].

    Example:

    ```python
    >>> cleaned = tokenizer.clean(ecg_mv, sampling_rate=500, lead_names=lead_names)
    >>> signal_mv = cleaned.patches.reshape(len(cleaned.patches), -1) * cleaned.scale
    >>> features = beat_features(signal_mv, tokenizer.sampling_rate)
    ```
    """
    signal_mv, sampling_rate = _checked_signal(signal_mv, sampling_rate)
    signal_mv = resample(signal_mv, sampling_rate, _RATE)
    centres = find_beats(signal_mv, _RATE)
    beats = _cut_beats(signal_mv, centres)
    median = np.median(beats, axis=0) if len(beats) else np.zeros((len(signal_mv), _BEFORE_R + _AFTER_R))
    median = median - np.median(_span(median, -0.12, -0.07), axis=1, keepdims=True)
    points = median.reshape(len(median), BEAT_POINTS, _SAMPLES_PER_POINT).mean(axis=2)
    return BeatFeatures(
        median_beats=points.astype(np.float32),
        rhythm=_rhythm_features(centres / _RATE, beats, median).astype(np.float32),
        leads=_lead_features(signal_mv, median).astype(np.float32),
        beats=len(centres),
    )


def _checked_signal(signal_mv: np.ndarray, sampling_rate: float) -> tuple[np.ndarray, float]:
    sampling_rate, signal_mv = check_sampling_rate(sampling_rate), np.asarray(signal_mv, dtype=np.float64)
    if sampling_rate <= 2 * _QRS_BAND_HZ[1]:
        raise ValueError(f"`sampling_rate` must be above {2 * _QRS_BAND_HZ[1]:g} Hz, got {sampling_rate:g} Hz.")
    if signal_mv.ndim != 2 or len(signal_mv) == 0:
        raise ValueError(f"expected a signal (leads, samples) in mV, got shape {signal_mv.shape}.")
    if signal_mv.shape[1] < _MIN_DURATION_S * sampling_rate:
        raise ValueError(
            f"at least {_MIN_DURATION_S:g} s of signal are needed, got {signal_mv.shape[1]} samples at"
            f" {sampling_rate:g} Hz."
        )
    if not np.isfinite(signal_mv).all():
        missing = np.count_nonzero(~np.isfinite(signal_mv))
        raise ValueError(f"the signal has {missing} NaN or infinite samples: pass it through `AnyECGTokenizer.clean`.")
    return signal_mv, sampling_rate


def _cut_beats(signal_mv: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Windows around the beats, `(beats, leads, samples)`: whole ones, or all with repeated edges if none is whole."""
    whole = centres[(centres >= _BEFORE_R) & (centres + _AFTER_R <= signal_mv.shape[1])]
    padded = np.pad(signal_mv, ((0, 0), (_BEFORE_R, _AFTER_R)), mode="edge")
    starts = whole if len(whole) else centres
    windows = [padded[:, start : start + _BEFORE_R + _AFTER_R] for start in starts]
    return np.stack(windows) if windows else np.zeros((0, len(signal_mv), _BEFORE_R + _AFTER_R))


def _span(median_beats: np.ndarray, start_s: float, stop_s: float) -> np.ndarray:
    """Samples of the median beats between two times in seconds from the centre of the QRS complex."""
    return median_beats[:, _BEFORE_R + round(start_s * _RATE) : _BEFORE_R + round(stop_s * _RATE)]


def _rhythm_features(times_s: np.ndarray, beats: np.ndarray, median: np.ndarray) -> np.ndarray:
    if len(times_s) == 0:
        return np.zeros(len(RHYTHM_FEATURES))
    similarities = _similarities(beats, median)
    rr = np.diff(times_s)
    rr_features = [0.0] * 6
    if len(rr):
        successive = np.sqrt(np.mean(np.square(np.diff(rr)))) if len(rr) > 1 else 0.0
        middle = np.median(rr)
        rr_features = [60 / rr.mean(), rr.mean(), rr.std(), successive, rr.min() / middle, rr.max() / middle]
    return np.array([*rr_features, similarities.mean(), similarities.min(), _qrs_width(median)])


def _similarities(beats: np.ndarray, median: np.ndarray) -> np.ndarray:
    """Correlation of every beat with the median beat, over all leads together, `(beats,)`."""
    beats, median = beats - beats.mean(axis=2, keepdims=True), median - median.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.square(beats).sum(axis=(1, 2)) * np.square(median).sum())
    return (beats * median).sum(axis=(1, 2)) / np.maximum(norms, np.finfo(np.float64).tiny)


def _qrs_width(median: np.ndarray) -> float:
    """Seconds around the centre during which the slope over all leads is more than a share of its highest."""
    slopes = np.sqrt(np.square(np.gradient(_span(median, -0.1, 0.15), axis=1)).mean(axis=0))
    return float(np.count_nonzero(slopes > _QRS_SLOPE_SHARE * slopes.max())) / _RATE


def _lead_features(signal_mv: np.ndarray, median: np.ndarray) -> np.ndarray:
    qrs, t_wave, p_wave = _span(median, -0.08, 0.08), _span(median, 0.15, 0.4), _span(median, -0.2, -0.09)
    columns = [
        signal_mv.std(axis=1),
        np.abs(np.diff(signal_mv, axis=1)).mean(axis=1) * _RATE,
        qrs.max(axis=1),
        qrs.min(axis=1),
        np.abs(qrs).mean(axis=1),
        _span(median, 0.08, 0.12).mean(axis=1),
        t_wave.max(axis=1),
        t_wave.min(axis=1),
        p_wave.max(axis=1),
        p_wave.min(axis=1),
    ]
    return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class HandcraftedBaseline:
    """
    Principal components of the concatenated median beats, rhythm and lead features, and a linear probe on them.

    Records must have the same leads in the same order.

    Attributes:
        leads (`int`): Leads of every record.
        mean_beats (`np.ndarray` of shape `(leads * BEAT_POINTS,)`): Mean over the training records.
        components (`np.ndarray` of shape `(components, leads * BEAT_POINTS)`): Orthonormal, largest variance first.
        probe ([`LinearProbe`]): On component coordinates, rhythm and lead features, in this order.
    """

    leads: int
    mean_beats: np.ndarray
    components: np.ndarray
    probe: LinearProbe

    @classmethod
    def fit(
        cls,
        features_train: Sequence[BeatFeatures],
        labels_train: np.ndarray,
        features_validation: Sequence[BeatFeatures],
        labels_validation: np.ndarray,
        *,
        problem_type: str = "multi_label_classification",
        components: int = 20,
        class_names: Sequence[str] | None = None,
    ) -> "HandcraftedBaseline":
        """
        Fits components and classifiers on the training fold; the validation fold chooses the regularisation.

        Args:
            features_train, features_validation (`Sequence[BeatFeatures]`): One a record.
            labels_train, labels_validation (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
            problem_type (`str`, *optional*, defaults to `"multi_label_classification"`): As in [`fit_linear_probe`].
            components (`int`, *optional*, defaults to 20):
                Principal components; fewer if the training fold does not span as many.
            class_names (`Sequence[str]`, *optional*): Names for error messages.

        Returns:
            [`HandcraftedBaseline`]

        Raises:
            `ValueError`: as [`fit_linear_probe`], for `components` below 1 and for records that differ in leads.
            `ImportError`: without scikit-learn.
        """
        if components < 1:
            raise ValueError(f"`components` must be at least 1, got {components}.")
        if not features_train:
            raise ValueError("`features_train` is empty: pass the `beat_features` of at least two records.")
        leads = len(features_train[0].median_beats)
        beats = _concatenated_beats(features_train, leads)
        mean_beats = beats.mean(axis=0)
        _, variances, axes = np.linalg.svd(beats - mean_beats, full_matrices=False)
        spanned = np.count_nonzero(variances > 1e-6 * max(variances.max(), np.finfo(np.float64).tiny))
        axes = axes[: min(components, spanned)]
        probe = fit_linear_probe(
            _probe_features(features_train, leads, mean_beats, axes),
            labels_train,
            _probe_features(features_validation, leads, mean_beats, axes),
            labels_validation,
            problem_type=problem_type,
            class_names=class_names,
        )
        return cls(leads, mean_beats, axes, probe)

    def scores(self, features: Sequence[BeatFeatures]) -> np.ndarray:
        """
        Probability of every class.

        Args:
            features (`Sequence[BeatFeatures]`): One a record, with the leads of the training records.

        Returns:
            `np.ndarray` of shape `(records, classes)`, float64, between 0 and 1; rows of a single-label problem add up
            to 1.

        Raises:
            `ValueError`: if a record has another number of leads.
        """
        return self.probe.scores(_probe_features(features, self.leads, self.mean_beats, self.components))


def _probe_features(
    features: Sequence[BeatFeatures], leads: int, mean_beats: np.ndarray, components: np.ndarray
) -> np.ndarray:
    coordinates = (_concatenated_beats(features, leads) - mean_beats) @ components.T
    rest = [np.concatenate([record.rhythm, record.leads.ravel()]) for record in features]
    return np.concatenate([coordinates, np.reshape(rest, (len(features), -1))], axis=1)


def _concatenated_beats(features: Sequence[BeatFeatures], leads: int) -> np.ndarray:
    for index, record in enumerate(features):
        if len(record.median_beats) != leads:
            raise ValueError(
                f"record {index} has {len(record.median_beats)} leads, but {leads} are expected: give all records the"
                " same leads in the same order."
            )
    return np.reshape([record.median_beats.astype(np.float64).ravel() for record in features], (len(features), -1))


__all__ = [
    "BEAT_POINTS",
    "BEAT_POINT_RATE",
    "LEAD_FEATURES",
    "RHYTHM_FEATURES",
    "BeatFeatures",
    "HandcraftedBaseline",
    "beat_features",
    "find_beats",
]
