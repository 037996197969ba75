# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the Hub of the tests holds, and what is to go wrong with it."""

import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TOKEN = "hf_writerwriterwriterwriterwriter"


@dataclass(frozen=True)
class StoredFile:
    """A file of a commit."""

    content: bytes
    is_lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git_oid(self) -> str:
        return git_oid(self.content)

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.git_oid

    def described(self, path: str) -> dict[str, Any]:
        """As a tree lists it."""
        found = {"type": "file", "path": path, "size": len(self.content), "oid": self.git_oid}
        lfs = {"oid": self.sha256, "size": len(self.content), "pointerSize": 134}
        return {**found, "lfs": lfs} if self.is_lfs else found


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Commit:
    """A commit with all files that there are after it."""

    oid: str
    title: str
    files: dict[str, StoredFile]


@dataclass
class Repository:
    """Branches, each a list of commits from the first to the head; `is_gated` keeps everyone from the files."""

    is_private: bool = False
    is_gated: bool = False
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def commit(self, revision: str, title: str, files: dict[str, StoredFile]) -> Commit:
        history = self.branches[revision]
        text = f"{revision} {len(history)} {title} {sorted((path, file.etag) for path, file in files.items())}"
        history.append(Commit(hashlib.sha1(text.encode()).hexdigest(), title, files))
        return history[-1]

    def at(self, revision: str) -> Commit | None:
        if revision in self.branches:
            return self.branches[revision][-1]
        commits = (commit for history in self.branches.values() for commit in history)
        return next((commit for commit in commits if commit.oid == revision), None)


@dataclass
class Trouble:
    """What happens to the next `times` requests that match: an error `status`, a cut connection, or an `action`."""

    method: str
    pattern: str
    times: int
    status: int | None = None
    cut_after: int | None = None
    is_done_first: bool = False
    action: Callable[[], None] | None = None


@dataclass
class LocalHub:
    """
    The Hub's state, for tests to look at and to meddle with.

    Attributes:
        repositories (`dict`): By kind (`model`, `dataset`) and name.
        large (`dict[str, bytes]`): Files uploaded by LFS, by SHA-256.
        asked (`list[tuple[str, str, int]]`): Method, path and status of every request, cut ones with 0.
        troubles (`list[Trouble]`): What goes wrong next.
        tampered (`dict[str, bytes]`): Content that is sent instead of that of files of this name.
        writers (`set[str]`): Tokens that may do everything.
        quoted (`bool`): Whether wanted errors quote the request's token.
    """

    url: str
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    tampered: dict[str, bytes] = field(default_factory=dict)
    writers: set[str] = field(default_factory=lambda: {TOKEN})
    quoted: bool = False
    lock: Any = field(default_factory=threading.RLock)

    def create(self, repo: str, kind: str = "model", **options: Any) -> Repository:
        made = self.repositories[kind, repo] = Repository(**options)
        made.branches["main"] = []
        made.commit("main", "initial commit", {".gitattributes": StoredFile(b"*.safetensors filter=lfs\n", False)})
        return made

    def add(self, repo: str, files: dict[str, bytes], kind: str = "model") -> Commit:
        """Commits files past the client."""
        found = self.repositories.get((kind, repo)) or self.create(repo, kind)
        new = {path: StoredFile(content, path.endswith(".safetensors")) for path, content in files.items()}
        return found.commit("main", "by hand", {**found.at("main").files, **new})

    def files(self, repo: str, revision: str = "main", kind: str = "model") -> dict[str, bytes]:
        """Files of a revision without `.gitattributes`."""
        found = self.repositories[kind, repo].at(revision).files
        return {path: file.content for path, file in found.items() if path != ".gitattributes"}

    def titles(self, repo: str, revision: str = "main", kind: str = "model") -> list[str]:
        return [commit.title for commit in self.repositories[kind, repo].branches[revision]][1:]

    def fail(self, method: str, pattern: str, status: int, times: int = 1) -> None:
        self.troubles.append(Trouble(method, pattern, times, status=status))

    def cut(self, method: str, pattern: str, after: int = 0, times: int = 1, is_done_first: bool = False) -> None:
        """Cuts connections: before anything is done, or once it is done but not answered, or within an answer."""
        self.troubles.append(Trouble(method, pattern, times, cut_after=after, is_done_first=is_done_first))

    def first(self, method: str, pattern: str, action: Callable[[], None]) -> None:
        """Does something before the next such request is answered as ever."""
        self.troubles.append(Trouble(method, pattern, 1, action=action))

    def trouble(self, method: str, path: str) -> Trouble | None:
        with self.lock:
            for trouble in self.troubles:
                if trouble.times and trouble.method == method and re.search(trouble.pattern, path):
                    trouble.times -= 1
                    return trouble
        return None

    def requests(self, method: str, pattern: str) -> list[str]:
        return [path for asked, path, _ in self.asked if asked == method and re.search(pattern, path)]
