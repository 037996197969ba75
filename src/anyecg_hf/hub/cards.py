# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Model cards: facts from YAML, figures from results files and run folders, words from a template."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from anyecg_hf.corpora import CORPORA
from anyecg_hf.hub.card_facts import CardFacts, load_card_facts
from anyecg_hf.hub.card_matches import check_weights, checkpoint_digests
from anyecg_hf.hub.card_models import adapter_rows, describe_adapter, describe_checkpoint, is_hub_name, size_rows
from anyecg_hf.hub.card_provenance import (
    NOT_RECORDED,
    Lineage,
    StageSummary,
    corpus_rows,
    lineage_of,
    records_by_corpus,
    stage_records,
    stage_summary,
)
from anyecg_hf.hub.card_results import (
    ResultSection,
    TestRecords,
    class_section,
    code_entries,
    lead_section,
    read_results,
)
from anyecg_hf.hub.templates import TEMPLATES, load_template
from anyecg_hf.training.adapters import ADAPTER_FILE
from anyecg_hf.version import __version__

MODEL_TEMPLATE, ADAPTER_TEMPLATE = "checkpoint.md.jinja", "adapter.md.jinja"
RECORDED = "recorded"
# Weights may be trained on such records, and shared, where their authors are named.
LICENCES = ("CC-BY-4.0", "ODC-By-1.0")
_TAGS = ("ecg", "electrocardiogram", "anyecg")
# What the embedded checkpoint was tested on; its results are older than the noting of it.
_TINY_TESTED = TestRecords("ptb-xl", "PTB-XL", "fold 9")
_TINY_STAGES = ("quantizer", "pretraining", "superclass", "lead_reconstruction")
_TINY_MADE_BY = "`examples/train_anyecg_tiny.py` trains it, `examples/evaluate_anyecg_tiny.py` writes this card."
_TINY_TASK = {"task": "superclass", "main_figure": "macro_auroc"}


def render_checkpoint_card(facts_file: str | os.PathLike, results: dict[str, Any]) -> str:
    """
    Renders the card of the embedded checkpoint.

    Args:
        facts_file (`str` or `os.PathLike`): YAML with the card's facts ([`CardFacts`]).
        results (`dict`): What the evaluation script wrote.

    Returns:
        `str`: the card with its metadata block.

    Raises:
        `ValueError`: if anything that the card states is missing or no number, or a corpus has no known licence.
    """
    facts, name = load_card_facts(facts_file), Path(facts_file).name
    _refuse_gaps(results)
    try:
        counts = results["training_records_by_corpus"]
        _refuse_unlicensed(counts)
        sections = [
            class_section({**_TINY_TASK, **results["superclasses"]}, _TINY_TESTED),
            lead_section(results["lead_reconstruction"], _TINY_TESTED),
        ]
        what = {"architecture": {**results["architecture"], **_codebook(results)}, "parameters": results["parameters"]}
        size = [
            ["size of the folder", f"{results['stored_bytes'] / 1e6:.1f} MB"],
            ["seed", f"{results['provenance']['quantizer']['settings']['run']['seed']}"],
        ]
        return _render(
            _Content(
                facts=facts,
                template=MODEL_TEMPLATE,
                architecture="AnyECGForSequenceClassification",
                what=[*size_rows(what), *size],
                sections=sections,
                lineage=Lineage([results["provenance"][stage] for stage in _TINY_STAGES], []),
                counts=counts,
                loss_weights=results["architecture"]["loss_weights"],
                window_s=results["architecture"]["window_seconds"],
                codes=results["quantizer"],
                masked_codes=results["masked_codes"],
                entries=code_entries(results, _TINY_TESTED),
                made_by=_TINY_MADE_BY,
                has_provenance=True,
            )
        )
    except (jinja2.UndefinedError, KeyError, TypeError) as error:
        raise ValueError(f"the card states what {name} or the results lack: {error}") from error


def _codebook(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"codebook_size": results["quantizer"]["codebook_size"]}


def render_run_card(
    facts: CardFacts | str | os.PathLike, run: str | os.PathLike, results_files: Sequence[str | os.PathLike] = ()
) -> str:
    """
    Renders the card of what a run of `anyecg train-quantizer`, `anyecg pretrain` or `anyecg finetune` trained: a model,
    a quantizer or an adapter.

    Args:
        facts ([`CardFacts`], `str` or `os.PathLike`): The card's facts, or the YAML file that has them.
        run (`str` or `os.PathLike`): The run folder; its `final` is what the card is of.
        results_files (`Sequence[str or os.PathLike]`, *optional*): As for [`render_folder_card`].

    Returns:
        `str`: the card with its metadata block.

    Raises:
        `FileNotFoundError`: if `run` is not the folder of a finished run.
        `ValueError`: as [`render_folder_card`].
    """
    return render_folder_card(facts, Path(run) / "final", run, results_files)


