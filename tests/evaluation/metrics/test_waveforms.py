# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PSNR, SSIM, mean absolute error and correlation of leads, by hand and by the formulas written out."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from anyecg_hf.evaluation.metrics import mean_absolute_error_mv, peak_to_peak_mv, pearson_r, psnr_db, ssim

METRICS = [psnr_db, mean_absolute_error_mv, pearson_r, ssim]


@pytest.fixture
def clean() -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).normal(size=(2, 3, 200)), axis=-1)


@pytest.fixture
def restored(clean) -> np.ndarray:
    return clean + 0.4 * np.random.default_rng(1).normal(size=clean.shape)


def test_psnr_refers_to_the_peak_to_peak_of_the_clean_lead():
    clean = np.array([[0.0, 2.0, 0.0, 0.0], [0.0, 1.0, -3.0, 0.0]])
    restored = clean + 0.1
    assert peak_to_peak_mv(clean).tolist() == [2.0, 4.0]
    assert psnr_db(clean, restored).tolist() == pytest.approx([20 * np.log10(2 / 0.1), 20 * np.log10(4 / 0.1)])
    assert psnr_db(clean, restored, range_mv=1.0).tolist() == pytest.approx([20.0, 20.0])
    assert psnr_db(clean, restored, range_mv=np.array([1.0, 10.0])).tolist() == pytest.approx([20.0, 40.0])


def test_psnr_does_not_depend_on_the_scale(clean, restored):
    np.testing.assert_allclose(psnr_db(5 * clean, 5 * restored), psnr_db(clean, restored))
    np.testing.assert_allclose(ssim(5 * clean, 5 * restored), ssim(clean, restored))


def test_only_scored_samples_count_but_the_range_is_that_of_the_window():
    clean = np.array([[0.0, 10.0, 0.0, 1.0]])
    restored = clean + [[5.0, 5.0, 0.2, -0.2]]
    mask = np.array([[False, False, True, True]])
    assert psnr_db(clean, restored, mask).tolist() == pytest.approx([20 * np.log10(10 / 0.2)])
    assert mean_absolute_error_mv(clean, restored, mask).tolist() == pytest.approx([0.2])
    assert mean_absolute_error_mv(clean, restored).tolist() == pytest.approx([2.6])


def test_correlation_equals_scipy_with_and_without_a_mask(clean, restored):
    mask = np.random.default_rng(2).random(clean.shape) < 0.3
    for index in np.ndindex(2, 3):
        assert pearson_r(clean, restored)[index] == pytest.approx(pearsonr(clean[index], restored[index])[0])
        chosen = mask[index]
        expected = pearsonr(clean[index][chosen], restored[index][chosen])[0]
        assert pearson_r(clean, restored, mask)[index] == pytest.approx(expected)


def test_correlation_does_not_see_offset_and_gain_but_the_sign(clean):
    np.testing.assert_allclose(pearson_r(clean, 3 * clean + 2), 1.0)
    np.testing.assert_allclose(pearson_r(clean, -clean), -1.0)


