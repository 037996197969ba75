# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PTB-XL."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..building import CorpusConfig, ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..errors import CorpusError
from ..files import CorpusFiles
from ..preparation_report import NOTED, SKIPPED, ReportLine
from .challenge_layout import (
    challenge_entries,
    own_before_copies,
    record_number,
    record_stems,
    with_gain_note,
)
from .ptb_xl_table import PTBXL_TABLE, read_ptbxl_table
from .tables import absent_records

_NUMBER = "[0-9][0-9][0-9][0-9][0-9]"
_SUFFIXES = {500: "hr", 100: "lr"}
_CHALLENGE_RATE_HZ = 500
_FAULTY_GAIN = 200.0


@dataclass
class PTBXLConfig(CorpusConfig):
    """
    Options of PTB-XL.

    Args:
        sampling_rate (`int`, *optional*, defaults to 500):
            500 or 100: which of the two copies of every record, in Hz.
        leads (`tuple[str, ...]`, *optional*), base_url (`str`, *optional*):
            As in [`CorpusConfig`].
    """

    sampling_rate: int = 500

    def __post_init__(self):
        super().__post_init__()
        if self.sampling_rate not in _SUFFIXES:
            raise ValueError(f"`sampling_rate` of PTB-XL must be 500 or 100, got {self.sampling_rate!r}.")
        self.sampling_rate = int(self.sampling_rate)


class PTBXL(ECGCorpusBuilder):
    """
    PTB-XL: its own release (`00001_hr` ... at 500 Hz, `00001_lr` ... at 100 Hz, with `ptbxl_database.csv`), or its
    records in the Challenge 2021 (`HR00001` ..., 500 Hz).

    Labels are SCP codes with their likelihoods, where 0 means "not given" rather than "absent". Folds 1 to 8 are
    `train`, 9 is `validation`, 10 is `test`; no patient is in two of them.

    The table is found among the files or up to two folders above `data_dir`. With it the challenge's copies have the
    same labels, folds and patients. Without it they have SNOMED CT codes and no folds, and all are in `train`: train on
    them, and PTB-XL's test set is lost to you.
    """

    BUILDER_CONFIG_CLASS = PTBXLConfig

    description = CorpusDescription(
        name="ptb-xl",
        title="PTB-XL, a large publicly available electrocardiography dataset",
        summary="10-second 12-lead ECGs of 18,869 patients in Germany, with 71 SCP-ECG statements, reports and official"
        " folds.",
        homepage="https://physionet.org/content/ptb-xl/",
        citation="Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific Data 7"
        " (2020) 154",
        licence="CC-BY-4.0",
        licence_is_certain=True,
        label_system="scp",
        n_records=21_799,
        defects=(
            "A likelihood of 0 means that none was given.",
            "Most heights and weights are missing; some are implausible.",
            "Copies in the Challenge 2021 include 38 duplicates that version 1.0.3 removed.",
            "Some copies of HR00599, HR20715 and others carry a gain of 200 in place of 1000.",
        ),
    )
    tables = (PTBXL_TABLE,)

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        found = self._found(files)
        path = files.table(PTBXL_TABLE)
        if path is not None:
            yield from self._by_table(files, path, found)
        elif any(entry.label_system is None for entry in found if isinstance(entry, CorpusEntry)):
            raise CorpusError(
                files.root,
                f"{PTBXL_TABLE} among the files, or up to two folders above them",
                "none",
                "Labels, patients and folds of PTB-XL are in it.",
            )
        elif found:
            yield from found
            reason = f"no {PTBXL_TABLE} here: folds and patients are unknown, and all records are in `train`"
            yield ReportLine("", "", NOTED, reason)

    def _found(self, files: CorpusFiles) -> list[CorpusEntry | ReportLine]:
        """Records at the rate that is asked for, in both layouts."""
        found = {}
        for rate_hz, suffix in _SUFFIXES.items():
            own = (CorpusEntry(stem.name, stem.as_posix()) for stem in record_stems(files, f"{_NUMBER}_{suffix}"))
            copies = challenge_entries(files, f"HR{_NUMBER}") if rate_hz == _CHALLENGE_RATE_HZ else ()
            found[rate_hz] = list(own_before_copies(own, copies))
        chosen = found.pop(self.config.sampling_rate)
        if not chosen:
            for rate_hz, others in found.items():
                if others:
                    raise CorpusError(
                        files.root,
                        f"records of PTB-XL at {self.config.sampling_rate} Hz",
                        f"{len(others)} at {rate_hz} Hz",
                        f"Use sampling_rate={rate_hz}.",
                    )
        return chosen

    def _by_table(
        self, files: CorpusFiles, path: Path, found: list[CorpusEntry | ReportLine]
    ) -> Iterator[CorpusEntry | ReportLine]:
        rows = read_ptbxl_table(path, self.config.sampling_rate)
        absent = set(rows)
        for entry in found:
            number = record_number(entry.record_id)
            if isinstance(entry, ReportLine):
                yield entry
            elif number in rows:
                absent.discard(number)
                yield replace(rows[number], record_id=entry.record_id, path=entry.path)
            else:
                reason = f"not in {PTBXL_TABLE}: version 1.0.3 removed 38 records as duplicates of others"
                yield ReportLine(entry.record_id, entry.path, SKIPPED, reason)
        yield from absent_records(path, len(absent))

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        return with_gain_note(super().read(entry, files), _FAULTY_GAIN)

    def remote_listing(self) -> PhysioNetListing:
        include = (PTBXL_TABLE, f"records{self.config.sampling_rate}/*")
        return PhysioNetListing("ptb-xl", "1.0.3", include=include, base_url=self.config.base_url)


__all__ = ["PTBXL", "PTBXLConfig"]
