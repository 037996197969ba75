# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Chapman-Shaoxing, the first part of the large-scale 12-lead ECG database for arrhythmia study."""

from collections.abc import Iterator

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry
from ..files import CorpusFiles
from .challenge_layout import challenge_entries
from .ecg_arrhythmia import ECG_ARRHYTHMIA_URL, JS_PATTERN, ecg_arrhythmia_listing, is_chapman_shaoxing


class ChapmanShaoxing(ECGCorpusBuilder):
    """
    Chapman-Shaoxing, from the release `ecg-arrhythmia` or from the Challenge 2021: the same records under the same
    names, `JS00001` to `JS10646`.
    """

    description = CorpusDescription(
        name="chapman-shaoxing",
        title="Chapman-Shaoxing 12-lead ECG Database",
        summary="10-second 12-lead ECGs of Shaoxing People's Hospital, one of each patient.",
        homepage=ECG_ARRHYTHMIA_URL,
        citation="Zheng et al., A 12-lead electrocardiogram database for arrhythmia research covering more than 10,000"
        " patients, Scientific Data 7 (2020) 48",
        licence="CC-BY-4.0",
        licence_is_certain=False,
        label_system="snomed",
        n_records=10_247,
        defects=("The header of JS01052 in ecg-arrhythmia 1.0.0 lost a line break and does not parse.",),
    )

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry]:
        return challenge_entries(files, JS_PATTERN, is_chapman_shaoxing)

    def remote_listing(self) -> PhysioNetListing:
        numbers = ("0????", "10[0-5]??", "106[0-3]?", "1064[0-6]")
        return ecg_arrhythmia_listing(numbers, self.config.base_url)


__all__ = ["ChapmanShaoxing"]
