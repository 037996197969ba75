# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Fine-tuning for one answer a long record, or a stretch of it: a small Transformer over the embeddings of windows.

The backbone is frozen; it may have been fine-tuned before. Every record passes through it once, window by window, no
more than a few windows being held at a time. What is kept is one vector a window: 7 MB for a day of 10 s windows at a
width of 192.

A segment has a class if any of its patches has it (`training.annotation_labels`), and has it not if at least half of
its patches are labelled and none has it; else nothing is said.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import datasets
import numpy as np
import torch
from datasets import Value
from torch import nn

from anyecg_hf.corpora.array_feature import BinaryArray
from anyecg_hf.corpora.signal_feature import ECG_FORMAT
from anyecg_hf.models.anyecg import AnyECGForLongRecordClassification, AnyECGModel, AnyECGTokenizer
from anyecg_hf.models.anyecg.compatibility_anyecg import check_tokenizer_matches
from anyecg_hf.models.anyecg.modeling_anyecg_tokens import IGNORED_LABEL
from anyecg_hf.training.annotation_labels import AnnotationTask, annotation_task
from anyecg_hf.training.configs import FinetuningConfig
from anyecg_hf.training.label_tasks import MULTI_LABEL
from anyecg_hf.training.leaks import RowKey
from anyecg_hf.training.model_configs import load_tokenizer
from anyecg_hf.training.sources import TrainingRows, load_rows, window_patches
from anyecg_hf.training.stage import LossTerm
from anyecg_hf.training.task_stage import TaskStage, class_settings, figures_by_class
from anyecg_hf.training.token_labels import TOKEN_LABELS, with_token_labels
from anyecg_hf.training.windows import Batch, Row

logger = logging.getLogger(__name__)

_TIME_AXIS = {"input_values": 1, "attention_mask": 1, TOKEN_LABELS: 0}
_DTYPES = {"input_values": np.float32, "attention_mask": np.int64, TOKEN_LABELS: np.int64}
_NO_BEAT = "none"
_LEAST_KNOWN = 0.5

# One row a segment. To a batch a window is what a patch is elsewhere.
SEGMENT_FEATURES = datasets.Features(
    {
        **{name: Value("string") for name in RowKey._fields},
        "start_s": Value("float64"),
        "window_embeddings": BinaryArray("float32"),
        "window_mask": BinaryArray("bool"),
        "labels": BinaryArray("float32"),
        "n_leads": Value("int32"),
        "n_patches": Value("int32"),
    }
)


@dataclass(frozen=True)
class SegmentSettings:
    """
    How records become segments.

    Args:
        task ([`AnnotationTask`]): What segments are labelled with.
        class_names (`tuple[str, ...]`): Its classes that are asked about.
        window_patches (`int`): Patches of a window.
        patch_s (`float`): Length of a patch in seconds.
        windows (`int`, *optional*): Windows of a segment; by default all of a record. A rest of less than half of them
            is left out.
    """

    task: AnnotationTask
    class_names: tuple[str, ...]
    window_patches: int
    patch_s: float
    windows: int | None = None

    def label(self, token_labels: np.ndarray) -> np.ndarray:
        """Which classes occur among patches `(N,)`: `(classes,)` float32 of 0, 1 and NaN."""
        known = token_labels[token_labels != IGNORED_LABEL]
        places = [self.task.class_names.index(name) for name in self.class_names]
        occurs = np.isin(places, known)
        is_told = len(known) >= _LEAST_KNOWN * max(len(token_labels), 1)
        return np.where(occurs, 1.0, 0.0 if is_told else np.nan).astype(np.float32)


