# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The baseline that needs no pre-training: a 1-D residual network, trained from scratch on the labelled records."""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ..metrics import check_finite, macro_auroc
from .probe import check_columns_agree, check_folds

SAMPLING_RATE_HZ = 300
_CHANNELS = (32, 48, 64, 96)
_KERNEL = 7
# The first convolution sees means of 3 samples (100 Hz), which keeps what an ECG is read from at a third of the cost.
_POOLING, _STEM_KERNEL, _STEM_STRIDE = 3, 15, 2
# What the strides above leave of it must be worth convolving.
_MIN_DURATION_S = 1.0
_SCORING_BATCH = 64


@dataclass(frozen=True)
class ResNetSettings:
    """
    How the network is regularised and trained. The defaults are for hundreds to thousands of 10-s records; what was
    tried on PTB-XL (rates, sizes, crops, dropout, decay) made differences within chance.

    Attributes:
        learning_rate (`float`), weight_decay (`float`): Of AdamW; the rate rises over the first fifth and then falls to
            zero (one cycle, cosines).
        batch_size (`int`): Records of a step; fewer if there are not as many.
        dropout (`float`), head_dropout (`float`): Inside the blocks and before the last layer.
        crop (`float`): Share of the record that a training step sees, at a random place.
        lead_dropout (`float`): Chance that a lead of a training record is set to zero, like a missing one.
        gain_spread (`float`): Standard deviation of the logarithm of a random gain of each training record.
        averaging (`float`): Decay of the moving average of the weights that is scored.
    """

    learning_rate: float = 6e-3
    weight_decay: float = 0.02
    batch_size: int = 64
    dropout: float = 0.2
    head_dropout: float = 0.3
    crop: float = 0.8
    lead_dropout: float = 0.1
    gain_spread: float = 0.2
    averaging: float = 0.99


