# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""WFDB records (PhysioNet): `.hea` with `.dat` or `.mat`, in every signal format that wfdb reads."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from ..models.anyecg.signal_anyecg import canonical_lead_name, millivolts_per_unit
from .errors import RecordError
from .formats import ReadOptions, RecordFormat, is_text, warn
from .header_comments import parse_comments
from .record import Annotation, ECGRecord
from .wfdb_header import (
    DEFAULT_GAIN,
    NULL_NAME,
    SignalLine,
    WFDBHeader,
    check_signal_files,
    parse_header,
    plain_text,
    read_header_text,
    segment_names,
)


@dataclass(frozen=True)
class _Piece:
    """A run of frames with its own signal files: the whole record, or one segment of it."""

    header: WFDBHeader
    start: int
    n_frames: int


@dataclass(frozen=True)
class _CheckedRecord:
    """
    A header with everything it refers to, checked and not yet decoded.

    Attributes:
        header (`WFDBHeader`): The record's header.
        n_frames (`int`): Length in frames.
        signals (`tuple[SignalLine, ...]`): Signals of the whole record.
        pieces (`tuple[_Piece, ...]`): Where the samples are; frames in no piece are missing.
    """

    header: WFDBHeader
    n_frames: int
    signals: tuple[SignalLine, ...]
    pieces: tuple[_Piece, ...]


def find_header(path: Path) -> Path | None:
    """Header of the record that a path means, with or without suffix; `None` if it means no WFDB record."""
    if path.suffix == ".hea":
        return path
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


def _read(path: Path, options: ReadOptions) -> ECGRecord:
    record = _check_record(parse_header(find_header(path)))
    header = record.header
    channels = _voltage_channels(header.path, record.signals)
    signals = [record.signals[channel] for channel in channels]
    rate = options.resolve_sampling_rate(header.path, _stated_rate(header, signals))
    factors = [options.resolve_unit(header.path, signal.unit) for signal in signals]
    names = options.resolve_lead_names(header.path, [signal.name for signal in signals])
    _report_default_gains(record, signals)
    return ECGRecord(
        signal_mv=_join_pieces(record, channels, factors),
        sampling_rate=rate,
        lead_names=names,
        record_id=header.path.stem,
        recorded_at=header.record.recorded_at,
        annotations=_read_annotations(header, rate) if options.annotations else None,
        comments=header.comments,
        source=str(header.path),
        **asdict(parse_comments(header.comments)),
    )


def _import_wfdb() -> ModuleType:
    # Optional, and slow to import.
    try:
        import wfdb
    except ImportError as error:
        raise ImportError('Reading WFDB records needs the package wfdb: pip install "anyecg-hf[records]"') from error
    return wfdb


def _check_record(header: WFDBHeader) -> _CheckedRecord:
    if not header.segments:
        n_frames = check_signal_files(header)
        return _CheckedRecord(header, n_frames, header.signals, (_Piece(header, 0, n_frames),))
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
                pieces.append(_Piece(part, start, length))
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


def _voltage_channels(path: Path, signals: Sequence[SignalLine]) -> list[int]:
    """Indices of the signals in a unit of voltage. Others are left out with a warning, unless named as an ECG lead."""
    kept, left_out = [], []
    for channel, signal in enumerate(signals):
        try:
            millivolts_per_unit(signal.unit)
        except ValueError:
            if canonical_lead_name(signal.name):
                raise RecordError(
                    path, f"lead {signal.name} in a unit of voltage: 'V', 'mV', 'uV' or 'nV'", f"{signal.unit!r}"
                ) from None
            left_out.append(f"{signal.name!r} ({signal.unit})")
        else:
            kept.append(channel)
    if not kept:
        raise RecordError(path, "at least one signal in a unit of voltage", ", ".join(left_out))
    if left_out:
        warn(path, f"signals left out, not in a unit of voltage: {', '.join(left_out)}.")
    return kept


def _stated_rate(header: WFDBHeader, signals: Sequence[SignalLine]) -> float | None:
    if header.record.frame_rate is None:
        return None
    rates = {signal.name: header.record.frame_rate * signal.samples_per_frame for signal in signals}
    if len({signal.samples_per_frame for signal in signals}) > 1:
        raise RecordError(
            header.path,
            "one sampling rate for all ECG leads",
            ", ".join(f"{name} at {rate:g} Hz" for name, rate in rates.items()),
            "Resample the leads to one rate first, or save those of one rate as a record of their own.",
        )
    return rates[signals[0].name]


