# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Work that all processes of a run finish, or none of them."""

from collections.abc import Callable

import torch.distributed as dist


class OtherProcessError(RuntimeError):
    """Another process of the run has failed, so that this one must not go on."""


def together(work: Callable[[], None]) -> None:
    """
    Works in every process, and fails in all of them if it fails in one. Every process must call it.

    Args:
        work (`Callable[[], None]`): This process's part. Must not itself wait for the others.

    Raises:
        `Exception`: what `work` raised here.
        [`OtherProcessError`]: if it raised in another process only; says what.
    """
    caught: Exception | None = None
    try:
        work()
    except Exception as error:  # whatever it is, the others wait for us
        caught = error
    if dist.is_available() and dist.is_initialized():
        texts: list[str | None] = [None] * dist.get_world_size()
        dist.all_gather_object(texts, None if caught is None else f"{type(caught).__name__}: {caught}")
        failed = [(process, text) for process, text in enumerate(texts) if text is not None]
        if failed and caught is None:
            raise OtherProcessError(f"process {failed[0][0]} failed: {failed[0][1]}")
    if caught is not None:
        raise caught


__all__ = ["OtherProcessError", "together"]
