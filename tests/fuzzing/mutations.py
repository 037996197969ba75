# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Ways to break a file: bytes, words of a text, values of a JSON object. All are `hypothesis` strategies."""

import json
import re
from typing import Any

from hypothesis import strategies as st

# Numbers near what types and formats hold, and texts that parsers stumble over.
NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 75, 255, 256, 300, 999, 32_767, 32_768, 65_536, 10**6, 2**31 - 1, 2**31, 2**32, 2**63, 10**18),
    *(-(2**31), -(2**63), 0.1, -0.5, 1.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")),
)
TEXTS = (
    *("", " ", "~", "#", "0", "-0", "+1", "1e5", "1e999", "nan", "inf", "0x10", "1_000", "99999999999999999999", "1/0"),
    *("..", "../x", "/etc/passwd", "..\\x", "C:x", "a\0b", "\u0663\u0660\u0660", "\u00e9", "\ud83d\ude00"),
    *("16x1000000", "16x999999999999", "16:999999", "16+999999999", "212", "8", "516", "310", "80x0", "1000(1e9)/mV"),
    *("mV", "uV", "s", "I", "II", "unknown", "time", "signal", "null", "true", "[", "{", '"', "<a>", "%s", "{0}"),
    *("\ufeff", "\u2028", "A" * 300),
)  # fmt: skip

_WORDS = re.compile(rb"[^\s,;:=<>/]+")


def broken_bytes(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Some of the seeds, with one to four pieces overwritten, inserted, taken out, repeated or cut off."""
    places = st.floats(0, 1, allow_nan=False)
    few = st.binary(max_size=8) | st.sampled_from(
        [b"\0" * 8, b"\xff" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"9" * 8]
    )
    edit = st.tuples(st.sampled_from("overwrite insert remove repeat cut number".split()), places, few, places)
    return st.builds(_edited_bytes, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=4))


def _edited_bytes(content: bytes, edits: list[tuple[str, float, bytes, float]]) -> bytes:
    for kind, place, piece, reach in edits:
        # Headers stand at the beginning: half of the edits go there.
        start = int((place**3 if reach < 0.5 else place) * len(content))
        end = min(len(content), start + 1 + int(reach**4 * len(content)))
        if kind == "overwrite":
            content = content[:start] + piece + content[start + len(piece) :]
        elif kind == "insert":
            content = content[:start] + piece + content[start:]
        elif kind == "remove":
            content = content[:start] + content[end:]
        elif kind == "repeat":
            content = content[:end] + content[start:end] * min(20, 1 + len(piece)) + content[end:]
        elif kind == "cut":
            content = content[:start]
        else:
            content = _with_byte(content, start, piece[:1] or b"\0")
        content = content[: 1 << 20]
    return content


def _with_byte(content: bytes, place: int, byte: bytes) -> bytes:
    return content[:place] + byte + content[place + 1 :]


def broken_text(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Some of the seeds, with words replaced by odd ones, lines repeated or taken out, or bytes broken."""
    words = st.sampled_from([*TEXTS, *map(repr, NUMBERS)]) | st.text(max_size=12)
    edit = st.tuples(st.sampled_from(["word", "word", "word", "line", "twice"]), st.floats(0, 1), words)
    edited = st.builds(_edited_text, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=4))
    return edited | broken_bytes(seeds)


def _edited_text(content: bytes, edits: list[tuple[str, float, str]]) -> bytes:
    for kind, place, word in edits:
        if kind == "word":
            words = list(_WORDS.finditer(content))
            if words:
                found = words[min(len(words) - 1, int(place**2 * len(words)))]
                replacement = word.encode("utf-8", "surrogatepass")
                content = content[: found.start()] + replacement + content[found.end() :]
            continue
        lines = content.splitlines(keepends=True)
        if lines:
            number = min(len(lines) - 1, int(place * len(lines)))
            lines[number : number + 1] = [] if kind == "line" else [lines[number]] * 2
            content = b"".join(lines)
    return content


def odd_values() -> st.SearchStrategy[Any]:
    """Values that JSON can hold, most of them wrong."""
    plain = st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.sampled_from(TEXTS) | st.integers()
    plain |= st.floats() | st.text(max_size=8)
    nested = st.lists(plain, max_size=4) | st.dictionaries(st.text(max_size=6), plain, max_size=3)
    return plain | nested | st.lists(nested, max_size=2)


def broken_json(seeds: list[bytes], further: list[str]) -> st.SearchStrategy[bytes]:
    """
    Some of the seeds, with one to four fields changed, taken out or added.

    Args:
        seeds (`list[bytes]`): JSON objects.
        further (`list[str]`): Names of fields that they do not have.
    """
    names = sorted({name for seed in seeds for name in json.loads(seed)} | {*further})
    fields = st.lists(st.tuples(st.sampled_from(names), st.booleans(), odd_values()), min_size=1, max_size=4)
    edited = st.builds(_edited_json, st.sampled_from(seeds), fields)
    return edited | edited | edited | broken_text(seeds)


def _edited_json(seed: bytes, fields: list[tuple[str, bool, Any]]) -> bytes:
    content = json.loads(seed)
    for name, removed, value in fields:
        if removed and name in content:
            del content[name]
        else:
            content[name] = value
    return json.dumps(content).encode("utf-8", "surrogatepass")
