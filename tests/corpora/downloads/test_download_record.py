# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What is noted of a download, several processes at once, processes that die, and disks that refuse."""

import errno
import hashlib
import io
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from tests.corpora.downloads.corpus_server import CorpusServer, quick_downloader

import anyecg_hf
from anyecg_hf.corpora.downloads import http_transfer
from anyecg_hf.corpora.downloads.download_errors import StoppedError, StorageError
from anyecg_hf.corpora.downloads.download_record import VerifiedFiles, file_lock
from anyecg_hf.corpora.downloads.remote_files import Checksum, RemoteFile

CONTENT = bytes(range(256)) * 40

# Bare packages in place of the real ones, which would bring torch.
SCRIPT = """
    import sys, types
    from pathlib import Path
    for name, folder in (("anyecg_hf", sys.argv[1]), ("anyecg_hf.corpora", sys.argv[1] + "/corpora")):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [folder]
    from anyecg_hf.corpora.downloads.downloading import Checksum, Downloader, RemoteFile
    root, *listed = sys.argv[2:]
    files = [RemoteFile(path, url, checksum=Checksum("sha256", digest)) for path, url, digest in map(str.split, listed)]
    Downloader(Path(root), workers=2, progress=False).fetch_all(files, "files")
"""


@pytest.fixture
def server():
    with CorpusServer() as server:
        yield server


def served_file(server: CorpusServer, path: str, content: bytes = CONTENT, **behaviour) -> RemoteFile:
    checksum = Checksum("sha256", hashlib.sha256(content).hexdigest())
    return RemoteFile(path, server.serve(path, content, **behaviour), checksum=checksum)


def downloading_process(root: Path, files: list[RemoteFile]) -> subprocess.Popen:
    listed = [f"{file.path} {file.url} {file.checksum.digest}" for file in files]
    source = str(Path(anyecg_hf.__file__).parent)
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(SCRIPT), source, str(root), *listed])


def test_processes_that_download_the_same_corpus_share_the_work(server, tmp_path):
    files = [served_file(server, f"{number}.dat", b"%d" % number * 99) for number in range(60)]
    processes = [downloading_process(tmp_path, files) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert sorted(server.paths()) == sorted(file.path for file in files)
    assert all(file.mismatch(tmp_path / file.path) is None for file in files)


def test_a_killed_process_loses_nothing_that_was_written(server, tmp_path):
    long = CONTENT * 20
    files = [served_file(server, "first.dat"), served_file(server, "second.dat", long, stall_after=[100_000])]
    process = downloading_process(tmp_path, files)
    part = tmp_path / "second.dat.part"
    while process.poll() is None and not (part.exists() and part.stat().st_size and (tmp_path / "first.dat").exists()):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "second.dat").exists()
    n_bytes = part.stat().st_size
    server.asked.clear()
    quick_downloader(tmp_path).fetch_all(files, "files")
    assert [(asked.path, asked.n_bytes) for asked in server.asked] == [("second.dat", len(long) - n_bytes)]
    assert (tmp_path / "second.dat").read_bytes() == long


def test_the_record_survives_a_line_that_was_not_finished(tmp_path):
    files = [RemoteFile(f"{n} é", "https://example.org/a") for n in range(3)]
    for file in files:
        (tmp_path / file.path).write_bytes(b"x")
    record = VerifiedFiles(tmp_path)
    record.add(files[0])
    with open(record.path, "ab") as stream:
        stream.write(b"1\t17")
    record.add(files[1])
    record.path.write_bytes(record.path.read_bytes() + b"\xff\xfe\t\n")
    again = VerifiedFiles(tmp_path)
    again.read()
    assert [again.vouches_for(file) for file in files] == [True, True, False]


def test_the_record_waits_for_the_rest_of_a_line_that_is_being_written(tmp_path):
    file = RemoteFile("a", "https://example.org/a")
    (tmp_path / "a").write_bytes(b"x")
    ours, theirs = VerifiedFiles(tmp_path), VerifiedFiles(tmp_path)
    theirs.add(file)
    line = ours.path.read_bytes()
    ours.path.write_bytes(line[:-3])
    ours.read()
    assert not ours.vouches_for(file)
    ours.path.write_bytes(line)
    ours.read()
    assert ours.vouches_for(file)


