# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""WFDB headers: structure, and the checks that must come before any signal file is opened.

wfdb decodes the signals. It also reads headers, but with defaults where a header is silent, without a look at the size
of the signal files, and not in all the dialects that are about; so headers are parsed here and handed on in plain form.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .errors import MissingFileError, RecordError, TruncatedFileError, UnsafeHeaderError
from .formats import check_expansion

# What WFDB takes for a gain that is absent or 0 ("not calibrated").
DEFAULT_GAIN = 200.0
# What every file system takes, with an ending.
_MOST_NAME_BYTES = 250
# Name of a signal file that does not exist, and of a segment without signals.
NULL_NAME = "~"

COMPRESSED_FORMATS = ("508", "516", "524")
# What a decoded sample of these takes.
_WORD_BYTES = 4
# Bytes taken by 1, 2, ... samples up to a whole block, by format.
_BLOCK_BYTES = {
    **dict.fromkeys(("8", "80"), (1,)),
    **dict.fromkeys(("16", "61", "160"), (2,)),
    **{"24": (3,), "32": (4,), "212": (2, 3), "310": (2, 4, 4), "311": (2, 3, 4)},
}

_RATE = re.compile(r"(-?\d+(?:\.\d*)?|-?\.\d+)(?:/.*)?(?:\(.*\))?")
_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?:\([-+]?\d+\))?(?:/\S*)?"
_SIGNAL = re.compile(rf"(\S+)\s+(\S+)(?:\s+({_GAIN})(?=\s|$))?((?:\s+[-+]?\d+(?=\s|$)){{0,5}})\s*(.*)")
_CALIBRATION = re.compile(r"([^(/]+)(?:\(([-+]?\d+)\))?(?:/(.*))?")
_TIME = re.compile(r"(?<![\d/])(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6})\d*)?")
_DATE = re.compile(r"(\d{1,2})([/-])(\d{1,2}|[A-Za-z]{3})\2(\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# Lines from which wfdb finds the signals as they are meant.
_PLAIN_RECORD = re.compile(
    r"[-\w]+(?:/\d+)?\s+\d+\s+\d+(?:\.\d+)?\s+[1-9]\d*"
    # A date in front of the time harms nothing: wfdb takes its day for seconds, and the start is read here.
    r"(?:\s+\d{1,2}:\d{2}:\d{2}\s+\d{1,2}/\d{1,2}/\d{4}|\s+\d{1,2}-[A-Za-z]{3}-\d{4}\s+\d{1,2}:\d{2}:\d{2})?",
    re.ASCII,
)
_PLAIN_SIGNAL = re.compile(
    r"~?[-\w]*(?:\.\w+)?\s+\d+(?:x[1-9]\d*)?(?::\d+)?(?:\+\d+)?"
    r"\s+\d+(?:\.\d+)?(?:\(-?\d+\))?(?:/[A-Za-z]+)?(?:\s+-?\d+){5}(?:\s+[ -~]+)?",
    re.ASCII,
)
_SEGMENT = re.compile(r"([-\w]+|~)\s+(\d+)", re.ASCII)


@dataclass(frozen=True)
class RecordLine:
    """
    First line of a header.

    Attributes:
        n_segments (`int` or `None`): How many records the header joins; `None` for a header of signals.
        n_signals (`int`): How many signals there are.
        frame_rate (`float` or `None`): Frames a second; a signal may have several samples in a frame.
        n_frames (`int` or `None`): Length in frames; `None` if unspecified.
        recorded_at (`datetime` or `None`): Start of the recording.
        is_plain (`bool`): Whether wfdb finds the signals with it.
    """

    n_segments: int | None
    n_signals: int
    frame_rate: float | None
    n_frames: int | None
    recorded_at: datetime | None
    is_plain: bool


@dataclass(frozen=True)
class SignalLine:
    """One signal of a header. `gain` is `None` where the header gives none; `unit` is WFDB's default, mV, likewise."""

    file_name: str
    format: str
    samples_per_frame: int
    skew: int
    offset: int
    gain: float | None
    baseline: int
    unit: str
    initial_value: int
    name: str


@dataclass(frozen=True)
class SegmentLine:
    """One segment of a header that joins several records."""

    name: str
    n_frames: int


@dataclass(frozen=True)
class WFDBHeader:
    """
    A parsed header.

    Attributes:
        path (`Path`): The `.hea` file.
        record (`RecordLine`): The first line.
        signals (`tuple[SignalLine, ...]`): Empty in a header of segments.
        segments (`tuple[SegmentLine, ...]`): Empty in a header of signals.
        comments (`tuple[str, ...]`): Comment lines without their `#`.
        is_plain (`bool`): Whether wfdb reads the signals as they are meant.
    """

    path: Path
    record: RecordLine
    signals: tuple[SignalLine, ...]
    segments: tuple[SegmentLine, ...]
    comments: tuple[str, ...]
    is_plain: bool

    def signal_files(self) -> dict[str, list[SignalLine]]:
        """Signals by the file that holds them, in order."""
        files: dict[str, list[SignalLine]] = {}
        for signal in self.signals:
            files.setdefault(signal.file_name, []).append(signal)
        return files


def read_header_text(path: Path) -> str:
    """Text of a header: UTF-8, or Latin-1 where it is not that."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(
            path, "a WFDB header", "no such file", "A WFDB record is a header (.hea) with its signal files beside it."
        ) from None
    except OSError as error:
        raise RecordError(path, "a WFDB header", f"this: {error.strerror}") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def parse_header(path: Path) -> WFDBHeader:
    """
    Parses a header. Opens no other file.

    Args:
        path (`Path`): The `.hea` file.

    Returns:
        [`WFDBHeader`]

    Raises:
        [`RecordError`]: if the header is missing or corrupt.
        [`UnsafeHeaderError`]: if it names a file outside its own folder.
    """
    stripped = [line.strip() for line in read_header_text(path).splitlines()]
    comments = tuple(line.lstrip("#").strip() for line in stripped if line.startswith("#"))
    lines = [line for line in stripped if line and not line.startswith("#")]
    if not lines:
        raise RecordError(path, "a WFDB record line 'name signals rate samples'", "no such line")
    record = _parse_record_line(path, lines[0])
    expected, kind = (record.n_signals, "signal") if record.n_segments is None else (record.n_segments, "segment")
    if len(lines) - 1 != expected:
        raise RecordError(path, f"{expected} {kind} lines, as its first line says", f"{len(lines) - 1}")
    if not record.n_signals:
        raise RecordError(path, "at least one signal", "none")
    has_signals = record.n_segments is None
    return WFDBHeader(
        path=path,
        record=record,
        signals=tuple(_parse_signal_line(path, line) for line in lines[1:]) if has_signals else (),
        segments=() if has_signals else tuple(_parse_segment_line(path, line) for line in lines[1:]),
        comments=comments,
        is_plain=record.is_plain and (not has_signals or all(map(_PLAIN_SIGNAL.fullmatch, lines[1:]))),
    )


def segment_names(path: Path) -> list[str]:
    """Names of the records that a header joins; empty for other headers and for whatever is no header."""
    stripped = (line.strip() for line in read_header_text(path).splitlines())
    lines = [line for line in stripped if line and not line.startswith("#")]
    if not lines or not re.match(r"\S+/\d+\s", lines[0]):
        return []
    return [match[1] for match in map(_SEGMENT.fullmatch, lines[1:]) if match]


def _parse_record_line(path: Path, line: str) -> RecordLine:
    tokens = line.split()
    n_segments = re.search(r"/(\d+)$", tokens[0])
    rate = _RATE.fullmatch(tokens[2]) if len(tokens) > 2 else None
    if len(tokens) < 2 or not tokens[1].isdecimal() or (len(tokens) > 2 and not rate):
        raise RecordError(path, "a WFDB record line 'name signals rate samples'", f"{line[:80]!r}")
    has_length = len(tokens) > 3 and tokens[3].isdecimal()
    start_text = " ".join(tokens[3 + has_length :])
    recorded_at = parse_start(start_text)
    return RecordLine(
        n_segments=int(n_segments[1]) if n_segments else None,
        n_signals=int(tokens[1]),
        frame_rate=float(rate[1]) if rate else None,
        n_frames=(int(tokens[3]) or None) if has_length else None,
        recorded_at=recorded_at,
        # wfdb stops at dates that do not exist.
        is_plain=bool(_PLAIN_RECORD.fullmatch(line)) and (recorded_at is not None or not start_text),
    )


def parse_start(text: str) -> datetime | None:
    """Start of a recording from `08:03:08 1/03/2000` (WFDB) or `12-May-2020 12:33:59`; `None` if it is neither."""
    time, date = _TIME.search(text), _DATE.search(text)
    if not time or not date:
        return None
    day, _, month, year = date.groups()
    try:
        number = int(month) if month.isdecimal() else _MONTHS.index(month.lower()) + 1
        microseconds = int((time[4] or "").ljust(6, "0"))
        return datetime(int(year), number, int(day), int(time[1]), int(time[2]), int(time[3]), microseconds)
    except ValueError:
        return None


def _parse_signal_line(path: Path, line: str) -> SignalLine:
    match = _SIGNAL.fullmatch(line)
    layout = _FORMAT.fullmatch(match[2]) if match else None
    # Whatever follows the format must start with a gain.
    if not layout or (match[5] and not match[3]):
        raise RecordError(path, "a WFDB signal line 'file format gain ...'", f"{line[:80]!r}")
    file_name, _, gain_text, numbers, name = match.groups()
    _check_is_local(path, file_name)
    gain, baseline, unit = _CALIBRATION.fullmatch(gain_text).groups() if gain_text else ("0", None, None)
    if not math.isfinite(float(gain)):
        raise RecordError(path, "a finite gain", f"{gain} for signal {name.strip()!r}")
    _, adc_zero, initial_value, *_ = [*map(int, numbers.split()), *[0] * 5]
    format_, samples_per_frame, skew, offset = layout.groups()
    return SignalLine(
        file_name=file_name,
        format=format_,
        samples_per_frame=int(samples_per_frame or 1) or 1,
        skew=int(skew or 0),
        offset=int(offset or 0),
        gain=float(gain) or None,
        baseline=adc_zero if baseline is None else int(baseline),
        unit=unit or "mV",
        initial_value=initial_value,
        name=name.strip(),
    )


def _parse_segment_line(path: Path, line: str) -> SegmentLine:
    _check_is_local(path, line.split()[0])
    match = _SEGMENT.fullmatch(line)
    if not match:
        raise RecordError(path, "a WFDB segment line 'record samples'", f"{line[:80]!r}")
    return SegmentLine(match[1], int(match[2]))


def _check_is_local(path: Path, name: str) -> None:
    if name in (".", "..") or re.search(r"[/\\:]", name):
        raise UnsafeHeaderError(
            path,
            "names of files beside the header",
            f"{name!r}",
            "Nothing else was read. If you trust the record, put its files into one folder and mend the header.",
        )
    if len(name.encode()) > _MOST_NAME_BYTES:
        raise RecordError(path, f"names of files of at most {_MOST_NAME_BYTES} bytes", f"{len(name.encode())} bytes")


def check_signal_files(header: WFDBHeader) -> int:
    """
    Checks that the signal files exist and are as long as the header says.

    Args:
        header ([`WFDBHeader`]): A header of signals.

    Returns:
        `int`: length of the record in frames.

    Raises:
        [`MissingFileError`], [`TruncatedFileError`]: naming the file.
        [`RecordError`]: if the layout is one that WFDB does not have.
    """
    n_frames = header.record.n_frames
    files = header.signal_files()
    if NULL_NAME in files:
        raise RecordError(
            header.path, "a file for every signal", f"none ({NULL_NAME!r}) for {files[NULL_NAME][0].name!r}"
        )
    for name, signals in files.items():
        _check_layout(header, name, signals)
        path = header.path.with_name(name)
        if not path.is_file():
            raise MissingFileError(
                path,
                f"the signal file that {header.path.name} names",
                "no such file",
                "A header alone holds no signal: put the file beside it.",
            )
        if signals[0].format not in COMPRESSED_FORMATS:
            n_frames = _check_size(path, signals, n_frames)
        elif n_frames is not None:
            n_bytes = _WORD_BYTES * n_frames * sum(signal.samples_per_frame for signal in signals)
            check_expansion(path, "a signal file", n_bytes, path.stat().st_size)
    if n_frames is None:
        raise RecordError(header.path, "the number of samples on the first line", "none, with compressed signals")
    if not n_frames:
        raise RecordError(header.path, "at least one sample", "none in its signal files")
    if max(signal.skew for signal in header.signals) > n_frames:
        raise RecordError(header.path, f"skews within the record ({n_frames} frames)", "a longer one")
    return n_frames


def _check_layout(header: WFDBHeader, name: str, signals: list[SignalLine]) -> None:
    known = sorted([*_BLOCK_BYTES, *COMPRESSED_FORMATS], key=int)
    first = header.signals.index(signals[0])
    if signals[0].format not in known:
        raise RecordError(header.path, f"a WFDB signal format ({', '.join(known)})", f"format {signals[0].format}")
    if any((signal.format, signal.offset) != (signals[0].format, signals[0].offset) for signal in signals):
        raise RecordError(header.path, f"one format and offset for all signals of {name}", "several")
    if [signal.file_name for signal in header.signals[first : first + len(signals)]] != [name] * len(signals):
        raise RecordError(header.path, f"the signals of {name} on consecutive lines", "others between them")


def _check_size(path: Path, signals: list[SignalLine], n_frames: int | None) -> int:
    """Frames of an uncompressed file: as many as expected, or as many as there are if nothing is expected."""
    frame_samples = sum(signal.samples_per_frame for signal in signals)
    size = path.stat().st_size
    found = samples_in(signals[0].format, size - signals[0].offset) // frame_samples
    if n_frames is None or found >= n_frames:
        return found if n_frames is None else n_frames
    needed = signals[0].offset + bytes_of(signals[0].format, n_frames * frame_samples)
    raise TruncatedFileError(
        path,
        f"{needed} bytes ({n_frames} samples of {frame_samples} signals in format {signals[0].format})",
        f"{size} bytes ({found} samples)",
        "The file is truncated: fetch it again.",
    )


def bytes_of(format_: str, n_samples: int) -> int:
    """Bytes that samples take in an uncompressed WFDB format."""
    block = _BLOCK_BYTES[format_]
    blocks, rest = divmod(n_samples, len(block))
    return blocks * block[-1] + (block[rest - 1] if rest else 0)


def samples_in(format_: str, n_bytes: int) -> int:
    """Whole samples that bytes hold in an uncompressed WFDB format."""
    block = _BLOCK_BYTES[format_]
    blocks, rest = divmod(max(0, n_bytes), block[-1])
    return blocks * len(block) + sum(needed <= rest for needed in block[:-1])


def plain_text(header: WFDBHeader, n_frames: int, file_names: dict[str, str]) -> str:
    """
    Writes a header of signals in the form that every version of wfdb reads, without dates and comments.

    Args:
        header ([`WFDBHeader`]): The header.
        n_frames (`int`): Its length in frames.
        file_names (`dict[str, str]`): New names of the signal files.

    Returns:
        `str`: ASCII text.
    """
    lines = [f"record {header.record.n_signals} {header.record.frame_rate or 1.0:.9f} {n_frames}"]
    for number, signal in enumerate(header.signals):
        lines.append(
            f"{file_names[signal.file_name]}"
            f" {signal.format}x{signal.samples_per_frame}:{signal.skew}+{signal.offset}"
            f" {signal.gain or DEFAULT_GAIN!r}({signal.baseline})/mV 0 0 {signal.initial_value} 0 0 signal {number}"
        )
    return "\n".join([*lines, ""])


__all__ = [
    "DEFAULT_GAIN",
    "NULL_NAME",
    "RecordLine",
    "SegmentLine",
    "SignalLine",
    "WFDBHeader",
    "bytes_of",
    "check_signal_files",
    "parse_header",
    "parse_start",
    "plain_text",
    "read_header_text",
    "samples_in",
    "segment_names",
]