class ResNet1d(nn.Module):
    """
    Residual network over time: pre-activation blocks, then mean and maximum over time and a linear layer.

    With 12 leads and 5 classes 0.45 M parameters.

    Args:
        leads (`int`): Input leads.
        classes (`int`): Outputs.
        settings ([`ResNetSettings`]): For the dropout rates.
    """

    def __init__(self, leads: int, classes: int, settings: ResNetSettings):
        super().__init__()
        width = _CHANNELS[0]
        stem = nn.Conv1d(leads, width, _STEM_KERNEL, _STEM_STRIDE, _STEM_KERNEL // 2, bias=False)
        self.stem = nn.Sequential(nn.AvgPool1d(_POOLING), stem)
        blocks = []
        for stage, channels in enumerate(_CHANNELS):
            blocks.append(_Block(width, channels, 1 if stage == 0 else 2, settings.dropout))
            blocks.append(_Block(channels, channels, 1, settings.dropout))
            width = channels
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(settings.head_dropout)
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        """Logits `(B, classes)` of signals `(B, leads, samples)`."""
        hidden = torch.relu(self.norm(self.blocks(self.stem(signals))))
        return self.classifier(self.dropout(torch.cat((hidden.mean(dim=2), hidden.amax(dim=2)), dim=1)))


class _Block(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, stride: int, dropout: float):
        super().__init__()
        padding = _KERNEL // 2
        self.norm_1, self.norm_2 = nn.BatchNorm1d(channels_in), nn.BatchNorm1d(channels_out)
        self.conv_1 = nn.Conv1d(channels_in, channels_out, _KERNEL, stride, padding, bias=False)
        self.conv_2 = nn.Conv1d(channels_out, channels_out, _KERNEL, 1, padding, bias=False)
        self.dropout = nn.Dropout(dropout)
        shortcut = [nn.AvgPool1d(stride, ceil_mode=True)] if stride > 1 else []
        if channels_in != channels_out:
            shortcut.append(nn.Conv1d(channels_in, channels_out, 1, bias=False))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        change = self.conv_1(torch.relu(self.norm_1(hidden)))
        return self.shortcut(hidden) + self.conv_2(self.dropout(torch.relu(self.norm_2(change))))


@dataclass(frozen=True, eq=False)
class ResNetBaseline:
    """
    A trained residual network.

    Attributes:
        model ([`ResNet1d`]): In evaluation mode; the averaged weights of the best epoch.
        leads (`int`): Leads of every record, in the order of the training records.
        problem_type (`str`): `"multi_label_classification"` or `"single_label_classification"`.
        best_epoch (`int`): The epoch, from 1, that the validation fold chose.
        validation_auroc (`float`): Macro AUROC there, and therefore optimistic.
        validation_aurocs (`tuple[float, ...]`): The same after every epoch.
    """

    model: ResNet1d
    leads: int
    problem_type: str
    best_epoch: int
    validation_auroc: float
    validation_aurocs: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        signals_train: np.ndarray,
        labels_train: np.ndarray,
        signals_validation: np.ndarray,
        labels_validation: np.ndarray,
        *,
        problem_type: str = "multi_label_classification",
        epochs: int = 20,
        seconds: float | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        settings: ResNetSettings | None = None,
        class_names: Sequence[str] | None = None,
    ) -> "ResNetBaseline":
        """
        Trains on the training fold; the validation fold only chooses the epoch, by macro AUROC.

        Args:
            signals_train, signals_validation (`np.ndarray` of shape `(records, leads, samples)`):
                Cleaned, at 300 Hz in recording scale (unit variance), as rows of [`clean_corpus`] have them once their
                patches are joined; missing leads and missing patches are zeros. All records are of one length, the
                validation records may be of another; leads are the same, in one order.
            labels_train, labels_validation (`np.ndarray` of shape `(records, classes)`):
                Zeros and ones; [`one_hot`] in a single-label problem, one column in a binary one. In a multi-label
                problem NaN where a class is not known: it then counts neither in the loss nor in the choice.
            problem_type (`str`, *optional*, defaults to `"multi_label_classification"`):
                A sigmoid for each class, or `"single_label_classification"`: a softmax.
            epochs (`int`, *optional*, defaults to 20): Passes over the training records.
            seconds (`float`, *optional*):
                Time budget: the schedule comes to its end by then, if the epochs have not before. What is reached in a
                time depends on the machine, so leave it out where a result must be repeatable.
            seed (`int`, *optional*, defaults to 0): Of the weights and of everything drawn; other random numbers of the
                process are left as they are.
            device (`str` or `torch.device`, *optional*, defaults to `"cpu"`): Where to train and score.
            settings ([`ResNetSettings`], *optional*): By default those chosen on PTB-XL folds 1-8.
            class_names (`Sequence[str]`, *optional*): Names for error messages.

        Returns:
            [`ResNetBaseline`]

        Raises:
            `ValueError`: if shapes disagree, a sample is not finite, records are shorter than 1 s, a class is absent
                from a fold, a row of a single-label problem does not hold one class, there are fewer than two training
                records, or `epochs` or `seconds` is not positive.

        Example:

        ```python
        >>> resnet = ResNetBaseline.fit(train_signals, train_labels, validation_signals, validation_labels)
        >>> interval = bootstrap_interval(macro_auroc, test_labels, resnet.scores(test_signals))
        ```
        """
        labels_train, labels_validation = _checked_labels(labels_train, labels_validation, problem_type, class_names)
        signals_train = _checked_signals(signals_train, "`signals_train`", len(labels_train))
        leads = signals_train.shape[1]
        signals_validation = _checked_signals(signals_validation, "`signals_validation`", len(labels_validation), leads)
        if epochs < 1 or not (seconds is None or seconds > 0):
            raise ValueError(f"`epochs` must be at least 1 and `seconds` positive, got {epochs} and {seconds}.")
        settings, device = settings or ResNetSettings(), torch.device(device)
        with torch.random.fork_rng(devices=_cuda_indices(device)):
            torch.manual_seed(seed)
            model = ResNet1d(leads, labels_train.shape[1], settings).to(device)
            training = _Training(model, settings, problem_type, epochs, seconds)
            best, aurocs = None, []
            for averaged in training.epochs(torch.from_numpy(signals_train), torch.from_numpy(labels_train)):
                candidate = cls(averaged, leads, problem_type, len(aurocs) + 1, math.nan, ())
                aurocs.append(_known_macro_auroc(labels_validation, candidate.scores(signals_validation)))
                if best is None or aurocs[-1] > best.validation_auroc:
                    kept = copy.deepcopy(averaged).eval()
                    best = replace(candidate, model=kept, validation_auroc=aurocs[-1])
        return replace(best, validation_aurocs=tuple(aurocs))

    @torch.no_grad()
    def scores(self, signals: np.ndarray) -> np.ndarray:
        """
        Probability of every class.

        Args:
            signals (`np.ndarray` of shape `(records, leads, samples)`): As in [`~ResNetBaseline.fit`], of any length.

        Returns:
            `np.ndarray` of shape `(records, classes)`, float64, between 0 and 1; rows of a single-label problem add up
            to 1.

        Raises:
            `ValueError`: if the leads differ, a sample is not finite or records are shorter than 1 s.
        """
        signals = torch.from_numpy(_checked_signals(signals, "`signals`", leads=self.leads))
        device = self.model.classifier.weight.device
        logits = torch.cat([self.model(batch.to(device)).double().cpu() for batch in signals.split(_SCORING_BATCH)])
        is_single = self.problem_type == "single_label_classification"
        return (logits.softmax(dim=1) if is_single else logits.sigmoid()).numpy()


