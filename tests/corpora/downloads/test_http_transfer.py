# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One file over many connections: what is asked for again, what is never spliced, whom secrets are told."""

import hashlib
import io
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from tests.corpora.downloads.corpus_server import LAST_MODIFIED, CorpusServer

from anyecg_hf.corpora.downloads.download_errors import AccessDeniedError, DownloadError, StoppedError
from anyecg_hf.corpora.downloads.http_transfer import Transfer, open_session
from anyecg_hf.corpora.downloads.remote_files import Checksum, RemoteFile

CONTENT = bytes(range(256)) * 40
CHANGED = CONTENT[::-1]
SHA256 = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())


class Pauses(threading.Event):
    """Does not wait, but remembers for how long it should have."""

    def __init__(self):
        super().__init__()
        self.pauses_s: list[float] = []

    def wait(self, timeout=None):
        self.pauses_s.append(timeout)
        return False


@pytest.fixture
def server():
    with CorpusServer() as server:
        yield server


def transfer(stop: threading.Event | None = None, **settings) -> Transfer:
    defaults = {"retries": 5, "timeout_s": 5.0, "backoff_s": 1.0, "auth": None}
    return Transfer(open_session(1), **{**defaults, **settings}, stop=stop or Pauses())


def fetch(file: RemoteFile, tmp_path, **settings) -> bytes:
    changes: list[int] = []
    transfer(**settings).run(file, tmp_path / file.path, changes.append)
    content = (tmp_path / file.path).read_bytes()
    assert sum(changes) == len(content)
    assert [path.name for path in tmp_path.iterdir()] == [file.path]
    return content


def ranges(server: CorpusServer) -> list[str | None]:
    return [asked.headers.get("Range") for asked in server.asked]


def begin(server: CorpusServer, tmp_path, n_bytes: int, checksum: Checksum | None = None, **behaviour) -> RemoteFile:
    """A file of which a run before this one got `n_bytes`."""
    file = RemoteFile("a", server.serve("a", CONTENT, cut_after=[n_bytes], **behaviour), checksum=checksum)
    with pytest.raises(DownloadError, match="a broken connection"):
        transfer(retries=-1).run(file, tmp_path / "a", lambda n_bytes: None)
    assert (tmp_path / "a.part").read_bytes() == CONTENT[:n_bytes]
    server.asked.clear()
    return file


def test_after_a_cut_only_the_missing_bytes_are_asked_for(server, tmp_path):
    file = RemoteFile("a", server.serve("a", CONTENT, cut_after=[1000, 500]), checksum=SHA256)
    assert fetch(file, tmp_path) == CONTENT
    assert ranges(server) == [None, "bytes=1000-", "bytes=1500-"]
    assert [asked.n_bytes for asked in server.asked] == [1000, 500, len(CONTENT) - 1500]
    assert server.asked[1].headers["If-Range"] == server.files["a"].validators()["ETag"]


def test_a_server_that_stalls_is_left_and_asked_for_the_rest(server, tmp_path):
    file = RemoteFile("a", server.serve("a", CONTENT, stall_after=[1000]), checksum=SHA256)
    assert fetch(file, tmp_path, timeout_s=0.2) == CONTENT
    assert ranges(server) == [None, "bytes=1000-"]


def test_connections_that_bring_something_are_not_counted_as_failures(server, tmp_path):
    file = RemoteFile("a", server.serve("a", CONTENT, cut_after=[100] * 20), checksum=SHA256)
    assert fetch(file, tmp_path, retries=1) == CONTENT
    assert len(server.asked) == 21


def test_a_server_that_always_starts_over_and_breaks_is_given_up(server, tmp_path):
    file = RemoteFile("a", server.serve("a", CONTENT, cut_after=[100] * 20, ignores_range=True))
    with pytest.raises(DownloadError, match="expected an answer with all bytes, found a broken connection .*, 3 times"):
        fetch(file, tmp_path, retries=2)
    assert len(server.asked) == 3
    assert not (tmp_path / "a").exists()


