# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Parts of the page as HTML without outside resources; every text of a record in them is escaped."""

import base64
import json
import re
from collections.abc import Sequence
from html import escape

import numpy as np

from anyecg_hf.pipelines.analysis_report import analysis_to_dict
from anyecg_hf.pipelines.lead_restoration import RestoredLead
from anyecg_hf.plotting import code_colours, plot_ecg
from anyecg_hf.plotting.code_cards import squares
from anyecg_hf.plotting.codebook_page import code_card_html
from anyecg_hf.plotting.ecg_paper import png_bytes

from .workbench import CodeLookup, Study, Workbench

SHOWN_S = 10.0
# Twice what the page shows, so that a line of the grid is whole pixels there and sharp on fine screens.
_PIXELS_A_MM, _PIXEL_RATIO = 8, 2


def facts_html(study: Study) -> str:
    """What was read, how it was cleaned, and what there is to say about it."""
    record, cleaned = study.analysis.record, study.analysis.cleaned
    windows = study.analysis.windows
    rows = {
        "Record": record.record_id or "without a name",
        **({"Origin": "simulated, no recording of a person"} if study.simulated else {}),
        "Leads": f"{record.n_leads}: {' '.join(record.lead_names)}",
        "Length": f"{record.duration_s:g} s at {record.sampling_rate:g} Hz"
        + (f", walked in {windows} windows" if windows > 1 else ""),
        "Cleaning": "; ".join(cleaned.steps),
    }
    terms = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in study.notes)
    return f'<dl class="facts">{terms}</dl>' + (f'<ul class="notes">{notes}</ul>' if notes else "")


def paper_html(workbench: Workbench, study: Study, start_s: float) -> str:
    """The record on ECG paper with the reconstruction from its codes, from `start_s` on."""
    record, analysis = study.analysis.record, study.analysis
    real = np.repeat(analysis.cleaned.patch_mask, analysis.cleaned.patches.shape[2], axis=1)
    # Unusable leads are drawn in grey as they are, other masked patches not at all.
    real[list(analysis.cleaned.unusable)] = True
    masked = ~np.repeat(study.codes >= 0, analysis.cleaned.patches.shape[2], axis=1)
    figure = plot_ecg(
        np.where(real, analysis.cleaned_mv, np.nan),
        workbench.sampling_rate,
        record.lead_names,
        reconstruction_mv=np.where(masked, np.nan, analysis.reconstruction_mv),
        reconstruction_rate=workbench.sampling_rate,
        patch_seconds=workbench.patch_seconds,
        unusable=analysis.cleaned.unusable,
        title=record.record_id or "",
        start_s=start_s,
        duration_s=SHOWN_S,
    )
    return _picture(figure, f"{record.record_id or 'the record'} on ECG paper, {record.n_leads} leads")


def strips_html(workbench: Workbench, study: Study, start_s: float) -> str:
    """The codes of all leads as cells to click, one row a lead, of the seconds that the paper shows."""
    patch_s = workbench.patch_seconds
    first = int(start_s / patch_s + 1e-6)
    codes = study.codes[:, first : first + round(SHOWN_S / patch_s)]
    per_second = round(1 / patch_s)
    marks = "".join(
        f"<th>{f'{patch * patch_s:g} s' if patch % per_second == 0 else ''}</th>"
        for patch in range(first, first + codes.shape[1])
    )
    rows = "".join(
        f"<tr><th>{escape(study.analysis.record.lead_names[lead])}</th>"
        + "".join(_cell(study, lead, first + place, patch_s) for place in range(codes.shape[1]))
        + "</tr>"
        for lead in range(codes.shape[0])
    )
    return f'<div class="scroll"><table class="strips"><tr class="seconds"><th></th>{marks}</tr>{rows}</table></div>'


def _cell(study: Study, lead: int, patch: int, patch_s: float) -> str:
    code = int(study.codes[lead, patch])
    place = f"{study.analysis.record.lead_names[lead]}, {patch * patch_s:g} to {(patch + 1) * patch_s:g} s"
    if code < 0:
        return f'<td class="masked" title="{escape(place)}: masked"></td>'
    red, green, blue = (round(255 * value) for value in code_colours(code))
    return (
        f'<td><button type="button" data-lead="{lead}" data-patch="{patch}" title="{escape(place)}: code {code}"'
        f' style="background:rgb({red},{green},{blue})">{code}</button></td>'
    )


