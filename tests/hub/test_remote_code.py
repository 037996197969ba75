# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The code that lies beside a shared checkpoint: which files, which entries, and what is never overwritten."""

import json
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import transformers
from tests.models.tiny import tiny_config, tiny_quantizer_config
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForSequenceClassification
from transformers.dynamic_module_utils import get_imports
from transformers.models.auto.auto_factory import _BaseAutoModelClass
from transformers.pipelines import PIPELINE_REGISTRY

from anyecg_hf import (
    TINY,
    AnyECGConfig,
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForSequenceClassification,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.hub.remote_code import add_remote_code, code_files
from anyecg_hf.models import anyecg

PACKAGE_FOLDER = Path(anyecg.__file__).parent
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
LICENCE = "# Copyright 2026 The anyecg_hf authors.\n# SPDX-License-Identifier: Apache-2.0\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "checkpoint"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def auto_map(folder: Path, name: str = "config.json") -> dict[str, str]:
    return json.loads((folder / name).read_text())["auto_map"]


def registered(config_class: type) -> dict[str, str]:
    """Name of every Auto class of models that loads such a config, and of the class that it gives."""
    auto_classes, found = [_BaseAutoModelClass], {}
    while auto_classes:
        auto_class = auto_classes.pop()
        auto_classes += auto_class.__subclasses__()
        if auto_class._model_mapping is not None and config_class in auto_class._model_mapping:
            found[auto_class.__name__] = auto_class._model_mapping[config_class].__name__
    return found


def test_every_module_of_the_model_travels():
    expected = {path for path in PACKAGE_FOLDER.glob("*.py") if path.name != "__init__.py"}
    assert set(code_files()) == expected


def test_the_files_are_the_packages_own_with_their_licence(folder):
    names = add_remote_code(folder)
    assert set(names) == {path.name for path in folder.glob("*.py")} == {path.name for path in code_files()}
    for name in names:
        assert (folder / name).read_bytes() == (PACKAGE_FOLDER / name).read_bytes()
        assert (folder / name).read_text().startswith(LICENCE)


def test_auto_map_has_every_auto_class_that_the_package_registers(folder):
    add_remote_code(folder)
    for config_class, name in ((AnyECGConfig, "config.json"), (AnyECGQuantizerConfig, "quantizer/config.json")):
        expected = registered(config_class) | {"AutoConfig": config_class.__name__}
        if config_class is AnyECGConfig:
            expected["AutoFeatureExtractor"] = "AnyECGTokenizer"
        found = auto_map(folder, name)
        assert found == {auto_class: f"entry_anyecg.{loaded}" for auto_class, loaded in expected.items()}
    assert len(registered(AnyECGConfig)) == 8 and len(registered(AnyECGQuantizerConfig)) == 2
    assert auto_map(folder, "preprocessor_config.json") == {"AutoFeatureExtractor": "entry_anyecg.AnyECGTokenizer"}


def test_custom_pipelines_has_every_task_that_the_package_registers(folder):
    add_remote_code(folder)
    found = json.loads((folder / "config.json").read_text())["custom_pipelines"]
    assert {task: entry["impl"] for task, entry in found.items()} == {
        task: f"entry_anyecg.{PIPELINE_REGISTRY.supported_tasks[task]['impl'].__name__}"
        for task in PIPELINE_REGISTRY.get_supported_tasks()
        if task.startswith("ecg-")
    }
    assert {name for entry in found.values() for name in entry["pt"]} <= auto_map(folder).keys()
    assert "custom_pipelines" not in json.loads((folder / "quantizer" / "config.json").read_text())


def test_nothing_else_of_the_checkpoint_changes(folder):
    before = contents(folder)
    names = add_remote_code(folder)
    after = {name: content for name, content in contents(folder).items() if name not in names}
    assert after.keys() == before.keys()
    for name, content in before.items():
        if name.endswith("config.json"):
            found, added = json.loads(after[name]), {"auto_map", "custom_pipelines"}
            assert {key: value for key, value in found.items() if key not in added} == json.loads(content)
        else:
            assert after[name] == content


def test_a_second_call_changes_nothing_and_two_folders_become_equal(folder, tmp_path):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    add_remote_code(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    first = contents(folder)
    add_remote_code(folder)
    add_remote_code(other)
    assert contents(folder) == first == contents(other)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


@pytest.mark.parametrize("head", [AnyECGForLeadReconstruction, AnyECGForLongRecordClassification])
def test_a_head_without_a_stock_auto_class_is_what_auto_model_loads(tmp_path, head):
    head(tiny_config(num_labels=2)).save_pretrained(tmp_path)
    add_remote_code(tmp_path)
    assert auto_map(tmp_path)["AutoModel"] == f"entry_anyecg.{head.__name__}"
    assert auto_map(tmp_path)["AutoModelForECGReconstruction"] == "entry_anyecg.AnyECGForLeadReconstruction"


def test_a_quantizer_and_a_tokenizer_alone_get_theirs(tmp_path):
    AnyECGRhythmQuantizer(tiny_quantizer_config()).save_pretrained(tmp_path / "quantizer_only")
    AnyECGTokenizer().save_pretrained(tmp_path / "tokenizer_only")
    add_remote_code(tmp_path / "quantizer_only")
    add_remote_code(tmp_path / "tokenizer_only")
    assert auto_map(tmp_path / "quantizer_only")["AutoModel"] == "entry_anyecg.AnyECGRhythmQuantizer"
    assert list(auto_map(tmp_path / "tokenizer_only", "preprocessor_config.json")) == ["AutoFeatureExtractor"]


def test_files_of_another_version_are_replaced(folder):
    (folder / "signal_anyecg.py").write_text(LICENCE + '"""An older version."""\n')
    add_remote_code(folder)
    assert (folder / "signal_anyecg.py").read_bytes() == (PACKAGE_FOLDER / "signal_anyecg.py").read_bytes()


def test_entries_of_an_older_layout_are_replaced_and_others_kept(folder):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_anyecg.AnyECGModel", "AutoModelForCTC": "mine.Mine"}
    config["auto_map"]["AutoConfig"] = ["configuration_anyecg.AnyECGConfig", None]
    (folder / "config.json").write_text(json.dumps(config))
    add_remote_code(folder)
    found = auto_map(folder)
    assert found["AutoModel"] == "entry_anyecg.AnyECGModel" and found["AutoConfig"] == "entry_anyecg.AnyECGConfig"
    assert found["AutoModelForCTC"] == "mine.Mine"


def write_foreign_file(folder: Path) -> None:
    (folder / "signal_anyecg.py").write_text("import os\n")


def write_folder_of_that_name(folder: Path) -> None:
    (folder / "signal_anyecg.py").mkdir()


def write_foreign_entry(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "org/x--modeling.Mine"}}))


