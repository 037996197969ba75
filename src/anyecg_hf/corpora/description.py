# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`CorpusDescription`: what is known of a corpus beside its files."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CorpusDescription:
    """
    A public corpus.

    Args:
        name (`str`):
            Short and stable name, as [`load_corpus`] takes it.
        title (`str`):
            Its full name.
        summary (`str`):
            What it holds, in one or two sentences.
        homepage (`str`):
            Its official site.
        citation (`str`):
            What to cite, as one line of text.
        licence (`str`):
            Its licence, as an SPDX identifier where there is one.
        licence_is_certain (`bool`):
            Whether the licence was read in the corpus itself. Otherwise the card tells readers to check.
        label_system (`str`):
            The system of its native labels, one of `label_tables.LABEL_SYSTEMS`; empty if it has no diagnoses.
        n_records (`int`, *optional*):
            Records in the public release, as published.
        access (`str`, *optional*, defaults to `"open"`):
            `"open"`, or what one has to obtain.
        defects (`tuple[str, ...]`, *optional*):
            Known defects, for the card.
    """

    name: str
    title: str
    summary: str
    homepage: str
    citation: str
    licence: str
    licence_is_certain: bool
    label_system: str
    n_records: int | None = None
    access: str = "open"
    defects: tuple[str, ...] = ()


__all__ = ["CorpusDescription"]
