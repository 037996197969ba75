# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint, an adapter, a tokenizer or a corpus goes to the Hub whole, checked, in one commit."""

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelCard
from huggingface_hub.utils import validate_repo_id

from anyecg_hf.hub.card_facts import CardFacts
from anyecg_hf.hub.checkpoint_checks import CONFIG_FILE, QUANTIZER_FOLDER, TOKENIZER_FILE, check_agreement
from anyecg_hf.hub.file_checks import refuse_odd_names, refuse_pickle_names
from anyecg_hf.hub.hub_errors import HubError, hub_errors_explained
from anyecg_hf.hub.remote_code import code_files
from anyecg_hf.hub.staging import Shared, stage
from anyecg_hf.hub.uploading import Head, Target, checked_token, commit_files, open_branch, refuse_token_in, retrying
from anyecg_hf.models.anyecg import AnyECGTokenizer
from anyecg_hf.training.adapters import ADAPTER_FILE, MODEL_CONFIG_FILE

_MAIN = "main"
# Where `write_corpus` keeps the plan of a corpus; importing it would import pyarrow.
_CORPUS_PLAN = Path("preparation") / "plan.json"
# What trainings say of the weights that they leave; it would be false of others.
_ABOUT_WEIGHTS = ("provenance.json", "results.json", "training_records.json")


@dataclass(frozen=True)
class PushedFile:
    """A file of a push: `path` in the repository and size."""

    path: str
    n_bytes: int


@dataclass(frozen=True)
class PushedRepository:
    """What went to the Hub, or would go there: then `commit` (its hash) and `commit_url` are `None`."""

    repo_id: str
    revision: str
    files: tuple[PushedFile, ...]
    commit: str | None = None
    commit_url: str | None = None

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(file.n_bytes for file in self.files)


def push_to_hub(
    model: Any,
    repo_id: str,
    tokenizer: AnyECGTokenizer | None = None,
    card: str | ModelCard | CardFacts | Path | None = None,
    *,
    licence: str | None = None,
    training_data: str | None = None,
    results: Sequence[str | os.PathLike] = (),
    base_model: str | None = None,
    remote_code: bool = True,
    private: bool | None = None,
    revision: str | None = None,
    dry_run: bool = False,
    commit_message: str | None = None,
    token: str | bool | None = None,
) -> PushedRepository:
    """
    Puts a checkpoint, an adapter, a tokenizer or a prepared corpus on the Hub in one commit: weights, config, tokenizer
    with its quantizer, card, and the model's code, so that it loads without this package too. What this
    push replaces of an earlier one is removed in the same commit; a tokenizer that is there stays with a model that is
    pushed alone, if it fits, and the other way round. What was uploaded before a connection broke is not sent
    again. Hidden files of a folder stay where they are.

    Args:
        model ([`AnyECGPreTrainedModel`], `peft.PeftModel`, [`AnyECGTokenizer`], [`PreparedCorpus`] or path):
            A model, an adapted model (its adapter is shared), a tokenizer, or the folder of a saved one or of a
            prepared corpus. A model in memory must not hold weights that its checkpoint lacked and nobody trained; the
            weights of a folder are held against its architecture.
        repo_id (`str`):
            Name of the repository, for example `org/anyecg-xl`; made if it is not there.
        tokenizer ([`AnyECGTokenizer`], *optional*):
            Goes along with its quantizer; by default the folder's own.
        card (`str`, `huggingface_hub.ModelCard`, [`CardFacts`] or `Path`, *optional*):
            The card's text, the facts that it is written from, or the file that holds the one or, in YAML, the other;
            by default `README.md` of the folder. It must name a licence and the training data.
        licence, training_data (`str`, *optional*):
            Where there is no card: the least that one is written from. The licence as the Hub names it, for example
            `cc-by-4.0`; the training data in words, or `recorded` for what the run of a folder `final` recorded.
        results (`Sequence[str or os.PathLike]`, *optional*):
            `results.json` of evaluations of these weights, for a card that is written.
        base_model (`str`, *optional*):
            For an adapter: what the checkpoint that it belongs to is called on the Hub.
        remote_code (`bool`, *optional*, defaults to `True`):
            Whether the model's code goes along. It runs only where somebody passes `trust_remote_code=True`.
        private (`bool`, *optional*):
            Whether it must be private. One that is public is not used then.
        revision (`str`, *optional*):
            Branch, made if it is not there; by default the main one.
        dry_run (`bool`, *optional*, defaults to `False`):
            Whether to check and list only. The Hub is not asked anything.
        commit_message (`str`, *optional*):
            Title of the commit.
        token (`str` or `bool`, *optional*):
            Of the Hub; by default, and with `True`, the one that is logged in; `False` sends none.

    Returns:
        [`PushedRepository`]

    Raises:
        [`HubError`]: if anything is missing, unexpected, a pickle, a token, or not stated; if the Hub refuses, does not
            answer, or has a newer commit than the one that was looked at.
        [`CorpusError`]: if a corpus is not complete, has no card, or must not be public.
        `FileNotFoundError`: if `model` is a path at which there is no folder.
    """
    with hub_errors_explained(repo_id, revision):
        validate_repo_id(repo_id)
    if revision is not None:
        refuse_odd_names(f"{repo_id}, revision", [revision])
    token = checked_token(token)
    target = Target(repo_id, revision=None if revision == _MAIN else revision)
    message = commit_message or "Pushed by anyecg_hf"
    if _is_corpus(model):
        stated = {"tokenizer": tokenizer, "card": card, "licence": licence, "training_data": training_data}
        _refuse_for_corpus({**stated, "results": results or None, "base_model": base_model})
        return _push_corpus(model, target, private, dry_run, commit_message, token)
    shared = Shared(model, tokenizer, card, licence, training_data, results, base_model, remote_code)
    with tempfile.TemporaryDirectory(prefix="anyecg-push-") as folder:
        files = stage(shared, repo_id, Path(folder))
        refuse_token_in(files, token)
        listed = tuple(PushedFile(path, source.stat().st_size) for path, source in files.items())
        if dry_run:
            return PushedRepository(repo_id, revision or _MAIN, listed)
        with hub_errors_explained(repo_id, revision):
            api = HfApi(token=token)
            head = open_branch(api, target, private)
            stale = _stale(head.paths, files)
            refuse_pickle_names(repo_id, set(head.paths) - set(stale))
            _check_with_what_stays(api, target, head, stale, files, Path(folder))
            commit = commit_files(api, target, head, files, stale, message)
    return PushedRepository(repo_id, revision or _MAIN, listed, commit.oid, commit.commit_url)