def write_foreign_pipeline(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    entry = {"ecg-classification": {"impl": "mine.Mine", "pt": ["AutoModel"]}}
    (folder / "config.json").write_text(json.dumps({**config, "custom_pipelines": entry}))


def write_foreign_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}')


def write_foreign_extractor(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text('{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}')


def write_broken_config(folder: Path) -> None:
    (folder / "quantizer" / "config.json").write_bytes(b'{"model_type": \xff')


def write_list(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def write_odd_auto_map(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": "modeling_anyecg.AnyECGModel"}))


def link_config(folder: Path) -> None:
    (folder / "config.json").rename(folder.parent / "blob")
    (folder / "config.json").symlink_to(folder.parent / "blob")


def link_quantizer(folder: Path) -> None:
    (folder / "quantizer").rename(folder.parent / "quantizer")
    (folder / "quantizer").symlink_to(folder.parent / "quantizer")


def link_code(folder: Path) -> None:
    (folder / "signal_anyecg.py").symlink_to(folder.parent / "nowhere")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (write_foreign_file, FileExistsError, "signal_anyecg.py is not a file of this package.* move it out"),
        (write_folder_of_that_name, FileExistsError, "signal_anyecg.py is not a file of this package"),
        (write_foreign_entry, ValueError, "AutoModel loads 'org/x--modeling.Mine', which is not of this package"),
        (write_foreign_pipeline, ValueError, "`custom_pipelines` in .* ecg-classification loads 'mine.Mine', which is"),
        (write_foreign_model, ValueError, r"'bert' model, expected one of \['anyecg', 'anyecg_quantizer'\]"),
        (write_foreign_extractor, ValueError, "'Wav2Vec2FeatureExtractor', expected 'AnyECGTokenizer'"),
        (write_broken_config, ValueError, "config.json is not JSON: .* Save the checkpoint anew"),
        (write_list, ValueError, "holds a list, expected an object"),
        (write_odd_auto_map, ValueError, "`auto_map` in .*config.json is a str, expected an object"),
        (link_config, ValueError, "config.json is a link, expected a file: copy the folder"),
        (link_quantizer, ValueError, "quantizer is a link"),
        (link_code, ValueError, "signal_anyecg.py is a link"),
    ],
)
def test_what_is_not_ours_is_refused_before_anything_is_written(folder, spoil, error, message):
    spoil(folder)
    before = contents(folder)
    with pytest.raises(error, match=message):
        add_remote_code(folder)
    assert contents(folder) == before


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither config.json nor preprocessor_config.json"):
        add_remote_code(tmp_path)


def test_with_the_package_its_own_classes_load_and_no_code_runs(folder, tmp_path):
    add_remote_code(folder)
    for path in folder.glob("*.py"):
        path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + path.read_text())
    for trust in ({}, {"trust_remote_code": False}, {"trust_remote_code": True}):
        assert type(AutoConfig.from_pretrained(folder, **trust)) is AnyECGConfig
        tokenizer = AutoFeatureExtractor.from_pretrained(folder, **trust)
        assert type(tokenizer) is AnyECGTokenizer and type(tokenizer.quantizer) is AnyECGRhythmQuantizer
        quantizer = AutoModel.from_pretrained(folder, subfolder="quantizer", **trust)
        assert type(quantizer) is AnyECGRhythmQuantizer
        head = AutoModelForSequenceClassification.from_pretrained(folder, **trust)
        assert type(head) is AnyECGForSequenceClassification
    assert not (tmp_path / "ran").exists()


