# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint or an adapter comes from the Hub: no pickles, no names that lead astray, every byte as it was pushed."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.utils import validate_repo_id

from anyecg_hf.hub.file_checks import refuse_odd_names, refuse_pickle_content, refuse_pickle_names
from anyecg_hf.hub.hub_errors import HubError, hub_errors_explained
from anyecg_hf.hub.uploading import checked_token, file_digests, retrying


@dataclass(frozen=True)
class PulledRepository:
    """
    What came from the Hub.

    Attributes:
        repo_id (`str`): The repository.
        commit (`str`): Hash of the commit that these are the files of: pass it as `revision` to get them again.
        folder (`Path`): Where they lie; pass it to any `from_pretrained`.
        files (`tuple[str, ...]`): Their paths.
    """

    repo_id: str
    commit: str
    folder: Path
    files: tuple[str, ...]


def pull_from_hub(
    repo_id: str,
    folder: str | os.PathLike | None = None,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
) -> PulledRepository:
    """
    Fetches a checkpoint or an adapter, whole and of one commit. Names are checked before anything is fetched, contents
    against the Hub's hashes after it. What the cache holds is not fetched again, and suffices where the Hub cannot be
    reached on purpose (`HF_HUB_OFFLINE`). No code of the repository runs.

    Args:
        repo_id (`str`):
            The repository, for example `org/anyecg-xl`.
        folder (`str` or `os.PathLike`, *optional*):
            Where copies are put, which must be empty or not there; by default the files stay in the cache.
        revision (`str`, *optional*):
            Branch, tag or hash of a commit; by default the main branch.
        token (`str` or `bool`, *optional*):
            Of the Hub; by default, and with `True`, the one that is logged in; `False` sends none.

    Returns:
        [`PulledRepository`]

    Raises:
        [`HubError`]: if there is no such repository or revision, if it may not be read, holds a pickle, a name that
            leads out of the folder or a file that is not what was pushed, or if the connection breaks.
        `FileExistsError`: if `folder` is not empty.
    """
    with hub_errors_explained(repo_id, revision):
        validate_repo_id(repo_id)
    target = None if folder is None else Path(folder)
    if target is not None and (target.is_file() or (target.is_dir() and any(target.iterdir()))):
        raise FileExistsError(f"expected a folder that is empty or not there, found {target}: choose another.")
    if revision is not None:
        refuse_odd_names(f"{repo_id}, revision", [revision])
    token = checked_token(token)
    with hub_errors_explained(repo_id, revision):
        snapshot, hashes = _fetch(repo_id, revision, token)
    names = _checked(repo_id, snapshot, hashes)
    _remember(snapshot, revision or "main")
    if target is not None:
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(snapshot / name, target / name)
    return PulledRepository(repo_id, snapshot.name, snapshot if target is None else target, tuple(names))


def _fetch(repo_id: str, revision: str | None, token: str | bool | None) -> tuple[Path, dict[str, str]]:
    """The cache's folder of the commit, and the hash of every file as far as the Hub was asked."""
    if constants.is_offline_mode():
        return Path(snapshot_download(repo_id, revision=revision, local_files_only=True)), {}
    info = retrying(lambda: HfApi(token=token).model_info(repo_id, revision=revision, files_metadata=True))
    hashes = {item.rfilename: _hash_of(item) for item in info.siblings or ()}
    refuse_odd_names(repo_id, hashes)
    refuse_pickle_names(repo_id, hashes)
    # A branch may move meanwhile; a commit cannot.
    pinned = {"revision": info.sha, "token": token}
    folder = retrying(lambda: snapshot_download(repo_id, **pinned))
    return Path(folder), hashes


def _remember(snapshot: Path, revision: str) -> None:
    """
    Notes in the cache which commit the revision is, as the client does where it is given a name: `from_pretrained` and
    `pull_from_hub` find it there when they are offline. Only what was checked gets a name.
    """
    if revision == snapshot.name or constants.is_offline_mode():
        return
    note = snapshot.parents[1] / "refs" / revision
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(snapshot.name, encoding="utf-8")


def _hash_of(item: Any) -> str:
    return item.lfs.sha256 if item.lfs else item.blob_id


def _checked(repo_id: str, snapshot: Path, hashes: Mapping[str, str]) -> list[str]:
    paths = {path.relative_to(snapshot).as_posix(): path for path in snapshot.rglob("*") if not path.is_dir()}
    refuse_odd_names(repo_id, paths)
    refuse_pickle_names(repo_id, paths)
    for name, path in paths.items():
        # The cache names what it keeps by its hash, and links to it.
        expected = hashes.get(name) or (path.resolve().name if path.is_symlink() else None)
        if expected is not None and expected not in file_digests(path):
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise HubError(
                repo_id,
                f"{name!r} with the hash {expected[:12]}... that it was pushed with",
                "other content",
                "It was removed from the cache. Pull it again; if that fails too, do not trust where it comes from.",
            )
    refuse_pickle_content(repo_id, snapshot, paths)
    if absent := sorted(set(hashes) - set(paths)):
        raise HubError(repo_id, f"{len(hashes)} files", f"no {absent[0]!r} in the cache", "Pull it again.")
    return sorted(paths)


__all__ = ["PulledRepository", "pull_from_hub"]
