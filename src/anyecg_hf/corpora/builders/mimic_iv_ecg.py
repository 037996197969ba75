# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""MIMIC-IV-ECG, the diagnostic ECGs of the patients of MIMIC-IV."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...records.header_comments import HIDDEN_AGE_YEARS, MAX_STATED_AGE, parse_sex
from ..building import CorpusConfig, ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..errors import CorpusError
from ..files import CorpusFiles
from ..preparation_report import NOTED, SKIPPED, ReportLine
from .challenge_layout import record_stems
from .tables import absent_records, read_table, require_table

RECORD_LIST, MEASUREMENTS = "record_list.csv", "machine_measurements.csv"
_STATEMENTS = tuple(f"report_{number}" for number in range(18))


@dataclass
class MIMICConfig(CorpusConfig):
    """
    Options of [`MIMICIVECG`].

    Args:
        patients_csv (`str`, *optional*):
            `hosp/patients.csv` or `patients.csv.gz` of MIMIC-IV, for age and sex.
    """

    patients_csv: str | None = None


@dataclass(frozen=True)
class Anchor:
    """
    What MIMIC-IV says of a patient: all dates are shifted, by the same years for all of one patient.

    Attributes:
        sex (`int` or `None`): 0 male, 1 female.
        age_years (`int`): Age in the anchor year; 91 stands for every age above 89.
        year (`int`): The anchor year.
    """

    sex: int | None
    age_years: int
    year: int

    def age_in(self, year: int) -> float | None:
        """Age in years in a (shifted) year, `None` where it cannot be known."""
        if self.age_years > MAX_STATED_AGE:
            # Before that year the patient may have been younger than 90.
            return HIDDEN_AGE_YEARS if year >= self.year else None
        age = self.age_years + year - self.year
        if age < 0:
            return None
        return float(age) if age <= MAX_STATED_AGE else HIDDEN_AGE_YEARS


class MIMICIVECG(ECGCorpusBuilder):
    """
    MIMIC-IV-ECG as PhysioNet has it. The native labels are the statements of the machine, and so is `report`, one a
    line. There is neither age nor sex in the corpus: with credentialed access to MIMIC-IV, the option `patients_csv`
    adds them. The reports of cardiologists are not part of it either: `waveform_note_links.csv` says which notes of
    MIMIC-IV-Note, credentialed too, belong to which record.

    Records come with the leads of the file: I, II, III, aVR, aVF, aVL, V1-V6, aVF before aVL.
    """

    BUILDER_CONFIG_CLASS = MIMICConfig

    description = CorpusDescription(
        name="mimic-iv-ecg",
        title="MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset",
        summary="About 800,000 12-lead ECGs of 10 seconds of nearly 160,000 patients of one hospital in Boston, with"
        " the statements of the machine.",
        homepage="https://physionet.org/content/mimic-iv-ecg/1.0/",
        citation="Gow et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset (version 1.0), PhysioNet"
        " (2023), https://doi.org/10.13026/4nqg-sb35",
        licence="ODbL-1.0",
        licence_is_certain=False,
        label_system="mimic",
        n_records=800_035,
        access="open; age and sex need the table `hosp/patients.csv.gz` of MIMIC-IV (option `patients_csv`), and"
        " reports of cardiologists the notes of MIMIC-IV-Note that `waveform_note_links.csv` names. Both are for"
        " credentialed users of PhysioNet: an account, the training in research on human subjects, and a signed data"
        " use agreement.",
        defects=(
            "aVF stands before aVL: choose leads by name.",
            "Some signal files are truncated, some samples are missing, some leads are zero throughout.",
            "The labels are statements of a machine that nobody confirmed.",
            "The clocks of the machines were not synchronised, and all dates are shifted.",
        ),
    )
    tables = (RECORD_LIST, MEASUREMENTS)
    file_options = ("patients_csv",)

    has_closed_vocabulary = False  # thousands of machine statements, most of them on no diagnosis

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        # A study has one record, which is named by it.
        stems = {stem.name: stem.as_posix() for stem in record_stems(files, "[0-9]*") if stem.name.isdecimal()}
        record_list = require_table(files, RECORD_LIST)
        statements = _statements(require_table(files, MEASUREMENTS), stems)
        anchors = None if self.config.patients_csv is None else _anchors(Path(self.config.patients_csv))
        n_absent = 0
        for row in read_table(record_list, ("subject_id", "study_id", "ecg_time", "path")):
            study = row["study_id"]
            stem = stems.pop(study, None)
            if stem is None:
                n_absent += 1
                continue
            yield _entry(row, stem, statements.get(study, ()), anchors)
            if study not in statements:
                yield ReportLine(study, stem, NOTED, f"no row in {MEASUREMENTS}, so no labels")
            if anchors is not None and row["subject_id"] not in anchors:
                yield ReportLine(study, stem, NOTED, f"its patient {row['subject_id']} is not in `patients_csv`")
        yield from absent_records(record_list, n_absent)
        for study, stem in stems.items():
            yield ReportLine(study, stem, SKIPPED, f"no row in {RECORD_LIST}")

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        # Not in the entries: there are 800,000 of them.
        return replace(super().read(entry, files), report="\n".join(entry.native_labels))

    def remote_listing(self) -> PhysioNetListing:
        include = (RECORD_LIST, MEASUREMENTS, "files/*.hea", "files/*.dat")
        return PhysioNetListing("mimic-iv-ecg", "1.0", include=include, base_url=self.config.base_url)


def _entry(
    row: dict[str, str], stem: str, statements: tuple[str, ...], anchors: dict[str, Anchor] | None
) -> CorpusEntry:
    anchor = (anchors or {}).get(row["subject_id"])
    year = row["ecg_time"][:4]
    return CorpusEntry(
        record_id=row["study_id"],
        path=stem,
        patient_id=row["subject_id"],
        age_years=anchor.age_in(int(year)) if anchor and year.isdecimal() else None,
        sex=anchor.sex if anchor else None,
        native_labels=statements,
    )


def _statements(path: Path, studies: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Statements by study; each text is kept once, as a few thousand make up all of them."""
    texts: dict[str, str] = {}
    found: dict[str, tuple[str, ...]] = {}
    for row in read_table(path, ("study_id", *_STATEMENTS)):
        if row["study_id"] in studies:
            statements = (row[column] for column in _STATEMENTS)
            found[row["study_id"]] = tuple(texts.setdefault(text, text) for text in statements if text)
    return found


def _anchors(path: Path) -> dict[str, Anchor]:
    anchors = {}
    for row in read_table(path, ("subject_id", "gender", "anchor_age", "anchor_year")):
        if not (row["anchor_age"].isdecimal() and row["anchor_year"].isdecimal()):
            found = f"{row['anchor_age']!r} and {row['anchor_year']!r} for {row['subject_id']}"
            raise CorpusError(path, "whole numbers as anchor_age and anchor_year", found)
        anchors[row["subject_id"]] = Anchor(parse_sex(row["gender"]), int(row["anchor_age"]), int(row["anchor_year"]))
    return anchors


__all__ = ["MIMICIVECG", "Anchor", "MIMICConfig"]
