# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs of every stage that take seconds, on records that the tests write, and the processes they run in."""

import dataclasses
import json
import multiprocessing
import os
import signal
import socket
import traceback
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tests.corpora.written_rows import LEADS, corpus, row
from tests.models.tiny import tiny_config, tiny_quantizer_config

from anyecg_hf import AnyECGForMaskedCodeModeling, AnyECGRhythmQuantizer, AnyECGTokenizer
from anyecg_hf.training.configs import (
    DataConfig,
    FinetuningConfig,
    MaskingConfig,
    OptimiserConfig,
    PretrainingConfig,
    QuantizerTrainingConfig,
    RunConfig,
    SourceConfig,
    TaskConfig,
    TrainingConfig,
)

SHAPE: dict[str, Any] = {
    "patch_size": 75,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "patch_channels": [8, 16],
    "patch_strides": [5, 3],
    "patch_norm_groups": 4,
    "time_encoding": "rotary",
    "initializer_range": 0.1,
}
CODES = {"codebook_size": 8, "codebook_dim": 8}
QUANTIZER = {
    **SHAPE,
    **CODES,
    "num_decoder_layers": 1,
    "wavelet_levels": 2,
    "ema_decay": 0.9,
    "min_codebook_usage": 0.1,
    "codebook_warmup_updates": 5,
    "kmeans_iterations": 3,
}
CLASSES = ["426177001", "427084000"]  # sinus bradycardia, sinus tachycardia
ROWS = 24
WINDOW_PATCHES = 8

# What a line of the log says of the hardware, not of the training.
_SPEED = ("records_per_s", "tokens_per_s", "tflops", "model_flop_utilisation")


