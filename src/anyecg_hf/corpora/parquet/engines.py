# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The same work on many tasks: in this process, in several, or on a Ray cluster."""

import logging
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

ENGINES = ("local", "ray")

# Tasks and results are lists of names; Ray would set aside a third of the memory.
_OBJECT_STORE_BYTES = 256 * 2**20
_CONNECT_TIMEOUT_S = 10.0
_DIED = (
    "a worker process died. If memory ran out, use fewer processes; a script that starts processes needs"
    ' `if __name__ == "__main__":` around its start. What is finished is kept; run the same again to go on.'
)


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    engine: str = "local",
    num_proc: int | None = None,
    ray_address: str | None = None,
    on_result: Callable[[Result], Any] = lambda result: None,
) -> list[Result]:
    """
    Does the same work on each task. After an error no further task is begun; those that run are finished.

    Args:
        work (`Callable[[Task], Result]`):
            A function of a module, which other processes can import.
        tasks (`Sequence[Task]`):
            What to work on; pickled for other processes.
        engine (`str`, *optional*, defaults to `"local"`):
            `"local"`, or `"ray"`, which needs `pip install "anyecg-hf[ray]"`.
        num_proc (`int`, *optional*):
            Tasks at a time. By default one, and under Ray as many as the cluster has CPUs.
        ray_address (`str`, *optional*):
            Address of a Ray cluster, whose machines see the same files under the same paths. By default that of the
            variable `RAY_ADDRESS`, and without it a cluster on this machine alone, which ends with the work.
        on_result (`Callable[[Result], Any]`, *optional*):
            Called here with each result as it comes.

    Returns:
        `list[Result]`: in the order of the tasks.

    Raises:
        `ValueError`: if the engine is unknown, or `num_proc` less than one.
        `ImportError`: if Ray is asked for and not installed.
        `RuntimeError`: if a worker process died, or Ray's cluster cannot be reached.
        `Exception`: whatever `work` raises.
    """
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}, got {engine!r}.")
    if num_proc is not None and num_proc < 1:
        raise ValueError(f"`num_proc` must be at least 1, got {num_proc}.")
    if engine == "ray":
        found = _run_on_ray(work, tasks, num_proc, ray_address)
    elif (num_proc or 1) == 1 or len(tasks) < 2:
        found = ((place, work(task)) for place, task in enumerate(tasks))
    else:
        found = _run_in_processes(work, tasks, min(num_proc, len(tasks)))
    results = {}
    with closing(found):
        for place, result in found:
            results[place] = result
            on_result(result)
    return [results[place] for place in range(len(tasks))]


def _run_in_processes(
    work: Callable[[Task], Result], tasks: Sequence[Task], num_proc: int
) -> Iterator[tuple[int, Result]]:
    # Forked processes would inherit the locks of torch's and Arrow's threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_proc, mp_context=context, initializer=_end_with_parent)
    try:
        places = {pool.submit(work, task): place for place, task in enumerate(tasks)}
        for future in as_completed(places):
            yield places[future], future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(_DIED) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Ends this worker when its parent was killed; it would wait for tasks for ever."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_on_ray(
    work: Callable[[Task], Result], tasks: Sequence[Task], num_proc: int | None, address: str | None
) -> Iterator[tuple[int, Result]]:
    ray = import_ray()
    with _ray_cluster(ray, num_proc, address):
        at_a_time = num_proc or max(1, int(ray.cluster_resources().get("CPU", 1)))
        remote = ray.remote(num_cpus=1)(_call)
        waiting = iter(enumerate(tasks))
        running: dict[Any, int] = {}
        try:
            while True:
                for place, task in islice(waiting, at_a_time - len(running)):
                    running[remote.remote(work, task)] = place
                if not running:
                    return
                (done, *_), _ = ray.wait(list(running), num_returns=1)
                yield running.pop(done), ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
            raise RuntimeError(_DIED) from error
        finally:
            if running:
                ray.wait(list(running), num_returns=len(running))


def _call(work: Callable[[Task], Result], task: Task) -> Result:
    return work(task)


@contextmanager
def _ray_cluster(ray: Any, num_proc: int | None, address: str | None) -> Iterator[None]:
    """A connection to a cluster; one that the caller has made is used and stays."""
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    own = {}
    if address == "local":
        # Nothing about the work leaves the machine unless its owner wants it.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        own = {
            "num_cpus": num_proc,
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
    else:
        _check_that_one_answers(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except ConnectionError as error:
        raise RuntimeError(f"No Ray cluster answers at {address}: check `ray_address` and `ray status`.") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_that_one_answers(address: str) -> None:
    """Ray tries a wrong address for minutes, and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise RuntimeError(f"No Ray cluster answers at {address} ({error}): check `ray_address`.") from error


def import_ray() -> Any:
    """
    Returns:
        `module`: `ray`.

    Raises:
        `ImportError`: if it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError('The engine "ray" needs Ray: pip install "anyecg-hf[ray]"') from error
    return ray


__all__ = ["ENGINES", "import_ray", "run_tasks"]
