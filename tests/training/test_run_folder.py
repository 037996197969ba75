# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.corpora.written_rows import row
from tests.training import test_long_records
from tests.training.small_runs import CLASSES, SmallRuns, train, write_backbone, write_tokenizer
from tests.training.written_sources import write_source

from anyecg_hf.environment import machine_kind
from anyecg_hf.training.config_files import load_config
from anyecg_hf.training.configs import PretrainingConfig
from anyecg_hf.training.run_folder import RunFolder, library_versions

FACTS = {"rows": {"1: ludb": 5}, "records": {"1: ludb": 4}, "dropped": {}, "fingerprint": "abc"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return SmallRuns(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def config(runs, tmp_path):
    return runs.config("pretraining", tmp_path / "run")


@pytest.fixture
def folder(config):
    folder = RunFolder(config)
    folder.open()
    folder.write_data_facts(FACTS)
    return folder


class TestOpen:
    def test_the_configuration_is_read_back_as_it_was(self, folder, config):
        assert load_config(PretrainingConfig, folder.path / "config.yaml") == config

    def test_versions_are_noted(self, folder, config):
        noted = json.loads((folder.path / "versions.json").read_text())
        assert noted == {**library_versions(), "machine": machine_kind(config.run.device)}
        assert library_versions()["torch"] == torch.__version__
        assert {"python", "anyecg_hf", "transformers", "accelerate", "datasets", "numpy"} <= library_versions().keys()

    def test_going_on_with_other_versions_is_told(self, folder, config, caplog):
        folder.close()
        config.resume = True
        RunFolder(config).open()
        assert caplog.text == ""
        noted = json.loads((folder.path / "versions.json").read_text())
        (folder.path / "versions.json").write_text(json.dumps({**noted, "torch": "1.0"}))
        RunFolder(config).open()
        assert f"other weights: torch was '1.0' and is {torch.__version__!r} now" in caplog.text

    def test_a_configuration_cut_off_before_the_records_were_found_is_written_anew(self, config):
        folder = RunFolder(config)
        folder.path.mkdir()
        (folder.path / "config.yaml").write_text("output_dir: /some")
        folder.open()
        assert load_config(PretrainingConfig, folder.path / "config.yaml") == config

    def test_records_must_be_those_of_the_first_part(self, folder):
        folder.write_data_facts(FACTS)
        with pytest.raises(ValueError, match="fingerprint was 'abc' and is 'abd' now. Restore them, or name another"):
            folder.write_data_facts({**FACTS, "fingerprint": "abd"})
        assert json.loads((folder.path / "data.json").read_text()) == FACTS


def facts_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "data.json").read_text())


class TestData:
    """`data.json` says what was trained on, and what the run started from."""

    def test_rows_that_the_task_leaves_out_are_not_counted(self, runs, tmp_path):
        labelled = [row(n, corpus="one", labels=[CLASSES[n % 2]], seconds=9) for n in range(4)]
        others = [row(n, corpus="one" if n < 8 else "two", seconds=4) for n in range(6, 12)]
        validation = [
            row(n, corpus="three", labels=[CLASSES[n % 2]] if n < 22 else [], seconds=2) for n in range(20, 24)
        ]
        changes = {"code_weight": 0.0, "run__steps": 3, "run__validate_every": 3}
        config = runs.config("finetuning", tmp_path / "run", **changes)
        config.data.train = [write_source(tmp_path / "train.parquet", [*labelled, *others])]
        config.data.validation = [write_source(tmp_path / "validation.parquet", validation)]
        train(config)
        facts = facts_of(tmp_path / "run")
        # Nine seconds are 36 patches of 0.25 s, in three rows of at most two windows.
        assert facts["trained_on"] == {"one": {"rows": 12, "records": 4, "hours": 0.01}}
        assert facts["validated_on"] == {"three": {"rows": 2, "records": 2, "hours": 0.0011}}
        assert facts["validation_rows"] == 2
        (name,) = facts["rows"]
        assert (facts["rows"][name], facts["records"][name], len(facts["fingerprint"])) == (18, 10, 64)

    def test_a_row_of_the_long_task_is_as_long_as_its_windows(self, runs, tmp_path):
        train(test_long_records.config(runs, tmp_path))
        facts = facts_of(tmp_path / "run")
        # Six records of 12 s, two segments of three windows of 2 s each.
        assert facts["trained_on"] == {"written": {"rows": 12, "records": 6, "hours": 0.02}}

    def test_of_a_stream_nothing_is_counted(self, runs, tmp_path):
        train(runs.config("pretraining", tmp_path / "run", run__steps=3, data__streaming=True))
        facts = facts_of(tmp_path / "run")
        assert (facts["trained_on"], facts["fingerprint"], len(facts["parent_sha256"])) == ({}, None, 64)

    def test_the_first_stage_starts_from_nothing(self, runs, tmp_path):
        train(runs.config("quantizer", tmp_path / "run", run__steps=6))
        facts = facts_of(tmp_path / "run")
        assert facts["parent_sha256"] is None and facts["trained_on"]["written"]["records"] == 24

    def test_a_folder_of_an_earlier_version_is_compared_by_what_it_has(self, folder):
        folder.write_data_facts({**FACTS, "trained_on": {"ludb": {"rows": 5}}, "parent_sha256": "0f"})
        assert json.loads(folder.data_facts.read_text())["parent_sha256"] == "0f"