def write_records(path: Path, count: int = ROWS, first: int = 0) -> Path:
    """Records of two to five leads and three to four seconds, half of them with each class, as a Parquet file."""
    rows = [
        row(
            number,
            n_leads=2 + number % (len(LEADS) - 1),
            seconds=3 + number % 2,
            labels=[name for place, name in enumerate(CLASSES) if number >> place & 1],
            age_years=40.0 + number if number % 3 else None,
            sex=number % 2 if number % 5 else None,
        )
        for number in range(first, first + count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    corpus(rows).to_parquet(path)
    return path


def write_tokenizer(folder: Path) -> Path:
    """A tokenizer with a random quantizer."""
    tokenizer = AnyECGTokenizer(patch_size=75)
    torch.manual_seed(0)
    tokenizer.quantizer = AnyECGRhythmQuantizer(tiny_quantizer_config(**QUANTIZER))
    tokenizer.quantizer.quantizer.started.fill_(True)
    tokenizer.save_pretrained(folder)
    return folder


def write_backbone(folder: Path) -> Path:
    """A random pretrained model with its tokenizer."""
    write_tokenizer(folder)
    torch.manual_seed(1)
    AnyECGForMaskedCodeModeling(tiny_config(**{**SHAPE, "codebook_size": 8})).save_pretrained(folder)
    return folder


class SmallRuns:
    """
    Configurations of small runs on the same records.

    Args:
        root (`Path`): Where records, checkpoints to start from and the cache lie.
    """

    def __init__(self, root: Path):
        self.root = root
        self.records = write_records(root / "records.parquet")
        self.validation = write_records(root / "validation.parquet", count=8, first=100)
        self.tokenizer = write_tokenizer(root / "tokenizer")
        self.backbone = write_backbone(root / "backbone")

    def config(self, kind: str, output_dir: Path, **changes: Any) -> TrainingConfig:
        """
        Args:
            kind (`str`): `quantizer`, `pretraining` or `finetuning`.
            output_dir (`Path`): The run folder.
            changes: Fields, nested ones with `__` (`run__steps=3`).

        Returns:
            [`TrainingConfig`]
        """
        config = self._plain(kind, str(output_dir))
        for name, value in changes.items():
            *sections, field = name.split("__")
            target = config
            for section in sections:
                target = getattr(target, section)
            assert field in {item.name for item in dataclasses.fields(target)}, name
            setattr(target, field, value)
        return config

    def _plain(self, kind: str, output_dir: str) -> TrainingConfig:
        common: dict[str, Any] = {
            "output_dir": output_dir,
            "data": DataConfig(
                train=[SourceConfig(parquet=str(self.records))],
                window_s=WINDOW_PATCHES * 0.25,
                batch_size=4,
                pool_size=10,
                prefetch=2,
                cache_dir=str(self.root / "cache"),
            ),
            "run": RunConfig(
                steps=12, precision="float32", device="cpu", seed=3, save_every=4, log_every=3, trackers=[], plots=False
            ),
            "optimiser": OptimiserConfig(learning_rate=3e-3, warmup_steps=2),
        }
        if kind == "quantizer":
            return QuantizerTrainingConfig(**common, model=dict(QUANTIZER))
        if kind == "pretraining":
            masking = [MaskingConfig(complement=True), MaskingConfig(strategy="time_block", ratio=0.3)]
            model = {**SHAPE, "hidden_dropout": 0.1}
            return PretrainingConfig(**common, model=model, tokenizer=str(self.tokenizer), masking=masking)
        common["data"].validation = [SourceConfig(parquet=str(self.validation))]
        common["run"].validate_every = 5
        return FinetuningConfig(
            **common,
            checkpoint=str(self.backbone),
            task=TaskConfig(name="labels", classes=list(CLASSES)),
            code_weight=0.1,
            model={"hidden_dropout": 0.1},
        )


KINDS = ("quantizer", "pretraining", "finetuning")


def train(config: TrainingConfig) -> torch.nn.Module:
    """Runs the stage that a configuration is of."""
    from anyecg_hf.training.finetune import finetune
    from anyecg_hf.training.pretrain import pretrain
    from anyecg_hf.training.train_quantizer import train_quantizer

    if isinstance(config, QuantizerTrainingConfig):
        return train_quantizer(config)
    return pretrain(config) if isinstance(config, PretrainingConfig) else finetune(config)


def metrics(run: Path) -> list[dict[str, Any]]:
    """Lines of the log without those about speed."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in _SPEED} for line in lines]


def weights(run: Path, folder: str = "final") -> dict[str, torch.Tensor]:
    """All tensors that a run left in a folder."""
    return {
        f"{file.relative_to(run / folder)}:{name}": value
        for file in sorted((run / folder).rglob("*.safetensors"))
        for name, value in load_file(file).items()
    }


def assert_same_run(run: Path, reference: Path) -> None:
    """Weights bit for bit, and every figure that is not about speed."""
    found, expected = weights(run), weights(reference)
    assert found.keys() == expected.keys()
    assert expected
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []
    assert metrics(run) == metrics(reference)


def checkpoint_names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


# Processes of their own

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.training.preloaded"])


@dataclasses.dataclass
class Group:
    """
    Processes of one run.

    Attributes:
        members (`list[BaseProcess]`): By rank.
        errors (`Path`): Folder of the tracebacks of those that failed.
    """

    members: list[BaseProcess]
    errors: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal to all that are alive, and waits for their end."""
        for member in self.members:
            if member.is_alive():
                os.kill(member.pid, number)
        self.wait()

    def wait(self, timeout_s: float = 90.0) -> None:
        for member in self.members:
            member.join(timeout_s)
        hanging = [member.pid for member in self.members if member.is_alive()]
        for member in self.members:
            member.kill()
        assert not hanging, f"processes {hanging} did not end"

    def is_alive(self) -> bool:
        return any(member.is_alive() for member in self.members)

    def finish(self) -> None:
        """Waits for a good end."""
        self.wait()
        assert [member.exitcode for member in self.members] == [0] * len(self.members), "\n".join(self.texts())

    def texts(self) -> list[str]:
        """Tracebacks by rank."""
        return [file.read_text() for file in sorted(self.errors.glob("*.txt"))]


def start(folder: Path, job: Callable[..., None], *arguments: Any, processes: int = 1) -> Group:
    """
    Starts a job in fresh processes that have imported the package already; several of them find each other by gloo.

    Args:
        folder (`Path`): For tracebacks.
        job (`Callable`): A function of a module.
        arguments: Its arguments.
        processes (`int`, *optional*, defaults to 1): How many.

    Returns:
        [`Group`]
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.txt"):
        old.unlink()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    members = [
        _SERVER.Process(target=_work, args=(rank, processes, port, folder, job, arguments), daemon=True)
        for rank in range(processes)
    ]
    for member in members:
        member.start()
    return Group(members, folder)


def _work(rank: int, processes: int, port: int, folder: Path, job: Callable[..., None], arguments: tuple) -> None:
    torch.set_num_threads(1)
    if processes > 1:
        places = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": processes,
            "LOCAL_WORLD_SIZE": processes,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "ACCELERATE_USE_CPU": "true",
        }
        os.environ.update({name: str(value) for name, value in places.items()})
    try:
        job(*arguments)
    except BaseException:
        (folder / f"{rank}.txt").write_text(traceback.format_exc())
        raise
