# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Ningbo, the second part of the large-scale 12-lead ECG database for arrhythmia study."""

from collections.abc import Iterator
from dataclasses import replace

from ..building import ECGCorpusBuilder
from ..description import CorpusDescription
from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry
from ..files import CorpusFiles
from .challenge_layout import challenge_entries, record_stems
from .ecg_arrhythmia import ECG_ARRHYTHMIA_URL, JS_PATTERN, ecg_arrhythmia_listing, is_chapman_shaoxing

# The header of JS23074 in the Challenge 2021. It names the signal file rightly.
_MISNAMED, _RIGHT_NAME = "S23074", "JS23074"


class Ningbo(ECGCorpusBuilder):
    """
    Ningbo, from the release `ecg-arrhythmia` or from the Challenge 2021: the same records under the same names, from
    `JS10647` on.
    """

    description = CorpusDescription(
        name="ningbo",
        title="Ningbo First Hospital 12-lead ECG Database",
        summary="10-second 12-lead ECGs of Ningbo First Hospital, one of each patient.",
        homepage=ECG_ARRHYTHMIA_URL,
        citation="Zheng et al., Optimal Multi-Stage Arrhythmia Classification Approach, Scientific Reports 10 (2020)"
        " 2898",
        licence="CC-BY-4.0",
        licence_is_certain=False,
        label_system="snomed",
        n_records=34_905,
        defects=(
            "The header of JS23074 in ecg-arrhythmia 1.0.0 lost a line break and does not parse; in the Challenge 2021"
            " it is called S23074.",
            "Chest leads that were not recorded are stored as zeros, such as V1 to V6 of JS11438.",
            "Some records hold invalid samples.",
            "Atrial fibrillation is coded as flutter, or not at all: no record has the code of fibrillation.",
        ),
    )

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry]:
        misnamed = {stem.with_name(_RIGHT_NAME).as_posix(): stem.as_posix() for stem in record_stems(files, _MISNAMED)}
        for entry in challenge_entries(files, JS_PATTERN, lambda record_id: not is_chapman_shaoxing(record_id)):
            yield replace(entry, path=misnamed.get(entry.path, entry.path))

    def remote_listing(self) -> PhysioNetListing:
        numbers = ("1064[7-9]", "106[5-9]?", "10[7-9]??", "1[1-9]???", "[2-9]????")
        return ecg_arrhythmia_listing(numbers, self.config.base_url)


__all__ = ["Ningbo"]
