# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Samples of WFDB records, decoded by wfdb piece by piece: nothing beyond the frames asked for is read."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from .errors import RecordError, TruncatedFileError
from .formats import optional_package
from .record import Annotation
from .source import RecordFacts, RecordSource
from .stored_signal import StoredSignal
from .wfdb_definitions import check_definitions
from .wfdb_header import DEFAULT_GAIN, SignalLine, WFDBHeader, plain_text

if TYPE_CHECKING:
    import wfdb

# Format 8 holds differences, which wfdb adds up from wherever it starts to read. Every so many frames the sums are
# kept, so that the first block costs no more than this and later ones need not start at the beginning.
_DIFFERENCE_FORMAT = "8"
_FRAMES_PER_SUM = 1 << 16
# The sample that means "invalid" in a format, by its bits; differences have none.
_INVALID = {
    **dict.fromkeys(("80", "508"), -(1 << 7)),
    **dict.fromkeys(("310", "311"), -(1 << 9)),
    "212": -(1 << 11),
    **dict.fromkeys(("16", "61", "160", "516"), -(1 << 15)),
    **dict.fromkeys(("24", "524"), -(1 << 23)),
    "32": -(1 << 31),
}
# Formats that are arrays of words, and their types.
_WORDS = {"16": "<i2", "61": ">i2"}
_LONG_FORMATS = (_DIFFERENCE_FORMAT, "24", "524", "32")


@dataclass(frozen=True)
class Piece:
    """
    A run of frames with its own signal files: the whole record, or one segment of it.

    Attributes:
        header (`WFDBHeader`): The header of these frames.
        start (`int`): Its first frame in the record.
        n_frames (`int`): Its length in frames.
        channels (`tuple[int | None, ...]`): The signal of every lead, `None` where this piece does not have the lead;
            empty until the leads are known.
    """

    header: WFDBHeader
    start: int
    n_frames: int
    channels: tuple[int | None, ...] = ()


