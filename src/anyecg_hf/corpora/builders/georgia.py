# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Georgia 12-Lead ECG Challenge Database."""

from collections.abc import Iterator

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..files import CorpusFiles
from .challenge_layout import (
    CHALLENGE_CITATION,
    CHALLENGE_URL,
    challenge_entries,
    challenge_listing,
    with_gain_note,
)

_FAULTY_GAIN = 4880.0


class Georgia(ECGCorpusBuilder):
    """Georgia, from the Challenge 2021."""

    description = CorpusDescription(
        name="georgia",
        title="Georgia 12-Lead ECG Challenge Database",
        summary="10-second 12-lead ECGs of the south-eastern United States, part of the PhysioNet Challenges 2020 and"
        " 2021.",
        homepage=CHALLENGE_URL,
        citation=CHALLENGE_CITATION,
        licence="CC-BY-4.0",
        licence_is_certain=False,
        label_system="snomed",
        n_records=10_344,
        defects=("Some ages are missing.", "Some copies of E00015 and others carry a gain of 4880 in place of 1000."),
    )

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry]:
        return challenge_entries(files, "E[0-9][0-9][0-9][0-9][0-9]")

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        return with_gain_note(super().read(entry, files), _FAULTY_GAIN)

    def remote_listing(self) -> PhysioNetListing:
        return challenge_listing("georgia", self.config.base_url)


__all__ = ["Georgia"]
