# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`save_codebook_gallery`: what each rhythm code stands for, as one picture or one page."""

import textwrap
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from .code_cards import (
    LARGE_DEFLECTION,
    LARGE_S,
    SMALL_S,
    CodeCard,
    Squares,
    class_cards,
    code_cards,
    deflection_cards,
    facts,
    ranges,
    squares,
)
from .code_statistics import CodeSummary
from .codebook_page import codebook_page
from .paper_grid import CAPTION_COLOUR, INK, LARGE_COLOUR, PAPER_COLOUR, SMALL_COLOUR

FORMATS = (".png", ".html")
MOST = {".png": 18, ".html": 1024}

_COLUMNS = 6
_WIDTH_INCHES, _CARD_INCHES = 13.2, (2.15, 1.78)
_MARGIN_INCHES, _LINE_INCHES, _CHART_INCHES = 0.3, 0.19, 1.85
_SECTION_INCHES = 0.32
_CHARACTERS_A_LINE = 178
_DPI = 100
_BAND_COLOUR = "#c3c9d1"
_BAR_COLOUR = "#1f5fa8"
_UNUSED_COLOUR = "#f3d5d5"
_MOST_CLASSES = 10


def save_codebook_gallery(
    statistics: CodeSummary, path: str | PathLike[str], most: int | None = None, title: str = "Rhythm codes"
) -> None:
    """
    Draws codes by frequency: mean patch on ECG paper and its spread, how often, in which leads and rhythm classes; and
    how often all the codes occur, those never used included.

    Args:
        statistics ([`CodeSummary`]): From [`CodeStatistics.finish`].
        path (`str` or `PathLike`): The file: `.png` for a picture, `.html` for one page that needs nothing else, which
            sorts and filters. An existing one is replaced.
        most (`int`, *optional*): Codes to show, the most frequent; by default 18 in a picture and 1024 on a page. The
            picture also has half as many (full rows) with a large deflection, and one for each rhythm class.
        title (`str`, *optional*, defaults to `"Rhythm codes"`): Heading.

    Raises:
        `ValueError`: if the path has another ending, or `most` is not positive.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"a codebook gallery is written as {' or '.join(FORMATS)}, got the path {path}.")
    most = MOST[suffix] if most is None else most
    if most < 1:
        raise ValueError(f"`most` must be at least 1, got {most}.")
    if suffix == ".html":
        path.write_text(codebook_page(statistics, most, title), encoding="utf-8")
        return
    # Without a name of the software: the same codes make the same file.
    draw_codebook_gallery(statistics, most, title).savefig(path, dpi=_DPI, metadata={"Software": None})


def draw_codebook_gallery(statistics: CodeSummary, most: int = MOST[".png"], title: str = "Rhythm codes") -> Figure:
    """
    The picture of [`save_codebook_gallery`].

    Args:
        statistics ([`CodeSummary`]), most (`int`, *optional*), title (`str`, *optional*): As there.

    Returns:
        `matplotlib.figure.Figure`: the chart of counts, that of rhythm classes if any is known, and an `Axes` a code.
    """
    sections = _sections(statistics, most)
    lines = [row for fact in _facts(statistics) for row in textwrap.wrap(fact, _CHARACTERS_A_LINE)]
    head = _MARGIN_INCHES + 0.35 + _LINE_INCHES * len(lines) + 0.25
    heights = [_SECTION_INCHES + -(-len(cards) // _COLUMNS) * _CARD_INCHES[1] for cards in sections.values()]
    height = head + _CHART_INCHES + sum(heights) + 0.15
    page = _Page(Figure((_WIDTH_INCHES, height), facecolor="white"), height)
    FigureCanvasAgg(page.figure)
    page.write(_MARGIN_INCHES, _MARGIN_INCHES, title, 13, weight="bold", gid="title")
    for index, line in enumerate(lines):
        page.write(_MARGIN_INCHES, _MARGIN_INCHES + 0.35 + _LINE_INCHES * index, line, 8.5, color=CAPTION_COLOUR)
    _draw_counts(page.add_axes(0.75, head, 7.6, _CHART_INCHES - 0.6, "counts"), statistics)
    if statistics.class_names:
        _draw_classes(page.add_axes(9.6, head, 3.2, _CHART_INCHES - 0.6, "classes"), statistics)
    paper, top = squares(statistics), head + _CHART_INCHES
    for (name, cards), section_height in zip(sections.items(), heights, strict=True):
        page.write(_MARGIN_INCHES, top, name, 9.5, weight="bold", gid="section")
        for index, card in enumerate(cards):
            left = _MARGIN_INCHES - 0.15 + (index % _COLUMNS) * _CARD_INCHES[0]
            below = top + _SECTION_INCHES + (index // _COLUMNS) * _CARD_INCHES[1]
            _draw_card(page, card, paper, statistics.sampling_rate, left, below)
        top += section_height
    return page.figure


def _sections(statistics: CodeSummary, most: int) -> dict[str, list[CodeCard]]:
    """Headings and what is below them: frequent codes are mostly baseline, so the others have rows of their own."""
    deflection = LARGE_DEFLECTION * (statistics.scale_mv or 1.0)
    sections = {
        f"The {min(most, len(statistics.by_count))} most frequent codes": list(code_cards(statistics, most)),
        f"The most frequent with a deflection of {deflection:.2g} {squares(statistics).unit} or more": list(
            deflection_cards(statistics, _COLUMNS * -(-most // (2 * _COLUMNS)))
        ),
        "The code that each rhythm class is most enriched in: the highest of all codes, which is chance in part": list(
            class_cards(statistics)
        ),
    }
    return {name: cards for name, cards in sections.items() if cards}


class _Page:
    """A figure in inches from its upper left corner."""

    def __init__(self, figure: Figure, height: float):
        self.figure = figure
        self.height = height

    def write(self, x: float, y: float, text: str, size_pt: float, **style: str) -> None:
        style = {"ha": "left", "va": "top", "color": INK, **style}
        place = x / _WIDTH_INCHES, 1 - y / self.height
        self.figure.text(*place, text, fontsize=size_pt, family="DejaVu Sans", parse_math=False, **style)

    def add_axes(self, x: float, y: float, width: float, height: float, label: str) -> Axes:
        bottom = 1 - (y + height) / self.height
        place = (x / _WIDTH_INCHES, bottom, width / _WIDTH_INCHES, height / self.height)
        ax = self.figure.add_axes(place, label=label)
        ax.tick_params(labelsize=7, colors=CAPTION_COLOUR, length=2, pad=2)
        return ax


def _facts(statistics: CodeSummary) -> list[str]:
    lines = facts(statistics)
    if len(statistics.unused):
        never = textwrap.shorten(ranges(statistics.unused.tolist()), 2 * _CHARACTERS_A_LINE, placeholder=" ...")
        lines.append(f"Never used ({len(statistics.unused)}): {never}")
    return lines


def _draw_counts(ax: Axes, statistics: CodeSummary) -> None:
    counts = np.sort(statistics.counts)[::-1]
    used, size = len(statistics.by_count), statistics.codebook_size
    edges, heights = np.arange(size + 1) + 0.5, np.append(counts, counts[-1])
    ax.fill_between(edges, heights, step="post", color=_BAR_COLOUR, linewidth=0, gid="counts")
    ax.axhline(statistics.patches / size, color=CAPTION_COLOUR, linewidth=0.8, linestyle="--", gid="uniform")
    if used < size:
        ax.axvspan(used + 0.5, size + 0.5, color=_UNUSED_COLOUR, linewidth=0, zorder=0, gid="unused")
    ax.set(xlim=(0.5, size + 0.5), ylim=(0, None))
    never = f", {size - used} never used (red)" if used < size else ""
    _title(ax, f"Patches of each code by rank{never}; dashed: all codes alike")
    ax.set_xlabel("rank", fontsize=7.5, color=CAPTION_COLOUR, labelpad=1)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_classes(ax: Axes, statistics: CodeSummary) -> None:
    names = statistics.class_names[:_MOST_CLASSES]
    left_out = len(statistics.class_names) - len(names)
    counts = statistics.class_records[: len(names)]
    places = np.arange(len(names))
    ax.barh(places, counts, color=_BAR_COLOUR, height=0.7)
    for place, count in zip(places, counts, strict=True):
        ax.annotate(f"{count}", (count, place), (2, 0), textcoords="offset points", va="center", fontsize=6.5)
    ax.set_yticks(places, names, parse_math=False)
    ax.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, 1.12 * counts.max()))
    ax.set_xticks([])
    _title(ax, "Records by rhythm class" + (f" ({left_out} rarer ones not shown)" if left_out else ""))
    ax.spines[["top", "right", "bottom"]].set_visible(False)


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left", fontsize=8.5, color=INK, pad=4, parse_math=False)


def _draw_card(page: _Page, card: CodeCard, paper: Squares, sampling_rate: float, left: float, top: float) -> None:
    x, width = left + 0.3, _CARD_INCHES[0] - 0.42
    page.write(x, top, f"code {card.code}", 8.5, weight="bold", gid="code")
    page.write(x + width, top + 0.02, f"#{card.rank} · {card.share:.2%} · {card.records} rec.", 7, ha="right")
    ax = page.add_axes(x, top + 0.19, width, 1.1, f"code {card.code}")
    seconds = np.arange(len(card.mean)) / sampling_rate
    end_s = len(card.mean) / sampling_rate
    ax.set_facecolor(PAPER_COLOUR)
    _draw_squares(ax, card, paper, end_s)
    ax.fill_between(seconds, card.low, card.high, color=_BAND_COLOUR, linewidth=0, zorder=2, alpha=0.85)
    ax.plot(seconds, card.mean, color=INK, linewidth=1.3, zorder=4, gid="mean")
    ax.set(xlim=(0, end_s), ylim=(card.bottom, card.top), xticks=[])
    ax.set_yticks([card.bottom, card.top], [f"{card.bottom:.1f}", f"{card.top:.1f}"])
    ax.tick_params(labelsize=6, pad=1)
    ax.spines[:].set_visible(False)
    page.write(x, top + 1.32, card.lead_text, 7, color=CAPTION_COLOUR)
    page.write(x, top + 1.46, card.class_text, 7, color=CAPTION_COLOUR)


def _draw_squares(ax: Axes, card: CodeCard, paper: Squares, end_s: float) -> None:
    for step_s, height, colour in ((SMALL_S, paper.small, SMALL_COLOUR), (LARGE_S, paper.large, LARGE_COLOUR)):
        columns = np.arange(0.0, end_s + 1e-9, step_s)
        rows = height * np.arange(np.ceil(card.bottom / height - 1e-6), card.top / height + 1e-6)
        lines = [((column, card.bottom), (column, card.top)) for column in columns]
        lines += [((0.0, row), (end_s, row)) for row in rows]
        ax.add_collection(LineCollection(lines, colors=colour, linewidths=0.5, zorder=1), autolim=False)


__all__ = ["FORMATS", "MOST", "draw_codebook_gallery", "save_codebook_gallery"]
