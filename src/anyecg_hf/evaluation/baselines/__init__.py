# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What AnyECG has to beat: models and features that are not AnyECG."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Loaded when asked for: only the residual network needs torch.
_MODULES = {
    **dict.fromkeys(("BeatFeatures", "HandcraftedBaseline", "beat_features", "find_beats"), "handcrafted"),
    **dict.fromkeys(("MajorityBaseline",), "majority"),
    **dict.fromkeys(("LinearProbe", "fit_linear_probe"), "probe"),
    **dict.fromkeys(("ResNetBaseline",), "resnet"),
}

if TYPE_CHECKING:
    from .handcrafted import BeatFeatures, HandcraftedBaseline, beat_features, find_beats
    from .majority import MajorityBaseline
    from .probe import LinearProbe, fit_linear_probe
    from .resnet import ResNetBaseline


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


__all__ = [
    "BeatFeatures",
    "HandcraftedBaseline",
    "LinearProbe",
    "MajorityBaseline",
    "ResNetBaseline",
    "beat_features",
    "find_beats",
    "fit_linear_probe",
]
