# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""MIT-BIH Arrhythmia Database."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..files import CorpusFiles
from ..preparation_report import SKIPPED, ReportLine
from .beat_labels import beat_labels
from .challenge_layout import record_stems
from .ludb import is_of_ludb

RECORDS = frozenset(
    str(number)
    for number in (
        *(number for number in range(100, 125) if number not in (110, 120)),
        *(200, 201, 202, 203, 205, 207, 208, 209, 210, 212, 213, 214, 215, 217),
        *(219, 220, 221, 222, 223, 228, 230, 231, 232, 233, 234),
    )
)
# Two records were cut from one tape; the others are of one patient each.
_PATIENT_OF = {"202": "201"}


class MITBIH(ECGCorpusBuilder):
    """
    MIT-BIH Arrhythmia Database as PhysioNet has it. The native labels of a record are the rhythms and kinds of beats
    that occur in it, its `report` the remarks of the header: drugs, and what the annotators noticed.
    """

    description = CorpusDescription(
        name="mit-bih",
        title="MIT-BIH Arrhythmia Database",
        summary="48 half-hour excerpts of two-lead ambulatory ECGs of 47 patients; every beat and every change of"
        " rhythm is annotated by cardiologists.",
        homepage="https://physionet.org/content/mitdb/1.0.0/",
        citation="Moody and Mark, The impact of the MIT-BIH Arrhythmia Database, IEEE Engineering in Medicine and"
        " Biology Magazine 20 (2001) 45-50; Goldberger et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation"
        " 101 (2000) e215-e220",
        licence="ODC-By-1.0",
        licence_is_certain=False,
        label_system="wfdb",
        n_records=48,
        defects=(
            "The leads differ between records, and their order does too: choose them by name. Some records have no"
            " MLII.",
            "Records 201 and 202 are of one patient.",
            "Two ages are not known.",
            "The two leads are shifted against each other by up to 40 ms.",
        ),
    )
    has_annotations = True

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        stems = record_stems(files, "[12][0-9][0-9]")
        annotated = {path.removesuffix(".atr") for path in files.matching("*.atr")}
        # LUDB has records 100 to 200 as well, without such annotations.
        known = {PurePosixPath(stem).name for stem in annotated}
        for stem in stems:
            name = stem.name
            if name in RECORDS and stem.as_posix() in annotated:
                yield CorpusEntry(record_id=name, path=stem.as_posix(), patient_id=_PATIENT_OF.get(name, name))
            elif name in RECORDS - known and not is_of_ludb(stem, files):
                yield ReportLine(name, stem.as_posix(), SKIPPED, "no annotations (.atr) beside its header")

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        record = super().read(entry, files)
        # The first line holds age and sex.
        remarks = "\n".join(record.facts.comments[1:])
        return replace(record, facts=replace(record.facts, labels=beat_labels(record.annotations)), report=remarks)

    def remote_listing(self) -> PhysioNetListing:
        include = ("[12]??.hea", "[12]??.dat", "[12]??.atr")
        return PhysioNetListing("mitdb", "1.0.0", include=include, base_url=self.config.base_url)


__all__ = ["MITBIH", "RECORDS"]
