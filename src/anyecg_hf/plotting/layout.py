# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Where everything lies on the page: pure geometry in millimetres, x from the left, y from the top."""

import math
from dataclasses import dataclass

import numpy as np

from .view import ECGView

STANDARD_ROWS = (
    ("I", "aVR", "V1", "V4"),
    ("II", "aVL", "V2", "V5"),
    ("III", "aVF", "V3", "V6"),
)
STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
# Leads for the rhythm strip, the next taking over where the one before is unusable.
RHYTHM_LEADS = ("II", "V1", "V5")

MM_PER_SECOND = 25.0
# Gains in mm/mV, the next being used where the one before would not fit.
GAINS = (10.0, 5.0, 2.5)
# How far a trace may reach from its baseline in mm; what lies beyond is clipped and marked.
MAX_REACH_MM = 40.0

MARGIN_MM = 10.0
CALIBRATION_MM = 15.0
STRIP_MM = 4.0
TIME_AXIS_MM = 5.0
MIN_STANDARD_S = 10.0
MIN_STACKED_S = 5.0
# The last column of the standard layout must show at least this much signal, or all columns show the same seconds.
MIN_LAST_COLUMN_S = 1.0

_LARGE_SQUARE_MM = 5.0
_MIN_ABOVE_MM = 11.0
_MIN_BELOW_MM = 5.0
_MIN_LABEL_MM = 6.0
_LABEL_HEIGHT_MM = 3.5
_ROW_GAP_MM = 1.0
_COLUMN_TIME_MM = 3.0


@dataclass(frozen=True)
class Segment:
    """Lead `lead` from `start_s` to `end_s`, drawn `offset_s` right of the row's start with room for `room_s`."""

    lead: int
    start_s: float
    end_s: float
    offset_s: float
    room_s: float


@dataclass(frozen=True)
class Arrangement:
    """
    Which stretch of which lead goes into which row.

    Args:
        rows (`tuple[tuple[Segment, ...], ...]`): The rows from the top.
        paper_s (`float`): Seconds that a row has room for.
        standard (`bool`): Whether this is the standard 12-lead layout; codes then lie below all rows.
        sequential (`bool`): Whether the columns follow each other in time.
    """

    rows: tuple[tuple[Segment, ...], ...]
    paper_s: float
    standard: bool = False
    sequential: bool = True


@dataclass(frozen=True)
class RowPlace:
    """One row, in mm below the paper's top edge; names `label_mm` above the baseline, codes from `strip_mm`."""

    segments: tuple[Segment, ...]
    baseline_mm: float
    label_mm: float
    strip_mm: float | None = None


@dataclass(frozen=True)
class Paper:
    """The sheet of ECG paper: its rows and its size in mm."""

    rows: tuple[RowPlace, ...]
    width_mm: float
    height_mm: float


def arrange(view: ECGView) -> Arrangement:
    """The standard 12-lead layout for the 12 standard leads in any order, otherwise one row a lead."""
    index = {name.casefold(): lead for lead, name in enumerate(view.lead_names)}
    standard = {name.casefold() for name in STANDARD_LEADS}
    if len(view.lead_names) == len(STANDARD_LEADS) and set(index) == standard:
        return _standard_arrangement(view, index)
    window_s = view.end_s - view.start_s
    rows = tuple((Segment(lead, view.start_s, view.end_s, 0.0, window_s),) for lead in range(len(view.lead_names)))
    return Arrangement(rows, paper_s=max(MIN_STACKED_S, window_s))


def _standard_arrangement(view: ECGView, index: dict[str, int]) -> Arrangement:
    window_s = view.end_s - view.start_s
    paper_s = max(MIN_STANDARD_S, window_s)
    columns = len(STANDARD_ROWS[0])
    column_s = paper_s / columns
    sequential = window_s >= (columns - 1) * column_s + MIN_LAST_COLUMN_S

    def segment(name: str, column: int) -> Segment:
        start_s = view.start_s + (column * column_s if sequential else 0.0)
        end_s = min(start_s + column_s, view.end_s)
        return Segment(index[name.casefold()], start_s, end_s, column * column_s, column_s)

    rows = [tuple(segment(name, column) for column, name in enumerate(names)) for names in STANDARD_ROWS]
    rhythm = [index[name.casefold()] for name in RHYTHM_LEADS]
    lead = next((lead for lead in rhythm if lead not in view.unusable), rhythm[0])
    rows.append((Segment(lead, view.start_s, view.end_s, 0.0, paper_s),))
    return Arrangement(tuple(rows), paper_s, standard=True, sequential=sequential)