def lookup_html(found: CodeLookup) -> str:
    """The gallery's entry of the code that was clicked, with the clicked patch drawn over it."""
    summary = found.gallery.summary
    uses = ", ".join(f"{escape(name)} {count}" for name, count in found.uses.items())
    total = sum(found.uses.values())
    where = f"{escape(found.lead_name)}, {found.start_s:g} to {found.end_s:g} s"
    if found.card is None:
        entry = f"<p>Code {found.code} occurs in none of the gallery's records.</p>"
    else:
        entry = code_card_html(found.card, squares(summary), summary.sampling_rate, found.patch)
    lines = "<b>Black</b>: mean of the code. <b>Grey</b>: 10 to 90 %."
    return (
        f'<div class="entry"><p class="where">{where}</p>{entry}'
        f'<p>{lines} <b class="own">Blue</b>: this patch.</p>'
        f"<p>In this record {total} {'patch' if total == 1 else 'patches'}: {uses}.</p>"
        f"<p>Gallery: {escape(found.gallery.data)}; ×: how much more often than elsewhere.</p></div>"
    )


def classes_html(study: Study) -> str:
    """Probabilities as bars, the highest first, with the thresholds where the checkpoint has them."""
    rows = []
    for found in sorted(study.analysis.classes, key=lambda found: -found.probability):
        present = {True: " present", False: "", None: ""}[found.present]
        tick = ""
        if found.threshold is not None:
            tick = f'<i style="left:{100 * found.threshold:.1f}%" title="threshold {found.threshold:.2f}"></i>'
        rows.append(
            f'<li class="class{present}"><span>{escape(found.label)} <small>{escape(found.description)}</small></span>'
            f"<b>{found.probability:.3f}</b>"
            f'<div class="bar"><div style="width:{100 * found.probability:.1f}%"></div>{tick}</div></li>'
        )
    has_threshold = any(found.threshold is not None for found in study.analysis.classes)
    note = (
        "<p>Probabilities of a small model. Line: threshold chosen on selection records; blue from there on.</p>"
        if has_threshold
        else "<p>Probabilities.</p>"
    )
    return f'<ul class="classes">{"".join(rows)}</ul>{note}'


def download_html(workbench: Workbench, study: Study) -> str:
    """A link that saves everything but the waveforms as JSON; the browser has it already."""
    content = analysis_to_dict(study.analysis, workbench.patch_seconds)
    content = {"checkpoint": workbench.name, "simulated": study.simulated, **content, "notes": list(study.notes)}
    encoded = base64.b64encode(json.dumps(content, indent=1).encode()).decode()
    name = re.sub(r"[^\w.-]+", "-", study.analysis.record.record_id or "record").strip("-.") or "record"
    return (
        f'<a class="download" download="{name}.json" href="data:application/json;base64,{encoded}">'
        f"Download JSON ({len(encoded) * 3 / 4 / 1024:.0f} kB)</a>"
    )


def restoration_html(workbench: Workbench, restored: Sequence[RestoredLead], start_s: float) -> str:
    """Restored leads over what they were, with figures of how close they are."""
    figure = plot_ecg(
        np.stack([lead.cleaned_mv for lead in restored]),
        workbench.sampling_rate,
        [lead.name for lead in restored],
        reconstruction_mv=np.stack([lead.restored_mv for lead in restored]),
        reconstruction_rate=workbench.sampling_rate,
        patch_seconds=workbench.patch_seconds,
        start_s=start_s,
        duration_s=SHOWN_S,
        reconstruction_label="Restored from the other leads",
    )
    head = "<tr><th>lead</th><th>correlation</th><th>mean error</th><th>PSNR</th></tr>"
    rows = "".join(f"<tr><td>{escape(lead.name)}</td>{_agreement(lead)}</tr>" for lead in restored)
    names = ", ".join(lead.name for lead in restored)
    return _picture(figure, f"{names} as recorded and as restored") + f'<table class="scores">{head}{rows}</table>'


def _agreement(lead: RestoredLead) -> str:
    found = lead.agreement
    if found is None:
        return '<td colspan="3">nothing to compare with</td>'
    return (
        f"<td>{found.pearson_r:.3f}</td><td>{1000 * found.mean_absolute_error_mv:.0f} µV</td>"
        f"<td>{found.psnr_db:.1f} dB</td>"
    )


def _picture(figure, alt: str) -> str:
    """A figure in the page itself, as large as it should be; narrow screens scroll it."""
    encoded = base64.b64encode(png_bytes(figure, _PIXELS_A_MM)).decode()
    width = round(figure.get_figwidth() * 25.4 * _PIXELS_A_MM / _PIXEL_RATIO)
    return (
        f'<div class="scroll"><img class="paper" width="{width}" alt="{escape(alt)}"'
        f' src="data:image/png;base64,{encoded}"></div>'
    )


def message_html(text: str) -> str:
    """An error, for the visitor."""
    return f'<div class="message" role="alert">{escape(text)}</div>'


__all__ = [
    *("SHOWN_S", "classes_html", "download_html", "facts_html", "lookup_html", "message_html", "paper_html"),
    *("restoration_html", "strips_html"),
]
