# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Four batches of different sizes, weighed by their counts, give the gradient of one batch with all their windows."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import torch
from tests.training.small_runs import SmallRuns
from torch.nn.functional import pad

from anyecg_hf.training.classification import ClassificationStage
from anyecg_hf.training.pretrain import PretrainingStage
from anyecg_hf.training.stage import Stage
from anyecg_hf.training.train_quantizer import QuantizerStage
from anyecg_hf.training.windows import Batch, seeded_generator

SIZES = (1, 5, 2, 3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("runs"))


def quantizer_stage(runs: SmallRuns, folder, **model: Any) -> Stage:
    config = runs.config("quantizer", folder)
    config.model.update({"codebook_warmup_updates": 0, "initializer_range": 0.2, **model})
    stage = QuantizerStage(config)
    stage.model.quantizer.started.fill_(True)
    return stage


def classification_stage(runs: SmallRuns, folder, **changes: Any) -> Stage:
    return ClassificationStage(runs.config("finetuning", folder, **changes), torch.device("cpu"))


STAGES: dict[str, Callable[[SmallRuns, Any], Stage]] = {
    "quantizer": quantizer_stage,
    "quantizer with the paper's codebook loss": lambda runs, folder: quantizer_stage(
        runs, folder, codebook_update="loss", num_quantizers=2
    ),
    "pretraining": lambda runs, folder: PretrainingStage(runs.config("pretraining", folder), torch.device("cpu")),
    "classification": lambda runs, folder: classification_stage(runs, folder, code_weight=0.0),
    "classification with the second task": lambda runs, folder: classification_stage(runs, folder, code_weight=0.7),
}


def draw_batches(stage: Stage) -> list[Batch]:
    """Batches of `SIZES` windows, of different leads and lengths."""
    rows = iter(sorted(stage.data.train.select(range(sum(SIZES))), key=lambda found: found["n_leads"]))
    batches = [stage.collate(list(islice(rows, size)), seeded_generator(n)) for n, size in enumerate(SIZES)]
    if isinstance(stage, ClassificationStage):
        batches[1]["labels"][2:4, 0] = torch.nan  # nothing is known of these
    return batches


def joined(batches: list[Batch]) -> Batch:
    """One batch, padded to the largest."""
    shape = [max(batch["attention_mask"].shape[dim] for batch in batches) for dim in (1, 2)]

    def widened(name: str, value: torch.Tensor) -> torch.Tensor:
        axes = 1 if name == "lead_ids" else 2 if value.ndim > 2 else 0
        for dim, size in zip(range(1, axes + 1), shape, strict=False):
            missing = [0, 0] * (value.ndim - 1 - dim) + [0, size - value.shape[dim]]
            value = pad(value, missing, value=-1 if name in ("labels", "codes") else 0)
        return value

    return {name: torch.cat([widened(name, batch[name]) for batch in batches]) for name in batches[0]}


def gradients(stage: Stage, batches: list[Batch]) -> dict[str, torch.Tensor]:
    """As the loop weighs them: each term by its share of the step's elements."""
    stage.model.zero_grad()
    totals: dict[str, float] = {}
    for batch in batches:
        for name, count in stage.counts(batch).items():
            totals[name] = totals.get(name, 0.0) + count
    for batch in batches:
        counts = stage.counts(batch)
        terms = stage.terms(stage.model(**batch))
        assert terms.keys() == counts.keys()
        sum(term.weight * term.value * counts[name] / totals[name] for name, term in terms.items()).backward()
    return {name: weight.grad.clone() for name, weight in stage.model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("kind", STAGES)
def test_accumulated_gradients_are_those_of_one_batch(kind, runs, tmp_path):
    stage = STAGES[kind](runs, tmp_path / "run")
    stage.model.train()
    stage.model.apply(lambda module: setattr(module, "p", 0.0) if isinstance(module, torch.nn.Dropout) else None)
    batches = draw_batches(stage)
    assert len({batch["attention_mask"].shape[1] for batch in batches}) > 1
    expected, found = gradients(stage, [joined(batches)]), gradients(stage, batches)
    assert expected.keys() == found.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    assert largest > 1e-3
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6 * max(largest, 1.0), msg=name)


def test_the_plain_sums_of_the_paper_cannot_be_weighed_as_means(runs, tmp_path):
    with pytest.raises(ValueError, match=r"`model\.loss_reduction` must be 'mean'"):
        quantizer_stage(runs, tmp_path / "run", loss_reduction="sum")
