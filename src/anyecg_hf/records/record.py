# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`ECGRecord`: one ECG recording in millivolts, with what its file says about it."""

import math
from dataclasses import dataclass, fields, replace
from datetime import datetime
from numbers import Real
from typing import Protocol, Self

import numpy as np

from .header_comments import hide_age
from .identity import IDENTIFYING_FIELDS, is_code, is_rhythm, is_symbol

# WFDB's symbol of a comment: a text without a code.
COMMENT_SYMBOL = '"'


@dataclass(frozen=True)
class Annotation:
    """
    One annotation of a record, usually a beat or a change of rhythm.

    Attributes:
        time_s (`float`): Seconds from the start of the record.
        symbol (`str`): Annotation code of the file, for example `"N"` (normal beat) or `"+"` (rhythm change).
        note (`str`): Free text beside the code, for example `"(AFIB"`; empty if there is none.
        duration_s (`float` or `None`): How long it lasts in seconds, where the file says so.
        lead_name (`str` or `None`): The lead that it is about; `None` if it is about all of them.

    Raises:
        `ValueError`: if a time is not finite, or a text is none.
    """

    time_s: float
    symbol: str
    note: str = ""
    duration_s: float | None = None
    lead_name: str | None = None

    def __post_init__(self) -> None:
        times_s = (self.time_s, 0.0 if self.duration_s is None else self.duration_s)
        if not all(isinstance(time_s, Real) and math.isfinite(time_s) for time_s in times_s):
            raise ValueError(f"`time_s` and `duration_s` must be finite, got {self.time_s!r} and {self.duration_s!r}.")
        texts = (self.symbol, self.note, "" if self.lead_name is None else self.lead_name)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"`symbol`, `note` and `lead_name` must be texts, got {texts}.")

    def without_text(self) -> Self:
        """The annotation without free text; of notes PhysioNet's rhythm codes such as `"(AFIB"` stay."""
        return replace(
            self,
            symbol=self.symbol if is_symbol(self.symbol) else COMMENT_SYMBOL,
            note=self.note if is_rhythm(self.note) else "",
        )


