# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Improving the Quality of ECGs Collected using Mobile Phones, the PhysioNet Challenge 2011."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..errors import CorpusError
from ..files import CorpusFiles
from ..preparation_report import NOTED, SKIPPED, ReportLine
from .challenge_layout import record_stems
from .tables import keyed_table, require_table

ACCEPTABLE, UNACCEPTABLE = "acceptable", "unacceptable"
_LISTS = {f"RECORDS-{quality}": quality for quality in (ACCEPTABLE, UNACCEPTABLE)}
# The same in one table, as some copies have it.
_TABLE = "quality.csv"
_LABELLED, _TEST = "set-a", "set-b"


class CinC2011(ECGCorpusBuilder):
    """
    Challenge 2011, its WFDB files. The only labels are `acceptable` and `unacceptable`, the quality as a group of
    people graded it; records on which they were divided have none. Flat and clipped records are kept: finding them is
    what the corpus is for. `set-b`, the test set of the challenge, becomes the split `test`; its labels were not
    published.
    """

    description = CorpusDescription(
        name="cinc2011",
        title="Improving the Quality of ECGs Collected using Mobile Phones: the PhysioNet/Computing in Cardiology"
        " Challenge 2011",
        summary="12-lead ECGs of 10 seconds recorded by volunteers with little training, graded as acceptable for"
        " interpretation or not. It has no diagnoses.",
        homepage="https://physionet.org/content/challenge-2011/1.0.0/",
        citation="Silva, Moody and Celi, Improving the quality of ECGs collected using mobile phones: the"
        " PhysioNet/Computing in Cardiology Challenge 2011, Computing in Cardiology 38 (2011) 273-276",
        licence="ODC-By-1.0",
        licence_is_certain=False,
        label_system="",
        n_records=1_500,
        defects=(
            "Some records are flat in some or all leads, others are clipped at 16 mV; several of the flat ones are"
            " identical.",
            "Patients are not given.",
        ),
    )
    tables = (*_LISTS, _TABLE)

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        quality = _quality(files)
        for stem in record_stems(files, "[0-9]" * 7):
            name, path, part = stem.name, stem.as_posix(), _part(stem, files)
            if name in quality:
                yield CorpusEntry(record_id=name, path=path, native_labels=(quality[name],))
            elif part == _TEST:
                yield CorpusEntry(record_id=name, path=path, split="test", native_labels=())
            elif part == _LABELLED:
                yield CorpusEntry(record_id=name, path=path, native_labels=())
                yield ReportLine(name, path, NOTED, "in no list of quality: it was not decided")
            else:
                yield ReportLine(name, path, SKIPPED, f"in no list of quality, nor in a folder {_LABELLED} or {_TEST}")

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        record = super().read(entry, files)
        # Zero is an age that is not known.
        return replace(record, facts=replace(record.facts, age_years=record.facts.age_years or None))

    def remote_listing(self) -> PhysioNetListing:
        records = (f"{part}/*.{suffix}" for part in (_LABELLED, _TEST) for suffix in ("hea", "dat"))
        include = (*records, f"{_LABELLED}/RECORDS-*")
        return PhysioNetListing("challenge-2011", "1.0.0", include=include, base_url=self.config.base_url)


def _part(stem: PurePosixPath, files: CorpusFiles) -> str | None:
    """The set in whose folder a record lies."""
    folders = (files.root.absolute().name, *stem.parent.parts)
    return next((part for part in (_LABELLED, _TEST) if part in folders), None)


def _quality(files: CorpusFiles) -> dict[str, str]:
    """Quality by record."""
    table = files.table(_TABLE)
    lists = {quality: path for name, quality in _LISTS.items() if (path := files.table(name)) is not None}
    if table is None and not lists:
        if any(_part(PurePosixPath(path), files) == _TEST for path in files.paths):
            return {}
        require_table(files, *_LISTS, _TABLE)
    rows = {} if table is None else keyed_table(table, "record", ("quality",))
    found = {record_id: row["quality"] for record_id, row in rows.items()}
    for quality, path in lists.items():
        for line in path.read_text(encoding="utf-8").split():
            name = PurePosixPath(line).name
            if found.setdefault(name, quality) != quality:
                raise CorpusError(path, "one quality for every record", f"{found[name]} as well for {name}")
    if wrong := set(found.values()) - {ACCEPTABLE, UNACCEPTABLE}:
        raise CorpusError(table, f"{ACCEPTABLE} or {UNACCEPTABLE}", ", ".join(map(repr, sorted(wrong))))
    return found


__all__ = ["ACCEPTABLE", "UNACCEPTABLE", "CinC2011"]
