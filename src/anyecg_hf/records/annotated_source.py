# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`AnnotatedSource`: samples in memory, and annotations that are parsed when they are asked for."""

from collections.abc import Callable
from typing import Any

from .record import Annotation
from .source import ArraySource


class AnnotatedSource(ArraySource):
    """
    A record in memory whose annotations take work to read.

    Args:
        read_annotations (`Callable[[], tuple[Annotation, ...] | None]`): Reads them.
        arguments: Those of [`ArraySource`].
    """

    def __init__(self, *, read_annotations: Callable[[], tuple[Annotation, ...] | None], **arguments: Any):
        super().__init__(**arguments)
        self._read_annotations = read_annotations

    def read_annotations(self) -> tuple[Annotation, ...] | None:
        return self._read_annotations()


__all__ = ["AnnotatedSource"]
