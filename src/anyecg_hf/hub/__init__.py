# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Sharing: cards, checkpoints, adapters and corpora on the Hub."""

from typing import Any


def __getattr__(name: str) -> Any:
    # `import anyecg_hf` comes by here, and must stay quick.
    if name == "push_to_hub":
        from anyecg_hf.hub.pushing import push_to_hub

        return push_to_hub
    if name == "pull_from_hub":
        from anyecg_hf.hub.pulling import pull_from_hub

        return pull_from_hub
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["pull_from_hub", "push_to_hub"]
