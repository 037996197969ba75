# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""CODE-15%, ECGs of the Telehealth Network of Minas Gerais."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ...records import CodeTracings, RecordError
from ...records.header_comments import parse_age
from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.archives import extract
from ..downloads.remote_listings import ZenodoListing
from ..entries import CorpusEntry, CorpusRecord
from ..errors import CorpusError
from ..files import CorpusFiles
from ..preparation_report import SKIPPED, ReportLine
from .challenge_layout import record_stems
from .tables import absent_records, parse_flag, read_table, require_table

TABLE = "exams.csv"
FLAGS = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF", "normal_ecg")
_COLUMNS = ("exam_id", "age", "is_male", "patient_id", "trace_file", *FLAGS)
# The files name neither leads nor rate nor unit; these are from the corpus's page and paper, which call the limb leads
# DI, DII, DIII. The unit is what the amplitudes say, and what the WFDB copy of the same signals states.
_LEAD_NAMES = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_RATE_HZ, _UNIT = 400.0, "mV"
# The last row of a file, all zeros.
_FILLER_ID = "0"


@dataclass(frozen=True)
class _OpenedFile:
    path: Path
    tracings: CodeTracings


class CODE15(ECGCorpusBuilder):
    """
    CODE-15% as Zenodo has it. The native labels are the flags that are set; no flag at all does not mean normal, which
    has a flag of its own. The zeros that fill exams up to 4096 samples are left out at both ends, and the filler row
    without an exam at the end of every file is passed over. Of the table, predicted age and follow-up are not kept.

    Where `data_dir` holds none of these files but the WFDB records of the PhysioNet Challenge 2025, these are read.
    They lack the six flags: there are no native labels, and `report` holds the patient's own statement on Chagas
    disease (`Chagas label: True`). Records that name SaMi-Trop as their source are of another corpus and left out.
    """

    description = CorpusDescription(
        name="code-15",
        title="CODE-15%: a large scale annotated dataset of 12-lead ECGs",
        summary="345,779 12-lead ECGs of 7 or 10 seconds of 233,770 patients, recorded in primary care all over Minas"
        " Gerais, Brazil, between 2010 and 2016.",
        homepage="https://doi.org/10.5281/zenodo.4916206",
        citation="Ribeiro et al., Automatic diagnosis of the 12-lead ECG using a deep neural network, Nature"
        " Communications 11 (2020) 1760; Ribeiro et al., CODE-15% (version 1.0.0), Zenodo (2021)",
        licence="CC-BY-4.0",
        licence_is_certain=False,
        label_system="code15",
        n_records=345_779,
        defects=(
            "Short exams are padded with zeros at both ends in the original files; here they are not.",
            "Some leads are zero throughout, and some amplitudes are beyond 20 mV.",
            "Some recordings occur twice, under different patients.",
            "The flags merge text of reports with statements of software; half of the exams have none.",
            "Chagas labels of the WFDB copy are the patients' own statements; many of its records name no patient.",
        ),
    )
    has_archives = True
    tables = (TABLE,)
    _opened: _OpenedFile | None = None

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        parts = files.matching("exams_part*.hdf5")
        if parts:
            yield from _exams(parts, files)
        elif archives := files.matching("exams_part*.zip"):
            raise CorpusError(files.root, "the files exams_part*.hdf5", f"{archives[0]}", "Unpack the archives first.")
        else:
            for stem in record_stems(files, "[0-9]*"):
                if stem.name.isdecimal():
                    yield CorpusEntry(stem.name, stem.as_posix(), native_labels=(), label_system="")

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        if entry.key is None:
            return _of_code(super().read(entry, files), entry)
        path = files.local(entry.path)
        opened = self._opened
        if opened is None or opened.path != path:
            # Exams stand in the order of the files. The file before is not closed but let go: another stream of this
            # builder may be reading it.
            opened = self._opened = _OpenedFile(path, CodeTracings(path, lead_names=_LEAD_NAMES, unit=_UNIT))
        return CorpusRecord(opened.tracings.read(entry.key).signal, _RATE_HZ, _LEAD_NAMES)

    # Worker processes open files of their own.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_opened"}

    def remote_listing(self) -> ZenodoListing:
        return ZenodoListing(4916206, include=(TABLE, "exams_part*.zip"), base_url=self.config.base_url)

    def unpack(self, root: Path) -> None:
        for archive in sorted(root.glob("exams_part*.zip")):
            extract(archive, root)


def _exams(parts: list[str], files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
    """Exams file by file, in the order of their rows."""
    table = require_table(files, TABLE)
    by_part: dict[str, dict[str, CorpusEntry]] = {PurePosixPath(part).name: {} for part in parts}
    n_absent = 0
    for row in read_table(table, _COLUMNS):
        listed = by_part.get(row["trace_file"])
        if listed is None:
            n_absent += 1
        elif listed.setdefault(row["exam_id"], entry := _entry(row, table)) != entry:
            raise CorpusError(table, "one row for each exam_id", f"two that differ for {row['exam_id']!r}")
    yield from absent_records(table, n_absent)
    for part in parts:
        yield from _rows_of(part, by_part.pop(PurePosixPath(part).name, {}), files)


def _rows_of(part: str, listed: dict[str, CorpusEntry], files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
    try:
        with CodeTracings(files.local(part), lead_names=_LEAD_NAMES, unit=_UNIT) as tracings:
            exam_ids = tracings.exam_ids
    except RecordError as error:
        yield ReportLine("", part, SKIPPED, f"{len(listed)} exams: {error}")
        return
    for row, exam_id in enumerate(exam_ids):
        if exam_id in listed:
            yield replace(listed[exam_id], path=part, key=row)
        elif exam_id != _FILLER_ID:
            yield ReportLine(exam_id, part, SKIPPED, f"{TABLE} lists no such exam for this file")
    for exam_id in sorted(listed.keys() - set(exam_ids)):
        yield ReportLine(exam_id, part, SKIPPED, f"not in the file that {TABLE} names")


def _entry(row: dict[str, str], table: Path) -> CorpusEntry:
    return CorpusEntry(
        record_id=row["exam_id"],
        path="",
        patient_id=row["patient_id"] or None,
        age_years=parse_age(row["age"]),
        sex=_sex(row, table),
        native_labels=tuple(flag for flag in FLAGS if parse_flag(table, row, flag)),
    )


def _sex(row: dict[str, str], table: Path) -> int | None:
    is_male = parse_flag(table, row, "is_male")
    return None if is_male is None else int(not is_male)


def _of_code(record: CorpusRecord, entry: CorpusEntry) -> CorpusRecord:
    """A record of the Challenge 2025, with what it says of Chagas disease."""
    comments = (comment.partition(":") for comment in record.facts.comments)
    stated = {key.strip().lower(): value.strip() for key, _, value in comments}
    if "chagas label" not in stated:
        raise CorpusError(entry.path, "a header of the Challenge 2025, with `# Chagas label`", "none")
    source = stated.get("source", "CODE-15%")
    if source != "CODE-15%":
        raise CorpusError(entry.path, "a record of CODE-15%", f"the source {source}", "It is of another corpus.")
    return replace(record, report=f"Chagas label: {stated['chagas label']}")


__all__ = ["CODE15", "FLAGS"]
