# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""EDF and BDF headers: structure, and the checks that pyedflib does not make or does not explain.

pyedflib decodes the samples and annotations. It refuses what is not exactly to the letter of the format, mostly without
a word about which field is at fault; so the header is parsed here first.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .errors import RecordError, TruncatedFileError
from .formats import warn
from .header_comments import parse_sex
from .wfdb_header import parse_start

EDF_MAGIC = b"0       "
BDF_MAGIC = b"\xffBIOSEMI"
ADVICE = "Mend the header, for example with EDFbrowser, or export the recording again."

_UNIT_BYTES = 256
# Fields after the eight bytes that name the format, and of every signal: width in bytes.
_FILE_FIELDS = {
    **{"patient": 80, "recording": 80, "start date": 8, "start time": 8},
    **{"header bytes": 8, "reserved": 44, "number of data records": 8, "duration of a data record": 8},
    "number of signals": 4,
}
_SIGNAL_FIELDS = {
    **{"label": 16, "transducer": 80, "unit": 8, "physical minimum": 8, "physical maximum": 8},
    **{"digital minimum": 8, "digital maximum": 8, "prefilter": 80, "samples in a data record": 8, "reserved": 32},
}
_START_DATE = re.compile(r"Startdate\s+(\d{2})-([A-Z]{3})-(\d{4})", re.IGNORECASE)
# EDF+ writes it where the date is unknown or hidden; EDF is younger than it.
_NO_DATE = "01.01.85"
# Two digits of a year: 85 to 99 lie in the twentieth century.
_FIRST_YEAR = 85
# What no converter outputs. WFDB's `mit2edf`, for one, writes it where samples are missing.
_LOWEST_CODES = {"EDF": -(1 << 15), "BDF": -(1 << 23)}


@dataclass(frozen=True)
class EDFSignal:
    """
    One signal of the header.

    Attributes:
        label (`str`): Its name, in EDF+ after its kind (`"ECG V1"`).
        unit (`str`): Its unit; empty where the file is silent.
        samples_per_record (`int`): Its samples in every data record.
        step (`float`): Units in one step of the digital codes.
        zero_code (`float`): The digital code, or place between two of them, that means zero.
        missing_code (`int` or `None`): The lowest code, if it lies below the digital minimum and so is no sample;
            `None` if it is a legal one.
    """

    label: str
    unit: str
    samples_per_record: int
    step: float
    zero_code: float
    missing_code: int | None


@dataclass(frozen=True)
class EDFHeader:
    """
    A parsed and checked header.

    Attributes:
        path (`Path`): The file.
        is_16_bit (`bool`): Whether it is EDF; the samples of BDF have 24 bits.
        is_plus (`bool`): Whether it is EDF+ or BDF+.
        patient (`str`): The patient field.
        recording (`str`): The recording field.
        recorded_at (`datetime` or `None`): Start of the recording; `None` where it is unknown or hidden.
        n_records (`int`): Number of data records.
        record_s (`float`): Seconds that a data record lasts.
        signals (`tuple[EDFSignal, ...]`): All signals with samples, without those that hold annotations.
    """

    path: Path
    is_16_bit: bool
    is_plus: bool
    patient: str
    recording: str
    recorded_at: datetime | None
    n_records: int
    record_s: float
    signals: tuple[EDFSignal, ...]


@dataclass(frozen=True)
class PatientField:
    """What the patient field of EDF+ says; `None` where it is silent."""

    code: str | None = None
    sex: int | None = None
    born: datetime | None = None
    further: str = ""


