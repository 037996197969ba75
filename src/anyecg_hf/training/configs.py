# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a training run is told: one dataclass a stage. Their fields are the keys of YAML files and the options of the
command line, and their descriptions the help there."""

from dataclasses import dataclass, field
from typing import Any, Literal

from anyecg_hf.training.adapters import AdaptationConfig, LoraSettings


def _check_range(config: Any, lowest: float, *names: str, highest: float = float("inf")) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not lowest <= value <= highest:
            bounds = f"at least {lowest:g}" if highest == float("inf") else f"from {lowest:g} to {highest:g}"
            raise ValueError(f"`{name}` must be {bounds}, got {value}.")


@dataclass(kw_only=True)
class SourceConfig:
    """
    Where records come from: a corpus, Parquet files, or a folder of recordings (corpus `folder`).

    Args:
        corpus (`str`, *optional*): Name of a corpus that `load_corpus` knows.
        data_dir (`str`, *optional*): Its folder; without it the corpus is downloaded from its official site.
        parquet (`str`, *optional*): In place of a corpus: Parquet files in the same columns, a path or a glob.
        split (`str`, *optional*, defaults to `"train"`): Split of the corpus; `all` for every one.
        folds (`list[int]`, *optional*): Only records of these folds (PTB-XL: 1 to 10).
        weight (`float`, *optional*): How often a row is drawn, relative to the other sources; by default every row
            counts the same.
        options (`dict`, *optional*): Options of the corpus, for example `sampling_rate: 100` for PTB-XL.
    """

    corpus: str | None = None
    data_dir: str | None = None
    parquet: str | None = None
    split: str = "train"
    folds: list[int] | None = None
    weight: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class DataConfig:
    """
    Records and how windows of them become batches.

    Args:
        train (`list[SourceConfig]`): What is trained on.
        validation (`list[SourceConfig]`, *optional*): What training is watched on, and the best step chosen by.
        held_out (`list[SourceConfig]`, *optional*): What is evaluated on later. Copies of these records, and records of
            the same patients, must not be in `train` or `validation`.
        on_leak (`str`, *optional*, defaults to `"refuse"`): What to do about training records that are copies of
            validation or held-out ones, or of the same patients: `refuse` to train, or `drop` them and say so.
        deduplicate (`bool`, *optional*, defaults to `False`): Whether of several copies of a record, by signal or name,
            only the first source's is trained on, and only one validated on.
        streaming (`bool`, *optional*, defaults to `False`): Whether records are read and cleaned while training,
            instead of once into a cache. Leaks then come to light while training.
        window_s (`float`, *optional*, defaults to 10.0): Length of a training window in seconds.
        batch_size (`int`, *optional*, defaults to 16): Windows a process takes at once.
        lead_dropout (`float`, *optional*, defaults to 0.2): Probability that a window keeps only some of its leads: one
            of the usual sets of 1, 2, 3 or 6 leads, or a random one.
        pool_size (`int`, *optional*, defaults to 1024): Rows that are sorted into batches of alike size together.
        prefetch (`int`, *optional*, defaults to 4): Batches prepared ahead in the background; 0 for none.
        num_proc (`int`, *optional*): Processes that read and clean records into the cache.
        root (`str`, *optional*): Folder below which `data_dir` and `parquet` are looked for, unless they are absolute.
        cache_dir (`str`, *optional*): Where prepared and downloaded records are kept; by default the cache of
            `datasets`.
    """

    train: list[SourceConfig]
    validation: list[SourceConfig] = field(default_factory=list)
    held_out: list[SourceConfig] = field(default_factory=list)
    on_leak: Literal["refuse", "drop"] = "refuse"
    deduplicate: bool = False
    streaming: bool = False
    window_s: float = 10.0
    batch_size: int = 16
    lead_dropout: float = 0.2
    pool_size: int = 1024
    prefetch: int = 4
    num_proc: int | None = None
    root: str | None = None
    cache_dir: str | None = None

    def __post_init__(self):
        _check_range(self, 0, "lead_dropout", highest=1)
        _check_range(self, 1, "batch_size", "pool_size", "num_proc")
        _check_range(self, 0, "prefetch")


@dataclass(kw_only=True)
class MaskingConfig:
    """
    One way to hide patches from masked code modelling; every batch draws one of several.

    Args:
        strategy (`str`, *optional*, defaults to `"random"`): `random` patches (paper), `whole_time`: every lead of the
            drawn times, `whole_lead`, or `time_block`: one stretch of time in every lead.
        ratio (`float`, *optional*, defaults to 0.5): Share of patches, times, leads or duration to hide.
        weight (`float`, *optional*, defaults to 1.0): How often it is drawn, relative to the others.
        complement (`bool`, *optional*, defaults to `False`): Whether every window is shown twice, the second time with
            the complement hidden, so that all of it is predicted (LaBraM).
    """

    strategy: Literal["random", "whole_time", "whole_lead", "time_block"] = "random"
    ratio: float = 0.5
    weight: float = 1.0
    complement: bool = False


@dataclass(kw_only=True)
class OptimiserConfig:
    """
    AdamW and its schedule.

    Args:
        learning_rate (`float`, *optional*, defaults to 0.001): Highest learning rate.
        weight_decay (`float`, *optional*, defaults to 0.01): Of weight matrices; biases, norms, embeddings and the mask
            token have none.
        beta_1 (`float`, *optional*, defaults to 0.9): Decay of the first moment.
        beta_2 (`float`, *optional*, defaults to 0.98): Decay of the second moment.
        epsilon (`float`, *optional*, defaults to 1e-8): Added to the denominator.
        max_gradient_norm (`float`, *optional*, defaults to 1.0): Gradients are clipped to this norm; 0 for no clipping.
        schedule (`str`, *optional*, defaults to `"cosine"`): `cosine`, `wsd` (warm-up, stable, decay) or `constant`,
            each after a linear warm-up.
        warmup_steps (`int`, *optional*, defaults to 50): Steps of the warm-up, fewer than those of the run.
        decay_share (`float`, *optional*, defaults to 0.2): Share of all steps in which `wsd` decays, at the end.
        final_share (`float`, *optional*, defaults to 0.0): Learning rate at the end, relative to the highest.
        layer_decay (`float`, *optional*, defaults to 1.0): Factor of the learning rate from each layer to the one
            below; the head has the full rate.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.98
    epsilon: float = 1e-8
    max_gradient_norm: float = 1.0
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    warmup_steps: int = 50
    decay_share: float = 0.2
    final_share: float = 0.0
    layer_decay: float = 1.0

    def __post_init__(self):
        _check_range(self, 0, "learning_rate", "weight_decay", "epsilon", "max_gradient_norm", "warmup_steps")
        _check_range(self, 0, "beta_1", "beta_2", "decay_share", "final_share", "layer_decay", highest=1)