class _Training:
    """Optimiser, schedule and moving average of one run; yields the averaged model after every epoch."""

    def __init__(
        self, model: ResNet1d, settings: ResNetSettings, problem_type: str, epochs: int, seconds: float | None
    ):
        self.model, self.settings, self.n_epochs, self.seconds = model, settings, epochs, seconds
        self.averaged = copy.deepcopy(model).eval()
        self.is_single = problem_type == "single_label_classification"
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.start, self.step, self.steps = time.monotonic(), 0, 0

    def epochs(self, signals: torch.Tensor, labels: torch.Tensor) -> Iterator[ResNet1d]:
        size = min(self.settings.batch_size, len(signals))
        # What is left over waits for another epoch: the statistics of a few records would disturb the norms.
        batches = len(signals) // size
        self.steps = self.n_epochs * batches
        while self._progress() < 1:
            self.model.train()
            for rows in torch.randperm(len(signals))[: batches * size].split(size):
                if self._progress() < 1:
                    self._train(self._augmented(signals[rows]), labels[rows])
            yield self.averaged

    def _progress(self) -> float:
        elapsed = 0.0 if self.seconds is None else (time.monotonic() - self.start) / self.seconds
        return max(self.step / self.steps, elapsed)

    def _train(self, signals: torch.Tensor, labels: torch.Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * _one_cycle(self._progress())
        device = self.model.classifier.weight.device
        logits, labels = self.model(signals.to(device)), labels.to(device)
        if self.is_single:
            loss = nn.functional.cross_entropy(logits, labels.int().argmax(dim=1))
        else:
            known = ~labels.isnan()
            losses = nn.functional.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
            loss = (losses * known).sum() / known.sum().clamp(min=1)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._average()

    @torch.no_grad()
    def _average(self) -> None:
        # Early on a shorter memory, so that the random start is forgotten.
        decay = min(self.settings.averaging, (1 + self.step) / (10 + self.step))
        current = self.model.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])

    def _augmented(self, signals: torch.Tensor) -> torch.Tensor:
        records, leads, samples = signals.shape
        length = max(1, round(self.settings.crop * samples))
        start = int(torch.randint(samples - length + 1, ()))
        gains = torch.exp(self.settings.gain_spread * torch.randn(records, 1, 1))
        kept = torch.rand(records, leads, 1) >= self.settings.lead_dropout
        return signals[..., start : start + length] * gains * kept


def _cuda_indices(device: torch.device) -> list[int]:
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]


def _one_cycle(progress: float) -> float:
    """Share of the highest learning rate: from a 25th up over the first fifth, then down to zero, along cosines."""
    warm_up = 0.2
    if progress < warm_up:
        return 1 - 0.96 * (1 + math.cos(math.pi * progress / warm_up)) / 2
    return (1 + math.cos(math.pi * min(1.0, (progress - warm_up) / (1 - warm_up)))) / 2


def _checked_labels(
    labels_train: np.ndarray, labels_validation: np.ndarray, problem_type: str, class_names: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both folds as float32 with NaN where they are not known, or the `ValueError` of [`check_folds`]."""
    folds = [np.asarray(labels, dtype=np.float32) for labels in (labels_train, labels_validation)]
    if problem_type == "single_label_classification" or not any(np.isnan(labels).any() for labels in folds):
        check_folds(*folds, problem_type, class_names)
        return folds[0], folds[1]
    check_columns_agree(*folds, "classes")
    for column in range(folds[0].shape[1]):
        known = [labels[~np.isnan(labels[:, column]), column : column + 1] for labels in folds]
        check_folds(*known, problem_type, None if class_names is None else (class_names[column],))
    return folds[0], folds[1]


def _known_macro_auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the classes of the AUROC over the records where the class is known."""
    known = ~np.isnan(labels)
    if known.all():
        return macro_auroc(labels, scores)
    columns = range(labels.shape[1])
    parts = [(known[:, column], slice(column, column + 1)) for column in columns]
    return float(np.mean([macro_auroc(labels[part], scores[part]) for part in parts]))


def _checked_signals(
    signals: np.ndarray, where: str, records: int | None = None, leads: int | None = None
) -> np.ndarray:
    signals = np.ascontiguousarray(signals, dtype=np.float32)
    if signals.ndim != 3 or len(signals) == 0 or (records or len(signals)) != len(signals):
        raise ValueError(f"{where} must be ({records or 'records'}, leads, samples), got shape {signals.shape}.")
    if leads is not None and signals.shape[1] != leads:
        raise ValueError(f"{where} has {signals.shape[1]} leads, but the network was trained on {leads}.")
    if signals.shape[2] < _MIN_DURATION_S * SAMPLING_RATE_HZ:
        raise ValueError(
            f"{where} has {signals.shape[2]} samples at {SAMPLING_RATE_HZ} Hz, but at least {_MIN_DURATION_S:g} s are"
            " needed."
        )
    check_finite(signals, where)
    return signals


__all__ = ["ResNet1d", "ResNetBaseline", "ResNetSettings"]
