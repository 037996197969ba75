# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Rows of the table on test records made worse: added noise, fewer leads, other sampling rates.

The signal is changed in mV, before cleaning, so that the cleaning is part of what is tested. Records that cleaning then
refuses, having no usable lead, are not left out: they get the class frequencies of the training records, as where a
model has no answer. Nothing is fitted again, and missing samples stay missing.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import datasets
import numpy as np
from tqdm import tqdm

from ...corpora import clean_corpus
from ...models.anyecg import AnyECGTokenizer
from ...models.anyecg.signal_anyecg import resample
from ...training.windows import USUAL_LEADS, Row
from ..evaluation_configs import BootstrapConfig, RobustnessConfig
from ..metrics import bootstrap_rows
from ..noise import MIN_DURATION_S, add_noise, lowest_rate_hz
from .figures import Protocol, RowScores, figure_interval
from .table_rows import FittedRow
from .task_splits import TaskData, means_over_windows
from .window_scorers import BATCH_SIZE


@dataclass(frozen=True)
class Condition:
    """
    One way to make records worse.

    Attributes:
        kind (`str`): A kind of noise, `leads` or `sampling_rate`.
        value (`float`): Signal-to-noise ratio in dB, number of leads, or Hz.
    """

    kind: str
    value: float

    @property
    def title(self) -> str:
        """For tables and plots."""
        if self.kind == "leads":
            return f"{', '.join(USUAL_LEADS[int(self.value)])}" if self.value < 6 else "limb leads"
        if self.kind == "sampling_rate":
            return f"{self.value:g} Hz"
        return f"{self.kind.replace('_', ' ')}, {self.value:g} dB"


def conditions(config: RobustnessConfig) -> list[Condition]:
    """All ways that a configuration names, in the order of the table."""
    found = [Condition(kind, float(snr_db)) for kind in config.noise for snr_db in config.snrs_db]
    found += [Condition("leads", float(count)) for count in config.leads]
    return found + [Condition("sampling_rate", float(rate)) for rate in config.sampling_rates_hz]


@dataclass(frozen=True)
class Worsening:
    """
    Changes a record of a corpus.

    Args:
        condition ([`Condition`]): How.
        mains_hz (`float`): Of powerline noise.
        seed (`int`): Of noise.
    """

    condition: Condition
    mains_hz: float
    seed: int

    def applies_to(self, lead_names: Sequence[str], sampling_rate: float, n_samples: int) -> bool:
        """Whether a record of these leads, rate and length can be changed so."""
        kind = self.condition.kind
        if kind == "leads":
            return set(USUAL_LEADS[int(self.condition.value)]) <= set(lead_names)
        if kind == "sampling_rate":
            return True
        return sampling_rate > lowest_rate_hz(kind, self.mains_hz) and n_samples >= MIN_DURATION_S * sampling_rate

    def __call__(self, example: dict[str, Any], place: int) -> dict[str, Any]:
        """The columns that change, and the record's `place`."""
        signal_mv = np.asarray(example["signal"])
        rate, names = example["sampling_rate"], list(example["lead_names"])
        if self.condition.kind == "leads":
            kept = [names.index(name) for name in USUAL_LEADS[int(self.condition.value)]]
            signal_mv, names = signal_mv[kept], [names[lead] for lead in kept]
        elif self.condition.kind == "sampling_rate":
            signal_mv, rate = self._resampled(signal_mv, rate), self.condition.value
        else:
            signal_mv = self._noisy(signal_mv, rate, f"{example['corpus']}/{example['record_id']}")
        changed = {"signal": signal_mv, "sampling_rate": rate, "lead_names": names, "n_samples": signal_mv.shape[1]}
        return {**changed, "place": place}

    def _resampled(self, signal_mv: np.ndarray, rate: float) -> np.ndarray:
        changed = resample(_filled(signal_mv), rate, self.condition.value)
        nearest = np.round(np.arange(changed.shape[1]) * rate / self.condition.value).astype(int)
        missing = ~np.isfinite(signal_mv)[:, nearest.clip(max=signal_mv.shape[1] - 1)]
        return np.where(missing, np.nan, changed).astype(np.float32)

    def _noisy(self, signal_mv: np.ndarray, rate: float, record: str) -> np.ndarray:
        kind = self.condition.kind
        generator = np.random.default_rng([self.seed, zlib.crc32(f"{kind} {record}".encode())])
        noisy = add_noise(_filled(signal_mv), rate, kind, self.condition.value, generator, mains_hz=self.mains_hz)
        return np.where(np.isfinite(signal_mv), noisy, np.float32(np.nan))


def _filled(signal_mv: np.ndarray) -> np.ndarray:
    """Missing samples replaced by straight lines between their neighbours; a lead without any sample by zeros."""
    filled = np.array(signal_mv, dtype=np.float64)
    for lead in filled:
        real = np.isfinite(lead)
        if not real.all():
            places = np.arange(len(lead))
            lead[~real] = np.interp(places[~real], places[real], lead[real]) if real.any() else 0.0
    return filled


