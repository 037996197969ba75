# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`save_gallery`: a few records on ECG paper, one below the other, in one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.image import imsave

from ..records import ECGRecord
from .ecg_paper import DPI, plot_ecg

SHOWN_S = 10.0

_WHITE = 255


@dataclass(frozen=True)
class GalleryEntry:
    """
    A record of a gallery.

    Attributes:
        record ([`~anyecg_hf.records.ECGRecord`]): What to draw.
        title (`str`): Its heading.
        subtitle (`str`): Smaller lines under it.
    """

    record: ECGRecord
    title: str
    subtitle: str = ""


def save_gallery(entries: Sequence[GalleryEntry], path: str | PathLike[str]) -> None:
    """
    Draws records as [`plot_ecg`] does and writes them into one PNG, each at the same scale. Of longer records 10 s
    in the middle are shown: the ends are often unsteady. Leads without any change there are drawn as unusable.

    Args:
        entries (`Sequence[GalleryEntry]`): The records, from the top.
        path (`str` or `PathLike`): The file, ending in `.png`. An existing one is replaced.

    Raises:
        `ValueError`: if there is no record, or the path has another ending.
    """
    path = Path(path)
    if not entries or path.suffix.lower() != ".png":
        raise ValueError(f"A gallery needs a record or more and a path ending in .png; got {len(entries)} and {path}.")
    pictures = [_picture(entry) for entry in entries]
    width = max(picture.shape[1] for picture in pictures)
    page = np.full((sum(map(len, pictures)), width, 3), _WHITE, dtype=np.uint8)
    top = 0
    for picture in pictures:
        page[top : top + len(picture), : picture.shape[1]] = picture
        top += len(picture)
    # Without a name of the software: the same records make the same file.
    imsave(path, page, dpi=DPI, metadata={"Software": None})


def _picture(entry: GalleryEntry) -> np.ndarray:
    """`(height, width, 3)` uint8."""
    record = entry.record
    start_s = max(0.0, (record.duration_s - SHOWN_S) // 2)
    figure = plot_ecg(
        record.signal_mv,
        record.sampling_rate,
        record.lead_names,
        unusable=_silent_leads(record, start_s),
        title=entry.title,
        subtitle=entry.subtitle,
        start_s=start_s,
        duration_s=SHOWN_S,
    )
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def _silent_leads(record: ECGRecord, start_s: float) -> dict[int, str]:
    first, last = (round(time_s * record.sampling_rate) for time_s in (start_s, start_s + SHOWN_S))
    silent = {}
    for lead, values_mv in enumerate(record.signal_mv[:, first:last]):
        present = values_mv[np.isfinite(values_mv)]
        if not present.size:
            silent[lead] = "missing"
        elif present.min() == present.max():
            silent[lead] = "flat"
    return silent


__all__ = ["SHOWN_S", "GalleryEntry", "save_gallery"]
