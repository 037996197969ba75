# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from anyecg_hf.pipelines.analysis_report import analysis_to_dict
from anyecg_hf.plotting import code_colours
from anyecg_hf.web import fragments
from anyecg_hf.web.samples import simulated_record

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def hostile(workbench):
    """A record whose name is HTML, with a note that is too."""
    record = simulated_record(HOSTILE, 4, 70, 1)
    return workbench.study(record, [f"note {HOSTILE}"])


def picture_of(html: str) -> tuple[np.ndarray, int]:
    """Pixels of the picture in a fragment, and how wide it is shown."""
    encoded = re.search(r'src="data:image/png;base64,([^"]+)"', html).group(1)
    return imread(io.BytesIO(base64.b64decode(encoded))), int(re.search(r'width="(\d+)"', html).group(1))


def test_facts_say_what_was_read_and_cleaned(studies):
    html = fragments.facts_html(studies[3])
    assert "<dd>2: II V1</dd>" in html and "<dd>40 s at 500 Hz, walked in 4 windows</dd>" in html
    assert "<dd>simulated, no recording of a person</dd>" in html
    assert "notch 50 Hz" in html and "<ul" not in html
    assert "<li>unusable leads are masked: V2 (flat).</li>" in fragments.facts_html(studies[2])


def test_only_samples_are_called_simulated(studies):
    assert "Origin" not in fragments.facts_html(replace(studies[0], simulated=False))


def test_the_paper_is_sharp_and_drawn_at_four_pixels_a_millimetre(workbench, studies):
    pixels, shown = picture_of(fragments.paper_html(workbench, studies[0], 0.0))
    # 15 mm of calibration, 250 mm of signal, 5 mm and twice the margin.
    assert shown == 4 * 290 and pixels.shape[1] == 2 * shown
    assert pixels[..., :3].std() > 0.05


def test_the_paper_shows_the_seconds_asked_for(workbench, studies):
    first, later = (picture_of(fragments.paper_html(workbench, studies[3], start))[0] for start in (0.0, 20.0))
    assert not np.array_equal(first[-600:], later[-600:])


def test_masked_patches_are_gaps_in_the_picture(workbench, monkeypatch):
    record = simulated_record("a", 10, 70, 1)
    signal_mv = record.signal_mv.copy()
    signal_mv[:, 1000:2000] = np.nan
    study = workbench.study(replace(record, signal_mv=signal_mv))
    drawn = {}
    monkeypatch.setattr(fragments, "plot_ecg", lambda signal_mv, *_, **named: drawn.update(named, signal_mv=signal_mv))
    monkeypatch.setattr(fragments, "_picture", lambda *_: "")
    fragments.paper_html(workbench, study, 0.0)
    masked = np.repeat(study.codes < 0, 75, axis=1)
    assert 0.15 < masked.mean() < 0.25
    np.testing.assert_array_equal(np.isnan(drawn["signal_mv"]), masked)
    np.testing.assert_array_equal(np.isnan(drawn["reconstruction_mv"]), masked)


def test_every_code_is_a_cell_in_its_colour(workbench, studies):
    html = fragments.strips_html(workbench, studies[0], 0.0)
    cells = re.findall(
        r'<button type="button" data-lead="(\d+)" data-patch="(\d+)" title="([^"]+)"'
        r' style="background:rgb\(([\d,]+)\)">(\d+)</button>',
        html,
    )
    assert len(cells) == 480
    lead, patch, title, colour, code = cells[45]
    assert (lead, patch, int(code)) == ("1", "5", studies[0].codes[1, 5])
    assert title == f"II, 1.25 to 1.5 s: code {code}"
    np.testing.assert_allclose([int(part) / 255 for part in colour.split(",")], code_colours(int(code)), atol=0.003)
    assert [int(cell[4]) for cell in cells] == studies[0].codes.ravel().tolist()
    assert re.findall(r"<th>(\d+) s</th>", html) == [str(second) for second in range(10)]


def test_masked_cells_cannot_be_clicked(workbench, studies):
    html = fragments.strips_html(workbench, studies[2], 0.0)
    assert html.count('<td class="masked" title="V2, ') == 40 and html.count("<button") == 440


