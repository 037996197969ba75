# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Evaluating the generation of corrupted leads: the whole protocol, from a configuration to `results.json`.

    python -m anyecg_hf.evaluation.leads.reconstruction --config lead_reconstruction.yaml

The situations are those of `situations`, the rows those of `estimators`. Records have all twelve standard
leads, at least one usable patch in each; longer ones are cut into windows of `data.window_s`. Signals are cleaned, in
mV at the tokenizer's rate. A figure is the mean over scored leads and windows; intervals are over patients; differences
are of the trained model less each other row, over the leads and windows that both have.
"""

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch

from ...corpora.signal_feature import ECG_FORMAT
from ...models.anyecg import AnyECGForLeadReconstruction, AnyECGTokenizer
from ...models.anyecg.lead_estimation_anyecg import LeadEstimator
from ...models.anyecg.lead_statistics_anyecg import fit_lead_covariance
from ...training.adapters import ADAPTER_FILE, load_adapted
from ...training.codes import weights_digest
from ...training.config_files import parse_config
from ...training.configs import RECONSTRUCTION_TASK, DataConfig, SourceConfig
from ...training.lead_reconstruction import covariance_rows
from ...training.leaks import RowKey, refuse_shared, row_keys, without_copies
from ...training.run_folder import library_versions
from ...training.sources import cleaned_source, window_patches
from ..checkpoints import evaluation_device, refuse_long_windows, refuse_seen_records, shared_tokenizer
from ..evaluation_configs import BootstrapConfig, EvaluationConfig
from ..metrics import mean_absolute_error_mv, pearson_r, psnr_db, ssim
from ..patient_means import patient_mean, patient_of
from ..results_folder import new_results_folder
from .estimators import TITLES, LeastSquares, identities, mean_of_leads, model_answers
from .result_files import Example, write_lead_results
from .situations import PARTS, STANDARD_LEADS, CorruptedBatch, clean_batch, situations, standard_window

FIGURES = ("psnr_db", "peak_psnr_db", "ssim", "mae_mv", "pearson_r")
# Of what is exact but for rounding.
HIGHEST_PSNR_DB = 120.0
_BATCH = 16

Figures = dict[str, dict[str, list[np.ndarray]]]


def evaluate_lead_reconstruction(config: EvaluationConfig) -> dict[str, Any]:
    """
    Evaluates checkpoints on corrupted-lead generation, and writes `results.json`, `results.md` and a picture into
    `config.output_dir`.

    Args:
        config ([`EvaluationConfig`]): `checkpoint`, one or several, `data.train` for least squares, `data.held_out` to
            test on, `data.window_s`, `bootstrap`, `device`.

    Returns:
        `dict`: what `results.json` holds.

    Raises:
        [`~anyecg_hf.training.leaks.LeakError`]: if a test record is a copy of a training record, or of the same
            patient, or if a checkpoint was trained or selected on it.
        `ValueError`: without checkpoint, if checkpoints clean records differently or a window is longer than one of
            them was trained on, if no test record has the twelve leads, and if `output_dir` holds results.
    """
    folder = new_results_folder(config)
    _check(config)
    start = time.monotonic()
    device = evaluation_device(config)
    tokenizer = shared_tokenizer(config.checkpoints)
    models = [load_lead_model(checkpoint, device) for checkpoint in config.checkpoints]
    refuse_long_windows(config.data.window_s, models, tokenizer)
    train, test, dropped = _records(config.data, tokenizer)
    records = list(dict.fromkeys(row_keys(test)))
    seen = {checkpoint: refuse_seen_records(checkpoint, records) for checkpoint in config.checkpoints}
    least_squares = LeastSquares(
        fit_lead_covariance(covariance_rows(train), list(tokenizer.lead_names)).double().numpy()
    )
    estimator = LeadEstimator(models[0].config)
    figures: dict[str, Figures] = {part: {name: {} for name in TITLES} for part in PARTS}
    patients: list[Any] = []
    examples: list[Example] = []
    for batch, keys in _batches(test, tokenizer):
        patients += [patient_of(key) for key in keys]
        names = [f"{key.corpus}/{key.record_id}" for key in keys]
        for found in situations(batch, names, tokenizer.lead_names, tokenizer.sampling_rate):
            answers = _answers(found, models, least_squares, estimator)
            _add_figures(figures, found, answers)
            if "three_leads" in found.scored:
                examples += _examples(found, answers, names)
    results = {
        "task": {"name": RECONSTRUCTION_TASK, "parts": PARTS, "rows": TITLES, "figures": list(FIGURES)},
        "settings": dataclasses.asdict(config),
        "versions": library_versions(),
        "models": {"sha256": [weights_digest(model) for model in models], "trained_on": seen},
        "data": {
            "test_windows": len(patients),
            "test_patients": len(set(patients)),
            "without_twelve_leads": dropped,
            "training_rows": len(train),
            "sampling_rate_hz": tokenizer.sampling_rate,
        },
        "parts": {part: _summary(found, patients, config.bootstrap) for part, found in figures.items()},
    }
    results["seconds"] = round(time.monotonic() - start, 1)
    write_lead_results(results, _middle(examples, figures), tokenizer.sampling_rate, folder)
    return results


def _check(config: EvaluationConfig) -> None:
    if config.task.name != RECONSTRUCTION_TASK:
        raise ValueError(f"this protocol is of the task {RECONSTRUCTION_TASK!r}, got {config.task.name!r}.")
    if not config.checkpoints:
        raise ValueError("name the model to evaluate: `checkpoint`.")
    for name in ("train", "held_out"):
        if not getattr(config.data, name):
            raise ValueError(f"`data.{name}` is empty: name at least one source of records.")


def load_lead_model(checkpoint: str, device: torch.device) -> AnyECGForLeadReconstruction:
    """
    A trained model in evaluation mode.

    Args:
        checkpoint (`str`): Folder or repository; an adapter is merged into its base.
        device (`torch.device`): Where to.

    Returns:
        [`AnyECGForLeadReconstruction`]

    Raises:
        `ValueError`: if the checkpoint has no such head.
    """
    if (Path(checkpoint) / ADAPTER_FILE).is_file():
        return load_adapted(checkpoint).merge_and_unload().eval().to(device)
    model, found = AnyECGForLeadReconstruction.from_pretrained(
        checkpoint, output_loading_info=True, dtype=torch.float32
    )
    if found["missing_keys"]:
        raise ValueError(
            f"{checkpoint} has no trained head for lead reconstruction: fine-tune it with `task.name:"
            f" {RECONSTRUCTION_TASK}` first."
        )
    return model.eval().to(device)


def _records(config: DataConfig, tokenizer: AnyECGTokenizer) -> tuple[datasets.Dataset, datasets.Dataset, int]:
    """Training and test windows, and how many of the latter are left out for want of leads."""
    patches = window_patches(config, tokenizer)

    def cleaned(sources: Sequence[SourceConfig]) -> list[datasets.Dataset]:
        return [cleaned_source(source, config, tokenizer, patches, streaming=False) for source in sources]

    train, test = cleaned(config.train), cleaned(config.held_out)
    refuse_shared(train, test, "training")
    if config.deduplicate:
        test = without_copies(test)
    joined = datasets.concatenate_datasets(test).with_format(ECG_FORMAT)
    columns = joined.select_columns(["lead_ids", "attention_mask", "n_patches"])
    kept = [index for index, row in enumerate(columns) if standard_window(row, tokenizer.lead_names) is not None]
    if not kept:
        raise ValueError(f"none of {len(joined)} test windows has all of the leads {', '.join(STANDARD_LEADS)}.")
    return datasets.concatenate_datasets(train).with_format(ECG_FORMAT), joined.select(kept), len(joined) - len(kept)


def _batches(
    rows: datasets.Dataset, tokenizer: AnyECGTokenizer
) -> Iterator[tuple[dict[str, torch.Tensor], list[RowKey]]]:
    """Windows of one length, with their keys."""
    keys = list(row_keys(rows))
    by_length: dict[int, list[int]] = {}
    for index, length in enumerate(rows.select_columns(["n_patches"]).with_format(None)["n_patches"]):
        by_length.setdefault(length, []).append(index)
    for indices in by_length.values():
        for start in range(0, len(indices), _BATCH):
            chosen = indices[start : start + _BATCH]
            part = [rows[index] for index in chosen]
            places = [standard_window(row, tokenizer.lead_names) for row in part]
            yield clean_batch(part, places), [keys[index] for index in chosen]


def _answers(
    found: CorruptedBatch,
    models: Sequence[AnyECGForLeadReconstruction],
    least_squares: LeastSquares,
    estimator: LeadEstimator,
) -> dict[str, list[np.ndarray]]:
    """Row -> what it restores, in recording scale, NaN where it says nothing; one array a model."""
    trained, linear = model_answers(models, found.tensors)
    answers = {
        "mean": [mean_of_leads(found.tensors)],
        "least_squares": [least_squares(found.tensors)],
        "linear": linear,
        "trained": trained,
    }
    if "noised" in found.scored:
        answers["given"] = [found.tensors["input_values"].numpy()]
    if not found.scored.keys() & {"three_leads", "one_chest_lead"}:
        answers["identities"] = [identities(found.tensors, estimator)]
    return answers


def _add_figures(figures: dict[str, Figures], found: CorruptedBatch, answers: Mapping[str, list[np.ndarray]]) -> None:
    scale = found.tensors["scale"].double().numpy()[:, None, None, None]
    clean = found.tensors["labels"].numpy() * scale
    for part, scored in found.scored.items():
        for row, arrays in answers.items():
            if row == "given" and part != "noised":
                continue
            by_model = [lead_figures(clean, values * scale, scored) for values in arrays]
            for name in FIGURES:
                mean = np.mean([one[name] for one in by_model], axis=0)
                figures[part][row].setdefault(name, []).append(mean)


def lead_figures(clean_mv: np.ndarray, restored_mv: np.ndarray, scored: np.ndarray) -> dict[str, np.ndarray]:
    """
    Figures of restored leads.

    `psnr_db` has the lead's own peak to peak over the whole window as its range, as SSIM has; `peak_psnr_db` the usual
    definition for signals, the highest absolute value over the window.

    Args:
        clean_mv, restored_mv (`np.ndarray` of shape `(B, L, N, S)`): In mV; NaN where nothing was restored.
        scored (`np.ndarray` of shape `(B, L, N)`, bool): Patches that count.

    Returns:
        `dict[str, np.ndarray]`: name -> `(B, L)`, NaN where nothing counts, a scored patch was not restored, or the
        clean lead is flat.
    """
    complete = scored.any(axis=2) & ~np.isnan(np.where(scored[..., None], restored_mv, 0.0)).any(axis=(2, 3))
    found = {name: np.full(scored.shape[:2], np.nan) for name in FIGURES}
    if not complete.any():
        return found
    mask = np.repeat(scored[complete], clean_mv.shape[-1], axis=1)
    clean = clean_mv[complete].reshape(mask.shape)
    restored = np.where(mask, restored_mv[complete].reshape(mask.shape), clean)
    peaks = np.abs(clean).max(axis=1)
    values = {
        "psnr_db": psnr_db(clean, restored, mask),
        "peak_psnr_db": psnr_db(clean, restored, mask, np.where(peaks > 0, peaks, 1.0)),
        "ssim": ssim(clean, restored, mask),
        "mae_mv": mean_absolute_error_mv(clean, restored, mask),
        "pearson_r": pearson_r(clean, restored, mask),
    }
    is_flat = np.ptp(clean, axis=1) == 0
    for name, value in values.items():
        value = np.minimum(value, HIGHEST_PSNR_DB) if name.endswith("psnr_db") else value
        found[name][complete] = np.where(is_flat, np.nan, value)
    return found


def _summary(found: Figures, patients: Sequence[Any], bootstrap: BootstrapConfig) -> dict[str, Any]:
    """Means of every row, and of the differences to the trained one. Every situation adds records in the same order."""
    stacked = {
        row: {name: _by_record(parts, len(patients)) for name, parts in named.items()}
        for row, named in found.items()
        if named
    }
    rows = {
        row: {name: patient_mean(values, patients, bootstrap) for name, values in named.items()}
        for row, named in stacked.items()
    }
    differences = {
        row: {name: patient_mean(stacked["trained"][name] - named[name], patients, bootstrap) for name in FIGURES}
        for row, named in stacked.items()
        if row != "trained"
    }
    told = {row: any(rows[row].values()) for row in rows}
    return {
        "rows": {row: named for row, named in rows.items() if told[row]},
        "differences": {row: named for row, named in differences.items() if told[row]},
    }


def _by_record(parts: list[np.ndarray], records: int) -> np.ndarray:
    """
    `(records, situations, leads)`. The situations of a batch follow each other, then comes the next batch.
    """
    count = sum(map(len, parts)) // records
    batches = [np.stack(parts[first : first + count], axis=1) for first in range(0, len(parts), count)]
    return np.concatenate(batches)


def _examples(found: CorruptedBatch, answers: Mapping[str, list[np.ndarray]], names: Sequence[str]) -> list[Example]:
    scored, scale = found.scored["three_leads"], found.tensors["scale"].double().numpy()[:, None, None, None]
    restored = np.where(scored[..., None], answers["trained"][0], np.nan) * scale
    clean = found.tensors["labels"].numpy() * scale
    flat = (*scored.shape[:2], -1)
    return [
        Example(name, *pair) for name, *pair in zip(names, clean.reshape(flat), restored.reshape(flat), strict=True)
    ]


def _middle(examples: Sequence[Example], figures: Mapping[str, Figures]) -> Example:
    """The record of median PSNR: neither the best nor the worst."""
    values = np.nanmean(np.concatenate(figures["three_leads"]["trained"]["psnr_db"]), axis=1)
    order = np.argsort(values)  # NaN comes last
    return examples[order[np.isfinite(values).sum() // 2]]


if __name__ == "__main__":
    evaluate_lead_reconstruction(parse_config(EvaluationConfig, sys.argv[1:]))


__all__ = ["FIGURES", "HIGHEST_PSNR_DB", "evaluate_lead_reconstruction", "lead_figures", "load_lead_model"]
