# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What `from_pretrained` refuses before a file is opened: pickles, files from elsewhere, what is not there."""

import json
import pickle
import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from safetensors.torch import load_file
from tests.models.tiny import tiny_config, tiny_quantizer_config
from transformers import AutoFeatureExtractor, AutoModel

from anyecg_hf import AnyECGConfig, AnyECGModel, AnyECGRhythmQuantizer, AnyECGTokenizer
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import is_path_to_nothing, loading, refuse_path_to_nothing

OPENED = []


class Trap:
    """Notes that it was unpickled."""

    def __reduce__(self):
        return OPENED.append, (True,)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    AnyECGModel(tiny_config()).save_pretrained(folder)
    tokenizer = AnyECGTokenizer(patch_size=75)
    tokenizer.quantizer = AnyECGRhythmQuantizer(tiny_quantizer_config())
    tokenizer.save_pretrained(folder)
    return folder


def in_cache(checkpoint: Path, cache: Path) -> str:
    """Puts a folder into a cache of the Hub as `org/name`, as a download leaves it."""
    repository = cache / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(checkpoint, repository / "snapshots" / ("0" * 40))
    return "org/name"


# Pickles


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.PKL", "last.ckpt"])
def test_a_folder_with_nothing_but_a_pickle_is_refused_and_the_pickle_never_opened(checkpoint: Path, name: str):
    for part in (checkpoint, checkpoint / "quantizer"):
        (part / "model.safetensors").unlink()
        (part / name).write_bytes(pickle.dumps(Trap()))
    message = rf"has no model.safetensors, but {re.escape(name)}. A pickle runs code when it is opened, so none is."
    tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
    for load in (
        lambda: AnyECGModel.from_pretrained(checkpoint),
        lambda: AutoModel.from_pretrained(checkpoint),
        lambda: AnyECGModel.from_pretrained(checkpoint, use_safetensors=None),
        lambda: AnyECGRhythmQuantizer.from_pretrained(checkpoint / "quantizer"),
        lambda: AnyECGRhythmQuantizer.from_pretrained(checkpoint, subfolder="quantizer"),
        lambda: tokenizer.quantizer,
    ):
        with pytest.raises(ValueError, match=message):
            load()
    assert OPENED == []


