# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""XML files: their root element, found in the first bytes, and the whole of them parsed without entities."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from .errors import RecordError
from .formats import optional_package, read_head

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# Blanks, declarations and processing instructions, comments, a document type with or without an internal subset.
_BEFORE_ROOT = re.compile(r"(?:\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>)*", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)[\s/>]")
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")


def root_element(head: bytes) -> str | None:
    """
    Args:
        head (`bytes`): First bytes of a file, in UTF-8, UTF-16 or any encoding that extends ASCII.

    Returns:
        `str` or `None`: name of the root element without its namespace; `None` if these bytes show none.
    """
    text = _as_text(head)
    root = _ROOT.match(text, _BEFORE_ROOT.match(text).end())
    return root[1] if root else None


def _as_text(head: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, errors="ignore")
    if head.startswith(b"<\0"):
        return head.decode("utf-16-le", errors="ignore")
    if head.startswith(b"\0<"):
        return head.decode("utf-16-be", errors="ignore")
    return head.decode("latin-1")  # names of elements are ASCII


def recogniser(root: str) -> Callable[[Path, bytes], bool]:
    """`RecordFormat.recognises` for XML files with a root element of this name, in any case."""

    def recognises(path: Path, head: bytes) -> bool:
        found = root_element(head)
        return found is not None and found.lower() == root.lower()

    return recognises


def selector(recognises: Callable[[Path, bytes], bool]) -> Callable[[Sequence[Path]], list[Path]]:
    """`RecordFormat.select` for a format that holds an ECG in every file that it recognises."""

    def select(paths: Sequence[Path]) -> list[Path]:
        return [path for path in paths if recognises(path, read_head(path))]

    return select


def parse_xml(path: Path) -> Element:
    """
    Parses an XML file. Entities are refused, and nothing that the file refers to is fetched.

    Args:
        path (`Path`): The file.

    Returns:
        `Element`: its root, namespaces in the names of elements.

    Raises:
        [`RecordError`]: if it is no XML, or declares entities.
    """
    with optional_package("defusedxml", "XML files"):
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    content = path.read_bytes()
    try:
        try:
            return fromstring(content)
        except ParseError:
            # Letters in another encoding than the declared one, as some devices write them in names.
            return fromstring(_DECLARATION.sub("", _as_text(content), count=1))
    except ParseError as error:
        raise RecordError(path, "an XML document", f"this: {error}") from error
    except DefusedXmlException as error:
        raise RecordError(path, "an XML document without entities", f"this: {error}") from error


__all__ = ["parse_xml", "recogniser", "root_element", "selector"]