class WFDBSource(RecordSource):
    """
    A WFDB record whose headers have been parsed and checked. Samples are read in whole frames and cut afterwards.

    Args:
        header (`WFDBHeader`): The header of the record.
        pieces (`Sequence[Piece]`): Where the samples are; frames in no piece are missing.
        lead_names (`Sequence[str]`): Names of the leads in the lead vocabulary.
        n_frames (`int`): Length of the record in frames.
        samples_per_frame (`int`): Samples that every lead has in a frame.
        sampling_rate (`float`), facts ([`RecordFacts`]): As in [`RecordSource`].
    """

    def __init__(
        self,
        header: WFDBHeader,
        pieces: Sequence[Piece],
        lead_names: Sequence[str],
        *,
        n_frames: int,
        samples_per_frame: int,
        sampling_rate: float,
        facts: RecordFacts,
    ):
        super().__init__(
            sampling_rate=sampling_rate,
            lead_names=tuple(lead_names),
            n_samples=n_frames * samples_per_frame,
            facts=facts,
        )
        self._header = header
        self._pieces = tuple(pieces)
        self._width = samples_per_frame
        covered = sum(piece.n_frames for piece in self._pieces)
        self._own_numbers = _own_numbers(self._pieces, self.n_leads, has_gaps=covered < n_frames)
        self._copies: tempfile.TemporaryDirectory | None = None
        # By the start of the piece, the second by its channels too.
        self._record_paths: dict[int, Path] = {}
        self._sums: dict[tuple[int, ...], list[list[int]]] = {}

    def _read_stored(self, start: int, stop: int) -> StoredSignal:
        width = self._width
        first, last = start // width, -(-stop // width)
        form = self._own_numbers or _millivolts(self.n_leads)
        samples = np.repeat(form.samples, (last - first) * width, axis=1)
        for piece in self._pieces:
            begin, end = max(first, piece.start), min(last, piece.start + piece.n_frames)
            if begin < end:
                span = slice((begin - first) * width, (end - first) * width)
                self._read_piece(piece, begin - piece.start, end - piece.start, samples[:, span])
        cut = samples[:, start - first * width : stop - first * width]
        return replace(form, samples=np.ascontiguousarray(cut))

    def _read_piece(self, piece: Piece, first: int, last: int, out: np.ndarray) -> None:
        """Writes frames of a piece into `out`; what it does not hold stays as it is."""
        groups: dict[tuple[int, Callable], list[int]] = {}
        for lead, channel in enumerate(piece.channels):
            if channel is not None:
                signal = piece.header.signals[channel]
                groups.setdefault((signal.skew, self._decoder(signal.format)), []).append(lead)
        for (skew, decode), leads in groups.items():
            # A skewed signal stands later in the file than in the record, and so ends before it.
            begin, end = first + skew, min(last + skew, piece.n_frames)
            if begin >= end:
                continue
            channels = [piece.channels[lead] for lead in leads]
            for lead, channel, samples in zip(leads, channels, decode(piece, channels, begin, end), strict=True):
                if self._own_numbers is None:
                    form = _stored_form([piece.header.signals[channel]])
                    samples = replace(form, samples=samples[None].astype(np.int32)).to_millivolts()[0]
                out[lead, : len(samples)] = samples

    def _decoder(self, format_: str) -> Callable[[Piece, list[int], int, int], list[np.ndarray]]:
        if format_ in _WORDS:
            return self._decode_words
        return self._decode_differences if format_ == _DIFFERENCE_FORMAT else self._decode

    def _decode(self, piece: Piece, channels: list[int], first: int, last: int) -> list[np.ndarray]:
        """Samples of each channel as they are in its file."""
        return self._decode_record(piece, channels, first, last).e_d_signal

    def _decode_words(self, piece: Piece, channels: list[int], first: int, last: int) -> list[np.ndarray]:
        """As `_decode`, for plain 16-bit words: wfdb would parse the header once more for every piece."""
        found: dict[int, np.ndarray] = {}
        for name, signals in piece.header.signal_files().items():
            columns = np.cumsum([0, *(signal.samples_per_frame for signal in signals)])
            wanted = [channel for channel in channels if piece.header.signals[channel].file_name == name]
            if not wanted:
                continue
            path = piece.header.path.with_name(name)
            start = signals[0].offset + 2 * int(columns[-1]) * first
            dtype = _WORDS[signals[0].format]
            try:
                words = np.fromfile(path, dtype=dtype, count=int(columns[-1]) * (last - first), offset=start)
            except OSError as error:
                raise RecordError(path, "a signal file that can be read", f"this: {error.strerror}") from error
            if words.size < columns[-1] * (last - first):
                raise TruncatedFileError(path, f"samples of frames {first} to {last}", f"{words.size} of them")
            frames = words.reshape(last - first, -1)
            first_of_file = piece.header.signals.index(signals[0])
            for channel in wanted:
                column = columns[channel - first_of_file : channel - first_of_file + 2]
                found[channel] = frames[:, column[0] : column[1]].reshape(-1)
        return [found[channel] for channel in channels]

    def _decode_differences(self, piece: Piece, channels: list[int], first: int, last: int) -> list[np.ndarray]:
        """As `_decode`, for channels whose file holds differences."""
        number = first // _FRAMES_PER_SUM
        sums = self._sums_before(piece, channels, number)
        begin = number * _FRAMES_PER_SUM
        record = self._decode_record(piece, channels, begin, last)
        skipped = (first - begin) * self._width
        return [samples[skipped:] + before for samples, before in zip(record.e_d_signal, sums, strict=True)]

    def _sums_before(self, piece: Piece, channels: list[int], number: int) -> list[int]:
        """Sum of the differences of every channel before frame `number * _FRAMES_PER_SUM`."""
        sums = self._sums.setdefault((piece.start, *channels), [[0] * len(channels)])
        initial = [piece.header.signals[channel].initial_value for channel in channels]
        while len(sums) <= number:
            end = len(sums) * _FRAMES_PER_SUM
            record = self._decode_record(piece, channels, end - _FRAMES_PER_SUM, end)
            steps = [int(samples[-1]) - value for samples, value in zip(record.e_d_signal, initial, strict=True)]
            sums.append([before + step for before, step in zip(sums[-1], steps, strict=True)])
        return sums[number]

    def _decode_record(self, piece: Piece, channels: list[int], first: int, last: int) -> "wfdb.Record":
        wfdb = import_wfdb()
        try:
            return wfdb.rdrecord(
                str(self._record_path(piece)),
                sampfrom=first,
                sampto=last,
                channels=channels,
                physical=False,
                # Averaging the samples of a frame would lower the rate.
                smooth_frames=False,
                # Skews are dealt with above: wfdb refuses several in one file, and misses some of the missing samples.
                ignore_skew=True,
            )
        except Exception as error:  # wfdb lets whatever error occurs inside come out
            raise RecordError(
                piece.header.path,
                "a record that wfdb can decode",
                f"{type(error).__name__}: {error}",
                f"A signal file may be truncated or corrupt: {', '.join(piece.header.signal_files())}.",
            ) from error

    def _record_path(self, piece: Piece) -> Path:
        """The record itself or, where wfdb would misread the header, a plain copy of it with links to the signals."""
        if piece.header.is_plain:
            return piece.header.path.with_suffix("")
        if piece.start not in self._record_paths:
            self._record_paths[piece.start] = self._copy_plainly(piece)
        return self._record_paths[piece.start]

    def _copy_plainly(self, piece: Piece) -> Path:
        if self._copies is None:
            self._copies = tempfile.TemporaryDirectory(prefix="anyecg-")
        folder = Path(self._copies.name, str(piece.start))
        folder.mkdir()
        header = piece.header
        links = {file: f"signals{number}.dat" for number, file in enumerate(header.signal_files())}
        for file, link in links.items():
            _link(header.path.with_name(file).absolute(), folder / link)
        (folder / "record.hea").write_text(plain_text(header, piece.n_frames, links), encoding="ascii")
        return folder / "record"

    def read_annotations(self) -> tuple[Annotation, ...] | None:
        """Annotations of the `.atr` file beside the header, `None` if there is none."""
        path = self._header.path.with_suffix(".atr")
        if not path.is_file():
            return None
        return read_annotation_file(path, self._header.record.frame_rate or self.sampling_rate)

    def close(self) -> None:
        super().close()
        if self._copies is not None:
            self._copies.cleanup()
        self._copies = None
        self._record_paths.clear()


