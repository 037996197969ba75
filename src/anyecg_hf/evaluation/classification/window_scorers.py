# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Windows -> class probabilities, for every kind of model. What only depends on a window and on fixed weights is
computed once and kept in the cache of `datasets`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import datasets
import numpy as np
import torch
from torch import nn

from ...corpora.array_feature import BinaryArray
from ...corpora.signal_feature import ECG_FORMAT
from ...models.anyecg import AnyECGForSequenceClassification, AnyECGModel
from ...training.codes import weights_digest
from ...training.windows import Batch, Row, pad_windows
from ...version import __version__
from ..baselines import BeatFeatures, ResNetBaseline, beat_features
from ..baselines.handcrafted import BEAT_POINTS, LEAD_FEATURES, RHYTHM_FEATURES

BATCH_SIZE = 32
_MODEL_COLUMNS = ["input_values", "attention_mask", "lead_ids", "scale"]
_FEATURES = datasets.Features({"features": BinaryArray("float32")})
_WHOLE = (slice(None), slice(None))
# Shorter windows are padded with zeros where a baseline wants so much.
_SHORTEST_S = 1.0


class WindowScorer(Protocol):
    """Gives windows probabilities."""

    def of_rows(self, rows: Sequence[Row]) -> np.ndarray:
        """Probabilities `(rows, classes)` of rows of `clean_corpus`."""

    def of_windows(self, windows: datasets.Dataset) -> np.ndarray:
        """Probabilities `(windows, classes)` of all rows of a dataset."""


class Extractor(Protocol):
    """Turns windows into vectors. `digest` says what they depend on beside the window."""

    digest: str

    def __call__(self, rows: Sequence[Row]) -> np.ndarray:
        """Vectors `(rows, features)` float32."""


def extracted(extractor: Extractor, windows: datasets.Dataset) -> np.ndarray:
    """
    Vectors of all windows, from the cache where they were computed before.

    Args:
        extractor ([`Extractor`]): What to compute.
        windows (`datasets.Dataset`): Rows of `clean_corpus`.

    Returns:
        `np.ndarray` of shape `(windows, features)`, float32.
    """
    found = windows.select_columns(_MODEL_COLUMNS).map(
        _Extract(extractor),
        batched=True,
        batch_size=BATCH_SIZE,
        remove_columns=_MODEL_COLUMNS,
        features=_FEATURES,
        desc="features",
    )
    return np.stack([row["features"] for row in found.with_format(ECG_FORMAT)])


class _Extract:
    """An extractor in the form of `Dataset.map`, told apart from others by its digest."""

    def __init__(self, extractor: Extractor):
        self.extractor = extractor

    def __getstate__(self) -> dict[str, Any]:
        return {"kind": type(self.extractor).__name__, "digest": self.extractor.digest, "version": __version__}

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        return {"features": [_FEATURES["features"].encode_example(vector) for vector in self.extractor(rows)]}


def _digest_of(model: nn.Module) -> str:
    """What a model's answers depend on: its weights and its configuration."""
    return f"{weights_digest(model)} {model.config.to_json_string()}"


@dataclass(eq=False)
class BackboneFeatures:
    """
    Mean and maximum over real tokens of a frozen backbone, `(rows, 2 D)`.

    Args:
        backbone ([`AnyECGModel`]): In evaluation mode.
    """

    backbone: AnyECGModel

    def __post_init__(self):
        self.digest = _digest_of(self.backbone)

    @torch.no_grad()
    def __call__(self, rows: Sequence[Row]) -> np.ndarray:
        batch = _on_device(rows, self.backbone)
        outputs = self.backbone(**batch)
        real = batch["attention_mask"].flatten(1).bool()
        hidden = outputs.last_hidden_state
        largest = hidden.masked_fill(~real[..., None], torch.finfo(hidden.dtype).min).amax(dim=1)
        # A window that is masked throughout has no tokens to take the maximum of; it gets no weight either.
        largest = torch.where(real.any(dim=1, keepdim=True), largest, 0.0)
        return torch.cat((outputs.pooler_output, largest), dim=1).float().cpu().numpy()


@dataclass(eq=False)
class ClassifierProbabilities:
    """
    Probabilities of a fine-tuned model, `(rows, classes)`.

    Args:
        model ([`AnyECGForSequenceClassification`]): In evaluation mode, or an adapted one.
        is_multi_label (`bool`): Sigmoid, or softmax.
        columns (`list[int]`): Outputs of the classes of the task, in its order.
    """

    model: AnyECGForSequenceClassification
    is_multi_label: bool
    columns: list[int]

    def __post_init__(self):
        self.digest = f"{_digest_of(self.model)} {self.is_multi_label} {self.columns}"

    @torch.no_grad()
    def __call__(self, rows: Sequence[Row]) -> np.ndarray:
        logits = self.model(**_on_device(rows, self.model)).logits.float()
        probabilities = logits.sigmoid() if self.is_multi_label else logits.softmax(dim=-1)
        return probabilities[:, self.columns].cpu().numpy()


def _on_device(rows: Sequence[Row], model: nn.Module) -> Batch:
    device = next(model.parameters()).device
    return {name: value.to(device) for name, value in pad_windows(rows, [_WHOLE] * len(rows)).items()}


