# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which signals of a file are ECG leads, judged by unit, name and rate; what is left out is said."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..models.anyecg.signal_anyecg import canonical_lead_name, millivolts_per_unit
from .errors import RecordError
from .formats import warn

# EDF+ puts the kind of a signal in front of its name; other formats often do.
_ECG = re.compile(r"ECG|EKG", re.IGNORECASE)
_OTHER_KIND = re.compile(
    r"(?:EEG|EOG|EMG|ERG|MEG|MCG|EP|RESP|TEMP|SAO2|SPO2|PLETH|PPG|ABP|PULSE|LIGHT|SOUND|EVENT)(?![A-Z])", re.IGNORECASE
)
# Electrodes of the 10-20 system, alone ("Fp1", "Cz") or against a reference ("C3-A2", "O1-M2").
_ELECTRODE = r"(?:FP|AF|FC|FT|CP|TP|PO|F|T|C|P|O)(?:Z|\d{1,2})"
_EEG = re.compile(rf"{_ELECTRODE}|{_ELECTRODE}[-/:](?:{_ELECTRODE}|[AM][12]|REF|LE|RE|AVG?)", re.IGNORECASE)


@dataclass(frozen=True)
class StatedSignal:
    """
    One signal as a file describes it.

    Attributes:
        name (`str`): Its name or label.
        unit (`str` or `None`): Its unit; `None` where the file is silent.
        rate_hz (`float` or `None`): Its rate in Hz; `None` where the file is silent.
    """

    name: str
    unit: str | None
    rate_hz: float | None


def select_leads(path: Path, signals: Sequence[StatedSignal], lead_names: Sequence[str] | None = None) -> list[int]:
    """
    Finds the ECG leads: the signals in a unit of voltage, without those that are named as something else (EEG, EOG,
    respiration ...) and, where leads are named as such, without nameless ones of another rate. Each that is left out is
    in a warning.

    Args:
        path (`Path`): The file, for messages.
        signals (`Sequence[StatedSignal]`): Its signals.
        lead_names (`Sequence[str]`, *optional*): Names that the caller gives the leads. If there are as many voltages,
            or voltages and signals without a unit, then these are the leads, whatever the file calls them.

    Returns:
        `list[int]`: indices of the leads, in order.

    Raises:
        [`RecordError`]: if there are none, if a signal named as a lead is in no unit of voltage, or if the leads have
            several rates.
    """
    voltages = _voltages(path, signals)
    others = _named_otherwise(signals, voltages)
    if lead_names is not None:
        perhaps = [index for index, signal in enumerate(signals) if signal.unit is None or index in voltages]
        named = next((chosen for chosen in (voltages, perhaps) if len(chosen) == len(lead_names)), None)
        voltages, others = (voltages, others) if named is None else (named, [])
    leads = [index for index in voltages if index not in others]
    if not leads:
        found = ", ".join(f"{signal.name!r} ({signal.unit or 'no unit'})" for signal in signals)
        expected = "an ECG lead among its voltages" if voltages else "at least one signal in a unit of voltage"
        raise RecordError(path, expected, found or "no signal")
    left_out = [index for index in range(len(signals)) if index not in voltages]
    if left_out:
        names = ", ".join(f"{signals[index].name!r} ({signals[index].unit or 'no unit'})" for index in left_out)
        warn(path, f"signals left out, not in a unit of voltage: {names}.")
    if others:
        names = ", ".join(repr(signals[index].name) for index in others)
        warn(path, f"signals left out, named as something other than an ECG lead: {names}.")
    return _of_one_rate(path, signals, leads)


def _voltages(path: Path, signals: Sequence[StatedSignal]) -> list[int]:
    """Signals in a unit of voltage. Without a unit a signal counts if it is named as an ECG: the caller may know it."""
    kept = []
    for index, signal in enumerate(signals):
        if signal.unit is None:
            if _is_named_ecg(signal.name):
                kept.append(index)
            continue
        try:
            millivolts_per_unit(signal.unit)
        except ValueError:
            if canonical_lead_name(signal.name):
                raise RecordError(
                    path, f"lead {signal.name} in a unit of voltage: 'V', 'mV', 'uV' or 'nV'", f"{signal.unit!r}"
                ) from None
        else:
            kept.append(index)
    return kept


def _is_named_ecg(name: str) -> bool:
    return bool(_ECG.match(name) or canonical_lead_name(name))


def _named_otherwise(signals: Sequence[StatedSignal], candidates: Sequence[int]) -> list[int]:
    """Candidates whose name says that they are no ECG."""
    others = [
        index
        for index in candidates
        if not _is_named_ecg(signals[index].name)
        and (_OTHER_KIND.match(signals[index].name) or _EEG.fullmatch(signals[index].name))
    ]
    # "C3" is a chest lead, or an electrode on the scalp where there are others.
    if any(signals[index].name.upper().startswith("EEG") or _EEG.fullmatch(signals[index].name) for index in others):
        others += [index for index in candidates if _EEG.fullmatch(signals[index].name)]
    return sorted(set(others))


def _of_one_rate(path: Path, signals: Sequence[StatedSignal], leads: list[int]) -> list[int]:
    """The leads, all of one rate. Other rates may only be those of signals that are not named as an ECG."""
    named = [index for index in leads if _is_named_ecg(signals[index].name)] or leads
    rates = {signals[index].rate_hz for index in named}
    if len(rates) > 1:
        raise RecordError(
            path,
            "one sampling rate for all ECG leads",
            ", ".join(f"{signals[index].name} at {signals[index].rate_hz:g} Hz" for index in named),
            "Resample the leads to one rate first, or save those of one rate as a record of their own.",
        )
    kept = [index for index in leads if signals[index].rate_hz in rates]
    left_out = [signals[index] for index in leads if index not in kept]
    if left_out:
        names = ", ".join(f"{signal.name!r} ({signal.rate_hz:g} Hz)" for signal in left_out)
        warn(path, f"signals left out, at another rate than the ECG leads ({rates.pop():g} Hz): {names}.")
    return kept


__all__ = ["StatedSignal", "select_leads"]
