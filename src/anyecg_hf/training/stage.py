# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the training loop asks of a stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import datasets
import torch
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf.models.anyecg import AnyECGTokenizer
from anyecg_hf.training.sources import TrainingRows, rows_by_corpus
from anyecg_hf.training.windows import Batch, Row, WindowCollator


@dataclass(frozen=True)
class LossTerm:
    """
    One term of a loss.

    Attributes:
        value (`torch.Tensor` of shape `()`): Its mean over the elements of a batch.
        weight (`float`): Its weight in the loss.
    """

    value: torch.Tensor
    weight: float = 1.0


class Stage:
    """
    A model, its batches and its loss. Subclasses must have `counts`, `terms`, `validate` and `save`.

    **Attributes:** `model`, a `PreTrainedModel`; `tokenizer`; `collate`, which makes batches of rows; `data`, the rows;
    `parent_sha256`, of what the run starts from ([`parent_digest`]), `None` where it starts from nothing.
    Class attributes: `selection`, name of the validation figure that the best step is chosen by, `None` for the last
    step whatever its figures; `more_is_better`, about that figure; `predicts_codes`, whether a code head is at work.
    """

    model: PreTrainedModel
    tokenizer: AnyECGTokenizer
    collate: WindowCollator
    data: TrainingRows
    parent_sha256: str | None = None
    selection: ClassVar[str | None] = "loss"
    more_is_better: ClassVar[bool] = False
    predicts_codes: ClassVar[bool] = False

    @property
    def patch_s(self) -> float:
        """Seconds of what `n_patches` of a row counts."""
        return self.tokenizer.patch_seconds

    def with_facts(self) -> "Stage":
        """Notes in `data.facts` what the run starts from and, now that the task has left rows out, is trained on."""
        facts, validation = self.data.facts, self.data.validation
        facts.parent_sha256 = self.parent_sha256
        if not isinstance(self.data.train, datasets.IterableDataset):
            facts.trained_on = rows_by_corpus(self.data.train, self.patch_s)
        facts.validated_on = {} if validation is None else rows_by_corpus(validation, self.patch_s)
        facts.validation_rows = 0 if validation is None else len(validation)
        return self

    def counts(self, batch: Batch) -> dict[str, float]:
        """
        How many elements each loss term of a batch is a mean over. Known before the model has seen the batch, so that
        batches which are accumulated, or seen by other processes, weigh exactly as in one batch.
        """
        raise NotImplementedError

    def terms(self, outputs: Any) -> dict[str, LossTerm]:
        """Loss terms by the names that [`~Stage.counts`] has."""
        raise NotImplementedError

    def measured(self, outputs: Any) -> dict[str, torch.Tensor]:
        """Further numbers of a batch to log, means over its batches."""
        return {}

    def begin(self) -> None:
        """Called once before the first step."""

    def after_step(self, model: PreTrainedModel) -> None:
        """Called after every optimiser step, in every process."""

    def check_health(self) -> dict[str, float]:
        """Called before every line of the log, in every process; raises where going on makes no sense."""
        return {}

    def details(self) -> dict[str, Any]:
        """What a line of the log has no room for: name -> JSON content, of the last line. The first process asks."""
        return {}

    def end(self) -> None:
        """Called once, whatever happens."""

    def state(self) -> dict[str, torch.Tensor]:
        """What an exact resume needs beside the model, of this process."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores [`~Stage.state`]."""

    def validate(self, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]]) -> dict[str, float]:
        """Figures on the validation rows; the model is in evaluation mode."""
        raise NotImplementedError

    def check_finished(self, model: PreTrainedModel) -> None:
        """Raises if what was trained is of no use."""

    def save(self, model: PreTrainedModel, state_dict: dict[str, torch.Tensor], folder: Path) -> None:
        """Writes what `from_pretrained` reads."""
        raise NotImplementedError

    def load(self, folder: Path) -> PreTrainedModel:
        """Reads what [`~Stage.save`] wrote."""
        return type(self.model).from_pretrained(folder)


def mean_terms(stage: Stage, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]]) -> dict[str, float]:
    """Loss terms over many batches, each the mean over all of their elements, and `loss`, their weighted sum."""
    sums: dict[str, float] = {}
    totals: dict[str, float] = {}
    weights: dict[str, float] = {}
    for batch, _ in batches:
        counts = stage.counts(batch)
        device = next(model.parameters()).device
        outputs = model(**{name: value.to(device) for name, value in batch.items()})
        for name, term in stage.terms(outputs).items():
            sums[name] = sums.get(name, 0.0) + float(term.value) * counts[name]
            totals[name] = totals.get(name, 0.0) + counts[name]
            weights[name] = term.weight
    means = {name: sums[name] / max(totals[name], 1.0) for name in sums}
    return {"loss": sum(weights[name] * mean for name, mean in means.items()), **means}


__all__ = ["LossTerm", "Stage", "mean_terms"]
