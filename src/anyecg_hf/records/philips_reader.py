# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
XML exports of Philips electrocardiographs (`restingecgdata`, also known as Sierra ECG), plain and compressed by XLI,
decoded by ecgdatakit.
"""

from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import RecordError
from .exported_record import decode, exported_facts, exported_leads
from .formats import ReadOptions, RecordFormat
from .source import ArraySource
from .xml_text import parse_xml, recogniser, selector

if TYPE_CHECKING:
    import ecgdatakit

_NAME = "Philips"
# XLI stores what III, aVR, aVL and aVF differ by from what I and II make of them.
_XLI_LEADS = ["I", "II", "III", "aVR", "aVL", "aVF"]


def _open(path: Path, options: ReadOptions) -> ArraySource:
    decoded = decode(path, "sierra_xml", _NAME)
    names = [lead.label for lead in decoded.leads]
    if decoded.recording.acquisition.signal.compression.upper() == "XLI" and names[:6] != _XLI_LEADS:
        raise RecordError(
            path, f"the leads {', '.join(_XLI_LEADS)} first in a recording compressed by XLI", ", ".join(names)
        )
    _check_size(path, decoded)
    return ArraySource(**vars(exported_leads(path, decoded, options)), facts=exported_facts(path, decoded))


def _check_size(path: Path, decoded: "ecgdatakit.ECGRecord") -> None:
    """Checks that there are no more samples than the header says: ecgdatakit would cut them into other leads."""
    signal = decoded.recording.acquisition.signal
    if signal.compression:
        return
    text = next(parse_xml(path).iterfind(".//{*}parsedwaveforms")).text or ""
    found = len(b64decode(text)) // 2 if signal.data_encoding == "Base64" else len(text.split())
    stated = sum(len(lead.samples) for lead in decoded.leads)
    if found != stated:
        raise RecordError(path, f"{stated} samples of {len(decoded.leads)} leads, as its header says", f"{found}")


_recognises = recogniser("restingecgdata")
PHILIPS = RecordFormat(name=_NAME, suffixes=(".xml",), recognises=_recognises, open=_open, select=selector(_recognises))

__all__ = ["PHILIPS"]
