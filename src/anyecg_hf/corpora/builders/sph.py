# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""12-lead ECG database of Shandong Provincial Hospital."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...records import RecordSource, open_record
from ...records.header_comments import parse_age, parse_sex
from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.archives import extract
from ..downloads.remote_listings import FigshareListing
from ..entries import CorpusEntry, CorpusRecord
from ..errors import CorpusError
from ..files import CorpusFiles
from ..preparation_report import SKIPPED, ReportLine
from .tables import absent_records, keyed_table, require_table

TABLE = "metadata.csv"
_COLUMNS = ("AHA_Code", "Patient_ID", "Age", "Sex", "N")
# The files name neither leads nor rate nor unit. Einthoven's and Goldberger's relations confirm this order of the limb
# leads, and rate and unit are from Liu et al. 2022.
_LEAD_NAMES = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_RATE_HZ, _UNIT = 500.0, "mV"
# Copies of the corpus number their files by the same numbers.
_FILE = re.compile(r"(?:A|SPH)(\d{5})")


@dataclass(frozen=True)
class SPHEntry(CorpusEntry):
    """An entry with `n_samples`, the length of the record by the table."""

    n_samples: str = ""


class SPH(ECGCorpusBuilder):
    """
    SPH as figshare has it. The native labels are AHA statements, modifiers behind a plus: `60+310`. Records whose
    length is not that of the table are left out.
    """

    description = CorpusDescription(
        name="sph",
        title="A large-scale multi-label 12-lead electrocardiogram database with standardized diagnostic statements",
        summary="12-lead ECGs of 10 to 56 seconds from Shandong Provincial Hospital, with statements by the"
        " recommendations of AHA, ACC and HRS.",
        homepage="https://doi.org/10.6084/m9.figshare.c.5779802",
        citation="Liu et al., A large-scale multi-label 12-lead electrocardiogram database with standardized diagnostic"
        " statements, Scientific Data 9 (2022) 272",
        licence="CC-BY-4.0",
        licence_is_certain=False,
        label_system="aha",
        n_records=25_770,
        defects=(
            "The recorder filtered the signals.",
            "Samples have half precision: steps of 1 uV between 1 and 2 mV, and coarser ones above.",
            "Some leads reach beyond 100 mV.",
        ),
    )
    has_archives = True
    tables = (TABLE,)

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        table = require_table(files, TABLE)
        rows = keyed_table(table, "ECG_ID", _COLUMNS)
        paths = [path for path in files.matching("*.h5") if _FILE.fullmatch(PurePosixPath(path).stem)]
        yield from absent_records(table, len(rows.keys() - set(map(_record_id, paths))))
        for path in paths:
            record_id = _record_id(path)
            if record_id in rows:
                yield _entry(record_id, path, rows[record_id])
            else:
                yield ReportLine(record_id, path, SKIPPED, f"no row in {TABLE}")

    def open_source(self, entry: CorpusEntry, files: CorpusFiles) -> RecordSource:
        return open_record(files.local(entry.path), sampling_rate=_RATE_HZ, lead_names=_LEAD_NAMES, unit=_UNIT)

    def read(self, entry: SPHEntry, files: CorpusFiles) -> CorpusRecord:
        record = super().read(entry, files)
        n_samples = str(record.signal.samples.shape[1])
        if n_samples != entry.n_samples:
            raise CorpusError(entry.path, f"{entry.n_samples} samples, as {TABLE} says", n_samples)
        return record

    def remote_listing(self) -> FigshareListing:
        include = (TABLE, "code.csv", "records*")
        return FigshareListing(5779802, include=include, base_url=self.config.base_url)

    def unpack(self, root: Path) -> None:
        for archive in sorted(root.glob("records.*")):
            extract(archive, root)


def _record_id(path: str) -> str:
    return f"A{_FILE.fullmatch(PurePosixPath(path).stem)[1]}"


def _entry(record_id: str, path: str, row: dict[str, str]) -> SPHEntry:
    statements = (statement.strip() for statement in row["AHA_Code"].split(";"))
    return SPHEntry(
        record_id=record_id,
        path=path,
        patient_id=row["Patient_ID"] or None,
        age_years=parse_age(row["Age"]),
        sex=parse_sex(row["Sex"]),
        # Two records repeat a statement.
        native_labels=tuple(dict.fromkeys(statement for statement in statements if statement)),
        n_samples=row["N"],
    )


__all__ = ["SPH", "SPHEntry"]
