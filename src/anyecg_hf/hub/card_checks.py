# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the card of a checkpoint must say before it is shared."""

import re

import yaml
from huggingface_hub import ModelCard, ModelCardData

from anyecg_hf.hub.hub_errors import HubError

_PLACEHOLDER = "[more information needed]"
_DATA_HEADING = re.compile(r"^(#{1,6})[ \t]+.*\bdata(?:sets?)?\b.*$", re.IGNORECASE | re.MULTILINE)
_HEADING = re.compile(r"(#{1,6})[ \t]")


def check_card(text: str, place: str) -> None:
    """
    Checks that a card names a licence and says what the checkpoint was trained on.

    Args:
        text (`str`): The card, in Markdown with a metadata block.
        place (`str`): What errors call it.

    Raises:
        [`HubError`]: if it does not, or its metadata cannot be read.
    """
    try:
        data = ModelCard(text).data
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise HubError(
            place, "a metadata block in YAML", f"one that cannot be read ({type(error).__name__})"
        ) from error
    licence = data.license
    is_named = licence != "other" or getattr(data, "license_name", None)
    if not isinstance(licence, str) or licence in ("", "unknown") or not is_named:
        raise HubError(
            place,
            "a licence (`license` in the card's metadata; with `other` also `license_name`)",
            "none" if licence is None else repr(licence),
            "State it in the card, or with `licence` where there is no card. It must fit the data's licences.",
        )
    if not _states_data(text, data):
        raise HubError(
            place,
            "a statement of the training data (`datasets` in the metadata, or a section such as `## Training data`)",
            "none",
            "Say which records the weights have seen: nobody can test them fairly otherwise.",
        )


def _states_data(text: str, data: ModelCardData) -> bool:
    if data.datasets:
        return True
    body = re.sub(r"\A---\r?\n.*?\r?\n---\r?\n", "", text, count=1, flags=re.DOTALL)
    for heading in _DATA_HEADING.finditer(body):
        section = _section_after(heading, body)
        if section and _PLACEHOLDER not in section.lower():
            return True
    return False


def _section_after(heading: re.Match, body: str) -> str:
    """Text below a heading, with its sub-sections but without their headings."""
    lines = []
    for line in body[heading.end() :].splitlines():
        other = _HEADING.match(line)
        if other and len(other[1]) <= len(heading[1]):
            break
        lines += [] if other else [line]
    return "\n".join(lines).strip()


__all__ = ["check_card"]