def read_annotation_file(path: Path, frame_rate: float, lead_name: str | None = None) -> tuple[Annotation, ...]:
    """
    Reads a WFDB annotation file.

    Args:
        path (`Path`): The file; its suffix is the name of the annotator.
        frame_rate (`float`): Frames of the record a second, in which annotations count unless the file says otherwise.
        lead_name (`str`, *optional*): The lead that all of them are about.

    Returns:
        `tuple[Annotation, ...]`

    Raises:
        [`RecordError`]: if it cannot be decoded.
    """
    wfdb = import_wfdb()
    check_definitions(path)
    try:
        found = wfdb.rdann(
            str(path.with_suffix("")),
            path.suffix.removeprefix("."),
            return_label_elements=["symbol", "label_store"],
        )
        rate = found.fs or frame_rate
        return tuple(
            Annotation(
                time_s=int(frame) / rate,
                # wfdb has no symbol for the codes that WFDB leaves to applications.
                symbol=symbol if isinstance(symbol, str) else f"[{code}]",
                note=note.rstrip("\0"),
                lead_name=lead_name,
            )
            for frame, symbol, code, note in zip(
                found.sample, found.symbol, found.label_store, found.aux_note, strict=True
            )
        )
    except Exception as error:
        raise RecordError(path, "a WFDB annotation file", f"{type(error).__name__}: {error}") from error


def _stored_form(signals: Sequence[SignalLine]) -> StoredSignal:
    """How the samples of signals are stored, with one sample of each, that which means "invalid" if there is one."""
    missing = tuple(_INVALID.get(signal.format) for signal in signals)
    is_long = any(signal.format in _LONG_FORMATS for signal in signals)
    return StoredSignal(
        np.array([[marker or 0] for marker in missing], dtype=np.int32 if is_long else np.int16),
        gain=np.array([signal.gain or DEFAULT_GAIN for signal in signals]),
        baseline=np.array([signal.baseline for signal in signals]),
        units=tuple(signal.unit for signal in signals),
        missing=missing,
    )


def _millivolts(n_leads: int) -> StoredSignal:
    """As `_stored_form`, for samples that have been converted."""
    samples = np.full((n_leads, 1), np.nan, dtype=np.float32)
    return StoredSignal(samples, gain=np.ones(n_leads), baseline=np.zeros(n_leads), units=("mV",) * n_leads)


def _own_numbers(pieces: Sequence[Piece], n_leads: int, has_gaps: bool) -> StoredSignal | None:
    """The stored form that all pieces share; `None` if there is none, or it cannot say where samples are missing."""
    signals = []
    for lead in range(n_leads):
        found = [piece.header.signals[piece.channels[lead]] for piece in pieces if piece.channels[lead] is not None]
        if len({(signal.format, signal.gain, signal.baseline, signal.unit) for signal in found}) != 1:
            return None
        has_gaps = has_gaps or len(found) < len(pieces) or any(signal.skew for signal in found)
        signals.append(found[0])
    form = _stored_form(signals)
    return None if has_gaps and None in form.missing else form


def import_wfdb() -> ModuleType:
    """Imports wfdb, which is optional and slow to import; the `ImportError` names the command that installs it."""
    with optional_package("wfdb", "WFDB records"):
        import wfdb
    return wfdb


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:  # not permitted to every user of Windows
        shutil.copyfile(source, target)


__all__ = ["Piece", "WFDBSource", "import_wfdb", "read_annotation_file"]