def parse_edf_header(path: Path) -> EDFHeader:
    """
    Parses the header and checks it against the size of the file.

    Args:
        path (`Path`): An EDF or BDF file.

    Returns:
        [`EDFHeader`]

    Raises:
        [`RecordError`]: if the header contradicts itself or the format, or the file is discontinuous.
        [`TruncatedFileError`]: if the file is shorter than the header says.
    """
    with open(path, "rb") as file:
        first = file.read(_UNIT_BYTES)
        _check_length(path, len(first), _UNIT_BYTES)
        fields = _split(path, first[len(EDF_MAGIC) :], _FILE_FIELDS)
        n_signals = _whole(path, "number of signals", fields["number of signals"])
        if n_signals < 1:
            raise RecordError(path, "at least one signal", f"{n_signals}")
        header_bytes = _UNIT_BYTES * (n_signals + 1)
        # Before they are read: the field can hold "9e99".
        _check_length(path, path.stat().st_size, header_bytes)
        signal_bytes = file.read(header_bytes - _UNIT_BYTES)
    if _whole(path, "header bytes", fields["header bytes"]) != header_bytes:
        raise RecordError(path, f"{header_bytes} header bytes for {n_signals} signals", fields["header bytes"], ADVICE)
    kind = "BDF" if first.startswith(BDF_MAGIC) else "EDF"
    _check_continuous(path, fields["reserved"], kind)
    signals = _parse_signals(path, signal_bytes, n_signals, _LOWEST_CODES[kind])
    record_bytes = sum(signal.samples_per_record for signal in signals) * (3 if kind == "BDF" else 2)
    is_plus = fields["reserved"].startswith(f"{kind}+C")
    with_samples = tuple(signal for signal in signals if not (is_plus and signal.label == f"{kind} Annotations"))
    record_s = _number(path, "duration of a data record", fields["duration of a data record"])
    if with_samples and not record_s > 0:
        raise RecordError(path, "data records that last longer than 0 s", f"{record_s:g} s", ADVICE)
    return EDFHeader(
        path=path,
        is_16_bit=kind == "EDF",
        is_plus=is_plus,
        patient=fields["patient"],
        recording=fields["recording"],
        recorded_at=_parse_start(fields),
        n_records=_check_size(path, fields, header_bytes, record_bytes),
        record_s=record_s,
        signals=with_samples,
    )


def parse_patient(text: str) -> PatientField:
    """
    Reads the patient field of EDF+: code, sex, date of birth and name, and whatever follows. The name is not kept.

    Args:
        text (`str`): For example `"MCH-0234567 F 02-MAY-1951 Haagse_Harry"`.

    Returns:
        [`PatientField`]
    """
    code, sex, born = [*text.split(), "X", "X", "X"][:3]
    return PatientField(
        code=None if code == "X" else code,
        sex=parse_sex(sex),
        born=parse_start(f"{born} 00:00:00"),
        further=" ".join(text.split()[4:]),
    )


def _check_length(path: Path, n_bytes: int, needed: int) -> None:
    if n_bytes < needed:
        raise TruncatedFileError(
            path, f"{needed} bytes of header", f"{n_bytes} bytes", "The file is truncated: fetch it again."
        )


def _split(path: Path, content: bytes, widths: dict[str, int]) -> dict[str, str]:
    fields, start = {}, 0
    for name, width in widths.items():
        fields[name] = _text(path, name, content[start : start + width])
        start += width
    return fields


def _text(path: Path, name: str, content: bytes) -> str:
    odd = next((byte for byte in content if not 32 <= byte <= 126), None)
    if odd is not None:
        raise RecordError(path, f"printable ASCII in the header field {name!r}", f"the byte {odd:#04x}", ADVICE)
    return content.decode("ascii").strip()


def _check_continuous(path: Path, reserved: str, kind: str) -> None:
    if reserved.startswith(f"{kind}+D"):
        raise RecordError(
            path,
            "a recording without interruptions",
            f"{kind}+D, which has gaps between its data records",
            f"Convert it to {kind}+C, for example with EDFbrowser, one file for each uninterrupted part.",
        )


