# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""St Petersburg INCART 12-lead Arrhythmia Database."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..files import CorpusFiles
from ..preparation_report import ReportLine
from .beat_labels import beat_labels
from .challenge_layout import challenge_entries, own_before_copies, record_stems

# "<age>: 65 <sex>: F <diagnoses> Acute MI", "patient 1", and a line with what is seen in this record.
_PATIENT = re.compile(r"patient\s+(\d+)")
_AGE_AND_SEX = re.compile(r"<(?:age|sex)>[^<]*")
_TAG = re.compile(r"<[^<>]*>\s*:?")


class INCART(ECGCorpusBuilder):
    """
    INCART: its own release (`I01` ... `I75`, with the beats, and the patient in the header), or the 74 records of it
    in the Challenge 2021 (`I0001` ..., without either).

    Native labels of the own release are the beat symbols and rhythm notes that occur in a record; diagnoses and
    findings are text, in `report`. Records without a known patient count as patients of their own when a corpus is
    split: here most patients have two or three, so the own release is the one to split.
    """

    description = CorpusDescription(
        name="incart",
        title="St Petersburg INCART 12-lead Arrhythmia Database",
        summary="Half-hour 12-lead excerpts of 32 Holter recordings, with every beat annotated.",
        homepage="https://physionet.org/content/incartdb/",
        citation="Tihonenko et al., St Petersburg INCART 12-lead Arrhythmia Database (version 1.0.0), PhysioNet (2008),"
        " doi:10.13026/C2V88N",
        licence="ODC-By-1.0",
        licence_is_certain=False,
        label_system="wfdb",
        n_records=75,
        defects=(
            "Places of beats were found by an algorithm and not corrected.",
            "Copies in the Challenge 2021 lack I36, the beats and the patients, and some miss samples, such as I0002"
            " and I0069; first copies of 2020 carry gains about 1000 times too large.",
        ),
    )
    has_annotations = True

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        own = (CorpusEntry(stem.name, stem.as_posix()) for stem in record_stems(files, "I[0-9][0-9]"))
        return own_before_copies(own, challenge_entries(files, "I[0-9][0-9][0-9][0-9]"))

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        record = super().read(entry, files)
        if entry.label_system == "snomed":  # a copy in the challenge
            return record
        facts = replace(
            record.facts,
            patient_id=_patient(record.facts.comments),
            labels=beat_labels(record.annotations),
        )
        notes = () if record.annotations else ("no beats: its .atr file is missing or empty",)
        return replace(record, facts=facts, report=_report(record.facts.comments), notes=(*record.notes, *notes))

    def remote_listing(self) -> PhysioNetListing:
        return PhysioNetListing("incartdb", "1.0.0", include=("I[0-9][0-9].*",), base_url=self.config.base_url)


def _patient(comments: Sequence[str]) -> str | None:
    return next((match[1] for comment in comments if (match := _PATIENT.fullmatch(comment))), None)


def _report(comments: Sequence[str]) -> str:
    texts = (_TAG.sub("", _AGE_AND_SEX.sub("", comment)).strip() for comment in comments)
    return "\n".join(text for text in texts if text and not _PATIENT.fullmatch(text))


__all__ = ["INCART"]
