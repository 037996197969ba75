# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Whole downloads against a server on this machine: what comes, what is fetched again, what stops them."""

import hashlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable

import pytest
from tests.corpora.downloads.corpus_server import CorpusServer, quick_downloader

from anyecg_hf.corpora.downloads import downloading
from anyecg_hf.corpora.downloads.download_record import VerifiedFiles, file_lock
from anyecg_hf.corpora.downloads.downloading import (
    AccessDeniedError,
    Checksum,
    Downloader,
    DownloadError,
    MissingRemoteFileError,
    RemoteFile,
)

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server():
    with CorpusServer() as server:
        yield server


@pytest.fixture
def heeds_interrupts():
    """Processes that a shell starts in the background ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def sha256(content: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(content).hexdigest())


def served_files(server: CorpusServer, count: int) -> list[RemoteFile]:
    contents = {f"data/{number:03}.dat": b"%d" % number * 50 for number in range(count)}
    return [RemoteFile(path, server.serve(path, text), checksum=sha256(text)) for path, text in contents.items()]


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.01)
    raise TimeoutError


def leftovers(root) -> list[str]:
    return sorted(path.name for path in root.rglob("*.part*"))


def test_a_file_comes_whole_and_is_not_asked_for_again(server, tmp_path):
    file = RemoteFile("a/b.dat", server.serve("b", CONTENT), size=len(CONTENT), checksum=sha256(CONTENT))
    path = quick_downloader(tmp_path).fetch(file)
    assert path == tmp_path / "a/b.dat"
    assert path.read_bytes() == CONTENT
    assert quick_downloader(tmp_path).fetch(file) == path
    assert server.paths() == ["b"]
    assert leftovers(tmp_path) == []


def test_three_hundred_small_files_come_in_order_by_few_connections(server, tmp_path):
    files = served_files(server, 300)
    paths = quick_downloader(tmp_path).fetch_all(files, "small")
    assert paths == [tmp_path / file.path for file in files]
    assert all(path.read_bytes() == b"%d" % number * 50 for number, path in enumerate(paths))
    assert sorted(server.paths()) == [file.path for file in files]
    quick_downloader(tmp_path).fetch_all(files, "small")
    assert len(server.asked) == 300


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_files_of_any_size_come_with_and_without_a_length(server, tmp_path, content, is_chunked):
    file = RemoteFile("a.dat", server.serve("a.dat", content, is_chunked=is_chunked))
    assert quick_downloader(tmp_path).fetch(file).read_bytes() == content
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("path", ["Größe/ecg 1+2.dat", "心电图/100%.dat", "a#b/c?d&e.dat"])
def test_names_of_any_script_come_through_quoted_urls(server, tmp_path, path):
    file = RemoteFile(path, server.serve(path, CONTENT), checksum=sha256(CONTENT))
    assert quick_downloader(tmp_path).fetch(file) == tmp_path / path
    assert (tmp_path / path).read_bytes() == CONTENT
    quick_downloader(tmp_path).fetch(file)
    assert server.paths() == [path]


def test_a_file_that_is_there_is_verified_and_not_fetched(server, tmp_path):
    (tmp_path / "a.dat").write_bytes(CONTENT)
    file = RemoteFile("a.dat", f"{server.url}/a.dat", checksum=sha256(CONTENT))
    quick_downloader(tmp_path).fetch(file)
    assert server.asked == []


def test_a_verified_file_is_not_read_again_until_it_is_touched(server, tmp_path, monkeypatch):
    file = RemoteFile("a.dat", server.serve("a.dat", CONTENT), checksum=sha256(CONTENT))
    path = quick_downloader(tmp_path).fetch(file)
    hashed = []
    monkeypatch.setattr(RemoteFile, "mismatch", lambda self, path: hashed.append(path))
    quick_downloader(tmp_path).fetch(file)
    assert hashed == []
    os.utime(path, (1, 1))
    quick_downloader(tmp_path).fetch(file)
    assert hashed == [path]
    quick_downloader(tmp_path).fetch(file)
    assert hashed == [path]
    assert len(server.asked) == 1


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"?"])
def test_a_file_that_was_damaged_later_is_fetched_anew(server, tmp_path, damage, caplog):
    file = RemoteFile("a.dat", server.serve("a.dat", CONTENT), checksum=sha256(CONTENT))
    path = quick_downloader(tmp_path).fetch(file)
    path.write_bytes(damage)
    os.utime(path, (1, 1))
    assert quick_downloader(tmp_path).fetch(file).read_bytes() == CONTENT
    assert f"a.dat: not {file.checksum} as expected; fetching it anew" in caplog.text


def test_a_file_of_which_nothing_is_known_is_fetched_once_from_each_url(server, tmp_path):
    (tmp_path / "RECORDS").write_text("half a li")
    old = RemoteFile("RECORDS", server.serve("1.0.0/RECORDS", "a\n"))
    new = RemoteFile("RECORDS", server.serve("1.0.1/RECORDS", "a\nb\n"))
    for file, text in ((old, "a\n"), (old, "a\n"), (new, "a\nb\n"), (new, "a\nb\n")):
        assert quick_downloader(tmp_path).fetch(file).read_text() == text
    assert server.paths() == ["1.0.0/RECORDS", "1.0.1/RECORDS"]


def test_a_wrong_checksum_is_an_error_after_a_second_fetch_from_the_start(server, tmp_path):
    file = RemoteFile("a.dat", server.serve("a.dat", CONTENT), checksum=sha256(b"other"))
    with pytest.raises(DownloadError) as error:
        quick_downloader(tmp_path).fetch(file)
    assert str(error.value) == (
        f"{file.url}: expected {sha256(b'other')}, found {sha256(CONTENT)} in 10240 bytes, twice. "
        "The site's copy or its listing is wrong: tell the publisher."
    )
    assert [(asked.n_bytes, "Range" in asked.headers) for asked in server.asked] == [(10240, False)] * 2
    assert not (tmp_path / "a.dat").exists()
    assert leftovers(tmp_path) == []


def test_a_file_that_comes_right_the_second_time_is_taken(server, tmp_path):
    url = server.serve("a.dat", CONTENT[::-1])
    server.files["a.dat"].before = lambda: setattr(server.files["a.dat"], "content", contents.pop())
    contents = [CONTENT, CONTENT[::-1]]
    file = RemoteFile("a.dat", url, checksum=Checksum("md5", hashlib.md5(CONTENT).hexdigest().upper()))
    assert quick_downloader(tmp_path).fetch(file).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [0, 9, 10241])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_wrong_size_is_an_error(server, tmp_path, size, is_chunked):
    file = RemoteFile("a.dat", server.serve("a.dat", CONTENT, is_chunked=is_chunked), size=size)
    found = "(more than )?[0-9]+" if is_chunked else "10240"
    with pytest.raises(DownloadError, match=f"expected {size} bytes, found {found} bytes, twice"):
        quick_downloader(tmp_path).fetch(file)
    assert len(server.asked) == 2
    assert not (tmp_path / "a.dat").exists()


def test_a_missing_file_is_an_error_at_once(server, tmp_path):
    with pytest.raises(MissingRemoteFileError, match="/a.dat: expected a file, found 404 Not Found. It was moved or"):
        quick_downloader(tmp_path).fetch(RemoteFile("a.dat", f"{server.url}/a.dat"))
    assert len(server.asked) == 1


def test_the_other_files_come_although_one_is_missing(server, tmp_path):
    files = served_files(server, 20)
    del server.files[files[3].path]
    with pytest.raises(MissingRemoteFileError, match="003.dat"):
        quick_downloader(tmp_path).fetch_all(files, "files")
    assert sum(path.suffix == ".dat" for path in tmp_path.rglob("*")) == 19


def test_several_failures_are_counted_and_ten_end_the_download(server, tmp_path):
    files = served_files(server, 4) + [RemoteFile(f"no/{n}", f"{server.url}/no/{n}") for n in range(3)]
    with pytest.raises(
        DownloadError, match="expected 7 files, found 3 that could not be had. What was fetched is kept"
    ):
        quick_downloader(tmp_path).fetch_all(files, "files")
    files = [RemoteFile(f"no/{n}", f"{server.url}/no/{n}") for n in range(100)] + files
    with pytest.raises(DownloadError, match="found 10 that could not be had"):
        quick_downloader(tmp_path, workers=1).fetch_all(files, "files")


@pytest.mark.parametrize("status", [401, 403])
def test_denied_access_ends_the_download_at_once(server, tmp_path, status):
    files = served_files(server, 50)
    for file in files:
        server.files[file.path].failures.append(status)
    with pytest.raises(AccessDeniedError, match=f"expected open access, found {status} .*credentialed access"):
        quick_downloader(tmp_path, workers=2).fetch_all(files, "files")
    assert len(server.asked) <= 4


@pytest.mark.usefixtures("heeds_interrupts")
def test_an_interrupted_download_goes_on_without_loss(server, tmp_path):
    files = served_files(server, 60)
    big = RemoteFile("big.dat", server.serve("big.dat", CONTENT, stall_after=[4000]), checksum=sha256(CONTENT))
    server.files[files[30].path].before = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        quick_downloader(tmp_path, workers=2, timeout_s=0.2, retries=0).fetch_all([big, *files], "files")
    assert not (tmp_path / "big.dat").exists()
    assert (tmp_path / "big.dat.part").stat().st_size == 4000
    done = {path for path in server.paths() if (tmp_path / path).exists()}
    assert 20 < len(done) < 60

    server.files[files[30].path].before = None
    server.asked.clear()
    paths = quick_downloader(tmp_path).fetch_all([big, *files], "files")
    assert all(sha256(path.read_bytes()) == file.checksum for path, file in zip(paths, [big, *files], strict=True))
    assert not done & set(server.paths())
    assert [asked.n_bytes for asked in server.asked if asked.path == "big.dat"] == [len(CONTENT) - 4000]
    assert leftovers(tmp_path) == []


def test_a_thread_stops_while_it_waits_for_its_next_connection(server, tmp_path):
    slow = RemoteFile("slow", server.serve("slow", b"x", failures=[503], headers={"Retry-After": "300"}))
    denied = RemoteFile("no", server.serve("no", b"", failures=[403]))
    server.files["no"].before = lambda: wait_until(lambda: "slow" in server.paths())
    with pytest.raises(AccessDeniedError):
        quick_downloader(tmp_path, workers=2).fetch_all([slow, denied], "files")


def test_the_same_path_twice_is_fetched_once_and_refused_if_it_differs(server, tmp_path):
    file = RemoteFile("a.dat", server.serve("a.dat", CONTENT))
    assert quick_downloader(tmp_path).fetch_all([file, file], "files") == [tmp_path / "a.dat"] * 2
    assert len(server.asked) == 1
    with pytest.raises(
        DownloadError, match="a.dat: expected one file for it, found two that differ, .*/a.dat and .*/b"
    ):
        quick_downloader(tmp_path).fetch_all([file, RemoteFile("a.dat", f"{server.url}/b")], "files")


def test_threads_that_download_the_same_corpus_share_the_work(server, tmp_path):
    files = served_files(server, 100)
    threads = [
        threading.Thread(target=quick_downloader(tmp_path, workers=3).fetch_all, args=(files, "")) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(server.paths()) == [file.path for file in files]
    assert all(sha256((tmp_path / file.path).read_bytes()) == file.checksum for file in files)


@pytest.mark.parametrize("checksum", [None, sha256(CONTENT)])
def test_a_file_that_another_process_brought_meanwhile_is_taken(server, tmp_path, monkeypatch, checksum):
    file = RemoteFile("a.dat", f"{server.url}/a.dat", checksum=checksum)

    def other_process_was_first(root, path, stop):
        (root / path).write_bytes(CONTENT)
        VerifiedFiles(root).add(file)
        return file_lock(root, path, stop)

    monkeypatch.setattr(downloading, "file_lock", other_process_was_first)
    assert quick_downloader(tmp_path).fetch(file).read_bytes() == CONTENT
    assert server.asked == []


@pytest.mark.parametrize(("sizes_known", "shown"), [(True, "20.0k/20.0k"), (False, "2/2")])
def test_the_bar_counts_bytes_where_it_can_and_else_files(server, tmp_path, capsys, sizes_known, shown):
    urls = {name: server.serve(name, CONTENT, cut_after=[5000]) for name in ("a", "b")}
    files = [RemoteFile(name, url, size=len(CONTENT) if sizes_known else None) for name, url in urls.items()]
    quick_downloader(tmp_path, progress=True).fetch_all(files, "two files")
    last = capsys.readouterr().err.strip().split("\r")[-1]
    assert last.startswith("two files: 100%")
    assert shown in last


def test_nothing_is_shown_without_progress(server, tmp_path, capsys):
    quick_downloader(tmp_path).fetch(RemoteFile("a", server.serve("a", CONTENT)))
    assert capsys.readouterr().err == ""


def test_a_downloader_travels_to_other_processes(server, tmp_path):
    travelled = pickle.loads(pickle.dumps(quick_downloader(tmp_path)))
    assert travelled.fetch(RemoteFile("a", server.serve("a", CONTENT))).read_bytes() == CONTENT


def test_senseless_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected workers >= 1, .* found 0, 5, 30.0 and 1.0"):
        Downloader(tmp_path, workers=0)
