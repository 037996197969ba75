# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How a checkpoint came about, from its run folders: settings, records and time of every stage on the way to it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from anyecg_hf.corpora import CORPORA
from anyecg_hf.training.record_lists import run_lineage
from anyecg_hf.training.run_folder import MACHINE_FIELD

# Where things lay on the machine that trained.
_PLACES = ("output_dir", "resume", "tokenizer", "checkpoint")
_RUN_FILES = ("config.yaml", "data.json", "versions.json")
_DATA_PLACES = ("root", "cache_dir")
NOT_RECORDED = "not recorded"
PROVENANCE_FILE = "provenance.json"  # of a packed checkpoint: all stages


def run_provenance(folder: Path) -> dict[str, Any]:
    """
    What decided the weights of a run.

    Args:
        folder (`Path`): The run folder.

    Returns:
        `dict`: `settings` without what was left open and without places, `data`, `versions` and, where the run kept its
        log, `training_s`: seconds of training, without validation and start.

    Raises:
        `FileNotFoundError`: if it is not the folder of a run.
    """
    for name in _RUN_FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is not the folder of a finished run: it has no {name}.")
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    settings["data"] = {name: value for name, value in settings["data"].items() if name not in _DATA_PLACES}
    found = {
        "settings": stated({name: value for name, value in settings.items() if name not in _PLACES}),
        "data": stated(json.loads((folder / "data.json").read_text())),
        "versions": json.loads((folder / "versions.json").read_text()),
    }
    seconds = training_seconds(folder / "metrics.jsonl")
    return found if seconds is None else {**found, "training_s": round(seconds, 1)}


def run_of(checkpoint: Path) -> Path | None:
    """
    Args:
        checkpoint (`Path`): A folder, such as `final` of a run.

    Returns:
        `Path`: the run folder that it lies in, `None` if it lies in none.
    """
    return checkpoint.parent if all((checkpoint.parent / name).is_file() for name in _RUN_FILES) else None


def stated(settings: Any) -> Any:
    """Nested settings without those that were left open."""
    if isinstance(settings, list):
        return [stated(value) for value in settings]
    if isinstance(settings, dict):
        return {name: stated(value) for name, value in settings.items() if value is not None}
    return settings


def training_seconds(log: Path) -> float | None:
    """
    Seconds that a run trained, without validation, reading of records and start.

    Args:
        log (`Path`): `metrics.jsonl` of the run.

    Returns:
        `float` or `None`: what its lines say of records and records a second; `None` without such lines.
    """
    seconds, before = 0.0, 0
    for line in log.read_text().splitlines() if log.is_file() else ():
        try:
            figures = json.loads(line)
        except ValueError:
            continue  # cut off while it was written
        rate = figures.get("records_per_s")
        if "records_seen" in figures and isinstance(rate, (int, float)) and rate > 0:
            seconds += (figures["records_seen"] - before) / rate
            before = figures["records_seen"]
    return seconds or None


@dataclass(frozen=True)
class Lineage:
    """
    Runs that led to a checkpoint.

    Attributes:
        stages (`list[dict]`): Provenance of every one, as [`run_provenance`], the first stage first.
        unknown (`list[str]`): Names of checkpoints on the way that do not say what they were trained on.
    """

    stages: list[dict[str, Any]]
    unknown: list[str]


def lineage_of(run: Path) -> Lineage:
    """
    Args:
        run (`Path`): The folder of the last run.

    Returns:
        [`Lineage`]

    Raises:
        `FileNotFoundError`: if it is not the folder of a run.
    """
    stages, unknown = [run_provenance(run)], []
    for checkpoint in list(run_lineage(run / "final"))[1:]:
        if (checkpoint / PROVENANCE_FILE).is_file():
            stages += reversed(json.loads((checkpoint / PROVENANCE_FILE).read_text()).values())
        elif (checkpoint.parent / "config.yaml").is_file():
            stages.append(run_provenance(checkpoint.parent))
        else:
            unknown.append(checkpoint.name if checkpoint.exists() or checkpoint.is_absolute() else str(checkpoint))
    return Lineage(list({json.dumps(stage, sort_keys=True): stage for stage in reversed(stages)}.values()), unknown)


@dataclass(frozen=True)
class StageSummary:
    """
    A stage as the card states it.

    Attributes:
        title (`str`): What was trained.
        cells (`tuple[str, ...]`): Steps, optimiser, learning rate, schedule, batch and lead dropout.
        trained_on, selected_on, held_out (`str`): Corpora with their folds.
        fingerprint (`str`): First digits of the SHA-256 over all training records.
        left_out (`str`): Training records left out, and why.
        masking (`str`): Which patches were hidden; empty for stages without.
        code_weight (`float`): Loss weight of masked codes beside a task; 0 without.
        duration (`str`), machine (`str`): As far as they were recorded.
    """

    title: str
    cells: tuple[str, ...]
    trained_on: str
    selected_on: str
    held_out: str
    fingerprint: str
    left_out: str
    masking: str
    code_weight: float
    duration: str
    machine: str


