# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tells PEFT which layers of AnyECG to adapt, whichever of the two packages is imported first.

PEFT looks a model's `model_type` up in a table when `get_peft_model` is called without `target_modules`. If PEFT is
there already, the entry is made at once. If it is not, importing it for the sake of one entry would cost everyone the
time; instead an observer stands first among the import system's finders. Python asks it about every module that is
about to be imported; it never finds one, so nothing is imported otherwise than without it, and it keeps no state. But
once PEFT's table exists it makes the entry, which happens while PEFT imports the modules that use the table.
"""

import sys
from importlib.abc import MetaPathFinder

from anyecg_hf.models.anyecg.configuration_anyecg import AnyECGConfig

LORA_TARGETS = ("q_proj", "v_proj")
_TABLE_MODULE = "peft.utils.constants"
_TABLE = "TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING"


def register_with_peft() -> None:
    """Makes the entry now if PEFT is imported, and otherwise when it is; may be called again."""
    _make_entry()
    # By name: reloading this module makes a new class.
    if not any(type(finder).__name__ == _PeftObserver.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, _PeftObserver())


def _make_entry() -> None:
    # All of PEFT shares this one dictionary. What somebody else entered for our model type stays.
    table = getattr(sys.modules.get(_TABLE_MODULE), _TABLE, None)
    if table is not None:
        table.setdefault(AnyECGConfig.model_type, list(LORA_TARGETS))


class _PeftObserver(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.startswith("peft."):
            _make_entry()


__all__ = ["LORA_TARGETS", "register_with_peft"]
