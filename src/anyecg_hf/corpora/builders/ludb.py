# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Lobachevsky University Electrocardiography Database."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from ...records.formats import warn
from ...records.header_comments import parse_age, parse_sex
from ...records.wfdb_source import read_annotation_file
from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..files import CorpusFiles
from ..preparation_report import ReportLine
from .challenge_layout import record_stems
from .tables import absent_records, keyed_table, require_table

TABLE = "ludb.csv"
# Every other column holds statements.
_PATIENT_COLUMNS = ("ID", "Sex", "Age")
# Files of annotations are named by lead; one is enough to tell the corpus's records from others with such numbers.
_ANNOTATORS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")


class LUDB(ECGCorpusBuilder):
    """
    LUDB as PhysioNet has it. The native labels are the statements of `ludb.csv`, of which the headers lack some. The
    annotations of every lead are onset `(`, peak (`p`, `N` or `t`) and end `)` of its P waves, QRS complexes and T
    waves; the first and last beats are not annotated.
    """

    description = CorpusDescription(
        name="ludb",
        title="Lobachevsky University Electrocardiography Database",
        summary="200 12-lead ECGs of 10 seconds, one of each patient, with boundaries and peaks of the waves drawn by"
        " cardiologists in every lead.",
        homepage="https://physionet.org/content/ludb/1.0.1/",
        citation="Kalyakulina et al., LUDB: a new open-access validation tool for electrocardiogram delineation"
        " algorithms, IEEE Access 8 (2020) 186181-186190",
        licence="ODC-By-1.0",
        licence_is_certain=True,
        label_system="ludb",
        n_records=200,
        defects=("The annotations begin after the start of a record and stop before its end.",),
    )
    has_annotations = True
    tables = (TABLE,)

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        table = require_table(files, TABLE)
        rows = keyed_table(table, "ID", _PATIENT_COLUMNS)
        stems = [stem for stem in record_stems(files, "[0-9]*") if stem.name in rows and is_of_ludb(stem, files)]
        yield from absent_records(table, len(rows.keys() - {stem.name for stem in stems}))
        for stem in sorted(stems, key=lambda stem: int(stem.name)):
            yield _entry(stem.as_posix(), rows[stem.name])

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        record = super().read(entry, files)
        annotations = []
        for lead_name in record.lead_names:
            path = files.root / f"{entry.path}.{lead_name.lower()}"
            if path.is_file():
                annotations += read_annotation_file(path, record.sampling_rate, lead_name)
            else:
                warn(path, f"there is none, so lead {lead_name} is not annotated.")
        return replace(record, annotations=tuple(annotations))

    def remote_listing(self) -> PhysioNetListing:
        return PhysioNetListing("ludb", "1.0.1", include=(TABLE, "data/*"), base_url=self.config.base_url)


def is_of_ludb(stem: PurePosixPath, files: CorpusFiles) -> bool:
    """Whether a record such as `100`, a name that other corpora use too, has annotations as LUDB has them."""
    paths = files.by_stem[stem.as_posix()]
    return any(f"{stem}.{annotator}" in paths for annotator in _ANNOTATORS)


def _entry(stem: str, row: dict[str, str]) -> CorpusEntry:
    # A cell has a statement in every line.
    cells = (cell for column, cell in row.items() if column not in _PATIENT_COLUMNS)
    statements = (line.strip() for cell in cells for line in cell.splitlines())
    return CorpusEntry(
        record_id=row["ID"],
        path=stem,
        patient_id=row["ID"],
        age_years=parse_age(row["Age"]),
        sex=parse_sex(row["Sex"]),
        native_labels=tuple(dict.fromkeys(statement for statement in statements if statement)),
    )


__all__ = ["LUDB", "is_of_ludb"]
