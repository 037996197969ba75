# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From results files to what a card says of them: tables, words, and entries of the Hub's `model-index`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import EvalResult

from anyecg_hf.corpora import CORPORA
from anyecg_hf.evaluation.classification.figures import TITLES
from anyecg_hf.evaluation.leads.situations import PARTS
from anyecg_hf.evaluation.patient_means import shown
from anyecg_hf.evaluation.results_folder import markdown_table
from anyecg_hf.hub.card_provenance import split_words

# What the Hub calls figures.
_METRIC_TYPES = {
    "macro_auroc": "roc_auc",
    "macro_auprc": "average_precision",
    "macro_f1": "f1",
    "weighted_f1": "f1",
    "accuracy": "accuracy",
    "psnr_db": "psnr",
    "pearson_r": "pearsonr",
}
_TASK_TITLES = {
    "superclass": "diagnostic superclasses",
    "subclass": "diagnostic subclasses",
    "rhythm": "rhythm statements",
    "statements": "all statements",
    "anomaly": "normal or not",
    "arrhythmia": "rhythm classes",
    "challenge": "scored classes of Challenge 2021",
    "labels": "chosen labels",
    "beats": "beats, patch by patch",
    "rhythm-spans": "rhythms, patch by patch",
    "long-beats": "beats of long records",
    "long-rhythm": "rhythms of long records",
}
_REFERENCES = {"finetuned": "fine-tuned less this row", "probe": "probe less this row"}
_DIMENSIONS = {"sex": "sex", "age": "age in years", "corpus": "corpus"}
# Of the row that is the checkpoint's own.
_OWN_ROWS = ("finetuned", "probe", "trained")


@dataclass(frozen=True)
class ResultSection:
    """
    What a card says of one task.

    Attributes:
        title (`str`): Heading.
        parts (`list[str]`): Paragraphs and tables, in Markdown.
        subgroups (`list[str]`): The same, of parts of the test records.
        entries (`list[EvalResult]`): For the `model-index`.
    """

    title: str
    parts: list[str]
    subgroups: list[str] = field(default_factory=list)
    entries: list[EvalResult] = field(default_factory=list)


@dataclass(frozen=True)
class TestRecords:
    """
    What a task was tested on, as the Hub's `model-index` names it.

    Attributes:
        corpora (`str`): Short names.
        name (`str`): For people.
        split (`str`): Split or folds.
    """

    corpora: str
    name: str
    split: str


def read_results(results: Mapping[str, Any]) -> ResultSection:
    """
    What to say of a `results.json` of `anyecg evaluate`.

    Args:
        results (`Mapping`): What the file holds, of any protocol.

    Returns:
        [`ResultSection`]

    Raises:
        `ValueError`: if it is of no protocol that is known.
        `KeyError`: for what is missing.
    """
    if "parts" in results and "settings" in results:
        return lead_section(lead_table(results), tested_on(results["settings"]))
    if "units" in results:
        return cross_validation_section(results)
    if "rows" in results and "main_figure" in results.get("task", {}):
        corpora = list(results["data"]["test"].get("corpora", ()))
        return class_section(class_table(results), tested_on(results["settings"], corpora))
    raise ValueError("these are no results of `anyecg evaluate`: expected `rows`, `parts` or `units` with `task`.")


def tested_on(settings: Mapping[str, Any], corpora: Sequence[str] = ()) -> TestRecords:
    """The test records of an evaluation with these settings; `corpora` where the results count them."""
    sources = settings["data"]["held_out"] or settings["data"]["train"]
    corpora = corpora or list(dict.fromkeys(source["corpus"] or "files" for source in sources))
    titles = [CORPORA[name].description.title.partition(",")[0] if name in CORPORA else name for name in corpora]
    return TestRecords("+".join(corpora), ", ".join(titles), split_words(sources) or "all records")


