# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
XML exports of GE MUSE (`RestingECG`), decoded by ecgdatakit. MUSE stores leads I, II and V1 to V6; the other four
follow from I and II by Einthoven's and Goldberger's formulas and are added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import RecordError
from .exported_record import ExportedLeads, decode, exported_facts, exported_leads
from .formats import ReadOptions, RecordFormat, warn
from .record import Annotation
from .source import ArraySource
from .xml_text import parse_xml, recogniser, selector

if TYPE_CHECKING:
    import ecgdatakit

_NAME = "GE MUSE"
# How often I and II are in a lead, in steps that are so many times smaller: aVR = (-I - II) / 2 stays a whole number.
_DERIVED = {"III": (-1, 1, 1), "aVR": (-1, -1, 2), "aVL": (2, -1, 2), "aVF": (-1, 2, 2)}
_LIMB_LEADS = ("I", "II", *_DERIVED)
# Fields of a lead that make its samples doubtful.
_TOLD = ("LeadOff", "LeadTimeOffset")
# Times of beats count samples; that they do so is known of this rate only.
_RATE_OF_BEATS_HZ = 500.0


def _open(path: Path, options: ReadOptions) -> ArraySource:
    decoded = decode(path, "ge_muse_xml", _NAME)
    leads = _with_derived_leads(path, exported_leads(path, decoded, options, _rate_hz(path)))
    _warn_of_odd_leads(path, decoded.leads)
    return ArraySource(
        **vars(leads),
        facts=exported_facts(path, decoded),
        annotations=partial(_beats, path, decoded.raw_metadata.get("qrs_times", ()), leads.sampling_rate),
    )


def _rate_hz(path: Path) -> float | None:
    """Rate of the recording in Hz, which ecgdatakit rounds; `None` if it is not where MUSE has it."""
    for waveform in parse_xml(path).iterfind("Waveform"):
        if (waveform.findtext("WaveformType") or "Rhythm").strip().lower() == "rhythm":
            base, exponent = waveform.findtext("SampleBase"), waveform.findtext("SampleExponent")
            try:
                return float(base) * 10.0 ** float(exponent or 0)
            except (TypeError, ValueError):
                return None
    return None


def _warn_of_odd_leads(path: Path, leads: "Sequence[ecgdatakit.Lead]") -> None:
    notes = [
        f"{lead.label} {tag}={lead.annotations[tag]}" for lead in leads for tag in _TOLD if tag in lead.annotations
    ]
    if notes:
        warn(path, f"left as they are stored: {', '.join(notes)}.")


def _with_derived_leads(path: Path, leads: ExportedLeads) -> ExportedLeads:
    """Adds those of III, aVR, aVL and aVF that are not stored, where I and II are; limb leads come first."""
    missing = [name for name in _DERIVED if name not in leads.lead_names]
    if not missing or not {"I", "II"} <= set(leads.lead_names):
        return leads
    base = [leads.lead_names.index("I"), leads.lead_names.index("II")]
    units = [leads.units[index] for index in base]
    if len(set(leads.gain[base])) > 1 or len(set(units)) > 1:
        warn(path, f"leads I and II are in different steps: {', '.join(missing)} are not derived from them.")
        return leads
    factors = np.array([_DERIVED[name] for name in missing])
    weights, finer = factors[:, :2], factors[:, 2]
    samples = np.concatenate([leads.samples, weights @ leads.samples[base].astype(np.int64)])
    names = [*leads.lead_names, *missing]
    order = sorted(range(len(names)), key=lambda index: (*_LIMB_LEADS, names[index]).index(names[index]))
    fits = np.abs(samples).max() <= np.iinfo(np.int16).max
    return replace(
        leads,
        samples=samples.astype(np.int16 if fits else np.int32)[order],
        gain=np.concatenate([leads.gain, leads.gain[base[0]] * finer])[order],
        baseline=np.concatenate([leads.baseline, weights @ leads.baseline[base]])[order],
        units=tuple([*leads.units, *units[:1] * len(missing)][index] for index in order),
        lead_names=tuple(names[index] for index in order),
    )


def _beats(path: Path, beats: Sequence[Mapping[str, str]], rate_hz: float) -> tuple[Annotation, ...] | None:
    """Beats with MUSE's number of their shape as symbol."""
    if not beats:
        return None
    if rate_hz != _RATE_OF_BEATS_HZ:
        warn(path, f"beats not read: the unit of their times is unknown where the rate is {rate_hz:g} Hz.")
        return None
    try:
        return tuple(Annotation(int(beat["time"]) / rate_hz, beat["type"], "QRS") for beat in beats)
    except ValueError as error:
        raise RecordError(path, "times of beats in whole samples", f"this: {error}") from None


_recognises = recogniser("RestingECG")
MUSE = RecordFormat(name=_NAME, suffixes=(".xml",), recognises=_recognises, open=_open, select=selector(_recognises))

__all__ = ["MUSE"]
