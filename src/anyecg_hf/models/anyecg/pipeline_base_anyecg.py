# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the pipelines for ECG records share: what they take, cleaning, windows and batches of windows."""

import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import Pipeline

from .cleaning_anyecg import CleanedECG
from .compatibility_anyecg import check_tokenizer_matches
from .inputs_anyecg import to_numpy
from .windowing_anyecg import beyond_training, check_window, cut_feature, longest_window, nothing_usable

_MODEL_INPUTS = ("input_values", "attention_mask", "lead_ids", "scale")
_RECORD_PARAMETERS = ("sampling_rate", "lead_names", "unit")
# What `transformers.pipeline` hands on beside our own parameters.
_LIBRARY_PARAMETERS = {"local_files_only"}


@dataclass
class PreparedECG:
    """
    One record, ready for a model.

    Attributes:
        cleaned ([`CleanedECG`]): The record after cleaning.
        windows (`list[dict[str, np.ndarray]]`): Model input, window by window.
    """

    cleaned: CleanedECG
    windows: list[dict[str, np.ndarray]]
    answers: list[torch.Tensor] = field(default_factory=list)

    @property
    def real_patches(self) -> list[int]:
        """Patches of each window that are not masked."""
        return [int((window["attention_mask"] > 0).sum()) for window in self.windows]

    @property
    def window_patches(self) -> list[int]:
        """Length of each window in patches."""
        return [window["attention_mask"].shape[1] for window in self.windows]

    @property
    def lead_ids(self) -> np.ndarray:
        """Leads of the model's input `(L,)`."""
        return self.windows[0]["lead_ids"]

    def without_padding(self, answers: list[torch.Tensor]) -> list[torch.Tensor]:
        """Of each window's `(leads, patches, ...)` what is the record's own."""
        leads = len(self.lead_ids)
        return [answer[:leads, :patches] for answer, patches in zip(answers, self.window_patches, strict=True)]


