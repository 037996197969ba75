# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
What the readers of GE MUSE, Philips, HL7 aECG and SCP-ECG files share: ecgdatakit decodes the file, and its answer is
checked and becomes a record. Averaged beats and measurements, which the devices derive from the recording, and names of
persons are not read.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import RecordError
from .formats import ReadOptions, optional_package, warn
from .header_comments import hide_age, parse_sex
from .left_out import warn_of_averages
from .moments import age_at
from .report_lines import report_lines
from .source import RecordFacts

if TYPE_CHECKING:
    import ecgdatakit

MAX_BYTES = 1 << 28
_ECGDATAKIT = ("ecgdatakit", "GE MUSE, Philips, HL7 aECG and SCP-ECG files")
# Notes of ecgdatakit that are free text of the file.
_NOTES = ("machine_interpretation", "interpretation_comment", "comments", "reason_for_test")


@dataclass(frozen=True)
class ExportedLeads:
    """
    Leads of a file as they are stored, all of one rate and length; the fields are arguments of [`ArraySource`].

    Attributes:
        samples (`np.ndarray` of shape `(leads, samples)`): int16, int32 or float64.
        gain (`np.ndarray` of shape `(leads,)`), baseline (`np.ndarray` of shape `(leads,)`), units (`tuple[str, ...]`):
            As in [`StoredSignal`].
        lead_names (`tuple[str, ...]`): Names from the lead vocabulary.
        sampling_rate (`float`): Rate in Hz.
    """

    samples: np.ndarray
    gain: np.ndarray
    baseline: np.ndarray
    units: tuple[str, ...]
    lead_names: tuple[str, ...]
    sampling_rate: float


