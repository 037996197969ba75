# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""WFDB records (PhysioNet): `.hea` with `.dat` or `.mat`, in every signal format that wfdb reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import RecordError
from .formats import ReadOptions, RecordFormat, is_text, warn
from .header_comments import parse_comments
from .lead_selection import StatedSignal, select_leads
from .source import RecordFacts
from .wfdb_header import (
    DEFAULT_GAIN,
    NULL_NAME,
    SignalLine,
    WFDBHeader,
    check_signal_files,
    parse_header,
    read_header_text,
    segment_names,
)
from .wfdb_source import Piece, WFDBSource, import_wfdb


@dataclass(frozen=True)
class _CheckedRecord:
    """
    A header with everything it refers to, checked and not yet decoded.

    Attributes:
        header (`WFDBHeader`): The record's header.
        n_frames (`int`): Length in frames.
        signals (`tuple[SignalLine, ...]`): Signals of the whole record.
        pieces (`tuple[Piece, ...]`): Where the samples are; frames in no piece are missing.
    """

    header: WFDBHeader
    n_frames: int
    signals: tuple[SignalLine, ...]
    pieces: tuple[Piece, ...]


def find_header(path: Path) -> Path | None:
    """Header of the record that a path means, with or without suffix; `None` if it means no WFDB record."""
    if path.suffix == ".hea":
        return path
    if not path.name:  # the current folder, or the root
        return None
    header = path.with_name(f"{path.name}.hea")
    if header.is_file():
        return header
    if not path.suffix:
        return None
    header = path.with_suffix(".hea")
    if path.suffix in (".dat", ".mat"):
        return header
    named = header.is_file() and any(line.split()[:1] == [path.name] for line in read_header_text(header).splitlines())
    return header if named else None


def _recognises(path: Path, head: bytes) -> bool:
    header = find_header(path)
    # A `.dat` or `.mat` without its header is a WFDB record with a file missing, unless it is a table of text.
    return header is not None and (header.is_file() or not is_text(head))


def _select(paths: Sequence[Path]) -> list[Path]:
    headers = dict.fromkeys(path if path.suffix == ".hea" else path.with_suffix(".hea") for path in paths)
    headers = [header for header in headers if header.is_file()]
    joined = {header: segment_names(header) for header in headers}
    segments = {header.with_name(f"{name}.hea") for header, names in joined.items() for name in names}
    return [header.with_suffix("") for header in headers if joined[header] or header not in segments]


def _open(path: Path, options: ReadOptions) -> WFDBSource:
    record = _check_record(parse_header(find_header(path)))
    header = record.header
    stated = [_stated(header, signal) for signal in record.signals]
    channels = select_leads(header.path, stated, options.lead_names)
    signals = [record.signals[channel] for channel in channels]
    rate = options.resolve_sampling_rate(header.path, _stated(header, signals[0]).rate_hz)
    for signal in signals:
        options.resolve_unit(header.path, signal.unit)  # a contradiction is an error
    names = options.resolve_lead_names(header.path, [signal.name for signal in signals])
    _report_default_gains(record, signals)
    import_wfdb()  # a missing package shows when the record is opened
    return WFDBSource(
        header,
        [replace(piece, channels=_channels_in(record, piece, channels)) for piece in record.pieces],
        names,
        n_frames=record.n_frames,
        samples_per_frame=_samples_per_frame(header, signals),
        sampling_rate=rate,
        facts=RecordFacts(
            record_id=header.path.stem,
            recorded_at=header.record.recorded_at,
            comments=header.comments,
            source=str(header.path),
            **vars(parse_comments(header.comments)),
        ),
    )


