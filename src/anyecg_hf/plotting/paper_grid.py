# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The paper itself: grid, calibration pulse and time axis, on axes whose unit is the millimetre."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from .layout import CALIBRATION_MM, MM_PER_SECOND

SMALL_SQUARE_MM = 1.0
LARGE_SQUARE_MM = 5.0
INK = "#111111"
CAPTION_COLOUR = "#555555"

PAPER_COLOUR = "#fffafa"
SMALL_COLOUR = "#f9dcdc"
LARGE_COLOUR = "#efaaaa"
_PULSE_S = 0.2


def write(ax: Axes, x_mm: float, y_mm: float, text: str, size_pt: float, **style: Any) -> Text:
    """Writes text as it is (no mathematics, no LaTeX) in matplotlib's own font, by default hanging below `y_mm`."""
    style = {"va": "top", "color": INK, "zorder": 7, **style}
    return ax.text(x_mm, y_mm, text, fontsize=size_pt, family="DejaVu Sans", parse_math=False, usetex=False, **style)


def draw_grid(ax: Axes, x_mm: float, y_mm: float, width_mm: float, height_mm: float) -> None:
    """Draws the sheet with a line every millimetre (0.04 s, 0.1 mV) and a stronger one every five."""
    ax.add_patch(Rectangle((x_mm, y_mm), width_mm, height_mm, facecolor=PAPER_COLOUR, edgecolor="none", zorder=0))
    for step_mm, colour, width_pt, name in (
        (SMALL_SQUARE_MM, SMALL_COLOUR, 0.35, "small-grid"),
        (LARGE_SQUARE_MM, LARGE_COLOUR, 0.5, "large-grid"),
    ):
        columns = x_mm + np.arange(0.0, width_mm + step_mm / 2, step_mm)
        rows = y_mm + np.arange(0.0, height_mm + step_mm / 2, step_mm)
        lines = [((x, y_mm), (x, y_mm + height_mm)) for x in columns]
        lines += [((x_mm, y), (x_mm + width_mm, y)) for y in rows]
        ax.add_collection(LineCollection(lines, colors=colour, linewidths=width_pt, zorder=1, gid=name), autolim=False)


def draw_calibration_pulse(ax: Axes, paper_x_mm: float, baseline_mm: float, gain: float) -> None:
    """Draws the 1 mV, 0.2 s pulse at the start of a row; `gain` in mm/mV."""
    width_mm = _PULSE_S * MM_PER_SECOND
    x_mm = paper_x_mm + (CALIBRATION_MM - width_mm) / 2
    top_mm = baseline_mm - gain
    xs = [x_mm - 2, x_mm, x_mm, x_mm + width_mm, x_mm + width_mm, x_mm + width_mm + 2]
    ys = [baseline_mm, baseline_mm, top_mm, top_mm, baseline_mm, baseline_mm]
    ax.plot(xs, ys, color=INK, linewidth=0.8, solid_joinstyle="miter", zorder=5, gid="calibration-pulse")


def draw_time_axis(ax: Axes, x_mm: float, y_mm: float, start_s: float, end_s: float) -> None:
    """Writes the record's time at every whole second from `start_s`, which lies at `x_mm`."""
    for second in np.arange(np.ceil(round(start_s, 6)), end_s + 1e-6):
        tick_mm = x_mm + (second - start_s) * MM_PER_SECOND
        ax.plot([tick_mm, tick_mm], [y_mm, y_mm + 1.0], color=CAPTION_COLOUR, linewidth=0.6, zorder=4)
        write(ax, tick_mm, y_mm + 1.5, f"{second:g} s", 6.5, color=CAPTION_COLOUR, ha="center", gid="time-label")
