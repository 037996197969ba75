# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A prepared corpus goes to the Hub, whole and in one commit."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from huggingface_hub import DatasetCard, HfApi

from anyecg_hf.corpora import CorpusError
from anyecg_hf.corpora.building import SPLITS
from anyecg_hf.corpora.parquet.shard_writing import DATA_FOLDER, SUMMARY_FOLDER, summary_path
from anyecg_hf.corpora.parquet.sharding import CARD_FILE, GALLERY_FILE, PLAN_FILE, REPORT_FILE, PreparedCorpus
from anyecg_hf.hub.corpus_cards import UNKNOWN_LICENCE
from anyecg_hf.hub.hub_errors import hub_errors_explained
from anyecg_hf.hub.uploading import Target, checked_token, commit_files, open_branch, refuse_token_in

# Options by which facts enter a corpus that only credentialed users may have.
_CREDENTIALED_OPTIONS = {"mimic-iv-ecg": ("patients_csv",)}

_OURS = re.compile(
    rf"{DATA_FOLDER}/(?:{'|'.join(SPLITS)})-.*\.parquet|{SUMMARY_FOLDER}/[^/]*\.json|{re.escape(GALLERY_FILE)}"
)


@dataclass(frozen=True)
class PublishedFile:
    """A file of a dataset: its `path` on the Hub and its size, `n_bytes`."""

    path: str
    n_bytes: int


@dataclass(frozen=True)
class PublishedCorpus:
    """
    What went, or would go, to the Hub.

    Attributes:
        repo_id (`str`): The dataset there.
        files (`tuple[PublishedFile, ...]`): All of its files.
        commit_url (`str` or `None`): The commit; `None` for a dry run.
        commit (`str` or `None`): Its hash.
    """

    repo_id: str
    files: tuple[PublishedFile, ...]
    commit_url: str | None = None
    commit: str | None = None

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(file.n_bytes for file in self.files)


def publish_corpus(
    folder: str | os.PathLike,
    repo_id: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    token: str | bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
) -> PublishedCorpus:
    """
    Uploads the folder of a prepared corpus to a dataset on the Hub, which is made if need be. One commit brings all
    files and removes the shards that another plan had left there, so that nobody sees a mixture. After an interruption
    what was uploaded is not sent again.

    Args:
        folder (`str` or `os.PathLike`):
            What [`write_corpus`], [`write_corpus_gallery`] and [`write_corpus_card`] filled.
        repo_id (`str`):
            The dataset, for example `"org/ptb-xl-ecg"`.
        private (`bool`, *optional*, defaults to `False`):
            Whether it must be private. One that is public is not used then.
        dry_run (`bool`, *optional*, defaults to `False`):
            Whether to check and list only. The Hub is not asked anything.
        token (`str` or `bool`, *optional*):
            Of the Hub; by default, and with `True`, the one that is logged in; `False` sends none.
        revision (`str`, *optional*):
            Branch, made if it is not there; by default the main one.
        commit_message (`str`, *optional*):
            Title of the commit.

    Returns:
        [`PublishedCorpus`]

    Raises:
        [`CorpusError`]: if the folder is not complete, or has no card of these very files; if it must not be public; if
            the dataset is public that must be private.
        [`HubError`]: if a file beside the records holds the token, or if the Hub refuses, does not answer, or has a
            newer commit than the one that was looked at.
    """
    prepared = PreparedCorpus.read(folder)
    _check_card(prepared)
    if not private:
        _refuse_secrets(prepared)
    token = checked_token(token)
    sources = {path: prepared.folder / path for path in _paths(prepared)}
    refuse_token_in(sources, token)
    files = tuple(PublishedFile(path, source.stat().st_size) for path, source in sources.items())
    if dry_run:
        return PublishedCorpus(repo_id, files)
    target = Target(repo_id, "dataset", revision)
    with hub_errors_explained(repo_id, revision):
        api = HfApi(token=token)
        head = open_branch(api, target, private, CorpusError)
        commit = commit_files(
            api,
            target,
            head,
            sources,
            sorted(_ours(head.paths) - set(sources)),
            commit_message or f"{prepared.plan.corpus} by anyecg_hf, plan {prepared.plan.fingerprint[:16]}",
        )
    return PublishedCorpus(repo_id, files, commit.commit_url, commit.oid)


def _paths(prepared: PreparedCorpus) -> list[str]:
    """Files of the dataset, the card first."""
    folder = prepared.folder
    found = [folder / name for name in (CARD_FILE, GALLERY_FILE, REPORT_FILE, PLAN_FILE)]
    found += [summary_path(folder, shard.name) for shard in prepared.shards]
    found += prepared.parquet_paths
    return [path.relative_to(folder).as_posix() for path in found if path.is_file()]


def _ours(paths: Iterable[str]) -> set[str]:
    """Those of the paths that a push of another plan may have left, or that `datasets` would load with our files."""
    return {path for path in paths if _OURS.fullmatch(path)}


def _check_card(prepared: PreparedCorpus) -> None:
    path = prepared.folder / CARD_FILE
    if not path.is_file():
        raise CorpusError(path, "the card of the dataset", "no file", "Write it with `write_corpus_card`.")
    if prepared.plan.fingerprint[:16] not in path.read_text(encoding="utf-8"):
        raise CorpusError(
            path,
            f"the card of these files (plan {prepared.plan.fingerprint[:16]})",
            "that of others",
            "Write it anew with `write_corpus_card`.",
        )


def _refuse_secrets(prepared: PreparedCorpus) -> None:
    licence = DatasetCard.load(prepared.folder / CARD_FILE).data.license
    if licence == UNKNOWN_LICENCE:
        raise CorpusError(
            prepared.folder,
            "a licence that allows others to have these records",
            "an unknown one",
            "State it with the option `licence`, or publish them for yourself only (`private`).",
        )
    for option in _CREDENTIALED_OPTIONS.get(prepared.plan.corpus, ()):
        if prepared.plan.options.get(option) is not None:
            raise CorpusError(
                prepared.folder,
                "what anyone may have",
                f"facts from `{option}`, which its terms forbid to share",
                "Prepare the corpus without that option, or publish it for yourself only (`private`).",
            )


__all__ = ["PublishedCorpus", "PublishedFile", "publish_corpus"]
