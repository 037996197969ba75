# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Colours and cells of rhythm codes."""

import numpy as np

from anyecg_hf.plotting import code_colours


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance as the web accessibility guidelines define it."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def test_a_code_has_the_same_colour_alone_and_among_others():
    colours = code_colours(np.arange(8192))
    assert colours.shape == (8192, 3)
    assert colours.min() >= 0 and colours.max() <= 1
    for code in (0, 1, 511, 8191):
        np.testing.assert_allclose(code_colours(code), colours[code], rtol=1e-12)
    np.testing.assert_allclose(code_colours(np.arange(6).reshape(2, 3)), colours[:6].reshape(2, 3, 3), rtol=1e-12)


def test_colours_stay_as_they_are_from_release_to_release():
    expected = [[125, 220, 202], [222, 172, 153], [139, 170, 238]]
    np.testing.assert_array_equal(np.round(code_colours(np.arange(3)) * 255), expected)


def test_thousands_of_codes_have_different_colours():
    as_bytes = np.round(code_colours(np.arange(4096)) * 255).astype(int)
    assert len(np.unique(as_bytes, axis=0)) > 4000


def test_neighbouring_codes_are_clearly_different():
    colours = code_colours(np.arange(8192)) * 255
    assert np.linalg.norm(np.diff(colours, axis=0), axis=1).min() > 40


def test_dark_numbers_are_legible_on_every_colour():
    contrast = (luminance(code_colours(np.arange(8192))) + 0.05) / (luminance(np.full(3, 0x11 / 255)) + 0.05)
    assert contrast.min() > 7
