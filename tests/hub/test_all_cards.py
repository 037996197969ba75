# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Every card that there is: facts and descriptions give one the Hub can read, and every figure is in its results."""

import fnmatch
import json
import math
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData
from tests.corpora.parquet.prepared_corpora import prepare_georgia, write_georgia

from anyecg_hf import TINY
from anyecg_hf.corpora import CORPORA
from anyecg_hf.hub import cards
from anyecg_hf.hub.card_facts import CardFacts, load_card_facts
from anyecg_hf.hub.cards import render_checkpoint_card
from anyecg_hf.hub.corpus_cards import render_corpus_card
from anyecg_hf.hub.templates import TEMPLATES

ROOT = Path(__file__).parents[2]
CARDS = ROOT / "model_cards"
# Facts and the folder whose results the card is of.
CHECKPOINTS = {"anyecg-tiny": Path(TINY)}
_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?!\.?\d|\+)")


@pytest.fixture(scope="module")
def georgia(tmp_path_factory):
    folder = tmp_path_factory.mktemp("georgia")
    return prepare_georgia(write_georgia(folder / "corpus", 2), folder / "georgia-ecg")


def test_every_facts_file_has_its_checkpoint():
    assert {path.stem for path in CARDS.glob("*.yaml")} == set(CHECKPOINTS)


@pytest.fixture(params=CHECKPOINTS)
def checkpoint(request) -> str:
    return request.param


def stored_results(checkpoint: str) -> dict[str, Any]:
    return json.loads((CHECKPOINTS[checkpoint] / "results.json").read_text())


@pytest.fixture
def card(checkpoint) -> str:
    return render_checkpoint_card(CARDS / f"{checkpoint}.yaml", stored_results(checkpoint))


def test_the_stored_card_is_that_of_the_stored_results(card, checkpoint):
    assert (CHECKPOINTS[checkpoint] / "README.md").read_text(encoding="utf-8") == card


def test_the_metadata_of_a_model_is_what_the_hub_reads(card, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(card, encoding="utf-8")
    data = ModelCard(card).data
    assert isinstance(data, ModelCardData) and all(isinstance(result, EvalResult) for result in data.eval_results)
    assert huggingface_hub.metadata_load(path) == data.to_dict()
    assert ModelCardData(**{**vars(data)}).to_dict() == data.to_dict()
    (index,) = data.to_dict()["model-index"]
    for result in index["results"]:
        assert result["task"]["type"] and result["dataset"]["type"] and result["dataset"]["name"]
        assert all(isinstance(metric["value"], float) and metric["type"] for metric in result["metrics"])
    keys = [(*result.unique_identifier, result.metric_type) for result in data.eval_results]
    assert len(keys) == len(set(keys)), "two values of one metric"


def test_every_figure_of_a_card_is_in_its_results(card, checkpoint):
    results = stored_results(checkpoint)
    known = {written for value in numbers(results) for written in written_as(value)}
    said = set(_DECIMAL.findall(without_words(card)))
    assert len(said) > 150
    assert sorted(said - known) == []


def without_words(card: str) -> str:
    """The card without names that have numbers in them: licences, citations, versions, papers, facts."""
    text = card.partition("## How to cite")[0]
    text = re.sub(r"arXiv [\d.]+", "", text)
    return re.sub(r"^\| [^|]* \| \d+ \| (CC|ODC|ODbL).*$", "", text, flags=re.MULTILINE)


def numbers(tree: Any) -> Iterator[float]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        for branch in tree:
            yield from numbers(branch)
    elif isinstance(tree, (int, float)) and not isinstance(tree, bool) and math.isfinite(tree):
        yield float(tree)


def written_as(value: float) -> Iterator[str]:
    """How a card may write a number, without its sign: rounded, as a share in percent, as bytes in megabytes."""
    for scaled in (abs(value), abs(value) * 100, abs(value) / 1e6):
        for digits in range(1, 5):
            yield f"{scaled:.{digits}f}"
    yield f"{abs(value)}"
    yield f"{round(abs(value), 4)}"
    yield f"{round(abs(value), 2)}"


def test_a_figure_that_is_in_no_results_would_be_found(card, checkpoint):
    known = {written for value in numbers(stored_results(checkpoint)) for written in written_as(value)}
    said = set(_DECIMAL.findall(without_words(card.replace("| perplexity |", "| perplexity 0.7777 |"))))
    assert said - known == {"0.7777"}


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_has_a_card_that_the_hub_reads(georgia, name, tmp_path):
    description = CORPORA[name].description
    card = render_corpus_card(replace(georgia, plan=replace(georgia.plan, corpus=name)), description)
    path = tmp_path / "README.md"
    path.write_text(card, encoding="utf-8")
    data = DatasetCard(card).data
    assert isinstance(data, DatasetCardData)
    assert huggingface_hub.metadata_load(path) == data.to_dict()
    assert data.license and (data.license != "other" or data.to_dict()["license_name"])
    assert (f"# {description.title}" in card) and description.citation in card
    assert not re.search(r"\{\{|\{%|\bNone\b", card)


def test_templates_are_part_of_an_installed_package_and_linked_beside_the_facts():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["anyecg_hf"]
    templates = sorted(path for path in TEMPLATES.iterdir() if path.suffix == ".jinja")
    assert [path.name for path in templates] == ["adapter.md.jinja", "checkpoint.md.jinja", "corpus.md.jinja"]
    for path in templates:
        inside = path.relative_to(ROOT / "src" / "anyecg_hf").as_posix()
        assert any(fnmatch.fnmatch(inside, pattern) for pattern in patterns)
        assert (CARDS / path.name).exists()


def test_the_guide_names_every_fact_and_its_example_is_taken(tmp_path):
    guide = (CARDS / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", guide, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "facts.yaml").write_text(example)
    assert load_card_facts(tmp_path / "facts.yaml").training_data == "recorded"
    table = guide.partition("| fact |")[2]
    assert [item.name for item in fields(CardFacts) if f"`{item.name}`" not in table] == []
    (code,) = re.findall(r"^```python\n(.*?)^```$", guide, flags=re.MULTILINE | re.DOTALL)
    assert "import render_run_card" in code and callable(cards.render_run_card)
