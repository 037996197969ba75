# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Imports go one way, the files that travel with a checkpoint stand alone, and importing the package stays light."""

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fresh_process import in_fresh_process

PACKAGE = "anyecg_hf"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE

# From the bottom up; `name.*` is a package and everything inside it. A module may import from its own rung and from
# those below; imports inside functions count.
LADDER = (
    (
        *("version", "environment", "code_counts"),
        *("models.anyecg.requirements_anyecg", "models.anyecg.presets_anyecg", "models.anyecg.limits_anyecg"),
        *("models.anyecg.compatibility_anyecg", "models.anyecg.checkpoint_files_anyecg"),
        "models.anyecg.adapter_files_anyecg",
        *("models.anyecg.configuration_anyecg", "models.anyecg.config_files_anyecg"),
        "models.anyecg.windowing_anyecg",
    ),
    (
        *("models.anyecg.signal_anyecg", "models.anyecg.cleaning_anyecg", "models.anyecg.inputs_anyecg"),
        *("models.anyecg.batching_anyecg", "models.anyecg.wavelets_anyecg", "models.anyecg.lead_quality_anyecg"),
        *("models.anyecg.stream_blocks_anyecg", "models.anyecg.stream_statistics_anyecg"),
        *("models.anyecg.streaming_anyecg",),
    ),
    (
        *("models.anyecg.attention_kernels_anyecg", "models.anyecg.attention_slices_anyecg"),
        *("models.anyecg.attention_band_anyecg", "models.anyecg.attention_split_anyecg"),
        *("models.anyecg.attention_anyecg", "models.anyecg.layers_anyecg", "models.anyecg.quantization_anyecg"),
        *("models.anyecg.lead_weights_anyecg", "models.anyecg.lead_estimation_anyecg"),
        "models.anyecg.lead_statistics_anyecg",
    ),
    ("models.anyecg.pretrained_anyecg",),
    ("models.anyecg.modeling_anyecg_quantizer", "models.anyecg.modeling_anyecg"),
    (
        *("models.anyecg.modeling_anyecg_tasks", "models.anyecg.modeling_anyecg_long_records"),
        *("models.anyecg.modeling_anyecg_tokens", "models.anyecg.modeling_anyecg_reconstruction"),
        "models.anyecg.auto_anyecg",
    ),
    (
        *("models.anyecg.tokenization_anyecg", "models.anyecg.pipeline_options_anyecg"),
        *("models.anyecg.pipeline_base_anyecg", "models.anyecg.pipelines_anyecg"),
    ),
    ("models.anyecg.entry_anyecg", "models", "models.anyecg", "models.openecg.*", "peft_registration"),
    ("records.*", "corpora.*", "plotting.*"),
    ("evaluation.metrics.*", "evaluation.baselines.*", "evaluation.noise"),
    ("training.*",),
    (
        *("evaluation.evaluation_configs", "evaluation.checkpoints", "evaluation.patient_means"),
        "evaluation.results_folder",
    ),
    ("evaluation.*", "pipelines.*", "hub.*", "deployment.*"),
    ("web.*",),
    ("",),  # the package's `__init__`: only the command line may import from it
    ("cli.*",),
)
RUNG = {name: rung for rung, names in enumerate(LADDER) for name in names}

# What the rungs alone would let pass: importer, imported, reason.
FORBIDDEN = (
    ("models.anyecg.modeling_anyecg", "models.anyecg.modeling_anyecg_quantizer", "codes reach the backbone as labels"),
)

# Packages that share what lies beside them, and know nothing of each other.
ROOMS = ("evaluation.classification", "evaluation.leads", "evaluation.annotations", "evaluation.code_reports")

TRAVELLING = "models/anyecg"
CORE_LIBRARIES = {"torch", "transformers", "safetensors", "huggingface_hub", "numpy", "scipy", "pywt"}

OPTIONAL_LIBRARIES = {
    *("wfdb", "pyedflib", "pydicom", "datasets", "pyarrow", "pandas", "accelerate", "peft", "sklearn"),
    *("onnx", "onnxruntime", "onnxscript"),
    *("h5py", "ecgdatakit", "defusedxml", "xmltodict", "requests", "ray", "matplotlib", "neurokit2", "gradio"),
}


