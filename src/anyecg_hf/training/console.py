# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a run says where no progress bar can be seen: in the log of a cluster's job."""

import logging
import sys


class _ToStderr(logging.Handler):
    """Writes to what stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


def report_progress() -> None:
    """Lets this package write its messages to stderr, one a line, unless that is a terminal, which has a bar."""
    logger = logging.getLogger("anyecg_hf")
    if sys.stderr.isatty() or logger.handlers:
        return
    handler = _ToStderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


__all__ = ["report_progress"]
