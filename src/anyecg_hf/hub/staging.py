# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What is to be shared, gathered in a folder of its own and checked there, before anyone is asked anything."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from anyecg_hf.hub.card_checks import check_card
from anyecg_hf.hub.card_facts import CardFacts, load_card_facts
from anyecg_hf.hub.card_models import is_hub_name
from anyecg_hf.hub.card_provenance import run_of
from anyecg_hf.hub.cards import render_folder_card
from anyecg_hf.hub.checkpoint_checks import (
    CONFIG_FILE,
    QUANTIZER_FOLDER,
    TOKENIZER_FILE,
    check_checkpoint,
    check_values,
    kind_of,
)
from anyecg_hf.hub.file_checks import refuse_odd_names, refuse_pickle_content, refuse_pickle_names
from anyecg_hf.hub.hub_errors import HubError
from anyecg_hf.hub.remote_code import add_remote_code, code_files
from anyecg_hf.models.anyecg import AnyECGTokenizer
from anyecg_hf.models.anyecg.adapter_files_anyecg import check_adapter_file
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import read_json, refuse_path_to_nothing
from anyecg_hf.training.adapters import ADAPTER_FILE, save_adapted

CARD_FILE = "README.md"
# What may lie beside weights; anything else was hardly meant to be published.
_SUFFIXES = (".safetensors", ".json", ".md", ".txt", ".yaml", ".yml", ".csv", ".png")
# What a card is written from.
_FACTS_SUFFIXES = (".yaml", ".yml")
# Libraries leave a form beside what they save; nobody has filled it in.
_PLACEHOLDER = "[more information needed]"


@dataclass(frozen=True)
class Shared:
    """
    What is to be shared.

    Attributes:
        model: A model, an adapted model, a tokenizer, or the folder of a saved one.
        tokenizer ([`AnyECGTokenizer`], *optional*): Goes along.
        card (`str`, `ModelCard`, [`CardFacts`] or `Path`, *optional*): The card's text, what it is written from, or the
            file that holds the one or, in YAML, the other.
        licence, training_data (`str`, *optional*): The least that a card is written from, where there is none.
        results (`Sequence[str or os.PathLike]`): Results files for a card that is written.
        base_model (`str`, *optional*): For an adapter: its checkpoint on the Hub.
        remote_code (`bool`): Whether the model's code goes along.
    """

    model: Any
    tokenizer: AnyECGTokenizer | None = None
    card: str | ModelCard | CardFacts | Path | None = None
    licence: str | None = None
    training_data: str | None = None
    results: Sequence[str | os.PathLike] = ()
    base_model: str | None = None
    remote_code: bool = True


def stage(shared: Shared, name: str, folder: Path) -> dict[str, Path]:
    """
    Fills an empty folder with what is to be shared, and checks it.

    Args:
        shared ([`Shared`]): What.
        name (`str`): Of the repository, whole, for a card that has to be written.
        folder (`Path`): Where to; nothing is changed anywhere else.

    Returns:
        `dict[str, Path]`: files by their path in the repository, the card first.

    Raises:
        [`HubError`]: if anything is missing, unexpected, a pickle, or not stated.
        `FileNotFoundError`: if the model is a path at which there is no folder.
    """
    is_folder = isinstance(shared.model, (str, os.PathLike))
    place = os.fspath(shared.model) if is_folder else type(shared.model).__name__
    shared = _with_facts(shared, place)
    _gather(shared, folder, place)
    _name_base_model(folder, place, shared.base_model)
    refuse_pickle_content(place, folder, _names_in(folder))
    check_checkpoint(folder, place)
    check_values(folder, place)
    _write_card(shared, name, folder, place)
    if shared.remote_code and any((folder / file).is_file() for file in (CONFIG_FILE, TOKENIZER_FILE)):
        add_remote_code(folder)
    for file in (CONFIG_FILE, TOKENIZER_FILE, f"{QUANTIZER_FOLDER}/{CONFIG_FILE}"):
        _refuse_foreign_code(folder / file, f"{place}/{file}")
    names = sorted(_names_in(folder), key=lambda path: (path != CARD_FILE, path))
    return {path: folder / path for path in names}