@dataclass(frozen=True)
class Import:
    """One import of a module of the package; names are relative to the package, `""` being the package itself."""

    importer: str
    imported: str
    where: str
    deferred: bool


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_imports(root: Path) -> Iterator[Import]:
    """Yields every import of the package's own modules in the tree under `root`, wherever in a file it stands."""
    paths = {module_name(path, root): path for path in sorted(root.rglob("*.py"))}
    for importer, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        in_functions = {id(node) for function in functions for node in ast.walk(function)}
        for node in ast.walk(tree):
            for imported in _imported_names(node, importer, path.name == "__init__.py", paths):
                where = f"{path.relative_to(root)}:{node.lineno}"
                yield Import(importer, imported, where, deferred=id(node) in in_functions)


def _imported_names(node: ast.AST, importer: str, is_package: bool, modules: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = _absolute_base(node, importer, is_package)
        # `from package import name` means the module of that name where there is one.
        names = [f"{base}.{alias.name}" for alias in node.names]
        names = [name if name.removeprefix(f"{PACKAGE}.") in modules else base for name in names]
    else:
        return
    for name in dict.fromkeys(names):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            yield name[len(PACKAGE) + 1 :]


def _absolute_base(node: ast.ImportFrom, importer: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = [PACKAGE, *importer.split(".")] if importer else [PACKAGE]
    parents = parts[: len(parts) - node.level + is_package]
    return ".".join([*parents, *(node.module or "").split(".")]).rstrip(".")


def rung_of(module: str) -> int | None:
    """Rung of `module`, or `None` if the ladder does not name it."""
    parts = module.split(".")
    packages = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((RUNG[name] for name in [module, *(f"{package}.*" for package in packages)] if name in RUNG), None)


def room_of(module: str) -> str | None:
    return next((room for room in ROOMS if module == room or module.startswith(f"{room}.")), None)


def ladder_violations(root: Path) -> list[str]:
    modules = [module_name(path, root) for path in sorted(root.rglob("*.py"))]
    found = [
        f"{name} has no rung: add it to LADDER in {Path(__file__).name}" for name in modules if rung_of(name) is None
    ]
    for item in package_imports(root):
        importer, imported = rung_of(item.importer), rung_of(item.imported)
        if importer is not None and imported is not None and imported > importer:
            found.append(
                f"{item.where}: {item.importer or PACKAGE} imports {item.imported or PACKAGE}, which is above it"
            )
        found += [
            f"{item.where}: {item.importer} imports {item.imported}, but {reason}"
            for below, above, reason in FORBIDDEN
            if (item.importer, item.imported) == (below, above)
        ]
        rooms = room_of(item.importer), room_of(item.imported)
        if None not in rooms and rooms[0] != rooms[1]:
            found.append(f"{item.where}: {item.importer} imports {item.imported}, which is another room's")
    return found


def import_cycle(root: Path) -> list[str] | None:
    graph: dict[str, set[str]] = {}
    for item in package_imports(root):
        if not item.deferred:
            graph.setdefault(item.importer, set()).add(item.imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def travelling_violations(folder: Path) -> list[str]:
    """
    What would break these files once they lie flat beside a checkpoint and transformers loads them as remote code.

    transformers finds the files to take along by pattern, in docstrings and dead branches too, hence the search in the
    text as well as in the syntax tree.
    """
    siblings = {path.stem for path in folder.glob("*.py")}
    found = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"^\s*from\s+\.(\S*)\s+import", text, flags=re.MULTILINE):
            if target not in siblings:
                found.append(f"{path.name}: `from .{target} import ...` is not `from .sibling import ...`")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and not node.level:
                libraries = [node.module]
            elif isinstance(node, ast.Import):
                libraries = [alias.name for alias in node.names]
            else:
                continue
            for library in (name.partition(".")[0] for name in libraries):
                if library not in CORE_LIBRARIES | set(sys.stdlib_module_names):
                    found.append(f"{path.name}:{node.lineno}: `{library}` is not one of the core libraries")
    return found


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_imports_go_down_the_ladder():
    assert ladder_violations(SOURCE) == []


def test_modules_do_not_import_in_a_circle():
    assert import_cycle(SOURCE) is None


def test_the_model_files_can_travel_with_a_checkpoint():
    assert travelling_violations(SOURCE / TRAVELLING) == []


@pytest.mark.parametrize(
    ("file", "line", "imported"),
    [
        ("models/anyecg/modeling_anyecg.py", "from .tokenization_anyecg import AnyECGTokenizer", "tokenization_anyecg"),
        ("models/anyecg/modeling_anyecg.py", "from .modeling_anyecg_quantizer import Q", "modeling_anyecg_quantizer"),
        ("models/anyecg/layers_anyecg.py", "from . import modeling_anyecg", "models.anyecg.modeling_anyecg"),
        ("models/anyecg/tokenization_anyecg.py", "from ...records import read_record", "records"),
        (
            "models/anyecg/tokenization_anyecg.py",
            "def encode():\n    import anyecg_hf.records.record",
            "records.record",
        ),
        ("records/__init__.py", "from ..training import loop", "training.loop"),
        ("training/loop.py", "from anyecg_hf import TINY", "imports anyecg_hf, which is above it"),
        ("hub/push.py", "if False:\n    from ..cli.main import main", "cli.main"),
        ("evaluation/checkpoints.py", "def f():\n    from .leads import reconstruction", "evaluation.leads"),
        ("evaluation/leads/reconstruction.py", "from ..classification.protocol import f", "which is another room's"),
        ("evaluation/leads/reconstruction.py", "from .. import classification", "which is another room's"),
    ],
)
def test_the_ladder_check_sees_a_planted_violation(tmp_path, file, line, imported):
    modules = ["tokenization_anyecg", "modeling_anyecg_quantizer", "modeling_anyecg", "layers_anyecg"]
    tree = {f"models/anyecg/{name}.py": "" for name in modules}
    tree |= dict.fromkeys(["__init__.py", "records/record.py", "training/loop.py", "cli/main.py"], "")
    rooms = ["classification/__init__", "classification/protocol", "leads/__init__", "leads/reconstruction"]
    tree |= {f"evaluation/{name}.py": "" for name in rooms}
    assert ladder_violations(write_tree(tmp_path, tree)) == []

    (violation,) = ladder_violations(write_tree(tmp_path, {file: line}))
    assert violation.startswith(file) and imported in violation


@pytest.mark.parametrize("module", ["utils", "models.anyecg.extras_anyecg"])
def test_the_ladder_check_sees_a_module_without_a_rung(tmp_path, module):
    (violation,) = ladder_violations(write_tree(tmp_path, {f"{module.replace('.', '/')}.py": ""}))
    assert violation.startswith(f"{module} has no rung")


def test_the_ladder_check_allows_imports_downwards_and_sideways(tmp_path):
    tree = {
        "models/anyecg/layers_anyecg.py": "from .attention_anyecg import a\nfrom .configuration_anyecg import c",
        "models/anyecg/attention_anyecg.py": "",
        "models/anyecg/configuration_anyecg.py": "import anyecg_hf_other",
        "corpora/ptb_xl.py": "from ..records import read_record\nfrom ..models.anyecg.configuration_anyecg import c",
        "records/__init__.py": "from .record import ECGRecord",
        "records/record.py": "",
        "evaluation/checkpoints.py": "",
        "evaluation/leads/reconstruction.py": "from ..checkpoints import c\nfrom .situations import s",
        "evaluation/leads/situations.py": "",
        "cli/main.py": "from .. import TINY\nfrom ..training import loop",
        "training/loop.py": "",
        "__init__.py": "from .models.anyecg import layers_anyecg",
    }
    root = write_tree(tmp_path, tree)
    assert ladder_violations(root) == []
    assert import_cycle(root) is None


def test_the_cycle_check_sees_a_circle_but_not_a_deferred_import(tmp_path):
    root = write_tree(tmp_path, {"records/a.py": "from .b import b", "records/b.py": "def f():\n    from .a import a"})
    assert import_cycle(root) is None
    write_tree(root, {"records/b.py": "from .a import a"})
    assert set(import_cycle(root)) == {"records.a", "records.b"}


@pytest.mark.parametrize(
    ("text", "violation"),
    [
        ("from ..records import read_record", "from ..records import"),
        ("from . import b", "from . import"),
        ("from .sub.b import c", "from .sub.b import"),
        ('"""\n    from .elsewhere import c\n"""', "from .elsewhere import"),
        ("def f():\n    from anyecg_hf.records import read_record", "`anyecg_hf` is not one of the core libraries"),
        ("import wfdb", "`wfdb` is not one of the core libraries"),
    ],
)
def test_the_travel_check_sees_a_planted_violation(tmp_path, text, violation):
    root = write_tree(tmp_path, {"a.py": "import math\nimport torch\nfrom .b import c", "b.py": ""})
    assert travelling_violations(root) == []
    assert any(violation in found for found in travelling_violations(write_tree(root, {"a.py": text})))


def test_importing_the_package_brings_no_optional_library():
    script = f"""
        import sys
        from transformers import AutoModel, PreTrainedModel, SequenceFeatureExtractor
        before = set(sys.modules)
        import {PACKAGE}
        print(*sorted({{name.partition(".")[0] for name in set(sys.modules) - before}}))
    """
    brought = in_fresh_process(script).split()
    assert PACKAGE in brought
    assert OPTIONAL_LIBRARIES.intersection(brought) == set()
