# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a corpus says about a record before it is opened, and a record as it was read."""

from dataclasses import dataclass, field

from ..records import Annotation, StoredSignal
from ..records.source import RecordFacts


@dataclass(frozen=True)
class CorpusEntry:
    """
    One record as the lists of a corpus have it. What is `None` is taken from the record's own file.

    Args:
        record_id (`str`):
            Identifier, unique in the corpus.
        path (`str`):
            POSIX path of the record below the corpus root, WFDB records without suffix.
        key (`str` or `int`, *optional*):
            Which record of the file, where it holds several.
        split (`str`, *optional*, defaults to `"train"`):
            `"train"`, `"validation"` or `"test"`.
        fold (`int`, *optional*):
            Official fold.
        patient_id (`str`, *optional*), age_years (`float`, *optional*), sex (`int`, *optional*),
        weight_kg (`float`, *optional*), height_cm (`float`, *optional*):
            As in [`~anyecg_hf.records.ECGRecord`].
        native_labels (`tuple[str, ...]`, *optional*):
            Labels in the corpus's own system.
        label_system (`str`, *optional*):
            The system of the native labels, where it is not the one of the corpus's description.
        likelihoods (`tuple[float, ...]`, *optional*):
            Likelihood of every native label in percent, where the corpus states them.
        report (`str`, *optional*):
            Free text of a physician or a machine.
    """

    record_id: str
    path: str
    key: str | int | None = None
    split: str = "train"
    fold: int | None = None
    patient_id: str | None = None
    age_years: float | None = None
    sex: int | None = None
    weight_kg: float | None = None
    height_cm: float | None = None
    native_labels: tuple[str, ...] | None = None
    label_system: str | None = None
    likelihoods: tuple[float, ...] = ()
    report: str = ""


@dataclass(frozen=True)
class CorpusRecord:
    """
    A record as it was read.

    Args:
        signal ([`~anyecg_hf.records.StoredSignal`]): Its samples.
        sampling_rate (`float`): In Hz.
        lead_names (`tuple[str, ...]`): Names from the lead vocabulary.
        facts ([`~anyecg_hf.records.RecordFacts`]): What its file says beside the samples.
        annotations (`tuple[Annotation, ...]`, *optional*): Beats, rhythm changes and wave boundaries.
        label_system (`str`, *optional*): The system of the labels in its file, where nothing else tells it.
        report (`str`, *optional*): Free text that its file holds.
        notes (`tuple[str, ...]`, *optional*): What was odd about it.
    """

    signal: StoredSignal
    sampling_rate: float
    lead_names: tuple[str, ...]
    facts: RecordFacts = field(default_factory=RecordFacts)
    annotations: tuple[Annotation, ...] = ()
    label_system: str | None = None
    report: str = ""
    notes: tuple[str, ...] = ()


__all__ = ["CorpusEntry", "CorpusRecord"]
