# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""There is a script for every corpus, it tells the truth about the licence, and it does what it says."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset
from tests.corpora.builders.written_corpora import write_ptb_xl
from tests.corpora.builders.written_tables import write_folder
from tests.corpora.parquet.prepared_corpora import cut_short, record_file, write_georgia

from anyecg_hf.cli import corpus_script
from anyecg_hf.cli.corpus_script import main
from anyecg_hf.corpora import CORPORA
from anyecg_hf.corpora.parquet.sharding import PreparedCorpus
from anyecg_hf.hub.corpus_publishing import PublishedCorpus

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "dataset_scripts").glob("*.py"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_georgia(tmp_path / "corpus")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture):
    """Runs the script of a corpus in this process; returns status, stdout and stderr without progress bars."""

    def run(corpus: str, *arguments) -> tuple[int, str, str]:
        status = main(corpus, ["--cache-dir", str(tmp_path / "cache"), *map(str, arguments)])
        out, err = capsys.readouterr()
        return status, out, "\n".join(line for line in err.splitlines() if "%|" not in line)

    return run


class TestScripts:
    def test_every_corpus_has_one(self):
        assert {path.stem for path in SCRIPTS} == {name.replace("-", "_") for name in CORPORA}

    @pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
    def test_it_states_the_licence_and_starts_its_own_corpus(self, path):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        (call,) = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "main")
        name = path.stem.replace("_", "-")
        assert ast.unparse(call) == f"main({name!r})"
        description = CORPORA[name].description
        stated = " ".join(ast.get_docstring(tree).split())
        assert f"Licence: {description.licence}" in stated
        assert ("not confirmed" in stated or "unknown" in stated) is not description.licence_is_certain
        assert f"python dataset_scripts/{path.name} --data-dir" in stated

    def test_every_one_is_in_the_table_of_the_readme(self):
        table = (ROOT / "dataset_scripts" / "README.md").read_text(encoding="utf-8")
        for name, builder in CORPORA.items():
            script = f"{name.replace('-', '_')}.py"
            assert f"| [`{script}`]({script}) | {builder.description.licence} |" in table

    def test_it_runs_by_itself(self, root, tmp_path):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        script = ROOT / "dataset_scripts" / "georgia.py"
        command = [sys.executable, script, "--data-dir", root, "--output", tmp_path / "out", "--no-gallery"]
        finished = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.startswith("6 records, 0.0 hours, 0.1 MB in 1 file (1 written now) in")
        assert "Warning" not in finished.stderr


