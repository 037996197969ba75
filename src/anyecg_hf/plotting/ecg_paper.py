# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`plot_ecg`: a record on ECG paper, with its reconstruction and its rhythm codes."""

import textwrap
from collections.abc import Mapping, Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .code_strip import MASKED_EDGE, MASKED_FACE, MASKED_HATCH, cells_in_window, draw_code_strip
from .layout import (
    CALIBRATION_MM,
    GAINS,
    MARGIN_MM,
    MAX_REACH_MM,
    MM_PER_SECOND,
    STANDARD_LEADS,
    STRIP_MM,
    TIME_AXIS_MM,
    Arrangement,
    Paper,
    arrange,
    choose_gain,
    clipped_leads,
    place_rows,
)
from .lead_traces import RECONSTRUCTION_PEN, RECORD_PEN, UNUSABLE_PEN, draw_row
from .paper_grid import CAPTION_COLOUR, draw_calibration_pulse, draw_grid, draw_time_axis, write
from .view import ECGView, make_view

MM_PER_INCH = 25.4
# Six pixels a millimetre, so that every grid line falls on whole pixels.
DPI = 6 * MM_PER_INCH
FORMATS = (".png", ".pdf", ".svg")

_TITLE_MM = 6.0
_LINE_MM = 4.0
_PANEL_PITCH_MM = STRIP_MM + 0.5


def plot_ecg(
    signal_mv: np.ndarray,
    sampling_rate: float,
    lead_names: Sequence[str],
    *,
    reconstruction_mv: np.ndarray | None = None,
    reconstruction_rate: float = 300.0,
    codes: np.ndarray | None = None,
    patch_seconds: float = 1.0,
    unusable: Mapping[int, str] | None = None,
    title: str = "",
    subtitle: str = "",
    start_s: float = 0.0,
    duration_s: float = 10.0,
    reconstruction_label: str = "Reconstruction from its rhythm codes",
) -> Figure:
    r"""
    Draws a record on ECG paper, 25 mm/s and 10 mm/mV, true to scale at the figure's own size.

    The 12 standard leads, in any order, are laid out in 3 rows of 4 columns with a rhythm strip of lead II (V1 or V5
    where II is unusable) and their codes below; a record too short for columns that follow each other shows the same
    seconds in every column. Any other set of leads has one row a lead, with its codes under it.

    What is drawn is what is passed, with one exception: the median of the window is subtracted from each lead, because
    raw baselines can lie many mV off, and the reconstruction is shifted to the record's median where both have samples;
    an offset between the two is therefore not visible. NaN and infinite samples leave gaps. Nothing is drawn of the
    reconstruction where the codes are masked or the lead is unusable. Where the leads are too large for 10 mm/mV the
    figure uses 5 or 2.5 mm/mV; what still reaches beyond 40 mm from the baseline is clipped and marked. The footer
    states both.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`, float32):
            The record in mV, raw or cleaned.
        sampling_rate (`float`):
            Its sampling rate in Hz.
        lead_names (`Sequence[str]`):
            One name a lead.
        reconstruction_mv (`np.ndarray` of shape `(leads, samples')`, float32, *optional*):
            The waveform decoded from the codes, in mV, starting with the record; samples beyond its end are ignored.
        reconstruction_rate (`float`, *optional*, defaults to 300.0):
            Sampling rate of the reconstruction in Hz.
        codes (`np.ndarray` of shape `(leads, patches)` or `(leads, patches, quantizers)`, int64, *optional*):
            Rhythm codes, negative where masked. With several quantizers the first is shown, and the figure says so.
        patch_seconds (`float`, *optional*, defaults to 1.0):
            Length of a patch in seconds.
        unusable (`Mapping[int, str]`, *optional*):
            Reason for each unusable lead, by its index: drawn in grey and labelled.
        title (`str`, *optional*, defaults to `""`):
            Heading, for example the record's name.
        subtitle (`str`, *optional*, defaults to `""`):
            Smaller lines under it.
        start_s (`float`, *optional*, defaults to 0.0):
            Where in the record the figure begins, in seconds.
        duration_s (`float`, *optional*, defaults to 10.0):
            How much of it to show, in seconds, at most 60; less where the record ends earlier.
        reconstruction_label (`str`, *optional*):
            What the legend calls the reconstruction.

    Returns:
        `matplotlib.figure.Figure`: With its own Agg canvas; pyplot is not involved. Its one `Axes` has the millimetre
        as unit, y downwards.

    Raises:
        `ValueError`: If a shape, rate, time or lead index does not fit the record.
        `TypeError`: If the codes are not integers.

    Example:

    ```python
    >>> import numpy as np
    >>> from anyecg_hf.plotting import plot_ecg, save_figure

    >>> seconds = np.arange(3000) / 300
    >>> figure = plot_ecg(np.sin(2 * np.pi * seconds)[None], 300, ["II"], title="A sine of 1 Hz")
    >>> save_figure(figure, "sine.png")
    ```
    """
    view = make_view(
        signal_mv,
        sampling_rate,
        lead_names,
        reconstruction_mv=reconstruction_mv,
        reconstruction_rate=reconstruction_rate,
        codes=codes,
        patch_seconds=patch_seconds,
        unusable=unusable,
        start_s=start_s,
        duration_s=duration_s,
    )
    arrangement = arrange(view)
    gain = choose_gain(view)
    paper = place_rows(view, arrangement, gain)
    panel_leads = _panel_leads(view, arrangement)

    subtitle_lines = _wrapped(subtitle, paper.width_mm, mm_per_character=1.7)
    title_lines = _wrapped(title, paper.width_mm, mm_per_character=2.6)
    footer_lines = _wrapped(_footer(view, arrangement, gain), paper.width_mm, mm_per_character=1.25)
    header_mm = _TITLE_MM * len(title_lines) + _LINE_MM * len(subtitle_lines) + _TITLE_MM
    panel_mm = _LINE_MM + 3.0 + _PANEL_PITCH_MM * len(panel_leads) if panel_leads else 0.0
    paper_y_mm = MARGIN_MM + np.ceil(header_mm)
    footer_y_mm = paper_y_mm + paper.height_mm + np.ceil(panel_mm) + 2.0
    height_mm = footer_y_mm + _LINE_MM * len(footer_lines) + MARGIN_MM / 2

    figure, ax = _blank_page(paper.width_mm + 2 * MARGIN_MM, height_mm)
    y_mm = _write_lines(ax, title_lines, MARGIN_MM, 12, _TITLE_MM, weight="bold", gid="title")
    y_mm = _write_lines(ax, subtitle_lines, y_mm, 8, _LINE_MM, color=CAPTION_COLOUR, gid="subtitle")
    _draw_legend(ax, view, y_mm, reconstruction_label)
    draw_grid(ax, MARGIN_MM, paper_y_mm, paper.width_mm, paper.height_mm)
    _draw_paper(ax, view, arrangement, paper, paper_y_mm, gain)
    if panel_leads:
        _draw_panel(ax, view, panel_leads, paper_y_mm + paper.height_mm + 3.0)
    _write_lines(ax, footer_lines, footer_y_mm, 6.5, _LINE_MM, color=CAPTION_COLOUR, gid="footer")
    return figure