class TestParent:
    """A checkpoint that was trained anew under the same path is another one."""

    @pytest.mark.parametrize(
        ("kind", "name", "write"),
        [("pretraining", "tokenizer", write_tokenizer), ("finetuning", "checkpoint", write_backbone)],
    )
    def test_other_weights_are_refused_and_the_same_ones_go_on(self, runs, tmp_path, kind, name, write):
        parent = write(tmp_path / "parent")
        changes = {"run__steps": 3, name: str(parent)}
        train(runs.config(kind, tmp_path / "run", **changes))
        write(tmp_path / "parent")  # the same, written again
        train(runs.config(kind, tmp_path / "run", **changes, resume=True))
        file = parent / ("quantizer/model.safetensors" if kind == "pretraining" else "model.safetensors")
        weights = load_file(file)
        next(value for key, value in sorted(weights.items()) if key.endswith("q_proj.weight")).view(-1)[0] += 1e-3
        save_file(weights, file, metadata={"format": "pt"})
        with pytest.raises(
            ValueError, match=f"`{name}` '.*parent' is not the one that .*run was started from: its wei"
        ):
            train(runs.config(kind, tmp_path / "run", **changes, resume=True))

    def test_other_settings_of_the_tokenizer_are_refused(self, runs, tmp_path):
        parent = write_tokenizer(tmp_path / "parent")
        changes = {"run__steps": 3, "tokenizer": str(parent)}
        train(runs.config("pretraining", tmp_path / "run", **changes))
        file = parent / "preprocessor_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "notch_hz": 60.0}))
        with pytest.raises(ValueError, match="its weights or its tokenizer's settings have changed since. Restore it"):
            train(runs.config("pretraining", tmp_path / "run", **changes, resume=True))


class TestMetrics:
    def test_lines_after_a_step_and_one_that_was_cut_off_go(self, folder):
        for step in (5, 10, 15):
            folder.log({"step": step, "loss": 0.5})
        with folder.metrics.open("a") as file:
            file.write('{"step": 20, "lo')
        folder.cut_metrics(10)
        assert [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()] == [5, 10]

    def test_numbers_that_json_does_not_have_become_text(self, folder):
        folder.log({"step": 1, "loss": float("nan"), "gradient_norm": float("inf")})
        assert json.loads(folder.metrics.read_text()) == {"step": 1, "loss": "nan", "gradient_norm": "inf"}

    def test_a_folder_without_figures_has_nothing_to_cut(self, folder):
        folder.cut_metrics(3)
        assert not folder.metrics.exists()


def test_a_run_leaves_a_picture_and_the_use_of_every_code(runs, tmp_path):
    config = runs.config("quantizer", tmp_path / "run")
    config.run.plots = True
    train(config)
    folder = tmp_path / "run"
    assert (folder / "metrics.png").stat().st_size > 10_000
    counts = json.loads((folder / "code_counts.json").read_text())
    assert [len(codebook) for codebook in counts] == [8] and sum(counts[0]) > 0