def choose_gain(view: ECGView) -> float:
    """
    The largest gain in mm/mV at which the usable leads fit the paper; of three or more, one need not.

    A lead fits if 99.5 % of its samples do: neither a spike nor one odd lead changes the scale of the others.
    """
    reaches = sorted(_reach_mv(view, lead) for lead in view.usable_leads)
    if not reaches:
        return GAINS[0]
    reach_mv = reaches[-2] if len(reaches) > 2 else reaches[-1]
    return next((gain for gain in GAINS if reach_mv * gain <= MAX_REACH_MM), GAINS[-1])


def _reach_mv(view: ECGView, lead: int) -> float:
    magnitudes = [np.abs(curve.values_mv[lead][~np.isnan(curve.values_mv[lead])]) for curve in view.curves]
    return max((float(np.quantile(values, 0.995)) for values in magnitudes if values.size), default=0.0)


def place_rows(view: ECGView, arrangement: Arrangement, gain: float) -> Paper:
    """Gives every row the height that its traces and labels need; baselines lie on lines of the large grid."""
    in_row_strips = view.codes is not None and not arrangement.standard
    places: list[RowPlace] = []
    cursor_mm = _ROW_GAP_MM + (_COLUMN_TIME_MM if arrangement.standard else 0.0)
    for segments in arrangement.rows:
        above_mm, below_mm = _extent_mm(view, segments, gain)
        label_mm = max(_MIN_LABEL_MM, *(_top_under_label_mm(view, segment, gain) + 1.5 for segment in segments))
        above_mm = max(_MIN_ABOVE_MM, above_mm, label_mm + _LABEL_HEIGHT_MM)
        baseline_mm = _LARGE_SQUARE_MM * math.ceil((cursor_mm + above_mm) / _LARGE_SQUARE_MM)
        bottom_mm = baseline_mm + max(_MIN_BELOW_MM, below_mm)
        strip_mm = math.ceil(bottom_mm + 1.0) if in_row_strips else None
        places.append(RowPlace(segments, baseline_mm, label_mm, strip_mm))
        cursor_mm = (bottom_mm if strip_mm is None else strip_mm + STRIP_MM) + _ROW_GAP_MM
    width_mm = CALIBRATION_MM + arrangement.paper_s * MM_PER_SECOND + _LARGE_SQUARE_MM
    return Paper(tuple(places), _whole_squares(width_mm), _whole_squares(cursor_mm + TIME_AXIS_MM))


def reach_mm(view: ECGView, lead: int) -> float:
    """How far from its baseline a lead is drawn, in mm."""
    return MAX_REACH_MM if lead not in view.unusable else _MIN_BELOW_MM


def clipped_leads(view: ECGView, arrangement: Arrangement, gain: float) -> list[int]:
    """The usable leads that are drawn somewhere beyond the paper's reach at this gain, in mm/mV."""
    clipped = set()
    for segment in (segment for row in arrangement.rows for segment in row if segment.lead not in view.unusable):
        for curve in view.curves:
            _, values_mv = curve.stretch(segment.lead, segment.start_s, segment.end_s)
            if np.any(np.abs(values_mv) * gain > MAX_REACH_MM):
                clipped.add(segment.lead)
    return sorted(clipped)


def _extent_mm(view: ECGView, segments: tuple[Segment, ...], gain: float) -> tuple[float, float]:
    above_mm = below_mm = 0.0
    for segment in segments:
        limit_mm = reach_mm(view, segment.lead)
        for curve in view.curves:
            _, values_mv = curve.stretch(segment.lead, segment.start_s, segment.end_s)
            values_mm = np.clip(values_mv[~np.isnan(values_mv)] * gain, -limit_mm, limit_mm)
            above_mm = max(above_mm, float(values_mm.max(initial=0.0)))
            below_mm = max(below_mm, -float(values_mm.min(initial=0.0)))
    return above_mm, below_mm


def _top_under_label_mm(view: ECGView, segment: Segment, gain: float) -> float:
    label_s = (4.0 + 2.0 * len(view.lead_names[segment.lead])) / MM_PER_SECOND
    end_s = min(segment.start_s + label_s, segment.end_s)
    labelled = Segment(segment.lead, segment.start_s, end_s, segment.offset_s, segment.room_s)
    return _extent_mm(view, (labelled,), gain)[0]


def _whole_squares(length_mm: float) -> float:
    return _LARGE_SQUARE_MM * math.ceil(round(length_mm / _LARGE_SQUARE_MM, 6))