@dataclass(frozen=True, eq=False, repr=False)
class ECGRecord:
    """
    One ECG recording.

    Args:
        signal_mv (`np.ndarray` of shape `(leads, samples)`):
            Signal in mV, kept as float32; NaN where samples are missing.
        sampling_rate (`float`):
            Samples a second of every lead, in Hz.
        lead_names (`tuple[str, ...]`):
            Name of every lead, in the order of `signal_mv`.
        record_id (`str`, *optional*), patient_id (`str`, *optional*):
            Identifiers in the corpus the record comes from.
        age_years (`float`, *optional*):
            Age at the recording; 90 stands for every age above 89.
        sex (`int`, *optional*):
            0 male, 1 female.
        weight_kg (`float`, *optional*), height_cm (`float`, *optional*):
            Body weight in kg and height in cm.
        recorded_at (`datetime`, *optional*):
            Start of the recording, without time zone.
        labels (`tuple[str, ...]`, *optional*):
            Diagnostic codes or words as the file spells them.
        annotations (`tuple[Annotation, ...]`, *optional*):
            Beats and rhythm changes; `None` if they were not read or do not exist.
        comments (`tuple[str, ...]`, *optional*):
            Free text of the file, line by line: some corpora keep their diagnoses there.
        source (`str`, *optional*):
            The file that the record was read from.

    Raises:
        `ValueError`: if the signal is not `(leads, samples)` with one name for each lead, or a number is impossible.

    Example:

    ```python
    >>> record = ECGRecord(np.zeros((2, 5000)), sampling_rate=500, lead_names=("I", "II"))
    >>> record.duration_s
    10.0
    ```
    """

    signal_mv: np.ndarray
    sampling_rate: float
    lead_names: tuple[str, ...]
    record_id: str | None = None
    patient_id: str | None = None
    age_years: float | None = None
    sex: int | None = None
    weight_kg: float | None = None
    height_cm: float | None = None
    recorded_at: datetime | None = None
    labels: tuple[str, ...] = ()
    annotations: tuple[Annotation, ...] | None = None
    comments: tuple[str, ...] = ()
    source: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.lead_names, str):
            raise ValueError(f"`lead_names` must be a sequence of names, got the single string {self.lead_names!r}.")
        signal = np.asarray(self.signal_mv)
        if signal.dtype.kind not in "fiu":
            raise ValueError(f"`signal_mv` must hold real numbers, got dtype {signal.dtype}.")
        self._set(
            signal_mv=np.ascontiguousarray(signal, dtype=np.float32) if signal.ndim else signal,
            sampling_rate=float(self.sampling_rate),
            lead_names=tuple(self.lead_names),
            labels=tuple(self.labels),
            comments=tuple(self.comments),
            annotations=None if self.annotations is None else tuple(self.annotations),
        )
        mismatch = shape_mismatch(signal.shape, len(self.lead_names))
        if mismatch:
            raise ValueError(f"`signal_mv`: expected {mismatch.expected}, found {mismatch.found}. {mismatch.advice}")
        if not (math.isfinite(self.sampling_rate) and self.sampling_rate > 0):
            raise ValueError(f"`sampling_rate` must be a positive number of Hz, got {self.sampling_rate}.")
        check_demographics(self)

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def n_leads(self) -> int:
        """Number of leads."""
        return self.signal_mv.shape[0]

    @property
    def n_samples(self) -> int:
        """Samples of each lead."""
        return self.signal_mv.shape[1]

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.n_samples / self.sampling_rate

    def without_identity(self) -> Self:
        """
        Leaves out what identifies the patient, in the spirit of HIPAA's safe harbor (45 CFR 164.514(b)(2)).

        What stays: signal, rate, lead names, sex, weight and height; the age, with 90 for every one above 89; labels
        that are codes (one word of ASCII letters, digits and `_+|;.()-`, and no date); annotations with time, duration
        and lead, their symbols where they are single characters or codes, and of their notes PhysioNet's rhythm codes
        such as `"(AFIB"`.

        What goes: `record_id`, `patient_id`, `recorded_at`, `comments` and `source` (a path may hold a name), and free
        text in labels, symbols and notes, where reports name persons and dates.

        It is a copy without the obvious and no proof of anonymity: an ECG can be matched with another one of the same
        person, and a rare finding can tell who it is.

        Returns:
            [`ECGRecord`]: a new record; its signal is the same array.

        Example:

        ```python
        >>> read_record("00001_hr").without_identity()
        ECGRecord(12 leads (I, II, ...), 5000 samples at 500 Hz, 10 s, age_years=56.0, sex=1, labels=('NORM', 'SR'))
        ```
        """
        age = self.age_years
        gone = {field.name: field.default for field in fields(self) if field.name in IDENTIFYING_FIELDS}
        return replace(
            self,
            **gone,
            age_years=None if age is None else hide_age(age),
            labels=tuple(filter(is_code, self.labels)),
            annotations=None if self.annotations is None else (found.without_text() for found in self.annotations),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ECGRecord):
            return NotImplemented
        others = [field.name for field in fields(self) if field.name != "signal_mv"]
        return all(getattr(self, name) == getattr(other, name) for name in others) and np.array_equal(
            self.signal_mv, other.signal_mv, equal_nan=True
        )

    __hash__ = None

    def __repr__(self) -> str:
        known = [
            f"{name}={getattr(self, name)!r}"
            for name in ("record_id", "patient_id", "age_years", "sex", "weight_kg", "height_cm", "labels", "source")
            if getattr(self, name) not in (None, ())
        ]
        what = (
            f"{self.n_leads} leads ({', '.join(self.lead_names)}), {self.n_samples} samples at"
            f" {self.sampling_rate:g} Hz, {self.duration_s:g} s"
        )
        return f"ECGRecord({', '.join([what, *known])})"


class Demographics(Protocol):
    """Sex, age and size as [`ECGRecord`] has them."""

    sex: int | None
    age_years: float | None
    weight_kg: float | None
    height_cm: float | None


def check_demographics(patient: Demographics) -> None:
    """Raises `ValueError` if sex, age, weight or height is impossible."""
    if patient.sex not in (0, 1, None):
        raise ValueError(f"`sex` must be 0 (male), 1 (female) or None, got {patient.sex!r}.")
    for name in ("age_years", "weight_kg", "height_cm"):
        value = getattr(patient, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"`{name}` must be a finite number >= 0, or None where unknown; got {value!r}.")


@dataclass(frozen=True)
class ShapeMismatch:
    """Why an array cannot be the signal of so many leads, in the words of an error message."""

    expected: str
    found: str
    advice: str


def shape_mismatch(shape: tuple[int, ...], n_leads: int) -> ShapeMismatch | None:
    """
    Checks that a signal is `(leads, samples)`.

    Args:
        shape (`tuple[int, ...]`): Shape of the signal.
        n_leads (`int`): How many leads are named.

    Returns:
        [`ShapeMismatch`], or `None` if the shape is right.
    """
    expected = f"an array (leads, samples) with {n_leads} lead{'' if n_leads == 1 else 's'}, as many as are named"
    found = f"shape {tuple(shape)}"
    if len(shape) == 2 and shape[0] == n_leads:
        if n_leads and shape[1]:
            return None
        return ShapeMismatch("at least one lead and one sample", found, "An empty record holds no ECG.")
    if len(shape) == 2 and shape[1] == n_leads:
        return ShapeMismatch(
            expected, f"{found}, which is (samples, leads)", "Transpose the array (`array.T`): time comes last."
        )
    return ShapeMismatch(expected, found, "Name every lead of the signal, and no other.")


__all__ = [
    "COMMENT_SYMBOL",
    "Annotation",
    "Demographics",
    "ECGRecord",
    "ShapeMismatch",
    "check_demographics",
    "shape_mismatch",
]
