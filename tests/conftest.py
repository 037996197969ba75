# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: one thread a worker, no network, no home cache, NaN where memory was never written."""

import atexit
import ipaddress
import logging
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

RECORDS_VARIABLE = "ANYECG_TEST_RECORDS"
_IN_WORKER = "PYTEST_XDIST_WORKER" in os.environ

# Read by the libraries at import, so set before the first of them is imported.
if _IN_WORKER:
    for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[_name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="anyecg-hf-home-")
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

import torch  # noqa: E402 (after the environment above)

if _IN_WORKER:
    torch.set_num_threads(1)


class NetworkBlockedError(RuntimeError):
    """A test reached for the network; no `OSError`, so that no fallback for a missing network can swallow it."""


class _DeprecationIsAnError(logging.Handler):
    """transformers logs most of its deprecations where others warn."""

    def emit(self, record: logging.LogRecord) -> None:
        if "deprecated" in record.getMessage().lower():
            raise DeprecationWarning(record.getMessage())


def pytest_configure(config: pytest.Config) -> None:
    logging.getLogger("transformers").addHandler(_DeprecationIsAnError(logging.WARNING))


def pytest_report_header(config: pytest.Config) -> str:
    folder = os.environ.get(RECORDS_VARIABLE)
    if folder:
        return f"{RECORDS_VARIABLE}: {folder} (tests on real records run)"
    return f"{RECORDS_VARIABLE}: not set (tests on real records are skipped; their twins on written records run)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def records_dir() -> Path:
    """Folder of real records; skips the test where none was named."""
    folder = os.environ.get(RECORDS_VARIABLE)
    if not folder:
        pytest.skip(f"needs real records: set {RECORDS_VARIABLE} to a folder that holds them")
    if not Path(folder).is_dir():
        pytest.fail(f"{RECORDS_VARIABLE} is {folder!r}, which is not a folder.", pytrace=False)
    return Path(folder)


@pytest.fixture(autouse=True)
def poisoned_memory(request: pytest.FixtureRequest):
    """Fills memory from `torch.empty` and its kin with NaN, so that a value nobody wrote cannot pass for a number."""
    if "uninitialized_memory" in request.keywords:
        yield
        return
    # In deterministic mode torch fills fresh memory (`torch.utils.deterministic.fill_uninitialized_memory`).
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    yield
    torch.set_deterministic_debug_mode(before)


@pytest.fixture(autouse=True, scope="session")
def no_network():
    """Refuses every connection and look-up that would leave this machine."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address):
        _refuse_remote(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address):
        _refuse_remote(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host, *args, **kwargs):
        _refuse_remote(socket.AF_INET, (host,))
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


def _refuse_remote(family: int, address) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = address[0].decode() if isinstance(address[0], bytes) else address[0]
    if host in (None, "", "localhost", socket.gethostname()) or _is_loopback(host):
        return
    raise NetworkBlockedError(f"tests run without a network, but this one wants to reach {host!r}.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
def loud_libraries_afterwards():
    """For tests that run the command, which silences libraries for good: others want to hear their deprecations."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    yield
    transformers_logging.set_verbosity(verbosity)
    transformers_logging.enable_progress_bar()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small, complete checkpoint with random weights."""
    from tests.checkpoints import build_checkpoint

    return build_checkpoint(tmp_path_factory.mktemp("checkpoint") / "anyecg-random")
