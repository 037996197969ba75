# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""CPSC2018, the public part of the China Physiological Signal Challenge 2018."""

from collections.abc import Iterator
from dataclasses import replace

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..files import CorpusFiles
from ..label_tables import is_snomed_code
from .challenge_layout import CHALLENGE_URL, challenge_entries, challenge_listing


class CPSC2018(ECGCorpusBuilder):
    """
    CPSC2018, from the Challenge 2021, or from the first release of the Challenge 2020, whose headers hold the names of
    the nine classes (`#Dx: RBBB`) in place of SNOMED CT codes. Which of them is seen record by record.
    """

    description = CorpusDescription(
        name="cpsc2018",
        title="China Physiological Signal Challenge 2018",
        summary="12-lead ECGs of 6 to 144 seconds from 11 Chinese hospitals, each with one to three of nine classes.",
        homepage=CHALLENGE_URL,
        citation="Liu et al., An Open Access Database for Evaluating the Algorithms of Electrocardiogram Rhythm and"
        " Morphology Abnormality Detection, Journal of Medical Imaging and Health Informatics 8 (2018) 1368-1373",
        licence="CC-BY-4.0",
        licence_is_certain=False,
        label_system="snomed",
        n_records=6_877,
        defects=(
            "The code of sinus rhythm stands for the class Normal.",
            "Signals are baseline-corrected.",
            "Ages of A0608, A1549, A1876, A2299 and A5990 are missing.",
        ),
    )

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry]:
        return challenge_entries(files, "A[0-9][0-9][0-9][0-9]")

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        record = super().read(entry, files)
        if all(map(is_snomed_code, record.facts.labels)):
            return record
        return replace(record, label_system="cpsc2018")

    def remote_listing(self) -> PhysioNetListing:
        return challenge_listing("cpsc_2018", self.config.base_url)


__all__ = ["CPSC2018"]
