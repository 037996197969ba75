# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How the page looks. Colours are the paper's and the theme's, light or dark; fonts are the visitor's own."""

from anyecg_hf.plotting.code_strip import MASKED_EDGE, MASKED_FACE
from anyecg_hf.plotting.codebook_page import PATCH_COLOUR
from anyecg_hf.plotting.paper_grid import INK, PAPER_COLOUR

FONT = ("system-ui", "sans-serif")
MONOSPACE = ("ui-monospace", "monospace")

CSS = f"""
.gradio-container {{ --quiet: color-mix(in srgb, var(--body-text-color) 72%, transparent); }}
.gradio-container .main {{ max-width: none !important; padding: 0 !important; }}
.gradio-container main {{ box-sizing: border-box; width: 100%; max-width: min(1180px, 100vw) !important;
  margin: 0 auto !important; padding: 8px 14px 32px !important; }}
.gradio-container .html-container {{ padding: 0 !important; }}
.gradio-container .prose table, .gradio-container .prose tr {{ border: 0; }}
#head h1 {{ font-size: 1.6em; margin: .6em 0 .1em; }}
#head p {{ margin: 0; color: var(--quiet); }}
.part h2 {{ font-size: 1.1em; margin: .9em 0 .1em; }}
.part p {{ margin: 0; color: var(--quiet); font-size: .9em; }}
.scroll {{ overflow-x: auto; overflow-y: hidden; max-width: 100%; }}
.scroll:has(img) {{ background: white; border-radius: 6px; }}
/* The white margins of the picture, 10 mm of 4 pixels each, are those of a sheet: the page has its own. */
img.paper {{ display: block; max-width: none !important; height: auto; margin: -28px -39px -18px !important; }}
.message {{ border: 1px solid #c2410c; border-left-width: 6px; border-radius: 6px; padding: .7em 1em;
  background: #fff4ec; color: #7c2d12; overflow-wrap: anywhere; }}
.facts {{ display: grid; grid-template-columns: max-content 1fr; gap: .15em 1em; margin: .5em 0; font-size: .95em; }}
.facts dt {{ color: var(--quiet); }}
.facts dd {{ margin: 0; overflow-wrap: anywhere; }}
.notes {{ margin: .2em 0; padding-left: 1.2em; font-size: .9em; list-style: disc; }}
table.strips {{ border-collapse: separate; border-spacing: 1px; width: auto; margin: 0; font-size: 11px; }}
table.strips th, table.strips td {{ border: 0; padding: 0; background: none; }}
/* A second is 100 pixels and starts 61 from the left, as on the paper above. */
table.strips tr > th:first-child {{ position: sticky; left: 0; z-index: 1; min-width: 59px; padding: 0 6px 0 0;
  text-align: right; font-weight: 600; background: var(--background-fill-primary); }}
table.strips tr.seconds th {{ font-weight: normal; text-align: left; white-space: nowrap; max-width: 24px;
  overflow: visible; color: var(--quiet); }}
table.strips button {{ display: block; width: 24px; height: 22px; padding: 0; border: 0; border-radius: 2px;
  color: {INK}; font: inherit; cursor: pointer; }}
table.strips button:hover {{ filter: brightness(.92); }}
table.strips button:focus-visible, table.strips button.chosen {{ outline: 2px solid {PATCH_COLOUR};
  outline-offset: 0; position: relative; }}
table.strips td.masked {{ min-width: 24px; height: 22px;
  background: repeating-linear-gradient(135deg, {MASKED_FACE} 0 4px, {MASKED_EDGE} 4px 5px);
  border-radius: 2px; }}
.entry article {{ max-width: 340px; font-size: .9em; }}
.entry article h2 {{ font-size: 1.15em; margin: 0 0 .2em; display: flex; justify-content: space-between; }}
.entry article h2 span {{ font-weight: normal; font-size: .8em; align-self: end;
  color: var(--quiet); }}
.entry article svg {{ display: block; width: 100%; background: {PAPER_COLOUR}; border-radius: 4px; }}
.entry article table {{ width: 100%; font-size: .9em; }}
.entry article td {{ padding: 0 .5em 0 0; border: 0; }}
.entry article tr.few td {{ opacity: .55; }}
.entry article summary {{ cursor: pointer; }}
.entry p {{ margin: .35em 0 0; font-size: .85em; color: var(--quiet); }}
.entry p.where {{ margin: 0; }}
.entry .own {{ color: {PATCH_COLOUR}; }}
.hint {{ color: var(--quiet); font-size: .9em; }}
ul.classes {{ list-style: none; margin: .2em 0 .5em; padding: 0; }}
.class {{ display: grid; grid-template-columns: 1fr auto; gap: .1em .6em; margin: 0 0 .55em; padding: 0; }}
.class small {{ color: var(--quiet); }}
.class .bar {{ grid-column: 1 / 3; position: relative; height: 10px; border-radius: 5px;
  background: var(--border-color-primary); }}
.class .bar div {{ height: 100%; border-radius: 5px; background: #9aa3af; min-width: 2px; }}
.class.present .bar div {{ background: {PATCH_COLOUR}; }}
.class .bar i {{ position: absolute; top: -3px; width: 2px; height: 16px; background: var(--body-text-color); }}
table.scores {{ border-collapse: collapse; margin: .5em 0; font-size: .9em; width: auto; }}
table.scores th, table.scores td {{ padding: .15em 1.4em .15em 0; text-align: left; border: 0; }}
#restore {{ width: max-content; min-width: 10em; align-self: start; flex-grow: 0; }}
@media (max-width: 600px) {{ table.strips tr > th:first-child {{ min-width: 38px; }} }}
a.download {{ display: inline-block; padding: .45em 1em; border-radius: 6px; text-decoration: none;
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color);
  border: 1px solid var(--border-color-primary); }}
"""

# A click on a cell, to the server; keys do the same, the cells being buttons.
CLICK_ON_CELL = """
element.addEventListener('click', (event) => {
  const cell = event.target.closest('button[data-patch]');
  if (!cell) return;
  element.querySelectorAll('button.chosen').forEach((other) => other.classList.remove('chosen'));
  cell.classList.add('chosen');
  trigger('click', {lead: Number(cell.dataset.lead), patch: Number(cell.dataset.patch)});
});
"""

__all__ = ["CLICK_ON_CELL", "CSS", "FONT", "MONOSPACE"]