def class_table(results: Mapping[str, Any]) -> dict[str, Any]:
    """
    What a card says of a classification.

    Args:
        results (`Mapping`): Of [`~anyecg_hf.evaluation.classification.protocol.evaluate`].

    Returns:
        `dict`: counts, the main figure of every row with differences, macro F1 and AUROC by class of the own row, and
        `subgroups` with the own row's figure.
    """
    rows, test, main = results["rows"], results["data"]["test"], results["task"]["main_figure"]
    own = _own_row(rows)
    f1 = rows[own]["figures"].get("macro_f1")
    return {
        "task": results["task"]["name"],
        "main_figure": main,
        "confidence": results["settings"]["bootstrap"]["confidence"],
        "records": test["records"],
        "positives": test["positives"],
        "without_any_class": {split: found["without_any_class"] for split, found in results["data"].items()},
        "rows": {
            name: {"title": row["title"], "seeds": len(row["seeds"]), main: bounds(row["figures"][main])}
            for name, row in rows.items()
        },
        "less": {
            reference: {name: bounds(found[main]) for name, found in others.items()}
            for reference, others in results["differences"].items()
        },
        **({} if f1 is None else {"macro_f1": bounds(f1)}),
        "auroc_by_class": {
            name: figures["auroc"]["estimate"]
            for name, figures in rows[own]["classes"].items()
            if figures["auroc"] is not None
        },
        "subgroups": {
            dimension: {name: _group(group, own) for name, group in groups.items()}
            for dimension, groups in results["subgroups"].items()
        },
    }


def _task_title(task: str) -> str:
    title = _TASK_TITLES.get(task, task)
    return f"{title[0].upper()}{title[1:]} (`{task}`)"


def _counted(number: int) -> str:
    """`1 record`, `2 records`."""
    return f"{number} record{'' if number == 1 else 's'}"


def _percent(table: Mapping[str, Any]) -> str:
    """Coverage of the intervals; tables of before it was noted have 95 %."""
    return f"{100 * table.get('confidence', 0.95):g} %"


def _own_row(rows: Mapping[str, Any]) -> str:
    own = next((name for name in _OWN_ROWS if name in rows), None)
    if own is None:
        raise ValueError(f"none of the rows {', '.join(rows)} is the checkpoint's own: {' or '.join(_OWN_ROWS)}.")
    return own


def _group(group: Mapping[str, Any], own: str) -> dict[str, Any]:
    figure = group["rows"].get(own)
    found = {name: group[name] for name in ("records", "patients", "left_out", "note")}
    return found if figure is None else {**found, "figure": bounds(figure)}