def test_a_later_run_goes_on_where_an_earlier_one_ended(server, tmp_path):
    file = begin(server, tmp_path, 4000)
    assert fetch(file, tmp_path) == CONTENT
    assert ranges(server) == ["bytes=4000-"]


def test_a_complete_part_that_was_not_renamed_is_not_asked_for(server, tmp_path):
    file = begin(server, tmp_path, 4000)
    (tmp_path / "a.part").write_bytes(CONTENT)
    assert fetch(file, tmp_path) == CONTENT
    assert server.asked == []


@pytest.mark.parametrize("checksum", [None, SHA256])
def test_a_server_that_ignores_ranges_is_read_from_the_start(server, tmp_path, checksum):
    file = begin(server, tmp_path, 4000, checksum, ignores_range=True)
    assert fetch(file, tmp_path) == CONTENT
    assert [(asked.status, asked.n_bytes) for asked in server.asked] == [(200, len(CONTENT))]


def test_a_part_without_a_note_of_its_origin_is_not_used(server, tmp_path):
    (tmp_path / "a.part").write_bytes(b"?" * 100)
    (tmp_path / "a.part.json").write_text('{"url": ')
    assert fetch(RemoteFile("a", server.serve("a", CONTENT)), tmp_path) == CONTENT
    assert ranges(server) == [None]


def test_a_part_from_another_url_is_not_used(server, tmp_path):
    begin(server, tmp_path, 4000)
    assert fetch(RemoteFile("a", server.serve("b", CHANGED)), tmp_path) == CHANGED
    assert ranges(server) == [None]


@pytest.mark.parametrize(
    "behaviour",
    [{}, {"ignores_if_range": True}, {"has_date": False}, {"ignores_if_range": True, "has_date": False}],
)
@pytest.mark.parametrize("changed", [CHANGED, CHANGED + b"more", CHANGED[:5000], CHANGED[:100]])
def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(server, tmp_path, behaviour, changed):
    file = begin(server, tmp_path, 4000, **behaviour)
    server.files["a"].content = changed
    assert fetch(file, tmp_path) == changed
    assert server.asked[-1].n_bytes == len(changed)


def test_another_length_is_another_version_where_nothing_else_tells(server, tmp_path):
    file = begin(server, tmp_path, 4000)
    changed = CHANGED + b"more"
    server.serve("a", changed, has_etag=False, has_date=False, ignores_if_range=True)
    assert fetch(file, tmp_path) == changed
    assert ranges(server) == ["bytes=4000-", None]


def test_a_transfer_stops_between_two_pieces_and_keeps_what_came(server, tmp_path):
    long = CONTENT * 400
    file, stop = RemoteFile("a", server.serve("a", long)), threading.Event()
    with pytest.raises(StoppedError):
        transfer(stop=stop).run(file, tmp_path / "a", lambda n_bytes: stop.set() if n_bytes else None)
    assert 0 < (tmp_path / "a.part").stat().st_size < len(long)
    assert not (tmp_path / "a").exists()
    assert fetch(file, tmp_path) == long


def test_without_a_strong_etag_the_date_of_change_decides(server, tmp_path):
    file = begin(server, tmp_path, 4000, has_etag=False)
    assert fetch(file, tmp_path) == CONTENT
    assert server.asked[0].headers["If-Range"] == LAST_MODIFIED
    (tmp_path / "a").unlink()
    file = begin(server, tmp_path, 4000, has_etag=False, headers={"ETag": 'W/"1"'})
    assert fetch(file, tmp_path) == CONTENT
    assert server.asked[0].headers["If-Range"] == LAST_MODIFIED


def test_without_etag_and_date_only_a_checksum_allows_to_go_on(server, tmp_path):
    file = begin(server, tmp_path, 4000, has_etag=False, has_date=False)
    assert fetch(file, tmp_path) == CONTENT
    assert ranges(server) == [None]
    (tmp_path / "a").unlink()
    file = begin(server, tmp_path, 4000, SHA256, has_etag=False, has_date=False)
    assert fetch(file, tmp_path) == CONTENT
    assert ranges(server) == ["bytes=4000-"]


