# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PTB Diagnostic ECG Database."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..files import CorpusFiles
from ..preparation_report import NOTED, SKIPPED, ReportLine
from .challenge_layout import challenge_entries, record_stems

_REASON = "Reason for admission"
# What else the header says of the diagnosis, and what stands there for nothing.
_REPORTED = ("Acute infarction (localization)", "Former infarction (localization)", "Additional diagnoses")
_NOTHING = {"", "no", "n/a", "unknown"}


class PTB(ECGCorpusBuilder):
    """
    PTB: its own release (`patient001/s0010_re` ..., with the Frank leads), or the 516 records of it in the Challenge
    2021 (`S0001` ..., 12 leads, SNOMED CT codes).

    The native label of the own release is the reason for admission; where an infarction is, and further diagnoses, are
    in `report`. Only its folders tell which records are of one patient: without them, records count as patients of
    their own when a corpus is split.
    """

    description = CorpusDescription(
        name="ptb",
        title="PTB Diagnostic ECG Database",
        summary="ECGs of 32 to 120 seconds at 1000 Hz, 12 leads and the three of Frank, of 290 patients and healthy"
        " people in Berlin.",
        homepage="https://physionet.org/content/ptbdb/",
        citation="Bousseljot et al., Nutzung der EKG-Signaldatenbank CARDIODAT der PTB über das Internet,"
        " Biomedizinische Technik 40, Ergänzungsband 1 (1995) 317",
        licence="ODC-By-1.0",
        licence_is_certain=False,
        label_system="ptb",
        n_records=549,
        defects=(
            "Several records are of one patient.",
            "Copies in the Challenge 2021 lack the Frank leads and the patients; their numbers are not those of PTB.",
        ),
    )

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        stems = record_stems(files, "s[0-9][0-9][0-9][0-9][a-z_]re")
        own = [CorpusEntry(stem.name, stem.as_posix(), patient_id=_patient(files, stem)) for stem in stems]
        copies = list(challenge_entries(files, "S[0-9][0-9][0-9][0-9]"))
        yield from own
        if own:
            reason = f"a copy in the challenge, which does not tell of which record; {own[0].path} and others are here"
            yield from (ReportLine(copy.record_id, copy.path, SKIPPED, reason) for copy in copies)
        else:
            yield from copies
        n_unknown = sum(entry.patient_id is None for entry in own or copies)
        if n_unknown:
            yield ReportLine("", "", NOTED, f"patients of {n_unknown} records are unknown; some may be of one patient")

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        record = super().read(entry, files)
        if entry.label_system == "snomed":  # a copy in the challenge
            return record
        stated = _stated(record.facts.comments)
        labels = (stated[_REASON],) if _REASON in stated else ()
        report = "\n".join(f"{key}: {stated[key]}" for key in _REPORTED if key in stated)
        return replace(record, facts=replace(record.facts, labels=labels), report=report)

    def remote_listing(self) -> PhysioNetListing:
        return PhysioNetListing("ptbdb", "1.0.0", include=("patient*",), base_url=self.config.base_url)


def _patient(files: CorpusFiles, stem: PurePosixPath) -> str | None:
    folder = (files.root.absolute() / stem).parent.name
    return folder if re.fullmatch(r"patient\d+", folder) else None


def _stated(comments: Sequence[str]) -> dict[str, str]:
    """Values of comments such as "Reason for admission: Dysrhythmia" by their keys; those without one are left out."""
    pairs = (comment.split(":", 1) for comment in comments if ":" in comment)
    return {key.strip(): value.strip() for key, value in pairs if value.strip().lower() not in _NOTHING}


__all__ = ["PTB"]
