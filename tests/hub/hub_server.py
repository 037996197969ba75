# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A Hub on this machine for the real client: repositories in memory, served well or badly, and every request kept."""

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.hub_state import Commit, LocalHub, Repository, StoredFile

USER = "alice"
_LFS_FROM_BYTES = 100_000
_REPO = r"(?P<repo>[^/]+/[^/]+)"


class _Refused(Exception):
    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        self.cut_after = None
        trouble = self.hub.trouble(self.command, path)
        if trouble and trouble.status:
            told = self.headers.get("Authorization", "") if self.hub.quoted else ""
            body = json.dumps({"error": f"wanted by the test {told}"}).encode()
            return self._send(trouble.status, body)
        if trouble and trouble.action:
            trouble.action()
        elif trouble and not trouble.cut_after and not trouble.is_done_first:
            return self._hang_up(path)
        elif trouble and trouble.cut_after:
            self.cut_after = trouble.cut_after
        try:
            answer = self._answer(path, parse_qs(urlsplit(self.path).query), body)
        except _Refused as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": str(error)} if error.code else {}
            return self._send(error.status, json.dumps({"error": str(error)}).encode(), headers)
        if trouble and trouble.is_done_first:
            return self._hang_up(path)
        if answer is not None:
            self._send(200, json.dumps(answer).encode())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _hang_up(self, path: str) -> None:
        self.hub.asked.append((self.command, path, 0))
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        path = unquote(urlsplit(self.path).path)
        with suppress(OSError):  # a client that has left
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.cut_after is not None:
                self.wfile.write(content[: self.cut_after])
                self.wfile.flush()
                return self._hang_up(path)
            self.hub.asked.append((self.command, path, status))
            if self.command != "HEAD":
                self.wfile.write(content)

    def _answer(self, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        for method, pattern, name in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                parts = {
                    name: value for name, value in found.groupdict().items() if value is not None or name == "kind"
                }
                if "kind" in parts:
                    parts["kind"] = (parts["kind"] or "models").rstrip("/").removesuffix("s")
                return getattr(self, name)(query=query, body=body, **parts)
        raise _Refused(404, f"no such endpoint: {self.command} {path}")

    @property
    def _is_known(self) -> bool:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") in self.hub.writers

    def _need_token(self) -> None:
        if not self._is_known:
            raise _Refused(401, "Invalid username or password.")

    def _repository(self, kind: str, repo: str) -> Repository:
        found = self.hub.repositories.get((kind, repo))
        if found is None or (found.is_private and not self._is_known):
            raise _Refused(404 if self._is_known else 401, "Repository not found", "RepoNotFound")
        return found

    def _commit_at(self, kind: str, repo: str, revision: str) -> Commit:
        found = self._repository(kind, repo).at(revision)
        if found is None:
            raise _Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def whoami(self, **_: Any) -> dict[str, Any]:
        self._need_token()
        return {"type": "user", "name": USER, "orgs": [{"name": "org"}]}

    def validate_yaml(self, **_: Any) -> dict[str, Any]:
        return {"errors": [], "warnings": []}

    def create_repository(self, body: bytes, **_: Any) -> dict[str, str] | None:
        self._need_token()
        wanted = json.loads(body)
        name = f"{wanted.get('organization') or USER}/{wanted['name']}"
        kind = wanted.get("type", "model")
        if wanted.get("organization") == "forbidden":
            raise _Refused(403, "You don't have the rights to create a model under this namespace")
        answer = {"url": f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"}
        with self.hub.lock:
            if (kind, name) in self.hub.repositories:
                return self._send(409, json.dumps({**answer, "error": "You already created this repo"}).encode())
            self.hub.create(name, kind, is_private=wanted.get("visibility") == "private")
        return answer

    def preupload(self, kind: str, repo: str, revision: str, body: bytes, **_: Any) -> dict[str, Any]:
        self._need_token()
        files = self._commit_at(kind, repo, revision).files
        modes = []
        for file in json.loads(body)["files"]:
            is_large = file["size"] > _LFS_FROM_BYTES or file["path"].endswith(".safetensors")
            known = files.get(file["path"])
            mode = {"uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
            modes.append({"path": file["path"], "oid": known.etag if known else None, **mode})
        return {"files": modes}

    def lfs_batch(self, body: bytes, **_: Any) -> dict[str, Any]:
        self._need_token()
        objects = []
        for wanted in json.loads(body)["objects"]:
            upload = {"href": f"{self.hub.url}/lfs/{wanted['oid']}"}
            verify = {"href": f"{self.hub.url}/lfs-verify"}
            actions = {"actions": {"upload": upload, "verify": verify}}
            objects.append({**wanted, **({} if wanted["oid"] in self.hub.large else actions)})
        return {"transfer": "basic", "objects": objects}

    def lfs_upload(self, oid: str, body: bytes, **_: Any) -> dict[str, Any]:
        if hashlib.sha256(body).hexdigest() != oid:
            raise _Refused(400, "the content is not that of the hash")
        self.hub.large[oid] = body
        return {}

    def lfs_verify(self, body: bytes, **_: Any) -> dict[str, Any]:
        wanted = json.loads(body)
        if len(self.hub.large.get(wanted["oid"], b"")) != wanted["size"]:
            raise _Refused(404, "no such object")
        return {}

    def commit(self, kind: str, repo: str, revision: str, body: bytes, **_: Any) -> dict[str, Any]:
        self._need_token()
        lines = [json.loads(line) for line in body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        with self.hub.lock:
            head = self._commit_at(kind, repo, revision)
            if header.get("parentCommit") not in (None, head.oid):
                raise _Refused(412, "A commit has happened since. Please refresh and try again.")
            files = dict(head.files)
            for line in lines:
                self._apply(files, line["key"], line["value"])
            made = self._repository(kind, repo).commit(revision, header["summary"], files)
        return {"commitUrl": f"{self.hub.url}/{repo}/commit/{made.oid}", "commitOid": made.oid}

    def _apply(self, files: dict[str, StoredFile], key: str, value: dict[str, Any]) -> None:
        if key == "file":
            files[value["path"]] = StoredFile(base64.b64decode(value["content"]), False)
        elif key == "lfsFile":
            if value["oid"] not in self.hub.large:
                raise _Refused(400, f"{value['path']} was not uploaded")
            files[value["path"]] = StoredFile(self.hub.large[value["oid"]], True)
        elif key == "deletedFile":
            del files[value["path"]]

    def branch(self, kind: str, repo: str, revision: str, body: bytes, **_: Any) -> dict[str, Any]:
        self._need_token()
        found = self._repository(kind, repo)
        if revision in found.branches:
            raise _Refused(409, "Reference already exists")
        start = json.loads(body or b"{}").get("startingPoint") or "main"
        history = found.branches["main"]
        found.branches[revision] = history[: history.index(self._commit_at(kind, repo, start)) + 1]
        return {}

    def info(self, kind: str, repo: str, query: dict, revision: str | None = None, **_: Any) -> dict[str, Any]:
        found, at = self._repository(kind, repo), self._commit_at(kind, repo, revision or "main")
        siblings: list[dict[str, Any]] = [{"rfilename": path} for path in at.files]
        if query.get("blobs"):
            for entry in siblings:
                described = at.files[entry["rfilename"]].described(entry["rfilename"])
                entry |= {"size": described["size"], "blobId": described["oid"]}
                if "lfs" in described:
                    entry["lfs"] = {"sha256": described["lfs"]["oid"], **described["lfs"]}
        gated = "manual" if found.is_gated else False
        facts = {"id": repo, "sha": at.oid, "private": found.is_private, "gated": gated, "tags": [], "disabled": False}
        return {**facts, "downloads": 0, "likes": 0, "siblings": siblings}

    def tree(self, kind: str, repo: str, revision: str, query: dict, folder: str = "", **_: Any) -> list[dict]:
        files = self._commit_at(kind, repo, revision).files
        start = f"{folder}/" if folder else ""
        inside = {path: file for path, file in files.items() if path.startswith(start)}
        if not inside:
            raise _Refused(404, f"no such folder: {folder}", "EntryNotFound")
        if query.get("recursive", [""])[0].lower() == "true":
            return [file.described(path) for path, file in inside.items()]
        direct = [file.described(path) for path, file in inside.items() if "/" not in path.removeprefix(start)]
        nested = {start + path.removeprefix(start).split("/")[0] for path in inside if "/" in path.removeprefix(start)}
        return direct + [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(nested)]

    def paths_info(self, kind: str, repo: str, revision: str, body: bytes, **_: Any) -> list[dict[str, Any]]:
        files = self._commit_at(kind, repo, revision).files
        text = body.decode()
        wanted = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text).get("paths", [])
        return [files[path].described(path) for path in wanted if path in files]

    def refs(self, kind: str, repo: str, **_: Any) -> dict[str, Any]:
        branches = self._repository(kind, repo).branches
        listed = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": history[-1].oid}
            for name, history in branches.items()
        ]
        return {"branches": listed, "converts": [], "tags": []}

    def resolve(self, kind: str, repo: str, revision: str, file: str, **_: Any) -> None:
        if self._repository(kind, repo).is_gated:
            raise _Refused(403, f"Access to model {repo} is restricted.", "GatedRepo")
        at = self._commit_at(kind, repo, revision)
        headers = {"X-Repo-Commit": at.oid, "Accept-Ranges": "bytes"}
        if file not in at.files:
            return self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        stored = at.files[file]
        headers["ETag"] = f'"{stored.etag}"'
        if stored.is_lfs:
            headers |= {"X-Linked-Etag": f'"{stored.etag}"', "X-Linked-Size": str(len(stored.content))}
        content = self.hub.tampered.get(file, stored.content)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self._send(200, content, headers)
        first, last = int(asked[1]), int(asked[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return self._send(206, content[first : last + 1], headers)


_API = rf"/api/(?P<kind>models|datasets)/{_REPO}"
_FILES = rf"/(?P<kind>datasets/)?{_REPO}"
_ROUTES = (
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("POST", r"/api/repos/create", "create_repository"),
    ("POST", rf"{_API}/preupload/(?P<revision>.+)", "preupload"),
    ("POST", rf"{_FILES}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_upload"),
    ("POST", r"/lfs-verify", "lfs_verify"),
    ("POST", rf"{_API}/commit/(?P<revision>.+)", "commit"),
    ("POST", rf"{_API}/branch/(?P<revision>.+)", "branch"),
    ("GET", rf"{_API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.*))?", "tree"),
    ("POST", rf"{_API}/paths-info/(?P<revision>[^/]+)", "paths_info"),
    ("GET", rf"{_API}/refs", "refs"),
    ("GET", rf"{_API}(?:/revision/(?P<revision>.+))?", "info"),
    (("GET", "HEAD"), rf"{_FILES}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", "resolve"),
)


@contextmanager
def running_hub() -> Iterator[LocalHub]:
    """An empty Hub on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = LocalHub(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"hub": hub})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