def test_a_repository_with_nothing_but_a_pickle_is_refused_too(checkpoint: Path, tmp_path: Path):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    name = in_cache(checkpoint, tmp_path / "cache")
    for load in (AnyECGModel.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(ValueError, match="'org/name' has neither model.safetensors nor model.safetensors.index.js"):
            load(name, cache_dir=tmp_path / "cache", local_files_only=True)


def test_pickles_beside_safetensors_are_left_alone(checkpoint: Path, tmp_path: Path):
    (checkpoint / "optimizer.pt").write_bytes(pickle.dumps(Trap()))
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    assert AnyECGModel.from_pretrained(checkpoint).config.patch_size == 75
    name = in_cache(checkpoint, tmp_path / "cache")
    loaded = AnyECGModel.from_pretrained(name, cache_dir=tmp_path / "cache", local_files_only=True)
    assert loaded.config.patch_size == 75
    assert OPENED == []


def test_asking_for_a_pickle_is_refused(checkpoint: Path):
    torch.save(load_file(checkpoint / "model.safetensors"), checkpoint / "pytorch_model.bin")
    with pytest.raises(ValueError, match="`use_safetensors=False` asks for a pickle"):
        AnyECGModel.from_pretrained(checkpoint, use_safetensors=False)


def test_a_single_file_of_weights_is_no_checkpoint(checkpoint: Path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint folder .*model.safetensors"):
        AnyECGModel.from_pretrained(checkpoint / "model.safetensors", config=tiny_config())


# Files elsewhere


def write_index(checkpoint: Path, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (checkpoint / "model.safetensors.index.json").write_text(text)


OUTSIDE = ["../outside.safetensors", "/{}/outside.safetensors", "..\\outside.safetensors", "C:outside.safetensors"]


@pytest.mark.parametrize("file", [*OUTSIDE, "sub/x.safetensors", "pytorch_model.bin", 3, None])
def test_weights_outside_the_checkpoint_are_not_read(checkpoint: Path, file: object, tmp_path: Path):
    names = list(load_file(checkpoint / "model.safetensors"))
    (checkpoint / "model.safetensors").rename(tmp_path / "outside.safetensors")
    file = file.format(tmp_path) if isinstance(file, str) else file
    write_index(checkpoint, {"metadata": {}, "weight_map": dict.fromkeys(names, file)})
    with pytest.raises(ValueError, match=r"lies in .*: expected a safetensors file beside it. Nothing was read"):
        AnyECGModel.from_pretrained(checkpoint)
    name = in_cache(checkpoint, tmp_path / "cache")
    with pytest.raises(ValueError, match=r"lies in .*: expected a safetensors file beside it. Nothing was read"):
        AnyECGModel.from_pretrained(name, cache_dir=tmp_path / "cache", local_files_only=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "model.safetensors.index.json is not JSON"),
        ("[" * 100_000, "model.safetensors.index.json is not JSON: maximum recursion"),
        ([1], "holds a list, expected an object"),
        ({}, "expected objects `metadata` and `weight_map`"),
        ({"metadata": {}, "weight_map": {}}, "expected objects `metadata` and `weight_map`"),
        ({"weight_map": {"a": "a.safetensors"}}, "expected objects `metadata` and `weight_map`"),
    ],
)
def test_a_broken_list_of_files_is_refused(checkpoint: Path, content: object, message: str):
    (checkpoint / "model.safetensors").unlink()
    write_index(checkpoint, content)
    with pytest.raises(ValueError, match=message):
        AnyECGModel.from_pretrained(checkpoint)


# What is missing or damaged


def test_a_missing_subfolder_is_named(checkpoint: Path, tmp_path: Path):
    shutil.rmtree(checkpoint / "quantizer")
    with pytest.raises(ValueError, match="this tokenizer has no quantizer: load it .* with a `quantizer/` subfolder"):
        _ = AnyECGTokenizer.from_pretrained(checkpoint).quantizer
    assert not AnyECGTokenizer.from_pretrained(checkpoint).has_quantizer
    with pytest.raises(FileNotFoundError, match="there is no folder .*quantizer: the checkpoint lacks that part"):
        AnyECGRhythmQuantizer.from_pretrained(checkpoint, subfolder="quantizer")
    name = in_cache(checkpoint, tmp_path / "cache")
    tokenizer = AnyECGTokenizer.from_pretrained(name, cache_dir=tmp_path / "cache", local_files_only=True)
    with pytest.raises(OSError, match="AnyECGRhythmQuantizer cannot be loaded from 'org/name'"):
        _ = tokenizer.quantizer


def test_a_subfolder_without_weights_is_named(checkpoint: Path):
    (checkpoint / "quantizer" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"quantizer holds no weights: expected model.safetensors. Is the chec"):
        _ = AnyECGTokenizer.from_pretrained(checkpoint).quantizer


@pytest.mark.parametrize("kind", [AnyECGModel, AnyECGTokenizer, AnyECGConfig])
def test_a_name_that_nobody_has_is_named_with_what_to_check(kind: type):
    with pytest.raises(OSError, match=rf"^{kind.__name__} cannot be loaded from 'nobody/nothing': there is no such fo"):
        kind.from_pretrained("nobody/nothing")
    with pytest.raises(OSError, match=r"Hub cannot be asked \(offline mode\). Check the name and the connection."):
        kind.from_pretrained("nobody/nothing")
    with pytest.raises(OSError, match="cannot be loaded from 'a b/c': .* it cannot be a name on the Hub. Repo id must"):
        kind.from_pretrained("a b/c")
    for path in ("./nothing", "/no/such/folder"):
        with pytest.raises(FileNotFoundError, match=f"there is no checkpoint folder {path.removeprefix('./')}."):
            kind.from_pretrained(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            RepositoryNotFoundError,
            "no such repository on the Hub. Check the name; if the repository is private, log in",
        ),
        (GatedRepoError, "access to the repository must be granted: ask for it on its page, then log in with"),
    ],
)
def test_what_the_hub_answers_is_told_in_plain_words(kind: type, message: str, monkeypatch: pytest.MonkeyPatch):
    answer = kind.__new__(kind)
    with pytest.raises(OSError, match=f"^a model cannot be loaded from 'org/name': .*{message}"):
        with loading("org/name", "a model"):
            raise OSError("as transformers says it") from answer


