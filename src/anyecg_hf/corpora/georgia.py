# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Georgia 12-Lead ECG Challenge Database."""

from collections.abc import Iterator

from .building import ECGCorpusBuilder
from .challenge_layout import CHALLENGE_SLUG, CHALLENGE_VERSION, challenge_entries, challenge_files
from .description import CorpusDescription
from .entries import CorpusEntry
from .files import CorpusFiles
from .remote_listings import PhysioNetListing


class Georgia(ECGCorpusBuilder):
    """Georgia, from the Challenge 2021."""

    description = CorpusDescription(
        name="georgia",
        title="Georgia 12-Lead ECG Challenge Database",
        summary="10-second 12-lead ECGs of the south-eastern United States, part of the PhysioNet Challenges 2020 and"
        " 2021.",
        homepage="https://physionet.org/content/challenge-2021/",
        citation="Perez Alday et al., Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology Challenge"
        " 2020, Physiological Measurement 41 (2020) 124003",
        licence="CC-BY-4.0",
        licence_is_certain=False,
        label_system="snomed",
        n_records=10_344,
        defects=("Some ages are missing.", "Some copies of E00015 and others carry a gain of 4880 in place of 1000."),
    )

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry]:
        return challenge_entries(files, "E[0-9][0-9][0-9][0-9][0-9]")

    def remote_listing(self) -> PhysioNetListing:
        return PhysioNetListing(
            CHALLENGE_SLUG, CHALLENGE_VERSION, include=challenge_files("georgia"), base_url=self.config.base_url
        )


__all__ = ["Georgia"]
