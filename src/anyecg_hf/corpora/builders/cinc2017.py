# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AF Classification from a Short Single Lead ECG Recording, the PhysioNet Challenge 2017."""

from collections.abc import Iterator

from ...models.anyecg.configuration_anyecg import UNKNOWN_LEAD
from ...records import RecordSource, open_record
from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry
from ..files import CorpusFiles
from ..preparation_report import SKIPPED, ReportLine
from .challenge_layout import record_stems
from .tables import absent_records, keyed_table, require_table

# The third revision of the labels is the one that the challenge was scored with.
TABLES = ("REFERENCE-v3.csv", "REFERENCE.csv")
# Copies of 300 training records, to try the submitted programs on.
_COPIES = {"validation", "sample2017"}


class CinC2017(ECGCorpusBuilder):
    """
    Training set of the Challenge 2017; the test set was never published. The validation set consists of copies of
    training records and is passed over.

    The lead is `unknown`, as [`~anyecg_hf.records.read_record`] has it: the headers call it `ECG`. The device is held
    by both hands and so records lead I, but many people held it the wrong way round, which inverts the signal, and no
    record says so (Clifford et al. 2017). Under the name I, upright and inverted signals would pass for the same lead.
    """

    description = CorpusDescription(
        name="cinc2017",
        title="AF Classification from a Short Single Lead ECG Recording: the PhysioNet/Computing in Cardiology"
        " Challenge 2017",
        summary="Single-lead ECGs of 9 to 61 seconds that people recorded themselves with a hand-held device, as"
        " normal, atrial fibrillation, other rhythm or too noisy.",
        homepage="https://physionet.org/content/challenge-2017/1.0.0/",
        citation="Clifford et al., AF classification from a short single lead ECG recording: the PhysioNet/Computing"
        " in Cardiology Challenge 2017, Computing in Cardiology 44 (2017) 1-4",
        licence="ODC-By-1.0",
        licence_is_certain=False,
        label_system="cinc2017",
        n_records=8_528,
        defects=(
            "An unknown part of the signals is inverted.",
            "Patients are not given; one may have several records.",
            "Experts often disagreed about the labels, which were revised three times; copies with older ones exist.",
        ),
    )
    tables = TABLES

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        table = require_table(files, *TABLES)
        labels = keyed_table(table, "record", header=("record", "label"))
        stems = record_stems(files, f"A{'[0-9]' * 5}")
        stems = [stem for stem in stems if not _COPIES.intersection(stem.parts)]
        yield from absent_records(table, len(labels.keys() - {stem.name for stem in stems}))
        for stem in stems:
            if stem.name in labels:
                label = labels[stem.name]["label"]
                yield CorpusEntry(record_id=stem.name, path=stem.as_posix(), native_labels=(label,))
            else:
                yield ReportLine(stem.name, stem.as_posix(), SKIPPED, f"no label in {table.name}")

    def open_source(self, entry: CorpusEntry, files: CorpusFiles) -> RecordSource:
        return open_record(files.local_record(entry.path), lead_names=[UNKNOWN_LEAD])

    def remote_listing(self) -> PhysioNetListing:
        include = ("training/A[0-9][0-9]/*.hea", "training/A[0-9][0-9]/*.mat", f"*{TABLES[0]}")
        return PhysioNetListing("challenge-2017", "1.0.0", include=include, base_url=self.config.base_url)


__all__ = ["CinC2017"]
