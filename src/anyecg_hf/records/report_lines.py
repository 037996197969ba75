# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Lines of a report on an ECG, without those that name who wrote, confirmed or ordered it."""

import re
from collections.abc import Iterable

_NAMES_SOMEONE = re.compile(
    r"\b(?:confirmed|unconfirmed|referred|referring|reviewed|overread|over-read|edited|signed|interpreted|ordered"
    r"|requested|acquired|read|reported|approved|verified|validated|technician|physician|operator|cardiologist)\b"
    r"(?:[^,;.]*\bby\b|\s*:)",
    re.IGNORECASE,
)


def report_lines(texts: Iterable[str]) -> tuple[str, ...]:
    """
    Args:
        texts (`Iterable[str]`): Texts of a report; one may have several lines.

    Returns:
        `tuple[str, ...]`: the lines without blanks around them, each once and in order. Lines such as "Confirmed by
        ..." and "Referred by: ..." are left out: they name a person.
    """
    lines = (" ".join(line.split()) for text in texts for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not _NAMES_SOMEONE.search(line)))


__all__ = ["report_lines"]
