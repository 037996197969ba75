# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
DICOM files with an ECG waveform, parsed by pydicom: the first original multiplex group, in its channels' own steps.
Further groups, averaged beats, measurements and names of persons are not read.
"""

import math
import re
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..models.anyecg.signal_anyecg import canonical_lead_name
from .dicom_annotations import Timeline, parse_annotations
from .dicom_facts import parse_facts, recording_start
from .dicom_values import first_item, legal_values, read_number, read_text
from .errors import RecordError, TruncatedFileError
from .formats import ReadOptions, RecordFormat, check_expansion, optional_package, read_head, warn
from .lead_selection import StatedSignal, select_leads
from .left_out import warn_of_averages
from .source import ArraySource
from .stored_signal import as_stored

if TYPE_CHECKING:
    from pydicom import Dataset

# 12-lead, general, ambulatory and 32-bit ECG. A file names its class in its first bytes, whatever its transfer syntax.
_ECG_CLASSES = b"1.2.840.10008.5.1.4.1.1.9.1."
# A lead has the same number in MDC ("2:1") and SCP-ECG ("5.6.3-9-1").
_LEAD_CODE = re.compile(r"(?:2:|5\.6\.3-9-)(\d+)")
_LEAD_NUMBERS = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF", 66: "V8", 67: "V9", 11: "V3R", 12: "V4R"}
_LEAD_NUMBERS |= {16: "VX", 17: "VY", 18: "VZ", **{number: f"V{number - 2}" for number in range(3, 10)}}
# "Lead I (Einthoven)", "Lead aVR, augmented voltage, right"
_EXPLANATION = re.compile(r"\s*(?:\(.*?\)|,.*)\s*$")

# The syntax that compresses the data set; the element that starts a file's header, and says how long that is.
_DEFLATED_SYNTAX = b"1.2.840.10008.1.2.1.99"
_META_START, _META_LENGTH = 132, b"\x02\0\0\0UL\x04\0"
_DEFLATED_START = _META_START + len(_META_LENGTH) + 4
_MOST_META_BYTES = 1 << 16
_INFLATED_AT_ONCE = 1 << 24


def _recognises(path: Path, head: bytes) -> bool:
    return head[128:132] == b"DICM"


def _select(paths: Sequence[Path]) -> list[Path]:
    """ECGs only: folders of DICOM files hold images and reports too."""
    heads = {path: read_head(path) for path in paths}
    return [path for path, head in heads.items() if _recognises(path, head) and _ECG_CLASSES in head]


def _open(path: Path, options: ReadOptions) -> ArraySource:
    with legal_values(path):
        return _open_dataset(path, options, _read_dataset(path))


def _open_dataset(path: Path, options: ReadOptions, dataset: "Dataset") -> ArraySource:
    number = _find_group(path, dataset)
    group = dataset.WaveformSequence[number]
    rate_hz = options.resolve_sampling_rate(path, read_number(path, group, "SamplingFrequency"))
    channels = _channels(path, group)
    stated = [StatedSignal(_lead_name(path, channel), _unit(channel), rate_hz) for channel in channels]
    kept = select_leads(path, stated, options.lead_names)
    names = [stated[index].name for index in kept]
    lead_names = options.resolve_lead_names(path, names if any(names) else None)
    units = tuple(options.resolve_unit(path, stated[index].unit) for index in kept)
    scales = np.array([_scale(path, channels[index], stated[index]) for index in kept])
    offsets = np.array([read_number(path, channels[index], "ChannelBaseline") or 0.0 for index in kept])
    _warn_of_skew(path, [channels[index] for index in kept], lead_names)
    samples = _samples(path, dataset, number, len(channels))
    start = recording_start(path, dataset)
    timeline = _timeline(path, number, group, rate_hz, start, dict(zip(kept, lead_names, strict=True)))
    return ArraySource(
        samples=samples[kept],
        sampling_rate=rate_hz,
        lead_names=lead_names,
        gain=1 / scales,
        baseline=-offsets / scales,
        units=units,
        missing=(_padding(path, group, dataset),) * len(kept),
        facts=parse_facts(path, dataset, start),
        annotations=partial(parse_annotations, dataset.get("WaveformAnnotationSequence") or (), timeline),
    )


def _read_dataset(path: Path) -> "Dataset":
    with optional_package("pydicom", "DICOM files"):
        import pydicom
    try:
        content = path.read_bytes()
        _check_deflated(path, content)
        # From memory: of a file pydicom asks for as many bytes as a value says it has, and Python takes them first.
        dataset = pydicom.dcmread(BytesIO(content))
        groups = dataset.get("WaveformSequence")
    except RecordError:
        raise
    except Exception as error:  # a broken file can raise nearly anything
        raise RecordError(
            path, "a whole DICOM file", f"{type(error).__name__}: {error}", "It may be truncated: fetch it again."
        ) from error
    if not groups:
        kind = getattr(dataset.get("SOPClassUID"), "name", "of no class")
        raise RecordError(path, "a DICOM file with an ECG waveform", f"no waveform in it ({kind})")
    return dataset


def _check_deflated(path: Path, content: bytes) -> None:
    """Refuses a compressed data set that grows beyond all measure; pydicom would decompress it whole."""
    head = content[: _DEFLATED_START + _MOST_META_BYTES]
    if _DEFLATED_SYNTAX not in head:
        return
    if not head.startswith(_META_LENGTH, _META_START):
        raise RecordError(path, "the length of its header in a deflated DICOM file", "none")
    start = _DEFLATED_START + int.from_bytes(head[_DEFLATED_START - 4 : _DEFLATED_START], "little")
    stream, rest, n_bytes = zlib.decompressobj(-zlib.MAX_WBITS), content[start:], 0
    while rest and not stream.eof:
        n_bytes += len(stream.decompress(rest, _INFLATED_AT_ONCE))
        check_expansion(path, "a deflated data set", n_bytes, len(content))
        rest = stream.unconsumed_tail


def _find_group(path: Path, dataset: "Dataset") -> int:
    """Index of the first original group or, if none is said to be, of the longest; what is left out is said."""
    groups = dataset.WaveformSequence
    originals = [index for index, group in enumerate(groups) if read_text(group, "WaveformOriginality") == "ORIGINAL"]
    chosen = originals[0] if originals else max(range(len(groups)), key=lambda index: _length_s(path, groups[index]))
    others = [index for index in range(len(groups)) if index != chosen]
    if any(index not in originals for index in others):
        warn_of_averages("DICOM")
    left_out = [groups[index] for index in others if index in originals]
    if left_out:
        described = ", ".join(
            f"{read_text(group, 'MultiplexGroupLabel') or 'no label'}"
            f" ({read_text(group, 'NumberOfWaveformChannels')} channels, {_length_s(path, group):g} s)"
            for group in left_out
        )
        warn(path, f"groups of waveforms left out, only the first original one is read: {described}.")
    return chosen


def _length_s(path: Path, group: "Dataset") -> float:
    n_samples, rate_hz = (read_number(path, group, key) for key in ("NumberOfWaveformSamples", "SamplingFrequency"))
    return (n_samples or 0.0) / (rate_hz or float("inf"))


def _channels(path: Path, group: "Dataset") -> "Sequence[Dataset]":
    channels = group.get("ChannelDefinitionSequence") or ()
    n_channels = read_number(path, group, "NumberOfWaveformChannels")
    if not channels or len(channels) != n_channels:
        raise RecordError(path, f"definitions of {n_channels or 0:g} channels", f"{len(channels)}")
    return channels


def _lead_name(path: Path, channel: "Dataset") -> str:
    """Name of a channel by its code, the meaning of the code or its label; empty if there is none."""
    source = first_item(channel, "ChannelSourceSequence")
    value, meaning = ("", "") if source is None else (read_text(source, key) for key in ("CodeValue", "CodeMeaning"))
    code = _LEAD_CODE.fullmatch(value)
    coded = _LEAD_NUMBERS.get(int(code[1])) if code else None
    meant = _EXPLANATION.sub("", meaning)
    known = canonical_lead_name(meant)
    if coded and known and coded != known:
        raise RecordError(path, "lead codes and their meanings to agree", f"{value} ({coded}) as {meaning!r}")
    return coded or known or read_text(channel, "ChannelLabel") or meant


def _unit(channel: "Dataset") -> str | None:
    unit = first_item(channel, "ChannelSensitivityUnitsSequence")
    return None if unit is None else read_text(unit, "CodeValue") or None


def _scale(path: Path, channel: "Dataset", stated: StatedSignal) -> float:
    """Units in one step of a channel."""
    sensitivity = read_number(path, channel, "ChannelSensitivity")
    correction = read_number(path, channel, "ChannelSensitivityCorrectionFactor")
    if sensitivity is None and stated.unit is None:
        return 1.0  # the caller has told the unit of the samples
    scale = (sensitivity or 0.0) * (1.0 if correction is None else correction)
    if not (scale and math.isfinite(1 / scale)):
        raise RecordError(
            path,
            f"a sensitivity and a correction factor of lead {stated.name!r} other than 0",
            f"{sensitivity} and {correction}",
        )
    return scale


def _warn_of_skew(path: Path, channels: "Sequence[Dataset]", lead_names: Sequence[str]) -> None:
    skewed = []
    for channel, name in zip(channels, lead_names, strict=True):
        for keyword, unit in (("ChannelSampleSkew", "samples"), ("ChannelTimeSkew", "s")):
            skew = read_number(path, channel, keyword)
            if skew:
                skewed.append(f"{name} by {skew:g} {unit}")
    if skewed:
        warn(path, f"channels are sampled at different moments, which is left as it is: {', '.join(skewed)}.")


def _sample_type(path: Path, group: "Dataset") -> np.dtype:
    from pydicom.waveforms.numpy_handler import WAVEFORM_DTYPES

    bits = read_number(path, group, "WaveformBitsAllocated")
    interpretation = read_text(group, "WaveformSampleInterpretation")
    # 8-bit mu-law and A-law are for sound; their codes are no steps.
    if (bits, interpretation) not in WAVEFORM_DTYPES or interpretation in ("MB", "AB"):
        raise RecordError(path, "linear samples of 8, 16, 32 or 64 bits", f"{interpretation!r} of {bits or 0:g} bits")
    return np.dtype(WAVEFORM_DTYPES[bits, interpretation])


def _samples(path: Path, dataset: "Dataset", number: int, n_channels: int) -> np.ndarray:
    """Samples as they are stored, `(channels, samples)`."""
    from pydicom.waveforms import multiplex_array

    group = dataset.WaveformSequence[number]
    dtype = _sample_type(path, group)
    n_samples = int(read_number(path, group, "NumberOfWaveformSamples") or 0)
    needed, found = n_samples * n_channels * dtype.itemsize, len(group.get("WaveformData") or b"")
    if not needed or found < needed:
        raise TruncatedFileError(
            path, f"{n_samples} samples of {n_channels} channels in {needed} bytes, at least one", f"{found} bytes"
        )
    if found > needed + needed % 2:  # values in DICOM have even lengths
        raise RecordError(path, f"{n_samples} samples of {n_channels} channels in {needed} bytes", f"{found} bytes")
    samples = multiplex_array(dataset, number, as_raw=True)
    return as_stored(np.ascontiguousarray(_native(samples, dataset).T))


def _native(samples: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """pydicom leaves the bytes of samples in the order of the file."""
    is_little_endian = dataset.original_encoding[1]
    return samples if is_little_endian else samples.byteswap()


def _padding(path: Path, group: "Dataset", dataset: "Dataset") -> int | None:
    """The sample that stands for no sample."""
    value = group.get("WaveformPaddingValue")
    if value is None or value == b"":
        return None
    if isinstance(value, int):
        return value
    dtype = _sample_type(path, group)
    if len(value) < dtype.itemsize:
        raise RecordError(path, f"a padding value of {dtype.itemsize} bytes", f"{len(value)} bytes")
    return int(_native(np.frombuffer(value, dtype, count=1), dataset)[0])


def _timeline(
    path: Path, number: int, group: "Dataset", rate_hz: float, start: datetime | None, lead_names: dict[int, str]
) -> Timeline:
    offset_ms = read_number(path, group, "MultiplexGroupTimeOffset") or 0.0
    return Timeline(
        path=path,
        group=number + 1,
        rate_hz=rate_hz,
        start=None if start is None else start + timedelta(milliseconds=offset_ms),
        lead_names={index + 1: name for index, name in lead_names.items()},
    )


DICOM = RecordFormat(name="DICOM", suffixes=(".dcm", ".dicom"), recognises=_recognises, open=_open, select=_select)

__all__ = ["DICOM"]