def test_a_splice_that_nothing_could_prevent_is_found_by_its_checksum(server, tmp_path, caplog):
    file = begin(server, tmp_path, 4000, SHA256, has_etag=False, has_date=False)
    (tmp_path / "a.part").write_bytes(b"?" * 4000)
    assert fetch(file, tmp_path) == CONTENT
    assert ranges(server) == ["bytes=4000-", None]
    assert f"expected {SHA256}, found sha256:" in caplog.text


@pytest.mark.parametrize("status", [202, 408, 429, 500, 502, 503, 504])
def test_passing_trouble_of_a_server_is_waited_out(server, tmp_path, status):
    stop = Pauses()
    assert fetch(RemoteFile("a", server.serve("a", CONTENT, failures=[status])), tmp_path, stop=stop) == CONTENT
    assert len(stop.pauses_s) == 1


def test_pauses_double_up_to_a_minute(server, tmp_path):
    stop = Pauses()
    file = RemoteFile("a", server.serve("a", CONTENT, failures=[503] * 9))
    assert fetch(file, tmp_path, stop=stop, retries=9) == CONTENT
    bounds_s = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(stop.pauses_s, bounds_s, strict=True))


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_that_says_when_to_come_again_is_obeyed(server, tmp_path, as_date):
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True) if as_date else "90"
    stop = Pauses()
    server.serve("a", CONTENT, failures=[429, 503], headers={"Retry-After": when})
    assert fetch(RemoteFile("a", f"{server.url}/a"), tmp_path, stop=stop) == CONTENT
    assert stop.pauses_s == pytest.approx([90, 90], abs=20)


def test_a_server_that_wants_to_be_left_alone_for_long_is_an_error(server, tmp_path):
    file = RemoteFile("a", server.serve("a", CONTENT, failures=[429], headers={"Retry-After": "7200"}))
    with pytest.raises(DownloadError, match="found 429 Too Many Requests for 7200 s. Run again later"):
        fetch(file, tmp_path)


def test_trouble_that_does_not_pass_is_an_error_that_names_it(server, tmp_path):
    file = RemoteFile("a", server.serve("a", CONTENT, failures=[503] * 9))
    with pytest.raises(DownloadError) as error:
        fetch(file, tmp_path, retries=2)
    assert str(error.value) == (
        f"{file.url}: expected an answer with all bytes, found 503 Service Unavailable, 3 times in a row. "
        "Run again later: what was fetched is kept."
    )


def test_a_machine_that_does_not_answer_is_an_error_that_names_it(tmp_path):
    with CorpusServer() as server:
        url = f"{server.url}/a"
    with pytest.raises(DownloadError, match="/a: expected an answer with all bytes, found no answer .*refused.*2 t"):
        fetch(RemoteFile("a", url), tmp_path, retries=1)


def test_other_refusals_are_errors_at_once(server, tmp_path):
    with pytest.raises(DownloadError, match="expected the file, found 400 Bad Request"):
        fetch(RemoteFile("a", server.serve("a", CONTENT, failures=[400])), tmp_path)
    assert len(server.asked) == 1


def test_an_encoded_answer_is_taken_as_it_is_only_where_a_checksum_can_tell(server, tmp_path):
    url = server.serve("a", CONTENT, headers={"Content-Encoding": "gzip"})
    assert fetch(RemoteFile("a", url, checksum=SHA256), tmp_path) == CONTENT
    with pytest.raises(DownloadError, match="expected the file as it is, found it encoded by gzip"):
        fetch(RemoteFile("a", url), tmp_path)
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


