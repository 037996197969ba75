# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`CORPORA`: every corpus by its name."""

from .building import ECGCorpusBuilder
from .chapman_shaoxing import ChapmanShaoxing
from .cinc2011 import CinC2011
from .cinc2017 import CinC2017
from .code_15 import CODE15
from .cpsc2018 import CPSC2018
from .cpsc_extra import CPSCExtra
from .folder import Folder
from .georgia import Georgia
from .incart import INCART
from .ludb import LUDB
from .mimic_iv_ecg import MIMICIVECG
from .mit_bih import MITBIH
from .ningbo import Ningbo
from .ptb import PTB
from .ptb_xl import PTBXL
from .sph import SPH

CORPORA: dict[str, type[ECGCorpusBuilder]] = {
    builder.description.name: builder
    for builder in (
        CPSC2018,
        CPSCExtra,
        INCART,
        PTB,
        PTBXL,
        Georgia,
        ChapmanShaoxing,
        Ningbo,
        MIMICIVECG,
        CODE15,
        SPH,
        MITBIH,
        LUDB,
        CinC2017,
        CinC2011,
        Folder,
    )
}

__all__ = ["CORPORA"]
