# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`save_training_curves`: what a training run logged, as small multiples in one picture."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from .paper_grid import CAPTION_COLOUR, INK

_STEP, _LOSS, _VALIDATION, _LEARNING_RATE = "step", "loss", "validation_", "learning_rate"
_SHARES = ("codebook_usage", "model_flop_utilisation")
_LOGARITHMIC = (_LOSS, "gradient_norm")
# Panels in this order, then those of unknown keys, then validation.
_SINGLE = (
    *(_LEARNING_RATE, "gradient_norm", "perplexity", "codebook_usage"),
    *("records_per_s", "tokens_per_s", "model_flop_utilisation"),
)
_TITLES = {
    "perplexity": "Codebook perplexity",
    "codebook_usage": "Codebook in use",
    "records_per_s": "Records / s",
    "tokens_per_s": "Tokens / s",
    "model_flop_utilisation": "Model FLOP utilisation",
}

_COLUMNS = 3
_PANEL_INCHES = (3.7, 2.2)
_DPI = 120
_COLOURS = ("#1f5fa8", "#c2410c", "#2b8a3e", "#7048a8", "#b58900", "#0c8599", "#a61e4d", "#555555")
_GRID_COLOUR = "#e6e6e6"
_NOT_FINITE_COLOUR = "#d6001c"
_LEGEND_COLUMNS, _LEGEND_ROW_PT = 3, 9.5
# From so many values on, a mean over a twentieth of them is drawn over the values themselves.
_SMOOTHED_FROM = 100
_SMOOTHED_SHARE = 20
# Fewer values than this are points joined by lines.
_MARKED_BELOW = 30


@dataclass(frozen=True)
class _Curve:
    """Values of one key: `steps` `(n,)` and `values` `(n,)` float64, some of which may not be finite."""

    label: str
    steps: np.ndarray
    values: np.ndarray

    @property
    def finite(self) -> np.ndarray:
        return np.isfinite(self.values)


@dataclass(frozen=True)
class _Panel:
    title: str
    curves: tuple[_Curve, ...]
    logarithmic: bool = False
    share: bool = False