class TestRun:
    def test_it_leaves_a_dataset_with_card_and_picture(self, root, tmp_path, run):
        output = tmp_path / "georgia-ecg"
        status, out, err = run("georgia", "--data-dir", root, "--output", output)
        assert (status, err.strip()) == (0, "")
        assert {path.name for path in output.iterdir()} >= {"README.md", "gallery.png", "report.jsonl", "data"}
        assert load_dataset(str(output), split="train", cache_dir=str(tmp_path / "hub")).num_rows == 6
        status, out, _ = run("georgia", "--data-dir", root, "--output", output)
        assert status == 0 and "(0 written now)" in out

    def test_it_says_what_was_left_out(self, root, tmp_path, run):
        cut_short(root, "E00002")
        _, out, _ = run("georgia", "--data-dir", root, "--output", tmp_path / "out", "--no-gallery")
        assert "records left out: 1, remarks: 0; see report.jsonl and README.md" in out
        status, _, err = run("georgia", "--data-dir", root, "--output", tmp_path / "strict", "--strict")
        assert status == 1 and "E00002" in err and len(err.splitlines()) == 1

    def test_options_reach_builder_and_writer(self, tmp_path, run):
        corpus = write_ptb_xl(tmp_path / "corpus", sampling_rate=100)
        status, _, err = run(
            *("ptb-xl", "--data-dir", corpus.root, "--output", tmp_path / "out", "--sampling-rate", 100),
            *("--leads", "II,V1", "--form", "stored", "--shard-mb", "7", "--no-gallery"),
        )
        assert (status, err) == (0, "")
        prepared = PreparedCorpus.read(tmp_path / "out")
        assert prepared.plan.options == {"sampling_rate": 100, "leads": ["II", "V1"]}
        assert (prepared.plan.form, prepared.plan.shard_mb) == ("stored", 7.0)
        assert not (tmp_path / "out" / "gallery.png").exists()

    def test_options_of_a_folder_are_parsed(self, tmp_path, run):
        corpus = write_folder(tmp_path / "records", tmp_path / "labels.csv")
        status, _, err = run(
            *(
                "folder",
                "--data-dir",
                corpus.root,
                "--output",
                tmp_path / "out",
                "--labels-csv",
                tmp_path / "labels.csv",
            ),
            *("--label-system", "snomed", "--title", "Our ward", "--licence", "CC0-1.0", "--no-gallery"),
        )
        assert (status, err) == (0, "")
        card = (tmp_path / "out" / "README.md").read_text()
        assert "license: cc0-1.0" in card and "# Our ward" in card

    def test_engine_and_processes_are_passed_on(self, root, tmp_path, run, monkeypatch):
        seen = {}

        def write_corpus(builder, output, **options):
            seen.update(options)
            raise ValueError("enough")

        monkeypatch.setattr(corpus_script, "write_corpus", write_corpus)
        status, _, err = run(
            *("georgia", "--data-dir", root, "--output", tmp_path / "out", "--engine", "ray", "--num-proc", "8"),
            *("--ray-address", "head:6379", "--overwrite"),
        )
        assert status == 1 and err.endswith(": enough")
        assert seen == {
            **{"engine": "ray", "num_proc": 8, "ray_address": "head:6379", "overwrite": True},
            **{"shard_mb": 500, "form": "public"},
        }

    def test_another_plan_is_refused_until_it_may_be_replaced(self, root, tmp_path, run):
        arguments = ("georgia", "--data-dir", root, "--output", tmp_path / "out", "--no-gallery")
        run(*arguments)
        record_file(root, "E00001").touch()
        status, _, err = run(*arguments)
        assert status == 1 and "`overwrite`" in err
        assert run(*arguments, "--overwrite")[0] == 0

    def test_what_it_cannot_use_is_one_line(self, tmp_path, run):
        status, _, err = run("georgia", "--data-dir", tmp_path / "none", "--output", tmp_path / "out")
        assert status == 1
        assert err.split(": ", 1)[1].startswith(f"{tmp_path / 'none'}: expected a folder with the records of a corpus")


class TestPush:
    def test_a_dry_run_lists_what_would_go(self, root, tmp_path, run):
        status, out, _ = run(
            *("georgia", "--data-dir", root, "--output", tmp_path / "out", "--push", "org/georgia-ecg", "--dry-run")
        )
        assert status == 0 and "  README.md\n" in out and "data/train-00000-of-00001.parquet\n" in out
        assert out.splitlines()[-1].endswith("in all; nothing was uploaded to org/georgia-ecg")

    def test_it_pushes_what_it_has_written(self, root, tmp_path, run, monkeypatch):
        pushed = []

        def publish_corpus(folder, repo_id, **options):
            pushed.append((folder, repo_id, options))
            return PublishedCorpus(repo_id, (), "https://hub/commit/1")

        monkeypatch.setattr(corpus_script, "publish_corpus", publish_corpus)
        status, out, _ = run(
            *("georgia", "--data-dir", root, "--output", tmp_path / "out", "--push", "org/georgia-ecg", "--private"),
            "--no-gallery",
        )
        assert status == 0 and out.splitlines()[-1] == "published: https://hub/commit/1"
        assert pushed == [(tmp_path / "out", "org/georgia-ecg", {"private": True, "dry_run": False})]

    def test_a_dry_run_without_a_push_is_wrong_usage(self, root, tmp_path, run):
        with pytest.raises(SystemExit) as ended:
            run("georgia", "--data-dir", root, "--output", tmp_path / "out", "--dry-run")
        assert ended.value.code == 2


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_every_script_explains_its_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main(name, ["--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and "--data-dir" in shown and "--push" in shown
    assert ("--sampling-rate" in shown) is (name in ("ptb-xl", "folder"))