def test_damaged_weights_are_named(checkpoint: Path):
    content = (checkpoint / "model.safetensors").read_bytes()
    (checkpoint / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"the weights of .*checkpoint cannot be read: .* damaged: fetch it again"):
        AnyECGModel.from_pretrained(checkpoint)


def test_weights_of_other_shapes_are_an_error_of_both_kinds(checkpoint: Path):
    path = checkpoint / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 32}))
    for kind in (ValueError, RuntimeError):
        with pytest.raises(kind, match="lacks .* weights of AnyECGModel|have other shapes than its config.json"):
            AnyECGModel.from_pretrained(checkpoint)


def test_no_memory_is_taken_for_layers_that_a_checkpoint_does_not_have(checkpoint: Path):
    path = checkpoint / "config.json"
    fields = {"num_hidden_layers": 40, "intermediate_size": 2**20}  # 10 GB
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    before = Path("/proc/self/statm").read_text().split()[1] if Path("/proc/self/statm").exists() else 0
    with pytest.raises((ValueError, RuntimeError), match="lacks .* weights of AnyECGModel|have other shapes"):
        AnyECGModel.from_pretrained(checkpoint, ignore_mismatched_sizes=True)
    if before:
        pages = int(Path("/proc/self/statm").read_text().split()[1]) - int(before)
        assert pages * 4096 < 10**9


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "holds a list, expected an object|must hold an object, got a list"),
        ("7", "holds a int, expected an object|must hold an object, got a int"),
        ("[" * 100_000, "is nested too deeply|is not JSON: maximum recursion"),
        ("{", "not a valid JSON|is not JSON: Expecting"),
        ("\udcff", "is not UTF-8 text|is not JSON: 'utf-8' codec"),
    ],
)
def test_settings_that_are_no_object_are_refused(checkpoint: Path, name: str, content: str, message: str):
    (checkpoint / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    load = AnyECGModel.from_pretrained if name == "config.json" else AnyECGTokenizer.from_pretrained
    with pytest.raises((ValueError, OSError), match=message) as caught:
        load(checkpoint)
    assert name in str(caught.value) or "checkpoint" in str(caught.value)


def test_the_files_themselves_can_be_named_as_in_transformers(checkpoint: Path):
    assert AnyECGConfig.from_pretrained(checkpoint / "config.json").patch_size == 75
    assert AnyECGTokenizer.from_pretrained(checkpoint / "preprocessor_config.json").patch_size == 75
    assert AutoFeatureExtractor.from_pretrained(checkpoint).patch_size == 75


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a checkpoint and a file in it."""
    (tmp_path / "runs" / "final").mkdir(parents=True)
    (tmp_path / "notes").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", ["/nowhere/final", "runs/quantizer/final", "./final", "../final", "notes"])
def test_paths_at_which_there_is_no_folder_are_refused(here, path):
    assert is_path_to_nothing(path)
    with pytest.raises(FileNotFoundError, match=r"^there is no checkpoint folder .*(final|notes)\.$"):
        refuse_path_to_nothing(path)


@pytest.mark.parametrize("name", ["runs", "runs/final", "./runs/final", "org/anyecg-xl", "anyecg-xl"])
def test_folders_and_what_can_be_a_name_on_the_hub_are_not(here, name):
    assert not is_path_to_nothing(name)
    refuse_path_to_nothing(name)
    refuse_path_to_nothing(here / "runs")