@dataclass(kw_only=True)
class RunConfig:
    """
    How long and on what a run runs, and what it leaves.

    Args:
        steps (`int`): Optimiser steps.
        gradient_accumulation (`int`, *optional*, defaults to 1): Batches a step. The gradient is exactly that of one
            batch with all their windows.
        precision (`str`, *optional*, defaults to `"bf16"`): `bf16` (weights stay float32) or `float32`.
        sharding (`str`, *optional*, defaults to `"none"`): With several processes, `none` keeps a copy of the model in
            each (DDP), `fsdp2` shards parameters, gradients and optimiser.
        activation_checkpointing (`bool`, *optional*, defaults to `False`): Whether layers are computed again in the
            backward pass instead of kept.
        compile (`bool`, *optional*, defaults to `False`): Whether to use `torch.compile`.
        device (`str`, *optional*, defaults to `"auto"`): `auto` for an accelerator where there is one, or `cpu`.
        seed (`int`, *optional*, defaults to 0): Of initial weights, windows, masks and dropout.
        save_every (`int`, *optional*, defaults to 250): Steps between checkpoints; one is saved at the end in any case.
        keep (`int`, *optional*, defaults to 2): Checkpoints that are kept.
        log_every (`int`, *optional*, defaults to 25): Steps between lines of `metrics.jsonl`.
        validate_every (`int`, *optional*, defaults to 250): Steps between validations, if there are validation records.
        patience (`int`, *optional*): Validations without improvement after which training ends; by default it goes on.
        trackers (`list[str]`, *optional*): Trackers of Accelerate, for example `[tensorboard, wandb]`. By default
            TensorBoard, if it is installed; `[]` for none.
        plots (`bool`, *optional*, defaults to `True`): Whether to draw `metrics.png` at the end, where matplotlib is
            installed.
        peak_tflops (`float`, *optional*): Peak of one device in 10^12 FLOP/s at the run's precision, for the model FLOP
            utilisation; known for usual data-centre GPUs.
    """

    steps: int
    gradient_accumulation: int = 1
    precision: Literal["bf16", "float32"] = "bf16"
    sharding: Literal["none", "fsdp2"] = "none"
    activation_checkpointing: bool = False
    compile: bool = False
    device: Literal["auto", "cpu"] = "auto"
    seed: int = 0
    save_every: int = 250
    keep: int = 2
    log_every: int = 25
    validate_every: int = 250
    patience: int | None = None
    trackers: list[str] | None = None
    plots: bool = True
    peak_tflops: float | None = None

    def __post_init__(self):
        _check_range(self, 1, "steps", "gradient_accumulation", "save_every", "keep", "log_every", "validate_every")
        _check_range(self, 1, "patience")
        _check_range(self, 0, "seed")


