# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Results belong to weights: those of other weights are refused."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from anyecg_hf.models import anyecg
from anyecg_hf.models.anyecg import AnyECGModel
from anyecg_hf.training.adapters import ADAPTER_FILE, load_adapted
from anyecg_hf.training.codes import weights_digest
from anyecg_hf.training.load_reports import load_report_held_back


def check_weights(results: Mapping[str, Any], digests: set[str], place: str) -> None:
    """
    Refuses results of other weights.

    Args:
        results (`Mapping`): A `results.json` of `anyecg evaluate`.
        digests (`set[str]`): Of [`checkpoint_digests`].
        place (`str`): What errors call the results.

    Raises:
        `ValueError`: if they are of other weights, or do not say of which.
    """
    recorded = set(_recorded(results))
    if not recorded:
        raise ValueError(f"{place} does not say which weights it is of: evaluate them again.")
    if not recorded & digests:
        raise ValueError(
            f"{place} is of other weights than this card: SHA-256 {', '.join(sorted(name[:16] for name in recorded))}"
            f" there, {', '.join(sorted(name[:16] for name in digests))} here. Pass results of this checkpoint."
        )


def _recorded(results: Mapping[str, Any]) -> Iterator[str]:
    for part in (results.get("models", {}), results.get("backbone", {})):
        for name in ("finetuned_sha256", "pretrained_sha256", "sha256"):
            found = part.get(name) or []
            yield from [found] if isinstance(found, str) else found


def checkpoint_digests(folder: Path) -> set[str]:
    """
    Hashes by which results may name a checkpoint. Its weights are loaded.

    Args:
        folder (`Path`): A model, a quantizer, or an adapter whose base can be loaded.

    Returns:
        `set[str]`: of the whole model and of its backbone; of an adapter, as it is and merged.
    """
    # What is missing or left over is no matter here: the hash tells it.
    with load_report_held_back():
        if (folder / ADAPTER_FILE).is_file():
            adapted = load_adapted(folder)
            return {weights_digest(adapted), weights_digest(adapted.merge_and_unload())}
        folder = folder if (folder / "config.json").is_file() else folder / "quantizer"
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kinds = [getattr(anyecg, name) for name in config.get("architectures", ())]
        if config["model_type"] == "anyecg":
            kinds.append(AnyECGModel)
        return {weights_digest(kind.from_pretrained(folder, dtype=torch.float32)) for kind in kinds}


__all__ = ["check_weights", "checkpoint_digests"]
