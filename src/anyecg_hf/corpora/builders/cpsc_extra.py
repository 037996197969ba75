# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""CPSC-Extra, the part of CPSC2018 that the challenge of that year did not use."""

from collections.abc import Iterator

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry
from ..files import CorpusFiles
from .challenge_layout import CHALLENGE_CITATION, CHALLENGE_URL, challenge_entries, challenge_listing


class CPSCExtra(ECGCorpusBuilder):
    """CPSC-Extra, from the Challenge 2021."""

    description = CorpusDescription(
        name="cpsc-extra",
        title="China 12-Lead ECG Challenge Database (CPSC-Extra)",
        summary="12-lead ECGs, most of 10 to 60 seconds, that were collected for CPSC2018 and not used there.",
        homepage=CHALLENGE_URL,
        citation=CHALLENGE_CITATION,
        licence="CC-BY-4.0",
        licence_is_certain=False,
        label_system="snomed",
        n_records=3_453,
        defects=("Signals are baseline-corrected.", "Q0400 and Q2961 are flat."),
    )

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry]:
        return challenge_entries(files, "Q[0-9][0-9][0-9][0-9]")

    def remote_listing(self) -> PhysioNetListing:
        return challenge_listing("cpsc_2018_extra", self.config.base_url)


__all__ = ["CPSCExtra"]
