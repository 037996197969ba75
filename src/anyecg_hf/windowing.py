# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How a record too long for a model is cut into windows."""


def window_spans(patches: int, length: int) -> list[slice]:
    """
    Covers a record with the fewest windows, evenly split: a short rest would be judged out of context.

    Args:
        patches (`int`): Patches of the record.
        length (`int`): Patches that a window has at most.

    Returns:
        `list[slice]`: one window after the other, their lengths differing by at most one patch.

    Raises:
        `ValueError`: if `length` is not positive.

    Example:

    ```python
    >>> window_spans(41, 40)
    [slice(0, 20, None), slice(20, 41, None)]
    ```
    """
    if length < 1:
        raise ValueError(f"a window must have at least one patch, got `length` {length}.")
    count = -(-patches // length)
    edges = [patches * index // count for index in range(count + 1)] if count else []
    return [slice(start, stop) for start, stop in zip(edges, edges[1:], strict=False)]
