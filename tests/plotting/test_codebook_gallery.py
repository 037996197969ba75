# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from tests.models.tiny import tiny_quantizer_config

from anyecg_hf.plotting.code_cards import cards_of, class_cards, code_cards, deflection_cards, facts, ranges, squares
from anyecg_hf.plotting.code_statistics import CodeStatistics, CodeSummary
from anyecg_hf.plotting.codebook_gallery import draw_codebook_gallery, save_codebook_gallery
from anyecg_hf.plotting.codebook_page import PATCH_COLOUR, code_card_html

CODES = 8
EVIL = '</script><b a="1">&\'$x_1$'


def summarised(classes: tuple[str, ...] = ("NSR", "AF"), **config) -> CodeSummary:
    """Code k is a wave of height k in recording scale; codes 6 and 7 are never used; AF has most of code 5."""
    statistics = CodeStatistics(tiny_quantizer_config(codebook_size=CODES, **config))
    wave = np.sin(np.linspace(0, 2 * np.pi, 75)) / 2
    for record in range(12):
        is_first = record % 2 == 0
        codes = np.array([[[0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 0 if is_first else 5]]])
        noise = np.random.default_rng(record).normal(0.0, 0.05, (*codes.shape, 75))
        statistics.add(
            *(codes, codes[..., None] * wave + noise, np.ones_like(codes), np.array([[record % 3]])),
            classes=[classes[:1] if is_first else classes[1:]],
            scale=[0.2],
        )
    return statistics.finish()


@pytest.fixture(scope="module")
def summary() -> CodeSummary:
    return summarised()


def with_gid(figure, gid: str) -> list:
    return figure.findobj(lambda artist: artist.get_gid() == gid)


class TestCards:
    def test_frequent_codes_come_first_in_millivolts(self, summary):
        cards = list(code_cards(summary, 3))
        assert [(card.code, card.rank, card.patches) for card in cards] == [(0, 1, 54), (1, 2, 36), (2, 3, 24)]
        np.testing.assert_allclose(cards[2].mean, 0.2 * summary.mean[2])
        assert cards[0].top - cards[0].bottom == pytest.approx(0.4)  # not magnified further
        high = list(code_cards(summary, 8))[-1]
        assert high.code == 5 and high.bottom <= high.low.min() and high.high.max() <= high.top
        assert high.top == pytest.approx(0.6) and high.bottom == pytest.approx(-0.6)

    def test_any_code_can_be_asked_for(self, summary):
        (card,) = cards_of(summary, [2])
        assert vars(card).keys() == vars(list(code_cards(summary, 3))[2]).keys()
        assert (card.code, card.rank, card.patches) == (2, 3, 24)

    def test_a_patch_is_drawn_over_its_code_and_has_room(self, summary):
        (card,) = cards_of(summary, [0])
        patch = np.linspace(-0.1, 1.23, len(card.mean))
        html = code_card_html(card, squares(summary), summary.sampling_rate, patch)
        assert "-0.2 to 1.3 mV" in html  # whole small squares
        line = re.search(rf'<path d="M([^"]+)" fill="none" stroke="{PATCH_COLOUR}"', html).group(1)
        ys = [float(point.split()[1]) for point in line.split("L")]
        np.testing.assert_allclose(ys, 110 * (1.3 - patch) / 1.5, atol=0.06)
        assert PATCH_COLOUR not in code_card_html(card, squares(summary), summary.sampling_rate)

    def test_large_deflections_have_cards_of_their_own(self, summary):
        assert [(card.code, card.rank) for card in deflection_cards(summary, 5)] == [(5, 6)]  # code 4 falls just short

    def test_every_class_has_the_code_that_stands_out_in_it(self, summary):
        found = {card.class_text: card.code for card in class_cards(summary)}
        assert found == {"NSR ×1.1 in 6 of 6 records": 0, "AF ×2.0 in 6 of 6 records": 5}

    def test_few_records_do_not_make_a_class_stand_out(self, summary):
        few = replace(summary, class_code_records=np.minimum(summary.class_code_records, 4))
        assert list(class_cards(few)) == []
        assert {card.class_text for card in code_cards(few, 8)} == {"no class in 5 records or more stands out"}

    def test_what_occurs_as_often_everywhere_does_not_stand_out(self, summary):
        assert list(code_cards(summary, 8))[1].class_text == "no class in 5 records or more stands out"

    def test_leads_are_told_by_frequency(self, summary):
        assert list(code_cards(summary, 1))[0].lead_text == "I 33%, II 33%, III 33%"


def test_the_facts_are_those_of_the_whole_codebook(summary):
    told = " ".join(facts(summary))
    assert "144 patches of 0.25 s in 12 records, 12 of them with a rhythm class." in told
    assert f"6 of 8 codes in use (75.0%), perplexity {summary.perplexity:.0f}." in told
    assert f"A code tells {summary.code_lead_information_bits:.2f} of the 1.58 bits of the lead" in told
    assert "0.1 mV, large 0.2 s and 0.5, at the geometric mean of the recording scales, 0.200 mV" in told
    assert "residual" not in told


def test_of_residual_codebooks_the_first_is_shown_and_this_is_said():
    assert facts(summarised(num_quantizers=3))[0] == ("The first of 3 residual codebooks; the others are not shown.")


def test_without_scales_waveforms_are_in_recording_scale(summary):
    plain = replace(summary, scale_mv=None)
    assert any("0.5 recording scale" in line and "1 is the standard deviation" in line for line in facts(plain))
    np.testing.assert_array_equal(next(code_cards(plain, 1)).mean, summary.mean[0])


def test_codes_are_listed_in_ranges():
    assert ranges([3, 7, 8, 9, 12]) == "3, 7-9, 12" and ranges([]) == ""


