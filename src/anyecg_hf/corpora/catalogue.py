# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`CORPORA`: every corpus by its name."""

from .builders.chapman_shaoxing import ChapmanShaoxing
from .builders.cinc2011 import CinC2011
from .builders.cinc2017 import CinC2017
from .builders.code_15 import CODE15
from .builders.cpsc2018 import CPSC2018
from .builders.cpsc_extra import CPSCExtra
from .builders.folder import Folder
from .builders.georgia import Georgia
from .builders.incart import INCART
from .builders.ludb import LUDB
from .builders.mimic_iv_ecg import MIMICIVECG
from .builders.mit_bih import MITBIH
from .builders.ningbo import Ningbo
from .builders.ptb import PTB
from .builders.ptb_xl import PTBXL
from .builders.sph import SPH
from .building import ECGCorpusBuilder

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