def _report_default_gains(record: _CheckedRecord, signals: Sequence[SignalLine]) -> None:
    kept = {signal.name for signal in signals}
    stated = [signal for piece in record.pieces for signal in piece.header.signals]
    names = dict.fromkeys(signal.name for signal in stated if signal.gain is None and signal.name in kept)
    if names:
        warn(
            record.header.path,
            f"no gain is stated for {', '.join(names)}: amplitudes rest on WFDB's default of {DEFAULT_GAIN:g} a unit.",
        )


def _join_pieces(record: _CheckedRecord, channels: list[int], factors: Sequence[float]) -> np.ndarray:
    """Samples in mV, `(leads, samples)` float32; NaN where they are invalid or missing."""
    width = record.signals[channels[0]].samples_per_frame
    signal_mv = np.full((len(channels), record.n_frames * width), np.nan, dtype=np.float32)
    for piece in record.pieces:
        rows = dict(enumerate(channels))
        if _has_layout_segment(record.header):
            names = [signal.name for signal in piece.header.signals]
            wanted = {row: record.signals[channel].name for row, channel in rows.items()}
            rows = {row: names.index(name) for row, name in wanted.items() if name in names}
        span = slice(piece.start * width, (piece.start + piece.n_frames) * width)
        for row, samples in zip(rows, _decode(piece, list(rows.values())), strict=True):
            np.multiply(samples, factors[row], out=signal_mv[row, span], casting="same_kind")
    return signal_mv


def _decode(piece: _Piece, channels: list[int]) -> list[np.ndarray]:
    """Samples of each channel in its unit, float64; invalid samples are NaN."""
    if not channels:
        return []
    wfdb = _import_wfdb()
    with _as_wfdb_expects(piece) as record_path:
        try:
            # Not smoothed: averaging the samples of a frame would lower the rate.
            return wfdb.rdrecord(str(record_path), channels=channels, smooth_frames=False).e_p_signal
        except Exception as error:  # wfdb lets whatever error occurs inside come out
            raise RecordError(
                piece.header.path,
                "a record that wfdb can decode",
                f"{type(error).__name__}: {error}".rstrip("."),
                f"A signal file may be truncated or corrupt: {', '.join(piece.header.signal_files())}.",
            ) from error


@contextmanager
def _as_wfdb_expects(piece: _Piece) -> Iterator[Path]:
    """The record itself or, where wfdb would misread the header, a plain copy of it with links to the signal files."""
    header = piece.header
    if header.is_plain:
        yield header.path.with_suffix("")
        return
    with tempfile.TemporaryDirectory(prefix="anyecg-") as folder:
        links = {file: f"signals{number}.dat" for number, file in enumerate(header.signal_files())}
        for file, link in links.items():
            _link(header.path.with_name(file).absolute(), Path(folder, link))
        Path(folder, "record.hea").write_text(plain_text(header, piece.n_frames, links), encoding="ascii")
        yield Path(folder, "record")


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:  # not permitted to every user of Windows
        shutil.copyfile(source, target)


def _read_annotations(header: WFDBHeader, sampling_rate: float) -> tuple[Annotation, ...] | None:
    """Annotations of the `.atr` file beside the header, `None` if there is none."""
    path = header.path.with_suffix(".atr")
    if not path.is_file():
        return None
    wfdb = _import_wfdb()
    try:
        found = wfdb.rdann(str(path.with_suffix("")), "atr")
    except Exception as error:
        raise RecordError(path, "a WFDB annotation file", f"{type(error).__name__}: {error}") from error
    # Annotations count in frames, unless their file states a clock of its own.
    rate = found.fs or header.record.frame_rate or sampling_rate
    return tuple(
        Annotation(time_s=int(frame) / rate, symbol=symbol, note=note.rstrip("\0"))
        for frame, symbol, note in zip(found.sample, found.symbol, found.aux_note, strict=True)
    )


WFDB = RecordFormat(name="WFDB", suffixes=(".hea", ".dat", ".mat"), recognises=_recognises, read=_read, select=_select)

__all__ = ["WFDB", "find_header"]
