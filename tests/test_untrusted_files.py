# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""No line of this repository opens a pickle, runs what a file says, or unpacks an archive unchecked."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Tests are left out: they write pickles and broken files on purpose.
FOLDERS = ("src", "conversion", "benchmarks", "dataset_scripts", "examples")

# Modules that execute what they load.
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
HARMLESS = {"UnpicklingError"}  # what `torch.load` refuses with
# Names of calls that do so, or run text; `torch.load` and `numpy.load` are looked at by their arguments.
CALLS = {
    *("eval", "exec", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("pandas.read_pickle", "pd.read_pickle", "scipy.io.loadmat", "loadmat", "torch.hub.load", "torch.jit.load"),
    *("numpy.lib.format.read_array", "__import__", "xml.etree.ElementTree.parse", "ElementTree.parse"),
    *("shutil.unpack_archive", "torch.package.PackageImporter"),
}
METHODS = {"extractall", "read_pickle", "unpack_archive", "unsafe_load"}
# Call -> the keyword that makes it safe, and its value.
NEEDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
# Keyword -> the value that it must not have, in any call.
FORBIDDEN = {"allow_pickle": True, "weights_only": False, "shell": True, "trust_remote_code": True}
SAFE_LOADERS = ("SafeLoader", "CSafeLoader")


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value) or '?'}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def violations(text: str) -> Iterator[str]:
    """What a file does that no file of ours may do."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (f"line {node.lineno}: {name.name}" for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            if {name.name for name in node.names} - HARMLESS:
                yield f"line {node.lineno}: {node.module}"
        elif isinstance(node, ast.Call):
            yield from (f"line {node.lineno}: {what}" for what in unsafe_call(node))


def unsafe_call(node: ast.Call) -> Iterator[str]:
    name = dotted(node.func)
    given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
    if name in CALLS or (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
        yield name or node.func.attr
    if name in NEEDED and given.get(NEEDED[name][0]) is not NEEDED[name][1]:
        yield f"{name} without {NEEDED[name][0]}={NEEDED[name][1]}"
    if name == "yaml.load":
        loaders = [dotted(word.value) for word in node.keywords if word.arg == "Loader"]
        if not any(loader.rpartition(".")[2] in SAFE_LOADERS for loader in loaders):
            yield "yaml.load without a safe loader"
    yield from (f"{name}({word}={value})" for word, value in FORBIDDEN.items() if given.get(word) is value)


def source_files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_nothing_in_the_repository_trusts_a_file():
    found = [f"{path.relative_to(ROOT)}, {what}" for path in source_files() for what in violations(path.read_text())]
    assert found == []


def test_all_folders_with_code_are_looked_at():
    assert {path.relative_to(ROOT).parts[0] for path in source_files()} == set(FOLDERS)
    skipped = {"tests", "docs", *FOLDERS}
    others = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - skipped
    assert [path for name in others for path in (ROOT / name).rglob("*.py") if "build" not in path.parts] == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("torch.load(path)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=flag)", "torch.load without weights_only=True"),
        ("np.load(path)", "np.load without allow_pickle=False"),
        ("np.load(path, allow_pickle=True)", "np.load without allow_pickle=False"),
        ("yaml.load(text)", "yaml.load without a safe loader"),
        ("yaml.load(text, Loader=yaml.Loader)", "yaml.load without a safe loader"),
        ("import pickle", "pickle"),
        ("from pickle import UnpicklingError, load", "pickle"),
        ("from joblib import load", "joblib"),
        ("archive.extractall(folder)", "archive.extractall"),
        ("pd.read_pickle(path)", "pd.read_pickle"),
        ("eval(text)", "eval"),
        ("subprocess.run(text, shell=True)", "subprocess.run(shell=True)"),
        ("AutoModel.from_pretrained(name, trust_remote_code=True)", "trust_remote_code=True"),
        ("h(x)(y).extractall()", "extractall"),
    ],
)
def test_a_planted_line_is_found(line: str, what: str):
    assert any(what in found for found in violations(line))


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "from pickle import UnpicklingError",
        "np.load(path, mmap_mode='r', allow_pickle=False)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "yaml.safe_load(text)",
        "model.eval()",
        "ast.literal_eval(text)",
    ],
)
def test_a_safe_line_is_not(line: str):
    assert list(violations(line)) == []
