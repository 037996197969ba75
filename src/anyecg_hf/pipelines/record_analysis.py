# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One checkpoint applied to whole records: codes, reconstruction, embedding and class probabilities.

A record longer than the checkpoint was trained on is walked in even windows of at most that length.
"""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature

from anyecg_hf.models.anyecg import (
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
    CleanedECG,
    ECGWindow,
    RecordStatistics,
)
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import refuse_path_to_nothing
from anyecg_hf.models.anyecg.compatibility_anyecg import check_tokenizer_matches
from anyecg_hf.models.anyecg.modeling_anyecg_tasks import class_probabilities
from anyecg_hf.models.anyecg.windowing_anyecg import (
    beyond_training,
    check_window,
    cut_feature,
    longest_window,
    mean_over_windows,
    nothing_usable,
    window_spans,
)
from anyecg_hf.records import ECGRecord, RecordSource

# A longer record is not held in memory whole.
LONG_RECORD_S = 600.0

_CHECKPOINT_FILES = ("config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class ClassProbability:
    """
    One class of a record.

    Attributes:
        label (`str`): Its name in the checkpoint's `id2label`.
        probability (`float`): Mean over windows, weighted by their real patches.
        description (`str`): What the label means, if the checkpoint says so.
        threshold (`float` or `None`): Probability from which on the class counts as present, if the checkpoint has one.
    """

    label: str
    probability: float
    description: str = ""
    threshold: float | None = None

    @property
    def present(self) -> bool | None:
        """Whether the probability reaches the threshold; `None` without one."""
        return None if self.threshold is None else self.probability >= self.threshold


@dataclass(frozen=True)
class RecordAnalysis:
    """
    What a checkpoint says about one record.

    Attributes:
        record ([`ECGRecord`]): The record as read.
        cleaned ([`CleanedECG`]): The record after cleaning, and what was done to it.
        codes (`np.ndarray` of shape `(L, N)` or `(L, N, Q)`, int64): Rhythm codes, -1 where masked.
        reconstruction_mv (`np.ndarray` of shape `(L, N * S)`, float32): The waveform that the codes stand for, in mV.
        classes (`tuple[ClassProbability, ...]`): In the checkpoint's order.
        windows (`int`): Windows that the record was classified in.
    """

    record: ECGRecord
    cleaned: CleanedECG
    codes: np.ndarray
    reconstruction_mv: np.ndarray
    classes: tuple[ClassProbability, ...]
    windows: int

    @property
    def cleaned_mv(self) -> np.ndarray:
        """Cleaned signal `(L, N * S)` in mV, zero where masked."""
        leads = self.cleaned.patches.shape[0]
        return self.cleaned.patches.reshape(leads, -1) * np.float32(self.cleaned.scale)


@dataclass(frozen=True, eq=False)
class WindowEmbedding:
    """
    One window of a long record.

    Attributes:
        start_s (`float`), duration_s (`float`): Its place in seconds on the record's clock.
        real_patches (`int`), real_share (`float`): Patches that are not masked, and their share of all its patches.
        embedding (`np.ndarray` of shape `(D,)`, float32): Mean over its real tokens; zeros where there are none.
        statistics ([`RecordStatistics`]): What the record is cleaned by, and on how much of it that was measured.
    """

    start_s: float
    duration_s: float
    real_patches: int
    real_share: float
    embedding: np.ndarray
    statistics: RecordStatistics


class RecordAnalyzer:
    """
    Loads a checkpoint's parts on first use and applies them to records.

    A record that is longer than a window is cleaned whole and then cut into the fewest windows that cover it, evenly:
    41 patches at 40 a window are walked as 20 and 21, never as 40 and a rest of 1 ([`window_spans`]). Codes and
    reconstruction come from the same windows, laid end to end; embedding and probabilities are means over windows, each
    weighted by its patches that are not masked.

    Args:
        checkpoint (`str` or `os.PathLike`): Local folder or Hub name.
        device (`str`, *optional*, defaults to `"cpu"`): Where the models run.
        window_s (`float`, *optional*): Longest window in seconds; the training window by default.

    Raises:
        `FileNotFoundError`: if `checkpoint` is a path to nothing.
        `ValueError`: if it is a folder without a checkpoint, or `window_s` is not positive.

    Example:

    ```python
    >>> analyzer = RecordAnalyzer(anyecg_hf.TINY)
    >>> analysis = analyzer.analyse(read_record("records500/00000/00001_hr"))
    >>> analysis.classes[0].label, analysis.classes[0].probability
    ```
    """

    def __init__(self, checkpoint: str | os.PathLike, device: str = "cpu", window_s: float | None = None):
        _check_folder(checkpoint)
        check_window(window_s)
        self.checkpoint = checkpoint
        self.device = device
        self.window_s = window_s
        self._warned = False

    @cached_property
    def tokenizer(self) -> AnyECGTokenizer:
        """The checkpoint's tokenizer."""
        return AnyECGTokenizer.from_pretrained(self.checkpoint).to(self.device)

    @property
    def quantizer(self) -> AnyECGRhythmQuantizer:
        """The checkpoint's rhythm quantizer."""
        return self.tokenizer.quantizer

    @cached_property
    def classifier(self) -> AnyECGForSequenceClassification:
        """The checkpoint as a classifier; raises `ValueError` if it has no such head."""
        model, info = AnyECGForSequenceClassification.from_pretrained(self.checkpoint, output_loading_info=True)
        if any(name.startswith("classifier.") for name in info["missing_keys"]):
            raise ValueError(
                f"{self.checkpoint} has no head that classifies windows (it is of {model.config.architectures}): its"
                " class probabilities would be random numbers."
            )
        check_tokenizer_matches(model.config, self.tokenizer)
        return model.to(self.device).eval()

    @cached_property
    def backbone(self) -> AnyECGModel:
        """The checkpoint's backbone, shared with the classifier if that is loaded."""
        if "classifier" in self.__dict__:
            return self.classifier.anyecg
        model = AnyECGModel.from_pretrained(self.checkpoint)
        check_tokenizer_matches(model.config, self.tokenizer)
        return model.to(self.device).eval()

    def load(self, *parts: str) -> None:
        """Loads `parts` (names of properties) now, so that what is wrong with a checkpoint is no fault of a record."""
        for part in parts:
            getattr(self, part)

    def clean(self, record: ECGRecord) -> CleanedECG:
        """
        Cleans a record.

        Raises:
            `ValueError`: if no patch of it can be used, naming the leads and reasons.
        """
        cleaned = self.tokenizer.clean(record)
        if not cleaned.patch_mask.any():
            raise nothing_usable(record.record_id, record.lead_names, cleaned.unusable)
        return cleaned

    @torch.no_grad()
    def encode(self, cleaned: CleanedECG) -> np.ndarray:
        """Rhythm codes `(L, N)` or `(L, N, Q)` of a cleaned record, int64, -1 where masked."""
        windows = self._windows(cleaned, self.quantizer.config.trained_window_patches)
        return torch.cat([self.tokenizer.encode(window)[0] for window in windows], dim=1).cpu().numpy()

    @torch.no_grad()
    def decode(self, codes: np.ndarray, cleaned: CleanedECG) -> np.ndarray:
        """Waveform `(L, N * S)` in mV that codes stand for, float32."""
        lead_ids = self.tokenizer.feature(cleaned)["lead_ids"][None]
        decoded = [
            self.tokenizer.decode(codes[None, :, span], lead_ids, [cleaned.scale])[0]
            for span in self._spans(codes.shape[1], self.quantizer.config.trained_window_patches)
        ]
        return torch.cat(decoded, dim=1).cpu().numpy()

    @torch.no_grad()
    def embed(self, cleaned: CleanedECG) -> np.ndarray:
        """Embedding `(D,)` of a cleaned record, float32: the mean over its real tokens, window by window."""
        trained = self.backbone.config.trained_window_patches
        return self._mean_over_tokens(cleaned, trained, lambda inputs: self.backbone(**inputs).pooler_output).numpy()

    def embed_source(self, source: RecordSource) -> np.ndarray:
        """
        Embedding `(D,)` of an opened record, float32, in bounded memory.

        A record of more than ten minutes is read and cleaned block by block, and its windows lie end to end.

        Args:
            source ([`RecordSource`]): From [`open_record`].

        Returns:
            `np.ndarray` of shape `(D,)`: as of [`~RecordAnalyzer.embed`].

        Raises:
            `ValueError`: if no patch of it can be used, naming the leads and reasons.
        """
        if source.duration_s <= LONG_RECORD_S:
            return self.embed(self.clean(source.to_record()))
        total, patches = 0.0, 0
        for window in self.embed_windows(source):
            total = total + window.real_patches * window.embedding.astype(np.float64)
            patches += window.real_patches
        if not patches:
            raise nothing_usable(source.record_id, source.lead_names, {})
        return (total / patches).astype(np.float32)

    def embed_windows(
        self, source: RecordSource, stride_s: float | None = None, one_pass: bool = False
    ) -> Iterator[WindowEmbedding]:
        """
        One embedding a window, in bounded memory.

        Args:
            source ([`RecordSource`]): From [`open_record`].
            stride_s (`float`, *optional*): Seconds from one start to the next, whole patches; a window by default.
            one_pass (`bool`, *optional*, defaults to `False`): Whether the record is read only once, and cleaned with
                the statistics of its first five minutes.

        Yields:
            [`WindowEmbedding`]: in order.

        Raises:
            `ValueError`: for a stride that is not whole patches, and if no lead can be used, naming the reasons.
        """
        patches = self._window_patches(self.backbone.config.trained_window_patches)
        window_s = patches * self.tokenizer.patch_seconds
        stream = self.tokenizer.stream(source, window_s, stride_s, one_pass=one_pass)
        ahead: deque[ECGWindow] = deque()

        def features() -> Iterator[dict[str, np.ndarray]]:
            for window in stream:
                if len(stream.statistics.unusable) == len(window.lead_names):
                    raise nothing_usable(source.record_id, source.lead_names, stream.statistics.unusable)
                ahead.append(window)
                yield self.tokenizer.feature(window)

        for embedding in self.backbone.encode_windows(features()):
            window = ahead.popleft()
            yield WindowEmbedding(
                start_s=window.start_s,
                duration_s=window.duration_s,
                real_patches=int(window.patch_mask.sum()),
                real_share=float(window.patch_mask.mean()),
                # A copy: a view, kept, would hold memory among the model's activations open.
                embedding=embedding.numpy().copy(),
                statistics=stream.statistics,
            )

    @torch.no_grad()
    def classify(self, cleaned: CleanedECG) -> tuple[ClassProbability, ...]:
        """
        Class probabilities, the mean over windows weighted by their real tokens.

        Raises:
            `ValueError`: if the checkpoint's head is no classifier.
        """
        classifier, config = self.classifier, self.classifier.config
        probabilities = self._mean_over_tokens(
            cleaned,
            config.trained_window_patches,
            lambda inputs: class_probabilities(config, classifier(**inputs).logits),
        )
        return tuple(
            ClassProbability(
                label=config.id2label[index],
                probability=float(value),
                description=(config.label_descriptions or {}).get(config.id2label[index], ""),
                threshold=(config.label_thresholds or {}).get(config.id2label[index]),
            )
            for index, value in enumerate(probabilities)
        )

    def analyse(self, record: ECGRecord) -> RecordAnalysis:
        """
        Everything at once.

        Args:
            record ([`ECGRecord`]): The record.

        Returns:
            [`RecordAnalysis`]
        """
        cleaned = self.clean(record)
        codes = self.encode(cleaned)
        return RecordAnalysis(
            record=record,
            cleaned=cleaned,
            codes=codes,
            reconstruction_mv=self.decode(codes, cleaned),
            classes=self.classify(cleaned),
            windows=len(self._spans(codes.shape[1], self.classifier.config.trained_window_patches)),
        )

    def _warn_beyond(self, trained: int) -> None:
        """Says once that windows are longer than those of the training."""
        message = beyond_training(self.window_s, trained, self.tokenizer.patch_seconds)
        if message and not self._warned:
            self._warned = True
            warnings.warn(message, UserWarning, stacklevel=3)

    def _window_patches(self, trained: int) -> int:
        """Patches of the longest window."""
        self._warn_beyond(trained)
        return longest_window(self.window_s, trained, self.tokenizer.patch_seconds)

    def _spans(self, patches: int, trained: int) -> list[slice]:
        return window_spans(patches, self._window_patches(trained))

    def _windows(self, cleaned: CleanedECG, trained: int) -> list[BatchFeature]:
        windows = cut_feature(self.tokenizer.feature(cleaned), self._window_patches(trained))
        return [self.tokenizer.pad([window], return_tensors="pt") for window in windows]

    def _mean_over_tokens(
        self, cleaned: CleanedECG, trained: int, model: Callable[[dict[str, Any]], torch.Tensor]
    ) -> torch.Tensor:
        windows = self._windows(cleaned, trained)
        values = [model(self._model_inputs(window))[0] for window in windows]
        return mean_over_windows(values, [int(window["attention_mask"].sum()) for window in windows])

    def _model_inputs(self, window: BatchFeature) -> dict[str, Any]:
        names = ("input_values", "attention_mask", "lead_ids", "scale")
        return {name: window[name].to(self.device) for name in names}


def _check_folder(checkpoint: str | os.PathLike) -> None:
    """Refuses a local path that holds no checkpoint; names on the Hub are left to `transformers`."""
    refuse_path_to_nothing(checkpoint)
    folder = Path(checkpoint)
    if folder.is_dir():
        missing = [name for name in _CHECKPOINT_FILES if not (folder / name).is_file()]
        if missing:
            raise ValueError(f"{folder} is no AnyECG checkpoint: it lacks {' and '.join(missing)}.")
