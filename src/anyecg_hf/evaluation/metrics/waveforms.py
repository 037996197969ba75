# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
How close a restored ECG is to the clean one, lead by lead: PSNR, SSIM, mean absolute error and correlation.

All take `(..., leads, samples)` in mV and an optional mask of the samples to score, and return `(..., leads)`. What is
undefined is NaN, so that the caller can leave it out and say how often: a lead without scored samples for all of them,
a flat clean lead for those that refer to its range or spread. What to average over is the caller's choice
([`mean_interval`]).
"""

from dataclasses import dataclass

import numpy as np

# Of Wang et al. 2004: C1 = (K1 range)^2 and C2 = (K2 range)^2.
SSIM_K1, SSIM_K2 = 0.01, 0.03
SSIM_WINDOW = 7


def peak_to_peak_mv(clean_mv: np.ndarray) -> np.ndarray:
    """Highest less lowest sample of each lead over all samples, scored or not: `(..., leads)` of `(..., leads, S)`."""
    return np.ptp(np.asarray(clean_mv, dtype=np.float64), axis=-1)


def psnr_db(
    clean_mv: np.ndarray, restored_mv: np.ndarray, mask: np.ndarray | None = None, range_mv: np.ndarray | None = None
) -> np.ndarray:
    """
    Peak signal-to-noise ratio, `10 log10(range^2 / mean squared error)`.

    Args:
        clean_mv, restored_mv (`np.ndarray` of shape `(..., leads, samples)`): In mV.
        mask (`np.ndarray` of the same shape, bool, *optional*): Samples whose error counts; by default all.
        range_mv (`np.ndarray` of shape `(..., leads)` or `float`, *optional*):
            The range in mV. By default that of the protocol, each clean lead's own peak to peak over the whole window,
            also where only a part is scored ([`peak_to_peak_mv`]). PSNR of different ranges cannot be compared.

    Returns:
        `np.ndarray` of shape `(..., leads)`, float64: in dB, infinite where nothing differs.

    Raises:
        `ValueError`: if shapes differ, a value is not finite, or a given range is not positive.
    """
    pair = _checked(clean_mv, restored_mv, mask)
    errors = pair.mean(np.square(pair.restored - pair.clean))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(_range(pair, range_mv) ** 2 / errors)


def mean_absolute_error_mv(clean_mv: np.ndarray, restored_mv: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """
    Mean absolute error.

    Args:
        clean_mv, restored_mv, mask: As in [`psnr_db`].

    Returns:
        `np.ndarray` of shape `(..., leads)`, float64: in mV.

    Raises:
        `ValueError`: if shapes differ or a value is not finite.
    """
    pair = _checked(clean_mv, restored_mv, mask)
    return pair.mean(np.abs(pair.restored - pair.clean))


def pearson_r(clean_mv: np.ndarray, restored_mv: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """
    Pearson correlation over the scored samples; offset and gain of the restored lead do not count.

    Args:
        clean_mv, restored_mv, mask: As in [`psnr_db`].

    Returns:
        `np.ndarray` of shape `(..., leads)`, float64: NaN where the clean lead is flat, and 0, no relation at all,
        where only the restored lead is.

    Raises:
        `ValueError`: if shapes differ or a value is not finite.
    """
    pair = _checked(clean_mv, restored_mv, mask)
    clean, restored = (values - pair.mean(values)[..., None] for values in (pair.clean, pair.restored))
    spreads = [np.sqrt(pair.mean(np.square(values))) for values in (clean, restored)]
    # The spread of a constant is rounding error.
    flat = [
        spread <= 1e-12 * np.abs(values).max(axis=-1)
        for spread, values in zip(spreads, (pair.clean, pair.restored), strict=True)
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.clip(pair.mean(clean * restored) / (spreads[0] * spreads[1]), -1.0, 1.0)
    return np.where(flat[0], np.nan, np.where(flat[1] & pair.mask.any(axis=-1), 0.0, r))


def ssim(
    clean_mv: np.ndarray,
    restored_mv: np.ndarray,
    mask: np.ndarray | None = None,
    range_mv: np.ndarray | None = None,
    window: int = SSIM_WINDOW,
) -> np.ndarray:
    """
    Structural similarity in one dimension (Wang et al., Image quality assessment, IEEE Trans. Image Process. 13, 2004).

    `(2 m_x m_y + C1)(2 s_xy + C2) / ((m_x^2 + m_y^2 + C1)(s_x^2 + s_y^2 + C2))` with means m, variances s^2 and the
    covariance of a sliding window in which all samples count alike and variances are divided by `window - 1`; C1 = (.01
    range)^2, C2 = (.03 range)^2; averaged over all windows. These are the choices of scikit-image's
    `structural_similarity` for one-dimensional data, whose default window of 7 samples (23 ms at 300 Hz) is the default
    here. Only windows that lie in the record and in the mask as a whole count.

    Args:
        clean_mv, restored_mv, mask, range_mv: As in [`psnr_db`].
        window (`int`, *optional*, defaults to 7): Samples of a window, odd.

    Returns:
        `np.ndarray` of shape `(..., leads)`, float64, at most 1: NaN too where no window lies in the mask.

    Raises:
        `ValueError`: as [`psnr_db`], for an even window or one below 3, and if the record is shorter than the window.
    """
    pair = _checked(clean_mv, restored_mv, mask)
    if window < 3 or window % 2 == 0:
        raise ValueError(f"`window` must be odd and at least 3, got {window}.")
    if pair.clean.shape[-1] < window:
        raise ValueError(f"the record has {pair.clean.shape[-1]} samples, but a window has {window}.")
    spans = _range(pair, range_mv)
    # Lead by lead: all windows of many leads at once would need many times the memory of the leads.
    values = [
        _lead_ssim(pair.clean[lead], pair.restored[lead], pair.mask[lead], spans[lead], window)
        for lead in np.ndindex(spans.shape)
    ]
    return np.reshape(values, spans.shape)


def _lead_ssim(clean: np.ndarray, restored: np.ndarray, mask: np.ndarray, span: float, window: int) -> float:
    c1, c2 = (SSIM_K1 * span) ** 2, (SSIM_K2 * span) ** 2
    x, y, inside = (np.lib.stride_tricks.sliding_window_view(values, window) for values in (clean, restored, mask))
    x_mean, y_mean = x.mean(axis=1), y.mean(axis=1)
    x_rest, y_rest = x - x_mean[:, None], y - y_mean[:, None]
    x_variance, y_variance, covariance = (
        (a * b).sum(axis=1) / (window - 1) for a, b in ((x_rest, x_rest), (y_rest, y_rest), (x_rest, y_rest))
    )
    similarity = (2 * x_mean * y_mean + c1) * (2 * covariance + c2)
    similarity /= (x_mean**2 + y_mean**2 + c1) * (x_variance + y_variance + c2)
    return float(_masked_mean(similarity, inside.all(axis=1)))


@dataclass(frozen=True, eq=False)
class _Pair:
    """Clean and restored leads in float64, and which samples count."""

    clean: np.ndarray
    restored: np.ndarray
    mask: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        return _masked_mean(values, self.mask)


def _masked_mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # 0 / 0 where nothing counts
        return np.where(mask, values, 0.0).sum(axis=-1) / mask.sum(axis=-1)


def _range(pair: _Pair, range_mv: np.ndarray | None) -> np.ndarray:
    if range_mv is None:
        spans = np.ptp(pair.clean, axis=-1)
        return np.where(spans > 0, spans, np.nan)
    spans = np.broadcast_to(np.asarray(range_mv, dtype=np.float64), pair.clean.shape[:-1])
    if not (spans > 0).all() or not np.isfinite(spans).all():
        raise ValueError("`range_mv` must be positive and finite; leave out flat leads, or the argument.")
    return spans


def _checked(clean_mv: np.ndarray, restored_mv: np.ndarray, mask: np.ndarray | None) -> _Pair:
    clean, restored = np.asarray(clean_mv, dtype=np.float64), np.asarray(restored_mv, dtype=np.float64)
    if clean.ndim < 2 or clean.shape != restored.shape or clean.shape[-1] == 0:
        raise ValueError(
            "`clean_mv` and `restored_mv` must have one shape (..., leads, samples) with at least one sample, got"
            f" {clean.shape} and {restored.shape}."
        )
    for name, values in (("`clean_mv`", clean), ("`restored_mv`", restored)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, {np.count_nonzero(~np.isfinite(values))} samples are not.")
    mask = np.ones(clean.shape, dtype=bool) if mask is None else np.asarray(mask)
    if mask.shape != clean.shape or mask.dtype != np.bool_:
        raise ValueError(f"`mask` must be bool of shape {clean.shape}, got {mask.dtype} of shape {mask.shape}.")
    return _Pair(clean, restored, mask)


__all__ = [
    "SSIM_K1",
    "SSIM_K2",
    "SSIM_WINDOW",
    "mean_absolute_error_mv",
    "peak_to_peak_mv",
    "pearson_r",
    "psnr_db",
    "ssim",
]