def _number(path: Path, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecordError(path, f"a number as {name}", f"{text!r}", ADVICE)
    return number


def _whole(path: Path, name: str, text: str) -> int:
    number = _number(path, name, text)
    if number != int(number):
        raise RecordError(path, f"a whole number as {name}", f"{text!r}", ADVICE)
    return int(number)


def _parse_signals(path: Path, content: bytes, n_signals: int, lowest_code: int) -> list[EDFSignal]:
    columns, start = {}, 0
    for name, width in _SIGNAL_FIELDS.items():
        ends = range(start + width, start + width * n_signals + 1, width)
        columns[name] = [_text(path, name, content[end - width : end]) for end in ends]
        start += width * n_signals
    rows = ({name: column[number] for name, column in columns.items()} for number in range(n_signals))
    return [_parse_signal(path, row, lowest_code) for row in rows]


def _parse_signal(path: Path, fields: dict[str, str], lowest_code: int) -> EDFSignal:
    label = fields["label"]
    samples_per_record = _whole(path, f"samples in a data record of {label!r}", fields["samples in a data record"])
    if samples_per_record < 1:
        raise RecordError(path, f"samples of {label!r} in every data record", f"{samples_per_record}", ADVICE)
    low, high = (
        _number(path, f"{name} of {label!r}", fields[name]) for name in ("physical minimum", "physical maximum")
    )
    if low == high:
        raise RecordError(path, f"a physical minimum and maximum of {label!r} that differ", f"{low:g} for both", ADVICE)
    codes = [_whole(path, f"{name} of {label!r}", fields[name]) for name in ("digital minimum", "digital maximum")]
    first_code, last_code = codes
    if first_code >= last_code:
        found = f"{first_code} and {last_code}"
        raise RecordError(path, f"a digital minimum of {label!r} below its maximum", found, ADVICE)
    step = (high - low) / (last_code - first_code)
    if not (step and math.isfinite(step) and math.isfinite(1 / step)):
        found = f"{low:g} and {high:g}"
        raise RecordError(path, f"physical limits of {label!r} that a signal can have", found, ADVICE)
    return EDFSignal(
        label=label,
        unit=fields["unit"],
        samples_per_record=samples_per_record,
        step=step,
        zero_code=first_code - low / step,
        missing_code=lowest_code if lowest_code < first_code else None,
    )


def _check_size(path: Path, fields: dict[str, str], header_bytes: int, record_bytes: int) -> int:
    """Number of data records, all of which are in the file."""
    n_records = _whole(path, "number of data records", fields["number of data records"])
    size = path.stat().st_size
    held = (size - header_bytes) // record_bytes
    if n_records < 1:
        raise RecordError(
            path,
            "at least one data record",
            f"{n_records} in the header and {held} in the file",
            "The recorder did not finish the file." if n_records == -1 else "",
        )
    needed = header_bytes + n_records * record_bytes
    if size < needed:
        raise TruncatedFileError(
            path,
            f"{needed} bytes ({n_records} data records of {record_bytes} bytes after {header_bytes} of header)",
            f"{size} bytes ({held} data records)",
            "The file is truncated: fetch it again.",
        )
    if size > needed:
        warn(path, f"{size - needed} bytes beyond the {n_records} data records of the header are not read.")
    return n_records


def _parse_start(fields: dict[str, str]) -> datetime | None:
    recording = fields["recording"]
    stated = _START_DATE.match(recording)
    if fields["start date"] == _NO_DATE or (recording.startswith("Startdate") and not stated):
        return None
    if stated:
        date = "-".join(stated.groups())
    else:
        day, _, rest = fields["start date"].partition(".")
        month, _, year = rest.partition(".")
        if not year.isdecimal():
            return None
        date = f"{day}/{month}/{(1900 if int(year) >= _FIRST_YEAR else 2000) + int(year)}"
    return parse_start(f"{date} {fields['start time'].replace('.', ':')}")


__all__ = [
    "ADVICE",
    "BDF_MAGIC",
    "EDF_MAGIC",
    "EDFHeader",
    "EDFSignal",
    "PatientField",
    "parse_edf_header",
    "parse_patient",
]