@dataclass(eq=False)
class LeadLayout:
    """
    Windows as arrays of fixed leads: what baselines take.

    Args:
        lead_ids (`tuple[int, ...]`): Leads, in this order; others are left out, missing ones are zero.
        sampling_rate (`float`): Of cleaned records, in Hz.
    """

    lead_ids: tuple[int, ...]
    sampling_rate: float

    @classmethod
    def of(cls, windows: datasets.Dataset, sampling_rate: float) -> "LeadLayout":
        """The leads that occur in a dataset."""
        column = windows.select_columns("lead_ids")
        return cls(tuple(sorted({int(lead) for row in column for lead in row["lead_ids"]})), sampling_rate)

    def signal(self, row: Row, samples: int | None = None) -> np.ndarray:
        """
        Args:
            row (`Mapping`): A row of `clean_corpus`.
            samples (`int`, *optional*): Length to pad to with zeros; by default what there is, but at least a second.

        Returns:
            `np.ndarray` of shape `(leads, samples)`, float32, in recording scale.
        """
        patches = np.asarray(row["input_values"]) * np.asarray(row["attention_mask"])[..., None]
        present = patches.reshape(len(patches), -1)
        shortest = round(_SHORTEST_S * self.sampling_rate)
        signal = np.zeros((len(self.lead_ids), samples or max(present.shape[1], shortest)), dtype=np.float32)
        # From the last to the first: of several unknown leads the first stays.
        for lead_id, values in reversed(list(zip(row["lead_ids"], present, strict=True))):
            if int(lead_id) in self.lead_ids:
                signal[self.lead_ids.index(int(lead_id)), : len(values)] = values
        return signal


@dataclass(eq=False)
class HandcraftedVectors:
    """
    [`BeatFeatures`] as one vector, `(rows, features)`.

    Args:
        layout ([`LeadLayout`]): Leads.
    """

    layout: LeadLayout

    def __post_init__(self):
        self.digest = f"{self.layout.lead_ids} {self.layout.sampling_rate:g}"

    def __call__(self, rows: Sequence[Row]) -> np.ndarray:
        found = []
        for row in rows:
            signal_mv = self.layout.signal(row) * np.float32(row["scale"])
            features = beat_features(signal_mv, self.layout.sampling_rate)
            found.append(np.concatenate([features.median_beats.ravel(), features.rhythm, features.leads.ravel()]))
        return np.stack(found).astype(np.float32)

    def as_beat_features(self, vectors: np.ndarray) -> list[BeatFeatures]:
        """The features that vectors `(rows, features)` were made of, but for the number of beats, which is 0."""
        leads = len(self.layout.lead_ids)
        ends = np.cumsum([leads * BEAT_POINTS, len(RHYTHM_FEATURES)])
        parts = (np.split(vector, ends) for vector in vectors)
        return [
            BeatFeatures(beats.reshape(leads, -1), rhythm, by_lead.reshape(leads, len(LEAD_FEATURES)), beats=0)
            for beats, rhythm, by_lead in parts
        ]


@dataclass(eq=False)
class FeatureScorer:
    """
    A model on features that are kept.

    Args:
        extractor ([`Extractor`]): Windows -> features.
        classify (`Callable`): Features `(n, features)` -> probabilities `(n, classes)`.
    """

    extractor: Extractor
    classify: Callable[[np.ndarray], np.ndarray]

    def of_rows(self, rows: Sequence[Row]) -> np.ndarray:
        return self.classify(self.extractor(rows))

    def of_windows(self, windows: datasets.Dataset) -> np.ndarray:
        return self.classify(extracted(self.extractor, windows))


@dataclass(eq=False)
class ResNetScorer:
    """
    A trained residual network.

    Args:
        baseline ([`ResNetBaseline`]): The network.
        layout ([`LeadLayout`]): Its leads.
        samples (`int`): Length of its windows.
    """

    baseline: ResNetBaseline
    layout: LeadLayout
    samples: int

    def of_rows(self, rows: Sequence[Row]) -> np.ndarray:
        return self.baseline.scores(np.stack([self.layout.signal(row, self.samples) for row in rows]))

    def of_windows(self, windows: datasets.Dataset) -> np.ndarray:
        return np.concatenate([self.of_rows(rows) for rows in batches_of_rows(windows)])


@dataclass(eq=False)
class ConstantScorer:
    """
    The same for every window.

    Args:
        probabilities (`np.ndarray` of shape `(classes,)`): What to say.
    """

    probabilities: np.ndarray

    def of_rows(self, rows: Sequence[Row]) -> np.ndarray:
        return np.tile(self.probabilities, (len(rows), 1))

    def of_windows(self, windows: datasets.Dataset) -> np.ndarray:
        return np.tile(self.probabilities, (len(windows), 1))


def batches_of_rows(windows: datasets.Dataset, size: int = BATCH_SIZE) -> Iterator[list[Row]]:
    """Rows of a dataset, `size` at a time, with what models take of them."""
    rows = iter(windows.select_columns(_MODEL_COLUMNS))
    while batch := list(islice(rows, size)):
        yield batch


__all__ = [
    "BackboneFeatures",
    "ClassifierProbabilities",
    "ConstantScorer",
    "Extractor",
    "FeatureScorer",
    "HandcraftedVectors",
    "LeadLayout",
    "ResNetScorer",
    "WindowScorer",
    "batches_of_rows",
    "extracted",
]