def render_folder_card(
    facts: CardFacts | str | os.PathLike,
    checkpoint: str | os.PathLike,
    run: str | os.PathLike | None = None,
    results_files: Sequence[str | os.PathLike] = (),
) -> str:
    """
    Renders the card of a saved model, quantizer or adapter, wherever it lies.

    Args:
        facts ([`CardFacts`], `str` or `os.PathLike`): The card's facts, or the YAML file that has them. Of an adapter,
            `base_model` says what the checkpoint below is called on the Hub where the adapter names a folder.
        checkpoint (`str` or `os.PathLike`): Its folder.
        run (`str` or `os.PathLike`, *optional*): The run folder that it is of; without it, the card says that the
            training is not recorded.
        results_files (`Sequence[str or os.PathLike]`, *optional*): `results.json` of evaluations of that checkpoint,
            whose weights are then loaded: results of others are refused.

    Returns:
        `str`: the card with its metadata block.

    Raises:
        `FileNotFoundError`: if `checkpoint` is not the folder of a checkpoint, or `run` not that of a run.
        `ValueError`: if the facts or the results cannot be used, the facts leave the training data to a record that
            does not have it all, or nobody says which checkpoint an adapter belongs to.
    """
    if not isinstance(facts, CardFacts):
        facts = load_card_facts(facts)
    folder, lineage = Path(checkpoint), Lineage([], []) if run is None else lineage_of(Path(run))
    counts = records_by_corpus(lineage.stages)
    _check_recorded(facts, lineage, counts)
    describe = _adapter_content if (folder / ADAPTER_FILE).is_file() else _checkpoint_content
    sources = {"the checkpoint's files": folder, "the run folder": run, "results files": results_files}
    used = [name for name, source in sources.items() if source]
    return _render(
        _Content(
            facts=facts,
            sections=_sections(results_files, folder),
            lineage=lineage,
            counts=counts,
            made_by=f"This card was written by anyecg_hf {__version__} from {_listed(used)}.",
            **describe(facts, folder),
        )
    )


def _checkpoint_content(facts: CardFacts, folder: Path) -> dict[str, Any]:
    described = describe_checkpoint(folder)
    architecture = described["architecture"]
    return {
        "template": MODEL_TEMPLATE,
        "architecture": architecture["class"],
        "what": size_rows(described),
        "loss_weights": architecture.get("loss_weights", {}),
        "window_s": architecture.get("window_seconds", 0.0),
    }


def _adapter_content(facts: CardFacts, folder: Path) -> dict[str, Any]:
    found = describe_adapter(folder)
    base = facts.base_model or found.base_name
    if not is_hub_name(base):
        raise ValueError(
            f"{folder} names {'a folder of this machine' if base else 'nothing'} as the checkpoint that it belongs to:"
            f" state `base_model` in the facts of {facts.name!r}, its name on the Hub."
        )
    return {
        "template": ADAPTER_TEMPLATE,
        "architecture": found.architecture,
        "what": adapter_rows(found, base, facts.base_revision or found.base_revision),
        "base_name": base,
    }


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _sections(paths: Sequence[str | os.PathLike], checkpoint: Path) -> list[ResultSection]:
    """What to say of results files, all of them of this checkpoint."""
    digests = checkpoint_digests(checkpoint) if paths else set()
    sections = []
    for path in paths:
        try:
            results = json.loads(Path(path).read_text(encoding="utf-8"))
            sections.append(read_results(results))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} cannot be read as results of `anyecg evaluate`: {error}") from error
        check_weights(results, digests, str(path))
    return sections


def _check_recorded(facts: CardFacts, lineage: Lineage, counts: Mapping[str, int]) -> None:
    """`training_data: recorded` is refused where the runs do not say it all, or not with what licence."""
    if facts.training_data != RECORDED:
        return
    reasons = [f"{name} does not say what it was trained on" for name in lineage.unknown]
    reasons += [f"{name} is no corpus with a known licence" for name in counts if not _licence_of(name)]
    reasons += ["a stage does not list its records" for stage in lineage.stages if not stage_records(stage)]
    if reasons or not counts:
        raise ValueError(
            f"`training_data` of {facts.name!r} is `{RECORDED}`, but {'; '.join(reasons) or 'there is no run folder'}:"
            " state it in words, with licences and authors."
        )


