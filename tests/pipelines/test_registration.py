# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`transformers.pipeline` knows our tasks, with the package and, by remote code, without it."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.ecg_signals import heartbeats
from transformers import pipeline
from transformers.pipelines import PIPELINE_REGISTRY

import anyecg_hf
from anyecg_hf import TINY, AnyECGConfig, AnyECGForLongRecordClassification, AnyECGTokenizer
from anyecg_hf.hub.remote_code import add_remote_code
from anyecg_hf.models.anyecg.entry_anyecg import PIPELINES
from anyecg_hf.pipelines.registration import register_pipelines

SOURCE = Path(anyecg_hf.__file__).parents[1]
ANSWERS = """
    import json, sys
    import numpy as np
    from transformers import pipeline
    signal = np.load(sys.argv[2])
    stated = {"sampling_rate": 500, "lead_names": ["I", "II", "V1"], "unit": "mV"}
    needed = {"ecg-anomaly-detection": {"normal_label": "NORM"}, "ecg-lead-reconstruction": {"wanted": ["V3"]}}
    answers = {}
    for task in ("ecg-classification", "ecg-anomaly-detection", "ecg-feature-extraction", "ecg-lead-reconstruction",
                 "ecg-tokenization"):
        pipe = pipeline(task, model=sys.argv[1], device="cpu", trust_remote_code=REMOTE)
        answers[task] = pipe(signal, **stated, **needed.get(task, {}))
    try:
        pipe("record")
    except Exception as error:
        answers["path"] = f"{type(error).__name__}: {error}"
    answers["package"] = sys.modules.get("anyecg_hf") is not None
    print("ANSWERS" + json.dumps(answers))
"""


@pytest.fixture(scope="module")
def with_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded checkpoint as a repository that carries its code."""
    if not Path(TINY).is_dir():
        pytest.skip("the embedded checkpoint is not there")
    folder = tmp_path_factory.mktemp("published") / "tiny"
    shutil.copytree(TINY, folder)
    add_remote_code(folder)
    return folder


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signal") / "ecg.npy"
    np.save(path, heartbeats(3, 13, 500, noise_mv=0.02))
    return path


def answers(script: str, folder: Path, *arguments: Path, package: bool) -> dict:
    """What a fresh process answers, with the package or without it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SOURCE) if package else ""}
    # It is installed in most environments of these tests.
    refuse = "" if package else "import sys\nsys.modules['anyecg_hf'] = None\n"
    command = [sys.executable, "-c", refuse + textwrap.dedent(script), *map(str, (folder, *arguments))]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder.parent)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.partition("ANSWERS")[2])


def numbers(answer: Any) -> list[float]:
    """All numbers of an answer, in order."""
    if isinstance(answer, dict):
        return [number for value in answer.values() for number in numbers(value)]
    if isinstance(answer, list):
        return [number for value in answer for number in numbers(value)]
    return [] if answer is None or isinstance(answer, str) else [float(answer)]


def test_code_beside_the_weights_answers_as_the_package_does(with_code, signal):
    remote = answers(ANSWERS.replace("REMOTE", "True"), with_code, signal, package=False)
    assert remote.pop("package") is False
    assert remote.pop("path").startswith("ImportError: reading 'record' needs the package anyecg_hf: `pip install")
    local = answers("    import anyecg_hf" + ANSWERS.replace("REMOTE", "None"), with_code, signal, package=True)
    assert local.pop("package") is True
    assert local.pop("path").startswith("MissingFileError")
    assert list(remote) == list(PIPELINES)
    assert list(remote) == list(local)
    for task, answer in remote.items():
        assert numbers(answer) == pytest.approx(numbers(local[task]), abs=1e-5)


def test_code_beside_the_weights_is_not_run_unasked_without_the_package(with_code, signal):
    script = """
        import json, sys
        from transformers import pipeline
        try:
            pipeline("ecg-classification", model=sys.argv[1], device="cpu", trust_remote_code=False)
        except Exception as error:
            print("ANSWERS" + json.dumps({"error": str(error)}))
    """
    assert "trust_remote_code=True" in answers(script, with_code, package=False)["error"]


def test_every_task_is_registered_and_registering_again_changes_nothing(caplog):
    tasks = {task: PIPELINE_REGISTRY.supported_tasks[task] for task in PIPELINES}
    for task, (kind, _) in PIPELINES.items():
        assert issubclass(tasks[task]["impl"], kind)
    register_pipelines()
    assert {task: PIPELINE_REGISTRY.supported_tasks[task] for task in PIPELINES} == tasks
    assert not caplog.records


def test_with_the_package_no_code_beside_a_checkpoint_is_followed_and_none_is_named_by_what_is_saved(
    with_code, tmp_path
):
    pipe = pipeline("ecg-classification", model=str(with_code), device="cpu")
    assert type(pipe).__module__ == "anyecg_hf.pipelines.record_pipelines"
    pipe.model.config.save_pretrained(tmp_path)
    assert "custom_pipelines" not in json.loads((tmp_path / "config.json").read_text())


def test_pipelines_of_others_that_a_checkpoint_names_are_kept(with_code, tmp_path):
    theirs = {"ecg-mine": {"impl": "mine.Mine", "pt": ["AutoModel"], "type": "audio"}}
    config = json.loads((with_code / "config.json").read_text())
    config["custom_pipelines"] |= theirs
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = AnyECGConfig.from_pretrained(tmp_path)
    assert loaded.custom_pipelines == theirs
    loaded.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["custom_pipelines"] == theirs


LONG_RECORD = """
    import json, sys
    import numpy as np
    from transformers import pipeline
    pipe = pipeline("ecg-classification", model=sys.argv[1], device="cpu", trust_remote_code=REMOTE)
    answer = pipe(np.load(sys.argv[2]), sampling_rate=500, lead_names=["I", "II", "V1"], unit="mV")
    answer = sorted(answer, key=lambda item: item["label"])
    print("ANSWERS" + json.dumps({"answer": answer, "model": type(pipe.model).__name__}))
"""


def test_a_classifier_of_long_records_answers_with_the_package_and_without(with_code, signal, tmp_path):
    torch.manual_seed(0)
    model = AnyECGForLongRecordClassification(AnyECGConfig.from_pretrained(TINY))
    model.save_pretrained(tmp_path)
    AnyECGTokenizer.from_pretrained(TINY).save_pretrained(tmp_path)
    add_remote_code(tmp_path)
    remote = answers(LONG_RECORD.replace("REMOTE", "True"), tmp_path, signal, package=False)
    local = answers("    import anyecg_hf" + LONG_RECORD.replace("REMOTE", "None"), tmp_path, signal, package=True)
    assert remote["model"] == local["model"] == "AnyECGForLongRecordClassification"
    assert numbers(remote["answer"]) == pytest.approx(numbers(local["answer"]), abs=1e-6)


def test_importing_the_package_imports_no_reader():
    script = 'import anyecg_hf, json, sys; print("ANSWERS" + json.dumps({"names": sorted(sys.modules)}))'
    names = answers(script, SOURCE, package=True)["names"]
    assert "anyecg_hf.pipelines.record_pipelines" in names
    assert not [name for name in names if name.startswith(("anyecg_hf.records", "anyecg_hf.pipelines.record_analysis"))]
