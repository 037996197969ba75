# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""EDF and BDF files written by pyedflib, and single header fields overwritten."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyedflib

# Width and place of header fields, those of a signal within the columns of all signals.
FILE_FIELDS = {"patient": (8, 80), "recording": (88, 80), "start date": (168, 8), "start time": (176, 8)}
FILE_FIELDS |= {"header bytes": (184, 8), "reserved": (192, 44), "records": (236, 8), "duration": (244, 8)}
FILE_FIELDS |= {"signals": (252, 4)}
SIGNAL_FIELDS = {"label": (0, 16), "unit": (96, 8), "physical minimum": (104, 8), "physical maximum": (112, 8)}
SIGNAL_FIELDS |= {"digital minimum": (120, 8), "digital maximum": (128, 8), "samples": (216, 8)}


@dataclass(frozen=True)
class Channel:
    """One signal of an EDF file, with its samples as they are stored."""

    label: str
    samples: np.ndarray
    rate: int = 250
    unit: str = "mV"
    physical: tuple[float, float] = (-5.0, 5.0)
    digital: tuple[int, int] = (-32768, 32767)

    @property
    def physical_samples(self) -> np.ndarray:
        """Samples in the signal's unit, float64."""
        (low, high), (first, last) = self.physical, self.digital
        return low + (self.samples - first) * ((high - low) / (last - first))


def write_edf(
    path: Path,
    channels: Sequence[Channel],
    *,
    kind: int = pyedflib.FILETYPE_EDFPLUS,
    prepare: Callable[[pyedflib.EdfWriter], None] = lambda writer: None,
    annotations: Sequence[tuple[float, float, str]] = (),
) -> Path:
    """Writes channels as EDF, EDF+, BDF or BDF+; annotations are onset and duration in s (-1: none) and text."""
    with pyedflib.EdfWriter(str(path), len(channels), file_type=kind) as writer:
        for number, channel in enumerate(channels):
            fields = {"label": channel.label, "dimension": channel.unit, "sample_frequency": channel.rate}
            fields |= {"physical_min": channel.physical[0], "physical_max": channel.physical[1]}
            fields |= {"digital_min": channel.digital[0], "digital_max": channel.digital[1]}
            writer.setSignalHeader(number, {**fields, "transducer": "", "prefilter": ""})
        prepare(writer)
        writer.writeSamples([channel.samples.astype(np.int32) for channel in channels], digital=True)
        for annotation in annotations:
            writer.writeAnnotation(*annotation)
    return path


def overwrite(path: Path, field: str, text: str, signal: int = 0) -> None:
    """Overwrites one field of a file's header, of one signal if it is the field of a signal."""
    content = bytearray(path.read_bytes())
    if field in FILE_FIELDS:
        start, width = FILE_FIELDS[field]
    else:
        offset, width = SIGNAL_FIELDS[field]
        start = 256 + offset * int(content[252:256]) + width * signal
    content[start : start + width] = text.encode("latin-1").ljust(width)
    path.write_bytes(content)