def _check_record(header: WFDBHeader) -> _CheckedRecord:
    if not header.segments:
        n_frames = check_signal_files(header)
        return _CheckedRecord(header, n_frames, header.signals, (Piece(header, 0, n_frames),))
    layout, pieces, start = None, [], 0
    for segment in header.segments:
        if segment.name != NULL_NAME:
            part = parse_header(header.path.with_name(f"{segment.name}.hea"))
            layout = layout or part
            _check_segment(header, layout, part)
            # A first segment of length 0 only lays out the signals of the others.
            length = check_signal_files(part) if segment.n_frames else 0
            if length != segment.n_frames:
                raise RecordError(part.path, f"{segment.n_frames} samples, as {header.path.name} says", f"{length}")
            if length:
                pieces.append(Piece(part, start, length))
        start += segment.n_frames
    if not pieces:
        raise RecordError(header.path, "at least one segment with samples", "none")
    if header.record.n_frames not in (None, start):
        raise RecordError(header.path, f"segments of {header.record.n_frames} samples together", f"{start}")
    return _CheckedRecord(header, start, layout.signals, tuple(pieces))


def _check_segment(header: WFDBHeader, layout: WFDBHeader, part: WFDBHeader) -> None:
    """Segments must have the signals of the first, or if that is for layout only, some of them."""

    def facts(signals: tuple[SignalLine, ...]) -> list[tuple[str, str, int]]:
        return [(signal.name, signal.unit, signal.samples_per_frame) for signal in signals]

    if part.segments:
        raise RecordError(part.path, "a segment that holds signals", "segments within a segment")
    expected, found = facts(layout.signals), facts(part.signals)
    if _has_layout_segment(header):
        fits = set(found) <= set(expected) and len({signal.name for signal in layout.signals}) == len(expected)
    else:
        fits = found == expected
    if not fits or len(expected) != header.record.n_signals:
        raise RecordError(
            part.path,
            f"the {header.record.n_signals} signals of {header.path.name}, {expected}",
            f"{found}",
            "Each is (name, unit, samples a frame).",
        )
    if part.record.frame_rate != header.record.frame_rate:
        raise RecordError(
            part.path, f"{header.record.frame_rate} Hz, as {header.path.name} says", f"{part.record.frame_rate} Hz"
        )


def _has_layout_segment(header: WFDBHeader) -> bool:
    return bool(header.segments) and header.segments[0].n_frames == 0


def _stated(header: WFDBHeader, signal: SignalLine) -> StatedSignal:
    frame_rate = header.record.frame_rate
    rate = None if frame_rate is None else frame_rate * signal.samples_per_frame
    return StatedSignal(signal.name, signal.unit, rate)


def _samples_per_frame(header: WFDBHeader, signals: Sequence[SignalLine]) -> int:
    """Samples that every lead has in a frame; they can only differ where the header states no rate."""
    widths = {signal.samples_per_frame for signal in signals}
    if len(widths) > 1:
        raise RecordError(
            header.path,
            "a number of frames a second on the first line, as its leads have several numbers of samples in a frame",
            "none",
        )
    return widths.pop()


def _channels_in(record: _CheckedRecord, piece: Piece, channels: Sequence[int]) -> tuple[int | None, ...]:
    """Signals of a piece that belong to the record's channels; `None` where a segment lacks one."""
    if not _has_layout_segment(record.header):
        return tuple(channels)
    names = [signal.name for signal in piece.header.signals]
    wanted = [record.signals[channel].name for channel in channels]
    return tuple(names.index(name) if name in names else None for name in wanted)


def _report_default_gains(record: _CheckedRecord, signals: Sequence[SignalLine]) -> None:
    kept = {signal.name for signal in signals}
    stated = [signal for piece in record.pieces for signal in piece.header.signals]
    names = dict.fromkeys(signal.name for signal in stated if signal.gain is None and signal.name in kept)
    if names:
        warn(
            record.header.path,
            f"no gain is stated for {', '.join(names)}: amplitudes rest on WFDB's default of {DEFAULT_GAIN:g} a unit.",
        )


WFDB = RecordFormat(name="WFDB", suffixes=(".hea", ".dat", ".mat"), recognises=_recognises, open=_open, select=_select)

__all__ = ["WFDB", "find_header"]
