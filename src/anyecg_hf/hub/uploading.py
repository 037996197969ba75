# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One commit on the Hub: asked again where the connection fails, never made twice nor over somebody else's."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import huggingface_hub
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

from anyecg_hf.hub.hub_errors import HubError, innermost, is_broken_connection
from anyecg_hf.records import RecordError

_TRIES, _FIRST_WAIT_S = 4, 1.0

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Target:
    """Where a commit goes: a repository (`repo_type` is `model` or `dataset`) and a branch, `None` for the main one."""

    repo_id: str
    repo_type: str = "model"
    revision: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """As the client's methods take it."""
        return {} if self.revision is None else {"revision": self.revision}


@dataclass(frozen=True)
class Head:
    """What a branch holds: the hash of its last commit, and the paths of its files."""

    commit: str
    paths: tuple[str, ...]


def checked_token(token: str | bool | None) -> str | bool | None:
    """
    Refuses a token that cannot be sent: the client's own error would show it.

    Args:
        token (`str` or `bool`, *optional*): Of the Hub; by default, and with `True`, the one that is logged in; `False`
            sends none.

    Returns:
        `str`, `bool` or `None`: `token`.

    Raises:
        [`HubError`]: if it holds anything but visible ASCII signs.
    """
    if token is False:
        return token
    found = token if isinstance(token, str) else huggingface_hub.get_token()
    if found is not None and not (found and all("!" <= sign <= "~" for sign in found)):
        raise HubError(
            "the token of the Hub",
            "letters, digits and signs without blanks",
            "others (it is not shown)",
            "Copy it once more, or log in with `hf auth login`.",
        )
    return token


def refuse_token_in(files: Mapping[str, Path], token: str | bool | None) -> None:
    """Raises [`HubError`] if one of the files, by their path in the repository, holds the token that is used."""
    found = token if isinstance(token, str) else huggingface_hub.get_token()
    for path, source in files.items():
        if found and not path.endswith((".safetensors", ".parquet")) and found.encode() in source.read_bytes():
            raise HubError(
                path, "no token", f"one in {path!r} (it is not shown)", "Remove it: whoever reads it can act for you."
            )


def open_branch(api: HfApi, target: Target, private: bool | None, refusal: type[RecordError] = HubError) -> Head:
    """
    Finds the branch that a commit is to go to; makes repository and branch where they are not there.

    Args:
        api (`HfApi`): The client.
        target ([`Target`]): Where.
        private (`bool`, *optional*): Whether the repository must be private.
        refusal (`type[RecordError]`, *optional*): Raised if it is public and must not be.

    Returns:
        [`Head`]
    """
    # `None`, for an organisation may have decided that all of its repositories are private.
    options: dict[str, Any] = {"repo_type": target.repo_type, "private": private or None, "exist_ok": True}
    retrying(lambda: api.create_repo(target.repo_id, **options))
    found = retrying(lambda: _info(api, target.repo_id, target.repo_type))
    if private and not found.private:
        raise refusal(
            target.repo_id,
            f"a private {'dataset' if target.repo_type == 'dataset' else 'repository'}",
            "a public one of this name",
            "Make it private on the Hub, or choose another.",
        )
    if target.revision is not None:
        branch = {"repo_type": target.repo_type, "branch": target.revision, "exist_ok": True}
        retrying(lambda: api.create_branch(target.repo_id, **branch))
        found = retrying(lambda: _info(api, target.repo_id, target.repo_type, **target.options))
    return Head(found.sha, tuple(item.rfilename for item in found.siblings or ()))


def commit_files(
    api: HfApi, target: Target, head: Head, files: Mapping[str, Path], stale: Sequence[str], message: str
) -> CommitInfo:
    """
    Makes one commit on `head`. Large files that are on the Hub already, from an attempt that broke off for example, are
    not sent again. Where the answer to the commit is lost, it is asked whether it was made.

    Args:
        api (`HfApi`), target ([`Target`]), head ([`Head`]): Where.
        files (`Mapping[str, Path]`): Files by their path in the repository.
        stale (`Sequence[str]`): Paths to remove.
        message (`str`): Title of the commit.

    Returns:
        `CommitInfo`

    Raises:
        `HfHubHTTPError`, or an error of the connection: after some tries, or if somebody else's commit came first.
    """

    def attempt() -> CommitInfo:
        return api.create_commit(
            target.repo_id,
            repo_type=target.repo_type,
            operations=[
                *(CommitOperationDelete(path_in_repo=path) for path in stale),
                *(CommitOperationAdd(path, os.fspath(source)) for path, source in files.items()),
            ],
            commit_message=message,
            parent_commit=head.commit,
            **target.options,
        )

    for number in range(_TRIES):
        try:
            return attempt()
        except Exception as error:
            if number and _is_conflict(error) and (made := _made_already(api, target, files, stale, message)):
                return made
            if not _may_pass(error) or number == _TRIES - 1:
                raise
            _wait(number)
    raise RuntimeError("unreachable: the last attempt returns or raises")


def _made_already(
    api: HfApi, target: Target, files: Mapping[str, Path], stale: Sequence[str], message: str
) -> CommitInfo | None:
    """The last commit of the branch if it has exactly these files, as after a commit whose answer was lost."""
    info = retrying(lambda: _info(api, target.repo_id, target.repo_type, files_metadata=True, **target.options))
    found = {item.rfilename: item.lfs.sha256 if item.lfs else item.blob_id for item in info.siblings or ()}
    has_all = all(found.get(path) in file_digests(source) for path, source in files.items())
    if not has_all or any(path in found for path in stale):
        return None
    prefix = "datasets/" if target.repo_type == "dataset" else ""
    url = f"{api.endpoint}/{prefix}{target.repo_id}/commit/{info.sha}"
    return CommitInfo(commit_url=url, commit_message=message, commit_description="", oid=info.sha)


def _info(api: HfApi, repo_id: str, repo_type: str, **options: Any) -> Any:
    return (api.dataset_info if repo_type == "dataset" else api.model_info)(repo_id, **options)


def file_digests(path: Path) -> tuple[str, str]:
    """SHA-256 of a file, and its hash as a git blob: the two by which the Hub knows files, in hexadecimal."""
    sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
            blob.update(block)
    return sha256.hexdigest(), blob.hexdigest()


def retrying(ask: Callable[[], Answer]) -> Answer:
    """Asks again, a few times, while the Hub has trouble of its own; only for what may be asked twice."""
    for number in range(_TRIES - 1):
        try:
            return ask()
        except Exception as error:
            if not _may_pass(error):
                raise
            _wait(number)
    return ask()


def _wait(number: int) -> None:
    time.sleep(_FIRST_WAIT_S * 2**number)


def _may_pass(error: Exception) -> bool:
    error = innermost(error)
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return is_broken_connection(error)


def _is_conflict(error: Exception) -> bool:
    return isinstance(error, HfHubHTTPError) and error.response.status_code in (409, 412)


__all__ = [
    "Head",
    "Target",
    "checked_token",
    "commit_files",
    "file_digests",
    "open_branch",
    "refuse_token_in",
    "retrying",
]