def ssim_written_out(clean: np.ndarray, restored: np.ndarray, window: int, centres: list[int]) -> float:
    """The mean over windows of the formula of Wang et al. 2004, unbiased variances."""
    span = np.ptp(clean)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    values = []
    for centre in centres:
        x, y = (lead[centre - window // 2 : centre + window // 2 + 1] for lead in (clean, restored))
        covariance = np.cov(x, y)
        luminance = (2 * x.mean() * y.mean() + c1) / (x.mean() ** 2 + y.mean() ** 2 + c1)
        values.append(luminance * (2 * covariance[0, 1] + c2) / (covariance[0, 0] + covariance[1, 1] + c2))
    return np.mean(values)


@pytest.mark.parametrize("window", [3, 7, 11])
def test_ssim_is_the_formula_over_all_windows_inside(clean, restored, window):
    half = window // 2
    expected = ssim_written_out(clean[1, 2], restored[1, 2], window, list(range(half, 200 - half)))
    assert ssim(clean, restored, window=window)[1, 2] == pytest.approx(expected, rel=1e-9)


def test_ssim_equals_scikit_image():
    # `structural_similarity` of scikit-image 0.26 on these curves.
    times = np.arange(50)
    clean = np.sin(times / 5.0)[None]
    restored = clean + 0.1 * np.cos(times / 2.0)
    assert ssim(clean, restored).tolist() == pytest.approx([0.9278764590230376], abs=1e-12)
    assert ssim(clean, restored, range_mv=2.0, window=11).tolist() == pytest.approx([0.9690424039693095], abs=1e-12)


def test_windows_of_ssim_lie_in_the_mask_as_a_whole(clean, restored):
    mask = np.zeros(clean.shape, dtype=bool)
    mask[..., 50:80] = True
    expected = ssim_written_out(clean[0, 1], restored[0, 1], 7, list(range(53, 77)))
    assert ssim(clean, restored, mask)[0, 1] == pytest.approx(expected, rel=1e-9)
    elsewhere = np.where(mask, restored, 1e3)
    np.testing.assert_array_equal(ssim(clean, elsewhere, mask), ssim(clean, restored, mask))


def test_a_perfect_restoration_is_perfect(clean):
    assert np.isposinf(psnr_db(clean, clean)).all()
    np.testing.assert_allclose(ssim(clean, clean), 1.0)
    np.testing.assert_allclose(pearson_r(clean, clean), 1.0)
    assert not mean_absolute_error_mv(clean, clean).any()


def test_what_is_undefined_is_nan_and_nothing_else(clean, restored):
    clean[0, 1] = 0.7
    mask = np.ones(clean.shape, dtype=bool)
    mask[1, 2] = False
    mask[1, 1, 3:] = False
    flat, unscored, short = (0, 1), (1, 2), (1, 1)
    for metric in METRICS:
        values = metric(clean, restored, mask)
        assert values.shape == (2, 3)
        undefined = {unscored} | ({flat} if metric is not mean_absolute_error_mv else set())
        undefined |= {short} if metric is ssim else set()
        assert {tuple(index) for index in np.argwhere(np.isnan(values)).tolist()} == undefined


def test_a_flat_restoration_has_no_correlation(clean):
    assert pearson_r(clean, np.full_like(clean, 0.3)).tolist() == [[0.0] * 3] * 2


def test_float32_leads_far_from_zero_lose_nothing(clean, restored):
    moved = [(values + 100).astype(np.float32) for values in (clean, restored)]
    np.testing.assert_allclose(pearson_r(*moved), pearson_r(clean, restored), atol=1e-5)
    np.testing.assert_allclose(psnr_db(*moved), psnr_db(clean, restored), atol=1e-3)


@pytest.mark.parametrize("metric", METRICS)
def test_leads_that_do_not_fit_are_refused(metric, clean):
    with pytest.raises(ValueError, match=r"one shape \(..., leads, samples\) .* got \(2, 3, 200\) and \(2, 3, 199\)"):
        metric(clean, clean[..., 1:])
    with pytest.raises(ValueError, match=r"got \(5,\) and \(5,\)"):
        metric(np.zeros(5), np.zeros(5))
    broken = clean.copy()
    broken[0, 0, :2] = np.nan, np.inf
    with pytest.raises(ValueError, match="`restored_mv` must be finite, 2 samples are not"):
        metric(clean, broken)
    with pytest.raises(
        ValueError, match=r"`mask` must be bool of shape \(2, 3, 200\), got int64 of shape \(2, 3, 200\)"
    ):
        metric(clean, clean, np.ones(clean.shape, dtype=np.int64))
    with pytest.raises(ValueError, match=r"got bool of shape \(3, 200\)"):
        metric(clean, clean, np.ones((3, 200), dtype=bool))


def test_ranges_and_windows_that_mean_nothing_are_refused(clean):
    for metric in (psnr_db, ssim):
        with pytest.raises(ValueError, match="`range_mv` must be positive and finite"):
            metric(clean, clean, range_mv=0.0)
    for window in (1, 6):
        with pytest.raises(ValueError, match=f"`window` must be odd and at least 3, got {window}"):
            ssim(clean, clean, window=window)
    with pytest.raises(ValueError, match="the record has 5 samples, but a window has 7"):
        ssim(clean[..., :5], clean[..., :5])