def _refuse_foreign_code(path: Path, place: str) -> None:
    """Code of another repository, which its owner can change after those who load this one have looked at it."""
    fields = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in ("auto_map", "custom_pipelines"):
        # transformers writes it as `org/repository--module.Class`.
        if "--" in json.dumps(fields.get(name)):
            raise HubError(
                place,
                f"code of the repository itself in `{name}`",
                f"code of another: {json.dumps(fields[name])[:200]}",
                "Remove that entry; push with the code if it is the model's own.",
            )


def _with_facts(shared: Shared, place: str) -> Shared:
    """With facts in place of the file that has them, and the base model that they name."""
    card, base_model = shared.card, shared.base_model
    if isinstance(card, os.PathLike) and Path(card).suffix in _FACTS_SUFFIXES:
        with _facts_explained(place):
            card = load_card_facts(card)
    if isinstance(card, CardFacts):
        base_model = base_model or card.base_model or None
        card = replace(card, base_model=base_model or "")
    return replace(shared, card=card, base_model=base_model)


def _gather(shared: Shared, folder: Path, place: str) -> None:
    model = shared.model
    if isinstance(model, (str, os.PathLike)):
        refuse_path_to_nothing(model)
        if not Path(model).is_dir():
            raise HubError(place, "a model, or the folder of a saved one", "no such folder", "Save the model first.")
        _copy_folder(Path(model), folder, place, shared.remote_code)
    elif isinstance(model, AnyECGTokenizer):
        model.save_pretrained(folder)
    elif hasattr(model, "save_pretrained"):
        _refuse_untrained(model, place)
        save_adapted(model, folder)
        (folder / CARD_FILE).unlink(missing_ok=True)  # PEFT's form, not filled in
    else:
        raise HubError("`model`", "a model, a tokenizer, or the folder of a saved one", f"a {place}")
    if shared.tokenizer is not None:
        shutil.rmtree(folder / QUANTIZER_FOLDER, ignore_errors=True)
        shared.tokenizer.save_pretrained(folder)


def _refuse_untrained(model: Any, place: str) -> None:
    """Weights that the checkpoint lacked when the model was loaded, and that are still what chance made them."""
    untrained = getattr(model, "random_weights", lambda: [])()
    if untrained and not getattr(model, "peft_config", None):
        raise HubError(
            place,
            "weights that were loaded or trained",
            f"{len(untrained)} that the checkpoint lacked and nobody trained since, such as {untrained[0]!r}",
            "They are random numbers: train the model, or push the class that was saved.",
        )


def _names_in(folder: Path) -> list[str]:
    """Paths of all files that are not hidden."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def _refuse_links(folder: Path, place: str) -> None:
    """What a link leads to may be anything on this machine. Those of the Hub's cache, to its `blobs`, are files."""
    root = folder.resolve()
    allowed = [root, *(parent / "blobs" for parent in root.parents)]
    for path in folder.rglob("*"):
        name, target = path.relative_to(folder), path.resolve()
        if not path.is_symlink() or any(part.startswith(".") for part in name.parts):
            continue
        if not target.is_file() or not any(target.is_relative_to(each) for each in allowed):
            raise HubError(
                place, "files that lie in the folder", f"a link, {name.as_posix()!r}", "Put what it leads to there."
            )


def _copy_folder(folder: Path, staged: Path, place: str, remote_code: bool) -> None:
    """Copies: what is checked is then what is sent, whatever happens in `folder` meanwhile."""
    _refuse_links(folder, place)
    names = _names_in(folder)
    refuse_odd_names(place, names)
    refuse_pickle_names(place, names)
    ours = {path.name for path in code_files()}
    if not remote_code and (found := ours.intersection(names)):
        raise HubError(
            place, "no code, because of `remote_code=False`", repr(min(found)), "Nobody has looked at it: remove it."
        )
    for name in names:
        if Path(name).suffix not in _SUFFIXES and name not in ours:
            raise HubError(
                place,
                f"files of a checkpoint ({', '.join(_SUFFIXES)})",
                f"{name!r}",
                "Move it elsewhere, or save the model into a folder of its own.",
            )
    for name in names:
        target = staged / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target)


