# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The same work in this process, in two processes and on a Ray cluster of two workers: results, errors and files."""

import builtins
import math
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.corpora.parquet.prepared_corpora import contents, cut_short, georgia, prepare_georgia, write_georgia

from anyecg_hf.corpora.parquet import engines
from anyecg_hf.corpora.parquet.engines import run_tasks
from anyecg_hf.corpora.parquet.shard_writing import ShardError, ShardTask, write_shard
from anyecg_hf.corpora.parquet.sharding import write_corpus
from anyecg_hf.records import TruncatedFileError

NUMBERS = [25.0, 4.0, 16.0, 9.0, 1.0]
WAITING_FOR_A_WORKER = """
import os, time
from anyecg_hf.corpora.parquet.engines import run_tasks

if __name__ == "__main__":
    run_tasks(time.sleep, [600, 600], num_proc=2)
"""


@pytest.fixture(scope="module")
def ray():
    """Two workers of a cluster on this machine, for all tests of the module."""
    ray = pytest.importorskip("ray", reason='needs Ray: pip install "anyecg-hf[ray]"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would keep a token of its own in the home folder.
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.delenv("RAY_ADDRESS", raising=False)
        with engines._ray_cluster(ray, 2, None):
            yield ray


class TestOneProcess:
    def test_results_come_in_the_order_of_the_tasks(self):
        seen = []
        assert run_tasks(math.sqrt, NUMBERS, on_result=seen.append) == [5, 2, 4, 3, 1]
        assert seen == [5, 2, 4, 3, 1]

    def test_no_tasks_are_no_work(self):
        assert run_tasks(math.sqrt, []) == []
        assert run_tasks(math.sqrt, [], num_proc=4) == []

    def test_an_error_ends_it(self):
        seen = []
        with pytest.raises(ValueError):
            run_tasks(math.sqrt, [4.0, -1.0, 9.0], on_result=seen.append)
        assert seen == [2]


class TestTwoProcesses:
    def test_files_are_the_same_and_errors_come_home(self, tmp_path):
        root = write_georgia(tmp_path / "corpus", 16)
        # None of those that are tried beforehand.
        cut_short(root, "E00016")
        prepare_georgia(root, tmp_path / "one", shard_mb=0.06)
        with pytest.raises(TruncatedFileError, match="E00016") as caught:
            write_corpus(georgia(root, strict=True), tmp_path / "two", shard_mb=0.06, num_proc=2)
        assert type(caught.value) is TruncatedFileError
        # The other shards are finished.
        finished = contents(tmp_path / "two" / "data")
        assert list(finished) == ["train-00000-of-00003.parquet", "train-00001-of-00003.parquet"]
        assert finished.items() < contents(tmp_path / "one" / "data").items()

    def test_a_worker_that_dies_is_an_error_that_says_so(self):
        with pytest.raises(RuntimeError, match="a worker process died. If memory ran out, use fewer processes"):
            run_tasks(os._exit, [1, 1], num_proc=2)

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
    def test_workers_end_when_their_parent_is_killed(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(WAITING_FOR_A_WORKER)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        parent = subprocess.Popen([sys.executable, script], env=environment)
        workers = _wait_for(lambda: found if len(found := _children(parent.pid)) > 2 else None)
        parent.kill()
        parent.wait()
        assert _wait_for(lambda: not any(map(_is_alive, workers)))


class TestRay:
    def test_results_come_in_the_order_of_the_tasks(self, ray):
        assert run_tasks(math.sqrt, NUMBERS, engine="ray", num_proc=2) == [5, 2, 4, 3, 1]
        assert run_tasks(math.sqrt, NUMBERS, engine="ray") == [5, 2, 4, 3, 1]
        # The cluster was there before, and stays.
        assert ray.is_initialized()

    def test_files_are_the_same_and_errors_come_home(self, ray, tmp_path):
        root = write_georgia(tmp_path / "corpus", 16)
        cut_short(root, "E00016")
        prepare_georgia(root, tmp_path / "one", shard_mb=0.06)
        prepared = prepare_georgia(root, tmp_path / "ray", shard_mb=0.06, engine="ray", num_proc=2)
        assert prepared.n_written == len(prepared.shards) == 3
        assert contents(tmp_path / "ray") == contents(tmp_path / "one")

        with pytest.raises(TruncatedFileError, match="E00016") as caught:
            write_corpus(georgia(root, strict=True), tmp_path / "strict", shard_mb=0.06, engine="ray", num_proc=2)
        assert type(caught.value) is TruncatedFileError

    def test_a_cluster_that_does_not_answer_is_an_error(self, monkeypatch):
        pytest.importorskip("ray", reason='needs Ray: pip install "anyecg-hf[ray]"')
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            for given in (address, f"ray://{address}"):
                with pytest.raises(RuntimeError, match=f"No Ray cluster answers at {given}"):
                    engines._check_that_one_answers(given)

    def test_without_ray_the_error_says_what_to_install(self, monkeypatch):
        known = builtins.__import__

        def without_ray(name, *arguments, **more):
            if name == "ray":
                raise ImportError(name)
            return known(name, *arguments, **more)

        monkeypatch.setattr(builtins, "__import__", without_ray)
        with pytest.raises(ImportError, match=r'The engine "ray" needs Ray: pip install "anyecg-hf\[ray\]"'):
            run_tasks(math.sqrt, NUMBERS, engine="ray")


def test_a_worker_with_other_libraries_refuses(tmp_path):
    root = write_georgia(tmp_path / "corpus", 1)
    prepared = prepare_georgia(root, tmp_path / "parquet")
    task = ShardTask(
        builder=georgia(root),
        files=georgia(root).corpus_files(),
        entries=(),
        shard=prepared.plan.shards[0],
        form="public",
        folder=tmp_path / "parquet",
        plan_fingerprint=prepared.plan.fingerprint,
        versions={**prepared.plan.versions, "pyarrow": "1.0"},
    )
    told = r"train-00000-of-00001: this worker has pyarrow [\d.]+ in place of 1\.0; install the same versions on every"
    with pytest.raises(ShardError, match=told):
        write_shard(task)


def _wait_for(condition):
    """What the condition returns when it is true; gives up after a minute."""
    for _ in range(600):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == pid:
            found.append(int(stat.parent.name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
