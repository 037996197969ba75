# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Windows -> batches, for each stage."""

from dataclasses import dataclass

import numpy as np
import torch

from anyecg_hf.models.anyecg import AnyECGTokenizer
from anyecg_hf.training.masking import draw_mask
from anyecg_hf.training.windows import seeded_generator


@dataclass
class WindowCollator:
    """
    Pads windows to a batch with the tokenizer; keeps only the keys that the stage's model takes.

    Args:
        tokenizer ([`AnyECGTokenizer`]): Pads.
        keys (`tuple[str, ...]`): Keys beside the patches, their mask and the lead ids.
        time_positions (`int`, *optional*): Rows of a learned time table. Windows then start at a random row, so that
            every row is trained; without it no `time_offset` is passed.
    """

    tokenizer: AnyECGTokenizer
    keys: tuple[str, ...] = ()
    time_positions: int | None = None

    def __call__(self, windows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        keys = ("input_values", "attention_mask", "lead_ids", *self.keys)
        batch = dict(
            self.tokenizer.pad([{key: window[key] for key in keys} for window in windows], return_tensors="pt")
        )
        if self.time_positions is not None:
            latest = self.time_positions - batch["attention_mask"].shape[2]
            generator = batch_generator(windows, purpose=0)
            batch["time_offset"] = torch.randint(max(latest, 0) + 1, (len(windows),), generator=generator)
        return batch


@dataclass
class CodeCollator(WindowCollator):
    """Adds the rhythm codes of all patches as `codes`, -1 where padded."""

    def __call__(self, windows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        batch = super().__call__(windows)
        batch["codes"] = pad_codes([window["codes"] for window in windows], batch["attention_mask"])
        return batch


@dataclass
class MaskedCodeCollator(CodeCollator):
    """
    Adds the hidden patches and, as labels, the rhythm codes of all patches.

    Args:
        strategies (`tuple[tuple[str, float, float], ...]`): `(strategy, mask ratio, weight)`; each batch draws one.
    """

    strategies: tuple[tuple[str, float, float], ...] = (("random", 0.5, 1.0),)

    def __call__(self, windows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        batch = super().__call__(windows)
        batch["labels"] = batch.pop("codes")
        weights = torch.tensor([weight for _, _, weight in self.strategies])
        generator = batch_generator(windows, purpose=1)
        strategy, ratio, _ = self.strategies[int(torch.multinomial(weights, 1, generator=generator))]
        batch["bool_masked_pos"] = draw_mask(batch["attention_mask"].bool(), strategy, ratio, generator)
        return batch


def batch_generator(windows: list[dict[str, np.ndarray]], purpose: int) -> torch.Generator | None:
    """For a batch's draws of one purpose, from the draws of its windows; `None`, torch's global one, without them."""
    if "draw" not in windows[0]:
        return None
    return seeded_generator(purpose, *np.concatenate([window["draw"] for window in windows]).tolist())


def pad_codes(codes: list[np.ndarray], attention_mask: torch.Tensor) -> torch.Tensor:
    """Codes of different sizes as one `(B, L, N)` or `(B, L, N, Q)` tensor, -1 where padded."""
    padded = torch.full((*attention_mask.shape, *codes[0].shape[2:]), -1, dtype=torch.long)
    for row, window in zip(padded, codes, strict=True):
        row[: window.shape[0], : window.shape[1]] = torch.as_tensor(window)
    return padded
