# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`transformers.Trainer` with what the stages need: loss terms in the log, codebook updates, collapse as an error."""

import logging
import os
from collections import defaultdict
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import reduce
from safetensors.torch import load_file, load_model, save_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import SAFE_WEIGHTS_NAME

from anyecg_hf.models.anyecg import AnyECGRhythmQuantizer
from anyecg_hf.models.anyecg.quantization_anyecg import QuantizedTokens, VectorQuantizer
from anyecg_hf.training.windows import EpochSampler

logger = logging.getLogger(__name__)


class CodebookCollapseError(RuntimeError):
    """Training goes on with a codebook of which almost nothing is used; stopping is kinder."""


class LossTermTrainer(Trainer):
    """
    Trainer that logs the mean of every scalar that the model returns beside the loss. One process resumes exactly.

    `Trainer` draws batches ahead of the step that uses them, so random states saved with a checkpoint come too late for
    the data: [`RecordWindows`] draws by index instead, and [`EpochSampler`] gives an index the epoch.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._terms: dict[str, list[float]] = defaultdict(list)

    def _get_train_sampler(self, train_dataset=None):
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return EpochSampler(len(dataset), self.args.seed)

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if model.training:
            for name, value in outputs.items():
                if name != "loss" and torch.is_tensor(value) and value.ndim == 0:
                    self._terms[name].append(float(value.detach()))
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            logs.update({name: sum(values) / len(values) for name, values in self._terms.items()})
            self._terms.clear()
        super().log(logs, *args, **kwargs)


class CodebookCallback(TrainerCallback):
    """
    Updates the codebook after every optimiser step, stops on collapse, and saves what an exact resume needs.

    Collapse is told from the codes of the batches: in the codebook's own running counts, codes that were just revived
    look as if they were in use. Under several processes the batches of all of them count, and each process keeps its
    own vectors for the k-means start.
    """

    STATE_FILE = "codebook_reservoir.safetensors"
    FEWEST_USES = 10  # a code, on average: fewer say little about the codes that were not used

    def __init__(self):
        self._uses = torch.zeros(0)
        self._hook = None

    def on_train_begin(
        self, args, state: TrainerState, control: TrainerControl, model: AnyECGRhythmQuantizer = None, **kwargs
    ) -> None:
        self.remove_hook()
        self._uses = torch.zeros(model.config.num_quantizers, model.config.codebook_size)
        self._hook = model.quantizer.register_forward_hook(self._count)
        checkpoint = get_last_checkpoint(args.output_dir) if state.global_step else None
        if checkpoint is None:
            return
        path = Path(checkpoint) / self.state_file(args)
        if path.exists():
            model.quantizer.load_training_state(load_file(path))
        else:
            logger.warning("%s is missing: the run goes on, but not exactly as without the break.", path)

    def on_step_end(
        self, args, state: TrainerState, control: TrainerControl, model: AnyECGRhythmQuantizer = None, **kwargs
    ) -> None:
        model.update_codebook()
        if state.global_step % state.logging_steps:
            return
        uses = reduce(self._uses.to(model.device), reduction="sum")  # over processes, so that all of them raise or none
        if uses.sum() < self.FEWEST_USES * uses.numel():
            return
        usage = float((uses > 0).float().mean())
        self._uses.zero_()
        if usage < model.config.min_codebook_usage:
            raise CodebookCollapseError(
                f"only {usage:.1%} of the {model.config.codebook_size} codes are in use at step {state.global_step},"
                f" and `min_codebook_usage` is {model.config.min_codebook_usage:.1%}. Try a longer warm-up"
                " (`codebook_warmup_updates`), a lower learning rate, or fewer codes."
            )

    def on_train_end(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        self.remove_hook()

    def remove_hook(self) -> None:
        """Stops counting. May be called at any time."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def state_file(self, args: TrainingArguments) -> str:
        """Name of this process's file in a checkpoint."""
        if args.world_size == 1:
            return self.STATE_FILE
        return self.STATE_FILE.replace(".", f"-rank{args.process_index}.")

    def _count(self, quantizer: VectorQuantizer, inputs: tuple[torch.Tensor, ...], tokens: QuantizedTokens) -> None:
        if quantizer.training and bool(quantizer.started):
            _, mask = inputs
            for uses, codes in zip(self._uses, tokens.codes[mask].T.cpu(), strict=True):
                uses += torch.bincount(codes, minlength=len(uses))

    def on_save(self, args, state: TrainerState, control: TrainerControl, model=None, **kwargs) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        folder.mkdir(parents=True, exist_ok=True)  # the main process may not have come so far
        save_file(model.quantizer.training_state(), folder / self.state_file(args))


def training_arguments(output_dir: str | os.PathLike, **overrides: Any) -> TrainingArguments:
    """
    Our defaults for `TrainingArguments`: AdamW, cosine schedule with warm-up, clipping, checkpoints for resuming.

    Args:
        output_dir (`str` or `os.PathLike`): Where checkpoints go.
        overrides: Any field of `TrainingArguments`.

    Returns:
        `TrainingArguments`
    """
    defaults = {
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup_steps": 50,
        "lr_scheduler_type": "cosine",
        "max_grad_norm": 1.0,
        "adam_beta2": 0.98,
        "logging_steps": 25,
        "save_steps": 250,
        "save_total_limit": 2,
        "seed": 0,
        "report_to": [],
        "remove_unused_columns": False,
        "dataloader_drop_last": True,
    }
    return TrainingArguments(output_dir=str(output_dir), **{**defaults, **overrides})


# Fields of `TrainingArguments` that decide the weights.
_DECIDING_FIELDS = (
    *("optim", "learning_rate", "adam_beta1", "adam_beta2", "adam_epsilon", "weight_decay", "max_grad_norm"),
    *("lr_scheduler_type", "warmup_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("bf16", "fp16", "use_cpu", "seed"),
)


def training_facts(arguments: TrainingArguments) -> dict[str, Any]:
    """
    What a checkpoint's provenance says of a training: optimiser, rate, schedule, batch, precision, seed and length.

    Args:
        arguments (`TrainingArguments`): As the training uses them ([`training_arguments`]).

    Returns:
        `dict`: field -> value as JSON has it; of `max_steps` and `num_train_epochs` the one that counts.
    """
    length = "max_steps" if arguments.max_steps > 0 else "num_train_epochs"
    facts = {name: getattr(arguments, name) for name in (*_DECIDING_FIELDS, length)}
    return {name: value.value if isinstance(value, Enum) else value for name, value in facts.items()}


def train_or_resume(trainer: Trainer) -> None:
    """Trains from the newest checkpoint in the output folder, or from the start if there is none."""
    folder = trainer.args.output_dir
    checkpoint = get_last_checkpoint(folder) if os.path.isdir(folder) else None
    if checkpoint is not None and _is_finished(Path(checkpoint), trainer.args):
        load_model(trainer.model, Path(checkpoint) / SAFE_WEIGHTS_NAME)
        return
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    finally:
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, CodebookCallback):
                callback.remove_hook()


def _is_finished(checkpoint: Path, arguments: TrainingArguments) -> bool:
    """Whether all of `max_steps` are done: `Trainer` would do one step more."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    return 0 < arguments.max_steps <= state.global_step
