# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A picture of several records: each as `plot_ecg` draws it, one below the other."""

import re

import numpy as np
import pytest
from matplotlib.image import imread

from anyecg_hf.plotting import gallery, plot_ecg
from anyecg_hf.plotting.gallery import GalleryEntry, save_gallery
from anyecg_hf.records import ECGRecord


@pytest.fixture
def entries(twelve_leads, standard_leads, two_leads) -> list[GalleryEntry]:
    wide = GalleryEntry(ECGRecord(twelve_leads, 500, standard_leads), "E00001", "sinus rhythm")
    short = GalleryEntry(ECGRecord(two_leads[:, :1250], 250, ["MLII", "V5"]), "100")
    return [wide, short]


@pytest.fixture
def drawn_with(monkeypatch) -> list[dict]:
    """Arguments of every call of `plot_ecg`."""
    calls = []

    def remember(*arguments, **options):
        calls.append(options)
        return plot_ecg(*arguments, **options)

    monkeypatch.setattr(gallery, "plot_ecg", remember)
    return calls


def test_records_lie_below_each_other_as_plot_ecg_draws_them(entries, tmp_path, standard_leads, twelve_leads):
    save_gallery(entries, tmp_path / "gallery.png")
    picture = imread(tmp_path / "gallery.png")
    figure = plot_ecg(twelve_leads, 500, standard_leads, title="E00001", subtitle="sinus rhythm")
    figure.canvas.draw()
    alone = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
    np.testing.assert_allclose(picture[: len(alone), :, :3], alone, atol=1e-6)
    below = picture[len(alone) :, :, :3]
    assert len(below) > 100 and below.min() < 0.2
    # The narrower picture has white beside it.
    width = np.flatnonzero((below < 1).any(axis=(0, 2))).max()
    assert width < 0.7 * below.shape[1]


def test_the_same_records_make_the_same_file(entries, tmp_path):
    for name in ("a.png", "b.png"):
        save_gallery(entries, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_long_records_are_shown_in_the_middle(two_leads, drawn_with, tmp_path):
    long = ECGRecord(np.tile(two_leads, 2), 250, ["MLII", "V5"])
    save_gallery(
        [GalleryEntry(long, "long"), GalleryEntry(ECGRecord(two_leads, 250, ["I", "II"]), "")], tmp_path / "a.png"
    )
    assert [(call["start_s"], call["duration_s"]) for call in drawn_with] == [(15.0, 10.0), (5.0, 10.0)]


def test_leads_without_any_change_are_unusable(twelve_leads, standard_leads, drawn_with, tmp_path):
    twelve_leads[2] = np.nan
    twelve_leads[3] = 0.5
    twelve_leads[4, :100] = np.nan
    save_gallery([GalleryEntry(ECGRecord(twelve_leads, 500, standard_leads), "E00001")], tmp_path / "a.png")
    assert drawn_with[0]["unusable"] == {2: "missing", 3: "flat"}


@pytest.mark.parametrize(("number", "name"), [(0, "a.png"), (1, "a.pdf")])
def test_what_cannot_be_drawn_is_refused(entries, tmp_path, number, name):
    told = re.escape(f"A gallery needs a record or more and a path ending in .png; got {number} and {tmp_path / name}.")
    with pytest.raises(ValueError, match=told):
        save_gallery(entries[:number], tmp_path / name)