class ECGPipeline(Pipeline):
    """
    Takes ECG records and answers in plain Python: numbers, strings, lists and dicts.

    A record is an array or tensor `(leads, samples)` or `(samples,)`, a dict with the array as `signal` (nested lists
    will do) and `sampling_rate`, `lead_names` and `unit`, or an object with `signal_mv`, `sampling_rate` and
    `lead_names`. One record gives one answer; a list, a tuple or an array `(records, leads, samples)` gives a list; a
    generator or dataset (of `datasets` or torch) an iterator, which works as it is read. Other keys of dicts are not
    read. Nothing is guessed: what neither the record nor the call says is an error.

    Args:
        model ([`PreTrainedModel`]): The model.
        feature_extractor ([`AnyECGTokenizer`]): Cleans records; found in the checkpoint.
        kwargs: As for every `transformers` pipeline (`device`, `batch_size`, `num_workers`), and arguments of the call
            as defaults.

    Arguments of the call:
        sampling_rate (`float`, *optional*): Rate in Hz of the records that do not say.
        lead_names (`list[str]`, *optional*): Their leads.
        unit (`str`, *optional*): Their unit: `"V"`, `"mV"`, `"uV"` or `"nV"`.
        window_s (`float`, *optional*): Longest window in seconds; the training window by default.
        batch_size (`int`, *optional*, defaults to 1): Windows that are computed at once, also of different records.
        num_workers (`int`, *optional*, defaults to 0): Processes that clean.

    Raises:
        `ValueError`: for a model and a tokenizer that do not fit each other, a head that was never trained, and records
            or arguments that are missing, contradictory or impossible.
        `TypeError`: for arguments of another name.
        `ImportError`: for a path, which the package `anyecg_hf` reads.
    """

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_tokenizer = False
    _load_feature_extractor = True

    input_parameters: tuple[str, ...] = ()
    answer_parameters: tuple[str, ...] = ()

    def __init__(self, model: Any, feature_extractor: Any = None, **kwargs: Any):
        if not hasattr(feature_extractor, "feature"):
            raise ValueError(
                "an ECG pipeline needs the checkpoint's tokenizer: pass"
                " `feature_extractor=AutoFeatureExtractor.from_pretrained(...)`, or the checkpoint's name as `model`."
            )
        super().__init__(model=model, feature_extractor=feature_extractor, **kwargs)
        self.model.eval()
        self._check_model()

    def _check_model(self) -> None:
        """Raises `ValueError` if the model has random weights or does not fit the tokenizer."""
        missing = self.model.random_weights() if hasattr(self.model, "random_weights") else []
        if missing:
            raise ValueError(
                f"{self.model.name_or_path} has no trained head for the task {self.task!r} (it is of"
                f" {self.model.config.architectures}): {len(missing)} weights, for example {missing[0]}, would be"
                " random numbers."
            )
        check_tokenizer_matches(self.model.config, self.feature_extractor)

    @property
    def _patch_s(self) -> float:
        return self.feature_extractor.patch_seconds

    @property
    def _window_patches(self) -> int | None:
        """Patches that training has covered; `None` if the model takes records whole."""
        return self.model.config.trained_window_patches

    def _check_answer_parameters(self) -> None:
        """Raises `ValueError` for parameters of the answer that are impossible; overridden where there are some."""

    def _check_call(self, parameters: dict[str, Any]) -> None:
        """Raises `ValueError` if a call lacks what it needs."""

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = {*_RECORD_PARAMETERS, "window_s", *self.input_parameters, *self.answer_parameters}
        given = {name: value for name, value in kwargs.items() if name not in _LIBRARY_PARAMETERS}
        if not given.keys() <= known:
            raise TypeError(
                f"{type(self).__name__} takes no {sorted(given.keys() - known)}: its arguments are {sorted(known)},"
                " `batch_size` and `num_workers`."
            )
        if "window_s" in given:
            check_window(given["window_s"])
        answer = {name: given.pop(name) for name in self.answer_parameters if name in given}
        self._check_answer_parameters(**answer)
        return given, {}, answer

    def __call__(
        self, inputs: Any, *, batch_size: int | None = None, num_workers: int | None = None, **kwargs: Any
    ) -> Any:
        """
        Answers for one record or many.

        Args:
            inputs: A record, or many, as the class describes.
            batch_size (`int`, *optional*), num_workers (`int`, *optional*), kwargs: As the class describes.

        Returns:
            The answer for one record, a list of answers for a list, an iterator of answers for a generator or dataset.
        """
        preparing, _, answering = self._sanitize_parameters(**kwargs)
        preparing, answering = {**self._preprocess_params, **preparing}, {**self._postprocess_params, **answering}
        self._check_call({**preparing, **answering})
        self._warn_beyond(preparing.get("window_s"))
        batch_size = _positive(batch_size or self._batch_size or 1, "batch_size")
        num_workers = num_workers or self._num_workers or 0
        many = _as_many(inputs)
        records = [inputs] if many is None else many
        answers = self.get_iterator(
            records, num_workers, batch_size, preparing, {}, answering, numbered=many is not None
        )
        if many is None:
            return next(answers)
        return list(answers) if isinstance(many, list) else answers

    def get_iterator(
        self,
        inputs: Iterable[Any],
        num_workers: int,
        batch_size: int,
        preprocess_params: dict[str, Any],
        forward_params: dict[str, Any],
        postprocess_params: dict[str, Any],
        numbered: bool = True,
    ) -> Iterator[Any]:
        """Answers in the order of the records; holds those whose windows wait for a batch."""
        prepare = _Preparation(self, preprocess_params, numbered)
        prepared = _Indexed(inputs, prepare) if _has_items(inputs) else _Iterated(inputs, prepare)
        # An iterable cannot be shared among processes: each would read all of it.
        workers = num_workers if isinstance(prepared, _Indexed) else 0
        waiting: deque[PreparedECG] = deque()
        windows: deque[tuple[PreparedECG, dict[str, np.ndarray]]] = deque()
        for record in DataLoader(prepared, batch_size=None, num_workers=workers, collate_fn=_unchanged):
            waiting.append(record)
            windows.extend((record, window) for window in record.windows)
            while len(windows) >= batch_size:
                self._compute([windows.popleft() for _ in range(batch_size)], forward_params)
            yield from self._finished(waiting, postprocess_params)
        if windows:
            self._compute(list(windows), forward_params)
        yield from self._finished(waiting, postprocess_params)

    def _compute(self, windows: list[tuple[PreparedECG, dict[str, np.ndarray]]], params: dict[str, Any]) -> None:
        batch = self.feature_extractor.pad([window for _, window in windows], return_tensors="pt")
        answers = self.forward({name: batch[name] for name in _MODEL_INPUTS}, **params)
        for (record, _), answer in zip(windows, answers, strict=True):
            record.answers.append(answer)

    def _finished(self, waiting: deque[PreparedECG], params: dict[str, Any]) -> Iterator[Any]:
        while waiting and len(waiting[0].answers) == len(waiting[0].windows):
            yield self.postprocess(waiting.popleft(), **params)

    def preprocess(self, input_: Any, window_s: float | None = None, **kwargs: Any) -> PreparedECG:
        """Cleans a record and cuts it into windows; its own parameters are those of `_clean`."""
        stated = {name: kwargs.pop(name) for name in _RECORD_PARAMETERS if name in kwargs}
        record = self._unpack(input_, {name: value for name, value in stated.items() if value is not None})
        cleaned = self._clean(record, **kwargs)
        if not cleaned.patch_mask.any():
            raise nothing_usable(None, cleaned.lead_names, cleaned.unusable)
        feature = self._feature(cleaned, **kwargs)
        trained = self._window_patches
        if trained is None:
            return PreparedECG(cleaned, [feature])
        return PreparedECG(cleaned, cut_feature(feature, longest_window(window_s, trained, self._patch_s)))

    def _forward(self, input_tensors: dict[str, torch.Tensor], **forward_parameters: Any) -> torch.Tensor:
        return self._answer_windows(input_tensors)

    def postprocess(self, model_outputs: PreparedECG, **postprocess_parameters: Any) -> Any:
        """The answer for a record of which every window was computed."""
        return self._answer(model_outputs, model_outputs.answers, **postprocess_parameters)

    def _answer_windows(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """What the model says of each window `(B, ...)`."""
        raise NotImplementedError(f"{type(self).__name__} must say what its model answers.")

    def _answer(self, prepared: PreparedECG, windows: list[torch.Tensor]) -> Any:
        """The answer for a record, in plain Python."""
        raise NotImplementedError(f"{type(self).__name__} must say what it answers.")

    def _clean(self, record: dict[str, Any]) -> CleanedECG:
        return self.feature_extractor.clean(record["signal"], **{name: record[name] for name in _RECORD_PARAMETERS})

    def _feature(self, cleaned: CleanedECG) -> dict[str, np.ndarray]:
        return self.feature_extractor.feature(cleaned)

    def _unpack(self, record: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """`signal`, `sampling_rate`, `lead_names` and `unit` of a record, by what it says and what the call says."""
        if isinstance(record, (str, os.PathLike)):
            record, stated = self._read_path(record, stated), {}
        if hasattr(record, "signal_mv"):
            own = {"signal": record.signal_mv, "sampling_rate": record.sampling_rate, "unit": "mV"}
            own["lead_names"] = list(record.lead_names)
        elif isinstance(record, Mapping):
            own = {name: record[name] for name in ("signal", *_RECORD_PARAMETERS) if record.get(name) is not None}
            if "signal" not in own:
                raise ValueError(f"a record needs its samples as `signal`, got a dict with {sorted(map(str, record))}.")
            own["signal"] = to_numpy(own["signal"])
            if hasattr(own.get("sampling_rate"), "item"):  # of a dataset of tensors
                own["sampling_rate"] = own["sampling_rate"].item()
        elif hasattr(record, "__len__"):
            own = {"signal": record}
        else:
            raise ValueError(
                "a record is a path, an array (leads, samples), a dict with `signal` or an `ECGRecord`, got"
                f" {record!r}."
            )
        for name, value in stated.items():
            if name in own and not _same(own[name], value):
                raise ValueError(f"`{name}` is {value!r}, but the record says {own[name]!r}: leave it out.")
        own = {**stated, **own}
        missing = [name for name in _RECORD_PARAMETERS if name not in own]
        if missing:
            raise ValueError(
                f"the record does not say its {', '.join(f'`{name}`' for name in missing)}: pass them, for example"
                ' `sampling_rate=500, lead_names=["I", "II"], unit="mV"`, or a dict with `signal` and these.'
            )
        return own

    def _read_path(self, path: str | os.PathLike, stated: dict[str, Any]) -> Any:
        raise ImportError(
            f"reading {os.fspath(path)!r} needs the package anyecg_hf: `pip install anyecg-hf`, and `import anyecg_hf`"
            " before `pipeline(...)`. Without it, pass the signal as an array."
        )

    def _warn_beyond(self, window_s: float | None) -> None:
        trained = self._window_patches
        message = None if trained is None else beyond_training(window_s, trained, self._patch_s)
        if message:
            warnings.warn(message, UserWarning, stacklevel=3)


@dataclass
class _Preparation:
    """Cleans record by record; an error says which one it is."""

    pipeline: ECGPipeline
    parameters: dict[str, Any]
    numbered: bool

    def __call__(self, index: int, record: Any) -> PreparedECG:
        try:
            return self.pipeline.preprocess(record, **self.parameters)
        except ValueError as error:
            # Errors of their own class name their file.
            is_path = isinstance(record, (str, os.PathLike))
            if type(error) is not ValueError or not (self.numbered or is_path):
                raise
            raise ValueError(f"{os.fspath(record) if is_path else f'record {index}'}: {error}") from error


class _Indexed(Dataset):
    def __init__(self, records: Any, prepare: _Preparation):
        self.records, self.prepare = records, prepare

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> PreparedECG:
        return self.prepare(index, self.records[index])


class _Iterated(IterableDataset):
    def __init__(self, records: Iterable[Any], prepare: _Preparation):
        self.records, self.prepare = records, prepare

    def __iter__(self) -> Iterator[PreparedECG]:
        return (self.prepare(index, record) for index, record in enumerate(self.records))


def _unchanged(item: Any) -> Any:
    return item


def _as_many(inputs: Any) -> Any:
    """The records of a container, a list where all are at hand; `None` for a single record."""
    if isinstance(inputs, (list, tuple)):
        return list(inputs)
    if getattr(inputs, "ndim", None) == 3:
        return list(inputs)
    single = isinstance(inputs, (str, os.PathLike, Mapping)) or hasattr(inputs, "signal_mv") or hasattr(inputs, "ndim")
    return inputs if not single and (_has_items(inputs) or isinstance(inputs, Iterable)) else None


def _has_items(inputs: Any) -> bool:
    return isinstance(inputs, Sized) and hasattr(inputs, "__getitem__")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str) or np.isscalar(one):
        return one == other
    return list(one) == list(other)


def _positive(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer, got {value!r}.")
    return value


__all__ = ["ECGPipeline", "PreparedECG"]
