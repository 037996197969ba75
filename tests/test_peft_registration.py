# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PEFT knows our layers, whichever package comes first; every case runs in a fresh process."""

import textwrap
from pathlib import Path

import pytest
from tests.fresh_process import in_fresh_process

ADAPT = """
from peft import LoraConfig, get_peft_model
from anyecg_hf import AnyECGConfig, AnyECGForSequenceClassification
model = AnyECGForSequenceClassification(AnyECGConfig.from_preset("tiny", num_hidden_layers=1, num_labels=5))
model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS"))
trained = [name.split(".") for name, parameter in model.named_parameters() if parameter.requires_grad]
print(*sorted({parts[-4] for parts in trained}))
"""


@pytest.mark.parametrize("first", ["import peft", "import anyecg_hf", "from peft import LoraConfig; import anyecg_hf"])
def test_adapters_need_no_target_modules_in_either_import_order(first: str):
    assert in_fresh_process(first + "\n" + ADAPT).split() == ["classifier", "q_proj", "v_proj"]


def test_an_entry_that_somebody_made_before_stays():
    script = """
        import peft
        peft.utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING["anyecg"] = ["o_proj"]
        import anyecg_hf
        print(peft.tuners.lora.model.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING["anyecg"])
    """
    assert in_fresh_process(script) == "['o_proj']\n"


def test_reloading_either_package_keeps_the_entry_and_one_observer():
    script = """
        import importlib, sys
        import anyecg_hf, anyecg_hf.peft_registration
        import peft
        importlib.reload(anyecg_hf.peft_registration)
        importlib.reload(anyecg_hf)
        importlib.reload(peft.utils.constants)
        importlib.reload(peft)
        print(sum(type(finder).__name__ == "_PeftObserver" for finder in sys.meta_path))
    """
    assert in_fresh_process(script + textwrap.indent(ADAPT, " " * 8)).split() == ["1", "classifier", "q_proj", "v_proj"]


def test_peft_imported_anew_gets_the_entry_again():
    script = """
        import sys
        import anyecg_hf, peft
        for name in [name for name in sys.modules if name.partition(".")[0] == "peft"]:
            del sys.modules[name]
        import peft
        print(peft.utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING["anyecg"])
    """
    assert in_fresh_process(script) == "['q_proj', 'v_proj']\n"


def test_the_observer_finds_no_module_and_leaves_every_loader_as_it_is():
    script = """
        import importlib.machinery, importlib.util, inspect, pickle, sys
        import anyecg_hf
        (observer,) = [finder for finder in sys.meta_path if type(finder).__name__ == "_PeftObserver"]
        print([observer.find_spec(name) for name in ("peft", "peft.utils", "json", "peft.nothing")])
        print(importlib.util.find_spec("peft.nothing"))
        import peft
        print({type(sys.modules[name].__spec__.loader).__name__ for name in sys.modules if name.startswith("peft.")})
        print(pickle.loads(pickle.dumps(peft.LoraConfig(r=3))).r)
        print("LORA_TARGET_MODULES" in inspect.getsource(peft.utils.constants))
    """
    answers = in_fresh_process(script).splitlines()
    assert answers == ["[None, None, None, None]", "None", "{'SourceFileLoader'}", "3", "True"]


def test_many_threads_may_import_at_once():
    script = """
        import threading
        import anyecg_hf
        failures = []
        def load():
            try:
                from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as table
                import peft
                assert table["anyecg"] == ["q_proj", "v_proj"]
            except BaseException as error:
                failures.append(repr(error))
        threads = [threading.Thread(target=load) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(failures)
    """
    assert in_fresh_process(script) == "[]\n"


def test_without_peft_nothing_happens():
    script = """
        import sys
        sys.modules["peft"] = None
        import anyecg_hf
        try:
            import peft.utils.constants
        except ImportError as error:
            print(type(error).__name__)
        print(sorted(name for name in sys.modules if name.startswith("peft.")))
    """
    assert in_fresh_process(script, "-X", "importtime") == "ModuleNotFoundError\n[]\n"


def test_a_peft_whose_table_has_another_name_is_imported_as_ever(tmp_path: Path):
    for name in ("peft/__init__.py", "peft/utils/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "peft" / "utils" / "constants.py").write_text("OTHER = {}\n")
    (tmp_path / "peft" / "later.py").write_text("")
    script = "import anyecg_hf, peft.utils.constants, peft.later; print(peft.utils.constants.OTHER)"
    assert in_fresh_process(script, PYTHONPATH=str(tmp_path)) == "{}\n"