def decode(path: Path, source_format: str, name: str) -> "ecgdatakit.ECGRecord":
    """
    Lets ecgdatakit decode a file. What it warns of is a warning here too.

    Args:
        path (`Path`): The file.
        source_format (`str`): ecgdatakit's identifier of the format.
        name (`str`): Name of the format, for messages.

    Returns:
        `ecgdatakit.ECGRecord`: the samples as they are stored.

    Raises:
        [`RecordError`]: if it is too large, or cannot be decoded.
        `ImportError`: if ecgdatakit is not installed.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise RecordError(path, f"{name} data of at most {MAX_BYTES >> 20} MiB", f"{size >> 20} MiB")
    with optional_package(*_ECGDATAKIT):
        import ecgdatakit
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with optional_package(*_ECGDATAKIT):  # it imports others when it needs them
                decoded = ecgdatakit.FileParser.parse(path, auto_scale=False)
        except ecgdatakit.ECGDataKitError as error:
            raise RecordError(
                path, f"{name} data that ecgdatakit can decode", f"this: {_without(error, path)}"
            ) from error
    if decoded.source_format != source_format:
        raise RecordError(path, f"{name} data", f"what ecgdatakit takes for {decoded.source_format!r}")
    for message in dict.fromkeys(_without(caught_one.message, path) for caught_one in caught):
        if not message.startswith("auto_scale=False"):  # that is what was asked for
            warn(path, f"{message}.")
    if decoded.median_beats:
        warn_of_averages(name)
    return decoded


def _without(message: Exception | Warning, path: Path) -> str:
    """A message without the file, which is named in front of it."""
    text = str(message)
    for where in (f" of {path}", f" in {path}", f" of {path.name}", f" in {path.name}", f"{path}: "):
        text = text.replace(where, "")
    return text.rstrip(".")


def exported_leads(
    path: Path, decoded: "ecgdatakit.ECGRecord", options: ReadOptions, rate_hz: float | None = None
) -> ExportedLeads:
    """
    Checks the leads of a decoded file.

    Args:
        path (`Path`): The file, for messages.
        decoded (`ecgdatakit.ECGRecord`): What `decode` returned.
        options (`ReadOptions`): What the caller says about the file.
        rate_hz (`float`, *optional*): The rate in Hz, where it may be no whole number; ecgdatakit rounds.

    Returns:
        `ExportedLeads`

    Raises:
        [`RecordError`]: if the leads differ in rate or length, or one has no scale or no unit of voltage.
    """
    leads = decoded.leads
    _check_alike(path, "sampling rate of all leads", [(lead.label, f"{lead.sampling_rate} Hz") for lead in leads])
    _check_alike(path, "number of samples of all leads", [(lead.label, str(len(lead.samples))) for lead in leads])
    for lead in leads:
        stated = lead.resolution if lead.adc_resolution else 0.0  # without one ecgdatakit calls it 1
        if not (stated and math.isfinite(stated) and math.isfinite(1 / stated)):
            raise RecordError(path, f"the voltage of one step of lead {lead.label}", f"{stated:g}")
    scale = np.array([lead.resolution for lead in leads], dtype=np.float64)
    return ExportedLeads(
        samples=_as_stored(path, leads),
        gain=1 / scale,
        baseline=-np.array([lead.offset for lead in leads], dtype=np.float64) / scale,
        units=tuple(
            options.resolve_unit(path, lead.resolution_unit or lead.adc_resolution_unit or None) for lead in leads
        ),
        lead_names=options.resolve_lead_names(path, [lead.label for lead in leads]),
        sampling_rate=options.resolve_sampling_rate(path, rate_hz or float(leads[0].sampling_rate)),
    )


def _check_alike(path: Path, what: str, stated: Sequence[tuple[str, str]]) -> None:
    if len({value for _, value in stated}) > 1:
        raise RecordError(path, f"one {what}", ", ".join(f"{label}: {value}" for label, value in stated))


def _as_stored(path: Path, leads: Sequence["ecgdatakit.Lead"]) -> np.ndarray:
    """Samples `(leads, samples)` in the narrowest type that files have: ecgdatakit gives float64 for every one."""
    samples = np.stack([lead.samples for lead in leads])
    if np.isinf(samples).any():
        raise RecordError(path, "finite samples", "infinite ones")
    if (samples == np.rint(samples)).all():
        for dtype in (np.int16, np.int32):
            limits = np.iinfo(dtype)
            if limits.min <= samples.min() and samples.max() <= limits.max:
                return samples.astype(dtype)
    return samples


def exported_facts(path: Path, decoded: "ecgdatakit.ECGRecord") -> RecordFacts:
    """
    Patient, start of the recording and report of a decoded file.

    Args:
        path (`Path`): The file.
        decoded (`ecgdatakit.ECGRecord`): What `decode` returned.

    Returns:
        [`RecordFacts`]: the statements of the report are `labels`; `comments` have them with all other free text.

    Raises:
        [`RecordError`]: if a number is impossible.
    """
    patient, report = decoded.patient, decoded.interpretation
    statements = [" ".join(part for part in statement if part) for statement in report.statements]
    notes = [decoded.annotations[key] for key in _NOTES if key in decoded.annotations]
    recorded_at = decoded.recording.date
    try:
        return RecordFacts(
            record_id=path.stem,
            patient_id=patient.patient_id or None,
            age_years=_age_years(path, patient, recorded_at),
            sex=parse_sex(patient.sex),
            weight_kg=patient.weight or None,  # zero stands for "not measured"
            height_cm=patient.height or None,
            recorded_at=None if recorded_at is None else recorded_at.replace(tzinfo=None),
            labels=report_lines([*statements, report.severity]),
            comments=report_lines([*statements, report.severity, *notes]),
            source=str(path),
        )
    except (TypeError, ValueError) as error:
        raise RecordError(path, "the fields of an ECGRecord", f"this: {error}") from error


def _age_years(path: Path, patient: "ecgdatakit.PatientInfo", recorded_at: datetime | None) -> float | None:
    # An age in an unknown unit is none, and a negative one was derived from the date of birth.
    if patient.age is None or patient.age < 0:
        return age_at(path, patient.birth_date, recorded_at)
    return hide_age(patient.age)


__all__ = ["ExportedLeads", "decode", "exported_facts", "exported_leads"]