def bounds(figure: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    """A figure and the ends of its interval; `None` of `None`, a figure that is not defined there."""
    return None if figure is None else {name: figure[name] for name in ("estimate", "low", "high")}


def class_section(table: Mapping[str, Any], tested: TestRecords) -> ResultSection:
    """
    Args:
        table (`Mapping`): Of [`class_table`].
        tested ([`TestRecords`]): Of the evaluation.

    Returns:
        [`ResultSection`]
    """
    main, rows = table["main_figure"], table["rows"]
    own = _own_row(rows)
    title = TITLES[main]
    references = [name for name in _REFERENCES if name in table["less"]]
    header = ["features", title, *(_REFERENCES[name] for name in references)]
    lines = []
    for name, row in rows.items():
        seeds = f", {row['seeds']} seeds" if row["seeds"] > 1 else ""
        differences = ["" if name == other else shown(table["less"][other][name], signed=True) for other in references]
        lines.append([f"{row['title']}{seeds}", shown(row[main]), *differences])
    by_class = ", ".join(
        f"{name} {value:.3f} ({_counted(table['positives'][name])})" for name, value in table["auroc_by_class"].items()
    )
    without = table["without_any_class"]
    own_title = rows[own]["title"]
    words = [f"{own_title[0].upper()}{own_title[1:]}, AUROC by class: {by_class}."]
    if "macro_f1" in table:
        words.append(f"Macro F1 at the thresholds chosen on validation records: {shown(table['macro_f1'])}.")
    if without["train"] + without["validation"] + without["test"]:
        words.append(
            f"Records without any of the classes are kept, as negatives of all: {without['train']} in training,"
            f" {without['validation']} in validation, {without['test']} in the test."
        )
    figures = {main: rows[own][main], "macro_f1": table.get("macro_f1")}
    percent = _percent(table)
    entries = [
        _entry(tested, table["task"], name, figure, percent) for name, figure in figures.items() if figure is not None
    ]
    return ResultSection(
        title=f"{_task_title(table['task'])}: {tested.name}, {tested.split} ({table['records']} records)",
        parts=[
            f"{title[0].upper()}{title[1:]} with a {_percent(table)} bootstrap interval over patients;"
            ' "less" is a model less the row, paired. Rows with several seeds are their means.',
            markdown_table(header, lines),
            "\n".join(words),
        ],
        subgroups=_subgroups(table, title) if "subgroups" in table else [],
        entries=entries,
    )


def _subgroups(table: Mapping[str, Any], title: str) -> list[str]:
    lines = [
        [
            _DIMENSIONS[dimension],
            name,
            f"{group['records']}",
            f"{group['patients']}",
            shown(group.get("figure")),
            group["note"] or (f"without {', '.join(group['left_out'])}" if group["left_out"] else ""),
        ]
        for dimension, groups in table["subgroups"].items()
        for name, group in groups.items()
    ]
    return [
        f"{title[0].upper()}{title[1:]} of `{table['task']}`. Classes with too few records in a group are left out of"
        " its figure, which the last column says: figures of two groups compare only over the same classes.",
        markdown_table(["by", "group", "records", "patients", title, ""], lines),
    ]


def lead_table(results: Mapping[str, Any]) -> dict[str, Any]:
    """
    What a card says of missing and noised leads.

    Args:
        results (`Mapping`): Of [`~anyecg_hf.evaluation.leads.reconstruction.evaluate_lead_reconstruction`].

    Returns:
        `dict`: counts, titles of `rows`, and of every situation the rows' PSNR and Pearson r.
    """
    return {
        "confidence": results["settings"]["bootstrap"]["confidence"],
        "windows": results["data"]["test_windows"],
        "patients": results["data"]["test_patients"],
        "rows": results["task"]["rows"],
        "parts": [
            {
                "title": results["task"]["parts"][part],
                "rows": {row: _lead_row(row, found) for row in found["rows"]},
            }
            for part, found in results["parts"].items()
        ],
    }


def _lead_row(row: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """A row's figures, and those of the trained model less it."""
    figures = {name: bounds(found["rows"][row][name]) for name in ("psnr_db", "pearson_r")}
    return figures if row == "trained" else {**figures, "less": bounds(found["differences"][row]["psnr_db"])}


def lead_section(table: Mapping[str, Any], tested: TestRecords) -> ResultSection:
    """
    Args:
        table (`Mapping`): Of [`lead_table`].
        tested ([`TestRecords`]): Of the evaluation.

    Returns:
        [`ResultSection`]
    """
    titles, lines, entries = table["rows"], [], []
    for part in table["parts"]:
        for name, row in part["rows"].items():
            less = "" if name == "trained" else shown(row["less"], 2, signed=True)
            lines.append([part["title"], titles[name], shown(row["psnr_db"], 2), shown(row["pearson_r"]), less])
        own = part["rows"]["trained"]
        names = {title: name for name, title in PARTS.items()}
        for figure, digits in (("psnr_db", 2), ("pearson_r", 4)):
            config = f"lead-reconstruction, {names.get(part['title'], part['title'])}"
            entries.append(_entry(tested, config, figure, own[figure], _percent(table), digits))
    linear = f" {titles['linear'][0].upper()}{titles['linear'][1:]}, is what the head starts from."
    return ResultSection(
        title=f"Missing and noised leads: {tested.name}, {tested.split} ({table['windows']} windows of"
        f" {table['patients']} patients)",
        parts=[
            f"PSNR in dB, whose range is the clean lead's own peak to peak, with {_percent(table)} bootstrap"
            f' intervals over patients, and Pearson r; "ours less" is the paired difference in dB.{linear}',
            markdown_table(["situation", "row", "PSNR", "r", "ours less this row"], lines),
            "Exact restorations count as 120 dB.",
        ],
        entries=entries,
    )


def cross_validation_section(results: Mapping[str, Any]) -> ResultSection:
    """
    Args:
        results (`Mapping`): Of a cross-validation by patient: labels of patches, or of long records.

    Returns:
        [`ResultSection`]: its models are trained on each other's patients, so that no figure is one of the checkpoint
        alone; there are no entries.
    """
    tested, task = tested_on(results["settings"]), results["task"]
    parts = [
        "Cross-validation by patient on this backbone: heads are trained on the other parts, and predictions of all"
        " parts pooled. The figures are of this procedure, not of the weights in this folder."
    ]
    seen = results["backbone"]
    unknown = " It is not known of all checkpoints on the way." if seen["unknown"] else ""
    parts.append(f"The backbone has seen {seen['seen']} of the {seen['records']} records in its own training.{unknown}")
    for name, unit in results["units"].items():
        if "refused" in unit:
            parts.append(f"By {name}: not evaluated. {unit['refused']}")
            continue
        figures = list(next(iter(unit["rows"].values())))
        lines = [
            [task["rows"][row], *(shown(found[figure]) for figure in figures)] for row, found in unit["rows"].items()
        ]
        parts.append(f"By {name}, {unit['examples']} of {unit['patients']} patients. {unit['caveat']}".strip())
        parts.append(markdown_table(["row", *(TITLES[figure] for figure in figures)], lines))
    return ResultSection(f"{_task_title(task['name'])}: {tested.name}, {tested.split}", parts)


def code_entries(results: Mapping[str, Any], tested: TestRecords) -> list[EvalResult]:
    """Entries of masked codes and of the quantizer's reconstruction; `results` as the card of a checkpoint has them."""
    entries = []
    for row in results.get("masked_codes", ()):
        config = f"masked codes, {row['strategy'].replace('_', ' ')} {100 * row['ratio']:.0f} %"
        entries.append(_entry(tested, config, "accuracy", {"estimate": row["accuracy"]}, task="fill-mask"))
    if "quantizer" in results:
        median = {"estimate": results["quantizer"]["correlation_median"]}
        entries.append(_entry(tested, "rhythm codes, reconstruction", "pearson_r", median))
    return entries


def _entry(
    tested: TestRecords,
    config: str,
    figure: str,
    found: Mapping[str, Any],
    percent: str = "",
    digits: int = 4,
    task: str | None = None,
) -> EvalResult:
    """An entry. The Hub has no tasks of its own for ECGs; those of audio are the nearest."""
    restores = figure in ("psnr_db", "pearson_r")
    name = TITLES.get(figure, {"psnr_db": "PSNR in dB", "pearson_r": "Pearson r"}.get(figure, figure))
    shown_digits = min(digits, 3)
    if found.get("low") is not None:
        name += f" ({percent} interval {found['low']:.{shown_digits}f} to {found['high']:.{shown_digits}f})"
    return EvalResult(
        task_type=task or ("audio-to-audio" if restores else "audio-classification"),
        task_name=f"ECG: {_TASK_TITLES.get(config, config)}",
        dataset_type=tested.corpora,
        dataset_name=tested.name,
        dataset_config=config,
        dataset_split=tested.split,
        metric_type=_METRIC_TYPES.get(figure, figure),
        metric_name=name,
        metric_value=round(found["estimate"], digits),
    )


__all__ = [
    "ResultSection",
    "TestRecords",
    "bounds",
    "class_section",
    "class_table",
    "code_entries",
    "cross_validation_section",
    "lead_section",
    "lead_table",
    "read_results",
    "tested_on",
]