def test_cells_are_those_of_the_seconds_shown(workbench, studies):
    html = fragments.strips_html(workbench, studies[3], 30.0)
    assert re.findall(r'data-lead="0" data-patch="(\d+)"', html) == [str(patch) for patch in range(120, 160)]


def test_an_entry_draws_the_clicked_patch_over_its_code(workbench, studies):
    found = workbench.look_up(studies[0], 1, 5)
    html = fragments.lookup_html(found)
    assert f"<h2>code {found.code}<span>#{found.card.rank}" in html
    assert html.count("<path") == 5  # two grids, spread, mean, and the patch in blue
    assert html.count('stroke="#1877ff"') == 1
    assert "Gallery: 235 records of georgia" in html and "II, 1.25 to 1.5 s" in html
    (low, high) = map(float, re.search(r"<div>(-?[\d.]+) to (-?[\d.]+) mV", html).groups())
    assert low <= found.patch.min() and found.patch.max() <= high


def test_an_entry_of_a_code_that_the_gallery_never_met_says_so(workbench, studies):
    found = replace(workbench.look_up(studies[0], 1, 5), card=None, uses={"II": 1})
    html = fragments.lookup_html(found)
    assert (
        f"Code {found.code} occurs in none of the gallery's records." in html
        and "In this record 1 patch: II 1." in html
    )


def test_probabilities_are_bars_with_thresholds_the_highest_first(studies):
    html = fragments.classes_html(studies[0])
    shown = re.findall(r"<b>(\d\.\d{3})</b>", html)
    assert shown == sorted(shown, reverse=True) and len(shown) == 5
    for found in studies[0].analysis.classes:
        assert f"{found.label} <small>{found.description}</small></span><b>{found.probability:.3f}</b>" in html
        assert f'<i style="left:{100 * found.threshold:.1f}%"' in html
    assert html.count('class="class present"') == sum(found.present for found in studies[0].analysis.classes)


def test_without_thresholds_nothing_is_called_present(studies):
    classes = tuple(replace(found, threshold=None) for found in studies[0].analysis.classes)
    html = fragments.classes_html(replace(studies[0], analysis=replace(studies[0].analysis, classes=classes)))
    assert "present" not in html and "<i " not in html and "threshold" not in html


def test_the_json_is_the_analysis_in_full(workbench, studies):
    html = fragments.download_html(workbench, studies[2])
    name, encoded = re.search(r'download="([^"]+)" href="data:application/json;base64,([^"]+)"', html).groups()
    found = json.loads(base64.b64decode(encoded))
    assert name == "simulated-V2-came-off.json"
    extra = {"checkpoint": "anyecg-tiny", "simulated": True, "notes": ["unusable leads are masked: V2 (flat)."]}
    assert found == json.loads(json.dumps({**extra, **analysis_to_dict(studies[2].analysis, 0.25)}))


def test_restored_leads_are_drawn_and_scored(workbench, studies):
    restored = workbench.restore(studies[2], ["V2", "V3"])
    html = fragments.restoration_html(workbench, restored, 0.0)
    assert picture_of(html)[1] == 1160
    assert '<td>V2</td><td colspan="3">nothing to compare with</td>' in html
    found = restored[1].agreement
    assert f"<td>V3</td><td>{found.pearson_r:.3f}</td><td>{1000 * found.mean_absolute_error_mv:.0f} µV</td>" in html


def test_texts_of_a_record_are_never_html(workbench, hostile):
    html = [
        fragments.facts_html(hostile),
        fragments.paper_html(workbench, hostile, 0.0),
        fragments.strips_html(workbench, hostile, 0.0),
        fragments.lookup_html(workbench.look_up(hostile, 0, 0)),
        fragments.classes_html(hostile),
        fragments.download_html(workbench, hostile),
        fragments.message_html(HOSTILE),
    ]
    assert not any("<script" in part for part in html)
    assert "note &lt;script&gt;" in html[0] and 'download="script-alert-x-script.json"' in html[5]


def test_nothing_is_loaded_from_elsewhere(workbench, studies):
    html = fragments.paper_html(workbench, studies[0], 0.0) + fragments.lookup_html(workbench.look_up(studies[0], 0, 0))
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