def test_an_answer_without_an_end_is_taken_only_where_a_cut_would_be_seen(server, tmp_path):
    url = server.serve("a", CONTENT, has_length=False)
    with pytest.raises(DownloadError, match="expected a length or a checksum, found neither. A cut connection would"):
        fetch(RemoteFile("a", url), tmp_path)
    assert fetch(RemoteFile("a", url, checksum=SHA256), tmp_path) == CONTENT
    (tmp_path / "a").unlink()
    server.files["a"].cut_after = [100]
    assert fetch(RemoteFile("a", url, size=len(CONTENT)), tmp_path) == CONTENT


def test_redirects_are_followed_and_cookies_are_not_kept(server, tmp_path):
    url = server.serve("a", CONTENT, cut_after=[100], headers={"Set-Cookie": "visitor=1"})
    server.serve("b", b"", failures=[302] * 2, headers={"Location": url, "Set-Cookie": "visitor=1"})
    assert fetch(RemoteFile("a", f"{server.url}/b"), tmp_path) == CONTENT
    assert server.paths() == ["b", "a", "b", "a"]
    assert "Cookie" not in server.asked[2].headers


@pytest.mark.parametrize("target", ["http://physionet.org/b", "http://example.org/b", "ftp://physionet.org/b"])
def test_no_redirect_leads_away_from_https(target):
    response = requests.Response()
    response.status_code, response.url, response.headers["Location"] = 302, "https://physionet.org/a", target
    with pytest.raises(DownloadError, match="https://physionet.org/a: expected redirects to https only, found one to"):
        open_session(1).get_redirect_target(response)
    for safe in ("https://example.org/b", "/b", "//example.org/b"):
        response.headers["Location"] = safe
        assert open_session(1).get_redirect_target(response) == safe


def test_a_server_that_cannot_prove_itself_is_an_error_at_once(tmp_path, monkeypatch):
    stop = Pauses()
    untrusted = requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")
    monkeypatch.setattr(requests.Session, "send", raising(untrusted))
    with pytest.raises(DownloadError, match="expected a certificate that this machine trusts, .*REQUESTS_CA_BUNDLE"):
        fetch(RemoteFile("a", "https://example.org/a"), tmp_path, stop=stop)
    assert stop.pauses_s == []


def test_other_trouble_with_encryption_may_pass(server, tmp_path):
    stop = Pauses()
    with pytest.raises(DownloadError, match="expected an answer with all bytes, found no answer .*SSL.*, 3 times"):
        fetch(RemoteFile("a", f"https{server.url.removeprefix('http')}/a"), tmp_path, stop=stop, retries=2)
    assert len(stop.pauses_s) == 2


def raising(error: Exception):
    def refuse(*_, **__):
        raise error

    return refuse


def test_a_password_goes_to_physionet_only_and_only_encrypted(server, tmp_path, monkeypatch):
    sent: dict[str, str | None] = {}

    def remember(session, request, **_):
        sent[request.url] = request.headers.get("Authorization")
        raise requests.URLRequired("not sent in this test")

    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(requests.Session, "send", remember)
    for url in ("https://physionet.org/a", "http://physionet.org/a", "https://example.org/a", "http://127.0.0.1/a"):
        with pytest.raises(DownloadError):
            transfer(auth=("me", "secret")).run(RemoteFile("a", url), tmp_path / "a", lambda n_bytes: None)
    assert sent["https://physionet.org/a"].startswith("Basic ")
    assert list(sent.values())[1:] == [None, None, None]


def test_denied_access_to_physionet_says_what_to_obtain(monkeypatch, tmp_path):
    response = requests.Response()
    response.raw = io.BytesIO()
    response.status_code, response.reason = 403, "Forbidden"
    monkeypatch.setattr(requests.Session, "send", lambda *_, **__: response)
    with pytest.raises(
        AccessDeniedError, match="expected open access, found 403 Forbidden. This is credentialed access"
    ) as error:
        fetch(RemoteFile("a", "https://physionet.org/files/mimiciv/3.1/a"), tmp_path)
    assert "signed data use agreement" in str(error.value)
    assert "`wget -r -N -c -np --user NAME --ask-password URL`" in str(error.value)
