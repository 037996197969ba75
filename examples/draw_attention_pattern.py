# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Draws the pattern of Cardio-Sparse Attention and how its computation is split, for `docs/attention.md`.

python examples/draw_attention_pattern.py
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle

from anyecg_hf.models.anyecg.attention_anyecg import cardio_sparse_pattern
from anyecg_hf.models.anyecg.attention_band_anyecg import lay_out_band

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402 - after the choice of what draws

LEAD_NAMES, PATCHES, TIME_TOLERANCE = ("I", "II", "V1"), 8, 1
HIDDEN, OWN, BAND, ASKING = "#f2f2f2", "#3b6fb6", "#e8953f", "#222222"


def draw_pattern(axis) -> None:
    """Token by token: keys of the own lead, keys of the band."""
    leads = len(LEAD_NAMES)
    tokens = torch.arange(leads * PATCHES)
    seen = cardio_sparse_pattern(PATCHES, TIME_TOLERANCE)(0, 0, tokens[:, None], tokens).numpy()
    own = (tokens[:, None] // PATCHES == tokens // PATCHES).numpy()
    axis.imshow(np.where(own, 1, np.where(seen, 2, 0)), cmap=ListedColormap([HIDDEN, OWN, BAND]), vmin=0, vmax=2)
    for edge in np.arange(len(tokens) + 1) - 0.5:
        width = 1.2 if (edge + 0.5) % PATCHES == 0 else 0.3
        axis.axhline(edge, color="white", linewidth=width)
        axis.axvline(edge, color="white", linewidth=width)
    middles = [(lead + 0.5) * PATCHES - 0.5 for lead in range(leads)]
    axis.set_xticks(middles, [f"{name}, {PATCHES} patches" for name in LEAD_NAMES])
    axis.set_yticks(middles, LEAD_NAMES)
    axis.tick_params(length=0)
    axis.set(xlabel="key", ylabel="query", title="Which keys a query sees")
    axis.spines[:].set_visible(False)
    labels = ((OWN, "own lead"), (BAND, f"other leads, at most {TIME_TOLERANCE} patch away"), (HIDDEN, "hidden"))
    handles = [Patch(facecolor=color, edgecolor="#cccccc", label=label) for color, label in labels]
    axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False, fontsize=9)


def draw_split(axis) -> None:
    """The same queries twice: one lead over its row, and a block of times over its reach."""
    leads = len(LEAD_NAMES)
    layout = lay_out_band(leads, PATCHES, TIME_TOLERANCE, "cpu")
    block = min(2, layout.block)
    rows = {"own lead: a row a lead": 0, "band: a block of times, all leads": leads + 1.6}
    for title, top in rows.items():
        axis.text(0, top - 0.35, title, fontsize=10, ha="left", va="bottom")
        for lead, name in enumerate(LEAD_NAMES):
            axis.text(-0.3, top + lead + 0.5, name, ha="right", va="center", fontsize=9)
            for time in range(PATCHES):
                is_band = top > 0
                reach = 3 - TIME_TOLERANCE <= time < 3 + block + TIME_TOLERANCE
                color = (BAND if reach else HIDDEN) if is_band else (OWN if lead == 1 else HIDDEN)
                axis.add_patch(Rectangle((time, top + lead), 1, 1, facecolor=color, edgecolor="white"))
    axis.add_patch(Rectangle((0, 1), PATCHES, 1, fill=False, edgecolor=ASKING, linewidth=2))
    top = rows["band: a block of times, all leads"]
    axis.add_patch(Rectangle((3, top), block, leads, fill=False, edgecolor=ASKING, linewidth=2))
    axis.text(PATCHES / 2, top + leads + 0.45, "time, patches", ha="center", va="center", fontsize=9)
    handles = [
        Patch(facecolor="none", edgecolor=ASKING, linewidth=2, label="queries of one call"),
        Patch(facecolor=OWN, label="their keys, own lead"),
        Patch(facecolor=BAND, label="their keys, band (own lead masked)"),
    ]
    axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, frameon=False, fontsize=9)
    axis.set(xlim=(-1, PATCHES + 0.2), ylim=(top + leads + 0.9, -1), title="How it is computed")
    axis.axis("off")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[1] / "docs" / "images" / "attention_pattern.png"
    parser.add_argument("--output", type=Path, default=default, help="picture to write (default: docs/images)")
    arguments = parser.parse_args()
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 5.4), layout="constrained")
    draw_pattern(axes[0])
    draw_split(axes[1])
    figure.savefig(arguments.output, dpi=110)
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    main()