def record_windows(rows: Iterable[Row], window_patches: int) -> Iterator[dict[str, np.ndarray]]:
    """
    Cuts a record into windows of exactly so many patches, the last one as long as what is left, as
    [`AnyECGForLongRecordClassification`] does; holds no more than a row and a window.

    Args:
        rows (`Iterable[Mapping]`): The rows of one record in order, with `token_labels`.
        window_patches (`int`): Patches of a window.

    Returns:
        `Iterator[dict]`: features of windows, with `token_labels`.

    Raises:
        `ValueError`: if rows do not follow each other.
    """
    held: dict[str, np.ndarray] = {}
    reached, facts = None, {}
    for row in rows:
        if reached is not None and row["first_patch"] != reached:
            raise ValueError(
                f"record {row['corpus']}/{row['record_id']}: after patch {reached} comes {row['first_patch']}. If two"
                " sources have it, set `data.deduplicate: true`."
            )
        reached = row["first_patch"] + row["n_patches"]
        facts = {"lead_ids": np.asarray(row["lead_ids"]).astype(np.int64), "scale": np.float32(row["scale"])}
        piece = {name: np.asarray(row[name]).astype(dtype) for name, dtype in _DTYPES.items()}
        held = {name: np.concatenate((held[name], piece[name]), axis=_TIME_AXIS[name]) for name in held} or piece
        while len(held[TOKEN_LABELS]) >= window_patches:
            yield {**_cut(held, slice(window_patches)), **facts}
            held = _cut(held, slice(window_patches, None))
    if held and len(held[TOKEN_LABELS]):
        yield {**held, **facts}


def _cut(arrays: Mapping[str, np.ndarray], span: slice) -> dict[str, np.ndarray]:
    return {name: value[(slice(None),) * _TIME_AXIS[name] + (span,)] for name, value in arrays.items()}


def embed_records(rows: datasets.Dataset, backbone: AnyECGModel, settings: SegmentSettings) -> datasets.Dataset:
    """
    Embeds records window by window.

    Args:
        rows (`datasets.Dataset`): Rows of `clean_corpus` with `token_labels`, whole records in pieces.
        backbone ([`AnyECGModel`]): The frozen backbone, on the device to compute on.
        settings ([`SegmentSettings`]): How to cut and label.

    Returns:
        `datasets.Dataset`: one row a segment (`SEGMENT_FEATURES`), in memory; segments about which nothing is said are
        left out.

    Raises:
        `ValueError`: as [`record_windows`].
    """
    columns = rows.select_columns([*RowKey._fields, "first_patch"]).with_format(None)
    places = [(tuple(row[name] or "" for name in RowKey._fields), row["first_patch"]) for row in columns]
    order = sorted(range(len(places)), key=places.__getitem__)
    found: list[dict[str, Any]] = []
    for _, indices in groupby(order, key=lambda index: places[index][0]):
        indices = list(indices)
        facts = {name: columns[indices[0]][name] for name in RowKey._fields}
        found += ({**facts, **segment} for segment in _segments(rows.select(indices), backbone, settings))
    return datasets.Dataset.from_list(found, features=SEGMENT_FEATURES).with_format(ECG_FORMAT)


def _segments(rows: Iterable[Row], backbone: AnyECGModel, settings: SegmentSettings) -> Iterator[dict[str, Any]]:
    token_labels: list[np.ndarray] = []
    real: list[bool] = []

    def noted() -> Iterator[dict[str, np.ndarray]]:
        for window in record_windows(rows, settings.window_patches):
            token_labels.append(window.pop(TOKEN_LABELS))
            real.append(bool(window["attention_mask"].any()))
            yield window

    embeddings = torch.stack(list(backbone.encode_windows(noted()))).numpy()
    length = settings.windows or len(embeddings)
    for start in range(0, len(embeddings), length):
        span = slice(start, start + length)
        labels = settings.label(np.concatenate(token_labels[span]))
        if 2 * len(embeddings[span]) < length or np.isnan(labels).all():
            continue
        segment = {"window_embeddings": embeddings[span], "window_mask": np.array(real[span]), "labels": labels}
        yield {
            **{name: SEGMENT_FEATURES[name].encode_example(value) for name, value in segment.items()},
            "start_s": start * settings.window_patches * settings.patch_s,
            "n_leads": 1,
            "n_patches": len(embeddings[span]),
        }


def collate_segments(rows: Sequence[Row], generator: torch.Generator | None = None) -> Batch:
    """
    Joins segments.

    Args:
        rows (`Sequence[Mapping]`): Of [`embed_records`].
        generator (`torch.Generator`, *optional*): Unused: nothing is drawn.

    Returns:
        `dict[str, torch.Tensor]`: `window_embeddings` `(B, W, D)`, `labels` `(B, classes)`, and `attention_mask`
        `(B, 1, W)`, the mask of windows under the name that the loop counts by.
    """
    embeddings = [torch.tensor(np.asarray(row["window_embeddings"])) for row in rows]
    masks = [torch.tensor(np.asarray(row["window_mask"])).long() for row in rows]
    return {
        "window_embeddings": nn.utils.rnn.pad_sequence(embeddings, batch_first=True),
        "attention_mask": nn.utils.rnn.pad_sequence(masks, batch_first=True)[:, None],
        "labels": torch.tensor(np.stack([np.asarray(row["labels"]) for row in rows])),
    }