def save_training_curves(
    metrics: Sequence[Mapping[str, Any]] | str | PathLike[str], path: str | PathLike[str], title: str = ""
) -> None:
    """
    Draws what a run logged over its steps: loss (with that of validation), its terms, learning rate, gradient norm,
    codebook, throughput, whatever other number was logged, and validation, each in a panel of its own.

    Losses and gradient norms have a logarithmic axis unless a value is negative; zeros are not on it. Values that are
    not finite leave a gap and a red mark at the top. Where a run went back to a checkpoint, what it had logged beyond
    is left out.

    Args:
        metrics (`list[dict]`, `str` or `PathLike`):
            Lines of `metrics.jsonl`, or its path: each has `step` and any numbers, `<term>_loss` and
            `validation_<metric>` among them. Other values and `null` are not drawn. A last line in a file that was cut
            off in the middle is left out.
        path (`str` or `PathLike`):
            The file, ending in `.png`. An existing one is replaced.
        title (`str`, *optional*, defaults to `""`):
            Heading, for example the run's name.

    Raises:
        `ValueError`: if the path has another ending, a line is no JSON object with a whole number as `step`, or there
            is nothing to draw.
        `OSError`: if a file cannot be read or written.

    Example:

    ```python
    >>> save_training_curves("run/metrics.jsonl", "run/metrics.png")
    ```
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"training curves are written as .png, got the path {path}.")
    is_file = isinstance(metrics, (str, PathLike))
    lines = _read(Path(metrics)) if is_file else list(metrics)
    figure = draw_training_curves(lines, title, source=str(metrics) if is_file else "metrics")
    # Without a name of the software: the same run makes the same file.
    figure.savefig(path, dpi=_DPI, facecolor="white", metadata={"Software": None})


def draw_training_curves(metrics: Sequence[Mapping[str, Any]], title: str = "", source: str = "metrics") -> Figure:
    """
    The figure of [`save_training_curves`], one `Axes` a panel.

    Args:
        metrics (`list[dict]`): Lines, as there.
        title (`str`, *optional*, defaults to `""`): Heading.
        source (`str`, *optional*, defaults to `"metrics"`): What errors call the lines.

    Returns:
        `matplotlib.figure.Figure`

    Raises:
        `ValueError`: as there.
    """
    curves = {curve.label: curve for curve in _curves(_by_step(metrics, source))}
    panels = list(_panels(curves))
    if not panels:
        raise ValueError(f"{source}: expected numbers logged beside `{_STEP}`, found none in {len(metrics)} lines.")
    rows = -(-len(panels) // _COLUMNS)
    columns = min(len(panels), _COLUMNS)
    width, height = _PANEL_INCHES
    head = 0.35 if title else 0.0
    figure = Figure((columns * width, rows * height + head), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.09, h_pad=0.07)
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, weight="bold", parse_math=False)
    all_steps = np.concatenate([curve.steps for curve in curves.values()])
    for index, panel in enumerate(panels):
        ax = figure.add_subplot(rows, columns, index + 1)
        _draw_panel(ax, panel, (all_steps.min(), all_steps.max()))
        if index + columns >= len(panels):
            ax.set_xlabel("step", fontsize=8, color=CAPTION_COLOUR)
    return figure


def _read(path: Path) -> list[Mapping[str, Any]]:
    lines = [(number, line) for number, line in enumerate(path.read_text("utf-8").splitlines(), 1) if line.strip()]
    found = []
    for number, line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            # A run that was killed while it wrote.
            if number == lines[-1][0] and len(lines) > 1:
                break
            raise ValueError(f"{path}, line {number}: expected a JSON object, found {line[:40]!r} ({error}).") from None
    return found


def _by_step(metrics: Iterable[Mapping[str, Any]], source: str) -> dict[int, dict[str, Any]]:
    """Lines joined by step, in order; a step back means that the run was resumed there."""
    rows: dict[int, dict[str, Any]] = {}
    last = -1
    for number, line in enumerate(metrics, 1):
        step = line.get(_STEP) if isinstance(line, Mapping) else None
        if not isinstance(step, int) or isinstance(step, bool):
            raise ValueError(f"{source}, line {number}: expected an object with `step`, a whole number, got {line!r}.")
        if step < last:
            rows = {earlier: row for earlier, row in rows.items() if earlier <= step}
        rows[step] = rows.get(step, {}) | dict(line)
        last = step
    return rows


def _curves(rows: Mapping[int, Mapping[str, Any]]) -> Iterator[_Curve]:
    keys = dict.fromkeys(key for row in rows.values() for key in row if key != _STEP)
    for key in keys:
        points = [(step, row[key]) for step, row in rows.items() if _is_number(row.get(key))]
        if points:
            steps, values = np.array(points, dtype=np.float64).T
            yield _Curve(key, steps, values)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _panels(curves: dict[str, _Curve]) -> Iterator[_Panel]:
    left = dict(curves)
    losses = [curve for name in (_LOSS, _VALIDATION + _LOSS) if (curve := left.pop(name, None))]
    if losses:
        yield _Panel("Loss", tuple(losses), _can_be_logarithmic(losses))
    terms = [left.pop(name) for name in list(left) if name.endswith("_loss") and not name.startswith(_VALIDATION)]
    if terms:
        yield _Panel("Loss terms", tuple(terms), _can_be_logarithmic(terms))
    others = [name for name in left if name not in _SINGLE and not name.startswith(_VALIDATION)]
    validation = [name for name in left if name.startswith(_VALIDATION)]
    for name in (*_SINGLE, *others, *validation):
        if name in left:
            logarithmic = name.endswith(_LOGARITHMIC) and _can_be_logarithmic([left[name]])
            yield _Panel(_title(name), (left[name],), logarithmic, share=name.endswith(_SHARES))


def _title(name: str) -> str:
    if name.startswith(_VALIDATION):
        return f"Validation: {_words(name.removeprefix(_VALIDATION))}"
    return _TITLES.get(name) or _words(name)[:1].upper() + _words(name)[1:]


def _legend_label(name: str) -> str:
    """Name of a curve among others: they are all losses."""
    return {_LOSS: "training", _VALIDATION + _LOSS: "validation"}.get(name) or _words(name.removesuffix("_loss"))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _can_be_logarithmic(curves: Sequence[_Curve]) -> bool:
    values = np.concatenate([curve.values[curve.finite] for curve in curves])
    return bool((values > 0).any()) and not (values < 0).any()


def _draw_panel(ax: Axes, panel: _Panel, steps: tuple[float, float]) -> None:
    for curve, colour in zip(panel.curves, _cycle(len(panel.curves)), strict=True):
        _draw_curve(ax, curve, colour, panel.logarithmic)
    if panel.logarithmic:
        ax.set_yscale("log", nonpositive="mask")
        _label_log_axis(ax, panel)
    elif panel.share:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    else:
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.6g}")
    room = 0.02 * (steps[1] - steps[0]) or 1.0
    ax.set_xlim(steps[0] - room, steps[1] + room)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(color=_GRID_COLOUR, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=7.5, colors=CAPTION_COLOUR, length=2)
    # The legend lies between the title and the axes, where it hides nothing.
    style = {"fontsize": 9, "weight": "bold", "color": INK, "parse_math": False}
    ax.set_title(panel.title, loc="left", pad=4 + _LEGEND_ROW_PT * _draw_legend(ax), **style)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _draw_curve(ax: Axes, curve: _Curve, colour: str, logarithmic: bool) -> None:
    values = np.where(curve.finite, curve.values, np.nan)
    label = _legend_label(curve.label)
    if logarithmic and not (values > 0).any():
        label += " (0)"
    few = len(values) < _MARKED_BELOW
    smooth = len(values) >= _SMOOTHED_FROM and curve.label != _LEARNING_RATE
    style = {"marker": "o", "markersize": 2.5} if few else {}
    ax.plot(
        *(curve.steps, values),
        color=colour,
        alpha=0.3 if smooth else 1.0,
        linewidth=0.7 if smooth else 1.2,
        label="_values" if smooth else label,
        gid=curve.label,
        **style,
    )
    if smooth:
        mean = _running_mean(values, max(3, len(values) // _SMOOTHED_SHARE), logarithmic)
        ax.plot(curve.steps, mean, color=colour, linewidth=1.4, label=label, gid=f"{curve.label}-mean")
    if not curve.finite.all():
        at_top = ax.get_xaxis_transform()
        steps = curve.steps[~curve.finite]
        ax.plot(
            *(steps, np.full(len(steps), 0.97)),
            transform=at_top,
            marker="v",
            color=_NOT_FINITE_COLOUR,
            markersize=4,
            linestyle="none",
            label="not finite",
            gid="not-finite",
        )


def _running_mean(values: np.ndarray, width: int, logarithmic: bool) -> np.ndarray:
    """Centred mean over `width` values, geometric on a logarithmic axis; NaN only where no value is near."""
    if logarithmic:
        values = np.log(np.where(values > 0, values, np.nan))
    known = np.isfinite(values)
    window = np.ones(width)
    total = np.convolve(np.where(known, values, 0.0), window, mode="same")
    count = np.convolve(known.astype(np.float64), window, mode="same")
    mean = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
    return np.exp(mean) if logarithmic else mean


def _label_log_axis(ax: Axes, panel: _Panel) -> None:
    """Less than two decades need more labels than powers of ten."""
    values = np.concatenate([curve.values[curve.finite & (curve.values > 0)] for curve in panel.curves])
    decades = math.log10(values.max() / values.min())
    if decades < 2.0:
        subs = (1.0, 2.0, 5.0) if decades > 0.7 else tuple(np.arange(1.0, 10.0, 1.0))
        ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def _draw_legend(ax: Axes) -> int:
    """Draws a legend above the axes if there is anything to tell apart; returns its rows."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if len(handles) < 2:
        return 0
    legend = ax.legend(
        *(handles.values(), handles.keys()),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=_LEGEND_COLUMNS,
        fontsize=6.5,
        handlelength=1.2,
        columnspacing=1.0,
        labelspacing=0.2,
        borderpad=0.2,
        borderaxespad=0.0,
        frameon=False,
    )
    # A wide one must not make its column wide.
    legend.set_in_layout(False)
    return -(-len(handles) // _LEGEND_COLUMNS)


__all__ = ["draw_training_curves", "save_training_curves"]
