# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a person says of a checkpoint for its card; figures come from results files alone."""

import difflib
import os
import re
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

# A figure is measured, and has its place in a results file; names such as CC-BY-4.0 and CODE-15% are none.
_FIGURE = re.compile(r"(?<![\w.,/:-])(?:\d+(?:\.\d+)?\s?%|\d{0,3}\.\d{2,4}(?!\w|[./]\w))")
_WITHOUT_FIGURES = ("summary", "intended_use", "out_of_scope", "limits", "contamination")


@dataclass(kw_only=True)
class CardFacts:
    """
    Facts of a card. Their meanings are in `model_cards/README.md`.

    Args:
        name (`str`): What the checkpoint is called.
        summary (`str`): What it is, in one or two sentences.
        licence (`str`): Of the weights, as the Hub names it, for example `apache-2.0`; `other` needs `licence_name`.
        training_data (`str`): Which records the weights have seen, where from, with what licences. `"recorded"` where
            all of them are of corpora that this package knows: the card then has the table of the training run.
        licence_name, licence_link (`str`, *optional*): Of a licence that the Hub's list lacks.
        base_model (`str`, *optional*): Of adapters: the checkpoint below, by its name on the Hub.
        base_revision (`str`, *optional*): Of adapters: the commit of it that the adapter was trained on.
        pipeline_tag (`str`, *optional*): One of the Hub's tasks.
        tags, datasets (`list[str]`, *optional*): For the Hub's search; `datasets` are names on the Hub.
        usage (`str`, *optional*): Markdown of the section "Use" in place of the usual one.
        stored_dtype (`str`, *optional*): In what the files keep the weights, where that is not as they were trained.
        intended_use, out_of_scope, limits (`list[str]`, *optional*): Sentences, besides those that every card has.
        contamination (`str`, *optional*): How records of test sets were kept out, beyond what the run recorded.
        hardware (`str`, *optional*): The machine that trained.
        citation (`list[str]`, *optional*): What else to cite.

    Raises:
        `ValueError`: if a fact is empty, of another kind, or states a figure.
    """

    name: str
    summary: str
    licence: str
    training_data: str
    licence_name: str = ""
    licence_link: str = ""
    base_model: str = ""
    base_revision: str = ""
    pipeline_tag: str = ""
    tags: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    usage: str = ""
    stored_dtype: str = ""
    intended_use: list[str] = field(default_factory=list)
    out_of_scope: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    contamination: str = ""
    hardware: str = ""
    citation: list[str] = field(default_factory=list)

    def __post_init__(self):
        for item in fields(self):
            self._check(item.name, is_list=item.default_factory is not MISSING, is_needed=_is_needed(item))
        if self.licence in ("unknown", "other") and not self.licence_name:
            raise ValueError(
                f"`licence` is {self.licence!r}: nobody could use the weights. Name one of the Hub's licences, or"
                " `other` with `licence_name` and `licence_link`."
            )

    def _check(self, name: str, is_list: bool, is_needed: bool) -> None:
        value = getattr(self, name)
        kind = "a list of texts" if is_list else "a text"
        texts = value if isinstance(value, list) else [value]
        if isinstance(value, list) != is_list or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"`{name}` must be {kind}, got {value!r}.")
        if (is_needed or is_list) and not all(text.strip() for text in texts):
            raise ValueError(f"`{name}` is empty: {'leave it out' if is_list else 'a card must state it'}.")
        for text in texts if name in _WITHOUT_FIGURES else ():
            if found := _FIGURE.search(text):
                raise ValueError(
                    f"`{name}` states the figure {found.group()!r}: figures come from results files. Describe it in"
                    " words, and pass the results file that has it."
                )


def _is_needed(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def load_card_facts(path: str | os.PathLike) -> CardFacts:
    """
    Reads facts from a YAML file.

    Args:
        path (`str` or `os.PathLike`): The file.

    Returns:
        [`CardFacts`]

    Raises:
        `ValueError`: if it is not YAML, a fact is missing, unknown (with the nearest that is known) or refused by
            [`CardFacts`].
        `OSError`: if it cannot be read.
    """
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold facts (`name: ...`), got {type(found).__name__}.")
    known = {item.name: _is_needed(item) for item in fields(CardFacts)}
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(str(name), [*known, *_ALIASES], n=1)
            hint = f"did you mean `{_ALIASES.get(near[0], near[0])}`?" if near else f"choose from {', '.join(known)}."
            raise ValueError(f"{path}: unknown fact {name!r}; {hint}")
    missing = [name for name, is_needed in known.items() if is_needed and name not in found]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(f'`{name}`' for name in missing)}: a card must state that.")
    try:
        return CardFacts(**found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


# What people write for a fact.
_ALIASES = {
    "license": "licence",
    "license_name": "licence_name",
    "license_link": "licence_link",
    "limitations": "limits",
}


__all__ = ["CardFacts", "load_card_facts"]