class RobustnessTest:
    """
    Scores rows of the table on worse records.

    Args:
        config ([`RobustnessConfig`]): How records are made worse.
        bootstrap ([`BootstrapConfig`]): Intervals.
        protocol ([`Protocol`]): The main figure.
        data ([`TaskData`]): Records.
        tokenizer ([`AnyECGTokenizer`]): Cleans them.
        window_patches (`int`): Patches of a window.
    """

    def __init__(
        self,
        config: RobustnessConfig,
        bootstrap: BootstrapConfig,
        protocol: Protocol,
        data: TaskData,
        tokenizer: AnyECGTokenizer,
        window_patches: int,
    ):
        self.config, self.bootstrap, self.protocol = config, bootstrap, protocol
        self.data, self.tokenizer, self.window_patches = data, tokenizer, window_patches
        self.fallback = np.nanmean(data.train.labels, axis=0)

    def run(self, rows: Sequence[FittedRow], clean: dict[str, RowScores]) -> list[dict[str, Any]]:
        """
        Args:
            rows (`Sequence[FittedRow]`): Rows to test.
            clean (`dict[str, RowScores]`): What they say of the records as they are.

        Returns:
            `list[dict]`: one a condition: `records`, `left_out` (to which it cannot be applied), `unanswered`, and by
            row the main figure and its change against the same records as they are, both with intervals.
        """
        return [
            self._test(condition, rows, clean)
            for condition in tqdm(conditions(self.config), desc="robustness", disable=None)
        ]

    def _test(self, condition: Condition, rows: Sequence[FittedRow], clean: dict[str, RowScores]) -> dict[str, Any]:
        worsening = Worsening(condition, self.config.mains_hz, self.config.seed)
        columns = self.data.test_records.select_columns(["lead_names", "sampling_rate", "n_samples"]).with_format(None)
        kept = [index for index, row in enumerate(columns) if worsening.applies_to(**row)]
        result = {
            **asdict(condition),
            "title": condition.title,
            "records": len(kept),
            "left_out": len(columns) - len(kept),
            "unanswered": 0,
            "rows": {},
        }
        if not kept:
            return result
        scores, result["unanswered"] = self._scores(worsening, kept, rows)
        labels = self.data.test.labels[kept]
        everyone = self.data.test.patients
        patients = [everyone[index] for index in kept]
        draws = list(
            bootstrap_rows(len(kept), groups=patients, resamples=self.bootstrap.resamples, seed=self.bootstrap.seed)
        )
        for row in rows:
            before = [said[kept] for said in clean[row.name].test]
            result["rows"][row.name] = self._figures(labels, scores[row.name], before, draws)
        return result

    def _scores(
        self, worsening: Worsening, kept: Sequence[int], rows: Sequence[FittedRow]
    ) -> tuple[dict[str, list[np.ndarray]], int]:
        """Probabilities by row and seed, each `(records, classes)`, and how many records cleaning refused."""
        said: dict[str, list[list[np.ndarray]]] = {row.name: [[] for _ in row.scorers] for row in rows}
        places, weights = [], []
        for batch in _batches(self._cleaned(worsening, kept)):
            places += [row["place"] for row in batch]
            weights += [int(np.asarray(row["attention_mask"]).sum()) for row in batch]
            for row in rows:
                for scorer, parts in zip(row.scorers, said[row.name], strict=True):
                    parts.append(scorer.of_rows(batch))
        scores = {
            name: [self._of_records(parts, weights, places, len(kept)) for parts in each] for name, each in said.items()
        }
        return scores, len(kept) - len(set(places))

    def _cleaned(self, worsening: Worsening, kept: Sequence[int]) -> datasets.IterableDataset:
        records = self.data.test_records.select(kept)
        features = datasets.Features({**records.features, "place": datasets.Value("int64")})
        changed = records.to_iterable_dataset().map(worsening, with_indices=True, features=features)
        return clean_corpus(changed, self.tokenizer, most_patches=self.window_patches)

    def _of_records(
        self, parts: Sequence[np.ndarray], weights: Sequence[int], places: Sequence[int], records: int
    ) -> np.ndarray:
        if not parts:
            return np.tile(self.fallback, (records, 1))
        found = means_over_windows(np.concatenate(parts), np.array(weights), np.array(places), records)
        return np.where(np.isnan(found), self.fallback, found)

    def _figures(
        self,
        labels: np.ndarray,
        worse: Sequence[np.ndarray],
        before: Sequence[np.ndarray],
        draws: Sequence[np.ndarray],
    ) -> dict[str, Any]:
        def figure(scores: Sequence[np.ndarray], rows: np.ndarray) -> float:
            return float(np.mean([self.protocol.main_figure(labels[rows], said[rows]) for said in scores]))

        everything = np.arange(len(labels))
        values = {
            name: (figure(scores, everything), np.array([figure(scores, drawn) for drawn in draws]))
            for name, scores in (("worse", worse), ("before", before))
        }
        confidence = self.bootstrap.confidence
        change = figure_interval(
            values["worse"][0] - values["before"][0], values["worse"][1] - values["before"][1], confidence
        )
        main = figure_interval(*values["worse"], confidence)
        return {
            self.protocol.main: None if main is None else asdict(main),
            "change": None if change is None else asdict(change),
        }


def _batches(rows: datasets.IterableDataset) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH_SIZE)):
        yield batch


__all__ = ["Condition", "RobustnessTest", "Worsening", "conditions"]
