# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""PTB-XL superclasses on held-out records: the fine-tuned model beside rows that anyone should ask for."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader

from anyecg_hf.evaluation.baselines.handcrafted import HandcraftedBaseline, beat_features
from anyecg_hf.evaluation.baselines.probe import fit_linear_probe
from anyecg_hf.evaluation.metrics import (
    bootstrap_interval,
    macro_auroc,
    macro_f1,
    paired_bootstrap_difference,
    per_class_auroc,
)
from anyecg_hf.models.anyecg import AnyECGForSequenceClassification, AnyECGModel, AnyECGTokenizer
from anyecg_hf.training.collators import WindowCollator
from anyecg_hf.training.finetuning import class_probabilities
from anyecg_hf.training.windows import CleanedRecord, RecordWindows


@dataclass(frozen=True)
class LabelledSplits:
    """PTB-XL records with labels: folds 1-7, 8 and 9."""

    train: list[CleanedRecord]
    selection: list[CleanedRecord]
    report: list[CleanedRecord]


def labels_of(records: list[CleanedRecord]) -> np.ndarray:
    """Labels `(records, classes)`, 0 or 1."""
    return np.stack([record.labels for record in records])


@torch.no_grad()
def backbone_features(
    model: AnyECGModel, tokenizer: AnyECGTokenizer, records: list[CleanedRecord], window_patches: int
) -> np.ndarray:
    """Mean and maximum over real tokens of each record's first window, `(records, 2 D)`."""
    windows = RecordWindows(records, window_patches, training=False, most_windows=1)
    rows = []
    for batch in DataLoader(windows, batch_size=16, collate_fn=WindowCollator(tokenizer)):
        outputs = model(**batch)
        real = batch["attention_mask"].flatten(1).bool()
        largest = outputs.last_hidden_state.masked_fill(~real[..., None], -torch.inf).amax(dim=1)
        rows.append(torch.cat((outputs.pooler_output, largest), dim=1))
    return torch.cat(rows).float().numpy()


def probe_scores(
    model: AnyECGModel, tokenizer: AnyECGTokenizer, splits: LabelledSplits, window_patches: int
) -> np.ndarray:
    """Scores on the report records of a linear probe on a frozen backbone, `(records, classes)`."""
    train, selection, report = (
        backbone_features(model.eval(), tokenizer, records, window_patches)
        for records in (splits.train, splits.selection, splits.report)
    )
    probe = fit_linear_probe(train, labels_of(splits.train), selection, labels_of(splits.selection))
    return probe.scores(report)


def handcrafted_scores(splits: LabelledSplits, sampling_rate: float) -> np.ndarray:
    """Scores of median beats, RR and lead statistics under the same probe, `(records, classes)`."""
    train, selection, report = (
        [beat_features(_cleaned_mv(record), sampling_rate) for record in records]
        for records in (splits.train, splits.selection, splits.report)
    )
    baseline = HandcraftedBaseline.fit(train, labels_of(splits.train), selection, labels_of(splits.selection))
    return baseline.scores(report)


def _cleaned_mv(record: CleanedRecord) -> np.ndarray:
    return record.patches.reshape(len(record.lead_ids), -1).astype(np.float32) * np.float32(record.scale)


def score_table(labels: np.ndarray, rows: dict[str, np.ndarray], class_names: tuple[str, ...]) -> dict[str, dict]:
    """
    Macro AUROC of every row with its bootstrap interval over records, and AUROC by class.

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): 0 or 1.
        rows (`dict[str, np.ndarray]`): Name -> scores of the same shape.
        class_names (`tuple[str, ...]`): Names of the classes.

    Returns:
        `dict[str, dict]`: name -> `macro_auroc` (estimate, low, high) and `auroc` by class.
    """
    return {
        name: {
            "macro_auroc": asdict(bootstrap_interval(macro_auroc, labels, scores)),
            "auroc": dict(zip(class_names, map(float, per_class_auroc(labels, scores)), strict=True)),
        }
        for name, scores in rows.items()
    }


def paired_differences(labels: np.ndarray, rows: dict[str, np.ndarray], reference: str) -> dict[str, dict]:
    """Macro AUROC of `reference` less each other row, with paired bootstrap intervals."""
    return {
        name: asdict(paired_bootstrap_difference(macro_auroc, labels, rows[reference], scores))
        for name, scores in rows.items()
        if name != reference
    }


def report_on_superclasses(
    classifier: AnyECGForSequenceClassification,
    probes: dict[str, AnyECGModel],
    tokenizer: AnyECGTokenizer,
    splits: LabelledSplits,
    window_patches: int,
) -> dict[str, dict]:
    """
    The whole table.

    Args:
        classifier ([`AnyECGForSequenceClassification`]): The fine-tuned model.
        probes (`dict[str, AnyECGModel]`): Name -> frozen backbone for a linear probe; one of them randomly initialised.
        tokenizer ([`AnyECGTokenizer`]): Pads the batches.
        splits ([`LabelledSplits`]): Records.
        window_patches (`int`): Patches of a window.

    Returns:
        `dict` with `rows`, `fine_tuned_minus` (paired) and `macro_f1` at the checkpoint's thresholds.
    """
    labels = labels_of(splits.report)
    names = tuple(classifier.config.id2label[index] for index in range(classifier.config.num_labels))
    windows = RecordWindows(splits.report, window_patches, training=False, most_windows=1)
    rows = {"fine-tuned": class_probabilities(classifier.eval(), tokenizer, windows)}
    for name, backbone in probes.items():
        rows[name] = probe_scores(backbone, tokenizer, splits, window_patches)
    rows["hand-crafted features"] = handcrafted_scores(splits, tokenizer.sampling_rate)
    thresholds = np.array([classifier.config.label_thresholds[name] for name in names])
    return {
        "records": len(labels),
        "positives": dict(zip(names, labels.sum(axis=0).astype(int).tolist(), strict=True)),
        "rows": score_table(labels, rows, names),
        "fine_tuned_minus": paired_differences(labels, rows, "fine-tuned"),
        "macro_f1": float(macro_f1(labels, rows["fine-tuned"], thresholds)),
    }
