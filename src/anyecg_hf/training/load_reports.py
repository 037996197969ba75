# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Load reports of `transformers`, held back until it is known whether what they miss is of interest."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_LOADING = logging.getLogger("transformers.modeling_utils")


@dataclass
class HeldReports:
    """
    Reports that were not shown.

    Attributes:
        records (`list[logging.LogRecord]`): As they were logged.
    """

    records: list[logging.LogRecord] = field(default_factory=list)

    def show(self) -> None:
        """Logs them now."""
        for record in self.records:
            _LOADING.handle(record)


@contextmanager
def load_report_held_back() -> Iterator[HeldReports]:
    """
    Holds load reports back: what a checkpoint lacks may come from elsewhere, an adapter for example.

    Returns:
        `Iterator[HeldReports]`: filled inside; to be shown behind.
    """
    held = HeldReports()

    def passes(record: logging.LogRecord) -> bool:
        if "LOAD REPORT" not in record.getMessage():
            return True
        held.records.append(record)
        return False

    _LOADING.addFilter(passes)
    try:
        yield held
    finally:
        _LOADING.removeFilter(passes)


__all__ = ["HeldReports", "load_report_held_back"]
