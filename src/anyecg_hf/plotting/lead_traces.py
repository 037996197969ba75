# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One row of leads on the paper: traces, reconstructions, names and the marks of clipped samples."""

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from .layout import MM_PER_SECOND, RowPlace, Segment, reach_mm
from .paper_grid import INK, PAPER_COLOUR, write
from .view import ECGView, Traces


@dataclass(frozen=True)
class Pen:
    """How a kind of curve is drawn; `name` becomes the group id of its lines."""

    name: str
    colour: str
    width_pt: float
    layer: int


RECORD_PEN = Pen("record", INK, 1.0, 5)
UNUSABLE_PEN = Pen("unusable", "#8c8c8c", 0.7, 5)
# The finer line, so that the record shows beneath it where they agree.
RECONSTRUCTION_PEN = Pen("reconstruction", "#1877ff", 0.75, 6)
_UNUSABLE_NAME_COLOUR = "#707070"
_CLIPPED_COLOUR = "#c2410c"
_MM_PER_NAME_CHARACTER = 1.9


def draw_row(ax: Axes, view: ECGView, row: RowPlace, x_mm: float, paper_y_mm: float, gain: float) -> None:
    """
    Draws the segments of a row.

    Args:
        ax (`Axes`): Axes in mm.
        view (`ECGView`): What to draw.
        row (`RowPlace`): Where, from the paper's top.
        x_mm (`float`): Where the row's traces start.
        paper_y_mm (`float`): The paper's top.
        gain (`float`): In mm/mV.
    """
    baseline_mm = paper_y_mm + row.baseline_mm
    for segment in row.segments:
        left_mm = x_mm + segment.offset_s * MM_PER_SECOND
        if segment.offset_s > 0:
            _draw_separator(ax, left_mm, baseline_mm)
        _write_name(ax, view, segment, left_mm, baseline_mm - row.label_mm)
        pens = [(view.record, RECORD_PEN), (view.reconstruction, RECONSTRUCTION_PEN)]
        if segment.lead in view.unusable:
            pens = [(view.record, UNUSABLE_PEN)]
        for curve, pen in pens:
            if curve is not None:
                _draw_curve(ax, curve, segment, (left_mm, baseline_mm), gain, reach_mm(view, segment.lead), pen)


def _draw_curve(
    ax: Axes,
    curve: Traces,
    segment: Segment,
    origin_mm: tuple[float, float],
    gain: float,
    limit_mm: float,
    pen: Pen,
) -> None:
    times_s, values_mv = curve.stretch(segment.lead, segment.start_s, segment.end_s)
    xs = origin_mm[0] + (times_s - segment.start_s) * MM_PER_SECOND
    heights_mm = values_mv * gain
    ys = origin_mm[1] - np.clip(heights_mm, -limit_mm, limit_mm)
    ax.plot(
        xs,
        ys,
        color=pen.colour,
        linewidth=pen.width_pt,
        solid_joinstyle="round",
        zorder=pen.layer,
        gid=pen.name,
    )
    if pen is not UNUSABLE_PEN:
        _mark_clipped(ax, xs, heights_mm, origin_mm[1], limit_mm)


def _mark_clipped(ax: Axes, xs: np.ndarray, heights_mm: np.ndarray, baseline_mm: float, limit_mm: float) -> None:
    for sign, marker in ((1, "^"), (-1, "v")):
        beyond = sign * heights_mm > limit_mm
        # One mark at the start of each run of clipped samples.
        starts = xs[beyond & ~np.concatenate([[False], beyond[:-1]])]
        if starts.size:
            ys = np.full(starts.size, baseline_mm - sign * limit_mm)
            ax.plot(starts, ys, marker, color=_CLIPPED_COLOUR, markersize=4, zorder=8, gid="clipped")


def _draw_separator(ax: Axes, x_mm: float, baseline_mm: float) -> None:
    for far_mm, near_mm in ((-6.0, -3.0), (3.0, 6.0)):
        ax.plot([x_mm, x_mm], [baseline_mm + far_mm, baseline_mm + near_mm], color=INK, linewidth=0.6, zorder=4)


def _write_name(ax: Axes, view: ECGView, segment: Segment, x_mm: float, y_mm: float) -> None:
    name, colour = view.lead_names[segment.lead], INK
    if segment.lead in view.unusable:
        room = int(segment.room_s * MM_PER_SECOND / _MM_PER_NAME_CHARACTER)
        # The footer gives the reason in full.
        name = textwrap.shorten(f"{name} unusable: {view.unusable[segment.lead]}", max(room, 16), placeholder=" ...")
        colour = _UNUSABLE_NAME_COLOUR
    halo = [withStroke(linewidth=2.0, foreground=PAPER_COLOUR)]
    style = {"color": colour, "weight": "bold", "va": "bottom", "path_effects": halo, "gid": "lead-name"}
    write(ax, x_mm + 1.0, y_mm, name, 9, **style)