def test_what_is_saved_with_the_package_has_neither_code_nor_entries_for_it(folder, tmp_path):
    add_remote_code(folder)
    AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(tmp_path / "saved")
    AutoFeatureExtractor.from_pretrained(folder).save_pretrained(tmp_path / "saved")
    assert not list((tmp_path / "saved").rglob("*.py"))
    for path in (tmp_path / "saved").rglob("*.json"):
        assert "auto_map" not in path.read_text()


def test_pywavelets_is_asked_for_by_the_name_that_can_be_installed():
    script = "import sys; sys.modules['pywt'] = None; import runpy; runpy.run_path(sys.argv[1])"
    path = PACKAGE_FOLDER / "requirements_anyecg.py"
    process = subprocess.run([sys.executable, "-I", "-c", script, str(path)], capture_output=True, text=True)
    assert "'pywt' is missing: run `pip install scipy PyWavelets`" in process.stderr
    assert process.stderr.strip().splitlines()[-1].startswith("ImportError")


def test_transformers_own_check_asks_for_no_library_but_those_it_names_rightly():
    imported = {name for path in code_files() for name in get_imports(path)}
    assert imported - set(sys.stdlib_module_names) == {
        *("torch", "transformers", "huggingface_hub", "safetensors", "numpy", "scipy")
    }


def test_an_older_transformers_is_named(monkeypatch):
    (required,) = (name for name in tomllib.loads(PROJECT.read_text())["project"]["dependencies"] if "transf" in name)
    text = (PACKAGE_FOLDER / "requirements_anyecg.py").read_text()
    assert f'"{required.partition(",")[0]}"' in text
    monkeypatch.setattr("importlib.metadata.version", lambda name: "5.0.0")
    with pytest.raises(ImportError, match="pip install --upgrade transformers"):
        runpy.run_path(str(PACKAGE_FOLDER / "requirements_anyecg.py"))


def test_the_embedded_checkpoint_and_transformers_stay_as_they_are():
    assert not list(Path(TINY).rglob("*.py")) and "auto_map" not in (Path(TINY) / "config.json").read_text()
    assert not hasattr(transformers, "AutoModelForECGReconstruction")