def _stale(there: Sequence[str], files: Collection[str]) -> list[str]:
    """
    Files of an earlier push that loading would mix with those of this one. A model stays when only a tokenizer is
    pushed, and the other way round.
    """
    others = set(there).difference(files)
    is_model = any(path in files for path in (CONFIG_FILE, ADAPTER_FILE))
    found = set()
    if is_model:
        about = {CONFIG_FILE, MODEL_CONFIG_FILE, ADAPTER_FILE, *_ABOUT_WEIGHTS}
        # Not those of folders: they belong to models of their own.
        weights = {path for path in others if path.endswith((".safetensors", ".index.json")) and "/" not in path}
        found |= others & (about | weights)
    if TOKENIZER_FILE in files:
        found |= {path for path in others if _is_tokenizers(path)}
    if not (others - found) & {CONFIG_FILE, TOKENIZER_FILE}:
        found |= others & {path.name for path in code_files()}
    return sorted(found)


def _is_tokenizers(path: str) -> bool:
    return path == TOKENIZER_FILE or path.startswith(f"{QUANTIZER_FOLDER}/")


def _check_with_what_stays(
    api: HfApi, target: Target, head: Head, stale: Sequence[str], files: Mapping[str, Path], folder: Path
) -> None:
    """A model that joins the tokenizer that is there, or the other way round, must be of one kind with it."""
    needed = {CONFIG_FILE, TOKENIZER_FILE, f"{QUANTIZER_FOLDER}/{CONFIG_FILE}"}
    if ADAPTER_FILE in files or not needed.intersection(files):
        return
    for path in sorted(needed & set(head.paths) - set(stale) - set(files)):
        found = retrying(
            lambda path=path: api.hf_hub_download(target.repo_id, path, revision=head.commit, repo_type="model")
        )
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copyfile(found, folder / path)
    check_agreement(folder, target.repo_id)


def _is_corpus(model: Any) -> bool:
    folder = getattr(model, "folder", model)
    return isinstance(folder, (str, os.PathLike)) and (Path(folder) / _CORPUS_PLAN).is_file()


def _refuse_for_corpus(stated: dict[str, Any]) -> None:
    wrong = [f"`{name}`" for name, value in stated.items() if value is not None]
    if wrong:
        raise HubError(
            "a corpus",
            "its folder alone",
            f"{', '.join(wrong)} too",
            "Its card is written with `write_corpus_card`, and says all of it.",
        )


def _push_corpus(
    corpus: Any, target: Target, private: bool | None, dry_run: bool, message: str | None, token: str | bool | None
) -> PushedRepository:
    from anyecg_hf.hub.corpus_publishing import publish_corpus

    pushed = publish_corpus(
        getattr(corpus, "folder", corpus),
        target.repo_id,
        private=bool(private),
        dry_run=dry_run,
        token=token,
        revision=target.revision,
        commit_message=message,
    )
    files = tuple(PushedFile(file.path, file.n_bytes) for file in pushed.files)
    return PushedRepository(target.repo_id, target.revision or _MAIN, files, pushed.commit, pushed.commit_url)


__all__ = ["PushedFile", "PushedRepository", "push_to_hub"]
