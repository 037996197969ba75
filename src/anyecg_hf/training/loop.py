# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The training loop of every stage, on Accelerate: exact accumulation, exact resume, one line of figures now and then.

Nothing random is kept between steps: windows, masks and dropout follow from the seed, the process and the step. A run
that was killed and resumed therefore gives the weights of one that was not.
"""

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object, reduce
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from anyecg_hf.training.checkpoints import Checkpoints, ProcessState, replace_folder
from anyecg_hf.training.configs import TrainingConfig
from anyecg_hf.training.feeding import BatchFeed, FedBatch, validation_batches
from anyecg_hf.training.optimisation import set_learning_rate
from anyecg_hf.training.preparation import prepare_training, running_accelerator, unwrapped
from anyecg_hf.training.processes import together
from anyecg_hf.training.record_lists import write_record_list
from anyecg_hf.training.run_folder import RunFolder
from anyecg_hf.training.stage import Stage
from anyecg_hf.training.throughput import Throughput
from anyecg_hf.training.trackers import choose_trackers, tracked_settings
from anyecg_hf.training.windows import seeded_generator
from anyecg_hf.training.zero import uses_zero

logger = logging.getLogger(__name__)

_SUMS = "sums."
_DROPOUT = 1  # sets the seeds of steps apart from those of batches


class NonFiniteLossError(RuntimeError):
    """The loss or the gradient is no longer a number."""


@dataclass
class Progress:
    """
    Where a run is.

    Attributes:
        step (`int`): Optimiser steps done.
        logged_step (`int`): The step of the last line of the log.
        records (`int`): Windows seen, by all processes.
        best (`float` or `None`): Best validation figure so far.
        best_step (`int` or `None`): The step it is of.
        stale (`int`): Validations since.
    """

    step: int = 0
    logged_step: int = 0
    records: int = 0
    best: float | None = None
    best_step: int | None = None
    stale: int = 0


def run_training(config: TrainingConfig, make_stage: Callable[[Accelerator], Stage]) -> PreTrainedModel:
    """
    Trains a stage from a configuration, or goes on with it.

    Args:
        config ([`TrainingConfig`]): The run.
        make_stage (`Callable`): Builds the stage; the first process of each machine is called first, so that records
            are read into the cache once.

    Returns:
        `PreTrainedModel`: the trained model, which `final` in the run folder holds too.

    Raises:
        `ValueError`: if the run folder holds another run, or there is nothing to train on.
        [`NonFiniteLossError`]: if the loss becomes NaN or infinite; names the file with the batch's record ids.
        [`CheckpointError`]: if a checkpoint cannot be written or read.
    """
    dataclasses.replace(config.run)  # checks its numbers: fields may have been set since
    folder = RunFolder(config)
    with running_accelerator(config.run, choose_trackers(config.run), str(folder.path)) as accelerator:
        try:
            _on_main_process(accelerator, folder.open)
            stage = _made_in_turn(config, make_stage, accelerator)
            _on_main_process(accelerator, lambda: folder.write_data_facts(dataclasses.asdict(stage.data.facts)))
            _on_main_process(accelerator, lambda: write_record_list(stage.data, folder.path))
            return TrainingLoop(config, stage, folder, accelerator).run()
        finally:
            folder.close()


def _made_in_turn(
    config: TrainingConfig, make_stage: Callable[[Accelerator], Stage], accelerator: Accelerator
) -> Stage:
    made: list[Stage] = []

    def make() -> None:
        torch.manual_seed(config.run.seed)
        made.append(make_stage(accelerator))

    for turn in (True, False):
        together(lambda turn=turn: make() if accelerator.is_local_main_process == turn else None)
    return made[0]


class TrainingLoop:
    """
    Steps, logs, validates and saves.

    Args:
        config ([`TrainingConfig`]): The run.
        stage ([`Stage`]): What is trained.
        folder ([`RunFolder`]): Where it leaves things.
        accelerator (`accelerate.Accelerator`): From [`running_accelerator`].
    """

    def __init__(self, config: TrainingConfig, stage: Stage, folder: RunFolder, accelerator: Accelerator):
        self.config = config.run
        self.data = config.data
        self.optimiser_config = config.optimiser
        self.stage = stage
        self.folder = folder
        self.accelerator = accelerator
        self.model, self.optimiser = prepare_training(stage.model, self.config, self.optimiser_config, accelerator)
        self.checkpoints = Checkpoints(
            folder.checkpoints, self.config.keep, accelerator.process_index, accelerator.num_processes
        )
        self.feed = BatchFeed(
            stage.data.train,
            stage.collate,
            self.data.batch_size,
            seed=self.config.seed,
            process=accelerator.process_index,
            n_processes=accelerator.num_processes,
            pool_size=self.data.pool_size,
            prefetch=self.data.prefetch,
        )
        self.progress = Progress()
        self.throughput = Throughput(
            accelerator.device, self.config, stage.predicts_codes, _is_trained(stage.model.base_model)
        )
        self._sums: dict[str, torch.Tensor] = {}
        self._last: FedBatch | None = None
        accelerator.init_trackers("anyecg", config=tracked_settings(dataclasses.asdict(config)))

    def run(self) -> PreTrainedModel:
        """Trains to the end, as [`run_training`] says."""
        self.stage.begin()
        try:
            self._resume()
            self._steps()
            self.stage.check_finished(unwrapped(self.model))
            return self._finish()
        finally:
            self.feed.close()
            self.stage.end()
            if self.config.plots and self.accelerator.is_main_process:
                self.folder.draw()

    def _resume(self) -> None:
        newest = self.checkpoints.newest()
        if newest is not None:
            state, own = self.checkpoints.load(newest, self.model, self.optimiser)
            self.progress = Progress(**state["progress"])
            sums = {name: own.tensors.pop(name) for name in list(own.tensors) if name.startswith(_SUMS)}
            self._sums = {name.removeprefix(_SUMS): sums[name].to(self.accelerator.device) for name in sums}
            self.stage.load_state(own.tensors)
            self.feed.go_to(own.place)
        if self.accelerator.is_main_process:
            self.folder.cut_metrics(self.progress.step)

    def _steps(self) -> None:
        config = self.config
        bar = tqdm(
            total=config.steps,
            initial=self.progress.step,
            desc=self.folder.path.name,
            unit="step",
            disable=None if self.accelerator.is_main_process else True,
        )
        self.model.train()
        self.throughput.start()
        with bar:
            while self.progress.step < config.steps and not self._is_stale():
                rate = set_learning_rate(self.optimiser, self.progress.step, config.steps, self.optimiser_config)
                gradient_norm = self._step()
                self.progress.step += 1
                bar.update()
                step, is_last = self.progress.step, self.progress.step == config.steps
                if step % config.log_every == 0 or is_last:
                    figures = self._figures(rate, gradient_norm)
                    self._log(figures)
                    bar.set_postfix(loss=f"{figures['loss']:.4f}")
                    logger.info("step %d of %d, loss %.4f", step, config.steps, figures["loss"])
                if self.stage.data.validation is not None and (step % config.validate_every == 0 or is_last):
                    self._validate()
                if step % config.save_every == 0 or is_last or self._is_stale():
                    self._save()

    def _is_stale(self) -> bool:
        return self.config.patience is not None and self.progress.stale >= self.config.patience

    def _step(self) -> float:
        """One optimiser step; returns the norm of the gradient before clipping."""
        batches = [next(self.feed) for _ in range(self.config.gradient_accumulation)]
        counts = [{**self.stage.counts(fed.tensors), "records": len(fed.record_ids)} for fed in batches]
        totals = self._totals(counts)
        losses = []
        for number, (fed, own) in enumerate(zip(batches, counts, strict=True)):
            generator = seeded_generator(
                self.config.seed, self.accelerator.process_index, self.progress.step, number, _DROPOUT
            )
            torch.manual_seed(generator.initial_seed())
            with self.accelerator.accumulate(self.model):
                losses.append(self._backward(fed, own, totals))
        gradient_norm = self._clip()
        if not gradient_norm < float("inf"):
            self._stop_at(batches, losses, gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.stage.after_step(unwrapped(self.model))
        self._last = batches[-1]
        self.progress.records += round(totals["records"])
        return gradient_norm

    def _totals(self, counts: list[dict[str, float]]) -> dict[str, float]:
        """What each loss term of the whole step is a mean over, in all processes; with the number of windows."""
        own = torch.tensor([sum(count[name] for count in counts) for name in counts[0]], dtype=torch.float32)
        totals = reduce(own.to(self.accelerator.device), reduction="sum")
        return dict(zip(counts[0], totals.tolist(), strict=True))

    def _backward(self, fed: FedBatch, counts: dict[str, float], totals: dict[str, float]) -> torch.Tensor:
        batch = {name: value.to(self.accelerator.device) for name, value in fed.tensors.items()}
        outputs = self.model(**batch)
        # Wrappers average over processes, and Accelerate over accumulated batches: both are undone here.
        undo = self.accelerator.num_processes * self.accelerator.gradient_accumulation_steps
        loss = torch.zeros((), device=self.accelerator.device)
        for name, term in self.stage.terms(outputs).items():
            share = counts[name] / max(totals[name], 1.0)
            loss = loss + term.weight * term.value * share
            self._add(name, term.value.detach() * share)
        self._add("loss", loss.detach())
        for name, value in self.stage.measured(outputs).items():
            self._add(name, value.detach() * counts["records"] / totals["records"])
        self.accelerator.backward(loss * undo)
        self.throughput.count(self.stage.model.config, fed.tensors["attention_mask"])
        return loss.detach()

    def _add(self, name: str, value: torch.Tensor) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value.float()

    def _clip(self) -> float:
        if uses_zero(self.accelerator):  # has clipped and stepped already; infinite where it has not
            return float(self.model.get_global_grad_norm())
        largest = self.optimiser_config.max_gradient_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), largest)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def _stop_at(self, batches: list[FedBatch], losses: list[torch.Tensor], gradient_norm: float) -> None:
        """The gradient's norm is that of all processes, so all of them come here."""
        listed = gather_object(
            [{"loss": float(loss), "records": list(fed.record_ids)} for fed, loss in zip(batches, losses, strict=True)]
        )
        # Finite losses throughout: then the gradient of any batch may be the bad one.
        bad = [batch for batch in listed if not abs(batch["loss"]) < float("inf")] or listed
        step = self.progress.step
        _on_main_process(self.accelerator, lambda: self.folder.write_bad_batches(step, gradient_norm, bad))
        raise NonFiniteLossError(
            f"step {step}: the gradient's norm is {gradient_norm}, and the losses are"
            f" {', '.join(str(batch['loss']) for batch in bad)}. {self.folder.bad_batches} has the records"
            " of these batches: look at them, or lower the learning rate. The last checkpoint is from before."
        )

    def _figures(self, rate: float, gradient_norm: float) -> dict[str, float]:
        """Means since the last line, over all processes."""
        names = sorted(self._sums)
        sums = reduce(torch.stack([self._sums[name] for name in names]), reduction="sum")
        steps = self.progress.step - self.progress.logged_step
        self._sums, self.progress.logged_step = {}, self.progress.step
        return {
            "step": self.progress.step,
            **{name: value / steps for name, value in zip(names, sums.tolist(), strict=True)},
            "learning_rate": rate,
            "gradient_norm": gradient_norm,
            "records_seen": self.progress.records,
            **self.stage.check_health(),
            **self.throughput.measure(self.accelerator),
        }

    def _log(self, figures: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            self.folder.log(figures)
            self.folder.write_details(self.stage.details())
        self.accelerator.log({name: value for name, value in figures.items() if name != "step"}, figures["step"])

    @torch.no_grad()
    def _validate(self) -> None:
        """Every process validates on all rows, which sharded weights need; what the first one finds holds for all."""
        self.model.eval()
        batches = validation_batches(self.stage.data.validation, self.stage.collate, self.data.batch_size)
        found = broadcast_object_list([self.stage.validate(self.model, batches)])[0]
        self.model.train()
        self._log({"step": self.progress.step, **{f"validation_{name}": value for name, value in found.items()}})
        if self.stage.selection is not None:
            self._choose(found[self.stage.selection])
        self.throughput.start()

    def _choose(self, figure: float) -> None:
        """Keeps the weights if they are the best so far. A figure that is not a number is never the best."""
        progress, sign = self.progress, 1 if self.stage.more_is_better else -1
        progress.stale += 1
        if sign * figure > (-float("inf") if progress.best is None else sign * progress.best):
            progress.best, progress.best_step, progress.stale = figure, progress.step, 0
            self._save_model(self.folder.best)

    def _save(self) -> None:
        sums = {f"{_SUMS}{name}": value for name, value in self._sums.items()}
        own = ProcessState(place=self._last.place, tensors={**self.stage.state(), **sums})
        self.checkpoints.save(
            self.progress.step, self.model, self.optimiser, {"progress": dataclasses.asdict(self.progress)}, own
        )
        self.throughput.start()

    def _save_model(self, folder: Path) -> None:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights = get_model_state_dict(unwrapped(self.model), options=options)

        def write(aside: Path) -> None:
            self.stage.save(unwrapped(self.model), weights, aside)

        _on_main_process(self.accelerator, lambda: replace_folder(folder, write))

    def _finish(self) -> PreTrainedModel:
        """Writes `final`: the best step if one was chosen, else the last."""
        if self.progress.best_step is None:
            self._save_model(self.folder.final)
        else:
            # Copied even if it is the last step: what validation found, thresholds for example, is in there too.
            _on_main_process(self.accelerator, self.folder.copy_best)
        return self.stage.load(self.folder.final).eval()


def _is_trained(model: torch.nn.Module) -> bool:
    """Whether the weights themselves are, rather than adapters beside them."""
    return any(item.requires_grad and "lora_" not in name for name, item in model.named_parameters())


def _on_main_process(accelerator: Accelerator, work: Callable[[], None]) -> None:
    """Works in the first process; if it fails, all of them do."""
    together(lambda: work() if accelerator.is_main_process else None)


__all__ = ["NonFiniteLossError", "Progress", "TrainingLoop", "run_training"]