def save_figure(fig: Figure, path: str | PathLike[str]) -> None:
    """
    Writes a figure at its true size; a PNG has 6 pixels a millimetre (152.4 dpi).

    Args:
        fig (`matplotlib.figure.Figure`): From `plot_ecg`.
        path (`str` or `PathLike`): File to write, ending in `.png`, `.pdf` or `.svg`. An existing file is replaced.

    Raises:
        `ValueError`: If the ending is none of these.
        `FileNotFoundError`: If the folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"A figure is written as {', '.join(FORMATS)}; got the path {path}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"Cannot write {path}: its folder {path.parent} does not exist.")
    # All three would otherwise come from the user's matplotlibrc, and a tight box would change the scale.
    fig.savefig(path, dpi=fig.dpi, bbox_inches=fig.bbox_inches, facecolor=fig.get_facecolor())


def png_bytes(fig: Figure, pixels_a_mm: int = 6) -> bytes:
    """
    A figure as PNG, at a whole number of pixels a millimetre, without a file.

    Args:
        fig (`matplotlib.figure.Figure`): From `plot_ecg`.
        pixels_a_mm (`int`, *optional*, defaults to 6): Pixels a millimetre.

    Returns:
        `bytes`
    """
    buffer = BytesIO()
    fig.savefig(
        buffer,
        format="png",
        dpi=pixels_a_mm * MM_PER_INCH,
        bbox_inches=fig.bbox_inches,
        facecolor=fig.get_facecolor(),
    )
    return buffer.getvalue()


def _blank_page(width_mm: float, height_mm: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    ax.set_autoscale_on(False)
    ax.set(xlim=(0.0, width_mm), ylim=(height_mm, 0.0))
    return figure, ax


def _wrapped(text: str, width_mm: float, mm_per_character: float) -> list[str]:
    width = int(width_mm / mm_per_character)
    return [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, width)]


def _write_lines(ax: Axes, lines: list[str], y_mm: float, size_pt: float, pitch_mm: float, **style: str) -> float:
    for line in lines:
        write(ax, MARGIN_MM, y_mm, line, size_pt, **style)
        y_mm += pitch_mm
    return y_mm


def _panel_leads(view: ECGView, arrangement: Arrangement) -> list[int]:
    if view.codes is None or not arrangement.standard:
        return []
    index = {name.casefold(): lead for lead, name in enumerate(view.lead_names)}
    return [index[name.casefold()] for name in STANDARD_LEADS]


def _draw_legend(ax: Axes, view: ECGView, y_mm: float, reconstruction_label: str) -> None:
    kinds = [
        (RECORD_PEN, "Record", bool(view.usable_leads)),
        (RECONSTRUCTION_PEN, reconstruction_label, view.reconstruction is not None),
        (UNUSABLE_PEN, "Unusable lead", bool(view.unusable)),
    ]
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=pen.colour, linewidth=1.2, label=label) for pen, label, shown in kinds if shown
    ]
    leads = range(len(view.lead_names)) if view.codes is not None else ()
    if any(cell.code < 0 for lead in leads for cell in cells_in_window(view, lead)):
        style = {"facecolor": MASKED_FACE, "edgecolor": MASKED_EDGE, "hatch": MASKED_HATCH}
        handles.append(Patch(**style, linewidth=0.5, label="Masked patch"))
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(MARGIN_MM, y_mm),
        bbox_transform=ax.transData,
        ncols=len(handles),
        frameon=False,
        borderpad=0.0,
        borderaxespad=0.0,
        handlelength=1.8,
        handletextpad=0.6,
        columnspacing=1.8,
        prop={"family": "DejaVu Sans", "size": 8},
    )


def _draw_paper(
    ax: Axes, view: ECGView, arrangement: Arrangement, paper: Paper, paper_y_mm: float, gain: float
) -> None:
    trace_x_mm = MARGIN_MM + CALIBRATION_MM
    for row in paper.rows:
        draw_calibration_pulse(ax, MARGIN_MM, paper_y_mm + row.baseline_mm, gain)
        draw_row(ax, view, row, trace_x_mm, paper_y_mm, gain)
        if row.strip_mm is not None:
            draw_code_strip(ax, view, row.segments[0].lead, trace_x_mm, paper_y_mm + row.strip_mm)
            _write_strip_label(ax, "codes", paper_y_mm + row.strip_mm)
    if arrangement.standard:
        _write_column_times(ax, paper, trace_x_mm, paper_y_mm)
    draw_time_axis(ax, trace_x_mm, paper_y_mm + paper.height_mm - TIME_AXIS_MM, view.start_s, view.end_s)


def _write_column_times(ax: Axes, paper: Paper, x_mm: float, paper_y_mm: float) -> None:
    for segment in paper.rows[0].segments:
        text = f"{segment.start_s:g} to {segment.end_s:g} s"
        column_mm = x_mm + segment.offset_s * MM_PER_SECOND
        write(ax, column_mm, paper_y_mm + 1.0, text, 6.5, color=CAPTION_COLOUR, gid="column-time")


def _draw_panel(ax: Axes, view: ECGView, leads: list[int], y_mm: float) -> None:
    x_mm = MARGIN_MM + CALIBRATION_MM
    heading = f"Rhythm codes of all leads, one cell per {view.patch_seconds:g} s patch"
    write(ax, x_mm, y_mm, heading, 8, weight="bold", gid="panel-heading")
    for place, lead in enumerate(leads):
        strip_mm = y_mm + _LINE_MM + place * _PANEL_PITCH_MM
        draw_code_strip(ax, view, lead, x_mm, strip_mm)
        _write_strip_label(ax, view.lead_names[lead], strip_mm)


def _write_strip_label(ax: Axes, text: str, strip_mm: float) -> None:
    style = {"color": CAPTION_COLOUR, "ha": "right", "va": "center_baseline", "gid": "strip-label"}
    write(ax, MARGIN_MM + CALIBRATION_MM - 1.5, strip_mm + STRIP_MM / 2, text, 7, **style)


def _footer(view: ECGView, arrangement: Arrangement, gain: float) -> str:
    names = view.lead_names
    reduced = "" if gain == GAINS[0] else f" (reduced from {GAINS[0]:g} to fit the amplitudes)"
    scale = (
        f"{MM_PER_SECOND:g} mm/s, {gain:g} mm/mV{reduced}: a small square is {1 / MM_PER_SECOND:g} s and "
        f"{1 / gain:g} mV when printed at full size."
    )
    notes = [f"Shown: {view.start_s:g} to {view.end_s:g} s of {view.record_s:g} s, each lead about its median."]
    if not arrangement.sequential:
        notes.append("All columns show the same seconds (short record).")
    if view.codes is not None:
        codebook = f" in the first of {view.num_quantizers} codebooks" if view.num_quantizers > 1 else ""
        notes.append(f"Cells: index of the rhythm code{codebook}, as number and colour.")
    if view.unusable:
        notes.append(f"Unusable: {_unusable_by_reason(view)}.")
    clipped = clipped_leads(view, arrangement, gain)
    if clipped:
        notes.append(f"Clipped beyond {MAX_REACH_MM / gain:g} mV: {', '.join(names[lead] for lead in clipped)}.")
    return f"{scale} Research software, not a medical device.\n{' '.join(notes)}"


def _unusable_by_reason(view: ECGView) -> str:
    names: dict[str, list[str]] = {}
    for lead, reason in sorted(view.unusable.items()):
        names.setdefault(reason, []).append(view.lead_names[lead])
    return "; ".join(f"{', '.join(leads)} ({reason})" for reason, leads in names.items())