def _name_base_model(staged: Path, place: str, base_model: str | None) -> None:
    """An adapter must name its checkpoint as others can load it: a path means nothing to them."""
    path = staged / ADAPTER_FILE
    if not path.is_file():
        if base_model is not None:
            raise HubError(place, "an adapter, because of `base_model`", "none", "Leave `base_model` out.")
        return
    try:
        check_adapter_file(path)
    except ValueError as error:
        told = str(error).replace(str(path), ADAPTER_FILE)
        raise HubError(f"{place}/{ADAPTER_FILE}", "an adapter that this package loads", told) from None
    fields = read_json(path)
    if base_model is not None:
        fields["base_model_name_or_path"] = base_model
        path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    name = fields.get("base_model_name_or_path") or ""
    if not is_hub_name(name):
        raise HubError(
            f"{place}/{ADAPTER_FILE}",
            "the checkpoint that the adapter belongs to by its name on the Hub",
            "a folder of this machine" if name else "none",
            "Push that checkpoint, and name it with `base_model` (`--base-model`).",
        )


def _write_card(shared: Shared, name: str, staged: Path, place: str) -> None:
    path, card = staged / CARD_FILE, shared.card
    has_card = path.is_file() and not _is_empty_form(_text_of(path, place))
    if isinstance(card, CardFacts):
        _refuse_beside("facts", shared, place, ("licence", "training_data"))
        text = _rendered(card, shared, staged, place)
    elif card is None and not has_card:
        text = _rendered(_least_facts(shared, name, staged, place), shared, staged, place)
    else:
        _refuse_beside("a card", shared, place, ("licence", "training_data", "results"))
        file = path if card is None else card
        text = _text_of(Path(file), place) if isinstance(file, os.PathLike) else str(file)
    path.write_text(text, "utf-8")
    check_card(text, f"{place}/{CARD_FILE}")


def _text_of(card: Path, place: str) -> str:
    try:
        return card.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise HubError(f"{place}, {card.name}", "a card in UTF-8", "other bytes", "Save it as UTF-8.") from error


def _refuse_beside(what: str, shared: Shared, place: str, fields: Sequence[str]) -> None:
    """What a written card would say, beside a card or facts that already say it."""
    told = " and ".join(f"`{field}`" for field in fields if getattr(shared, field))
    if told:
        expected = f"either {what}, or what a card is written from"
        raise HubError(place, expected, f"{what} and {told}", "State it there alone.")


def _is_empty_form(card: str) -> bool:
    if _PLACEHOLDER not in card.lower():
        return False
    try:
        check_card(card, CARD_FILE)
    except HubError:
        return True
    return False


def _least_facts(shared: Shared, name: str, staged: Path, place: str) -> CardFacts:
    stated = {"licence": shared.licence, "training_data": shared.training_data}
    missing = [field for field, text in stated.items() if not (text or "").strip()]
    if missing:
        raise HubError(
            place,
            f"a card ({CARD_FILE}, or `card`), or what one is written from",
            f"no {' and no '.join(f'`{field}`' for field in missing)}",
            "Pass `licence` (as the Hub names it, for example cc-by-4.0) and `training_data` (which records the weights"
            " have seen, with their licences and authors; `recorded` for what a run folder recorded), or `card`: a card"
            " that says both, or a YAML file of facts.",
        )
    with _facts_explained(place):
        kind, base_model = kind_of(staged, place), shared.base_model or ""
        return CardFacts(name=name, summary=f"An AnyECG checkpoint ({kind}).", base_model=base_model, **stated)


def _rendered(facts: CardFacts, shared: Shared, staged: Path, place: str) -> str:
    # Of a folder itself where there is one: an adapter's results are told by its base, which may lie on this machine.
    folder = Path(shared.model) if isinstance(shared.model, (str, os.PathLike)) else staged
    with _facts_explained(place):
        return render_folder_card(facts, folder, run_of(folder), shared.results)


@contextmanager
def _facts_explained(place: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise HubError(place, "facts that a card can be written from", f"this: {error}") from error


__all__ = ["CARD_FILE", "Shared", "stage"]
