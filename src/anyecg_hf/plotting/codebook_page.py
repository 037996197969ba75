# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The codebook gallery as one HTML page without outside resources: it sorts and filters, and reads without scripts."""

import json
from html import escape
from string import Template

import numpy as np

from .code_cards import LARGE_S, SMALL_S, CodeCard, Squares, code_cards, facts, ranges, squares
from .code_statistics import ClassUse, CodeSummary
from .lead_traces import RECONSTRUCTION_PEN
from .paper_grid import INK, LARGE_COLOUR, PAPER_COLOUR, SMALL_COLOUR

# A record's own patch, in the one colour that is not the paper's.
PATCH_COLOUR = RECONSTRUCTION_PEN.colour
_WIDTH, _HEIGHT = 200, 110
_MOST_POINTS = 100
_BARS, _BARS_HEIGHT = 512, 70

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; color: $ink; margin: 1.5em; }
h1 { font-size: 1.4em; margin: 0 0 .4em; }
p { margin: .15em 0; color: #555; max-width: 75em; }
details { margin: .4em 0; color: #555; max-width: 75em; }
form { margin: 1em 0; position: sticky; top: 0; background: white; padding: .5em 0; }
label { margin-right: 1.2em; white-space: nowrap; }
#codes { display: grid; grid-template-columns: repeat(auto-fill, minmax(215px, 1fr)); gap: 1em; }
#counts { width: 100%; max-width: 75em; height: 7em; }
article { font-size: 12px; }
article h2 { font-size: 13px; margin: 0; display: flex; justify-content: space-between; }
article h2 span { font-weight: normal; color: #555; }
article svg { width: 100%; display: block; background: $paper; }
article table { border-collapse: collapse; width: 100%; }
article td { padding: 0 .5em 0 0; color: #555; }
article tr.few td { color: #bbb; }
article summary { cursor: pointer; }
table.classes td, table.classes th { text-align: left; padding-right: 1.5em; }
[hidden] { display: none; }
</style>
</head>
<body>
<h1>$title</h1>
$facts
<p>Patches of each code by rank, the most frequent first; dashed: all codes alike.</p>
$bars
$never
$classes
<form onsubmit="return false">
<label>Sort by <select id="sort"><option value="rank">frequency</option><option value="code">code</option>
<option value="records">records</option><option value="swing">deflection</option>$sorts</select></label>
<label>Most in lead <select id="lead"><option value="">any</option>$leads</select></label>
<label>Code <input id="code" size="6" inputmode="numeric"></label>
<span id="shown"></span>
</form>
<div id="codes">
$cards
</div>
<script>
const box = document.getElementById("codes"), cards = [...box.children];
const sort = document.getElementById("sort"), lead = document.getElementById("lead");
const code = document.getElementById("code"), shown = document.getElementById("shown");
for (const card of cards) card.use = JSON.parse(card.dataset.classes);
function key(card) {
  if (sort.value === "records" || sort.value === "swing") return -card.dataset[sort.value];
  if (sort.value.startsWith("class:")) return -(card.use[sort.value.slice(6)] || 0);
  return +card.dataset[sort.value];
}
function show() {
  const byClass = sort.value.startsWith("class:") ? sort.value.slice(6) : null;
  const wanted = code.value.trim();
  let count = 0;
  for (const card of cards) {
    card.hidden = (lead.value !== "" && card.dataset.lead !== lead.value)
      || (wanted !== "" && card.dataset.code !== wanted)
      || (byClass !== null && !Object.hasOwn(card.use, byClass));
    count += !card.hidden;
  }
  cards.sort((a, b) => key(a) - key(b) || a.dataset.rank - b.dataset.rank);
  box.append(...cards);
  shown.textContent = count + " codes";
}
for (const control of [sort, lead, code]) control.addEventListener("input", show);
show();
</script>
</body>
</html>
""")


def codebook_page(summary: CodeSummary, most: int, title: str) -> str:
    """
    Writes the page.

    Args:
        summary ([`CodeSummary`]): What to tell.
        most (`int`): Codes to draw, the most frequent; all count in the chart and the figures.
        title (`str`): Heading.

    Returns:
        `str`: HTML; every name in it is escaped.
    """
    cards, paper = list(code_cards(summary, most)), squares(summary)
    lines = facts(summary)
    if len(cards) < len(summary.by_count):
        lines.append(f"Shown: the {len(cards)} most frequent codes.")
    leads = sorted({card.leads[0].name for card in cards}, key=summary.lead_names.index)
    return _PAGE.substitute(
        title=escape(title),
        ink=INK,
        paper=PAPER_COLOUR,
        facts="\n".join(f"<p>{escape(line)}</p>" for line in lines),
        bars=_bars(summary),
        never=_never_used(summary),
        classes=_class_table(summary),
        sorts="".join(_option(f"class:{name}", f"enrichment in {name}") for name in summary.class_names),
        leads="".join(_option(name, name) for name in leads),
        cards="\n".join(code_card_html(card, paper, summary.sampling_rate) for card in cards),
    )


def _option(value: str, text: str) -> str:
    return f'<option value="{escape(value)}">{escape(text)}</option>'


def _never_used(summary: CodeSummary) -> str:
    if not len(summary.unused):
        return "<p>Every code is used.</p>"
    count = len(summary.unused)
    return f"<details open><summary>{count} codes are never used</summary>{ranges(summary.unused.tolist())}</details>"


def _class_table(summary: CodeSummary) -> str:
    if not summary.class_names:
        return "<p>No record says its rhythm class.</p>"
    rows = [
        f"<tr><td>{escape(name)}</td><td>{records}</td><td>{patches:,}</td></tr>"
        for name, records, patches in zip(
            *(summary.class_names, summary.class_records.tolist(), summary.class_counts.sum(axis=0).tolist()),
            strict=True,
        )
    ]
    head = "<tr><th>rhythm class</th><th>records</th><th>patches</th></tr>"
    table = f'<table class="classes">{head}{"".join(rows)}</table>'
    return f"<details><summary>{len(rows)} rhythm classes; a record may have several</summary>{table}</details>"


def _bars(summary: CodeSummary) -> str:
    """Counts by rank as one path; of a large codebook, the mean of neighbouring ranks."""
    counts = np.sort(summary.counts)[::-1]
    groups = np.array_split(counts, min(_BARS, len(counts)))
    heights = np.array([group.mean() for group in groups])
    ys = _BARS_HEIGHT * (1 - heights / heights.max())
    xs = np.linspace(0, 1000, len(groups) + 1)
    steps = "".join(f"L{left:.1f} {y:.1f}H{right:.1f}" for left, right, y in zip(xs, xs[1:], ys, strict=False))
    uniform = _BARS_HEIGHT * (1 - counts.mean() / heights.max())
    used = 1000 * len(summary.by_count) / len(counts)
    return (
        f'<svg id="counts" viewBox="0 0 1000 {_BARS_HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="patches of each code by rank">'
        f'<rect x="{used:.1f}" width="{1000 - used:.1f}" height="{_BARS_HEIGHT}" fill="#f3d5d5"/>'
        f'<path d="M0 {_BARS_HEIGHT}{steps}V{_BARS_HEIGHT}Z" fill="#1f5fa8"/>'
        f'<path d="M0 {uniform:.1f}H1000" stroke="#555" stroke-dasharray="6 4" fill="none"/></svg>'
    )


def code_card_html(card: CodeCard, paper: Squares, sampling_rate: float, patch: np.ndarray | None = None) -> str:
    """
    One code as an `article`.

    Args:
        card ([`CodeCard`]), paper ([`Squares`]), sampling_rate (`float`): What to draw, on what, and its rate in Hz.
        patch (`np.ndarray` of shape `(S,)`, *optional*): A patch with this code, in the gallery's unit, drawn over it.

    Returns:
        `str`: HTML; every name in it is escaped.
    """
    if patch is not None:
        card = card.with_room_for(patch, paper.small)
    enrichments = {use.name: round(use.enrichment, 3) for use in card.classes if use.has_support}
    data = {
        "code": card.code,
        "rank": card.rank,
        "records": card.records,
        "lead": card.leads[0].name,
        "swing": f"{np.ptp(card.mean):.4g}",
        "classes": json.dumps(enrichments),
    }
    attributes = "".join(f' data-{name}="{escape(str(value))}"' for name, value in data.items())
    return (
        f"<article{attributes}><h2>code {card.code}<span>#{card.rank} · {card.share:.2%}</span></h2>"
        f"{_waveform(card, paper, sampling_rate, patch)}"
        f"<div>{card.bottom:.1f} to {card.top:.1f} {escape(paper.unit)} · {card.patches:,} patches, {card.records:,}"
        f" records</div><div>{escape(card.lead_text)}</div>"
        f"<details><summary>{escape(card.class_text)}</summary>"
        f"<table>{''.join(map(_class_row, card.classes))}</table></details></article>"
    )


def _class_row(use: ClassUse) -> str:
    few = "" if use.has_support else ' class="few"'
    counts = f"{use.patches:,} patches, {use.records} of {use.class_records} records"
    return f"<tr{few}><td>{escape(use.name)}</td><td>×{use.enrichment:.2f}</td><td>{counts}</td></tr>"


def _waveform(card: CodeCard, paper: Squares, sampling_rate: float, patch: np.ndarray | None) -> str:
    end_s = len(card.mean) / sampling_rate
    stride = -(-len(card.mean) // _MOST_POINTS)
    xs = _WIDTH * np.arange(len(card.mean))[::stride] / len(card.mean)

    def points(values: np.ndarray) -> list[str]:
        ys = _HEIGHT * (card.top - values[::stride]) / (card.top - card.bottom)
        return [f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True)]

    band = "L".join([*points(card.low), *points(card.high)[::-1]])
    line = '<path d="M{}" fill="none" stroke="{}" stroke-width="1.6"/>'
    own = "" if patch is None else line.format("L".join(points(patch)), PATCH_COLOUR)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="mean patch of code {card.code}">'
        f"{_grid(card, end_s, SMALL_S, paper.small, SMALL_COLOUR)}"
        f"{_grid(card, end_s, LARGE_S, paper.large, LARGE_COLOUR)}"
        f'<path d="M{band}Z" fill="#c3c9d1" fill-opacity=".85"/>'
        f"{line.format('L'.join(points(card.mean)), INK)}{own}</svg>"
    )


def _grid(card: CodeCard, end_s: float, step_s: float, height: float, colour: str) -> str:
    columns = _WIDTH * np.arange(0.0, end_s + 1e-9, step_s) / end_s
    rows = height * np.arange(np.ceil(card.bottom / height - 1e-6), card.top / height + 1e-6)
    ys = _HEIGHT * (card.top - rows) / (card.top - card.bottom)
    path = "".join(f"M{x:.1f} 0V{_HEIGHT}" for x in columns) + "".join(f"M0 {y:.1f}H{_WIDTH}" for y in ys)
    return f'<path d="{path}" stroke="{colour}" stroke-width=".6" fill="none"/>'


__all__ = ["PATCH_COLOUR", "code_card_html", "codebook_page"]