def stage_summary(provenance: Mapping[str, Any]) -> StageSummary:
    """
    Args:
        provenance (`Mapping`): Of [`run_provenance`].

    Returns:
        [`StageSummary`]

    Raises:
        `KeyError`: for what is missing.
    """
    settings, facts = provenance["settings"], provenance["data"]
    data, run, optimiser = settings["data"], settings["run"], settings["optimiser"]
    chooses = "task" in settings and bool(data["validation"])
    mode = settings.get("adaptation", {}).get("mode", "full")
    has_codes = "masking" in settings and ("task" not in settings or settings["code_weight"] > 0)
    return StageSummary(
        title=_title(settings) + ("" if mode == "full" else f" ({mode.replace('_', ' ')})"),
        cells=(
            f"at most {run['steps']}" if chooses else f"{run['steps']}",
            f"AdamW, beta {optimiser['beta_1']} and {optimiser['beta_2']}, weight decay {optimiser['weight_decay']},"
            f" clipped at {optimiser['max_gradient_norm']}",
            f"{optimiser['learning_rate']}",
            f"{optimiser['schedule']}, {optimiser['warmup_steps']} warm-up steps",
            f"{data['batch_size'] * run['gradient_accumulation']}",
            f"{data['lead_dropout']}",
        ),
        trained_on=_sources(data["train"]),
        selected_on=_sources(data["validation"]),
        held_out=_sources(data["held_out"]),
        fingerprint="a stream" if data.get("streaming") else f"`{facts['fingerprint'][:16]}`",
        left_out=", ".join(f"{count} ({why})" for why, count in facts["dropped"].items()),
        masking=", ".join(
            f"{mask['strategy'].replace('_', ' ')} {100 * mask['ratio']:.0f} % (weight {mask['weight']})"
            for mask in (settings["masking"] if has_codes else ())
        ),
        code_weight=settings["code_weight"] if has_codes and "task" in settings else 0.0,
        duration=_duration(provenance["training_s"]) if "training_s" in provenance else NOT_RECORDED,
        machine=_machine(run["device"], provenance["versions"]),
    )


def _title(settings: Mapping[str, Any]) -> str:
    if "task" in settings:
        return f"fine-tuning: {settings['task']['name']}"
    return "masked codes" if "masking" in settings else "quantizer"


def _sources(sources: Sequence[Mapping[str, Any]]) -> str:
    """Corpora in their order, those of several sources once, with the folds of all of them."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for source in sources:
        name = source["corpus"] if source.get("parquet") is None else f"file `{Path(source['parquet']).name}`"
        by_name.setdefault(name, []).append(source)
    return ", ".join(f"{name} {split_words(found)}".strip() for name, found in by_name.items())


def split_words(sources: Sequence[Mapping[str, Any]]) -> str:
    """
    Args:
        sources (`Sequence[Mapping]`): Settings of sources of records ([`~anyecg_hf.training.configs.SourceConfig`]).

    Returns:
        `str`: which splits or folds they are of, for example `folds 1-7`; empty for everything there is.
    """
    if all(source.get("parquet") is not None for source in sources):
        return ""
    if all(source.get("folds") for source in sources):
        folds = sorted({fold for source in sources for fold in source["folds"]})
        return f"fold{'s' if len(folds) > 1 else ''} {_ranges(folds)}"
    splits = dict.fromkeys(source["split"] for source in sources)
    return "" if "all" in splits else f"{' and '.join(splits)} split{'s' if len(splits) > 1 else ''}"


def _ranges(numbers: Sequence[int]) -> str:
    """`1-3, 5` of `[1, 2, 3, 5]`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _machine(device: str, versions: Mapping[str, str]) -> str:
    is_cpu = versions["torch"].endswith("+cpu") or device == "cpu"
    return versions.get(MACHINE_FIELD, "CPU" if is_cpu else NOT_RECORDED)


@dataclass(frozen=True)
class CorpusRow:
    """A row of the data table: `title` of the corpus, `records`, `licence` and whom to name."""

    title: str
    records: int
    licence: str
    attribution: str


def corpus_rows(records_by_corpus: Mapping[str, int]) -> list[CorpusRow]:
    """
    Args:
        records_by_corpus (`Mapping[str, int]`): Training records of every corpus.

    Returns:
        `list[CorpusRow]`: by the corpora's names. Of records that are of no known corpus the training data statement
        says more.
    """
    rows = []
    for name, count in sorted(records_by_corpus.items()):
        described = CORPORA[name].description if name in CORPORA and name != "folder" else None
        if described is None:
            rows.append(CorpusRow(f"{name} (no public corpus that anyecg_hf knows)", count, "see above", "see above"))
        else:
            licence = described.licence + ("" if described.licence_is_certain else " (to our knowledge)")
            rows.append(CorpusRow(described.title, count, licence, described.citation))
    return rows


def stage_records(provenance: Mapping[str, Any]) -> dict[str, int]:
    """
    Args:
        provenance (`Mapping`): Of [`run_provenance`].

    Returns:
        `dict[str, int]`: training records by corpus; nothing where the stage does not say it, as a stream.
    """
    facts = provenance["data"]
    found = {corpus: rows["records"] for corpus, rows in facts.get("trained_on", {}).items()}
    if not found:  # of before it was noted: the name of a source is its number and its corpus
        for source, count in facts.get("records", {}).items():
            corpus = source.partition(": ")[2]
            found[corpus] = found.get(corpus, 0) + count
    return found


def records_by_corpus(stages: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """
    Args:
        stages (`Sequence[Mapping]`): Of [`Lineage`].

    Returns:
        `dict[str, int]`: training records by corpus, of the stage that had most of them.
    """
    found: dict[str, int] = {}
    for stage in stages:
        for corpus, count in stage_records(stage).items():
            found[corpus] = max(found.get(corpus, 0), count)
    return found


__all__ = [
    "NOT_RECORDED",
    "PROVENANCE_FILE",
    "CorpusRow",
    "Lineage",
    "StageSummary",
    "corpus_rows",
    "lineage_of",
    "records_by_corpus",
    "run_of",
    "run_provenance",
    "split_words",
    "stage_records",
    "stage_summary",
    "stated",
    "training_seconds",
]
