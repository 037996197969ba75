# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""SCP-ECG files (EN 1064, ISO 11073-91064), decoded by ecgdatakit."""

import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .errors import RecordError
from .exported_record import decode, exported_facts, exported_leads
from .formats import ReadOptions, RecordFormat
from .record import Annotation
from .source import ArraySource
from .xml_text import selector

_NAME = "SCP-ECG"
# Where the places of all sections start, bytes before what a section holds, and the section that lists the leads.
_POINTERS, _SECTION_HEADER, _LEADS = 22, 16, 3
# A Huffman code takes a bit at least, and one sample may stand for four.
_MOST_SAMPLES_A_BYTE = 32


def _recognises(path: Path, head: bytes) -> bool:
    """Whether there is a section 0 of the right length that points to itself first."""
    if len(head) < 32:
        return False
    section, length = struct.unpack_from("<HL", head, 8)
    pointed_at, _, place = struct.unpack_from("<HLL", head, 22)
    return (section, pointed_at, place) == (0, 0, 7) and length >= 26 and (length - 16) % 10 == 0


def _open(path: Path, options: ReadOptions) -> ArraySource:
    _check_lengths(path)
    decoded = decode(path, "scp_ecg", _NAME)
    starts = {lead.label: int(lead.annotations.get("start_sample", 1)) for lead in decoded.leads}
    if len(set(starts.values())) > 1:
        raise RecordError(
            path,
            "leads that start at the same time",
            ", ".join(f"{label} at sample {start}" for label, start in starts.items()),
        )
    rate_hz = _rate_hz(decoded.raw_metadata["rhythm_sample_interval_us"])
    leads = exported_leads(path, decoded, options, rate_hz)
    beats = decoded.raw_metadata.get("qrs_locations", ())
    return ArraySource(
        **vars(leads),
        facts=exported_facts(path, decoded),
        annotations=partial(_beats, beats, next(iter(starts.values())), rate_hz),
    )


def _check_lengths(path: Path) -> None:
    """Refuses leads of more samples than the file can hold: ecgdatakit takes memory for them first."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<L", content, 10)
    for pointer in range(_POINTERS, min(_POINTERS + length - _SECTION_HEADER, len(content) - 9), 10):
        section, _, place = struct.unpack_from("<HLL", content, pointer)
        start = place - 1 + _SECTION_HEADER
        if section != _LEADS or not 0 < place < len(content) - _SECTION_HEADER - 2:
            continue
        ends = range(start + 2, min(start + 2 + 9 * content[start], len(content) - 8), 9)
        spans = [struct.unpack_from("<LL", content, end) for end in ends]
        total = sum(max(0, last - first + 1) for first, last in spans)
        if total > _MOST_SAMPLES_A_BYTE * len(content):
            raise RecordError(
                path,
                f"at most {_MOST_SAMPLES_A_BYTE} samples for each of its {len(content)} bytes",
                f"leads of {total} samples",
                "The file is corrupt, or made to exhaust the memory.",
            )


def _rate_hz(interval_us: int) -> float:
    """Rate in Hz; a whole one if its interval, which is stored in whole microseconds, is the one that is stored."""
    whole = round(1e6 / interval_us)
    return float(whole) if interval_us in (1_000_000 // whole, round(1e6 / whole)) else 1e6 / interval_us


def _beats(beats: Sequence[dict[str, Any]], start: int, rate_hz: float) -> tuple[Annotation, ...] | None:
    """Beats with SCP-ECG's number of their shape as symbol, at their fiducial points."""
    if not beats:
        return None
    return tuple(Annotation((beat["fiducial"] - start) / rate_hz, str(beat["type"]), "QRS") for beat in beats)


SCP = RecordFormat(
    name=_NAME, suffixes=(".scp", ".ecg"), recognises=_recognises, open=_open, select=selector(_recognises)
)

__all__ = ["SCP"]
