# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records in the layout of the PhysioNet Challenges 2020 and 2021: a header with `#Dx:` and a MATLAB file each."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from .entries import CorpusEntry
from .files import CorpusFiles

CHALLENGE_SLUG, CHALLENGE_VERSION = "challenge-2021", "1.0.3"


def challenge_entries(
    files: CorpusFiles, pattern: str, belongs: Callable[[str], bool] = lambda record_id: True
) -> Iterator[CorpusEntry]:
    """
    Lists the records of one source of the challenge, wherever they lie.

    Args:
        files ([`CorpusFiles`]): Files of the corpus, or of the whole challenge.
        pattern (`str`): What its record names look like, for example `"E[0-9][0-9][0-9][0-9][0-9]"`.
        belongs (`Callable[[str], bool]`, *optional*): Whether a name that looks like it is of this source.

    Returns:
        `Iterator[CorpusEntry]`: labels and patient are left to the headers.
    """
    for path in files.matching(f"{pattern}.hea"):
        stem = PurePosixPath(path).with_suffix("")
        if belongs(stem.name):
            yield CorpusEntry(record_id=stem.name, path=stem.as_posix(), label_system="snomed")


def challenge_files(source: str) -> tuple[str, ...]:
    """Patterns of the files of a source below the root of the challenge."""
    return (f"training/{source}/*/*.hea", f"training/{source}/*/*.mat")


__all__ = ["CHALLENGE_SLUG", "CHALLENGE_VERSION", "challenge_entries", "challenge_files"]