def _licence_of(corpus: str) -> str:
    licence = CORPORA[corpus].description.licence if corpus in CORPORA else "unknown"
    return "" if licence == "unknown" else licence


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What a card is rendered from."""

    facts: CardFacts
    template: str
    architecture: str
    what: Sequence[Sequence[str]]
    sections: Sequence[ResultSection]
    lineage: Lineage
    counts: Mapping[str, int]
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    window_s: float = 0.0
    codes: Mapping[str, Any] = field(default_factory=dict)
    masked_codes: Sequence[Mapping[str, Any]] = ()
    entries: Sequence[EvalResult] = ()
    base_name: str = ""
    made_by: str
    has_provenance: bool = False


def _render(content: _Content) -> str:
    facts, stages = content.facts, [stage_summary(stage) for stage in content.lineage.stages]
    entries = [*(entry for section in content.sections for entry in section.entries), *content.entries]
    versions = content.lineage.stages[-1]["versions"] if stages else {}
    stored = f"{facts.stored_dtype}. The figures below are of the stored weights"
    return load_template(TEMPLATES / content.template).render(
        card_data=_card_data(facts, entries, content.base_name).to_yaml(),
        facts=facts,
        content=content,
        what=[*content.what, *([["weights", stored]] if facts.stored_dtype else [])],
        n_records=sum(content.counts.values()),
        stages=stages,
        rows_of=_stage_rows(stages),
        codes_of=f"{_TINY_TESTED.name} {_TINY_TESTED.split}",
        loss_weights=", ".join(f"{name.replace('_', ' ')} {value}" for name, value in content.loss_weights.items()),
        corpora=[[row.title, f"{row.records}", row.licence, row.attribution] for row in corpus_rows(content.counts)],
        codes_rows=_codes_rows(content.codes),
        masked_rows=[_masked_row(row) for row in content.masked_codes],
        version=versions.get("anyecg_hf", __version__),
        versions=", ".join(f"{name} {versions[name]}" for name in ("anyecg_hf", "torch", "transformers") if versions),
    )


def _stage_rows(stages: Sequence[StageSummary]) -> dict[str, list[list[str]]]:
    """Rows of the tables that have one for every stage."""
    return {
        "training": [[stage.title, *stage.cells] for stage in stages],
        "seen": [
            [
                *(stage.title, stage.trained_on, stage.selected_on or "-", stage.held_out or "-"),
                *(stage.left_out or "-", stage.fingerprint),
            ]
            for stage in stages
        ],
        "cost": [[stage.title, stage.duration, stage.machine] for stage in stages]
        or [["all", NOT_RECORDED, NOT_RECORDED]],
    }


def _card_data(facts: CardFacts, entries: Sequence[EvalResult], base_name: str) -> ModelCardData:
    optional = {
        "license_name": facts.licence_name,
        "license_link": facts.licence_link,
        "pipeline_tag": facts.pipeline_tag,
        "datasets": facts.datasets,
        "base_model": base_name,
        "base_model_relation": "adapter" if base_name else "",
    }
    return ModelCardData(
        license=facts.licence,
        library_name="peft" if base_name else "anyecg_hf",
        tags=list(dict.fromkeys([*_TAGS, *facts.tags])),
        **({"model_name": facts.name, "eval_results": list(entries)} if entries else {}),
        **{name: value for name, value in optional.items() if value},
    )


def _codes_rows(codes: Mapping[str, Any]) -> list[list[str]]:
    if not codes:
        return []
    quartiles = f"quartiles {codes['correlation_low']:.3f} to {codes['correlation_high']:.3f}"
    return [
        ["codes in use", f"{100 * codes['codes_in_use']:.1f} % of {codes['codebook_size']}"],
        ["perplexity", f"{codes['perplexity']:.0f}"],
        ["mutual information of code and lead", f"{codes['code_lead_information_bits']:.2f} bits"],
        ["reconstruction, Pearson r of a lead", f"median {codes['correlation_median']:.3f}, {quartiles}"],
        ["reconstruction, signal to error", f"{codes['snr_db']:.2f} dB"],
    ]


def _masked_row(row: Mapping[str, Any]) -> list[str]:
    figures = ("cross_entropy", "unigram_cross_entropy", "accuracy")
    copies = ("copy_previous_accuracy", "copy_nearest_accuracy", "copy_neighbour_accuracy")
    hidden = f"{row['strategy'].replace('_', ' ')}, {100 * row['ratio']:.0f} %"
    return [hidden, *(f"{row[name]:.3f}" for name in (*figures, *copies))]


def _refuse_gaps(results: Any, place: str = "results") -> None:
    """Raises `ValueError` where nested results hold `None`, NaN or infinity, naming the place."""
    branches = results.items() if isinstance(results, dict) else enumerate(results) if isinstance(results, list) else ()
    for key, value in branches:
        _refuse_gaps(value, f"{place}.{key}")
    if results is None or (isinstance(results, float) and not math.isfinite(results)):
        raise ValueError(f"the card cannot state {place}: expected a number, found {results}.")


def _refuse_unlicensed(counts: Mapping[str, int]) -> None:
    unlicensed = sorted(name for name in counts if _licence_of(name) not in LICENCES)
    if unlicensed:
        raise ValueError(
            f"training records are of corpora without a licence to train with attribution: {', '.join(unlicensed)}."
        )


__all__ = ["LICENCES", "RECORDED", "render_checkpoint_card", "render_folder_card", "render_run_card"]
