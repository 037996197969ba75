# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Rhythm codes as coloured cells: one cell a patch, the same colour for the same code in every figure."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from .layout import MM_PER_SECOND, STRIP_MM
from .paper_grid import write
from .view import ECGView

MASKED_FACE = "#e4e4e4"
MASKED_HATCH = "//////"
MASKED_EDGE = "#a8a8a8"
_NUMBER_PT = 6.0
_MM_PER_DIGIT = 1.35


@dataclass(frozen=True)
class CodeCell:
    """One patch in the window: its code (-1 = masked) from `start_s` to `end_s` of the record."""

    code: int
    start_s: float
    end_s: float


def code_colours(codes: np.ndarray) -> np.ndarray:
    """
    Colours of rhythm codes, the same for a code whatever the size of its codebook.

    Hue, lightness and chroma walk through OKLCH in three low-discrepancy sequences: neighbouring indices get clearly
    different colours, thousands of codes get different ones, and dark text is legible on all of them.

    Args:
        codes (`np.ndarray` of any shape, int64): Code indices, not negative.

    Returns:
        `np.ndarray` of shape `(*codes.shape, 3)`, float64: sRGB from 0 to 1.
    """
    index = np.asarray(codes, dtype=np.float64)
    hue = 2 * np.pi * np.mod(0.5 + index * 0.6180339887498949, 1.0)
    lightness = 0.74 + 0.18 * np.mod(0.5 + index * 0.7548776662466927, 1.0)
    chroma = 0.06 + 0.07 * np.mod(0.5 + index * 0.5698402909980532, 1.0)
    return _oklab_to_srgb(lightness, chroma * np.cos(hue), chroma * np.sin(hue))


def _oklab_to_srgb(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    linear = np.clip(np.stack([red, green, blue], axis=-1), 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def cells_in_window(view: ECGView, lead: int) -> list[CodeCell]:
    """The patches of a lead that the window shows; those at its edges are cut."""
    cells = []
    for patch, code in enumerate(view.codes[lead]):
        start_s = max(view.start_s, patch * view.patch_seconds)
        end_s = min(view.end_s, (patch + 1) * view.patch_seconds)
        # Rounding in the products must not make a sliver of a cell.
        if end_s - start_s > 1e-6:
            cells.append(CodeCell(int(code), start_s, end_s))
    return cells


def draw_code_strip(ax: Axes, view: ECGView, lead: int, x_mm: float, y_mm: float) -> None:
    """
    Draws the codes of one lead, on the same time scale as the traces.

    Args:
        ax (`Axes`): Axes in mm.
        view (`ECGView`): Must have codes.
        lead (`int`): Index of the lead.
        x_mm (`float`): Where `view.start_s` lies.
        y_mm (`float`): Top of the strip.
    """
    for cell in cells_in_window(view, lead):
        left_mm = x_mm + (cell.start_s - view.start_s) * MM_PER_SECOND
        width_mm = (cell.end_s - cell.start_s) * MM_PER_SECOND
        draw_cell(ax, cell.code, left_mm, y_mm, width_mm)
        if cell.code >= 0 and width_mm >= _MM_PER_DIGIT * len(str(cell.code)) + 1.0:
            middle_mm = left_mm + width_mm / 2, y_mm + STRIP_MM / 2
            write(ax, *middle_mm, str(cell.code), _NUMBER_PT, ha="center", va="center_baseline", gid="code-number")


def draw_cell(ax: Axes, code: int, x_mm: float, y_mm: float, width_mm: float) -> None:
    """Draws one cell, hatched in grey where the code is negative."""
    if code < 0:
        style = {"facecolor": MASKED_FACE, "edgecolor": MASKED_EDGE, "hatch": MASKED_HATCH, "gid": "masked-cell"}
    else:
        style = {"facecolor": tuple(code_colours(code)), "edgecolor": "white", "gid": "code-cell"}
    ax.add_patch(Rectangle((x_mm, y_mm), width_mm, STRIP_MM, linewidth=0.5, zorder=3, **style))