def _as_window_mask(_: nn.Module, arguments: tuple, given: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    if "window_embeddings" in given and "attention_mask" in given:
        given = {**given, "window_mask": given["attention_mask"][:, 0]}
        del given["attention_mask"]
    return arguments, given


class LongRecordStage(TaskStage):
    """
    Trains the head of an [`AnyECGForLongRecordClassification`]. In the log a token is a window, and `tflops` are what
    the backbone would take for as many patches: no measure of this head.

    Args:
        config ([`FinetuningConfig`]): The run, of adaptation mode `head`.
        device (`torch.device`): Where records are embedded.
        segments ([`TrainingRows`], *optional*): Of [`load_segments`], in place of the sources of the configuration.
        settings ([`SegmentSettings`], *optional*): Theirs.

    Raises:
        `ValueError`: for another mode, and as [`load_segments`].
    """

    selection = "macro_auroc"
    more_is_better = True
    model_class = AnyECGForLongRecordClassification
    head = "classifier."

    def __init__(
        self,
        config: FinetuningConfig,
        device: torch.device,
        segments: TrainingRows | None = None,
        settings: SegmentSettings | None = None,
    ):
        if config.adaptation.mode != "head":
            raise ValueError(
                f"the task {config.task.name!r} is trained on embeddings of a frozen backbone: set"
                f" `adaptation.mode: head`, got {config.adaptation.mode!r}."
            )
        self.config = config
        self.tokenizer = load_tokenizer(config.checkpoint)
        patches = window_patches(config.data, self.tokenizer)
        if segments is None or settings is None:
            backbone = AnyECGModel.from_pretrained(config.checkpoint, dtype=torch.float32).eval().to(device)
            check_tokenizer_matches(backbone.config, self.tokenizer)
            settings, segments = load_segments(config, self.tokenizer, backbone)
        self.settings, self.data = settings, segments
        classes = class_settings(settings.class_names, MULTI_LABEL, settings.task.descriptions)
        model = self.load_model({**classes, "window_patches": patches, "freeze_backbone": True})
        self.model = self.adapted(model)
        self.model.register_forward_pre_hook(_as_window_mask, with_kwargs=True)
        self.collate = collate_segments

    @property
    def patch_s(self) -> float:
        """A row counts windows."""
        return self.settings.window_patches * self.settings.patch_s

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"classification_loss": float((~batch["labels"].isnan()).sum())}

    def terms(self, outputs: Any) -> dict[str, LossTerm]:
        return {"classification_loss": LossTerm(outputs.loss)}

    def validate(self, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]]) -> dict[str, float]:
        scores, labels = [], []

        def see(batch: Batch, outputs: Any) -> None:
            scores.append(outputs.logits.detach().float().cpu().sigmoid().numpy())
            labels.append(batch["labels"].numpy())

        found = self.watch(model, batches, see)
        joined = np.concatenate(labels), np.concatenate(scores)
        found["macro_auroc"], thresholds = figures_by_class(*joined, self.settings.class_names)
        self.model.config.label_thresholds = thresholds
        return found


def load_segments(
    config: FinetuningConfig, tokenizer: AnyECGTokenizer, backbone: AnyECGModel
) -> tuple[SegmentSettings, TrainingRows]:
    """
    The segments of a run.

    Args:
        config ([`FinetuningConfig`]): `task` and `data`; `data.window_s` is the window.
        tokenizer ([`AnyECGTokenizer`]): How to clean.
        backbone ([`AnyECGModel`]): The frozen backbone.

    Returns:
        `tuple`: how they were made, with the classes that are kept, and the segments.

    Raises:
        `ValueError`: for a stream or weights, a segment that is no whole number of windows, and if no record is
            labelled or classes are too rare.
    """
    if config.data.streaming or any(source.weight is not None for source in config.data.train):
        raise ValueError("long records are embedded once, all of them: `data.streaming` and `weight` must not be set.")
    settings = segment_settings(config, tokenizer)
    data = load_rows(config.data, tokenizer)
    labelled = {
        name: rows and with_token_labels(rows, settings.task, tokenizer.patch_seconds, keep_all=True)
        for name, rows in {"training": data.train, "validation": data.validation}.items()
    }
    found = {name: rows and embed_records(rows, backbone, settings) for name, rows in labelled.items()}
    settings, found = without_rare(settings, found, config.task.drop_rare)
    return settings, replace(data, train=found["training"], validation=found["validation"])


