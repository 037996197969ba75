# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""SCP-ECG files written by hand: plain samples, differences of first and second order, the default Huffman code."""

import binascii
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

LEAD_CODES = {"I": 1, "II": 2, "V1": 3, "V6": 8, "III": 61, "aVR": 62}
PATIENT = {
    0: "Müller\0".encode("latin-1"),
    1: b"Mary\0",
    2: b"p7\0",
    4: struct.pack("<HB", 68, 1),
    6: struct.pack("<HB", 165, 1),
    7: struct.pack("<HB", 68, 1),
    8: bytes([2]),
    20: b"Doe, John\0",
    25: struct.pack("<HBB", 2020, 5, 12),
    26: bytes([12, 33, 59]),
}


def _section(number: int, body: bytes, reserved: bytes = b"\0" * 6) -> bytes:
    body += b"\0" * (len(body) % 2)
    rest = struct.pack("<HLBB", number, 16 + len(body), 20, 20) + reserved + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def _huffman(values: Sequence[int]) -> bytes:
    """The default code of the standard: a one for each step away from zero, a zero, the sign."""
    text = ""
    for value in values:
        if value == 0:
            text += "0"
        elif abs(value) <= 8:
            text += "1" * abs(value) + "0" + ("1" if value < 0 else "0")
        elif -128 <= value <= 127:
            text += "1111111110" + f"{value & 0xFF:08b}"
        else:
            text += "1111111111" + f"{value & 0xFFFF:016b}"
    text += "0" * (-len(text) % 16)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _encoded(samples: np.ndarray, order: int, huffman: bool) -> bytes:
    values = np.diff(samples.astype(np.int64), n=order, prepend=samples[:1] * 0) if order == 1 else samples
    if order == 2:
        values = np.concatenate([samples[:2], np.diff(samples.astype(np.int64), n=2)])
    return _huffman([int(value) for value in values]) if huffman else np.asarray(values).astype("<i2").tobytes()


def write_scp(
    path: Path,
    leads: Mapping[str, np.ndarray],
    *,
    step_nv: int = 5000,
    interval_us: int = 2000,
    order: int = 0,
    huffman: bool = False,
    starts: Mapping[str, int] | None = None,
    beats: Sequence[tuple[int, int]] = (),
    statements: Sequence[str] = (),
) -> Path:
    """Writes leads; beats are types and numbers of samples, counted from 1; `starts` are the first samples of leads."""
    definitions, data = b"", []
    for name, samples in leads.items():
        start = (starts or {}).get(name, 1)
        definitions += struct.pack("<LLB", start, start + len(samples) - 1, LEAD_CODES[name])
        data.append(_encoded(np.asarray(samples), order, huffman))
    tags = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in PATIENT.items())
    rhythm = struct.pack("<HHBB", step_nv, interval_us, order, 0) + struct.pack(f"<{len(data)}H", *map(len, data))
    bodies = {1: tags + struct.pack("<BH", 255, 0)}
    if huffman:
        bodies[2] = struct.pack("<H", 19999)
    bodies[3] = struct.pack("<BB", len(leads), 0x04 | len(leads) << 3) + definitions
    if beats:
        regions = b"".join(struct.pack("<HLLL", kind, place, place, place) for kind, place in beats)
        bodies[4] = struct.pack("<HHH", 0, 0, len(beats)) + regions
    bodies[6] = rhythm + b"".join(data)
    if statements:
        texts = [text.encode() + b"\0" for text in statements]
        lines = b"".join(struct.pack("<BH", number, len(text)) + text for number, text in enumerate(texts, start=1))
        bodies[8] = struct.pack("<BHBBBBBB", 0, 2020, 5, 12, 12, 34, 0, len(texts)) + lines
    sections = {number: _section(number, body) for number, body in bodies.items()}
    place = 7 + 16 + 10 * 12
    pointers = struct.pack("<HLL", 0, 16 + 10 * 12, 7)
    for number in range(1, 12):
        length = len(sections.get(number, b""))
        pointers += struct.pack("<HLL", number, length, place if length else 0)
        place += length
    content = _section(0, pointers, b"SCPECG") + b"".join(sections.values())
    content = struct.pack("<L", len(content) + 6) + content
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content)
    return path
