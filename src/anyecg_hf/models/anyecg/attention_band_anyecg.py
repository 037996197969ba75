# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The cross-lead band of Cardio-Sparse Attention, laid out for fused kernels.

A query sees the keys of other leads at most w patches away. The band walks over time: a stretch is copied once,
time-major, so that all keys within reach of a few neighbouring times are one view of the copy. The views overlap; no
key is copied 2w+1 times.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

# Queries that a block of the band should have: fewer starve the kernels, more look at keys in vain. And times of a
# stretch, whose copies should stay in the processor's cache. Measured by `benchmarks/attention.py`.
_BLOCK_QUERIES = {"cpu": 32, "cuda": 64}
_STRETCH_TIMES = {"cpu": 128, "cuda": 4096}
# A wide tolerance needs wider blocks: a key's gradient is summed from every block that sees it.
_WIDE_BLOCK_TIMES = 16


@dataclass(frozen=True)
class BandLayout:
    """
    How the band of one stretch of time is cut into blocks.

    Attributes:
        leads (`int`): Leads L.
        patches (`int`): Patches N of each lead.
        tolerance (`int`): Patches w that a key may lie before or after the query; at most N - 1.
        block (`int`): Times whose queries are attended to together.
        stretch (`int`): Times that are copied together, a multiple of `block`.
    """

    leads: int
    patches: int
    tolerance: int
    block: int
    stretch: int

    @property
    def reach(self) -> int:
        """Times of the keys that one block sees."""
        return self.block + 2 * self.tolerance

    @property
    def blocks(self) -> int:
        """Blocks that each record of a stretch takes; the last ones are empty, so that records lie evenly."""
        return -(-(self.stretch + 2 * self.tolerance) // self.block)

    @property
    def rows(self) -> int:
        """Times that each record of a stretch takes in the copy."""
        return self.blocks * self.block

    @property
    def pairs(self) -> int:
        """Pairs of query and key that the own leads and all blocks compute for each record, seen or hidden."""
        stretches = -(-self.patches // self.stretch)
        return self.leads * self.patches**2 + stretches * self.blocks * self.block * self.reach * self.leads**2

    @property
    def starts(self) -> Iterable[int]:
        """First time of every stretch."""
        if torch.compiler.is_compiling():  # there is one; a range would tie the graph to this length
            return (0,)
        return range(0, self.patches, self.stretch)


def lay_out_band(leads: int, patches: int, time_tolerance: int, device_type: str) -> BandLayout:
    """Chooses blocks and stretches for a device."""
    tolerance = min(time_tolerance, patches - 1)
    block = max(1, _BLOCK_QUERIES.get(device_type, 32) // leads, min(tolerance, _WIDE_BLOCK_TIMES))
    # A compiled graph would hold one copy of the loop's body for every stretch.
    longest = patches if torch.compiler.is_compiling() else _STRETCH_TIMES.get(device_type, patches)
    # A stretch is read with its surroundings, which should not be most of it.
    stretch = min(patches, max(longest, 4 * tolerance))
    return BandLayout(leads, patches, tolerance, block, -(-stretch // block) * block)


class Stretch:
    """Time-major copies of one stretch, and the way back."""

    def __init__(self, layout: BandLayout, start: int):
        self.layout = layout
        self.start = start
        self.times = min(layout.stretch, layout.patches - start)
        # Neighbours of the first and the last time, as far as the record goes.
        self.before = min(layout.tolerance, start)
        self.after = min(layout.tolerance, layout.patches - start - self.times)

    def query_blocks(self, states: torch.Tensor) -> torch.Tensor:
        """`(B, L, N, ...)` -> blocks of queries `(B * blocks, block * L, ...)`, zero beyond the stretch."""
        layout, batch = self.layout, states.shape[0]
        copy = states.new_zeros(batch, layout.rows, layout.leads, *states.shape[3:])
        copy[:, : self.times].copy_(self.cut(states).transpose(1, 2))
        return copy.view(batch * layout.blocks, layout.block * layout.leads, *states.shape[3:])

    def key_blocks(self, states: torch.Tensor) -> torch.Tensor:
        """`(B, L, N, ...)` -> overlapping views of keys `(B * blocks, reach * L, ...)`, zero beyond the record."""
        layout, batch = self.layout, states.shape[0]
        shape = (layout.leads, *states.shape[3:])
        copy = states.new_zeros(batch * layout.rows + 2 * layout.tolerance, *shape)
        inner = copy[: batch * layout.rows].view(batch, layout.rows, *shape)
        span = self._span()
        inner[:, span].copy_(self.cut(states, self.before, self.after).transpose(1, 2))
        lead_size = copy.stride(1)
        return copy.as_strided(
            (batch * layout.blocks, layout.reach * layout.leads, *states.shape[3:]),
            (layout.block * layout.leads * lead_size, lead_size, *copy.stride()[2:]),
        )

    def from_query_blocks(self, blocks: torch.Tensor, batch: int) -> torch.Tensor:
        """Blocks as from `query_blocks` -> the stretch's `(B, L, times, ...)`."""
        shape = (batch, self.layout.rows, self.layout.leads, *blocks.shape[2:])
        return blocks.reshape(shape)[:, : self.times].transpose(1, 2)

    def add_key_blocks(self, total: torch.Tensor, blocks: torch.Tensor) -> None:
        """Adds gradients of the views from `key_blocks` to those of the states `(B, L, N, ...)`."""
        layout, batch = self.layout, total.shape[0]
        shape = (layout.leads, *total.shape[3:])
        blocks = blocks.reshape(batch * layout.blocks, layout.reach, *shape)
        steps = range(0, layout.reach, layout.block)
        copy = total.new_zeros(batch * layout.rows + steps[-1], *shape)
        for step in steps:
            part = blocks[:, step : step + layout.block]
            place = copy[step : step + batch * layout.rows].view(-1, layout.block, *shape)
            place[:, : part.shape[1]] += part
        inner = copy[: batch * layout.rows].view(batch, layout.rows, *shape)[:, self._span()]
        self.cut(total, self.before, self.after).add_(inner.transpose(1, 2))

    def sees(self, key_mask: torch.Tensor) -> torch.Tensor:
        """
        Which keys of its view each query of a block sees: of other leads, within the tolerance, inside the record and
        not padded. `(B, L, N)` bool -> `(B * blocks, block * L, reach * L)` bool.
        """
        return band_pattern(self.layout, key_mask.device) & self.key_blocks(key_mask)[:, None]

    def cut(self, states: torch.Tensor, before: int = 0, after: int = 0) -> torch.Tensor:
        """The part of `(B, L, N, ...)` that lies in the stretch, and in times around it."""
        return states[:, :, self.start - before : self.start + self.times + after]

    def _span(self) -> slice:
        """Rows of the copy that hold times of the record."""
        first = self.layout.tolerance - self.before
        return slice(first, first + self.before + self.times + self.after)


def band_pattern(layout: BandLayout, device: torch.device) -> torch.Tensor:
    """Which keys of another lead within the tolerance a block's queries see, `(block * L, reach * L)` bool."""
    leads = torch.arange(layout.leads, device=device)
    query_times = torch.arange(layout.block, device=device).repeat_interleave(layout.leads)
    key_times = torch.arange(layout.reach, device=device).repeat_interleave(layout.leads) - layout.tolerance
    near = (query_times[:, None] - key_times).abs() <= layout.tolerance
    return near & (leads.repeat(layout.block)[:, None] != leads.repeat(layout.reach))


__all__ = ["BandLayout", "Stretch", "band_pattern", "lay_out_band"]
