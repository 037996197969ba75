# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation: rows with their intervals, reliability, robustness."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .figures import TITLES

_DPI = 120
_INK, _GRID = "#222222", "#e6e6e6"
_COLOURS = {
    "majority": "#8a8a8a",
    "random_probe": "#b58900",
    "handcrafted": "#2b8a3e",
    "resnet": "#7048a8",
    "probe": "#1f5fa8",
    "finetuned": "#c2410c",
}
_LEVELS = {"leads": "leads", "sampling_rate": "Hz"}


def save_plots(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """
    Draws what there is to draw.

    Args:
        results (`Mapping`): What `results.json` holds.
        folder (`Path`): Where to.

    Returns:
        `list[Path]`: `rows.png`, `reliability.png` and, if it was tested, `robustness.png`.
    """
    figures = {"rows.png": draw_rows(results), "reliability.png": draw_reliability(results)}
    if any(test["rows"] for test in results["robustness"]):
        figures["robustness.png"] = draw_robustness(results)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / name)
        # Without a name of the software: the same results make the same file.
        figure.savefig(paths[-1], dpi=_DPI, facecolor="white", metadata={"Software": None})
    return paths


def draw_rows(results: Mapping[str, Any]) -> Figure:
    """Every row's figures with their intervals, a panel a figure; small points are seeds."""
    rows, names = results["rows"], list(next(iter(results["rows"].values()))["figures"])
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = _figure(2.1 + 2.9 * columns, 0.7 + lines * (0.75 + 0.27 * len(rows)))
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for panel, name in zip(panels, names, strict=False):
        for place, (key, row) in enumerate(rows.items()):
            _draw_interval(panel, place, row["figures"][name], _COLOURS[key])
        panel.set_yticks(range(len(rows)), [row["title"] for row in rows.values()])
        panel.set_ylim(-0.6, len(rows) - 0.4)
        _style(panel, TITLES[name])
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    figure.suptitle(_title(results), fontsize=10, color=_INK)
    return figure


def _draw_interval(panel: Axes, place: int, found: Mapping[str, Any] | None, colour: str) -> None:
    if found is None:
        return
    panel.plot([found["low"], found["high"]], [place, place], color=colour, linewidth=2)
    panel.plot(found["estimate"], place, "o", color=colour, markersize=5)
    if len(found["by_seed"]) > 1:
        panel.plot(found["by_seed"], [place - 0.25] * len(found["by_seed"]), ".", color=colour, markersize=3)


def draw_reliability(results: Mapping[str, Any]) -> Figure:
    """How often what was given a probability is so, by row; the area of a point is the share of the records there."""
    rows = results["rows"]
    figure = _figure(2.3 * len(rows) + 0.5, 2.9)
    panels = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    for panel, (key, row) in zip(panels, rows.items(), strict=True):
        curve = row["reliability"]
        counts = np.array(curve["counts"])
        filled = np.flatnonzero(counts)
        x = [curve["mean_probabilities"][place] for place in filled]
        y = [curve["shares"][place] for place in filled]
        panel.plot([0, 1], [0, 1], color=_GRID, linewidth=1.5, zorder=0)
        panel.plot(x, y, color=_COLOURS[key], linewidth=1)
        panel.scatter(x, y, 4 + 150 * counts[filled] / counts.sum(), color=_COLOURS[key])
        error = row["figures"]["calibration_error"]
        _style(panel, row["title"].replace(", ", ",\n") + (f"\nECE {error['estimate']:.3f}" if error else ""))
        panel.set_xlabel("probability", fontsize=8, color=_INK)
        panel.set_xlim(-0.03, 1.03)
        panel.set_ylim(-0.03, 1.03)
    panels[0].set_ylabel("share", fontsize=8, color=_INK)
    figure.suptitle(_title(results), fontsize=10, color=_INK)
    return figure


def draw_robustness(results: Mapping[str, Any]) -> Figure:
    """Change of the main figure against the same records as they are, a panel a way to make them worse."""
    tests, main = results["robustness"], results["task"]["main_figure"]
    kinds = list(dict.fromkeys(test["kind"] for test in tests))
    columns = min(3, len(kinds))
    lines = -(-len(kinds) // columns)
    figure = _figure(0.4 + 2.9 * columns, 1.1 + 2.2 * lines)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for panel, kind in zip(panels, kinds, strict=False):
        found = [test for test in tests if test["kind"] == kind]
        _draw_kind(panel, found, results)
        _style(panel, kind.replace("_", " ") + _fewer_records(found, results))
        panel.set_xlabel(_LEVELS.get(kind, "signal-to-noise ratio, dB"), fontsize=8, color=_INK)
    for panel in panels[len(kinds) :]:
        panel.set_axis_off()
    for panel in panels[::columns]:
        panel.set_ylabel(f"change of {TITLES[main]}", fontsize=8, color=_INK)
    # A panel can lack a row, or all of them.
    named = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        named.values(), named.keys(), loc="outside lower center", ncols=max(len(named), 1), fontsize=8, frameon=False
    )
    figure.suptitle(_title(results), fontsize=10, color=_INK)
    return figure


def _fewer_records(tests: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> str:
    fewest, everything = min(test["records"] for test in tests), results["data"]["test"]["records"]
    return f" ({fewest} records)" if fewest < everything else ""


def _draw_kind(panel: Axes, tests: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> None:
    # Worse to the right, whatever the number says.
    tests = sorted(tests, key=lambda test: -test["value"])
    names = [name for name in results["rows"] if any(name in test["rows"] for test in tests)]
    panel.axhline(0, color=_INK, linewidth=0.8)
    for shift, name in enumerate(names):
        places = [place for place, test in enumerate(tests) if test["rows"].get(name, {}).get("change")]
        found = [tests[place]["rows"][name]["change"] for place in places]
        if not found:
            continue
        x = np.array(places) + 0.12 * (shift - (len(names) - 1) / 2)
        panel.vlines(x, *_ends(found), color=_COLOURS[name], linewidth=1.5, alpha=0.6)
        clean = results["rows"][name]["figures"][results["task"]["main_figure"]]
        label = f"{results['rows'][name]['title']} (as they are: {clean['estimate']:.3f})"
        y = [item["estimate"] for item in found]
        panel.plot(x, y, "o-", color=_COLOURS[name], markersize=4, linewidth=1, label=label)
    panel.set_xticks(range(len(tests)), [f"{test['value']:g}" for test in tests])
    panel.set_xlim(-0.5, len(tests) - 0.5)


def _ends(intervals: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [item["low"] for item in intervals], [item["high"] for item in intervals]


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _style(panel: Axes, title: str) -> None:
    panel.set_title(title, fontsize=9, color=_INK)
    panel.grid(color=_GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=8, length=0, colors=_INK)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _title(results: Mapping[str, Any]) -> str:
    test = results["data"]["test"]
    return f"{results['task']['name']}: {test['records']} records of {test['patients']} patients"


__all__ = ["draw_reliability", "draw_robustness", "draw_rows", "save_plots"]
