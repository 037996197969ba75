# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""DICOM ECG objects written by pydicom."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

TWELVE_LEAD_CLASS = "1.2.840.10008.5.1.4.1.1.9.1.1"
CT_IMAGE_CLASS = "1.2.840.10008.5.1.4.1.1.2"


def code(value: str, meaning: str = "", scheme: str = "MDC") -> Dataset:
    """One item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


@dataclass(frozen=True)
class Channel:
    """One channel: its lead and its steps; `fields` replaces or removes (`None`) single values."""

    code: str = "2:1"
    meaning: str = "Lead I (Einthoven)"
    unit: str | None = "uV"
    sensitivity: float | None = 5.0
    fields: dict[str, Any] = field(default_factory=dict)

    def as_dataset(self) -> Dataset:
        item = Dataset()
        item.ChannelSourceSequence = [code(self.code, self.meaning)]
        item.ChannelSampleSkew = "0"
        item.WaveformBitsStored = 16
        if self.sensitivity is not None:
            item.ChannelSensitivity = self.sensitivity
            item.ChannelSensitivityCorrectionFactor = 1
            item.ChannelBaseline = 0
        if self.unit is not None:
            item.ChannelSensitivityUnitsSequence = [code(self.unit, scheme="UCUM")]
        _set(item, self.fields)
        return item


TWELVE_CHANNELS = tuple(
    Channel(f"2:{number}", f"Lead {name}")
    for number, name in [
        *(
            (1, "I (Einthoven)"),
            (2, "II"),
            (61, "III"),
            (62, "aVR, augmented voltage, right"),
            (63, "aVL"),
            (64, "aVF"),
        ),
        *((number + 2, f"V{number}") for number in range(1, 7)),
    ]
)
SAMPLE_TYPES = {"int8": (8, "SB"), "uint8": (8, "UB"), "int16": (16, "SS"), "uint16": (16, "US")}
SAMPLE_TYPES |= {"int32": (32, "SL"), "uint32": (32, "UL"), "int64": (64, "SV")}


def group(samples: np.ndarray, channels: Sequence[Channel], rate: float = 500, **fields: Any) -> Dataset:
    """A multiplex group of samples `(channels, samples)`; fields replace or remove (`None`) single values."""
    item = Dataset()
    item.MultiplexGroupTimeOffset, item.MultiplexGroupLabel, item.WaveformOriginality = "0", "RHYTHM", "ORIGINAL"
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = samples.shape
    item.SamplingFrequency = rate
    item.ChannelDefinitionSequence = [channel.as_dataset() for channel in channels]
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = SAMPLE_TYPES[samples.dtype.name]
    content = samples.T.tobytes()
    item.add_new("WaveformData", "OB" if samples.itemsize == 1 else "OW", content + b"\0" * (len(content) % 2))
    _set(item, fields)
    return item


def annotation(**fields: Any) -> Dataset:
    """An item of the Waveform Annotation Sequence about the first group, unless the fields say otherwise."""
    item = Dataset()
    item.ReferencedWaveformChannels = [1, 0]
    item.AnnotationGroupNumber = 0
    _set(item, fields)
    return item


def write_dicom(
    path: Path,
    groups: Sequence[Dataset],
    *,
    sop_class: str = TWELVE_LEAD_CLASS,
    big_endian: bool = False,
    **fields: Any,
) -> Path:
    """A file with a patient and its multiplex groups; fields replace or remove (`None`) single values."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.Modality = "ECG"
    dataset.PatientName, dataset.PatientID = "Müller^Mary", "p7"
    dataset.ReferringPhysicianName = "Doe^John"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19520513", "F", "067Y"
    dataset.PatientSize, dataset.PatientWeight = 1.65, 68
    dataset.AcquisitionDateTime = "20200512123359.500"
    if groups:
        dataset.WaveformSequence = list(groups)
    _set(dataset, fields)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


def _set(item: Dataset, fields: dict[str, Any]) -> None:
    for keyword, value in fields.items():
        if value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)
