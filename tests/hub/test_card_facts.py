# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Facts of a card: what must be stated is, and what nobody knows or measured is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from anyecg_hf.hub.card_facts import CardFacts, load_card_facts

FACTS = {"name": "org/small", "summary": "A small one.", "licence": "cc-by-4.0", "training_data": "Our own records."}


def write_facts(folder: Path, **changes: Any) -> Path:
    path = folder / "facts.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in {**FACTS, **changes}.items() if value is not None}))
    return path


def test_what_is_left_out_is_empty(tmp_path):
    facts = load_card_facts(write_facts(tmp_path, limits=["One device."]))
    assert facts == CardFacts(**FACTS, limits=["One device."])
    assert facts.tags == [] and facts.contamination == ""


@pytest.mark.parametrize("name", FACTS)
def test_what_a_card_must_state_is_asked_for(tmp_path, name):
    with pytest.raises(ValueError, match=rf"facts.yaml lacks `{name}`: a card must state that"):
        load_card_facts(write_facts(tmp_path, **{name: None}))
    with pytest.raises(ValueError, match=rf"facts.yaml: `{name}` is empty: a card must state it"):
        load_card_facts(write_facts(tmp_path, **{name: "  "}))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("limit", "did you mean `limits`?"),
        ("trainingdata", "did you mean `training_data`?"),
        ("license", "did you mean `licence`?"),
        ("limitation", "did you mean `limits`?"),
        ("colour", "choose from name, summary, licence"),
    ],
)
def test_an_unknown_fact_is_refused_with_the_nearest_one(tmp_path, name, hint):
    with pytest.raises(ValueError) as caught:
        load_card_facts(write_facts(tmp_path, **{name: "x"}))
    assert f"unknown fact {name!r}; " in str(caught.value) and hint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("limits", "One device.", "`limits` must be a list of texts, got 'One device.'"),
        ("limits", [3], "`limits` must be a list of texts"),
        ("tags", [""], "`tags` is empty: leave it out"),
        ("summary", ["A small one."], "`summary` must be a text"),
        ("name", 7, "`name` must be a text, got 7"),
        ("licence", "unknown", "`licence` is 'unknown': nobody could use the weights"),
        ("licence", "other", "or `other` with `licence_name`"),
    ],
)
def test_a_fact_of_another_kind_is_refused(tmp_path, name, value, message):
    with pytest.raises(ValueError) as caught:
        load_card_facts(write_facts(tmp_path, **{name: value}))
    assert message in str(caught.value)


def test_a_licence_with_a_name_of_its_own_is_taken(tmp_path):
    assert load_card_facts(write_facts(tmp_path, licence="other", licence_name="ours")).licence_name == "ours"


@pytest.mark.parametrize("text", ["AUROC 0.93.", "It is right in 93 % of cases.", "Right in 93% of cases", "r = .934"])
@pytest.mark.parametrize("name", ["summary", "limits", "contamination"])
def test_a_figure_is_refused(tmp_path, name, text):
    with pytest.raises(ValueError, match=rf"`{name}` states the figure .*: figures come from results files"):
        load_card_facts(write_facts(tmp_path, **{name: [text] if name == "limits" else text}))


@pytest.mark.parametrize(
    "text",
    ["CODE-15% and PTB-XL 1.0.3, CC-BY-4.0", "Folds 1-7 of 10; 12 leads at 300 Hz for 2.5 s", "arXiv 2411.17711"],
)
def test_names_and_settings_are_no_figures(tmp_path, text):
    assert load_card_facts(write_facts(tmp_path, summary=text)).summary == text


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"- a\n- b\n", "must hold facts .* got list"), (b"a: [", "is not YAML"), (b"name: \xff", "is not YAML")],
)
def test_what_is_no_list_of_facts_is_refused(tmp_path, content, message):
    path = tmp_path / "facts.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_card_facts(path)