class TestPicture:
    def test_every_code_has_its_axes_with_the_mean(self, summary):
        figure = draw_codebook_gallery(summary, most=2)
        labels = [ax.get_label() for ax in figure.axes]
        assert labels == ["counts", "classes", "code 0", "code 1", "code 5", "code 0", "code 5"]
        drawn = with_gid(figure.axes[2], "mean")[0].get_ydata()
        np.testing.assert_allclose(drawn, 0.2 * summary.mean[0])
        assert [text.get_text() for text in with_gid(figure, "section")] == [
            "The 2 most frequent codes",
            "The most frequent with a deflection of 0.8 mV or more",
            "The code that each rhythm class is most enriched in: the highest of all codes, which is chance in part",
        ]

    def test_codes_never_used_are_shown_and_listed(self, summary):
        figure = draw_codebook_gallery(summary)
        (span,) = with_gid(figure, "unused")
        assert (span.get_x(), span.get_width()) == (6.5, 2.0)
        assert "2 never used (red)" in figure.axes[0].get_title(loc="left")
        assert any(text.get_text() == "Never used (2): 6-7" for text in figure.texts)

    def test_without_classes_there_is_no_chart_of_them(self):
        labels = [ax.get_label() for ax in draw_codebook_gallery(summarised(classes=())).axes]
        assert "classes" not in labels and len(labels) == 1 + 6 + 1

    def test_the_same_codes_make_the_same_file_and_nothing_is_cut_off(self, summary, tmp_path):
        for name in ("a.png", "b.png"):
            save_codebook_gallery(summary, tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        picture = imread(tmp_path / "a.png")[..., :3]
        edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edges == 1).all()

    def test_names_are_drawn_as_they_are(self, tmp_path):
        save_codebook_gallery(summarised(classes=("$x_1$", "$\\bad")), tmp_path / "a.png", title="$\\frac$")
        assert imread(tmp_path / "a.png").size


class Parsed(HTMLParser):
    """Elements with their attributes, and the text outside of scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(summary, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "codes.html"
    save_codebook_gallery(summary, path, title="Codes of <tiny>")
    return path.read_text(encoding="utf-8")


class TestPage:
    def test_every_used_code_has_a_card_that_says_what_sorting_needs(self, page):
        cards = Parsed(page).all("article")
        assert [card["data-code"] for card in cards] == ["0", "1", "2", "3", "4", "5"]
        assert cards[5]["data-lead"] == "I" and cards[5]["data-rank"] == "6" and cards[5]["data-records"] == "6"
        assert json.loads(cards[5]["data-classes"]) == {"AF": 2.0}

    def test_figures_and_unused_codes_are_told(self, page, summary):
        text = Parsed(page).text
        assert all(line in text for line in facts(summary))
        assert "2 codes are never used" in text and "6-7" in text
        assert "AF ×2.0 in 6 of 6 records" in text and "Codes of <tiny>" in text

    def test_nothing_comes_from_outside(self, page):
        elements = Parsed(page)
        assert elements.open == []
        named = [attributes for _, attributes in elements.elements if attributes.keys() & {"src", "href", "action"}]
        assert named == [] and "url(" not in page and "@import" not in page and "http" not in page

    def test_waveforms_lie_within_their_paper(self, page):
        shapes = [attributes["d"] for attributes in Parsed(page).all("path") if "fill-opacity" in attributes]
        assert len(shapes) == 6
        ys = [float(y) for shape in shapes for y in re.findall(r"[ML][\d.]+ (-?[\d.]+)", shape)]
        assert len(ys) == 6 * 150 and 0 <= min(ys) and max(ys) <= 110

    def test_the_most_frequent_alone_are_drawn_if_so_asked(self, summary, tmp_path):
        save_codebook_gallery(summary, tmp_path / "few.html", most=2)
        parsed = Parsed((tmp_path / "few.html").read_text(encoding="utf-8"))
        assert len(parsed.all("article")) == 2 and "Shown: the 2 most frequent codes." in parsed.text

    def test_names_from_files_are_text_and_nothing_else(self, tmp_path):
        save_codebook_gallery(summarised(classes=("NSR", EVIL)), tmp_path / "a.html", title=EVIL)
        page = (tmp_path / "a.html").read_text(encoding="utf-8")
        parsed = Parsed(page)
        assert page.count("</script>") == 1 and not parsed.all("b") and parsed.open == []
        assert f"{EVIL} ×2.0 in 6 of 6 records" in parsed.text
        assert {"value": f"class:{EVIL}"} in parsed.all("option")
        assert json.loads(parsed.all("article")[5]["data-classes"]) == {EVIL: 2.0}

    def test_long_patches_and_large_codebooks_make_no_large_page(self, tmp_path):
        statistics = CodeStatistics(tiny_quantizer_config(codebook_size=4096, patch_size=300))
        codes = np.arange(4096).reshape(1, 8, 512)
        statistics.add(codes, np.ones((1, 8, 512, 300)), np.ones_like(codes), np.arange(8)[None])
        save_codebook_gallery(statistics.finish(), tmp_path / "a.html")
        assert (tmp_path / "a.html").stat().st_size < 8e6
        text = Parsed((tmp_path / "a.html").read_text(encoding="utf-8")).text
        assert "No record says its rhythm class." in text and "Every code is used." in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"path": "a.pdf"}, r"a codebook gallery is written as \.png or \.html, got the path a\.pdf"),
        ({"path": "a.png", "most": 0}, "`most` must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(summary, arguments, told):
    with pytest.raises(ValueError, match=told):
        save_codebook_gallery(summary, **arguments)
