# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A web server on this machine that serves a corpus, well or badly, and remembers what it was asked for."""

import hashlib
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from anyecg_hf.corpora.downloads.downloading import Downloader

LAST_MODIFIED = "Wed, 01 Jan 2020 00:00:00 GMT"


@dataclass
class Served:
    """
    What lies at a path, and how it is handed out.

    Attributes:
        content (`bytes`): The file.
        failures (`list[int]`): Statuses of the first answers.
        headers (`dict[str, str]`): Added to every answer.
        cut_after (`list[int]`): After so many bytes the first connections break.
        stall_after (`list[int]`): After so many bytes the first connections stop without breaking.
        has_etag, has_date (`bool`): Whether answers have an ETag and a date of change.
        ignores_range (`bool`): Whether all of it is sent whatever was asked for.
        ignores_if_range (`bool`): Whether a range is sent although the file has changed.
        is_chunked (`bool`): Whether the answer has no length, but chunks.
        has_length (`bool`): Whether the answer has a length or chunks at all.
        before (`Callable`, *optional*): Called before each answer.
    """

    content: bytes
    failures: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    stall_after: list[int] = field(default_factory=list)
    has_etag: bool = True
    has_date: bool = True
    ignores_range: bool = False
    ignores_if_range: bool = False
    is_chunked: bool = False
    has_length: bool = True
    before: Callable[[], None] | None = None

    def validators(self) -> dict[str, str]:
        etag = {"ETag": f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'} if self.has_etag else {}
        return etag | ({"Last-Modified": LAST_MODIFIED} if self.has_date else {})


@dataclass(frozen=True)
class Asked:
    """One request: path without quoting, headers, status of the answer, and how many bytes of content it sent."""

    path: str
    headers: dict[str, str]
    status: int
    n_bytes: int


class CorpusServer:
    """Serves on 127.0.0.1 while its context lasts."""

    def __init__(self):
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.corpus = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "CorpusServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, path: str, content: bytes | str, **behaviour) -> str:
        """Puts a file at a path and returns its URL."""
        self.files[path] = Served(content.encode() if isinstance(content, str) else content, **behaviour)
        return f"{self.url}/{quote(path)}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


def quick_downloader(root: Path, **settings) -> Downloader:
    """A downloader that does not wait for long between connections."""
    return Downloader(root, **{"timeout_s": 5.0, "retries": 2, "backoff_s": 0.001, "progress": False, **settings})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        # Clients that give up are what some tests are about.
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        corpus: CorpusServer = self.server.corpus
        path = unquote(self.path.lstrip("/"))
        served = corpus.files.get(path) or corpus.files.get(path.partition("?")[0]) or Served(b"", failures=[404])
        if served.before:
            served.before()
        if served.failures:
            status, content, headers = served.failures.pop(0), b"no", served.headers
            served = Served(content)
        else:
            status, content, headers = self._answer(served)
        stalls = bool(served.stall_after) and not served.cut_after
        stops = served.cut_after or served.stall_after
        n_bytes = min(stops.pop(0), len(content)) if stops else len(content)
        corpus.asked.append(Asked(path, dict(self.headers.items()), status, n_bytes))
        self._send(status, content, headers, served, n_bytes)
        if stalls:
            corpus.closing.wait(10)
        if n_bytes < len(content) or not served.has_length:
            self.close_connection = True

    def _answer(self, served: Served) -> tuple[int, bytes, dict[str, str]]:
        headers = served.validators() | served.headers
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if_range = self.headers.get("If-Range")
        is_same = served.ignores_if_range or if_range is None or if_range in served.validators().values()
        if not asked or served.ignores_range or not is_same:
            return 200, served.content, headers
        start, total = int(asked[1]), len(served.content)
        if start >= total:
            return 416, b"", {"Content-Range": f"bytes */{total}"}
        return 206, served.content[start:], headers | {"Content-Range": f"bytes {start}-{total - 1}/{total}"}

    def _send(self, status: int, content: bytes, headers: dict[str, str], served: Served, n_bytes: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if served.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif served.has_length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        body = content[:n_bytes]
        if served.is_chunked:
            chunks = [body[start : start + 1000] for start in range(0, n_bytes, 1000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
            body += b"0\r\n\r\n" if n_bytes == len(content) else b""
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_) -> None:
        pass


__all__ = ["LAST_MODIFIED", "Asked", "CorpusServer", "Served", "quick_downloader"]
