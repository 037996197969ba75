# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`results.json`, `results.md` and plots of an evaluation."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..patient_means import MIN_PATIENTS, shown
from ..results_folder import REPORT_FILE, markdown_table, write_results_json
from .figures import CLASS_FIGURES, TITLES

_DIMENSIONS = {"sex": "Sex", "age": "Age in years", "corpus": "Corpus"}


def write_results(results: Mapping[str, Any], folder: Path) -> None:
    """
    Writes everything.

    Args:
        results (`Mapping`): Of [`evaluate`].
        folder (`Path`): Where to; made if need be.
    """
    from .result_plots import save_plots  # late: without matplotlib the figures can still be computed

    write_results_json(results, folder)
    plots = save_plots(results, folder)
    (folder / REPORT_FILE).write_text(render_markdown(results, [path.name for path in plots]))


def render_markdown(results: Mapping[str, Any], plots: Iterable[str] = ()) -> str:
    """
    The results in words and tables.

    Args:
        results (`Mapping`): What `results.json` holds.
        plots (`Iterable[str]`, *optional*): Names of pictures beside the text.

    Returns:
        `str`: Markdown.
    """
    parts = [
        _heading(results),
        *(f"![{Path(name).stem}]({name})" for name in plots),
        _rows_table(results),
        _differences_tables(results),
        _classes_table(results),
        _subgroup_tables(results),
        _robustness_table(results),
        _provenance(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(results: Mapping[str, Any]) -> str:
    task, test, bootstrap = results["task"], results["data"]["test"], results["settings"]["bootstrap"]
    corpora = ", ".join(f"{count} of {name}" for name, count in test["corpora"].items())
    lines = [
        f"# {task['name']}",
        "",
        f"{test['records']} test records of {test['patients']} patients ({corpora}); intervals of"
        f" {bootstrap['confidence']:.0%} from {bootstrap['resamples']} resamples of patients. Means over the seeds,"
        " ± their standard deviation.",
    ]
    if test["patients"] < MIN_PATIENTS:
        lines.append(f"Of fewer than {MIN_PATIENTS} patients intervals are no evidence.")
    if task["problem_type"].startswith("multi"):
        lines.append("Thresholds are those of best F1 on the validation records, one a class.")
    else:
        lines.append("Decisions are the most likely class.")
    if task["left_out"]:
        lines += ["", "Classes left out: " + "; ".join(f"{name}: {why}" for name, why in task["left_out"].items())]
    undefined = _undefined_classes(results)
    if undefined:
        listed = ", ".join(undefined)
        lines += ["", f"Without figures, and not in the means, having no positives or no negatives here: {listed}."]
    return "\n".join(lines)


def _undefined_classes(results: Mapping[str, Any]) -> list[str]:
    row = next(iter(results["rows"].values()))
    return [name for name, figures in row["classes"].items() if figures["auroc"] is None]


def _rows_table(results: Mapping[str, Any]) -> str:
    figures = list(next(iter(results["rows"].values()))["figures"])
    table = markdown_table(
        ["row", "seeds", *(TITLES[figure] for figure in figures)],
        (
            [row["title"], str(len(row["seeds"])), *(_with_spread(row["figures"][figure]) for figure in figures)]
            for row in results["rows"].values()
        ),
    )
    missing = [f"{name}: {why}" for name, why in results["missing_rows"].items()]
    return f"## Rows\n\n{table}" + (f"\n\nNot computed: {'; '.join(missing)}." if missing else "")


def _differences_tables(results: Mapping[str, Any]) -> str:
    tables = []
    for reference, others in results["differences"].items():
        if not others:
            continue
        figures = list(next(iter(others.values())))
        rows = (
            [results["rows"][name]["title"], *(shown(found[figure], signed=True) for figure in figures)]
            for name, found in others.items()
        )
        title = results["rows"][reference]["title"]
        tables.append(f"## {title.capitalize()} less each other row\n\nPaired, on the same resamples.\n")
        tables.append(markdown_table(["row", *(TITLES[figure] for figure in figures)], rows) + "\n")
    return "\n".join(tables).rstrip()


def _classes_table(results: Mapping[str, Any]) -> str:
    data = results["data"]
    sections = ["## Classes"]
    for figure in CLASS_FIGURES:
        rows = (
            [
                name,
                "/".join(str(data[split]["positives"][name]) for split in ("train", "validation", "test")),
                *(shown(row["classes"][name][figure]) for row in results["rows"].values()),
            ]
            for name in results["task"]["classes"]
        )
        header = ["class", "train/val./test", *(row["title"] for row in results["rows"].values())]
        sections.append(f"{TITLES.get(figure, figure.upper())}\n\n{markdown_table(header, rows)}")
    return "\n\n".join(sections)


def _subgroup_tables(results: Mapping[str, Any]) -> str:
    sections = [f"## Subgroups\n\n{TITLES[results['task']['main_figure']]}"]
    for dimension, groups in results["subgroups"].items():
        rows = (
            [
                name,
                f"{group['records']}/{group['patients']}",
                *(shown(group["rows"].get(row)) for row in results["rows"]),
                group["note"] or (f"without {', '.join(group['left_out'])}" if group["left_out"] else ""),
            ]
            for name, group in groups.items()
        )
        titles = (row["title"] for row in results["rows"].values())
        sections.append(markdown_table([_DIMENSIONS[dimension], "records/patients", *titles, ""], rows))
    return "\n\n".join(sections)


def _robustness_table(results: Mapping[str, Any]) -> str:
    tests = results["robustness"]
    if not tests:
        return ""
    main = results["task"]["main_figure"]
    names = [name for name in results["rows"] if any(name in test["rows"] for test in tests)]
    header = ["condition", "records", "unanswered"]
    header += [part for name in names for part in (results["rows"][name]["title"], "change")]
    rows = []
    for test in tests:
        cells = [test["title"], str(test["records"]), str(test["unanswered"])]
        for name in names:
            found = test["rows"].get(name, {})
            cells += [shown(found.get(main)), shown(found.get("change"), signed=True)]
        rows.append(cells)
    clean = ["as they are", str(results["data"]["test"]["records"]), "0"]
    for name in names:
        clean += [shown(results["rows"][name]["figures"][main]), ""]
    words = (
        f"{TITLES[main]}, and its paired change against the same records as they are. Noise is added before cleaning;"
        " records that cleaning then refuses (unanswered) count with the class frequencies of the training records."
    )
    return f"## Robustness\n\n{words}\n\n{markdown_table(header, [clean, *rows])}"


def _provenance(results: Mapping[str, Any]) -> str:
    rows = (
        [
            name,
            *(str(split[key]) for key in ("records", "windows", "patients")),
            ", ".join(split["corpora"]),
            split["fingerprint_sha256"][:16],
        ]
        for name, split in results["data"].items()
    )
    table = markdown_table(["split", "records", "windows", "patients", "corpora", "fingerprint"], rows)
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    seconds = ", ".join(f"{name} {value:g}" for name, value in results["seconds"].items())
    seen = "\n".join(
        f"- {Path(name).parent.name}/{Path(name).name}: {found['records']} records, none of them a test record"
        + (f"; not known of {len(found['unknown'])} checkpoints on the way" if found["unknown"] else "")
        for name, found in results["models"].get("trained_on", {}).items()
    )
    parts = ["## Records and software", table, seen and f"Trained or selected on:\n\n{seen}", versions]
    return "\n\n".join([*filter(None, parts), f"Seconds: {seconds}."])


def _with_spread(interval: Mapping[str, Any] | None) -> str:
    spread = None if interval is None else interval["standard_deviation"]
    return shown(interval) + (f" ± {spread:.3f}" if spread is not None and math.isfinite(spread) else "")


__all__ = ["render_markdown", "write_results"]