@dataclass(kw_only=True)
class TrainingConfig:
    """
    What every stage is told.

    Args:
        output_dir (`str`): Run folder: configuration, metrics, checkpoints, and `final`, the trained model.
        data ([`DataConfig`]): Records and batches.
        run ([`RunConfig`]): Length, hardware and output.
        optimiser ([`OptimiserConfig`], *optional*): AdamW and its schedule.
        model (`dict`, *optional*): Fields of the model's configuration; for a new model `preset` may name a size.
        resume (`bool`, *optional*, defaults to `False`): Whether to go on with the run in `output_dir` from its last
            checkpoint. Without it a folder that holds a run is refused.
    """

    output_dir: str
    data: DataConfig
    run: RunConfig
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    model: dict[str, Any] = field(default_factory=dict)
    resume: bool = False

    def __post_init__(self):
        if self.optimiser.warmup_steps >= self.run.steps:
            raise ValueError(
                f"`optimiser.warmup_steps` is {self.optimiser.warmup_steps} and `run.steps` {self.run.steps}: the"
                " learning rate would never come to its height. Train longer, or lower `optimiser.warmup_steps`."
            )


@dataclass(kw_only=True)
class QuantizerTrainingConfig(TrainingConfig):
    """
    Stage 1: the rhythm quantizer.

    Args:
        tokenizer (`dict`, *optional*): Fields of the tokenizer: filters, notch, denoising. Patch size, sampling rate
            and leads are those of the model.
    """

    tokenizer: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class PretrainingConfig(TrainingConfig):
    """
    Stage 2: masked code modelling.

    Args:
        tokenizer (`str`): Checkpoint of the tokenizer with its quantizer: `final` of stage 1.
        masking (`list[MaskingConfig]`, *optional*): Ways to hide patches; by default the paper's, random patches.
    """

    tokenizer: str
    masking: list[MaskingConfig] = field(default_factory=lambda: [MaskingConfig()])


# One answer a record, one a patch, one a long record or a stretch of it; and restoring the signal itself.
LABEL_TASKS = ("superclass", "subclass", "rhythm", "statements", "anomaly", "arrhythmia", "challenge", "labels")
TOKEN_TASKS = ("beats", "rhythm-spans")
LONG_TASKS = ("long-beats", "long-rhythm")
RECONSTRUCTION_TASK = "lead-reconstruction"


@dataclass(kw_only=True)
class TaskConfig:
    """
    What a model is fine-tuned for.

    Args:
        name (`str`): PTB-XL's `superclass`, `subclass`, `rhythm` statements or all `statements`; `anomaly`: normal or
            not; `arrhythmia`: rhythm classes; `challenge`: scored classes of Challenge 2021; `labels`: any SNOMED CT
            codes or native labels. `beats` and `rhythm-spans` label every patch, `long-beats` and `long-rhythm` say
            which of them occur in a long record. `lead-reconstruction` restores missing and noised leads.
        classes (`list[str]`, *optional*): Classes of the task `labels`; SNOMED CT codes in quotes, `["426783006"]`. A
            class that a record lacks is a negative where its corpus has words for that class, and unknown where it has
            none; where that cannot be told, in a folder of one's own for example, it is a negative, with a warning.
        drop_rare (`int`, *optional*, defaults to 0): Classes with fewer positives than this, or negatives, among
            training or validation records are left out and named. With 0 a class without any is an error. Patches
            count in place of records where they are labelled.
        segment_s (`float`, *optional*): Of `long-beats` and `long-rhythm`: length in seconds of what has one answer,
            for example 60 for every minute; by default whole records.
    """

    name: str
    classes: list[str] | None = None
    drop_rare: int = 0
    segment_s: float | None = None

    def __post_init__(self):
        _check_range(self, 0, "drop_rare", "segment_s")


@dataclass(kw_only=True)
class FinetuningConfig(TrainingConfig):
    """
    Fine-tuning.

    Args:
        checkpoint (`str`): Checkpoint to start from, with its tokenizer: `final` of stage 2.
        task ([`TaskConfig`]): What for.
        adaptation ([`AdaptationConfig`], *optional*): What of the model is trained: all of it, its head, low-rank
            adapters or an attentive probe.
        code_weight (`float`, *optional*, defaults to 0.0): Weight of masked code modelling as a second task, which
            keeps the checkpoint's code head in use; only where all of the model is trained.
        masking (`list[MaskingConfig]`, *optional*): Ways to hide patches from the second task.
    """

    checkpoint: str
    task: TaskConfig
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    code_weight: float = 0.0
    masking: list[MaskingConfig] = field(default_factory=lambda: [MaskingConfig()])

    def __post_init__(self):
        super().__post_init__()
        _check_range(self, 0, "code_weight")
        if self.adaptation.mode != "lora" and self.adaptation.lora != LoraSettings():
            raise ValueError(
                f"`adaptation.lora` is set, and `adaptation.mode` is {self.adaptation.mode!r}: make that `lora`, or"
                " leave the fields of `adaptation.lora` out."
            )


__all__ = [
    "LABEL_TASKS",
    "LONG_TASKS",
    "RECONSTRUCTION_TASK",
    "TOKEN_TASKS",
    "AdaptationConfig",
    "DataConfig",
    "FinetuningConfig",
    "MaskingConfig",
    "OptimiserConfig",
    "PretrainingConfig",
    "QuantizerTrainingConfig",
    "RunConfig",
    "SourceConfig",
    "TaskConfig",
    "TrainingConfig",
]