def test_the_record_takes_in_what_others_add_and_forgets_what_is_removed(tmp_path):
    file = RemoteFile("a", "https://example.org/a")
    (tmp_path / "a").write_bytes(b"x")
    ours, theirs = VerifiedFiles(tmp_path), VerifiedFiles(tmp_path)
    ours.read()
    theirs.add(file)
    assert not ours.vouches_for(file)
    ours.read()
    assert ours.vouches_for(file)
    ours.path.unlink()
    ours.read()
    assert not ours.vouches_for(file)


@pytest.mark.parametrize(
    "other",
    [
        RemoteFile("a", "https://example.org/b"),
        RemoteFile("a", "https://example.org/a", size=2),
        RemoteFile("a", "https://example.org/a", checksum=Checksum("md5", "0" * 32)),
        RemoteFile("a/b", "https://example.org/a"),
        RemoteFile("b", "https://example.org/a"),
    ],
)
def test_the_record_vouches_only_for_what_was_verified(tmp_path, other):
    (tmp_path / "a").write_bytes(b"x")
    record = VerifiedFiles(tmp_path)
    record.add(RemoteFile("a", "https://example.org/a"))
    assert record.vouches_for(RemoteFile("a", "https://example.org/a", size=1))
    assert not record.vouches_for(other)
    (tmp_path / "a").unlink()
    assert not record.vouches_for(RemoteFile("a", "https://example.org/a"))


def test_files_that_are_there_are_used_from_a_folder_that_cannot_be_written(server, tmp_path, monkeypatch, caplog):
    files = [served_file(server, f"{number}.dat") for number in range(3)]
    for file in files:
        (tmp_path / file.path).write_bytes(CONTENT)
    monkeypatch.setattr(Path, "mkdir", refusing(errno.EROFS))
    quick_downloader(tmp_path).fetch_all(files, "files")
    assert server.asked == []
    assert caplog.text.count("cannot note what was verified (Read-only file system)") == 1
    missing = served_file(server, "missing.dat")
    with pytest.raises(StorageError, match="read and written, found Read-only file system. Choose a folder"):
        quick_downloader(tmp_path).fetch(missing)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error_that_names_it(server, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match=".anyecg-download.*found Permission denied. Choose a folder"):
            quick_downloader(tmp_path).fetch(served_file(server, "a"))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("root", ["file", "file/below"])
def test_a_root_that_is_a_file_is_an_error(server, tmp_path, root):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(StorageError, match="expected that it can be read and written, found Not a directory"):
        quick_downloader(tmp_path / root).fetch(served_file(server, "a"))
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_folder_in_place_of_a_file_is_an_error(server, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError, match="/a: expected that it can be read and written, found Is a directory"):
        quick_downloader(tmp_path).fetch(served_file(server, "a"))


def test_a_full_disk_is_an_error_and_what_is_finished_is_kept(server, tmp_path, monkeypatch):
    files = [served_file(server, f"{number}.dat") for number in range(20)]
    monkeypatch.setattr(http_transfer, "open", full_after(tmp_path, 5 * len(CONTENT) + 1000), raising=False)
    with pytest.raises(StorageError, match="5.dat.part: .* found No space left on device. Free some space or choose"):
        quick_downloader(tmp_path, workers=1).fetch_all(files, "files")
    assert sorted(path.name for path in tmp_path.glob("*.dat")) == [f"{number}.dat" for number in range(5)]
    assert (tmp_path / "5.dat.part").stat().st_size == 1000

    monkeypatch.undo()
    server.asked.clear()
    quick_downloader(tmp_path, workers=1).fetch_all(files, "files")
    assert all(file.mismatch(tmp_path / file.path) is None for file in files)
    assert server.paths() == [file.path for file in files[5:]]
    assert server.asked[0].n_bytes == len(CONTENT) - 1000


def test_a_lock_is_waited_for_unless_the_thread_is_to_stop(tmp_path):
    stop = threading.Event()
    with file_lock(tmp_path, "a", threading.Event()):
        stop.set()
        with pytest.raises(StoppedError), file_lock(tmp_path, "a", stop):
            pass
    stop.clear()
    with file_lock(tmp_path, "a", stop):
        pass


def refusing(number: int):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    return refuse


def full_after(root: Path, n_bytes: int):
    """`open` for a disk with so much room."""

    class Full(io.FileIO):
        def write(self, content):
            nonlocal n_bytes
            if not n_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = super().write(memoryview(content)[:n_bytes])
            n_bytes -= written
            return written

    return lambda path, mode: io.BufferedWriter(Full(path, mode))