def segment_settings(config: FinetuningConfig, tokenizer: AnyECGTokenizer) -> SegmentSettings:
    """
    How the records of a run become segments; `config` as in [`load_segments`].

    Raises:
        `ValueError`: if a segment is no whole number of windows.
    """
    if config.task.classes:
        raise ValueError("`task.classes` names the classes of the task `labels`, and of no other.")
    task = annotation_task(config.task.name)
    window_s, segment_s = config.data.window_s, config.task.segment_s
    windows = None if segment_s is None else round(segment_s / window_s)
    if windows is not None and (windows < 1 or abs(windows * window_s - segment_s) > 1e-6):
        raise ValueError(f"`task.segment_s` must be a multiple of `data.window_s`, {window_s:g} s, got {segment_s:g}.")
    return SegmentSettings(
        task=task,
        class_names=tuple(name for name in task.class_names if name != _NO_BEAT),
        window_patches=window_patches(config.data, tokenizer),
        patch_s=tokenizer.patch_seconds,
        windows=windows,
    )


def without_rare(
    settings: SegmentSettings, parts: Mapping[str, datasets.Dataset | None], drop_rare: int
) -> tuple[SegmentSettings, dict[str, datasets.Dataset | None]]:
    """
    Leaves out classes that too few segments have, or have not.

    Args:
        settings ([`SegmentSettings`]): Of the segments.
        parts (`Mapping[str, datasets.Dataset]`): Name -> segments.
        drop_rare (`int`): As in [`TaskConfig`].

    Returns:
        `tuple`: both without these classes.

    Raises:
        `ValueError`: if there are some and `drop_rare` is 0, no segment is labelled, or no class is left.
    """
    rare: dict[str, str] = {}
    for name, rows in parts.items():
        if rows is None:
            continue
        if not len(rows):
            raise ValueError(f"no {name} record has annotations of {settings.task.name}: MIT-BIH, for example, has.")
        labels = np.stack([np.asarray(row["labels"]) for row in rows.select_columns(["labels"])])
        for column, label in zip(labels.T, settings.class_names, strict=True):
            positives, negatives = (column == 1).sum(), (column == 0).sum()
            if min(positives, negatives) < max(drop_rare, 1):
                rare.setdefault(label, f"{positives} of {positives + negatives} {name} segments")
    if not rare:
        return settings, dict(parts)
    listed = ", ".join(f"{label} ({found})" for label, found in rare.items())
    if not drop_rare:
        raise ValueError(
            f"classes cannot be learned where segments with or without them are missing: {listed}. Set"
            " `task.drop_rare: 1` to leave such classes out, name other sources, or shorten `task.segment_s`."
        )
    kept = [place for place, label in enumerate(settings.class_names) if label not in rare]
    if not kept:
        raise ValueError(f"no class is left: {listed}.")
    logger.warning("classes are left out: %s", listed)
    settings = replace(settings, class_names=tuple(settings.class_names[place] for place in kept))
    return settings, {name: rows and _of_classes(rows, kept) for name, rows in parts.items()}


def _of_classes(rows: datasets.Dataset, kept: list[int]) -> datasets.Dataset:
    labels = [np.asarray(row["labels"])[kept] for row in rows.select_columns(["labels"])]
    stored = rows.with_format(None).remove_columns("labels").to_list()
    renewed = [
        {
            **{
                name: SEGMENT_FEATURES[name].encode_example(value) if isinstance(value, np.ndarray) else value
                for name, value in row.items()
            },
            "labels": SEGMENT_FEATURES["labels"].encode_example(label),
        }
        for row, label in zip(stored, labels, strict=True)
        if not np.isnan(label).all()
    ]
    return datasets.Dataset.from_list(renewed, features=SEGMENT_FEATURES).with_format(ECG_FORMAT)


__all__ = [
    "SEGMENT_FEATURES",
    "LongRecordStage",
    "SegmentSettings",
    "collate_segments",
    "embed_records",
    "load_segments",
    "record_windows",
    "segment_settings",
    "without_rare",
]
