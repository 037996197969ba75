# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fresh processes load what was pushed: with the package, without it, offline, and corpora with `datasets` alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants
from tests.corpora.parquet.prepared_corpora import prepare_georgia, write_georgia
from tests.hub import dataset_process, loading_process
from tests.hub.conftest import log_in
from tests.hub.hub_server import running_hub
from tests.hub.hub_state import TOKEN, LocalHub

from anyecg_hf import TINY, AnyECGTokenizer
from anyecg_hf.corpora import CORPORA
from anyecg_hf.hub import push_to_hub
from anyecg_hf.hub.corpus_cards import write_corpus_card

MODEL, CORPUS = "org/any-ecg.1", "org/georgia-ecg"  # the first is the name that the process loads
TEMPLATE = Path(__file__).parents[2] / "model_cards" / "corpus.md.jinja"


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> LocalHub:
    """A Hub with the embedded checkpoint, which is private, and a corpus."""
    folder = tmp_path_factory.mktemp("pushed")
    with running_hub() as hub, pytest.MonkeyPatch.context() as monkeypatch:
        log_in(hub, folder / "cache", monkeypatch)
        push_to_hub(TINY, MODEL, private=True)
        prepared = prepare_georgia(write_georgia(folder / "corpus"), folder / "georgia-ecg")
        write_corpus_card(prepared, CORPORA["georgia"].description, TEMPLATE)
        push_to_hub(prepared, CORPUS)
        yield hub


def environment(hub: LocalHub, home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
    hub_variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    return {**kept, **hub_variables, "OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **more}


def start(hub: LocalHub, home: Path, script: str, *arguments: object, **more: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-I", script, *map(str, arguments)],
        env=environment(hub, home, **more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    assert TOKEN not in output
    return output


@pytest.fixture(scope="module")
def loaded(hub, tmp_path_factory) -> dict[str, dict[str, Any]]:
    """What processes with and without the package found, and one without package and Hub, on the cache of the last."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("with", "without")}
    processes = [
        start(hub, folder / "home", loading_process.__file__, name, "from_the_hub", folder)
        for name, folder in folders.items()
    ]
    for process in processes:
        finish(process)
    found = {name: torch.load(folder / f"from_the_hub-{name}.pt") for name, folder in folders.items()}
    before = len(hub.asked)
    arguments = (loading_process.__file__, "without", "from_the_hub", folders["without"])
    finish(start(hub, folders["without"] / "home", *arguments, HF_HUB_OFFLINE="1"))
    assert len(hub.asked) == before
    return {**found, "offline": torch.load(folders["without"] / "from_the_hub-without.pt")}


def hub_shards(hub: LocalHub, folder: Path) -> list[Path]:
    """The corpus's Parquet files, written to a folder as they lie on the Hub."""
    files = {Path(path).name: data for path, data in hub.files(CORPUS, kind="dataset").items()}
    paths = [folder / name for name in files if name.endswith(".parquet")]
    for path in paths:
        path.write_bytes(files[path.name])
    return paths


class TestModels:
    def test_the_package_and_the_code_beside_the_weights_say_the_same(self, loaded):
        expected = loaded["with"]["tensors"]
        assert set(expected) == {"codes", "states", "logits"}
        assert len(expected["codes"].unique()) > 20 and expected["logits"].std() > 0
        for name in ("without", "offline"):
            assert all(torch.equal(loaded[name]["tensors"][key], value) for key, value in expected.items()), name

    def test_they_say_what_the_embedded_checkpoint_says(self, loaded):
        tokenizer = AnyECGTokenizer.from_pretrained(TINY)
        codes = tokenizer.encode(loading_process.clean(tokenizer))
        assert torch.equal(loaded["with"]["tensors"]["codes"], codes)

    def test_with_the_package_the_pushed_code_does_not_run(self, loaded, hub):
        assert loaded["with"]["of"].startswith("anyecg_hf.") and loaded["with"]["refused"] == ""

    def test_without_it_the_pushed_code_runs_pinned_and_only_when_allowed(self, loaded, hub):
        commit = hub.repositories["model", MODEL].at("main").oid
        for name in ("without", "offline"):
            assert loaded[name]["of"].startswith("transformers_modules.") and commit in loaded[name]["of"]
            assert "`trust_remote_code=True` to allow custom code to be run" in loaded[name]["refused"]


class TestCorpora:
    def test_one_commit_with_a_card(self, hub):
        files = hub.files(CORPUS, kind="dataset")
        assert len(hub.titles(CORPUS, kind="dataset")) == 1 and b"license:" in files["README.md"]
        assert len([path for path in files if path.endswith(".parquet")]) == 3

    def test_datasets_loads_it_whole_streamed_pinned_and_offline(self, hub, tmp_path):
        first = hub.repositories["dataset", CORPUS].at("main").oid
        shard = next(path for path in hub.files(CORPUS, kind="dataset") if path.startswith("data/train-00000"))
        finish(start(hub, tmp_path / "home", dataset_process.__file__, CORPUS, first, tmp_path / "told.json"))
        found = json.loads((tmp_path / "told.json").read_text())
        assert found["types"] == ["Dataset", "IterableDataset"]
        expected = [row for path in hub_shards(hub, tmp_path) for row in pq.read_table(path).to_pylist()]
        assert sorted(row["record_id"] for row in expected) == [f"E{number:05}" for number in range(1, 7)]
        rows = sum(found["main whole"].values(), [])
        assert sorted(rows) == sorted(dataset_process.told(expected)) and rows[0][1] == [12, 600]
        for name in ("main streamed", "pinned whole", "pinned streamed", "again"):
            assert found[name] == found["main whole"], name
        assert (Path(found["snapshot"]) / shard).read_bytes() == hub.files(CORPUS, kind="dataset")[shard]
        assert any("/resolve/" in path and path.endswith(".parquet") for _, path, _ in hub.asked)

    def test_a_folder_will_do_and_a_card_must_not_be_given_twice(self, tmp_path, local_hub):
        prepared = prepare_georgia(write_georgia(tmp_path / "corpus"), tmp_path / "georgia-ecg")
        with pytest.raises(ValueError, match="expected the card of the dataset, found no file"):
            push_to_hub(tmp_path / "georgia-ecg", CORPUS)
        write_corpus_card(prepared, CORPORA["georgia"].description, TEMPLATE)
        with pytest.raises(ValueError, match="a corpus: expected its folder alone, found `licence` too"):
            push_to_hub(tmp_path / "georgia-ecg", CORPUS, licence="cc-by-4.0")
        planned = push_to_hub(tmp_path / "georgia-ecg", CORPUS, dry_run=True)
        assert local_hub.asked == [] and planned.commit is None
        local_hub.cut("POST", "/commit/", is_done_first=True)
        pushed = push_to_hub(prepared, CORPUS, revision="v2", private=True, commit_message="Six records")
        assert pushed.files == planned.files and pushed.revision == "v2"
        assert local_hub.titles(CORPUS, "v2", kind="dataset") == ["Six records"]
        assert local_hub.titles(CORPUS, kind="dataset") == []
        assert pushed.commit_url == f"{constants.ENDPOINT}/datasets/{CORPUS}/commit/{pushed.commit}"
